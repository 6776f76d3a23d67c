//! Changes of the interval sets, which hold the prefixes that have no hash set. The kernel takes no overlapping intervals, so what
//! is wanted is turned into ranges without overlap first. Never blocks an address longer than a wanted prefix around it.

use super::hosts::is_net;
use super::{Nftables, expiry, fault, interval_elements, is_gone};
use crate::ranges::{Difference, Family, Range, difference, number};
use crate::skeleton::BLOCK_SETS;
use model::block::{Change, Fault, Outcome};
use model::limits;
use model::time::Time;
use sys::nft::transaction::ElementStep;
use sys::nft::{Element, NftError};

/// The interval set of a family.
fn interval_set(family: Family) -> &'static str {
    BLOCK_SETS.iter().find(|set| set.family == family && set.bits.is_none()).map_or("", |set| set.name)
}

/// The ranges that an interval set's elements stand for, sorted. A start without an end reaches to the next start.
pub(super) fn ranges_of(mut elements: Vec<Element>, now: Time) -> Vec<Range> {
    // At the same address one interval's end comes before the next one's start.
    elements.sort_by_key(|element| (element.key, !element.ends_interval));
    let mut ranges: Vec<Range> = Vec::new();
    let mut open: Option<Range> = None;
    for element in elements {
        let Some(addr) = element.key.address() else { continue };
        let behind = number(addr).checked_sub(1);
        if let Some((range, last)) = open.take().zip(behind) {
            ranges.push(Range { last, ..range });
        }
        if !element.ends_interval {
            let highest = Family::of(addr).highest();
            open = Some(Range { first: number(addr), last: highest, expiry: expiry(element.timeout_millis, now) });
        }
    }
    ranges.extend(open);
    ranges
}

impl Nftables {
    /// Takes over what the interval sets hold.
    pub(super) fn adopt_nets(&mut self, now: Time) -> Result<(), NftError> {
        for (family, nets) in Family::ALL.into_iter().zip(&mut self.nets) {
            // Each range has at most two elements, and prefixes that nest make at most two ranges each.
            let elements = self.table.elements(interval_set(family), limits::NETS * 4)?;
            nets.adopt(family, ranges_of(elements, now));
        }
        Ok(())
    }

    /// Carries out the changes of interval sets and writes their outcomes.
    pub(super) fn apply_nets(&mut self, batch: &[Change], now: Time, outcomes: &mut [Option<Outcome>]) {
        for (index, family) in Family::ALL.into_iter().enumerate() {
            let mine = |change: &Change| {
                let prefix = change.scope().prefix();
                is_net(&prefix) && Family::of(prefix.addr()) == family
            };
            if batch.iter().any(mine) {
                self.apply_family(index, family, batch, mine, now, outcomes);
            }
        }
    }

    fn apply_family(
        &mut self,
        index: usize,
        family: Family,
        batch: &[Change],
        mine: impl Fn(&Change) -> bool,
        now: Time,
        outcomes: &mut [Option<Outcome>],
    ) {
        let Some(nets) = self.nets.get_mut(index) else { return };
        nets.expire(now);
        let before = nets.clone();
        for (change, outcome) in batch.iter().zip(outcomes.iter_mut()).filter(|(change, _)| mine(change)) {
            *outcome = Some(match change {
                Change::Add { scope, expiry, .. } if nets.want(scope.prefix(), *expiry) => Outcome::Added,
                Change::Add { .. } => Outcome::Failed(Fault::Full),
                Change::Remove { scope, .. } => {
                    nets.unwant(&scope.prefix());
                    Outcome::Removed
                }
            });
        }
        if let Err(error) = self.install(index, family, now) {
            // All or nothing: what was wanted before is still what stands, unless the table was made anew meanwhile and is empty.
            if let Some(nets) = self.nets.get_mut(index) {
                nets.want_again(before);
            }
            let done = |outcome: &Outcome| matches!(outcome, Outcome::Added | Outcome::Removed);
            for (_, outcome) in batch.iter().zip(outcomes).filter(|(change, _)| mine(change)) {
                *outcome = outcome.filter(|outcome| !done(outcome)).or(Some(Outcome::Failed(fault(&error))));
            }
        }
    }

    /// Makes the set of a family hold what is wanted.
    fn install(&mut self, index: usize, family: Family, now: Time) -> Result<(), NftError> {
        let Some(nets) = self.nets.get(index) else { return Ok(()) };
        let (standing, target) = (nets.standing().to_vec(), nets.target());
        self.turn(interval_set(family), family, &standing, &target, now)?;
        if let Some(nets) = self.nets.get_mut(index) {
            nets.installed(target);
        }
        Ok(())
    }

    /// Makes an interval set hold these ranges in place of those: by the difference, or if the kernel has something else than we believe,
    /// by replacing all.
    pub(super) fn turn(&mut self, set: &str, family: Family, standing: &[Range], target: &[Range], now: Time) -> Result<(), NftError> {
        let change = difference(standing, target);
        if change == Difference::default() {
            return Ok(());
        }
        let mut transaction = self.table.transaction();
        let delete = if self.can_destroy { ElementStep::Destroy } else { ElementStep::Delete };
        transaction.elements(delete, set, interval_elements(family, &change.gone, None));
        transaction.elements(ElementStep::Add, set, interval_elements(family, &change.fresh, Some(now)));
        if self.commit(transaction).is_err() {
            self.replace(set, family, target, now)?;
        }
        Ok(())
    }

    pub(super) fn replace(&mut self, set: &str, family: Family, target: &[Range], now: Time) -> Result<(), NftError> {
        match self.refill(set, family, target, now) {
            Err(error) if is_gone(&error) => {
                self.rebuild(now)?;
                self.refill(set, family, target, now)
            }
            result => result,
        }
    }

    fn refill(&mut self, set: &str, family: Family, target: &[Range], now: Time) -> Result<(), NftError> {
        let mut transaction = self.table.transaction();
        transaction.flush_set(set);
        transaction.elements(ElementStep::Add, set, interval_elements(family, target, Some(now)));
        self.commit(transaction)
    }
}
