//! The judge's other callers: the operator, the configuration, the responder and the ledger. Their word does not go through the caps,
//! but never past the exempt list.

use crate::caps::MINUTE;
use crate::config::PolicyConfig;
use crate::escalate::{Strike, StrikeChange};
use crate::judge::Judge;
use crate::ruling::{Lift, Refusal, Ruling};
use crate::standing::Record;
use crate::storm::StormReport;
use model::block::{Because, Block, BlockId, Change, Expiry, Outcome, Scope};
use model::decision::Exemption;
use model::limits;
use model::net::Prefix;
use model::time::Time;
use std::time::Duration;

impl Judge {
    /// Takes a new configuration and keeps all that is remembered. Blocks that it makes exempt are lifted; if it ends a dry run, the
    /// blocks of that are dropped.
    pub fn reconfigure(&mut self, config: PolicyConfig, now: Time) -> Ruling {
        let mut ruling = self.open(now);
        let dry_run_is_over = self.config.dry_run && !config.dry_run;
        let exempt = self.exempt.configure(config.exempt.clone());
        self.config = config;
        self.forget_lists();
        ruling.dry_run = self.config.dry_run;
        if dry_run_is_over {
            let rehearsed: Vec<BlockId> =
                self.standing.iter().filter(|(_, record)| record.rehearsed).map(|(_, record)| record.id).collect();
            rehearsed.into_iter().for_each(|id| self.lift(id, Lift::Rehearsal, &mut ruling));
        }
        self.lift_exempt(&exempt, &mut ruling);
        self.close();
        ruling
    }

    /// Replaces the exemptions that were derived from the system. Blocks that now touch an exempt address are lifted.
    pub fn set_exemptions(&mut self, derived: Vec<Exemption>, now: Time) -> Ruling {
        let mut ruling = self.open(now);
        let exempt = self.exempt.derive(derived);
        self.lift_exempt(&exempt, &mut ruling);
        self.close();
        ruling
    }

    /// Makes a prefix exempt by an operator's order, or gives the order a new end. Blocks that touch it are lifted.
    pub fn allow(&mut self, prefix: Prefix, until: Option<Time>, now: Time) -> Result<Ruling, Refusal> {
        // Refusals come before `open`, whose news of ended blocks must not get lost.
        self.exempt.expire(now);
        if until.is_some_and(|until| until <= now) {
            return Err(Refusal::Past);
        }
        let exempt = self.exempt.allow(prefix, until).ok_or(Refusal::AllowancesFull)?;
        let mut ruling = self.open(now);
        self.lift_exempt(&exempt, &mut ruling);
        self.close();
        Ok(ruling)
    }

    /// Takes an operator's allowance back; says whether there was one.
    pub fn disallow(&mut self, prefix: Prefix) -> bool {
        let was = self.exempt.disallow(&prefix);
        self.close();
        was
    }

    /// The operator's allowances and when they end, sorted.
    pub fn allowed(&self) -> Vec<(Prefix, Option<Time>)> {
        self.exempt.allowed()
    }

    fn lift_exempt(&mut self, exempt: &[Exemption], ruling: &mut Ruling) {
        for exemption in exempt {
            for id in self.standing.touching(&exemption.prefix) {
                self.lift(id, Lift::Exempt(exemption.reason), ruling);
            }
        }
    }

    /// Blocks a prefix by an operator's order. A block that stands for just this prefix becomes the operator's, with the end given
    /// here, be it earlier or later. `note` is stored as it is.
    pub fn block(&mut self, prefix: Prefix, expiry: Expiry, note: String, now: Time) -> Result<Ruling, Refusal> {
        let ruling = self.set(prefix, expiry, Because::Operator { note }, now)?;
        self.counters.ordered += 1;
        Ok(ruling)
    }

    /// Blocks as another program's manager asks, who decides by himself as our detectors do: within the caps that hold for them. The caller
    /// has let time pass.
    pub fn respond(&mut self, whom: Prefix, expiry: Expiry, note: String, now: Time) -> Result<Ruling, Refusal> {
        let is_new = self.standing.get(&whom).is_none();
        if let Some(cap) = self.cap_in_the_way(false).filter(|_| is_new) {
            return Err(Refusal::Cap(cap));
        }
        let ruling = self.block(whom, expiry, note, now)?;
        let passed = self.clock.passed();
        ruling.made.iter().for_each(|block| self.minute.add(passed, block.id));
        Ok(ruling)
    }

    /// Which offence of this offender it is that is answered otherwise than by a block: the one that its block stands for, else a further one.
    pub fn strike(&mut self, whom: Prefix, now: Time) -> (u32, Vec<StrikeChange>) {
        let standing = self.standing.get(&whom).filter(|record| !record.expiry.is_over(now)).map(|record| &record.because);
        if let Some(Because::Offence { strike, .. }) = standing {
            return (*strike, Vec::new());
        }
        let (mut changes, count) = (Vec::new(), self.strikes.next(&whom, now, self.config.strikes_forget));
        self.strikes.set(Strike { prefix: whom, count, last: now }, &mut changes);
        (count, changes)
    }

    /// Takes over a block that the firewall has and the ledger does not know. The exempt list stands above that, too.
    pub fn adopt(&mut self, prefix: Prefix, expiry: Expiry, now: Time) -> Result<Ruling, Refusal> {
        self.set(prefix, expiry, Because::Adopted, now)
    }

    fn set(&mut self, prefix: Prefix, expiry: Expiry, because: Because, now: Time) -> Result<Ruling, Refusal> {
        self.exempt.expire(now);
        if let Some(refusal) = self.protection(&prefix) {
            return Err(refusal);
        }
        if expiry.is_over(now) {
            return Err(Refusal::Past);
        }
        let old = self.standing.get(&prefix).filter(|record| !record.expiry.is_over(now)).map(|record| (record.id, record.rehearsed));
        if old.is_some_and(|(_, rehearsed)| rehearsed != self.config.dry_run) {
            return Err(Refusal::DryRun);
        }
        if old.is_none() && (self.standing.len() >= limits::BLOCKS || self.next_id == u64::MAX) {
            return Err(Refusal::Full);
        }
        let mut ruling = self.open(now);
        match old {
            Some((id, _)) => {
                ruling.extended.extend(self.standing.amend(&prefix, expiry, because));
                self.storm.ended(id);
                self.order(id, prefix, expiry, &mut ruling);
            }
            None => {
                self.make(prefix, expiry, because, now, &mut ruling);
            }
        }
        self.close();
        Ok(ruling)
    }

    /// Why the exempt list forbids this block, if it does.
    pub fn protection(&self, prefix: &Prefix) -> Option<Refusal> {
        let covering = self.exempt.covering(prefix).map(Refusal::Exempt);
        covering.or_else(|| self.exempt.inside(prefix).map(Refusal::ExemptInside))
    }

    /// Lifts the block of this prefix and all blocks inside it. A wider block stays: it concerns others too.
    pub fn unblock(&mut self, prefix: Prefix, now: Time) -> Ruling {
        let mut ruling = self.open(now);
        for id in self.standing.inside(&prefix) {
            self.lift(id, Lift::Operator, &mut ruling);
        }
        self.close();
        ruling
    }

    /// Takes in what became of a change. A block that no responder could set leaves the table and gives its strike and its place in
    /// the minute back; the caller marks it as failed. If it was set before (an extension failed), it is ordered away.
    pub fn outcome(&mut self, id: BlockId, outcome: Outcome, now: Time) -> Ruling {
        let mut ruling = self.open(now);
        match outcome {
            Outcome::Added => self.standing.confirm(id),
            // It was lifted here before the change was sent.
            Outcome::Removed => {}
            Outcome::Unsupported | Outcome::Failed(_) => self.fail(id, &mut ruling),
        }
        self.close();
        ruling
    }

    fn fail(&mut self, id: BlockId, ruling: &mut Ruling) {
        let was_confirmed = self.standing.is_confirmed(id);
        let Some((prefix, record)) = self.standing.remove(id) else { return };
        self.counters.failed += 1;
        self.storm.ended(id);
        self.refund(id);
        self.withdraw_strike(&prefix, &record, ruling);
        if was_confirmed && !record.rehearsed {
            ruling.changes.push(Change::Remove { id, scope: Scope::Source(prefix) });
        }
    }

    /// The wall clock was set `forward` or back by `step` and shows `now`. The kernel's timers did not notice: whatever had a minute left
    /// has a minute left. The ruling's `extended` are the blocks whose end is another by the new time, for the ledger.
    pub fn clock_set(&mut self, step: Duration, forward: bool, now: Time) -> Ruling {
        self.clock.set(now);
        self.storm.set_back(now);
        let moved = if forward { self.standing.set_forward(step) } else { self.standing.set_back(step) };
        self.exempt.shift(|until| if forward { until.after(step) } else { until.before(step) });
        let mut ruling = self.open(now);
        self.moved(moved, now, &mut ruling);
        self.close();
        ruling
    }

    /// Drops the blocks whose time is up, in the order in which they ended.
    pub fn expire(&mut self, now: Time) -> Ruling {
        let ruling = self.open(now);
        self.close();
        ruling
    }

    /// When `expire` next has something to do.
    pub fn next_expiry(&self) -> Option<Time> {
        self.standing.next_end().into_iter().chain(self.exempt.next_end()).min()
    }

    /// After a restart, takes in the ledger's live blocks and the stored strikes; `last_id` is the highest number ever given out.
    /// Call it after `set_exemptions` and `allow`. Blocks that may not stand (any more) come back with the reason, for the caller to
    /// lift in the ledger and in the kernel.
    #[must_use = "the blocks that come back may still be set in the kernel"]
    pub fn restore(&mut self, live: Vec<Block>, strikes: Vec<Strike>, last_id: BlockId) -> Vec<(Block, Refusal)> {
        let highest = live.iter().map(|block| block.id).max().unwrap_or(last_id).max(last_id);
        self.next_id = self.next_id.max(highest.0.saturating_add(1));
        let room = limits::BLOCKS.saturating_sub(self.standing.len());
        let mut live = live;
        let beyond = live.split_off(live.len().min(room));
        let mut back: Vec<(Block, Refusal)> = beyond.into_iter().map(|block| (block, Refusal::Full)).collect();
        back.extend(self.standing.restore(live).into_iter().map(|block| (block, Refusal::Duplicate)));
        for exemption in self.exempt.list() {
            for id in self.standing.touching(&exemption.prefix) {
                let Some((prefix, record)) = self.standing.remove(id) else { continue };
                let refusal =
                    if exemption.prefix.bits() <= prefix.bits() { Refusal::Exempt(exemption) } else { Refusal::ExemptInside(exemption) };
                back.push((record.block(prefix), refusal));
            }
        }
        self.strikes.restore(strikes);
        self.close();
        back
    }

    /// After `restore`, goes on with the minute's count and with a storm's pause: neither is a restart's to end. What was made a while ago
    /// counts as made now, which is the stricter reading.
    pub fn resume(&mut self, pause: Option<StormReport>, now: Time) -> Ruling {
        self.clock.advance(now);
        let passed = self.clock.passed();
        let config = &self.config.storm;
        let mut recent: Vec<(BlockId, Duration, bool)> = Vec::new();
        for (_, record) in self.standing.iter() {
            let age = now.since(record.made);
            match record.because {
                Because::Offence { .. } if age < MINUTE.max(config.window) => recent.push((record.id, age, record.is_forgeable())),
                Because::Offence { .. } | Because::Adopted | Because::Operator { .. } => {}
            }
        }
        recent.sort_unstable_by_key(|(id, ..)| *id);
        for (id, age, forgeable) in recent {
            if age < MINUTE {
                self.minute.add(passed, id);
            }
            if age < MINUTE && forgeable {
                self.forgeable_minute.add(passed, id);
            }
            if age < config.window && forgeable {
                self.storm.made(id, passed, config);
            }
        }
        if let Some(pause) = pause.filter(|pause| pause.until > now) {
            self.storm.resume(pause, now, passed, config, self.standing.forgeable());
        }
        // A block that stands says which strike it was for: the table may have been written before that.
        let mut ruling = Ruling { dry_run: self.config.dry_run, ..Ruling::default() };
        let strike = |(prefix, record): (&Prefix, &Record)| match record.because {
            Because::Offence { strike, .. } => Some(Strike { prefix: *prefix, count: strike, last: record.made }),
            Because::Adopted | Because::Operator { .. } => None,
        };
        self.strikes.witness(self.standing.iter().filter_map(strike), &mut ruling.strikes);
        self.close();
        ruling
    }
}
