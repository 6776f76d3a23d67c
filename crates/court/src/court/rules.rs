//! The dictionary of log rules: one number for each name, for good, so that the ledger can tell of a rule that no longer exists.
//! Never longer than its bound, and never gives a number twice.

use super::Court;
use model::event::RuleId;
use model::limits;
use std::collections::BTreeMap;

/// Where the numbers of a store in memory begin, so that they are not those of the file that it is written into later.
const IN_MEMORY: u16 = 1 << 15;
/// Stands for all rules that come when the dictionary is full.
pub(super) const FURTHER: RuleId = RuleId(0);

/// The dictionary.
#[derive(Debug, Default)]
pub(super) struct Rules {
    by_name: BTreeMap<String, RuleId>,
    by_number: BTreeMap<RuleId, String>,
    first: u16,
    /// What the store does not have yet.
    pub unsaved: Vec<(RuleId, String)>,
}

impl Rules {
    /// Takes in what the store has.
    pub(super) fn restore(&mut self, names: Vec<(RuleId, String)>, on_disk: bool) {
        self.first = if on_disk { 1 } else { IN_MEMORY };
        self.by_name = names.iter().map(|(rule, name)| (name.clone(), *rule)).collect();
        self.by_number = names.into_iter().collect();
    }

    /// The number of this name, a new one if need be.
    pub(super) fn number(&mut self, name: &str) -> RuleId {
        if let Some(rule) = self.by_name.get(name) {
            return *rule;
        }
        let next = self.by_number.last_key_value().map_or(self.first, |(last, _)| last.0.saturating_add(1).max(self.first));
        if self.by_number.len() >= limits::RULES || next == u16::MAX {
            return FURTHER;
        }
        let name: String = name.chars().take(limits::RULE_BYTES).collect();
        self.by_name.insert(name.clone(), RuleId(next));
        self.by_number.insert(RuleId(next), name.clone());
        self.unsaved.push((RuleId(next), name));
        RuleId(next)
    }

    /// The name of this number.
    pub(super) fn name(&self, rule: RuleId) -> Option<&str> {
        self.by_number.get(&rule).map(String::as_str)
    }
}

impl Court {
    /// Writes down what is new of rules and lines.
    pub(super) fn write_quotes(&mut self) {
        if let Err(error) = self.store.save_rules(&self.rules.unsaved) {
            return self.store_failed("rules' names are not in the ledger", &error);
        }
        self.rules.unsaved.clear();
        let quotes: Vec<_> = self.quotes.values().cloned().collect();
        match self.store.save_quotes(&quotes) {
            Ok(()) => self.quotes.clear(),
            Err(error) => self.store_failed("the lines that decided are not in the ledger", &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number_and_the_dictionary_its_bound() {
        let mut rules = Rules::default();
        rules.restore(vec![(RuleId(3), "sshd".into())], true);
        assert_eq!([rules.number("sshd"), rules.number("nginx"), rules.number("nginx")], [RuleId(3), RuleId(4), RuleId(4)]);
        assert_eq!(rules.unsaved, [(RuleId(4), "nginx".into())]);
        assert_eq!((rules.name(RuleId(4)), rules.name(RuleId(5))), (Some("nginx"), None));
        let last = (0..2 * limits::RULES).map(|n| rules.number(&format!("rule {n}"))).last();
        assert_eq!(last, Some(FURTHER));
        assert_eq!((rules.by_number.len(), rules.number("one more")), (limits::RULES, FURTHER));
        let mut in_memory = Rules::default();
        in_memory.restore(Vec::new(), false);
        assert_eq!(in_memory.number("sshd"), RuleId(IN_MEMORY));
    }
}
