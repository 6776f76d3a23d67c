//! What a detector charges somebody with. It says what was done, never what to do about it.

use crate::event::{Repeated, RuleId, Touch, Trust};
use crate::level::DangerLevel;
use crate::net::Prefix;
use crate::style::StyleSet;
use crate::time::Time;
use std::fmt;
use std::time::Duration;

/// What somebody is charged with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Charge {
    /// Many ports of few hosts.
    PortScan,
    /// Many hosts.
    Sweep,
    /// Many IP protocols of one host.
    ProtocolScan,
    /// A scan whose probes lie far apart.
    SlowScan,
    /// A share in a scan that many sources made together.
    DistributedScan,
    /// What a rule for log lines counts: guessed passwords, probed web applications.
    Rule,
    /// Touches of guarded ports.
    Touch,
    /// Packets that fit signatures.
    Signature,
}

impl Charge {
    /// Every charge.
    pub const ALL: [Charge; 8] = [
        Charge::PortScan,
        Charge::Sweep,
        Charge::ProtocolScan,
        Charge::SlowScan,
        Charge::DistributedScan,
        Charge::Rule,
        Charge::Touch,
        Charge::Signature,
    ];

    /// The words for it.
    pub const fn word(self) -> &'static str {
        match self {
            Charge::PortScan => "port scan",
            Charge::Sweep => "sweep",
            Charge::ProtocolScan => "protocol scan",
            Charge::SlowScan => "slow scan",
            Charge::DistributedScan => "distributed scan",
            Charge::Rule => "rule match",
            Charge::Touch => "touch of a guarded port",
            Charge::Signature => "signature match",
        }
    }
}

impl fmt::Display for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What the charge rests on: figures for one offender since it was first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// Its first packet, or the line by which a rule decided.
    pub first: Time,
    /// Its latest packet.
    pub last: Time,
    /// How many packets; of a rule, how many lines.
    pub packets: u64,
    /// How many different targets (exact to the table's bound, estimated above).
    pub targets: u32,
    /// How many different (target, protocol, port) it failed to reach, as far as they were counted.
    pub endpoints: u32,
    /// How many different IP protocols.
    pub protocols: u32,
    /// Whether the sequential test has decided: the odds that a benign host does this are under the stated bound.
    /// Without it the charge rests on counts alone (a client that keeps retrying two closed ports can do that).
    pub convicted: bool,
}

/// One charge against one offender. A new one is made when the offender is first charged, when its level
/// rises, and when it goes on after a quiet time; not for every packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Offence {
    /// The time of the event that decided.
    pub at: Time,
    /// Who: a single address, or the prefix that it is counted by.
    pub offender: Prefix,
    /// What.
    pub charge: Charge,
    /// How dangerous.
    pub level: DangerLevel,
    /// How it was done, all styles so far.
    pub styles: StyleSet,
    /// The best trust among the evidence that counts towards this charge.
    pub trust: Trust,
    /// What it rests on.
    pub evidence: Evidence,
    /// The log rule that it broke, or the signature that a packet fitted.
    pub rule: Option<RuleId>,
    /// The guarded port that was touched last. Only a whole connection, which proves the address, is `Style::Connect` here.
    pub touch: Option<Touch>,
    /// For how long that rule wants it blocked; `None` leaves it to the policy.
    pub wished: Option<Duration>,
    /// And for how long if it comes back.
    pub repeated: Repeated,
}
