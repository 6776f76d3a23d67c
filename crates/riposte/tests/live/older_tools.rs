//! The daemon with ipset, iptables and ebtables in nftables' place: set, found again, put right, lifted.

use crate::daemon::{Daemon, folder, network, text, until};
use range::namespace::Namespace;

const KINDS: [&str; 3] = ["ipset", "iptables", "ebtables"];
const CONFIG: &str = "[respond]\nkind = [\"ipset\", \"iptables\", \"ebtables\"]\n[respond.ipset]\nbackend = \"nft\"\n\
                      [respond.iptables]\nbackend = \"nft\"\n[respond.ebtables]\nbackend = \"nft\"\n";

/// Whether each of the three has this address: a set's element, and a rule with these words before it.
fn has(host: &Namespace, address: &str) -> [bool; 3] {
    let saved = |program: &str, args: &[&str]| host.run(program, args).unwrap();
    [
        saved("ipset", &["save"]).contains(&format!(" {address} ")),
        saved("iptables-nft-save", &[]).contains(&format!("-A riposte -s {address}/32 -j DROP\n")),
        saved("ebtables-nft-save", &[]).contains(&format!("-A riposte -p IPv4 --ip-src {address} -j DROP\n")),
    ]
}

fn held(daemon: &Daemon, address: &str) -> Vec<String> {
    let list = daemon.json(&["list"]);
    let line = list.iter().find(|line| text(&line["address"]) == address);
    line.and_then(|line| line["held_by"].as_array()).map(|names| names.iter().map(text).collect()).unwrap_or_default()
}

#[test]
fn older_tools_block_and_let_go_and_are_taken_over() {
    let network = network("older", 0);
    let host = &network.victim;
    for program in ["iptables-nft", "ebtables-nft"] {
        host.run(program, ["-A", "INPUT", "-p", if program == "ebtables-nft" { "ARP" } else { "icmp" }, "-j", "ACCEPT"]).unwrap();
    }
    let mut daemon = Daemon::start_in(folder(), host, CONFIG, &[]);
    daemon.text(&["block", "192.0.2.1", "--for", "1h"]);
    daemon.text(&["block", "192.0.2.2", "--for", "60d"]);
    daemon.text(&["block", "192.0.2.3", "--for", "2s"]);
    daemon.text(&["block", "2001:db8:5::/64", "--for", "1h"]);
    until("all three have them", || {
        ["192.0.2.1", "192.0.2.2", "2001:db8:5::/64"].iter().all(|whom| held(&daemon, whom) == KINDS).then_some(())
    });
    until("the short one is over", || (has(host, "192.0.2.3") == [false; 3]).then_some(()));
    assert_eq!(has(host, "192.0.2.1"), [true; 3]);
    daemon.text(&["unblock", "192.0.2.1"]);
    until("it is let go", || (has(host, "192.0.2.1") == [false; 3]).then_some(()));

    // In order: the kernel goes on where it can end a block, and keeps nothing where it can't.
    assert!(daemon.end().success());
    until("what nobody would end is lifted", || (has(host, "192.0.2.2") == [true, false, false]).then_some(()));
    daemon.start_again();
    until("all is back", || (held(&daemon, "192.0.2.2") == KINDS && has(host, "192.0.2.2") == [true; 3]).then_some(()));

    // Somebody empties their tables: a change finds that out, and brings all of them back.
    host.run("iptables-nft", ["-F", "INPUT"]).unwrap();
    daemon.text(&["block", "192.0.2.4", "--for", "1h"]);
    until("all three have it", || (held(&daemon, "192.0.2.4") == KINDS).then_some(()));
    let input = host.run("iptables-nft", ["-S", "INPUT"]).unwrap();
    assert!(input.contains("-A INPUT -j riposte\n"), "{input}");
    assert_eq!(["refused", "unsupported"].map(|what| daemon.figure(&format!("responder ebtables: {what}"))), [0, 0]);
    assert!(daemon.end().success());
    until("nothing is left", || (has(host, "192.0.2.4") == [true, false, false]).then_some(()));
}

/// psad stops blocking for good when iptables warns of anything.
#[test]
fn a_warning_of_iptables_is_no_failure() {
    let network = network("warns", 0);
    let host = &network.victim;
    // Two kinds of tables beside each other: iptables says so on standard error with each list.
    host.run("iptables-legacy", ["-A", "INPUT", "-p", "icmp", "-j", "ACCEPT"]).unwrap();
    let listed = host.command("iptables-nft").arg("-S").output().unwrap();
    assert!(listed.status.success() && String::from_utf8_lossy(&listed.stderr).contains("Warning"), "{listed:?}");
    let daemon = Daemon::start(host, "[respond]\nkind = [\"iptables\"]\n[respond.iptables]\nbackend = \"nft\"\n");
    for address in ["192.0.2.1", "192.0.2.2"] {
        daemon.text(&["block", address, "--for", "1h"]);
        until("it is blocked", || host.run("iptables-nft", ["-S", "riposte"]).unwrap().contains(&format!("-s {address}/32")).then_some(()));
    }
    assert_eq!(daemon.figure("responder iptables: refused"), 0);
}
