//! From right before the probe that decides to the block: riposte's element in the kernel's set, portsentry's route.

use super::super::arena::{self, Arena, VICTIM};
use super::super::figure::{Figure, Unit};
use super::super::latency::{self, Awake, LIMIT, PAUSE, SETTINGS};
use super::super::{Context, progress, quantile};
use super::NAME;
use super::peer::{PORT, Portsentry};
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsFd;
use std::thread::sleep;
use sys::clock::monotonic;
use sys::fd::{Interest, Poller};
use sys::raw::RawSocket;
use sys::route::Routes;

const ATTACKERS: u32 = 20;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    Connection,
    Syn,
    Datagram,
}

pub fn measure(context: &Context) -> io::Result<Vec<Figure>> {
    let kinds = [
        (Probe::Connection, "whole connection", "tcp", "tcp = [\"1-65535\"]\n"),
        (Probe::Syn, "SYN (stealth)", "stcp", "stealth = true\ntcp = [\"1-65535\"]\n"),
        (Probe::Datagram, "datagram", "sudp", "udp = [\"1-65535\"]\n"),
    ];
    let mut figures = Vec::new();
    for (probe, name, mode, guard) in kinds {
        let ours = riposte(context, probe, guard)?;
        let theirs = portsentry(context, probe, mode)?;
        progress(&format!("portsentry: {name} to block"));
        let micros = |samples: &[u64], share| quantile(samples, share) / 1e3;
        let note = format!(
            "{ATTACKERS} new sources one after the other, from right before the probe until the kernel tells of the block (portsentry -{mode}: \
             of the route that its \"/sbin/ip route add blackhole\" makes; riposte's budgets raised); all from {:.0} to {:.0} µs, portsentry's \
             from {:.0} to {:.0} µs",
            micros(&ours, 0.0),
            micros(&ours, 1.0),
            micros(&theirs, 0.0),
            micros(&theirs, 1.0),
        );
        for (word, share, note) in [("median", 0.5, note), ("p99", 0.99, String::new())] {
            figures.push(
                Figure::less(format!("{name} to block, {word} of {ATTACKERS}"), micros(&ours, share), Unit::Micros)
                    .beside(NAME, Some(micros(&theirs, share)))
                    .noted(note),
            );
        }
    }
    Ok(figures)
}

impl Probe {
    /// Sends one; returns when, right before.
    fn send(self, arena: &Arena, weapon: &RawSocket, from: Ipv4Addr) -> io::Result<u64> {
        match self {
            Probe::Connection => {
                let to = format!("{VICTIM}/32");
                arena.attacker.run("ip", ["route", "replace", &to, "dev", "eth0", "src", &from.to_string()])?;
                sleep(PAUSE);
                sys::namespace::within(&arena.attacker_file(), || {
                    let start = monotonic();
                    TcpStream::connect((VICTIM, PORT)).map(|_| start)
                })?
            }
            Probe::Syn | Probe::Datagram => {
                let packet = if self == Probe::Syn { arena::syn(from, PORT) } else { arena::datagram(from, PORT) };
                let start = monotonic();
                weapon.send(&packet, VICTIM).map(|()| start)
            }
        }
    }
}

fn arena(tag: &str) -> io::Result<Arena> {
    let arena = Arena::new(&format!("ps-{tag}"))?;
    arena.attacker.run("ip", ["route", "add", "local", "198.18.0.0/15", "dev", "lo"])?;
    Ok(arena)
}

/// Nanoseconds, sorted.
fn riposte(context: &Context, probe: Probe, guard: &str) -> io::Result<Vec<u64>> {
    let arena = arena(&format!("{probe:?}"))?;
    let daemon = arena.daemon(context, &format!("{SETTINGS}[guard]\n{guard}"))?;
    let (weapon, mut watch) = (arena.weapon()?, arena.watch()?);
    sample(|from| {
        let start = probe.send(&arena, &weapon, from)?;
        latency::await_element(&mut watch, from, start)?
            .ok_or_else(|| io::Error::other(format!("{from} was not blocked: {:?}", daemon.log)))
    })
}

fn portsentry(context: &Context, probe: Probe, mode: &str) -> io::Result<Vec<u64>> {
    let arena = arena("peer")?;
    let peer = Portsentry::start(context, &arena.victim, &[mode])?;
    let (weapon, mut routes) = (arena.weapon()?, arena.inside(Routes::open)??);
    let (poller, mut ready) = (Poller::new()?, Vec::new());
    poller.add(routes.changes_fd().as_fd(), 0, Interest::Read)?;
    sample(|from| {
        routes.drain_changes();
        let start = probe.send(&arena, &weapon, from)?;
        loop {
            poller.wait(Some(LIMIT), &mut ready)?;
            let took = monotonic() - start;
            if !routes.drain_changes() {
                return Err(io::Error::other(format!("portsentry -{mode} did not block {from}")));
            }
            // An interface's own address that is ready now is a change, too.
            if peer.blocked()?.contains(&from) {
                return Ok(took);
            }
        }
    })
}

fn sample(mut one: impl FnMut(Ipv4Addr) -> io::Result<u64>) -> io::Result<Vec<u64>> {
    let _awake = Awake::new()?;
    let mut samples = Vec::new();
    // The first is for what is done once only: a neighbour's address, a program's pages.
    for n in 0..=ATTACKERS {
        let took = one(arena::attacker(n))?;
        samples.extend((n > 0).then_some(took));
        sleep(PAUSE * 5);
    }
    samples.sort_unstable();
    Ok(samples)
}
