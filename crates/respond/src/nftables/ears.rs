//! When others are not listened to. While anybody listens in a namespace the kernel writes news of every element that is set, at half the
//! cost of setting it, and of our own changes only for a filter to drop them: with a million blocks to set after a restart that is most of a
//! second. Never misses a change of others: the kernel counts all transactions, and one that is not ours counts as damage.

use super::Nftables;
use sys::nft::NftError;
use sys::nft::alarm::{Damage, Intrusion};
use sys::nft::transaction::Transaction;

/// Whether others are listened to.
#[derive(Debug, Default)]
pub(super) struct Ears {
    /// Nobody is, and the kernel's count of transactions is this if nobody else has made one.
    closed: Option<u32>,
    /// Somebody was at work meanwhile, and `hear` has not told of it.
    missed: bool,
    /// That has happened: from then on they stay open.
    open_for_good: bool,
}

impl Nftables {
    /// Whether `hear` is to be called: at once, or, if nothing else is to be done, after full batches of changes.
    pub fn wants_to_hear(&self, calm: bool) -> bool {
        self.ears.missed || (calm && self.ears.closed.is_some())
    }

    /// Carries out a transaction of a full batch of blocks, at least one of which is set: so the kernel counts it.
    pub(super) fn commit_unheard(&mut self, transaction: Transaction) -> Result<(), NftError> {
        self.close_ears();
        self.table.commit(transaction)?;
        // The kernel leaves out 0.
        self.ears.closed = self.ears.closed.map(|count| count.wrapping_add(1).max(1));
        Ok(())
    }

    /// Carries out any other transaction.
    pub(super) fn commit(&mut self, transaction: Transaction) -> Result<(), NftError> {
        self.open_ears();
        self.table.commit(transaction)
    }

    fn close_ears(&mut self) {
        let Ok(count) = self.table.generation() else { return self.open_ears() };
        match (self.ears.closed, &self.alarm) {
            (Some(ours), _) if ours == count => {}
            (Some(_), _) => self.open_ears(),
            // What others do from here on is counted, if not heard.
            (None, Some(alarm)) if !self.ears.open_for_good && alarm.set_listening(false).is_ok() => self.ears.closed = Some(count),
            (None, _) => {}
        }
    }

    /// Listens again, and compares what the kernel has counted.
    pub(super) fn open_ears(&mut self) {
        let Some(ours) = self.ears.closed.take() else { return };
        let listens = self.alarm.as_ref().is_some_and(|alarm| alarm.set_listening(true).is_ok());
        if !listens {
            self.alarm = None;
        }
        if !listens || self.table.generation().ok() != Some(ours) {
            let nobody_knows = Intrusion { damage: Damage::Unknown, generation: None, pid: 0, program: String::new() };
            self.intrusion.get_or_insert(nobody_knows);
            (self.ears.missed, self.ears.open_for_good) = (true, true);
        }
    }

    /// Whether somebody was at work while nobody listened; told once.
    pub(super) fn take_missed(&mut self) -> bool {
        self.open_ears();
        std::mem::take(&mut self.ears.missed)
    }
}
