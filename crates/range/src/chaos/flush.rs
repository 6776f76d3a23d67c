//! Another program deletes riposte's table again and again while attackers come: how long is each gap, is anybody forgotten, and does
//! anything of anybody else's change? The flusher is nft(8) itself, with a file of foreign tables that it loads anew each time.

use super::{Context, progress};
use crate::bench::arena::{Arena, Daemon, attacker, syn};
use crate::namespace::Namespace;
use crate::verdict::Verdict;
use serde_json::Value;
use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;
use sys::clock::monotonic;
use sys::nft::watch::Watch;
use sys::nft::{Element, Key, OwnTable};
use sys::raw::RawSocket;

/// How long the loop lasts.
const SECONDS: u64 = 60;
/// From one flush's repair to the next flush, in milliseconds, over and over.
const PAUSES: [u64; 6] = [0, 20, 100, 200, 400, 1_000];
/// Sources that are blocked before the loop begins.
const KNOWN: u32 = 1_000;
/// Probes that an attacker sends, one a round: as many as it takes, were one or the other lost in a gap.
const PROBES: u16 = 20;
/// New attackers in each round, and the time from one round to the next.
const NEW_EACH: u32 = 1;
const ROUND: Duration = Duration::from_millis(40);
/// The longest gap that is kept to.
const GAP_MILLIS: f64 = 1_000.0;
/// A gap that lasts longer is given up on.
const PATIENCE: Duration = Duration::from_secs(10);
const LISTEN: Duration = Duration::from_millis(200);
/// The flusher's program needs a moment until it reads its input: that is no gap.
const AWAKE: Duration = Duration::from_millis(60);
/// Forged senders may be blocked without end here: it is the repair that is looked at.
const SETTINGS: &str = "\
[sense.nflog]\nrate = 1000000\nburst = 1000000\n[policy]\nblocks_per_minute = 1000000\nblock_for = [\"1h\", \"1h\", \"1h\", \"6h\", \"1d\"]\n\
[policy.spoofable]\nblocks_per_minute = 1000000\nblocks_standing = 1000000\nblock_max = \"1h\"\n[policy.storm]\noffenders = 65536\n";
/// What is done, each in its turn. All but the first leave the foreign tables alone, so that their very handles must stay.
const DAMAGES: [&str; 4] = [
    "flush ruleset\ninclude \"FOREIGN\"\n",
    "delete table inet riposte\n",
    "flush set inet riposte blocked4\n",
    "flush chain inet riposte prerouting\nflush set inet riposte blocked4\n",
];
/// Somebody else's firewall, with names like ours.
const FOREIGN: &str = "\
table inet mine {\n set blocked4 { type ipv4_addr; flags timeout; elements = { 192.0.2.1, 192.0.2.2 } }\n\
 chain input { type filter hook input priority filter; policy accept; ip saddr @blocked4 drop; tcp dport 23 drop; }\n}\n\
table ip riposte {\n chain forward { type filter hook forward priority filter; policy accept; }\n}\n\
table ip nat {\n chain prerouting { type nat hook prerouting priority dstnat; policy accept; tcp dport 8080 redirect to :80; }\n}\n";

/// What the loop came to.
struct Report {
    /// Milliseconds from each flush until everybody known was blocked again, sorted.
    gaps: Vec<f64>,
    /// Flushes after which not everybody known was blocked again in time.
    never: u64,
    /// Flushes after which somebody else's table was not as the flusher had left it.
    foreign: u64,
}

/// Runs the loop for a minute.
///
/// # Errors
/// If it can't be run.
pub fn run(context: &Context) -> io::Result<Vec<Verdict>> {
    let arena = Arena::new(&format!("{}-flush", context.tag))?;
    let folder = context.bench.folder(&format!("{}-flush-files", context.tag))?;
    fs::write(folder.join("foreign.nft"), FOREIGN)?;
    arena.victim.run("nft", ["-f", &folder.join("foreign.nft").display().to_string()])?;
    let daemon = arena.daemon(&context.bench, SETTINGS)?;
    let (weapon, mut watch) = (arena.weapon()?, arena.watch()?);
    progress(&format!("flush: {KNOWN} sources are blocked first"));
    let known: HashSet<Key> = (0..KNOWN).map(key).collect();
    for port in 0..PROBES {
        for n in 0..KNOWN {
            weapon.send(&syn(attacker(n), 1_000 + port * 7), crate::bench::arena::VICTIM)?;
        }
        sleep(ROUND);
    }
    if !await_all(&mut watch, &known, PATIENCE)? {
        return Err(io::Error::other("the first attackers were not all blocked"));
    }
    progress(&format!("flush: {SECONDS} seconds of it, while new attackers come"));
    let over = AtomicBool::new(false);
    let (report, come) = std::thread::scope(|scope| {
        let storm = scope.spawn(|| attack(&weapon, &over));
        let report = besiege(&arena.victim, &folder, &mut watch, &known);
        over.store(true, Ordering::Release);
        let come = storm.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (report, come)
    });
    let (report, come) = (report?, come?);
    // What is under way comes to its end: the last are blocked, and the last repair is over.
    sleep(Duration::from_secs(2));
    let blocked = blocked(&arena)?;
    let missing = |mut list: std::ops::Range<u32>| list.by_ref().filter(|n| !blocked.contains(&key(*n))).count() as u64;
    let forgotten = [missing(0..KNOWN), missing(KNOWN..KNOWN + come)];
    let verdicts = judge(&report, forgotten, come, &daemon)?;
    daemon.end()?;
    Ok(verdicts)
}

fn key(n: u32) -> Key {
    Key::from(IpAddr::V4(attacker(n)))
}

/// New attackers come one after the other, and each goes on for a while; returns how many have sent all their probes.
fn attack(weapon: &RawSocket, over: &AtomicBool) -> io::Result<u32> {
    let last_round = u32::from(PROBES);
    let (mut round, mut stop_at) = (0, None);
    loop {
        if over.load(Ordering::Acquire) {
            // Nobody new comes, and who has come goes on to his end.
            let stop = *stop_at.get_or_insert(round + last_round);
            if round >= stop {
                return Ok((stop - last_round) * NEW_EACH);
            }
        }
        let newest = stop_at.map_or(round, |stop| (stop - last_round).saturating_sub(1));
        for came in round.saturating_sub(last_round - 1)..=newest.min(round) {
            for n in 0..NEW_EACH {
                let port = 1_000 + (round - came) as u16 * 7;
                weapon.send(&syn(attacker(KNOWN + came * NEW_EACH + n), port), crate::bench::arena::VICTIM)?;
            }
        }
        round += 1;
        sleep(ROUND);
    }
}

/// The loop itself.
fn besiege(victim: &Namespace, folder: &Path, watch: &mut Watch, known: &HashSet<Key>) -> io::Result<Report> {
    let mut report = Report { gaps: Vec::new(), never: 0, foreign: 0 };
    let end = monotonic() + SECONDS * 1_000_000_000;
    let foreign_file = folder.join("foreign.nft").display().to_string();
    let (loaded, mut before) = (foreign(victim, false)?, foreign(victim, true)?);
    for turn in 0.. {
        if monotonic() >= end {
            break;
        }
        let mut nft = victim.command("nft").args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        sleep(AWAKE);
        while watch.wait(Duration::ZERO, |_, _| {})? {}
        let began = monotonic();
        if let Some(mut input) = nft.stdin.take() {
            input.write_all(DAMAGES[turn % DAMAGES.len()].replace("FOREIGN", &foreign_file).as_bytes())?;
        }
        let whole = await_all(watch, known, PATIENCE)?;
        let gap = monotonic().saturating_sub(began) as f64 / 1e6;
        if !nft.wait()?.success() {
            return Err(io::Error::other("nft could not do what it should"));
        }
        if whole {
            report.gaps.push(gap);
        } else {
            report.never += 1;
        }
        sleep(Duration::from_millis(PAUSES[turn % PAUSES.len()]));
        let after = foreign(victim, true)?;
        let touched = turn % DAMAGES.len() != 0 && after != before;
        report.foreign += u64::from(touched || foreign(victim, false)? != loaded);
        before = after;
    }
    report.gaps.sort_by(f64::total_cmp);
    Ok(report)
}

/// Waits until each of these has come into a set; false if not all did in time.
fn await_all(watch: &mut Watch, all: &HashSet<Key>, limit: Duration) -> io::Result<bool> {
    let (mut seen, start) = (HashSet::new(), monotonic());
    while seen.len() < all.len() && monotonic() < start + limit.as_nanos() as u64 {
        watch.wait(LISTEN, |set, element: &Element| {
            if set == "blocked4" && all.contains(&element.key) {
                seen.insert(element.key);
            }
        })?;
    }
    Ok(seen.len() == all.len())
}

/// Everybody else's tables as nft(8) prints them, with or without handles, and without counts.
fn foreign(victim: &Namespace, handles: bool) -> io::Result<String> {
    let mut json: Value = serde_json::from_str(&victim.run("nft", ["-j", "-s", "list", "ruleset"])?).map_err(io::Error::other)?;
    let ours = |object: &Value| {
        let inside = object.as_object().and_then(|object| object.values().next());
        inside.is_some_and(|inside| inside["family"] == "inet" && (inside["table"] == "riposte" || inside["name"] == "riposte"))
    };
    if let Some(list) = json["nftables"].as_array_mut() {
        list.retain(|object| !ours(object));
        let inside = list.iter_mut().filter_map(|object| object.as_object_mut()).flat_map(|object| object.values_mut());
        for inside in inside.filter_map(|inside| inside.as_object_mut()).filter(|_| !handles) {
            inside.remove("handle");
        }
    }
    Ok(json.to_string())
}

/// Who is in the kernel's set now.
fn blocked(arena: &Arena) -> io::Result<HashSet<Key>> {
    let elements = arena.inside(|| OwnTable::open("riposte").map(|mut table| table.elements("blocked4", 100_000)))??;
    Ok(elements.map_err(io::Error::other)?.into_iter().map(|element| element.key).collect())
}

fn judge(report: &Report, [lost, free]: [u64; 2], come: u32, daemon: &Daemon) -> io::Result<Vec<Verdict>> {
    let status = daemon.status()?;
    let figure = |name: &str| {
        let pair = status["counters"].as_array().and_then(|list| list.iter().find(|pair| pair[0] == name));
        pair.and_then(|pair| pair[1].as_u64()).unwrap_or(0)
    };
    let at = |share: f64| {
        let place = (report.gaps.len() as f64 * share).ceil() as usize;
        report.gaps.get(place.clamp(1, report.gaps.len().max(1)) - 1).copied().unwrap_or(f64::INFINITY)
    };
    let flushes = report.gaps.len() as u64 + report.never;
    let note = format!(
        "{flushes} times in {SECONDS} s, by nft(8): the whole ruleset (with foreign tables loaded in its place), our table, a set, chain and set; \
         from the moment at which nft is told until the last of {KNOWN} blocked sources is in the kernel again; median {:.1} ms, p99 {:.1} ms; \
         riposte says that it repaired {} times; {}",
        at(0.5),
        at(0.99),
        figure("table repaired"),
        status["repaired"]["why"].as_str().unwrap_or("nobody")
    );
    Ok(vec![
        Verdict::new("longest gap after a flush", format!("≤ {GAP_MILLIS} ms"), format!("{:.1} ms", at(1.0)), at(1.0) <= GAP_MILLIS)
            .noted(note),
        Verdict::none("flushes after which not all were blocked again", report.never),
        Verdict::none("flushes after which a foreign table was changed", report.foreign),
        Verdict::none("known sources free at the end", lost),
        Verdict::none("new attackers free at the end", free).noted(format!("{come} came meanwhile, with {PROBES} probes each")),
        Verdict::none("repairs that the kernel refused", figure("table repairs that the kernel refused")),
    ])
}
