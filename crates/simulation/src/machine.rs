//! One machine: judge, warden, kernel, disk, clocks, and the links between, driven as the daemon's loops drive them but one part at a time,
//! so that it can die between any two. Holds the real court, the real shield and a real store in a folder of its own.

use crate::alerts::Post;
use crate::clock::Clock;
use crate::dice::Dice;
use crate::kernel::{Driver, Kernel, Moment};
use crate::lists::Elsewhere;
use court::court::Court;
use court::execute::execute;
use court::settings::Settings;
use court::shield::Shield;
use link::message::{Life, Message};
use model::block::{BlockId, Change, Expiry, Installed, Outcome};
use model::decision::Exemption;
use model::limits;
use model::net::Prefix;
use model::time::Time;
use riposte::config::feed::FeedConfig;
use riposte::lives::judge::feeds::{self, Feeds};
use riposte::lives::warden::allowances::Allowances;
use riposte::lives::warden::listed::Lists;
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::Store;
use store::faults::Trouble;

/// As in the judge's loop.
const SETTLE_FIRST: Duration = Duration::from_secs(1);
const SETTLE_LAST: Duration = Duration::from_secs(30);
const RESYNC_EVERY: Duration = Duration::from_secs(30);
const TIDY_EVERY: Duration = Duration::from_secs(10);
/// The clocks may drift apart by this much before somebody has set one.
const STEP: Duration = Duration::from_secs(2);
/// A list comes in pieces of so many.
const PIECE: usize = 7;

pub(crate) enum ToWarden {
    Apply(Vec<Change>),
    Ask,
    Allowed(Vec<(Prefix, Expiry)>),
    Listed(Message),
}

/// What the warden says to the judge.
#[derive(Debug, Clone)]
pub enum ToJudge {
    /// What became of changes.
    Outcomes(Vec<(BlockId, Outcome)>),
    /// A piece of what the kernel has.
    Installed(Vec<Installed>, bool),
    /// The derived exemptions.
    Derived(Vec<Exemption>),
    /// The table was made anew.
    Rebuilt,
}

/// A part of the judge's loop that comes whole or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Lets detectors and judge do what is due.
    Tick,
    /// Writes down what has happened.
    Settle,
    /// Has lists fetched, lets go of those that are over, and tells the warden.
    Feeds,
    /// Asks what the kernel has, if it must.
    Resync,
    /// Retention.
    Tidy,
}

/// How a machine comes up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// The judge was killed. The warden, the kernel and all that is committed live on.
    Judge,
    /// The warden was killed, and the judge with it.
    Warden,
    /// The power failed: the kernel is empty, and what was not yet on the disk may be gone.
    Power,
    /// The judge was killed, and somebody deleted the ledger.
    LedgerLost,
}

/// The machine.
pub struct Machine {
    /// Its clocks.
    pub clock: Clock,
    /// The judge's court.
    pub court: Court,
    /// The kernel.
    pub kernel: Kernel,
    /// What the host's own child derives.
    pub host: Vec<Exemption>,
    /// How late a message may come.
    pub lag: Duration,
    settings: Settings,
    pub(crate) feed_configs: Vec<FeedConfig>,
    /// The judge's.
    pub feeds: Feeds,
    /// The warden's.
    pub(crate) lists: Lists,
    pub(crate) allowances: Allowances,
    pub(crate) elsewhere: Elsewhere,
    pub(crate) post: Post,
    /// When the host's own child tells for the first time (true time).
    pub(crate) host_due: Option<Time>,
    pub(crate) copies_fail: bool,
    /// The warden's.
    pub shield: Shield,
    pub(crate) driver: Driver,
    pub(crate) dice: Dice,
    to_warden: VecDeque<(Time, ToWarden)>,
    to_judge: VecDeque<(Time, ToJudge)>,
    pub(crate) folder: PathBuf,
    generation: u64,
    opened: Vec<u8>,
    settle_from: Time,
    settle_wait: Duration,
    resync_from: Time,
    tidy_from: Time,
    /// The clocks as they were when they were last looked at.
    seen: Clock,
    /// Whether the court takes over what the kernel has beyond its ledger, when it next hears of it.
    pub adopts: bool,
    /// When the warden hears that somebody meddled with its table.
    notice: Option<Time>,
}

impl Machine {
    /// A machine with nothing on its disk, in this folder.
    pub fn new(settings: Settings, feed_configs: Vec<FeedConfig>, folder: &Path, mut dice: Dice) -> io::Result<Machine> {
        let clock = Clock::new();
        let mut kernel = Kernel::default();
        let driver = Driver::open(&mut kernel, clock.wall(), clock.kernel());
        let dice = Dice::new(dice.any());
        let (mut court, opened) = open(&settings, folder, 0, clock.wall(), None)?;
        let clocks = feeds::Clock { wall: clock.wall(), steady: clock.kernel() };
        let mut machine = Machine {
            clock,
            feeds: Feeds::load(&feed_configs, folder, &mut court, clocks),
            lists: Lists::default(),
            allowances: Allowances::default(),
            elsewhere: Elsewhere::of(feed_configs.len()),
            // Dice of their own: without alerts it would be the same story.
            post: Post::new(folder, Dice::new(!dice.clone().any())),
            feed_configs,
            host_due: None,
            copies_fail: false,
            court,
            kernel,
            host: Vec::new(),
            lag: Duration::from_millis(5),
            shield: Shield::new(&settings),
            settings,
            driver,
            dice,
            to_warden: VecDeque::new(),
            to_judge: VecDeque::new(),
            folder: folder.to_owned(),
            generation: 0,
            opened,
            settle_from: Time::EPOCH,
            settle_wait: SETTLE_FIRST,
            resync_from: Time::EPOCH,
            tidy_from: Time::EPOCH,
            seen: clock,
            adopts: true,
            notice: None,
        };
        machine.begin();
        Ok(machine)
    }

    /// A judge has started: it is told the exemptions and asks what the kernel has.
    fn begin(&mut self) {
        self.seen = self.clock;
        self.adopts = self.court.store().is_new() || self.court.store_trouble.is_some();
        (self.settle_from, self.settle_wait, self.resync_from) = (Time::EPOCH, SETTLE_FIRST, Time::EPOCH);
        self.tidy_from = self.clock.kernel();
        if !self.shield.has_derived(Life::Host) {
            self.host_due = Some(self.clock.truth().after(Duration::from_millis(self.dice.below(2_000))));
        }
        self.say(ToJudge::Derived(self.shield.derived()));
        self.order(ToWarden::Ask);
        self.judge_begins();
    }

    fn due(&mut self, last: Option<Time>) -> Time {
        let lag = self.dice.below(self.lag.as_nanos() as u64 + 1);
        self.clock.truth().after(Duration::from_nanos(lag)).max(last.unwrap_or_default())
    }

    fn say(&mut self, message: ToJudge) {
        let due = self.due(self.to_judge.back().map(|(at, _)| *at));
        self.to_judge.push_back((due, message));
    }

    pub(crate) fn order(&mut self, message: ToWarden) {
        let due = self.due(self.to_warden.back().map(|(at, _)| *at));
        self.to_warden.push_back((due, message));
    }

    /// As the judge's loop does before anything is decided by the time; returns by how much the clock was set and whether forward.
    pub fn look_at_the_clock(&mut self) -> Option<(Duration, bool)> {
        let (now, boot) = (self.clock.wall(), self.clock.truth().since(self.seen.truth()));
        let slept = boot.saturating_sub(self.clock.kernel().since(self.seen.kernel()));
        if slept > STEP {
            self.court.want_resync();
            self.resync_from = Time::EPOCH;
            let clock = self.clocks();
            self.feeds.slept(slept, &mut self.court, clock);
        }
        let expected = self.seen.wall().after(boot);
        let step = now.since(expected).max(expected.since(now));
        if step > STEP {
            self.seen = self.clock;
            self.court.clock_set(step, now > expected, now);
            let clock = self.clocks();
            self.feeds.clock_set(step, now > expected, &mut self.court, clock);
            self.tell_allowed();
            return Some((step, now > expected));
        }
        // Small steps add up until they are worth telling; a sleep is told once.
        self.seen.pass_awake(boot, self.clock);
        None
    }

    /// Whether the sensors speak: not before the judge has heard of the host's own exemptions.
    pub fn is_on_watch(&self) -> bool {
        self.host_due.is_none() && !self.to_judge.iter().any(|(_, message)| matches!(message, ToJudge::Derived(_)))
    }

    /// Whether nobody has anything left to say or to write.
    pub fn is_quiet(&self) -> bool {
        self.to_warden.is_empty() && self.to_judge.is_empty() && !self.court.wants_resync() && !self.court.has_work()
    }

    /// Hands what the court has committed to the warden.
    pub fn hand_over(&mut self, changes: &[Change]) {
        changes.chunks(limits::BATCH_CHANGES).for_each(|batch| self.order(ToWarden::Apply(batch.to_vec())));
    }

    /// The next message for the judge, if it is due, taken in.
    pub fn hear(&mut self) -> Option<ToJudge> {
        let (_, message) = self.to_judge.pop_front_if(|(at, _)| *at <= self.clock.truth())?;
        let now = self.clock.wall();
        match &message {
            ToJudge::Outcomes(outcomes) => self.court.outcomes(outcomes, now),
            ToJudge::Installed(items, last) => {
                self.court.installed(items, *last, now);
                self.adopts &= !*last;
            }
            ToJudge::Derived(list) => {
                self.court.derived(list.clone(), now);
                self.feeds.exemptions_changed();
            }
            ToJudge::Rebuilt => self.court.rebuilt(now),
        }
        Some(message)
    }

    /// Does one part of the judge's loop.
    pub fn part(&mut self, part: Part) {
        let (now, at) = (self.clock.wall(), self.clock.kernel());
        match part {
            Part::Tick => {
                if self.court.next_tick().is_some_and(|at| at <= now) {
                    self.court.tick(now);
                }
            }
            Part::Settle => {
                if self.court.has_work() && at >= self.settle_from {
                    if self.court.settle(now) {
                        self.settle_wait = SETTLE_FIRST;
                    } else {
                        self.settle_from = at.after(self.settle_wait);
                        self.settle_wait = (self.settle_wait * 2).min(SETTLE_LAST);
                    }
                }
            }
            Part::Feeds => self.look_after_feeds(),
            Part::Resync => {
                if self.court.wants_resync() && at >= self.resync_from {
                    self.resync_from = at.after(RESYNC_EVERY);
                    self.court.resync_begins();
                    self.order(ToWarden::Ask);
                }
            }
            Part::Tidy => {
                if at >= self.tidy_from {
                    self.tidy_from = at.after(TIDY_EVERY);
                    self.court.tidy(now);
                }
            }
        }
    }

    /// The warden does what is due; returns whom it asked the kernel to block.
    pub fn warden(&mut self) -> Vec<Prefix> {
        let mut asked = Vec::new();
        while let Some((_, message)) = self.to_warden.pop_front_if(|(at, _)| *at <= self.clock.truth()) {
            match message {
                ToWarden::Apply(batch) => self.apply(&batch, &mut asked),
                ToWarden::Ask => self.list(),
                ToWarden::Allowed(list) => self.take_allowed(list),
                ToWarden::Listed(message) => self.take_listed(message),
            }
        }
        self.mend_lists();
        if self.notice.is_some_and(|at| at <= self.clock.truth()) {
            self.notice = None;
            let mut at = Moment { wall: self.clock.wall(), now: self.clock.kernel(), dice: &mut self.dice };
            if self.kernel.table {
                self.court.want_resync();
                self.driver.lay_lists_again(&mut self.kernel, &mut at);
            }
            self.driver.rebuild(&mut self.kernel, &mut at);
        }
        if let Some(has_lists) = self.driver.take_rebuilt() {
            self.rebuilt(has_lists);
            self.say(ToJudge::Rebuilt);
        }
        asked
    }

    fn apply(&mut self, batch: &[Change], asked: &mut Vec<Prefix>) {
        let Machine { shield, driver, kernel, clock, dice, .. } = self;
        let mut at = Moment { wall: clock.wall(), now: clock.kernel(), dice };
        let outcomes = execute(shield, batch, |allowed| {
            asked.extend(allowed.iter().filter(|change| matches!(change, Change::Add { .. })).map(|change| change.scope().prefix()));
            driver.apply(kernel, allowed, &mut at)
        });
        self.say(ToJudge::Outcomes(batch.iter().map(Change::id).zip(outcomes).collect()));
    }

    fn list(&mut self) {
        let Ok(items) = self.driver.list(&self.kernel, self.clock.wall(), self.clock.kernel()) else {
            return self.say(ToJudge::Rebuilt);
        };
        let mut pieces: Vec<Vec<Installed>> = items.chunks(PIECE).map(<[Installed]>::to_vec).collect();
        let last = pieces.pop().unwrap_or_default();
        pieces.into_iter().for_each(|piece| self.say(ToJudge::Installed(piece, false)));
        self.say(ToJudge::Installed(last, true));
    }

    /// The host's own child has found other exemptions.
    pub fn derive(&mut self, list: Vec<Exemption>) {
        self.host = list;
        self.host_due = None;
        let were_known = self.shield.has_derived(Life::Host);
        self.shield.derive(Life::Host, self.host.clone());
        self.set_exempt();
        self.say(ToJudge::Derived(self.shield.derived()));
        if !were_known {
            self.set_listed();
        }
    }

    /// Somebody has meddled with the table: the kernel tells the warden within a second.
    pub fn meddled(&mut self) {
        let at = self.clock.truth().after(Duration::from_millis(self.dice.below(1_000)));
        self.notice = Some(self.notice.map_or(at, |notice| notice.min(at)));
    }

    /// The disk fails from now on, or is well again.
    pub fn suffer(&mut self, trouble: Trouble) {
        // One that can't be told is one that has failed.
        let _ = self.court.store().suffer(trouble);
        self.suffer_copies(trouble != Trouble::None);
    }

    /// When something is due next, in true time.
    pub fn next_due(&self) -> Option<Time> {
        let by_kernel = |at: Time| self.clock.truth().after(at.since(self.clock.kernel()));
        let tick = self.court.next_tick().map(|at| self.clock.truth().after(at.since(self.clock.wall())));
        let settle = self.court.has_work().then(|| by_kernel(self.settle_from));
        let resync = self.court.wants_resync().then(|| by_kernel(self.resync_from));
        let links = self.to_warden.front().map(|(at, _)| *at).into_iter().chain(self.to_judge.front().map(|(at, _)| *at));
        links.chain(self.lists_due()).chain(self.notice).chain(tick).chain(settle).chain(resync).chain([by_kernel(self.tidy_from)]).min()
    }

    /// Time passes.
    pub fn pass(&mut self, span: Duration) {
        self.clock.pass(span);
        self.kernel.expire(self.clock.kernel());
    }

    fn file(&self, suffix: &str) -> PathBuf {
        file(&self.folder, self.generation, suffix)
    }

    /// How long the store's log is: what is written behind this mark can be cut off by a death in the middle of it.
    pub fn written(&self) -> u64 {
        fs::metadata(self.file("-wal")).map_or(0, |found| found.len())
    }

    /// Dies and comes up again. Of the store's log what lies behind `kept` may be lost.
    pub fn restart(&mut self, how: Restart, kept: u64) -> io::Result<()> {
        let (database, log) = (fs::read(self.file(""))?, fs::read(self.file("-wal")).unwrap_or_default());
        let kept = match how {
            // What has been written back to the file was on the disk before, with all that came before it.
            Restart::Power if database == self.opened => 0,
            Restart::Power => log.len(),
            Restart::Judge | Restart::Warden | Restart::LedgerLost => log.len().min(usize::try_from(kept).unwrap_or(usize::MAX)),
        };
        let kept = self.dice.between(kept as u64, log.len() as u64) as usize;
        let old = self.generation;
        self.generation += 1;
        let lost = (how == Restart::LedgerLost).then(|| "deleted by somebody".to_owned());
        if lost.is_none() {
            fs::write(self.file(""), database)?;
            fs::write(self.file("-wal"), log.get(..kept).unwrap_or_default())?;
        }
        if how == Restart::Power {
            self.kernel.flush();
        }
        self.to_judge.clear();
        self.post.judge_dies(how == Restart::Power);
        // What a dead judge has sent may still be read.
        if matches!(how, Restart::Warden | Restart::Power) || self.dice.one_in(2) {
            self.to_warden.clear();
        }
        if matches!(how, Restart::Warden | Restart::Power) {
            self.shield = Shield::new(&self.settings);
            (self.lists, self.allowances) = Default::default();
            self.driver = Driver::open(&mut self.kernel, self.clock.wall(), self.clock.kernel());
            self.notice = None;
            self.set_exempt();
        }
        self.suffer_copies(false);
        (self.court, self.opened) = open(&self.settings, &self.folder, self.generation, self.clock.wall(), lost)?;
        for suffix in ["", "-wal"] {
            let _ = fs::remove_file(file(&self.folder, old, suffix));
        }
        let clock = self.clocks();
        self.feeds = Feeds::load(&self.feed_configs, &self.folder, &mut self.court, clock);
        self.begin();
        Ok(())
    }
}

fn file(folder: &Path, generation: u64, suffix: &str) -> PathBuf {
    folder.join(format!("{generation}.db{suffix}"))
}

/// A court on the store of this generation, and what the store's file holds.
fn open(settings: &Settings, folder: &Path, generation: u64, now: Time, trouble: Option<String>) -> io::Result<(Court, Vec<u8>)> {
    let path = file(folder, generation, "");
    let store = Store::open(&path).map_err(io::Error::other)?;
    let court = Court::new(settings.clone(), store, trouble, 1, now);
    Ok((court, fs::read(&path)?))
}
