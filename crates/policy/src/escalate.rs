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

    /// Takes in what was stored; of more than the bound, the latest.
    pub(crate) fn restore(&mut self, mut stored: Vec<Strike>) {
        stored.sort_by_key(|strike| std::cmp::Reverse(strike.last));
        self.forgotten += stored.len().saturating_sub(limits::STRIKES) as u64;
        stored.truncate(limits::STRIKES);
        let mut changes = Vec::new();
        stored.into_iter().rev().filter(|strike| strike.count > 0).for_each(|strike| self.set(strike, &mut changes));
    }

    /// A block stands that says which strike it was for: the table may have been written before that, or after the strike was taken back
    /// and before the block was.
    pub(crate) fn witness(&mut self, strike: Strike, changes: &mut Vec<StrikeChange>) {
        let known = self.table.get(&strike.prefix).copied();
        if known.is_none_or(|(count, last)| count < strike.count || last < strike.last) {
            let (count, last) = known.map_or((strike.count, strike.last), |(count, last)| (count.max(strike.count), last.max(strike.last)));
            self.set(Strike { count, last, ..strike }, changes);
        }
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
        strikes.witness(strike(2, 10), &mut changes);
        // Written after it was taken back, and before the block was: the block came back, and its strike with it.
        strikes.withdraw(&host(1), &mut changes);
        strikes.touch(&host(1), Time::from_secs(20), &mut changes);
        strikes.witness(strike(2, 10), &mut changes);
        strikes.witness(strike(2, 10), &mut changes);
        strikes.witness(strike(2, 30), &mut changes);
        // An older one, whose end the ledger missed and whose time moved with the clock.
        strikes.witness(strike(1, 40), &mut changes);
        let told = [strike(2, 10), strike(1, 10), strike(1, 20), strike(2, 20), strike(2, 30), strike(2, 40)];
        assert_eq!(changes, told.map(StrikeChange::Set));
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
