//! Several responders at one time, in order, each with its own outcome; and that nothing is lost and nothing left behind, whoever is killed.

use crate::daemon::{Daemon, KERN_LOG, folder, is_in_set, network, runs, scan, signal, text, until, wait_until_in_kernel};
use range::namespace::Namespace;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

const ALL: &str = "[respond]\nkind = [\"nftables\", \"hosts-deny\", \"routes\"]\n[respond.hosts-deny]\nfile = \"{}/etc/hosts.deny\"\n";
/// What somebody else has written, before our lines and behind them.
const THEIRS: &str = "# of the administrator\nALL: 198.51.100.99\n";

fn start(host: &Namespace, config: &str) -> Daemon {
    let place = folder();
    fs::create_dir(place.path().join("etc")).unwrap();
    fs::write(place.path().join("etc/hosts.deny"), THEIRS).unwrap();
    Daemon::start_in(place, host, &format!("{config}{KERN_LOG}"), &[])
}

/// The addresses that ours deny in hosts.deny.
fn denied(daemon: &Daemon) -> Vec<String> {
    let text = fs::read_to_string(daemon.path("etc/hosts.deny")).unwrap();
    let ours = text.strip_suffix(THEIRS).unwrap_or_else(|| panic!("theirs is not as it was: {text}"));
    ours.lines().filter_map(|line| line.strip_prefix("ALL: ")).map(str::to_owned).collect()
}

/// The addresses behind our routes.
fn cut(host: &Namespace) -> Vec<String> {
    let text = host.run("ip", ["route", "show", "type", "blackhole"]).unwrap();
    text.lines().filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect()
}

fn holders(line: &Value) -> Vec<String> {
    line["held_by"].as_array().map(|names| names.iter().map(text).collect()).unwrap_or_default()
}

fn held(daemon: &Daemon, address: &str) -> Vec<String> {
    daemon.json(&["list"]).iter().find(|line| text(&line["address"]) == address).map(holders).unwrap_or_default()
}

fn wait_until_held(daemon: &Daemon, address: &str, by: &[&str]) {
    until(&format!("{address} is held by {by:?}"), || (held(daemon, address) == by).then_some(()));
}

/// Ends the daemon, its responder and that one's worker so that none of them can tidy up.
fn kill_at_one_blow(daemon: &mut Daemon) {
    let keeper = daemon.life("responder").expect("it runs");
    let works = until("one works", || worker(keeper));
    daemon.expect_error("nobody begins it again");
    signal("STOP", works);
    signal("KILL", keeper as u32);
    signal("KILL", works);
    daemon.kill();
}

/// The process that works, of the two.
fn worker(keeper: u64) -> Option<u32> {
    fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children")).ok()?.split_whitespace().next()?.parse().ok()
}

#[test]
fn several_set_a_block_and_lift_it_and_are_told_apart() {
    let network = network("several", 0);
    let host = &network.victim;
    let daemon = start(host, ALL);
    daemon.wait_until_followed("kern.log");
    scan(&daemon, "192.0.2.1");
    wait_until_held(&daemon, "192.0.2.1", &["nftables", "hosts-deny", "routes"]);
    wait_until_in_kernel(host, "192.0.2.1");
    assert_eq!((denied(&daemon), cut(host)), (vec!["192.0.2.1".to_owned()], vec!["192.0.2.1".to_owned()]));
    // One of them can't do this; the others have it, and that's enough.
    daemon.text(&["block", "2001:db8:5::/48", "--for", "1h"]);
    wait_until_held(&daemon, "2001:db8:5::/48", &["nftables", "hosts-deny", "routes"]);
    assert!(daemon.text(&["explain", "192.0.2.1"]).replace('\n', " ").contains("It is held by nftables, hosts-deny, routes."));
    assert!(daemon.text(&["list"]).contains("active: nftables, hosts-deny, routes"));
    daemon.text(&["unblock", "192.0.2.1"]);
    until("it is lifted everywhere", || (!denied(&daemon).contains(&"192.0.2.1".to_owned()) && cut(host).is_empty()).then_some(()));
    assert!(!is_in_set(host, "blocked4", "192.0.2.1"));
    let figures = |name: &str| ["set", "lifted", "refused", "standing"].map(|what| daemon.figure(&format!("responder {name}: {what}")));
    until("each counts its own", || (figures("hosts-deny") == [2, 1, 0, 1] && figures("routes") == [2, 1, 0, 1]).then_some(()));
}

#[test]
fn a_refusal_falls_to_the_next() {
    let network = network("falls", 0);
    let host = &network.victim;
    let config = "[respond]\nkind = [\"hosts-deny\", \"routes\"]\nmode = \"first\"\n\
                  [respond.hosts-deny]\nfile = \"{}/etc/hosts.deny\"\nsize = 1\n";
    let daemon = start(host, config);
    daemon.text(&["block", "192.0.2.1", "--for", "1h"]);
    wait_until_held(&daemon, "192.0.2.1", &["hosts-deny"]);
    daemon.text(&["block", "192.0.2.2", "--for", "1h"]);
    wait_until_held(&daemon, "192.0.2.2", &["routes"]);
    assert_eq!((denied(&daemon), cut(host)), (vec!["192.0.2.1".to_owned()], vec!["192.0.2.2".to_owned()]));
    until("the refusal is counted", || (daemon.figure("responder hosts-deny: refused") == 1).then_some(()));
    assert!(daemon.log().lines().any(|line| line.contains("refused") && line.contains("hosts-deny")), "{}", daemon.log());
    daemon.text(&["unblock", "192.0.2.1"]);
    daemon.text(&["unblock", "192.0.2.2"]);
    until("both are lifted", || (denied(&daemon).is_empty() && cut(host).is_empty()).then_some(()));
}

#[test]
fn what_the_kernel_takes_falls_to_nobody() {
    let network = network("takes", 0);
    let daemon = start(&network.victim, "[respond]\nkind = [\"nftables\", \"routes\"]\nmode = \"first\"\n");
    daemon.text(&["block", "192.0.2.1", "--for", "1h"]);
    wait_until_held(&daemon, "192.0.2.1", &["nftables"]);
    assert!(is_in_set(&network.victim, "blocked4", "192.0.2.1"));
    // An interval that the kernel has no room for: its set of ranges holds so many, and the next one is a route.
    let many: Vec<String> = (0..4_097).map(|n| format!("100.{}.{}.0/30", 64 + n / 256, n % 256)).collect();
    let mut socket = BufReader::new(UnixStream::connect(daemon.path("sock")).unwrap());
    for range in &many {
        let order = format!("{{\"command\":\"block\",\"prefix\":\"{range}\",\"seconds\":3600}}\n");
        socket.get_mut().write_all(order.as_bytes()).unwrap();
        let mut reply = String::new();
        socket.read_line(&mut reply).unwrap();
        assert!(reply.contains("\"ok\":true"), "{reply}");
    }
    let last = many.last().expect("one");
    wait_until_held(&daemon, last, &["routes"]);
    assert_eq!(cut(&network.victim), [last.as_str()]);
    daemon.text(&["unblock", last]);
    until("it is lifted", || cut(&network.victim).is_empty().then_some(()));
}

#[test]
fn without_the_kernel_s_table_the_others_answer_for_the_block() {
    let network = network("others", 0);
    let host = &network.victim;
    let config = "[respond]\nkind = [\"hosts-deny\"]\n[respond.hosts-deny]\nfile = \"{}/etc/hosts.deny\"\nsize = 2\n";
    let mut daemon = start(host, config);
    daemon.wait_until_followed("kern.log");
    scan(&daemon, "192.0.2.1");
    daemon.wait_until_blocked("192.0.2.1");
    daemon.text(&["block", "192.0.2.2", "--for", "never"]);
    until("both are denied", || (denied(&daemon) == ["192.0.2.1", "192.0.2.2"]).then_some(()));
    // Nobody has room for a third: it is not blocked, and that's what is said.
    let refusal = daemon.refusal(&["block", "192.0.2.3", "--for", "1h"]);
    assert!(refusal.contains("192.0.2.3 is not blocked: nobody could set it"), "{refusal}");
    until("it is told", || daemon.json(&["history", "192.0.2.3"]).into_iter().find(|line| text(&line["why"]).contains("full")));
    until("it is on no list", || (daemon.blocked() == ["192.0.2.1", "192.0.2.2"]).then_some(()));
    let nothing = host.run("nft", ["list", "tables"]).unwrap();
    assert!(!nothing.contains("riposte"), "{nothing}");
    assert!(daemon.log().contains("no packets come over NFLOG"), "{}", daemon.log());
    // What stands comes back after an end in order, and after a death of all but the responder, which cleans up.
    assert!(daemon.end().success());
    assert!(denied(&daemon).is_empty());
    daemon.start_again();
    until("both are back", || (denied(&daemon) == ["192.0.2.1", "192.0.2.2"]).then_some(()));
    daemon.kill();
    until("both are gone", || denied(&daemon).is_empty().then_some(()));
    daemon.start_again();
    until("both are back again", || (denied(&daemon) == ["192.0.2.1", "192.0.2.2"]).then_some(()));
    // Killed with everything, and one of them pardoned by hand meanwhile: the file is as the ledger has it.
    let judge = daemon.life("judge").expect("it runs");
    signal("KILL", judge as u32);
    until("another judges", || daemon.life("judge").filter(|again| *again != judge));
    daemon.text(&["unblock", "192.0.2.1"]);
    until("one is left", || (denied(&daemon) == ["192.0.2.2"]).then_some(()));
    assert_eq!(daemon.blocked(), ["192.0.2.2"]);
}

#[test]
fn a_tool_that_is_missing_leaves_it_to_the_next() {
    let network = network("missing", 0);
    let config = "[respond]\nkind = [\"ipset\", \"routes\"]\nmode = \"first\"\n";
    // ipset is something that can't be run, for this one riposte alone.
    let script = "mount --bind /dev/null $(readlink -f /usr/sbin/ipset) && exec \"$@\"";
    let daemon = Daemon::start_in(folder(), &network.victim, config, &["unshare", "-m", "sh", "-c", script, "sh"]);
    daemon.text(&["block", "192.0.2.1", "--for", "1h"]);
    wait_until_held(&daemon, "192.0.2.1", &["routes"]);
    assert_eq!(daemon.figure("responder ipset: not at work"), 1);
    assert!(daemon.log().contains("kind 'ipset' needs ipset, not installed"), "{}", daemon.log());
}

#[test]
fn one_whose_tool_hangs_keeps_nobody_waiting_and_is_named() {
    let network = network("hangs", 0);
    let place = folder();
    let (tool, hangs) = (place.path().join("ipset"), place.path().join("hangs"));
    fs::copy("/usr/sbin/ipset", &tool).unwrap();
    let wrapper = format!("#!/bin/sh\n[ ! -e {} ] || sleep 600\nexec {} \"$@\"\n", hangs.display(), tool.display());
    fs::write(place.path().join("wrapper"), wrapper).unwrap();
    let script = format!(
        "chmod 755 {0} {0}/wrapper && mount --bind {0}/wrapper $(readlink -f /usr/sbin/ipset) && exec \"$@\"",
        place.path().display()
    );
    let config = "[respond]\nkind = [\"nftables\", \"ipset\", \"routes\"]\n[respond.ipset]\nbackend = \"nft\"\n";
    let daemon = Daemon::start_in(place, &network.victim, config, &["unshare", "-m", "sh", "-c", &script, "sh"]);
    let all = ["nftables", "ipset", "routes"];
    daemon.text(&["block", "192.0.2.1", "--for", "1h"]);
    wait_until_held(&daemon, "192.0.2.1", &all);
    let states = || {
        let status = daemon.json_one(&["status"]);
        status["responders"].as_array().unwrap().iter().map(|one| (text(&one["name"]), text(&one["state"]))).collect::<Vec<_>>()
    };
    let is = |state: &str| {
        states()
            == [("nftables", "working"), ("ipset", state), ("routes", "working")].map(|(name, state)| (name.to_owned(), state.to_owned()))
    };
    until("all are at work", || is("working").then_some(()));
    fs::write(&hangs, "").unwrap();
    assert!(daemon.text(&["block", "192.0.2.2", "--for", "1h"]).contains("is blocked"));
    // What the ledger knows is told while the tool hangs.
    let line = until("ipset is named", || daemon.json(&["list"]).into_iter().find(|line| line["silent"][0] == "ipset"));
    assert_eq!((text(&line["state"]), &line["held_by"]), ("active".to_owned(), &Value::Null));
    let said = daemon.text(&["list"]);
    assert!(said.contains("2 blocks.\nipset does not answer: who has which block is not known now.\n"), "{said}");
    assert!(daemon.text(&["explain", "192.0.2.2"]).replace('\n', " ").contains("ipset does not answer"));
    assert!(is("silent"), "{:?}", states());
    assert!(daemon.text(&["status"]).contains("TROUBLE: responder ipset does not answer"));
    let check = daemon.ask(&["status", "--check"]);
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.code() == Some(1) && said.starts_with("RIPOSTE WARNING: responder ipset does not answer"), "{said}");
    let metrics = || daemon.text(&["status", "--prometheus"]);
    assert!(metrics().contains("riposte_responder_up{responder=\"ipset\"} 0\n"));
    // Its tool is ended: it is not at work, and the others go on.
    wait_until_held(&daemon, "192.0.2.2", &["nftables", "routes"]);
    until("it is not at work", || is("idle").then_some(()));
    let check = daemon.ask(&["status", "--check", "--json"]);
    assert!(String::from_utf8_lossy(&check.stdout).contains("responder ipset is not at work"));
    fs::remove_file(&hangs).unwrap();
    wait_until_held(&daemon, "192.0.2.2", &all);
    assert!(is("working") && metrics().contains("riposte_responder_up{responder=\"ipset\"} 1\n"), "{}", metrics());
}

#[test]
fn blocks_end_in_time_where_nobody_else_ends_them() {
    let network = network("book", 0);
    let daemon = start(&network.victim, ALL);
    daemon.text(&["block", "192.0.2.1", "--for", "2s"]);
    daemon.text(&["block", "192.0.2.2", "--for", "1h"]);
    wait_until_held(&daemon, "192.0.2.2", &["nftables", "hosts-deny", "routes"]);
    until("the first is over", || (denied(&daemon) == ["192.0.2.2"] && cut(&network.victim) == ["192.0.2.2"]).then_some(()));
}

#[test]
fn what_nobody_would_end_is_lifted_at_the_end_and_comes_back() {
    let network = network("comesback", 0);
    let host = &network.victim;
    let mut daemon = start(host, ALL);
    daemon.text(&["block", "192.0.2.1", "--for", "1h"]);
    daemon.text(&["block", "192.0.2.2", "--for", "never"]);
    wait_until_held(&daemon, "192.0.2.2", &["nftables", "hosts-deny", "routes"]);
    let pids = daemon.pids();
    assert!(daemon.end().success());
    assert!(!pids.iter().any(|pid| runs(*pid)));
    assert!(denied(&daemon).is_empty() && cut(host).is_empty());
    assert!(is_in_set(host, "blocked4", "192.0.2.1"), "the kernel ends its own");
    assert_eq!(fs::read_to_string(daemon.path("etc/hosts.deny")).unwrap(), THEIRS);
    // While riposte is away somebody else's own route appears: it is none of ours.
    host.run("ip", ["route", "add", "blackhole", "198.51.100.99"]).unwrap();
    daemon.start_again();
    wait_until_held(&daemon, "192.0.2.1", &["nftables", "hosts-deny", "routes"]);
    wait_until_held(&daemon, "192.0.2.2", &["nftables", "hosts-deny", "routes"]);
    assert_eq!(denied(&daemon).len(), 2);
    assert!(cut(host).contains(&"198.51.100.99".to_owned()) && cut(host).len() == 3);
}

#[test]
fn a_chain_that_somebody_has_pushed_back_is_emptied_at_the_end() {
    let network = network("pushed", 0);
    let host = &network.victim;
    let mut daemon = start(host, "[respond]\nkind = [\"iptables\"]\n[respond.iptables]\nbackend = \"nft\"\n");
    daemon.text(&["block", "192.0.2.1", "--for", "1h"]);
    let rules = || host.run("iptables-nft-save", ["-t", "filter"]).unwrap();
    until("it is blocked", || rules().contains("-s 192.0.2.1/32 -j DROP").then_some(()));
    host.run("iptables-nft", ["-I", "INPUT", "1", "-s", "198.51.100.99", "-j", "ACCEPT"]).unwrap();
    assert!(daemon.end().success());
    assert!(!rules().contains("192.0.2.1"), "nobody would ever lift it: {}", rules());
    assert!(rules().contains("-s 198.51.100.99/32 -j ACCEPT"));
}

#[test]
fn a_killed_responder_goes_on_where_it_was() {
    let network = network("killed", 0);
    let host = &network.victim;
    let mut daemon = start(host, ALL);
    for n in 1..=3 {
        daemon.text(&["block", &format!("192.0.2.{n}"), "--for", "1h"]);
    }
    daemon.text(&["block", "192.0.2.9", "--for", "6s"]);
    wait_until_held(&daemon, "192.0.2.9", &["nftables", "hosts-deny", "routes"]);
    let keeper = daemon.life("responder").expect("it runs");
    let first = until("one works", || worker(keeper));
    signal("STOP", first);
    // Which of them it is, nobody can say; whom the ledger has, it says.
    let line = daemon.json(&["list"]).into_iter().find(|line| text(&line["address"]) == "192.0.2.1").unwrap();
    assert_eq!((text(&line["state"]), &line["silent"]), ("active".to_owned(), &serde_json::json!(["hosts-deny", "routes"])));
    // What it is told while it does nothing, what somebody else does meanwhile, and it never wakes up again.
    daemon.text(&["unblock", "192.0.2.1"]);
    daemon.text(&["block", "192.0.2.4", "--for", "1h"]);
    host.run("ip", ["route", "del", "blackhole", "192.0.2.2"]).unwrap();
    signal("KILL", first);
    until("another works", || worker(keeper).filter(|again| *again != first));
    let expected = ["192.0.2.2", "192.0.2.3", "192.0.2.4"];
    let sorted = |mut list: Vec<String>| {
        list.sort();
        list
    };
    until("all is as it should be", || (sorted(denied(&daemon)) == expected && sorted(cut(host)) == expected).then_some(()));
    // Without its keeper it goes on, and ends in order.
    daemon.expect_error("nobody begins it again");
    signal("KILL", keeper as u32);
    until("its keeper is gone", || daemon.life("responder").is_none().then_some(()));
    daemon.text(&["block", "192.0.2.5", "--for", "1h"]);
    wait_until_held(&daemon, "192.0.2.5", &["nftables", "hosts-deny", "routes"]);
    assert!(daemon.end().success());
    until("nothing is left", || (denied(&daemon).is_empty() && cut(host).is_empty()).then_some(()));
}

#[test]
fn a_killed_riposte_leaves_nothing_that_stays_for_ever() {
    let network = network("leaves", 0);
    let host = &network.victim;
    let mut daemon = start(host, ALL);
    daemon.text(&["block", "192.0.2.1", "--for", "1h"]);
    wait_until_held(&daemon, "192.0.2.1", &["nftables", "hosts-deny", "routes"]);
    daemon.kill();
    until("nothing is left", || (denied(&daemon).is_empty() && cut(host).is_empty()).then_some(()));
    daemon.start_again();
    wait_until_held(&daemon, "192.0.2.1", &["nftables", "hosts-deny", "routes"]);
    // All of it at one blow: then it stays until the next start, which knows what is to stay.
    daemon.text(&["block", "192.0.2.2", "--for", "2s"]);
    wait_until_held(&daemon, "192.0.2.2", &["nftables", "hosts-deny", "routes"]);
    kill_at_one_blow(&mut daemon);
    assert_eq!((denied(&daemon).len(), cut(host).len()), (2, 2));
    std::thread::sleep(std::time::Duration::from_secs(2));
    daemon.start_again();
    until("only what stands is left", || (denied(&daemon) == ["192.0.2.1"] && cut(host) == ["192.0.2.1"]).then_some(()));
}

#[test]
fn kills_at_any_moment_lose_nothing_and_leave_nothing() {
    let network = network("anymoment", 0);
    let host = &network.victim;
    let mut daemon = start(host, ALL);
    let name = |n: usize| format!("192.0.2.{n}");
    let mut expected: Vec<String> = Vec::new();
    for round in 0..3 {
        let keeper = daemon.life("responder").expect("it runs");
        for n in (round * 40)..(round * 40 + 40) {
            daemon.text(&["block", &name(n), "--for", "1h"]);
            if n % 3 == 1 {
                daemon.text(&["unblock", &name(n)]);
            } else {
                expected.push(name(n));
            }
            // Whatever it is at: some orders wait for the one that is begun next.
            if n % 4 == 3
                && let Some(pid) = worker(keeper)
            {
                signal("KILL", pid);
            }
        }
        expected.sort();
        let sorted = |mut list: Vec<String>| {
            list.sort();
            list
        };
        until("all is as it should be", || (sorted(denied(&daemon)) == expected && sorted(cut(host)) == expected).then_some(()));
        daemon.text(&["block", "192.0.2.200", "--for", "1h"]);
        daemon.text(&["unblock", "192.0.2.200"]);
        daemon.kill();
        daemon.start_again();
    }
    assert!(daemon.end().success());
    assert!(denied(&daemon).is_empty() && cut(host).is_empty());
}

#[test]
fn whoever_becomes_exempt_is_let_go_everywhere() {
    let network = network("letgo", 0);
    let host = &network.victim;
    let mut daemon = start(host, ALL);
    for n in 1..=3 {
        daemon.text(&["block", &format!("192.0.2.{n}"), "--for", "1h"]);
    }
    daemon.text(&["block", "100.64.5.0/24", "--for", "1h"]);
    wait_until_held(&daemon, "100.64.5.0/24", &["nftables", "hosts-deny", "routes"]);
    daemon.text(&["allow", "192.0.2.1"]);
    // Within a blocked range: no responder has exceptions, so the range goes.
    daemon.text(&["allow", "100.64.5.5"]);
    daemon.configure(&format!("[policy]\nexempt = [\"192.0.2.2\"]\n{ALL}{KERN_LOG}"));
    daemon.text(&["reload"]);
    until("only one is left", || (denied(&daemon) == ["192.0.2.3"] && cut(host) == ["192.0.2.3"]).then_some(()));
    // Who sets the blocks is another matter: that waits for a restart.
    daemon.configure(KERN_LOG);
    assert!(daemon.text(&["reload"]).contains("respond takes effect at the next restart"));
    daemon.text(&["block", "192.0.2.4", "--for", "1h"]);
    wait_until_held(&daemon, "192.0.2.4", &["nftables", "hosts-deny", "routes"]);
    assert!(daemon.end().success());
}

#[test]
fn who_becomes_exempt_while_nobody_judges_is_let_go_everywhere() {
    let network = network("nojudge", 0);
    let host = &network.victim;
    let kinds = ["nftables", "ipset", "iptables", "ebtables", "routes", "hosts-deny"];
    let backends: String = kinds[1..4].iter().map(|kind| format!("[respond.{kind}]\nbackend = \"nft\"\n")).collect();
    let config = format!("[respond]\nkind = {kinds:?}\n{backends}[respond.hosts-deny]\nfile = \"{{}}/etc/hosts.deny\"\n");
    let mut daemon = start(host, &config);
    for whom in ["192.0.2.1", "192.0.2.2", "192.0.2.3", "100.64.5.0/24"] {
        daemon.text(&["block", whom, "--for", "1h"]);
    }
    wait_until_held(&daemon, "100.64.5.0/24", &kinds);
    let file = daemon.path("etc/hosts.deny");
    // Those beside nftables that still block somebody in these.
    let blocked_in = |whom: &[&str]| {
        let run = |program: &str, args: &[&str]| host.run(program, args).unwrap();
        let texts = [
            ("ipset", run("ipset", &["save"])),
            ("iptables", run("iptables-nft-save", &[])),
            ("ebtables", run("ebtables-nft-save", &[])),
            ("routes", cut(host).join("\n")),
            ("hosts-deny", fs::read_to_string(&file).unwrap().replace("100.64.5.0/255.255.255.0", "100.64.5.0/24")),
        ];
        texts.into_iter().filter(|(_, text)| whom.iter().any(|whom| text.contains(whom))).map(|(name, _)| name).collect::<Vec<_>>()
    };
    let all = &kinds[1..];
    let is_all = |found: Vec<&str>| all.iter().all(|kind| found.contains(kind));
    assert!(is_all(blocked_in(&["192.0.2.1"])) && is_all(blocked_in(&["100.64.5.0/24"])), "{:?}", blocked_in(&["100.64.5.0/24"]));
    // The judge does nothing: the warden alone has read the file again.
    let judge = daemon.life("judge").expect("it runs") as u32;
    signal("STOP", judge);
    let exempt = |list: &str| format!("[policy]\nexempt = [{list}]\n{config}{KERN_LOG}");
    daemon.configure(&exempt("\"192.0.2.1\", \"100.64.5.5\""));
    daemon.hang_up();
    until("both are let go", || blocked_in(&["192.0.2.1", "100.64.5.0/24"]).is_empty().then_some(()));
    assert!(is_all(blocked_in(&["192.0.2.2"])));
    signal("CONT", judge);
    until("the judge has heard of it", || (daemon.blocked() == ["192.0.2.2", "192.0.2.3"]).then_some(()));
    // Everything dead at one blow, and an exemption more at the next start.
    kill_at_one_blow(&mut daemon);
    assert!(is_all(blocked_in(&["192.0.2.2"])));
    daemon.configure(&exempt("\"192.0.2.2\""));
    daemon.start_again();
    until("he is let go", || blocked_in(&["192.0.2.2"]).is_empty().then_some(()));
    wait_until_held(&daemon, "192.0.2.3", &kinds);
    assert_eq!(daemon.blocked(), ["192.0.2.3"]);
    assert!(!is_in_set(host, "blocked4", "192.0.2.2"));
}

/// What others have in everything that a responder could touch, without counters and remarks.
fn of_others(host: &Namespace) -> Vec<String> {
    let programs: [(&str, &[&str]); 8] = [
        ("iptables-nft-save", &[]),
        ("ip6tables-nft-save", &[]),
        ("iptables-legacy-save", &[]),
        ("ip6tables-legacy-save", &[]),
        ("ebtables-nft-save", &[]),
        ("ipset", &["save"]),
        ("ip", &["-4", "route", "show", "table", "all"]),
        ("ip", &["-6", "route", "show", "table", "all"]),
    ];
    let texts = programs.map(|(program, args)| host.run(program, args).unwrap());
    // The kernel's own routes come and go with the links.
    let is_others =
        |line: &&str| !["riposte", "proto 173", "proto kernel"].iter().any(|word| line.contains(word)) && !line.starts_with('#');
    let lines = texts.iter().flat_map(|text| text.lines()).filter(is_others);
    lines.map(|line| line.split(" [").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn every_kind_of_this_system_works_within_its_rights() {
    let network = network("kinds", 0);
    let host = &network.victim;
    for iptables in ["iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy"] {
        host.run(iptables, ["-N", "theirs"]).unwrap();
        host.run(iptables, ["-A", "INPUT", "-p", "udp", "--dport", "1", "-j", "theirs"]).unwrap();
    }
    host.run("ebtables-nft", ["-A", "INPUT", "-p", "ARP", "-j", "ACCEPT"]).unwrap();
    host.run("ipset", ["create", "blocked4", "hash:ip"]).unwrap();
    host.run("ip", ["route", "add", "unreachable", "198.51.100.7"]).unwrap();
    let before = of_others(host);
    // Debian has no older ebtables beside the one on nftables.
    let all: [(&str, &[&str]); 2] = [
        ("nft", &["nftables", "routes", "hosts-deny", "ipset", "iptables", "ebtables"]),
        ("legacy", &["nftables", "routes", "hosts-deny", "ipset", "iptables"]),
    ];
    for (backend, kinds) in all {
        let backends: String = kinds[3..].iter().map(|kind| format!("[respond.{kind}]\nbackend = \"{backend}\"\n")).collect();
        let config = format!("[respond]\nkind = {kinds:?}\n{backends}[respond.hosts-deny]\nfile = \"{{}}/etc/hosts.deny\"\n");
        let mut daemon = start(host, &config);
        daemon.text(&["block", "192.0.2.1", "--for", "1h"]);
        wait_until_held(&daemon, "192.0.2.1", kinds);
        assert_eq!(of_others(host), before, "{backend}: with a block");
        daemon.text(&["unblock", "192.0.2.1"]);
        until("all have let it go", || {
            kinds[1..].iter().all(|kind| daemon.figure(&format!("responder {kind}: lifted")) == 1).then_some(())
        });
        assert!(!daemon.log().contains(" WARN refused"), "{}", daemon.log());
        assert!(daemon.end().success());
        assert_eq!(of_others(host), before, "{backend}: at the end");
        assert_eq!(fs::read_to_string(daemon.path("etc/hosts.deny")).unwrap(), THEIRS);
    }
}

#[test]
fn it_keeps_only_the_rights_that_its_kinds_need() {
    let network = network("rights", 0);
    let daemon = start(&network.victim, ALL);
    let keeper = daemon.life("responder").expect("it runs");
    for pid in [keeper, u64::from(until("one works", || worker(keeper)))] {
        let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap();
        // CAP_CHOWN (0) of hosts-deny and CAP_NET_ADMIN (12) of routes, and what programs could ever have is no more.
        assert!(status.contains("CapEff:\t0000000000001001") && status.contains("CapBnd:\t0000000000001001"), "{status}");
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    }
}
