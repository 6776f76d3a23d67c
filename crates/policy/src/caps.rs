//! New blocks counted over a sliding minute, and the passing of time that they are counted by. Never goes wrong for long when the
//! clock is set: a step back is no time at all, a jump forward is that much time.

use model::block::BlockId;
use model::time::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// What "per minute" means.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Up to this far back, a time is taken for a straggler of the latest one (sensors' clocks differ, log lines come late); farther back,
/// for a clock that was set, which from then on is the one that counts.
const STRAGGLING: Duration = Duration::from_secs(60);

/// How much time has passed since the judge was made, by the times that it is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Passing {
    latest: Option<Time>,
    passed: Time,
}

impl Passing {
    /// Takes in what the time is now; says by how much the clock was set back, if it was.
    pub(crate) fn advance(&mut self, now: Time) -> Option<Duration> {
        let latest = *self.latest.get_or_insert(now);
        let set_back = latest.since(now) > STRAGGLING;
        if now > latest || set_back {
            self.latest = Some(now);
        }
        self.passed = self.passed.after(now.since(latest));
        set_back.then(|| latest.since(now))
    }

    /// The clock was set to `now`, which is no passing of time.
    pub(crate) fn set(&mut self, now: Time) {
        self.latest = Some(now);
    }

    /// The time that has passed, as a `Time` that starts at zero and never goes back.
    pub(crate) fn passed(&self) -> Time {
        self.passed
    }

    /// The latest time that was told.
    pub(crate) fn latest(&self) -> Time {
        self.latest.unwrap_or_default()
    }
}

/// The blocks made within the last minute. As long as the cap that its owner holds it to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    made: VecDeque<(Time, BlockId)>,
}

impl Window {
    /// How many were made within the minute up to `passed`.
    pub(crate) fn count(&mut self, passed: Time) -> usize {
        while self.made.front().is_some_and(|(at, _)| passed.since(*at) >= MINUTE) {
            self.made.pop_front();
        }
        self.made.len()
    }

    /// Counts a block; numbers must rise.
    pub(crate) fn add(&mut self, passed: Time, id: BlockId) {
        debug_assert!(self.made.back().is_none_or(|(at, last)| *at <= passed && *last < id));
        self.made.push_back((passed, id));
    }

    /// Takes a block out of the count, if it is still in it.
    pub(crate) fn refund(&mut self, id: BlockId) {
        if let Ok(at) = self.made.binary_search_by_key(&id, |(_, id)| *id) {
            self.made.remove(at);
        }
    }

    pub(crate) fn check_invariants(&self) {
        assert!(self.made.iter().is_sorted(), "the minute is out of order");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_forwards_only() {
        let mut clock = Passing::default();
        let mut passed = |secs: u64| {
            let set_back = clock.advance(Time::from_secs(secs));
            (clock.passed().as_secs(), set_back.is_some())
        };
        assert_eq!(passed(1_000), (0, false));
        assert_eq!(passed(1_010), (10, false));
        // Stragglers neither wind it back nor make it run faster.
        assert_eq!(passed(1_000), (10, false));
        assert_eq!(passed(1_010), (10, false));
        assert_eq!(passed(1_011), (11, false));
        // A clock that is set back runs on from there at once.
        assert_eq!(passed(100), (11, true));
        assert_eq!(passed(101), (12, false));
        assert_eq!(passed(86_501), (86_412, false));
        assert_eq!(clock.advance(Time::from_nanos(u64::MAX)), None);
        assert_eq!(clock.advance(Time::EPOCH), Some(Duration::from_nanos(u64::MAX)));
        assert_eq!(clock.latest(), Time::EPOCH);
    }

    #[test]
    fn a_minute_slides_and_gives_back() {
        let mut window = Window::default();
        for n in 0..10 {
            window.add(Time::from_secs(n), BlockId(n + 1));
        }
        assert_eq!(window.count(Time::from_secs(59)), 10);
        assert_eq!(window.count(Time::from_secs(60)), 9);
        window.refund(BlockId(1));
        window.refund(BlockId(5));
        window.refund(BlockId(5));
        assert_eq!(window.count(Time::from_secs(60)), 8);
        assert_eq!(window.count(Time::from_secs(68)), 1);
        assert_eq!(window.count(Time::from_nanos(u64::MAX)), 0);
        window.check_invariants();
    }
}
