//! The responders beside nftables against the real thing: ipset, iptables and ebtables in the kernel, routes, and TCP wrappers. In namespaces of
//! its own (a victim, a peer, and an inner host behind the victim by a bridge and by a route) that are removed at the end. Needs root; touches
//! nothing of the host.
//!
//! It has its own `main`: the outer run makes the namespaces and starts this program again inside them. `-- rates` measures adds a second instead.

mod contract;
mod firewalls;
mod hosts;
mod network;
mod rules;
mod way_back;

use network::Network;
use range::namespace::run;

type Test = fn(&Network);

const TESTS: &[(&str, Test)] = &[
    ("every_responder_keeps_the_contract", contract::every_responder_keeps_the_contract),
    ("a_full_one_refuses_only_what_is_new", contract::a_full_one_refuses_only_what_is_new),
    ("blocked_packets_are_dropped", rules::blocked_packets_are_dropped),
    ("damage_is_seen_and_put_right", rules::damage_is_seen_and_put_right),
    ("a_refused_batch_has_true_outcomes", rules::a_refused_batch_has_true_outcomes),
    ("what_nft_alone_knows_is_told", rules::what_nft_alone_knows_is_told),
    ("firewalls_beside_are_left_alone", firewalls::firewalls_beside_are_left_alone),
    ("sets_end_blocks_by_themselves", rules::sets_end_blocks_by_themselves),
    ("sets_take_another_size", rules::sets_take_another_size),
    ("routes_cut_the_way_back", way_back::routes_cut_the_way_back),
    ("others_routes_are_respected", way_back::others_routes_are_respected),
    ("wrapped_services_turn_the_blocked_away", hosts::wrapped_services_turn_the_blocked_away),
    ("others_bytes_stay", hosts::others_bytes_stay),
    ("unsafe_files_are_refused", hosts::unsafe_files_are_refused),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["inside", peer, inner, what @ ..] => inside(&Network::inside(peer, inner), what),
        ["send", from, to, word] => network::send(from, to, word),
        ["greeting", to] => print!("{}", network::greeting(to)),
        // Cargo's own words, a part of a test's name, or "rates".
        _ => network::outside(&words.into_iter().filter(|word| !word.starts_with('-')).collect::<Vec<_>>()),
    }
}

fn inside(network: &Network, what: &[&str]) {
    if what == ["rates"] {
        return contract::rates();
    }
    for (name, test) in TESTS.iter().filter(|(name, _)| what.is_empty() || what.iter().any(|part| name.contains(part))) {
        network::clean();
        test(network);
        println!("test {name} ... ok");
    }
}

fn sh(program: &str, args: &str) -> String {
    run(program, args.split_ascii_whitespace()).unwrap()
}
