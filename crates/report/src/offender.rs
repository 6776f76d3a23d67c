//! One source as every report tells of it: `replay`, `status`, mails, tables and pages. Names, order and meaning of its JSON are promised
//! in the manual; only optional fields may ever be added. Never asks where the figures come from.

use crate::decision::Verdict;
use crate::serial::{self, Stamp, Whom, to_json_line};
use crate::system::SystemLine;
use model::event::Trust;
use model::level::DangerLevel;
use model::style::StyleSet;
use model::time::Time;
use serde::{Deserialize, Serialize};

/// What matched how often, for one offender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureLine {
    /// The signature's number.
    pub sid: u32,
    /// Its message.
    pub message: String,
    /// How often.
    pub count: u64,
}

/// Ranges of ports, both ends included, rising.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ports {
    /// Of TCP.
    pub tcp: Vec<(u16, u16)>,
    /// Of UDP.
    pub udp: Vec<(u16, u16)>,
}

impl Ports {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tcp.is_empty() && self.udp.is_empty()
    }
}

/// One source, as it stands at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "offender")]
pub struct OffenderLine {
    /// The address, or the prefix that it is counted by.
    pub address: Whom,
    /// The highest danger level reached.
    #[serde(with = "serial::level")]
    pub level: DangerLevel,
    /// How it scanned.
    #[serde(with = "serial::styles")]
    pub styles: StyleSet,
    /// Different targets.
    pub targets: u32,
    /// Packets.
    pub packets: u64,
    /// The ports that it tried.
    pub ports: Ports,
    /// Different IP protocols.
    pub protocols: u32,
    /// Signatures that matched.
    pub signatures: Vec<SignatureLine>,
    /// What its packets look like, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub systems: Vec<SystemLine>,
    /// Its first packet.
    pub first: Stamp,
    /// Its last packet.
    pub last: Stamp,
    /// The best trust among its evidence.
    #[serde(with = "serial::trust")]
    pub trust: Trust,
    /// What was decided, or would have been.
    pub decision: Verdict,
    /// What else was counted of its packets, if somebody counted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<Detail>>,
}

impl OffenderLine {
    /// The line as it is printed, with its newline.
    pub fn to_json_line(&self) -> String {
        // Texts, numbers and lists of them can always be written.
        to_json_line(self).unwrap_or_default()
    }
}

/// What is counted of a source's packets beside what the detectors keep of it. Each list is bounded and has the most frequent first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Detail {
    /// TCP flags, in Linux' order with spaces between, or `none`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Counted>,
    /// Types and codes of ICMP, as `icmp 8/0` and `icmpv6 128/0`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub icmp: Vec<Counted>,
    /// How its packets came in, as far as a firewall says so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<WayLine>,
    /// Whom it tried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aims: Vec<AimLine>,
    /// When it tried which port, by time: evenly thinned out if there were many.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
}

/// How often something was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// What.
    pub what: String,
    /// How often.
    pub count: u64,
}

/// Packets that came the same way through the firewall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayLine {
    /// `input` or `forward`.
    pub chain: String,
    /// The interface; empty if the log does not tell.
    pub interface: String,
    /// The rule's log prefix, likewise.
    pub prefix: String,
    /// The IP protocol.
    pub protocol: String,
    /// How many.
    pub packets: u64,
}

/// One target of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AimLine {
    /// Whom it tried.
    pub address: Whom,
    /// Packets.
    pub packets: u64,
    /// The least and the greatest port of each protocol: one range at most.
    pub ports: Ports,
}

/// One packet's time and port. As JSON a list of three: milliseconds since 1970, the port, whether it is UDP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u16, bool)", into = "(u64, u16, bool)")]
pub struct Sample {
    /// When.
    pub at: Stamp,
    /// Whether the port is UDP's; else TCP's.
    pub udp: bool,
    /// The destination port.
    pub port: u16,
}

impl From<Sample> for (u64, u16, bool) {
    fn from(sample: Sample) -> Self {
        (sample.at.0.as_nanos() / 1_000_000, sample.port, sample.udp)
    }
}

impl From<(u64, u16, bool)> for Sample {
    fn from((millis, port, udp): (u64, u16, bool)) -> Self {
        Sample { at: Stamp(Time::from_nanos(millis.saturating_mul(1_000_000))), port, udp }
    }
}
