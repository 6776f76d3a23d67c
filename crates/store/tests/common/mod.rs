//! Blocks and offences to write down. Only what the tests share.

use model::block::{Because, Block, BlockId, Effect, Expiry, Scope};
use model::event::{RuleId, Trust};
use model::level::DangerLevel;
use model::net::Prefix;
use model::offence::{Charge, Evidence, Offence};
use model::style::{Style, StyleSet};
use model::time::Time;
use std::time::Duration;

/// So many seconds after the tests' beginning of time.
pub fn at(secs: u64) -> Time {
    Time::from_secs(1_800_000_000 + secs)
}

pub fn prefix(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

pub fn block(id: u64, whom: &str, made: Time, expiry: Expiry) -> Block {
    let because = Because::Offence {
        charge: Charge::Sweep,
        level: DangerLevel::MAX,
        styles: [Style::Syn, Style::Icmp].into_iter().collect(),
        trust: Trust::Handshake,
        strike: 1,
        rule: Some(RuleId(7)),
    };
    Block { id: BlockId(id), scope: Scope::Source(prefix(whom)), effect: Effect::Drop, made, expiry, because }
}

/// A charge with a different figure in each place.
pub fn offence(whom: &str, when: Time) -> Offence {
    Offence {
        at: when,
        offender: prefix(whom),
        charge: Charge::DistributedScan,
        level: DangerLevel::MIN,
        styles: StyleSet::from_bits(u16::MAX),
        trust: Trust::Vouched,
        evidence: Evidence {
            first: Time::from_nanos(1),
            last: when,
            packets: 1 << 40,
            targets: u32::MAX,
            endpoints: 2,
            protocols: 3,
            convicted: true,
        },
        rule: Some(RuleId(u16::MAX)),
        touch: None,
        wished: Some(Duration::from_secs(77)),
        repeated: Default::default(),
    }
}
