//! What the kernel's hash sets hold, written down on our side, so that a table that somebody deleted is back at once with all its blocks.
//! Never holds what the kernel has not confirmed.

use super::hosts::hash_set;
use super::timeout_millis;
use crate::ranges::Family;
use crate::skeleton::BlockSet;
use model::block::Expiry;
use model::limits;
use model::net::Prefix;
use model::time::Time;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use sys::nft::{Element, Key};

/// A set this small is never searched for what has run out.
const SWEEP_FROM: usize = 1_024;

/// The ends of blocks by address: as short as the set's addresses are, since there may be two million.
#[derive(Debug)]
struct Page<A> {
    ends: BTreeMap<A, u64>,
    /// At this length it is searched for what has run out.
    sweep_at: usize,
}

impl<A> Default for Page<A> {
    fn default() -> Self {
        Page { ends: BTreeMap::new(), sweep_at: SWEEP_FROM }
    }
}

impl<A: Ord + Copy> Page<A> {
    /// False if there is no room.
    fn set(&mut self, addr: A, expiry: Expiry, now: Time) -> bool {
        if self.ends.len() >= self.sweep_at {
            self.sweep(now);
        }
        if self.ends.len() >= limits::BLOCKS && !self.ends.contains_key(&addr) {
            return false;
        }
        self.ends.insert(addr, nanos(expiry));
        true
    }

    fn sweep(&mut self, now: Time) {
        let now = now.as_nanos();
        self.ends.retain(|_, end| *end > now);
        self.sweep_at = (self.ends.len() * 2).clamp(SWEEP_FROM, limits::BLOCKS);
    }
}

fn nanos(expiry: Expiry) -> u64 {
    match expiry {
        Expiry::At(at) => at.as_nanos(),
        Expiry::Never => u64::MAX,
    }
}

fn expiry(nanos: u64) -> Expiry {
    if nanos == u64::MAX { Expiry::Never } else { Expiry::At(Time::from_nanos(nanos)) }
}

/// The book. Twelve bytes for an IPv4 address and the tree's own half as much again: some 20 MB for a million.
#[derive(Debug, Default)]
pub(super) struct Book {
    v4: Page<u32>,
    v6: Page<u128>,
    /// By the upper half.
    v6_64: Page<u64>,
}

impl Book {
    /// Notes a block of a hash set; others are no concern of this book. False if there is no room.
    pub(super) fn set(&mut self, prefix: &Prefix, expiry: Expiry, now: Time) -> bool {
        let Some(set) = hash_set(prefix) else { return true };
        match (prefix.addr(), set.bits) {
            (IpAddr::V4(v4), _) => self.v4.set(u32::from(v4), expiry, now),
            (IpAddr::V6(v6), Some(64)) => self.v6_64.set(upper(v6), expiry, now),
            (IpAddr::V6(v6), _) => self.v6.set(u128::from(v6), expiry, now),
        }
    }

    /// Strikes a block out.
    pub(super) fn strike(&mut self, prefix: &Prefix) {
        let Some(set) = hash_set(prefix) else { return };
        match (prefix.addr(), set.bits) {
            (IpAddr::V4(v4), _) => self.v4.ends.remove(&u32::from(v4)),
            (IpAddr::V6(v6), Some(64)) => self.v6_64.ends.remove(&upper(v6)),
            (IpAddr::V6(v6), _) => self.v6.ends.remove(&u128::from(v6)),
        };
    }

    /// How many blocks it has at most: some may have run out.
    pub(super) fn len(&self) -> usize {
        self.v4.ends.len() + self.v6.ends.len() + self.v6_64.ends.len()
    }

    /// The elements that a set should have now.
    pub(super) fn elements(&self, set: &BlockSet, now: Time) -> Vec<Element> {
        let element = |addr: IpAddr, end: u64| {
            let expiry = expiry(end);
            let timeout_millis = timeout_millis(expiry, now);
            (!expiry.is_over(now)).then_some(Element { key: Key::from(addr), ends_interval: false, timeout_millis })
        };
        let v6 = |number: u128| IpAddr::V6(Ipv6Addr::from(number));
        match (set.family, set.bits) {
            (Family::V4, Some(32)) => {
                self.v4.ends.iter().filter_map(|(addr, end)| element(IpAddr::V4(Ipv4Addr::from(*addr)), *end)).collect()
            }
            (Family::V6, Some(128)) => self.v6.ends.iter().filter_map(|(addr, end)| element(v6(*addr), *end)).collect(),
            (Family::V6, Some(64)) => self.v6_64.ends.iter().filter_map(|(addr, end)| element(v6(u128::from(*addr) << 64), *end)).collect(),
            (Family::V4 | Family::V6, _) => Vec::new(),
        }
    }
}

fn upper(addr: Ipv6Addr) -> u64 {
    (u128::from(addr) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skeleton::BLOCK_SETS;

    fn at(secs: u64) -> Expiry {
        Expiry::At(Time::from_secs(secs))
    }

    #[test]
    fn what_was_noted_comes_back_with_what_is_left_of_its_time() {
        let (mut book, now) = (Book::default(), Time::from_secs(1_000));
        for (text, expiry) in [
            ("192.0.2.1", at(1_600)),
            ("192.0.2.2", Expiry::Never),
            ("192.0.2.3", at(900)),
            ("2001:db8::1", at(1_001)),
            ("2001:db8:1::/64", at(1_002)),
        ] {
            assert!(book.set(&text.parse().unwrap(), expiry, now));
        }
        assert!(book.set(&"192.0.2.0/28".parse().unwrap(), at(1_600), now), "not for this book");
        book.strike(&"192.0.2.9".parse().unwrap());
        assert_eq!(book.len(), 5);
        let told = |book: &Book| -> Vec<String> {
            let all = BLOCK_SETS.iter().flat_map(|set| book.elements(set, now).into_iter().map(|e| (set.name, e)));
            all.map(|(set, e)| format!("{set} {:?} {:?}", e.key, e.timeout_millis)).collect()
        };
        let expected = [
            "blocked4 192.0.2.1 Some(600000)",
            "blocked4 192.0.2.2 None",
            "blocked6 2001:db8::1 Some(1000)",
            "blocked6_64 2001:db8:1:: Some(2000)",
        ];
        assert_eq!(told(&book), expected);
        for text in ["192.0.2.1", "2001:db8::1", "2001:db8:1::/64"] {
            book.strike(&text.parse().unwrap());
        }
        assert_eq!(told(&book), ["blocked4 192.0.2.2 None"]);
    }

    #[test]
    fn what_has_run_out_makes_room() {
        let mut book = Book::default();
        for n in 0..10 * SWEEP_FROM as u32 {
            let prefix = Prefix::host(IpAddr::V4(Ipv4Addr::from(n)));
            // Each lasts for a hundred seconds, and one comes every second.
            assert!(book.set(&prefix, at(u64::from(n) + 100), Time::from_secs(u64::from(n))));
        }
        assert!(book.len() <= SWEEP_FROM, "{}", book.len());
    }
}
