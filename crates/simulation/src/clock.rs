//! The machine's clocks: what really passes, what the wall clock says, what the kernel's timers count. Never goes by itself.

use model::time::Time;
use std::time::Duration;

/// Where a simulation's wall clock starts: far from the epoch, so that steps back have room.
const START: Time = Time::from_secs(1_700_000_000);

/// The clocks.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    truth: Time,
    wall: Time,
    kernel: Time,
}

impl Clock {
    /// At the start.
    pub fn new() -> Clock {
        Clock { truth: Time::EPOCH, wall: START, kernel: Time::from_secs(1_000) }
    }

    /// What has really passed.
    pub fn truth(&self) -> Time {
        self.truth
    }

    /// What the wall clock says: the only clock that the judge is told.
    pub fn wall(&self) -> Time {
        self.wall
    }

    /// What the kernel's timers count, and the monotonic clock: they stand still while the machine sleeps.
    pub fn kernel(&self) -> Time {
        self.kernel
    }

    /// Time passes.
    pub fn pass(&mut self, span: Duration) {
        self.truth = self.truth.after(span);
        self.wall = self.wall.after(span);
        self.kernel = self.kernel.after(span);
    }

    /// Goes on by so much; what the kernel's timers count is taken from `now`.
    pub fn pass_awake(&mut self, span: Duration, now: Clock) {
        (self.truth, self.wall, self.kernel) = (now.truth, self.wall.after(span), now.kernel);
    }

    /// The machine sleeps.
    pub fn sleep(&mut self, span: Duration) {
        self.truth = self.truth.after(span);
        self.wall = self.wall.after(span);
    }

    /// Somebody sets the wall clock.
    pub fn set_forward(&mut self, step: Duration) {
        self.wall = self.wall.after(step);
    }

    /// Somebody sets the wall clock back.
    pub fn set_back(&mut self, step: Duration) {
        self.wall = self.wall.before(step);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}
