//! A point in time. Never reads a clock: every `Time` comes from an event or from the caller.

use std::time::Duration;

/// A point in time, in nanoseconds since the Unix epoch (UTC). Covers 1970 to 2554.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// The Unix epoch.
    pub const EPOCH: Time = Time(0);

    /// Builds a time from nanoseconds since the epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Time(nanos)
    }

    /// Builds a time from whole seconds since the epoch; saturates at the end of the range.
    pub const fn from_secs(secs: u64) -> Self {
        Time(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// How long after `earlier` this is; zero if it is not after.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The time `span` later; saturates.
    pub const fn after(self, span: Duration) -> Time {
        Time(self.0.saturating_add(nanos(span)))
    }

    /// The time `span` earlier; saturates at the epoch.
    pub const fn before(self, span: Duration) -> Time {
        Time(self.0.saturating_sub(nanos(span)))
    }
}

const fn nanos(span: Duration) -> u64 {
    let n = span.as_nanos();
    if n > u64::MAX as u128 { u64::MAX } else { n as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_never_go_below_zero() {
        let a = Time::from_secs(10);
        let b = Time::from_secs(12);
        assert_eq!(b.since(a), Duration::from_secs(2));
        assert_eq!(a.since(b), Duration::ZERO);
        assert_eq!(a.before(Duration::from_secs(99)), Time::EPOCH);
        assert_eq!(a.after(Duration::MAX), Time::from_nanos(u64::MAX));
    }
}
