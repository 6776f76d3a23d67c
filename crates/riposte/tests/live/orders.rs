//! An operator's orders, and who may give them.

use crate::daemon::{Daemon, copy_for_everybody, is_in_set, network, said, set, text, until};
use std::process::{Command, Output};

/// User and group `nobody`, `nogroup` on Debian.
const NOBODY: &str = "65534";

#[test]
fn operators_block_and_unblock_addresses_and_prefixes() {
    let network = network("orders", 0);
    let host = &network.victim;
    let daemon = Daemon::start(host, "");
    let orders = [
        ("192.0.2.7", "blocked4", "192.0.2.7"),
        ("198.51.100.0/24", "blocked4_nets", "198.51.100.0/24"),
        ("2001:db8:7::7", "blocked6", "2001:db8:7::7"),
        ("2001:db8:8:9::/64", "blocked6_64", "2001:db8:8:9::"),
        ("2001:db8:f00::/48", "blocked6_nets", "2001:db8:f00::/48"),
    ];
    for (prefix, name, element) in orders {
        let done = daemon.json_one(&["block", prefix, "--for", "2h", "--note", "abuse report 4711"]);
        assert_eq!((&done["changed"], &done["said"]), (&1.into(), &format!("{prefix} is blocked").into()));
        until(&format!("{element} is in {name}"), || is_in_set(host, name, element).then_some(()));
        assert!(set(host, name).contains("expires"), "{name}");
    }
    assert_eq!(daemon.blocked(), orders.map(|(prefix, _, _)| prefix));
    let line = &daemon.json(&["list"])[0];
    assert_eq!((&line["why"], &line["charge"]), (&"an operator's order: abuse report 4711".into(), &serde_json::Value::Null));
    assert!(daemon.text(&["explain", "198.51.100.200"]).starts_with("198.51.100.200 is blocked with 198.51.100.0/24 until "));

    // Ordered once more, it ends at another time, which is told and remembered.
    for (span, how) in [("3h", "extended"), ("1h", "shortened"), ("never", "extended"), ("2h", "shortened")] {
        let done = daemon.json_one(&["block", "192.0.2.7", "--for", span]);
        let said = text(&done["said"]);
        assert!(said.starts_with(&format!("192.0.2.7 was blocked already: {how} from ")) && said.contains(" to "), "{span}: {said}");
        assert_eq!(said.contains("no end"), span == "never" || span == "2h", "{said}");
    }
    let changed =
        |daemon: &Daemon| daemon.json(&["history", "192.0.2.7"]).iter().filter(|line| text(&line["why"]).contains("another end")).count();
    until("the history has it", || (changed(&daemon) == 4).then_some(()));

    // Lifted alone, it is blocked with the range still.
    daemon.text(&["block", "198.51.100.7"]);
    assert!(daemon.text(&["unblock", "198.51.100.7"]).contains("still blocked as part of 198.51.100.0/24"));

    // The bits behind the length don't count, and a mapped address is the IPv4 one.
    assert_eq!(daemon.json_one(&["unblock", "198.51.100.77/24"])["changed"], 1);
    assert_eq!(daemon.json_one(&["unblock", "::ffff:192.0.2.7"])["changed"], 1);
    let refusal = daemon.refusal(&["unblock", "2001:db8:8:9::1"]);
    assert!(refusal.contains("blocked as part of 2001:db8:8:9::/64"), "{refusal}");
    // All inside a prefix.
    assert_eq!(daemon.json_one(&["unblock", "2001:db8::/32"])["changed"], 3);
    assert_eq!(daemon.blocked(), Vec::<String>::new());
    for (_, name, element) in orders {
        until(&format!("{element} is out of {name}"), || (!is_in_set(host, name, element)).then_some(()));
    }
    assert!(daemon.refusal(&["unblock", "192.0.2.7"]).contains("192.0.2.7 is not blocked"));

    // For good: no time-out in the kernel, no end on the list.
    daemon.text(&["block", "192.0.2.8", "--for", "never"]);
    until("the kernel has it", || is_in_set(host, "blocked4", "192.0.2.8").then_some(()));
    assert!(!set(host, "blocked4").contains("expires"));
    let line = daemon.json_one(&["list"]);
    assert_eq!((&line["until"], &line["remaining_secs"]), (&serde_json::Value::Null, &serde_json::Value::Null));
    assert!(daemon.text(&["list"]).contains("for good"));
}

#[test]
fn an_order_that_makes_no_sense_says_why() {
    let network = network("nonsense", 0);
    let daemon = Daemon::start(&network.victim, "");
    for (args, part) in [
        (&["block", "192.0.2.300"][..], "192.0.2.300"),
        (&["block", "192.0.2.0/33"], "'33' is no prefix length"),
        (&["block", "192.0.2.1", "--for", "5x"], "'5x' is no length of time"),
        (&["block", "0.0.0.0/0"], "exempt"),
        (&["block", "::/0"], "exempt"),
        (&["explain", "everybody"], "'everybody' is no IPv4 or IPv6 address"),
        (&["history", "--since", "yesterday"], "'yesterday' is no length of time"),
    ] {
        let refusal = daemon.refusal(args);
        assert!(refusal.contains(part), "{args:?}: {refusal}");
    }
    assert_eq!(daemon.blocked(), Vec::<String>::new());
    // What isn't asked through the command line doesn't get further, either.
    let script =
        r#"printf '{"command":"block","prefix":"192.0.2.1","seconds":99999999999999}\nnonsense\n{"command":"blok"}\n' | ncat -U "$0""#;
    let answers = Command::new("timeout").args(["20", "bash", "-c", script]).arg(daemon.path("sock")).output().unwrap();
    let lines: Vec<serde_json::Value> =
        String::from_utf8_lossy(&answers.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 3, "{}", said(&answers));
    assert!(lines[1]["error"].as_str().unwrap().starts_with("not understood: "), "{lines:?}");
    assert!(lines[2]["error"].as_str().unwrap().contains("unknown variant `blok`"), "{lines:?}");
}

fn as_nobody(daemon: &Daemon, args: &[&str]) -> Output {
    // The test's own binary may lie where nobody else can reach it.
    let binary = daemon.path("riposte");
    if !binary.exists() {
        copy_for_everybody(&binary);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]).arg(binary).args(args);
    command.arg("--config").arg(daemon.path("config.toml")).output().expect("setpriv is installed")
}

#[test]
fn only_root_gives_orders() {
    let network = network("nobody", 0);
    let daemon = Daemon::start(&network.victim, "group = \"nogroup\"\n");
    // The group may ask.
    for question in [&["status"][..], &["list"], &["allow"], &["explain", "192.0.2.1"], &["history"]] {
        let output = as_nobody(&daemon, question);
        assert!(output.status.success(), "{question:?}: {}", said(&output));
    }
    for order in [&["block", "192.0.2.1"][..], &["unblock", "192.0.2.1"], &["allow", "192.0.2.1"], &["allow", "--remove", "192.0.2.1"]] {
        let output = as_nobody(&daemon, order);
        assert!(!output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "riposte: only root may give orders: try with sudo\n", "{order:?}");
    }
    assert_eq!(daemon.blocked(), Vec::<String>::new());

    // Without a group nobody else may even ask.
    drop(daemon);
    let daemon = Daemon::start(&network.victim, "");
    let output = as_nobody(&daemon, &["status"]);
    assert!(!output.status.success());
    assert!(said(&output).contains("permission denied: try with sudo"), "{}", said(&output));
}
