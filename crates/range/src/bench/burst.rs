//! Ten thousand new attackers at once: are all handled, and how fast?

use super::arena::{self, Arena, VICTIM};
use super::figure::{Figure, Unit};
use super::latency::SETTINGS;
use super::{Context, progress};
use std::collections::HashSet;
use std::io;
use std::time::Duration;
use sys::clock::monotonic;
use sys::nft::Key;
use sys::nft::watch::Watch;
use sys::raw::RawSocket;

/// How many they are.
pub const ATTACKERS: u32 = 10_000;
const PROBES: u16 = 5;
/// After this long without a new element there comes none any more.
const QUIET: Duration = Duration::from_secs(3);
/// So that one failed first contact convicts: the burst measures the machinery and not the patience of the test.
const AT_ONCE: &str = "[scan.sequential]\nfalse_positive = 0.3\n";

struct Burst {
    sent_secs: f64,
    blocked: usize,
    secs: f64,
    lost: String,
}

pub fn measure(context: &Context) -> io::Result<Vec<Figure>> {
    let one = burst(context, &format!("{SETTINGS}{AT_ONCE}"), 1)?;
    let five = burst(context, SETTINGS, PROBES)?;
    let rate = |burst: &Burst| burst.blocked as f64 / burst.secs;
    let note = |burst: &Burst, what: &str| {
        format!(
            "{ATTACKERS} forged sources, {what}; the deciding packets were sent in {:.3} s; last element {:.3} s after the first of them{}",
            burst.sent_secs, burst.secs, burst.lost
        )
    };
    Ok(vec![
        Figure::more("blocked of 10,000 new at once", one.blocked as f64, Unit::Count).promised(f64::from(ATTACKERS)),
        Figure::more("blocks a second, 1 SYN each", rate(&one), Unit::PerSecond)
            .promised(20_000.0)
            .noted(note(&one, "one SYN each, false_positive = 0.3 so that one failed contact convicts")),
        Figure::more("blocked of 10,000, 5 SYNs each", five.blocked as f64, Unit::Count).promised(f64::from(ATTACKERS)),
        Figure::more("blocks a second, 5 SYNs each", rate(&five), Unit::PerSecond)
            .noted(note(&five, "five SYNs each with the default thresholds, all sources' first before any second")),
    ])
}

fn burst(context: &Context, settings: &str, probes: u16) -> io::Result<Burst> {
    progress(&format!("burst: {probes} packets each"));
    let arena = Arena::new(&format!("burst{probes}"))?;
    let daemon = arena.daemon(context, settings)?;
    let (weapon, mut watch) = (arena.weapon()?, arena.watch()?);
    let rounds: Vec<Vec<Vec<u8>>> =
        (0..probes).map(|probe| (0..ATTACKERS).map(|n| arena::syn(arena::attacker(n), 1_000 + probe * 7)).collect()).collect();
    let Some((last, first)) = rounds.split_last() else { return Err(io::Error::other("no packets")) };
    first.iter().try_for_each(|round| send(&weapon, round))?;
    let start = monotonic();
    send(&weapon, last)?;
    let sent_secs = super::seconds_since(start);
    let (blocked, ended) = collect(&mut watch, start)?;
    let status = daemon.status()?;
    let lost = losses(&status);
    daemon.end()?;
    Ok(Burst { sent_secs, blocked, secs: ended.saturating_sub(start) as f64 / 1e9, lost })
}

/// Sends on two processors at once: one alone, which does the victim's kernel's work for each packet as well, is too slow for a burst.
pub fn send(weapon: &RawSocket, round: &[Vec<u8>]) -> io::Result<()> {
    let half = |packets: &[Vec<u8>]| packets.iter().try_for_each(|packet| weapon.send(packet, VICTIM));
    let (one, other) = round.split_at(round.len() / 2);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| half(other));
        half(one)?;
        second.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Different attackers that are in the set, and when the last came.
pub fn collect(watch: &mut Watch, start: u64) -> io::Result<(usize, u64)> {
    let attackers: HashSet<Key> = (0..ATTACKERS).map(|n| Key::from(std::net::IpAddr::V4(arena::attacker(n)))).collect();
    let (mut seen, mut ended) = (HashSet::new(), start);
    while seen.len() < attackers.len()
        && watch.wait(QUIET, |_, element| {
            if attackers.contains(&element.key) && seen.insert(element.key) {
                ended = monotonic();
            }
        })?
    {}
    Ok((seen.len(), ended))
}

/// The daemon's own counts of what it lost, as far as they are not zero.
pub fn losses(status: &serde_json::Value) -> String {
    let lists = std::iter::once(&status["counters"]).chain(status["sensors"].as_array().into_iter().flatten().map(|s| &s["counters"]));
    let pairs = lists.filter_map(|list| list.as_array()).flatten();
    let interesting = ["lost", "overflow", "dropped", "over the", "refused", "failed"];
    let mut text = String::new();
    for pair in pairs {
        let (name, value) = (pair[0].as_str().unwrap_or_default(), pair[1].as_u64().unwrap_or(0));
        if value > 0 && interesting.iter().any(|word| name.contains(word)) {
            text.push_str(&format!("; {name}: {value}"));
        }
    }
    text
}
