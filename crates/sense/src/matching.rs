//! Packets and the signatures that they fit, as Events. Never charges anybody with an answer, and never hides a packet but where an
//! administrator has said that it is nothing to look at (level 0).

use crate::facts::{Facts, Reading, Weight};
use model::event::{Act, Event, Match, Origin, RuleId};
use model::limits;
use model::time::Time;
use signatures::prefix::fwsnort;
use signatures::{Hit, Set};
use std::collections::BTreeMap;

/// One packet, as a sensor has it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'p> {
    /// The packet.
    pub facts: &'p Facts,
    /// What it comes to without signatures.
    pub reading: &'p Reading,
    /// When.
    pub at: Time,
    /// Where in which sensor.
    pub origin: Origin,
    /// How many times in a row.
    pub times: u32,
    /// The log prefix; empty if there is none.
    pub prefix: &'p [u8],
}

impl Seen<'_> {
    fn event(&self, act: Act) -> Event {
        let Seen { facts, at, origin, times, .. } = *self;
        Event { at, origin, actor: facts.source, target: Some(facts.target), act, trust: facts.trust(), times }
    }
}

/// A signature's number in a sensor's dictionary, and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The number.
    pub rule: RuleId,
    /// The signature's own number.
    pub sid: u32,
    /// What it is called.
    pub message: String,
}

impl Named {
    /// As it is shown: `sid 621: SCAN FIN`.
    pub fn text(&self) -> String {
        format!("sid {}: {}", self.sid, self.message)
    }
}

/// The signatures at work.
#[derive(Debug, Default)]
pub struct Matcher {
    set: Set,
    is_idle: bool,
    numbers: Numbers,
    unnamed: Vec<Named>,
    matches: u64,
    ignored: u64,
}

impl Matcher {
    /// With these signatures.
    pub fn new(set: Set) -> Matcher {
        Matcher { is_idle: set.is_empty(), set, ..Matcher::default() }
    }

    /// The signatures.
    pub fn set(&self) -> &Set {
        &self.set
    }

    /// Matches so far, and packets that an administrator has said to be nothing to look at.
    pub fn counts(&self) -> (u64, u64) {
        (self.matches, self.ignored)
    }

    /// Appends what the packet itself is evidence of (`own`), and behind it what it fits. False if it is nothing to look at, and so nothing was appended.
    #[inline]
    pub fn events(&mut self, seen: &Seen<'_>, own: Option<Event>, out: &mut Vec<Event>) -> bool {
        let before = out.len();
        out.extend(own);
        let weight = if self.is_idle { Weight::Nothing } else { seen.reading.weight() };
        let charges = match weight {
            Weight::Nothing => return true,
            Weight::Counts => false,
            Weight::Charges => true,
        };
        let Matcher { set, numbers, unnamed, .. } = self;
        let goes_on = set.look(&seen.facts.header(), fwsnort(seen.prefix), |hit| {
            let rule = numbers.of(&hit, unnamed);
            let level = hit.level.danger().filter(|_| charges);
            let matched = Match { rule, sid: hit.sid, level, protocol: seen.facts.protocol, port: seen.facts.port };
            out.push(seen.event(Act::Matched(matched)));
        });
        if !goes_on {
            out.truncate(before);
            self.ignored += u64::from(seen.times);
            return false;
        }
        self.matches += (out.len() - before) as u64 - u64::from(own.is_some());
        true
    }

    /// The signatures that nobody has been told the names of: they come before what needs them.
    pub fn take_unnamed(&mut self) -> Vec<Named> {
        std::mem::take(&mut self.unnamed)
    }
}

/// A sensor's own numbers of signatures.
#[derive(Debug, Default)]
struct Numbers {
    /// By place in the set, so that most need no search.
    by_place: Vec<Option<RuleId>>,
    by_sid: BTreeMap<u32, RuleId>,
}

impl Numbers {
    fn of(&mut self, hit: &Hit<'_>, unnamed: &mut Vec<Named>) -> RuleId {
        let place = hit.place.map(usize::from);
        if let Some(rule) = place.and_then(|place| *self.by_place.get(place)?) {
            return rule;
        }
        // The last number stands for all that come when the dictionary is full.
        let next = RuleId(self.by_sid.len().min(limits::RULES - 1) as u16);
        let is_room = self.by_sid.len() < limits::RULES;
        let rule = *self.by_sid.get(&hit.sid).unwrap_or(&next);
        if is_room && !self.by_sid.contains_key(&hit.sid) {
            self.by_sid.insert(hit.sid, rule);
            unnamed.push(Named { rule, sid: hit.sid, message: hit.message.to_owned() });
        }
        if let Some(place) = place {
            self.by_place.resize(self.by_place.len().max(place + 1), None);
            self.by_place[place] = Some(rule);
        }
        rule
    }
}
