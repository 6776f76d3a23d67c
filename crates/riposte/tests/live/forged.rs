//! Scans in other people's names, with the tools that are known for it: decoys (`nmap -D`), an idle scan through a zombie (`nmap -sI`), and
//! forged gateways, resolvers and time servers (`hping3 -a`). The innocent lose nothing, or for as long as forgeable evidence may cost.

use crate::daemon::{Daemon, folder, network, set, text, until};
use range::namespace::Namespace;
use range::network::{GATEWAY, RESOLVER, VICTIM, attacker_address};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use sys::nflog::{Nflog, NflogSettings};
use sys::raw::RawSocket;
use wire::build::{Ip, Tcp};
use wire::packet::Transport;

const TIME_SERVER: &str = "192.0.2.123";
const GUARD: &str = "[guard]\ntcp = [\"1-1000\"]\nudp = [\"1-1000\"]\n";

/// A daemon whose host has a resolver and a time server.
fn start(victim: &Namespace, config: &str) -> Daemon {
    let folder = folder();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name).display().to_string();
        fs::write(&path, text).map(|()| path).unwrap()
    };
    let resolv = write("resolv.conf", &format!("nameserver {RESOLVER}\n"));
    let time = write("timesyncd.conf", &format!("[Time]\nNTP={TIME_SERVER}\n"));
    // The daemon sees its own settings: in a mount namespace of its own.
    let script = format!("mount --bind {resolv} /etc/resolv.conf && mount --bind {time} /etc/systemd/timesyncd.conf && exec \"$@\"");
    let daemon = Daemon::start_in(folder, victim, config, &["unshare", "-m", "sh", "-c", &script, "sh"]);
    until("all are exempt", || {
        let exempt = set(victim, "exempt4");
        [GATEWAY, RESOLVER, TIME_SERVER].iter().all(|address| exempt.contains(address)).then_some(())
    });
    daemon
}

/// Whom the kernel keeps away, by one way or another.
fn kept_away(victim: &Namespace, address: &str) -> bool {
    ["blocked4", "trapped4", "held4"].iter().any(|name| set(victim, name).contains(&format!("{address} ")))
}

#[test]
fn decoys_are_undone_and_the_scanner_himself_is_found() {
    let network = network("decoys", 1);
    let daemon = start(&network.victim, GUARD);
    let strangers = (1..=70).map(|n| format!("198.18.0.{n}"));
    let decoys: Vec<String> =
        [GATEWAY, RESOLVER, TIME_SERVER].map(str::to_owned).into_iter().chain(strangers).chain(["ME".into()]).collect();
    let scanner = attacker_address(0);
    network.attackers[0]
        .run("nmap", ["-n", "-Pn", "-sS", "-T4", "--max-retries", "0", "-D", &decoys.join(","), "-p", "100-109", VICTIM])
        .unwrap();
    // So many at once can't be true: what they earned is taken back, and he who hides among them has nothing to fear for now.
    until("the storm is seen", || (daemon.figure("storms") == 1).then_some(()));
    until("all are undone", || daemon.blocked().is_empty().then_some(()));
    // Until he completes a handshake; he may be held for a moment still.
    network.attackers[0].run("ncat", ["-z", "-w", "10", VICTIM, "105"]).unwrap();
    daemon.wait_until_blocked(&scanner);
    assert_eq!(daemon.blocked(), [scanner.as_str()]);
    let explained = daemon.json_one(&["explain", &scanner]);
    assert_eq!(text(&explained["block"]["trust"]), "handshake", "{explained}");
    assert_eq!(text(&explained["quote"]["line"]), "tcp/105 (connect), 1 hop away");
    for address in [GATEWAY, RESOLVER, TIME_SERVER] {
        assert!(!kept_away(&network.victim, address), "{address}");
        assert!(daemon.json(&["history", address]).iter().all(|entry| entry["decision"] != "block"), "{address}");
    }
}

#[test]
fn whoever_the_host_needs_is_never_kept_away_whoever_forges_him() {
    let answering = format!("{GUARD}trap_tcp = [2000]\ntrap_udp = [2000]\n");
    for (tag, config) in [("needed", answering), ("needed-too", GUARD.replace("tcp", "stealth = true\ntcp"))] {
        let network = network(tag, 0);
        let daemon = start(&network.victim, &config);
        let forge = |address: &str| {
            let ways = [["-S", "-p", "++1"], ["-F", "-p", "++1"], ["--udp", "-p", "++1"], ["-S", "-p", "2000"], ["--udp", "-p", "2000"]];
            let forgers = ways.map(|options| {
                let args = [&["-q", "-a", address, "-c", "20", "-i", "u500"], &options[..], &[VICTIM]].concat();
                let mut hping3 = network.insider.command("hping3");
                hping3.args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("hping3 is installed")
            });
            // It waits for answers, which nobody sends it.
            forgers.into_iter().for_each(|mut forger| assert!(forger.wait().is_ok()));
        };
        // A stranger last: when he is blocked the others' packets have been judged.
        for address in [GATEWAY, RESOLVER, TIME_SERVER, "198.18.0.1"] {
            forge(address);
            assert_eq!(kept_away(&network.victim, address), address == "198.18.0.1", "{address}");
        }
        daemon.wait_until_blocked("198.18.0.1");
        assert_eq!(daemon.blocked(), ["198.18.0.1"]);
        let block = daemon.json_one(&["explain", "198.18.0.1"])["block"].clone();
        assert_eq!((text(&block["trust"]), &daemon.json(&["history", "198.18.0.1"])[0]["seconds"]), ("spoofable".into(), &600.into()));
        for (address, why) in [(GATEWAY, "default gateway"), (RESOLVER, "resolver"), (TIME_SERVER, "time server")] {
            assert!(text(&daemon.json_one(&["explain", address])["exempt"]).contains(why), "{address}");
        }
    }
}

/// An idle host as nmap needs it: one that answers whatever it did not ask for with a reset, and numbers its packets one by one (Linux doesn't).
fn answer_as_a_zombie(zombie: &Namespace, ended: &AtomicBool) {
    let name = Path::new("/run/netns").join(zombie.name());
    let open = || (Nflog::open(&NflogSettings::group(7)).unwrap(), RawSocket::open().unwrap());
    let (mut nflog, socket) = sys::namespace::within(&name, open).unwrap();
    let mut identification = 0_u16;
    while !ended.load(Ordering::Relaxed) {
        let mut answers = Vec::new();
        let read = nflog.receive(64, |packet| {
            let Ok(packet) = wire::packet::parse(packet.payload) else { return };
            let (Transport::Tcp(asked), IpAddr::V4(asker)) = (packet.transport, packet.source) else { return };
            let sequence = asked.rest.map(|rest| rest.acknowledgment).unwrap_or_default();
            identification += 1;
            let reset = Tcp {
                source_port: asked.port,
                port: asked.source_port,
                sequence,
                flags: model::event::TcpFlags(model::event::TcpFlags::RST),
                ..Tcp::default()
            };
            answers.push((Ip { identification, ..Ip::new(packet.target, packet.source) }.tcp(&reset), asker));
        });
        answers.iter().for_each(|(answer, to): &(Vec<u8>, Ipv4Addr)| drop(socket.send(answer, *to)));
        if read.unwrap() == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn an_idle_scan_costs_its_zombie_no_more_than_forgeable_evidence_may() {
    let network = network("zombie", 2);
    let (scanner, zombie) = (attacker_address(0), attacker_address(1));
    for rule in [
        "table ip quiet",
        "chain ip quiet in { type filter hook input priority -300; }",
        "rule ip quiet in meta l4proto tcp log group 7 snaplen 128 queue-threshold 1 drop",
    ] {
        network.attackers[1].run("nft", [format!("add {rule}")]).unwrap();
    }
    let daemon = start(&network.victim, GUARD);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| answer_as_a_zombie(&network.attackers[1], &ended));
        let scan = |ports: &str| {
            let args = ["30", "nmap", "-n", "-Pn", "-sI", &format!("{zombie}:80"), "--max-retries", "0", "-p", ports, VICTIM];
            network.attackers[0].run("timeout", args)
        };
        // Answered by us, reset by the zombie: no handshake, so no touch.
        let few = scan("100,101");
        let (touches, blocked) = (daemon.sensor_figure("guard", "touches"), daemon.blocked());
        let many = scan("200-220");
        ended.store(true, Ordering::Relaxed);
        for said in [few.unwrap(), many.unwrap()] {
            assert!(said.contains(&format!("Idle scan using zombie {zombie}")) && said.contains("Class: Incremental"), "{said}");
        }
        assert_eq!((touches, blocked), (Some(0), Vec::new()));
    });
    // The scanner himself never sent us anything in his own name.
    daemon.wait_until_blocked(&zombie);
    assert_eq!(daemon.blocked(), [zombie.as_str()]);
    let block = daemon.json_one(&["explain", &zombie])["block"].clone();
    assert_eq!((text(&block["charge"]), text(&block["trust"])), ("port scan".into(), "spoofable".into()), "{block}");
    assert_eq!(daemon.json(&["history", &zombie])[0]["seconds"], 600);
    assert!(daemon.json(&["history", &scanner]).is_empty());
}
