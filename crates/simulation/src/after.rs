//! What must be true after a restart, and when all is quiet: judge, ledger and kernel agree, and nothing that was promised is gone.

use crate::breach::{Breach, Kept, hold};
use crate::kernel::is_net;
use crate::listed::same_ranges;
use crate::machine::{Machine, Restart};
use crate::reference::Reference;
use model::block::{Block, BlockId, Expiry, State};
use model::decision::{Cap, ExemptReason, WatchReason};
use model::net::Prefix;
use model::time::Time;
use respond::ranges::{Family, cover, number};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use store::entry::{Entry, Verdict};
use store::history::HistoryQuery;

/// The kernel's timer and the ledger may differ by this much.
const SLACK: Duration = Duration::from_secs(4);
/// A clock may stand before a block's making by this much before its end is moved.
const AHEAD: Duration = Duration::from_secs(64);

fn at_odds(error: &store::error::Error) -> Breach {
    Breach { rule: "the ledger can be read", what: format!("{error:?}") }
}

impl Reference {
    /// A judge has come up again. `is_whole` says that the disk was well, so that nothing may be missing.
    pub fn restarted(&mut self, machine: &Machine, how: Restart, is_whole: bool) -> Kept {
        let (was_set, is_well) = (self.tell_time(machine), is_whole);
        let restored: BTreeMap<BlockId, Block> = machine.court.judge.standing().map(|block| (block.id, block)).collect();
        let is_whole = is_whole && matches!(how, Restart::Judge | Restart::Warden);
        if is_whole {
            self.nothing_lost(machine, &restored)?;
        }
        for block in restored.values() {
            let prefix = block.scope.prefix();
            if let Expiry::At(end) = block.expiry {
                let whole = end.since(block.made);
                let left = end.since(self.wall);
                // One that had no end was not moved with the clock: its making may lie behind the end that it was given later.
                hold(left <= whole + AHEAD || end < block.made, "no block outlives its sentence", || {
                    format!("{block:?} has {left:?} left of {whole:?}")
                })?;
            }
            hold(is_whole || block.id <= self.highest, "a ledger knows nothing new", || format!("{block:?}"))?;
            let known = self.known.get(&block.id).is_none_or(|known| known.scope == block.scope);
            hold(known, "no number is used twice", || format!("{} was somebody else's, now {prefix}", block.id))?;
            // What the clock did meanwhile is the ledger's guess, within what was just checked.
            self.grant(machine, block);
        }
        self.ended.extend(self.known.keys().filter(|id| !restored.contains_key(*id)));
        self.handed = restored.keys().copied().collect();
        self.known = restored;
        self.over.clear();
        self.unwritten.clear();
        self.storm_seen = machine.court.judge.storm().map(|storm| storm.since);
        self.strikes = machine.court.judge.strikes().map(|strike| (strike.prefix, (strike.count, strike.last))).collect();
        self.unsettled.clear();
        self.suspects.clear();
        self.fed = 0;
        // Derived exemptions come with the first message.
        self.derived.clear();
        self.take_allowed(machine)?;
        self.lists_restarted(machine, !was_set && is_well);
        self.forget_count();
        // A number that nobody outside ever heard may come again.
        let next = machine.court.store().next_block_id();
        self.highest = BlockId(next.0.saturating_sub(1)).max(self.known.keys().copied().max().unwrap_or(BlockId(0)));
        if is_whole {
            hold(next > self.used, "no number is used twice", || format!("{next} comes again"))?;
        } else {
            self.used = self.highest;
            self.doubtful = self.highest;
            self.forget_made_before();
            self.pause = None;
        }
        if was_set {
            self.pause = None;
            self.forget_made();
        }
        Ok(())
    }

    /// What the ledger allows is in force, but for what is over: a power cut may have brought that back, and a judge who has just come up has
    /// yet to write that it is forgotten.
    fn take_allowed(&mut self, machine: &Machine) -> Kept {
        self.allowed = machine.court.judge.allowed().into_iter().collect();
        let written = machine.court.store().load_allow(Time::EPOCH).map_err(|error| at_odds(&error))?;
        let (over, valid): (Vec<_>, Vec<_>) = written.into_iter().partition(|allowance| allowance.until.is_over(self.wall));
        self.lapsed = over.into_iter().map(|allowance| allowance.whom).collect();
        let valid: BTreeSet<Prefix> = valid.into_iter().map(|allowance| allowance.whom).collect();
        let taken: BTreeSet<Prefix> = self.allowed.keys().copied().collect();
        hold(taken == valid, "a judge allows what its ledger does", || format!("{taken:?}, ledger {valid:?}"))
    }

    fn nothing_lost(&self, machine: &Machine, restored: &BTreeMap<BlockId, Block>) -> Kept {
        let allowed: BTreeMap<Prefix, Option<Time>> = machine.court.judge.allowed().into_iter().collect();
        for block in self.known.values().filter(|block| self.handed.contains(&block.id) && !block.expiry.is_over(self.wall)) {
            let rehearsed = self.settings.policy.dry_run;
            let found = restored.get(&block.id);
            // An allowance that had lapsed is in force again if the clock was set back before that was written: the safe way to err.
            let revived = self.lapsed.iter().any(|prefix| allowed.contains_key(prefix) && prefix.overlaps(&block.scope.prefix()));
            hold(found.is_some() || rehearsed || revived, "no block is lost", || {
                format!("{} {:?} after a restart", block.id, block.scope)
            })?;
            let same = found.is_none_or(|found| found.because == block.because) || self.unwritten.contains(&block.id);
            hold(same, "a restart forgets no grounds", || format!("{block:?} became {found:?}"))?;
        }
        for block in restored.values().filter(|block| !self.known.contains_key(&block.id)) {
            hold(!self.over.contains(&block.id), "what is lifted stays lifted", || format!("{block:?} is back after a restart"))?;
        }
        let strikes: BTreeMap<Prefix, u32> = machine.court.judge.strikes().map(|strike| (strike.prefix, strike.count)).collect();
        let rehearsed = self.settings.policy.dry_run;
        for (prefix, (count, _)) in self.strikes.iter().filter(|(prefix, _)| !rehearsed && !self.unsettled.contains(*prefix)) {
            let known = self.known.values().find(|block| block.scope.prefix() == *prefix);
            if known.is_none_or(|block| self.handed.contains(&block.id)) {
                let found = strikes.get(prefix);
                hold(found == Some(count), "a restart forgets no strike", || format!("{prefix}: {count}, now {found:?}"))?;
            }
        }
        for (prefix, until) in &self.allowed {
            let found = allowed.get(prefix);
            hold(found == Some(until), "what is allowed stays allowed", || format!("{prefix} until {until:?}: {found:?}"))?;
        }
        // Even one that is over: a clock that is set back before the ledger is tidied would bring it back.
        let written = machine.court.store().load_allow(Time::EPOCH).map_err(|error| at_odds(&error))?;
        let mut written = written.into_iter().map(|allowance| allowance.whom);
        let extra = written.find(|prefix| !self.allowed.contains_key(prefix) && !self.lapsed.contains(prefix));
        hold(extra.is_none(), "what is disallowed stays disallowed", || format!("{extra:?}"))
    }

    /// All is quiet and nothing fails: everybody must agree.
    pub fn quiet(&mut self, machine: &Machine, is_whole: bool) -> Kept {
        hold(machine.is_quiet(), "work comes to an end", || "somebody still has something to do".to_owned())?;
        self.foreign.clear();
        let standing: Vec<Block> = machine.court.judge.standing().filter(|block| !machine.court.judge.is_rehearsed(block.id)).collect();
        self.same_in_kernel(machine, &standing)?;
        self.same_in_ledger(machine, &standing)?;
        self.lists_quiet(machine)?;
        self.tallied(machine)?;
        self.told_once(machine, is_whole)?;
        machine.court.judge.check_invariants();
        machine.court.detectors.check_invariants();
        let (used, bound) = (machine.court.detectors.memory_used(), machine.court.detectors.memory_bound());
        hold(used <= bound, "every table is bounded", || format!("{used} bytes of {bound}"))
    }

    fn same_in_kernel(&self, machine: &Machine, standing: &[Block]) -> Kept {
        let (wall, now) = (machine.clock.wall(), machine.clock.kernel());
        let agree = |expiry: Expiry, deadline: Option<Time>| match (expiry, deadline) {
            (Expiry::Never, None) => true,
            (Expiry::At(at), Some(deadline)) => {
                let (ledger, kernel) = (at.since(wall), deadline.since(now));
                ledger.abs_diff(kernel) <= SLACK
            }
            (Expiry::Never, Some(_)) | (Expiry::At(_), None) => false,
        };
        // What ends just now may be gone on one side only.
        let soon = |expiry: Expiry| expiry.is_over(wall.after(SLACK));
        let wanted: BTreeMap<Prefix, Expiry> = standing.iter().map(|block| (block.scope.prefix(), block.expiry)).collect();
        for (prefix, expiry) in wanted.iter().filter(|(prefix, expiry)| !is_net(prefix) && !soon(**expiry)) {
            let found = machine.kernel.hosts.get(prefix);
            let holds = found.is_some_and(|deadline| agree(*expiry, *deadline));
            hold(holds, "the kernel has what the ledger has", || {
                format!("{prefix} until {expiry:?}, kernel {found:?} (wall {wall:?} kernel {now:?})")
            })?;
        }
        for (prefix, deadline) in &machine.kernel.hosts {
            let known = wanted.contains_key(prefix) || deadline.is_some_and(|deadline| deadline.since(now) <= SLACK);
            hold(known, "the kernel has nothing that the ledger has not", || format!("{prefix} until {deadline:?}"))?;
            hold(!self.is_exempt(prefix), "nobody exempt is blocked", || format!("the kernel has {prefix}"))?;
        }
        for (family, nets) in Family::ALL.into_iter().zip(&machine.kernel.nets) {
            let mine = wanted.iter().filter(|(prefix, _)| is_net(prefix) && Family::of(prefix.addr()) == family);
            let mine: BTreeMap<Prefix, Expiry> = mine.map(|(prefix, expiry)| (*prefix, *expiry)).collect();
            same_ranges("the kernel's ranges are the ledger's", machine, family, nets, &cover(&mine))?;
            let exempt = mine.keys().find(|prefix| self.is_exempt(prefix) || number(prefix.addr()) > family.highest());
            hold(exempt.is_none(), "nobody exempt is blocked", || format!("{exempt:?}"))?;
        }
        Ok(())
    }

    fn same_in_ledger(&self, machine: &Machine, standing: &[Block]) -> Kept {
        let mut ledger: BTreeMap<BlockId, (Block, State)> = BTreeMap::new();
        let asked = machine.court.store().for_each_live(self.wall, |block, state| {
            ledger.insert(block.id, (block, state));
        });
        asked.map_err(|error| at_odds(&error))?;
        for block in standing {
            let found = ledger.remove(&block.id);
            let same = found
                .as_ref()
                .is_some_and(|(found, _)| (found.scope, found.expiry, &found.because) == (block.scope, block.expiry, &block.because));
            hold(same, "the ledger has what stands", || format!("{block:?}, ledger {found:?}"))?;
            let active = found.is_some_and(|(_, state)| state == State::Active);
            hold(active, "what the kernel confirmed is active in the ledger", || format!("{} {:?}", block.id, block.scope))?;
        }
        // One that ended before a clock was set back has its time again, on paper.
        // So may one whose end a failing disk never learned of.
        ledger.retain(|id, _| !self.ended.contains(id) && *id > self.doubtful);
        hold(ledger.is_empty(), "the ledger has nothing but what stands", || format!("{:?}", ledger.values().next()))?;
        if self.settings.policy.dry_run {
            return Ok(());
        }
        let strikes = machine.court.store().load_strikes().map_err(|error| at_odds(&error))?;
        let strikes: BTreeMap<Prefix, u32> = strikes.into_iter().map(|strike| (strike.whom, strike.count)).collect();
        let due: BTreeMap<Prefix, u32> = self.strikes.iter().map(|(prefix, (count, _))| (*prefix, *count)).collect();
        hold(strikes == due, "the ledger has every strike", || format!("ledger {strikes:?}, not {due:?}"))?;
        let allowed = machine.court.store().load_allow(Time::EPOCH).map_err(|error| at_odds(&error))?;
        let allowed: BTreeSet<Prefix> = allowed.into_iter().map(|allowance| allowance.whom).collect();
        let due: BTreeSet<Prefix> = self.allowed.keys().copied().collect();
        hold(allowed == due, "the ledger has every allowance", || format!("ledger {allowed:?}, not {due:?}"))
    }

    /// Nothing vanishes without having been counted.
    fn tallied(&self, machine: &Machine) -> Kept {
        let tallies = machine.court.tallies;
        hold(tallies.events == self.fed, "every event is counted", || format!("{} of {}", tallies.events, self.fed))?;
        let counters = machine.court.judge.counters();
        let exempt: u64 = ExemptReason::ALL.into_iter().map(|reason| counters.exempt(reason)).sum();
        let refused: u64 = Cap::ALL.into_iter().map(|cap| counters.refused(cap)).sum();
        let watched: u64 = WatchReason::ALL.into_iter().map(|why| counters.watched(why)).sum();
        let judged = counters.made + counters.extended + exempt + refused + watched;
        let due = tallies.offences - tallies.stale;
        hold(judged == due, "every offence is judged or counted", || format!("{judged} judged, {due} due"))?;
        hold(tallies.illegal == 0, "the ledger takes legal steps only", || format!("{} were not", tallies.illegal))
    }

    /// The history tells each thing once.
    fn told_once(&self, machine: &Machine, is_whole: bool) -> Kept {
        let query = HistoryQuery { limit: store::ANSWER_MAX, newest_first: false, ..HistoryQuery::default() };
        let entries = machine.court.store().history(&query).map_err(|error| at_odds(&error))?;
        if self.settings.policy.dry_run || !is_whole {
            return Ok(());
        }
        let judged = entries.iter().filter_map(|entry| match entry {
            Entry::Judged { verdict: Verdict::Block { id, .. }, .. } => Some(*id),
            _ => None,
        });
        let mut seen = BTreeSet::new();
        let twice = judged.into_iter().find(|id| !seen.insert(*id));
        hold(twice.is_none(), "a decision is told once", || format!("{twice:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;
    use crate::machine::Part;
    use court::settings::Settings;

    fn written(machine: &Machine) -> usize {
        machine.court.store().load_allow(Time::EPOCH).unwrap().len()
    }

    #[test]
    fn a_power_cut_may_bring_back_what_was_over_and_no_more() {
        let (whom, minute) = ("203.0.113.9".parse().unwrap(), Duration::from_secs(60));
        let mut brought_back = 0;
        // The dice say where the store's log is cut.
        for seed in 0..64 {
            let folder = tempfile::tempdir().unwrap();
            let settings = Settings::default();
            let mut machine = Machine::new(settings.clone(), Vec::new(), folder.path(), Dice::new(seed)).unwrap();
            let mut reference = Reference::new(&settings, &[], machine.clock.wall());
            let until = Some(machine.clock.wall().after(minute));
            machine.court.allow(whom, until, machine.clock.wall()).unwrap();
            reference.allowed.insert(whom, until);
            machine.pass(minute);
            machine.part(Part::Tick);
            machine.part(Part::Settle);
            reference.tell_time(&machine);
            reference.settled();
            assert_eq!(written(&machine), 0);
            machine.restart(Restart::Power, 0).unwrap();
            reference.restarted(&machine, Restart::Power, true).unwrap();
            assert!(machine.court.judge.allowed().is_empty());
            brought_back += written(&machine);
            // The judge dies before it has written that it is over, and the next one writes it.
            let log = machine.written();
            machine.restart(Restart::Judge, log).unwrap();
            reference.restarted(&machine, Restart::Judge, true).unwrap();
            machine.part(Part::Settle);
            reference.settled();
            assert_eq!(written(&machine), 0);
            // One that was taken back, and of which that was not written, is none that is over.
            machine.court.allow(whom, None, machine.clock.wall()).unwrap();
            let log = machine.written();
            machine.restart(Restart::Judge, log).unwrap();
            let breach = reference.restarted(&machine, Restart::Judge, true).unwrap_err();
            assert_eq!(breach.rule, "what is disallowed stays disallowed");
        }
        assert!(brought_back > 0);
    }
}
