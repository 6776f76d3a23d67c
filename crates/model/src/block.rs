//! A block, the changes that set and lift it, and what became of them.

use crate::event::{RuleId, Trust};
use crate::level::DangerLevel;
use crate::net::Prefix;
use crate::offence::Charge;
use crate::style::StyleSet;
use crate::time::Time;
use std::fmt;

/// A block's number, unique in one ledger and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(pub u64);

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// When a block ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expiry {
    /// At this time, by the kernel's own timer.
    At(Time),
    /// Never. Only an operator makes one of these.
    Never,
}

impl Expiry {
    /// Whether it has ended by `now`.
    pub fn is_over(self, now: Time) -> bool {
        match self {
            Expiry::At(at) => at <= now,
            Expiry::Never => false,
        }
    }
}

/// What is blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Everything from these addresses.
    Source(Prefix),
}

impl Scope {
    /// The addresses that it touches.
    pub fn prefix(&self) -> Prefix {
        match self {
            Scope::Source(prefix) => *prefix,
        }
    }
}

/// What happens to the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// They vanish without an answer.
    Drop,
}

/// Why a block was made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Because {
    /// A detector's charge.
    Offence {
        /// What.
        charge: Charge,
        /// How dangerous.
        level: DangerLevel,
        /// How.
        styles: StyleSet,
        /// Could the address be forged?
        trust: Trust,
        /// Which offence of this offender it is, from 1: repeat offenders are blocked for longer.
        strike: u32,
        /// The log rule that was broken, if it was one.
        rule: Option<RuleId>,
    },
    /// It stood in the kernel when the ledger knew nothing: taken over, so that it is seen and can be lifted. Why it was made is lost.
    Adopted,
    /// An operator's order, with the operator's words (already escaped and cut).
    Operator {
        /// The reason given.
        note: String,
    },
}

impl Because {
    /// How dangerous, if it was an offence.
    pub fn level(&self) -> Option<DangerLevel> {
        match self {
            Because::Offence { level, .. } => Some(*level),
            Because::Adopted | Because::Operator { .. } => None,
        }
    }
}

/// A block: whom, what, until when, why.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Block {
    /// Its number.
    pub id: BlockId,
    /// Whom.
    pub scope: Scope,
    /// What happens.
    pub effect: Effect,
    /// When it was decided.
    pub made: Time,
    /// Until when.
    pub expiry: Expiry,
    /// Why.
    pub because: Because,
}

/// What the ledger knows of a block. `Wanted` is written before anything is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// Decided, not yet handed to a responder.
    Wanted,
    /// Handed to a responder, no answer yet.
    Ordered,
    /// The responder has confirmed it.
    Active,
    /// Its time ran out.
    Expired,
    /// Taken back before its time.
    Lifted,
    /// The responder could not do it.
    Failed,
}

impl State {
    /// Every state.
    pub const ALL: [State; 6] = [State::Wanted, State::Ordered, State::Active, State::Expired, State::Lifted, State::Failed];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            State::Wanted => "wanted",
            State::Ordered => "ordered",
            State::Active => "active",
            State::Expired => "expired",
            State::Lifted => "lifted",
            State::Failed => "failed",
        }
    }

    /// Whether the block should be in force.
    pub const fn is_live(self) -> bool {
        matches!(self, State::Wanted | State::Ordered | State::Active)
    }
}

/// One step for a responder. Always handed over in batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// Set a block, or give one that stands a new expiry.
    Add {
        /// Its number.
        id: BlockId,
        /// Whom.
        scope: Scope,
        /// Until when.
        expiry: Expiry,
    },
    /// Lift a block.
    Remove {
        /// Its number.
        id: BlockId,
        /// Whom.
        scope: Scope,
    },
}

impl Change {
    /// The block's number.
    pub fn id(&self) -> BlockId {
        match self {
            Change::Add { id, .. } | Change::Remove { id, .. } => *id,
        }
    }

    /// The block's scope.
    pub fn scope(&self) -> Scope {
        match self {
            Change::Add { scope, .. } | Change::Remove { scope, .. } => *scope,
        }
    }
}

/// Why a change could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Fault {
    /// The exempt list protects the address: the privileged side refused.
    Exempt,
    /// The set or table is full.
    Full,
    /// The firewall's own table is missing.
    Gone,
    /// The kernel or device refused.
    Refused,
    /// Nobody could be reached.
    Unreachable,
    /// More than the privileged side allows in this time.
    TooMany,
    /// The kernel had no memory for it just then.
    Memory,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Fault; 7] =
        [Fault::Exempt, Fault::Full, Fault::Gone, Fault::Refused, Fault::Unreachable, Fault::TooMany, Fault::Memory];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Fault::Exempt => "exempt",
            Fault::Full => "full",
            Fault::Gone => "gone",
            Fault::Refused => "refused",
            Fault::Unreachable => "unreachable",
            Fault::TooMany => "too many",
            Fault::Memory => "out of memory",
        }
    }
}

/// What became of a change. Exactly one for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is set.
    Added,
    /// It is lifted (or was not there any more).
    Removed,
    /// This responder cannot do such a thing.
    Unsupported,
    /// It failed.
    Failed(Fault),
}

/// A block that a responder really has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Installed {
    /// Whom.
    pub scope: Scope,
    /// Until when.
    pub expiry: Expiry,
}
