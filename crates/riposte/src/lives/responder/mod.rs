//! The responder: sets blocks by other means than riposte's own nftables table, by programs and files. Was started before the warden entered its
//! sandbox, which programs could not live in, with the capabilities that the configured kinds need and no more. Parses its configuration, the
//! warden's frames and the answers of its own tools, and no byte from the network.
//!
//! It is two processes (`keeper`). The one that works outlives a warden that is killed for as long as it takes to lift what nobody would end.

mod book;
mod carriers;

use super::calm::Calm;
use super::keeper::{WORKER, keep};
use super::lock::{self, Lock};
use super::{Start, channel, channel::Channel, moved, now};
use crate::config::Config;
use carriers::{Carriers, Opener};
use court::settings::Settings;
use court::shield::Shield;
use link::message::{Life, Message};
use model::block::{Change, Expiry, Installed};
use model::limits;
use model::time::Time;
use respond::Kind;
use std::cell::RefCell;
use std::io;
use std::ops::ControlFlow::{Break, Continue};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use sys::fd::{Poller, Ready, Signals};
use sys::sandbox::Capability;

const WARDEN: u64 = 1;
/// Of the responders' work, so that others have waited for it.
const LONG: Duration = Duration::from_secs(1);
/// Frames taken before ends are looked at again.
const TURN_FRAMES: usize = 256;
/// Who has a block is told in so many bits.
const _: () = assert!(respond::RESPONDERS.len() <= u16::BITS as usize);
/// The name of the lock (see the warden's): an earlier one may still be lifting what it has set.
const LOCK: &[u8] = b"riposte/responder";
/// How often, and how many times, the lock is tried.
const LOCK_WAIT: Duration = Duration::from_millis(50);
const LOCK_TRIES: u32 = 2_400;

/// The capabilities that the configured kinds need, each once.
pub fn capabilities(config: &Config) -> Vec<Capability> {
    let respond = &config.respond;
    let mut all: Vec<Capability> = respond.carried().flat_map(|kind| kind.needs.capabilities).copied().collect();
    // Root's own files are closed to the unit's user.
    if sys::identity::own_uid() != 0 && respond.carried().any(|kind| !(kind.needs.writes)(&respond.settings).is_empty()) {
        all.extend([Capability::CAP_DAC_OVERRIDE, Capability::CAP_FOWNER]);
    }
    all.sort_unstable_by_key(Capability::index);
    all.dedup();
    all
}

/// The time by the clock that goes on while the machine sleeps and is never set: ends are kept by it.
fn boottime() -> Time {
    Time::from_nanos(sys::clock::boottime())
}

/// Runs until the warden goes.
///
/// # Errors
/// Why it can't go on.
pub fn run(start: Start) -> Result<(), String> {
    let fail = |error: io::Error| error.to_string();
    let wanted = capabilities(&start.config);
    let missing = sys::sandbox::keep_for_programs(&wanted)
        .map_err(|error| format!("{error} (under the systemd unit responders take the drop-in respond.conf)"))?;
    // A service manager tells all processes to end: our time is when the warden has gone.
    let _signals = Signals::block().map_err(fail)?;
    if start.slot & WORKER == 0 {
        if !missing.is_empty() {
            let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
            tracing::warn!(
                missing = missing.join(" "),
                "the configured responders need rights that riposte was not given: under the systemd unit that takes the drop-in respond.conf"
            );
        }
        // Root's files are many, and none of a tool's business but these.
        let places: Vec<PathBuf> =
            start.config.respond.carried().flat_map(|kind| (kind.needs.writes)(&start.config.respond.settings)).collect();
        sys::sandbox::write_only(&places).map_err(|error| error.to_string())?;
        let _lock = wait_for_lock(&start.config)?;
        return keep(&start, Life::Responder, None).map_err(fail);
    }
    sys::process::outlive_parent().map_err(fail)?;
    let Start { warden, config, .. } = start;
    // Shared with those who tell of a tool that doesn't end, while nobody else can.
    let warden = Rc::new(RefCell::new(warden));
    let mut worker = Worker { carriers: carriers(&config, &warden), warden, poller: Poller::new().map_err(fail)?, calm: Calm::default() };
    let found = worker.carriers.begin(boottime());
    let names: Vec<&str> = config.respond.carried().map(|kind| kind.name).collect();
    worker.send(&Message::Ready { sandbox: format!("writes only where {} must", names.join(", ")) });
    worker.tell_installed(found);
    worker.watch().map_err(fail)
}

/// Waits until nobody else of our kind is at work in this network namespace.
fn wait_for_lock(config: &Config) -> Result<Option<UnixListener>, String> {
    for _ in 0..LOCK_TRIES {
        match lock::take(LOCK, config).map_err(|error| format!("lock: {error}"))? {
            Lock::Taken(listener) => return Ok(Some(listener)),
            Lock::Squatted { uid } => {
                tracing::warn!(uid, "a process without privilege holds the responder's lock: ignored");
                return Ok(None);
            }
            Lock::Held { .. } => std::thread::sleep(LOCK_WAIT),
        }
    }
    Err("an earlier responder still runs and does not end".into())
}

fn carriers(config: &Config, warden: &Rc<RefCell<Channel>>) -> Carriers {
    let respond = &config.respond;
    let bit = |kind: &Kind| respond.kinds.iter().position(|other| *other == kind).map_or(0, |place| 1 << place);
    let openers = respond.carried().map(|kind| Opener { kind, bit: bit(kind), settings: respond.settings.clone() });
    let warden = Rc::clone(warden);
    // A warden that has gone is met by the next reading.
    let silence = move |bit| drop(warden.borrow_mut().send(&Message::Silent(bit)));
    Carriers::new(openers.collect(), respond.mode, respond.has_kernel(), config.policy.dry_run, Rc::new(silence))
}

struct Worker {
    warden: Rc<RefCell<Channel>>,
    poller: Poller,
    calm: Calm,
    carriers: Carriers,
}

/// What the warden wants, changes gathered.
#[derive(Default)]
struct Wanted {
    /// The numbers of the batches, and how many changes each has.
    batches: Vec<(u32, usize)>,
    changes: Vec<Change>,
}

impl Worker {
    fn watch(&mut self) -> io::Result<()> {
        {
            let warden = self.warden.borrow();
            self.poller.add(warden.as_fd(), WARDEN, warden.interest())?;
        }
        let (mut ready, mut frame) = (Vec::new(), channel::frame_buffer());
        loop {
            let began = boottime();
            self.carriers.look(began);
            self.rest_if_long(began);
            let patience = self.carriers.next_look().map(|at| at.since(boottime()));
            self.calm.wait(&self.poller, patience, &mut ready)?;
            for event in &ready {
                if !self.hear_warden(event, &mut frame)? {
                    self.carriers.leave(boottime());
                    return Ok(());
                }
            }
        }
    }

    /// False when the warden has gone.
    fn hear_warden(&mut self, event: &Ready, frame: &mut [u8]) -> io::Result<bool> {
        if event.writable && self.warden.borrow_mut().flush().is_err() {
            return Ok(false);
        }
        let (mut wanted, mut is_there) = (Wanted::default(), true);
        for _ in 0..TURN_FRAMES {
            let received = match self.warden.borrow_mut().hear(frame)? {
                Continue(received) => received,
                Break(alive) => {
                    is_there = alive;
                    break;
                }
            };
            match Message::decode(received.bytes) {
                Ok(Message::Carry { batch, changes }) => {
                    if wanted.changes.len() + changes.len() > limits::BATCH_CHANGES {
                        self.carry(&mut wanted);
                    }
                    wanted.batches.push((batch, changes.len()));
                    wanted.changes.extend(changes);
                }
                Ok(message) => {
                    self.carry(&mut wanted);
                    self.answer(message);
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        // Also when the warden has gone: what it let go is let go.
        self.carry(&mut wanted);
        if is_there {
            let warden = self.warden.borrow();
            self.poller.modify(warden.as_fd(), WARDEN, warden.interest())?;
        }
        Ok(is_there)
    }

    /// Carries out what was gathered: small batches in as few runs of the tools as one large one.
    fn carry(&mut self, wanted: &mut Wanted) {
        let Wanted { batches, changes } = std::mem::take(wanted);
        if changes.is_empty() && batches.is_empty() {
            return;
        }
        let (wall, steady) = (now(), boottime());
        let by_it = |change: &Change| match *change {
            Change::Add { id, scope, expiry } => Change::Add { id, scope, expiry: moved(expiry, wall, steady) },
            Change::Remove { .. } => *change,
        };
        let changes: Vec<Change> = changes.iter().map(by_it).collect();
        let mut outcomes = self.carriers.apply(&changes, steady).into_iter();
        self.rest_if_long(steady);
        for (batch, len) in batches {
            self.send(&Message::Carried { batch, outcomes: outcomes.by_ref().take(len).collect() });
        }
    }

    fn rest_if_long(&mut self, began: Time) {
        let now = boottime();
        if now.since(began) >= LONG {
            self.carriers.rest(now);
        }
    }

    fn answer(&mut self, message: Message) {
        if message == Message::AskInstalled {
            let found = self.carriers.installed(boottime());
            self.tell_installed(found);
        } else if message == Message::AskCounters {
            self.send(&Message::Counters(self.carriers.counters()));
        } else if let Message::Allowed(exempt) = message {
            let mut shield = Shield::new(&Settings::default());
            shield.allow(exempt.into_iter().map(|(prefix, _)| prefix).collect());
            self.carriers.let_go(&shield, boottime());
        } else if let Message::AskHeld(scopes) = message {
            self.send(&Message::Held(scopes.into_iter().map(|scope| (scope, self.carriers.held(&scope))).collect()));
        }
    }

    /// What is really there, by the wall clock, in pieces.
    fn tell_installed(&mut self, mut items: Vec<Installed>) {
        let (steady, wall) = (boottime(), now());
        items.iter_mut().for_each(|item| {
            item.expiry = match item.expiry {
                // Not known: at no time that a block can have.
                Expiry::At(Time::EPOCH) => item.expiry,
                known => moved(known, steady, wall),
            }
        });
        channel::installed(&items).iter().for_each(|message| self.send(message));
    }

    fn send(&mut self, message: &Message) {
        // A warden that has gone is met by the next reading: there is something to put right then.
        let _ = self.warden.borrow_mut().send(message);
    }
}
