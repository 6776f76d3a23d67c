//! A ruleset made ready for questions: base chains in the kernel's order, chains by name, long sets sorted. Decides nothing.

use crate::rules::{Among, Base, Chain, Hook, Key, Match, Rule, Ruleset, Set, Step, Table, Value, Version};
use std::collections::HashMap;

/// Sets longer than this are looked up by halves.
const LONG: usize = 64;

/// A ruleset made ready.
#[derive(Debug)]
pub struct Firewall<'r> {
    /// What it was made of.
    pub rules: &'r Ruleset,
    bases: Vec<Called<'r>>,
    chains: HashMap<(usize, &'r str), &'r Chain>,
    sorted: HashMap<(usize, &'r str), Vec<(u128, u128)>>,
    /// Addresses, and the interface that some rule names together with them.
    out: Vec<(Version, u128, u128, &'r str)>,
}

/// A base chain, and where it is called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Called<'r> {
    pub(crate) table: usize,
    pub(crate) chain: &'r Chain,
    pub(crate) base: &'r Base,
}

impl<'r> Firewall<'r> {
    /// Makes it ready. Tables that are switched off, and the table that `without` says yes to, are left out.
    pub fn new(rules: &'r Ruleset, without: impl Fn(&Table) -> bool) -> Self {
        let mut firewall = Firewall { rules, bases: Vec::new(), chains: HashMap::new(), sorted: HashMap::new(), out: Vec::new() };
        for (table, inside) in rules.tables.iter().enumerate().filter(|(_, table)| !table.dormant && !without(table)) {
            for chain in &inside.chains {
                firewall.chains.insert((table, chain.name.as_str()), chain);
                firewall.out.extend(chain.rules.iter().filter_map(way_out));
                firewall.bases.extend(chain.base.as_ref().map(|base| Called { table, chain, base }));
            }
            for (name, set) in &inside.sets {
                firewall.sorted.extend(sorted(set).map(|ranges| ((table, name.as_str()), ranges)));
            }
        }
        firewall.bases.sort_by_key(|called| (called.base.hook, called.base.priority));
        firewall
    }

    /// The base chains that a packet of this version comes by at one of these hooks, in order.
    pub(crate) fn called(&self, version: Version, hooks: &[Hook]) -> impl Iterator<Item = Called<'r>> {
        let seen = move |called: &&Called<'r>| self.rules.tables[called.table].family.sees(version) && hooks.contains(&called.base.hook);
        self.bases.iter().filter(seen).copied()
    }

    /// Whether there is any base chain for packets of this version at this hook.
    pub fn watches(&self, version: Version, hook: Hook) -> bool {
        self.called(version, &[hook]).any(|called| !called.base.nat)
    }

    pub(crate) fn chain(&self, table: usize, name: &str) -> Option<&'r Chain> {
        self.chains.get(&(table, name)).copied()
    }

    /// The interface that rules name together with this address: where packets to it go out.
    pub(crate) fn way_out(&self, version: Version, number: u128) -> Option<&'r str> {
        let inside = self.out.iter().filter(|(of, low, high, _)| *of == version && *low <= number && number <= *high);
        inside.min_by_key(|(_, low, high, _)| high - low).map(|(.., name)| *name)
    }

    pub(crate) fn set(&self, table: usize, name: &str) -> Option<&'r Set> {
        self.rules.tables.get(table)?.sets.get(name)
    }

    /// Whether this number is in a long set, if the set is one of those.
    pub(crate) fn in_long_set(&self, table: usize, name: &str, number: u128) -> Option<bool> {
        let ranges = self.sorted.get(&(table, name))?;
        let at = ranges.partition_point(|(low, _)| *low <= number);
        Some(at > 0 && ranges[at - 1].1 >= number)
    }
}

/// An address and an interface that one rule names together as where packets go.
fn way_out(rule: &Rule) -> Option<(Version, u128, u128, &str)> {
    let single = |step| match step {
        &Step::Match(Match { ref keys, among: Among::These(ref set), negated: false, .. }) => {
            match (keys.as_slice(), set.elements.as_slice()) {
                ([key], [element]) => element.first().map(|value| (key, value)),
                _ => None,
            }
        }
        _ => None,
    };
    let parts: Vec<(&Key, &Value)> = rule.steps.iter().filter_map(single).collect();
    let (version, low, high) = parts.iter().find_map(|part| match part {
        (Key::Destination(version), Value::Range(low, high)) => Some((*version, *low, *high)),
        _ => None,
    })?;
    parts.iter().find_map(|part| match part {
        (Key::InterfaceOut, Value::Name(name)) if !name.ends_with('*') => Some((version, low, high, name.as_str())),
        _ => None,
    })
}

/// The ranges of a long set of plain numbers, joined where they touch.
fn sorted(set: &Set) -> Option<Vec<(u128, u128)>> {
    if set.elements.len() <= LONG || !set.verdicts.is_empty() {
        return None;
    }
    let mut ranges: Vec<(u128, u128)> = set
        .elements
        .iter()
        .map(|element| match element.as_slice() {
            [Value::Range(low, high)] => Some((*low, *high)),
            _ => None,
        })
        .collect::<Option<_>>()?;
    ranges.sort_unstable();
    ranges.dedup_by(|next, kept| {
        let inside = next.0 <= kept.1;
        kept.1 = if inside { kept.1.max(next.1) } else { kept.1 };
        inside
    });
    Some(ranges)
}
