//! Responses beside a block: what is run when, and that it is undone. Decides by the exempt list and its caps like the judge, keeps each run
//! in the ledger from before its `add` to after its `delete`, and never says more of a program than its number.

use super::Court;
use model::block::{BlockId, Change, Expiry};
use model::decision::{Decision, WatchReason};
use model::event::{Act, Event, Repeated, Trust};
use model::limits;
use model::net::{Prefix, Protocol};
use model::offence::Offence;
use model::response::{Ground, Order, Ran, ResponseId, RunId, UserName};
use model::time::Time;
use policy::judge::Judge;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use store::entry::Entry;
use store::runs::Run;

/// The cap on new runs counts over this.
const MINUTE: Duration = Duration::from_secs(60);
/// A `delete` that failed is tried again after this, twice as long each time, and so often in all.
const AGAIN: Duration = Duration::from_secs(10);
const TRIES: u32 = 4;
/// No answer comes after this: no program may run for so long.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// A response as the court knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Its name.
    pub name: String,
    /// What it is run for besides a rule that asks for it.
    pub with: With,
    /// For how long a block waits for it to run first, at most; `None`: it is run once the block is set.
    pub first: Option<Duration>,
    /// Whether it is undone (`delete`) in the end.
    pub undone: bool,
    /// Whether it wants to know a user.
    pub wants_user: bool,
    /// For how long it stands if nobody says; `None`: then for good.
    pub stands: Option<Duration>,
    /// New runs a minute.
    pub per_minute: u32,
}

/// What a response is run for besides a rule that asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum With {
    /// Nothing.
    Rules,
    /// Each block of a single address.
    Blocks,
    /// Each charged touch of a guarded port, whether it may block or not.
    Touches {
        /// Of TCP ports.
        tcp: bool,
        /// Of UDP ports.
        udp: bool,
    },
}

impl With {
    /// Whether it is run for this.
    fn is_for(self, ground: &Ground) -> bool {
        match self {
            With::Rules => false,
            With::Blocks => true,
            With::Touches { tcp, udp } => ground.touch.is_some_and(|touch| if touch.protocol == Protocol::UDP { udp } else { tcp }),
        }
    }
}

/// What a rule asks for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Which response.
    pub response: ResponseId,
    /// Whose account.
    pub user: Option<UserName>,
    /// The rule's own number.
    pub rule: Option<u32>,
    /// For how long.
    pub stands: Option<Duration>,
    /// And for how long if the offender comes back.
    pub repeated: Repeated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// `add` was sent then, and nobody has answered yet: no `delete` may pass it.
    Begun { sent: Time },
    /// It is done, as far as anybody can tell.
    Stands,
    /// Its time is over: `delete` is due then, for the nth time.
    Over { due: Time, tries: u32 },
    /// `delete` was sent so often, the last time then.
    Undoing { tries: u32, sent: Time },
}

/// What stands of responses.
#[derive(Debug, Default)]
pub(super) struct Responses {
    runs: BTreeMap<RunId, (Run, Phase)>,
    next: u64,
    minutes: BTreeMap<ResponseId, VecDeque<Time>>,
    outbox: Vec<Order>,
    /// Runs that the store is still to forget.
    forgotten: Vec<RunId>,
    /// Blocks that wait for responses to run first, and until when at most.
    held: BTreeMap<BlockId, Time>,
    /// Why blocks were made that are not set yet.
    grounds: BTreeMap<BlockId, Ground>,
    /// What programs said last, for `explain`: of which run, and at its `add` or its `delete`.
    said: VecDeque<(RunId, bool, String)>,
    /// What `status` shows.
    pub tallies: Tallies,
}

/// What was done of responses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tallies {
    /// Runs begun.
    pub begun: u64,
    /// Runs whose time began anew.
    pub renewed: u64,
    /// Runs undone.
    pub undone: u64,
    /// Runs that failed, either way.
    pub failed: u64,
    /// Not run: exempt, a cap, no proof of the address, no user, a ledger that fails.
    pub refused: u64,
    /// Could not be undone: given up, or the response is configured no longer.
    pub left: u64,
}

impl Responses {
    /// Whether this block waits for a response to run first.
    pub(super) fn is_held(&self, id: BlockId) -> bool {
        self.held.contains_key(&id)
    }
}

impl Court {
    /// What was done of responses, and how many stand.
    pub fn response_tallies(&self) -> (Tallies, usize) {
        (self.responses.tallies, self.responses.runs.len())
    }

    /// Takes up what the ledger has: what is over is undone at once.
    pub(super) fn restore_runs(&mut self, now: Time) {
        let runs = self.read(|store, _| store.load_runs(), now).unwrap_or_default();
        // Numbers go on behind the clock's, so that one that was forgotten is not given again.
        self.responses.next = runs.last().map_or(0, |run| run.id.0).max(now.as_nanos() / 1_000_000);
        // Whether what is wanted once more was undone before, nobody knows: it is undone again first.
        let phase = |run: &Run| if run.again { Phase::Over { due: now, tries: 0 } } else { Phase::Stands };
        self.responses.runs = runs.into_iter().map(|run| (run.id, (run.clone(), phase(&run)))).collect();
    }

    /// A rule asks for a response in place of a block, because of a line in this log.
    pub fn asked(&mut self, event: &Event, wanted: Wanted, (log, line): (&str, &str), now: Time) {
        self.tallies.events += 1;
        if self.judge.ignores(event) {
            self.tallies.ignored += 1;
            return;
        }
        let Some(response) = self.config.responses.get(usize::from(wanted.response.0)) else {
            self.responses.tallies.refused += 1;
            return;
        };
        // An address that anybody can write is no ground to run a program. What is long over is not answered any more.
        let longest = self.config.policy.block_max;
        let stands = wanted.stands.or(response.stands).map(|span| span.min(longest));
        let is_stale = now.since(event.at) > stands.unwrap_or(longest);
        if event.trust == Trust::Spoofable || response.wants_user && wanted.user.is_none() || is_stale {
            self.responses.tallies.refused += 1;
            return;
        }
        let whom = Prefix::host(event.actor);
        let counts = !self.is_answered(&wanted, whom) && !self.config.policy.dry_run && self.judge.is_exempt(&whom).is_none();
        let (strike, changes) = if stands.is_some() && counts { self.judge.strike(whom, now) } else { (1, Vec::new()) };
        self.strikes.extend(changes.into_iter().map(|change| (change.prefix(), change)));
        let stands = wanted.repeated.span(strike).map(|span| span.min(longest)).or(stands);
        let level = if let Act::Reported(report) = event.act { Some(report.level) } else { None };
        let user = wanted.user.filter(|_| response.wants_user);
        let until = stands.map_or(Expiry::Never, |span| Expiry::At(now.after(span)));
        let run = Run { user, until, ..run(whom, Ground { rule: wanted.rule, level, touch: None }, now) };
        if self.begin(wanted.response, run, u32::MAX, now) {
            self.quote(event, log, line);
        }
    }

    /// An offence is judged: what is to run before its block begins, and what runs without one.
    pub(super) fn respond_to(&mut self, offence: &Offence, decision: &Decision, now: Time) {
        let ground = Ground { rule: None, level: Some(offence.level), touch: offence.touch };
        match decision {
            Decision::Block(block) => self.precede(block.id, ground, now),
            Decision::Watch { why: WatchReason::Recorded, .. } if offence.offender.is_host() => {
                let spoofable = &self.config.policy.spoofable;
                let most = match offence.trust {
                    // A forger gets no more than he would get blocked, and leaves room for who is proven.
                    Trust::Spoofable if !spoofable.may_block => 0,
                    Trust::Spoofable => spoofable.blocks_per_minute,
                    Trust::Handshake | Trust::Vouched => u32::MAX,
                };
                for (response, Response { stands, .. }) in self.responses_for(&ground).into_iter().filter(|(_, of)| of.with != With::Blocks)
                {
                    let until = stands.map_or(Expiry::Never, |span| Expiry::At(now.after(span)));
                    self.begin(response, Run { until, ..run(offence.offender, ground, now) }, most, now);
                }
            }
            Decision::Watch { .. } | Decision::Extend { .. } | Decision::Exempt(_) | Decision::Refuse(_) => {}
        }
    }

    /// A block is decided: the responses that run before it begin, and it waits for them.
    pub(super) fn precede(&mut self, id: BlockId, ground: Ground, now: Time) {
        let with = self.responses_for(&ground);
        let Some(whom) = self.whom_to_respond_to(id, &with) else { return };
        if self.responses.grounds.len() >= limits::RUNS {
            self.responses.grounds.retain(|id, _| self.unanswered.contains(id));
        }
        if self.responses.grounds.len() < limits::RUNS {
            self.responses.grounds.insert(id, ground);
        }
        for (response, Response { first, .. }) in with {
            let Some(span) = first else { continue };
            let begun = self.begin(response, Run { block: Some(id), ..run(whom, ground, now) }, u32::MAX, now);
            if begun && self.responses.held.len() < limits::WAITING_BLOCKS {
                let until = self.responses.held.entry(id).or_insert(now);
                *until = (*until).max(now.after(span));
            }
        }
    }

    /// A block stands: the responses that run after it begin.
    pub(super) fn respond_to_block(&mut self, id: BlockId, now: Time) {
        let ground = self.responses.grounds.remove(&id).unwrap_or_default();
        let with = self.responses_for(&ground);
        let Some(whom) = self.whom_to_respond_to(id, &with) else { return };
        for (response, _) in with.into_iter().filter(|(_, response)| response.first.is_none()) {
            self.begin(response, Run { block: Some(id), ..run(whom, ground, now) }, u32::MAX, now);
        }
    }

    /// Whom a block is about, if there is anything to run and it is about one alone.
    fn whom_to_respond_to(&self, id: BlockId, with: &[(ResponseId, Response)]) -> Option<Prefix> {
        if with.is_empty() || self.config.policy.dry_run {
            return None;
        }
        self.judge.block_of(id).map(|block| block.scope.prefix()).filter(Prefix::is_host)
    }

    /// The responses that are run on this ground, without a rule that asks for them.
    fn responses_for(&self, ground: &Ground) -> Vec<(ResponseId, Response)> {
        let all = (0..).map(ResponseId).zip(&self.config.responses);
        all.filter(|(_, response)| response.with.is_for(ground)).map(|(n, response)| (n, response.clone())).collect()
    }

    /// Sets a block that waited, if it is still wanted, as it is wanted now.
    fn release(&mut self, id: BlockId) {
        if self.responses.held.remove(&id).is_some()
            && let Some(block) = self.judge.block_of(id).filter(|_| self.judge.stands(id))
        {
            self.outbox.push(Change::Add { id, scope: block.scope, expiry: block.expiry });
        }
    }

    /// Sets the blocks that have waited long enough.
    pub(super) fn release_overdue(&mut self, now: Time) {
        let overdue: Vec<BlockId> = self.responses.held.iter().filter(|(_, until)| **until <= now).map(|(id, _)| *id).collect();
        overdue.into_iter().for_each(|id| self.release(id));
    }

    /// Whether something is still running that this block waits for.
    fn is_awaited(&self, id: BlockId) -> bool {
        let precedes = |run: &Run| self.configured(&run.response).is_some_and(|response| response.first.is_some());
        self.responses.runs.values().any(|(run, phase)| run.block == Some(id) && matches!(phase, Phase::Begun { .. }) && precedes(run))
    }

    fn configured(&self, name: &str) -> Option<&Response> {
        self.config.responses.iter().find(|response| response.name == name)
    }

    /// Whether something begins that had not begun. `most`: new ones a minute, if that is less than the response's own number.
    fn begin(&mut self, response: ResponseId, run: Run, most: u32, now: Time) -> bool {
        let Some(Response { name, per_minute, undone, .. }) = self.config.responses.get(usize::from(response.0)).cloned() else {
            return false;
        };
        let Run { whom, user, until, block, .. } = run.clone();
        let same = |run: &Run| run.response == name && run.whom == whom && run.user == user;
        let mut replaced = None;
        if let Some((id, (run, phase))) = self.responses.runs.iter_mut().find(|(_, (run, _))| same(run)) {
            let is_free = run.block.is_none_or(|block| !self.judge.stands(block));
            let is_renewed = match phase {
                // As the managers have it: its time begins anew, and nothing is run. Or its block has just ended, and this is the next.
                Phase::Begun { .. } => Some(is_free),
                Phase::Stands if undone || run.block.is_none() || !is_free => Some(is_free),
                // Its `delete` is on its way: once that is answered, it begins again.
                Phase::Undoing { .. } => Some(true),
                // What is run for each block, or could not be undone yet.
                Phase::Stands | Phase::Over { .. } => None,
            };
            let id = *id;
            match is_renewed {
                Some(true) => {
                    (run.until, run.block, run.again) = (until, block, matches!(phase, Phase::Undoing { .. }));
                    self.responses.tallies.renewed += 1;
                    let run = run.clone();
                    self.keep_runs(&[run]);
                    return false;
                }
                Some(false) => return false,
                None => replaced = Some(id),
            }
        }
        let id = RunId(self.responses.next + 1);
        let refusal = if self.judge.is_exempt(&whom).is_some() {
            Some(Ran::Exempt)
        } else if self.responses.runs.len() >= limits::RUNS + usize::from(replaced.is_some())
            || self.is_used_up(response, per_minute.min(most), now)
        {
            Some(Ran::TooMany)
        } else {
            None
        };
        if refusal.is_some() || self.config.policy.dry_run || self.failing.is_some() {
            self.responses.tallies.refused += 1;
            // A forger's flood is counted and fills neither log nor history.
            if most == u32::MAX {
                tracing::info!(address = %whom, response = name, why = refusal.map_or("dry run, or the ledger fails", Ran::word), "not responded");
                if let Some(ran) = refusal {
                    self.note_run(whom, id, &name, true, ran, now);
                }
            }
            return false;
        }
        let run = Run { id, response: name, again: false, ..run };
        // What is not written down would not be undone after a restart.
        if !self.keep_runs(std::slice::from_ref(&run)) {
            self.responses.tallies.refused += 1;
            return false;
        }
        // Not before: who is refused keeps the one before, which may have to be undone yet.
        replaced.into_iter().for_each(|replaced| self.forget(replaced));
        self.responses.next = id.0;
        self.responses.minutes.entry(response).or_default().push_back(now);
        self.responses.tallies.begun += 1;
        let end = match run.block.and_then(|block| self.judge.block_of(block)).map_or(run.until, |block| block.expiry) {
            Expiry::At(end) => Some(end),
            Expiry::Never => None,
        };
        self.responses.outbox.push(order(&run, response, true, end));
        self.responses.runs.insert(id, (run, Phase::Begun { sent: now }));
        true
    }

    /// Whether this very response stands against him already: then nothing new has happened.
    fn is_answered(&self, wanted: &Wanted, whom: Prefix) -> bool {
        let name = self.config.responses.get(usize::from(wanted.response.0)).map(|response| &response.name);
        self.runs_against(whom).any(|run| Some(&run.response) == name)
    }

    fn is_used_up(&mut self, response: ResponseId, per_minute: u32, now: Time) -> bool {
        let begun = self.responses.minutes.entry(response).or_default();
        while begun.front().is_some_and(|at| now.since(*at) >= MINUTE || *at > now) {
            begun.pop_front();
        }
        begun.len() >= per_minute as usize
    }

    fn keep_runs(&mut self, runs: &[Run]) -> bool {
        self.store.save_runs(runs).inspect_err(|error| self.store_failed("responses are not in the ledger", error)).is_ok()
    }

    fn note_run(&mut self, whom: Prefix, id: RunId, name: &str, add: bool, ran: Ran, now: Time) {
        let name = self.rule(name);
        self.note(Entry::Responded { at: now, whom, id, name, add, ran });
    }

    /// What became of orders.
    pub fn ran(&mut self, outcomes: &[(RunId, Ran)], now: Time) {
        for (id, ran) in outcomes {
            let Some((run, phase)) = self.responses.runs.get(id) else { continue };
            let (name, whom, phase) = (run.response.clone(), run.whom, *phase);
            let is_undone = self.configured(&run.response).is_none_or(|response| response.undone);
            let is_for_good = run.until == Expiry::Never && run.block.is_none() || !is_undone && run.block.is_some();
            let held = run.block.filter(|block| self.responses.is_held(*block));
            let failed = !matches!(ran, Ran::Done | Ran::ForGood | Ran::Already);
            self.responses.tallies.failed += u64::from(failed);
            let add = match phase {
                Phase::Begun { .. } | Phase::Stands | Phase::Over { .. } => true,
                Phase::Undoing { .. } => false,
            };
            self.note_run(whom, *id, &name, add, *ran, now);
            match failed {
                true => tracing::warn!(address = %whom, response = name, add, why = ran.word(), "response failed"),
                false => tracing::info!(address = %whom, response = name, add, what = ran.word(), "responded"),
            }
            match phase {
                // Nobody says for how long: then it is for good.
                Phase::Begun { .. } | Phase::Stands | Phase::Over { .. } if !ran.may_stand() || is_for_good => self.forget(*id),
                Phase::Begun { .. } => {
                    self.set_phase(*id, Phase::Stands);
                    // It is only remembered so that the same is not run again.
                    self.responses.forgotten.extend((!is_undone).then_some(*id));
                }
                Phase::Stands | Phase::Over { .. } => {}
                Phase::Undoing { tries, .. } if self.responses.runs.get(id).is_some_and(|(run, _)| !is_over(run, &self.judge, now)) => {
                    self.set_phase(*id, tried(tries, now));
                    if !self.begin_again(*id, now) && !failed {
                        self.responses.tallies.undone += 1;
                        self.forget(*id);
                    }
                }
                Phase::Undoing { tries, .. } if failed && tries < TRIES => self.set_phase(*id, tried(tries, now)),
                Phase::Undoing { .. } if failed => {
                    self.responses.tallies.left += 1;
                    tracing::error!(address = %whom, response = name, "a response could not be undone: do it by hand");
                    self.responses.runs.remove(id);
                    // Nobody was there to do it: the next start tries again.
                    if !matches!(ran, Ran::Lost | Ran::NotStarted) {
                        self.responses.forgotten.push(*id);
                    }
                }
                Phase::Undoing { .. } => {
                    self.responses.tallies.undone += 1;
                    self.forget(*id);
                }
            }
            if let Some(block) = held.filter(|block| !self.is_awaited(*block)) {
                self.release(block);
            }
        }
    }

    /// What a program said before it ended: to be told before what became of it. Hostile, and shown as such.
    pub fn heard(&mut self, run: RunId, said: String) {
        let Some((_, phase)) = self.responses.runs.get(&run).filter(|_| !said.is_empty()) else { return };
        let add = !matches!(phase, Phase::Undoing { .. });
        if self.responses.said.len() >= limits::SAID {
            self.responses.said.pop_front();
        }
        self.responses.said.push_back((run, add, said));
    }

    /// What a program said last, as far as that is remembered. Hostile.
    pub fn said(&self, run: RunId, add: bool) -> Option<&str> {
        let said = self.responses.said.iter().rev().find(|(of, at_add, _)| (*of, *at_add) == (run, add));
        said.map(|(.., said)| said.as_str())
    }

    fn set_phase(&mut self, id: RunId, phase: Phase) {
        if let Some((_, known)) = self.responses.runs.get_mut(&id) {
            *known = phase;
        }
    }

    fn forget(&mut self, id: RunId) {
        self.responses.runs.remove(&id);
        self.responses.forgotten.push(id);
    }

    /// Somebody whose response was just being undone is wanted again. False if that is refused: then it is still to be undone, unless it is.
    fn begin_again(&mut self, id: RunId, now: Time) -> bool {
        let Some((run, _)) = self.responses.runs.get(&id).cloned() else { return false };
        let place = self.config.responses.iter().position(|response| response.name == run.response);
        place.is_some_and(|n| self.begin(ResponseId(n as u8), run, u32::MAX, now))
    }

    /// Ends the runs of an address, before their time: it is unblocked, or exempt now.
    pub(super) fn end_runs(&mut self, whom: Prefix, now: Time) {
        let mut ended = Vec::new();
        for (run, _) in self.responses.runs.values_mut().filter(|(run, _)| whom.contains(run.whom.addr())) {
            (run.until, run.block, run.again) = (Expiry::At(now), None, false);
            ended.push(run.clone());
        }
        self.keep_runs(&ended);
    }

    /// Undoes what is over, and hands out the orders.
    pub fn orders(&mut self, now: Time) -> Vec<Order> {
        if self.responses.runs.is_empty() && self.responses.forgotten.is_empty() {
            return Vec::new();
        }
        let (mut left, mut kept, mut again) = (Vec::new(), Vec::new(), Vec::new());
        for (id, (run, phase)) in &mut self.responses.runs {
            // Who has become exempt is let go at once, and for good.
            if self.judge.is_exempt(&run.whom).is_some() {
                (run.until, run.block) = (Expiry::At(now), None);
            }
            let is_over = is_over(run, &self.judge, now);
            if matches!(phase, Phase::Begun { sent } if now.since(*sent) >= PATIENCE) {
                *phase = Phase::Stands;
            }
            if *phase == Phase::Stands && is_over {
                *phase = Phase::Over { due: now, tries: 0 };
            }
            if let Phase::Undoing { tries, sent } = *phase
                && now.since(sent) >= PATIENCE
            {
                *phase = Phase::Over { due: now, tries };
                if !is_over {
                    again.push(*id);
                    continue;
                }
            }
            let Phase::Over { due, tries } = *phase else { continue };
            if due > now {
                continue;
            }
            let Some(n) = self.config.responses.iter().position(|response| response.name == run.response) else {
                left.push(*id);
                continue;
            };
            if self.config.responses.get(n).is_some_and(|response| !response.undone) {
                kept.push(*id);
                continue;
            }
            *phase = Phase::Undoing { tries: tries + 1, sent: now };
            self.responses.outbox.push(order(run, ResponseId(n as u8), false, None));
        }
        kept.into_iter().for_each(|id| self.forget(id));
        again.into_iter().for_each(|id| _ = self.begin_again(id, now));
        for id in left {
            if let Some((run, _)) = self.responses.runs.remove(&id) {
                self.responses.tallies.left += 1;
                // It stays in the ledger: should the response be configured again, the next start undoes it.
                tracing::error!(address = %run.whom, response = run.response, "a response is configured no longer and can't be undone");
                self.note_run(run.whom, id, &run.response, false, Ran::NotStarted, now);
            }
        }
        if self.failing.is_none() && !self.responses.forgotten.is_empty() {
            match self.store.forget_runs(&self.responses.forgotten) {
                Ok(()) => self.responses.forgotten.clear(),
                Err(error) => self.store_failed("undone responses are still in the ledger", &error),
            }
        }
        std::mem::take(&mut self.responses.outbox)
    }

    /// When `orders` has something to do next.
    pub fn next_run(&self) -> Option<Time> {
        let due = |(run, phase): &(Run, Phase)| match (phase, run.until) {
            (Phase::Stands, Expiry::At(at)) => Some(at),
            (Phase::Over { due, .. }, _) => Some(*due),
            (Phase::Begun { sent } | Phase::Undoing { sent, .. }, _) => Some(sent.after(PATIENCE)),
            (Phase::Stands, Expiry::Never) => None,
        };
        self.responses.runs.values().filter_map(due).chain(self.responses.held.values().copied()).min()
    }

    /// The responses that stand against an address or in a range, with their ends.
    pub fn runs_against(&self, whom: Prefix) -> impl Iterator<Item = &Run> {
        self.responses.runs.values().map(|(run, _)| run).filter(move |run| whom.contains(run.whom.addr()))
    }

    /// The wall clock was set: what had a minute left has a minute left.
    pub(super) fn move_runs(&mut self, step: Duration, forward: bool) {
        let moved = |at: Time| if forward { at.after(step) } else { at.before(step) };
        for (run, phase) in self.responses.runs.values_mut() {
            if let Expiry::At(end) = &mut run.until {
                *end = moved(*end);
            }
            if let Phase::Over { due, .. } = phase {
                *due = moved(*due);
            }
        }
        self.responses.held.values_mut().for_each(|until| *until = moved(*until));
        let runs: Vec<Run> = self.responses.runs.values().map(|(run, _)| run.clone()).collect();
        self.keep_runs(&runs);
    }
}

/// To be undone once more, after a wait that doubles.
fn tried(tries: u32, now: Time) -> Phase {
    Phase::Over { due: now.after(AGAIN * 2_u32.saturating_pow(tries.saturating_sub(1))), tries }
}

/// Whether nobody wants it any more.
fn is_over(run: &Run, judge: &Judge, now: Time) -> bool {
    run.block.map_or_else(|| run.until.is_over(now), |block| !judge.stands(block))
}

fn order(run: &Run, response: ResponseId, add: bool, until: Option<Time>) -> Order {
    Order { run: run.id, response, add, address: run.whom.addr(), user: run.user.clone(), ground: run.ground, until }
}

/// A run against somebody that has no number and no end yet.
fn run(whom: Prefix, ground: Ground, now: Time) -> Run {
    Run { id: RunId(0), response: String::new(), whom, user: None, ground, made: now, until: Expiry::Never, block: None, again: false }
}
