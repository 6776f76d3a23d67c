//! One probe of each kind from a new source, by real scanners: what becomes of its sender, in each mode of both programs.

use super::super::arena::{Arena, VICTIM, attacker};
use super::super::figure::{Figure, Unit};
use super::super::{Context, progress};
use super::NAME;
use super::peer::{LAST_LISTED, LEFT_PORT, LISTED, PORT, Portsentry};
use model::event::TcpFlags;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv6Addr, TcpListener, TcpStream};
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;
use sys::raw::RawSocket;
use wire::build::{Ip, NMAP_OPTIONS, Tcp};

/// The victim's IPv6 address; senders' are behind it, in a network of their own.
const VICTIM6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x13, 0, 0, 0, 0, 1);
/// What both get to act in after the last probe.
const QUIET: Duration = Duration::from_secs(2);

/// How a probe is sent.
enum How {
    /// nmap with these words.
    Nmap(&'static [&'static str]),
    /// A whole connection.
    Connect,
    /// A SYN over IPv6 behind one destination-options header of eight bytes.
    BehindExtension,
}

use How::{BehindExtension, Connect, Nmap};

/// What is sent, over which family, to which port.
const PROBES: [(&str, How, bool, u16); 18] = [
    // First, before the kernel forgets the connection.
    ("SYN to a port with a connection in TIME_WAIT", Nmap(&["-sS"]), false, LEFT_PORT),
    ("SYN", Nmap(&["-sS"]), false, PORT),
    ("whole connection", Connect, false, PORT),
    ("FIN", Nmap(&["-sF"]), false, PORT),
    ("NULL", Nmap(&["-sN"]), false, PORT),
    ("XMAS", Nmap(&["-sX"]), false, PORT),
    ("ACK", Nmap(&["-sA"]), false, PORT),
    ("Maimon (FIN and ACK)", Nmap(&["-sM"]), false, PORT),
    ("datagram", Nmap(&["-sU"]), false, PORT),
    ("SYN in fragments", Nmap(&["-sS", "-f"]), false, PORT),
    ("datagram in fragments", Nmap(&["-sU", "-f", "--data-length", "64"]), false, PORT),
    ("connection to the last of 100 listed ports", Connect, false, LAST_LISTED),
    ("connection to port 65535", Connect, false, 65_535),
    ("datagram to port 65535", Nmap(&["-sU"]), false, 65_535),
    ("connection over IPv6", Connect, true, PORT),
    ("SYN over IPv6", Nmap(&["-sS"]), true, PORT),
    ("datagram over IPv6", Nmap(&["-sU"]), true, PORT),
    ("SYN over IPv6 behind an extension header", BehindExtension, true, PORT),
];

/// What became of a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Blocked,
    /// Known as somebody who probed, and not blocked for one probe.
    Counted,
    Nothing,
}

impl Fate {
    fn word(self) -> &'static str {
        match self {
            Fate::Blocked => "blocked",
            Fate::Counted => "counted",
            Fate::Nothing => "-",
        }
    }
}

type Column = (&'static str, Vec<Fate>);

pub fn measure(context: &Context) -> io::Result<Vec<Figure>> {
    // All settings that are not named are the defaults; the ports are all there are, in portsentry as many as it takes.
    let ours = [
        ("connect", "tcp = [\"1-65535\"]\nudp = [\"1-65535\"]\n"),
        ("stealth", "stealth = true\ntcp = [\"1-65535\"]\nudp = [\"1-65535\"]\n"),
        ("trap", "trap_tcp = [\"1-65535\"]\ntrap_udp = [\"1-65535\"]\n"),
    ];
    let theirs = [("-tcp -udp", ["tcp", "udp"]), ("-stcp -sudp", ["stcp", "sudp"]), ("-atcp -audp", ["atcp", "audp"])];
    let mut columns: Vec<Column> = Vec::new();
    for (name, guard) in ours {
        progress(&format!("portsentry: one probe of each kind, riposte {name}"));
        columns.push((name, riposte(context, name, guard)?));
    }
    for (name, modes) in theirs {
        progress(&format!("portsentry: one probe of each kind, portsentry {name}"));
        columns.push((name, portsentry(context, &modes)?));
    }
    let blocked = |(_, fates): &Column| fates.iter().filter(|fate| **fate == Fate::Blocked).count() as f64;
    let table = table(&columns);
    let mut figures: Vec<Figure> = columns
        .iter()
        .take(ours.len())
        .zip(columns.iter().skip(ours.len()))
        .map(|(ours, theirs)| {
            Figure::more(format!("of {} kinds of one probe blocked, {}", PROBES.len(), ours.0), blocked(ours), Unit::Count)
                .beside(NAME, Some(blocked(theirs)))
        })
        .collect();
    if let Some(first) = figures.first_mut() {
        first.note = format!(
            "a new source each; riposte's modes with their defaults, and portsentry's (1.2): {LISTED} listed ports, of which it takes 64, and all \
             in its advanced modes. \"counted\": one probe of this kind is evidence, and a few more are a scan\n{table}"
        );
    }
    Ok(figures)
}

fn table(columns: &[Column]) -> String {
    let names = columns.iter().map(|(name, _)| format!(" {name:12}")).collect::<String>();
    let mut text = format!("{:46}{names}", "");
    for (row, (name, ..)) in PROBES.iter().enumerate() {
        let fates = columns.iter().filter_map(|(_, fates)| fates.get(row)).map(|fate| format!(" {:12}", fate.word()));
        let _ = write!(text, "\n{name:46}{}", fates.collect::<String>());
    }
    text
}

/// The sender of probe number n.
fn sender(n: usize) -> IpAddr {
    match PROBES.get(n) {
        Some((_, _, true, _)) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0x18, 0, 0, 0, 0, 1 + n as u16)),
        Some(_) | None => IpAddr::V4(attacker(n as u32)),
    }
}

fn riposte(context: &Context, mode: &str, guard: &str) -> io::Result<Vec<Fate>> {
    let arena = arena(mode)?;
    let daemon = arena.daemon(context, &format!("[guard]\n{guard}"))?;
    probe(&arena)?;
    let fate = |n| {
        let known = daemon.explain(&sender(n).to_string())?;
        let has = |key: &str| known[key].is_object() || known[key].as_array().is_some_and(|list| !list.is_empty());
        Ok(match (has("block"), has("suspect") || has("entries")) {
            (true, _) => Fate::Blocked,
            (false, true) => Fate::Counted,
            (false, false) => Fate::Nothing,
        })
    };
    let fates = (0..PROBES.len()).map(fate).collect();
    daemon.end()?;
    fates
}

fn portsentry(context: &Context, modes: &[&str]) -> io::Result<Vec<Fate>> {
    let arena = arena("peer")?;
    let peer = Portsentry::start(context, &arena.victim, modes)?;
    probe(&arena)?;
    let blocked: BTreeSet<IpAddr> = peer.blocked()?.into_iter().map(IpAddr::V4).collect();
    Ok((0..PROBES.len()).map(|n| if blocked.contains(&sender(n)) { Fate::Blocked } else { Fate::Nothing }).collect())
}

/// One in which the attacker has all senders' addresses, and the victim a connection of a service that has just ended.
fn arena(tag: &str) -> io::Result<Arena> {
    let arena = Arena::new(&format!("ps-{tag}"))?;
    for (host, address) in [(&arena.victim, VICTIM6.to_string()), (&arena.attacker, "2001:db8:13::2".to_owned())] {
        host.run("ip", ["-6", "addr", "add", &format!("{address}/64"), "dev", "eth0", "nodad"])?;
    }
    arena.victim.run("ip", ["-6", "route", "add", "default", "via", "2001:db8:13::2"])?;
    arena.attacker.run("ip", ["route", "add", "local", "198.18.0.0/15", "dev", "lo"])?;
    arena.attacker.run("ip", ["-6", "route", "add", "local", "2001:db8:18::/64", "dev", "lo"])?;
    // For IPv6 such a route alone doesn't let a program have the address.
    arena.attacker.sysctl("net.ipv6.ip_nonlocal_bind=1")?;
    let listener = arena.inside(|| TcpListener::bind((VICTIM, LEFT_PORT)))??;
    let mut client = sys::namespace::within(&arena.attacker_file(), || TcpStream::connect((VICTIM, LEFT_PORT)))??;
    // Who ends it first keeps it.
    drop(listener.accept()?);
    client.read_to_end(&mut Vec::new())?;
    Ok(arena)
}

fn probe(arena: &Arena) -> io::Result<()> {
    let left = arena.victim.run("ss", ["-Htan", "state", "time-wait"])?;
    if left.trim().is_empty() {
        return Err(io::Error::other("the kernel has forgotten the connection too early"));
    }
    for (n, (_, how, is_six, port)) in PROBES.iter().enumerate() {
        let (from, port) = (sender(n).to_string(), port.to_string());
        let victim = if *is_six { VICTIM6.to_string() } else { VICTIM.to_string() };
        let family: &[&str] = if *is_six { &["-6"] } else { &[] };
        let run = |program: &str, args: &[&str]| {
            let mut command = arena.attacker.command(program);
            // Whoever is dropped gets no answer, and that is no failure.
            command.args(family).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status().map(drop)
        };
        match how {
            Nmap(words) => {
                let one = ["-n", "-Pn", "--max-retries", "0", "--host-timeout", "2s", "-e", "eth0", "-S", &from, "-p", &port, &victim];
                run("nmap", &[words, &one[..]].concat())?;
            }
            Connect => run("ncat", &["-z", "-w", "1", "-s", &from, &victim, &port])?,
            BehindExtension => {
                let tcp = Tcp { source_port: 40_000, port: PORT, flags: TcpFlags(TcpFlags::SYN), options: &NMAP_OPTIONS, ..Tcp::default() };
                let packet = Ip { extension_headers: 1, ..Ip::new(sender(n), VICTIM6.into()) }.tcp(&tcp);
                sys::namespace::within(&arena.attacker_file(), RawSocket::open6)??.send(&packet, VICTIM6)?;
            }
        }
    }
    sleep(QUIET);
    Ok(())
}
