//! Signatures in the daemon: riposte's own on real packets, the user's on a log, and what a reload makes of their files.

use crate::daemon::{Daemon, KERN_LOG, folder, line, network, text, until};
use range::network::{VICTIM, attacker_address};
use serde_json::Value;
use std::fs;

/// How often a signature was fitted, and by how many, by `status` or `explain`.
fn count(answer: &Value, sid: u64) -> Option<(u64, u64)> {
    let line = answer["signatures"].as_array()?.iter().find(|line| line["sid"] == sid)?;
    Some((line["count"].as_u64()?, line["sources"].as_u64()?))
}

#[test]
fn a_null_scan_of_real_packets_is_named_where_it_is_asked_for() {
    let network = network("null", 1);
    let daemon = Daemon::start(&network.victim, "[signatures]\nenabled = true\n");
    let scanner = attacker_address(0);
    let scan = ["-n", "-Pn", "--max-retries", "0", "-sN", "-p", "1000-1009", VICTIM];
    network.attackers[0].run("nmap", scan).expect("nmap is installed");
    daemon.wait_until_blocked(&scanner);
    let (matches, sources) = until("it is counted", || count(&daemon.json_one(&["status"]), 1_741_110));
    assert!((1..=10).contains(&matches) && sources == 1, "{matches} of {sources}");
    assert!(daemon.text(&["status"]).contains("SCAN NULL: no flag at all"));
    assert!(count(&daemon.json_one(&["explain", &scanner]), 1_741_110).is_some());
    assert!(daemon.text(&["explain", &scanner]).contains("SCAN NULL: no flag at all (sid 1741110)"));
}

#[test]
fn the_users_rules_are_read_and_read_again_and_a_match_alone_blocks_nobody() {
    let network = network("own-rules", 0);
    let folder = folder();
    let rule = |port: u16, sid: u32| format!("alert tcp any any -> $HOME_NET {port} (msg:\"OWN knock\"; flags:S; psad_dl:5; sid:{sid};)\n");
    let rules = folder.path().join("own.rules");
    fs::write(&rules, rule(4_711, 1_000_001)).unwrap();
    fs::write(folder.path().join("auto_dl"), "198.51.100.30 0 tcp/4711;\n198.51.100.31 0;\n").unwrap();
    let config = format!(
        "{KERN_LOG}[signatures]\nrules = [\"{{}}/own.rules\"]\nauto_dl = \"{{}}/auto_dl\"\nvariables = [\"HOME_NET = {VICTIM}\"]\n"
    );
    let mut daemon = Daemon::start_in(folder, &network.victim, &config, &[]);
    daemon.expect_error("not reloaded");
    daemon.wait_until_followed("kern.log");
    let knock = |source: &str, port| daemon.append("kern.log", &(line(source, VICTIM, port) + "\n"));

    knock("198.51.100.20", 4_711);
    until("it is counted", || count(&daemon.json_one(&["status"]), 1_000_001));
    // Spared for this port; the last one is spared for all, and never blocked.
    for source in ["198.51.100.30", "198.51.100.31"] {
        knock(source, 4_711);
    }
    daemon.wait_until_figure("kern.log", "nothing to look at (level 0)", 2);
    assert_eq!(count(&daemon.json_one(&["status"]), 1_000_001), Some((1, 1)));
    assert!(text(&daemon.json_one(&["explain", "198.51.100.31"])["verdict"]).contains("never blocked"));
    let explained = daemon.json_one(&["explain", "198.51.100.20"]);
    assert!(text(&explained["verdict"]).contains("only watched"), "{explained}");
    assert_eq!((text(&explained["entries"][0]["charge"]), explained["entries"][0]["level"].as_u64()), ("signature match".into(), Some(5)));
    assert_eq!(text(&explained["entries"][0]["rule"]), "sid 1000001: OWN knock");
    assert_eq!(daemon.blocked(), [""; 0]);

    // A file with an error leaves the rules in force.
    fs::write(&rules, "alert tcp any any -> any 4712 (msg:\"x\"; flgas:S; sid:1;)\n").unwrap();
    assert!(daemon.refusal(&["reload"]).contains("own.rules:1: unknown keyword 'flgas'; did you mean 'flags'?"));
    knock("198.51.100.21", 4_711);
    until("it is counted", || count(&daemon.json_one(&["status"]), 1_000_001).filter(|counts| *counts == (2, 2)));
    fs::write(&rules, rule(4_712, 1_000_002)).unwrap();
    daemon.text(&["reload"]);
    until("the new rule is in force", || {
        knock("198.51.100.22", 4_712);
        count(&daemon.json_one(&["status"]), 1_000_002)
    });
    assert_eq!(daemon.blocked(), [""; 0]);
}
