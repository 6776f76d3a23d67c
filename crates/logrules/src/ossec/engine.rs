//! Which rule a decoded line meets: down the tree, siblings in their order, the deepest that holds.

use super::decoder::{Decoders, Kind};
use super::event::{Event, Field};
use super::lists::{self, List, Lookup};
use super::memory::Memory;
use super::patterns::{Patterns, Programs, Scratch};
use super::rule::{Compiled, ListField, ListTest, Rule, Test, What};
use super::state::State;
use super::tree::{Gate, Tree};
use super::when::clock;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Rules are nested so deep at most; what is below is not looked at.
const DEPTH_MAX: usize = 64;

/// What does not change between lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Knowledge {
    /// The files are Wazuh's.
    pub wazuh: bool,
    pub decoders: Decoders,
    pub patterns: Patterns,
    pub tree: Tree,
    pub lists: BTreeMap<String, List>,
}

/// One line's way through the rules.
pub(crate) struct Engine<'a> {
    pub knowledge: &'a Knowledge,
    pub state: &'a mut State,
    pub memory: &'a mut Memory,
    pub scratch: &'a mut Scratch,
    pub event: &'a Event,
    pub programs: Option<&'a Programs>,
    pub place: &'a str,
    /// The host, for lines that don't say.
    pub host: &'a str,
    pub zone: &'a TimeZone,
    /// The level of the last composite that this line made fire.
    pub used: u8,
}

impl Engine<'_> {
    /// The rule's place.
    pub fn run(&mut self) -> Option<u32> {
        if self.event.kind == Kind::Alert {
            return self.event.forwarded.and_then(|id| self.knowledge.tree.find(id));
        }
        let tree = &self.knowledge.tree;
        let mut roots = tree.roots.iter().filter(|gate| {
            let rule = tree.nodes.get(gate.node as usize).and_then(|node| tree.rules.get(node.rule as usize));
            rule.is_some_and(|rule| rule.category == self.event.kind)
        });
        let roots: [Option<&Gate>; 4] = [roots.next(), roots.next(), roots.next(), roots.next()];
        roots.into_iter().flatten().find_map(|gate| self.check(gate.node, 0))
    }

    fn check(&mut self, node: u32, depth: usize) -> Option<u32> {
        let node = self.knowledge.tree.nodes.get(node as usize)?;
        let rule = self.knowledge.tree.rules.get(node.rule as usize)?;
        if !self.holds(node.rule, rule) {
            return None;
        }
        let decoder = self.event.decoder.and_then(|decoder| self.knowledge.decoders.all.get(decoder as usize)).map(|decoder| decoder.id);
        if depth < DEPTH_MAX {
            for gate in &node.children {
                let passes = gate.decoded_as.is_none_or(|wanted| Some(wanted) == decoder)
                    && gate.pattern.is_none_or(|pattern| self.event.foreign || self.scratch.candidates.has(pattern));
                if passes && let Some(met) = self.check(gate.node, depth + 1) {
                    return Some(met);
                }
            }
        }
        (!rule.silent).then_some(node.rule)
    }

    /// Whether a rule's own conditions hold. What changes something comes last.
    fn holds(&mut self, place: u32, rule: &Rule) -> bool {
        let decoder = self.event.decoder.and_then(|decoder| self.knowledge.decoders.all.get(decoder as usize));
        if rule.dead || rule.decoded_as.is_some_and(|wanted| decoder.is_none_or(|decoder| decoder.id != wanted)) {
            return false;
        }
        if !rule.tests.iter().all(|test| self.test(test)) {
            return false;
        }
        if rule.diff && !self.state.differs(rule, self.event) {
            return false;
        }
        if rule.first_time
            && !decoder.is_some_and(|decoder| !decoder.fts.is_empty() && self.state.first_time(decoder, self.event, self.place))
        {
            return false;
        }
        if !rule.lists.iter().all(|list| self.asks(list)) {
            return false;
        }
        match &rule.composite {
            Some(composite) if !rule.diff => {
                let happened = self.memory.happened(place, composite, self.event);
                if happened {
                    self.used = rule.level;
                }
                happened
            }
            _ => true,
        }
    }

    fn test(&mut self, test: &Test) -> bool {
        let event = self.event;
        let holds = match &test.what {
            What::Program(pattern) => match (event.program, self.programs) {
                (Some(_), Some(programs)) => programs.matches(*pattern),
                _ => return false,
            },
            What::Log(pattern) => self.matches(*pattern, event.log()),
            What::Field(field, pattern) => match event.get(*field) {
                Some(value) => self.matches(*pattern, value),
                None => return false,
            },
            What::Named(name, pattern) => match event.value(name) {
                Some(value) => self.matches(*pattern, value),
                None => return false,
            },
            What::User(pattern) => match event.get(Field::DstUser).or_else(|| event.get(Field::SrcUser)) {
                Some(value) => self.matches(*pattern, value),
                None => return false,
            },
            What::Host(pattern) => {
                self.knowledge.patterns.outside(*pattern, event.host.map_or(self.host.as_bytes(), |host| event.at(host)))
            }
            What::Place(pattern) => self.knowledge.patterns.outside(*pattern, self.place.as_bytes()),
            What::Action(action) => match event.get(Field::Action) {
                Some(value) => value == action.as_bytes(),
                None => return false,
            },
            What::Address(field, nets) => match event.get(*field).and_then(address) {
                Some(address) => lists::any(nets, address),
                None => return false,
            },
            What::Size(size) => (event.log.1 - event.log.0) as usize >= *size,
            What::Time(time) => time.holds(self.clock().0),
            What::Days(days) => days.holds(self.clock().1),
            What::Compiled(compiled) => compiled_rule(*compiled, event),
        };
        holds != test.negated
    }

    /// Minutes since midnight and the day of the week, where we are.
    fn clock(&self) -> (u16, u8) {
        let at = self.event.at.as_secs().min(i64::MAX as u64) as i64;
        let ahead = jiff::Timestamp::from_second(at).map_or(0, |stamp| self.zone.to_offset(stamp).seconds());
        clock(at.saturating_add(i64::from(ahead)))
    }

    fn matches(&mut self, pattern: u32, text: &[u8]) -> bool {
        self.knowledge.patterns.matches(pattern, text, self.event, self.scratch)
    }

    fn asks(&self, test: &ListTest) -> bool {
        let event = self.event;
        let key = match &test.field {
            ListField::Field(field) => event.get(*field),
            ListField::User => event.get(Field::SrcUser).or_else(|| event.get(Field::DstUser)),
            ListField::Host => Some(event.host.map_or(self.host.as_bytes(), |host| event.at(host))),
            ListField::Program => event.program.map(|program| event.at(program)),
            ListField::Named(name) => event.value(name),
        };
        let Some(key) = key else { return false };
        let list = self.knowledge.lists.get(&test.list);
        let value = |value: &[u8]| test.value.is_none_or(|pattern| self.knowledge.patterns.outside(pattern, value));
        match test.lookup {
            Lookup::Key => list.is_some_and(|list| list.exactly(key).is_some()),
            Lookup::NotKey => list.is_none_or(|list| list.exactly(key).is_none()),
            Lookup::KeyValue => list.and_then(|list| list.exactly(key)).is_some_and(value),
            Lookup::Address => list.is_some_and(|list| list.address(key).is_some()),
            Lookup::NotAddress => list.is_none_or(|list| list.address(key).is_none()),
            Lookup::AddressValue => list.and_then(|list| list.address(key)).is_some_and(value),
        }
    }
}

/// An address as a log has it.
pub(crate) fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

fn compiled_rule(compiled: Compiled, event: &Event) -> bool {
    match compiled {
        Compiled::SameUser => match (event.get(Field::SrcUser), event.get(Field::DstUser)) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        },
        Compiled::LongId => event.get(Field::Id).is_some_and(|id| id.len() >= 10),
        Compiled::OtherWindowsUser => {
            let log = event.log();
            let behind = |label: &[u8]| {
                let start = log.windows(label.len()).position(|part| part == label)?;
                let rest = log.get(start..)?;
                rest.get(rest.iter().position(|&byte| byte == b':')? + 1..)
            };
            let (Some(target), Some(caller)) = (behind(b"Target Account Name"), behind(b"Caller User Name")) else { return false };
            // To the letter: both must also end alike, with a tab or two blanks.
            let end = target.iter().position(|&byte| byte == b'\t').into_iter().chain(target.windows(2).position(|two| two == b"  ")).min();
            let name = target.get(..end.map_or(target.len(), |end| end + 1)).unwrap_or_default();
            caller.get(..name.len()) != Some(name)
        }
        Compiled::SimpleRequest => {
            let get = event.get(Field::Action).is_none_or(|action| action.eq_ignore_ascii_case(b"GET"));
            get && event.get(Field::Url).is_some_and(|url| !url.contains(&b'?'))
        }
        Compiled::Crawler => {
            let crawlers: [&[u8]; 7] = [b"72.14.", b"209.85.", b"65.55.", b"207.46.", b"74.6.", b"72.30.", b"67.195."];
            crawlers.iter().any(|start| event.log().starts_with(start))
        }
    }
}
