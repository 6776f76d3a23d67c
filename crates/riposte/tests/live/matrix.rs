//! Every scan of nmap's against every way to guard ports, by both families and all at once: seen, called by its name, answered, and next to
//! nothing of it comes through after the packet that decided.

use crate::daemon::{Daemon, network, text};
use range::namespace::Namespace;
use range::network::{VICTIM, VICTIM6, attacker_address, attacker_address6};
use std::process::Stdio;

/// nmap's options, and what riposte calls the scan. A window scan (`-sW`) sends what an ACK scan sends; the difference is in what nmap reads.
const SCANS: [(&str, &str); 9] = [
    ("-sS", "syn"),
    ("-sT", "connect"),
    ("-sF", "fin"),
    ("-sN", "null"),
    ("-sX", "xmas"),
    ("-sA", "ack"),
    ("-sW", "ack"),
    ("-sM", "maimon"),
    ("-sU", "udp"),
];
/// A probe with an ACK may be the late packet of a forgotten connection: it springs no trap, and is a touch all the same.
const NO_STEP_INTO_A_TRAP: [&str; 3] = ["-sA", "-sW", "-sM"];

/// What is to come of a scan.
struct Verdict {
    /// What may be charged, on which trust.
    charges: &'static [[&'static str; 2]],
    /// Packets of a scanner that the host's own stack gets up to the deciding one and with it, and after it, at most.
    until: u64,
    after: u64,
}

/// One packet was enough.
const FIRST: Verdict = Verdict { charges: &[["touch of a guarded port", "spoofable"]], until: 1, after: 5 };
const SCAN: [&str; 2] = ["port scan", "spoofable"];

/// Counts what of these addresses comes as far as the host's own filters.
fn count(victim: &Namespace, addresses: &[[String; 2]]) {
    let rules = ["table inet seen".to_owned(), "chain inet seen in { type filter hook input priority 0; }".to_owned()];
    let of = addresses.iter().flatten().map(|address| {
        let family = if address.contains(':') { "ip6" } else { "ip" };
        format!("rule inet seen in {family} saddr {address} meta l4proto {{ tcp, udp }} counter")
    });
    rules.into_iter().chain(of).for_each(|what| drop(victim.run("nft", [format!("add {what}")]).unwrap()));
}

/// How many that were of this one.
fn counted(victim: &Namespace, address: &str) -> u64 {
    let text = victim.run("nft", ["list", "chain", "inet", "seen", "in"]).unwrap();
    let line = text.lines().find(|line| line.contains(&format!("saddr {address} "))).unwrap_or_else(|| panic!("{address}: {text}"));
    line.split("packets ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap()
}

/// Begins all scans of 1,000 ports at once, by one family and then by the other.
fn matrix(mode: &str, config: &str, expected: impl Fn(&str) -> Verdict) {
    let network = network(mode, SCANS.len());
    let addresses: Vec<[String; 2]> = (0..SCANS.len()).map(|n| [attacker_address(n), attacker_address6(n)]).collect();
    count(&network.victim, &addresses);
    let daemon = Daemon::start(&network.victim, &format!("{config}[policy.spoofable]\nblocks_per_minute = 100\n"));
    for (family, (option, victim)) in [("-4", VICTIM), ("-6", VICTIM6)].into_iter().enumerate() {
        let scans = SCANS.iter().zip(&network.attackers).map(|((scan, _), attacker)| {
            let args = [option, "-n", "-Pn", scan, "-T4", "--max-retries", "0", "--host-timeout", "2s", "-p", "2000-2999", victim];
            attacker.command("nmap").args(args).stdout(Stdio::null()).spawn().expect("nmap is installed")
        });
        for mut scan in scans.collect::<Vec<_>>() {
            scan.wait().expect("our child");
        }
        for ((scan, style), address) in SCANS.iter().zip(&addresses).map(|(scan, addresses)| (scan, &addresses[family])) {
            daemon.wait_until_blocked(address);
            let history = daemon.json(&["history", address]);
            let first = history.iter().find(|entry| entry["decision"] == "block").expect("a block");
            let Verdict { charges, until, after } = expected(scan);
            let through = counted(&network.victim, address);
            println!("{mode} {scan} {option}: {through} packets came through, {until} of them up to the deciding one");
            let charge = ["charge", "trust"].map(|key| text(&first[key]));
            assert!(charges.iter().any(|one| charge == *one), "{scan}: {first}");
            assert_eq!(text(&first["styles"][0]), *style, "{first}");
            assert!(through <= until + after, "{mode} {scan} {option}: {through} packets came through, not {} at most", until + after);
        }
    }
}

/// Nobody answers: whatever comes to a guarded port is a touch.
#[test]
fn stealth_lets_next_to_nothing_through_after_the_first_packet() {
    matrix("stealth", "[guard]\nstealth = true\ntcp = [\"1000-3000\"]\nudp = [\"1000-3000\"]\n", |_| FIRST);
}

/// riposte answers: a whole connection is a touch with proof, half ones and strange ones are a scan by their number.
#[test]
fn guarded_ports_let_next_to_nothing_through_after_the_handshake_or_the_scan() {
    matrix("connect", "[guard]\ntcp = [\"1000-3000\"]\nudp = [\"1000-3000\"]\n", |scan| match scan {
        // The SYN and the ACK that completes the handshake, unless the number of SYNs has told before.
        "-sT" => Verdict { charges: &[["touch of a guarded port", "handshake"], SCAN], until: 2, ..FIRST },
        "-sU" => FIRST,
        _ => Verdict { charges: &[SCAN], ..FIRST },
    });
}

/// The kernel itself decides.
#[test]
fn traps_let_nothing_through() {
    matrix("trap", "[guard]\ntrap_tcp = [\"1000-3000\"]\ntrap_udp = [\"1000-3000\"]\n", |scan| {
        let until = u64::from(NO_STEP_INTO_A_TRAP.contains(&scan));
        Verdict { until, after: 0, ..FIRST }
    });
}
