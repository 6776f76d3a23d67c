//! A million standing blocks: how long until they are back after a start, and what one more costs then.

use super::arena::{Arena, Daemon};
use super::figure::{Figure, Unit};
use super::{Context, progress, quantile, seconds_since};
use crate::namespace::run;
use model::block::{Because, Block, BlockId, Change, Effect, Expiry, Outcome, Scope, State};
use model::event::Trust;
use model::level::DangerLevel;
use model::net::Prefix;
use model::offence::Charge;
use model::style::{Style, StyleSet};
use model::time::Time;
use respond::Responder;
use respond::nftables::Nftables;
use respond::skeleton::{BLOCK_SETS, Skeleton, TABLE};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;
use store::Store;
use sys::clock::{monotonic, now};
use sys::nft::watch::Watch;
use sys::nft::{Key, OwnTable};

const BLOCKS: u32 = 1_000_000;
const SINGLES: u32 = 2_000;
const DAY: Duration = Duration::from_secs(86_400);
/// After this long without a new element there comes none any more.
const QUIET: Duration = Duration::from_secs(10);
/// A restart that takes longer is none.
const LONGEST_SECS: f64 = 60.0;
const SETTINGS: &str = "[policy]\nblocks_total = 2000000\n";

/// The nth blocked address: all over 24.0.0.0/5, which holds nobody exempt, and none twice (odd multiplier, modulo 2^27).
fn blocked(n: u32) -> Prefix {
    Prefix::host(IpAddr::V4(Ipv4Addr::from(0x1800_0000 | (n.wrapping_mul(2_654_435_761) & 0x07FF_FFFF))))
}

pub fn measure(context: &Context) -> io::Result<Vec<Figure>> {
    let arena = Arena::new("restore")?;
    let folder = context.folder("restore")?;
    progress("restore: writing the ledger");
    fill(&folder)?;
    progress("restore: into an empty kernel");
    let start = monotonic();
    let mut daemon = Daemon::launch(&arena, context, &folder, SETTINGS)?;
    let warden = daemon.pid().to_string();
    // Not by listening: then the kernel would spend as much time on telling as on doing.
    let (secs, restored) = arena.inside(|| await_last(start, &warden))?.map_err(io::Error::other)?;
    let then = super::idle::family(daemon.pid())?;
    daemon.await_ready()?;
    daemon.end()?;
    progress(&format!("restore: {restored} in {secs:.2} s; single adds"));
    let singles = arena.inside(single_adds)?.map_err(io::Error::other)?;
    progress("restore: again, the kernel has them all");
    let mut watch = arena.watch()?;
    let start = monotonic();
    let daemon = Daemon::launch(&arena, context, &folder, SETTINGS)?;
    let (renewed, again) = count(&mut watch, start)?;
    daemon.end()?;
    Ok(vec![
        Figure::more("blocks back after a restart", restored as f64, Unit::Count).promised(f64::from(BLOCKS)),
        Figure::less("until 1,000,000 blocks are back", secs, Unit::Seconds).promised(3.0).noted(format!(
            "from exec until the last one is in the kernel's set (the warden was then stopped and every one looked up); all processes had used \
             {:.2} s of processor time and held {:.0} MiB (PSS)",
            then.ticks as f64 / 100.0,
            then.pss_kib as f64 / 1024.0
        )),
        Figure::less("one more block then, median", quantile(&singles, 0.5) / 1e3, Unit::Micros).promised(100.0).noted(format!(
            "{SINGLES} single adds by netlink with 1,000,000 elements in the set, send to acknowledgment; p99 {:.0} µs",
            quantile(&singles, 0.99) / 1e3
        )),
        Figure::less("the same, kernel has them all", again, Unit::Seconds)
            .noted(format!("a set of that size is not listed but set again; {renewed} of {BLOCKS} were renewed, with a listener in the way")),
    ])
}

fn fill(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder.join("store"))?;
    let mut store = Store::open(&folder.join("store/riposte.db")).map_err(io::Error::other)?;
    let made = Time::from_nanos(now());
    let styles = StyleSet::from_iter([Style::Syn]);
    let block = |n: u32| Block {
        id: BlockId(u64::from(n)),
        scope: Scope::Source(blocked(n)),
        effect: Effect::Drop,
        made,
        expiry: Expiry::At(made.after(DAY)),
        because: Because::Offence {
            charge: Charge::PortScan,
            level: DangerLevel::MIN,
            styles,
            trust: Trust::Handshake,
            strike: 1,
            rule: None,
        },
    };
    for from in (1..=BLOCKS).step_by(1_000) {
        let ids = from..(from + 1_000).min(BLOCKS + 1);
        store.want(&ids.clone().map(block).collect::<Vec<_>>()).map_err(io::Error::other)?;
        let marks: Vec<_> = ids.map(|n| (BlockId(u64::from(n)), State::Active)).collect();
        store.mark(&marks, made).map_err(io::Error::other)?;
    }
    store.close().map_err(io::Error::other)
}

/// Seconds from `start` until the block that is set last is there, and how many are there then: in the namespace of this thread.
fn await_last(start: u64, warden: &str) -> Result<(f64, usize), String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let mut table = OwnTable::open(TABLE).map_err(|e| said(&e))?;
    let set = BLOCK_SETS.first().ok_or("no set")?.name;
    let mut holds = |prefix: Prefix| table.holds(set, Key::from(prefix.addr())).map_err(|e| said(&e));
    // They are sent in the order of their addresses.
    let last = (1..=BLOCKS).map(blocked).max().ok_or("no blocks")?;
    while !holds(last)? {
        if seconds_since(start) > LONGEST_SECS {
            return Err(format!("{last} is not back after a minute"));
        }
        sleep(Duration::from_millis(2));
    }
    let secs = seconds_since(start);
    run("kill", ["-STOP", warden]).map_err(|e| said(&e))?;
    let there = (1..=BLOCKS).try_fold(0, |sum, n| Ok(sum + usize::from(holds(blocked(n))?)));
    run("kill", ["-CONT", warden]).map_err(|e| said(&e))?;
    there.map(|there| (secs, there))
}

/// Elements that came into the set of blocked addresses, and seconds until the last.
fn count(watch: &mut Watch, start: u64) -> io::Result<(usize, f64)> {
    let (mut seen, mut secs) = (0, 0.0);
    while seen < BLOCKS as usize && watch.wait(QUIET, |set, _| seen += usize::from(set == "blocked4"))? {
        secs = seconds_since(start);
    }
    Ok((seen, secs))
}

/// Sorted nanoseconds of single adds, in the namespace of this thread.
fn single_adds() -> Result<Vec<u64>, String> {
    let time = || Time::from_nanos(now());
    let mut nft = Nftables::open(&Skeleton::default(), time()).map_err(|e| e.to_string())?;
    let mut samples = Vec::new();
    for n in 0..SINGLES {
        let scope = Scope::Source(blocked(BLOCKS + 1 + n));
        let change = Change::Add { id: BlockId(u64::from(n)), scope, expiry: Expiry::At(time().after(DAY)) };
        let at = time();
        let start = monotonic();
        let outcomes = nft.apply(&[change], at);
        samples.push(monotonic() - start);
        if outcomes != [Outcome::Added] {
            return Err(format!("add {n}: {outcomes:?}"));
        }
    }
    samples.sort_unstable();
    Ok(samples)
}
