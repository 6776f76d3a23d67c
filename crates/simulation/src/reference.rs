//! What must be true, worked out from outside with maps and times. Decides nothing of its own and looks at no detector: it sees what went
//! in, what stands, and what the kernel has.

use crate::breach::{Breach, Kept, hold};
use crate::kernel::Faults;
use crate::listed::Known;
use crate::machine::Machine;
use court::settings::Settings;
use model::block::{Because, Block, BlockId, Change, Expiry};
use model::event::{Act, Event, Trust};
use model::net::Prefix;
use model::time::Time;
use respond::ranges::Family;
use riposte::config::feed::FeedConfig;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// The judge's minute.
const MINUTE: Duration = Duration::from_secs(60);
/// A clock that is set by less is not told of.
const UNTOLD: Duration = Duration::from_secs(4);
/// Messages under way, and timers.
const TIMELY: Duration = Duration::from_secs(10);
/// Asking the kernel what it has, and putting it right.
const MENDED: Duration = Duration::from_secs(100);

/// What may explain a change of what stands.
#[derive(Debug, Clone, Copy)]
pub enum Cause<'a> {
    /// Time alone.
    Time,
    /// The judge has learned that the clock was set by so much, forward or back: everybody keeps the time that is left.
    Clock(Duration, bool),
    /// Events.
    Traffic(&'a [Event]),
    /// An operator blocks.
    Block(Prefix),
    /// An operator lifts.
    Unblock(Prefix),
    /// Somebody has become exempt.
    Exempt,
    /// These blocks could not be set.
    Failed(&'a BTreeSet<BlockId>),
    /// A judge without its ledger has heard what the kernel has.
    Adopted,
}

/// The model.
#[derive(Debug)]
pub struct Reference {
    /// Others' lists.
    pub(crate) feeds: Vec<Known>,
    pub(crate) settings: Settings,
    pub(crate) derived: Vec<Prefix>,
    pub(crate) allowed: BTreeMap<Prefix, Option<Time>>,
    /// Allowances whose time is up and of which the ledger may not know that yet: a clock set back brings back none of the others.
    pub(crate) lapsed: BTreeSet<Prefix>,
    /// What stood when it was last looked at.
    pub(crate) known: BTreeMap<BlockId, Block>,
    pub(crate) highest: BlockId,
    pub(crate) strikes: BTreeMap<Prefix, (u32, Time)>,
    /// Offenders whose strikes may not be in the ledger yet.
    pub(crate) unsettled: BTreeSet<Prefix>,
    /// Blocks that were handed to the warden, and those whose end the ledger must know.
    pub(crate) handed: BTreeSet<BlockId>,
    pub(crate) over: BTreeSet<BlockId>,
    /// Blocks with a new end or new grounds that are not yet written.
    pub(crate) unwritten: BTreeSet<BlockId>,
    /// Blocks whose time was up once.
    pub(crate) ended: BTreeSet<BlockId>,
    /// Up to this number the ledger may have missed an end.
    pub(crate) doubtful: BlockId,
    /// Until when, by the kernel's clock, anybody was ever sentenced; `None` for ever.
    pub(crate) granted: BTreeMap<Prefix, Option<Time>>,
    /// Elements that somebody else has put into the kernel.
    pub(crate) foreign: BTreeSet<Prefix>,
    /// New blocks for offences, by passed time: (when, which, for whom, on forgeable evidence).
    made: VecDeque<(Time, BlockId, Prefix, bool)>,
    pub(crate) pause: Option<(Time, BTreeSet<Prefix>)>,
    /// The pause is in the history.
    pub(crate) pause_is_told: bool,
    /// Elements that are set for too long, since when; none while the kernel fails.
    late: BTreeMap<Prefix, Time>,
    calm_since: Time,
    pub(crate) suspects: BTreeSet<IpAddr>,
    pub(crate) passed: Time,
    /// When, in passed time, the judge last learned of a clock that was set.
    told: Time,
    pub(crate) wall: Time,
    pub(crate) truth: Time,
    pub(crate) slack: Duration,
    pub(crate) fed: u64,
    /// The highest number that was ever handed over or promised.
    pub(crate) used: BlockId,
    /// When the latest storm began, by the wall clock.
    pub(crate) storm_seen: Option<Time>,
    /// What is new, for the story.
    pub news: Vec<String>,
    /// Storms so far.
    pub storms: u64,
}

impl Reference {
    /// Nothing stands yet.
    pub fn new(settings: &Settings, feeds: &[FeedConfig], wall: Time) -> Reference {
        Reference {
            feeds: feeds.iter().map(Known::new).collect(),
            settings: settings.clone(),
            derived: Vec::new(),
            allowed: BTreeMap::new(),
            lapsed: BTreeSet::new(),
            known: BTreeMap::new(),
            highest: BlockId(0),
            strikes: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            handed: BTreeSet::new(),
            over: BTreeSet::new(),
            unwritten: BTreeSet::new(),
            ended: BTreeSet::new(),
            doubtful: BlockId(0),
            granted: BTreeMap::new(),
            foreign: BTreeSet::new(),
            made: VecDeque::new(),
            pause: None,
            pause_is_told: false,
            late: BTreeMap::new(),
            calm_since: Time::EPOCH,
            suspects: BTreeSet::new(),
            passed: Time::EPOCH,
            told: Time::EPOCH,
            wall,
            truth: Time::EPOCH,
            slack: Duration::ZERO,
            fed: 0,
            used: BlockId(0),
            storm_seen: None,
            news: Vec::new(),
            storms: 0,
        }
    }

    /// Whether an exempt address lies in this prefix.
    pub fn is_exempt(&self, prefix: &Prefix) -> bool {
        self.settings.policy.exempt.iter().chain(&self.derived).chain(self.allowed.keys()).any(|exempt| exempt.overlaps(prefix))
    }

    /// Takes the time in; says whether the clock was set without anybody having told.
    pub(crate) fn tell_time(&mut self, machine: &Machine) -> bool {
        let (wall, truth) = (machine.clock.wall(), machine.clock.truth());
        let passed = truth.since(self.truth);
        let expected = self.wall.after(passed);
        let (ahead, behind) = (wall.since(expected), expected.since(wall));
        // Too little to tell: the judge takes it for time that passes, or doesn't.
        let small = ahead.max(behind) <= UNTOLD;
        if small {
            self.slack += behind;
        }
        self.passed = self.passed.after(passed).after(if small { ahead } else { Duration::ZERO });
        (self.wall, self.truth) = (wall, truth);
        let over = self.allowed.extract_if(.., |_, until| until.is_some_and(|until| until <= wall));
        self.lapsed.extend(over.map(|(prefix, _)| prefix));
        if self.pause.as_ref().is_some_and(|(until, _)| *until <= self.passed) {
            self.pause = None;
        }
        !small
    }

    /// The judge has learned of a clock that was set: what has a minute left has a minute left.
    fn shift(&mut self, step: Duration, forward: bool) {
        let moved = |at: Time| if forward { at.after(step) } else { at.before(step) };
        for block in self.known.values_mut() {
            if let Expiry::At(end) = block.expiry {
                block.expiry = Expiry::At(moved(end));
            }
        }
        self.unwritten.extend(self.known.keys());
        self.told = self.passed;
        self.allowed.values_mut().flatten().for_each(|until| *until = moved(*until));
    }

    /// Events are about to be taken in.
    pub fn feed(&mut self, events: &[Event]) {
        self.fed += events.len() as u64;
        self.suspects.extend(events.iter().filter(|event| matches!(event.act, Act::Probe(_))).map(|event| event.actor));
    }

    /// Looks at what stands now, and whether `cause` explains what has changed.
    pub fn look(&mut self, machine: &Machine, cause: Cause<'_>) -> Kept {
        if let Cause::Clock(step, forward) = cause {
            self.shift(step, forward);
            self.lists_clock_set(machine);
        }
        self.tell_time(machine);
        let standing: BTreeMap<BlockId, Block> = machine.court.judge.standing().map(|block| (block.id, block)).collect();
        let known = std::mem::take(&mut self.known);
        let storm = self.storm(machine, &known, &standing)?;
        for block in known.values().filter(|block| !standing.contains_key(&block.id)) {
            self.news.push(format!("{} {} goes", block.id, block.scope.prefix()));
            self.left(block, cause, storm)?;
        }
        for block in standing.values() {
            match known.get(&block.id) {
                None => {
                    self.news.push(format!("{} {} comes: {:?} {:?}", block.id, block.scope.prefix(), block.expiry, block.because));
                    self.came(machine, block, cause, &standing)?;
                }
                Some(old) if old.expiry != block.expiry || old.because != block.because => {
                    self.news.push(format!("{} {} becomes: {:?} {:?}", block.id, block.scope.prefix(), block.expiry, block.because));
                    self.unwritten.insert(block.id);
                    self.changed(machine, old, block, cause)?;
                }
                Some(_) => {}
            }
        }
        self.known = standing;
        if let Cause::Exempt | Cause::Block(_) = cause {
            for prefix in self.known.values().map(|block| block.scope.prefix()) {
                hold(!self.is_exempt(&prefix), "nobody exempt is blocked", || prefix.to_string())?;
            }
        }
        Ok(())
    }

    /// A storm that begins takes back all that was made on forgeable evidence within the window.
    fn storm(&mut self, machine: &Machine, known: &BTreeMap<BlockId, Block>, standing: &BTreeMap<BlockId, Block>) -> Result<bool, Breach> {
        let Some(report) = machine.court.judge.storm() else { return Ok(false) };
        // It is told until the judge is next told the time.
        if self.storm_seen.replace(report.since) == Some(report.since) {
            return Ok(false);
        }
        let storm = &self.settings.policy.storm;
        for (at, id, prefix, forgeable) in &self.made {
            let young = self.passed.since(*at) < storm.window;
            let stands = standing.get(id).is_some_and(is_forgeable);
            hold(!(*forgeable && young && stands), "a storm takes back what it did", || format!("{id} {prefix}, {report:?}"))?;
        }
        let who = known.values().filter(|block| is_forgeable(block)).map(|block| block.scope.prefix()).collect();
        self.news.push(format!("a storm: {report:?}"));
        self.pause = Some((self.passed.after(storm.pause), who));
        self.calm_since = self.passed;
        self.pause_is_told = false;
        self.storms += 1;
        Ok(true)
    }

    fn left(&mut self, block: &Block, cause: Cause<'_>, storm: bool) -> Kept {
        let prefix = block.scope.prefix();
        if block.expiry.is_over(self.wall) {
            self.ended.insert(block.id);
            return Ok(());
        }
        let failed = matches!(cause, Cause::Failed(ids) if ids.contains(&block.id));
        let rolled_back = storm && is_forgeable(block);
        let explained = match cause {
            Cause::Unblock(order) => order.overlaps(&prefix) && order.bits() <= prefix.bits(),
            Cause::Exempt => self.is_exempt(&prefix),
            Cause::Traffic(_) | Cause::Failed(_) => failed || rolled_back,
            Cause::Time | Cause::Clock(..) | Cause::Block(_) | Cause::Adopted => false,
        };
        hold(explained, "no block is lost", || format!("{} {prefix} is gone by {cause:?}", block.id))?;
        if failed || rolled_back {
            self.made.retain(|(_, id, _, _)| *id != block.id);
        }
        if matches!(cause, Cause::Unblock(_)) {
            self.over.insert(block.id);
        }
        if let Because::Offence { .. } = block.because
            && let Some((count, _)) = self.strikes.get_mut(&prefix)
        {
            *count -= 1;
            if *count == 0 {
                self.strikes.remove(&prefix);
            }
            self.unsettled.insert(prefix);
        }
        Ok(())
    }

    fn came(&mut self, machine: &Machine, block: &Block, cause: Cause<'_>, standing: &BTreeMap<BlockId, Block>) -> Kept {
        let prefix = block.scope.prefix();
        hold(block.id > self.highest, "no number is used twice", || format!("{} {prefix} came by {cause:?}", block.id))?;
        self.highest = block.id;
        hold(!self.is_exempt(&prefix), "nobody exempt is blocked", || format!("{} {prefix} by {cause:?}", block.id))?;
        match block.because {
            Because::Adopted => {
                hold(matches!(cause, Cause::Adopted), "only a lost ledger adopts", || format!("{} {prefix} by {cause:?}", block.id))?
            }
            Because::Operator { .. } => {
                let explained = matches!(cause, Cause::Block(order) if order == prefix);
                hold(explained, "only an operator makes an operator's block", || format!("{} {prefix} by {cause:?}", block.id))?;
            }
            Because::Offence { level, trust, strike, .. } => {
                let accused = self.suspects.iter().any(|addr| prefix.contains(*addr)) && matches!(cause, Cause::Traffic(_) | Cause::Time);
                hold(accused, "nobody is blocked for nothing", || format!("{} {prefix} by {cause:?}", block.id))?;
                let forget = self.settings.policy.strikes_forget;
                let due = match self.strikes.get(&prefix) {
                    Some((count, last)) if self.wall.since(*last) < forget => count + 1,
                    Some(_) | None => 1,
                };
                hold(strike == due, "strikes are counted right", || format!("{} {prefix} has strike {strike}, not {due}", block.id))?;
                self.strikes.insert(prefix, (strike, self.wall));
                self.unsettled.remove(&prefix);
                let end = Expiry::At(self.wall.after(self.span(level.index(), strike, trust)));
                hold(block.expiry == end, "a block lasts as long as it should", || format!("{block:?}, not {end:?}"))?;
                self.budget(block, trust == Trust::Spoofable, standing)?;
            }
        }
        self.grant(machine, block);
        Ok(())
    }

    fn span(&self, level: usize, strike: u32, trust: Trust) -> Duration {
        let policy = &self.settings.policy;
        let mut span = policy.block_for[level];
        for _ in 1..strike {
            span = (span * policy.escalation).min(policy.block_max);
        }
        let most = if trust == Trust::Spoofable { policy.spoofable.block_max } else { Duration::MAX };
        span.min(policy.block_max).min(most)
    }

    /// The caps, by what has passed.
    fn budget(&mut self, block: &Block, forgeable: bool, standing: &BTreeMap<BlockId, Block>) -> Kept {
        let prefix = block.scope.prefix();
        let policy = &self.settings.policy;
        let longest = MINUTE.max(policy.storm.window);
        while self.made.front().is_some_and(|(at, _, _, _)| self.passed.since(*at) >= longest) {
            self.made.pop_front();
        }
        self.made.push_back((self.passed, block.id, prefix, forgeable));
        let minute = || self.made.iter().filter(|(at, _, _, _)| self.passed.since(*at) < MINUTE);
        let all = minute().count();
        hold(all <= policy.blocks_per_minute as usize, "so many blocks a minute", || format!("{} {prefix} is number {all}", block.id))?;
        let offences = standing.len();
        hold(offences <= policy.blocks_total.max(self.known.len()), "so many blocks in all", || format!("{offences}"))?;
        if !forgeable {
            return Ok(());
        }
        hold(policy.spoofable.may_block, "forgeable evidence may not block", || prefix.to_string())?;
        let few = minute().filter(|(_, _, _, forgeable)| *forgeable).count();
        let cap = policy.spoofable.blocks_per_minute as usize;
        hold(few <= cap, "so many forgeable blocks a minute", || format!("{} {prefix} is number {few} of {cap}", block.id))?;
        let stand = standing.values().filter(|block| is_forgeable(block)).count();
        let cap = policy.spoofable.blocks_standing;
        hold(stand <= cap, "so many forgeable blocks at one time", || format!("{} {prefix} is number {stand} of {cap}", block.id))?;
        if let Some((until, who)) = &self.pause {
            hold(who.contains(&prefix), "a pause blocks nobody new", || format!("{} {prefix}, pause until {until:?}", block.id))?;
            return Ok(());
        }
        let (window, since) = (policy.storm.window, self.calm_since);
        let young = self.made.iter().filter(|(at, _, _, forgeable)| *forgeable && *at > since && self.passed.since(*at) < window);
        let many: BTreeSet<Prefix> = young.map(|(_, _, prefix, _)| *prefix).collect();
        hold(many.len() < policy.storm.offenders.max(1), "so many at once are a storm", || format!("{} offenders", many.len()))
    }

    fn changed(&mut self, machine: &Machine, old: &Block, block: &Block, cause: Cause<'_>) -> Kept {
        let prefix = block.scope.prefix();
        let by_order = matches!(cause, Cause::Block(order) if order == prefix);
        if !is_forgeable(block) {
            self.made.iter_mut().filter(|(_, id, _, _)| *id == block.id).for_each(|(_, _, _, forgeable)| *forgeable = false);
        }
        let goes_on = matches!(cause, Cause::Traffic(_) | Cause::Time) && self.suspects.iter().any(|addr| prefix.contains(*addr));
        let (old_end, end) = match (old.expiry, block.expiry) {
            (Expiry::At(old), Expiry::At(new)) => (old, new),
            (Expiry::Never, Expiry::Never) => return Ok(()),
            (_, Expiry::Never) | (Expiry::Never, _) => {
                self.grant(machine, block);
                return hold(by_order, "only an operator blocks for ever", || format!("{} {prefix} by {cause:?}", block.id));
            }
        };
        if end > old_end {
            hold(by_order || goes_on, "a block gets no longer by itself", || format!("{} {prefix} by {cause:?}", block.id))?;
            let most = block.made.after(self.settings.policy.spoofable.block_max);
            let short = !is_forgeable(block) || end <= most.after(UNTOLD);
            hold(short, "forgeable evidence earns no long block", || format!("{block:?}, {most:?} at most"))?;
            self.grant(machine, block);
            if let (Because::Offence { .. }, Some((_, last))) = (&block.because, self.strikes.get_mut(&prefix)) {
                *last = self.wall;
                self.unsettled.insert(prefix);
            }
            return Ok(());
        }
        if by_order {
            self.grant(machine, block);
        }
        hold(end == old_end || by_order, "a block gets no shorter by itself", || format!("{old:?} {block:?} {cause:?}"))
    }

    /// Somebody is sentenced until then, by the kernel's clock.
    pub(crate) fn grant(&mut self, machine: &Machine, block: &Block) {
        let prefix = block.scope.prefix();
        let deadline = match block.expiry {
            Expiry::At(at) => Some(machine.clock.kernel().after(at.since(machine.clock.wall()))),
            Expiry::Never => None,
        };
        let known = self.granted.entry(prefix).or_insert(deadline);
        *known = known.zip(deadline).map(|(a, b)| a.max(b));
        self.foreign.remove(&prefix);
    }

    /// The judge has committed.
    pub fn committed(&mut self) {
        self.unwritten.clear();
    }

    /// Changes are being handed over: is it known to the ledger, and is nobody exempt among them?
    pub fn handed(&mut self, machine: &Machine, changes: &[Change], is_well: bool) -> Kept {
        let adds: Vec<&Change> = changes.iter().filter(|change| matches!(change, Change::Add { .. })).collect();
        for change in &adds {
            let prefix = change.scope().prefix();
            hold(!self.is_exempt(&prefix), "nobody exempt is handed over", || format!("{} {prefix}", change.id()))?;
        }
        if is_well && !adds.is_empty() {
            let mut live = BTreeSet::new();
            let asked = machine.court.store().for_each_live(Time::EPOCH, |block, _| {
                live.insert(block.id);
            });
            hold(asked.is_ok(), "the ledger can be read", || format!("{asked:?}"))?;
            for change in &adds {
                let stands = live.contains(&change.id()) || !self.known.contains_key(&change.id());
                hold(stands, "what is wanted is written before anything is done", || format!("{change:?}"))?;
            }
        }
        for change in changes {
            match change {
                Change::Add { id, .. } => {
                    self.used = self.used.max(*id);
                    self.handed.insert(*id)
                }
                Change::Remove { id, .. } => self.over.insert(*id),
            };
        }
        Ok(())
    }

    /// No element outlives the sentence, in the kernel's own time, for longer than it takes to put right what was under way when
    /// somebody set the clock; and there is none that nobody ordered.
    pub fn look_at_kernel(&mut self, machine: &Machine) -> Kept {
        // Awake: nobody mends anything while the machine sleeps.
        let now = machine.clock.kernel();
        if machine.kernel.faults != Faults::default() {
            self.late.clear();
        }
        let hosts = machine.kernel.hosts.iter().map(|(prefix, deadline)| (*prefix, *deadline, self.granted.get(prefix).copied()));
        let nets = Family::ALL
            .into_iter()
            .zip(&machine.kernel.nets)
            .flat_map(|(family, nets)| nets.iter().map(move |net| (Prefix::host(family.address(net.first)), net.deadline)));
        let nets = nets.map(|(first, deadline)| {
            let around = self.granted.iter().filter(|(prefix, _)| prefix.overlaps(&first)).map(|(_, until)| *until);
            (first, deadline, around.reduce(|a, b| a.zip(b).map(|(a, b)| a.max(b))))
        });
        let mut late = BTreeMap::new();
        for (prefix, deadline, granted) in hosts.chain(nets).filter(|(prefix, _, _)| !self.foreign.contains(prefix)) {
            let Some(granted) = granted else {
                return hold(false, "nobody is blocked for nothing", || format!("the kernel has {prefix}"));
            };
            let is_late = match (deadline, granted) {
                (_, None) => false,
                (None, Some(_)) => return hold(false, "only an operator blocks for ever", || format!("the kernel has {prefix}")),
                (Some(deadline), Some(granted)) => deadline.since(granted) > TIMELY + self.slack,
            };
            if is_late {
                let since = *self.late.get(&prefix).unwrap_or(&now);
                late.insert(prefix, since);
                hold(now.since(since) <= MENDED, "no block outlives its sentence", || {
                    format!("{prefix} until {deadline:?}, not {granted:?}")
                })?;
            }
        }
        self.late = late;
        Ok(())
    }

    /// An operator's block has been promised.
    pub fn ordered(&mut self, whom: Prefix) {
        if self.settings.policy.dry_run {
            return;
        }
        self.used = self.highest;
        self.handed.extend(self.known.values().filter(|block| block.scope.prefix() == whom).map(|block| block.id));
    }

    /// The judge has written down all that has happened.
    pub fn settled(&mut self) {
        // A dry run leaves no trace.
        self.pause_is_told = !self.settings.policy.dry_run;
        self.unsettled.clear();
        self.lapsed.clear();
    }

    /// A judge has come up: it counts offenders for a storm afresh.
    pub(crate) fn forget_count(&mut self) {
        self.calm_since = self.passed;
        if !self.pause_is_told {
            self.pause = None;
        }
        // What was never handed over was never made.
        // Nor does the ledger tell of those who stand no more, or by an operator's word.
        let charged = |id: &BlockId| self.known.get(id).is_some_and(|block| matches!(block.because, Because::Offence { .. }));
        self.made.retain(|(_, id, _, _)| *id <= self.used && charged(id));
    }

    /// The clock was set while nobody looked: the minutes of the ledger tell nothing.
    pub(crate) fn forget_made(&mut self) {
        self.made.clear();
    }

    /// The ledger may have missed that the clock was set: its minutes tell nothing of what was made before.
    pub(crate) fn forget_made_before(&mut self) {
        self.made.retain(|(at, _, _, _)| *at > self.told);
    }
}

/// Whether a block rests on forgeable evidence alone.
pub(crate) fn is_forgeable(block: &Block) -> bool {
    matches!(block.because, Because::Offence { trust: Trust::Spoofable, .. })
}
