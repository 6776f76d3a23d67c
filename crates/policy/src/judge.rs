//! The judge: one offence in, one decision out, and what follows from it. Never blocks what the exempt list touches, and never lets
//! forgeable evidence do more than its budget.
//!
//! The questions, in this order, the first answer counts: Is the offender exempt? Is it blocked already? Is the offence grave enough?
//! Is the evidence proof, and may evidence that can be forged block at all? Is there a storm? Does a cap stand in the way?
//!
//! A block that is taken back before its time (by a storm, an operator, an exemption, a responder that could not set it) takes the
//! strike that it earned back with it. An offence while a block stands lengthens it and is no new strike.

use crate::caps::{Passing, Window};
use crate::config::PolicyConfig;
use crate::escalate::{Strike, Strikes, escalated};
use crate::exempt::Exempt;
use crate::lists::Lists;
use crate::ruling::{Counters, Lift, Lifted, Ruling};
use crate::standing::{CHECKED, Record, Standing, ends_later};
use crate::storm::{Storm, StormReport, Weather};
use model::block::{Because, Block, BlockId, Change, Expiry, Scope};
use model::decision::{Cap, Decision, ExemptReason, Exemption, WatchReason};
use model::event::{Event, Trust};
use model::limits;
use model::net::Prefix;
use model::offence::Offence;
use model::time::Time;
use std::net::IpAddr;
use std::time::Duration;

/// The judge and all that it remembers.
#[derive(Debug, Clone)]
pub struct Judge {
    pub(crate) config: PolicyConfig,
    pub(crate) exempt: Exempt,
    pub(crate) lists: Lists,
    pub(crate) standing: Standing,
    pub(crate) strikes: Strikes,
    pub(crate) storm: Storm,
    pub(crate) clock: Passing,
    /// New blocks of the last minute: all for offences, and those on forgeable evidence.
    pub(crate) minute: Window,
    pub(crate) forgeable_minute: Window,
    pub(crate) next_id: u64,
    pub(crate) counters: Counters,
}

impl Judge {
    /// A judge without memory, whose first block will be number 1.
    pub fn new(config: PolicyConfig) -> Judge {
        Judge {
            exempt: Exempt::new(config.exempt.clone()),
            lists: Lists::default(),
            config,
            standing: Standing::default(),
            strikes: Strikes::default(),
            storm: Storm::default(),
            clock: Passing::default(),
            minute: Window::default(),
            forgeable_minute: Window::default(),
            next_id: 1,
            counters: Counters::default(),
        }
    }

    /// Decides about one offence.
    pub fn judge(&mut self, offence: &Offence, now: Time) -> (Decision, Ruling) {
        let mut ruling = self.open(now);
        let decision = self.decide(offence, now, &mut ruling);
        self.counters.count(&decision);
        self.close();
        (decision, ruling)
    }

    fn decide(&mut self, offence: &Offence, now: Time, ruling: &mut Ruling) -> Decision {
        let offender = offence.offender;
        if let Some(exemption) = self.exempt.covering(&offender) {
            return Decision::Exempt(exemption.reason);
        }
        if self.exempt.inside(&offender).is_some() {
            return Decision::Refuse(Cap::ExemptInside);
        }
        if let Some((_, record)) = self.standing.covering(&offender) {
            let end = record.expiry;
            return self.goes_on(offence, now, end, ruling);
        }
        if self.is_petty(offence) {
            return Decision::Refuse(Cap::Level);
        }
        let strike = self.strikes.next(&offender, now, self.config.strikes_forget);
        let span = self.span(offence, strike);
        if self.config.only_records(offence) {
            return Decision::Watch { until: now.after(span), why: WatchReason::Recorded };
        }
        let forgeable = offence.trust == Trust::Spoofable;
        if forgeable {
            if let Some(why) = self.weakness(offence) {
                return Decision::Watch { until: now.after(span), why };
            }
            match self.storm.weigh(offender, offence.evidence.last, self.clock.passed(), &self.config.storm) {
                Weather::Clear | Weather::Again => {}
                Weather::Paused => return Decision::Refuse(Cap::StormPause),
                Weather::Breaks => {
                    self.roll_back(now, ruling);
                    return Decision::Refuse(Cap::StormPause);
                }
            }
        }
        if let Some(cap) = self.cap_in_the_way(forgeable) {
            return Decision::Refuse(cap);
        }
        let Offence { charge, level, styles, trust, rule, .. } = *offence;
        let because = Because::Offence { charge, level, styles, trust, strike, rule };
        let block = self.make(offender, Expiry::At(now.after(span)), because, now, ruling);
        self.strikes.set(Strike { prefix: offender, count: strike, last: now }, &mut ruling.strikes);
        let passed = self.clock.passed();
        self.minute.add(passed, block.id);
        if forgeable {
            self.forgeable_minute.add(passed, block.id);
            self.storm.made(block.id, passed, &self.config.storm);
        }
        Decision::Block(block)
    }

    /// An offence of somebody who is blocked already, by a block that ends at `end`.
    fn goes_on(&mut self, offence: &Offence, now: Time, end: Expiry, ruling: &mut Ruling) -> Decision {
        let until = match end {
            Expiry::At(end) => end,
            Expiry::Never => now.after(self.config.block_max),
        };
        let watch = Decision::Watch { until, why: WatchReason::Standing };
        // Only the offender's own block moves: a wider one concerns others too.
        let Some(record) = self.standing.get(&offence.offender) else { return watch };
        let (id, old) = (record.id, record.expiry);
        let Some((expiry, because, strike)) = self.earned(record, offence, now) else { return watch };
        let later = ends_later(expiry, old);
        let Some(block) = self.standing.amend(&offence.offender, expiry, because) else { return watch };
        if offence.trust != Trust::Spoofable {
            self.storm.ended(id);
        }
        ruling.extended.push(block);
        if !later {
            return watch;
        }
        self.order(id, offence.offender, expiry, ruling);
        self.strikes.touch(&offence.offender, now, &mut ruling.strikes);
        Decision::Extend { id, expiry, strike }
    }

    /// The new end, grounds and strike of a standing block after a further offence; `None` if nothing changes.
    ///
    /// Proof counts from now on and makes a block on forgeable evidence a proven one. Forgeable evidence lengthens only blocks of its
    /// own kind, not in a storm's pause, and never beyond the longest that it can earn, counted from when the block was made.
    fn earned(&self, record: &Record, offence: &Offence, now: Time) -> Option<(Expiry, Because, u32)> {
        let (level, charge, styles, trust, strike, rule) = match record.because {
            Because::Offence { level, charge, styles, trust, strike, rule } => (level, charge, styles, trust, strike, rule),
            // The end of an operator's block is the operator's word; that of an adopted one may have been.
            Because::Adopted | Because::Operator { .. } => return None,
        };
        if record.rehearsed != self.config.dry_run || self.is_petty(offence) || self.config.only_records(offence) {
            return None;
        }
        let mut end = now.after(self.span(offence, strike));
        let proven = offence.trust != Trust::Spoofable;
        if !proven {
            if !record.is_forgeable() || self.storm.is_paused() || self.weakness(offence).is_some() {
                return None;
            }
            end = end.min(record.made.after(self.config.spoofable.block_max));
        }
        let later = ends_later(Expiry::At(end), record.expiry);
        let better_grounds = proven && record.is_forgeable();
        if !later && !better_grounds {
            return None;
        }
        let expiry = if later { Expiry::At(end) } else { record.expiry };
        let mut all_styles = styles;
        all_styles.extend(offence.styles);
        let because = Because::Offence {
            charge: if offence.level >= level { offence.charge } else { charge },
            rule: if offence.level >= level { offence.rule } else { rule },
            level: level.max(offence.level),
            styles: all_styles,
            trust: trust.max(offence.trust),
            strike,
        };
        Some((expiry, because, strike))
    }

    /// Whether such an offence earns no block at all.
    fn is_petty(&self, offence: &Offence) -> bool {
        offence.level < self.config.block_level || self.config.first_block(offence).min(self.config.block_max).is_zero()
    }

    /// Why this forgeable evidence earns no more than a watch, if so.
    fn weakness(&self, offence: &Offence) -> Option<WatchReason> {
        if !offence.evidence.convicted {
            return Some(WatchReason::Unproven);
        }
        let may_block = self.config.spoofable.may_block && !self.config.spoofable.block_max.is_zero();
        (!may_block).then_some(WatchReason::Forgeable)
    }

    fn span(&self, offence: &Offence, strike: u32) -> Duration {
        // A rule's author who says how long for whom comes back has said it: nothing is multiplied on top.
        let full = match offence.repeated.span(strike) {
            Some(span) => span.min(self.config.block_max),
            None => escalated(self.config.first_block(offence), self.config.escalation, strike, self.config.block_max),
        };
        match offence.trust {
            Trust::Spoofable => full.min(self.config.spoofable.block_max),
            Trust::Handshake | Trust::Vouched => full,
        }
    }

    pub(crate) fn cap_in_the_way(&mut self, forgeable: bool) -> Option<Cap> {
        let passed = self.clock.passed();
        let used_up = |window: &mut Window, cap: u32| window.count(passed) >= (cap as usize).min(limits::BLOCKS);
        if forgeable && used_up(&mut self.forgeable_minute, self.config.spoofable.blocks_per_minute) {
            return Some(Cap::SpoofableBudget);
        }
        if forgeable && self.standing.forgeable_len() >= self.config.spoofable.blocks_standing {
            return Some(Cap::SpoofableStanding);
        }
        if used_up(&mut self.minute, self.config.blocks_per_minute) {
            return Some(Cap::PerMinute);
        }
        let full = self.standing.len() >= self.config.blocks_total.min(limits::BLOCKS) || self.next_id == u64::MAX;
        full.then_some(Cap::Total)
    }

    fn roll_back(&mut self, now: Time, ruling: &mut Ruling) {
        let undone = self.storm.begin(now, self.clock.passed(), &self.config.storm, self.standing.forgeable());
        self.counters.storms += 1;
        self.counters.rolled_back += undone.len() as u64;
        for id in undone {
            self.refund(id);
            self.lift(id, Lift::RollBack, ruling);
        }
    }

    /// Gives a block's place in the minute back.
    pub(crate) fn refund(&mut self, id: BlockId) {
        self.minute.refund(id);
        self.forgeable_minute.refund(id);
    }

    /// Makes a block. The caller has asked the exempt list and the caps.
    pub(crate) fn make(&mut self, prefix: Prefix, expiry: Expiry, because: Because, now: Time, ruling: &mut Ruling) -> Block {
        let id = BlockId(self.next_id);
        self.next_id += 1;
        let record = Record { id, made: now, expiry, because, rehearsed: self.config.dry_run };
        let block = record.block(prefix);
        self.standing.insert(prefix, record);
        ruling.made.push(block.clone());
        self.order(id, prefix, expiry, ruling);
        block
    }

    /// The one place from which a block goes out to the firewall.
    pub(crate) fn order(&self, id: BlockId, prefix: Prefix, expiry: Expiry, ruling: &mut Ruling) {
        debug_assert!(!self.exempt.touches(&prefix), "{prefix} is exempt");
        if !self.config.dry_run {
            ruling.changes.push(Change::Add { id, scope: Scope::Source(prefix), expiry });
        }
    }

    /// Takes a block back, and the strike that it earned.
    pub(crate) fn lift(&mut self, id: BlockId, why: Lift, ruling: &mut Ruling) {
        let Some((prefix, record)) = self.standing.remove(id) else { return };
        self.storm.ended(id);
        self.withdraw_strike(&prefix, &record, ruling);
        self.counters.lifted += 1;
        let scope = Scope::Source(prefix);
        ruling.lifted.push(Lifted { id, scope, level: record.because.level(), why, rehearsed: record.rehearsed });
        if !record.rehearsed {
            ruling.changes.push(Change::Remove { id, scope });
        }
    }

    pub(crate) fn withdraw_strike(&mut self, prefix: &Prefix, record: &Record, ruling: &mut Ruling) {
        match record.because {
            Because::Offence { .. } => self.strikes.withdraw(prefix, &mut ruling.strikes),
            Because::Adopted | Because::Operator { .. } => {}
        }
    }

    /// Every call that is told the time begins here: what is over goes.
    pub(crate) fn open(&mut self, now: Time) -> Ruling {
        let mut ruling = Ruling { dry_run: self.config.dry_run, ..Ruling::default() };
        if let Some(step) = self.clock.advance(now) {
            self.storm.set_back(now);
            // The kernel's timers did not notice: what has a minute left there has a minute left here, too.
            let moved = self.standing.set_back(step);
            self.moved(moved, now, &mut ruling);
        }
        self.exempt.expire(now);
        ruling.lapsed = self.exempt.take_lapsed();
        self.storm.settle(self.clock.passed());
        for (prefix, record) in self.standing.expire(now) {
            self.counters.expired += 1;
            self.storm.ended(record.id);
            if !record.rehearsed {
                ruling.expired.push((record.id, prefix, record.because.level()));
            }
        }
        ruling
    }

    /// Blocks whose end is another since the clock was set.
    pub(crate) fn moved(&mut self, moved: Vec<Block>, now: Time, ruling: &mut Ruling) {
        for block in moved.into_iter().filter(|block| !self.standing.is_rehearsed(block.id)) {
            // A responder joins and cuts ranges by their ends: it must know the new ones.
            if !block.scope.prefix().is_host() && !block.expiry.is_over(now) {
                self.order(block.id, block.scope.prefix(), block.expiry, ruling);
            }
            ruling.extended.push(block);
        }
    }

    /// Every call that changes anything ends here.
    pub(crate) fn close(&self) {
        if cfg!(debug_assertions) {
            self.check_invariants();
        }
    }

    /// Whether the ignore list takes this event out before any detector sees it.
    pub fn ignores(&self, event: &Event) -> bool {
        self.config.ignores(event)
    }

    /// The blocks that stand, sorted by prefix.
    pub fn standing(&self) -> impl Iterator<Item = Block> {
        self.standing.iter().map(|(prefix, record)| record.block(*prefix))
    }

    /// The block that covers this address; of several the one that ends last.
    pub fn standing_for(&self, addr: IpAddr) -> Option<Block> {
        self.standing.covering(&Prefix::host(addr)).map(|(prefix, record)| record.block(prefix))
    }

    /// The block with this number, if it stands.
    pub fn block_of(&self, id: BlockId) -> Option<Block> {
        self.standing.find(id).map(|(prefix, record)| record.block(prefix))
    }

    /// The block of just this prefix.
    pub fn block_for(&self, prefix: &Prefix) -> Option<Block> {
        self.standing.get(prefix).map(|record| record.block(*prefix))
    }

    /// Whether the block with this number stands.
    pub fn stands(&self, id: BlockId) -> bool {
        self.standing.has(id)
    }

    /// Whether a responder has set the block with this number (or, after a restart, may have).
    pub fn is_confirmed(&self, id: BlockId) -> bool {
        self.standing.is_confirmed(id)
    }

    /// Whether the block with this number stands in a dry run only.
    pub fn is_rehearsed(&self, id: BlockId) -> bool {
        self.standing.is_rehearsed(id)
    }

    /// Why all of this prefix is exempt, if it is.
    pub fn is_exempt(&self, prefix: &Prefix) -> Option<ExemptReason> {
        self.exempt.covering(prefix).map(|exemption| exemption.reason)
    }

    /// The exempt list, sorted by prefix; each prefix once, with the reason that takes precedence.
    pub fn exemptions(&self) -> Vec<Exemption> {
        self.exempt.list().collect()
    }

    /// The strikes that are remembered, sorted by prefix.
    pub fn strikes(&self) -> impl Iterator<Item = Strike> {
        self.strikes.list()
    }

    /// What was done so far, and what is held now.
    pub fn counters(&self) -> Counters {
        Counters {
            strikes: self.strikes.len(),
            strikes_forgotten: self.strikes.forgotten(),
            standing: self.standing.len(),
            standing_forgeable: self.standing.forgeable_len(),
            exemptions_dropped: self.exempt.dropped(),
            ..self.counters
        }
    }

    /// The storm whose pause lasts, as of the latest call.
    pub fn storm(&self) -> Option<StormReport> {
        self.storm.report(self.clock.latest(), self.clock.passed())
    }

    /// Panics if the tables contradict each other. With many blocks it looks at a sample.
    pub fn check_invariants(&self) {
        self.exempt.check_invariants();
        self.standing.check_invariants();
        self.strikes.check_invariants();
        self.storm.check_invariants();
        self.minute.check_invariants();
        self.forgeable_minute.check_invariants();
        for (prefix, record) in self.standing.iter().take(CHECKED) {
            assert!(!self.exempt.touches(prefix), "{prefix} is blocked and exempt");
            assert!(record.id.0 < self.next_id, "{} was given out before its time", record.id);
        }
        for id in self.storm.recent() {
            let kind = self.standing.find(id).map(|(_, record)| record.is_forgeable());
            assert_eq!(kind, Some(true), "a storm could take back {id}");
        }
    }
}
