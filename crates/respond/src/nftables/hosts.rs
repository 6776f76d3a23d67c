//! Changes of the hash sets. A whole batch is tried at once; only if the kernel refuses it, each change is asked about on its own,
//! so that each gets its own true outcome. Never answers for a change that the kernel has not answered for.

use super::{Nftables, fault, fault_of, timeout_millis};
use crate::ranges::Family;
use crate::skeleton::{BLOCK_SETS, BlockSet};
use model::block::{Change, Fault, Outcome};
use model::limits;
use model::net::Prefix;
use model::time::Time;
use sys::nft::transaction::{ElementStep, Transaction};
use sys::nft::{Element, Key, NftError, Refusal};

/// How often a transaction is tried, with what was refused taken out or done otherwise: each try settles at least one change
/// unless somebody else works on our table, and the usual case needs two.
const TRIES: usize = 8;

/// What is to be done for one change. An element is never just added again: kernels before 6.12 keep its old time-out then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Delete the element if it is there and add it: for kernels that can delete what may not be there.
    Set,
    /// Delete the element if it is there: for the same kernels.
    Unset,
    /// Add an element that is not there.
    Add,
    /// Delete an element that is there and add it again.
    Renew,
    /// Delete an element that is there.
    Remove,
}

impl Step {
    fn element_steps(self) -> &'static [ElementStep] {
        match self {
            Step::Set => &[ElementStep::Destroy, ElementStep::Add],
            Step::Unset => &[ElementStep::Destroy],
            Step::Add => &[ElementStep::Add],
            Step::Renew => &[ElementStep::Delete, ElementStep::Add],
            Step::Remove => &[ElementStep::Delete],
        }
    }

    fn success(self) -> Outcome {
        match self {
            Step::Set | Step::Add | Step::Renew => Outcome::Added,
            Step::Unset | Step::Remove => Outcome::Removed,
        }
    }
}

/// A change of a hash set.
#[derive(Debug, Clone, Copy)]
struct Work {
    /// Its place in the batch.
    at: usize,
    set: &'static str,
    element: Element,
    step: Step,
    outcome: Option<Outcome>,
}

/// The hash set for a prefix, if there is one.
pub(super) fn hash_set(prefix: &Prefix) -> Option<&'static BlockSet> {
    let family = Family::of(prefix.addr());
    BLOCK_SETS.iter().find(|set| set.family == family && set.bits == Some(prefix.bits()))
}

/// Whether a prefix belongs into an interval set.
pub(super) fn is_net(prefix: &Prefix) -> bool {
    hash_set(prefix).is_none()
}

fn work(at: usize, change: &Change, now: Time, can_destroy: bool) -> Option<Work> {
    let prefix = change.scope().prefix();
    let set = hash_set(&prefix)?.name;
    let (step, timeout_millis) = match change {
        Change::Add { expiry, .. } => (if can_destroy { Step::Set } else { Step::Add }, timeout_millis(*expiry, now)),
        Change::Remove { .. } => (if can_destroy { Step::Unset } else { Step::Remove }, None),
    };
    let element = Element { key: Key::from(prefix.addr()), ends_interval: false, timeout_millis };
    Some(Work { at, set, element, step, outcome: None })
}

impl Nftables {
    /// Carries out the changes of hash sets. Places of other changes stay `None`.
    pub(super) fn apply_hosts(&mut self, batch: &[Change], now: Time) -> Vec<Option<Outcome>> {
        // Deleting first what can't be there takes a third of a restart's time. If something is there after all, the kernel refuses, and
        // each change is asked about on its own.
        self.filling &= batch.len() >= limits::BATCH_CHANGES;
        let can_destroy = self.can_destroy && !self.filling;
        let mut list: Vec<Work> = batch.iter().enumerate().filter_map(|(at, change)| work(at, change, now, can_destroy)).collect();
        let mut outcomes = vec![None; batch.len()];
        let unheard = batch.len() >= limits::BATCH_CHANGES && list.iter().any(|work| work.step.success() == Outcome::Added);
        if !self.try_all(&mut list, unheard) {
            self.filling = false;
            // No change has more than two steps.
            for part in list.chunks_mut((self.table.answers_max() / 2).max(1)) {
                self.try_singly(part, now);
            }
        }
        for work in list {
            if let Some(place) = outcomes.get_mut(work.at) {
                *place = Some(work.outcome.unwrap_or(Outcome::Failed(Fault::Refused)));
            }
        }
        for (change, outcome) in batch.iter().zip(&outcomes) {
            match (change, outcome) {
                (Change::Add { scope, expiry, .. }, Some(Outcome::Added)) => self.known &= self.book.set(&scope.prefix(), *expiry, now),
                (Change::Remove { scope, .. }, Some(Outcome::Removed)) => self.book.strike(&scope.prefix()),
                (Change::Add { .. } | Change::Remove { .. }, Some(_) | None) => {}
            }
        }
        outcomes
    }

    /// All in one go, with as few steps as possible. False if the kernel refused.
    fn try_all(&mut self, list: &mut [Work], unheard: bool) -> bool {
        if list.is_empty() {
            return true;
        }
        let mut transaction = self.table.transaction();
        for set in BLOCK_SETS.iter().filter(|set| set.bits.is_some()) {
            put_runs(&mut transaction, list, set.name);
        }
        let done = if unheard { self.commit_unheard(transaction) } else { self.commit(transaction) }.is_ok();
        if done {
            list.iter_mut().for_each(|work| work.outcome = Some(work.step.success()));
        }
        done
    }

    /// Each change with steps of its own, until the kernel takes all that are left.
    fn try_singly(&mut self, part: &mut [Work], now: Time) {
        let mut healed = false;
        for _ in 0..TRIES {
            let mut transaction = self.table.transaction();
            // For each step: whose it is.
            let mut owners: Vec<(usize, ElementStep)> = Vec::with_capacity(part.len());
            for (index, work) in part.iter().enumerate().filter(|(_, work)| work.outcome.is_none()) {
                for step in work.step.element_steps() {
                    transaction.elements(*step, work.set, [work.element]);
                    owners.push((index, *step));
                }
            }
            let error = match self.commit(transaction) {
                Ok(()) => return part.iter_mut().for_each(|work| work.outcome = work.outcome.or(Some(work.step.success()))),
                Err(error) => error,
            };
            let NftError::Refused(refusals) = &error else { return fail(part, fault(&error)) };
            if refusals.iter().any(|refusal| refusal.step.is_none()) {
                return fail(part, fault(&error));
            }
            // An element that cannot be added because something is not there: the set or the table is gone.
            let is_gone = |refusal: &Refusal| {
                let step = refusal.step.and_then(|step| owners.get(step));
                refusal.errno == libc::ENOENT && step.is_some_and(|(_, step)| *step == ElementStep::Add)
            };
            if refusals.iter().any(is_gone) {
                if healed || self.rebuild(now).is_err() {
                    return fail(part, Fault::Gone);
                }
                healed = true;
                continue;
            }
            for refusal in refusals {
                let Some((index, step)) = refusal.step.and_then(|step| owners.get(step)) else { continue };
                let Some(work) = part.get_mut(*index) else { continue };
                // Once a set is full, newer kernels refuse whatever comes later in the transaction, even what would take no more room.
                let is_full = fault_of(refusal.errno) == Fault::Full;
                if !is_full || !self.table.holds(work.set, work.element.key).unwrap_or(false) {
                    work.learn(*step, refusal.errno);
                }
            }
        }
        fail(part, Fault::Refused);
    }
}

impl Work {
    /// Takes the kernel's refusal into account: does it otherwise, or settles it.
    fn learn(&mut self, step: ElementStep, errno: i32) {
        match (self.step, step, errno) {
            (Step::Add, _, libc::EEXIST) => self.step = Step::Renew,
            (Step::Renew, ElementStep::Delete, libc::ENOENT) => self.step = Step::Add,
            // Nothing there to lift: for `Unset`, not even a table.
            (Step::Remove | Step::Unset, _, libc::ENOENT) => self.outcome = Some(Outcome::Removed),
            (Step::Set | Step::Unset | Step::Add | Step::Renew | Step::Remove, _, errno) => {
                self.outcome = Some(Outcome::Failed(fault_of(errno)))
            }
        }
    }
}

/// What is not settled has failed.
fn fail(part: &mut [Work], fault: Fault) {
    part.iter_mut().for_each(|work| work.outcome = work.outcome.or(Some(Outcome::Failed(fault))));
}

/// The same steps for each run of changes of the same kind of one set, in their order: elements of different sets are independent.
fn put_runs(transaction: &mut Transaction, list: &[Work], set: &str) {
    let mut own = list.iter().filter(|work| work.set == set).peekable();
    while let Some(first) = own.next() {
        let kind = first.step;
        let run = std::iter::once(first).chain(std::iter::from_fn(|| own.next_if(|work| work.step == kind)));
        let run: Vec<Element> = run.map(|work| work.element).collect();
        for step in kind.element_steps() {
            transaction.elements(*step, set, run.iter().copied());
        }
    }
}
