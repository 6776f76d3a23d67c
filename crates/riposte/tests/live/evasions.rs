//! What hides a probe from other programs of this kind: extension headers, fragments, ports that a service has just left, ports at the end
//! of a range.

use crate::daemon::{Daemon, network, text};
use model::event::TcpFlags;
use range::namespace::Namespace;
use range::network::{Network, VICTIM, VICTIM6, attacker_address, attacker_address6};
use std::io::{self, Read};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::Path;
use sys::raw::RawSocket;
use wire::build::{Ip, Tcp};

/// A port that a service has just left; the kernel remembers its last connection for a minute (TIME-WAIT).
const LEFT_PORT: u16 = 8_080;

#[test]
fn in_stealth_nothing_hides_a_probe() {
    let network = network("hidden", 7);
    leave_a_connection(&network);
    let daemon = Daemon::start(&network.victim, "[guard]\nstealth = true\ntcp = [\"1-65535\"]\nudp = [\"1-65535\"]\n");
    probe(&network, &daemon);
}

#[test]
fn nothing_hides_a_probe_from_a_trap() {
    let network = network("snared", 7);
    leave_a_connection(&network);
    let daemon = Daemon::start(&network.victim, "[guard]\ntrap_tcp = [\"1-65535\"]\ntrap_udp = [\"1-65535\"]\n");
    probe(&network, &daemon);
}

#[test]
fn a_port_that_a_service_has_just_left_is_answered() {
    let network = network("left", 1);
    leave_a_connection(&network);
    let daemon = Daemon::start(&network.victim, "[guard]\ntcp = [\"1-65535\"]\n");
    network.attackers[0].run("ncat", ["-z", "-w", "5", VICTIM, &LEFT_PORT.to_string()]).expect("answered");
    daemon.wait_until_blocked(&attacker_address(0));
}

fn leave_a_connection(network: &Network) {
    let listener = within(&network.victim, || TcpListener::bind((VICTIM, LEFT_PORT))).unwrap();
    let mut client = within(&network.attackers[0], || TcpStream::connect((VICTIM, LEFT_PORT))).unwrap();
    // Whoever ends it first keeps it.
    drop(listener.accept().unwrap());
    client.read_to_end(&mut Vec::new()).unwrap();
}

/// One packet of each kind, each from somebody else, and what it is called.
fn probe(network: &Network, daemon: &Daemon) {
    let nmap = |n: usize, words: &[&str]| {
        let one = ["-n", "-Pn", "--max-retries", "0", "--host-timeout", "1s", VICTIM];
        network.attackers[n].run("nmap", [words, &one[..]].concat()).unwrap();
    };
    assert!(network.victim.run("ss", ["-Htan", "state", "time-wait"]).unwrap().contains(":8080"), "it is still there");
    nmap(0, &["-sS", "-p", "8080"]);
    nmap(1, &["-sS", "-f", "-p", "31337"]);
    nmap(2, &["-sU", "-f", "--data-length", "64", "-p", "31337"]);
    nmap(3, &["-sS", "-p", "65535"]);
    nmap(4, &["-sU", "-p", "65535"]);
    let to: IpAddr = VICTIM6.parse().unwrap();
    let syn = Tcp { source_port: 40_000, port: 31_337, flags: TcpFlags(TcpFlags::SYN), ..Tcp::default() };
    for n in [5, 6] {
        // A destination-options header of eight bytes, the shortest there is: its length is written as 0.
        let ip = Ip { extension_headers: 1, ..Ip::new(attacker_address6(n).parse().unwrap(), to) };
        let packet = if n == 5 { ip.tcp(&syn) } else { ip.udp(40_000, 31_337, b"probe") };
        within(&network.attackers[n], RawSocket::open6).unwrap().send(&packet, to).unwrap();
    }
    let lines = [
        "tcp/8080 (syn)",
        "tcp/31337 (syn)",
        "udp/31337 (udp)",
        "tcp/65535 (syn)",
        "udp/65535 (udp)",
        "tcp/31337 (syn)",
        "udp/31337 (udp)",
    ];
    for (n, line) in lines.into_iter().enumerate() {
        let address = if n < 5 { attacker_address(n) } else { attacker_address6(n) };
        daemon.wait_until_blocked(&address);
        let explained = daemon.json_one(&["explain", &address]);
        assert_eq!(text(&explained["quote"]["line"]).split(", ").next(), Some(line), "{address}");
    }
}

/// Work in a host's network.
fn within<T: Send>(host: &Namespace, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    sys::namespace::within(&Path::new("/run/netns").join(host.name()), work)?
}
