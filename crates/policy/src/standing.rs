//! The blocks that stand, by prefix, by number and by when they end. Never decides anything, and holds a million of them.

use crate::prefixes::PrefixMap;
use hashbrown::hash_map::Entry;
use hashbrown::{HashMap, HashSet};
use model::block::{Because, Block, BlockId, Effect, Expiry, Scope};
use model::event::Trust;
use model::net::Prefix;
use model::time::Time;
use std::collections::BTreeSet;
use std::time::Duration;

/// Up to this many blocks `check_invariants` looks at every one, above at this many of them.
pub(crate) const CHECKED: usize = 64;

/// A block without what its key already says.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) id: BlockId,
    pub(crate) made: Time,
    pub(crate) expiry: Expiry,
    pub(crate) because: Because,
    /// Made in a dry run: the firewall does not know of it.
    pub(crate) rehearsed: bool,
}

impl Record {
    pub(crate) fn of(block: Block) -> Self {
        Record { id: block.id, made: block.made, expiry: block.expiry, because: block.because, rehearsed: false }
    }

    pub(crate) fn block(&self, prefix: Prefix) -> Block {
        let (scope, because) = (Scope::Source(prefix), self.because.clone());
        Block { id: self.id, scope, effect: Effect::Drop, made: self.made, expiry: self.expiry, because }
    }

    /// Whether it rests on forgeable evidence alone.
    pub(crate) fn is_forgeable(&self) -> bool {
        match self.because {
            Because::Offence { trust, .. } => trust == Trust::Spoofable,
            Because::Adopted | Because::Operator { .. } => false,
        }
    }
}

/// Whether `a` ends after `b`.
pub(crate) fn ends_later(a: Expiry, b: Expiry) -> bool {
    match (a, b) {
        (Expiry::At(a), Expiry::At(b)) => a > b,
        (Expiry::Never, Expiry::At(_)) => true,
        (Expiry::At(_) | Expiry::Never, Expiry::Never) => false,
    }
}

/// The table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    blocks: PrefixMap<Record>,
    by_id: HashMap<BlockId, Prefix>,
    ends: BTreeSet<(Time, BlockId)>,
    forgeable: BTreeSet<BlockId>,
    /// Made here and set by no responder yet. After a restart there is none: any of them may have been set.
    unconfirmed: HashSet<BlockId>,
    /// Made in a dry run.
    rehearsed: HashSet<BlockId>,
}

impl Standing {
    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// How many rest on forgeable evidence alone.
    pub(crate) fn forgeable_len(&self) -> usize {
        self.forgeable.len()
    }

    /// Whom the blocks on forgeable evidence concern, the youngest block first.
    pub(crate) fn forgeable(&self) -> impl Iterator<Item = Prefix> {
        self.forgeable.iter().rev().filter_map(|id| self.by_id.get(id).copied())
    }

    pub(crate) fn get(&self, prefix: &Prefix) -> Option<&Record> {
        self.blocks.get(prefix)
    }

    pub(crate) fn find(&self, id: BlockId) -> Option<(Prefix, &Record)> {
        let prefix = *self.by_id.get(&id)?;
        Some((prefix, self.blocks.get(&prefix)?))
    }

    /// Whether a block with this number stands.
    pub(crate) fn has(&self, id: BlockId) -> bool {
        self.by_id.contains_key(&id)
    }

    /// Of the blocks that hold all of `prefix`, the one that ends last.
    pub(crate) fn covering(&self, prefix: &Prefix) -> Option<(Prefix, &Record)> {
        self.blocks.covering(prefix).reduce(|last, next| if ends_later(next.1.expiry, last.1.expiry) { next } else { last })
    }

    /// The blocks that share an address with `prefix`: first the wider ones, then what lies inside.
    pub(crate) fn touching(&self, prefix: &Prefix) -> Vec<BlockId> {
        let mut found: Vec<BlockId> =
            self.blocks.covering(prefix).skip_while(|(key, _)| key == prefix).map(|(_, record)| record.id).collect();
        found.extend(self.blocks.inside(prefix).map(|(_, record)| record.id));
        found
    }

    /// The blocks of `prefix` and of anything inside it, sorted by prefix.
    pub(crate) fn inside(&self, prefix: &Prefix) -> Vec<BlockId> {
        self.blocks.inside(prefix).map(|(_, record)| record.id).collect()
    }

    /// All, sorted by prefix.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Prefix, &Record)> {
        self.blocks.iter()
    }

    /// Adds a block. Neither its prefix nor its number may stand already.
    pub(crate) fn insert(&mut self, prefix: Prefix, record: Record) {
        debug_assert!(self.blocks.get(&prefix).is_none() && !self.by_id.contains_key(&record.id));
        self.by_id.insert(record.id, prefix);
        if let Expiry::At(end) = record.expiry {
            self.ends.insert((end, record.id));
        }
        if record.is_forgeable() {
            self.forgeable.insert(record.id);
        }
        if record.rehearsed {
            self.rehearsed.insert(record.id);
        }
        self.unconfirmed.insert(record.id);
        self.blocks.insert(prefix, record);
    }

    pub(crate) fn remove(&mut self, id: BlockId) -> Option<(Prefix, Record)> {
        let prefix = self.by_id.remove(&id)?;
        self.forgeable.remove(&id);
        self.rehearsed.remove(&id);
        self.unconfirmed.remove(&id);
        let record = self.blocks.remove(&prefix)?;
        if let Expiry::At(end) = record.expiry {
            self.ends.remove(&(end, id));
        }
        Some((prefix, record))
    }

    /// The clock was set back by this much: every block now ends that much earlier by it, when the kernel ends it. Returns the blocks whose
    /// end has changed, as they are now.
    pub(crate) fn set_back(&mut self, step: Duration) -> Vec<Block> {
        self.shift(|at| at.before(step))
    }

    /// The same, for a clock that was set forward.
    pub(crate) fn set_forward(&mut self, step: Duration) -> Vec<Block> {
        self.shift(|at| at.after(step))
    }

    fn shift(&mut self, moved_to: impl Fn(Time) -> Time) -> Vec<Block> {
        let mut moved = Vec::new();
        for (end, id) in std::mem::take(&mut self.ends) {
            let Some(prefix) = self.by_id.get(&id).copied() else { continue };
            let Some(record) = self.blocks.get_mut(&prefix) else { continue };
            record.made = moved_to(record.made);
            record.expiry = Expiry::At(moved_to(end));
            self.ends.insert((moved_to(end), id));
            moved.push(record.block(prefix));
        }
        moved
    }

    /// Gives a block a new end and new grounds; returns it as it is then.
    pub(crate) fn amend(&mut self, prefix: &Prefix, expiry: Expiry, because: Because) -> Option<Block> {
        let record = self.blocks.get_mut(prefix)?;
        if let Expiry::At(end) = record.expiry {
            self.ends.remove(&(end, record.id));
        }
        if let Expiry::At(end) = expiry {
            self.ends.insert((end, record.id));
        }
        record.expiry = expiry;
        record.because = because;
        if record.is_forgeable() {
            self.forgeable.insert(record.id);
        } else {
            self.forgeable.remove(&record.id);
        }
        Some(record.block(*prefix))
    }

    /// A responder has set it.
    pub(crate) fn confirm(&mut self, id: BlockId) {
        self.unconfirmed.remove(&id);
    }

    /// Whether a responder has set it (or, after a restart, may have).
    pub(crate) fn is_confirmed(&self, id: BlockId) -> bool {
        !self.unconfirmed.contains(&id)
    }

    /// Whether it was made in a dry run.
    pub(crate) fn is_rehearsed(&self, id: BlockId) -> bool {
        self.rehearsed.contains(&id)
    }

    /// Takes out the blocks whose time is up, in the order in which they ended; with each, whom it concerned.
    pub(crate) fn expire(&mut self, now: Time) -> Vec<(Prefix, Record)> {
        let mut over = Vec::new();
        while let Some((end, id)) = self.ends.first().copied()
            && end <= now
        {
            // Ends are taken out with their blocks, so there is one.
            let Some(block) = self.remove(id) else { break };
            over.push(block);
        }
        over
    }

    /// When the next block ends.
    pub(crate) fn next_end(&self) -> Option<Time> {
        self.ends.first().map(|(end, _)| *end)
    }

    /// Takes in many blocks at once. Of two for one prefix the younger stays: it was made when the older had ended, which a failing disk
    /// may have kept from the ledger. The other, and any with a number that stands already, comes back.
    pub(crate) fn restore(&mut self, blocks: Vec<Block>) -> Vec<Block> {
        let mut blocks = blocks;
        blocks.sort_unstable_by_key(|block| (block.scope.prefix(), block.id));
        self.by_id.reserve(blocks.len());
        let mut fresh: Vec<(Prefix, Record)> = Vec::with_capacity(blocks.len());
        let mut surplus = Vec::new();
        for block in blocks {
            let prefix = block.scope.prefix();
            match self.by_id.entry(block.id) {
                Entry::Vacant(place) if self.blocks.get(&prefix).is_none() => _ = place.insert(prefix),
                Entry::Vacant(_) | Entry::Occupied(_) => {
                    surplus.push(block);
                    continue;
                }
            }
            match fresh.last_mut() {
                Some((last, record)) if *last == prefix => {
                    self.by_id.remove(&record.id);
                    surplus.push(std::mem::replace(record, Record::of(block)).block(prefix));
                }
                Some(_) | None => fresh.push((prefix, Record::of(block))),
            }
        }
        let ends = fresh.iter().filter_map(|(_, record)| match record.expiry {
            Expiry::At(end) => Some((end, record.id)),
            Expiry::Never => None,
        });
        let mut ends: BTreeSet<(Time, BlockId)> = ends.collect();
        self.ends.append(&mut ends);
        self.forgeable.extend(fresh.iter().filter(|(_, record)| record.is_forgeable()).map(|(_, record)| record.id));
        self.blocks.append(fresh);
        surplus
    }

    /// Checks everything while there are few blocks, a sample when there are many.
    pub(crate) fn check_invariants(&self) {
        assert_eq!(self.blocks.len(), self.by_id.len(), "a block without a number, or a number without a block");
        assert!(self.ends.len() <= self.blocks.len() && self.forgeable.len() <= self.blocks.len());
        assert!(self.rehearsed.len() <= self.blocks.len() && self.unconfirmed.len() <= self.blocks.len());
        for (prefix, record) in self.blocks.iter().take(CHECKED) {
            assert_eq!(self.by_id.get(&record.id), Some(prefix));
            assert_eq!(self.forgeable.contains(&record.id), record.is_forgeable());
            assert_eq!(self.rehearsed.contains(&record.id), record.rehearsed);
            if let Expiry::At(end) = record.expiry {
                assert!(self.ends.contains(&(end, record.id)), "{prefix} would never end");
            }
        }
        for (end, id) in self.ends.iter().take(CHECKED) {
            assert_eq!(self.find(*id).map(|(_, record)| record.expiry), Some(Expiry::At(*end)));
        }
        if self.blocks.len() <= CHECKED {
            self.blocks.check_invariants();
            assert_eq!(self.forgeable.len(), self.blocks.iter().filter(|(_, record)| record.is_forgeable()).count());
            assert_eq!(self.ends.len(), self.blocks.iter().filter(|(_, record)| record.expiry != Expiry::Never).count());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(id: u64, prefix: &str, expiry: Expiry) -> Block {
        let (scope, because) = (Scope::Source(prefix.parse().unwrap()), Because::Operator { note: String::new() });
        Block { id: BlockId(id), scope, effect: Effect::Drop, made: Time::EPOCH, expiry, because }
    }

    fn at(secs: u64) -> Expiry {
        Expiry::At(Time::from_secs(secs))
    }

    #[test]
    fn the_block_that_ends_last_speaks_for_an_address() {
        let mut standing = Standing::default();
        standing.restore(vec![block(1, "192.0.2.0/24", at(50)), block(2, "192.0.2.7", at(40)), block(3, "192.0.0.0/16", at(45))]);
        let id = |text: &str| standing.covering(&text.parse().unwrap()).map(|(_, record)| record.id.0);
        assert_eq!((id("192.0.2.7"), id("192.0.3.7"), id("192.1.0.1")), (Some(1), Some(3), None));
        assert_eq!(standing.touching(&"192.0.2.0/25".parse().unwrap()), [BlockId(1), BlockId(3), BlockId(2)]);
        assert_eq!(standing.inside(&"192.0.2.0/24".parse().unwrap()), [BlockId(1), BlockId(2)]);
        assert!(ends_later(Expiry::Never, at(1)) && !ends_later(at(1), Expiry::Never) && !ends_later(Expiry::Never, Expiry::Never));
    }

    #[test]
    fn restoring_keeps_the_youngest_and_returns_the_rest() {
        let mut standing = Standing::default();
        let youngest = block(3, "192.0.2.7", at(20));
        let surplus = standing.restore(vec![block(1, "192.0.2.7", at(30)), youngest.clone(), block(2, "192.0.2.7", at(40))]);
        assert_eq!(surplus, [block(1, "192.0.2.7", at(30)), block(2, "192.0.2.7", at(40))]);
        assert_eq!(standing.find(BlockId(3)).map(|(prefix, record)| record.block(prefix)), Some(youngest));
        // A prefix or a number that stands already.
        let again = vec![block(4, "192.0.2.7", Expiry::Never), block(3, "192.0.2.8", at(50)), block(5, "192.0.2.9", Expiry::Never)];
        assert_eq!(standing.restore(again.clone()), again[..2]);
        standing.check_invariants();
        assert!(standing.expire(Time::from_secs(19)).is_empty());
        let over: Vec<_> =
            standing.expire(Time::from_secs(20)).into_iter().map(|(prefix, record)| (record.id, prefix, record.rehearsed)).collect();
        assert_eq!(over, [(BlockId(3), "192.0.2.7".parse().unwrap(), false)]);
        assert_eq!((standing.len(), standing.next_end()), (1, None));
        standing.check_invariants();
    }
}
