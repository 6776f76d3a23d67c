//! One simulation: a seed becomes a machine, a world and a story, and every step is looked at. Ends at the first broken promise.

use crate::breach::{Breach, Kept, hold};
use crate::dice::Dice;
use crate::machine::{Machine, Part, Restart, ToJudge};
use crate::plan;
use crate::reference::{Cause, Reference};
use link::message::Got;
use model::block::{BlockId, Outcome};
use model::event::Event;
use model::net::Prefix;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;
use std::time::Duration;
use store::faults::Trouble;

/// Turns of the judge's loop that one step may take before it counts as spinning.
const TURNS: u32 = 5_000;
/// How long it takes until all is quiet once nothing fails: two rounds of asking the kernel and of waiting for the store.
const CALM: Duration = Duration::from_secs(130);

/// What a simulation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Of all that happened: equal for equal seeds.
    pub trace: u64,
    /// Steps taken.
    pub steps: u64,
    /// Events weighed.
    pub events: u64,
    /// Blocks made.
    pub blocks: u64,
    /// Restarts.
    pub restarts: u64,
    /// Storms rolled back.
    pub storms: u64,
    /// Others' lists fetched.
    pub lists: u64,
}

/// A simulation that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// After how many steps; the same seed with as many goes wrong again.
    pub steps: u64,
    /// What went wrong.
    pub breach: Breach,
}

/// Everything that a step can touch.
pub struct Run<'a> {
    /// The machine.
    pub machine: Machine,
    /// What must be true.
    pub reference: Reference,
    /// The dice.
    pub dice: Dice,
    /// What happened so far.
    pub summary: Summary,
    pub(crate) trouble: Trouble,
    /// Whether the store has missed nothing since it was last well.
    is_whole: bool,
    /// Parts of the loop until the judge is killed.
    pub(crate) fuse: Option<u64>,
    tell: &'a mut dyn FnMut(&str),
    hash: DefaultHasher,
}

/// Runs a seed for so many steps in a folder of its own; `tell` gets the story, line by line.
///
/// # Errors
/// The broken promise, or (as one) a folder that can't be used.
pub fn run(seed: u64, steps: u64, folder: &Path, tell: &mut dyn FnMut(&str)) -> Result<Summary, Failure> {
    let mut dice = Dice::new(seed);
    let feeds = plan::feeds(&mut dice);
    let settings = plan::settings(&mut dice, &feeds);
    tell(&format!("{settings:?}"));
    let fail = |steps, breach| Failure { seed, steps, breach };
    let machine = Machine::new(settings.clone(), feeds.clone(), folder, Dice::new(dice.any())).map_err(|error| fail(0, broken(&error)))?;
    let reference = Reference::new(&settings, &feeds, machine.clock.wall());
    let hash = DefaultHasher::new();
    let (summary, trouble) = (Summary::default(), Trouble::None);
    let mut run = Run { machine, reference, dice, summary, trouble, is_whole: true, fuse: None, tell, hash };
    for step in 1..=steps {
        run.summary.steps = step;
        run.step().map_err(|breach| fail(step, breach))?;
    }
    run.end().map_err(|breach| fail(steps, breach))?;
    run.summary.trace = run.hash.finish();
    run.summary.storms = run.reference.storms;
    Ok(run.summary)
}

/// A folder that can't be used, as a breach.
pub(crate) fn broken(error: &io::Error) -> Breach {
    Breach { rule: "the simulation has a folder to work in", what: error.to_string() }
}

impl Run<'_> {
    /// Tells the story, and makes it part of the trace.
    pub(crate) fn say(&mut self, line: impl Display) {
        let line = format!("{:>4} {:>12.3} {line}", self.summary.steps, self.machine.clock.truth().as_nanos() as f64 / 1e9);
        line.hash(&mut self.hash);
        (self.tell)(&line);
    }

    /// Looks at everything, after something that `cause` explains.
    pub(crate) fn look(&mut self, cause: Cause<'_>) -> Kept {
        let before = self.reference.highest;
        let kept = self.reference.look(&self.machine, cause);
        for news in std::mem::take(&mut self.reference.news) {
            self.say(news);
        }
        kept?;
        self.summary.blocks += self.reference.highest.0.saturating_sub(before.0);
        self.reference.look_at_kernel(&self.machine)
    }

    /// Events come in.
    pub(crate) fn feed(&mut self, events: &[Event]) -> Kept {
        if !self.machine.is_on_watch() {
            return Ok(());
        }
        self.summary.events += events.len() as u64;
        self.reference.feed(events);
        // One by one: so that each is looked at with what it alone explains.
        for event in events.chunks(4) {
            self.machine.court.observe(event, self.machine.clock.wall());
            self.look(Cause::Traffic(event))?;
        }
        self.turn()
    }

    /// Whether the judge dies here.
    fn burns(&mut self) -> bool {
        let Some(left) = self.fuse else { return false };
        self.fuse = left.checked_sub(1);
        left == 0
    }

    /// How much of the store's log is safe from a death now. The disk is asked only if one is near: that would take a quarter of the time.
    fn mark(&self) -> u64 {
        self.fuse.map_or(0, |_| self.machine.written())
    }

    /// One turn of the judge's loop, and of the warden's.
    pub(crate) fn turn(&mut self) -> Kept {
        if let Some((step, forward)) = self.machine.look_at_the_clock() {
            self.look(Cause::Clock(step, forward))?;
        }
        if self.send()? {
            return Ok(());
        }
        loop {
            let adopts = self.machine.adopts;
            let Some(message) = self.machine.hear() else { break };
            self.heard(&message, adopts)?;
            if self.burns() {
                return self.restart(Restart::Judge, self.machine.written());
            }
        }
        while let Some(taken) = self.machine.hear_envoy() {
            if let Some(taken) = taken {
                self.say(format_args!(
                    "list {} is fetched: {} entries, {:?}, asked {}",
                    taken.answer.feed,
                    taken.answer.items.len(),
                    taken.got,
                    taken.was_asked
                ));
                self.summary.lists += u64::from(matches!(taken.got, Got::List { .. }));
                self.reference.fetched(&self.machine, &taken)?;
            }
            if self.burns() {
                return self.restart(Restart::Judge, self.machine.written());
            }
        }
        for part in [Part::Tick, Part::Settle, Part::Feeds, Part::Resync, Part::Tidy] {
            let mark = self.mark();
            self.machine.part(part);
            if self.burns() {
                // Cut off in the middle of the part, or right after it.
                return self.restart(Restart::Judge, mark);
            }
            self.look(Cause::Time)?;
            self.note(part);
            if part == Part::Tick && self.send()? {
                return Ok(());
            }
        }
        let asked = self.machine.warden();
        for prefix in asked {
            // Before it is told, the warden knows as little of the host as the judge.
            let host = self.machine.host.iter().filter(|_| self.machine.host_due.is_none()).map(|exemption| exemption.prefix);
            let exempt = host.chain(self.reference.settings.policy.exempt.iter().copied()).find(|exempt| exempt.overlaps(&prefix));
            hold(exempt.is_none(), "the warden blocks nobody exempt", || format!("{prefix} touches {exempt:?}"))?;
        }
        self.reference.look_at_listed_sets(&self.machine)?;
        self.reference.look_at_kernel(&self.machine)
    }

    fn note(&mut self, part: Part) {
        if self.trouble != Trouble::None {
            self.is_whole = false;
        } else if part == Part::Settle && !self.machine.court.has_work() {
            self.is_whole = true;
            self.reference.settled();
        }
    }

    /// Commits and hands over; true if the judge died over it.
    fn send(&mut self) -> Result<bool, Breach> {
        let mark = self.mark();
        let changes = self.machine.court.commit(self.machine.clock.wall());
        if self.burns() {
            self.restart(Restart::Judge, mark)?;
            return Ok(true);
        }
        self.reference.committed();
        if !changes.is_empty() {
            self.say(format_args!("hands over {}", changes.len()));
            changes.hash(&mut self.hash);
            self.reference.handed(&self.machine, &changes, self.trouble == Trouble::None && self.is_whole)?;
            self.machine.hand_over(&changes);
        }
        let (spoken, clock) = (self.machine.court.speak(), self.machine.clocks());
        let Machine { post, court, lag, .. } = &mut self.machine;
        post.turn(court, &spoken, clock, *lag)?;
        Ok(false)
    }

    fn heard(&mut self, message: &ToJudge, adopts: bool) -> Kept {
        match message {
            ToJudge::Outcomes(outcomes) => {
                outcomes.hash(&mut self.hash);
                let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_) | Outcome::Unsupported);
                let failed: BTreeSet<BlockId> = outcomes.iter().filter(|(_, outcome)| failed(outcome)).map(|(id, _)| *id).collect();
                if !failed.is_empty() {
                    self.say(format_args!("hears that {failed:?} failed"));
                }
                self.look(Cause::Failed(&failed))
            }
            ToJudge::Installed(items, last) => {
                self.say(format_args!("hears of {} in the kernel{}", items.len(), if *last { "" } else { " and more" }));
                self.look(if adopts { Cause::Adopted } else { Cause::Time })
            }
            ToJudge::Derived(list) => {
                self.reference.derived = list.iter().map(|exemption| exemption.prefix).collect();
                self.look(Cause::Exempt)
            }
            ToJudge::Rebuilt => {
                self.say("hears that the table was made anew");
                self.look(Cause::Time)
            }
        }
    }

    /// Somebody dies and comes up again.
    pub(crate) fn restart(&mut self, how: Restart, kept: u64) -> Kept {
        self.say(format_args!("dies: {how:?}"));
        self.fuse = None;
        self.summary.restarts += 1;
        self.machine.restart(how, kept).map_err(|error| broken(&error))?;
        self.reference.restarted(&self.machine, how, self.is_whole)?;
        self.is_whole = true;
        self.trouble = Trouble::None;
        Ok(())
    }

    /// Time passes, and everybody does what becomes due.
    pub(crate) fn pass(&mut self, span: Duration) -> Kept {
        let end = self.machine.clock.truth().after(span);
        for _ in 0..TURNS {
            self.turn()?;
            let now = self.machine.clock.truth();
            if now >= end {
                return Ok(());
            }
            let next = self.machine.next_due().map_or(end, |due| due.min(end));
            self.machine.pass(next.since(now).max(Duration::from_millis(1)));
        }
        hold(false, "nobody spins", || format!("{TURNS} turns in {span:?}"))
    }

    /// Nothing fails any more, and everybody has time to agree.
    pub(crate) fn calm(&mut self) -> Kept {
        self.say("all is well for a while");
        self.fuse = None;
        self.trouble = Trouble::None;
        self.machine.suffer(Trouble::None);
        self.machine.kernel.faults = crate::kernel::Faults::default();
        self.machine.lag = Duration::from_millis(5);
        self.machine.elsewhere.is_slow = false;
        self.machine.post.calm();
        self.pass(CALM)?;
        self.machine.post.quiet(self.machine.clock.kernel())?;
        self.reference.quiet(&self.machine, self.is_whole)
    }

    /// Whether a prefix may be used for what nobody else does.
    pub(crate) fn is_untouched(&self, prefix: &Prefix) -> bool {
        !self.reference.granted.keys().any(|granted| granted.overlaps(prefix)) && !self.reference.is_exempt(prefix)
    }
}
