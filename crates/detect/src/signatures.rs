//! Packets that fit signatures: whoever sends one has that signature's danger level, as in psad. A header is easily forged: on its own a match
//! never convicts anybody. It makes graver what its source is charged with on evidence that is no better, and tells what that was.

use crate::config::ScanConfig;
use crate::hash::{Key, Seed, short};
use crate::{Detector, Kind};
use model::event::{Act, Event, Match, RuleId, Trust};
use model::level::DangerLevel;
use model::limits;
use model::net::Prefix;
use model::offence::{Charge, Evidence, Offence};
use model::style::StyleSet;
use model::time::Time;
use smallvec::SmallVec;
use std::hint::black_box;
use std::net::IpAddr;
use std::time::Duration;

/// The detector's kind.
pub const KIND: Kind = Kind {
    name: "signatures",
    summary: "Packets that fit a signature: backdoors' ports, worms' and scanners' fingerprints, header fields that no honest system sends.",
    example: "[signatures]\nenabled = true\n",
    build: |config, seed| Box::new(Signatures::new(config, seed)),
};

/// Sources that share a group of places; among them the one quiet for longest gives way.
const GROUP: usize = 16;
/// Who goes on is charged again at most this often, if something can follow from it.
const AGAIN: Duration = Duration::from_secs(10);
/// The time in which so many charges may be made on nothing but forgeable matches.
const MINUTE: Duration = Duration::from_secs(60);

/// A signature that one source's packets have fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matched {
    /// Its place in the dictionary.
    pub rule: RuleId,
    /// How often; what is beyond a number's range is cut.
    pub count: u32,
}

/// What one source's packets have fitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matches {
    /// The highest level of them, since it was last quiet for [`ScanConfig::decay`]; `None` if none of them is a charge.
    pub level: Option<DangerLevel>,
    /// The first match.
    pub first: Time,
    /// The latest.
    pub last: Time,
    /// The best trust among those that have a level.
    pub trust: Trust,
    /// Matches in all.
    pub count: u64,
    /// By signature, as they came; further ones than [`limits::SIGNATURES_OF_SOURCE`] are counted in all only.
    pub signatures: SmallVec<[Matched; 4]>,
}

/// How often a signature was fitted, in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Top {
    /// Its place in the dictionary.
    pub rule: RuleId,
    /// Its number.
    pub sid: u32,
    /// How often.
    pub count: u64,
    /// By how many sources, as far as they were followed.
    pub sources: u64,
}

/// The detector.
#[derive(Debug)]
pub struct Signatures {
    seed: Seed,
    /// The prefixes by which IPv4 and IPv6 are counted, and so blocked.
    count_by: (u8, u8),
    decay: Duration,
    charges: u32,
    /// Of each place, 32 bits of its source's hash, or 0: apart and small, so that a group is searched at once.
    tags: Vec<u32>,
    places: Vec<Option<Box<Source>>>,
    /// By the signatures' numbers.
    tops: Vec<Top>,
    /// When the minute began, and what has been charged in it on forgeable matches alone.
    minute: (Time, u32),
    crowded_out: u64,
    unheard: u64,
}

#[derive(Debug)]
struct Source {
    whom: Key,
    matches: Matches,
    /// The last charge: when, how grave, on what trust, and whether it was convicted of scanning.
    charged: Option<(Time, DangerLevel, Trust, bool)>,
}

impl Signatures {
    /// Nobody is known. `seed` keys the hash function and is to be kept secret.
    pub fn new(config: &ScanConfig, seed: u64) -> Signatures {
        Signatures {
            seed: Seed::new(seed ^ 0x516a),
            count_by: (config.count_by_ipv4, config.count_by_ipv6),
            decay: config.decay,
            charges: config.match_charges,
            tags: Vec::new(),
            places: Vec::new(),
            tops: Vec::new(),
            minute: (Time::EPOCH, 0),
            crowded_out: 0,
            unheard: 0,
        }
    }

    /// Looks at what these events will need. Changes nothing: the loads of a batch overlap.
    pub(crate) fn warm(&self, events: &[Event]) {
        for event in events.iter().filter(|event| matches!(event.act, Act::Matched(_))) {
            black_box(
                self.of(event.actor).map(|matches| (matches.last, matches.count, matches.signatures.first().map(|matched| matched.count))),
            );
        }
    }

    /// Goes by another configuration from now on.
    pub fn reconfigure(&mut self, config: &ScanConfig) {
        (self.decay, self.charges) = (config.decay, config.match_charges);
    }

    /// Sources that had to give way to others.
    pub fn crowded_out(&self) -> u64 {
        self.crowded_out
    }

    /// Charges that were not made, because so many forgeable ones had been in that minute.
    pub fn unheard(&self) -> u64 {
        self.unheard
    }

    /// What an address' packets have fitted.
    pub fn of(&self, addr: IpAddr) -> Option<&Matches> {
        let (whom, tag, first) = self.group(addr);
        self.places.get(self.find(whom, tag, first)?)?.as_ref().map(|source| &source.matches)
    }

    /// A signature's own number, by its place in the dictionary; 0 if nothing has fitted it.
    pub fn sid(&self, rule: RuleId) -> u32 {
        self.tops.get(usize::from(rule.0)).map_or(0, |top| top.sid)
    }

    /// The place of a source, if it has one in its group.
    fn find(&self, whom: Key, tag: u32, first: usize) -> Option<usize> {
        let tags = self.tags.get(first..first + GROUP)?.iter().enumerate().filter(|(_, known)| **known == tag);
        let is_of = |place: &usize| self.places.get(*place).is_some_and(|source| source.as_ref().is_some_and(|s| s.whom == whom));
        tags.map(|(place, _)| first + place).find(is_of)
    }

    /// The signatures that were fitted, the most frequent first.
    pub fn tops(&self) -> Vec<Top> {
        let mut tops: Vec<Top> = self.tops.iter().filter(|top| top.count > 0).copied().collect();
        tops.sort_unstable_by_key(|top| (std::cmp::Reverse(top.count), top.sid));
        tops
    }

    /// The level that a source has by its matches, and on what trust.
    pub(crate) fn level(&self, whom: Prefix, now: Time) -> Option<(DangerLevel, Trust)> {
        let matches = self.of(whom.addr()).filter(|matches| !self.is_over(matches, now))?;
        Some((matches.level?, matches.trust))
    }

    fn is_over(&self, matches: &Matches, now: Time) -> bool {
        now.since(matches.last) > self.decay
    }

    /// Who an address is counted as, the tag of that, and its group's first place.
    #[inline]
    fn group(&self, actor: IpAddr) -> (Key, u32, usize) {
        let whom = if self.count_by == (32, 128) { Key::from(actor) } else { Key::from(counted(actor, self.count_by).addr()) };
        let hash = self.seed.address(whom);
        (whom, short(hash), hash as usize % (limits::MATCHERS / GROUP) * GROUP)
    }

    fn sources(&self) -> impl Iterator<Item = &Source> {
        self.places.iter().filter_map(Option::as_deref)
    }

    /// A source's place. If its group is full, the one that was quiet for longest gives way, those whose addresses are proven last.
    fn source(&mut self, actor: IpAddr, at: Time) -> Option<&mut Source> {
        if self.places.is_empty() {
            self.places.resize_with(limits::MATCHERS, || None);
            self.tags.resize(limits::MATCHERS, 0);
        }
        let (whom, tag, first) = self.group(actor);
        if let Some(known) = self.find(whom, tag, first) {
            return self.places.get_mut(known)?.as_deref_mut();
        }
        // Nobody ranks below everybody.
        let rank = |place: &usize| self.places.get(*place)?.as_ref().map(|source| (source.matches.trust, source.matches.last));
        let place = (first..first + GROUP).min_by_key(rank)?;
        *self.tags.get_mut(place)? = tag;
        let place = self.places.get_mut(place)?;
        self.crowded_out += u64::from(place.is_some());
        let trust = Trust::Spoofable;
        let matches = Matches { level: None, first: at, last: at, trust, count: 0, signatures: SmallVec::new() };
        Some(place.insert(Box::new(Source { whom, matches, charged: None })))
    }

    /// Takes a match in; `is_convicted` says whether the scan detector has convicted its source.
    pub(crate) fn take(&mut self, event: &Event, is_convicted: impl Fn() -> bool, out: &mut Vec<Offence>) {
        let Act::Matched(matched) = event.act else { return };
        let (at, times, decay) = (event.at, u64::from(event.times.max(1)), self.decay);
        let count_by = self.count_by;
        let Some(source) = self.source(event.actor, at) else { return };
        let is_new = source.count(&matched, at, times, decay);
        let charge = source.charge(&matched, event, count_by, is_convicted, decay);
        self.top(&matched, times, is_new);
        let Some(offence) = charge else { return };
        if offence.evidence.convicted || self.may_charge(at) {
            out.push(offence);
        }
    }

    /// Whether one more charge may be made on forgeable matches alone: a forger must not fill the history.
    fn may_charge(&mut self, at: Time) -> bool {
        let (began, made) = self.minute;
        if at.since(began).max(began.since(at)) >= MINUTE {
            self.minute = (at, 0);
        } else if made >= self.charges {
            self.unheard += 1;
            return false;
        }
        self.minute.1 += 1;
        true
    }

    fn top(&mut self, matched: &Match, times: u64, is_new: bool) {
        let place = usize::from(matched.rule.0);
        if place >= limits::RULES {
            return;
        }
        if self.tops.len() <= place {
            let none = |place| Top { rule: RuleId(place as u16), sid: 0, count: 0, sources: 0 };
            self.tops.extend((self.tops.len()..=place).map(none));
        }
        if let Some(top) = self.tops.get_mut(place) {
            top.sid = matched.sid;
            top.count += times;
            top.sources += u64::from(is_new);
        }
    }

    /// Bytes that it may take.
    pub fn memory_bound(&self) -> usize {
        let source = size_of::<Source>() + limits::SIGNATURES_OF_SOURCE * size_of::<Matched>();
        // Vectors double.
        limits::MATCHERS * (size_of::<(u32, Option<Box<Source>>)>() + source) + limits::RULES * 2 * size_of::<Top>()
    }

    /// Bytes that it takes now.
    pub fn memory_used(&self) -> usize {
        let heap = |source: &Source| if source.matches.signatures.spilled() { source.matches.signatures.capacity() } else { 0 };
        let sources: usize = self.sources().map(|source| size_of::<Source>() + heap(source) * size_of::<Matched>()).sum();
        let places = self.places.capacity() * size_of::<Option<Box<Source>>>() + self.tags.capacity() * size_of::<u32>();
        places + sources + self.tops.capacity() * size_of::<Top>()
    }
}

/// The prefix that an address is counted as.
fn counted(actor: IpAddr, (v4, v6): (u8, u8)) -> Prefix {
    Prefix::new(actor, if actor.is_ipv4() { v4 } else { v6 })
}

impl Source {
    /// Counts a match; whether it is the first of this signature.
    fn count(&mut self, matched: &Match, at: Time, times: u64, decay: Duration) -> bool {
        let matches = &mut self.matches;
        if at.since(matches.last) > decay {
            // What was long ago weighs nothing any more; what it was stays known.
            (matches.level, matches.trust, self.charged) = (None, Trust::Spoofable, None);
        }
        (matches.first, matches.last) = (matches.first.min(at), matches.last.max(at));
        matches.count = matches.count.saturating_add(times);
        let few = u32::try_from(times).unwrap_or(u32::MAX);
        if let Some(known) = matches.signatures.iter_mut().find(|known| known.rule == matched.rule) {
            known.count = known.count.saturating_add(few);
            return false;
        }
        if matches.signatures.len() < limits::SIGNATURES_OF_SOURCE {
            matches.signatures.push(Matched { rule: matched.rule, count: few });
        }
        true
    }
}

impl Source {
    /// What a match charges it with, if that is news.
    fn charge(
        &mut self,
        matched: &Match,
        event: &Event,
        count_by: (u8, u8),
        is_convicted: impl Fn() -> bool,
        decay: Duration,
    ) -> Option<Offence> {
        let (at, matches) = (event.at, &mut self.matches);
        let level = matches.level.max(matched.level)?;
        let trust = if matched.level.is_some() { matches.trust.max(event.trust) } else { matches.trust };
        (matches.level, matches.trust) = (Some(level), trust);
        // Level 1 says what somebody is known by. That is noted, and of a forgeable packet charged to nobody.
        if matched.level.is_none_or(|level| level == DangerLevel::MIN && event.trust == Trust::Spoofable) {
            return None;
        }
        let convicted = is_convicted();
        // Where nothing can follow, saying it once in a while is enough.
        let again = if convicted || trust > Trust::Spoofable { AGAIN } else { decay };
        let is_news = self.charged.is_none_or(|(told, before, on, knew)| {
            level > before || trust > on || convicted && !knew || at.since(told).max(told.since(at)) >= again
        });
        if !is_news {
            return None;
        }
        self.charged = Some((at, level, trust, convicted));
        let Matches { first, last, count: packets, .. } = self.matches;
        let convicted = convicted || trust > Trust::Spoofable;
        Some(Offence {
            at,
            offender: counted(event.actor, count_by),
            charge: Charge::Signature,
            touch: None,
            level,
            styles: StyleSet::EMPTY,
            trust,
            evidence: Evidence { first, last, packets, targets: 1, endpoints: 0, protocols: 1, convicted },
            rule: Some(matched.rule),
            wished: None,
            repeated: Default::default(),
        })
    }
}

impl Detector for Signatures {
    fn observe(&mut self, event: &Event, out: &mut Vec<Offence>) {
        self.take(event, || false, out);
    }

    fn tick(&mut self, _: Time, _: &mut Vec<Offence>) {}

    fn next_tick(&self) -> Option<Time> {
        None
    }
}
