//! What other firewall tools do to riposte's table is undone at once, and what riposte does touches nobody else's.

use crate::daemon::{Daemon, is_in_set, network, said, scan_lines, set, signal, text, until};
use range::namespace::Namespace;
use range::network::{GATEWAY, Network, VICTIM, attacker_address};
use serde_json::Value;
use std::process::Command;
use std::time::Instant;

const LOG: &str = "[[sense.log]]\nkind = \"file\"\npath = \"{}/kern.log\"\n";
const BLOCKED: &str = "192.0.2.1";
const BLOCKED_NET: &str = "192.0.2.64/26";
const BLOCKED6: &str = "2001:db8:66::1";

/// What Docker's engine has iptables do when it starts (no engine is here): its chains, NAT and a container's published port.
const DOCKER: &str = "\
*nat\n:DOCKER - [0:0]\n-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\n\
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80\nCOMMIT\n\
*filter\n:DOCKER - [0:0]\n:DOCKER-ISOLATION-STAGE-1 - [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-ISOLATION-STAGE-1\n\
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A FORWARD -o docker0 -j DOCKER\n\
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT\n-A DOCKER-ISOLATION-STAGE-1 -j RETURN\n-A DOCKER-USER -j RETURN\nCOMMIT\n";
const SAVED: &str =
    "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 23 -j DROP\nCOMMIT\n";
const FILE: &str = "flush ruleset\ntable inet filter {\n chain input {\n  type filter hook input priority filter; policy accept;\n  tcp dport 23 drop\n }\n}\n";

/// A copy of ufw's files in front of the real ones, in a mount namespace that ends with the shell.
const UFW: &str = "mount -t tmpfs tmpfs /run && mkdir /run/etc /run/lib && cp -a /etc/ufw/. /run/etc && cp -a /lib/ufw/. /run/lib && \
     mount --bind /run/etc /etc/ufw && mount --bind /run/lib /lib/ufw && ufw --force enable && ufw allow 22/tcp && ufw reload && ufw --force disable";
/// firewalld with a message bus of its own, ended by its own number.
const FIREWALLD: &str = "mount -t tmpfs tmpfs /run && mkdir -p /run/dbus /run/etc && cp -a /etc/firewalld/. /run/etc && mount --bind /run/etc /etc/firewalld && \
     bus=$(dbus-daemon --system --fork --nopidfile --print-pid) && { firewalld --nofork --nopid >/run/out 2>&1 & d=$!; \
     n=0; until firewall-cmd --state >/dev/null 2>&1 || [ $n = 100 ]; do n=$((n+1)); sleep 0.2; done; \
     firewall-cmd --add-port=8443/tcp && firewall-cmd --reload && firewall-cmd --complete-reload; s=$?; kill $d; wait $d; kill $bus; [ $s = 0 ]; }";

/// A daemon with one address, one prefix and one IPv6 address blocked.
fn start(network: &Network) -> Daemon {
    let daemon = Daemon::start(&network.victim, LOG);
    for whom in [BLOCKED, BLOCKED_NET, BLOCKED6, &attacker_address(0)] {
        daemon.text(&["block", whom, "--for", "1h"]);
    }
    until("all are blocked", || stands(&network.victim).then_some(()));
    daemon
}

fn in_kernel(host: &Namespace, set: &str, what: &str) -> bool {
    host.run("nft", ["get", "element", "inet", "riposte", set, &format!("{{ {what} }}")]).is_ok()
}

/// Whether everybody who should be is blocked, and the rules that do it stand.
fn stands(host: &Namespace) -> bool {
    let rules = host.run("nft", ["list", "chain", "inet", "riposte", "prerouting"]).unwrap_or_default();
    let attacker = attacker_address(0);
    let all = [("blocked4", BLOCKED), ("blocked4", attacker.as_str()), ("blocked4_nets", BLOCKED_NET), ("blocked6", BLOCKED6)];
    // Rules: loopback, two exempt sets, five blocked sets, two of others' lists, and nothing before them.
    rules.lines().filter(|line| line.ends_with("return") || line.ends_with("drop")).count() == 10
        && rules.contains("policy accept")
        && !rules.contains("\t\taccept")
        && all.iter().all(|(set, what)| in_kernel(host, set, what))
        && in_kernel(host, "exempt4", GATEWAY)
}

/// Everybody else's tables, handles included. Without what packets count.
fn foreign(host: &Namespace) -> Vec<Value> {
    let text = host.run("nft", ["-j", "-s", "list", "ruleset"]).expect("nft lists");
    let mut json: Value = serde_json::from_str(&text).expect("JSON");
    let Value::Array(objects) = json["nftables"].take() else { panic!("no objects: {text}") };
    let ours = |object: &Value| {
        let (kind, inside) = object.as_object().and_then(|object| object.iter().next()).expect("one object");
        inside["family"] == "inet" && (inside["table"] == "riposte" || kind == "table" && inside["name"] == "riposte")
    };
    objects.into_iter().filter(|object| !ours(object)).collect()
}

/// Runs a shell script in the host's network, with mounts of its own; false if a tool has failed there.
fn shell(host: &Namespace, script: &str) -> bool {
    let done = Command::new("ip").args(["netns", "exec", host.name(), "sh", "-c", script]).output().expect("ip can be started");
    if !done.status.success() {
        eprintln!("{script}: {}", said(&done));
    }
    done.status.success()
}

/// Lets a tool do its work, and waits until all who were blocked are blocked.
fn suffer(network: &Network, daemon: &Daemon, what: &str, script: &str) {
    let host = &network.victim;
    assert!(shell(host, script), "{what}");
    let (others, began) = (foreign(host), Instant::now());
    until(&format!("all are blocked again after {what}"), || stands(host).then_some(()));
    println!("{what}: whole again {:.0?} after it ended; repaired {} times so far", began.elapsed(), daemon.figure("table repaired"));
    assert!(network.attackers[0].run("ncat", ["-z", "-w", "1", VICTIM, "22"]).is_err(), "{what}: the blocked gets through");
    assert_eq!(foreign(host), others, "{what}: riposte has changed somebody else's table");
}

#[test]
fn other_tools_leave_the_blocked_blocked() {
    let network = network("tools", 1);
    let (daemon, host) = (start(&network), &network.victim);
    // Whatever takes something of ours away is noticed, repaired and told.
    let damaging = [
        ("nft flush ruleset", "nft flush ruleset".to_owned()),
        ("nft -f with a file that begins with flush ruleset", format!("printf '{FILE}' | nft -f -")),
        ("nft delete table", "nft delete table inet riposte".to_owned()),
        ("nft flush set", "nft flush set inet riposte blocked4".to_owned()),
        ("nft flush set of the exempt", "nft flush set inet riposte exempt4".to_owned()),
        ("nft delete element", format!("nft delete element inet riposte blocked4 '{{ {BLOCKED} }}'")),
        ("nft delete chain", "nft 'flush chain inet riposte prerouting; delete chain inet riposte prerouting'".to_owned()),
        ("nft insert rule", "nft insert rule inet riposte prerouting accept".to_owned()),
        ("nft delete set", "nft 'flush chain inet riposte prerouting; delete set inet riposte blocked6'".to_owned()),
        ("nft with a dormant table", "nft 'add table inet riposte { flags dormant; }'".to_owned()),
    ];
    for (n, (what, script)) in damaging.iter().enumerate() {
        suffer(&network, &daemon, what, script);
        until(&format!("{what} is counted"), || (daemon.figure("table repaired") > n as u64).then_some(()));
    }
    let repairs = daemon.figure("table repaired");
    let status = daemon.json_one(&["status"]);
    assert!(text(&status["repaired"]["why"]).contains("by 'nft' (process "), "{status}");
    assert!(daemon.text(&["status"]).contains("riposte's own table had its rules changed by 'nft'"));
    assert!(daemon.log().contains("was deleted by 'nft' (process "), "{}", daemon.log());
    // These work beside ours.
    for restore in ["iptables-nft-restore", "iptables-legacy-restore", "ip6tables-nft-restore"] {
        suffer(&network, &daemon, restore, &format!("printf '{SAVED}' | {restore} && printf '{SAVED}' | {restore}"));
    }
    for restore in ["iptables-nft-restore", "iptables-legacy-restore"] {
        suffer(&network, &daemon, &format!("Docker's rules by {restore}"), &format!("printf '{DOCKER}' | {restore} --noflush"));
    }
    assert_eq!(daemon.figure("table repaired"), repairs, "nobody touched the table, so nothing was to be repaired");
    // All the while the rest goes on: a new scanner is blocked, a lifted one is free, also after the next flush.
    daemon.wait_until_followed("kern.log");
    daemon.append("kern.log", &scan_lines("192.0.2.9", VICTIM, 1_000..1_006));
    until("a new scanner is blocked", || in_kernel(host, "blocked4", "192.0.2.9").then_some(()));
    daemon.text(&["unblock", "192.0.2.9"]);
    until("it is free", || (!in_kernel(host, "blocked4", "192.0.2.9")).then_some(()));
    suffer(&network, &daemon, "nft flush ruleset", "nft flush ruleset");
    assert!(!in_kernel(host, "blocked4", "192.0.2.9"), "who was let go stays free");
}

#[test]
fn ufw_and_firewalld_leave_the_blocked_blocked() {
    let network = network("managers", 1);
    let daemon = start(&network);
    suffer(&network, &daemon, "ufw enable, allow, reload, disable", UFW);
    suffer(&network, &daemon, "firewalld start, reload, complete reload, end", FIREWALLD);
    assert_eq!(daemon.figure("table repairs that the kernel refused"), 0);
}

#[test]
fn a_whole_life_changes_no_other_table() {
    let network = network("beside", 0);
    let host = &network.victim;
    let tables = "add table inet mine; add set inet mine blocked4 { type ipv4_addr; flags timeout; }; add element inet mine blocked4 { 192.0.2.1 }; \
                  add chain inet mine input { type filter hook input priority 0; policy accept; }; add rule inet mine input ip saddr @blocked4 drop; \
                  add table ip riposte; add chain ip riposte c; add table ip6 riposte; add table netdev riposte";
    host.run("nft", [tables]).unwrap();
    assert!(shell(host, &format!("printf '{SAVED}' | iptables-nft-restore")));
    let before = foreign(host);
    let mut daemon = start(&network);
    for damage in ["delete table inet riposte", "flush set inet riposte blocked4"] {
        host.run("nft", [damage]).unwrap();
        until("all are blocked again", || stands(host).then_some(()));
    }
    assert_eq!(foreign(host), before);
    assert!(daemon.end().success());
    assert_eq!(foreign(host), before);
}

#[test]
fn the_warden_repairs_while_the_judge_is_stopped() {
    let network = network("alone", 1);
    let daemon = start(&network);
    let judge = daemon.life("judge").expect("runs") as u32;
    signal("STOP", judge);
    let (host, began) = (&network.victim, Instant::now());
    host.run("nft", ["flush", "ruleset"]).unwrap();
    until("all are blocked again", || stands(host).then_some(()));
    println!("flush ruleset with the judge stopped: whole again after {:.0?}", began.elapsed());
    signal("CONT", judge);
    until("the judge hears of it", || (daemon.figure("table repaired") == 1).then_some(()));
}

#[test]
fn what_operators_allow_reaches_the_kernel() {
    let network = network("allow", 0);
    let (daemon, host) = (start(&network), &network.victim);
    for whom in [BLOCKED, "192.0.2.128/25", "2001:db8:77::/48"] {
        daemon.text(&["allow", whom]);
    }
    daemon.text(&["allow", "192.0.2.9", "--for", "2s"]);
    until("the exempt sets have them", || {
        let exempt = set(host, "exempt4") + &set(host, "exempt6");
        [BLOCKED, "192.0.2.128/25", "2001:db8:77::/48"].iter().all(|one| exempt.contains(one)).then_some(())
    });
    until("the block is lifted", || (!in_kernel(host, "blocked4", BLOCKED)).then_some(()));
    until("a short allowance ends in the kernel, too", || (!is_in_set(host, "exempt4", "192.0.2.9")).then_some(()));
    daemon.text(&["allow", "--remove", "192.0.2.128/25"]);
    until("it is off the kernel's list", || (!is_in_set(host, "exempt4", "192.0.2.128/25")).then_some(()));
    // The judge starts again and tells the warden once more; the table is deleted, and the allowances come back with it.
    signal("KILL", daemon.life("judge").expect("runs") as u32);
    host.run("nft", ["flush", "ruleset"]).unwrap();
    until("the allowance is back", || host.run("nft", ["get", "element", "inet", "riposte", "exempt4", &format!("{{ {BLOCKED} }}")]).ok());
    until("the judge is back", || daemon.ask(&["allow"]).status.success().then_some(()));
    let refusal = daemon.refusal(&["block", BLOCKED]);
    assert!(refusal.contains("exempt"), "{refusal}");
    assert!(set(host, "exempt6").contains("2001:db8:77::/48"));
}

#[test]
fn an_interface_may_go_and_come_back() {
    let network = network("link", 1);
    let daemon = Daemon::start(&network.victim, "");
    let (host, gateway) = (&network.victim, &network.gateway);
    let is_exempt = |address: &str| set(host, "exempt4").contains(address);
    assert!(is_exempt(VICTIM) && is_exempt(GATEWAY));
    gateway.run("ip", ["link", "del", "i0"]).unwrap();
    until("the host's own addresses are no exemption any more", || (!is_exempt(VICTIM) && !is_exempt(GATEWAY)).then_some(()));
    gateway.run("ip", ["link", "add", "i0", "type", "veth", "peer", "name", "eth0", "netns", host.name()]).unwrap();
    gateway.run("ip", ["link", "set", "i0", "master", "inside", "up"]).unwrap();
    host.run("ip", ["link", "set", "eth0", "up"]).unwrap();
    host.run("ip", ["addr", "add", &format!("{VICTIM}/24"), "dev", "eth0"]).unwrap();
    host.run("ip", ["route", "add", "default", "via", GATEWAY]).unwrap();
    until("they are again", || (is_exempt(VICTIM) && is_exempt(GATEWAY)).then_some(()));
    // And who scans over the new interface is blocked.
    let scanner = attacker_address(0);
    // The way is open once the neighbours have found each other again.
    until("the scanner is blocked", || {
        network.attackers[0].run("nmap", ["-n", "-Pn", "-sS", "--max-retries", "0", "-p", "1000-1009", VICTIM]).unwrap();
        daemon.blocked().contains(&scanner).then_some(())
    });
    until("the kernel has it", || in_kernel(host, "blocked4", &scanner).then_some(()));
}
