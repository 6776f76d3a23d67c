//! One way out: a thread of its own, which may be as slow as the other end is. What can't be delivered is tried again, ever more slowly, and
//! given up after a day. Its memory is bounded: one letter under way, and what `limits` lets wait.

use super::courier::Answers;
use super::limits::{Counts, DAY, Limits};
use crate::lives::monotonic;
use link::message::{Counter, Message};
use model::limits::ALERT_BYTES;
use model::time::Time;
use report::alert::{Alert, Letter, Told};
use report::serial::Stamp;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Alerts that wait for a thread. At the bound further ones are dropped and counted.
const WAITING: usize = 1_024;
/// The first and the longest wait before another try.
const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(900);
/// So long a letter is tried.
const GIVE_UP: Duration = Duration::from_secs(86_400);
/// Without anything due a thread looks after its link this often.
const IDLE: Duration = Duration::from_secs(3_600);

/// A steady clock a day ahead, so that what a predecessor has done lies behind its beginning.
pub fn clock() -> Time {
    monotonic().after(DAY)
}

/// Carries letters.
pub trait Way: Send {
    /// Delivers one, within a bounded time.
    ///
    /// # Errors
    /// One line that says why it is not delivered.
    fn deliver(&mut self, letter: &Letter) -> Result<(), String>;
}

/// What a way has done.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    delivered: u64,
    failed: u64,
    given_up: u64,
    dropped: u64,
    failing: bool,
    counts: Counts,
}

/// What a way is told.
enum Order {
    Tell(Box<Alert>),
    /// What a predecessor has left.
    GoOn(String),
}

/// A way's thread, from outside.
#[derive(Debug)]
pub struct Thread {
    name: &'static str,
    orders: SyncSender<Order>,
    tally: Arc<Mutex<Tally>>,
}

impl Thread {
    /// Starts it. Without `limits` each alert goes out for itself at once.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(name: &'static str, host: &str, way: Box<dyn Way>, limits: Option<(Limits, Answers)>) -> Result<Thread, String> {
        let (orders, receiver) = sync_channel(WAITING);
        let (limits, judge) = limits.unzip();
        let tally = Arc::new(Mutex::new(Tally::default()));
        let courier = Courier { name, host: host.to_owned(), way, limits, judge, tally: Arc::clone(&tally), under_way: None };
        std::thread::Builder::new().name(name.to_owned()).spawn(move || courier.work(&receiver)).map_err(|e| format!("no thread: {e}"))?;
        Ok(Thread { name, orders, tally })
    }

    /// Lets it go on where a way of this name has ended; false if it has another name, or has ended.
    pub fn go_on(&self, name: &str, note: &str) -> bool {
        name == self.name && self.orders.try_send(Order::GoOn(note.to_owned())).is_ok()
    }

    /// Gives it an alert; it never waits. False if the thread has ended.
    pub fn tell(&self, alert: &Alert) -> bool {
        match self.orders.try_send(Order::Tell(Box::new(alert.clone()))) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                locked(&self.tally).dropped += 1;
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }

    /// What it has done.
    pub fn counters(&self) -> Vec<Counter> {
        let t = *locked(&self.tally);
        let named = [
            ("letters delivered", t.delivered),
            ("letters failing now", u64::from(t.failing)),
            ("letters tried in vain", t.failed),
            ("letters given up after a day", t.given_up),
            ("alerts dropped, the way is too slow", t.dropped),
            ("alerts not told, nothing new", t.counts.repeated),
            ("alerts not told, a later one took their place", t.counts.merged),
            ("alerts not told, the source's limit", t.counts.over_source),
            ("alerts not told, the day's limit", t.counts.over_day),
            ("alerts told as a number only", t.counts.crowded),
        ];
        named.into_iter().map(|(what, value)| Counter { name: format!("{what}: {}", self.name), value }).collect()
    }
}

fn locked(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A letter that is tried again.
struct UnderWay {
    letter: Letter,
    since: Time,
    wait: Duration,
    due: Time,
}

struct Courier {
    name: &'static str,
    host: String,
    way: Box<dyn Way>,
    limits: Option<Limits>,
    /// Who keeps for a successor how much was told.
    judge: Option<Answers>,
    tally: Arc<Mutex<Tally>>,
    under_way: Option<UnderWay>,
}

impl Courier {
    fn work(mut self, orders: &Receiver<Order>) {
        loop {
            let now = clock();
            let due = match &self.under_way {
                Some(under_way) => Some(under_way.due),
                None => self.limits.as_ref().and_then(Limits::due),
            };
            // Without limits the next one is taken only when this one is on its way.
            let is_busy = self.limits.is_none() && self.under_way.is_some();
            let patience = due.map_or(IDLE, |due| due.since(now));
            if is_busy {
                std::thread::sleep(patience);
            } else {
                match orders.recv_timeout(patience) {
                    Ok(Order::Tell(alert)) => self.take(*alert),
                    Ok(Order::GoOn(note)) => {
                        if let (Some(limits), Ok(kept)) = (&mut self.limits, serde_json::from_str(&note)) {
                            limits.go_on(kept, clock(), crate::lives::now());
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    // Nobody is left to ask for anything.
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            self.carry();
        }
    }

    fn take(&mut self, alert: Alert) {
        let now = clock();
        match &mut self.limits {
            Some(limits) => limits.take(alert, now),
            None => {
                let at = Stamp(crate::lives::now());
                let told = vec![Told::once(alert)];
                self.post(Letter { host: self.host.clone(), at, told, more: 0 }, now);
            }
        }
    }

    fn post(&mut self, letter: Letter, now: Time) {
        self.under_way = Some(UnderWay { letter, since: now, wait: FIRST, due: now });
    }

    /// Has the judge keep how much was told: only what was delivered, so that what was lost with us counts for nothing.
    fn keep(&mut self) {
        if let (Some(limits), Some(judge)) = (&self.limits, &mut self.judge)
            && let Ok(note) = serde_json::to_string(&limits.keep(clock(), crate::lives::now()))
            && note.len() <= ALERT_BYTES
        {
            // A judge that has gone ends us all.
            let _ = judge.tell(&Message::Kept { way: self.name.to_owned(), note });
        }
    }

    /// Tries what is due.
    fn carry(&mut self) {
        let now = clock();
        if self.under_way.is_none()
            && let Some(limits) = &mut self.limits
            && let Some(letter) = limits.letter(&self.host, now)
        {
            self.post(letter, now);
        }
        if let Some(mut under_way) = self.under_way.take_if(|under_way| under_way.due <= now) {
            let result = self.way.deliver(&under_way.letter);
            let was_failing = std::mem::replace(&mut locked(&self.tally).failing, result.is_err());
            match result {
                Ok(()) => {
                    self.keep();
                    locked(&self.tally).delivered += 1;
                    if was_failing {
                        tracing::info!(way = self.name, "alerts are delivered again");
                    }
                }
                Err(why) => {
                    let why = report::escape::text(&why, 300);
                    if !was_failing {
                        tracing::warn!(way = self.name, why, "an alert can't be delivered: it is tried again");
                    }
                    locked(&self.tally).failed += 1;
                    let ended = clock();
                    if ended.since(under_way.since) >= GIVE_UP {
                        tracing::warn!(way = self.name, why, "an alert could not be delivered for a day: given up");
                        locked(&self.tally).given_up += 1;
                        if let Some(limits) = &mut self.limits {
                            limits.take_back(&under_way.letter);
                        }
                    } else {
                        under_way.due = ended.after(under_way.wait);
                        under_way.wait = (under_way.wait * 2).min(LONGEST);
                        self.under_way = Some(under_way);
                    }
                }
            }
        }
        if let Some(limits) = &self.limits {
            locked(&self.tally).counts = limits.counts;
        }
    }
}
