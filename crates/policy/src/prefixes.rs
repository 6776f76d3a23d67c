//! A sorted map from prefixes to values that finds what covers a prefix and what lies inside it. Never takes two spellings of one
//! prefix for two keys.

use model::net::Prefix;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Which lengths there are in each family and how many keys have them, sorted, so that a look-up only tries lengths that exist.
#[derive(Debug, Clone, PartialEq, Default)]
struct Lengths {
    v4: Vec<(u8, usize)>,
    v6: Vec<(u8, usize)>,
}

impl Lengths {
    fn family(&self, prefix: &Prefix) -> &[(u8, usize)] {
        if prefix.addr().is_ipv4() { &self.v4 } else { &self.v6 }
    }

    fn family_mut(&mut self, prefix: &Prefix) -> &mut Vec<(u8, usize)> {
        if prefix.addr().is_ipv4() { &mut self.v4 } else { &mut self.v6 }
    }

    fn add(&mut self, prefix: &Prefix) {
        let family = self.family_mut(prefix);
        match family.binary_search_by_key(&prefix.bits(), |(bits, _)| *bits) {
            Ok(at) => family[at].1 += 1,
            Err(at) => family.insert(at, (prefix.bits(), 1)),
        }
    }

    fn take(&mut self, prefix: &Prefix) {
        let family = self.family_mut(prefix);
        if let Ok(at) = family.binary_search_by_key(&prefix.bits(), |(bits, _)| *bits) {
            family[at].1 -= 1;
            if family[at].1 == 0 {
                family.remove(at);
            }
        }
    }
}

/// The map.
#[derive(Debug, Clone)]
pub(crate) struct PrefixMap<V> {
    entries: BTreeMap<Prefix, V>,
    lengths: Lengths,
}

impl<V> Default for PrefixMap<V> {
    fn default() -> Self {
        PrefixMap { entries: BTreeMap::new(), lengths: Lengths::default() }
    }
}

impl<V> PrefixMap<V> {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, prefix: &Prefix) -> Option<&V> {
        self.entries.get(prefix)
    }

    pub(crate) fn get_mut(&mut self, prefix: &Prefix) -> Option<&mut V> {
        self.entries.get_mut(prefix)
    }

    /// Sets a value; returns the one that it replaces.
    pub(crate) fn insert(&mut self, prefix: Prefix, value: V) -> Option<V> {
        let old = self.entries.insert(prefix, value);
        if old.is_none() {
            self.lengths.add(&prefix);
        }
        old
    }

    pub(crate) fn remove(&mut self, prefix: &Prefix) -> Option<V> {
        let old = self.entries.remove(prefix)?;
        self.lengths.take(prefix);
        Some(old)
    }

    /// Takes in many entries at once, none of which may be here already; far faster than one by one.
    pub(crate) fn append(&mut self, sorted: Vec<(Prefix, V)>) {
        for (prefix, _) in &sorted {
            debug_assert!(!self.entries.contains_key(prefix));
            self.lengths.add(prefix);
        }
        let mut more: BTreeMap<Prefix, V> = sorted.into_iter().collect();
        self.entries.append(&mut more);
    }

    /// The entries that hold all of `prefix`, itself included, the narrowest first.
    pub(crate) fn covering(&self, prefix: &Prefix) -> impl Iterator<Item = (Prefix, &V)> {
        let prefix = *prefix;
        let lengths = self.lengths.family(&prefix).iter().rev().map(|(bits, _)| *bits);
        lengths.skip_while(move |bits| *bits > prefix.bits()).filter_map(move |bits| {
            let key = Prefix::new(prefix.addr(), bits);
            self.entries.get(&key).map(|value| (key, value))
        })
    }

    /// The entries that lie inside `prefix`, itself included, sorted.
    pub(crate) fn inside(&self, prefix: &Prefix) -> impl Iterator<Item = (Prefix, &V)> {
        let prefix = *prefix;
        // Everything inside stands together, from the prefix itself on. The end is tested and not computed: the last address of
        // ::/80 is an IPv4-mapped one, which as a key would be IPv4.
        self.entries.range(prefix..).take_while(move |(key, _)| prefix.contains(key.addr())).map(|(key, value)| (*key, value))
    }

    /// The entries behind this one, sorted.
    pub(crate) fn behind(&self, after: Option<Prefix>) -> impl Iterator<Item = (&Prefix, &V)> {
        self.entries.range((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded))
    }

    /// All entries, sorted.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Prefix, &V)> {
        self.entries.iter()
    }

    /// Whether the counts by length are right.
    pub(crate) fn check_invariants(&self) {
        let mut counted = Lengths::default();
        self.entries.keys().for_each(|prefix| counted.add(prefix));
        assert_eq!(counted, self.lengths, "the counts by length have drifted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    fn words(found: impl Iterator<Item = (Prefix, impl Sized)>) -> Vec<String> {
        found.map(|(prefix, _)| prefix.to_string()).collect()
    }

    #[test]
    fn finds_what_covers_and_what_lies_inside() {
        let mut map = PrefixMap::default();
        for text in ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "10.1.2.0/24", "11.0.0.0/8", "::/0", "2001:db8::/64", "2001:db8::1"] {
            assert!(map.insert(text.parse().unwrap(), ()).is_none());
        }
        let covering = |text: &str| words(map.covering(&text.parse().unwrap()));
        let inside = |text: &str| words(map.inside(&text.parse().unwrap()));
        assert_eq!(covering("10.1.2.3"), ["10.1.2.3", "10.1.2.0/24", "10.1.0.0/16", "10.0.0.0/8"]);
        assert_eq!(covering("10.1.0.0/16"), ["10.1.0.0/16", "10.0.0.0/8"]);
        assert_eq!(covering("2001:db8::1"), ["2001:db8::1", "2001:db8::/64", "::/0"]);
        assert_eq!(covering("12.0.0.1"), [""; 0]);
        assert_eq!(inside("10.1.0.0/16"), ["10.1.0.0/16", "10.1.2.0/24", "10.1.2.3"]);
        assert_eq!(inside("0.0.0.0/0").len(), 5);
        assert_eq!(inside("::/0"), ["::/0", "2001:db8::/64", "2001:db8::1"]);
        // Its last address reads as an IPv4-mapped one.
        assert_eq!(inside("::/80"), [""; 0]);
        map.check_invariants();
    }

    fn any_prefix() -> impl Strategy<Value = Prefix> {
        // Few distinct bits, so that prefixes nest and meet.
        prop_oneof![
            (0u32..16, 0u8..=32).prop_map(|(bits, len)| Prefix::new(IpAddr::V4(Ipv4Addr::from(bits << 28 | bits)), len)),
            (0u128..16, 0u8..=128).prop_map(|(bits, len)| Prefix::new(IpAddr::V6(Ipv6Addr::from(bits << 124 | bits << 40 | bits)), len)),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_looking_at_every_entry(keys in prop::collection::vec(any_prefix(), 0..40), gone in prop::collection::vec(any_prefix(), 0..20), asked in any_prefix()) {
            let mut map = PrefixMap::default();
            let mut list: Vec<Prefix> = Vec::new();
            for key in keys {
                map.insert(key, ());
                list.push(key);
            }
            for key in gone {
                map.remove(&key);
                list.retain(|other| *other != key);
            }
            list.sort();
            list.dedup();
            map.check_invariants();
            let mut covering: Vec<Prefix> = map.covering(&asked).map(|(key, ())| key).collect();
            covering.reverse();
            let held = |outer: &Prefix, inner: &Prefix| outer.bits() <= inner.bits() && outer.contains(inner.addr());
            prop_assert_eq!(covering, list.iter().copied().filter(|key| held(key, &asked)).collect::<Vec<_>>());
            let inside: Vec<Prefix> = map.inside(&asked).map(|(key, ())| key).collect();
            prop_assert_eq!(inside, list.iter().copied().filter(|key| held(&asked, key)).collect::<Vec<_>>());
        }
    }
}
