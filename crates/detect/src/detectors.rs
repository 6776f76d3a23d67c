//! All detectors as one: what the judge and `replay` own. Never charges one source twice for the same evidence.

use crate::Detector;
use crate::config::ScanConfig;
use crate::distributed::{Distributed, Share};
use crate::reports::Reports;
use crate::scans::Scans;
use crate::signatures::Signatures;
use crate::suspect::{Counters, Suspect};
use crate::systems::Systems;
use crate::touches::Touches;
use crate::walk::Walk;
use model::event::{Act, Event};
use model::offence::Offence;
use model::time::Time;
use std::net::IpAddr;

/// The scan detector, and the distributed-scan detector for what it leaves over.
#[derive(Debug)]
pub struct Detectors {
    scans: Scans,
    distributed: Distributed,
    reports: Reports,
    touches: Touches,
    signatures: Signatures,
    systems: Systems,
    named: Vec<Share>,
    config: ScanConfig,
    seed: u64,
}

impl Detectors {
    /// Empty tables. `seed` keys their hash functions: random and secret in `run`, anything in `replay`.
    pub fn new(config: &ScanConfig, seed: u64) -> Detectors {
        let (scans, distributed) = (Scans::new(config, seed), Distributed::new(config, seed));
        let (reports, touches) = (Reports::new(config, seed), Touches::new(config, seed));
        let (signatures, systems) = (Signatures::new(config, seed), Systems::new(config));
        Detectors { scans, distributed, reports, touches, signatures, systems, named: Vec::new(), config: config.clone(), seed }
    }

    /// Goes by another configuration from now on. What is known of each source is kept, unless sources are counted by other prefixes or
    /// there is room for another number of them: then everything is begun anew. So is the search for shared scans if its own part changes.
    pub fn reconfigure(&mut self, config: &ScanConfig) {
        let shape = |config: &ScanConfig| (config.count_by_ipv4, config.count_by_ipv6, config.tracked_sources);
        if shape(config) != shape(&self.config) {
            *self = Detectors::new(config, self.seed);
            return;
        }
        self.scans.reconfigure(config);
        self.touches.reconfigure(config);
        self.signatures.reconfigure(config);
        if config.distributed == self.config.distributed {
            self.distributed.reconfigure(config);
        } else {
            self.distributed = Distributed::new(config, self.seed);
        }
        self.config = config.clone();
    }

    /// Everybody who was ever charged and is still followed, sorted by address. `tick` forgets; who wants a report over a whole log
    /// doesn't call it.
    pub fn suspects(&self) -> Vec<Suspect> {
        self.scans.suspects()
    }

    /// What is known of one address, charged or not.
    pub fn suspect(&self, addr: IpAddr) -> Option<Suspect> {
        self.scans.suspect(addr)
    }

    /// What signatures packets have fitted, and whose.
    pub fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    /// What sources' packets look like.
    pub fn systems(&self) -> &Systems {
        &self.systems
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        let (targets_tracked, targets_evicted, shares_refused) = self.distributed.counts();
        let (reports_repeated, touches_crowded_out) = (self.reports.repeated(), self.touches.crowded_out());
        let (matches_crowded_out, matches_unheard) = (self.signatures.crowded_out(), self.signatures.unheard());
        Counters {
            targets_tracked,
            targets_evicted,
            shares_refused,
            reports_repeated,
            touches_crowded_out,
            matches_crowded_out,
            matches_unheard,
            systems_crowded_out: self.systems.crowded_out(),
            ..self.scans.counters()
        }
    }

    /// Makes a batch of events cheaper that is about to be observed; some dozens are best. Changes nothing else.
    pub fn warm(&self, events: &[Event]) {
        self.scans.warm(events);
        self.signatures.warm(events);
    }

    /// The sequential test's bounds, to set `Suspect::log_odds` against.
    pub fn walk(&self) -> Walk {
        self.scans.walk()
    }

    /// Bytes that all tables together may take, from the configuration alone (without the allocator's own overhead).
    pub fn memory_bound(&self) -> usize {
        let Detectors { scans, distributed, reports, touches, signatures, systems, .. } = self;
        let charging = scans.memory_bound() + distributed.memory_bound() + reports.memory_bound() + touches.memory_bound();
        charging + signatures.memory_bound() + systems.memory_bound()
    }

    /// Bytes that all tables together take now.
    pub fn memory_used(&self) -> usize {
        let Detectors { scans, distributed, reports, touches, signatures, systems, .. } = self;
        let charging = scans.memory_used() + distributed.memory_used() + reports.memory_used() + touches.memory_used();
        charging + signatures.memory_used() + systems.memory_used()
    }

    /// Panics if any table contradicts itself or its bound. For tests: it looks at everything.
    pub fn check_invariants(&self) {
        self.scans.check_invariants();
        self.distributed.check_invariants();
    }
}

impl Detector for Detectors {
    fn observe(&mut self, event: &Event, out: &mut Vec<Offence>) {
        match event.act {
            Act::Reported(_) => return self.reports.observe(event, out),
            Act::Touched(_) => return self.touches.observe(event, out),
            Act::Matched(_) => {
                let scans = &self.scans;
                return self.signatures.take(event, || scans.is_convicted(scans.key(event.actor)), out);
            }
            Act::Guessed(_) => return self.systems.take(event),
            Act::Probe(_) | Act::Reached { .. } => {}
        }
        let before = out.len();
        if !self.scans.take(event, out) {
            self.shares(event, out);
        }
        for offence in out.iter_mut().skip(before) {
            // A packet's signature makes graver what rests on no better evidence than itself.
            if let Some((level, trust)) = self.signatures.level(offence.offender, event.at)
                && trust >= offence.trust
            {
                offence.level = offence.level.max(level);
            }
        }
    }

    fn tick(&mut self, now: Time, out: &mut Vec<Offence>) {
        self.scans.tick(now, out);
        self.distributed.tick(now, out);
    }

    fn next_tick(&self) -> Option<Time> {
        [self.scans.next_tick(), self.distributed.next_tick()].into_iter().flatten().min()
    }
}

impl Detectors {
    /// Looks for a share in a scan that many sources make together.
    fn shares(&mut self, event: &Event, out: &mut Vec<Offence>) {
        let (scans, named) = (&self.scans, &mut self.named);
        self.distributed.take(event, scans.key(event.actor), &|key| scans.is_charged(key), named);
        for share in self.named.drain(..) {
            out.push(self.scans.share(&share, event.at));
        }
    }
}
