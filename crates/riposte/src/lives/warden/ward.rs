//! One child of the warden: its process, its link, its gate, and when it is to be started again.

use crate::lives::channel::Channel;
use link::gate::Gate;
use link::message::{Life, Process};
use model::time::Time;
use std::time::Duration;
use sys::process::Child;

/// A child that lived for this long is taken for healthy: the next restart is quick again.
const HEALTHY: Duration = Duration::from_secs(60);
/// The first wait before a restart; each further one is twice as long, up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LAST_WAIT: Duration = Duration::from_secs(60);

/// What is to follow the end of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It was not told to end: it is started again, after a wait.
    Restart,
    /// It was ended because its settings have changed: it is started again at once.
    Renewal,
    /// The configuration has no work for it any more.
    Nothing,
}

/// A child.
#[derive(Debug)]
pub struct Ward {
    /// What it is for.
    pub life: Life,
    /// Its slot; several sensors may have the same life.
    pub slot: u16,
    /// Its name, for people.
    pub name: String,
    /// Its process, while it runs.
    pub child: Option<Child>,
    /// Its link, while it runs.
    pub link: Option<Channel>,
    /// What it may say.
    pub gate: Gate,
    /// Whether it has entered its sandbox; in words.
    pub sandbox: String,
    /// Whether it was ever ready: one that never is at the start ends riposte with a clear line.
    pub was_ready: bool,
    /// What is to follow its end.
    pub after: After,
    /// How often it was started again.
    pub restarts: u32,
    /// When it is to be started (monotonic); `None`: not at all.
    pub due: Option<Time>,
    started: Time,
    wait: Duration,
}

impl Ward {
    /// A child that is due now (monotonic time).
    pub fn new(life: Life, slot: u16, name: String, now: Time) -> Self {
        Ward {
            life,
            slot,
            name,
            child: None,
            link: None,
            gate: Gate::new(life, now),
            sandbox: String::new(),
            was_ready: false,
            after: After::Restart,
            restarts: 0,
            due: Some(now),
            started: now,
            wait: FIRST_WAIT,
        }
    }

    /// A child that a reload brings in, while riposte has work to do that must not end with this one's start.
    pub fn late(life: Life, slot: u16, name: String, now: Time) -> Self {
        Ward { was_ready: true, ..Ward::new(life, slot, name, now) }
    }

    /// Whether the configuration has no work for it and its process is gone: its place may be given to another.
    pub fn is_over(&self) -> bool {
        self.after == After::Nothing && self.child.is_none()
    }

    /// It was started.
    pub fn begins(&mut self, child: Child, link: Channel, now: Time) {
        self.child = Some(child);
        self.link = Some(link);
        self.gate = Gate::new(self.life, now);
        self.sandbox.clear();
        self.due = None;
        self.started = now;
    }

    /// It has ended: when it is to be started again, `for_good` if not.
    pub fn ends(&mut self, for_good: bool, now: Time) {
        self.child = None;
        self.link = None;
        self.sandbox.clear();
        match std::mem::replace(&mut self.after, After::Restart) {
            After::Restart if !for_good => {}
            After::Renewal => {
                self.due = Some(now);
                return;
            }
            After::Restart => {
                self.due = None;
                return;
            }
            After::Nothing => {
                (self.due, self.after) = (None, After::Nothing);
                return;
            }
        }
        if now.since(self.started) >= HEALTHY {
            self.wait = FIRST_WAIT;
        }
        self.restarts += 1;
        self.due = Some(now.after(self.wait));
        self.wait = (self.wait * 2).min(LAST_WAIT);
    }

    /// For `status`; its number is 0 while it waits to be begun. `None` if it isn't meant to run.
    pub fn process(&self) -> Option<Process> {
        let pid = self.child.as_ref().map_or_else(|| self.due.map(|_| 0), |child| Some(child.pid()))?;
        Some(Process { life: self.life, slot: self.slot, pid, restarts: self.restarts, sandbox: self.sandbox.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_keeps_dying_waits_longer_each_time() {
        let mut now = Time::from_secs(1_000);
        let mut ward = Ward::new(Life::Log, 1, "kern.log".into(), now);
        let mut waits = Vec::new();
        for _ in 0..12 {
            ward.started = now;
            ward.ends(false, now);
            waits.push(ward.due.unwrap().since(now));
            now = ward.due.unwrap();
        }
        assert_eq!(waits[0], FIRST_WAIT);
        assert!(waits.windows(2).all(|pair| pair[1] >= pair[0]));
        assert_eq!(waits[11], LAST_WAIT);
        // After a healthy life it starts quickly again.
        ward.started = now;
        now = now.after(HEALTHY);
        ward.ends(false, now);
        assert_eq!(ward.due.unwrap().since(now), FIRST_WAIT);
        ward.ends(true, now);
        assert_eq!(ward.due, None);
        let restarts = ward.restarts;
        ward.after = After::Renewal;
        ward.ends(false, now);
        assert_eq!((ward.due, ward.restarts, ward.after), (Some(now), restarts, After::Restart));
        ward.after = After::Nothing;
        assert!(ward.is_over());
        ward.ends(false, now);
        assert!(ward.due.is_none() && ward.is_over());
    }
}
