//! Past strikes: how many blocks an offender has earned, so that the next one is longer. Never counts a block that was taken back.

use model::limits;
use model::net::Prefix;
use model::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What is remembered of one offender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Strike {
    /// Who.
    pub prefix: Prefix,
    /// How many blocks its offences have led to, at least 1.
    pub count: u32,
    /// When its latest offence that earned or lengthened a block was judged.
    pub last: Time,
}

/// A step in the memory of strikes, for the caller to store, so that escalation survives a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StrikeChange {
    /// Remember this in place of what was remembered of the same offender.
    Set(Strike),
    /// Remember nothing of this offender any more.
    Clear(Prefix),
}

impl StrikeChange {
    /// Whom it is about.
    pub fn prefix(&self) -> Prefix {
        match self {
            StrikeChange::Set(strike) => strike.prefix,
            StrikeChange::Clear(prefix) => *prefix,
        }
    }
}

/// The table. At its bound the offender whose last strike is the oldest is forgotten.
#[derive(Debug, Clone, Default)]
pub(crate) struct Strikes {
    table: BTreeMap<Prefix, (u32, Time)>,
    by_age: BTreeSet<(Time, Prefix)>,
    forgotten: u64,
}

impl Strikes {
    /// Which strike the next block of this offender would be, from 1.
    pub(crate) fn next(&self, prefix: &Prefix, now: Time, forget: Duration) -> u32 {
        match self.table.get(prefix) {
            Some((count, last)) if now.since(*last) < forget => count.saturating_add(1),
            Some(_) | None => 1,
        }
    }

    /// Remembers a block's strike.
    pub(crate) fn set(&mut self, strike: Strike, changes: &mut Vec<StrikeChange>) {
        let Strike { prefix, count, last } = strike;
        if let Some((_, old)) = self.table.insert(prefix, (count, last)) {
            self.by_age.remove(&(old, prefix));
        }
        self.by_age.insert((last, prefix));
        changes.push(StrikeChange::Set(strike));
        if self.table.len() > limits::STRIKES
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.table.remove(&oldest);
            self.forgotten += 1;
            changes.push(StrikeChange::Clear(oldest));
        }
    }

    /// The offender goes on: it is remembered for longer.
    pub(crate) fn touch(&mut self, prefix: &Prefix, now: Time, changes: &mut Vec<StrikeChange>) {
        if let Some((count, _)) = self.table.get(prefix) {
            self.set(Strike { prefix: *prefix, count: *count, last: now }, changes);
        }
    }

    /// Takes the latest strike back.
    pub(crate) fn withdraw(&mut self, prefix: &Prefix, changes: &mut Vec<StrikeChange>) {
        match self.table.get(prefix) {
            None => {}
            Some((0 | 1, last)) => {
                self.by_age.remove(&(*last, *prefix));
                self.table.remove(prefix);
                changes.push(StrikeChange::Clear(*prefix));
            }
            Some((count, last)) => {
                let strike = Strike { prefix: *prefix, count: count - 1, last: *last };
                self.set(strike, changes);
            }
        }
    }

    /// Takes in what was stored, in place of all that was remembered; of more than the bound, the latest.
    pub(crate) fn restore(&mut self, mut stored: Vec<Strike>) {
        stored.sort_by_key(|strike| std::cmp::Reverse(strike.last));
        self.forgotten += stored.len().saturating_sub(limits::STRIKES) as u64;
        stored.truncate(limits::STRIKES);
        self.table = stored.into_iter().rev().filter(|strike| strike.count > 0).map(|s| (s.prefix, (s.count, s.last))).collect();
        self.by_age = self.table.iter().map(|(prefix, (_, last))| (*last, *prefix)).collect();
    }

    /// Blocks stand (sorted, one for each offender) that say which strike they were for: the table may have been written before that, or
    /// after the strike was taken back and before the block was. Of more than the bound, the latest stay.
    pub(crate) fn witness(&mut self, standing: impl Iterator<Item = Strike>, changes: &mut Vec<StrikeChange>) {
        let mut told: Vec<Strike> = standing.filter_map(|strike| self.amended(strike)).collect();
        debug_assert!(told.is_sorted_by(|a, b| a.prefix < b.prefix));
        let fresh = told.iter().filter(|strike| !self.table.contains_key(&strike.prefix)).count();
        let excess = (self.table.len() + fresh).saturating_sub(limits::STRIKES);
        if excess > 0 {
            // All at once: a million blocks would push each other's strikes out one by one, and the ledger hear of each.
            let is_told = |prefix: &Prefix| told.binary_search_by_key(prefix, |strike| strike.prefix).is_ok();
            let untold = self.table.iter().filter(|(prefix, _)| !is_told(prefix)).map(|(prefix, (_, last))| (*last, *prefix));
            let mut ages: Vec<(Time, Prefix)> = told.iter().map(|strike| (strike.last, strike.prefix)).chain(untold).collect();
            let oldest = *ages.select_nth_unstable(excess).1;
            told.retain(|strike| (strike.last, strike.prefix) >= oldest);
            for (_, prefix) in ages.drain(..excess) {
                if let Some((_, last)) = self.table.remove(&prefix) {
                    self.by_age.remove(&(last, prefix));
                    changes.push(StrikeChange::Clear(prefix));
                }
            }
            self.forgotten += excess as u64;
        }
        told.into_iter().for_each(|strike| self.set(strike, changes));
    }

    /// What is to be remembered of an offender, if a block's word says more than is remembered.
    fn amended(&self, strike: Strike) -> Option<Strike> {
        let Some((count, last)) = self.table.get(&strike.prefix).copied() else { return Some(strike) };
        let more = count < strike.count || last < strike.last;
        more.then(|| Strike { count: count.max(strike.count), last: last.max(strike.last), ..strike })
    }

    /// Everything that is remembered, sorted.
    pub(crate) fn list(&self) -> impl Iterator<Item = Strike> {
        self.table.iter().map(|(prefix, (count, last))| Strike { prefix: *prefix, count: *count, last: *last })
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// How many were pushed out by the bound.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(crate) fn check_invariants(&self) {
        assert_eq!(self.table.len(), self.by_age.len(), "a strike is missing from the order by age");
        assert!(self.table.len() <= limits::STRIKES);
        for (last, prefix) in self.by_age.iter().take(64) {
            assert!(self.table.get(prefix).is_some_and(|(count, kept)| *count > 0 && kept == last));
        }
    }
}

/// `base` for the first strike and `factor` times as long for each further one, at most `longest`.
pub(crate) fn escalated(base: Duration, factor: u32, strike: u32, longest: Duration) -> Duration {
    let times = factor.max(1).saturating_pow(strike.saturating_sub(1));
    base.saturating_mul(times).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn host(n: u32) -> Prefix {
        Prefix::host(Ipv4Addr::from(0x0a00_0000 + n).into())
    }

    #[test]
    fn each_strike_lasts_longer_up_to_the_longest() {
        let secs = |strike, factor| escalated(Duration::from_secs(600), factor, strike, Duration::from_secs(10_000)).as_secs();
        let table =
            [(1, 2, 600), (2, 2, 1_200), (3, 2, 2_400), (5, 2, 9_600), (6, 2, 10_000), (u32::MAX, 2, 10_000), (9, 1, 600), (9, 0, 600)];
        for (strike, factor, expected) in table {
            assert_eq!(secs(strike, factor), expected, "strike {strike}, times {factor}");
        }
        assert_eq!(escalated(Duration::MAX, u32::MAX, u32::MAX, Duration::MAX), Duration::MAX);
    }

    #[test]
    fn strikes_are_counted_taken_back_and_forgotten() {
        let (mut strikes, mut changes) = (Strikes::default(), Vec::new());
        let forget = Duration::from_secs(100);
        let at = Time::from_secs;
        assert_eq!(strikes.next(&host(1), at(0), forget), 1);
        strikes.set(Strike { prefix: host(1), count: 1, last: at(10) }, &mut changes);
        assert_eq!(strikes.next(&host(1), at(109), forget), 2);
        assert_eq!(strikes.next(&host(1), at(110), forget), 1);
        // A clock that steps back forgets nothing.
        assert_eq!(strikes.next(&host(1), at(0), forget), 2);
        strikes.set(Strike { prefix: host(1), count: 2, last: at(20) }, &mut changes);
        strikes.withdraw(&host(1), &mut changes);
        assert_eq!(strikes.next(&host(1), at(30), forget), 2);
        strikes.withdraw(&host(1), &mut changes);
        strikes.withdraw(&host(1), &mut changes);
        assert_eq!(strikes.next(&host(1), at(30), forget), 1);
        let set = |count, last| StrikeChange::Set(Strike { prefix: host(1), count, last: at(last) });
        assert_eq!(changes, [set(1, 10), set(2, 20), set(1, 20), StrikeChange::Clear(host(1))]);
        strikes.check_invariants();
    }

    #[test]
    fn a_block_that_stands_has_its_strike() {
        let (mut strikes, mut changes) = (Strikes::default(), Vec::new());
        let strike = |count, secs| Strike { prefix: host(1), count, last: Time::from_secs(secs) };
        let one = |strike| std::iter::once(strike);
        strikes.witness(one(strike(2, 10)), &mut changes);
        // Written after it was taken back, and before the block was: the block came back, and its strike with it.
        strikes.withdraw(&host(1), &mut changes);
        strikes.touch(&host(1), Time::from_secs(20), &mut changes);
        strikes.witness(one(strike(2, 10)), &mut changes);
        strikes.witness(one(strike(2, 10)), &mut changes);
        strikes.witness(one(strike(2, 30)), &mut changes);
        // An older one, whose end the ledger missed and whose time moved with the clock.
        strikes.witness(one(strike(1, 40)), &mut changes);
        let told = [strike(2, 10), strike(1, 10), strike(1, 20), strike(2, 20), strike(2, 30), strike(2, 40)];
        assert_eq!(changes, told.map(StrikeChange::Set));
        strikes.check_invariants();
    }

    #[test]
    fn of_more_blocks_than_the_bound_the_latest_are_remembered() {
        let (mut strikes, mut changes) = (Strikes::default(), Vec::new());
        let many = limits::STRIKES as u32;
        let strike = |n: u32, secs: u32| Strike { prefix: host(n), count: 1, last: Time::from_secs(secs.into()) };
        // Number n was struck in second 10 + n, and nobody else is known but one older and one younger than all of them.
        strikes.restore(vec![strike(many + 20, 1), strike(many + 21, many * 2), strike(5, 1)]);
        strikes.witness((0..many + 10).map(|n| strike(n, 10 + n)), &mut changes);
        assert_eq!((strikes.len(), strikes.forgotten()), (limits::STRIKES, 12));
        let kept: Vec<Prefix> = strikes.list().map(|strike| strike.prefix).collect();
        assert_eq!(kept, (11..many + 10).chain([many + 21]).map(host).collect::<Vec<_>>());
        let cleared: Vec<_> = changes.iter().filter(|change| matches!(change, StrikeChange::Clear(_))).map(StrikeChange::prefix).collect();
        assert_eq!((cleared.len(), changes.len()), (2, 2 + limits::STRIKES - 1), "of nobody who was not known the ledger must hear");
        assert!(cleared.contains(&host(many + 20)) && cleared.contains(&host(5)));
        strikes.check_invariants();
    }

    #[test]
    fn at_the_bound_the_oldest_is_forgotten() {
        let mut strikes = Strikes::default();
        let many = limits::STRIKES as u32 + 10;
        strikes.restore((0..many).map(|n| Strike { prefix: host(n), count: 1, last: Time::from_secs(n.into()) }).collect());
        assert_eq!((strikes.len(), strikes.forgotten()), (limits::STRIKES, 10));
        let mut changes = Vec::new();
        strikes.set(Strike { prefix: host(0), count: 1, last: Time::from_secs(u64::from(many)) }, &mut changes);
        assert_eq!(changes.last(), Some(&StrikeChange::Clear(host(10))));
        assert_eq!((strikes.len(), strikes.forgotten()), (limits::STRIKES, 11));
        strikes.check_invariants();
    }
}
