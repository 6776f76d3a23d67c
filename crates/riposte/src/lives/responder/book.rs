//! What the responders are to hold, until when, and who of them does. Bounded; the times are of one clock that only goes on.

use model::block::{Expiry, Scope};
use model::limits;
use model::time::Time;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Until when.
    pub expiry: Expiry,
    /// Whether the judge has said so; else it was found, and the end is the latest by which he will have.
    pub is_told: bool,
    /// Who has it, a bit each.
    pub held: u16,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Book {
    entries: HashMap<Scope, Entry>,
    ends: BTreeSet<(Time, Scope)>,
}

impl Book {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many more there may be.
    pub fn room(&self) -> usize {
        limits::HELD - self.entries.len()
    }

    /// One of them.
    pub fn of(&self, scope: &Scope) -> Option<&Entry> {
        self.entries.get(scope)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&Scope, &Entry)> {
        self.entries.iter()
    }

    /// Sets an end, and adds who has it. A new one beyond the bound is not taken.
    pub fn set(&mut self, scope: Scope, expiry: Expiry, is_told: bool, held: u16) {
        let before = self.entries.get(&scope).copied();
        if before.is_none() && self.room() == 0 {
            return;
        }
        if let Some(Entry { expiry: Expiry::At(at), .. }) = before {
            self.ends.remove(&(at, scope));
        }
        if let Expiry::At(at) = expiry {
            self.ends.insert((at, scope));
        }
        self.entries.insert(scope, Entry { expiry, is_told, held: held | before.map_or(0, |entry| entry.held) });
    }

    /// One who was not known to have it has it, too.
    pub fn holds_too(&mut self, scope: &Scope, held: u16) {
        if let Some(entry) = self.entries.get_mut(scope) {
            entry.held |= held;
        }
    }

    /// Strikes one out.
    pub fn strike(&mut self, scope: &Scope) -> Option<Entry> {
        let entry = self.entries.remove(scope)?;
        if let Expiry::At(at) = entry.expiry {
            self.ends.remove(&(at, *scope));
        }
        Some(entry)
    }

    /// When the next one ends.
    pub fn next_end(&self) -> Option<Time> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// Strikes out what has ended by now, at most so many, the earliest first.
    pub fn over(&mut self, now: Time, most: usize) -> BTreeMap<Scope, Entry> {
        let over: Vec<Scope> = self.ends.iter().take_while(|(at, _)| *at <= now).take(most).map(|(_, scope)| *scope).collect();
        over.into_iter().filter_map(|scope| Some((scope, self.strike(&scope)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_moves_counts_once_and_holders_add_up() {
        let (scope, other) = (Scope::Source("192.0.2.7".parse().unwrap()), Scope::Source("192.0.2.8".parse().unwrap()));
        let at = |secs| Expiry::At(Time::from_secs(secs));
        let mut book = Book::default();
        book.set(scope, at(10), false, 1);
        book.set(scope, at(20), true, 2);
        book.set(other, Expiry::Never, true, 4);
        assert_eq!(book.next_end(), Some(Time::from_secs(20)));
        assert!(book.over(Time::from_secs(19), 9).is_empty());
        let over = book.over(Time::from_secs(20), 9);
        assert_eq!(over.get(&scope), Some(&Entry { expiry: at(20), is_told: true, held: 3 }));
        assert_eq!((book.len(), book.next_end(), over.len()), (1, None, 1));
        book.holds_too(&other, 1);
        assert_eq!(book.strike(&other).unwrap().held, 5);
        assert_eq!(book.strike(&other), None);
    }

    #[test]
    fn the_bound_holds_for_new_ones_only() {
        let scope = |n: usize| Scope::Source(model::net::Prefix::host(std::net::Ipv4Addr::from(n as u32).into()));
        let mut book = Book::default();
        (0..=limits::HELD).for_each(|n| book.set(scope(n), Expiry::At(Time::from_secs(n as u64)), true, 1));
        assert_eq!((book.len(), book.room(), book.of(&scope(limits::HELD))), (limits::HELD, 0, None));
        book.set(scope(0), Expiry::Never, true, 2);
        assert_eq!(book.of(&scope(0)).unwrap().held, 3);
        assert_eq!(book.over(Time::from_secs(5), 3).len(), 3);
        assert_eq!(book.room(), 3);
    }
}
