//! What survives the end of riposte or of one of its processes: the blocks, the strikes, the allowances; and that nothing else does.

use crate::daemon::{is_in_set, network, runs, scan, set, signal, start_following, text, until, wait_until_in_kernel};
use range::network::{VICTIM, attacker_address};

fn wait_until_gone(pids: &[u64]) {
    until("all processes are gone", || (!pids.iter().any(|pid| runs(*pid))).then_some(()));
}

#[test]
fn blocks_and_allowances_survive_a_restart() {
    let network = network("restart", 0);
    let host = &network.victim;
    let mut daemon = start_following(host, "");
    scan(&daemon, "192.0.2.1");
    daemon.wait_until_blocked("192.0.2.1");
    daemon.text(&["block", "192.0.2.2", "--for", "never", "--note", "known"]);
    daemon.text(&["block", "192.0.2.16/28", "--for", "1h"]);
    daemon.text(&["allow", "192.0.2.3"]);
    wait_until_in_kernel(host, "192.0.2.1");
    wait_until_in_kernel(host, "192.0.2.2");
    let (list, pids) = (daemon.json(&["list"]), daemon.pids());
    let history = daemon.json(&["history"]);

    assert!(daemon.end().success());
    wait_until_gone(&pids);
    assert!(!daemon.path("sock").exists(), "the socket is taken away");
    assert!(is_in_set(host, "blocked4", "192.0.2.1"), "the blocks stay while riposte is away");
    let refusal = daemon.refusal(&["list"]);
    assert!(refusal.contains("sock"), "{refusal}");

    daemon.start_again();
    assert!(daemon.log().contains("kept=3 set_again=0 removed=0"), "{}", daemon.log());
    let without_clock = |mut lines: Vec<serde_json::Value>| {
        lines.iter_mut().for_each(|line| drop(line.as_object_mut().expect("an object").remove("remaining_secs")));
        lines
    };
    assert_eq!(without_clock(daemon.json(&["list"])), without_clock(list));
    assert_eq!(daemon.json(&["history"]), history);
    assert_eq!(daemon.json_one(&["allow"])["prefix"], "192.0.2.3");
    assert_eq!(daemon.json_one(&["explain", "192.0.2.1"])["strikes"], 1);
    daemon.wait_until_followed("kern.log");
    scan(&daemon, "192.0.2.3");
    daemon.wait_until_figure("kern.log", "packets", 6);
    assert_eq!(daemon.blocked().len(), 3);
}

#[test]
fn a_second_offence_after_a_restart_is_a_second_strike() {
    let network = network("strikes", 0);
    let mut daemon = start_following(&network.victim, "[policy.spoofable]\nblock_max = \"2s\"\n");
    scan(&daemon, "192.0.2.1");
    daemon.wait_until_blocked("192.0.2.1");
    assert!(daemon.end().success());
    daemon.start_again();
    until("the block is over", || daemon.blocked().is_empty().then_some(()));
    until("in the kernel, too", || (!is_in_set(&network.victim, "blocked4", "192.0.2.1")).then_some(()));
    assert_eq!(daemon.json_one(&["explain", "192.0.2.1"])["strikes"], 1);
    daemon.wait_until_followed("kern.log");
    scan(&daemon, "192.0.2.1");
    until("it is blocked again", || (daemon.json_one(&["explain", "192.0.2.1"])["strikes"] == 2).then_some(()));
}

#[test]
fn who_goes_on_after_his_block_is_blocked_again() {
    let network = network("goes-on", 0);
    let daemon = start_following(&network.victim, "[policy.spoofable]\nblock_max = \"1s\"\n");
    for strike in 1..=3 {
        scan(&daemon, "192.0.2.1");
        until(&format!("strike {strike}"), || (daemon.json_one(&["explain", "192.0.2.1"])["strikes"] == strike).then_some(()));
        until("the block is over", || daemon.blocked().is_empty().then_some(()));
    }
    assert_eq!(daemon.figure("blocks expired"), 3);
    let history = daemon.json(&["history", "192.0.2.1"]);
    let blocked: Vec<String> = history.iter().filter(|line| line["decision"] == "block").map(|line| text(&line["why"])).collect();
    assert_eq!(blocked.len(), 3);
    assert!(blocked.iter().zip(1..).all(|(why, n)| why.ends_with(&format!("strike {n}"))), "{blocked:?}");
}

#[test]
fn a_killed_warden_leaves_the_blocks_and_nothing_else() {
    let network = network("killed", 1);
    let host = &network.victim;
    let mut daemon = start_following(host, "");
    let scanner = attacker_address(0);
    for address in [scanner.as_str(), "192.0.2.1", "192.0.2.2"] {
        scan(&daemon, address);
        daemon.wait_until_blocked(address);
        wait_until_in_kernel(host, address);
    }
    let (history, pids) = (daemon.json(&["history"]), daemon.pids());
    daemon.kill();
    wait_until_gone(&pids);
    assert!(is_in_set(host, "blocked4", &scanner));
    assert!(network.attackers[0].run("ncat", ["-z", "-w", "1", VICTIM, "9"]).is_err());

    // Meanwhile somebody meddles with our table.
    host.run("nft", ["delete", "element", "inet", "riposte", "blocked4", "{ 192.0.2.1 }"]).unwrap();
    host.run("nft", ["add", "element", "inet", "riposte", "blocked4", "{ 192.0.2.99 timeout 1h }"]).unwrap();
    daemon.start_again();
    assert!(daemon.log().contains("kept=2 set_again=1 removed=1"), "{}", daemon.log());
    wait_until_in_kernel(host, "192.0.2.1");
    until("the stranger is out", || (!is_in_set(host, "blocked4", "192.0.2.99")).then_some(()));
    assert_eq!(daemon.blocked(), ["192.0.2.1", "192.0.2.2", scanner.as_str()]);
    assert_eq!(daemon.json(&["history"]), history, "nothing is charged twice");

    // The whole table away under a riposte that runs: it is made anew with every block.
    host.run("nft", ["delete", "table", "inet", "riposte"]).unwrap();
    daemon.text(&["block", "192.0.2.50"]);
    for address in ["192.0.2.50", "192.0.2.1", "192.0.2.2", scanner.as_str()] {
        until(&format!("the kernel has {address} again"), || {
            let text = host.run("nft", ["list", "set", "inet", "riposte", "blocked4"]).ok()?;
            text.contains(&format!("{address} timeout")).then_some(())
        });
    }
    assert!(set(host, "exempt4").contains(VICTIM));
}

#[test]
fn a_killed_judge_or_sensor_is_started_again_and_blocking_goes_on() {
    let network = network("children", 2);
    let host = &network.victim;
    let daemon = start_following(host, "");
    scan(&daemon, "192.0.2.1");
    daemon.wait_until_blocked("192.0.2.1");
    wait_until_in_kernel(host, "192.0.2.1");
    daemon.text(&["allow", "192.0.2.9"]);

    let restarted = |life: &str| {
        let before = daemon.life(life).expect("it runs");
        signal("KILL", before as u32);
        until(&format!("{life} runs again"), || daemon.life(life).filter(|pid| *pid != before));
        // A judge that is new has new sensors, too: wait until all are there.
        until("all sensors are there", || {
            let status = daemon.ask(&["status", "--json"]);
            let text = String::from_utf8_lossy(&status.stdout).into_owned();
            ["packets", "kern.log"].iter().all(|name| text.contains(&format!("\"name\":\"{name}\"")) || text.contains(name)).then_some(())
        });
    };
    restarted("judge");
    assert_eq!(daemon.blocked(), ["192.0.2.1"]);
    assert_eq!(daemon.json_one(&["allow"])["prefix"], "192.0.2.9");
    assert!(is_in_set(host, "blocked4", "192.0.2.1"));
    until("the log is followed", || daemon.sensor_figure("kern.log", "lines"));
    let packets_work = |attacker: usize| {
        let address = attacker_address(attacker);
        network.attackers[attacker].run("nmap", ["-n", "-Pn", "-sS", "--max-retries", "0", "-p", "1000-1009", VICTIM]).unwrap();
        daemon.wait_until_blocked(&address);
        wait_until_in_kernel(host, &address);
    };
    packets_work(0);

    restarted("packets");
    until("the sensor reads", || daemon.sensor_figure("packets", "listings of listening sockets").filter(|looks| *looks > 0));
    packets_work(1);

    for (life, address) in [("log 1", "192.0.2.2"), ("host", "192.0.2.3")] {
        restarted(life);
        // A sensor that has just begun starts at the end of its log: only what comes later counts.
        until(&format!("{address} is blocked"), || {
            scan(&daemon, address);
            daemon.blocked().contains(&address.to_owned()).then_some(())
        });
        wait_until_in_kernel(host, address);
    }
    // Who was exempt before the host process died still is.
    assert!(daemon.refusal(&["block", VICTIM]).contains("own address"));
}
