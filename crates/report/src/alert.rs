//! What people elsewhere are to be told: a source whose danger level rose, a block set or lifted, a part of riposte in trouble. The judge makes
//! it, the envoy carries it. Decides nothing; every text in it that a stranger may have written is escaped by whoever shows it.

use crate::decision::Verdict;
use crate::explain::QuotedLine;
use crate::offender::{OffenderLine, Ports, SignatureLine};
use crate::serial::{Stamp, Whom};
use model::event::Trust;
use model::level::DangerLevel;
use model::net::Prefix;
use model::style::Style;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::Duration;

/// What it is about, the least urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Somebody asked for a sample.
    Test,
    /// A block has ended in its time.
    End,
    /// A block was lifted before its time.
    Lift,
    /// A source was charged and is not blocked (again).
    Level,
    /// A source was blocked, or for longer.
    Block,
    /// What was in trouble is no longer.
    Recovery,
    /// No more is told for now: the limit is reached.
    Limit,
    /// A part of riposte was restarted, or does not work as it should.
    Trouble,
}

impl Kind {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Test => "test",
            Kind::End => "end",
            Kind::Lift => "lift",
            Kind::Level => "level",
            Kind::Block => "block",
            Kind::Recovery => "recovery",
            Kind::Limit => "limit",
            Kind::Trouble => "trouble",
        }
    }
}

/// One thing that people are to be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// What it is about.
    pub kind: Kind,
    /// When.
    pub at: Stamp,
    /// What, in one line.
    pub said: String,
    /// Whose block is over, of an `end` or a `lift`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Whom>,
    /// The danger level of an `end`'s or a `lift`'s block, unless an operator had ordered it or it was only found in the firewall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// About whom, if it is about a source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// A source, as it stands. Programs find these fields in what a webhook gets, beside those of `replay`'s offenders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// What every report tells of a source.
    #[serde(flatten)]
    pub line: OffenderLine,
    /// What it is charged with, and the log rule or signature by which.
    pub charge: String,
    /// When its block ends; none: it has no end, or there is no block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Stamp>,
    /// The line that decided, if a log rule or a guarded port did. A stranger wrote part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<QuotedLine>,
    /// Whether blocks are only recorded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

impl Alert {
    /// Something about riposte itself.
    pub fn own(kind: Kind, at: Stamp, said: String) -> Alert {
        Alert { kind, at, said, address: None, level: None, source: None }
    }

    /// A block that is over, and the level that it had.
    pub fn over(kind: Kind, at: Stamp, (whom, level): (Prefix, Option<DangerLevel>), said: String) -> Alert {
        Alert { address: Some(Whom(whom)), level: level.map(DangerLevel::number), ..Alert::own(kind, at, said) }
    }

    /// Whom it is about.
    pub fn about(&self) -> Option<Whom> {
        self.source.as_ref().map(|source| source.line.address).or(self.address)
    }

    /// How dangerous that is, if it is known.
    pub fn level(&self) -> Option<u8> {
        self.source.as_ref().map(|source| source.line.level.number()).or(self.level)
    }

    /// A sample, about an address of the documentation's.
    pub fn sample(at: Stamp) -> Alert {
        let line = OffenderLine {
            address: Whom(Prefix::host(IpAddr::from([192, 0, 2, 1]))),
            level: DangerLevel::MIN,
            styles: [Style::Syn].into_iter().collect(),
            targets: 1,
            packets: 1_002,
            ports: Ports { tcp: vec![(22, 22), (1_000, 1_500)], udp: Vec::new() },
            protocols: 1,
            signatures: vec![SignatureLine { sid: 100_000, message: "a sample <of a signature>".to_owned(), count: 2 }],
            systems: Vec::new(),
            first: Stamp(at.0.before(Duration::from_secs(60))),
            last: at,
            trust: Trust::Spoofable,
            decision: Verdict::none("this is a sample: nobody was blocked"),
            detail: None,
        };
        let source = Source { line, charge: "port scan".to_owned(), until: None, quote: None, dry_run: false };
        Alert {
            kind: Kind::Test,
            at,
            said: "A sample, as 'riposte alert --test' sends it: nothing has happened.".to_owned(),
            address: None,
            level: None,
            source: Some(source),
        }
    }
}

/// What goes out at one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Letter {
    /// The host that tells.
    pub host: String,
    /// When.
    pub at: Stamp,
    /// What is told, the most urgent first.
    pub told: Vec<Told>,
    /// What there was no room for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
}

/// One of the things that are told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// What.
    #[serde(flatten)]
    pub alert: Alert,
    /// What was told of this source before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
    /// Which letter about this source it is, in 24 hours.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub number: u64,
    /// What its address is called, as whoever owns it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What a registry says of it: lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whois: Option<String>,
    /// No more is told about this source before then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_until: Option<Stamp>,
}

impl Told {
    /// Told for itself, without anything that was told before.
    pub fn once(alert: Alert) -> Told {
        Told { alert, before: None, number: 0, name: None, whois: None, silent_until: None }
    }
}

/// A source as it stood when it was last told of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Before {
    /// When.
    pub at: Stamp,
    /// Its level.
    pub level: u8,
    /// Its packets.
    pub packets: u64,
    /// Its ports.
    pub ports: Ports,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The ports of rising ranges that are in none of the ranges from before.
pub fn fresh(ranges: &[(u16, u16)], before: &[(u16, u16)]) -> Vec<(u16, u16)> {
    let mut fresh = Vec::new();
    for &(first, last) in ranges {
        let mut from = u32::from(first);
        for &(old_first, old_last) in before.iter().filter(|old| old.1 >= first && old.0 <= last) {
            if from < u32::from(old_first) {
                fresh.push((from as u16, old_first - 1));
            }
            from = from.max(u32::from(old_last) + 1);
        }
        if from <= u32::from(last) {
            fresh.push((from as u16, last));
        }
    }
    fresh
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_ports_are_those_not_seen_before() {
        for (ranges, before, expected) in [
            (vec![(1, 10)], vec![], vec![(1, 10)]),
            (vec![(1, 10)], vec![(1, 10)], vec![]),
            (vec![(1, 10), (20, 30)], vec![(5, 22)], vec![(1, 4), (23, 30)]),
            (vec![(1, 100)], vec![(10, 20), (30, 40)], vec![(1, 9), (21, 29), (41, 100)]),
            (vec![(65_535, 65_535)], vec![(1, 2)], vec![(65_535, 65_535)]),
            (vec![(0, 65_535)], vec![(65_535, 65_535), (0, 0)][..1].to_vec(), vec![(0, 65_534)]),
        ] {
            assert_eq!(fresh(&ranges, &before), expected, "{ranges:?} {before:?}");
        }
    }
}

#[cfg(test)]
mod travel {
    use super::*;
    use model::time::Time;

    #[test]
    fn it_travels_as_json() {
        let alert = Alert::sample(Stamp(Time::from_secs(1_700_000_000)));
        let json = crate::serial::to_json_line(&alert).unwrap();
        assert!(json.starts_with(r#"{"kind":"test","at":"2023-11-14T22:13:20Z","said":"#), "{json}");
        assert_eq!(serde_json::from_str::<Alert>(&json).unwrap(), alert);
        let own = Alert::own(Kind::Trouble, alert.at, "x".into());
        assert_eq!(serde_json::to_string(&own).unwrap(), r#"{"kind":"trouble","at":"2023-11-14T22:13:20Z","said":"x"}"#);
        assert!(Kind::Trouble > Kind::Block && Kind::Block > Kind::Level);
    }
}
