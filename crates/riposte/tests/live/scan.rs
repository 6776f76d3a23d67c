//! Without any configuration: a real scan is seen, judged, blocked in the kernel, told; and nobody else notices.

use crate::daemon::{Daemon, is_in_set, network, set, text, until};
use range::namespace::Namespace;
use range::network::{VICTIM, VICTIM6, attacker_address, attacker_address6};
use std::io::{Read, Write};
use std::process::{Child, Stdio};

/// Starts an echo service on the victim and waits until it listens.
fn serve(victim: &mut Namespace, port: &str) {
    victim.start("ncat", ["-l", "-k", "-e", "/bin/cat", port]).expect("ncat is installed");
    until("the echo service listens", || victim.run("ss", ["-Hltn", "sport", "=", port]).ok().filter(|text| !text.trim().is_empty()));
}

/// Connects and waits for the echo of one line: the connection stands, both ways.
fn connect(from: &Namespace, port: &str) -> Child {
    let mut client =
        from.command("ncat").args([VICTIM, port]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    echo(&mut client);
    client
}

fn echo(client: &mut Child) {
    client.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
    let mut answer = [0; 6];
    client.stdout.as_mut().unwrap().read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello\n");
}

fn nmap(from: &Namespace, args: &[&str]) {
    from.run("nmap", [&["-n", "-Pn", "--max-retries", "0"], args].concat()).expect("nmap is installed");
}

#[test]
fn a_scan_is_seen_blocked_in_the_kernel_and_explained() {
    let mut network = network("scan", 2);
    serve(&mut network.victim, "8080");
    let (scanner, guest) = (attacker_address(0), attacker_address(1));
    let mut cut = connect(&network.attackers[0], "8080");
    let mut kept = connect(&network.attackers[1], "8080");
    let daemon = Daemon::start(&network.victim, "");

    nmap(&network.attackers[0], &["-sS", "-p", "1000-1009", VICTIM]);
    daemon.wait_until_blocked(&scanner);
    until("the kernel has it", || is_in_set(&network.victim, "blocked4", &scanner).then_some(()));
    assert!(set(&network.victim, "blocked4").contains(&format!("{scanner} timeout ")), "the kernel ends the block by itself");
    // The guest has done nothing, and the scanner nothing by IPv6.
    assert_eq!(daemon.blocked(), [scanner.as_str()]);

    // The connection that stood dies at both ends; the guest's stays.
    until("the scanner's connection is cut", || {
        let _ = cut.stdin.as_mut().unwrap().write_all(b"still there?\n");
        cut.try_wait().unwrap()
    });
    echo(&mut kept);
    kept.kill().unwrap();
    kept.wait().unwrap();
    assert!(network.attackers[0].run("ncat", ["-z", "-w", "1", VICTIM, "8080"]).is_err(), "the blocked can't connect");
    network.attackers[1].run("ncat", ["-z", "-w", "30", VICTIM, "8080"]).expect("everybody else can");
    assert!(daemon.figure("packets dropped from the blocked") > 0);
    assert!(daemon.figure("connections of the blocked that were cut") > 0);

    // By IPv6 it is somebody else until it scans there, too.
    nmap(&network.attackers[0], &["-6", "-sS", "-p", "1000-1009", VICTIM6]);
    let scanner6 = attacker_address6(0);
    daemon.wait_until_blocked(&scanner6);
    until("the kernel has it", || is_in_set(&network.victim, "blocked6", &scanner6).then_some(()));

    tell(&daemon, &scanner, &guest);
}

/// Every command tells the same story.
fn tell(daemon: &Daemon, scanner: &str, guest: &str) {
    let block = daemon.json(&["list"]).into_iter().find(|line| line["address"] == scanner).expect("listed");
    assert_eq!(
        (text(&block["charge"]), text(&block["state"]), text(&block["trust"])),
        ("port scan".into(), "active".into(), "spoofable".into())
    );
    assert_eq!((block["level"].as_u64(), block["strike"].as_u64(), &block["styles"]), (Some(1), Some(1), &serde_json::json!(["syn"])));
    assert!((1..=600).contains(&block["remaining_secs"].as_u64().unwrap()));
    let list = daemon.text(&["list"]);
    assert!(list.contains(scanner) && list.contains("2 blocks."), "{list}");

    let why = daemon.json_one(&["explain", scanner]);
    assert_eq!(why["block"]["address"], scanner);
    assert_eq!(why["suspect"]["convicted"], true);
    assert_eq!(why["entries"][0]["decision"], "block");
    assert_eq!((why["strikes"].as_u64(), &why["exempt"]), (Some(1), &serde_json::Value::Null));
    let why = daemon.text(&["explain", scanner]);
    assert!(why.starts_with(&format!("{scanner} is blocked until ")) && why.contains("for a port scan at level 1."), "{why}");
    assert_eq!(daemon.json_one(&["explain", guest])["verdict"], format!("{guest} is not blocked: nothing is known of it."));

    let history = daemon.json(&["history", scanner]);
    assert_eq!(history.len(), 1);
    assert_eq!((&history[0]["address"], &history[0]["decision"], &history[0]["seconds"]), (&scanner.into(), &"block".into(), &600.into()));
    assert_eq!(daemon.json(&["history"]).len(), 2);
    assert_eq!(daemon.json(&["history", "--since", "1h", "--limit", "1"]).len(), 1);
    assert_eq!(daemon.json(&["history", guest]).len(), 0);
    assert!(daemon.text(&["history"]).contains("port scan"));

    let status = daemon.json_one(&["status"]);
    assert_eq!((&status["mode"], &status["blocks"]["active"], &status["blocks"]["spoofable"]), (&"blocking".into(), &2.into(), &2.into()));
    assert!(daemon.text(&["status"]).contains("2 blocks: 0 on proven evidence, 2 on forgeable evidence, 0 by order."));
    assert_eq!(daemon.figure("events with a time in the future"), 0);
}

#[test]
fn a_dry_run_decides_and_leaves_the_firewall_alone() {
    let network = network("dry", 1);
    let daemon = Daemon::start(&network.victim, "[policy]\ndry_run = true\n");
    let scanner = attacker_address(0);
    nmap(&network.attackers[0], &["-sS", "-p", "1000-1009", VICTIM]);
    daemon.wait_until_blocked(&scanner);
    assert_eq!(daemon.json(&["list"])[0]["state"], "dry run");
    assert!(!is_in_set(&network.victim, "blocked4", &scanner));
    let why = daemon.json_one(&["explain", &scanner]);
    assert_eq!(why["block"]["state"], "dry run");
    assert!(text(&why["what_next"]).contains("dry run"), "{why}");
    let status = daemon.json_one(&["status"]);
    assert_eq!(status["mode"], "dry_run");
    assert!(daemon.text(&["status"]).contains("dry run: nobody new is blocked"));
    // An operator's order is rehearsed, too.
    daemon.text(&["block", "192.0.2.7"]);
    assert!(!is_in_set(&network.victim, "blocked4", "192.0.2.7"));
    // Who knocks after that is still answered.
    network.attackers[0]
        .run("nmap", ["-n", "-Pn", "-sS", "-p", "1000", "--reason", VICTIM])
        .map(|text| assert!(text.contains("reset"), "{text}"))
        .unwrap();
}

#[test]
fn no_process_but_the_warden_has_any_privilege() {
    let network = network("lives", 0);
    let logs = "[[sense.log]]\nkind = \"pipe\"\npath = \"{}/pipe\"\n[[sense.log]]\nkind = \"file\"\npath = \"{}/kern.log\"\n";
    let daemon = Daemon::start(&network.victim, logs);
    let status = daemon.json_one(&["status"]);
    let processes = status["processes"].as_array().unwrap();
    let lives: Vec<String> = processes.iter().map(|process| text(&process["life"])).collect();
    assert_eq!(lives, ["warden", "judge", "host", "packets", "log 1", "log 2"]);
    for process in processes {
        let life = &process["life"];
        assert_eq!(process["no_new_privs"], true, "{life}");
        assert!(text(&process["seccomp"]).starts_with("filter"), "{life}: {}", process["seccomp"]);
        assert!(text(&process["landlock"]).starts_with("full"), "{life}: {}", process["landlock"]);
        let capabilities: Vec<String> = process["capabilities"].as_array().unwrap().iter().map(text).collect();
        if life == "warden" {
            let kept = ["cap_dac_read_search", "cap_kill", "cap_net_admin", "cap_setgid", "cap_setpcap", "cap_setuid"];
            assert_eq!(process["uid"], 0);
            assert!(capabilities.iter().all(|one| kept.contains(&one.as_str())), "{capabilities:?}");
        } else {
            assert_ne!(process["uid"], 0, "{life}");
            assert_eq!(capabilities, Vec::<String>::new(), "{life}");
        }
    }
}
