//! The court's writing: what is wanted before it is done, what became of it after. A store that fails keeps nobody from blocking.

use super::{Court, Failing, TELL_EVERY, TELL_NEW_EVERY, TIMER_SLACK, Tight};
use model::block::{Block, Change, Expiry};
use model::limits;
use model::net::Prefix;
use model::time::Time;
use policy::escalate::StrikeChange;
use policy::ruling::Refusal;
use policy::storm::StormReport;
use store::memory::{Allowance, LogPosition, StormPause};
use store::sentence::Sentence;

/// Strikes that are written in one go when no block waits for it: after a restart there may be a quarter of a million to write, and
/// meanwhile the warden would wait for changes. Some 5 ms.
const STRIKES_AT_ONCE: usize = 1_000;

impl Court {
    /// Writes down what is about to be done, with the decisions and strikes behind it, and hands it over. What the ledger doesn't have to
    /// know first waits for `settle`; so does everything while the store fails: blocks must not wait for each try.
    pub fn commit(&mut self, now: Time) -> Vec<Change> {
        self.latest = now;
        if self.failing.is_none() {
            self.write_wanted();
            // Who is let go must stay so, even if we die over it: a restart sets again what the ledger has.
            if self.outbox.iter().any(|change| matches!(change, Change::Remove { .. })) {
                self.write_marks(now);
                // A storm's roll-back and its pause are one.
                self.keep_pause();
            }
        }
        // One that was lifted before it was sent is not sent: the warden would hear of somebody who is exempt by now.
        // And one that waits for a response to run first is sent when that has ended.
        let (judge, responses) = (&self.judge, &self.responses);
        self.outbox.retain(|change| match change {
            Change::Add { id, .. } => judge.stands(*id) && !responses.is_held(*id),
            Change::Remove { .. } => true,
        });
        let removed = self.outbox.iter().filter(|change| matches!(change, Change::Remove { .. }));
        self.removing.extend(removed.map(|change| (change.id(), change.scope())));
        self.tallies.changes += self.outbox.len() as u64;
        std::mem::take(&mut self.outbox)
    }

    /// New blocks and new ends; false if the store refused, which keeps them for the next time.
    fn write_wanted(&mut self) -> bool {
        if self.wanted.is_empty() && self.extended.is_empty() {
            return true;
        }
        let extended: Vec<Block> = self.extended.values().cloned().collect();
        let (strikes, forgiven) = self.strikes_due(usize::MAX);
        let (blocks, entries) = (&self.wanted[..], if self.tight.is_some() { &[][..] } else { &self.entries[..] });
        match self.store.sentence(&Sentence { blocks, extended: &extended, entries, strikes: &strikes, forgiven: &forgiven }) {
            Ok(marked) => {
                self.tallies.illegal += marked.illegal as u64;
                self.wanted.clear();
                self.extended.clear();
                if self.tight.is_none() {
                    self.entries.clear();
                }
                self.strikes.clear();
                true
            }
            Err(error) => {
                self.store_failed("blocks are set, but not in the ledger", &error);
                false
            }
        }
    }

    /// What became of blocks; never before the ledger has the blocks themselves.
    fn write_marks(&mut self, now: Time) -> bool {
        if !self.write_wanted() {
            return false;
        }
        if !self.marks.is_empty() {
            match self.store.mark(&self.marks, now) {
                Ok(marked) => {
                    self.tallies.illegal += marked.illegal as u64;
                    self.marks.clear();
                }
                Err(error) => {
                    self.store_failed("states are not in the ledger", &error);
                    return false;
                }
            }
        }
        true
    }

    /// Whether there is anything to commit or settle.
    pub fn has_work(&self) -> bool {
        let unwritten = !self.wanted.is_empty() || !self.extended.is_empty() || !self.allowances.is_empty() || self.failing.is_some();
        let unwritten = unwritten || !self.quotes.is_empty() || !self.rules.unsaved.is_empty();
        let entries = self.tight.is_none() && !self.entries.is_empty();
        unwritten || !self.outbox.is_empty() || !self.marks.is_empty() || entries || !self.strikes.is_empty()
    }

    /// Whether strikes wait to be written.
    pub fn owes_strikes(&self) -> bool {
        !self.strikes.is_empty()
    }

    /// Writes down how far logs have been read; false if the store refused.
    pub fn keep_positions(&mut self, positions: &[LogPosition]) -> bool {
        let kept = self.store.save_positions(positions);
        kept.inspect_err(|error| self.store_failed("how far logs were read is not in the ledger", error)).is_ok()
    }

    /// Writes down what has happened since, but for strikes beyond [`STRIKES_AT_ONCE`]: those are still work to be done then.
    /// False if the store refused something, which is kept for the next time.
    pub fn settle(&mut self, now: Time) -> bool {
        let errors = self.tallies.store_errors;
        self.latest = now;
        self.mend(now);
        // In this order: no entry speaks of a block that the ledger doesn't have.
        if self.write_marks(now) && self.tight.is_none() && !self.entries.is_empty() {
            match self.store.record(&self.entries) {
                Ok(()) => self.entries.clear(),
                Err(error) => self.store_failed("offences are not in the history", &error),
            }
        }
        if !self.strikes.is_empty() {
            let (set, cleared) = self.strikes_due(STRIKES_AT_ONCE);
            match self.store.save_strikes(&set).and_then(|()| self.store.forget_strikes(&cleared)) {
                Ok(()) => (0..set.len() + cleared.len()).for_each(|_| _ = self.strikes.pop_first()),
                Err(error) => self.store_failed("strikes are not in the ledger", &error),
            }
        }
        self.keep_pause();
        self.write_allowances();
        self.write_quotes();
        self.bound();
        let done = self.tallies.store_errors == errors;
        if let Some(failing) = self.failing.take_if(|_| done) {
            self.store_trouble = None;
            if failing.told {
                tracing::info!(secs = now.since(failing.since).as_secs(), "the ledger is whole again: what was kept meanwhile is in it");
            }
        }
        done
    }

    /// A file that was deleted under us is made again, and a store that could only be in memory goes to its disk as soon as that takes it.
    fn mend(&mut self, now: Time) {
        let Some(ledger) = self.config.ledger.as_deref() else { return };
        if self.store.is_on_disk() && self.store.is_in_place() {
            return;
        }
        if !self.store.is_on_disk() && self.failing.is_none() {
            return;
        }
        match self.store.carry_to(ledger, now) {
            Ok(store) => {
                self.store = store;
                tracing::warn!("the ledger's file was missing or out of reach: it was made again from what is known");
                self.allowed_again = true;
                self.take_allowances(now);
            }
            Err(error) => self.store_failed("the ledger has no file: what happens is kept until it can be made again", &error),
        }
    }

    /// Takes up the operators' allowances that the store has, but for those taken back that it has not been told of.
    pub(super) fn take_allowances(&mut self, now: Time) {
        // Those that are over, too: the ledger is to forget them.
        for Allowance { whom, until, .. } in self.read(|store, _| store.load_allow(Time::EPOCH), now).unwrap_or_default() {
            if matches!(self.allowances.get(&whom), Some(None)) {
                continue;
            }
            let until = match until {
                Expiry::At(at) => Some(at),
                Expiry::Never => None,
            };
            match self.judge.allow(whom, until, now) {
                Ok(ruling) => self.absorb(ruling, now),
                Err(Refusal::Past) => _ = self.allowances.insert(whom, None),
                Err(_) => {}
            }
        }
    }

    /// Writes down a storm's pause when it begins and when it has become longer.
    pub(super) fn keep_pause(&mut self) {
        let Some(storm) = self.judge.storm().filter(|_| !self.config.policy.dry_run) else { return };
        let is_known = |known: StormReport| known.since == storm.since && storm.until.since(known.until) <= TIMER_SLACK;
        if self.pause.is_some_and(is_known) {
            return;
        }
        let StormReport { since, until, rolled_back } = storm;
        match self.store.save_storm(&StormPause { since, until, rolled_back: rolled_back as u64 }) {
            Ok(()) => self.pause = Some(storm),
            Err(error) => self.store_failed("a storm's pause is not in the ledger", &error),
        }
    }

    /// What is to be remembered of the first so many offenders now, and of whom nothing: the latest word counts.
    fn strikes_due(&self, most: usize) -> (Vec<store::memory::Strike>, Vec<Prefix>) {
        let (mut set, mut cleared) = (Vec::new(), Vec::new());
        for change in self.strikes.values().take(most) {
            match change {
                StrikeChange::Set(s) => set.push(store::memory::Strike { whom: s.prefix, count: s.count, last: s.last }),
                StrikeChange::Clear(prefix) => cleared.push(*prefix),
            }
        }
        (set, cleared)
    }

    fn write_allowances(&mut self) {
        while let Some((prefix, allowance)) = self.allowances.first_key_value() {
            let (prefix, written) = match allowance {
                Some(allowance) => (*prefix, self.store.save_allow(allowance)),
                None => (*prefix, self.store.remove_allow(*prefix).map(drop)),
            };
            if let Err(error) = written {
                return self.store_failed("the operator's allow list is not in the ledger", &error);
            }
            self.allowances.remove(&prefix);
        }
    }

    /// What a failing store keeps waiting stays bounded.
    fn bound(&mut self) {
        for excess in [
            self.marks.len().saturating_sub(limits::BLOCKS),
            self.wanted.len().saturating_sub(limits::BLOCKS),
            self.strikes.len().saturating_sub(limits::STRIKES),
        ] {
            self.tallies.entries_dropped += excess as u64;
        }
        self.marks.truncate(limits::BLOCKS);
        self.wanted.truncate(limits::BLOCKS);
        if self.extended.len() > limits::BLOCKS {
            let judge = &self.judge;
            self.extended.retain(|id, _| judge.stands(*id));
        }
        while self.strikes.len() > limits::STRIKES {
            self.strikes.pop_first();
        }
    }

    pub(super) fn store_failed(&mut self, what: &str, error: &store::error::Error) {
        self.tallies.store_errors += 1;
        let now = self.latest;
        let failing = self.failing.get_or_insert_with(|| Failing { since: now, why: String::new(), told: false });
        failing.why = error.to_string();
        // Said at once and then once in a while: a full disk must not fill the log, too.
        if self.told.is_none_or(|told| now.since(told) >= if failing.told { TELL_EVERY } else { TELL_NEW_EVERY }) {
            (self.told, failing.told) = (Some(now), true);
            tracing::warn!(%error, "{what}; blocking goes on");
        }
    }

    /// Takes in whether the disk has room for history; `low` says how little there is. The ledger is written in any case.
    pub fn room(&mut self, low: Option<String>, now: Time) {
        match (low, self.tight.take()) {
            (Some(why), Some(tight)) => self.tight = Some(Tight { why, ..tight }),
            (Some(why), None) => {
                tracing::warn!(%why, "little room on the ledger's disk: the history waits in memory; blocking goes on");
                self.tight = Some(Tight { since: now, why });
            }
            (None, Some(tight)) => {
                let secs = now.since(tight.since).as_secs();
                tracing::info!(secs, entries = self.entries.len(), "the ledger's disk has room again: the history is written on");
            }
            (None, None) => {}
        }
    }

    /// History entries that wait for room on the disk.
    pub fn waiting(&self) -> usize {
        if self.tight.is_some() { self.entries.len() } else { 0 }
    }

    /// Does a little of what retention asks for; true if there is more to do.
    pub fn tidy(&mut self, now: Time) -> bool {
        // It ends in the ledger what is past its time there: so the judge's word on that comes first.
        self.pass_time(now);
        if !self.write_marks(now) {
            return false;
        }
        match self.store.tidy(now, &self.config.retention) {
            Ok(tidied) => {
                self.tallies.entries_thinned += tidied.thinned;
                tidied.more
            }
            // Nothing is behind for that, and a disk without room for it may have room for what counts.
            Err(error) => {
                if self.tallies.store_errors.is_power_of_two() {
                    tracing::warn!(%error, "the ledger can't be tidied");
                }
                self.tallies.store_errors += 1;
                false
            }
        }
    }

    /// What an operator is told is done must be in the ledger before.
    pub(super) fn promise(&mut self, now: Time) {
        self.write_marks(now);
        self.write_allowances();
    }
}
