//! Storms: many offenders at once on evidence that anybody can forge. Never touches a block that rests on better evidence or on an
//! operator's order.
//!
//! Whoever can forge source addresses can make anybody look like a scanner. If many different addresses would be blocked on such
//! evidence within a short time, that is what is probably going on, so the forgeable blocks of that time are taken back and forgeable
//! evidence blocks nobody new for a pause. What can a forger gain from this?
//!
//! - *Free an offender with proof against it*: nothing. Proven blocks are not counted, not rolled back and not paused.
//! - *Free himself, blocked on forgeable evidence*: nothing that lasts. A block older than the window stays. A younger one is rolled
//!   back, but it is remembered who had one: the next conviction that rests on packets after the roll-back blocks him again at once,
//!   pause or no pause. The same holds for those whose older blocks run out during the pause, or a storm would outlast the block.
//!   The roll-back gives the places in the minute's budget back, so that it is not the storm itself that keeps him free.
//! - *Have innocents blocked*: no more than the budget. A storm never adds a place: as many may stand at one time as without it. Only
//!   within the minute of the roll-back can up to twice the minute's budget be touched, the first half of them already free again.
//!   Forging those again that were rolled back makes blocks within that same budget and not one more.
//! - *Keep the pause going*: with one more storm's worth of different offenders in each window. Meanwhile a scanner with lone packets
//!   who was never blocked before is only watched. The forger could have that without a storm, by using up the budget; and it ends
//!   with the first completed handshake. The other choice would be to block on evidence known to be forged.
//! - *Make blocks flap*: one roll-back for each pause, however long the storm lasts. Re-blocked offenders are not rolled back a second
//!   time by the storm that goes on; a new storm after the pause costs each the time until its next conviction, and takes again only
//!   what was made in its own window.
//!
//! The count starts afresh with each storm's worth, so that the offenders that began a pause neither prolong it nor begin the next.
//! A restart keeps the pause, the minute's count and the number of forgeable blocks that stand, so that the budget still holds. It forgets whom
//! the storm had rolled back: until the pause is over they are watched like everybody else who has no block.

use crate::config::StormConfig;
use model::block::BlockId;
use model::limits;
use model::net::Prefix;
use model::time::Time;
use std::collections::{BTreeMap, BTreeSet};

/// A storm that lasts or whose pause does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StormReport {
    /// When it was recognised.
    pub since: Time,
    /// When its pause ends, unless it goes on.
    pub until: Time,
    /// How many blocks were rolled back.
    pub rolled_back: usize,
}

/// What the state of the storm means for one offender that forgeable evidence would block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// No storm.
    Clear,
    /// A pause, but this one was blocked when the storm began, and has gone on since.
    Again,
    /// A pause.
    Paused,
    /// This offender is the one too many: roll back.
    Breaks,
}

#[derive(Debug, Clone)]
struct Pause {
    since: Time,
    /// In passed time.
    until: Time,
    rolled_back: usize,
    /// Who had a block on forgeable evidence when the storm began, and when that was.
    known: BTreeMap<Prefix, Time>,
}

/// The state. Times called `passed` are those of `caps::Passing`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Storm {
    /// Different offenders within the window, by when they last would have been blocked.
    charged: BTreeMap<Prefix, Time>,
    by_age: BTreeSet<(Time, Prefix)>,
    /// Blocks on forgeable evidence that were made within the window and still stand.
    recent: BTreeMap<BlockId, Time>,
    pause: Option<Pause>,
}

impl Storm {
    /// Ends the pause when its time is up.
    pub(crate) fn settle(&mut self, passed: Time) {
        if self.pause.as_ref().is_some_and(|pause| pause.until <= passed) {
            self.pause = None;
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.pause.is_some()
    }

    /// The clock was set back to `now`: no roll-back is in the future.
    pub(crate) fn set_back(&mut self, now: Time) {
        for at in self.pause.iter_mut().flat_map(|pause| pause.known.values_mut()) {
            *at = now.min(*at);
        }
    }

    /// Counts an offender that forgeable evidence would block; its latest packet was `seen`.
    pub(crate) fn weigh(&mut self, offender: Prefix, seen: Time, passed: Time, config: &StormConfig) -> Weather {
        while let Some((at, prefix)) = self.by_age.first().copied()
            && passed.since(at) >= config.window
        {
            self.by_age.pop_first();
            self.charged.remove(&prefix);
        }
        if let Some(old) = self.charged.insert(offender, passed) {
            self.by_age.remove(&(old, offender));
        }
        self.by_age.insert((passed, offender));
        let stormy = self.charged.len() >= config.offenders.clamp(1, limits::STORM_OFFENDERS);
        if stormy {
            self.charged.clear();
            self.by_age.clear();
        }
        match &mut self.pause {
            None if stormy => Weather::Breaks,
            None => Weather::Clear,
            Some(pause) => {
                if stormy {
                    pause.until = pause.until.max(passed.after(config.pause));
                }
                let again = pause.known.get(&offender).is_some_and(|began| seen > *began);
                if again { Weather::Again } else { Weather::Paused }
            }
        }
    }

    /// Begins the pause; hands out the blocks to roll back. `standing` are those who have a block on
    /// forgeable evidence now, the youngest block first: at the bound those that are just rolled back are remembered.
    pub(crate) fn begin(&mut self, now: Time, passed: Time, config: &StormConfig, standing: impl Iterator<Item = Prefix>) -> Vec<BlockId> {
        self.forget(passed, config);
        let recent: Vec<BlockId> = std::mem::take(&mut self.recent).into_keys().collect();
        let known = standing.take(limits::STORM_OFFENDERS).map(|prefix| (prefix, now)).collect();
        self.pause = Some(Pause { since: now, until: passed.after(config.pause), rolled_back: recent.len(), known });
        recent
    }

    /// Goes on with the pause that an earlier run was in, for no longer than this configuration's. `standing` are those who have a block on
    /// forgeable evidence now.
    pub(crate) fn resume(
        &mut self,
        pause: StormReport,
        now: Time,
        passed: Time,
        config: &StormConfig,
        standing: impl Iterator<Item = Prefix>,
    ) {
        let until = passed.after(pause.until.since(now).min(config.pause));
        let known = standing.take(limits::STORM_OFFENDERS).map(|prefix| (prefix, now)).collect();
        self.pause = Some(Pause { since: pause.since, until, rolled_back: pause.rolled_back, known });
    }

    /// A block was made on forgeable evidence.
    pub(crate) fn made(&mut self, id: BlockId, passed: Time, config: &StormConfig) {
        self.forget(passed, config);
        self.recent.insert(id, passed);
    }

    /// A block stands no more, or now rests on better evidence.
    pub(crate) fn ended(&mut self, id: BlockId) {
        self.recent.remove(&id);
    }

    fn forget(&mut self, passed: Time, config: &StormConfig) {
        while let Some(oldest) = self.recent.first_entry()
            && passed.since(*oldest.get()) >= config.window
        {
            oldest.remove();
        }
    }

    /// The storm, as of the latest time `now` that the judge was told.
    pub(crate) fn report(&self, now: Time, passed: Time) -> Option<StormReport> {
        let pause = self.pause.as_ref()?;
        Some(StormReport { since: pause.since, until: now.after(pause.until.since(passed)), rolled_back: pause.rolled_back })
    }

    pub(crate) fn recent(&self) -> impl Iterator<Item = BlockId> {
        self.recent.keys().copied()
    }

    pub(crate) fn check_invariants(&self) {
        assert_eq!(self.charged.len(), self.by_age.len(), "an offender is missing from the order by age");
        assert!(self.charged.len() < limits::STORM_OFFENDERS);
        assert!(self.pause.as_ref().is_none_or(|pause| pause.known.len() <= limits::STORM_OFFENDERS));
        assert!(self.recent.values().is_sorted(), "a younger block has a lower number");
    }
}
