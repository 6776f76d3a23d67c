//! Who may say what to the warden, how long and how often: one table, and the gate that holds it.
//! The gate looks at the first byte and the length; nothing is decoded before it has passed.

use crate::message::{Life, Tag};
use model::limits;
use model::time::Time;
use std::time::Duration;

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Which message.
    pub message: Tag,
    /// From whom.
    pub from: Life,
    /// Longest frame in bytes.
    pub max_len: usize,
    /// Frames a second, sustained.
    pub rate: u32,
    /// Frames at once.
    pub burst: u32,
}

/// Everything that the warden accepts. What is not in here is refused.
pub const WARDEN_ACCEPTS: [Rule; 31] = [
    // A restart may want to set two million blocks at once: 2,000 full batches.
    Rule { message: Tag::Apply, from: Life::Judge, max_len: limits::FRAME_BYTES, rate: 20_000, burst: 40_000 },
    Rule { message: Tag::AskInstalled, from: Life::Judge, max_len: 1, rate: 1, burst: 8 },
    Rule { message: Tag::AskCounters, from: Life::Judge, max_len: 1, rate: 20, burst: 100 },
    Rule { message: Tag::Ready, from: Life::Judge, max_len: 300, rate: 1, burst: 1 },
    Rule { message: Tag::Ready, from: Life::Packets, max_len: 300, rate: 1, burst: 1 },
    Rule { message: Tag::Ready, from: Life::Log, max_len: 300, rate: 1, burst: 1 },
    Rule { message: Tag::Ready, from: Life::Host, max_len: 300, rate: 1, burst: 1 },
    Rule { message: Tag::Ready, from: Life::Lookup, max_len: 300, rate: 1, burst: 1 },
    // The sensor looks once a second at most, and each message may change 131,072 elements in the kernel.
    Rule { message: Tag::OpenPorts, from: Life::Packets, max_len: 16_385, rate: 1, burst: 4 },
    Rule { message: Tag::Derived, from: Life::Host, max_len: limits::FRAME_BYTES, rate: 5, burst: 40 },
    Rule { message: Tag::Derived, from: Life::Lookup, max_len: limits::FRAME_BYTES, rate: 1, burst: 1 },
    // Each replaces the kernel's exempt list. Who is refused tells it again with the next change.
    Rule { message: Tag::Allowed, from: Life::Judge, max_len: limits::FRAME_BYTES, rate: 20, burst: 100 },
    // A whole list is a hundred pieces, and told with as much of a pause behind it.
    Rule { message: Tag::Listed, from: Life::Judge, max_len: limits::FRAME_BYTES, rate: 5, burst: 250 },
    // Each answer is an inotify descriptor, of which a user has few. Who is refused asks again a second later.
    Rule { message: Tag::Reopen, from: Life::Log, max_len: 1, rate: 1, burst: 10 },
    Rule { message: Tag::Ready, from: Life::Guard, max_len: 300, rate: 1, burst: 1 },
    Rule { message: Tag::Ready, from: Life::Applications, max_len: 300, rate: 1, burst: 1 },
    Rule { message: Tag::Ready, from: Life::Envoy, max_len: 300, rate: 1, burst: 1 },
    // Each answer is up to 64 files: a start with 3,072 of them takes 48 questions.
    Rule { message: Tag::Reopen, from: Life::Applications, max_len: 1, rate: 2, burst: 100 },
    // Each order starts a program: as many a second as a host can bear, and not one more.
    Rule { message: Tag::Respond, from: Life::Judge, max_len: 4_096, rate: 20, burst: 200 },
    // The runner's process that works begins again when it was killed.
    Rule { message: Tag::Ready, from: Life::Runner, max_len: 300, rate: 1, burst: 4 },
    Rule { message: Tag::Ran, from: Life::Runner, max_len: 1_024, rate: 200, burst: 4_096 },
    // Root asks, through the control socket. The file is the operator's, whoever asks to have it read again.
    Rule { message: Tag::Reload, from: Life::Judge, max_len: 1, rate: 1, burst: 4 },
    // A fifth of a page of `list`, or one address that is explained.
    Rule { message: Tag::AskHeld, from: Life::Judge, max_len: limits::FRAME_BYTES, rate: 200, burst: 1_000 },
    Rule { message: Tag::Ready, from: Life::Responder, max_len: 300, rate: 1, burst: 4 },
    // One for each batch of the judge's.
    Rule { message: Tag::Carried, from: Life::Responder, max_len: 8_192, rate: 20_000, burst: 40_000 },
    // A whole list is 263 pieces, and told at its start and when it is asked for.
    Rule { message: Tag::Installed, from: Life::Responder, max_len: limits::FRAME_BYTES, rate: 300, burst: 1_200 },
    Rule { message: Tag::Counters, from: Life::Responder, max_len: 8_192, rate: 20, burst: 100 },
    Rule { message: Tag::Held, from: Life::Responder, max_len: limits::FRAME_BYTES, rate: 200, burst: 1_000 },
    // A tool that is slow is told when it has been for 0.2 s, and once more behind it.
    Rule { message: Tag::Silent, from: Life::Responder, max_len: 3, rate: 20, burst: 100 },
    // A question is up to 128 look-ups of a few microseconds; a ring's blocks come a hundred times a second.
    Rule { message: Tag::AskKnown, from: Life::Packets, max_len: 5_050, rate: 200, burst: 400 },
    Rule { message: Tag::Alive, from: Life::Judge, max_len: 1, rate: 10, burst: 100 },
];

/// Why a frame was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No row lets this process send this message.
    NotYours,
    /// Longer than its row allows.
    TooLong,
    /// More often than its row allows.
    TooOften,
}

/// One child's gate: a token bucket for each row that is about it.
#[derive(Debug)]
pub struct Gate {
    life: Life,
    buckets: Vec<(Rule, f64, Time)>,
    refused: u64,
}

impl Gate {
    /// A gate for a child of this life; its buckets are full.
    pub fn new(life: Life, now: Time) -> Self {
        let rows = WARDEN_ACCEPTS.iter().filter(|rule| rule.from == life);
        Gate { life, buckets: rows.map(|rule| (*rule, f64::from(rule.burst), now)).collect(), refused: 0 }
    }

    /// Whose gate it is.
    pub fn life(&self) -> Life {
        self.life
    }

    /// How many frames were turned away.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Lets a frame pass or turns it away. `now` is from a monotonic clock: a stepped wall clock must not starve the judge.
    ///
    /// # Errors
    /// Why it was turned away; it is counted.
    pub fn admit(&mut self, tag: Tag, len: usize, now: Time) -> Result<(), Refusal> {
        let verdict = self.weigh(tag, len, now);
        self.refused += u64::from(verdict.is_err());
        verdict
    }

    fn weigh(&mut self, tag: Tag, len: usize, now: Time) -> Result<(), Refusal> {
        let (rule, tokens, filled) = self.buckets.iter_mut().find(|(rule, ..)| rule.message == tag).ok_or(Refusal::NotYours)?;
        if len > rule.max_len {
            return Err(Refusal::TooLong);
        }
        let gained = now.since(*filled).min(Duration::from_secs(3_600)).as_secs_f64() * f64::from(rule.rate);
        *tokens = (*tokens + gained).min(f64::from(rule.burst));
        *filled = now.max(*filled);
        if *tokens < 1.0 {
            return Err(Refusal::TooOften);
        }
        *tokens -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_secs(1_000);

    #[test]
    fn only_the_judge_may_order_blocks() {
        for life in Life::ALL {
            let verdict = Gate::new(life, NOW).admit(Tag::Apply, 100, NOW);
            assert_eq!(verdict.is_ok(), life == Life::Judge, "{life:?}");
        }
    }

    #[test]
    fn long_and_frequent_frames_are_turned_away_and_counted() {
        let mut gate = Gate::new(Life::Log, NOW);
        assert_eq!(gate.admit(Tag::Reopen, 2, NOW), Err(Refusal::TooLong));
        for _ in 0..10 {
            assert_eq!(gate.admit(Tag::Reopen, 1, NOW), Ok(()));
        }
        assert_eq!(gate.admit(Tag::Reopen, 1, NOW), Err(Refusal::TooOften));
        let later = NOW.after(Duration::from_secs(1));
        assert_eq!((0..9).filter(|_| gate.admit(Tag::Reopen, 1, later).is_ok()).count(), 1);
        assert_eq!(gate.admit(Tag::Reopen, 1, NOW), Err(Refusal::TooOften), "time that runs backwards gives nothing");
        assert_eq!(gate.refused(), 1 + 1 + 8 + 1);
    }

    #[test]
    fn nobody_may_send_the_warden_its_own_answers() {
        for life in Life::ALL {
            assert_eq!(Gate::new(life, NOW).admit(Tag::Installed, 1, NOW).is_ok(), life == Life::Responder, "{life:?}");
            for tag in [
                Tag::Outcomes,
                Tag::Carry,
                Tag::Events,
                Tag::Reopened,
                Tag::SensorLink,
                Tag::Processes,
                Tag::Reloaded,
                Tag::Config,
                Tag::Reports,
                Tag::Followed,
                Tag::Known,
            ] {
                assert_eq!(Gate::new(life, NOW).admit(tag, 1, NOW), Err(Refusal::NotYours));
            }
        }
    }
}
