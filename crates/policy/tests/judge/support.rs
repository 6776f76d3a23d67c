//! What the tests share: short spellings, and a firewall that does as it is told. Never decides anything.

use model::block::{Block, BlockId, Change, Expiry, Scope};
use model::decision::Decision;
use model::event::Trust;
use model::level::DangerLevel;
use model::net::Prefix;
use model::offence::{Charge, Evidence, Offence};
use model::style::{Style, StyleSet};
use model::time::Time;
use policy::judge::Judge;
use policy::ruling::Ruling;
use std::collections::BTreeMap;

/// An ordinary start: far from the epoch, so that steps back have room.
pub const START: u64 = 1_700_000_000;

/// So many seconds after the start.
pub fn at(secs: u64) -> Time {
    Time::from_secs(START + secs)
}

pub fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub fn level(n: u8) -> DangerLevel {
    DangerLevel::new(n).unwrap()
}

/// A convicted offender's offence, with its latest packet at the time of judgement.
pub fn offence(who: Prefix, n: u8, trust: Trust, now: Time) -> Offence {
    let evidence = Evidence { first: now, last: now, packets: 5, targets: 1, endpoints: 5, protocols: 1, convicted: true };
    let styles: StyleSet = [Style::Syn].into_iter().collect();
    Offence {
        at: now,
        offender: who,
        charge: Charge::PortScan,
        level: level(n),
        styles,
        trust,
        evidence,
        rule: None,
        touch: None,
        wished: None,
        repeated: Default::default(),
    }
}

/// A firewall: what was added and not removed, with its own timer.
#[derive(Debug, Default)]
pub struct Firewall {
    pub set: BTreeMap<Prefix, (BlockId, Expiry)>,
}

impl Firewall {
    pub fn apply(&mut self, judge: &Judge, ruling: &Ruling) {
        for change in &ruling.changes {
            match *change {
                Change::Add { id, scope: Scope::Source(prefix), expiry } => {
                    for exemption in judge.exemptions() {
                        assert!(!exemption.prefix.overlaps(&prefix), "{prefix} was ordered, but {} is exempt", exemption.prefix);
                    }
                    self.set.insert(prefix, (id, expiry));
                }
                Change::Remove { id, scope: Scope::Source(prefix) } => {
                    assert_eq!(self.set.remove(&prefix).map(|(id, _)| id), Some(id), "{prefix} was not set");
                }
            }
        }
    }

    /// Lets its timers run.
    pub fn tick(&mut self, now: Time) {
        self.set.retain(|_, (_, expiry)| !expiry.is_over(now));
    }

    /// Lets its timers run, then compares itself with the judge's table.
    pub fn agrees(&mut self, judge: &Judge, now: Time) {
        self.tick(now);
        let standing: BTreeMap<Prefix, (BlockId, Expiry)> = judge
            .standing()
            .filter(|block| !block.expiry.is_over(now))
            .map(|block| (block.scope.prefix(), (block.id, block.expiry)))
            .collect();
        assert_eq!(self.set, standing);
    }
}

/// Seeded pseudo-random numbers (xorshift64*), so that a failure can be run again.
pub struct Dice(pub u64);

impl Dice {
    /// A number under `n`.
    pub fn roll(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

/// A decision in a few words: `block 600`, `extend 1800`, `watch standing`, `exempt own address`, `refuse level`.
pub fn words(decision: &Decision, now: Time) -> String {
    let until = |expiry: Expiry| match expiry {
        Expiry::At(end) => end.since(now).as_secs().to_string(),
        Expiry::Never => "never".to_owned(),
    };
    match decision {
        Decision::Block(Block { expiry, .. }) => format!("block {}", until(*expiry)),
        Decision::Extend { expiry, .. } => format!("extend {}", until(*expiry)),
        Decision::Watch { why, .. } => format!("watch {why:?}").to_lowercase(),
        Decision::Exempt(reason) => format!("exempt {reason}"),
        Decision::Refuse(cap) => format!("refuse {cap:?}").to_lowercase(),
    }
}

/// An operator's block, which must be taken.
pub fn order(judge: &mut Judge, who: Prefix, expiry: Expiry, now: Time) -> BlockId {
    judge.block(who, expiry, "an order".into(), now).unwrap().made[0].id
}
