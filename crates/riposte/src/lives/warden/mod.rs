//! The warden: the one process that keeps a privilege. It starts the others, carries out changes, and holds the second exempt list.
//! It parses its configuration, its children's frames and the kernel's answers, and no byte that came from the network.

pub mod allowances;
mod carry;
mod files;
mod firewall;
mod flows;
pub mod listed;
mod mending;
mod notify;
mod prepare;
pub mod reload;
mod responses;
#[cfg(test)]
mod siege;
mod slots;
mod stored;
mod troubles;
mod ward;

use super::calm::Calm;
use super::channel::{self, Frame};
use super::{monotonic, now};
use crate::config::Config;
use allowances::Allowances;
use carry::Carry;
use court::execute::execute;
use court::shield::Shield;
use firewall::Firewall;
use flows::Flows;
use link::message::{Counter, Life, Message, Tag};
use listed::Lists;
use mending::Mending;
use model::block::{Change, Fault, Outcome, Scope};
use model::limits;
use model::response::RunId;
use model::time::Time;
use notify::Notify;
use prepare::Prepared;
pub use prepare::messengers_identity;
use reload::Origin;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;
use stored::Stored;
use sys::fd::{Interest, Poller, Ready, Signal, Signals};
use sys::process::{Ended, Order};
use troubles::{Matter, Troubles};
use ward::{After, Ward};

const SIGNALS: u64 = 1;
const FIREWALL: u64 = 2;
/// Poll token of child n is this plus n.
const WARDS: u64 = 10;
/// How long children have to end in order.
const LAST_ORDERS: Duration = Duration::from_secs(3);
/// The same if what they have set is to be lifted: nobody would end it.
const LAST_LIFTS: Duration = Duration::from_secs(60);
/// Frames taken from one child before the others get their turn.
const TURN_FRAMES: usize = 64;
/// Bytes of a log's name that travel.
const NAME_BYTES: usize = 250;
/// So long after the last full batch of changes the firewall's other users are listened to again.
const HUSH: Duration = Duration::from_millis(20);
/// Cutting connections may take one part in this of the warden's time: on a gateway with a million tracked connections it is slow.
const SEVER_SHARE: u32 = 10;
/// Sources whose connections may wait to be cut. At the bound further ones keep theirs until they run into the block, and are counted.
const SEVER_WAITING: usize = 65_536;

struct Warden {
    config: Config,
    /// Where the configuration is read from again.
    origin: Origin,
    notify: Notify,
    firewall: Firewall,
    shield: Shield,
    allowances: Allowances,
    lists: Lists,
    flows: Flows,
    mending: Mending,
    troubles: Troubles,
    /// TCP and UDP ports with listeners, as last told.
    open_ports: [Vec<u16>; 2],
    prepared: Prepared,
    wards: Vec<Ward>,
    poller: Poller,
    calm: Calm,
    signals: Signals,
    /// Whose connections are still to be cut, and not before when (monotonic).
    to_sever: BTreeSet<Scope>,
    sever_from: Time,
    severed: u64,
    sever_dropped: u64,
    reopen_refused: u64,
    reopen_failed: u64,
    exempt_refused: u64,
    malformed: u64,
    /// Orders to run responses that are not answered, by the runner that has them.
    ordered: BTreeMap<RunId, usize>,
    carry: Carry,
    /// Answers of runners that nobody has asked for.
    unasked: u64,
    processes_changed: bool,
    ending: bool,
}

/// Runs until it is told to end.
///
/// # Errors
/// One line that says why it can't go on.
pub fn run(config: Config, origin: Origin) -> Result<(), String> {
    let mut stored = Stored::inherit();
    super::logging::redirect(&config)?;
    super::logging::start(&config);
    if !sys::identity::is_privileged() {
        return Err("riposte run needs root (or CAP_NET_ADMIN): try 'sudo riposte run'".into());
    }
    let signals = Signals::block().map_err(|e| e.to_string())?;
    // The lock comes first: a second riposte must not touch the first one's table or NFLOG group.
    let lock = prepare::lock(&config)?;
    let prepared = Prepared::new(&config, lock, &mut stored)?;
    let notify = Notify::open();
    prepared.lasting(&config).for_each(|(name, fd)| notify.keep(&name, fd));
    stored.left().for_each(|name| notify.forget(name));
    drop(stored);
    let firewall = Firewall::open(&config, prepared.guard_ports()?)?;
    let mut warden = Warden::new(config, origin, prepared, firewall, notify, signals).map_err(|e| e.to_string())?;
    warden.begin()?;
    let result = warden.watch();
    if result.is_err() {
        // Why is told in one line, without what each of the others has to say about the warden's end.
        warden.kill();
    }
    warden.end();
    result
}

impl Warden {
    fn new(config: Config, origin: Origin, prepared: Prepared, firewall: Firewall, notify: Notify, signals: Signals) -> io::Result<Self> {
        Ok(Warden {
            shield: Shield::new(&config.court()),
            allowances: Allowances::default(),
            lists: Lists::default(),
            flows: Flows::open(config.capture.enabled),
            mending: Mending::default(),
            troubles: Troubles::default(),
            open_ports: [Vec::new(), Vec::new()],
            firewall,
            wards: prepared.wards(&config, monotonic()),
            prepared,
            config,
            origin,
            notify,
            poller: Poller::new()?,
            calm: Calm::default(),
            signals,
            to_sever: BTreeSet::new(),
            sever_from: Time::EPOCH,
            severed: 0,
            sever_dropped: 0,
            reopen_refused: 0,
            reopen_failed: 0,
            exempt_refused: 0,
            malformed: 0,
            ordered: BTreeMap::new(),
            carry: Carry::default(),
            unasked: 0,
            processes_changed: false,
            ending: false,
        })
    }

    fn begin(&mut self) -> Result<(), String> {
        self.poller.add(self.signals.as_fd(), SIGNALS, Interest::Read).map_err(|e| e.to_string())?;
        if let Some(alarm) = self.firewall.alarm_fd() {
            self.poller.add(alarm, FIREWALL, Interest::Read).map_err(|e| e.to_string())?;
        }
        self.set_exempt();
        self.start_runners()?;
        // Sockets and folders are open: from here on the warden needs little.
        let profile = self.prepared.profile(&self.config);
        let entered = sys::sandbox::enter(&profile).map_err(|e| e.to_string())?;
        self.prepared.sandbox = super::describe(&entered);
        tracing::info!(version = env!("CARGO_PKG_VERSION"), dry_run = self.config.policy.dry_run, "riposte is on watch");
        Ok(())
    }

    fn watch(&mut self) -> Result<(), String> {
        let (mut ready, mut frame) = (Vec::new(), channel::frame_buffer());
        while !self.ending {
            self.start_due()?;
            self.tell_processes();
            self.tell_manager();
            let patience = self.patience();
            self.calm.wait(&self.poller, patience, &mut ready).map_err(|e| e.to_string())?;
            for event in &ready {
                if event.token == SIGNALS {
                    self.signalled()?;
                } else if event.token == FIREWALL {
                    self.hear_firewall();
                } else {
                    self.attend(event, &mut frame);
                }
            }
            if self.firewall.wants_to_hear(ready.is_empty()) {
                self.hear_firewall();
            }
            self.mend();
            self.give_up();
            if ready.is_empty() || self.to_sever.len() >= limits::BATCH_CHANGES {
                self.sever();
            }
        }
        Ok(())
    }

    /// How long nothing has to be done.
    fn patience(&self) -> Option<Duration> {
        let now = monotonic();
        let sever = (!self.to_sever.is_empty()).then_some(self.sever_from);
        let hear = self.firewall.wants_to_hear(true).then(|| now.after(HUSH));
        // Who can't be started yet has no time of his own: what he waits for wakes us.
        let startable = self.wards.iter().filter(|ward| self.may_start(ward.life));
        let due = startable
            .filter_map(|ward| ward.due)
            .chain(sever)
            .chain(hear)
            .chain(self.notify.due())
            .chain(self.mending.due())
            .chain(self.troubles.due())
            .chain(self.carry.due());
        due.chain(self.allowances.next_end()).min().map(|at| at.since(now))
    }

    fn start_due(&mut self) -> Result<(), String> {
        let now = monotonic();
        let due: Vec<usize> = (0..self.wards.len()).filter(|n| self.wards[*n].due.is_some_and(|due| due <= now)).collect();
        for index in due {
            if !self.may_start(self.wards[index].life) {
                continue;
            }
            if let Err(error) = self.start(index) {
                let ward = &mut self.wards[index];
                if !ward.was_ready {
                    return Err(format!("{}: {error}", ward.name));
                }
                tracing::error!(child = ward.name, %error, "can't be started again for now");
                ward.ends(false, now);
            }
        }
        Ok(())
    }

    /// Everybody needs a judge to speak to. Sensors also wait until the host's own exemptions are known, which the judge is told of before
    /// it gets their links: no evidence is weighed while the gateway counts as a stranger.
    fn may_start(&self, life: Life) -> bool {
        match life {
            Life::Judge => true,
            Life::Host | Life::Lookup | Life::Envoy => self.judge().is_some(),
            Life::Packets | Life::Log | Life::Applications | Life::Guard => self.judge().is_some() && self.shield.has_derived(Life::Host),
            // It was started once and for all, with rights that we no longer have.
            Life::Runner | Life::Responder | Life::Warden => false,
        }
    }

    fn judge(&self) -> Option<usize> {
        self.wards.iter().position(|ward| ward.life == Life::Judge && ward.link.is_some())
    }

    fn start(&mut self, index: usize) -> Result<(), String> {
        let (life, slot, name) = (self.wards[index].life, self.wards[index].slot, self.wards[index].name.clone());
        let (child, link, sensor_link) = self.prepared.spawn(life, slot, &self.config)?;
        self.poller.add(link.as_fd(), WARDS + index as u64, Interest::Read).map_err(|e| e.to_string())?;
        tracing::debug!(child = name, pid = child.pid(), "started");
        self.wards[index].begins(child, link, monotonic());
        self.processes_changed = true;
        if let Some(fd) = sensor_link {
            let name = name[..name.floor_char_boundary(NAME_BYTES)].to_owned();
            self.send_judge(&Message::SensorLink { slot, name }, Some(fd));
        }
        if life == Life::Judge {
            self.judge_begins();
            let derived = self.shield.derived();
            self.send_judge(&Message::Derived(derived), None);
            self.send_judge(&Message::Troubles(self.troubles.list()), None);
        }
        Ok(())
    }

    fn send_judge(&mut self, message: &Message, fd: Option<std::os::fd::OwnedFd>) {
        let Some(index) = self.judge() else { return };
        self.send(index, message, fd);
    }

    fn send(&mut self, index: usize, message: &Message, fd: Option<std::os::fd::OwnedFd>) {
        let Some(link) = self.wards[index].link.as_mut() else { return };
        // A child that is gone is noticed by its end; nothing is lost by not hearing this.
        if link.send_with(message, fd).is_ok() {
            self.poll_writing(index);
        }
    }

    fn poll_writing(&self, index: usize) {
        let Some(link) = self.wards[index].link.as_ref() else { return };
        let interest = match (link.wants_to_write(), link.is_congested()) {
            // It does not take our answers: we take no more of its requests.
            (true, true) => Interest::Write,
            (true, false) => Interest::Both,
            (false, _) => Interest::Read,
        };
        let _ = self.poller.modify(link.as_fd(), WARDS + index as u64, interest);
    }

    fn tell_processes(&mut self) {
        if !std::mem::take(&mut self.processes_changed) {
            return;
        }
        let own = link::message::Process {
            life: Life::Warden,
            slot: 0,
            pid: std::process::id(),
            restarts: 0,
            sandbox: self.prepared.sandbox.clone(),
        };
        let children = self.wards.iter().filter_map(Ward::process);
        self.send_judge(&Message::Processes(std::iter::once(own).chain(children).collect()), None);
    }

    /// The service manager hears once that all are at work, and then, if it wants to, that the judge still answers.
    fn tell_manager(&mut self) {
        if !self.notify.is_ready() && self.is_at_work() {
            self.tell_ready(None);
        }
        if self.notify.take_due(monotonic()) {
            self.send_judge(&Message::Alive, None);
        }
    }

    /// Whether everybody who is needed to protect the host has begun: not those who wait for the network to resolve names.
    fn is_at_work(&self) -> bool {
        let needed = |ward: &&Ward| ward.life != Life::Lookup && ward.after != After::Nothing;
        self.shield.has_derived(Life::Host) && self.wards.iter().filter(needed).all(|ward| ward.was_ready)
    }

    fn tell_ready(&mut self, trouble: Option<&str>) {
        let mode = if self.config.policy.dry_run { "dry run: nobody new is blocked" } else { "on watch" };
        let logs = self.config.logs.len();
        let said = trouble.map_or_else(|| format!("{mode}; {logs} log{} followed", if logs == 1 { "" } else { "s" }), str::to_owned);
        self.notify.ready(&said);
    }

    fn signalled(&mut self) -> Result<(), String> {
        while let Some(signal) = self.signals.next_signal().map_err(|e| e.to_string())? {
            match signal {
                Signal::Terminate | Signal::Interrupt => self.ending = true,
                Signal::Hangup => drop(self.reload()),
                Signal::Child => self.bury()?,
            }
        }
        Ok(())
    }

    /// Takes note of children that have ended.
    fn bury(&mut self) -> Result<(), String> {
        for index in 0..self.wards.len() {
            let ward = &mut self.wards[index];
            let Some(child) = &ward.child else { continue };
            let Some(ended) = child.try_wait().map_err(|e| e.to_string())? else { continue };
            let done = ward.life == Life::Lookup && ended == Ended::Exited(0);
            // What it said last is still in the link.
            if done {
                self.attend(
                    &Ready { token: WARDS + index as u64, readable: true, writable: false, hung_up: false },
                    &mut channel::frame_buffer(),
                );
            }
            let ward = &mut self.wards[index];
            if !ward.was_ready && !self.ending {
                return Err(format!("{} could not start: see the line above", ward.name));
            }
            if ward.life == Life::Runner || ward.life == Life::Responder {
                self.lose_for_good(index);
                continue;
            }
            if !done && ward.after == After::Restart {
                tracing::warn!(child = ward.name, ?ended, "ended: it is started again");
            }
            ward.ends(done, monotonic());
            self.processes_changed = true;
        }
        Ok(())
    }

    /// Takes a child's frames, up to its turn.
    fn attend(&mut self, event: &Ready, buffer: &mut [u8]) {
        let Some(index) = event.token.checked_sub(WARDS).map(|n| n as usize).filter(|n| *n < self.wards.len()) else { return };
        if event.writable {
            match self.wards[index].link.as_mut().map(channel::Channel::flush) {
                Some(Err(_)) => return self.cut_off(index),
                Some(Ok(())) | None => self.poll_writing(index),
            }
        }
        // It has hung up with our answers unread: nothing more will come of it.
        if event.hung_up && self.wards[index].link.as_ref().is_some_and(channel::Channel::is_congested) {
            return self.cut_off(index);
        }
        for _ in 0..TURN_FRAMES {
            let Some(link) = self.wards[index].link.as_ref().filter(|link| !link.is_congested()) else { return };
            let frame = match link.receive(buffer) {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(_) => return self.cut_off(index),
            };
            match self.open(index, &frame) {
                Some(message) => self.obey(index, message),
                None => self.malformed += 1,
            }
        }
    }

    /// A child without a link is of no use, and a dead link would keep the poller awake: it ends and is started again.
    fn cut_off(&mut self, index: usize) {
        let ward = &mut self.wards[index];
        if let Some(link) = ward.link.take() {
            let _ = self.poller.remove(link.as_fd());
        }
        // One that ends by itself closes its link first: that must not turn its success into a failure.
        if ward.life != Life::Lookup
            && let Some(child) = &ward.child
        {
            let _ = child.order(Order::Kill);
        }
    }

    /// A frame's message, if the gate lets it pass. No child sends descriptors.
    fn open(&mut self, index: usize, frame: &Frame<'_>) -> Option<Message> {
        let tag = Tag::of(frame.bytes).ok().filter(|_| !frame.broken && frame.fd.is_none())?;
        let ward = &mut self.wards[index];
        if let Err(refusal) = ward.gate.admit(tag, frame.bytes.len(), monotonic()) {
            if ward.gate.refused().is_power_of_two() {
                tracing::warn!(child = ward.name, ?tag, ?refusal, refused = ward.gate.refused(), "frame turned away at the gate");
            }
            return None;
        }
        Message::decode(frame.bytes).ok()
    }

    fn obey(&mut self, index: usize, message: Message) {
        match message {
            Message::Apply(batch) => self.apply(index, &batch),
            Message::AskInstalled => self.installed(index),
            Message::AskCounters => self.ask_counters(index),
            Message::Carried { batch, outcomes } => self.carried(batch, &outcomes),
            Message::Installed { last, items } => self.take_installed(last, items),
            Message::Counters(counters) => self.take_counters(counters),
            Message::AskHeld(scopes) => self.ask_held(scopes),
            Message::Held(held) => self.take_held(held),
            Message::Silent(bit) => self.fall_silent(bit),
            Message::Ready { sandbox } => {
                let ward = &mut self.wards[index];
                ward.sandbox = sandbox;
                let again = std::mem::replace(&mut ward.was_ready, true);
                self.processes_changed = true;
                if again && self.wards[index].life == Life::Runner {
                    self.lose_orders(index);
                } else if again && self.wards[index].life == Life::Responder {
                    self.lose_carried();
                }
                if self.wards[index].life == Life::Responder {
                    // Whom a process before it waited for it does not, also if that one never got so far as to be ready.
                    self.fall_silent(0);
                }
            }
            Message::Derived(list) => {
                let were_known = self.shield.has_derived(Life::Host);
                self.shield.derive(self.wards[index].life, list);
                self.spread_exemptions();
                if !were_known {
                    self.set_listed();
                }
            }
            Message::OpenPorts { tcp, udp } => {
                let list = |map: &link::message::PortMap| map.ports().collect::<Vec<u16>>();
                self.open_ports = [list(&tcp), list(&udp)];
                self.set_open_ports();
                self.tell_rebuilt();
            }
            Message::AskKnown { number, flows } => {
                let flows = flows.iter().map(|flow| self.flows.known(flow)).collect();
                self.send(index, &Message::Known { number, flows }, None);
            }
            Message::Respond(orders) => self.respond(index, orders),
            Message::Ran(ran) => self.ran(index, ran),
            Message::Reopen => self.reopen(index),
            Message::Reload => {
                let answer = self.reload();
                self.send(index, &Message::Reloaded { ok: answer.ok, lines: answer.lines }, None);
            }
            Message::Alive => self.notify.alive(),
            Message::Allowed(list) => self.allow(list),
            Message::Listed { first, last, items } => self.list(first, last, items),
            // The gate's table has no row for these: nobody may say them to the warden.
            Message::Events(_)
            | Message::Outcomes(_)
            | Message::Carry { .. }
            | Message::Reopened { .. }
            | Message::ReopenedFile
            | Message::RotatedFile
            | Message::SensorLink { .. }
            | Message::Processes(_)
            | Message::Repaired { .. }
            | Message::Rebuilt
            | Message::Reloaded { .. }
            | Message::Config
            | Message::Troubles(_)
            | Message::Position(_)
            | Message::Rules(_)
            | Message::Reports(_)
            | Message::Known { .. }
            | Message::Alert(_)
            | Message::Fetch { .. }
            | Message::FeedItems { .. }
            | Message::Fetched { .. }
            | Message::Submit { .. }
            | Message::Submitted { .. }
            | Message::Kept { .. }
            | Message::Ways(_)
            | Message::FilePosition { .. }
            | Message::Followed { .. }
            | Message::Looked { .. } => self.malformed += 1,
        }
    }

    /// Kernel and judge hear of the derived exemptions, as they are now.
    fn spread_exemptions(&mut self) {
        self.set_exempt();
        let derived = self.shield.derived();
        self.send_judge(&Message::Derived(derived), None);
        self.tell_rebuilt();
    }

    fn apply(&mut self, index: usize, batch: &[Change]) {
        let (firewall, shield) = (&mut self.firewall, &self.shield);
        let outcomes = execute(shield, batch, |allowed| firewall.apply(allowed, now()));
        for (change, outcome) in batch.iter().zip(&outcomes) {
            match outcome {
                Outcome::Added if self.to_sever.len() >= SEVER_WAITING => self.sever_dropped += 1,
                Outcome::Added => drop(self.to_sever.insert(change.scope())),
                // Whoever is let go keeps his connections.
                Outcome::Removed => drop(self.to_sever.remove(&change.scope())),
                Outcome::Failed(Fault::Exempt) => {
                    self.exempt_refused += 1;
                    tracing::error!(address = %change.scope().prefix(), "the judge asked to block an exempt address: refused");
                }
                Outcome::Unsupported | Outcome::Failed(_) => {}
            }
        }
        let answers = self.carry(batch, outcomes);
        self.send(index, &Message::Outcomes(answers), None);
        self.tell_rebuilt();
    }

    fn sever(&mut self) {
        if self.to_sever.is_empty() || monotonic() < self.sever_from {
            return;
        }
        let began = monotonic();
        let scopes = std::mem::take(&mut self.to_sever).into_iter();
        let scopes: Vec<Scope> = scopes.filter(|scope| !self.shield.touches(&scope.prefix())).collect();
        self.severed += self.firewall.sever(&scopes) as u64;
        let ended = monotonic();
        self.sever_from = ended.after(ended.since(began) * SEVER_SHARE);
    }

    fn tell_kernel(&mut self, index: usize) {
        let items = match self.firewall.list(now()) {
            Ok(items) => items,
            Err(fault) => {
                // More than the kernel can list in useful time, or a kernel that refuses: adding what is there already does no harm.
                tracing::warn!(why = fault.word(), "the kernel's blocks are not listed: every block of the ledger is set again");
                return self.send(index, &Message::Rebuilt, None);
            }
        };
        channel::installed(&items).iter().for_each(|message| self.send(index, message, None));
    }

    fn reopen(&mut self, index: usize) {
        // Each answer is an inotify descriptor, of which root has few: one that doesn't take its answers gets no more of them.
        if self.wards[index].link.as_ref().is_none_or(|link| link.is_unread().unwrap_or(true)) {
            self.reopen_refused += 1;
            return;
        }
        if self.wards[index].life == Life::Applications {
            let answer = self.prepared.look();
            return answer.into_iter().for_each(|(message, fd)| self.send(index, &message, fd));
        }
        match self.prepared.reopen(self.wards[index].slot) {
            Ok(messages) => messages.into_iter().for_each(|(message, fd)| self.send(index, &message, Some(fd))),
            Err(error) => {
                // The sensor asks again every other second, for as long as it takes.
                self.reopen_failed += 1;
                if self.reopen_failed.is_power_of_two() {
                    tracing::warn!(log = self.wards[index].name, error, times = self.reopen_failed, "the log can't be opened again");
                }
                self.send(index, &Message::Reopened { names: Vec::new(), file: false }, None);
            }
        }
    }

    fn counters(&mut self) -> Vec<Counter> {
        let mut counters = self.firewall.counters();
        let own = [
            ("connections of the blocked that were cut", self.severed),
            ("blocked whose connections were not cut, too many at once", self.sever_dropped),
            ("logs that could not be opened again", self.reopen_failed),
            ("application logs that can't be followed", self.prepared.files_refused()),
            ("logs not opened again, the last answer is unread", self.reopen_refused),
            ("orders to block an exempt address refused", self.exempt_refused),
            ("frames not understood or not allowed", self.malformed),
            ("questions to connection tracking that failed", self.flows.failed),
            ("answers of runners that nobody asked for", self.unasked),
            ("derived exemptions refused", self.shield.refused),
            ("bytes of answers that wait", self.wards.iter().filter_map(|w| w.link.as_ref()).map(|l| l.waiting_bytes() as u64).sum()),
            ("allowances too wide or too many for the kernel", self.allowances.refused),
            ("entries of lists too wide, too many or exempt", self.lists.refused),
            ("table repaired", self.mending.repairs),
            ("table repairs that the kernel refused", self.mending.refused),
            ("exempt lists that the kernel refused", self.troubles.refused.get(&Matter::Exempt).copied().unwrap_or(0)),
            ("lists of open ports that the kernel refused", self.troubles.refused.get(&Matter::OpenPorts).copied().unwrap_or(0)),
            ("whole lists of the listed that the kernel refused", self.troubles.refused.get(&Matter::Listed).copied().unwrap_or(0)),
            ("answers dropped, child too slow", self.wards.iter().filter_map(|w| w.link.as_ref()).map(|l| l.dropped()).sum()),
        ];
        counters.extend(self.carry.counters());
        counters.extend(own.into_iter().map(|(name, value)| Counter { name: name.into(), value }));
        counters
    }

    fn kill(&mut self) {
        for child in self.wards.iter().filter_map(|ward| ward.child.as_ref()) {
            let _ = child.order(Order::Kill).and_then(|()| child.wait().map(drop));
        }
    }

    /// Closes the links, which tells the children to end, and waits for them. The blocks stay: the kernel ends each on time.
    fn end(&mut self) {
        tracing::info!("ending; the kernel's blocks stay until their time");
        self.notify.stopping();
        self.wards.iter_mut().for_each(|ward| ward.link = None);
        let until = monotonic().after(if self.responds_elsewhere() { LAST_LIFTS } else { LAST_ORDERS });
        loop {
            self.wards.iter_mut().for_each(|ward| {
                if ward.child.as_ref().is_some_and(|child| !matches!(child.try_wait(), Ok(None))) {
                    ward.child = None;
                }
            });
            let left: Vec<&Ward> = self.wards.iter().filter(|ward| ward.child.is_some()).collect();
            if left.is_empty() {
                break;
            }
            if monotonic() >= until {
                for child in left.iter().filter_map(|ward| ward.child.as_ref()) {
                    let _ = child.order(Order::Kill).and_then(|()| child.wait().map(drop));
                }
                break;
            }
            let mut ready = Vec::new();
            let _: io::Result<()> = self.poller.wait(Some(Duration::from_millis(20)), &mut ready);
            while let Ok(Some(_)) = self.signals.next_signal() {}
        }
        self.prepared.tidy_up(&self.config);
    }
}
