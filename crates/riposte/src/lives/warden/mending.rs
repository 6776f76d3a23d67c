//! When the firewall's table is made anew after somebody else has changed it: soon, but no endless war. However often somebody deletes the
//! table, mending it takes no more than a small share of the warden's time, and no gap is longer than the longest pause.

use super::troubles::Matter;
use super::{Message, Warden, monotonic, now};
use link::message::Life;
use model::block::Expiry;
use model::net::Prefix;
use model::time::Time;
use respond::nftables::Rebuilt;
use std::time::Duration;

/// So long after the first news: other tools work in several steps, and their last is worth waiting for.
const SETTLE: Duration = Duration::from_millis(5);
/// The pause after a repair is so many times as long as it took, and at most so long.
const PAUSE_FACTOR: u32 = 10;
const LONGEST_PAUSE: Duration = Duration::from_millis(400);
/// The first pause after the kernel refused.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);
/// The log hears of a repair at most this often.
const TOLD_EVERY: Duration = Duration::from_secs(5);
/// Characters of what happened.
const WHY_CHARS: usize = 200;

/// The schedule. All times are monotonic.
#[derive(Debug, Default)]
pub struct Mending {
    due: Option<Time>,
    /// Not before this: the last repair's pause.
    from: Time,
    pause: Duration,
    told: Option<Time>,
    untold: u64,
    /// Repairs so far.
    pub repairs: u64,
    /// Repairs that the kernel refused.
    pub refused: u64,
}

impl Mending {
    /// Somebody has touched the table.
    pub fn alarmed(&mut self, now: Time) {
        self.due = self.due.or(Some(now.after(SETTLE).max(self.from)));
    }

    /// When the table is to be made anew, if it is.
    pub fn due(&self) -> Option<Time> {
        self.due
    }

    /// A repair that began at `began` ended now.
    pub fn ended(&mut self, done: bool, began: Time, now: Time) {
        if done {
            self.due = None;
            self.pause = (now.since(began) * PAUSE_FACTOR).min(LONGEST_PAUSE);
        } else {
            self.refused += 1;
            self.pause = (self.pause * 2).clamp(REFUSED_PAUSE, LONGEST_PAUSE);
            self.due = Some(now.after(self.pause));
        }
        self.from = now.after(self.pause);
    }

    /// The table was made anew: whether the log is to hear of it, and if so how many it has not heard of.
    fn repaired(&mut self, now: Time) -> Option<u64> {
        self.repairs += 1;
        if self.told.is_some_and(|told| now.since(told) < TOLD_EVERY) {
            self.untold += 1;
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

impl Warden {
    /// The kernel told of changes.
    pub(super) fn hear_firewall(&mut self) {
        if self.firewall.hear() {
            self.mending.alarmed(monotonic());
        }
    }

    /// Does what is due.
    pub(super) fn mend(&mut self) {
        let began = monotonic();
        if self.mending.due().is_some_and(|due| due <= began) {
            let result = self.firewall.repair();
            let ended = monotonic();
            self.mending.ended(result.is_ok(), began, ended);
            self.tried(Matter::Table, result);
            self.tell_rebuilt();
        }
        self.try_again();
        if self.allowances.expire(monotonic()) {
            self.spread_allowances();
        }
    }

    /// Says that the table was made anew, if it was.
    pub(super) fn tell_rebuilt(&mut self) {
        if let Some(rebuilt) = self.firewall.take_rebuilt() {
            self.rebuilt(&rebuilt);
        }
    }

    pub(super) fn rebuilt(&mut self, rebuilt: &Rebuilt) {
        let why = why(rebuilt);
        if let Some(untold) = self.mending.repaired(monotonic()) {
            tracing::warn!(blocks = rebuilt.blocks, in_one = rebuilt.in_one, untold, "riposte's own table {why}: it was made anew");
        }
        self.send_judge(&Message::Repaired { why }, None);
        if !rebuilt.complete {
            self.send_judge(&Message::Rebuilt, None);
        }
        // Before the host's own addresses are known, no list has been set.
        if !rebuilt.listed && self.shield.has_derived(Life::Host) {
            self.tried(Matter::Listed, Err("riposte's own table was made anew without them".into()));
        }
    }

    /// Takes the operators' allowances.
    pub(super) fn allow(&mut self, list: Vec<(Prefix, Expiry)>) {
        // By a clock that never steps, as the blocks are.
        let (wall, steady) = (now(), monotonic());
        let list = list.into_iter().map(|(prefix, until)| (prefix, crate::lives::moved(until, wall, steady)));
        self.allowances.take(list.collect(), steady);
        self.spread_allowances();
    }

    fn spread_allowances(&mut self) {
        self.shield.allow(self.allowances.prefixes());
        self.set_exempt();
        self.tell_rebuilt();
    }
}

fn why(rebuilt: &Rebuilt) -> String {
    let Some(intrusion) = &rebuilt.by else { return "was gone".into() };
    let text = match intrusion.program.as_str() {
        "" => intrusion.damage.to_string(),
        // Whoever may change a firewall may give his process any name.
        program => format!("{} by '{}' (process {})", intrusion.damage, program.escape_debug(), intrusion.pid),
    };
    text.chars().take(WHY_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_war_takes_a_small_share_of_the_time_and_no_gap_is_long() {
        for (cost, every) in [(2, 1), (2, 100), (30, 10), (900, 50), (900, 5_000)] {
            let (mut mending, mut busy, mut longest) = (Mending::default(), Duration::ZERO, Duration::ZERO);
            let (mut clock, end) = (Time::from_secs(1_000), Time::from_secs(1_060));
            let (mut next_flush, mut broken) = (clock, None);
            while clock < end {
                if clock >= next_flush {
                    broken = broken.or(Some(clock));
                    mending.alarmed(clock);
                    next_flush = clock.after(Duration::from_millis(every));
                }
                if mending.due().is_some_and(|due| due <= clock) {
                    let began = clock;
                    clock = clock.after(Duration::from_millis(cost));
                    mending.ended(true, began, clock);
                    busy += clock.since(began);
                    longest = longest.max(broken.take().map_or(Duration::ZERO, |broken| clock.since(broken)));
                }
                clock = clock.after(Duration::from_millis(1));
            }
            let bound = LONGEST_PAUSE + Duration::from_millis(cost) + SETTLE + Duration::from_millis(2);
            assert!(longest <= bound, "{cost} {every}: {longest:?}");
            assert!(busy <= Duration::from_secs(60) * 3 / 4, "{cost} {every}: {busy:?}");
            if cost <= 30 {
                assert!(busy <= Duration::from_secs(60) / 9, "{cost} {every}: {busy:?}");
            }
        }
    }

    #[test]
    fn a_kernel_that_refuses_is_tried_again_ever_more_slowly() {
        let (mut mending, mut clock) = (Mending::default(), Time::from_secs(1));
        mending.alarmed(clock);
        let mut waits = Vec::new();
        for _ in 0..6 {
            clock = mending.due().unwrap();
            mending.ended(false, clock, clock);
            waits.push(mending.due().unwrap().since(clock));
        }
        assert_eq!(waits[0], REFUSED_PAUSE);
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]) && waits[5] == LONGEST_PAUSE);
        assert_eq!(mending.refused, 6);
    }

    #[test]
    fn the_log_hears_of_many_repairs_in_few_lines() {
        let mut mending = Mending::default();
        let told: Vec<u64> = (0..100).filter_map(|n| mending.repaired(Time::from_secs(50).after(Duration::from_millis(100 * n)))).collect();
        assert_eq!(told, [0, 49]);
        assert_eq!(mending.repairs, 100);
    }
}
