//! The court: events in, changes for the warden out, and the ledger written in between. Holds no descriptor and reads no clock,
//! so that a simulation can drive it.

mod kernel;
mod ledger;
pub mod responses;
mod rules;

use crate::settings::Settings;
use detect::detectors::Detectors;
use detect::{Detector, WARM};
use model::block::{Because, Block, BlockId, Change, Expiry, Scope, State};
use model::decision::{Decision, Exemption, WatchReason};
use model::event::{Act, Event, RuleId, Touch, Trust};
use model::level::DangerLevel;
use model::limits;
use model::net::Prefix;
use model::offence::Offence;
use model::response::Ground;
use model::time::Time;
use policy::escalate::StrikeChange;
use policy::judge::Judge;
use policy::ruling::{Lift, Refusal, Ruling};
use policy::storm::StormReport;
use responses::Responses;
use rules::Rules;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;
use store::Store;
use store::entry::{Entry, Turn};
use store::memory::{Allowance, Quote};

/// An event's time may lie this far ahead of ours; a later one is taken for now: nobody decides about the future.
const AHEAD: Duration = Duration::from_secs(60);
/// The kernel's timer and ours may differ by this much before a block is set again.
const TIMER_SLACK: Duration = Duration::from_secs(2);
/// While the store fails, the log is told this often.
const TELL_EVERY: Duration = Duration::from_secs(600);
/// And of a store that now fails and now doesn't this often.
const TELL_NEW_EVERY: Duration = Duration::from_secs(60);
/// Above so many blocks the kernel is not asked again because it could not tell: that takes it too long, and it could not tell again.
const LISTED: usize = 100_000;
/// History entries that may wait for a store that fails, or for room on its disk. Above, the oldest are dropped and counted.
const ENTRIES_WAITING: usize = 100_000;

/// Stands in the place of a log's name where what was touched is kept as the line that decided.
const GUARDED: &str = "guarded ports";

/// What `status` shows of the court's own doings.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tallies {
    /// Events taken in.
    pub events: u64,
    /// Events that the ignore list took out.
    pub ignored: u64,
    /// Events whose time lay in the future and was taken for now.
    pub ahead: u64,
    /// Offences charged.
    pub offences: u64,
    /// Offences too old to act upon.
    pub stale: u64,
    /// Changes handed to the warden.
    pub changes: u64,
    /// Changes that failed there.
    pub failed: u64,
    /// Ledger steps that were not legal.
    pub illegal: u64,
    /// Writes that the store refused.
    pub store_errors: u64,
    /// History entries dropped while the store refused, or the disk had no room for them.
    pub entries_dropped: u64,
    /// History entries deleted because the store was too large.
    pub entries_thinned: u64,
    /// Reports of rules for whose names there was no room.
    pub rules_unnamed: u64,
    /// How often the wall clock was set.
    pub clock_set: u64,
}

/// A touch of a guarded port that led to a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// When.
    pub at: Time,
    /// Who.
    pub actor: IpAddr,
    /// What.
    pub touch: Touch,
    /// Whether the address is proven.
    pub trust: Trust,
    /// What was decided about it.
    pub answer: Answer,
}

/// What was decided about a touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It earned a block, or a longer one.
    Blocked,
    /// Who touched is exempt.
    Exempt,
    /// The configuration only records such touches.
    Recorded,
    /// Something else stood in the way of a block.
    Spared,
}

/// What the court has done since it was last asked: for whoever tells others of it.
#[derive(Debug, Default)]
pub struct Spoken {
    /// What was decided about whom.
    pub judged: Vec<(Offence, Decision)>,
    /// Blocks that were lifted before their time, the danger level that an offence had earned them, and why.
    pub lifted: Vec<(Prefix, Option<DangerLevel>, Lift)>,
    /// Blocks that have ended in their time, and their level likewise.
    pub ended: Vec<(Prefix, Option<DangerLevel>)>,
}

/// A store that can't be written.
#[derive(Debug, Clone)]
pub struct Failing {
    /// Since when.
    pub since: Time,
    /// Why, at the last try.
    pub why: String,
    /// Whether the log was told.
    told: bool,
}

/// A disk with little room: the history waits, so that what is left is for the ledger.
#[derive(Debug, Clone)]
pub struct Tight {
    /// Since when.
    pub since: Time,
    /// How little, at the last look.
    pub why: String,
}

/// The court.
pub struct Court {
    config: Settings,
    /// The detectors.
    pub detectors: Detectors,
    /// The judge.
    pub judge: Judge,
    store: Store,
    /// Why the store is only in memory, if it is.
    pub store_trouble: Option<String>,
    /// Why and since when the ledger is behind, if it is.
    pub failing: Option<Failing>,
    /// Whether the history waits for room on the disk.
    pub tight: Option<Tight>,
    /// Since when the kernel does not take every change, if it does not.
    pub refusing: Option<Failing>,
    /// The operators' allowances could be read at last, or one has ended: whoever else holds a list of them is to be told.
    pub allowed_again: bool,
    /// Whether what the kernel has beyond the ledger is taken over, the first time that it tells: the ledger is new, or was lost.
    adopts: bool,
    seed: u64,
    /// What was done so far.
    pub tallies: Tallies,
    offences: Vec<Offence>,
    outbox: Vec<Change>,
    wanted: Vec<Block>,
    /// By number, so that a store that fails for long keeps no more than one entry a block.
    extended: BTreeMap<BlockId, Block>,
    marks: Vec<(BlockId, State)>,
    entries: Vec<Entry>,
    /// By offender, so that only the latest word is written.
    strikes: BTreeMap<Prefix, StrikeChange>,
    responses: Responses,
    /// The log rules by their numbers, for good.
    rules: Rules,
    /// Lines that decided and that the store has not taken yet.
    quotes: BTreeMap<Prefix, Quote>,
    /// Allowances given (or, without one, taken back) that the store has not taken yet.
    allowances: BTreeMap<Prefix, Option<Allowance>>,
    /// Decisions that the log has not been told of: a slow log must not keep a block waiting.
    spoken: Spoken,
    touched: Vec<Touched>,
    /// Adds sent and not yet answered whose answer the ledger waits for.
    unanswered: HashSet<BlockId>,
    /// Removals sent and not yet answered, in their order, and those that failed: what was to be lifted may still stand in the kernel.
    removing: VecDeque<(BlockId, Scope)>,
    owed: BTreeMap<Scope, BlockId>,
    installed: BTreeMap<Scope, Expiry>,
    /// The storm's pause that the ledger knows of.
    pause: Option<StormReport>,
    /// The time of the last call that was told it.
    latest: Time,
    /// When the log was last told of a store that fails.
    told: Option<Time>,
    /// A change has failed in a way that may leave the kernel with something else than the judge thinks.
    resync: bool,
    /// The kernel has been asked what it has.
    asked: bool,
}

impl std::fmt::Debug for Court {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Court").field("tallies", &self.tallies).finish_non_exhaustive()
    }
}

impl Court {
    /// A court with what the store remembers. `seed` keys the detectors' tables. `store_trouble` says why the store may not know of every
    /// block that stands: then what the kernel has beyond it is taken over and not taken out.
    pub fn new(config: Settings, store: Store, store_trouble: Option<String>, seed: u64, now: Time) -> Self {
        let why = store_trouble.clone().filter(|_| !store.is_on_disk());
        let mut court = Court {
            tight: None,
            failing: why.map(|why| Failing { since: now, why, told: true }),
            refusing: None,
            adopts: store.is_new(),
            seed,
            allowed_again: false,
            detectors: Detectors::new(&config.scan, seed),
            judge: Judge::new(config.policy.clone()),
            config,
            store,
            store_trouble,
            tallies: Tallies::default(),
            offences: Vec::new(),
            outbox: Vec::new(),
            wanted: Vec::new(),
            extended: BTreeMap::new(),
            marks: Vec::new(),
            entries: Vec::new(),
            strikes: BTreeMap::new(),
            responses: Responses::default(),
            rules: Rules::default(),
            quotes: BTreeMap::new(),
            allowances: BTreeMap::new(),
            spoken: Spoken::default(),
            touched: Vec::new(),
            unanswered: HashSet::new(),
            removing: VecDeque::new(),
            owed: BTreeMap::new(),
            installed: BTreeMap::new(),
            pause: None,
            latest: now,
            told: None,
            resync: false,
            asked: true,
        };
        court.restore(now);
        court.adopts |= court.store_trouble.is_some();
        court
    }

    /// The configuration in force.
    pub fn config(&self) -> &Settings {
        &self.config
    }

    /// The ledger and the history, for questions.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Goes by another configuration from now on and keeps all that is remembered. Blocks on whom it exempts are lifted.
    pub fn reconfigure(&mut self, config: Settings, now: Time) {
        let earnest = self.config.policy.dry_run && !config.policy.dry_run;
        self.detectors.reconfigure(&config.scan);
        let ruling = self.judge.reconfigure(config.policy.clone(), now);
        self.config = config;
        self.absorb(ruling, now);
        // What the ledger has and a dry run did not set is set now.
        self.resync |= earnest;
    }

    fn restore(&mut self, now: Time) {
        self.take_allowances(now);
        let names = self.read(|store, _| store.load_rules(), now).unwrap_or_default();
        self.rules.restore(names, self.store.is_on_disk());
        let mut live = self.read(live_with_state, now).unwrap_or_default();
        self.unanswered.extend(live.unanswered);
        for block in &mut live.blocks {
            self.within_its_span(block, now);
        }
        let strikes = self.read(|store, _| store.load_strikes(), now).unwrap_or_default();
        let strikes = strikes.into_iter().map(|s| policy::escalate::Strike { prefix: s.whom, count: s.count, last: s.last }).collect();
        let last_id = BlockId(self.store.next_block_id().0.saturating_sub(1));
        let count = live.blocks.len();
        for (block, refusal) in self.judge.restore(live.blocks, strikes, last_id) {
            // It may still be set in the kernel: taking it out is harmless if it is not, and if no younger one stands there.
            if !self.stands(&block.scope) {
                self.outbox.push(Change::Remove { id: block.id, scope: block.scope });
            }
            self.marks.push((block.id, State::Lifted));
            if matches!(refusal, Refusal::Exempt(_) | Refusal::ExemptInside(_)) {
                self.entries.push(Entry::Turned { at: now, whom: block.scope.prefix(), id: block.id, turn: Turn::LiftedAsExempt });
            }
            tracing::warn!(address = %block.scope.prefix(), %refusal, "block of the ledger not taken up again");
        }
        let pause = self.read(|store, _| store.load_storm(), now).flatten();
        let ruling =
            self.judge.resume(pause.map(|p| StormReport { since: p.since, until: p.until, rolled_back: p.rolled_back as usize }), now);
        self.absorb(ruling, now);
        self.pause = self.judge.storm();
        self.restore_runs(now);
        if count > 0 {
            tracing::info!(blocks = count, "blocks taken over from the ledger");
        }
    }

    /// The clock may stand before the time at which a block was made (a machine without a clock of its own that has just begun): no block
    /// stands for longer than it was made for.
    fn within_its_span(&mut self, block: &mut Block, now: Time) {
        if let Expiry::At(end) = block.expiry
            && block.made > now.after(AHEAD)
            // An end before that was moved there when the clock was set.
            && end > block.made
        {
            (block.expiry, block.made) = (Expiry::At(now.after(end.since(block.made))), now);
            self.extended.insert(block.id, block.clone());
        }
    }

    fn read<T>(&mut self, ask: impl FnOnce(&Store, Time) -> Result<T, store::error::Error>, now: Time) -> Option<T> {
        match ask(&self.store, now) {
            Ok(found) => Some(found),
            Err(error) => {
                self.tallies.store_errors += 1;
                tracing::error!(%error, "the ledger can't be read: what the kernel has is kept, unless this is a dry run");
                self.store_trouble = Some(format!("can't be read: {error}"));
                None
            }
        }
    }

    /// Takes events in, up to decisions.
    pub fn observe(&mut self, events: &[Event], now: Time) {
        self.latest = now;
        // Whoever wants to know asks after each call.
        self.touched.clear();
        for (n, event) in events.iter().enumerate() {
            if n % WARM == 0 {
                self.detectors.warm(events.get(n..events.len().min(n + WARM)).unwrap_or_default());
            }
            let charged = self.take(event, now);
            if charged && let Act::Touched(touch) = event.act {
                self.quote(event, GUARDED, &touch.to_string());
                let answer = match self.spoken.judged.last().map(|(_, decision)| decision) {
                    Some(Decision::Exempt(_)) => Answer::Exempt,
                    Some(Decision::Block(_) | Decision::Extend { .. }) if !self.config.policy.dry_run => Answer::Blocked,
                    Some(Decision::Watch { why: WatchReason::Recorded, .. }) => Answer::Recorded,
                    Some(_) | None => Answer::Spared,
                };
                self.touched.push(Touched { at: event.at, actor: event.actor, touch, trust: event.trust, answer });
            }
        }
    }

    /// The touches that led to charges since the last call.
    pub fn take_touched(&mut self) -> Vec<Touched> {
        std::mem::take(&mut self.touched)
    }

    /// Takes in what a log rule reports, with the name of the log and the line that it rests on.
    pub fn reported(&mut self, event: &Event, log: &str, line: &str, now: Time) {
        self.latest = now;
        if self.take(event, now) {
            self.quote(event, log, line);
        }
    }

    /// Keeps what decided, for `explain`.
    fn quote(&mut self, event: &Event, log: &str, line: &str) {
        if self.quotes.len() < limits::QUOTES || self.failing.is_none() {
            let whom = Prefix::host(event.actor);
            self.quotes.insert(whom, Quote { whom, at: event.at, log: log.to_owned(), line: line.to_owned() });
        }
    }

    /// The number of a log rule, for good.
    pub fn rule(&mut self, name: &str) -> RuleId {
        let rule = self.rules.number(name);
        self.tallies.rules_unnamed += u64::from(rule == rules::FURTHER);
        rule
    }

    /// The name of a log rule.
    pub fn rule_name(&self, rule: RuleId) -> Option<&str> {
        self.rules.name(rule)
    }

    /// Takes one event in; whether it led to a charge.
    fn take(&mut self, event: &Event, now: Time) -> bool {
        // What a packet fits or looks like comes beside the packet itself, which counts.
        let counts = u64::from(!matches!(event.act, Act::Matched(_) | Act::Guessed(_)));
        self.tallies.events += counts;
        if self.judge.ignores(event) {
            self.tallies.ignored += counts;
            return false;
        }
        let before = self.tallies.offences;
        let mut event = *event;
        if event.at > now.after(AHEAD) {
            self.tallies.ahead += 1;
            event.at = now;
        }
        self.detectors.observe(&event, &mut self.offences);
        self.sentence(now);
        self.tallies.offences > before
    }

    /// Lets the detectors and the judge do what is due.
    pub fn tick(&mut self, now: Time) {
        self.detectors.tick(now, &mut self.offences);
        self.sentence(now);
        self.release_overdue(now);
        self.pass_time(now);
    }

    /// When `tick` is due next.
    pub fn next_tick(&self) -> Option<Time> {
        self.detectors.next_tick().into_iter().chain(self.judge.next_expiry()).chain(self.next_run()).min()
    }

    fn sentence(&mut self, now: Time) {
        if self.offences.is_empty() {
            return;
        }
        for mut offence in std::mem::take(&mut self.offences) {
            self.tallies.offences += 1;
            self.judge.raise(&mut offence, now);
            if now.since(offence.at) > self.config.policy.first_block(&offence) {
                self.tallies.stale += 1;
                continue;
            }
            let (decision, ruling) = self.judge.judge(&offence, now);
            self.note(Entry::judged(&offence, &decision));
            self.spoken.judged.push((offence, decision.clone()));
            self.absorb(ruling, now);
            self.respond_to(&offence, &decision, now);
        }
    }

    fn note(&mut self, entry: Entry) {
        if self.entries.len() >= ENTRIES_WAITING {
            self.tallies.entries_dropped += 1;
        } else {
            self.entries.push(entry);
        }
    }

    /// Takes a ruling's consequences in: they are written and sent by the next `commit`.
    pub fn absorb(&mut self, ruling: Ruling, now: Time) {
        self.expired(&ruling.expired);
        self.allowances.extend(ruling.lapsed.iter().map(|whom| (*whom, None)));
        self.allowed_again |= !ruling.lapsed.is_empty();
        if !ruling.dry_run {
            self.strikes.extend(ruling.strikes.into_iter().map(|change| (change.prefix(), change)));
        }
        for lifted in &ruling.lifted {
            let whom = lifted.scope.prefix();
            tracing::info!(address = %whom, id = %lifted.id, why = %lifted.why, "block lifted");
            if lifted.rehearsed {
                continue;
            }
            self.spoken.lifted.push((whom, lifted.level, lifted.why));
            let turn = match lifted.why {
                Lift::Operator => Turn::LiftedByOperator,
                // Neither ledger nor firewall ever knew of it.
                Lift::Rehearsal => continue,
                Lift::Exempt(_) => Turn::LiftedAsExempt,
                Lift::RollBack => Turn::RolledBack,
            };
            self.unanswered.remove(&lifted.id);
            self.marks.push((lifted.id, State::Lifted));
            self.note(Entry::Turned { at: now, whom, id: lifted.id, turn });
        }
        self.outbox.extend(&ruling.changes);
        if ruling.dry_run {
            return;
        }
        for block in ruling.made {
            let turn = match block.because {
                // The charge is its entry.
                Because::Offence { .. } => None,
                Because::Operator { .. } => Some(Turn::SetByOperator),
                Because::Adopted => Some(Turn::Adopted),
            };
            if let Some(turn) = turn {
                self.note(Entry::Turned { at: now, whom: block.scope.prefix(), id: block.id, turn });
            }
            self.unanswered.insert(block.id);
            self.wanted.push(block);
        }
        for block in &ruling.extended {
            self.extended.insert(block.id, block.clone());
        }
    }

    fn expired(&mut self, over: &[(BlockId, Prefix, Option<DangerLevel>)]) {
        for (id, whom, level) in over {
            self.unanswered.remove(id);
            self.marks.push((*id, State::Expired));
            self.spoken.ended.push((*whom, *level));
            tracing::debug!(%id, "block expired");
        }
    }

    /// Tells the log of what was done, and returns it. To be called once it is on its way, and often: what is not asked for is kept.
    pub fn speak(&mut self) -> Spoken {
        let (rules, spoken) = (&self.rules, std::mem::take(&mut self.spoken));
        spoken.judged.iter().for_each(|(offence, decision)| announce(offence, offence.rule.and_then(|rule| rules.name(rule)), decision));
        spoken
    }

    /// The line that decided about this address, until it is written down.
    pub fn quote_of(&self, whom: &Prefix) -> Option<&Quote> {
        self.quotes.get(whom)
    }

    /// The wall clock was set: whatever had a minute left has a minute left. Evidence that was weighed by another clock is forgotten after
    /// a large step, or it would never grow old.
    pub fn clock_set(&mut self, step: Duration, forward: bool, now: Time) {
        self.tallies.clock_set += 1;
        let ruling = self.judge.clock_set(step, forward, now);
        self.move_runs(step, forward);
        self.absorb(ruling, now);
        // What was under way when it was set got its time-out by the new clock.
        self.resync = true;
        if step > AHEAD {
            self.detectors = Detectors::new(&self.config.scan, self.seed);
        }
        for (whom, until) in self.judge.allowed() {
            if let Some(until) = until {
                let allowance = Allowance { whom, made: now, until: Expiry::At(until), note: String::new() };
                self.allowances.insert(whom, Some(allowance));
            }
        }
        self.promise(now);
        self.keep_pause();
    }

    fn pass_time(&mut self, now: Time) {
        let ruling = self.judge.expire(now);
        self.absorb(ruling, now);
    }

    fn stands(&self, scope: &Scope) -> bool {
        self.judge.block_for(&scope.prefix()).is_some_and(|block| !self.judge.is_rehearsed(block.id))
    }

    /// The derived exemptions, all of them.
    pub fn derived(&mut self, exemptions: Vec<Exemption>, now: Time) {
        let ruling = self.judge.set_exemptions(exemptions, now);
        self.absorb(ruling, now);
    }

    /// An operator's block.
    ///
    /// # Errors
    /// Why not.
    pub fn block(&mut self, prefix: Prefix, expiry: Expiry, note: String, now: Time) -> Result<usize, Refusal> {
        let ruling = self.judge.block(prefix, expiry, note, now)?;
        Ok(self.ordered(prefix, expiry, ruling, now))
    }

    /// A block that another program's manager asks for, within the caps.
    ///
    /// # Errors
    /// Why not.
    pub fn respond(&mut self, whom: Prefix, expiry: Expiry, note: String, now: Time) -> Result<usize, Refusal> {
        self.pass_time(now);
        let ruling = self.judge.respond(whom, expiry, note, now)?;
        Ok(self.ordered(whom, expiry, ruling, now))
    }

    fn ordered(&mut self, prefix: Prefix, expiry: Expiry, ruling: Ruling, now: Time) -> usize {
        let changed = ruling.made.len() + ruling.extended.len();
        for block in ruling.extended.iter().filter(|_| !ruling.dry_run) {
            self.note(Entry::Turned { at: now, whom: prefix, id: block.id, turn: Turn::ChangedByOperator });
        }
        let secs = match expiry {
            Expiry::At(end) => Some(end.since(now).as_secs()),
            Expiry::Never => None,
        };
        tracing::info!(address = %prefix, secs, "blocked by an operator");
        let made: Vec<BlockId> = ruling.made.iter().map(|block| block.id).collect();
        self.absorb(ruling, now);
        made.into_iter().for_each(|id| self.precede(id, Ground::default(), now));
        self.promise(now);
        changed
    }

    /// An operator lifts; returns how many blocks.
    pub fn unblock(&mut self, prefix: Prefix, now: Time) -> usize {
        let ruling = self.judge.unblock(prefix, now);
        let changed = ruling.lifted.len();
        self.absorb(ruling, now);
        self.end_runs(prefix, now);
        self.promise(now);
        changed
    }

    /// An operator allows; returns how many blocks were lifted for it.
    ///
    /// # Errors
    /// Why not.
    pub fn allow(&mut self, prefix: Prefix, until: Option<Time>, now: Time) -> Result<usize, Refusal> {
        let ruling = self.judge.allow(prefix, until, now)?;
        let changed = ruling.lifted.len();
        self.absorb(ruling, now);
        tracing::info!(address = %prefix, secs = until.map(|until| until.since(now).as_secs()), "allowed by an operator");
        let until = until.map_or(Expiry::Never, Expiry::At);
        let allowance = Allowance { whom: prefix, made: now, until, note: String::new() };
        self.allowances.insert(prefix, Some(allowance));
        self.promise(now);
        self.note(Entry::Allowed { at: now, whom: prefix, until });
        Ok(changed)
    }

    /// An operator takes an allowance back; false if there was none.
    pub fn disallow(&mut self, prefix: Prefix, now: Time) -> bool {
        let was = self.judge.disallow(prefix);
        if was {
            tracing::info!(address = %prefix, "allowed no longer, by an operator");
            self.allowances.insert(prefix, None);
            self.promise(now);
            self.note(Entry::Disallowed { at: now, whom: prefix });
        }
        was
    }
}

/// The ledger's blocks that should be in force, and which of them no responder has confirmed yet.
#[derive(Default)]
struct Live {
    blocks: Vec<Block>,
    unanswered: Vec<BlockId>,
}

fn live_with_state(store: &Store, now: Time) -> Result<Live, store::error::Error> {
    // Two million of them are two hundred megabytes: moved about as seldom as can be.
    let expected = usize::try_from(store.counts().live()).unwrap_or(0).min(limits::BLOCKS);
    let mut live = Live { blocks: Vec::with_capacity(expected), unanswered: Vec::new() };
    store.for_each_live(now, |block, state| {
        live.unanswered.extend((state != State::Active).then_some(block.id));
        live.blocks.push(block);
    })?;
    Ok(live)
}

fn announce(offence: &Offence, rule: Option<&str>, decision: &Decision) {
    let Offence { offender, charge, level, styles, trust, evidence, at, .. } = offence;
    match decision {
        Decision::Block(block) => {
            let secs = match block.expiry {
                Expiry::At(end) => end.since(block.made).as_secs(),
                Expiry::Never => 0,
            };
            tracing::info!(
                address = %offender, id = %block.id, secs, %charge, %level, %styles, %trust, rule,
                packets = evidence.packets, targets = evidence.targets, "block"
            );
        }
        Decision::Extend { id, expiry, strike } => {
            let secs = match expiry {
                Expiry::At(end) => end.since(*at).as_secs(),
                Expiry::Never => 0,
            };
            tracing::info!(address = %offender, %id, secs, strike, %charge, %level, %styles, %trust, rule, "block extended");
        }
        Decision::Watch { why, .. } => tracing::debug!(address = %offender, %charge, %level, %why, "watched"),
        Decision::Exempt(why) => tracing::info!(address = %offender, %charge, %level, rule, %why, "exempt"),
        Decision::Refuse(cap) => tracing::info!(address = %offender, %charge, %level, rule, why = %cap, "not blocked"),
    }
}
