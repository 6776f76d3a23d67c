//! The judge: takes events in, decides, writes the ledger, tells the warden. Holds the store's folder and the control socket, and
//! nothing that could change the firewall.

mod answers;
pub mod court;

use super::channel::{self, Channel};
use super::{Start, enter, monotonic, now, own, unprivileged_user};
use crate::config::Config;
use crate::control::server::Server;
use court::Court;
use link::message::{Counter, Message, Process};
use model::block::Change;
use model::limits;
use model::time::Time;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;
use store::Store;
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
/// While work goes on, it is tidied at least this often.
const BUSY: Duration = Duration::from_secs(10);

struct Sensor {
    slot: u16,
    name: String,
    link: Channel,
    counters: Vec<Counter>,
}

struct Judge {
    court: Court,
    warden: Channel,
    poller: Poller,
    sensors: BTreeMap<u64, Sensor>,
    next_sensor: u64,
    processes: Vec<Process>,
    warden_counters: Vec<Counter>,
    /// Changes that wait for the warden to keep up.
    pending: VecDeque<Change>,
    tidy_at: Option<Time>,
    tidied: Time,
    began: Time,
    malformed: u64,
    turned_away: u64,
}

/// Runs until the warden goes.
///
/// # Errors
/// Why it can't go on.
pub fn run(start: Start) -> Result<(), String> {
    let Start { mut warden, config, .. } = start;
    let listener = UnixListener::from(own(0)?);
    enter(&Profile::judge(unprivileged_user(&config.process.user)?, &config.store.path), &mut warden)?;
    let (store, trouble) = open_store(&config)?;
    let seed = std::hash::RandomState::new().build_hasher().finish();
    let mut court = Court::new(config, store, seed, now());
    court.store_trouble = trouble;
    let poller = Poller::new().map_err(|e| e.to_string())?;
    let server = Server::new(listener, &poller, CONTROL).map_err(|e| e.to_string())?;
    warden.send(&Message::AskInstalled).map_err(|e| e.to_string())?;
    let mut judge = Judge {
        court,
        warden,
        poller,
        sensors: BTreeMap::new(),
        next_sensor: SENSORS,
        processes: Vec::new(),
        warden_counters: Vec::new(),
        pending: VecDeque::new(),
        tidy_at: Some(monotonic()),
        tidied: monotonic(),
        began: now(),
        malformed: 0,
        turned_away: 0,
    };
    judge.watch(server).map_err(|e| e.to_string())
}

/// The store, or one in memory and why: a ledger that can't be used is no reason to leave the host unprotected.
fn open_store(config: &Config) -> Result<(Store, Option<String>), String> {
    let path: PathBuf = config.store.path.join("riposte.db");
    let error = match Store::open(&path) {
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
    let store = Store::open_in_memory().map_err(|e| e.to_string())?;
    Ok((store, Some(format!("in memory only: {error}"))))
}

impl Judge {
    fn watch(&mut self, mut server: Server) -> io::Result<()> {
        self.poller.add(self.warden.as_fd(), WARDEN, Interest::Read)?;
        let (mut ready, mut frame) = (Vec::new(), channel::frame_buffer());
        loop {
            self.send_changes()?;
            self.poller.wait(self.patience(), &mut ready)?;
            let mut waiting = Vec::new();
            for event in &ready {
                if event.token == WARDEN {
                    if !self.hear_warden(event, &mut frame)? {
                        return Ok(());
                    }
                } else if server.owns(event.token) {
                    waiting.push(event.token);
                } else {
                    self.hear_sensor(event, &mut frame)?;
                }
            }
            let now = now();
            if self.court.next_tick().is_some_and(|at| at <= now) {
                self.court.tick(now);
            }
            // First what protects, then what is written about it, then what is answered.
            self.send_changes()?;
            if self.court.has_work() {
                self.court.settle(now);
                self.tidy_at = Some(monotonic().after(QUIET));
            }
            for token in waiting {
                let poller = std::mem::replace(&mut self.poller, Poller::new()?);
                server.ready(token, &poller, |request, root| answers::answer(self, request, root));
                self.poller = poller;
                self.turned_away = server.turned_away;
            }
            self.tidy();
        }
    }

    fn patience(&self) -> Option<Duration> {
        if self.court.has_work() {
            return Some(Duration::ZERO);
        }
        let tick = self.court.next_tick().map(|at| at.since(now()));
        let tidy = self.tidy_at.map(|at| at.since(monotonic()));
        tick.into_iter().chain(tidy).min()
    }

    fn tidy(&mut self) {
        let at = monotonic();
        let due = self.tidy_at.is_some_and(|due| due <= at || at.since(self.tidied) >= BUSY);
        if due {
            self.tidied = at;
            self.tidy_at = self.court.tidy(now()).then_some(at);
        }
    }

    /// Writes down and sends what the court wants, as far as the warden keeps up.
    fn send_changes(&mut self) -> io::Result<()> {
        self.pending.extend(self.court.commit());
        while !self.pending.is_empty() && !self.warden.is_congested() {
            let batch: Vec<Change> = self.pending.drain(..self.pending.len().min(limits::BATCH_CHANGES)).collect();
            self.warden.send(&Message::Apply(batch))?;
        }
        let interest = if self.warden.wants_to_write() { Interest::Both } else { Interest::Read };
        self.poller.modify(self.warden.as_fd(), WARDEN, interest)
    }

    /// False when the warden has gone.
    fn hear_warden(&mut self, event: &Ready, frame: &mut [u8]) -> io::Result<bool> {
        if event.writable {
            self.warden.flush()?;
        }
        loop {
            let received = match self.warden.receive(frame) {
                Ok(Some(received)) => received,
                Ok(None) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(error) => return Err(error),
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
            Message::Derived(list) => self.court.derived(list, now),
            Message::Processes(list) => self.processes = list,
            Message::Counters(list) => self.warden_counters = list,
            Message::Rebuilt => self.court.rebuilt(),
            Message::SensorLink { slot, name } => {
                let Some(fd) = fd else { return Ok(()) };
                self.sensors.retain(|_, sensor| sensor.slot != slot);
                let link = Channel::new(fd);
                self.poller.add(link.as_fd(), self.next_sensor, Interest::Read)?;
                self.sensors.insert(self.next_sensor, Sensor { slot, name, link, counters: Vec::new() });
                self.next_sensor += 1;
            }
            // The warden does not say these.
            Message::Ready { .. }
            | Message::Events(_)
            | Message::AskCounters
            | Message::Apply(_)
            | Message::AskInstalled
            | Message::OpenPorts { .. }
            | Message::Reopen
            | Message::Reopened { .. }
            | Message::ReopenedFile => self.malformed += 1,
        }
        Ok(())
    }

    fn hear_sensor(&mut self, event: &Ready, frame: &mut [u8]) -> io::Result<()> {
        for _ in 0..TURN_FRAMES {
            let Some(sensor) = self.sensors.get_mut(&event.token) else { return Ok(()) };
            let received = match sensor.link.receive(frame) {
                Ok(Some(received)) => received,
                Ok(None) => return Ok(()),
                // The warden starts it again and sends a new link.
                Err(_) => {
                    self.sensors.remove(&event.token);
                    return Ok(());
                }
            };
            match Message::decode(received.bytes) {
                Ok(Message::Events(events)) => {
                    self.court.observe(&events, now());
                    self.send_changes()?;
                }
                Ok(Message::Counters(counters)) => sensor.counters = counters,
                // A sensor parses hostile bytes: what it says may be anything, and is counted.
                Ok(_) | Err(_) => self.malformed += 1,
            }
        }
        Ok(())
    }
}
