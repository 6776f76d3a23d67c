//! Blocks by XDP beside nftables: set, in force while riposte is dead, found again, lifted.

use crate::daemon::{Daemon, network, text, until};
use range::namespace::Namespace;
use range::network::{VICTIM, attacker_address};

const CONFIG: &str = "[respond]\nkind = [\"nftables\", \"xdp\"]\n[respond.xdp]\ninterfaces = [\"eth0\"]\nmode = \"generic\"\n";

fn is_held_by_xdp(daemon: &Daemon, address: &str) -> bool {
    let blocks = daemon.json(&["list"]);
    let block = blocks.iter().find(|block| text(&block["address"]) == address);
    block.and_then(|block| block["held_by"].as_array()).is_some_and(|names| names.iter().any(|name| text(name) == "xdp"))
}

/// Whether a ping from there is answered.
fn answers(from: &Namespace, to: &str) -> bool {
    from.run("nmap", ["-n", "-sn", "-PE", to]).unwrap().contains("Host is up")
}

#[test]
fn xdp_blocks_while_riposte_is_dead_and_is_found_again() {
    let network = network("xdp", 1);
    let (host, attacker, source) = (&network.victim, &network.attackers[0], attacker_address(0));
    assert!(answers(attacker, VICTIM));
    let mut daemon = Daemon::start(host, CONFIG);
    daemon.text(&["block", &source, "--for", "1h"]);
    daemon.text(&["block", "2001:db8:5::/48", "--for", "1h"]);
    until("XDP has it", || is_held_by_xdp(&daemon, &source).then_some(()));
    daemon.kill();
    host.run("nft", ["delete", "table", "inet", "riposte"]).unwrap();
    assert!(!answers(attacker, VICTIM));
    host.run("ip", ["link", "set", "dev", "eth0", "xdpgeneric", "off"]).unwrap();
    until("it was XDP alone", || answers(attacker, VICTIM).then_some(()));
    // What somebody has taken away is set again from the ledger, what stands is taken over.
    daemon.start_again();
    for address in [source.as_str(), "2001:db8:5::/48"] {
        until("XDP has it again", || is_held_by_xdp(&daemon, address).then_some(()));
    }
    daemon.kill();
    daemon.start_again();
    until("it is found again", || is_held_by_xdp(&daemon, &source).then_some(()));
    assert!(!answers(attacker, VICTIM));
    until("what it dropped is counted", || (daemon.figure("responder xdp: packets dropped") > 0).then_some(()));
    daemon.text(&["unblock", &source]);
    until("it is lifted", || (!daemon.blocked().contains(&source)).then_some(()));
    until("both let it pass", || answers(attacker, VICTIM).then_some(()));
    assert!(daemon.end().success());
}
