//! The distributed-scan detector: one target, many sources, each with ports of its own. Never charges a source whose probes mostly
//! go where others' go too: background noise overlaps, a shared scan doesn't.

use crate::config::{DistributedConfig, ScanConfig};
use crate::hash::{Key, Seed};
use crate::rules::{Rules, is_traceroute};
use crate::{Detector, Kind};
use hashbrown::HashTable;
use model::event::{Act, Event, Probe, Trust};
use model::level::DangerLevel;
use model::limits::TRACKED_TARGETS;
use model::offence::{Charge, Evidence, Offence};
use model::style::{Style, StyleSet};
use model::time::Time;
use std::time::Duration;

/// The distributed-scan detector's kind.
pub const KIND: Kind = Kind {
    name: "distributed",
    summary: "One scan of one target shared by many sources, none of which does enough to be charged alone.",
    example: "[scan.distributed]\nsources = 10\nports = 30\nwindow = \"5m\"\nfresh_share = 0.8\n",
    build: |config, seed| Box::new(Distributed::new(config, seed)),
};

/// Sources kept for one target. At the bound those that have left the window or were charged otherwise give way, then newcomers.
const PARTICIPANTS: usize = 256;
/// Ports of its own that a source must have probed to have a share. One alone is what anybody's typing error looks like, and what a
/// flood of forged addresses looks like.
const FRESH_MIN: u16 = 2;
/// Targets looked at to find the one that gives way.
const SAMPLE: usize = 8;
/// Bytes of participants and ports for each source of the scan detector's table.
const SHARE_BYTES: usize = 64;
/// Bytes by which one target may pass the sum until others have given way: more than one target can ever take.
const SHARE_SLACK: usize = 1 << 20;

/// Somebody who has a share in a scan, and what is known of it here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub key: Key,
    first: Time,
    last: Time,
    packets: u32,
    /// Probes to ports that no other has probed, and the rest.
    fresh: u16,
    other: u16,
    trust: Trust,
    named: bool,
}

impl Share {
    /// Whether enough of its probes go where nobody else's go.
    fn takes_part(&self, config: &DistributedConfig) -> bool {
        self.fresh >= FRESH_MIN && f64::from(self.fresh) >= config.fresh_share * (f64::from(self.fresh) + f64::from(self.other))
    }

    /// The charge, on what is known here alone.
    pub(crate) fn offence(&self, at: Time, rules: &Rules) -> Offence {
        Offence {
            at,
            offender: rules.counted(self.key.addr()),
            charge: Charge::DistributedScan,
            level: DangerLevel::MIN,
            styles: StyleSet::from_iter([Style::Distributed]),
            trust: self.trust,
            evidence: Evidence {
                first: self.first,
                last: self.last,
                packets: u64::from(self.packets),
                targets: 1,
                endpoints: u32::from(self.fresh) + u32::from(self.other),
                protocols: 1,
                convicted: false,
            },
            rule: None,
            touch: None,
            wished: None,
            repeated: Default::default(),
        }
    }
}

/// A port of the target (protocol and port as one number), and who probed it first.
#[derive(Debug, Clone, Copy)]
struct Mark {
    port: u32,
    owner: u16,
    shared: bool,
    at: Time,
}

#[derive(Debug)]
struct Target {
    key: Key,
    last: Time,
    pruned: Time,
    /// Participants and ports, and where each is in these lists.
    shares: Vec<Share>,
    marks: Vec<Mark>,
    by_key: HashTable<u16>,
    by_port: HashTable<u16>,
    /// Participants that take part, and their fresh ports together.
    taking_part: usize,
    fresh_ports: usize,
    accounted: usize,
}

/// The distributed-scan detector.
#[derive(Debug)]
pub struct Distributed {
    rules: Rules,
    seed: Seed,
    index: HashTable<u32>,
    targets: Vec<Target>,
    hand: usize,
    share_bytes: usize,
    marks_max: usize,
    next_sweep: Option<Time>,
    evicted: u64,
    refused: u64,
}

impl Distributed {
    /// An empty table. `seed` keys its hash functions and is to be kept secret.
    pub fn new(config: &ScanConfig, seed: u64) -> Distributed {
        Distributed {
            rules: Rules::new(config),
            seed: Seed::new(seed ^ 0xd157),
            index: HashTable::new(),
            targets: Vec::new(),
            hand: 0,
            share_bytes: 0,
            marks_max: config.distributed.ports.saturating_mul(4).clamp(512, 4_096),
            next_sweep: None,
            evicted: 0,
            refused: 0,
        }
    }

    /// Goes by other rules from now on, but for its own part of the configuration.
    pub(crate) fn reconfigure(&mut self, config: &ScanConfig) {
        debug_assert_eq!(self.rules.config.distributed, config.distributed);
        self.rules = Rules::new(config);
    }

    /// Bytes that it may take, from the configuration alone.
    pub fn memory_bound(&self) -> usize {
        let buckets = (TRACKED_TARGETS * 8 / 7 + 8).next_power_of_two();
        buckets * (size_of::<u32>() + 1) + 64 + TRACKED_TARGETS * size_of::<Target>() + self.share_budget() + SHARE_SLACK
    }

    /// Bytes that it takes now.
    pub fn memory_used(&self) -> usize {
        self.index.allocation_size() + self.targets.capacity() * size_of::<Target>() + self.share_bytes
    }

    /// Targets followed now, targets that gave way, probes that found no room.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        (self.targets.len() as u64, self.evicted, self.refused)
    }

    /// Takes in a probe of `key`, who is not charged itself. Everybody who turns out to have a share is appended to `named`, once.
    pub(crate) fn take(&mut self, event: &Event, key: Key, is_charged: &dyn Fn(Key) -> bool, named: &mut Vec<Share>) {
        let (Act::Probe(Probe { protocol, port, .. }), Some(target)) = (&event.act, event.target) else { return };
        let Some(number) = port.filter(|_| protocol.has_ports() && !is_traceroute(*protocol, *port)) else { return };
        let place = self.place(Key::from(target), event.at);
        let (config, seed) = (&self.rules.config.distributed, self.seed);
        let Some(target) = self.targets.get_mut(place) else { return };
        if event.at.since(target.pruned) >= config.window / 8 {
            target.prune(event.at, config, seed, is_charged);
        }
        target.last = target.last.max(event.at);
        match target.count(event, key, u32::from(protocol.0) << 16 | u32::from(number), self.marks_max, config, seed) {
            Some(who) if target.is_shared_scan(config) && target.is_news(who, config) => {
                // Only now look closely: what has left the window or was charged otherwise doesn't count.
                target.prune(event.at, config, seed, is_charged);
                if target.is_shared_scan(config) {
                    target.name(config, named);
                }
            }
            Some(_) => {}
            None => self.refused += 1,
        }
        self.settle(place);
    }

    /// The target's place; the weakest of a few gives way if the table is full.
    fn place(&mut self, key: Key, at: Time) -> usize {
        let hash = self.seed.address(key);
        let targets = &self.targets;
        if let Some(&place) = self.index.find(hash, |&place| targets.get(place as usize).is_some_and(|target| target.key == key)) {
            return place as usize;
        }
        if self.targets.len() >= TRACKED_TARGETS {
            let weakest = self.weakest(usize::MAX);
            self.evicted += 1;
            self.remove(weakest);
        }
        if self.targets.len() == self.targets.capacity() {
            self.targets.reserve_exact(self.targets.len().max(16).min(TRACKED_TARGETS - self.targets.len()));
        }
        let place = self.targets.len();
        self.targets.push(Target::new(key, at));
        let (targets, seed) = (&self.targets, self.seed);
        self.index.insert_unique(hash, place as u32, |&at| targets.get(at as usize).map_or(0, |target| seed.address(target.key)));
        self.next_sweep = self.next_sweep.or(Some(at.after(self.rules.config.distributed.window)));
        place
    }

    /// Of the next few, the one with the fewest participants; among equals the one quiet for longest. Never `spare`.
    fn weakest(&mut self, spare: usize) -> usize {
        let begin = if self.hand < self.targets.len() { self.hand } else { 0 };
        let end = (begin + SAMPLE).min(self.targets.len());
        self.hand = end;
        let standing = |&place: &usize| self.targets.get(place).map(|target| (target.taking_part, target.last));
        (begin..end).filter(|&place| place != spare).min_by_key(standing).unwrap_or(begin)
    }

    /// Puts a target's memory on the account, and makes others give way if it is overdrawn.
    fn settle(&mut self, mut place: usize) {
        let Some(target) = self.targets.get_mut(place) else { return };
        let bytes = target.bytes();
        self.share_bytes = self.share_bytes + bytes - target.accounted;
        target.accounted = bytes;
        while self.share_bytes > self.share_budget() && self.targets.len() > 1 {
            let weakest = self.weakest(place);
            if weakest != place {
                // The last one moves into the gap.
                place = if place + 1 == self.targets.len() { weakest } else { place };
                self.evicted += 1;
                self.remove(weakest);
            }
        }
        debug_assert!(self.memory_used() <= self.memory_bound());
    }

    fn remove(&mut self, place: usize) {
        let Some(target) = self.targets.get(place) else { return };
        self.share_bytes -= target.accounted;
        if let Ok(entry) = self.index.find_entry(self.seed.address(target.key), |&at| at as usize == place) {
            entry.remove();
        }
        let last = self.targets.len() - 1;
        if place != last
            && let Some(moved) = self.targets.get(last)
            && let Some(at) = self.index.find_mut(self.seed.address(moved.key), |&at| at as usize == last)
        {
            *at = place as u32;
        }
        self.targets.swap_remove(place);
    }

    fn share_budget(&self) -> usize {
        self.rules.config.tracked_sources.clamp(1, 1 << 24) * SHARE_BYTES
    }

    /// Panics if the tables contradict each other or their bounds. For tests: it looks at everything.
    pub fn check_invariants(&self) {
        assert!(self.targets.len() <= TRACKED_TARGETS && self.index.len() == self.targets.len());
        assert!(self.memory_used() <= self.memory_bound(), "{} of {} bytes", self.memory_used(), self.memory_bound());
        assert_eq!(self.share_bytes, self.targets.iter().map(|target| target.accounted).sum::<usize>());
        for target in &self.targets {
            target.check_invariants(&self.rules.config.distributed, self.marks_max);
        }
    }
}

impl Target {
    fn new(key: Key, at: Time) -> Target {
        Target {
            key,
            last: at,
            pruned: at,
            shares: Vec::new(),
            marks: Vec::new(),
            by_key: HashTable::new(),
            by_port: HashTable::new(),
            taking_part: 0,
            fresh_ports: 0,
            accounted: 0,
        }
    }

    /// Counts a probe; the participant, or `None` if there was no room for it.
    fn count(&mut self, event: &Event, key: Key, port: u32, marks_max: usize, config: &DistributedConfig, seed: Seed) -> Option<usize> {
        let who = self.participant(event, key, seed)?;
        let share = self.shares.get_mut(who)?;
        share.first = share.first.min(event.at);
        share.last = share.last.max(event.at);
        share.packets = share.packets.saturating_add(event.times.max(1));
        share.trust = share.trust.max(event.trust);
        let (marks, hash) = (&self.marks, seed.join(0, u64::from(port)));
        let Some(&at) = self.by_port.find(hash, |&at| marks.get(usize::from(at)).is_some_and(|mark| mark.port == port)) else {
            if self.marks.len() >= marks_max {
                return None;
            }
            self.by_port.insert_unique(hash, self.marks.len() as u16, |&at| port_hash(marks, at, seed));
            self.marks.push(Mark { port, owner: who as u16, shared: false, at: event.at });
            self.weigh(who, config, |share| share.fresh = share.fresh.saturating_add(1));
            return Some(who);
        };
        let mark = self.marks.get_mut(usize::from(at))?;
        mark.at = mark.at.max(event.at);
        let (owner, was_shared) = (usize::from(mark.owner), mark.shared);
        if owner != who {
            mark.shared = true;
            self.weigh(who, config, |share| share.other = share.other.saturating_add(1));
            if !was_shared {
                self.weigh(owner, config, |share| {
                    share.fresh = share.fresh.saturating_sub(1);
                    share.other = share.other.saturating_add(1);
                });
            }
        }
        Some(who)
    }

    /// The participant with this address, made if there is room.
    fn participant(&mut self, event: &Event, key: Key, seed: Seed) -> Option<usize> {
        let (shares, hash) = (&self.shares, seed.address(key));
        if let Some(&who) = self.by_key.find(hash, |&who| shares.get(usize::from(who)).is_some_and(|share| share.key == key)) {
            return Some(usize::from(who));
        }
        if shares.len() >= PARTICIPANTS {
            return None;
        }
        let who = shares.len();
        self.by_key.insert_unique(hash, who as u16, |&who| key_hash(shares, who, seed));
        let (at, trust) = (event.at, event.trust);
        self.shares.push(Share { key, first: at, last: at, packets: 0, fresh: 0, other: 0, trust, named: false });
        Some(who)
    }

    /// Changes one participant's figures and keeps the sums.
    fn weigh(&mut self, who: usize, config: &DistributedConfig, change: impl FnOnce(&mut Share)) {
        let Some(share) = self.shares.get_mut(who) else { return };
        if share.takes_part(config) {
            self.taking_part -= 1;
            self.fresh_ports -= usize::from(share.fresh);
        }
        change(share);
        if share.takes_part(config) {
            self.taking_part += 1;
            self.fresh_ports += usize::from(share.fresh);
        }
    }

    fn is_shared_scan(&self, config: &DistributedConfig) -> bool {
        self.taking_part >= config.sources && self.fresh_ports >= config.ports
    }

    /// Whether this participant takes part and was not named before.
    fn is_news(&self, who: usize, config: &DistributedConfig) -> bool {
        self.shares.get(who).is_some_and(|share| !share.named && share.takes_part(config))
    }

    /// Names everybody who takes part and was not named before, by address.
    fn name(&mut self, config: &DistributedConfig, named: &mut Vec<Share>) {
        let begin = named.len();
        for share in self.shares.iter_mut().filter(|share| !share.named && share.takes_part(config)) {
            share.named = true;
            named.push(*share);
        }
        if let Some(new) = named.get_mut(begin..) {
            new.sort_unstable_by_key(|share| share.key.addr());
        }
    }

    /// Drops what has left the window and who was charged otherwise, and counts again.
    fn prune(&mut self, now: Time, config: &DistributedConfig, seed: Seed, is_charged: &dyn Fn(Key) -> bool) {
        let stays: Vec<bool> =
            self.shares.iter().map(|share| now.since(share.last) <= config.window && (share.named || !is_charged(share.key))).collect();
        let stay = |who: u16| stays.get(usize::from(who)).copied().unwrap_or(false);
        // Where each participant goes once the others are gone.
        let mut next = 0_u16;
        let moved: Vec<u16> = stays
            .iter()
            .map(|&stays| {
                let to = next;
                next += u16::from(stays);
                to
            })
            .collect();
        let marks_stay: Vec<bool> = self.marks.iter().map(|mark| stay(mark.owner) && now.since(mark.at) <= config.window).collect();
        keep(&mut self.shares, &stays);
        keep(&mut self.marks, &marks_stay);
        self.shares.iter_mut().for_each(|share| share.fresh = 0);
        for mark in &mut self.marks {
            mark.owner = moved.get(usize::from(mark.owner)).copied().unwrap_or(0);
            if let Some(share) = self.shares.get_mut(usize::from(mark.owner)).filter(|_| !mark.shared) {
                share.fresh += 1;
            }
        }
        self.reindex(seed);
        self.sum(config);
        self.pruned = now.max(self.pruned);
    }

    /// Finds out anew where everything is.
    fn reindex(&mut self, seed: Seed) {
        let (shares, marks) = (&self.shares, &self.marks);
        self.by_key.clear();
        for who in 0..shares.len() as u16 {
            self.by_key.insert_unique(key_hash(shares, who, seed), who, |&who| key_hash(shares, who, seed));
        }
        self.by_port.clear();
        for at in 0..marks.len() as u16 {
            self.by_port.insert_unique(port_hash(marks, at, seed), at, |&at| port_hash(marks, at, seed));
        }
    }

    fn sum(&mut self, config: &DistributedConfig) {
        self.taking_part = self.shares.iter().filter(|share| share.takes_part(config)).count();
        self.fresh_ports = self.shares.iter().filter(|share| share.takes_part(config)).map(|share| usize::from(share.fresh)).sum();
    }

    fn bytes(&self) -> usize {
        self.shares.capacity() * size_of::<Share>()
            + self.marks.capacity() * size_of::<Mark>()
            + self.by_key.allocation_size()
            + self.by_port.allocation_size()
    }

    fn check_invariants(&self, config: &DistributedConfig, marks_max: usize) {
        assert!(self.shares.len() <= PARTICIPANTS && self.marks.len() <= marks_max);
        assert_eq!((self.shares.len(), self.marks.len()), (self.by_key.len(), self.by_port.len()));
        for (who, share) in self.shares.iter().enumerate() {
            let fresh = self.marks.iter().filter(|mark| usize::from(mark.owner) == who && !mark.shared).count();
            assert_eq!(usize::from(share.fresh), fresh, "{share:?}");
        }
        let part = self.shares.iter().filter(|share| share.takes_part(config));
        assert_eq!((self.taking_part, self.fresh_ports), (part.clone().count(), part.map(|share| usize::from(share.fresh)).sum()));
    }
}

fn key_hash(shares: &[Share], who: u16, seed: Seed) -> u64 {
    shares.get(usize::from(who)).map_or(0, |share| seed.address(share.key))
}

fn port_hash(marks: &[Mark], at: u16, seed: Seed) -> u64 {
    marks.get(usize::from(at)).map_or(0, |mark| seed.join(0, u64::from(mark.port)))
}

/// Keeps the items whose place says so.
fn keep<T>(items: &mut Vec<T>, stays: &[bool]) {
    let mut stays = stays.iter().copied();
    items.retain(|_| stays.next().unwrap_or(false));
}

impl Detector for Distributed {
    fn observe(&mut self, event: &Event, out: &mut Vec<Offence>) {
        let mut named = Vec::new();
        self.take(event, Key::from(self.rules.counted(event.actor).addr()), &|_| false, &mut named);
        out.extend(named.iter().map(|share| share.offence(event.at, &self.rules)));
    }

    /// Frees targets that nobody probed within the window. Charges nobody.
    fn tick(&mut self, now: Time, _out: &mut Vec<Offence>) {
        if self.next_sweep.is_none_or(|at| now < at) {
            return;
        }
        let window = self.rules.config.distributed.window;
        let mut place = self.targets.len();
        while place > 0 {
            place -= 1;
            if self.targets.get(place).is_some_and(|target| now.since(target.last) >= window) {
                self.remove(place);
            }
        }
        // Not each target at its own time: one wake-up frees all that became due in a quarter of the window.
        let soonest = now.after((window / 4).max(Duration::from_secs(1)));
        self.next_sweep = self.targets.iter().map(|target| target.last).min().map(|oldest| oldest.after(window).max(soonest));
    }

    fn next_tick(&self) -> Option<Time> {
        self.next_sweep
    }
}
