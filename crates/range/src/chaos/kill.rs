//! The kill storm: ten thousand attackers come, and meanwhile kill -9 hits riposte's processes at random moments. At the end each
//! attacker must be blocked exactly once, in ledger, history and kernel, and nobody who is exempt at any time.
//!
//! What may differ from a riposte that is left alone: evidence that was on its way through a killed process is gone, so an attacker may
//! need a few probes more. It goes on until it is blocked, as real ones do, and must be blocked in the end.

use super::audit::{Audit, Finding, audit};
use super::mob::{EXEMPT, Mob};
use super::yard::{Pids, Yard, signal};
use super::{Context, progress};
use crate::logs::Random;
use crate::verdict::Verdict;
use std::collections::BTreeMap;
use std::io;
use std::thread::sleep;
use std::time::Duration;
use sys::clock::monotonic;

/// Attackers that come with each kill: ten thousand with a thousand.
const EACH_KILL: u32 = 10;
/// Child processes are killed so often each before the warden's turn: more would only wait for the back-off that grows with each.
const IN_A_ROW: u32 = 3;
/// Processes that a kill hits beside the warden.
const CHILDREN: [&str; 4] = ["judge", "packets", "log 1", "host"];
/// How long riposte may take until it is at work again, back-off included.
const LIMIT: Duration = Duration::from_secs(60);
/// The longest wait before the next kill.
const PAUSE_MILLIS: u32 = 150;
/// One kill in so many comes before riposte has recovered from the one before.
const RASH: u32 = 3;

/// What makes every attacker be blocked, for longer than the storm lasts.
fn settings() -> String {
    format!(
        "[sense.nflog]\nrate = 1000000\nburst = 1000000\n[policy]\nexempt = [\"{EXEMPT}\"]\n\
         block_for = [\"5h\", \"5h\", \"5h\", \"5h\", \"5h\"]\nblocks_per_minute = 1000000\n\
         [policy.spoofable]\nblock_max = \"5h\"\nblocks_per_minute = 1000000\nblocks_standing = 1000000\n[policy.storm]\noffenders = 65536\n"
    )
}

/// What the kills did.
#[derive(Debug, Default)]
struct Toll {
    /// Milliseconds until riposte was at work again, by who was killed; only of kills that it was given the time to recover from.
    recovery: BTreeMap<String, Vec<u64>>,
    kills: BTreeMap<String, u32>,
    /// Processes that were left when all should have been gone.
    left: u64,
    /// The warden's descriptors when it was at work: the fewest and the most.
    descriptors: Option<(u64, u64)>,
}

/// Runs it.
///
/// # Errors
/// If riposte does not come back, or nothing can be measured.
pub fn run(context: &Context) -> io::Result<Vec<Verdict>> {
    let mut yard = Yard::new(context, "kill", &settings())?;
    yard.start()?;
    yard.await_work(LIMIT)?;
    let mob = Mob::new(context.kills * EACH_KILL);
    let mut toll = Toll::default();
    let began = monotonic();
    let stormed = mob.while_loose(&mut yard, |yard| storm(context, yard, &mob, &mut toll))?;
    stormed?;
    let secs = crate::bench::seconds_since(began);
    toll.left += yard.end()? as u64;
    let found = audit(&yard.place.join("store"), &yard.kernel()?, &mob.all())?;
    // A riposte that is started once more finds everything as it is.
    yard.start()?;
    yard.await_work(LIMIT)?;
    let agreed =
        yard.log().lines().rev().find_map(|line| line.split_once("ledger and firewall agree").map(|(_, rest)| rest.trim().to_owned()));
    toll.left += yard.end()? as u64;
    Ok(verdicts(context, &yard, &mob, &toll, &found, secs, &agreed.unwrap_or_default()))
}

fn storm(context: &Context, yard: &mut Yard, mob: &Mob, toll: &mut Toll) -> io::Result<()> {
    let mut random = Random::new(context.seed);
    let mut in_a_row = BTreeMap::<&str, u32>::new();
    for kill in 1..=context.kills {
        mob.come(kill * EACH_KILL);
        sleep(Duration::from_millis(u64::from(random.below(PAUSE_MILLIS))));
        yard.tend()?;
        let family = yard.family();
        let candidates: Vec<&str> = CHILDREN
            .into_iter()
            .filter(|life| family.contains_key(*life) && in_a_row.get(life).is_none_or(|times| *times < IN_A_ROW))
            .collect();
        let place = random.below(candidates.len() as u32 + 1) as usize;
        let victim = candidates.get(place).copied().unwrap_or("warden");
        let struck = monotonic();
        if victim == "warden" {
            in_a_row.clear();
            toll.left += yard.kill_warden()? as u64;
            yard.start()?;
        } else {
            *in_a_row.entry(victim).or_default() += 1;
            signal("KILL", family.get(victim).copied().unwrap_or(0))?;
        }
        *toll.kills.entry(victim.to_owned()).or_default() += 1;
        if kill < context.kills && random.below(RASH) == 0 {
            continue;
        }
        let pids = recovered(yard, victim, &family)?;
        toll.recovery.entry(victim.to_owned()).or_default().push((monotonic() - struck) / 1_000_000);
        note_descriptors(toll, &pids);
        if kill % 50 == 0 {
            progress(&format!("kill: {kill} of {}, {} attackers not blocked yet", context.kills, mob.loose()));
        }
    }
    await_all(yard, mob)
}

/// Waits until riposte is at work without the process that was killed.
fn recovered(yard: &mut Yard, victim: &str, before: &Pids) -> io::Result<Pids> {
    loop {
        let pids = yard.await_work(LIMIT)?;
        if pids.get(victim) != before.get(victim) {
            return Ok(pids);
        }
    }
}

fn note_descriptors(toll: &mut Toll, pids: &Pids) {
    let Some(count) = pids.get("warden").and_then(|pid| crate::soak::sample::look(*pid).ok()).map(|found| found.descriptors) else {
        return;
    };
    let (least, most) = toll.descriptors.unwrap_or((count, count));
    toll.descriptors = Some((least.min(count), most.max(count)));
}

/// Waits until every attacker is blocked.
fn await_all(yard: &mut Yard, mob: &Mob) -> io::Result<()> {
    let until = monotonic() + LIMIT.as_nanos() as u64;
    while !mob.is_out() {
        yard.tend()?;
        if monotonic() > until {
            return Err(io::Error::other(format!(
                "{} attackers are not blocked after {} s: {}",
                mob.loose(),
                LIMIT.as_secs(),
                yard.last_words()
            )));
        }
        sleep(Duration::from_millis(20));
    }
    // What was sent last is settled, too.
    yard.await_work(LIMIT).map(drop)
}

fn verdicts(context: &Context, yard: &Yard, mob: &Mob, toll: &Toll, found: &Audit, secs: f64, agreed: &str) -> Vec<Verdict> {
    let attackers = mob.all().len();
    let kills: u32 = toll.kills.values().sum();
    let none = |what: &str, finding: &Finding| Verdict::none(what, finding.count).noted(finding.told());
    let by_kind: Vec<String> = toll.kills.iter().map(|(life, count)| format!("{life} {count}")).collect();
    let log = yard.log();
    let (least, most) = toll.descriptors.unwrap_or_default();
    let mut all = vec![
        Verdict::new("kill -9 at random moments", context.kills.to_string(), kills.to_string(), kills == context.kills).noted(format!(
            "{}; in {secs:.0} s; seed {}; the warden gave up by itself {} times",
            by_kind.join(", "),
            context.seed,
            yard.gave_up
        )),
        Verdict::new("attackers blocked", attackers.to_string(), found.live.to_string(), found.live == attackers as u64),
        none("lost blocks", &found.lost),
        none("doubled blocks", &found.doubled),
        none("blocks in the kernel that the ledger doesn't know", &found.surplus),
        none("blocks that the history doesn't tell of", &found.untold),
        none("attackers without exactly one strike", &found.strikes),
        none("ends on which kernel and ledger disagree", &found.ends),
        Verdict::none("exempt addresses blocked, at any time", mob.wronged()),
        Verdict::new("at the next start", "nothing set again, nothing removed", agreed, agreed.contains("set_again=0 removed=0")),
        Verdict::none("processes left behind", toll.left),
        Verdict::new("the warden's descriptors", "flat", format!("{least} to {most}"), most - least <= 2),
        Verdict::none("panics", log.matches("panicked").count() as u64),
    ];
    for (life, times) in &toll.recovery {
        let mut times = times.clone();
        times.sort_unstable();
        let at = |share: f64| times.get((times.len().saturating_sub(1) as f64 * share) as usize).copied().unwrap_or(0);
        all.push(Verdict::new(
            format!("recovery after a kill of {life}"),
            "",
            format!("median {} ms, max {} ms ({} times)", at(0.5), at(1.0), times.len()),
            true,
        ));
    }
    all
}
