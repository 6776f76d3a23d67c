//! What the judge decides about an offence, and why.

use crate::block::{Block, BlockId, Expiry};
use crate::net::Prefix;
use crate::time::Time;
use std::fmt;

/// Why an address is exempt. The order is the order of precedence when several apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ExemptReason {
    /// Never a source on a network: 0.0.0.0/8, loopback, multicast, link-local all-nodes, broadcast.
    Reserved,
    /// An address of this host.
    Own,
    /// A default gateway.
    Gateway,
    /// A resolver from the system's configuration.
    Resolver,
    /// A time server.
    TimeServer,
    /// The peer of an administrator's SSH session.
    Admin,
    /// A DNS root server.
    RootServer,
    /// Listed in the configuration.
    Configured,
    /// Allowed by an operator with `riposte allow`.
    Allowed,
}

impl ExemptReason {
    /// Every reason.
    pub const ALL: [ExemptReason; 9] = [
        ExemptReason::Reserved,
        ExemptReason::Own,
        ExemptReason::Gateway,
        ExemptReason::Resolver,
        ExemptReason::TimeServer,
        ExemptReason::Admin,
        ExemptReason::RootServer,
        ExemptReason::Configured,
        ExemptReason::Allowed,
    ];

    /// The words for it.
    pub const fn word(self) -> &'static str {
        match self {
            ExemptReason::Reserved => "reserved address",
            ExemptReason::Own => "own address",
            ExemptReason::Gateway => "default gateway",
            ExemptReason::Resolver => "resolver",
            ExemptReason::TimeServer => "time server",
            ExemptReason::Admin => "administrator's SSH session",
            ExemptReason::RootServer => "DNS root server",
            ExemptReason::Configured => "exempt in the configuration",
            ExemptReason::Allowed => "allowed by an operator",
        }
    }
}

impl fmt::Display for ExemptReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One entry of the exempt list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exemption {
    /// Whom it protects.
    pub prefix: Prefix,
    /// Why.
    pub reason: ExemptReason,
}

/// A cap that stood in the way of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Cap {
    /// The offence is below the level from which blocks are made.
    Level,
    /// Forgeable evidence has used up its blocks for this minute.
    SpoofableBudget,
    /// Forgeable evidence holds as many blocks as it may have at one time.
    SpoofableStanding,
    /// New blocks for this minute are used up.
    PerMinute,
    /// There are as many blocks as there may be in all.
    Total,
    /// A storm was rolled back a short while ago: forgeable evidence blocks nobody new until it has passed.
    StormPause,
    /// The prefix holds an exempt address.
    ExemptInside,
}

impl Cap {
    /// Every cap.
    pub const ALL: [Cap; 7] =
        [Cap::Level, Cap::SpoofableBudget, Cap::SpoofableStanding, Cap::PerMinute, Cap::Total, Cap::StormPause, Cap::ExemptInside];

    /// The words for it.
    pub const fn word(self) -> &'static str {
        match self {
            Cap::Level => "below the level from which blocks are made",
            Cap::SpoofableBudget => "forgeable evidence has used up its new blocks for this minute",
            Cap::SpoofableStanding => "forgeable evidence holds as many blocks as it may have at one time",
            Cap::PerMinute => "new blocks for this minute are used up",
            Cap::Total => "there are as many blocks as there may be in all",
            Cap::StormPause => "a storm was rolled back: forgeable evidence blocks nobody new until it has passed",
            Cap::ExemptInside => "the prefix holds an exempt address",
        }
    }
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why somebody is watched and not blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum WatchReason {
    /// The charge rests on counts alone; the sequential test has not decided.
    Unproven,
    /// Forgeable evidence may not block in this configuration.
    Forgeable,
    /// The block stands already and covers this.
    Standing,
    /// Touches of such guarded ports are recorded and nothing else.
    Recorded,
}

impl WatchReason {
    /// Every reason.
    pub const ALL: [WatchReason; 4] = [WatchReason::Unproven, WatchReason::Forgeable, WatchReason::Standing, WatchReason::Recorded];

    /// The words for it.
    pub const fn word(self) -> &'static str {
        match self {
            WatchReason::Unproven => "counts alone: a benign host could do this",
            WatchReason::Forgeable => "the source address can be forged, and the configuration lets such evidence block nobody",
            WatchReason::Standing => "blocked already",
            WatchReason::Recorded => "the configuration only records touches of guarded ports of this protocol",
        }
    }
}

impl fmt::Display for WatchReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What the judge decides about one offence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Block.
    Block(Block),
    /// A block stands; it now ends later.
    Extend {
        /// Which.
        id: BlockId,
        /// Its new end.
        expiry: Expiry,
        /// Which offence of this offender it is, from 1.
        strike: u32,
    },
    /// Keep an eye on it until then.
    Watch {
        /// Until when.
        until: Time,
        /// Why no block.
        why: WatchReason,
    },
    /// Protected.
    Exempt(ExemptReason),
    /// A cap stands in the way.
    Refuse(Cap),
}
