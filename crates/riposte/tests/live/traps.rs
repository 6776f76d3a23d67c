//! Traps: the kernel itself drops who sends a first packet there, from that packet on, within the budget of forgeable evidence; riposte hears
//! of it and decides. Nobody else's traffic notices.

use crate::daemon::{Daemon, network, set, text, until};
use range::namespace::Namespace;
use range::network::{VICTIM, VICTIM6, attacker_address, attacker_address6};

/// Traps, and nothing else.
const TRAPS: &str = "[guard]\ntrap_tcp = [\"2000-2010\"]\ntrap_udp = [\"2000-2010\"]\n";

/// Counts what comes as far as the host's own filters.
fn count(victim: &Namespace) {
    let rules = "add table inet seen; add chain inet seen in { type filter hook input priority 0; }; \
                 add rule inet seen in tcp dport 2000-2010 counter; add rule inet seen in udp dport 2000-2010 counter";
    rules.split("; add ").for_each(|rule| drop(victim.run("nft", [format!("add {}", rule.trim_start_matches("add "))]).unwrap()));
}

/// How many packets to traps came so far.
fn counted(victim: &Namespace) -> u64 {
    let text = victim.run("nft", ["list", "chain", "inet", "seen", "in"]).unwrap();
    text.split("packets ").skip(1).filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok()).sum()
}

#[test]
fn no_packet_gets_past_a_trap_whatever_the_scan() {
    let scans = ["-sS", "-sT", "-sF", "-sN", "-sX", "-sU"];
    let network = network("traps", scans.len());
    count(&network.victim);
    let daemon = Daemon::start(&network.victim, TRAPS);
    for (scan, attacker) in scans.into_iter().zip(&network.attackers) {
        for (family, victim) in [("-4", VICTIM), ("-6", VICTIM6)] {
            attacker.run("nmap", [family, "-n", "-Pn", scan, "-T4", "--max-retries", "0", "-p", "2000-2010", victim]).unwrap();
        }
    }
    // All of them 2000-2010, all dropped before anybody else saw one.
    assert_eq!(counted(&network.victim), 0);
    let styles = ["syn", "connect", "fin", "null", "xmas", "udp"];
    for (n, style) in styles.into_iter().enumerate() {
        for address in [attacker_address(n), attacker_address6(n)] {
            daemon.wait_until_blocked(&address);
            let history = daemon.json(&["history", &address]);
            let words = ["charge", "trust", "decision"].map(|key| text(&history[0][key]));
            assert_eq!(words, ["touch of a guarded port", "spoofable", "block"].map(str::to_owned), "{style} {address}");
            assert_eq!((&history[0]["styles"], &history[0]["seconds"]), (&serde_json::json!([style]), &600.into()), "{address}");
        }
    }
    assert!(daemon.figure("packets dropped by traps") >= 12);
    assert!(daemon.sensor_figure("packets", "to traps") >= Some(12));
}

#[test]
fn traps_hold_to_the_budget_and_leave_answers_services_and_the_exempt_alone() {
    let mut network = network("trapped", 5);
    let exempt = attacker_address(4);
    let config = format!("{TRAPS}[policy]\nexempt = [\"{exempt}\"]\n[policy.spoofable]\nblocks_per_minute = 2\n");
    let daemon = Daemon::start(&network.victim, &config);
    let asks = |n: usize, port: &str, how: &str| {
        let attacker: &Namespace = &network.attackers[n];
        attacker.run("nmap", ["-n", "-Pn", how, "--max-retries", "0", "--reason", "-p", port, VICTIM]).unwrap()
    };
    // Answers, be they late or to somebody else's forgery, are no steps into a trap.
    network.attackers[3].run("nmap", ["-n", "-Pn", "--scanflags", "SYNACK", "-p", "2000", VICTIM]).unwrap();
    network.attackers[3].run("nmap", ["-n", "-Pn", "--scanflags", "RST", "-p", "2000", VICTIM]).unwrap();
    // The exempt get the kernel's own answer, and so does whoever comes beyond the budget.
    assert!(asks(4, "2001", "-sS").contains("reset"));
    assert!(asks(0, "2000", "-sS").contains("no-response") && asks(1, "2000", "-sS").contains("no-response"));
    assert!(asks(2, "2000", "-sS").contains("reset"));
    for n in [0, 1] {
        daemon.wait_until_blocked(&attacker_address(n));
    }
    until("the third is told of", || daemon.json(&["history", &attacker_address(2)]).into_iter().next());
    assert_eq!(daemon.blocked().len(), 2);
    assert_eq!(daemon.json(&["history", &exempt]).len() + daemon.json(&["history", &attacker_address(3)]).len(), 0);
    // A service that begins on a trap's port is none of it.
    let service = ["-l", "-k", "2005"];
    network.victim.start("ncat", service).unwrap();
    until("it listens", || network.victim.run("ss", ["-Hltn", "sport", "=", "2005"]).ok().filter(|text| !text.trim().is_empty()));
    network.attackers[2].run("ncat", ["-z", "-w", "5", VICTIM, "2005"]).expect("answered");
    assert_eq!(daemon.blocked().len(), 2);
}

#[test]
fn a_dry_run_disarms_the_traps() {
    let network = network("disarmed", 2);
    let daemon = Daemon::start(&network.victim, TRAPS);
    let scan =
        |n: usize| network.attackers[n].run("nmap", ["-n", "-Pn", "-sS", "--max-retries", "0", "--reason", "-p", "2000", VICTIM]).unwrap();
    assert!(scan(0).contains("no-response"));
    daemon.wait_until_blocked(&attacker_address(0));
    daemon.configure(&format!("{TRAPS}[policy]\ndry_run = true\n"));
    daemon.text(&["reload"]);
    assert!(scan(1).contains("reset"));
    daemon.wait_until_blocked(&attacker_address(1));
    assert_eq!(text(&daemon.json(&["list"]).into_iter().find(|line| line["address"] == attacker_address(1)).unwrap()["state"]), "dry run");
    assert!(!set(&network.victim, "trapped4").contains(&attacker_address(1)));
}
