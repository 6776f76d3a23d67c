//! An entry of the history: a charge and its judgement, a turn in a block's life, an operator's word.
//! Never holds text: all of it is numbers, so nothing that an attacker wrote can be in it. (A quoted line has a table of its own.)

use crate::error::Error;
use crate::key::{Columns, Key, TRUST, nanos, whole};
use crate::ledger::{expiry_column, expiry_of};
use model::block::{Because, BlockId, Expiry, Fault};
use model::decision::{Cap, Decision, ExemptReason, WatchReason};
use model::event::{Repeated, RuleId};
use model::level::DangerLevel;
use model::net::Prefix;
use model::offence::{Charge, Evidence, Offence};
use model::response::{Ran, RunId};
use model::style::StyleSet;
use model::time::Time;
use rusqlite::{CachedStatement, params};
use std::time::Duration;

/// What the history keeps of a [`Decision`]: the block itself is in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Blocked.
    Block {
        /// The block's number.
        id: BlockId,
        /// Until when.
        expiry: Expiry,
        /// Which offence of this offender it was.
        strike: u32,
    },
    /// A block that stood was given a later end.
    Extend {
        /// The block's number.
        id: BlockId,
        /// Its new end.
        expiry: Expiry,
        /// Which offence of this offender it was.
        strike: u32,
    },
    /// Only watched.
    Watch {
        /// Until when.
        until: Time,
        /// Why no block.
        why: WatchReason,
    },
    /// Protected.
    Exempt(ExemptReason),
    /// A cap stood in the way.
    Refuse(Cap),
}

impl Verdict {
    /// The block that was made.
    pub fn block(&self) -> Option<BlockId> {
        match self {
            Verdict::Block { id, .. } => Some(*id),
            _ => None,
        }
    }
}

impl From<&Decision> for Verdict {
    fn from(decision: &Decision) -> Self {
        match decision {
            Decision::Block(block) => Verdict::Block { id: block.id, expiry: block.expiry, strike: strike(&block.because) },
            Decision::Extend { id, expiry, strike } => Verdict::Extend { id: *id, expiry: *expiry, strike: *strike },
            Decision::Watch { until, why } => Verdict::Watch { until: *until, why: *why },
            Decision::Exempt(reason) => Verdict::Exempt(*reason),
            Decision::Refuse(cap) => Verdict::Refuse(*cap),
        }
    }
}

fn strike(because: &Because) -> u32 {
    match because {
        Because::Offence { strike, .. } => *strike,
        Because::Adopted | Because::Operator { .. } => 0,
    }
}

/// A turn in a block's life that no offence explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// An operator set it.
    SetByOperator,
    /// An operator lifted it.
    LiftedByOperator,
    /// It was lifted because the address became exempt.
    LiftedAsExempt,
    /// It was lifted with others when a storm was rolled back.
    RolledBack,
    /// Its time ran out.
    Expired,
    /// It was missing in the kernel and was set again.
    SetAgain,
    /// The responder can't do such a thing.
    Unsupported,
    /// It stood in the kernel when the ledger was lost, and was taken over.
    Adopted,
    /// An operator gave it another end.
    ChangedByOperator,
    /// The responder could not do it.
    Failed(Fault),
}

/// The turns without a fault, by their number in the file. A fault follows, counted from [`FAULTS_FROM`].
const TURNS: [Turn; 9] = [
    Turn::SetByOperator,
    Turn::LiftedByOperator,
    Turn::LiftedAsExempt,
    Turn::RolledBack,
    Turn::Expired,
    Turn::SetAgain,
    Turn::Unsupported,
    Turn::Adopted,
    Turn::ChangedByOperator,
];
const FAULTS_FROM: u8 = 32;

impl Turn {
    /// The words for it.
    pub const fn word(self) -> &'static str {
        match self {
            Turn::SetByOperator => "set by an operator",
            Turn::LiftedByOperator => "lifted by an operator",
            Turn::LiftedAsExempt => "lifted: the address is exempt now",
            Turn::RolledBack => "rolled back in a storm",
            Turn::Expired => "its time ran out",
            Turn::SetAgain => "was missing in the kernel and set again",
            Turn::Adopted => "adopted: found in the kernel when the ledger was lost",
            Turn::ChangedByOperator => "given another end by an operator",
            Turn::Unsupported => "not supported by the responder",
            Turn::Failed(Fault::Exempt) => "failed: the privileged side holds the address exempt",
            Turn::Failed(Fault::Full) => "failed: the set is full",
            Turn::Failed(Fault::Gone) => "failed: the firewall's table is missing",
            Turn::Failed(Fault::Refused) => "failed: refused",
            Turn::Failed(Fault::Unreachable) => "failed: unreachable",
            Turn::Failed(Fault::TooMany) => "failed: too many at once",
            Turn::Failed(Fault::Memory) => "failed: the kernel is out of memory",
        }
    }

    const fn code(self) -> u8 {
        match self {
            Turn::SetByOperator => 0,
            Turn::LiftedByOperator => 1,
            Turn::LiftedAsExempt => 2,
            Turn::RolledBack => 3,
            Turn::Expired => 4,
            Turn::SetAgain => 5,
            Turn::Unsupported => 6,
            Turn::Adopted => 7,
            Turn::ChangedByOperator => 8,
            Turn::Failed(fault) => FAULTS_FROM + fault as u8,
        }
    }

    fn from_code(code: u8) -> Option<Turn> {
        match code.checked_sub(FAULTS_FROM) {
            Some(fault) => Fault::ALL.get(usize::from(fault)).copied().map(Turn::Failed),
            None => TURNS.get(usize::from(code)).copied(),
        }
    }
}

/// One entry of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Somebody was charged, and this was decided.
    Judged {
        /// The charge.
        offence: Offence,
        /// The decision.
        verdict: Verdict,
    },
    /// A turn in a block's life.
    Turned {
        /// When.
        at: Time,
        /// Whom the block is against.
        whom: Prefix,
        /// The block's number.
        id: BlockId,
        /// Which turn.
        turn: Turn,
    },
    /// An operator allowed somebody.
    Allowed {
        /// When.
        at: Time,
        /// Whom.
        whom: Prefix,
        /// Until when.
        until: Expiry,
    },
    /// An operator took such an allowance back.
    Disallowed {
        /// When.
        at: Time,
        /// Whom.
        whom: Prefix,
    },
    /// A response was run, or was to be.
    Responded {
        /// When.
        at: Time,
        /// Against whom.
        whom: Prefix,
        /// Which run.
        id: RunId,
        /// The response's name, by its number in the dictionary of rules.
        name: RuleId,
        /// `add` or `delete`.
        add: bool,
        /// What became of it.
        ran: Ran,
    },
}

impl Entry {
    /// The entry for an offence and what was decided about it.
    pub fn judged(offence: &Offence, decision: &Decision) -> Entry {
        Entry::Judged { offence: *offence, verdict: decision.into() }
    }

    /// When it happened.
    pub fn at(&self) -> Time {
        match self {
            Entry::Judged { offence, .. } => offence.at,
            Entry::Turned { at, .. } | Entry::Allowed { at, .. } | Entry::Disallowed { at, .. } | Entry::Responded { at, .. } => *at,
        }
    }

    /// Whom it is about.
    pub fn whom(&self) -> Prefix {
        match self {
            Entry::Judged { offence, .. } => offence.offender,
            Entry::Turned { whom, .. } | Entry::Allowed { whom, .. } | Entry::Disallowed { whom, .. } | Entry::Responded { whom, .. } => {
                *whom
            }
        }
    }
}

// The kinds of entry by their number in the file. Below TURNED stands a charge with it.
const BLOCK: u8 = 0;
const EXTEND: u8 = 1;
const WATCH: u8 = 2;
const EXEMPT: u8 = 3;
const REFUSE: u8 = 4;
const TURNED: u8 = 10;
const ALLOWED: u8 = 11;
const DISALLOWED: u8 = 12;
const RESPONDED: u8 = 13;

pub(crate) const INSERT: &str = "INSERT INTO entry (at, whom, kind, reason, block, until, strike,
        charge, level, styles, trust, first, last, packets, targets, endpoints, protocols, convicted, rule, wished)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)";

/// The columns of an entry, in the order in which [`read`] reads them.
pub(crate) const COLUMNS: &str = "at, whom, kind, reason, block, until, strike,
    charge, level, styles, trust, first, last, packets, targets, endpoints, protocols, convicted, rule, wished";

/// The columns that say what was decided or happened.
#[derive(Default)]
struct Fate {
    kind: u8,
    reason: Option<u8>,
    block: Option<i64>,
    until: Option<i64>,
    strike: Option<u32>,
    rule: Option<u16>,
}

impl Fate {
    fn of(entry: &Entry) -> Fate {
        let none = Fate::default();
        let number = |id: BlockId| Some(whole(id.0));
        match *entry {
            Entry::Judged { verdict, .. } => match verdict {
                Verdict::Block { id, expiry, strike } => {
                    Fate { kind: BLOCK, block: number(id), until: expiry_column(expiry), strike: Some(strike), ..none }
                }
                Verdict::Extend { id, expiry, strike } => {
                    Fate { kind: EXTEND, block: number(id), until: expiry_column(expiry), strike: Some(strike), ..none }
                }
                Verdict::Watch { until, why } => Fate { kind: WATCH, reason: Some(why as u8), until: Some(nanos(until)), ..none },
                Verdict::Exempt(reason) => Fate { kind: EXEMPT, reason: Some(reason as u8), ..none },
                Verdict::Refuse(cap) => Fate { kind: REFUSE, reason: Some(cap as u8), ..none },
            },
            Entry::Turned { id, turn, .. } => Fate { kind: TURNED, reason: Some(turn.code()), block: number(id), ..none },
            Entry::Allowed { until, .. } => Fate { kind: ALLOWED, until: expiry_column(until), ..none },
            Entry::Disallowed { .. } => Fate { kind: DISALLOWED, ..none },
            Entry::Responded { id, name, add, ran, .. } => Fate {
                kind: RESPONDED,
                reason: Some(ran as u8),
                block: Some(whole(id.0)),
                strike: Some(u32::from(add)),
                rule: Some(name.0),
                ..none
            },
        }
    }
}

/// Inserts one entry with the prepared [`INSERT`].
pub(crate) fn write(insert: &mut CachedStatement<'_>, entry: &Entry) -> Result<(), Error> {
    let Fate { kind, reason, block, until, strike, rule: name } = Fate::of(entry);
    let (at, whom) = (nanos(entry.at()), Key::of(entry.whom()));
    match entry {
        Entry::Judged { offence, .. } => {
            let Offence { at: _, offender: _, charge, level, styles, trust, evidence, rule, wished, repeated: _, touch: _ } = offence;
            let Evidence { first, last, packets, targets, endpoints, protocols, convicted } = evidence;
            insert.execute(params![
                at,
                whom,
                kind,
                reason,
                block,
                until,
                strike,
                *charge as u8,
                level.number(),
                styles.bits(),
                *trust as u8,
                nanos(*first),
                nanos(*last),
                whole(*packets),
                targets,
                endpoints,
                protocols,
                convicted,
                rule.map(|rule| rule.0),
                wished.map(|span| whole(span.as_secs()))
            ])?;
        }
        Entry::Turned { .. } | Entry::Allowed { .. } | Entry::Disallowed { .. } | Entry::Responded { .. } => {
            let none = None::<u8>;
            insert.execute(params![
                at, whom, kind, reason, block, until, strike, none, none, none, none, none, none, none, none, none, none, none, name, none
            ])?;
        }
    }
    Ok(())
}

/// Reads [`COLUMNS`].
pub(crate) fn read(row: &Columns<'_, '_>) -> Result<Entry, Error> {
    let (at, whom, kind) = (row.time(0)?, row.prefix(1)?, row.number::<u8>(2)?);
    let id = || row.number(4).map(BlockId);
    let until = || row.maybe_time(5).map(expiry_of);
    let verdict = match kind {
        BLOCK => Verdict::Block { id: id()?, expiry: until()?, strike: row.number(6)? },
        EXTEND => Verdict::Extend { id: id()?, expiry: until()?, strike: row.number(6)? },
        WATCH => Verdict::Watch { until: row.time(5)?, why: row.one_of(3, &WatchReason::ALL)? },
        EXEMPT => Verdict::Exempt(row.one_of(3, &ExemptReason::ALL)?),
        REFUSE => Verdict::Refuse(row.one_of(3, &Cap::ALL)?),
        TURNED => return Ok(Entry::Turned { at, whom, id: id()?, turn: row.made(3, Turn::from_code)? }),
        ALLOWED => return Ok(Entry::Allowed { at, whom, until: until()? }),
        DISALLOWED => return Ok(Entry::Disallowed { at, whom }),
        RESPONDED => {
            let (add, ran) = (row.made(6, |n: u8| (n <= 1).then_some(n == 1))?, row.one_of(3, &Ran::ALL)?);
            return Ok(Entry::Responded { at, whom, id: row.number(4).map(RunId)?, name: row.number(18).map(RuleId)?, add, ran });
        }
        other => return Err(Error::Corrupt(format!("an entry of the unknown kind {other}"))),
    };
    let evidence = Evidence {
        first: row.time(11)?,
        last: row.time(12)?,
        packets: row.number(13)?,
        targets: row.number(14)?,
        endpoints: row.number(15)?,
        protocols: row.number(16)?,
        convicted: row.made(17, |n: u8| (n <= 1).then_some(n == 1))?,
    };
    let offence = Offence {
        at,
        offender: whom,
        charge: row.one_of(7, &Charge::ALL)?,
        level: row.made(8, DangerLevel::new)?,
        styles: StyleSet::from_bits(row.number(9)?),
        trust: row.one_of(10, &TRUST)?,
        evidence,
        rule: row.maybe(18)?.map(RuleId),
        // It has done its part, like the list below.
        touch: None,
        wished: row.maybe(19)?.map(Duration::from_secs),
        // The verdict says for how long.
        repeated: Repeated::default(),
    };
    Ok(Entry::Judged { offence, verdict })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_turn_has_its_number() {
        for (code, turn) in TURNS.into_iter().enumerate() {
            assert_eq!(usize::from(turn.code()), code);
        }
        for turn in TURNS.into_iter().chain(Fault::ALL.map(Turn::Failed)) {
            assert_eq!(Turn::from_code(turn.code()), Some(turn));
        }
        assert_eq!(Turn::from_code(TURNS.len() as u8), None);
        assert_eq!(Turn::from_code(u8::MAX), None);
    }
}
