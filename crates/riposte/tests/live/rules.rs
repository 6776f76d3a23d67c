//! The proof of `riposte check --host`: rulesets that real tools made are loaded into a real kernel, every port is really tried from another
//! host, and what becomes of it must be what the analysis says.

use crate::daemon::{RIPOSTE, network, until};
use range::namespace::Namespace;
use range::network::{Network, VICTIM, VICTIM6, attacker_address, attacker_address6};
use ruleset::ask::{Fate, ask};
use ruleset::firewall::Firewall;
use ruleset::packet::{Packet, Way};
use ruleset::{Ruleset, Version, read};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Ports that some ruleset names, and some beside them.
const PORTS: [u16; 42] = [
    21, 22, 23, 24, 25, 53, 80, 81, 113, 443, 500, 550, 601, 1000, 1194, 1500, 2050, 2100, 2222, 2500, 2999, 3306, 5432, 7000, 7001, 7002,
    8000, 8004, 8006, 8024, 8080, 8081, 8082, 8100, 8443, 9005, 9090, 9091, 51820, 60005, 60011, 61000,
];
/// How long a try waits for an answer that doesn't come: past TCP's first repetition after a second, for a refusal that arrives while the
/// sender is still in connect() counts only then.
const SILENCE: Duration = Duration::from_millis(1_500);

/// Something to talk to on every port, for both versions of IP.
struct Listeners {
    _tcp: Vec<TcpListener>,
    udp: Vec<UdpSocket>,
}

fn inside<T: Send>(namespace: &Namespace, work: impl FnOnce() -> T + Send) -> T {
    sys::namespace::within(&Path::new("/run/netns").join(namespace.name()), work).expect("a namespace of ours")
}

fn listen(victim: &Namespace) -> Listeners {
    inside(victim, || {
        let all = |port: &u16| SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, *port));
        let udp =
            |port: &u16| UdpSocket::bind(all(port)).and_then(|socket| socket.set_nonblocking(true).map(|()| socket)).expect("a free port");
        Listeners {
            _tcp: PORTS.iter().map(|port| TcpListener::bind(all(port)).expect("a free port")).collect(),
            udp: PORTS.iter().map(udp).collect(),
        }
    })
}

/// Sends every datagram back until it is told to stop.
fn echo(sockets: &[UdpSocket], stop: &AtomicBool) {
    let mut bytes = [0; 64];
    while !stop.load(Ordering::Relaxed) {
        for socket in sockets {
            while let Ok((len, from)) = socket.recv_from(&mut bytes) {
                // Somebody who is gone is no matter.
                let _ = socket.send_to(&bytes[..len], from);
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What becomes of a connection, as its sender sees it.
fn fate_of(error: &std::io::Error) -> Fate {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Fate::Dropped,
        _ => Fate::Rejected,
    }
}

fn try_tcp(to: SocketAddr) -> Fate {
    TcpStream::connect_timeout(&to, SILENCE).map_or_else(|error| fate_of(&error), |_| Fate::Accepted)
}

fn try_udp(to: SocketAddr) -> Fate {
    let any: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { (std::net::Ipv6Addr::UNSPECIFIED, 0).into() };
    let tried = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(to)?;
        socket.set_read_timeout(Some(SILENCE))?;
        socket.send(b"hello")?;
        socket.recv(&mut [0; 64])
    });
    tried.map_or_else(|error| fate_of(&error), |_| Fate::Accepted)
}

/// Neighbours that don't depend on the rules, and answers that aren't rationed.
fn prepare(network: &Network) {
    let mac = |host: &Namespace, interface: &str| {
        host.run("cat", [format!("/sys/class/net/{interface}/address")]).expect("an interface").trim().to_owned()
    };
    // /sys shows the namespace that it was mounted in, so `ip netns exec` mounts it anew.
    let (victim, gateway) = (mac(&network.victim, "eth0"), mac(&network.gateway, "inside"));
    let fixed = |host: &Namespace, address: &str, mac: &str, interface: &str| {
        host.run("ip", ["neigh", "replace", address, "lladdr", mac, "dev", interface, "nud", "permanent"]).expect("a neighbour");
    };
    for (at_gateway, at_victim) in [(VICTIM, range::network::GATEWAY), (VICTIM6, "2001:db8:13::1")] {
        fixed(&network.gateway, at_gateway, &victim, "inside");
        fixed(&network.victim, at_victim, &gateway, "eth0");
    }
    for setting in ["net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0"] {
        network.victim.sysctl(setting).expect("a setting of the namespace");
    }
}

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ruleset/tests/rulesets");
    let entries = std::fs::read_dir(root).expect("readable").map(|entry| entry.expect("readable").path());
    let mut all: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    // What iptables-legacy loads isn't taken away by nft, so it comes last.
    all.sort_by_key(|path| (path.ends_with("legacy"), path.clone()));
    all
}

/// Loads a saved ruleset into the kernel, and reads it.
fn load(victim: &Namespace, folder: &Path) -> Ruleset {
    victim.run("nft", ["flush", "ruleset"]).expect("an empty firewall");
    let legacy = if folder.ends_with("legacy") { "-legacy" } else { "" };
    let mut rules = Ruleset::default();
    for (end, program) in
        [("v4", format!("iptables{legacy}-restore")), ("v6", format!("ip6tables{legacy}-restore")), ("nft", "nft".to_owned())]
    {
        let file = folder.join(format!("ruleset.{end}"));
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        rules.join(read(&text, None).expect("a ruleset that a tool made"));
        let mut command = victim.command(&program);
        let done = if end == "nft" { command.arg("-f").arg(&file) } else { command.arg(&file) }.output().expect("the tool is there");
        assert!(done.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&done.stderr));
    }
    rules
}

struct Try {
    packet: Packet,
    to: SocketAddr,
}

impl Try {
    fn all() -> Vec<Try> {
        let number = |address: &str| match address.parse().expect("an address") {
            IpAddr::V4(v4) => u128::from(u32::from(v4)),
            IpAddr::V6(v6) => v6.into(),
        };
        let sides = [(Version::V4, attacker_address(0), VICTIM), (Version::V6, attacker_address6(0), VICTIM6)];
        let own = |victim: &str| vec![number(victim)];
        sides
            .iter()
            .flat_map(|(version, attacker, victim)| {
                PORTS.iter().flat_map(move |port| {
                    [6, 17].map(|protocol| Try {
                        packet: Packet {
                            version: *version,
                            protocol,
                            source: number(attacker),
                            port: Some(*port),
                            icmp: None,
                            interface: Some("eth0".to_owned()),
                            way: Way::Here(own(victim)),
                        },
                        to: SocketAddr::new(victim.parse().expect("an address"), *port),
                    })
                })
            })
            .collect()
    }

    fn now(&self) -> Fate {
        if self.packet.protocol == 6 { try_tcp(self.to) } else { try_udp(self.to) }
    }

    /// What really happens. An answer may be late on a busy machine, so a silence that nobody expected is tried again.
    fn really(&self, expected: Fate) -> Fate {
        let mut tries = 0;
        until("a port's fate is plain", || {
            tries += 1;
            let fate = self.now();
            (fate == expected || fate != Fate::Dropped || tries > 8).then_some(fate)
        })
    }
}

#[test]
fn what_the_analysis_says_is_what_the_kernel_does() {
    let network = network("rules", 1);
    prepare(&network);
    let listeners = listen(&network.victim);
    let stop = AtomicBool::new(false);
    let (mut wrong, mut seen) = (Vec::new(), std::collections::BTreeMap::<String, usize>::new());
    std::thread::scope(|scope| {
        scope.spawn(|| echo(&listeners.udp, &stop));
        for folder in folders() {
            let rules = load(&network.victim, &folder);
            let firewall = Firewall::new(&rules, |_| false);
            let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
            let tries = Try::all();
            // A published port leads to a container that isn't there.
            let asked = tries
                .iter()
                .map(|one| (one, ask(&firewall, &one.packet)))
                .filter(|(_, answer)| answer.sent_to.is_none_or(|(to, _)| to.is_none()));
            let asked: Vec<(&Try, Fate)> = asked.map(|(one, answer)| (one, answer.fate())).collect();
            let found: Vec<Fate> = inside(&network.attackers[0], || {
                let work = asked.iter().map(|(one, expected)| (*one, *expected));
                std::thread::scope(|tries| {
                    let running: Vec<_> = work.map(|(one, expected)| tries.spawn(move || one.really(expected))).collect();
                    running.into_iter().map(|one| one.join().expect("no panic")).collect()
                })
            });
            for ((one, expected), really) in asked.iter().zip(found) {
                *seen.entry(format!("{name} {} {expected:?}", one.packet.version)).or_default() += 1;
                if *expected != really {
                    wrong.push(format!("{name}: {} protocol {}: said {expected:?}, is {really:?}", one.to, one.packet.protocol));
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("{seen:#?}");
    assert_eq!(wrong, Vec::<String>::new());
    assert!(seen.len() >= 40, "all kinds of fates were met");
}

/// The command line in the victim's namespace.
fn check(victim: &Namespace, args: &[&str]) -> (i32, serde_json::Value) {
    let output = victim
        .command(RIPOSTE)
        .args(["check", "--host", "--json", "--config", "/dev/null"])
        .args(args)
        .output()
        .expect("riposte can be started");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().expect("an exit code"), serde_json::from_str(&said).unwrap_or_else(|e| panic!("{e}: {said}")))
}

#[test]
fn the_live_rules_of_every_kernel_interface_are_read() {
    let network = network("hostcheck", 0);
    let victim = &network.victim;
    let side = |json: &serde_json::Value, family: usize| {
        let side = &json["families"][family]["by_interface"][0];
        let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        (word(&side["interface"]), word(&side["tcp"]["fate"]), word(&side["udp"]["fate"]))
    };
    let expected = |tcp: &str, udp: &str| ("eth0".to_owned(), tcp.to_owned(), udp.to_owned());
    // Nothing at all.
    let (code, json) = check(victim, &[]);
    assert_eq!((code, side(&json, 0), side(&json, 1)), (1, expected("accepted", "accepted"), expected("accepted", "accepted")), "{json:#}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ruleset/tests/rulesets");
    // nft's own; iptables over nf_tables with parts that nft's listing hides; the old interface.
    load(victim, &root.join("server"));
    let (code, json) = check(victim, &[]);
    assert_eq!((code, side(&json, 0), side(&json, 1)), (0, expected("dropped", "dropped"), expected("dropped", "dropped")), "{json:#}");
    load(victim, &root.join("early"));
    let (code, json) = check(victim, &[]);
    assert_eq!((code, side(&json, 0), side(&json, 1)), (1, expected("dropped", "dropped"), expected("dropped", "dropped")), "{json:#}");
    assert_eq!(json["not_understood"], serde_json::json!([]));
    assert!(
        json["riposte_sees"].as_array().is_some_and(|all| all.iter().any(|one| one["protocol"] == "TCP" && one["seen"] == false)),
        "{json:#}"
    );
    load(victim, &root.join("legacy"));
    let (code, json) = check(victim, &[]);
    assert_eq!((code, side(&json, 0), side(&json, 1)), (0, expected("dropped", "dropped"), expected("dropped", "dropped")), "{json:#}");
    let marked = |open: &serde_json::Value| open["low"] == 8000 && open["high"] == 8100;
    assert!(json["families"][1]["ports"].as_array().is_some_and(|ports| ports.iter().any(marked)), "{json:#}");
}

#[test]
fn saved_rules_need_no_privilege_and_errors_have_their_place() {
    let folder = crate::daemon::folder();
    let path = folder.path().join("rules.v6");
    std::fs::write(&path, "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n").expect("writable");
    let run = |args: &[&str]| {
        let output = std::process::Command::new(RIPOSTE)
            .args(["check", "--config", "/dev/null", "--host"])
            .args(args)
            .output()
            .expect("riposte can be started");
        (output.status.code(), crate::daemon::said(&output))
    };
    let name = path.to_str().expect("UTF-8");
    let (code, text) = run(&[name]);
    assert_eq!(code, Some(1), "{text}");
    // The name says which version it is about, and only that one is judged.
    assert!(text.contains("IPv6: new connections are accepted") && text.contains("IPv4: these files say nothing about it"), "{text}");
    let (code, text) = run(&["--family", "4", name]);
    assert!(code == Some(1) && text.contains("IPv4: new connections are accepted"), "{text}");
    std::fs::write(&path, "*filter\n:INPUT DROP [0:0]\n-A INPT -j ACCEPT\nCOMMIT\n").expect("writable");
    let (code, text) = run(&[name]);
    assert!(code == Some(2) && text.contains("rules.v6:3: ") && text.contains("did you mean INPUT?"), "{text}");
    // An interface that no rule names, where rules name some.
    std::fs::write(&path, "*filter\n:INPUT DROP [0:0]\n-A INPUT -i wan0 -j ACCEPT\nCOMMIT\n").expect("writable");
    let (code, text) = run(&[name, "--outside", "wan1"]);
    assert!(
        code == Some(2) && text.contains("--outside 'wan1': there is no such interface") && text.contains("did you mean 'wan0'?"),
        "{text}"
    );
    assert_eq!(run(&[name, "--outside", "wan0"]).0, Some(1));
    std::fs::write(&path, "\n").expect("writable");
    let (code, text) = run(&[name]);
    assert!(code == Some(2) && text.contains("rules.v6: is empty"), "{text}");
}
