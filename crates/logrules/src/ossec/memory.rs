//! What composites remember: events of the rules that they watch, the newest so many, found by what must be the same.

use super::event::Event;
use super::rule::{Composite, Same};
use super::state::short;
use super::tree::{Tree, word_match};
use model::time::Time;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Events that are remembered (OSSEC's `memory_size`).
pub(crate) const EVENTS_MAX: usize = 8192;

type Values = Box<[Option<Box<[u8]>>]>;

#[derive(Debug, Clone)]
struct Stored {
    rule: u32,
    at: Time,
    /// Wazuh: the level of the composite that has used it.
    used: u8,
    /// Of each of the memory's `columns` that some watcher of the rule needs.
    values: Values,
}

/// One composite's view.
#[derive(Debug, Clone, Default)]
struct Watcher {
    level: u8,
    /// The newest event at all.
    newest: u64,
    /// The newest event that a composite of this level or above has used: it and what was before it count no more.
    used: u64,
    /// Events by what must be the same, oldest first.
    by_key: BTreeMap<Vec<u8>, VecDeque<u64>>,
}

/// The memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    /// Wazuh marks single events as used, and what is absent differs from everything.
    wazuh: bool,
    events: VecDeque<Stored>,
    /// The first event's number.
    first: u64,
    columns: Vec<Same>,
    /// By the rule's place.
    watchers: BTreeMap<u32, Watcher>,
    /// Which composites watch a rule.
    watched_by: Vec<Vec<u32>>,
    /// Events that gave way.
    pub evicted: u64,
}

impl Memory {
    /// For these rules; to be called when all are there. A group is watched as it was when its composite came: rules behind it don't count.
    /// To the letter: a rule that some composite watches by its number is not counted for its groups.
    pub fn new(tree: &Tree, wazuh: bool) -> Memory {
        let mut memory = Memory { wazuh, first: 1, watched_by: vec![Vec::new(); tree.rules.len()], ..Memory::default() };
        let by_number: BTreeSet<u32> =
            tree.rules.iter().filter_map(|rule| rule.composite.as_ref().and_then(|composite| composite.sid)).collect();
        for (place, rule) in (0_u32..).zip(&tree.rules) {
            let Some(composite) = &rule.composite else { continue };
            memory.watchers.insert(place, Watcher { level: rule.level, ..Watcher::default() });
            for same in composite.same.iter().chain(&composite.different) {
                if !memory.columns.contains(same) {
                    memory.columns.push(same.clone());
                }
            }
            for (watched, by) in (0_u32..).zip(&mut memory.watched_by) {
                let Some(other) = tree.rules.get(watched as usize) else { continue };
                let watches = match (composite.sid, &composite.group) {
                    (Some(sid), _) => other.id == sid,
                    (None, Some(group)) => watched <= place && !by_number.contains(&other.id) && word_match(group, &other.groups),
                    (None, None) => false,
                };
                if watches {
                    by.push(place);
                }
            }
        }
        memory
    }

    /// Forgets all events.
    pub fn clear(&mut self) {
        self.events.clear();
        for watcher in self.watchers.values_mut() {
            *watcher = Watcher { level: watcher.level, ..Watcher::default() };
        }
    }

    /// Whether enough happened before. Those events count no more then. Gives the level that the event itself has been used with.
    pub fn happened(&mut self, place: u32, composite: &Composite, event: &Event) -> bool {
        let Some(watcher) = self.watchers.get(&place) else { return false };
        let mut key = Vec::new();
        if !composite.same.iter().all(|same| write(value(event, same).map(short).as_deref(), &mut key)) {
            return false;
        }
        let Some(numbers) = watcher.by_key.get(&key) else { return false };
        let (mut count, mut latest) = (0, 0);
        let mut oldest = None;
        for &number in numbers.iter().rev() {
            let Some(stored) = number.checked_sub(self.first).and_then(|place| self.events.get(place as usize)) else { break };
            if event.at.since(stored.at) > composite.timeframe || !self.wazuh && number <= watcher.used {
                return false;
            }
            let column = |same: &Same| self.columns.iter().position(|column| column == same);
            let stored_value = |same: &Same| column(same).and_then(|column| stored.values.get(column)).and_then(Option::as_deref);
            let differs = |same: &Same| match (value(event, same), stored_value(same)) {
                (Some(one), Some(other)) => *short(one) != *other,
                _ => self.wazuh,
            };
            if !composite.different.iter().all(differs) {
                continue;
            }
            if self.wazuh && stored.used >= watcher.level {
                return false;
            }
            latest = latest.max(number);
            count += 1;
            if count > composite.frequency {
                oldest = Some(number);
                break;
            }
        }
        let Some(oldest) = oldest else { return false };
        let (level, newest) = (watcher.level, watcher.newest);
        if !self.wazuh {
            self.used(oldest, level);
            self.used(newest, level);
        } else if composite.frequency > 0
            && let Some(stored) = latest.checked_sub(self.first).and_then(|place| self.events.get_mut(place as usize))
        {
            stored.used = level;
        }
        true
    }

    /// An event counts no more for composites of this level or below.
    fn used(&mut self, number: u64, level: u8) {
        let stored = number.checked_sub(self.first).and_then(|place| self.events.get(place as usize));
        let by = stored.and_then(|stored| self.watched_by.get(stored.rule as usize)).cloned().unwrap_or_default();
        self.mark(&by, number, level);
    }

    fn mark(&mut self, by: &[u32], number: u64, level: u8) {
        for place in by {
            if let Some(watcher) = self.watchers.get_mut(place)
                && watcher.level <= level
            {
                watcher.used = watcher.used.max(number);
            }
        }
    }

    /// Remembers an event that met a rule; `used` is the level of the composites that it made fire.
    pub fn store(&mut self, rule: u32, used: u8, event: &Event, tree: &Tree) {
        let Some(by) = self.watched_by.get(rule as usize).filter(|by| !by.is_empty()).cloned() else { return };
        if self.events.len() >= EVENTS_MAX {
            self.evict(tree);
        }
        let number = self.first + self.events.len() as u64;
        let values: Values = self.columns.iter().map(|same| value(event, same).map(|value| Box::from(&*short(value)))).collect();
        for place in &by {
            let key = key(tree, *place, &values, &self.columns);
            if let Some(watcher) = self.watchers.get_mut(place) {
                watcher.newest = number;
                if let Some(key) = key {
                    watcher.by_key.entry(key).or_default().push_back(number);
                }
            }
        }
        self.events.push_back(Stored { rule, at: event.at, used, values });
        if used > 0 && !self.wazuh {
            self.mark(&by, number, used);
        }
    }

    fn evict(&mut self, tree: &Tree) {
        let Some(stored) = self.events.pop_front() else { return };
        self.evicted += 1;
        let by = self.watched_by.get(stored.rule as usize).cloned().unwrap_or_default();
        for place in by {
            let Some(key) = key(tree, place, &stored.values, &self.columns) else { continue };
            if let Some(watcher) = self.watchers.get_mut(&place)
                && let Some(numbers) = watcher.by_key.get_mut(&key)
            {
                numbers.pop_front();
                if numbers.is_empty() {
                    watcher.by_key.remove(&key);
                }
            }
        }
        self.first += 1;
    }
}

fn value<'e>(event: &'e Event, same: &Same) -> Option<&'e [u8]> {
    match same {
        Same::Field(field) => event.get(*field),
        // A line without a host is this host's.
        Same::Host => Some(event.host.map_or(&b""[..], |host| event.at(host))),
        Same::Named(name) => event.value(name),
    }
}

fn write(value: Option<&[u8]>, key: &mut Vec<u8>) -> bool {
    let Some(value) = value else { return false };
    key.extend((value.len() as u32).to_le_bytes());
    key.extend_from_slice(value);
    true
}

fn key(tree: &Tree, place: u32, values: &Values, columns: &[Same]) -> Option<Vec<u8>> {
    let composite = tree.rules.get(place as usize)?.composite.as_ref()?;
    let mut key = Vec::new();
    for same in &composite.same {
        let column = columns.iter().position(|column| column == same)?;
        write(values.get(column)?.as_deref(), &mut key).then_some(())?;
    }
    Some(key)
}
