//! Packets out of the ring, before the host's own filter: every scan is seen whatever the filter does, on every kind of link; and nobody is
//! charged with what belongs to the host's own connections.

use crate::daemon::{Daemon, network, text, until};
use model::event::TcpFlags;
use model::net::Protocol;
use range::namespace::Namespace;
use range::network::{Network, VICTIM, VICTIM6, attacker_address, attacker_address6};
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;
use sys::raw::{FrameSocket, Tun};
use wire::build::{Ip, Tcp};
use wire::checksum::Sum;

const CAPTURE: &str = "[sense.capture]\nenabled = true\n";
/// Shortly: the sandbox' name of the only sensor here.
const SENSOR: &str = "packets";

fn file(namespace: &Namespace) -> PathBuf {
    Path::new("/run/netns").join(namespace.name())
}

fn inside<T: Send>(namespace: &Namespace, work: impl FnOnce() -> T + Send) -> T {
    sys::namespace::within(&file(namespace), work).expect("its own namespace")
}

/// Whoever is on the victim's own wire, and what stands before each packet: the victim's link address, and tags.
struct Wire {
    socket: FrameSocket,
    victim: [u8; 6],
}

impl Wire {
    fn new(network: &Network) -> Wire {
        let link = network.victim.run("ip", ["-o", "link", "show", "eth0"]).unwrap();
        let address = link.split("link/ether ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        let mut victim = [0; 6];
        victim.iter_mut().zip(address.split(':')).for_each(|(byte, text)| *byte = u8::from_str_radix(text, 16).unwrap());
        Wire { socket: inside(&network.insider, || FrameSocket::open("eth0")).unwrap(), victim }
    }

    fn send(&self, tags: &[u8], packet: &[u8]) {
        let kind: [u8; 2] = if packet[0] >> 4 == 4 { [0x08, 0x00] } else { [0x86, 0xdd] };
        let frame = [&self.victim[..], &[2, 0, 0, 0, 0, 9], tags, &kind, packet].concat();
        assert_eq!(self.socket.send(&[frame]).unwrap(), 1);
    }
}

fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn tcp(ip: &Ip, port: u16, flags: u8) -> Vec<u8> {
    ip.tcp(&Tcp { source_port: 40_000, port, sequence: 7, flags: TcpFlags(flags), window: 1_024, ..Tcp::default() })
}

/// Everything but what the victim itself has begun is dropped before anybody else sees it.
fn wall(victim: &Namespace) {
    for rule in [
        "table inet wall",
        "chain inet wall raw { type filter hook prerouting priority -305; }",
        "rule inet wall raw iifname != lo meta l4proto { tcp, udp } drop",
    ] {
        victim.run("nft", [format!("add {rule}")]).unwrap();
    }
}

/// Every way of nmap's, by both families, in front of a filter that drops all of it before NFLOG could see it.
#[test]
fn every_scan_is_seen_before_the_hosts_own_filter_drops_it() {
    let styles = [
        ("-sS", "syn"),
        ("-sT", "connect"),
        ("-sF", "fin"),
        ("-sN", "null"),
        ("-sX", "xmas"),
        ("-sA", "ack"),
        ("-sM", "maimon"),
        ("-sU", "udp"),
    ];
    let network = network("ring", styles.len());
    wall(&network.victim);
    let daemon = Daemon::start(&network.victim, CAPTURE);
    for (n, (scan, style)) in styles.into_iter().enumerate() {
        for (family, victim, address) in [("-4", VICTIM, attacker_address(n)), ("-6", VICTIM6, attacker_address6(n))] {
            let args = [family, "-n", "-Pn", scan, "-T4", "--max-retries", "0", "--host-timeout", "2s", "-p", "2000-2099", victim];
            network.attackers[n].run("nmap", args).unwrap();
            daemon.wait_until_blocked(&address);
            let history = daemon.json(&["history", &address]);
            let block = history.iter().find(|entry| entry["decision"] == "block").expect("a block");
            assert_eq!((text(&block["trust"]), text(&block["styles"][0])), ("spoofable".into(), style.into()), "{scan} {family}: {block}");
        }
    }
    assert_eq!(daemon.figure("probes handed over"), 0, "nothing came by NFLOG");
    assert_eq!(daemon.sensor_figure(SENSOR, "captured: lost, the ring was full"), Some(0));
}

#[test]
fn whoever_is_blocked_already_earns_nothing_more() {
    let network = network("ringmore", 1);
    let daemon = Daemon::start(&network.victim, CAPTURE);
    let scan = |ports: &str| {
        network.attackers[0]
            .run("nmap", ["-n", "-Pn", "-sS", "-T4", "--max-retries", "0", "--host-timeout", "2s", "-p", ports, VICTIM])
            .unwrap();
    };
    scan("2000-2019");
    daemon.wait_until_blocked(&attacker_address(0));
    let before = (daemon.json(&["list"]), daemon.json(&["history", &attacker_address(0)]).len());
    scan("3000-3099");
    until("packets of the blocked were counted", || Some(daemon.figure("captured packets of the blocked")).filter(|count| *count >= 20));
    let after = daemon.json(&["list"]);
    let words = |list: &[serde_json::Value]| ["level", "id", "expires", "until"].map(|key| list[0][key].clone());
    assert_eq!((words(&after), daemon.json(&["history", &attacker_address(0)]).len()), (words(&before.0), before.1));
}

#[test]
fn links_interfaces_and_addresses_are_followed() {
    let network = network("ringlinks", 1);
    let daemon =
        Daemon::start(&network.victim, &format!("{CAPTURE}interfaces = [\"eth*\", \"tun*\"]\n[policy.spoofable]\nblocks_standing = 100\n"));
    let probe_all = |from: &str, to: &str, send: &dyn Fn(&[u8])| {
        let ip = Ip::new(addr(from), addr(to));
        (4_000..4_010).for_each(|port| send(&tcp(&ip, port, TcpFlags::SYN)));
        daemon.wait_until_blocked(from);
    };
    let wire = Wire::new(&network);
    // A tag with a priority and no VLAN, alone and before another such.
    probe_all("203.0.113.101", VICTIM, &|packet| wire.send(&[0x81, 0, 0xe0, 0], packet));
    probe_all("203.0.113.102", VICTIM, &|packet| wire.send(&[0x88, 0xa8, 0, 0, 0x81, 0, 0, 0], packet));
    probe_all("2001:db8:13::103", VICTIM6, &|packet| wire.send(&[0x81, 0, 0xe0, 0], packet));
    // A VLAN that this host isn't in: the kernel itself gives such frames to nobody.
    let ip = Ip::new(addr("203.0.113.104"), addr(VICTIM));
    (4_000..4_050).for_each(|port| wire.send(&[0x81, 0, 0, 5], &tcp(&ip, port, TcpFlags::SYN)));

    // An address that comes later; and one that goes away again.
    network.victim.run("ip", ["addr", "add", "192.0.2.77/32", "dev", "eth0"]).unwrap();
    network.gateway.run("ip", ["route", "add", "192.0.2.77/32", "via", VICTIM]).unwrap();
    until("the new address is known", || {
        network.attackers[0].run("hping3", ["-q", "-S", "-c", "10", "-i", "u1000", "-p", "++5000", "192.0.2.77"]).ok();
        daemon.sensor_figure(SENSOR, "captured: told").filter(|told| *told > 35)
    });
    daemon.wait_until_blocked(&attacker_address(0));

    // A link without link addresses, which comes when riposte is at work.
    let tun = inside(&network.victim, || Tun::open("tun7")).unwrap();
    for args in [
        &["link", "set", "tun7", "up"][..],
        &["addr", "add", "192.0.2.9/24", "dev", "tun7"],
        &["addr", "add", "2001:db8:9::9/64", "dev", "tun7", "nodad"],
    ] {
        network.victim.run("ip", args).unwrap();
    }
    for (from, to) in [("192.0.2.200", "192.0.2.9"), ("2001:db8:9::200", "2001:db8:9::9")] {
        until("it is followed", || {
            let ip = Ip::new(addr(from), addr(to));
            (6_000..6_010).for_each(|port| tun.send(&tcp(&ip, port, TcpFlags::SYN)).unwrap());
            daemon.blocked().contains(&from.to_owned()).then_some(())
        });
    }
    // An interface that is not asked for.
    let tun = inside(&network.victim, || Tun::open("other0")).unwrap();
    for args in [&["link", "set", "other0", "up"][..], &["addr", "add", "198.18.0.9/24", "dev", "other0"]] {
        network.victim.run("ip", args).unwrap();
    }
    let ip = Ip::new(addr("198.18.0.200"), addr("198.18.0.9"));
    (6_000..6_050).for_each(|port| tun.send(&tcp(&ip, port, TcpFlags::SYN)).unwrap());
    probe_all("203.0.113.105", VICTIM, &|packet| wire.send(&[], packet));
    let blocked = daemon.blocked();
    assert!(["203.0.113.104", "198.18.0.200"].iter().all(|address| !blocked.contains(&(*address).to_owned())), "{blocked:?}");
}

/// What hides a scan from who looks at ports and first headers alone.
#[test]
fn extension_headers_fragments_and_ports_in_time_wait_hide_nothing() {
    let mut network = network("ringhide", 1);
    let daemon = Daemon::start(&network.victim, CAPTURE);
    let wire = Wire::new(&network);
    let from = |from: &str, to: &str| Ip::new(addr(from), addr(to));
    for (number, headers) in [("1", 1), ("2", 9)] {
        let source = format!("2001:db8:13::{number}0{number}");
        let ip = Ip { extension_headers: headers, ..from(&source, VICTIM6) };
        (4_000..4_010).for_each(|port| wire.send(&[], &tcp(&ip, port, TcpFlags::SYN)));
        daemon.wait_until_blocked(&source);
    }
    // The first eight bytes of the header, and the rest in a packet of its own.
    let ip = from("203.0.113.120", VICTIM);
    for port in 4_000..4_010 {
        let whole = tcp(&ip, port, TcpFlags::SYN);
        for (more, offset, part) in [(0x20, 0, &whole[20..28]), (0, 1, &whole[28..])] {
            let mut packet = ip.raw(Protocol::TCP, part);
            (packet[6], packet[7]) = (more, offset);
            packet[10..12].fill(0);
            let mut sum = Sum::default();
            sum.add(&packet[..20]);
            packet[10..12].copy_from_slice(&sum.finish().to_be_bytes());
            wire.send(&[], &packet);
        }
    }
    daemon.wait_until_blocked("203.0.113.120");
    daemon.wait_until_figure_of_at_least(SENSOR, "harmless: fragment tail", 10);
    // Ports whose only socket waits for late packets of a connection that is over.
    let serve = ["-l", "-k", "-e", "/bin/cat", "7000"];
    network.attackers[0].start("ncat", serve).expect("ncat is installed");
    for port in 4_100..4_110 {
        let port = port.to_string();
        until("it has connected", || network.victim.run("ncat", ["-z", "-p", &port, &attacker_address(0), "7000"]).ok());
    }
    until("they wait", || {
        Some(network.victim.run("ss", ["-Htan", "state", "time-wait"]).unwrap()).filter(|text| text.lines().count() >= 10)
    });
    let ip = from("203.0.113.121", VICTIM);
    (4_100..4_110).for_each(|port| wire.send(&[], &tcp(&ip, port, TcpFlags::SYN)));
    daemon.wait_until_blocked("203.0.113.121");
}

/// Thousands of short connections both ways, answers that come when nobody waits for them any more, late segments, and what is forwarded.
#[test]
fn the_hosts_own_connections_are_nobodys_scan() {
    let network = network("ringown", 2);
    let daemon = Daemon::start(&network.victim, CAPTURE);
    let peer: IpAddr = addr(&attacker_address(0));
    // A peer that answers TCP and, late, UDP.
    let (tcp_server, udp_server) =
        inside(&network.attackers[0], || (TcpListener::bind("0.0.0.0:7000").unwrap(), UdpSocket::bind("0.0.0.0:7001").unwrap()));
    std::thread::spawn(move || {
        for stream in tcp_server.incoming().map_while(Result::ok) {
            let _ = (&stream).write_all(b"hello");
        }
    });
    std::thread::spawn(move || {
        let (mut bytes, mut late) = ([0; 64], Vec::new());
        udp_server.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        while let Ok((length, from)) = udp_server.recv_from(&mut bytes) {
            let _ = udp_server.send_to(&bytes[..length], from);
            late.push(from);
            // The answer's double, when the socket that asked is closed.
            if late.len() > 20 {
                let _ = udp_server.send_to(&bytes[..length], late.remove(0));
            }
        }
    });
    let listener = inside(&network.victim, || TcpListener::bind(format!("{VICTIM}:8080"))).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let _ = (&stream).write_all(b"hello");
        }
    });
    inside(&network.victim, || {
        for n in 0..2_000_u32 {
            let mut stream = TcpStream::connect((peer, 7_000)).unwrap();
            if n % 2 == 0 {
                let _ = stream.read(&mut [0; 8]);
            }
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            if n % 2 == 0 {
                socket.connect((peer, 7_001)).unwrap();
            }
            socket.send_to(b"question", (peer, 7_001)).or_else(|_| socket.send(b"question")).unwrap();
            if n % 3 == 0 {
                let _ = socket.recv(&mut [0; 64]);
            }
        }
    });
    // Sockets that listen for one connection and are gone, as for a file by FTP: both sides end first, in turn.
    for port in 9_000_u16..9_040 {
        let one = inside(&network.victim, || TcpListener::bind(format!("{VICTIM}:{port}"))).unwrap();
        let mut client = inside(&network.attackers[1], || TcpStream::connect((VICTIM, port))).unwrap();
        let (mut served, _) = one.accept().unwrap();
        drop(one);
        client.write_all(b"a file").unwrap();
        if port % 2 == 0 {
            drop(client);
            let _ = served.read_to_end(&mut Vec::new());
        } else {
            let _ = served.read(&mut [0; 16]);
            drop(served);
            let _ = client.read_to_end(&mut Vec::new());
        }
    }
    inside(&network.attackers[0], || {
        for _ in 0..500 {
            let _ = TcpStream::connect((VICTIM, 8_080)).unwrap().read(&mut [0; 8]);
        }
    });
    // What is for others: by our link address, and not for us.
    let wire = Wire::new(&network);
    let ip = Ip::new(addr("198.51.100.99"), addr("192.0.2.50"));
    (4_000..4_050).for_each(|port| wire.send(&[], &tcp(&ip, port, TcpFlags::SYN)));
    // One real probe, which is behind all of it in the rings.
    let ip = Ip::new(addr("203.0.113.130"), addr(VICTIM));
    wire.send(&[], &tcp(&ip, 4_000, TcpFlags::SYN));
    daemon.wait_until_figure_of_at_least(SENSOR, "captured: told", 1);
    assert_eq!(daemon.sensor_figure(SENSOR, "captured: told"), Some(1));
    assert!(daemon.sensor_figure(SENSOR, "captured: of connections of this host").unwrap() > 0, "late answers were there");
    assert_eq!(daemon.sensor_figure(SENSOR, "captured: dropped, nobody could say whose they are"), Some(0));
    assert_eq!((daemon.blocked(), daemon.json(&["history"]).len()), (Vec::new(), 0));
}

/// Behind a port that is guarded stands somebody else's service, or one that took a single connection: their clients have not touched it.
#[test]
fn clients_of_what_stands_behind_a_guarded_port_are_charged_with_nothing() {
    let network = network("ringpub", 2);
    let (container, client) = (&network.attackers[1], &network.attackers[0]);
    network.victim.sysctl("net.ipv4.ip_forward=1").unwrap();
    for rule in [
        "table ip published".to_owned(),
        "chain ip published to { type nat hook prerouting priority -100; }".to_owned(),
        "chain ip published from { type nat hook postrouting priority 100; }".to_owned(),
        format!("rule ip published to tcp dport 2000-2019 dnat to {}:8080", attacker_address(1)),
        "rule ip published from ct status dnat masquerade".to_owned(),
    ] {
        network.victim.run("nft", [format!("add {rule}")]).unwrap();
    }
    let service = inside(container, || TcpListener::bind("0.0.0.0:8080")).unwrap();
    std::thread::spawn(move || {
        for stream in service.incoming().map_while(Result::ok) {
            let _ = (&stream).write_all(b"hello");
        }
    });
    let daemon = Daemon::start(&network.victim, &format!("{CAPTURE}[guard]\ntcp = [\"1-21\", \"23-9999\"]\n"));
    for port in 2_000_u16..2_020 {
        let mut stream = inside(client, || TcpStream::connect((VICTIM, port))).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 5, "{port}");
    }
    for port in 9_000_u16..9_020 {
        let one = inside(&network.victim, || TcpListener::bind(format!("{VICTIM}:{port}"))).unwrap();
        let mut stream = inside(client, || TcpStream::connect((VICTIM, port))).unwrap();
        let (mut served, _) = one.accept().unwrap();
        drop(one);
        stream.write_all(b"a file").unwrap();
        assert_eq!(served.read(&mut [0; 16]).unwrap(), 6);
    }
    // Half a connection to a guarded port is a probe, and behind all of it in the ring.
    let wire = Wire::new(&network);
    let ip = Ip::new(addr("203.0.113.130"), addr(VICTIM));
    wire.send(&[], &tcp(&ip, 4_000, TcpFlags::SYN));
    daemon.wait_until_figure_of_at_least(SENSOR, "captured: told", 1);
    assert_eq!(daemon.sensor_figure(SENSOR, "captured: told"), Some(1));
    assert!(daemon.sensor_figure(SENSOR, "captured: of connections that are handed on").unwrap() > 0);
    assert_eq!((daemon.blocked(), daemon.sensor_figure("guard", "touches")), (Vec::new(), Some(0)));
}

/// What comes back for clients behind a gateway when connection tracking has forgotten them, or had no room for them.
#[test]
fn late_answers_to_clients_behind_a_gateway_are_nobodys_scan() {
    let network = network("ringlate", 0);
    network.victim.sysctl("net.ipv4.ip_forward=1").unwrap();
    let daemon = Daemon::start(&network.victim, CAPTURE);
    let wire = Wire::new(&network);
    for (server, victim) in [("198.51.100.53", VICTIM), ("2001:db8:53::53", VICTIM6)] {
        let ip = Ip::new(addr(server), addr(victim));
        for port in (33_000..33_020).chain(50_000..50_020).chain(61_000..61_020).chain(65_500..=65_535) {
            for source_port in [443, 53, 3_478] {
                wire.send(&[], &ip.udp(source_port, port, b"an answer"));
            }
            for flags in [TcpFlags::ACK, TcpFlags::FIN | TcpFlags::ACK, TcpFlags::FIN, TcpFlags::RST, TcpFlags::SYN | TcpFlags::ACK] {
                let late = Tcp { source_port: 443, port, sequence: 7, flags: TcpFlags(flags), window: 1_024, ..Tcp::default() };
                wire.send(&[], &ip.tcp(&late));
            }
        }
    }
    // A probe from the very server is one, and is behind all of it in the ring.
    let ip = Ip::new(addr("198.51.100.53"), addr(VICTIM));
    wire.send(&[], &ip.tcp(&Tcp { source_port: 443, port: 61_000, flags: TcpFlags(TcpFlags::SYN), ..Tcp::default() }));
    daemon.wait_until_figure_of_at_least(SENSOR, "captured: told", 1);
    assert_eq!((daemon.sensor_figure(SENSOR, "captured: told"), daemon.blocked()), (Some(1), Vec::new()));
}

/// Routing that is switched on, for a container or a tunnel, while the sensor runs.
#[test]
fn a_host_that_becomes_a_gateway_is_noticed_while_packets_come() {
    let network = network("ringgate", 0);
    for setting in ["net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0"] {
        network.victim.sysctl(setting).unwrap();
    }
    let daemon = Daemon::start(&network.victim, CAPTURE);
    let wire = Wire::new(&network);
    let is_known = |whom: &str| !daemon.json_one(&["explain", whom])["suspect"].is_null();
    // Behind the ports of the host's own clients. Each from another server, since one packet alone is nobody's scan, and before a probe that shows
    // when it has been looked at.
    let mut turn = 0;
    let mut is_charged = || {
        turn = turn % 250 + 1;
        let [server, prober] = [100, 101].map(|net| format!("198.51.{net}.{turn}"));
        wire.send(&[], &Ip::new(addr(&server), addr(VICTIM)).udp(443, 64_000, b"an answer"));
        wire.send(&[], &tcp(&Ip::new(addr(&prober), addr(VICTIM)), 4_000, TcpFlags::SYN));
        until("the probe is known", || is_known(&prober).then_some(()));
        is_known(&server)
    };
    assert!(is_charged(), "nobody here hands packets on");
    network.victim.sysctl("net.ipv4.ip_forward=1").unwrap();
    until("the answers are nobody's", || (!is_charged()).then_some(()));
}

/// What a gateway masquerades for others comes back to itself, as do the answers to a client that has gone: no probe waits behind them.
#[test]
fn streams_of_the_hosts_own_use_up_no_ration() {
    const STREAM: u64 = 3_000;
    let network = network("ringown2", 1);
    let daemon = Daemon::start(&network.victim, CAPTURE);
    let server = inside(&network.attackers[0], || UdpSocket::bind("0.0.0.0:7001")).unwrap();
    let client = inside(&network.victim, || UdpSocket::bind("0.0.0.0:0")).unwrap();
    client.send_to(b"question", (addr(&attacker_address(0)), 7_001)).unwrap();
    let (_, whom) = server.recv_from(&mut [0; 16]).unwrap();
    drop(client);
    server.send_to(b"answer", whom).unwrap();
    daemon.wait_until_figure_of_at_least(SENSOR, "captured: of connections of this host", 1);
    (0..STREAM).for_each(|_| assert_eq!(server.send_to(b"answer", whom).unwrap(), 6));
    daemon.wait_until_figure_of_at_least(SENSOR, "captured: of connections of this host", STREAM + 1);
    for of in ["told", "over the source's ration", "over the common ration"] {
        assert_eq!(daemon.sensor_figure(SENSOR, &format!("captured: {of}")), Some(0), "{of}");
    }
}
