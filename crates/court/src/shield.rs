//! The warden's own copy of the exempt list: the second look before anything reaches the kernel.
//! Its children can add to it, within bounds; nothing that they say takes out what the configuration or the built-in list put in.

use crate::settings::Settings;
use link::message::Life;
use model::decision::Exemption;
use model::limits;
use model::net::Prefix;
use policy::judge::Judge;
use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

/// The list.
#[derive(Debug)]
pub struct Shield {
    fixed: Vec<Prefix>,
    derived: BTreeMap<Life, Vec<Exemption>>,
    allowed: Vec<Prefix>,
    hosts: HashSet<IpAddr>,
    ranges: Vec<Prefix>,
    /// Entries that a child sent and that were not taken.
    pub refused: u64,
}

impl Shield {
    /// The list of the configuration, with the built-in entries.
    pub fn new(config: &Settings) -> Self {
        let mut shield = Shield {
            fixed: Vec::new(),
            derived: BTreeMap::new(),
            allowed: Vec::new(),
            hosts: HashSet::new(),
            ranges: Vec::new(),
            refused: 0,
        };
        shield.reconfigure(config);
        shield
    }

    /// The list of another configuration, in place of that of the one before. What children have derived stays.
    pub fn reconfigure(&mut self, config: &Settings) {
        self.fixed = Judge::new(config.policy.clone()).exemptions().into_iter().map(|e| e.prefix).collect();
        self.index();
    }

    /// Takes what a child has derived, in place of what it sent before. Single addresses only: a child that was taken over must not be
    /// able to exempt the whole Internet at a stroke.
    pub fn derive(&mut self, from: Life, list: Vec<Exemption>) {
        let before = list.len();
        let list: Vec<Exemption> = list.into_iter().filter(|e| e.prefix.is_host()).take(limits::DERIVED).collect();
        self.refused += (before - list.len()) as u64;
        self.derived.insert(from, list);
        self.index();
    }

    /// Takes what operators allow, in place of what they allowed before.
    pub fn allow(&mut self, allowed: Vec<Prefix>) {
        self.allowed = allowed;
        self.index();
    }

    /// Whether this child has said what it derives.
    pub fn has_derived(&self, from: Life) -> bool {
        self.derived.contains_key(&from)
    }

    /// All that children have derived, sorted, at most `limits::DERIVED`.
    pub fn derived(&self) -> Vec<Exemption> {
        let mut all: Vec<Exemption> = self.derived.values().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        all.truncate(limits::DERIVED);
        all
    }

    /// Every prefix on the list.
    pub fn prefixes(&self) -> Vec<Prefix> {
        self.hosts.iter().copied().map(Prefix::host).chain(self.ranges.iter().copied()).collect()
    }

    /// Whether any exempt address lies in this prefix.
    pub fn touches(&self, prefix: &Prefix) -> bool {
        if self.ranges.iter().any(|range| range.overlaps(prefix)) {
            return true;
        }
        if prefix.is_host() { self.hosts.contains(&prefix.addr()) } else { self.hosts.iter().any(|addr| prefix.contains(*addr)) }
    }

    fn index(&mut self) {
        let all = self.fixed.iter().chain(&self.allowed).copied().chain(self.derived.values().flatten().map(|e| e.prefix));
        let (hosts, ranges): (Vec<Prefix>, Vec<Prefix>) = all.partition(Prefix::is_host);
        self.hosts = hosts.into_iter().map(|prefix| prefix.addr()).collect();
        self.ranges = ranges;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::decision::ExemptReason;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn nothing_that_a_child_says_takes_the_fixed_list_away() {
        let mut config = Settings::default();
        config.policy.exempt = vec![prefix("192.0.2.0/24")];
        let mut shield = Shield::new(&config);
        let gateway = Exemption { prefix: prefix("203.0.113.1"), reason: ExemptReason::Gateway };
        shield.derive(Life::Host, vec![gateway]);
        assert!(shield.touches(&prefix("203.0.113.1")));
        assert!(shield.touches(&prefix("203.0.113.0/24")), "a range that holds an exempt host");
        assert!(!shield.touches(&prefix("203.0.113.2")));
        shield.derive(Life::Host, vec![]);
        assert!(!shield.touches(&prefix("203.0.113.1")));
        for fixed in ["192.0.2.77", "192.0.0.0/8", "127.0.0.1", "198.41.0.4"] {
            assert!(shield.touches(&prefix(fixed)), "{fixed}");
        }
    }

    #[test]
    fn another_configuration_keeps_what_children_have_derived() {
        let mut config = Settings::default();
        config.policy.exempt = vec![prefix("192.0.2.0/24")];
        let mut shield = Shield::new(&config);
        shield.derive(Life::Host, vec![Exemption { prefix: prefix("203.0.113.1"), reason: ExemptReason::Gateway }]);
        config.policy.exempt = vec![prefix("198.51.100.0/24")];
        shield.reconfigure(&config);
        assert!(shield.touches(&prefix("203.0.113.1")) && shield.touches(&prefix("198.51.100.7")) && shield.touches(&prefix("127.0.0.1")));
        assert!(!shield.touches(&prefix("192.0.2.77")));
    }

    #[test]
    fn a_child_cannot_exempt_the_internet() {
        let mut shield = Shield::new(&Settings::default());
        let all = Exemption { prefix: prefix("0.0.0.0/0"), reason: ExemptReason::Own };
        shield.derive(Life::Host, vec![all]);
        assert_eq!(shield.refused, 1);
        assert!(!shield.touches(&prefix("203.0.113.2")));
        assert!(shield.derived().is_empty());
    }
}
