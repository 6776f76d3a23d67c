//! Makes the table anew after somebody else has touched it: whatever was done to it, what comes after is what we wanted, in one transaction.
//! Never leaves a table behind in which an exempt address could be dropped: exemptions come with the chains or not at all.

use super::book::Book;
use super::listed::alive;
use super::{Counters, Nftables, interval_elements};
use crate::ranges::Family;
use crate::skeleton::{BLOCK_SETS, BlockSet, Found, LISTED_SETS, TABLE};
use model::block::{Installed, Scope};
use model::limits;
use model::time::Time;
use std::os::fd::{AsFd, BorrowedFd};
use sys::nft::alarm::{Alarm, Intrusion};
use sys::nft::transaction::ElementStep;
use sys::nft::{Element, NftError};

/// Somebody may delete the table while it is being made: how often it is tried.
const TRIES: usize = 4;
/// Elements of hash sets that come back with the table itself, in the same transaction. A hash table of the kernel's grows beside the
/// transaction, so a longer one is slower than many short ones: with 400,000, on a busy machine, by seconds.
const IN_ONE: usize = 50_000;

/// Elements of a set.
pub(super) type Blocks = (&'static str, Vec<Element>);

/// The table has been made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// What had been done to it and who it was, if that is known.
    pub by: Option<Intrusion>,
    /// Whether all its blocks are back. If not, they must be added again.
    pub complete: bool,
    /// Whether whom lists name is back. If not, they must be set again.
    pub listed: bool,
    /// Whether one transaction did it all.
    pub in_one: bool,
    /// How many were set again, at most: some may have run out.
    pub blocks: usize,
}

impl Nftables {
    /// Begins to hear of what others do to the table. Without that a deleted table is noticed by the next change only.
    pub(super) fn listen(&mut self) {
        self.alarm = self.table.port().and_then(|own| Alarm::open(TABLE, own)).ok();
    }

    /// Readable when somebody else may have changed the table; `None` if the kernel does not tell.
    pub fn alarm_fd(&self) -> Option<BorrowedFd<'_>> {
        self.alarm.as_ref().map(AsFd::as_fd)
    }

    /// Whether somebody has changed the table and it has not been made anew since.
    pub fn hear(&mut self) -> bool {
        let missed = self.take_missed();
        let Some(heard) = self.alarm.as_mut().and_then(Alarm::hear) else { return missed };
        let is_old = heard.generation.zip(self.repaired).is_some_and(|(heard, repaired)| heard.wrapping_sub(repaired) as i32 <= 0);
        if !is_old {
            self.intrusion =
                Some(Intrusion { damage: self.intrusion.take().map_or(heard.damage, |before| before.damage.max(heard.damage)), ..heard });
        }
        missed || !is_old
    }

    /// Makes the table anew, whatever it has now, with all its blocks.
    ///
    /// # Errors
    /// If the kernel refuses; the table is then as it was.
    pub fn repair(&mut self, now: Time) -> Result<(), NftError> {
        self.rebuild(now)
    }

    pub(super) fn rebuild(&mut self, now: Time) -> Result<(), NftError> {
        // Who did it has been told already, if it was noticed by a change that failed.
        self.hear();
        // What others do from here on is heard and repaired once more, even if it comes before our own.
        self.repaired = self.table.generation().ok();
        if self.table.exists()? {
            self.counted[1] = self.read_counters()?;
        }
        self.nets.iter_mut().for_each(|nets| nets.expire(now));
        let mut first: Vec<Blocks> = BLOCK_SETS.iter().map(|set| (set.name, self.elements_of(set, now))).collect();
        for (set, listed) in LISTED_SETS.iter().zip(&mut self.listed) {
            listed.target = alive(&listed.target, now);
            first.push((set.name, interval_elements(set.family, &listed.target, Some(now)).collect()));
        }
        let mut rest = beyond(&mut first, IN_ONE);
        let listed = self.lay_again(&first).is_ok();
        if !listed {
            // Too much at once even so: first what protects the exempt, then all blocks. Lists are only ever set as a whole, by whoever has them.
            self.lay_again(&[])?;
            rest.extend(first.drain(..BLOCK_SETS.len()));
        }
        let in_one = rest.is_empty();
        let complete = self.bring_back(&rest) && self.known;
        self.counted = [self.counted[0].plus(&self.counted[1]), Counters::default()];
        self.nets.iter_mut().for_each(|nets| nets.installed(nets.target()));
        // Whoever asked for them before they could be set is told of them now.
        self.listed.iter_mut().for_each(|set| set.stands = listed);
        self.rebuilt = Some(Rebuilt { by: self.intrusion.take(), complete, listed, in_one, blocks: self.book.len() });
        Ok(())
    }

    fn lay_again(&mut self, blocks: &[Blocks]) -> Result<(), NftError> {
        for _ in 1..TRIES {
            match self.lay_whatever_is_there(blocks) {
                Err(error) if matches!(error.errno(), Some(libc::ENOENT | libc::EEXIST)) => {}
                result => return result,
            }
        }
        self.lay_whatever_is_there(blocks)
    }

    fn lay_whatever_is_there(&mut self, blocks: &[Blocks]) -> Result<(), NftError> {
        let found = if self.table.exists()? { Found::Other } else { Found::Nothing };
        self.lay(found, blocks).map_err(|(error, _)| error)
    }

    /// Adds blocks to a table that has not got them; false if the kernel refused any.
    fn bring_back(&mut self, blocks: &[Blocks]) -> bool {
        let mut done = true;
        for (set, elements) in blocks {
            for part in elements.chunks(limits::BATCH_CHANGES) {
                let mut transaction = self.table.transaction();
                transaction.elements(ElementStep::Add, set, part.iter().copied());
                done &= self.commit(transaction).is_ok();
            }
        }
        done
    }

    fn elements_of(&self, set: &BlockSet, now: Time) -> Vec<Element> {
        match set.bits {
            Some(_) => self.book.elements(set, now),
            None => {
                let own = Family::ALL.into_iter().zip(&self.nets).filter(|(family, _)| *family == set.family);
                own.flat_map(|(family, nets)| interval_elements(family, &nets.target(), Some(now)).collect::<Vec<_>>()).collect()
            }
        }
    }

    /// The kernel's own word on what the hash sets hold.
    pub(super) fn enter(&mut self, installed: &[Installed], now: Time) {
        self.book = Book::default();
        for Installed { scope: Scope::Source(prefix), expiry } in installed {
            self.known &= self.book.set(prefix, *expiry, now);
        }
    }
}

/// Takes out what is beyond so many elements. Interval sets are bounded, and stay whole.
fn beyond(blocks: &mut [Blocks], most: usize) -> Vec<Blocks> {
    let mut room = most;
    let mut rest = Vec::new();
    for (name, elements) in blocks.iter_mut().filter(|(name, _)| BLOCK_SETS.iter().any(|set| set.name == *name && set.bits.is_some())) {
        let more = elements.split_off(elements.len().min(room));
        room -= elements.len();
        if !more.is_empty() {
            rest.push((*name, more));
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};
    use sys::nft::Key;

    #[test]
    fn what_is_beyond_one_transaction_comes_after_it() {
        let many = |count: u32| -> Vec<Element> {
            let key = |n| Key::from(IpAddr::V4(Ipv4Addr::from(n)));
            (0..count).map(|n| Element { key: key(n), ends_interval: false, timeout_millis: None }).collect()
        };
        let mut blocks = vec![("blocked4", many(7)), ("blocked4_nets", many(9)), ("blocked6", many(5)), ("blocked6_64", many(2))];
        let rest = beyond(&mut blocks, 10);
        let counts = |list: &[Blocks]| list.iter().map(|(name, elements)| (*name, elements.len())).collect::<Vec<_>>();
        assert_eq!(counts(&blocks), [("blocked4", 7), ("blocked4_nets", 9), ("blocked6", 3), ("blocked6_64", 0)]);
        assert_eq!(counts(&rest), [("blocked6", 2), ("blocked6_64", 2)]);
        assert!(beyond(&mut blocks, 10).is_empty());
    }
}
