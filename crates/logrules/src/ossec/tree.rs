//! The tree of rules: category roots, below them whatever hangs under rules, groups and levels. Built as OSSEC builds it, rule by rule in the
//! files' order, because what a rule hangs under depends on what was there before it.

use super::decoder::Kind;
use super::load::Loader;
use super::rule::{Parents, Rule, What};

/// Numbers below this are categories' roots.
const ROOTS_BELOW: u32 = 10;
/// Copies of rules in the tree.
const NODES_MAX: usize = 1 << 18;

/// One place of a rule in the tree; a rule may have several.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub rule: u32,
    pub children: Vec<Gate>,
}

/// A child, and what can be known of it without looking at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gate {
    pub node: u32,
    /// The decoder that it asks for.
    pub decoded_as: Option<u32>,
    /// A pattern on the log that it asks for.
    pub pattern: Option<u32>,
}

/// All rules in their tree.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    pub rules: Vec<Rule>,
    pub nodes: Vec<Node>,
    pub roots: Vec<Gate>,
}

/// Which nodes a new rule goes under.
enum Under<'a> {
    Rule(u32),
    Level(u16),
    Group(&'a str),
    Category(Kind),
}

impl Tree {
    /// The rule of this number; its place in `rules`.
    pub fn find(&self, id: u32) -> Option<u32> {
        self.rules.iter().position(|rule| rule.id == id).map(|place| place as u32)
    }

    fn rule(&self, node: u32) -> Option<&Rule> {
        self.rules.get(self.nodes.get(node as usize)?.rule as usize)
    }

    /// Takes the next rule in. To Wazuh a parent that isn't there or a number that is there twice is worth a notice, to OSSEC it is an error.
    pub fn add(&mut self, mut rule: Rule, wazuh: bool, loader: &mut Loader) {
        let (id, line) = (rule.id, rule.line);
        let known = self.find(id);
        let mut say = |message| if wazuh { loader.notice(line, message) } else { loader.problem(line, message) };
        if rule.overwrite {
            let Some(old) = known.and_then(|place| self.rules.get_mut(place as usize)) else {
                return say(format!("rule {id} can't be overwritten: there is none of this number yet"));
            };
            // It stays where it was, whatever its parents and level are now; those that come behind are put beside it by its new level.
            (rule.parents, rule.category) = (old.parents.clone(), old.category);
            *old = rule;
            return;
        }
        if known.is_some() {
            return say(format!("there is a rule {id} already; overwrite=\"yes\" replaces it"));
        }
        let parents = rule.parents.clone();
        let number = self.rules.len() as u32;
        let (category, order) = (rule.category, rule.order);
        self.rules.push(rule);
        if id < ROOTS_BELOW {
            let node = self.node(number);
            let place = self.place(&self.roots, order);
            self.roots.insert(place, Gate { node, decoded_as: None, pattern: None });
            return;
        }
        match parents {
            Parents::Rules(ids) => {
                for parent in ids {
                    if !self.hang(number, &Under::Rule(parent)) {
                        say(format!("rule {id}: no rule before it has the number {parent}"));
                    }
                }
            }
            Parents::Level(level) => {
                if !self.hang(number, &Under::Level(u16::from(level) * 100)) {
                    loader.problem(line, format!("rule {id}: no rule before it has level {level} or more"));
                }
            }
            Parents::Group(group) => {
                if !self.hang(number, &Under::Group(&group)) {
                    say(format!("rule {id}: no rule before it is of the group {group}"));
                }
            }
            Parents::Category => {
                if !self.hang(number, &Under::Category(category)) {
                    loader.problem(line, format!("rule {id}: its category has no rule (rules_config.xml comes first)"));
                }
            }
        }
    }

    fn node(&mut self, rule: u32) -> u32 {
        self.nodes.push(Node { rule, children: Vec::new() });
        self.nodes.len() as u32 - 1
    }

    /// Behind all siblings that are not less than it.
    fn place(&self, siblings: &[Gate], order: u16) -> usize {
        let less = |gate: &Gate| self.rule(gate.node).is_some_and(|rule| rule.order < order);
        siblings.iter().position(less).unwrap_or(siblings.len())
    }

    /// Hangs a rule under all nodes that it is to hang under. False if there is none.
    fn hang(&mut self, number: u32, under: &Under<'_>) -> bool {
        let mut found = Vec::new();
        let roots: Vec<u32> = self.roots.iter().map(|gate| gate.node).collect();
        self.look(&roots, number, under, &mut found);
        let Some((order, id)) = self.rules.get(number as usize).map(|rule| (rule.order, rule.id)) else { return false };
        for &parent in &found {
            // A rule that is its own parent would never end.
            if self.nodes.len() >= NODES_MAX || self.rule(parent).is_none_or(|rule| rule.id == id) {
                continue;
            }
            if let Under::Rule(_) = under
                && let Some(category) = self.rule(parent).map(|rule| rule.category)
                && let Some(rule) = self.rules.get_mut(number as usize)
            {
                rule.category = category;
            }
            let node = self.node(number);
            let siblings = self.nodes.get(parent as usize).map(|node| node.children.clone()).unwrap_or_default();
            let place = self.place(&siblings, order);
            if let Some(parent) = self.nodes.get_mut(parent as usize) {
                parent.children.insert(place, Gate { node, decoded_as: None, pattern: None });
            }
        }
        !found.is_empty()
    }

    fn look(&self, siblings: &[u32], number: u32, under: &Under<'_>, found: &mut Vec<u32>) {
        for &node in siblings {
            let Some(rule) = self.rule(node) else { continue };
            let other = self.rules.get(number as usize).is_some_and(|new| new.id != rule.id);
            match under {
                Under::Rule(id) if rule.id == *id => {
                    found.push(node);
                    // Numbers are there once among siblings, and OSSEC looks no further.
                    return;
                }
                Under::Level(order) if rule.order >= *order && other => found.push(node),
                Under::Group(group) if word_match(group, &rule.groups) && other => found.push(node),
                Under::Category(kind) => {
                    if rule.category == *kind {
                        found.push(node);
                        return;
                    }
                    continue;
                }
                Under::Rule(_) | Under::Level(_) | Under::Group(_) => {}
            }
            let children: Vec<u32> =
                self.nodes.get(node as usize).map(|node| node.children.iter().map(|gate| gate.node).collect()).unwrap_or_default();
            self.look(&children, number, under, found);
        }
    }

    /// To be called when all rules are there: writes beside each child what can be known of it.
    pub fn finish(&mut self) {
        let gates: Vec<(Option<u32>, Option<u32>)> = self
            .nodes
            .iter()
            .map(|node| {
                let rule = self.rules.get(node.rule as usize);
                let pattern = rule.into_iter().flat_map(|rule| &rule.tests).find_map(|test| match test.what {
                    What::Log(pattern) | What::Field(_, pattern) | What::User(pattern) if !test.negated => Some(pattern),
                    _ => None,
                });
                (rule.and_then(|rule| rule.decoded_as), pattern)
            })
            .collect();
        for gate in self.nodes.iter_mut().flat_map(|node| &mut node.children) {
            if let Some(&(decoded_as, pattern)) = gates.get(gate.node as usize) {
                (gate.decoded_as, gate.pattern) = (decoded_as, pattern);
            }
        }
    }
}

/// OSSEC's simplest match: any of the words between `|`, anywhere, `^` at the beginning.
pub(crate) fn word_match(pattern: &str, text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    pattern.to_ascii_lowercase().split('|').any(|word| match word.strip_prefix('^') {
        Some(start) => text.starts_with(start),
        None => text.contains(word),
    })
}
