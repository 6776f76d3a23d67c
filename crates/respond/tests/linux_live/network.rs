//! The namespaces, and packets through them.

use crate::sh;
use model::block::{BlockId, Change, Expiry, Scope};
use model::time::Time;
use range::namespace::{Namespace, run};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;
use sys::namespace::within;

/// Any time will do: the system only hears how long a block lasts.
pub const NOW: Time = Time::from_secs(1_000_000);
/// The victim's own addresses on the bridge.
pub const VICTIM: [&str; 2] = ["10.77.0.1", "fd77::1"];
/// The inner host's behind a route.
pub const ROUTED: [&str; 2] = ["10.78.0.2", "fd78::2"];
/// The inner host's on the victim's bridge.
pub const BRIDGED: [&str; 2] = ["10.77.0.3", "fd77::3"];
/// The peer's, to be blocked.
pub const PEER: [&str; 2] = ["10.77.0.2", "fd77::2"];
/// The peer's, never blocked.
pub const WITNESS: [&str; 2] = ["10.77.0.4", "fd77::4"];
/// How long a packet may take: reached only if it never comes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the tests are.
pub struct Network {
    pub peer: String,
    inner: String,
}

/// Makes the namespaces and runs the tests in the victim.
pub fn outside(what: &[&str]) {
    let name = |role| format!("rp-reslx{}{role}", std::process::id());
    let [victim, peer, inner] = ["v", "p", "i"].map(|role| Namespace::new(&name(role)).unwrap());
    for (end, other, namespace) in [("eth0", "eth0", &peer), ("eth1", "eth0", &inner), ("eth2", "eth1", &inner)] {
        victim.run("ip", ["link", "add", end, "type", "veth", "peer", "name", other, "netns", namespace.name()]).unwrap();
    }
    let ip = |namespace: &Namespace, args: &str| drop(namespace.run("ip", args.split(' ')).unwrap());
    ip(&victim, "link add br0 type bridge forward_delay 0");
    for port in ["eth0", "eth1"] {
        ip(&victim, &format!("link set {port} master br0"));
    }
    let addresses: [(&Namespace, &str, [&str; 2]); 5] = [
        (&victim, "br0", VICTIM),
        (&victim, "eth2", ["10.78.0.1", "fd78::1"]),
        (&peer, "eth0", PEER),
        (&inner, "eth0", BRIDGED),
        (&inner, "eth1", ROUTED),
    ];
    for (namespace, link, [v4, v6]) in addresses {
        ip(namespace, &format!("addr add {v4}/24 dev {link}"));
        ip(namespace, &format!("addr add {v6}/64 dev {link} nodad"));
        ip(namespace, &format!("link set {link} up"));
    }
    ["eth0", "eth1"].iter().for_each(|port| ip(&victim, &format!("link set {port} up")));
    let [v4, v6] = WITNESS;
    ip(&peer, &format!("addr add {v4}/24 dev eth0"));
    // Used by whoever asks for it by name.
    ip(&peer, &format!("addr add {v6}/64 dev eth0 nodad preferred_lft 0"));
    ip(&peer, "route add 10.78.0.0/24 via 10.77.0.1");
    ip(&peer, "-6 route add fd78::/64 via fd77::1");
    for setting in ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"] {
        victim.sysctl(setting).unwrap();
    }
    // What the inner host gets over its own route has a source that it would look for on the bridge.
    for setting in ["net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.eth1.rp_filter=0"] {
        inner.sysctl(setting).unwrap();
    }
    let tests = victim.run(&own_program(), [&["inside", peer.name(), inner.name()], what].concat());
    print!("{}", tests.unwrap_or_else(|error| panic!("{error}")));
}

fn own_program() -> String {
    std::env::current_exe().unwrap().to_str().unwrap().to_owned()
}

/// Takes everything away that a test may have left in the victim.
pub fn clean() {
    sh("nft", "flush ruleset");
    for iptables in ["iptables-legacy", "ip6tables-legacy"] {
        sh(iptables, "-F");
        sh(iptables, "-X");
        sh(iptables, "-t mangle -F");
    }
    sh("ipset", "destroy");
    for family in ["-4", "-6"] {
        let _ = run("ip", [family, "route", "flush", "table", "all", "proto", "173"]);
    }
    for interface in ["all", "default", "br0", "eth2"] {
        sh("sysctl", &format!("-qw net.ipv4.conf.{interface}.rp_filter=0"));
    }
}

impl Network {
    pub fn inside(peer: &str, inner: &str) -> Self {
        Network { peer: peer.to_owned(), inner: inner.to_owned() }
    }

    /// Runs this program at the peer.
    pub fn act(&self, args: &[&str]) -> String {
        let program = own_program();
        run("ip", [&["netns", "exec", &self.peer, &program], args].concat()).unwrap()
    }

    /// A socket of the victim's.
    pub fn here(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// A socket of the inner host's.
    pub fn behind(&self, address: &str) -> UdpSocket {
        within(&Path::new("/run/netns").join(&self.inner), || Network::here(address)).unwrap()
    }

    /// Whether a packet from there comes to this socket: one from the witness that was sent after it comes in any case.
    pub fn reaches(&self, from: &str, socket: &UdpSocket) -> bool {
        let to = socket.local_addr().unwrap().to_string();
        let witness = WITNESS[usize::from(from.contains(':'))];
        self.act(&["send", from, &to, "probe"]);
        self.act(&["send", witness, &to, "witness"]);
        let mut came = false;
        loop {
            let (_, sender) = socket.recv_from(&mut [0; 64]).unwrap();
            if sender.ip() == witness.parse::<IpAddr>().unwrap() {
                return came;
            }
            came = true;
        }
    }
}

/// Sends a datagram.
pub fn send(from: &str, to: &str, word: &str) {
    let socket = UdpSocket::bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    assert_eq!(socket.send_to(word.as_bytes(), to).unwrap(), word.len());
}

/// What a service says first.
pub fn greeting(to: &str) -> String {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut said = [0; 256];
    let length = stream.read(&mut said).unwrap_or(0);
    let _ = stream.write_all(b"QUIT\r\n");
    String::from_utf8_lossy(said.get(..length).unwrap()).into_owned()
}

pub fn scope(text: &str) -> Scope {
    Scope::Source(text.parse().unwrap())
}

pub fn secs(secs: u64) -> Expiry {
    Expiry::At(NOW.after(Duration::from_secs(secs)))
}

pub fn add(text: &str) -> Change {
    add_until(text, secs(600))
}

pub fn add_until(text: &str, expiry: Expiry) -> Change {
    Change::Add { id: BlockId(1), scope: scope(text), expiry }
}

pub fn remove(text: &str) -> Change {
    Change::Remove { id: BlockId(1), scope: scope(text) }
}
