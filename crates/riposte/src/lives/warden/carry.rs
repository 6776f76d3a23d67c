//! Changes on their way to the life `responder` and back: what the kernel has taken is answered at once, what it has not waits for the others,
//! and for a bounded time. Nothing reaches them that the exempt list protects.

use super::{Warden, monotonic};
use crate::config::respond::Mode;
use crate::lives::channel::{self, Channel};
use link::message::{Counter, Life, Message};
use model::block::{BlockId, Change, Expiry, Fault, Installed, Outcome, Scope};
use model::limits;
use model::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// So long an answer is waited for: some runs of a tool that takes its ten seconds each.
const PATIENCE: Duration = Duration::from_secs(40);

/// A batch with changes for whose outcome the judge waits.
#[derive(Debug)]
struct Batch {
    until: Time,
    awaited: Vec<Awaited>,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    /// Its place in the batch.
    place: usize,
    change: Change,
    /// What the kernel made of it.
    kernel: Outcome,
}

/// What the responder was handed and what it told.
#[derive(Debug, Default)]
pub struct Carry {
    next: u32,
    waiting: BTreeMap<u32, Batch>,
    /// The batch whose answer is waited for about each of these, unless something newer was ordered about it.
    latest: BTreeMap<Scope, u32>,
    /// What it has, as far as told; and all of it, until the judge has heard what the kernel has.
    pieces: Vec<Installed>,
    list: Option<Vec<Installed>>,
    judge_has_asked: bool,
    /// It was too slow for all changes: it is to be compared with the ledger.
    is_behind: bool,
    counters: Vec<Counter>,
    /// The judge waits for figures with ours.
    counts_for: Option<usize>,
    /// It was too slow to be told who is exempt.
    owes_exempt: bool,
    /// Whom the responder waits for and hears nothing from, a bit; 0: nobody.
    silent: u16,
    /// What the kernel refused and somebody else took.
    elsewhere: BTreeSet<Scope>,
    unanswered: u64,
}

impl Carry {
    /// When somebody has waited long enough.
    pub fn due(&self) -> Option<Time> {
        self.waiting.values().map(|batch| batch.until).min()
    }

    /// Takes out a batch whose answer is waited for no longer; with each of its changes, whether nothing newer was ordered about the same.
    fn end(&mut self, number: u32) -> Option<Vec<(Awaited, bool)>> {
        let Batch { awaited, .. } = self.waiting.remove(&number)?;
        let is_latest: Vec<bool> = awaited.iter().map(|awaited| self.latest.get(&awaited.change.scope()) == Some(&number)).collect();
        let ended: Vec<_> = awaited.into_iter().zip(is_latest).collect();
        for (awaited, _) in ended.iter().filter(|(_, is_latest)| *is_latest) {
            self.latest.remove(&awaited.change.scope());
        }
        Some(ended)
    }

    /// How many changes are looked after until they are answered; two numbers that agree.
    #[cfg(test)]
    pub fn bookkeeping(&self) -> [usize; 2] {
        [self.waiting.values().map(|batch| batch.awaited.len()).sum(), self.latest.len()]
    }

    /// For `status`.
    pub fn counters(&self) -> impl Iterator<Item = Counter> {
        let own = Counter { name: "changes that the responders did not answer".into(), value: self.unanswered };
        self.counters.iter().cloned().chain(std::iter::once(own).filter(|_| !self.counters.is_empty()))
    }
}

impl Warden {
    /// Whether others than the kernel are configured.
    pub(super) fn responds_elsewhere(&self) -> bool {
        self.config.respond.carried().next().is_some()
    }

    fn responder(&self) -> Option<usize> {
        self.wards.iter().position(|ward| ward.life == Life::Responder && ward.link.is_some())
    }

    /// Hands on what the others are to do. Returns what can be answered now, by the kernel's outcomes of the batch.
    pub(super) fn carry(&mut self, batch: &[Change], outcomes: Vec<Outcome>) -> Vec<(BlockId, Outcome)> {
        let ids = batch.iter().map(Change::id);
        if !self.responds_elsewhere() {
            return ids.zip(outcomes).collect();
        }
        let responder = self.responder().filter(|index| self.wards[*index].link.as_ref().is_some_and(|link| !link.is_congested()));
        let (mut answers, mut changes, mut awaited) = (Vec::new(), Vec::new(), Vec::new());
        for (change, outcome) in batch.iter().zip(outcomes) {
            let is_taken = matches!(outcome, Outcome::Added | Outcome::Removed);
            let waits = match (change, outcome) {
                (_, Outcome::Failed(Fault::Exempt) | Outcome::Added | Outcome::Removed) => false,
                // What still stands in the kernel is not lifted, whatever the others say.
                (Change::Remove { .. }, Outcome::Failed(_)) => false,
                (Change::Add { .. }, Outcome::Failed(_)) | (_, Outcome::Unsupported) => true,
            };
            let is_handed = match change {
                Change::Add { .. } => outcome != Outcome::Failed(Fault::Exempt) && (!is_taken || self.config.respond.mode == Mode::All),
                Change::Remove { .. } => true,
            };
            // What the kernel has now, with an end of its own, nobody else is to keep.
            let leaves = is_taken && responder.is_some() && self.carry.elsewhere.remove(&change.scope()) && !is_handed;
            let change = if leaves { Change::Remove { id: change.id(), scope: change.scope() } } else { *change };
            let is_handed = is_handed || leaves;
            match responder {
                Some(_) if is_handed => {
                    if waits {
                        awaited.push(Awaited { place: changes.len(), change, kernel: outcome });
                    } else {
                        answers.push((change.id(), outcome));
                    }
                    changes.push(change);
                }
                Some(_) => answers.push((change.id(), outcome)),
                None => {
                    self.carry.is_behind |= is_handed;
                    self.carry.unanswered += u64::from(is_handed);
                    let outcome = if outcome == Outcome::Unsupported { Outcome::Failed(Fault::Unreachable) } else { outcome };
                    answers.push((change.id(), outcome));
                }
            }
        }
        if let Some(index) = responder.filter(|_| !changes.is_empty()) {
            self.hand_over(index, changes, awaited);
        }
        answers
    }

    fn hand_over(&mut self, responder: usize, changes: Vec<Change>, awaited: Vec<Awaited>) {
        self.carry.next = self.carry.next.wrapping_add(1);
        let batch = self.carry.next;
        for change in &changes {
            self.carry.latest.remove(&change.scope());
        }
        self.carry.latest.extend(awaited.iter().map(|awaited| (awaited.change.scope(), batch)));
        if !awaited.is_empty() {
            self.carry.waiting.insert(batch, Batch { until: monotonic().after(PATIENCE), awaited });
        }
        self.send(responder, &Message::Carry { batch, changes }, None);
    }

    /// The responder answers. Of batches for which nobody waits nothing is to be told.
    pub(super) fn carried(&mut self, batch: u32, outcomes: &[Outcome]) {
        let Some(awaited) = self.carry.end(batch) else { return };
        let mut answers = Vec::with_capacity(awaited.len());
        for (Awaited { place, change, kernel }, _) in awaited {
            let outcome = outcomes.get(place).copied().unwrap_or(Outcome::Failed(Fault::Refused));
            if outcome == Outcome::Added && kernel != Outcome::Unsupported && self.carry.elsewhere.len() < limits::CARRIED {
                self.carry.elsewhere.insert(change.scope());
            }
            let outcome = match (outcome, kernel) {
                (Outcome::Added | Outcome::Removed, _) | (_, Outcome::Unsupported) => outcome,
                // The kernel's own words tell more.
                (Outcome::Failed(_) | Outcome::Unsupported, kernel) => kernel,
            };
            answers.push((change.id(), outcome));
        }
        self.send_judge(&Message::Outcomes(answers), None);
    }

    /// Gives up waiting where it took too long.
    pub(super) fn give_up(&mut self) {
        let now = monotonic();
        let late: Vec<u32> = self.carry.waiting.iter().filter(|(_, batch)| batch.until <= now).map(|(number, _)| *number).collect();
        self.give_up_on(late);
        if self.carry.owes_exempt {
            self.tell_exempt();
        }
        // It keeps up again: what it has missed the judge finds out.
        if self.carry.is_behind
            && let Some(index) =
                self.responder().filter(|index| self.wards[*index].link.as_ref().is_some_and(|link| !link.wants_to_write()))
        {
            self.carry.is_behind = false;
            self.send(index, &Message::AskInstalled, None);
        }
    }

    /// What nobody has answered has failed; if it is done all the same, late, it is undone.
    fn give_up_on(&mut self, batches: Vec<u32>) {
        for number in batches {
            let Some(awaited) = self.carry.end(number) else { continue };
            self.carry.unanswered += awaited.len() as u64;
            // Not what has been ordered anew since.
            let undo = awaited.iter().filter(|(_, is_latest)| *is_latest).map(|(awaited, _)| awaited.change);
            let undo = undo.filter(|change| matches!(change, Change::Add { .. }));
            let undo: Vec<Change> = undo.map(|change| Change::Remove { id: change.id(), scope: change.scope() }).collect();
            if let Some(index) = self.responder().filter(|_| !undo.is_empty()) {
                self.hand_over(index, undo, Vec::new());
            }
            let failed = awaited.iter().map(|(awaited, _)| (awaited.change.id(), Outcome::Failed(Fault::Unreachable)));
            self.send_judge(&Message::Outcomes(failed.collect()), None);
        }
    }

    /// Has the others let go whoever is exempt now, in case that the judge is away. What they are asked to block later is looked through here.
    pub(super) fn tell_exempt(&mut self) {
        let Some(index) = self.responder() else { return };
        // In a full queue one piece would take another one's place: all of them are told once it is read again.
        self.carry.owes_exempt = self.wards[index].link.as_ref().is_some_and(Channel::is_congested);
        if self.carry.owes_exempt {
            return;
        }
        for piece in self.shield.prefixes().chunks(limits::ALLOWED_TOLD) {
            let list = piece.iter().map(|prefix| (*prefix, Expiry::Never)).collect();
            self.send(index, &Message::Allowed(list), None);
        }
    }

    /// The responder has begun again: whatever it was at is not known.
    pub(super) fn lose_carried(&mut self) {
        self.carry.pieces.clear();
        self.give_up_on(self.carry.waiting.keys().copied().collect());
    }

    /// What the responder really has, in pieces.
    pub(super) fn take_installed(&mut self, last: bool, mut items: Vec<Installed>) {
        let room = (2 * limits::CARRIED).saturating_sub(self.carry.pieces.len());
        self.malformed += u64::from(items.len() > room);
        items.truncate(room);
        self.carry.pieces.append(&mut items);
        if last {
            self.carry.list = Some(std::mem::take(&mut self.carry.pieces));
            self.tell_installed();
            self.tell_exempt();
        }
    }

    /// The judge compares it with the ledger, as he does what the kernel has, and behind that: of a lost ledger only the kernel's blocks say when they end.
    fn tell_installed(&mut self) {
        let Some(list) = self.carry.list.take_if(|_| self.carry.judge_has_asked) else { return };
        for message in channel::installed(&list) {
            self.send_judge(&message, None);
        }
    }

    /// The judge asks what is there.
    pub(super) fn installed(&mut self, judge: usize) {
        self.carry.judge_has_asked = true;
        if self.config.respond.has_kernel() || self.config.respond.is_null() {
            self.tell_kernel(judge);
        } else if self.carry.list.is_none() {
            match self.responder() {
                Some(index) => self.send(index, &Message::AskInstalled, None),
                None => self.send(judge, &Message::Installed { last: true, items: Vec::new() }, None),
            }
        }
        self.tell_installed();
    }

    /// A new judge asks first.
    pub(super) fn judge_begins(&mut self) {
        self.carry.judge_has_asked = false;
        if self.carry.silent != 0 {
            self.send_judge(&Message::Silent(self.carry.silent), None);
        }
    }

    /// The responder waits for one of its own, and answers nobody meanwhile; or does so no more.
    pub(super) fn fall_silent(&mut self, bit: u16) {
        if std::mem::replace(&mut self.carry.silent, bit) != bit {
            self.send_judge(&Message::Silent(bit), None);
        }
        if let Some(judge) = self.carry.counts_for.take_if(|_| bit != 0) {
            self.tell_counters(judge);
        }
    }

    /// The judge asks for figures: the responder's come first, and late ones are told as they were.
    pub(super) fn ask_counters(&mut self, judge: usize) {
        match self.responder().filter(|_| self.carry.silent == 0) {
            Some(index) => {
                self.carry.counts_for = Some(judge);
                self.send(index, &Message::AskCounters, None);
            }
            None => self.tell_counters(judge),
        }
    }

    pub(super) fn take_counters(&mut self, counters: Vec<Counter>) {
        self.carry.counters = counters;
        if let Some(judge) = self.carry.counts_for.take() {
            self.tell_counters(judge);
        }
    }

    fn tell_counters(&mut self, judge: usize) {
        let counters = self.counters();
        self.send(judge, &Message::Counters(counters), None);
    }

    /// The judge asks who has these.
    pub(super) fn ask_held(&mut self, scopes: Vec<Scope>) {
        if let Some(index) = self.responder() {
            self.send(index, &Message::AskHeld(scopes), None);
        }
    }

    /// Who has these, the kernel among them.
    pub(super) fn take_held(&mut self, mut held: Vec<(Scope, u16)>) {
        if self.config.respond.has_kernel() {
            // It is the first.
            held.iter_mut().filter(|(scope, _)| !self.carry.elsewhere.contains(scope)).for_each(|(_, by)| *by |= 1);
        }
        self.send_judge(&Message::Held(held), None);
    }
}
