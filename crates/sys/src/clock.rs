//! The clocks. Never sets one.

/// Nanoseconds since the Unix epoch, as the host's wall clock has it; 0 if the clock stands before 1970.
pub fn now() -> u64 {
    read(libc::CLOCK_REALTIME)
}

/// Nanoseconds on a clock that never goes back. Only differences mean anything.
pub fn monotonic() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds since the machine began, sleep included. Only differences mean anything.
pub fn boottime() -> u64 {
    read(libc::CLOCK_BOOTTIME)
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut spec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `spec` is a valid place for one timespec. All three exist on every Linux, so the call cannot fail.
    let failed = unsafe { libc::clock_gettime(clock, &mut spec) };
    debug_assert_eq!(failed, 0);
    let secs = u64::try_from(spec.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(spec.tv_nsec).unwrap_or(0);
    secs.saturating_mul(1_000_000_000).saturating_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_go_forward() {
        let (wall, steady) = (now(), monotonic());
        // 2024-01-01: a wall clock before that would put every block into the past.
        assert!(wall > 1_704_067_200_000_000_000);
        assert!(monotonic() >= steady);
        assert!(boottime() >= steady);
    }
}
