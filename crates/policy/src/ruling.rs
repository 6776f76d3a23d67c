//! What follows from a call to the judge: what to write to the ledger, then what to change in the firewall. Never does either.

use crate::escalate::StrikeChange;
use model::block::{Block, BlockId, Change, Scope};
use model::decision::{Cap, Decision, ExemptReason, Exemption, WatchReason};
use model::level::DangerLevel;
use model::net::Prefix;
use std::fmt;

/// The consequences of one call. The caller first writes `made` to `strikes` to its store, then sends `changes`.
///
/// In a dry run (`dry_run`) the table moves on as it would in earnest, but nothing that is made or extended comes with a change, and
/// none of it belongs in the ledger: the caller only prints it. What an earlier run in earnest has set is still lifted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "a ruling that is dropped is a block that nobody sets or lifts"]
pub struct Ruling {
    /// Print, and keep out of the ledger.
    pub dry_run: bool,
    /// New blocks.
    pub made: Vec<Block>,
    /// Blocks that stand and have a new end or new grounds, as they are now.
    pub extended: Vec<Block>,
    /// Blocks taken back before their time.
    pub lifted: Vec<Lifted>,
    /// Blocks whose time was up by this call's `now`, but for those of a dry run: whom they concerned, and the danger level that an offence had
    /// earned them. The kernel has let go of them by itself.
    pub expired: Vec<(BlockId, Prefix, Option<DangerLevel>)>,
    /// Allowances whose time was up by this call's `now`. The ledger is to forget them, or a clock set back would bring them back.
    pub lapsed: Vec<Prefix>,
    /// What to remember of past strikes.
    pub strikes: Vec<StrikeChange>,
    /// For the responder, in this order.
    pub changes: Vec<Change>,
}

/// A block taken back before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lifted {
    /// Its number.
    pub id: BlockId,
    /// Whom it concerned.
    pub scope: Scope,
    /// The danger level that an offence had earned it.
    pub level: Option<DangerLevel>,
    /// Why it was taken back.
    pub why: Lift,
    /// It was made in a dry run: neither ledger nor firewall know of it.
    pub rehearsed: bool,
}

/// Why a block was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lift {
    /// An operator's order.
    Operator,
    /// It touches an address that has become exempt.
    Exempt(ExemptReason),
    /// It was made on forgeable evidence in what turned out to be a storm.
    RollBack,
    /// It was made in a dry run that is over.
    Rehearsal,
}

impl fmt::Display for Lift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lift::Operator => f.write_str("lifted by an operator"),
            Lift::Exempt(reason) => write!(f, "now exempt: {reason}"),
            Lift::RollBack => f.write_str("rolled back: made on forgeable evidence in a storm"),
            Lift::Rehearsal => f.write_str("the dry run is over"),
        }
    }
}

/// Why an operator's order, or a block from the ledger, is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// This entry of the exempt list protects all of the prefix.
    Exempt(Exemption),
    /// This entry of the exempt list lies inside the prefix.
    ExemptInside(Exemption),
    /// There are as many blocks as the table can hold.
    Full,
    /// There are as many allowances as there may be.
    AllowancesFull,
    /// The time given is over already.
    Past,
    /// A block made in earnest stands there, which a dry run leaves alone.
    DryRun,
    /// Another block stands for the same prefix, or with the same number.
    Duplicate,
    /// A cap stands in the way.
    Cap(Cap),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Exempt(by) => write!(f, "{} is exempt: {}", by.prefix, by.reason),
            Refusal::ExemptInside(by) => write!(f, "it holds {}, which is exempt: {}", by.prefix, by.reason),
            Refusal::Full => f.write_str("there are as many blocks as there may be in all"),
            Refusal::AllowancesFull => f.write_str("there are as many allowances as there may be in all"),
            Refusal::Past => f.write_str("the time given is over already"),
            Refusal::DryRun => f.write_str("a block made in earnest stands there, and this is a dry run"),
            Refusal::Duplicate => f.write_str("another block stands for the same prefix or with the same number"),
            Refusal::Cap(cap) => cap.fmt(f),
        }
    }
}

impl std::error::Error for Refusal {}

/// What the judge has done since it was made, and what it holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Blocks made for offences.
    pub made: u64,
    /// Blocks made by an operator's order.
    pub ordered: u64,
    /// Blocks given a later end for a further offence.
    pub extended: u64,
    /// Blocks taken back before their time, the rolled back among them.
    pub lifted: u64,
    /// Blocks whose time ran out.
    pub expired: u64,
    /// Blocks that no responder could set.
    pub failed: u64,
    /// Storms.
    pub storms: u64,
    /// Blocks that storms rolled back.
    pub rolled_back: u64,
    /// Offenders whose strikes were forgotten because the table was full.
    pub strikes_forgotten: u64,
    /// Offenders whose strikes are remembered now.
    pub strikes: usize,
    /// Blocks that stand now.
    pub standing: usize,
    /// Blocks that stand now on forgeable evidence alone.
    pub standing_forgeable: usize,
    /// Derived exemptions of the present set that had no room.
    pub exemptions_dropped: usize,
    pub(crate) refused: [u64; Cap::ALL.len()],
    pub(crate) exempt: [u64; ExemptReason::ALL.len()],
    pub(crate) watched: [u64; WatchReason::ALL.len()],
}

impl Counters {
    /// Offences that this cap kept from a block.
    pub fn refused(&self, cap: Cap) -> u64 {
        self.refused[cap as usize]
    }

    /// Offences that this exemption protected.
    pub fn exempt(&self, reason: ExemptReason) -> u64 {
        self.exempt[reason as usize]
    }

    /// Offences that earned no more than a watch.
    pub fn watched(&self, why: WatchReason) -> u64 {
        self.watched[why as usize]
    }

    pub(crate) fn count(&mut self, decision: &Decision) {
        match decision {
            Decision::Block(_) => self.made += 1,
            Decision::Extend { .. } => self.extended += 1,
            Decision::Watch { why, .. } => self.watched[*why as usize] += 1,
            Decision::Exempt(reason) => self.exempt[*reason as usize] += 1,
            Decision::Refuse(cap) => self.refused[*cap as usize] += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_counter() {
        let mut counters = Counters::default();
        for (n, cap) in Cap::ALL.into_iter().enumerate() {
            (0..=n).for_each(|_| counters.count(&Decision::Refuse(cap)));
        }
        for (n, reason) in ExemptReason::ALL.into_iter().enumerate() {
            (0..=n).for_each(|_| counters.count(&Decision::Exempt(reason)));
        }
        assert!(Cap::ALL.into_iter().enumerate().all(|(n, cap)| counters.refused(cap) == n as u64 + 1));
        assert!(ExemptReason::ALL.into_iter().enumerate().all(|(n, reason)| counters.exempt(reason) == n as u64 + 1));
        for (n, why) in WatchReason::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, n);
        }
    }
}
