//! The judge: takes events in, decides, writes the ledger, tells the warden. Holds the store's folder and the control socket, and
//! nothing that could change the firewall.

pub mod alerts;
mod answers;
mod clocks;
mod dshield;
pub mod feeds;
pub mod kept;
mod pictures;
mod portsentry;
mod positions;
#[cfg(test)]
mod siege;

use super::calm::Calm;
use super::channel::{self, Channel};
use super::{
    APPLICATIONS_SLOT, ENVOY_SLOT, GUARD_SLOT, PACKETS_SLOT, PARTING, Start, ended, monotonic, now, own, ready, unprivileged_user,
};
use crate::config::Config;
use crate::control::server::Server;
use alerts::Alerts;
use clocks::{Clocks, Turn};
use court::court::Court;
use court::court::responses::Wanted;
use dshield::Dshield;
use feeds::{Clock, Feeds};
use kept::Kept;
use link::gate::Gate;
use link::message::{Asked, Counter, Life, Message, Process, Trouble};
use model::block::{BlockId, Change, Expiry, Scope};
use model::event::{Act, Event, RuleId, Trust};
use model::limits;
use model::time::Time;
use portsentry::Lines;
use positions::{APPLICATION_LOG, Positions};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read};
use std::ops::ControlFlow::{Break, Continue};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use store::Store;
use sys::disk::Space;
use sys::fd::{Interest, Poller, Ready};
use sys::sandbox::Profile;

const WARDEN: u64 = 1;
/// Poll token of a sensor's link number n is this plus n. Links are numbered anew at each restart of a sensor.
const SENSORS: u64 = 1_000;
const CONTROL: u64 = 1 << 32;
/// Frames taken from one sensor before the others get their turn.
const TURN_FRAMES: usize = 32;
/// After work, the store is tidied once this has passed without more.
const QUIET: Duration = Duration::from_secs(2);
/// The first and the longest wait after the store has failed.
const SETTLE_FIRST: Duration = Duration::from_secs(1);
const SETTLE_LAST: Duration = Duration::from_secs(10);
/// The first and the longest wait before the kernel is asked once more what it has. A long list is dear.
const RESYNC_FIRST: Duration = Duration::from_secs(1);
const RESYNC_LAST: Duration = Duration::from_secs(30);
/// While work goes on, it is tidied at least this often.
const BUSY: Duration = Duration::from_secs(10);
/// Between two steps of a tidying that is not done, work or no work: a store that gets fuller faster than it is tidied has no bound.
const STEP: Duration = Duration::from_millis(50);

struct Sensor {
    slot: u16,
    name: String,
    link: Channel,
    counters: Vec<Counter>,
    /// Its own numbers of log rules.
    rules: BTreeMap<RuleId, RuleId>,
}

impl Sensor {
    /// A sensor reads hostile bytes: it can't say for another one, nor vouch for more than its kind can see. A service vouches for whom it
    /// spoke with; a firewall's log line never proves an address; a packet of an established connection does, and nothing that a packet sensor sees is a service's word.
    fn vouch(&self, event: &mut Event) {
        event.origin.sensor = self.slot;
        let most = match self.slot {
            PACKETS_SLOT | GUARD_SLOT => Trust::Handshake,
            APPLICATIONS_SLOT => Trust::Vouched,
            _ => Trust::Spoofable,
        };
        event.trust = event.trust.min(most);
    }
}

struct Judge {
    court: Court,
    warden: Channel,
    poller: Rc<Poller>,
    calm: Calm,
    sensors: BTreeMap<u64, Sensor>,
    next_sensor: u64,
    processes: Vec<Process>,
    warden_counters: Vec<Counter>,
    /// When the firewall's table was last made anew, and what had happened to it.
    repaired: Option<(Time, String)>,
    /// What the warden can't do for now.
    warden_troubles: Vec<Trouble>,
    /// Changes that wait for the warden to keep up.
    pending: VecDeque<Change>,
    tidy_at: Option<Time>,
    tidied: Time,
    /// The last tidying was not done: work doesn't put the next step off.
    untidy: bool,
    settle_from: Time,
    settle_wait: Duration,
    resync_from: Time,
    resync_wait: Duration,
    began: Time,
    /// Packets are captured before the firewall has dropped those of the blocked; how many of those there were.
    captured: bool,
    of_blocked: u64,
    malformed: u64,
    /// Answers of the envoy that nobody waits for.
    late: u64,
    turned_away: u64,
    positions: Positions,
    kept: Kept,
    /// What is told elsewhere.
    alerts: Alerts,
    /// Whoever reads PortSentry's lines gets them.
    lines: Option<Lines>,
    /// The store's folder, and the hundredths of its disk that must be free for history to be written.
    disk: (PathBuf, u8),
    /// The warden's gate as it stands: what it would turn away is not asked for.
    reloads: Gate,
    /// The warden's answer to `reload`, once it is there.
    reloaded: Option<(bool, Vec<String>)>,
    clocks: Clocks,
    feeds: Feeds,
    /// What DShield is told, if it is.
    dshield: Option<Dshield>,
    /// Who sets the blocks, in order: bit n of what the warden tells stands for the nth.
    responders: Vec<&'static str>,
    /// Who has what was asked last; `None`: not told yet.
    held: Option<Vec<(Scope, u16)>>,
    /// Whom the responder says it waits for, a bit; and until when it is not asked again, since it has not answered itself.
    silent: u16,
    deaf_until: Time,
}

/// Runs until the warden goes.
///
/// # Errors
/// Why it can't go on.
pub fn run(start: Start) -> Result<(), String> {
    let Start { mut warden, config, .. } = start;
    let listener = UnixListener::from(own(0)?);
    let profile = Profile::judge(unprivileged_user(&config.process.user)?, &config.store.path);
    let entered = sys::sandbox::enter(&profile).map_err(|e| e.to_string())?;
    let store = open_store(&config)?;
    // Only with its store is the judge ready: a first start without it ends riposte with a clear line.
    ready(&entered, &mut warden)?;
    let mut judge = Judge::new(&config, warden, store).map_err(|e| e.to_string())?;
    let server = Server::new(listener, &judge.poller, CONTROL).map_err(|e| e.to_string())?;
    judge.watch(server)
}

/// The store, or one in memory and why: a ledger that can't be used is no reason to leave the host unprotected.
fn open_store(config: &Config) -> Result<(Store, Option<String>), String> {
    let path: PathBuf = config.store.path.join("riposte.db");
    let error = match open_patiently(&path) {
        Ok(store) => return Ok((store, None)),
        // Another riposte, or a newer one: going on would work against it.
        Err(error @ (store::error::Error::Busy | store::error::Error::Newer { .. } | store::error::Error::Foreign)) => {
            return Err(format!("{}: {error}", path.display()));
        }
        Err(error @ store::error::Error::Corrupt(_)) => {
            let aside = Store::set_aside(&path, now()).map_err(|e| format!("{}: {error}; {e}", path.display()))?;
            tracing::error!(%error, aside = %aside.display(), "the ledger is damaged: it was set aside and a new one is begun");
            match Store::open(&path) {
                Ok(store) => return Ok((store, Some(format!("the old one was damaged and is kept as {}", aside.display())))),
                Err(error) => error,
            }
        }
        Err(error) => error,
    };
    tracing::error!(path = %path.display(), %error, "the ledger can't be opened: blocks are kept in memory and in the kernel only");
    let mut store = Store::open_in_memory().map_err(|e| e.to_string())?;
    // Numbers that the file can't have: both will be one ledger as soon as it can be written again.
    store.begin_at(BlockId(now().as_nanos() / 1_000));
    Ok((store, Some(format!("in memory only: {error}"))))
}

/// Opens the ledger. A judge whose riposte was killed may hold it for the moment that it takes to notice.
fn open_patiently(path: &std::path::Path) -> Result<Store, store::error::Error> {
    let end = monotonic().after(PARTING);
    loop {
        match Store::open(path) {
            Err(store::error::Error::Busy) if monotonic() < end => std::thread::sleep(PARTING / 100),
            result => return result,
        }
    }
}

/// The time by both clocks.
fn clock() -> Clock {
    Clock { wall: now(), steady: monotonic() }
}

/// The link to one who begins, and what it goes on with. One that is gone already is noticed where it is heard: nobody else ends with it.
fn greeted(fd: OwnedFd, words: &[Message]) -> Channel {
    let mut link = Channel::new(fd);
    words.iter().for_each(|message| _ = link.send(message));
    link
}

/// The configuration in a descriptor, which the warden has parsed and written in its canonical form.
fn configuration(fd: Option<OwnedFd>) -> io::Result<Config> {
    let mut text = String::new();
    File::from(fd.ok_or(io::ErrorKind::InvalidData)?).read_to_string(&mut text)?;
    Config::parse(&text, "inherited").map_err(|_| io::Error::other("the warden's configuration can't be read"))
}

/// Whether a disk has less room than it must have; once it had, a fifth more than that is wanted.
fn is_low(space: Space, least: u8, was_low: bool) -> bool {
    let fifths = if was_low { 6 } else { 5 };
    u128::from(space.free) * 500 < u128::from(space.total) * u128::from(least) * fifths
}

impl Judge {
    /// With what the store remembers (and why it may not be all), once it has heard from the warden for the first time.
    fn new(config: &Config, mut warden: Channel, (store, trouble): (Store, Option<String>)) -> io::Result<Judge> {
        // While the ledger is read the warden lists: each may take half a second.
        warden.send(&Message::AskInstalled)?;
        let positions = Positions::load(&store);
        let seed = std::hash::RandomState::new().build_hasher().finish();
        let mut court = sys::memory::hoarding(|| Court::new(config.court(), store, trouble, seed, now()));
        let feeds = Feeds::load(&config.feeds, &config.store.path, &mut court, clock());
        let poller = Rc::new(Poller::new()?);
        poller.add(warden.as_fd(), WARDEN, Interest::Read)?;
        let mut judge = Judge {
            court,
            warden,
            poller,
            calm: Calm::default(),
            sensors: BTreeMap::new(),
            next_sensor: SENSORS,
            processes: Vec::new(),
            warden_counters: Vec::new(),
            repaired: None,
            warden_troubles: Vec::new(),
            pending: VecDeque::new(),
            tidy_at: Some(monotonic()),
            tidied: monotonic(),
            untidy: false,
            settle_from: Time::EPOCH,
            settle_wait: SETTLE_FIRST,
            resync_from: Time::EPOCH,
            resync_wait: RESYNC_FIRST,
            began: now(),
            captured: config.capture.enabled,
            of_blocked: 0,
            malformed: 0,
            late: 0,
            turned_away: 0,
            positions,
            lines: Lines::new(config, 0),
            kept: Kept::load(&config.store.path),
            alerts: Alerts::new(config.alert.clone()),
            disk: (config.store.path.clone(), config.store.min_free_percent),
            reloads: Gate::new(Life::Judge, monotonic()),
            reloaded: None,
            clocks: Clocks::read(),
            feeds,
            dshield: Dshield::load(&config.dshield, &config.store.path, clock()),
            responders: config.respond.kinds.iter().map(|kind| kind.name).collect(),
            held: None,
            silent: 0,
            deaf_until: Time::EPOCH,
        };
        // One that can't read its ledger doesn't know them: what the warden has heard from the judge before stays in force.
        if judge.court.failing.is_none() {
            judge.tell_allowed();
        }
        Ok(judge)
    }

    /// Judges until the warden has gone, which either reading or writing finds out.
    fn watch(&mut self, server: Server) -> Result<(), String> {
        ended(self.turns(server))?;
        // The last word: what waits in memory would be lost.
        self.court.tight = None;
        while self.court.settle(now()) && self.court.owes_strikes() {}
        self.positions.keep(&mut self.court, monotonic(), true);
        self.kept.write(monotonic(), true);
        Ok(())
    }

    fn turns(&mut self, mut server: Server) -> io::Result<()> {
        let (mut ready, mut frame) = (Vec::new(), channel::frame_buffer());
        loop {
            self.send_all()?;
            let patience = self.patience();
            self.calm.wait(&self.poller, patience, &mut ready)?;
            if !self.turn(&ready, &mut server, &mut frame)? {
                return Ok(());
            }
        }
    }

    /// Hears whoever has something to say and does what is due. False when the warden has gone.
    fn turn(&mut self, ready: &[Ready], server: &mut Server, frame: &mut [u8]) -> io::Result<bool> {
        self.look_at_the_clock();
        let mut waiting = Vec::new();
        for event in ready {
            if event.token == WARDEN {
                if !self.hear_warden(event, frame)? {
                    return Ok(false);
                }
            } else if server.owns(event.token) {
                waiting.push(event.token);
            } else {
                self.hear_sensor(event, frame)?;
            }
        }
        let now = now();
        if self.court.next_tick().is_some_and(|at| at <= now) {
            self.court.tick(now);
        }
        // First what protects, then what is written about it, then what is answered.
        self.send_all()?;
        let spoken = self.court.speak();
        self.alerts.hear(&self.court, &spoken, now);
        self.settle(now);
        self.tell_troubles();
        self.pass_alerts()?;
        if std::mem::take(&mut self.court.allowed_again) {
            self.tell_allowed();
        }
        self.positions.keep(&mut self.court, monotonic(), false);
        self.kept.write(monotonic(), false);
        self.look_after_feeds()?;
        self.resync()?;
        for token in waiting {
            // Shared and not lent away: while an answer waits for figures, the warden may hand over a new sensor's link.
            let poller = Rc::clone(&self.poller);
            server.ready(token, &poller, |request, root| {
                let is_order = request.is_order();
                let reply = answers::answer(self, request, root);
                // Who is told that it is done must find it done, even if we are killed right after. A warden that is gone is met below.
                if is_order {
                    let _ = self.send_all();
                    self.settle(now);
                }
                reply
            });
            self.turned_away = server.turned_away;
        }
        self.tidy();
        Ok(true)
    }

    /// Before anything is decided by it: a clock that was set, or a machine that slept, must not end a block early or late.
    fn look_at_the_clock(&mut self) {
        match self.clocks.look(Clocks::read()) {
            Turn::None => {}
            Turn::Set { step, forward } => {
                tracing::warn!(secs = step.as_secs(), forward, "the wall clock was set: every block keeps the time that it has left");
                self.court.clock_set(step, forward, now());
                self.feeds.clock_set(step, forward, &mut self.court, clock());
                self.tell_allowed();
            }
            Turn::Slept(span) => {
                tracing::info!(secs = span.as_secs(), "the machine slept: the kernel's blocks are compared with the ledger");
                self.court.want_resync();
                self.resync_from = Time::EPOCH;
                self.feeds.slept(span, &mut self.court, clock());
            }
        }
    }

    fn patience(&self) -> Option<Duration> {
        // A store that fails is tried again later: until then nothing is gained by being awake.
        let settle = self.court.has_work().then(|| self.settle_from.since(monotonic()));
        let tick = self.court.next_tick().map(|at| at.since(now()));
        let tidy = self.tidy_at.map(|at| at.since(monotonic()));
        let resync = self.court.wants_resync().then(|| self.resync_from.since(monotonic()));
        let positions = self.positions.due().map(|at| at.since(monotonic()));
        let kept = self.kept.due().map(|at| at.since(monotonic()));
        let feeds = self.exchange_due().map(|at| at.since(monotonic()));
        settle.into_iter().chain(tick).chain(tidy).chain(resync).chain(positions).chain(kept).chain(feeds).min()
    }

    /// The warden and the kernel hold the operators' allowances as well.
    fn tell_allowed(&mut self) {
        self.feeds.exemptions_changed();
        let allowed = self.court.judge.allowed().into_iter().map(|(prefix, until)| (prefix, until.map_or(Expiry::Never, Expiry::At)));
        // A warden that is gone takes us with it.
        let _ = self.warden.send(&Message::Allowed(allowed.take(limits::ALLOWED_TOLD).collect()));
    }

    /// When there is something to exchange with others.
    fn exchange_due(&self) -> Option<Time> {
        self.feeds.due().into_iter().chain(self.dshield.as_ref().and_then(Dshield::due)).min()
    }

    /// The envoy has begun or ended.
    fn envoy(&mut self, is_there: bool) {
        self.feeds.envoy(is_there);
        if let Some(dshield) = &mut self.dshield {
            dshield.envoy(is_there);
        }
    }

    /// Has fetched what is due, lets go of what is over, and tells the warden of both.
    fn look_after_feeds(&mut self) -> io::Result<()> {
        if self.exchange_due().is_none_or(|due| due > monotonic()) {
            return Ok(());
        }
        self.feeds.expire(&mut self.court, clock());
        for message in self.feeds.tell(&self.court, clock()) {
            self.warden.send(&message)?;
        }
        if let Some((token, envoy)) = self.sensors.iter_mut().find(|(_, sensor)| sensor.slot == ENVOY_SLOT) {
            let reports = self.dshield.as_mut().map(|dshield| dshield.orders(clock())).unwrap_or_default();
            // One that is gone is noticed where it is heard.
            self.feeds.orders(clock()).iter().chain(&reports).for_each(|order| _ = envoy.link.send(order));
            self.poller.modify(envoy.link.as_fd(), *token, envoy.link.interest())?;
        }
        self.poll_warden()
    }

    /// Writes down what has happened; a store that fails is tried again after a wait that doubles.
    fn settle(&mut self, now: Time) {
        let at = monotonic();
        if !self.court.has_work() || at < self.settle_from {
            return;
        }
        self.positions.owed(at);
        if self.court.settle(now) {
            self.settle_wait = SETTLE_FIRST;
            if !self.untidy {
                self.tidy_at = Some(at.after(QUIET));
            }
        } else {
            self.settle_from = at.after(self.settle_wait);
            self.settle_wait = (self.settle_wait * 2).min(SETTLE_LAST);
        }
    }

    /// Asks for what the kernel really has, if a change failed there: what was to be lifted must not stand for that.
    fn resync(&mut self) -> io::Result<()> {
        let at = monotonic();
        if self.court.wants_resync() && at >= self.resync_from {
            // After a calm it is quick again.
            let calm = at.since(self.resync_from) >= RESYNC_LAST;
            self.resync_wait = if calm { RESYNC_FIRST } else { (self.resync_wait * 2).min(RESYNC_LAST) };
            self.resync_from = at.after(self.resync_wait);
            self.court.resync_begins();
            self.warden.send(&Message::AskInstalled)?;
        }
        Ok(())
    }

    fn tidy(&mut self) {
        let at = monotonic();
        let due = self.tidy_at.is_some_and(|due| due <= at || at.since(self.tidied) >= BUSY);
        if due {
            self.tidied = at;
            self.look_at_the_disk();
            self.untidy = self.court.tidy(now());
            // A disk without room is looked at again even if nothing else happens.
            let wait = if self.untidy { Some(STEP) } else { self.court.tight.as_ref().map(|_| BUSY) };
            self.tidy_at = wait.map(|wait| at.after(wait));
        }
    }

    /// Whether there is room for history. A file system that can't be asked is no reason to write none.
    fn look_at_the_disk(&mut self) {
        let (path, least) = &self.disk;
        let low = sys::disk::space(path).ok().filter(|space| is_low(*space, *least, self.court.tight.is_some()));
        let why = low.map(|Space { free, total }| {
            format!("{} of {} MiB are left, and [store] min_free_percent is {least}", free >> 20, total >> 20)
        });
        self.court.room(why, now());
    }

    /// Writes down and sends what the court wants, as far as the warden keeps up.
    fn send_changes(&mut self) -> io::Result<()> {
        let mut changes = VecDeque::from(self.court.commit(now()));
        // Swapped and not copied: it may be a million.
        if self.pending.is_empty() {
            std::mem::swap(&mut self.pending, &mut changes);
        }
        self.pending.append(&mut changes);
        while !self.pending.is_empty() && !self.warden.is_congested() {
            let batch: Vec<Change> = self.pending.drain(..self.pending.len().min(limits::BATCH_CHANGES)).collect();
            self.warden.send(&Message::Apply(batch))?;
        }
        self.poll_warden()
    }

    /// Likewise, and the orders to run responses behind them. Not with every frame of a sensor: each response that stands is asked whether it
    /// is over.
    fn send_all(&mut self) -> io::Result<()> {
        self.send_changes()?;
        for orders in self.court.orders(now()).chunks(limits::BATCH_RUNS) {
            self.warden.send(&Message::Respond(orders.to_vec()))?;
            if let Some(lines) = &self.lines {
                lines.ordered(orders);
            }
            self.poll_warden()?;
        }
        Ok(())
    }

    fn poll_warden(&self) -> io::Result<()> {
        self.poller.modify(self.warden.as_fd(), WARDEN, self.warden.interest())
    }

    /// False when the warden has gone.
    fn hear_warden(&mut self, event: &Ready, frame: &mut [u8]) -> io::Result<bool> {
        if event.writable {
            self.warden.flush()?;
        }
        loop {
            let received = match self.warden.hear(frame)? {
                Continue(received) => received,
                Break(is_there) => return Ok(is_there),
            };
            let message = Message::decode(received.bytes).map_err(io::Error::other)?;
            self.take(message, received.fd)?;
        }
    }

    fn take(&mut self, message: Message, fd: Option<OwnedFd>) -> io::Result<()> {
        let now = now();
        match message {
            Message::Outcomes(outcomes) => self.court.outcomes(&outcomes, now),
            Message::Installed { last, items } => self.court.installed(&items, last, now),
            Message::Derived(list) => {
                self.court.derived(list, now);
                self.feeds.exemptions_changed();
            }
            Message::Processes(list) => {
                self.alerts.processes(&list, now);
                self.processes = list;
            }
            Message::Counters(list) => self.warden_counters = list,
            Message::Troubles(list) => self.warden_troubles = list,
            Message::Repaired { why } => self.repaired = Some((now, why)),
            Message::Rebuilt => self.court.rebuilt(now),
            Message::Config => {
                let config = configuration(fd)?;
                let lost = self.lines.as_ref().map_or(0, |lines| lines.lost);
                self.lines = Lines::new(&config, lost);
                self.alerts.reconfigure(config.alert.clone());
                self.disk = (config.store.path.clone(), config.store.min_free_percent);
                self.tidy_at = Some(monotonic());
                self.court.reconfigure(config.court(), now);
                self.feeds.exemptions_changed();
                self.calm.begin_again();
            }
            Message::Reloaded { ok, lines } => self.reloaded = Some((ok, lines)),
            Message::Ran(ran) => {
                for (run, ran, said) in ran {
                    self.court.heard(run, said);
                    self.court.ran(&[(run, ran)], now);
                }
            }
            Message::Held(held) => (self.held, self.deaf_until) = (Some(held), Time::EPOCH),
            Message::Silent(bit) => self.silent = bit,
            Message::Alive => self.warden.send(&Message::Alive)?,
            Message::SensorLink { slot, name } => {
                let Some(fd) = fd else { return Ok(()) };
                self.sensors.retain(|_, sensor| sensor.slot != slot);
                let words: Vec<Message> = match slot {
                    APPLICATIONS_SLOT => {
                        let known = self.positions.below(APPLICATION_LOG);
                        let told = known.map(|(log, position)| Message::FilePosition { log: log.to_owned(), position: position.clone() });
                        told.chain([Message::Position(None)]).collect()
                    }
                    ENVOY_SLOT => self.kept.messages().collect(),
                    PACKETS_SLOT | GUARD_SLOT => Vec::new(),
                    _ => vec![Message::Position(self.positions.of(&name))],
                };
                let link = greeted(fd, &words);
                if slot == ENVOY_SLOT {
                    self.envoy(true);
                }
                self.poller.add(link.as_fd(), self.next_sensor, link.interest())?;
                self.sensors.insert(self.next_sensor, Sensor { slot, name, link, counters: Vec::new(), rules: BTreeMap::new() });
                self.next_sensor += 1;
            }
            // The warden does not say these.
            Message::Respond(_)
            | Message::Carry { .. }
            | Message::Carried { .. }
            | Message::AskHeld(_)
            | Message::AskKnown { .. }
            | Message::Known { .. }
            | Message::Alert(_)
            | Message::Listed { .. }
            | Message::Fetch { .. }
            | Message::FeedItems { .. }
            | Message::Fetched { .. }
            | Message::Submit { .. }
            | Message::Submitted { .. }
            | Message::Kept { .. }
            | Message::Ways(_)
            | Message::Ready { .. }
            | Message::Events(_)
            | Message::AskCounters
            | Message::Apply(_)
            | Message::AskInstalled
            | Message::Allowed(_)
            | Message::OpenPorts { .. }
            | Message::Reopen
            | Message::Reopened { .. }
            | Message::ReopenedFile
            | Message::RotatedFile
            | Message::Reload
            | Message::Rules(_)
            | Message::Reports(_)
            | Message::FilePosition { .. }
            | Message::Followed { .. }
            | Message::Looked { .. }
            | Message::Position(_) => self.malformed += 1,
        }
        Ok(())
    }

    fn hear_sensor(&mut self, event: &Ready, frame: &mut [u8]) -> io::Result<()> {
        if event.writable
            && let Some(sensor) = self.sensors.get_mut(&event.token)
            && sensor.link.flush().is_ok()
        {
            self.poller.modify(sensor.link.as_fd(), event.token, sensor.link.interest())?;
            self.pass_alerts()?;
        }
        for _ in 0..TURN_FRAMES {
            let Some(sensor) = self.sensors.get_mut(&event.token) else { return Ok(()) };
            let received = match sensor.link.receive(frame) {
                Ok(Some(received)) => received,
                Ok(None) => return Ok(()),
                // The warden starts it again and sends a new link.
                Err(_) => {
                    if self.sensors.remove(&event.token).is_some_and(|sensor| sensor.slot == ENVOY_SLOT) {
                        self.envoy(false);
                    }
                    return Ok(());
                }
            };
            // Nobody passes descriptors to the judge but the warden.
            match Message::decode(received.bytes).ok().filter(|_| !received.broken && received.fd.is_none()) {
                Some(Message::Counters(counters)) => sensor.counters = counters,
                Some(Message::FeedItems { order, items, gone }) if sensor.slot == ENVOY_SLOT => {
                    self.late += u64::from(!self.feeds.items(order, items, gone));
                }
                Some(Message::Fetched { order, got }) if sensor.slot == ENVOY_SLOT => {
                    self.late += u64::from(!self.feeds.fetched(order, got, &mut self.court, clock()));
                }
                Some(Message::Submitted { order, wrong, wait }) if sensor.slot == ENVOY_SLOT => {
                    let is_answer = self.dshield.as_mut().is_some_and(|dshield| dshield.submitted(order, wrong, wait, clock()));
                    self.late += u64::from(!is_answer);
                }
                Some(Message::Kept { way, note }) if sensor.slot == ENVOY_SLOT => self.malformed += u64::from(!self.kept.take(way, note)),
                // It speaks with the whole world, and witnesses nothing.
                Some(_) if sensor.slot == ENVOY_SLOT => self.malformed += 1,
                Some(Message::Events(mut events)) if sensor.slot != APPLICATIONS_SLOT => {
                    // Only who reads services' logs can tell of them, and only who sees guarded ports of those.
                    let told = events.len();
                    let sees_ports = matches!(sensor.slot, PACKETS_SLOT | GUARD_SLOT);
                    let rules = &sensor.rules;
                    events.retain_mut(|event| match &mut event.act {
                        Act::Reported(_) => false,
                        Act::Touched(_) => sees_ports,
                        // Its number here in place of the sensor's own.
                        Act::Matched(matched) => rules.get(&matched.rule).map(|rule| matched.rule = *rule).is_some(),
                        Act::Guessed(guessed) => rules.get(&guessed.name).map(|rule| guessed.name = *rule).is_some(),
                        Act::Probe(_) | Act::Reached { .. } => true,
                    });
                    self.malformed += (told - events.len()) as u64;
                    events.iter_mut().for_each(|event| sensor.vouch(event));
                    // What the blocked still send reaches nobody, and earns nothing more.
                    if self.captured && sensor.slot == PACKETS_SLOT {
                        let (judge, seen) = (&self.court.judge, events.len());
                        events.retain(|event| judge.standing_for(event.actor).is_none_or(|block| !judge.is_confirmed(block.id)));
                        self.of_blocked += (seen - events.len()) as u64;
                    }
                    self.alerts.note(&events, &self.court.config().scan);
                    self.court.observe(&events, now());
                    if let Some(dshield) = &mut self.dshield {
                        dshield.take(&events, &self.court);
                    }
                    self.send_changes()?;
                    if let Some(lines) = &mut self.lines {
                        lines.tell(&self.court.take_touched());
                    }
                }
                Some(Message::Ways(ways)) if !matches!(sensor.slot, PACKETS_SLOT | APPLICATIONS_SLOT | GUARD_SLOT) => {
                    self.alerts.ways(&ways, &self.court.config().scan);
                }
                Some(Message::Rules(names)) if sensor.slot != GUARD_SLOT => {
                    for (number, name) in names {
                        if sensor.rules.len() < limits::RULES || sensor.rules.contains_key(&number) {
                            sensor.rules.insert(number, self.court.rule(&name));
                        } else {
                            self.malformed += 1;
                        }
                    }
                }
                Some(Message::Reports(reports)) if sensor.slot == APPLICATIONS_SLOT => {
                    let now = now();
                    for mut reported in reports {
                        sensor.vouch(&mut reported.event);
                        let Act::Reported(report) = &mut reported.event.act else {
                            self.malformed += 1;
                            continue;
                        };
                        let Some(rule) = sensor.rules.get(&report.rule) else {
                            self.malformed += 1;
                            continue;
                        };
                        report.rule = *rule;
                        if let Some(Asked { response, user, rule }) = reported.response {
                            let wanted = Wanted { response, user, rule, stands: report.wished, repeated: report.repeated };
                            self.court.asked(&reported.event, wanted, (&reported.log, &reported.line), now);
                            continue;
                        }
                        self.court.reported(&reported.event, &reported.log, &reported.line, now);
                    }
                    self.send_changes()?;
                }
                Some(Message::FilePosition { log, position }) if sensor.slot == APPLICATIONS_SLOT => {
                    self.positions.note(&format!("{APPLICATION_LOG}{log}"), position);
                }
                Some(Message::Position(Some(position))) if !matches!(sensor.slot, PACKETS_SLOT | APPLICATIONS_SLOT | GUARD_SLOT) => {
                    self.positions.note(&sensor.name, position)
                }
                // A sensor parses hostile bytes: what it says may be anything, and is counted.
                Some(_) | None => self.malformed += 1,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_has_ended_before_it_is_greeted_takes_nobody_with_it() {
        let (here, there) = sys::fd::seqpacket_pair().unwrap();
        drop(there);
        let link = greeted(here, &[Message::Position(None), Message::Position(None)]);
        assert!(!link.wants_to_write() && link.receive(&mut channel::frame_buffer()).is_err());
    }

    #[test]
    fn a_long_greeting_waits_for_room_and_is_flushed() {
        let (here, there) = sys::fd::seqpacket_pair().unwrap();
        let words: Vec<Message> = (0..300).map(|_| Message::Kept { way: "mail".into(), note: "x".repeat(limits::ALERT_BYTES) }).collect();
        let (mut link, other) = (greeted(here, &words), Channel::new(there));
        assert_eq!(link.interest(), Interest::Both);
        let mut many = 0;
        for _ in 0..words.len() {
            while other.receive(&mut channel::frame_buffer()).unwrap().is_some() {
                many += 1;
            }
            link.flush().unwrap();
        }
        assert_eq!(many, words.len());
    }

    #[test]
    fn a_ledger_that_a_dying_judge_still_holds_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("riposte.db");
        let held = Store::open(&path).unwrap();
        assert!(matches!(Store::open(&path), Err(store::error::Error::Busy)));
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(PARTING / 10);
                drop(held);
            });
            assert!(open_patiently(&path).is_ok());
        });
        // Whoever stays has it.
        let _held = Store::open(&path).unwrap();
        assert!(matches!(open_patiently(&path), Err(store::error::Error::Busy)));
    }
}
