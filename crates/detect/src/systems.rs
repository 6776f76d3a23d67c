//! What sources' packets look like: systems and scanners by name, as sensors guess. Never charges anybody, and never makes a charge graver.

use crate::config::ScanConfig;
use model::event::{Act, Event, Guessed};
use model::limits;
use model::net::{Prefix, canonical};
use smallvec::SmallVec;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

/// One source's, the latest last.
type Known = SmallVec<[Guessed; limits::SYSTEMS_OF_SOURCE]>;

/// The table of them.
#[derive(Debug)]
pub struct Systems {
    /// The prefixes by which IPv4 and IPv6 are counted.
    count_by: (u8, u8),
    known: BTreeMap<Prefix, Known>,
    /// In the order in which they were first told of.
    order: VecDeque<Prefix>,
    crowded_out: u64,
}

impl Systems {
    /// Nobody is known.
    pub fn new(config: &ScanConfig) -> Systems {
        let count_by = (config.count_by_ipv4, config.count_by_ipv6);
        Systems { count_by, known: BTreeMap::new(), order: VecDeque::new(), crowded_out: 0 }
    }

    fn whom(&self, actor: IpAddr) -> Prefix {
        let actor = canonical(actor);
        Prefix::new(actor, if actor.is_ipv4() { self.count_by.0 } else { self.count_by.1 })
    }

    /// What an address' packets look like, the latest last.
    pub fn of(&self, addr: IpAddr) -> &[Guessed] {
        self.known.get(&self.whom(addr)).map_or(&[], SmallVec::as_slice)
    }

    /// Sources that had to give way to others.
    pub fn crowded_out(&self) -> u64 {
        self.crowded_out
    }

    /// Takes a guess in.
    pub(crate) fn take(&mut self, event: &Event) {
        let Act::Guessed(guessed) = event.act else { return };
        let whom = self.whom(event.actor);
        if !self.known.contains_key(&whom) {
            if self.order.len() >= limits::SYSTEMS {
                self.crowded_out += u64::from(self.order.pop_front().and_then(|first| self.known.remove(&first)).is_some());
            }
            self.order.push_back(whom);
        }
        let known = self.known.entry(whom).or_default();
        known.retain(|known| known.name != guessed.name);
        if known.len() >= limits::SYSTEMS_OF_SOURCE {
            known.remove(0);
        }
        known.push(guessed);
    }

    /// Bytes that it may take: a tree's nodes are half full at least.
    pub fn memory_bound(&self) -> usize {
        limits::SYSTEMS * 2 * (size_of::<(Prefix, Known)>() + size_of::<usize>() + size_of::<Prefix>())
    }

    /// Bytes that it takes now, about.
    pub fn memory_used(&self) -> usize {
        self.known.len() * (size_of::<(Prefix, Known)>() + size_of::<usize>()) + self.order.capacity() * size_of::<Prefix>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::event::{Maker, Origin, RuleId, Trust};
    use model::time::Time;
    use std::net::Ipv4Addr;

    fn guess(actor: IpAddr, name: u16) -> Event {
        let guessed = Guessed { name: RuleId(name), kind: Maker::System, hops: None };
        let origin = Origin { sensor: 0, serial: 0 };
        Event { at: Time::EPOCH, origin, actor, target: None, act: Act::Guessed(guessed), trust: Trust::Spoofable, times: 1 }
    }

    fn names(systems: &Systems, addr: IpAddr) -> Vec<u16> {
        systems.of(addr).iter().map(|guessed| guessed.name.0).collect()
    }

    #[test]
    fn the_latest_of_each_source_are_kept_once_each() {
        let mut systems = Systems::new(&ScanConfig { count_by_ipv6: 64, ..ScanConfig::default() });
        let addr = |text: &str| text.parse::<IpAddr>().unwrap();
        for name in [1, 2, 3, 1, 4, 5] {
            systems.take(&guess(addr("2001:db8::7"), name));
        }
        assert_eq!(names(&systems, addr("2001:db8::8")), [3, 1, 4, 5], "by the /64 that is counted");
        assert_eq!(names(&systems, addr("192.0.2.7")), [0; 0]);
    }

    #[test]
    fn the_table_is_bounded_and_the_first_gives_way() {
        let mut systems = Systems::new(&ScanConfig::default());
        let addr = |n: usize| IpAddr::V4(Ipv4Addr::from(0xC633_0000 + n as u32));
        (0..limits::SYSTEMS + 5).for_each(|n| systems.take(&guess(addr(n), 1)));
        assert_eq!((names(&systems, addr(4)).len(), names(&systems, addr(5)).len(), systems.crowded_out()), (0, 1, 5));
        assert!(systems.memory_used() <= systems.memory_bound());
    }
}
