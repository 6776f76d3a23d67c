//! The runner: runs the programs of `[[response]]`s as one user, as the only process that may start anything. It was started before the
//! warden gave up its rights, and becomes its user before anything else. It parses no byte from the network, knows programs only from the
//! configuration, and never uses a shell.
//!
//! It is two processes: one that works, and one that does nothing but begin the other again, since the warden in its sandbox no longer can.

mod account;
pub mod messenger;
pub mod script;

use super::keeper::{WORKER, keep};
use super::{MESSENGER_SLOT, Start, channel, channel::Channel, ended, monotonic, own};
use crate::config::Config;
use crate::config::response::{Protocol, ResponseConfig, users};
use link::message::{Life, Message};
use model::limits;
use model::response::{Order, Ran, ResponseId, RunId};
use script::Script;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::AsFd;
use sys::fd::{Interest, Poller, Ready};

/// Programs that run at one time.
const AT_ONCE: usize = 4;
/// Orders that wait. More than may stand at one time are none of the judge's.
const WAITING: usize = 2 * limits::RUNS;
/// Keys of Wazuh's scripts that are remembered.
const KEYS: usize = limits::RUNS;
const WARDEN: u64 = 1;
/// Poll tokens of the nth program: its output is this plus 2n, its end one more.
const SCRIPTS: u64 = 10;

/// Runs until the warden goes.
///
/// # Errors
/// Why it can't go on.
pub fn run(start: Start) -> Result<(), String> {
    // Under the systemd unit the daemon's one capability is ambient.
    sys::sandbox::keep_capabilities_from_programs().map_err(|error| error.to_string())?;
    let is_messenger = start.slot & !WORKER == MESSENGER_SLOT;
    let link = is_messenger.then(|| own(0)).transpose()?;
    if start.slot & WORKER == 0 {
        return keep(&start, Life::Runner, link.as_ref()).map_err(|error| error.to_string());
    }
    if let Some(link) = link {
        let Start { mut warden, config, .. } = start;
        let sandbox = format!("none: runs programs as {}", config.alert.user);
        warden.send(&Message::Ready { sandbox }).map_err(|error| error.to_string())?;
        return ended(messenger::watch(&warden, &link, &config.alert));
    }
    let user = users(&start.config.responses).get(usize::from(start.slot & !WORKER)).map(|user| (*user).to_owned());
    let user = user.ok_or("no such runner")?;
    let Start { mut warden, config, .. } = start;
    warden.send(&Message::Ready { sandbox: format!("none: runs programs as {user}") }).map_err(|error| error.to_string())?;
    let mut runner = Runner {
        warden,
        config,
        user,
        poller: Poller::new().map_err(|error| error.to_string())?,
        waiting: VecDeque::new(),
        running: BTreeMap::new(),
        next: 0,
        keys: BTreeMap::new(),
    };
    ended(runner.watch())
}

struct Runner {
    warden: Channel,
    config: Config,
    user: String,
    poller: Poller,
    waiting: VecDeque<Order>,
    running: BTreeMap<u64, Script>,
    next: u64,
    /// What Wazuh's scripts say they are busy with, by response; and by which run.
    keys: BTreeMap<(ResponseId, String), RunId>,
}

impl Runner {
    fn watch(&mut self) -> io::Result<()> {
        self.poller.add(self.warden.as_fd(), WARDEN, Interest::Read)?;
        let (mut ready, mut frame) = (Vec::new(), channel::frame_buffer());
        loop {
            self.start_waiting()?;
            let now = monotonic();
            let patience = self.running.values().map(|script| script.until.since(now)).min();
            self.poller.wait(patience, &mut ready)?;
            for event in &ready {
                if event.token == WARDEN {
                    if !self.hear_warden(event, &mut frame)? {
                        return Ok(());
                    }
                } else {
                    self.attend(event.token)?;
                }
            }
            let now = monotonic();
            self.running.values_mut().filter(|script| script.until <= now).for_each(Script::end);
        }
    }

    /// False when the warden has gone.
    fn hear_warden(&mut self, event: &Ready, frame: &mut [u8]) -> io::Result<bool> {
        if event.writable {
            self.warden.flush()?;
            self.poll_writing()?;
        }
        loop {
            let received = match self.warden.receive(frame) {
                Ok(Some(received)) => received,
                Ok(None) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(error) => return Err(error),
            };
            let Ok(Message::Respond(orders)) = Message::decode(received.bytes) else { continue };
            for order in orders {
                if self.waiting.len() >= WAITING {
                    self.answer(order.run, Ran::TooMany, String::new())?;
                } else {
                    self.waiting.push_back(order);
                }
            }
        }
    }

    fn poll_writing(&self) -> io::Result<()> {
        let interest = if self.warden.wants_to_write() { Interest::Both } else { Interest::Read };
        self.poller.modify(self.warden.as_fd(), WARDEN, interest)
    }

    fn answer(&mut self, run: RunId, ran: Ran, said: String) -> io::Result<()> {
        self.warden.send(&Message::Ran(vec![(run, ran, said)]))?;
        self.poll_writing()
    }

    /// Starts what waits, as far as there is room.
    fn start_waiting(&mut self) -> io::Result<()> {
        while self.running.len() < AT_ONCE {
            let responses = &self.config.responses;
            let is_free = |order: &Order| !self.running.values().any(|script| excludes(&script.order, order, responses));
            let Some(place) = self.waiting.iter().position(is_free) else { return Ok(()) };
            let Some(order) = self.waiting.remove(place) else { return Ok(()) };
            let run = order.run;
            // The warden sends a runner only what is its user's; looked at here, too, since one of them is root.
            let response = self.config.responses.get(usize::from(order.response.0)).filter(|response| response.user == self.user).cloned();
            match response.ok_or((Ran::NotStarted, String::new())).and_then(|response| begin(order, &response)) {
                Ok(script) => {
                    let tokens = SCRIPTS + 2 * self.next;
                    self.next += 1;
                    self.poller.add(script.output.as_fd(), tokens, Interest::Read)?;
                    self.poller.add(script.child.as_fd(), tokens + 1, Interest::Read)?;
                    self.running.insert(tokens, script);
                }
                Err((ran, why)) => self.answer(run, ran, why)?,
            }
        }
        Ok(())
    }

    /// One of the programs has said something, or has ended.
    fn attend(&mut self, token: u64) -> io::Result<()> {
        let place = token - (token - SCRIPTS) % 2;
        let Some(script) = self.running.get_mut(&place) else { return Ok(()) };
        if let Some(keys) = script.hear() {
            let key = (script.order.response, keys);
            let is_known = self.keys.contains_key(&key);
            script.reply(is_known);
            // At the bound further ones are not remembered: then the program itself must know what it has done already.
            if !is_known && self.keys.len() < KEYS {
                self.keys.insert(key, script.order.run);
            }
        }
        if script.is_silent() {
            let _ = self.poller.remove(script.output.as_fd());
        }
        if token == place {
            return Ok(());
        }
        // Nobody else can have its number before its end is asked for.
        if script.leaves_nothing() {
            let _ = script.child.end_group();
        }
        let Some(ended) = script.child.try_wait()? else { return Ok(()) };
        let Some(script) = self.running.remove(&place) else { return Ok(()) };
        let _ = self.poller.remove(script.output.as_fd());
        self.poller.remove(script.child.as_fd())?;
        let (ran, said) = script.ended(ended);
        if !script.order.add || !ran.may_stand() {
            self.keys.retain(|_, run| *run != script.order.run);
        }
        self.answer(script.order.run, ran, said)
    }
}

/// Whether two programs never run at one time. Those about the same don't: a `delete` must not pass its `add`. Nor do two that lock accounts:
/// each looks at first whether another administrator is left.
fn excludes(one: &Order, other: &Order, responses: &[ResponseConfig]) -> bool {
    let locks = |order: &Order| responses.get(usize::from(order.response.0)).is_some_and(|response| response.protocol == Protocol::Account);
    (one.response, one.address, &one.user) == (other.response, other.address, &other.user) || locks(one) && locks(other)
}

fn begin(order: Order, response: &ResponseConfig) -> Result<Script, (Ran, String)> {
    Script::begin(order, response).map_err(|(ran, why)| {
        let why = script::shown(why.as_bytes());
        tracing::warn!(response = response.name, why, "not run");
        (ran, why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::response::{Ground, UserName};

    #[test]
    fn what_might_cross_runs_one_after_the_other() {
        let text = "[[response]]\nname='a'\nprotocol='ossec'\nprogram='/a'\n\
            [[response]]\nname='lock'\nprotocol='account'\nuser='root'\n";
        let responses = Config::parse(text, "x").unwrap().responses;
        let order = |response, address: &str, user: &str| Order {
            run: RunId(1),
            response: ResponseId(response),
            add: true,
            address: address.parse().unwrap(),
            user: UserName::new(user),
            ground: Ground::default(),
            until: None,
        };
        let excludes = |one: &Order, other: &Order| super::excludes(one, other, &responses);
        let script = order(0, "192.0.2.1", "");
        assert!(excludes(&script, &script) && !excludes(&script, &order(0, "192.0.2.2", "")));
        // Two administrators, each of whom would be the other one.
        assert!(excludes(&order(1, "192.0.2.1", "ann"), &order(1, "192.0.2.2", "cat")));
        assert!(!excludes(&script, &order(1, "192.0.2.1", "ann")));
    }
}
