//! Very many new sources, each with one forged probe of a guarded port: how many are handled.

use super::super::arena::{self, Arena, VICTIM};
use super::super::burst::{self, ATTACKERS};
use super::super::figure::{Figure, Unit};
use super::super::latency::SETTINGS;
use super::super::{Context, progress, seconds_since};
use super::NAME;
use super::peer::{PORT, Portsentry};
use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::Duration;
use sys::clock::monotonic;
use sys::raw::RawSocket;

/// Between two sources, if they don't come at once: a thousand a second.
const BETWEEN_NANOS: u64 = 1_000_000;
/// After this long without a new block there comes none any more.
const QUIET: Duration = Duration::from_secs(3);
/// [`SETTINGS`] without the rations of packets: those are the defaults.
fn open_wide() -> &'static str {
    SETTINGS.find("[policy]").and_then(|at| SETTINGS.get(at..)).unwrap_or(SETTINGS)
}

/// Where the sources are from: the history of one prefix is told up to 10,000 lines.
const PREFIXES: [&str; 2] = ["198.18.0.0/19", "198.18.32.0/19"];

/// What comes, and how it is guarded.
#[derive(Debug, Clone, Copy)]
struct Load {
    name: &'static str,
    packet: fn(Ipv4Addr, u16) -> Vec<u8>,
    guard: &'static str,
    mode: &'static str,
    at_once: bool,
}

const SYNS: Load =
    Load { name: "SYNs at once", packet: arena::syn, guard: "stealth = true\ntcp = [\"1-65535\"]\n", mode: "stcp", at_once: true };
const DATAGRAMS: Load =
    Load { name: "datagrams at once", packet: arena::datagram, guard: "udp = [\"1-65535\"]\n", mode: "sudp", at_once: true };
const LOADS: [Load; 4] = [
    SYNS,
    DATAGRAMS,
    Load { name: "SYNs, 1,000 a second", at_once: false, ..SYNS },
    Load { name: "datagrams, 1,000 a second", at_once: false, ..DATAGRAMS },
];

/// What riposte made of it.
struct Handled {
    sent_secs: f64,
    touched: usize,
    blocked: usize,
    lost: String,
}

pub fn measure(context: &Context) -> io::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for load in LOADS {
        progress(&format!("portsentry: {ATTACKERS} forged {}", load.name));
        let wide = riposte(context, load, "wide", open_wide())?;
        let usual = riposte(context, load, "usual", "")?;
        let (theirs, theirs_secs) = portsentry(context, load)?;
        let note = format!(
            "{ATTACKERS} forged sources with one packet each in {:.3} s, to a guarded port (portsentry -{}: in {theirs_secs:.3} s). [policy]'s budgets for forgeable \
             evidence opened wide, all else by default{}. With the default policy {} are recorded and {} blocked in the end: forged packets \
             must not block whomever they name{}",
            wide.sent_secs, load.mode, wide.lost, usual.touched, usual.blocked, usual.lost
        );
        let what = |verb: &str| format!("{} {verb}", load.name);
        figures.push(
            Figure::more(what("recorded as touches, of 10,000"), wide.touched as f64, Unit::Count)
                .promised(f64::from(ATTACKERS))
                .beside(NAME, Some(theirs as f64))
                .noted(note),
        );
        figures.push(
            Figure::more(what("blocked, budgets open, of 10,000"), wide.blocked as f64, Unit::Count)
                .promised(f64::from(ATTACKERS))
                .beside(NAME, Some(theirs as f64)),
        );
    }
    Ok(figures)
}

impl Load {
    /// Sends all; returns in how many seconds.
    fn send(&self, weapon: &RawSocket) -> io::Result<f64> {
        let packets: Vec<Vec<u8>> = (0..ATTACKERS).map(|n| (self.packet)(arena::attacker(n), PORT)).collect();
        let start = monotonic();
        if self.at_once {
            burst::send(weapon, &packets)?;
        } else {
            for (packet, due) in packets.iter().zip((start..).step_by(BETWEEN_NANOS as usize)) {
                sleep(Duration::from_nanos(due.saturating_sub(monotonic())));
                weapon.send(packet, VICTIM)?;
            }
        }
        Ok(seconds_since(start))
    }
}

fn riposte(context: &Context, load: Load, policy: &str, settings: &str) -> io::Result<Handled> {
    let arena = Arena::new(&format!("ps-{}-{}-{policy}", load.mode, if load.at_once { "burst" } else { "flow" }))?;
    let daemon = arena.daemon(context, &format!("{settings}[guard]\n{}", load.guard))?;
    let (weapon, mut watch) = (arena.weapon()?, arena.watch()?);
    let start = monotonic();
    let sent_secs = load.send(&weapon)?;
    burst::collect(&mut watch, start)?;
    let mut touched = BTreeSet::new();
    for prefix in PREFIXES {
        let history = daemon.ask(&["history", prefix, "--limit", "10000"])?;
        let touches = history.iter().filter(|line| line["charge"] == "touch of a guarded port");
        touched.extend(touches.filter_map(|line| line["address"].as_str().map(str::to_owned)));
    }
    let (touched, blocked) = (touched.len(), daemon.ask(&["list"])?.len());
    let lost = burst::losses(&daemon.status()?);
    daemon.end()?;
    Ok(Handled { sent_secs, touched, blocked, lost })
}

/// How many it has blocked, and in how many seconds all were sent.
fn portsentry(context: &Context, load: Load) -> io::Result<(usize, f64)> {
    let arena = Arena::new("ps-flood")?;
    let peer = Portsentry::start(context, &arena.victim, &[load.mode])?;
    let sent_secs = load.send(&arena.weapon()?)?;
    let mut blocked = 0;
    loop {
        sleep(QUIET);
        match peer.blocked()?.len() {
            now if now == blocked => return Ok((now, sent_secs)),
            now => blocked = now,
        }
    }
}
