//! Tells a wall clock that was set, and a machine that slept, from time that passed. Never sets anything.

use std::time::Duration;

/// Smaller steps are the kernel's own timers' slack.
const SLACK: u64 = 2_000_000_000;

/// The three clocks at one moment, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    wall: u64,
    /// Goes on while the machine sleeps.
    boot: u64,
    /// Stands still while it does, as the kernel's block timers do.
    awake: u64,
}

/// What has happened since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Time has passed.
    None,
    /// The wall clock was set by this much.
    Set {
        /// How far.
        step: Duration,
        /// Or back.
        forward: bool,
    },
    /// The machine has slept for this long.
    Slept(Duration),
}

impl Clocks {
    /// The clocks now.
    pub fn read() -> Clocks {
        Clocks { wall: sys::clock::now(), boot: sys::clock::boottime(), awake: sys::clock::monotonic() }
    }

    /// Compares with a later moment. What it tells of it tells once: small steps add up until they are worth telling.
    pub fn look(&mut self, now: Clocks) -> Turn {
        let expected = self.wall.saturating_add(now.boot.saturating_sub(self.boot));
        let slept = now.boot.saturating_sub(self.boot).saturating_sub(now.awake.saturating_sub(self.awake));
        if now.wall.abs_diff(expected) > SLACK {
            // The sleep, if there was one too, is told at the next look.
            let (boot, awake) = (self.boot, self.awake);
            *self = now;
            (self.boot, self.awake) = if slept > SLACK { (boot, awake) } else { (now.boot, now.awake) };
            self.wall = if slept > SLACK { now.wall.saturating_sub(now.boot.saturating_sub(boot)) } else { now.wall };
            return Turn::Set { step: Duration::from_nanos(now.wall.abs_diff(expected)), forward: now.wall > expected };
        }
        if slept > SLACK {
            *self = now;
            return Turn::Slept(Duration::from_nanos(slept));
        }
        Turn::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000_000_000;

    fn at(wall: u64, boot: u64, awake: u64) -> Clocks {
        Clocks { wall, boot, awake }
    }

    #[test]
    fn steps_and_sleep_are_told_apart_and_told_once() {
        let start = 20_000 * DAY;
        let mut clocks = at(start, 5, 5);
        assert_eq!(clocks.look(at(start + DAY, DAY + 5, DAY + 5)), Turn::None);
        let forward = Turn::Set { step: Duration::from_nanos(DAY), forward: true };
        assert_eq!(clocks.look(at(start + 2 * DAY, DAY + 5, DAY + 5)), forward);
        assert_eq!(clocks.look(at(start + 2 * DAY, DAY + 5, DAY + 5)), Turn::None);
        let back = Turn::Set { step: Duration::from_nanos(DAY), forward: false };
        assert_eq!(clocks.look(at(start + DAY + 7, DAY + 12, DAY + 12)), back);
        assert_eq!(clocks.look(at(start + 2 * DAY + 7, 2 * DAY + 12, DAY + 12)), Turn::Slept(Duration::from_nanos(DAY)));
        assert_eq!(clocks.look(at(start + 2 * DAY + 8, 2 * DAY + 13, DAY + 13)), Turn::None);
        // Both at one time: one after the other.
        assert_eq!(clocks.look(at(start + 4 * DAY + 8, 3 * DAY + 13, DAY + 13)), forward);
        assert_eq!(clocks.look(at(start + 4 * DAY + 8, 3 * DAY + 13, DAY + 13)), Turn::Slept(Duration::from_nanos(DAY)));
        assert_eq!(clocks.look(at(start + 4 * DAY + 8, 3 * DAY + 13, DAY + 13)), Turn::None);
    }

    #[test]
    fn small_steps_add_up() {
        let mut clocks = at(DAY, 0, 0);
        let second = 1_000_000_000;
        assert_eq!(clocks.look(at(DAY + second, 0, 0)), Turn::None);
        assert_eq!(clocks.look(at(DAY + 2 * second, 0, 0)), Turn::None);
        assert_eq!(clocks.look(at(DAY + 3 * second, 0, 0)), Turn::Set { step: Duration::from_secs(3), forward: true });
    }
}
