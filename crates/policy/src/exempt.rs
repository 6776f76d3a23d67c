//! Who is never blocked: built in, configured, derived from the system, allowed by an operator. Never forgets a built-in entry, and
//! never lets a long list of one kind push out another.

use crate::prefixes::PrefixMap;
use crate::rootservers::ROOT_SERVERS;
use model::decision::{ExemptReason, Exemption};
use model::limits;
use model::net::Prefix;
use model::time::Time;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that no network delivers as a source: "this network", loopback, multicast, the former class E with the broadcast
/// address (RFC 6890), and their IPv6 counterparts. Link-local unicast is not among them: a neighbour can attack.
const RESERVED: [(IpAddr, u8); 7] = [
    (IpAddr::V4(Ipv4Addr::new(0, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(224, 0, 0, 0)), 4),
    (IpAddr::V4(Ipv4Addr::new(240, 0, 0, 0)), 4),
    (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 128),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
    (IpAddr::V6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0)), 8),
];

/// The exempt list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exempt {
    configured: Vec<Prefix>,
    derived: Vec<Exemption>,
    allowed: BTreeMap<Prefix, Option<Time>>,
    /// Allowances that have ended and that nobody was told of yet.
    lapsed: Vec<Prefix>,
    /// All of the above and what is built in; for a prefix with several reasons the one that takes precedence.
    all: PrefixMap<ExemptReason>,
    /// When the next allowance ends.
    next_end: Option<Time>,
    /// Derived entries that the last set had beyond the bound.
    dropped: usize,
}

impl Exempt {
    pub(crate) fn new(configured: Vec<Prefix>) -> Self {
        let mut exempt = Exempt { configured, ..Exempt::default() };
        exempt.rebuild();
        exempt
    }

    /// Replaces the configured entries; returns those that were not exempt in just this spelling before. The config reader has
    /// refused a list beyond the bound.
    pub(crate) fn configure(&mut self, configured: Vec<Prefix>) -> Vec<Exemption> {
        self.configured = configured;
        self.rebuild()
    }

    /// Replaces the derived entries; at the bound the reasons with the least precedence give way.
    pub(crate) fn derive(&mut self, mut derived: Vec<Exemption>) -> Vec<Exemption> {
        derived.sort_by_key(|exemption| (exemption.reason, exemption.prefix));
        derived.dedup();
        self.dropped = derived.len().saturating_sub(limits::DERIVED);
        derived.truncate(limits::DERIVED);
        self.derived = derived;
        self.rebuild()
    }

    /// Adds an operator's allowance or gives it a new end; `None` if there are as many as there may be.
    pub(crate) fn allow(&mut self, prefix: Prefix, until: Option<Time>) -> Option<Vec<Exemption>> {
        if self.allowed.len() >= limits::EXEMPTIONS && !self.allowed.contains_key(&prefix) {
            return None;
        }
        self.allowed.insert(prefix, until);
        self.lapsed.retain(|lapsed| *lapsed != prefix);
        Some(self.rebuild())
    }

    pub(crate) fn disallow(&mut self, prefix: &Prefix) -> bool {
        let was = self.allowed.remove(prefix).is_some();
        if was {
            self.rebuild();
        }
        was
    }

    /// Ends the allowances whose time has come.
    pub(crate) fn expire(&mut self, now: Time) {
        if self.next_end.is_some_and(|end| end <= now) {
            self.lapsed.extend(self.allowed.extract_if(.., |_, until| until.is_some_and(|until| until <= now)).map(|(prefix, _)| prefix));
            self.rebuild();
        }
    }

    /// The allowances that have ended since the last call.
    pub(crate) fn take_lapsed(&mut self) -> Vec<Prefix> {
        std::mem::take(&mut self.lapsed)
    }

    /// The clock was set: an allowance that has an hour left keeps it.
    pub(crate) fn shift(&mut self, moved_to: impl Fn(Time) -> Time) {
        self.allowed.values_mut().flatten().for_each(|until| *until = moved_to(*until));
        self.next_end = self.next_end.map(moved_to);
    }

    /// When the next allowance ends.
    pub(crate) fn next_end(&self) -> Option<Time> {
        self.next_end
    }

    /// The operator's allowances, sorted.
    pub(crate) fn allowed(&self) -> Vec<(Prefix, Option<Time>)> {
        self.allowed.iter().map(|(prefix, until)| (*prefix, *until)).collect()
    }

    /// The entry that protects all of `prefix`; of several the one whose reason takes precedence.
    pub(crate) fn covering(&self, prefix: &Prefix) -> Option<Exemption> {
        self.all.covering(prefix).map(|(prefix, reason)| Exemption { prefix, reason: *reason }).min_by_key(|exemption| exemption.reason)
    }

    /// The first entry that lies inside `prefix`.
    pub(crate) fn inside(&self, prefix: &Prefix) -> Option<Exemption> {
        self.all.inside(prefix).map(|(prefix, reason)| Exemption { prefix, reason: *reason }).next()
    }

    /// Whether `prefix` shares an address with an entry.
    pub(crate) fn touches(&self, prefix: &Prefix) -> bool {
        self.all.covering(prefix).next().is_some() || self.inside(prefix).is_some()
    }

    /// All entries, sorted by prefix.
    pub(crate) fn list(&self) -> impl Iterator<Item = Exemption> {
        self.all.iter().map(|(prefix, reason)| Exemption { prefix: *prefix, reason: *reason })
    }

    pub(crate) fn dropped(&self) -> usize {
        self.dropped
    }

    fn rebuild(&mut self) -> Vec<Exemption> {
        let reserved = RESERVED.into_iter().map(|(addr, len)| (Prefix::new(addr, len), ExemptReason::Reserved));
        let roots = ROOT_SERVERS.into_iter().map(|addr| (Prefix::host(addr), ExemptReason::RootServer));
        let configured = self.configured.iter().map(|prefix| (*prefix, ExemptReason::Configured));
        let derived = self.derived.iter().map(|exemption| (exemption.prefix, exemption.reason));
        let allowed = self.allowed.keys().map(|prefix| (*prefix, ExemptReason::Allowed));
        let mut all: PrefixMap<ExemptReason> = PrefixMap::default();
        for (prefix, reason) in reserved.chain(roots).chain(configured).chain(derived).chain(allowed) {
            if all.get(&prefix).is_none_or(|known| reason < *known) {
                all.insert(prefix, reason);
            }
        }
        let old = std::mem::replace(&mut self.all, all);
        self.next_end = self.allowed.values().copied().flatten().min();
        self.list().filter(|exemption| old.get(&exemption.prefix).is_none()).collect()
    }

    pub(crate) fn check_invariants(&self) {
        assert!(self.derived.len() <= limits::DERIVED && self.allowed.len() <= limits::EXEMPTIONS);
        assert!(self.all.len() >= RESERVED.len() + ROOT_SERVERS.len(), "a built-in exemption is missing");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_built_in_is_exempt() {
        let exempt = Exempt::new(Vec::new());
        for text in
            ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.251", "239.255.255.250", "240.0.0.1", "255.255.255.255", "::", "::1", "ff02::1"]
        {
            assert_eq!(exempt.covering(&prefix(text)).map(|found| found.reason), Some(ExemptReason::Reserved), "{text}");
        }
        for text in ["1.0.0.0", "126.255.255.255", "128.0.0.0", "223.255.255.255", "::2", "fe80::1", "10.0.0.1", "192.168.0.1"] {
            assert_eq!(exempt.covering(&prefix(text)), None, "{text}");
        }
        for addr in ROOT_SERVERS {
            assert_eq!(exempt.covering(&Prefix::host(addr)).map(|found| found.reason), Some(ExemptReason::RootServer));
        }
        assert_eq!(exempt.inside(&prefix("198.41.0.0/24")).map(|found| found.prefix), Some(prefix("198.41.0.4")));
    }

    #[test]
    fn the_reason_that_takes_precedence_is_given() {
        let mut exempt = Exempt::new(vec![prefix("192.0.2.0/24")]);
        assert_eq!(exempt.covering(&prefix("192.0.2.1")).unwrap().reason, ExemptReason::Configured);
        let new = exempt.derive(vec![
            Exemption { prefix: prefix("192.0.2.1"), reason: ExemptReason::Resolver },
            Exemption { prefix: prefix("192.0.2.1"), reason: ExemptReason::Gateway },
        ]);
        assert_eq!(new, [Exemption { prefix: prefix("192.0.2.1"), reason: ExemptReason::Gateway }]);
        assert_eq!(exempt.covering(&prefix("192.0.2.1")).unwrap().reason, ExemptReason::Gateway);
        assert!(exempt.derive(Vec::new()).is_empty());
        assert_eq!(exempt.covering(&prefix("192.0.2.1")).unwrap().reason, ExemptReason::Configured);
        // Of two for one prefix, and of two that nest: whichever is the narrower.
        exempt.allow(prefix("192.0.2.1"), None).unwrap();
        assert_eq!(exempt.covering(&prefix("192.0.2.1")).unwrap().reason, ExemptReason::Configured);
        assert!(exempt.derive(vec![Exemption { prefix: prefix("192.0.2.0/24"), reason: ExemptReason::Own }]).is_empty());
        assert_eq!(exempt.covering(&prefix("192.0.2.0/24")).unwrap().reason, ExemptReason::Own);
        assert_eq!(exempt.covering(&prefix("192.0.2.1")).unwrap().reason, ExemptReason::Own);
    }

    #[test]
    fn allowances_end() {
        let mut exempt = Exempt::new(Vec::new());
        exempt.allow(prefix("192.0.2.0/24"), Some(Time::from_secs(10))).unwrap();
        exempt.allow(prefix("198.51.100.7"), None).unwrap();
        assert_eq!(exempt.next_end(), Some(Time::from_secs(10)));
        exempt.expire(Time::from_secs(9));
        assert!(exempt.touches(&prefix("192.0.2.9")) && exempt.touches(&prefix("192.0.0.0/16")));
        exempt.expire(Time::from_secs(10));
        assert!(!exempt.touches(&prefix("192.0.2.9")) && exempt.touches(&prefix("198.51.100.7")));
        assert!(exempt.disallow(&prefix("198.51.100.7")) && !exempt.disallow(&prefix("198.51.100.7")));
        assert!(exempt.allowed().is_empty() && exempt.next_end().is_none());
    }

    #[test]
    fn at_the_bound_the_least_important_give_way() {
        let mut exempt = Exempt::new(Vec::new());
        let many = |n: u32, reason| (0..n).map(move |i| Exemption { prefix: Prefix::host(Ipv4Addr::from(0x0a00_0000 + i).into()), reason });
        let own = Exemption { prefix: prefix("192.0.2.1"), reason: ExemptReason::Own };
        exempt.derive(many(5_000, ExemptReason::Admin).chain([own]).collect());
        assert_eq!(exempt.dropped(), 5_001 - limits::DERIVED);
        assert_eq!(exempt.covering(&own.prefix), Some(own));
        exempt.check_invariants();
        // Filled by hand: `allow` rebuilds the list each time, which is right for an operator and slow for a test.
        exempt.allowed.extend((0..limits::EXEMPTIONS as u32).map(|n| (Prefix::host(Ipv4Addr::from(0x0b00_0000 + n).into()), None)));
        assert_eq!(exempt.allow(prefix("203.0.113.1"), None), None);
        assert!(exempt.allow(prefix("11.0.0.1"), Some(Time::from_secs(1))).is_some());
    }
}
