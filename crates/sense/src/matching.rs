//! Packets, the signatures that they fit, and whose they look like, as Events. Never charges anybody with an answer, and never hides a packet but where an
//! administrator has said that it is nothing to look at (level 0).

use crate::facts::{Facts, Reading, Weight};
use crate::guessing::{Details, Guesser};
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
    /// What a guess at its sender's system needs besides.
    pub details: Details<'p>,
}

impl Seen<'_> {
    fn event(&self, act: Act) -> Event {
        let Seen { facts, at, origin, times, .. } = *self;
        Event { at, origin, actor: facts.source, target: Some(facts.target), act, trust: facts.trust(), times }
    }
}

/// A signature's or a system's number in a sensor's dictionary, and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The number.
    pub rule: RuleId,
    /// The signature's own number; a system has none.
    pub sid: Option<u32>,
    /// What it is called.
    pub message: String,
}

impl Named {
    /// As it is shown: `sid 621: SCAN FIN`, `Windows 10 or newer`.
    pub fn text(&self) -> String {
        match self.sid {
            Some(sid) => format!("sid {sid}: {}", self.message),
            None => self.message.clone(),
        }
    }
}

/// The signatures at work.
#[derive(Debug, Default)]
pub struct Matcher {
    set: Set,
    is_idle: bool,
    guesser: Option<Guesser>,
    numbers: Numbers,
    matches: u64,
    ignored: u64,
}

impl Matcher {
    /// With these signatures.
    pub fn new(set: Set) -> Matcher {
        Matcher { is_idle: set.is_empty(), set, ..Matcher::default() }
    }

    /// With these fingerprints.
    pub fn with_guesser(self, guesser: Option<Guesser>) -> Matcher {
        Matcher { guesser, ..self }
    }

    /// The signatures.
    pub fn set(&self) -> &Set {
        &self.set
    }

    /// Matches so far, and packets that an administrator has said to be nothing to look at.
    pub fn counts(&self) -> (u64, u64) {
        (self.matches, self.ignored)
    }

    /// How often fingerprints were asked.
    pub fn guesses(&self) -> u64 {
        self.guesser.as_ref().map_or(0, Guesser::guesses)
    }

    /// Appends what the packet itself is evidence of (`own`), and behind it what it fits and whose it looks like. False if it is nothing to look at, and so nothing was appended.
    #[inline]
    pub fn events(&mut self, seen: &Seen<'_>, own: Option<Event>, out: &mut Vec<Event>) -> bool {
        let before = out.len();
        out.extend(own);
        let weight = if self.is_idle && self.guesser.is_none() { Weight::Nothing } else { seen.reading.weight() };
        let charges = match weight {
            Weight::Nothing => return true,
            Weight::Counts => false,
            Weight::Charges => true,
        };
        if !self.is_idle && !self.fits(seen, charges, out) {
            out.truncate(before);
            self.ignored += u64::from(seen.times);
            return false;
        }
        self.matches += (out.len() - before) as u64 - u64::from(own.is_some());
        if let Some(guesser) = self.guesser.as_mut().filter(|_| charges) {
            let style = if let Reading::Evidence(Act::Probe(probe), _) = seen.reading { probe.style } else { None };
            let numbers = &mut self.numbers;
            let guessed = guesser.look(seen.facts, style, &seen.details, |name| numbers.of_system(name));
            out.extend(guessed.map(|guessed| seen.event(Act::Guessed(guessed))));
        }
        true
    }

    /// Appends the signatures that a packet fits. False if it is nothing to look at.
    #[inline]
    fn fits(&mut self, seen: &Seen<'_>, charges: bool, out: &mut Vec<Event>) -> bool {
        let Matcher { set, numbers, .. } = self;
        set.look(&seen.facts.header(), fwsnort(seen.prefix), |hit| {
            let rule = numbers.of_signature(&hit);
            let level = hit.level.danger().filter(|_| charges);
            let matched = Match { rule, sid: hit.sid, level, protocol: seen.facts.protocol, port: seen.facts.port };
            out.push(seen.event(Act::Matched(matched)));
        })
    }

    /// The signatures and systems that nobody has been told the names of: they come before what needs them.
    pub fn take_unnamed(&mut self) -> Vec<Named> {
        std::mem::take(&mut self.numbers.unnamed)
    }
}

/// A sensor's own numbers of signatures and systems.
#[derive(Debug, Default)]
struct Numbers {
    /// By place in the set, so that most need no search.
    by_place: Vec<Option<RuleId>>,
    by_sid: BTreeMap<u32, RuleId>,
    by_system: BTreeMap<String, RuleId>,
    unnamed: Vec<Named>,
}

impl Numbers {
    /// The next number, while there is one.
    fn next(&self) -> Option<RuleId> {
        let next = self.by_sid.len() + self.by_system.len();
        (next < limits::RULES - 1).then_some(RuleId(next as u16))
    }

    fn of_signature(&mut self, hit: &Hit<'_>) -> RuleId {
        /// Stands for all that come when the dictionary is full.
        const FURTHER: RuleId = RuleId((limits::RULES - 1) as u16);
        let place = hit.place.map(usize::from);
        if let Some(rule) = place.and_then(|place| *self.by_place.get(place)?) {
            return rule;
        }
        let rule = match (self.by_sid.get(&hit.sid), self.next()) {
            (Some(rule), _) => *rule,
            (None, None) => FURTHER,
            (None, Some(next)) => {
                self.by_sid.insert(hit.sid, next);
                self.unnamed.push(Named { rule: next, sid: Some(hit.sid), message: hit.message.to_owned() });
                next
            }
        };
        if let Some(place) = place {
            self.by_place.resize(self.by_place.len().max(place + 1), None);
            self.by_place[place] = Some(rule);
        }
        rule
    }

    /// A system's or scanner's number; `None` when the dictionary is full: it would be taken for another.
    fn of_system(&mut self, name: &str) -> Option<RuleId> {
        if let Some(rule) = self.by_system.get(name) {
            return Some(*rule);
        }
        let rule = self.next()?;
        self.by_system.insert(name.to_owned(), rule);
        self.unnamed.push(Named { rule, sid: None, message: name.to_owned() });
        Some(rule)
    }
}
