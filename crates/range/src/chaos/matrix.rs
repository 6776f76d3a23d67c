//! The fault matrix: every fault at every moment, each in a riposte of its own, while attackers come and go on until they are blocked.
//! Told for each cell: blocks lost, blocks doubled, exempt addresses blocked, and how long until all was as it should be.
//!
//! "Between" two steps of riposte is hit by chance: the delay from the step before comes from the seed. The kill storm, which hits a
//! thousand times, is the other half of the proof.

use super::audit;
use super::fault::{Fault, Held};
use super::mob::{EXEMPT, Mob};
use super::yard::Yard;
use super::{Context, progress};
use crate::bench::arena::attacker;
use crate::logs::Random;
use crate::namespace::run as run_command;
use crate::verdict::Verdict;
use model::block::{Because, Block, BlockId, Effect, Expiry, Scope, State};
use model::event::Trust;
use model::level::DangerLevel;
use model::net::Prefix;
use model::offence::Charge;
use model::style::{Style, StyleSet};
use model::time::Time;
use report::list::BlockLine;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::thread::sleep;
use std::time::Duration;
use store::Store;
use sys::clock::{monotonic, now};

/// Attackers that are blocked before the fault, and those that come with it.
const STANDING: u32 = 6;
const ALL: u32 = 12;
/// Blocks in the ledger of a start.
const RESTORED: u32 = 10_000;
/// The first of their addresses.
const RESTORED_FIRST: u32 = 20_000;
/// Failed contacts that convict.
const PROBES: u32 = 5;
/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(40);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long a first block is, where its end is waited for.
const SHORT_SECS: u64 = 3;
/// What the ledger's disk holds.
const DISK: &str = "size=24m,mode=755";

/// When the fault comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    BeforeFirst,
    ThirdProbe,
    Deciding,
    Standing,
    Expiry,
    Restore,
    Unblock,
}

impl Moment {
    const ALL: [Moment; 7] =
        [Moment::BeforeFirst, Moment::ThirdProbe, Moment::Deciding, Moment::Standing, Moment::Expiry, Moment::Restore, Moment::Unblock];

    fn name(self) -> &'static str {
        match self {
            Moment::BeforeFirst => "before the first packet",
            Moment::ThirdProbe => "at probe 3 of 5",
            Moment::Deciding => "between decision and outcome",
            Moment::Standing => "while blocks stand",
            Moment::Expiry => "as blocks expire",
            Moment::Restore => "at a start with 10,000 blocks",
            Moment::Unblock => "during an unblock",
        }
    }
}

/// What must be true in the end.
#[derive(Debug, Default)]
struct Wanted {
    blocked: BTreeSet<Ipv4Addr>,
    free: BTreeSet<Ipv4Addr>,
    /// Which offence of theirs the blocked ones' is.
    strike: u32,
    /// Since when (monotonic): the fault is over.
    since: u64,
}

/// What was.
#[derive(Debug, Default)]
struct Cell {
    lost: BTreeSet<String>,
    doubled: BTreeSet<String>,
    wronged: u64,
    millis: u64,
    recovered: bool,
    /// The fault did nothing to riposte.
    idle: bool,
}

/// Runs all cells.
///
/// # Errors
/// If a network can't be made.
pub fn run(context: &Context) -> io::Result<Vec<Verdict>> {
    let mut verdicts = Vec::new();
    for fault in Fault::ALL {
        for moment in Moment::ALL {
            let what = format!("{}, {}", fault.name(), moment.name());
            if context.cell.as_ref().is_some_and(|word| !what.contains(word.as_str())) {
                continue;
            }
            let wanted = "0, 0, 0";
            let verdict = match cell(context, fault, moment) {
                Ok(cell) => {
                    let (lost, doubled, wronged) = (cell.lost.len(), cell.doubled.len(), cell.wronged);
                    let kept = lost == 0 && doubled == 0 && wronged == 0 && cell.recovered && !cell.idle;
                    let examples: Vec<&str> = cell.lost.iter().chain(&cell.doubled).take(4).map(String::as_str).collect();
                    let idle = if cell.idle { "; the fault did not take effect" } else { "" };
                    let measured = format!("{lost}, {doubled}, {wronged}; {} ms{idle}", cell.millis);
                    Verdict::new(what, wanted, measured, kept).noted(examples.join("; "))
                }
                Err(error) => Verdict::new(what, wanted, "could not be run", false).noted(error.to_string()),
            };
            let word = if verdict.kept { "" } else { "  <-- NOT KEPT " };
            progress(&format!("matrix: {}: {}{word}{}", verdict.what, verdict.measured, verdict.note));
            verdicts.push(verdict);
        }
    }
    Ok(verdicts)
}

fn settings(moment: Moment) -> String {
    let first = if moment == Moment::Expiry { format!("{SHORT_SECS}s") } else { "1h".into() };
    format!(
        "[sense.nflog]\nrate = 1000000\nburst = 1000000\n[policy]\nexempt = [\"{EXEMPT}\"]\n\
         block_for = [\"{first}\", \"{first}\", \"{first}\", \"{first}\", \"{first}\"]\nescalation = 100\nblocks_per_minute = 1000000\n\
         [policy.spoofable]\nblock_max = \"1h\"\nblocks_per_minute = 1000000\nblocks_standing = 1000000\n[policy.storm]\noffenders = 65536\n"
    )
}

fn cell(context: &Context, fault: Fault, moment: Moment) -> io::Result<Cell> {
    let number = (Fault::ALL.iter().position(|f| *f == fault), Moment::ALL.iter().position(|m| *m == moment));
    let number = number.0.unwrap_or(0) * Moment::ALL.len() + number.1.unwrap_or(0);
    let mut random = Random::new(context.seed.wrapping_mul(1_000).wrapping_add(number as u64 + 1));
    // The first numbers of near seeds are near.
    (0..8).for_each(|_| {
        random.draw();
    });
    let mut yard = Yard::new(context, &format!("m{number}"), &settings(moment))?;
    let store = yard.place.join("store");
    run_command("mount", ["-t", "tmpfs", "-o", DISK, "tmpfs", &store.display().to_string()])?;
    let done = in_yard(&mut yard, fault, moment, &mut random);
    yard.end()?;
    let _ = run_command("umount", [&store.display().to_string()]);
    let _ = std::fs::remove_dir_all(&yard.place);
    done
}

fn in_yard(yard: &mut Yard, fault: Fault, moment: Moment, random: &mut Random) -> io::Result<Cell> {
    let mob = Mob::new(ALL + 2);
    let mut cell = Cell::default();
    let wanted = mob.while_loose(yard, |yard| {
        let mut wanted = act(yard, &mob, fault, moment, random)?;
        cell.recovered = await_right(yard, &mob, &wanted, &mut cell.millis)?;
        // At a start the fault may come before there is anybody to feel it: that is part of that moment.
        cell.idle = moment != Moment::Restore && !fault.took_effect(yard)?;
        lost(yard, &wanted, "", &mut cell)?;
        doubled(yard, &wanted, &mut cell)?;
        // What was decided while the ledger could not be written holds until the next start, and is told by nobody then.
        if fault == Fault::ReadOnly {
            wanted.blocked.clear();
            wanted.free.clear();
        }
        Ok::<_, io::Error>(wanted)
    })??;
    cell.wronged = mob.wronged();
    yard.end()?;
    let sentenced = audit::sentences(&yard.place.join("store"))?;
    let twice = wanted.blocked.iter().filter_map(|a| Some((a, sentenced.get(a).filter(|times| **times > wanted.strike)?)));
    cell.doubled.extend(twice.map(|(address, times)| format!("{address}: sentenced {times} times")));
    yard.start()?;
    yard.await_work(LIMIT)?;
    lost(yard, &wanted, " after the next start", &mut cell)?;
    Ok(cell)
}

/// Brings riposte to the moment, and the fault over it.
fn act(yard: &mut Yard, mob: &Mob, fault: Fault, moment: Moment, random: &mut Random) -> io::Result<Wanted> {
    let mut wanted = Wanted { strike: 1, ..Wanted::default() };
    let millis = |random: &mut Random, most: u32| Duration::from_millis(u64::from(random.below(most)));
    if moment == Moment::Restore {
        fill(yard)?;
        // A ledger that can't be opened for writing is not read either: what the kernel doesn't have then stays away until it can.
        let restored = if fault == Fault::ReadOnly { 0 } else { RESTORED };
        wanted.blocked.extend((0..restored).map(|n| attacker(RESTORED_FIRST + n)));
        mob.come(ALL);
    }
    yard.start()?;
    if moment == Moment::Restore {
        sleep(millis(random, 200));
    } else {
        yard.await_work(LIMIT)?;
        if moment != Moment::BeforeFirst {
            mob.come(STANDING);
            until(yard, |_| Ok(mob.is_out()))?;
        }
    }
    let begun = monotonic();
    let held = match moment {
        Moment::BeforeFirst => {
            let held = fault.inject(yard)?;
            mob.come(ALL);
            held
        }
        Moment::ThirdProbe | Moment::Deciding => {
            let before = if moment == Moment::Deciding { PROBES - 1 } else { 3 };
            mob.allow(before);
            mob.come(ALL);
            until(yard, |_| Ok(mob.is_done()))?;
            sleep(Duration::from_millis(40));
            if moment == Moment::Deciding {
                mob.allow(PROBES);
            }
            sleep(millis(random, 22));
            let held = fault.inject(yard)?;
            mob.allow(u32::MAX);
            held
        }
        Moment::Standing => {
            let held = fault.inject(yard)?;
            mob.come(ALL);
            held
        }
        Moment::Expiry => expire(yard, mob, fault, begun, &mut wanted, random)?,
        Moment::Restore => fault.inject(yard)?,
        Moment::Unblock => unblock(yard, fault, &mut wanted, random)?,
    };
    wanted.since = monotonic();
    if !held.span().is_zero() {
        sleep(held.span());
        wanted.since = monotonic();
        held.release(yard)?;
    }
    // A ledger that can't be opened doesn't say that this was the second offence: the block is a short first one, and is over again soon.
    let forgotten = fault == Fault::ReadOnly && moment == Moment::Expiry;
    wanted.blocked.extend(mob.all().into_iter().filter(|_| !forgotten));
    wanted.blocked.retain(|address| !wanted.free.contains(address));
    Ok(wanted)
}

/// Lets the fault come as the first blocks end; afterwards the attackers are back.
fn expire(yard: &mut Yard, mob: &Mob, fault: Fault, begun: u64, wanted: &mut Wanted, random: &mut Random) -> io::Result<Held> {
    let end = begun + SHORT_SECS * 1_000_000_000;
    let at = end - 100_000_000 + u64::from(random.below(200)) * 1_000_000;
    sleep(Duration::from_nanos(at.saturating_sub(monotonic())));
    let held = fault.inject(yard)?;
    until(yard, |yard| Ok(yard.kernel()?.is_empty()))?;
    (0..STANDING).for_each(|n| mob.again(n));
    wanted.strike = 2;
    Ok(held)
}

/// Lets the fault come into an operator's order. Whoever gets no answer asks again.
fn unblock(yard: &mut Yard, fault: Fault, wanted: &mut Wanted, random: &mut Random) -> io::Result<Held> {
    let whom = attacker(0);
    wanted.free.insert(whom);
    let delay = Duration::from_micros(u64::from(random.below(8_000)));
    let order = yard.ordering(&["unblock", &whom.to_string()])?;
    sleep(delay);
    let mut held = fault.inject(yard)?;
    let answered = order.wait_with_output()?.status.success();
    if !answered {
        wanted.free.clear();
        // Nobody answers who is stopped: so the fault ends here.
        std::mem::replace(&mut held, Held::Nothing).release(yard)?;
        let _ = yard.await_work(LIMIT)?;
        match yard.order(&["unblock", &whom.to_string()]) {
            Ok(_) => {}
            Err(error) if error.to_string().contains("is not blocked") => {}
            Err(error) => return Err(error),
        }
        wanted.free.insert(whom);
    }
    Ok(held)
}

/// Waits until something is so.
fn until(yard: &mut Yard, mut is_so: impl FnMut(&mut Yard) -> io::Result<bool>) -> io::Result<()> {
    let limit = monotonic() + LIMIT.as_nanos() as u64;
    while !is_so(yard)? {
        if monotonic() > limit {
            return Err(io::Error::other(format!("waited in vain; riposte logged last:\n{}", yard.last_words())));
        }
        sleep(LOOK_EVERY);
    }
    Ok(())
}

/// Waits until riposte is at work, everybody is blocked in kernel and ledger who should be, and nobody else; false if that never comes.
fn await_right(yard: &mut Yard, mob: &Mob, wanted: &Wanted, millis: &mut u64) -> io::Result<bool> {
    let limit = monotonic() + LIMIT.as_nanos() as u64;
    loop {
        yard.tend()?;
        if mob.is_out() && yard.at_work().is_some() && missing(yard, wanted)?.is_empty() {
            *millis = (monotonic() - wanted.since) / 1_000_000;
            return Ok(true);
        }
        if monotonic() > limit {
            *millis = (monotonic() - wanted.since) / 1_000_000;
            return Ok(false);
        }
        sleep(LOOK_EVERY);
    }
}

/// What is not as it should be, in words.
fn missing(yard: &Yard, wanted: &Wanted) -> io::Result<Vec<String>> {
    let kernel = yard.kernel()?;
    let mut missing: Vec<String> =
        wanted.blocked.iter().filter(|a| !kernel.contains_key(a)).map(|a| format!("{a} not in the kernel")).collect();
    missing.extend(wanted.free.iter().filter(|a| kernel.contains_key(a)).map(|a| format!("{a} still in the kernel")));
    if missing.is_empty() {
        let listed = listed(yard)?;
        missing.extend(wanted.blocked.iter().filter(|a| !listed.contains_key(a)).map(|a| format!("{a} not listed")));
        missing.extend(wanted.free.iter().filter(|a| listed.contains_key(a)).map(|a| format!("{a} still listed")));
    }
    Ok(missing)
}

fn lost(yard: &Yard, wanted: &Wanted, when: &str, cell: &mut Cell) -> io::Result<()> {
    cell.lost.extend(missing(yard, wanted)?.into_iter().map(|what| format!("{what}{when}")));
    Ok(())
}

/// The blocks by riposte's own word: how often each address is on the list, and its strike.
fn listed(yard: &Yard) -> io::Result<BTreeMap<Ipv4Addr, (u32, u32)>> {
    let mut listed = BTreeMap::new();
    for line in yard.ask::<BlockLine>(&["list"])? {
        if let IpAddr::V4(address) = line.address.0.addr() {
            let entry = listed.entry(address).or_insert((0, 0));
            *entry = (entry.0 + 1, line.strike.unwrap_or(0));
        }
    }
    Ok(listed)
}

/// Blocks that are there twice, or count as one offence too many.
fn doubled(yard: &Yard, wanted: &Wanted, cell: &mut Cell) -> io::Result<()> {
    let listed = listed(yard)?;
    for address in &wanted.blocked {
        let (times, strike) = listed.get(address).copied().unwrap_or_default();
        if times > 1 || strike > wanted.strike {
            cell.doubled.insert(format!("{address}: {times} times on the list, strike {strike}"));
        }
    }
    Ok(())
}

/// Writes a ledger of many blocks, as an earlier riposte would have left it.
fn fill(yard: &Yard) -> io::Result<()> {
    let mut store = Store::open(&yard.place.join("store/riposte.db")).map_err(io::Error::other)?;
    let made = Time::from_nanos(now());
    let styles = StyleSet::from_iter([Style::Syn]);
    let block = |n: u32| Block {
        id: BlockId(u64::from(n) + 1),
        scope: Scope::Source(Prefix::host(IpAddr::V4(attacker(RESTORED_FIRST + n)))),
        effect: Effect::Drop,
        made,
        expiry: Expiry::At(made.after(Duration::from_secs(3_600))),
        because: Because::Offence {
            charge: Charge::PortScan,
            level: DangerLevel::MIN,
            styles,
            trust: Trust::Spoofable,
            strike: 1,
            rule: None,
        },
    };
    store.want(&(0..RESTORED).map(block).collect::<Vec<_>>()).map_err(io::Error::other)?;
    let marks: Vec<_> = (0..RESTORED).map(|n| (BlockId(u64::from(n) + 1), State::Active)).collect();
    store.mark(&marks, made).map_err(io::Error::other)?;
    store.close().map_err(io::Error::other)
}
