//! The nftables responder against the real kernel, in two network namespaces of its own (a victim and a peer, joined by a cable) that are
//! removed at the end. Needs root, `ip` and `nft`; touches nothing of the host's firewall.
//!
//! It has its own `main`: the outer run makes the namespaces and starts this program again inside them.

use model::block::{BlockId, Change, Expiry, Fault, Installed, Outcome, Scope};
use model::net::Prefix;
use model::time::Time;
use range::namespace::{Namespace, run};
use respond::Responder;
use respond::nftables::{LISTED_MAX, Nftables, OpenError, Severed};
use respond::skeleton::{Guarded, Skeleton};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;
use sys::nft::alarm::Damage;

const GROUP: u16 = 5;
const VICTIM: &str = "10.77.0.1";
const PEER: &str = "10.77.0.2";
const VICTIM6: &str = "fd77::1";
const PEER6: &str = "fd77::2";
/// Any time will do: the kernel only hears how long a block lasts.
const NOW: Time = Time::from_secs(1_000_000);
/// How often something is looked at that must come to pass, every 20 ms. Reached only if it never does.
const LOOKS: usize = 1_000;

type Test = fn(&Peer);

const TESTS: &[(&str, Test)] = &[
    ("the_table_is_as_nft_would_make_it", the_table_is_as_nft_would_make_it),
    ("opening_again_keeps_what_stands", opening_again_keeps_what_stands),
    ("a_foreign_shape_is_replaced", a_foreign_shape_is_replaced),
    ("other_tables_stay_as_they_are", other_tables_stay_as_they_are),
    ("outcomes_are_true_one_by_one", outcomes_are_true_one_by_one),
    ("a_full_set_refuses_only_what_is_new", a_full_set_refuses_only_what_is_new),
    ("a_new_expiry_replaces_the_old", a_new_expiry_replaces_the_old),
    ("blocks_run_out_by_themselves", blocks_run_out_by_themselves),
    ("prefixes_that_overlap_are_blocked_exactly", prefixes_that_overlap_are_blocked_exactly),
    ("prefixes_that_run_out_make_no_trouble", prefixes_that_run_out_make_no_trouble),
    ("a_deleted_table_is_healed", a_deleted_table_is_healed),
    ("whatever_is_damaged_is_repaired", whatever_is_damaged_is_repaired),
    ("what_is_done_while_nobody_listens_is_repaired", what_is_done_while_nobody_listens_is_repaired),
    ("what_ran_out_does_not_come_back", what_ran_out_does_not_come_back),
    ("blocked_packets_are_dropped_and_exempt_ones_pass", blocked_packets_are_dropped_and_exempt_ones_pass),
    ("only_probes_are_counted_as_probes", only_probes_are_counted_as_probes),
    ("one_flooder_cannot_use_up_the_ration", one_flooder_cannot_use_up_the_ration),
    ("established_connections_die", established_connections_die),
    ("without_privilege_it_says_so", without_privilege_it_says_so),
    ("many_are_listed_as_they_were_added", many_are_listed_as_they_were_added),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["inside", peer] => inside(&Peer { namespace: (*peer).to_owned() }),
        ["udp", to, from, count] => send_udp(to, from, count.parse().unwrap()),
        ["refused", to] => assert!(TcpStream::connect(to).is_err()),
        ["hold", to] => hold(to),
        ["unprivileged"] => assert!(matches!(Nftables::open(&Skeleton::default(), NOW), Err(OpenError::NoPrivilege))),
        // Whatever cargo passes on.
        _ => outside(),
    }
}

fn outside() {
    let name = |role| format!("rp-resp{}{role}", std::process::id());
    let (victim, peer) = (Namespace::new(&name("v")).unwrap(), Namespace::new(&name("p")).unwrap());
    victim.run("ip", ["link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", peer.name()]).unwrap();
    for (host, v4, v6) in [(&victim, VICTIM, VICTIM6), (&peer, PEER, PEER6)] {
        host.run("ip", ["addr", "add", &format!("{v4}/24"), "dev", "eth0"]).unwrap();
        host.run("ip", ["addr", "add", &format!("{v6}/64"), "dev", "eth0", "nodad"]).unwrap();
        host.run("ip", ["link", "set", "eth0", "up"]).unwrap();
    }
    for more in ["10.77.0.3/24", "10.77.0.4/24"] {
        peer.run("ip", ["addr", "add", more, "dev", "eth0"]).unwrap();
    }
    let tests = victim.run(&own_program(), ["inside", peer.name()]);
    print!("{}", tests.unwrap_or_else(|error| panic!("{error}")));
}

fn own_program() -> String {
    std::env::current_exe().unwrap().to_str().unwrap().to_owned()
}

fn inside(peer: &Peer) {
    for (name, test) in TESTS {
        run("nft", ["flush", "ruleset"]).unwrap();
        test(peer);
        println!("test {name} ... ok");
    }
}

/// The other end of the cable.
struct Peer {
    namespace: String,
}

impl Peer {
    /// Runs this program there and waits for it.
    fn act(&self, args: &[&str]) {
        self.run(&[&[own_program().as_str()], args].concat());
    }

    fn run(&self, args: &[&str]) -> String {
        run("ip", [&["netns", "exec", &self.namespace], args].concat()).unwrap()
    }

    fn send(&self, from: &str, port: u16, count: usize) {
        let to = if from.contains(':') { format!("[{VICTIM6}]:{port}") } else { format!("{VICTIM}:{port}") };
        self.act(&["udp", &to, from, &count.to_string()]);
    }
}

fn send_udp(to: &str, from: &str, count: usize) {
    let socket = UdpSocket::bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    (0..count).for_each(|_| assert_eq!(socket.send_to(b"probe", to).unwrap(), 5));
}

/// Holds a connection until the other end has said something and then is gone or says the word.
fn hold(to: &str) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut byte = [0; 1];
    while stream.read(&mut byte).is_ok_and(|bytes| bytes == 1 && byte[0] != b'!') {}
}

fn open() -> Nftables {
    Nftables::open(&Skeleton { nflog_group: Some(GROUP), ..Skeleton::default() }, NOW).unwrap()
}

/// With guarded ports and traps.
fn guarding() -> Skeleton {
    let ports = |text: &[(u16, u16)]| text.iter().map(|(first, last)| *first..=*last).collect();
    let guarded = Guarded {
        tcp: ports(&[(1, 1_023), (31_337, 31_337), (60_000, 65_535)]),
        listeners: [Some(7_001), Some(7_002)],
        traps: [ports(&[(2_323, 2_323)]), ports(&[(161, 162)])],
        traps_per_minute: 20,
        holds: [ports(&[(1, 1_023)]), ports(&[(69, 69)])],
    };
    Skeleton { nflog_group: Some(GROUP), guarded, ..Skeleton::default() }
}

/// The responder as it works on this kernel, and as it works on older ones.
fn both_ways(test: impl Fn(Nftables)) {
    test(open());
    run("nft", ["flush", "ruleset"]).unwrap();
    test(open().as_before_linux_6_3());
}

fn scope(text: &str) -> Scope {
    Scope::Source(text.parse().unwrap())
}

fn secs(secs: u64) -> Expiry {
    Expiry::At(NOW.after(Duration::from_secs(secs)))
}

fn add(text: &str, expiry: Expiry) -> Change {
    Change::Add { id: BlockId(1), scope: scope(text), expiry }
}

fn remove(text: &str) -> Change {
    Change::Remove { id: BlockId(1), scope: scope(text) }
}

/// What is listed, with the time left rounded up to ten seconds: tests take no longer.
fn listed(nft: &mut Nftables) -> BTreeMap<String, Option<u64>> {
    let left = |installed: &Installed| match installed.expiry {
        Expiry::At(at) => Some(at.since(NOW).as_secs().div_ceil(10) * 10),
        Expiry::Never => None,
    };
    nft.list(NOW).unwrap().iter().map(|installed| (installed.scope.prefix().to_string(), left(installed))).collect()
}

fn blocks<const N: usize>(list: [(&str, Option<u64>); N]) -> BTreeMap<String, Option<u64>> {
    list.into_iter().map(|(prefix, left)| (prefix.to_owned(), left)).collect()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if done() {
            return;
        }
        sleep(Duration::from_millis(20));
    }
    panic!("never came to pass: {what}");
}

fn the_table_is_as_nft_would_make_it(peer: &Peer) {
    let _nft = Nftables::open(&guarding(), NOW).unwrap();
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected.nft");
    peer.run(&["nft", "-f", expected.to_str().unwrap()]);
    let as_nft_makes_it = peer.run(&["nft", "list", "table", "inet", "riposte"]);
    peer.run(&["nft", "flush", "ruleset"]);
    assert_eq!(run("nft", ["list", "table", "inet", "riposte"]).unwrap(), as_nft_makes_it);
}

fn opening_again_keeps_what_stands(peer: &Peer) {
    let mut nft = open();
    nft.set_exempt(&["192.0.2.0/24".parse().unwrap(), "192.0.2.128/25".parse().unwrap(), "2001:db8::/32".parse().unwrap()], NOW).unwrap();
    nft.set_open_ports(&[22, 80], &[53], NOW).unwrap();
    let changes = [add(PEER, secs(600)), add("198.51.100.0/24", secs(900)), add("2001:db8:5::/64", Expiry::Never)];
    assert_eq!(nft.apply(&changes, NOW), [Outcome::Added; 3]);
    peer.send(PEER, 9, 3);
    until("the drop is counted", || nft.counters().unwrap().dropped.packets == 3);
    let rules = run("nft", ["-s", "list", "table", "inet", "riposte"]).unwrap();
    drop(nft);
    let mut again = open();
    assert_eq!(again.take_rebuilt(), None);
    let standing = blocks([(PEER, Some(600)), ("198.51.100.0/24", Some(900)), ("2001:db8:5::/64", None)]);
    assert_eq!(listed(&mut again), standing);
    assert_eq!(again.counters().unwrap().dropped.packets, 3);
    assert_eq!(run("nft", ["-s", "list", "table", "inet", "riposte"]).unwrap(), rules);
    // Without probes the chain goes and the rest stays; and it comes back.
    let mut blocking_only = Nftables::open(&Skeleton::default(), NOW).unwrap();
    assert!(run("nft", ["list", "chain", "inet", "riposte", "probes"]).is_err());
    assert_eq!(listed(&mut blocking_only), standing);
    // Guarded ports come and go, too.
    for _ in 0..2 {
        drop(Nftables::open(&guarding(), NOW).unwrap());
        assert!(run("nft", ["list", "chain", "inet", "riposte", "guard"]).unwrap().contains("tproxy ip6 to [::1]:7002"));
        assert!(run("nft", ["list", "chain", "inet", "riposte", "hold"]).unwrap().contains("add @held6"));
    }
    drop(open());
    assert_eq!(run("nft", ["-s", "list", "table", "inet", "riposte"]).unwrap(), rules);
    // What was adopted can be changed.
    assert_eq!(again.apply(&[remove("198.51.100.0/24"), remove(PEER)], NOW), [Outcome::Removed; 2]);
    assert_eq!(listed(&mut again), blocks([("2001:db8:5::/64", None)]));
    again.set_open_ports(&[80, 443], &[], NOW).unwrap();
    let ports = run("nft", ["list", "set", "inet", "riposte", "open_tcp"]).unwrap();
    assert!(ports.contains("80, 443"), "{ports}");
    again.remove().unwrap();
    assert!(run("nft", ["list", "table", "inet", "riposte"]).is_err());
}

fn a_foreign_shape_is_replaced(_: &Peer) {
    run("nft", ["add table inet riposte; add set inet riposte blocked4 { type inet_service; }; add chain inet riposte prerouting"])
        .unwrap();
    let mut nft = open();
    assert!(nft.has_replaced_another());
    assert_eq!(nft.apply(&[add(PEER, secs(600))], NOW), [Outcome::Added]);
    // A dormant table is woken up, and rules of others in our chains are gone.
    run("nft", ["add table inet riposte { flags dormant; }; insert rule inet riposte prerouting accept"]).unwrap();
    let mut nft = open();
    assert!(!nft.has_replaced_another());
    assert_eq!(listed(&mut nft), blocks([(PEER, Some(600))]));
    let table = run("nft", ["list", "table", "inet", "riposte"]).unwrap();
    assert!(!table.contains("dormant") && !table.contains("accept\n"), "{table}");
}

fn other_tables_stay_as_they_are(_: &Peer) {
    run("nft", ["add table inet other; add set inet other blocked4 { type ipv4_addr; elements = { 192.0.2.1 } }; add table ip riposte"])
        .unwrap();
    let before = run("nft", ["list", "ruleset"]).unwrap();
    let mut nft = open();
    nft.apply(&[add("192.0.2.1", secs(600)), remove("192.0.2.1"), add("192.0.0.0/8", secs(600))], NOW);
    assert_eq!(nft.list(NOW).unwrap().len(), 1);
    nft.remove().unwrap();
    assert_eq!(run("nft", ["list", "ruleset"]).unwrap(), before);
}

fn outcomes_are_true_one_by_one(_: &Peer) {
    both_ways(outcomes_are_true_one_by_one_so);
}

fn outcomes_are_true_one_by_one_so(mut nft: Nftables) {
    run("nft", ["add element inet riposte blocked6 { 2001:db8::1 }"]).unwrap();
    let mut batch = vec![remove("192.0.2.200"), add("192.0.2.1", secs(600)), add("192.0.2.1", secs(900)), remove("2001:db8::1")];
    batch.extend([add("192.0.2.2", secs(600)), remove("192.0.2.2"), add("2001:db8::2", Expiry::Never), add("10.0.0.0/8", secs(50))]);
    // One that passed already ends a block that stands.
    batch.extend([add("192.0.2.3", secs(600)), add("192.0.2.3", Expiry::At(Time::EPOCH))]);
    let expected: Vec<_> =
        batch.iter().map(|change| if matches!(change, Change::Add { .. }) { Outcome::Added } else { Outcome::Removed }).collect();
    assert_eq!(nft.apply(&batch, NOW), expected);
    let standing = blocks([("192.0.2.1", Some(900)), ("2001:db8::2", None), ("10.0.0.0/8", Some(50))]);
    until("only these stand", || listed(&mut nft) == standing);
    assert_eq!(nft.apply(&[], NOW), []);
    nets_are_bounded(&mut nft);
}

/// The bound of the interval set is met, and what is refused for it is told apart from what is not.
fn nets_are_bounded(nft: &mut Nftables) {
    let net = |n: usize| format!("100.{}.{}.0/24", n >> 8, n & 255);
    let many: Vec<Change> = (0..model::limits::NETS).map(|n| add(&net(n), secs(600))).collect();
    let outcomes = nft.apply(&many, NOW);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Added).count(), model::limits::NETS - 1);
    assert_eq!(outcomes.last(), Some(&Outcome::Failed(Fault::Full)));
    let last = [remove("10.0.0.0/8"), add(&net(model::limits::NETS), secs(600)), add(&net(9_000), secs(600)), add("192.0.2.77", secs(600))];
    let expected = [Outcome::Removed, Outcome::Added, Outcome::Failed(Fault::Full), Outcome::Added];
    assert_eq!(nft.apply(&last, NOW), expected);
    assert_eq!(nft.list(NOW).unwrap().len(), model::limits::NETS + 3);
}

fn a_full_set_refuses_only_what_is_new(_: &Peer) {
    both_ways(|mut nft| {
        // The same table with room for three stands in for one with two million blocks.
        let expected = include_str!("expected.nft").replace("size 2000000", "size 3");
        run("nft", [&format!("delete table inet riposte\n{expected}")]).unwrap();
        let host = |n: u8| format!("192.0.2.{n}");
        let (added, full) = (Outcome::Added, Outcome::Failed(Fault::Full));
        assert_eq!(nft.apply(&[1, 2, 3, 4, 5].map(|n| add(&host(n), secs(600))), NOW), [added, added, added, full, full]);
        let batch = [add(&host(4), secs(600)), remove(&host(9)), add(&host(2), secs(900)), add(PEER6, secs(600)), add(&host(5), secs(5))];
        assert_eq!(nft.apply(&batch, NOW), [full, Outcome::Removed, added, added, full]);
        let standing = blocks([("192.0.2.1", Some(600)), ("192.0.2.2", Some(900)), ("192.0.2.3", Some(600)), (PEER6, Some(600))]);
        assert_eq!(listed(&mut nft), standing);
        assert_eq!(nft.apply(&[remove(&host(1)), add(&host(4), secs(600))], NOW), [Outcome::Removed, added]);
    });
}

fn a_new_expiry_replaces_the_old(_: &Peer) {
    both_ways(a_new_expiry_replaces_the_old_so);
}

fn a_new_expiry_replaces_the_old_so(mut nft: Nftables) {
    for (expiry, left) in [(secs(600), Some(600)), (secs(9_000), Some(9_000)), (Expiry::Never, None), (secs(100), Some(100))] {
        let whom = [PEER, PEER6, "2001:db8::/64", "2001:db8::/48", "198.51.100.0/24"];
        assert_eq!(nft.apply(&whom.map(|whom| add(whom, expiry)), NOW), [Outcome::Added; 5]);
        // The /64 lies inside the /48, but has a set of its own.
        assert_eq!(listed(&mut nft), whom.into_iter().map(|whom| (whom.to_owned(), left)).collect());
    }
}

fn blocks_run_out_by_themselves(_: &Peer) {
    both_ways(blocks_run_out_by_themselves_so);
}

fn blocks_run_out_by_themselves_so(mut nft: Nftables) {
    let soon = Expiry::At(NOW.after(Duration::from_millis(200)));
    nft.apply(&[add(PEER, soon), add("198.51.100.0/24", soon), add(PEER6, secs(600))], NOW);
    until("the short ones are gone", || listed(&mut nft) == blocks([(PEER6, Some(600))]));
    assert_eq!(nft.apply(&[remove(PEER), add(PEER, secs(600))], NOW), [Outcome::Removed, Outcome::Added]);
}

fn prefixes_that_overlap_are_blocked_exactly(_: &Peer) {
    both_ways(prefixes_that_overlap_are_blocked_exactly_so);
}

fn prefixes_that_overlap_are_blocked_exactly_so(mut nft: Nftables) {
    nft.apply(
        &[add("10.0.0.0/8", secs(100)), add("10.1.0.0/16", secs(900)), add("10.2.0.0/16", secs(50)), add("224.0.0.0/3", secs(600))],
        NOW,
    );
    let with = |address: &str| run("nft", ["get", "element", "inet", "riposte", "blocked4_nets", &format!("{{ {address} }}")]);
    let outer =
        ["10.0.0.0/16", "10.2.0.0/15", "10.4.0.0/14", "10.8.0.0/13", "10.16.0.0/12", "10.32.0.0/11", "10.64.0.0/10", "10.128.0.0/9"];
    let mut expected: BTreeMap<_, _> = outer.into_iter().map(|prefix| (prefix.to_owned(), Some(100))).collect();
    expected.extend(blocks([("10.1.0.0/16", Some(900)), ("224.0.0.0/3", Some(600))]));
    // Somebody else looks: who lists takes what he sees for the truth, and knows no wider prefix behind its pieces any more.
    assert_eq!(listed(&mut open()), expected);
    assert!(["10.0.0.0", "10.1.2.3", "10.255.255.255", "255.255.255.255"].iter().all(|address| with(address).is_ok()));
    assert!(["9.255.255.255", "11.0.0.0", "223.255.255.255"].iter().all(|address| with(address).is_err()));
    nft.apply(&[remove("10.0.0.0/8")], NOW);
    assert!(with("10.0.0.1").is_err() && with("10.255.255.255").is_err());
    assert!(with("10.1.2.3").is_ok() && with("10.2.0.0").is_ok());
    nft.apply(&[add("0.0.0.0/0", secs(20)), add("10.1.2.0/24", Expiry::Never)], NOW);
    assert!(with("0.0.0.0").is_ok() && with("10.1.2.3").is_ok() && with("255.255.255.255").is_ok());
    nft.apply(&["0.0.0.0/0", "10.1.0.0/16", "10.2.0.0/16", "224.0.0.0/3"].map(remove), NOW);
    assert_eq!(listed(&mut nft), blocks([("10.1.2.0/24", None)]));
}

fn prefixes_that_run_out_make_no_trouble(_: &Peer) {
    both_ways(prefixes_that_run_out_make_no_trouble_so);
}

fn prefixes_that_run_out_make_no_trouble_so(mut nft: Nftables) {
    let soon = Expiry::At(NOW.after(Duration::from_millis(100)));
    // By the caller's clock, which stands still here, they never run out: the kernel has something else than we believe.
    nft.apply(&[add("10.0.0.0/8", soon), add("2001:db8::/48", soon), add("10.1.0.0/16", secs(600))], NOW);
    until("the short ones are gone", || nft.list(NOW).unwrap().len() == 1);
    let batch = [remove("10.0.0.0/8"), add("10.1.2.0/24", secs(900)), remove("2001:db8::/48"), add("2001:db8::/47", secs(600))];
    assert_eq!(nft.apply(&batch, NOW), [Outcome::Removed, Outcome::Added, Outcome::Removed, Outcome::Added]);
    let found = listed(&mut nft);
    assert_eq!((found.get("10.1.2.0/24"), found.get("10.1.3.0/24")), (Some(&Some(900)), Some(&Some(600))), "{found:?}");
    assert_eq!(found.get("2001:db8::/47"), Some(&Some(600)));
}

fn a_deleted_table_is_healed(peer: &Peer) {
    both_ways(|nft| a_deleted_table_is_healed_so(peer, nft));
}

fn a_deleted_table_is_healed_so(peer: &Peer, mut nft: Nftables) {
    nft.set_exempt(&[PEER.parse().unwrap()], NOW).unwrap();
    nft.set_open_ports(&[22], &[], NOW).unwrap();
    nft.apply(&[add(PEER6, secs(600)), add("172.16.0.0/12", secs(600))], NOW);
    for change in [add("192.0.2.1", secs(600)), add("192.0.0.0/16", secs(600))] {
        run("nft", ["delete", "table", "inet", "riposte"]).unwrap();
        assert_eq!(nft.list(NOW), Err(Fault::Gone));
        // Lifting what went with the table needs no table.
        assert_eq!(nft.apply(&[remove("192.0.2.9")], NOW), [Outcome::Removed]);
        assert_eq!(nft.take_rebuilt(), None);
        assert_eq!(nft.apply(&[remove("192.0.2.8"), change], NOW), [Outcome::Removed, Outcome::Added]);
        assert_eq!(nft.take_rebuilt().map(|rebuilt| (rebuilt.complete, rebuilt.in_one)), Some((true, true)));
        assert_eq!(nft.take_rebuilt(), None);
        let listed = listed(&mut nft);
        for block in [PEER6.to_owned(), "172.16.0.0/12".to_owned(), change.scope().prefix().to_string()] {
            assert!(listed.contains_key(&block), "{block} is back with the table: {listed:?}");
        }
    }
    // The exemption came back with the table, and so did the rules.
    assert_eq!(nft.apply(&[add(PEER, secs(600))], NOW), [Outcome::Added]);
    peer.send(PEER, 9, 1);
    peer.send("10.77.0.3", 9, 1);
    until("the probe of the other is counted", || nft.counters().unwrap().probes.logged.packets == 1);
    assert_eq!(nft.counters().unwrap().dropped.packets, 0);
    run("nft", ["delete", "table", "inet", "riposte"]).unwrap();
    nft.set_open_ports(&[23], &[], NOW).unwrap();
    assert!(nft.take_rebuilt().is_some());
    assert_eq!(nft.counters().unwrap().probes.logged.packets, 1, "what was counted is not forgotten");
    let ports = run("nft", ["list", "set", "inet", "riposte", "open_tcp"]).unwrap();
    assert!(ports.contains("23"), "{ports}");
    // A list that was emptied is refilled.
    run("nft", ["delete", "table", "inet", "riposte"]).unwrap();
    nft.set_exempt(&[PEER6.parse().unwrap()], NOW).unwrap();
    assert!(run("nft", ["list", "set", "inet", "riposte", "exempt6"]).unwrap().contains(PEER6));
    run("nft", ["delete", "table", "inet", "riposte"]).unwrap();
    nft.remove().unwrap();
}

/// What others may do to the table, and what the kernel is heard to say of it.
const DAMAGES: [(&str, Damage); 15] = [
    ("flush ruleset", Damage::Table),
    ("delete table inet riposte", Damage::Table),
    ("delete table inet riposte; add table inet riposte", Damage::Table),
    ("flush table inet riposte", Damage::Rules),
    ("flush chain inet riposte prerouting", Damage::Rules),
    ("flush chain inet riposte prerouting; delete chain inet riposte prerouting", Damage::Rules),
    ("insert rule inet riposte prerouting accept", Damage::Rules),
    ("add chain inet riposte prerouting { policy drop; }", Damage::Rules),
    ("add table inet riposte { flags dormant; }", Damage::Rules),
    ("flush set inet riposte blocked4", Damage::Sets),
    ("flush set inet riposte exempt4", Damage::Sets),
    ("delete element inet riposte blocked4 { 192.0.2.1 }", Damage::Sets),
    ("delete element inet riposte blocked4_nets { 172.16.0.0/12 }", Damage::Sets),
    ("add element inet riposte blocked6 { 2001:db8::77 }", Damage::Sets),
    ("flush chain inet riposte prerouting; delete set inet riposte blocked4", Damage::Rules),
];

fn whatever_is_damaged_is_repaired(_: &Peer) {
    let mut nft = open();
    nft.list(NOW).unwrap();
    nft.set_exempt(&[PEER.parse().unwrap(), "2001:db8:9::/48".parse().unwrap()], NOW).unwrap();
    nft.set_open_ports(&[22, 80], &[53], NOW).unwrap();
    let batch = [
        add("192.0.2.1", secs(600)),
        add("192.0.2.2", Expiry::Never),
        add("172.16.0.0/12", secs(600)),
        add("2001:db8::1", secs(600)),
        add("2001:db8:1::/64", secs(600)),
    ];
    assert!(nft.apply(&batch, NOW).iter().all(|outcome| *outcome == Outcome::Added));
    nft.set_listed(&[("45.9.0.0/16".parse().unwrap(), Expiry::Never)], NOW).unwrap();
    let (table, standing) = (stateless(), listed(&mut nft));
    assert!(table.concat().contains("45.9.0.0/16"));
    for (what, damage) in DAMAGES {
        assert!(!nft.hear(), "before '{what}': what we do ourselves alarms nobody");
        run("nft", [what]).unwrap();
        until(&format!("'{what}' is heard"), || nft.hear());
        nft.repair(NOW).unwrap();
        let rebuilt = nft.take_rebuilt().unwrap();
        let by = rebuilt.by.unwrap();
        assert_eq!((by.damage, by.program.as_str()), (damage, "nft"), "{what}");
        assert!(by.pid > 0 && by.generation.is_some(), "{what}");
        assert!(rebuilt.complete && rebuilt.listed && rebuilt.in_one, "{what}");
        assert_eq!(stateless(), table, "after '{what}'");
        assert_eq!(listed(&mut nft), standing, "after '{what}'");
    }
    // What others do to their own tables is no concern of ours.
    run("nft", ["add table inet other; add set inet other blocked4 { type ipv4_addr; elements = { 192.0.2.1 } }; delete table inet other"])
        .unwrap();
    assert!(!nft.hear());
    // Nor is what was repaired already: the change came first, the alarm after it.
    run("nft", ["flush", "ruleset"]).unwrap();
    assert_eq!(nft.apply(&[add("192.0.2.3", secs(600))], NOW), [Outcome::Added]);
    assert!(!nft.hear());
    assert_eq!(nft.take_rebuilt().unwrap().by.unwrap().program, "nft");
    assert_eq!(listed(&mut nft).len(), standing.len() + 1);
    nft.remove().unwrap();
}

/// While full batches of blocks come the kernel writes no news. That others were at work is known all the same.
fn what_is_done_while_nobody_listens_is_repaired(_: &Peer) {
    let batch = |n: u32| -> Vec<Change> {
        let all = n * 1_000..(n + 1) * 1_000;
        all.map(|n| add(&format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255), secs(600))).collect()
    };
    let done = |outcomes: Vec<Outcome>| outcomes.len() == 1_000 && outcomes.iter().all(|outcome| *outcome == Outcome::Added);
    let stranger = ["add table inet other", "delete table inet other"];
    let mut nft = open();
    nft.list(NOW).unwrap();
    (0..3).for_each(|n| assert!(done(nft.apply(&batch(n), NOW))));
    assert!(nft.wants_to_hear(true) && !nft.wants_to_hear(false), "nobody listens, and nobody was at work");
    assert!(!nft.hear(), "our own batches alarm nobody");
    assert!(!nft.wants_to_hear(true));
    // What comes when they are over is heard as ever.
    assert!(done(nft.apply(&batch(3), NOW)) && !nft.hear());
    run("nft", ["flush", "set", "inet", "riposte", "blocked4"]).unwrap();
    until("a flush is heard", || nft.hear());
    nft.repair(NOW).unwrap();
    assert_eq!(nft.take_rebuilt().unwrap().by.unwrap().damage, Damage::Sets);
    // A smaller change between two batches is ours, too.
    assert!(done(nft.apply(&batch(4), NOW)));
    nft.set_open_ports(&[22], &[], NOW).unwrap();
    assert_eq!(nft.apply(&[add(PEER, secs(600))], NOW), [Outcome::Added]);
    assert!(!nft.hear());
    // Somebody else, between two batches: the next one notices, and what was done is repaired.
    assert!(done(nft.apply(&batch(5), NOW)));
    run("nft", ["flush", "set", "inet", "riposte", "blocked4"]).unwrap();
    assert!(done(nft.apply(&batch(6), NOW)));
    assert!(nft.wants_to_hear(false) && nft.hear());
    nft.repair(NOW).unwrap();
    let by = nft.take_rebuilt().unwrap().by.unwrap();
    assert_eq!((by.damage, by.pid), (Damage::Unknown, 0));
    assert_eq!(listed(&mut nft).len(), 7_001);
    // From then on somebody listens, whatever comes: what strangers do to their own tables is no concern of ours.
    assert!(done(nft.apply(&batch(7), NOW)));
    stranger.iter().for_each(|what| drop(run("nft", [*what]).unwrap()));
    assert!(!nft.wants_to_hear(true) && !nft.hear());
    drop(nft);
    // While nobody listens it might have been ours.
    let mut nft = open();
    nft.list(NOW).unwrap();
    assert!(done(nft.apply(&batch(8), NOW)));
    stranger.iter().for_each(|what| drop(run("nft", [*what]).unwrap()));
    assert!(nft.hear());
    nft.repair(NOW).unwrap();
    assert!(nft.take_rebuilt().unwrap().complete);
    assert_eq!(listed(&mut nft).len(), 9_001);
    nft.remove().unwrap();
}

/// The table without counts and without elements that run out.
fn stateless() -> Vec<String> {
    let text = run("nft", ["--stateless", "list", "table", "inet", "riposte"]).unwrap();
    text.lines().filter(|line| !(line.contains("elements = {") && line.contains("timeout"))).map(str::to_owned).collect()
}

fn what_ran_out_does_not_come_back(_: &Peer) {
    let mut nft = open();
    nft.apply(&[add("192.0.2.1", secs(5)), add("192.0.2.2", secs(600)), add("10.0.0.0/8", secs(5))], NOW);
    run("nft", ["flush", "ruleset"]).unwrap();
    nft.repair(NOW.after(Duration::from_secs(6))).unwrap();
    assert!(!nft.take_rebuilt().unwrap().complete, "nobody has asked what was there before");
    assert_eq!(nft.list(NOW).unwrap().iter().map(|one| one.scope.prefix().to_string()).collect::<Vec<_>>(), ["192.0.2.2"]);
    nft.remove().unwrap();
}

fn blocked_packets_are_dropped_and_exempt_ones_pass(peer: &Peer) {
    let mut nft = open();
    let server = UdpSocket::bind(("0.0.0.0", 4_000)).unwrap();
    let server6 = UdpSocket::bind((VICTIM6, 4_000)).unwrap();
    for socket in [&server, &server6] {
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    }
    // The peer learns our link address while it may still ask: a blocked neighbour's questions are dropped too.
    let mut buffer = [0; 64];
    peer.send(PEER6, 4_000, 1);
    server6.recv_from(&mut buffer).unwrap();
    nft.apply(&[add(PEER, secs(600)), add("fd77::/64", secs(600)), add("10.77.0.3/32", secs(600)), add("10.77.0.4/31", secs(600))], NOW);
    for from in [PEER, "10.77.0.3", "10.77.0.4", PEER6] {
        let before = nft.counters().unwrap().dropped.packets;
        peer.send(from, 4_000, 5);
        until("they are dropped", || nft.counters().unwrap().dropped.packets >= before + 5);
    }
    let count = nft.counters().unwrap().dropped;
    assert!(count.bytes > 20 * count.packets);
    // Exempt beats blocked, at once and for all kinds of sets.
    nft.set_exempt(&["10.77.0.0/24".parse().unwrap(), PEER6.parse().unwrap(), "10.77.0.2/31".parse().unwrap()], NOW).unwrap();
    for (socket, from) in [(&server, PEER), (&server, "10.77.0.3"), (&server, "10.77.0.4"), (&server6, PEER6)] {
        peer.send(from, 4_000, 1);
        assert_eq!(socket.recv_from(&mut buffer).unwrap().1.ip().to_string(), from);
    }
    // And no more once it is exempt no more.
    let before = nft.counters().unwrap().dropped.packets;
    nft.set_exempt(&[], NOW).unwrap();
    peer.send(PEER, 4_000, 1);
    until("it is dropped again", || nft.counters().unwrap().dropped.packets > before);
}

fn only_probes_are_counted_as_probes(peer: &Peer) {
    let mut nft = open();
    let listener = TcpListener::bind((VICTIM, 4_001)).unwrap();
    nft.set_open_ports(&[4_001], &[4_002], NOW).unwrap();
    nft.set_exempt(&["10.77.0.4".parse().unwrap()], NOW).unwrap();
    let logged = |nft: &mut Nftables| nft.counters().unwrap().probes.logged.packets;
    peer.send(PEER, 4_002, 3);
    peer.send("10.77.0.4", 4_003, 3);
    let held = start_hold(peer, &listener);
    assert_eq!(logged(&mut nft), 0);
    peer.send(PEER, 4_003, 1);
    until("a datagram to a closed port", || logged(&mut nft) == 1);
    peer.send(PEER6, 4_003, 1);
    until("one of IPv6", || logged(&mut nft) == 2);
    peer.act(&["refused", &format!("{VICTIM}:4004")]);
    until("a SYN to a closed port", || logged(&mut nft) == 3);
    // Our own questions' answers are no probes: a refusal (RST) and an ICMP error.
    assert!(TcpStream::connect((PEER, 4_005)).is_err());
    let socket = UdpSocket::bind((VICTIM, 0)).unwrap();
    socket.connect((PEER, 4_005)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.send(b"?").unwrap();
    assert!(socket.recv(&mut [0; 8]).is_err());
    assert_eq!(logged(&mut nft), 3);
    drop(held);
}

fn one_flooder_cannot_use_up_the_ration(peer: &Peer) {
    let skeleton = Skeleton {
        nflog_group: Some(GROUP),
        probe_rate: 1,
        probe_burst: 6,
        per_source_rate: 1,
        per_source_burst: 4,
        ..Skeleton::default()
    };
    let mut nft = Nftables::open(&skeleton, NOW).unwrap();
    peer.send(PEER, 9, 200);
    until("the flooder is held", || nft.counters().unwrap().probes.over_source.packets >= 150);
    let after = nft.counters().unwrap().probes;
    assert_eq!(after.over_all.packets, 0, "{after:?}");
    peer.send("10.77.0.3", 9, 1);
    until("another is still seen", || nft.counters().unwrap().probes.logged.packets > after.logged.packets);
    for (n, port) in (0..20).zip(1_000..) {
        peer.send(["10.77.0.3", "10.77.0.4", PEER6][n % 3], port, 1);
    }
    until("the common ration ends too", || nft.counters().unwrap().probes.over_all.packets > 0);
}

/// A connection from the peer, greeted.
fn start_hold(peer: &Peer, listener: &TcpListener) -> (TcpStream, std::thread::JoinHandle<()>) {
    let (namespace, to) = (peer.namespace.clone(), listener.local_addr().unwrap().to_string());
    let holder = std::thread::spawn(move || Peer { namespace }.act(&["hold", &to]));
    let (mut stream, _) = listener.accept().unwrap();
    let mut hello = [0; 5];
    stream.read_exact(&mut hello).unwrap();
    (stream, holder)
}

fn established_connections_die(peer: &Peer) {
    let mut nft = open();
    let listener = TcpListener::bind((VICTIM, 4_006)).unwrap();
    nft.set_open_ports(&[4_006], &[], NOW).unwrap();
    let (mut stream, holder) = start_hold(peer, &listener);
    let (mut bystander, other_holder) = start_hold(peer, &listener);
    // Somebody else is blocked: nothing happens to them.
    assert_eq!(nft.sever(&[scope("192.0.2.1"), scope("198.51.100.0/24")]).unwrap(), Severed::default());
    assert_eq!(nft.sever(&[]).unwrap(), Severed::default());
    stream.write_all(b"still here").unwrap();
    bystander.write_all(b"!").unwrap();
    other_holder.join().unwrap();
    drop(bystander);
    assert_eq!(nft.apply(&[add(PEER, secs(600))], NOW), [Outcome::Added]);
    let severed = nft.sever(&[scope(PEER), scope("192.0.2.1")]).unwrap();
    assert!(severed.conntrack >= 1 && severed.sockets >= 1, "{severed:?}");
    let ended = stream.read(&mut [0; 1]);
    assert!(ended.is_err(), "{ended:?}");
    assert_eq!(nft.sever(&[scope(PEER)]).unwrap(), Severed::default());
    // The peer's end hears of it once it is let in again: its socket was reset.
    nft.apply(&[remove(PEER)], NOW);
    holder.join().unwrap();
}

fn without_privilege_it_says_so(_: &Peer) {
    run("setpriv", ["--bounding-set=-all", "--inh-caps=-all", &own_program(), "unprivileged"]).unwrap();
    assert!(OpenError::NoPrivilege.to_string().contains("sudo riposte run"));
}

fn many_are_listed_as_they_were_added(_: &Peer) {
    let mut nft = open();
    let whom: Vec<Prefix> = (0..5_000u32).map(|n| Prefix::host(std::net::Ipv4Addr::from(0x0a00_0000 + n * 7).into())).collect();
    let changes: Vec<Change> =
        whom.iter().map(|prefix| Change::Add { id: BlockId(1), scope: Scope::Source(*prefix), expiry: secs(600) }).collect();
    let outcomes = nft.apply(&changes, NOW);
    assert!(outcomes.len() == changes.len() && outcomes.iter().all(|outcome| *outcome == Outcome::Added));
    let mut found: Vec<Prefix> = nft.list(NOW).unwrap().iter().map(|installed| installed.scope.prefix()).collect();
    found.sort();
    assert_eq!(found, whom);
    // A table that is still being filled notices what is there already.
    let longer: Vec<Change> =
        whom.iter().map(|prefix| Change::Add { id: BlockId(1), scope: Scope::Source(*prefix), expiry: secs(900) }).collect();
    assert!(nft.apply(&longer, NOW).iter().all(|outcome| *outcome == Outcome::Added));
    let again = nft.list(NOW).unwrap();
    let is_longer = |installed: &Installed| matches!(installed.expiry, Expiry::At(end) if end > NOW.after(Duration::from_secs(700)));
    assert!(again.len() == whom.len() && again.iter().all(is_longer));
    // More than can be listed in good time is not listed, and does no harm.
    let host = |n: usize| Scope::Source(Prefix::host(std::net::Ipv4Addr::from(0x0b00_0000 + n as u32).into()));
    let many: Vec<Change> = (0..LISTED_MAX).map(|n| Change::Add { id: BlockId(2), scope: host(n), expiry: secs(600) }).collect();
    assert!(nft.apply(&many, NOW).iter().all(|outcome| *outcome == Outcome::Added));
    assert_eq!(nft.list(NOW), Err(Fault::TooMany));
    let back = many.iter().map(|change| Change::Remove { id: change.id(), scope: change.scope() }).collect::<Vec<_>>();
    assert!(nft.apply(&back, NOW).iter().all(|outcome| *outcome == Outcome::Removed));
    assert_eq!(nft.list(NOW).unwrap().len(), whom.len());
}
