//! The scan detector: one bounded table of sources. Never takes more memory than `memory_bound` says, and never lets addresses that
//! were seen once push out one with evidence against it.
//!
//! A newcomer to a full table must have been seen (by the sketch) more often than the weakest of a few places ranks. So a flood of
//! forged addresses changes next to nothing in the table, while a real scanner among them enters with its second or third probe.

use crate::config::ScanConfig;
use crate::detail::Detail;
use crate::distributed::Share;
use crate::hash::{Key, Seed, short};
use crate::known::Known;
use crate::rules::Rules;
use crate::sketch::Sketch;
use crate::source::{Seen, Source};
use crate::suspect::{Counters, Suspect};
use crate::walk::Walk;
use crate::{Detector, Kind, WARM};
use hashbrown::HashTable;
use model::event::{Act, Event, Probe, Trust};
use model::net::Protocol;
use model::offence::Offence;
use model::time::Time;
use smallvec::SmallVec;
use std::hint::black_box;
use std::net::IpAddr;

/// The scan detector's kind.
pub const KIND: Kind = Kind {
    name: "scans",
    summary: "Port scans, sweeps, protocol scans and slow scans of one source; danger levels and a sequential hypothesis test.",
    example: "[scan]\npackets = [5, 15, 150, 1500, 10000]\nhosts = [10, 20, 50, 100, 500]\n",
    build: |config, seed| Box::new(Scans::new(config, seed)),
};

/// Places looked at to find the weakest; their ranks lie in one cache line.
const SAMPLE: usize = 16;
/// Bytes of detail for each place of the table, on average. The sum is what counts: when it is used up, the weakest lose their place.
const DETAIL_BYTES: usize = 384;
/// Bytes by which the detail of one source may pass the sum until others have given way: more than one source can ever take.
const DETAIL_SLACK: usize = 1 << 16;
/// How much more a probe counts for admission if its address cannot be forged.
const UNFORGEABLE: u8 = 3;
/// The highest rank that sightings alone can earn a newcomer. It keeps that rank until its evidence has outgrown it.
const STANDING_MAX: u8 = 12;

/// What is needed of a place first: whose it is, and where its detail is. Apart and small, so that it is at hand.
#[derive(Debug)]
struct Head {
    key: Key,
    detail: Option<Box<Detail>>,
}

/// The scan detector.
#[derive(Debug)]
pub struct Scans {
    rules: Rules,
    seed: Seed,
    capacity: usize,
    /// Positions in `places` by the hash of the address.
    index: HashTable<u32>,
    places: Vec<Source>,
    heads: Vec<Head>,
    /// The rank of each place, the higher of evidence and sightings, less with age. Apart, so that looking for the weakest is cheap.
    ranks: Vec<u8>,
    sketch: Sketch,
    /// Where the next search for the weakest begins.
    hand: usize,
    detail_bytes: usize,
    latest: Time,
    next_sweep: Option<Time>,
    counters: Counters,
}

impl Scans {
    /// An empty table. `seed` keys its hash functions and is to be kept secret.
    pub fn new(config: &ScanConfig, seed: u64) -> Scans {
        let capacity = config.tracked_sources.clamp(1, u32::MAX as usize / 2);
        Scans {
            rules: Rules::new(config),
            seed: Seed::new(seed),
            capacity,
            index: HashTable::new(),
            places: Vec::new(),
            heads: Vec::new(),
            ranks: Vec::new(),
            sketch: Sketch::new(capacity),
            hand: 0,
            detail_bytes: 0,
            latest: Time::EPOCH,
            next_sweep: None,
            counters: Counters::default(),
        }
    }

    /// Goes by other thresholds and times from now on; the table keeps its shape.
    pub(crate) fn reconfigure(&mut self, config: &ScanConfig) {
        debug_assert_eq!(self.capacity, config.tracked_sources.clamp(1, u32::MAX as usize / 2));
        self.rules = Rules::new(config);
        // Who is to be forgotten sooner than was planned.
        self.next_sweep = self.next_sweep.map(|at| at.min(self.latest.after(config.forget)));
    }

    /// Bytes that it may take, from the configuration alone.
    pub fn memory_bound(&self) -> usize {
        let buckets = (self.capacity * 8 / 7 + 8).next_power_of_two();
        let index = buckets * (size_of::<u32>() + 1) + 64;
        let places = self.capacity * (size_of::<Source>() + size_of::<Head>() + 1);
        places + index + self.sketch.bound() + self.detail_budget() + DETAIL_SLACK
    }

    /// Bytes that it takes now: the sum of what its tables have reserved.
    pub fn memory_used(&self) -> usize {
        self.places.capacity() * size_of::<Source>()
            + self.heads.capacity() * size_of::<Head>()
            + self.ranks.capacity()
            + self.index.allocation_size()
            + self.sketch.bytes()
            + self.detail_bytes
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        Counters { tracked: self.places.len() as u64, ..self.counters }
    }

    /// The sequential test's bounds.
    pub fn walk(&self) -> Walk {
        self.rules.walk
    }

    /// Everybody who was ever charged and is still followed, sorted by address.
    pub fn suspects(&self) -> Vec<Suspect> {
        let mut suspects: Vec<Suspect> =
            self.known().filter(|known| known.flat.was_charged()).map(|known| known.suspect(self.latest, &self.rules)).collect();
        suspects.sort_unstable_by_key(|suspect| suspect.offender);
        suspects
    }

    /// What is known of one address, charged or not.
    pub fn suspect(&self, addr: IpAddr) -> Option<Suspect> {
        let key = self.key(addr);
        let at = self.find(self.seed.address(key), key)?;
        let (flat, head) = (self.places.get(at)?, self.heads.get(at)?);
        Some(Known { key, flat, detail: head.detail.as_deref() }.suspect(self.latest, &self.rules))
    }

    /// Takes one event in. True if the source is charged now, so that nobody needs to look for its share in something larger.
    pub(crate) fn take(&mut self, event: &Event, out: &mut Vec<Offence>) -> bool {
        self.latest = self.latest.max(event.at);
        let key = self.key(event.actor);
        let hash = self.seed.address(key);
        match &event.act {
            Act::Probe(probe) => self.probe(event, probe, key, hash, out),
            Act::Reached { protocol, port } => {
                self.reach(event, *protocol, *port, key, hash);
                true
            }
            // Somebody else's: see `reports`, `touches`, `signatures` and `systems`.
            Act::Reported(_) | Act::Touched(_) | Act::Matched(_) | Act::Guessed(_) => true,
        }
    }

    /// Looks at what these events will need. Changes nothing. First where, then all at once: so that the loads overlap, where one event
    /// after the other waits for each.
    pub(crate) fn warm(&self, events: &[Event]) {
        let probes = events.iter().filter(|event| !matches!(event.act, Act::Matched(_) | Act::Guessed(_)));
        let keys = probes.map(|event| self.key(event.actor));
        let places: SmallVec<[usize; WARM]> = keys.filter_map(|key| self.find(self.seed.address(key), key)).collect();
        let touch = |place: &usize| {
            let detail = self.heads.get(*place).and_then(|head| head.detail.as_deref()).map_or(0, Detail::touch);
            detail ^ self.places.get(*place).map_or(0, Source::touch)
        };
        black_box(places.iter().fold(0, |touched, place| touched ^ touch(place)));
    }

    /// Whether a source is charged as of its last probe.
    pub(crate) fn is_charged(&self, key: Key) -> bool {
        self.find(self.seed.address(key), key).and_then(|at| self.places.get(at)).is_some_and(Source::is_charged)
    }

    /// Whether the sequential test has convicted a source.
    pub(crate) fn is_convicted(&self, key: Key) -> bool {
        self.find(self.seed.address(key), key).and_then(|at| self.places.get(at)).is_some_and(Source::is_convicted)
    }

    /// Charges a source with a share in a scan that many made together. One that found no place here is charged all the same.
    pub(crate) fn share(&mut self, share: &Share, at: Time) -> Offence {
        self.counters.offences += 1;
        let place = self.find(self.seed.address(share.key), share.key);
        let Some((place, head)) = place.and_then(|place| Some((place, self.heads.get(place)?))) else {
            return share.offence(at, &self.rules);
        };
        let (source, detail) = (&mut self.places[place], head.detail.as_deref());
        self.counters.charged += u64::from(!source.was_charged());
        source.share(detail, at);
        self.ranks[place] = self.ranks[place].max(source.rank());
        let known = Known { key: share.key, flat: source, detail };
        known.offence(at, &self.rules).unwrap_or_else(|| share.offence(at, &self.rules))
    }

    /// The address that a source is counted by.
    pub(crate) fn key(&self, addr: IpAddr) -> Key {
        let key = Key::from(addr);
        if self.rules.by_address { key } else { Key::from(self.rules.counted(key.addr()).addr()) }
    }

    fn probe(&mut self, event: &Event, probe: &Probe, key: Key, hash: u64, out: &mut Vec<Offence>) -> bool {
        let place = match self.find(hash, key) {
            Some(place) => place,
            None => match self.admit(event, key, hash) {
                Some(place) => place,
                None => return false,
            },
        };
        // Looked at right away, the detail arrives from memory together with the source instead of after it.
        black_box(self.heads[place].detail.as_deref().map_or(0, Detail::hosts));
        let kind = probe.icmp.map(|(kind, _)| u16::from(kind));
        let (target, endpoint) = self.contact(event.target, probe.protocol, probe.port.or(kind));
        let seen = Seen { at: event.at, target, endpoint, probe, trust: event.trust, times: event.times.max(1) };
        let roomy = self.detail_bytes < self.detail_budget() / 2;
        let (source, head) = (&mut self.places[place], &mut self.heads[place]);
        let (was_charged, was_convicted) = (source.was_charged(), source.is_convicted());
        let outcome = source.probe(&mut head.detail, &seen, &self.rules, roomy);
        if outcome.charged {
            let known = Known { key, flat: source, detail: head.detail.as_deref() };
            out.extend(known.offence(event.at, &self.rules));
            self.counters.offences += 1;
            self.counters.charged += u64::from(!was_charged);
            self.counters.convicted += u64::from(!was_convicted && source.is_convicted());
        }
        let is_charged = source.is_charged();
        if outcome.changed || self.ranks[place] < source.rank() {
            self.settle(place, key);
        }
        is_charged
    }

    /// Brings rank and account of a source up to date, and makes others give way if the account is overdrawn.
    fn settle(&mut self, place: usize, key: Key) {
        let (source, head) = (&mut self.places[place], &self.heads[place]);
        self.ranks[place] = self.ranks[place].max(source.rank());
        let (before, after) = source.account(head.detail.as_deref());
        if before != after {
            self.detail_bytes = self.detail_bytes + after - before;
            if self.detail_bytes > self.detail_budget() {
                self.shed(key);
            }
        }
    }

    /// A success speaks for its source. For sources that never failed it is kept only while there is room.
    fn reach(&mut self, event: &Event, protocol: Protocol, port: Option<u16>, key: Key, hash: u64) {
        let place = match self.find(hash, key) {
            Some(place) => place,
            None if self.places.len() < self.capacity => self.push(event.at, key, hash, 0),
            None => return,
        };
        let (_, endpoint) = self.contact(event.target, protocol, port);
        self.places[place].reach(&mut self.heads[place].detail, event.at, endpoint, &self.rules);
        self.settle(place, key);
    }

    /// Short hashes of a target, and of target, protocol and port.
    fn contact(&self, target: Option<IpAddr>, protocol: Protocol, port: Option<u16>) -> (u32, u32) {
        let target = target.map_or(0, |target| self.seed.address(Key::from(target)));
        let what = u64::from(protocol.0) << 17 | port.map_or(1 << 16, u64::from);
        (short(target), short(self.seed.join(target, what)))
    }

    fn find(&self, hash: u64, key: Key) -> Option<usize> {
        self.index.find(hash, |&at| self.heads.get(at as usize).is_some_and(|head| head.key == key)).map(|&at| at as usize)
    }

    /// A place for a newcomer, if there is a free one or somebody in the table has less standing.
    fn admit(&mut self, event: &Event, key: Key, hash: u64) -> Option<usize> {
        // Memory that is nearly used up is a full table too, or those with details would push each newcomer out again.
        let has_memory = self.detail_bytes <= self.detail_budget() / 16 * 15;
        if self.places.is_empty() || (has_memory && self.places.len() < self.capacity) {
            return Some(self.push(event.at, key, hash, 1));
        }
        let unforgeable = if event.trust > Trust::Spoofable { UNFORGEABLE } else { 0 };
        let standing = self.sketch.add(self.seed, hash).saturating_add(unforgeable);
        if self.sketch.is_full() {
            self.sketch.age();
            // Who has not been heard of since loses rank too, or a flood of forged scans could hold the table for ever. Down to 3:
            // addresses seen once or twice never push out one with evidence.
            self.ranks.iter_mut().for_each(|rank| *rank -= *rank / 4);
        }
        let (weakest, is_forgotten) = self.weakest(event.at);
        let is_weaker = self.ranks.get(weakest).is_some_and(|&rank| rank < standing);
        if !is_weaker && !is_forgotten {
            self.counters.refused_admission += 1;
            return None;
        }
        self.evict(weakest);
        Some(self.push(event.at, key, hash, standing.min(STANDING_MAX)))
    }

    /// The place of lowest rank among the next few, and whether it was quiet for so long that it gives way to anybody.
    fn weakest(&mut self, now: Time) -> (usize, bool) {
        let begin = if self.hand < self.places.len() { self.hand } else { 0 };
        let end = (begin + SAMPLE).min(self.places.len());
        self.hand = end;
        if self.places.get(begin).is_some_and(|source| source.is_forgotten(now, &self.rules)) {
            return (begin, true);
        }
        ((begin..end).min_by_key(|&at| self.ranks[at]).unwrap_or(0), false)
    }

    fn push(&mut self, at: Time, key: Key, hash: u64, rank: u8) -> usize {
        if self.places.len() == self.places.capacity() {
            // Doubling, but never past the bound.
            let more = self.places.len().max(64).min(self.capacity - self.places.len());
            self.places.reserve_exact(more);
            self.heads.reserve_exact(more);
            self.ranks.reserve_exact(more);
        }
        let place = self.places.len();
        self.places.push(Source::new(at));
        self.heads.push(Head { key, detail: None });
        self.ranks.push(rank);
        let (heads, seed) = (&self.heads, self.seed);
        self.index.insert_unique(hash, place as u32, |&at| heads.get(at as usize).map_or(0, |head| seed.address(head.key)));
        self.next_sweep = self.next_sweep.or(Some(at.after(self.rules.config.forget)));
        debug_assert!(self.check_sizes());
        place
    }

    /// Takes a source out for others.
    fn evict(&mut self, place: usize) {
        self.counters.evicted += 1;
        self.counters.evicted_charged += u64::from(self.places.get(place).is_some_and(Source::was_charged));
        self.remove(place);
    }

    /// Takes a source out; the last one moves to its place.
    fn remove(&mut self, place: usize) {
        let (Some(source), Some(head)) = (self.places.get(place), self.heads.get(place)) else { return };
        self.detail_bytes -= source.accounted();
        if let Ok(entry) = self.index.find_entry(self.seed.address(head.key), |&at| at as usize == place) {
            entry.remove();
        }
        let last = self.places.len() - 1;
        if place != last
            && let Some(moved) = self.heads.get(last)
            && let Some(at) = self.index.find_mut(self.seed.address(moved.key), |&at| at as usize == last)
        {
            *at = place as u32;
        }
        self.places.swap_remove(place);
        self.heads.swap_remove(place);
        self.ranks.swap_remove(place);
    }

    /// Makes the weakest give way until the details fit again; never the source that is just being looked at.
    fn shed(&mut self, spare: Key) {
        let mut looks = 2 * (self.places.len() / SAMPLE + 2);
        while self.detail_bytes > self.detail_budget() && looks > 0 {
            looks -= 1;
            let begin = if self.hand < self.places.len() { self.hand } else { 0 };
            let end = (begin + SAMPLE).min(self.places.len());
            self.hand = end;
            let holds = |at: &usize| self.places[*at].accounted() > 0 && self.heads[*at].key != spare;
            if let Some(weakest) = (begin..end).filter(holds).min_by_key(|&at| self.ranks[at]) {
                self.evict(weakest);
                looks += 1;
            }
        }
    }

    fn known(&self) -> impl Iterator<Item = Known<'_>> {
        self.places.iter().zip(&self.heads).map(|(flat, head)| Known { key: head.key, flat, detail: head.detail.as_deref() })
    }

    fn detail_budget(&self) -> usize {
        self.capacity.saturating_mul(DETAIL_BYTES)
    }

    fn check_sizes(&self) -> bool {
        self.places.len() <= self.capacity
            && self.ranks.len() == self.places.len()
            && self.heads.len() == self.places.len()
            && self.index.len() == self.places.len()
            && self.memory_used() <= self.memory_bound()
    }

    /// Panics if the tables contradict each other or their bounds. For tests and debug builds: it looks at everything.
    pub fn check_invariants(&self) {
        assert!(self.check_sizes(), "{} of {} bytes", self.memory_used(), self.memory_bound());
        let mut bytes = 0;
        for (place, known) in self.known().enumerate() {
            assert_eq!(self.find(self.seed.address(known.key), known.key), Some(place));
            assert!(self.ranks[place] <= 15 && (self.ranks[place] > 0 || known.flat.rank() == 0));
            bytes += known.flat.accounted();
        }
        assert_eq!(bytes, self.detail_bytes);
    }
}

impl Detector for Scans {
    fn observe(&mut self, event: &Event, out: &mut Vec<Offence>) {
        self.take(event, out);
    }

    /// Frees sources that were quiet for the whole `forget`. Charges nobody.
    fn tick(&mut self, now: Time, _out: &mut Vec<Offence>) {
        if self.next_sweep.is_none_or(|at| now < at) {
            return;
        }
        let mut place = self.places.len();
        while place > 0 {
            place -= 1;
            if self.places.get(place).is_some_and(|source| source.is_forgotten(now, &self.rules)) {
                self.counters.forgotten += 1;
                self.remove(place);
            }
        }
        // Not each source at its own time: one wake-up frees all that became due in a sixteenth of the span.
        let forget = self.rules.config.forget;
        self.next_sweep = self
            .places
            .iter()
            .map(|source| source.last)
            .min()
            .map(|oldest| oldest.after(forget).max(now.after((forget / 16).max(MIN_SWEEP))));
    }

    fn next_tick(&self) -> Option<Time> {
        self.next_sweep
    }
}

/// Sweeps are at least this far apart.
const MIN_SWEEP: std::time::Duration = std::time::Duration::from_secs(1);
