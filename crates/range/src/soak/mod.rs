//! The soak: a real daemon under a steady load for as long as wanted, and whether it stays as it is: memory, descriptors, decisions.
//! Touches nothing of the host: traffic runs in namespaces of its own, the log lies in a memory file system, all is removed at the end.

mod load;
pub mod plan;
pub mod plot;
pub mod sample;
mod tell;

use crate::bench::arena::{Arena, Daemon, VICTIM};
use crate::bench::{Context, seconds_since};
use crate::namespace::run as run_command;
use crate::verdict::Verdict;
use load::{Heard, Shared};
use plan::{PROBE_NANOS, PROBES, Plan};
use report::explain::Explanation;
use sample::Sample;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;
use sys::clock::monotonic;

/// Between two rows.
const ROW_EVERY: Duration = Duration::from_secs(10);
/// What an attacker's last probe may take to be decided, before somebody asks what became of it.
const GRACE: Duration = Duration::from_secs(15);
/// Attacks begin so long after the rest of the load, and end so long before it does.
const MARGIN: Duration = Duration::from_secs(5);
/// A block's time: short, so that the table turns over. Half of it is less than an attacker's quiet time.
const BLOCK_SECS: u64 = 60;
/// An attacker comes back after this time: far behind the end of its block (and of the quiet time after which detectors take it for new),
/// and soon enough for all of them to have come both ways (twice this) before the last two thirds of the default soak begin, in which memory must be flat.
const RETURN_SECS: u32 = 375;
/// Attackers that are asked about one by one if nothing became of them.
const ASKED: usize = 200;
/// History entries that riposte may keep: few, so that it has to forget.
const HISTORY_MAX: u64 = 50_000;
/// News from the kernel that may wait.
const NEWS_BYTES: usize = 256 << 20;

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The binary under test.
    pub riposte: PathBuf,
    /// For how long.
    pub minutes: f64,
    /// Log lines a second.
    pub lines: u64,
    /// Packets a second that reach NFLOG.
    pub packets: u64,
    /// Different bystanders.
    pub sources: u32,
    /// Attacks a second.
    pub attacks: u64,
    /// Where rows and picture go.
    pub out: PathBuf,
}

/// What it came to.
#[derive(Debug)]
pub struct Soaked {
    /// The rows.
    pub samples: Vec<Sample>,
    /// The verdicts.
    pub verdicts: Vec<Verdict>,
}

/// What became of the attacks that are old enough.
#[derive(Debug, Default)]
struct Ledger {
    next: u64,
    decided: u64,
    refused: BTreeMap<String, u64>,
    lost: Vec<String>,
    /// Milliseconds from the first probe to the element in the kernel.
    delays: Vec<u64>,
}

/// Runs it; only for a process that [`crate::bench::run_enclosed`] has started, with the folder that it was given.
///
/// # Errors
/// If it can't be run, or rows and picture can't be written.
pub fn run(options: &Options, folder: &Path) -> io::Result<Soaked> {
    crate::bench::furnish()?;
    let context = Context::new(&options.riposte, folder)?;
    fs::create_dir_all(&options.out)?;
    let arena = Arena::new("soak")?;
    let place = context.folder("soak")?;
    // The log: two files of 200 MB at the most, which the disk never sees.
    run_command("mount", ["-t", "tmpfs", "-o", "size=700m,mode=755", "tmpfs", &place.display().to_string()])?;
    let log = place.join("kern.log");
    fs::write(&log, "")?;
    let mut daemon = Daemon::launch(&arena, &context, &place, &settings(&log))?;
    daemon.await_ready()?;
    let span = (options.minutes * 60e9) as u64;
    let attackers = u32::try_from(options.attacks).unwrap_or(u32::MAX).saturating_mul(RETURN_SECS);
    let shared = Shared {
        plan: Plan { sources: options.sources, attackers, attacks: options.attacks, victim: VICTIM },
        start: monotonic(),
        first_attack: MARGIN.as_nanos() as u64,
        last_attack: span.saturating_sub(MARGIN.as_nanos() as u64),
        over: AtomicBool::new(false),
        deaf: AtomicBool::new(false),
        made: [AtomicU64::new(0), AtomicU64::new(0)],
        lines: AtomicU64::new(0),
        packets: AtomicU64::new(0),
        rotations: AtomicU64::new(0),
        came: (0..options.sources).map(|_| AtomicBool::new(false)).collect(),
        heard: Mutex::new(Heard::default()),
    };
    let (weapon, mut watch) =
        (arena.weapon()?, sys::namespace::within(&arena.victim_file(), || sys::nft::watch::Watch::open(NEWS_BYTES))??);
    let mut ledger = Ledger::default();
    let samples = std::thread::scope(|scope| -> io::Result<Vec<Sample>> {
        let writer = scope.spawn(|| load::write_log(&shared, &log, options.lines));
        let sender = scope.spawn(|| load::send_packets(&shared, &weapon, options.packets));
        let listener = scope.spawn(|| load::listen(&shared, &mut watch));
        let watched = watch_over(&shared, &daemon, &place, span, &mut ledger);
        shared.over.store(true, Ordering::Release);
        let ended = [writer.join(), sender.join()];
        let last = settle(&shared, &daemon, &place, &mut ledger);
        shared.deaf.store(true, Ordering::Release);
        for result in ended.into_iter().chain([listener.join()]) {
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        let (mut samples, last) = (watched?, last?);
        let last = last.after(samples.last());
        samples.push(last);
        Ok(samples)
    })?;
    let verdicts = tell::verdicts(options, &shared, &samples, &ledger);
    fs::write(options.out.join("soak.csv"), sample::csv(&samples))?;
    fs::write(options.out.join("soak.svg"), tell::picture(options, &samples))?;
    daemon.end()?;
    Ok(Soaked { samples, verdicts })
}

/// Everything by default but for what makes 3,000 attackers a minute a storm, and for how long blocks and history are kept.
fn settings(log: &Path) -> String {
    let rate = 1_000_000;
    format!(
        "store.history_max = {HISTORY_MAX}\n[sense.nflog]\nrate = {rate}\nburst = {rate}\n[[sense.log]]\nkind = \"file\"\npath = \"{}\"\n\
         [policy]\nblock_for = [\"{BLOCK_SECS}s\", \"{BLOCK_SECS}s\", \"{BLOCK_SECS}s\", \"{BLOCK_SECS}s\", \"{BLOCK_SECS}s\"]\n\
         blocks_per_minute = 1000000\n[policy.spoofable]\nblock_max = \"{BLOCK_SECS}s\"\nblocks_per_minute = 1000000\nblocks_standing = 1000000\n\
         [policy.storm]\noffenders = 65536\n[log]\nlevel = \"warn\"\n",
        log.display()
    )
}

/// Takes a row now and then, and looks what became of each attack, until the time is over.
fn watch_over(shared: &Shared, daemon: &Daemon, place: &Path, span: u64, ledger: &mut Ledger) -> io::Result<Vec<Sample>> {
    let mut samples: Vec<Sample> = Vec::new();
    let mut next_row = shared.start;
    // How far the attacks were two rows ago: for longer than any decision may take.
    let mut made = [[0; 2]; 2];
    while monotonic() < shared.start + span {
        if monotonic() >= next_row {
            next_row += ROW_EVERY.as_nanos() as u64;
            let sample = Sample::take(daemon, place, seconds_since(shared.start))?.after(samples.last());
            check(shared, daemon, ledger, made[0]);
            made = [made[1], shared.progress()];
            tell::row(&sample, samples.last(), ledger.decided, ledger.next);
            samples.push(sample);
        }
        sleep(Duration::from_millis(100));
    }
    Ok(samples)
}

/// Waits until everything that was sent is dealt with, and looks at the last attacks.
fn settle(shared: &Shared, daemon: &Daemon, place: &Path, ledger: &mut Ledger) -> io::Result<Sample> {
    let began = monotonic();
    let written = shared.lines.load(Ordering::Relaxed);
    loop {
        let sample = Sample::take(daemon, place, seconds_since(shared.start))?;
        let waited = seconds_since(began);
        if (sample.count("file: lines") >= written && waited > GRACE.as_secs_f64()) || waited > 60.0 {
            check(shared, daemon, ledger, shared.progress());
            return Ok(sample);
        }
        sleep(Duration::from_millis(500));
    }
}

/// Looks what became of every attack whose last probe was sent when both ways were `made` so far (nanoseconds from the first attack).
fn check(shared: &Shared, daemon: &Daemon, ledger: &mut Ledger, made: [u64; 2]) {
    let length = PROBE_NANOS * u64::from(PROBES);
    let end = shared.last_attack - shared.first_attack;
    let mut missing = Vec::new();
    while shared.plan.begins(ledger.next) <= end {
        if shared.plan.begins(ledger.next) + length > made[shared.plan.way(ledger.next) as usize] {
            break;
        }
        let began = shared.start + shared.first_attack + shared.plan.begins(ledger.next);
        let attacker = shared.plan.attacker(ledger.next);
        let heard = shared.heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner).attackers.get(&attacker).copied();
        match heard.filter(|at| *at >= began) {
            Some(at) => {
                ledger.decided += 1;
                ledger.delays.push((at - began) / 1_000_000);
            }
            None => missing.push((attacker, began)),
        }
        ledger.next += 1;
    }
    for (attacker, began) in missing {
        let address = plan::address(attacker).to_string();
        if ledger.lost.len() >= ASKED {
            ledger.lost.push(address);
            continue;
        }
        match why_not(daemon, &address, seconds_since(began)) {
            Ok(Some(cap)) => *ledger.refused.entry(cap).or_default() += 1,
            Ok(None) => ledger.lost.push(address),
            Err(error) => ledger.lost.push(format!("{address} ({error})")),
        }
    }
}

/// The cap that kept somebody from being blocked within the last so many seconds, if riposte names one.
fn why_not(daemon: &Daemon, address: &str, secs: f64) -> io::Result<Option<String>> {
    let explanation: Explanation = serde_json::from_value(daemon.explain(address)?).map_err(io::Error::other)?;
    let since = sys::clock::now().saturating_sub((secs * 1e9) as u64 + 1_000_000_000);
    let refused = explanation.entries.iter().rev().find(|entry| entry.at.0.as_nanos() >= since && entry.decision == "refuse");
    Ok(refused.map(|entry| entry.why.clone()))
}
