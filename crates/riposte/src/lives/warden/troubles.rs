//! What the kernel refuses although it should be so: tried again ever more slowly, counted, and told to the judge for `status`.
//! Never gives up, and never tries more often than every `FIRST`.

use super::{Message, Warden, monotonic, now};
use link::message::Trouble;
use model::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// The first and the longest wait before another try.
const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);
/// Characters of the kernel's words.
const WHY_CHARS: usize = 200;

/// What can be in trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Matter {
    /// The kernel's own exempt list.
    Exempt,
    /// Its list of open ports.
    OpenPorts,
    /// Whom others' lists block.
    Listed,
    /// The table, which somebody has changed.
    Table,
    /// The responder's keeper, which nobody can begin again.
    Responder,
}

impl Matter {
    const fn word(self) -> &'static str {
        match self {
            Matter::Exempt => "the kernel's exempt list is not up to date; riposte itself still blocks nobody who is exempt",
            Matter::OpenPorts => "the kernel's list of open ports is not up to date; contacts with some may be taken for probes",
            Matter::Listed => "whom others' lists block is not up to date in the kernel",
            Matter::Table => "riposte's own table is not as it should be and can't be made anew",
            Matter::Responder => "the responder is not begun again if it ends; restart riposte",
        }
    }
}

/// One matter that goes wrong.
#[derive(Debug)]
struct Wrong {
    since: Time,
    why: String,
    wait: Duration,
    due: Time,
}

/// All that goes wrong just now.
#[derive(Debug, Default)]
pub struct Troubles {
    wrong: BTreeMap<Matter, Wrong>,
    /// Refusals so far, by matter.
    pub refused: BTreeMap<Matter, u64>,
}

impl Troubles {
    /// A try has ended at `at` (monotonic); `wall` is the time for people. True if there is news: it began, or is over.
    fn tried(&mut self, matter: Matter, result: Result<(), String>, at: Time, wall: Time) -> bool {
        let Err(why) = result else { return self.wrong.remove(&matter).is_some() };
        *self.refused.entry(matter).or_default() += 1;
        let why = why.chars().take(WHY_CHARS).collect();
        let is_new = !self.wrong.contains_key(&matter);
        let wrong = self.wrong.entry(matter).or_insert(Wrong { since: wall, why: String::new(), wait: FIRST / 2, due: at });
        wrong.wait = (wrong.wait * 2).min(LONGEST);
        (wrong.why, wrong.due) = (why, at.after(wrong.wait));
        is_new
    }

    /// Something has ended at `wall` that can't be tried again.
    pub fn lose(&mut self, matter: Matter, wall: Time) {
        let wrong = Wrong { since: wall, why: "its keeper has ended".into(), wait: LONGEST, due: Time::EPOCH };
        self.wrong.entry(matter).or_insert(wrong);
    }

    /// When one of these is to be tried again (monotonic).
    pub fn due(&self) -> Option<Time> {
        self.wrong.iter().filter(|(matter, _)| !matches!(matter, Matter::Table | Matter::Responder)).map(|(_, wrong)| wrong.due).min()
    }

    fn is_due(&self, matter: Matter, at: Time) -> bool {
        self.wrong.get(&matter).is_some_and(|wrong| wrong.due <= at)
    }

    /// For `status`.
    pub fn list(&self) -> Vec<Trouble> {
        let line = |(matter, wrong): (&Matter, &Wrong)| Trouble { since: wrong.since, what: matter.word().into(), why: wrong.why.clone() };
        self.wrong.iter().map(line).collect()
    }
}

impl Warden {
    /// Gives the kernel the exempt list as it is now, and the other responders.
    pub(super) fn set_exempt(&mut self) {
        let result = self.firewall.set_exempt(&self.shield.prefixes());
        self.tried(Matter::Exempt, result);
        self.tell_exempt();
    }

    /// Gives the kernel the open ports as they are now.
    pub(super) fn set_open_ports(&mut self) {
        let [tcp, udp] = &self.open_ports;
        let result = self.firewall.set_open_ports(tcp, udp);
        self.tried(Matter::OpenPorts, result);
    }

    /// Takes note of how a try ended. The log and the judge hear when it begins to go wrong and when that is over.
    pub(super) fn tried(&mut self, matter: Matter, result: Result<(), String>) {
        let error = result.as_ref().err().cloned();
        if !self.troubles.tried(matter, result, monotonic(), now()) {
            return;
        }
        match error {
            Some(error) => tracing::warn!(error, "{}: it is tried again", matter.word()),
            None => tracing::info!("no longer: {}", matter.word()),
        }
        self.send_judge(&Message::Troubles(self.troubles.list()), None);
    }

    /// Tries again what is due. The table has a schedule of its own.
    pub(super) fn try_again(&mut self) {
        let at = monotonic();
        if self.troubles.is_due(Matter::Exempt, at) {
            self.set_exempt();
            self.tell_rebuilt();
        }
        if self.troubles.is_due(Matter::OpenPorts, at) {
            self.set_open_ports();
            self.tell_rebuilt();
        }
        if self.troubles.is_due(Matter::Listed, at) {
            self.set_listed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_tried_ever_more_slowly_until_it_is_done() {
        let (mut troubles, mut clock, wall) = (Troubles::default(), Time::from_secs(1), Time::from_secs(1_700_000_000));
        assert!(!troubles.tried(Matter::Exempt, Ok(()), clock, wall), "no news");
        assert_eq!(troubles.due(), None);
        let mut waits = Vec::new();
        for n in 0..10_u64 {
            let later = wall.after(Duration::from_secs(n));
            assert_eq!(troubles.tried(Matter::Exempt, Err(format!("no memory {n}")), clock, later), n == 0, "told once");
            let due = troubles.due().unwrap();
            assert!(!troubles.is_due(Matter::Exempt, clock) && troubles.is_due(Matter::Exempt, due));
            waits.push(due.since(clock));
            clock = due;
        }
        assert_eq!((waits[0], waits[9]), (FIRST, LONGEST));
        assert!(waits.windows(2).all(|pair| pair[1] == (pair[0] * 2).min(LONGEST)));
        assert_eq!(troubles.refused[&Matter::Exempt], 10);
        let list = troubles.list();
        assert_eq!((list[0].since, list[0].why.as_str(), list.len()), (wall, "no memory 9", 1));
        // The table is tried by its own schedule.
        assert!(troubles.tried(Matter::Table, Err("gone".into()), clock, wall));
        assert!(troubles.tried(Matter::Exempt, Ok(()), clock, wall));
        assert_eq!((troubles.due(), troubles.list().len()), (None, 1));
        // What has ended for good is shown and never tried.
        troubles.lose(Matter::Responder, wall);
        assert_eq!((troubles.due(), troubles.list().len()), (None, 2));
        assert!(troubles.tried(Matter::Exempt, Err("again".into()), clock, wall));
        assert_eq!(troubles.due().unwrap().since(clock), FIRST, "a new trouble begins anew");
    }
}
