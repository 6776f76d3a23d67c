//! What log rules report becomes an offence at once: the rule has counted already. Never charges the same for the same again and again.

use crate::config::ScanConfig;
use crate::hash::{Key, Seed};
use crate::{Detector, Kind};
use model::event::{Act, Event, Report, RuleId};
use model::net::{Prefix, canonical};
use model::offence::{Charge, Evidence, Offence};
use model::style::StyleSet;
use model::time::Time;
use std::net::IpAddr;
use std::time::Duration;

/// The detector's kind.
pub const KIND: Kind = Kind {
    name: "reports",
    summary: "What a rule for application logs wants done: passwords guessed, web applications probed.",
    example: "[applications]\nenabled = true\n",
    build: |config, seed| Box::new(Reports::new(config, seed)),
};

/// The same report of the same actor says nothing new for this long: a rule that answers each line must not fill the history.
const AGAIN: Duration = Duration::from_secs(10);
/// Reports remembered for that. Two that fall on one place forget each other, which costs no more than an offence told twice.
const PLACES: usize = 4_096;

/// The detector.
#[derive(Debug)]
pub struct Reports {
    seed: Seed,
    /// The prefixes by which IPv4 and IPv6 are counted, and so blocked.
    count_by: (u8, u8),
    /// By place: who, for which rule, when.
    latest: Vec<Option<(IpAddr, RuleId, Time)>>,
    repeated: u64,
}

impl Reports {
    /// Nothing is remembered. `seed` keys its hash function and is to be kept secret.
    pub fn new(config: &ScanConfig, seed: u64) -> Reports {
        let count_by = (config.count_by_ipv4, config.count_by_ipv6);
        Reports { seed: Seed::new(seed ^ 0x10f5), count_by, latest: Vec::new(), repeated: 0 }
    }

    /// Reports that said nothing new.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Bytes that it may take.
    pub fn memory_bound(&self) -> usize {
        PLACES * size_of::<Option<(IpAddr, RuleId, Time)>>()
    }

    /// Bytes that it takes now.
    pub fn memory_used(&self) -> usize {
        self.latest.capacity() * size_of::<Option<(IpAddr, RuleId, Time)>>()
    }

    fn is_news(&mut self, actor: IpAddr, rule: RuleId, at: Time) -> bool {
        if self.latest.is_empty() {
            self.latest = vec![None; PLACES];
        }
        let place = self.seed.join(self.seed.address(Key::from(actor)), u64::from(rule.0)) as usize % PLACES;
        let Some(latest) = self.latest.get_mut(place) else { return true };
        // Lines may be out of order, and clocks may be set: either way round, far apart is news.
        let told = latest.is_some_and(|(who, what, when)| (who, what) == (actor, rule) && at.since(when).max(when.since(at)) < AGAIN);
        if !told {
            *latest = Some((actor, rule, at));
        }
        !told
    }
}

impl Detector for Reports {
    fn observe(&mut self, event: &Event, out: &mut Vec<Offence>) {
        let Act::Reported(Report { rule, level, lines, wished, repeated }) = event.act else { return };
        let actor = canonical(event.actor);
        if !self.is_news(actor, rule, event.at) {
            self.repeated += 1;
            return;
        }
        out.push(Offence {
            at: event.at,
            offender: Prefix::new(actor, if actor.is_ipv4() { self.count_by.0 } else { self.count_by.1 }),
            charge: Charge::Rule,
            level,
            styles: StyleSet::EMPTY,
            trust: event.trust,
            evidence: Evidence {
                first: event.at,
                last: event.at,
                packets: u64::from(lines),
                targets: 1,
                endpoints: 0,
                protocols: 0,
                // A rule that wants something done has decided.
                convicted: true,
            },
            rule: Some(rule),
            touch: None,
            wished,
            repeated,
        });
    }

    fn tick(&mut self, _: Time, _: &mut Vec<Offence>) {}

    fn next_tick(&self) -> Option<Time> {
        None
    }
}
