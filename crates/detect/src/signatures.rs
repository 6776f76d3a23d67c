//! Packets that fit signatures: whoever sends one has that signature's danger level, as in psad. A header is easily forged: on its own a match
//! never convicts anybody. It makes graver what its source is charged with on evidence that is no better, and tells what that was.

use crate::config::ScanConfig;
use crate::hash::{Key, Seed, short};
use crate::{Detector, Kind, WARM};
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

/// Places of a group. A source has a place in one of two groups, so that these fill evenly; in full ones the one quiet for longest gives way.
const GROUP: usize = 16;
const GROUPS: usize = limits::MATCHERS / GROUP;
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
    /// Of each place that is taken, where its source is.
    slots: Vec<u16>,
    sources: Vec<Source>,
    /// By the signatures' numbers.
    tops: Vec<Top>,
    /// When the minute began, and what has been charged in it on forgeable matches alone.
    minute: (Time, u32),
    crowded_out: u64,
    unheard: u64,
}

/// Two cache lines, nearly always: with ten thousand sources, fetching them is most of the work.
#[derive(Debug)]
#[repr(align(64))]
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
            slots: Vec::new(),
            sources: Vec::new(),
            tops: Vec::new(),
            minute: (Time::EPOCH, 0),
            crowded_out: 0,
            unheard: 0,
        }
    }

    /// Looks at what these events will need. Changes nothing. First where, then all at once: so that the loads overlap.
    pub(crate) fn warm(&self, events: &[Event]) {
        let matched = events.iter().filter(|event| matches!(event.act, Act::Matched(_)));
        let places = matched.filter_map(|event| self.candidates(&self.whereabouts(event.actor)).next());
        let slots: SmallVec<[u16; WARM]> = places.filter_map(|place| self.slots.get(place).copied()).collect();
        let sources = slots.iter().filter_map(|slot| self.sources.get(usize::from(*slot)));
        black_box(sources.fold(0, |touched, source| touched ^ source.touch()));
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
        self.find(&self.whereabouts(addr)).and_then(|slot| self.sources.get(slot)).map(|source| &source.matches)
    }

    /// A signature's own number, by its place in the dictionary; 0 if nothing has fitted it.
    pub fn sid(&self, rule: RuleId) -> u32 {
        self.tops.get(usize::from(rule.0)).map_or(0, |top| top.sid)
    }

    /// The places that may be a source's: nearly always the one that is, or none.
    #[inline]
    fn candidates(&self, at: &Whereabouts) -> impl Iterator<Item = usize> {
        // One bit a place, without a branch: where a source stands can't be foretold.
        let marks = |first: usize| {
            let tags = self.tags.get(first..first + GROUP).unwrap_or_default();
            tags.iter().enumerate().fold(0_u32, |marks, (n, tag)| marks | u32::from(*tag == at.tag) << n)
        };
        let [one, two] = at.groups;
        let mut marks = marks(one) | marks(two) << GROUP;
        std::iter::from_fn(move || {
            let n = marks.trailing_zeros() as usize;
            marks &= marks.wrapping_sub(1);
            let place = if n < GROUP { one + n } else { two + n - GROUP };
            (n < 2 * GROUP).then_some(place)
        })
    }

    /// Where a source is kept, if it is.
    #[inline]
    fn find(&self, at: &Whereabouts) -> Option<usize> {
        let mut slots = self.candidates(at).filter_map(|place| self.slots.get(place).map(|slot| usize::from(*slot)));
        slots.find(|slot| self.sources.get(*slot).is_some_and(|source| source.whom == at.whom))
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

    /// Who an address is counted as, and where to look for that.
    #[inline]
    fn whereabouts(&self, actor: IpAddr) -> Whereabouts {
        let whom = if self.count_by == (32, 128) { Key::from(actor) } else { Key::from(counted(actor, self.count_by).addr()) };
        let hash = self.seed.address(whom);
        let group = |bits: u64| bits as usize % GROUPS * GROUP;
        Whereabouts { whom, tag: short(hash), groups: [group(hash), group(hash >> 16)] }
    }

    /// A source. If its groups are full, the one of them that was quiet for longest gives way, those whose addresses are proven last.
    fn source(&mut self, actor: IpAddr, now: Time) -> Option<&mut Source> {
        let at = self.whereabouts(actor);
        if let Some(known) = self.find(&at) {
            return self.sources.get_mut(known);
        }
        if self.tags.is_empty() {
            self.tags.resize(limits::MATCHERS, 0);
            self.slots.resize(limits::MATCHERS, 0);
        }
        let matches = Matches { level: None, first: now, last: now, trust: Trust::Spoofable, count: 0, signatures: SmallVec::new() };
        let source = Source { whom: at.whom, matches, charged: None };
        let place = self.place(&at)?;
        let (tag, slot) = (self.tags.get_mut(place)?, self.slots.get_mut(place)?);
        if std::mem::replace(tag, at.tag) != 0 {
            self.crowded_out += 1;
            let weakest = self.sources.get_mut(usize::from(*slot))?;
            *weakest = source;
            return Some(weakest);
        }
        *slot = self.sources.len() as u16;
        if self.sources.len() == self.sources.capacity() {
            // Doubling, but never past the bound.
            self.sources.reserve_exact(self.sources.len().max(64).min(limits::MATCHERS - self.sources.len()));
        }
        self.sources.push(source);
        self.sources.last_mut()
    }

    /// Where a newcomer goes: to a free place of the emptier group, or else to that of the weakest.
    fn place(&self, at: &Whereabouts) -> Option<usize> {
        let free = |first: usize| self.tags.get(first..first + GROUP).unwrap_or_default().iter().filter(|tag| **tag == 0).count();
        let [one, two] = at.groups.map(|first| (free(first), first));
        let (free, roomier) = one.max(two);
        if free > 0 {
            return (roomier..roomier + GROUP).find(|place| self.tags.get(*place) == Some(&0));
        }
        let rank = |place: &usize| {
            let source = self.slots.get(*place).and_then(|slot| self.sources.get(usize::from(*slot)));
            source.map(|source| (source.matches.trust, source.matches.last))
        };
        at.groups.into_iter().flat_map(|first| first..first + GROUP).min_by_key(rank)
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
        limits::MATCHERS * (size_of::<u32>() + size_of::<u16>() + source) + limits::RULES * 2 * size_of::<Top>()
    }

    /// Bytes that it takes now.
    pub fn memory_used(&self) -> usize {
        let heap = |source: &Source| if source.matches.signatures.spilled() { source.matches.signatures.capacity() } else { 0 };
        let spilled: usize = self.sources.iter().map(heap).sum();
        let places = self.slots.capacity() * size_of::<u16>() + self.tags.capacity() * size_of::<u32>();
        let sources = self.sources.capacity() * size_of::<Source>() + spilled * size_of::<Matched>();
        places + sources + self.tops.capacity() * size_of::<Top>()
    }
}

const _: () = assert!(size_of::<Source>() == 128);

/// Who somebody is counted as, and where to look for him.
#[derive(Debug)]
struct Whereabouts {
    whom: Key,
    tag: u32,
    /// The first places of his two groups.
    groups: [usize; 2],
}

/// The prefix that an address is counted as.
fn counted(actor: IpAddr, (v4, v6): (u8, u8)) -> Prefix {
    Prefix::new(actor, if actor.is_ipv4() { v4 } else { v6 })
}

impl Source {
    /// Looks at both of its cache lines.
    #[inline]
    fn touch(&self) -> u64 {
        self.matches.count ^ self.matches.signatures.len() as u64 ^ u64::from(self.whom == Key::default())
    }

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
