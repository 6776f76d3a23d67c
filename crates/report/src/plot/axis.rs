//! Where data stand in a plot, and at which values its axes have ticks. Never draws.

use crate::time::Rfc3339;
use model::time::Time;

/// A rectangle for data, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

impl Area {
    /// The pixel of a share of the way to the right.
    pub fn x(&self, share: f64) -> f64 {
        self.left + self.width * share.clamp(0.0, 1.0)
    }

    /// The pixel of a share of the way up.
    pub fn y(&self, share: f64) -> f64 {
        self.top + self.height * (1.0 - share.clamp(0.0, 1.0))
    }
}

/// The ports that have a tick: those that people know, far enough apart on a logarithmic axis.
pub(super) fn port_ticks() -> [u16; 9] {
    [1, 10, 22, 80, 443, 1_024, 3_389, 10_000, 65_535]
}

/// The distance of ticks from 0 to `most`, 1, 2 or 5 times a power of ten: four to eight of them.
fn count_step(most: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        for step in [1, 2, 5].map(|n| n * power) {
            if most.div_ceil(step) <= 5 {
                return step;
            }
        }
        power = power.saturating_mul(10);
    }
}

/// The top of an axis of counts: the first tick that is no less than `most`.
pub(super) fn top(most: u64) -> u64 {
    let step = count_step(most.max(1));
    most.max(1).div_ceil(step).saturating_mul(step)
}

/// The ticks of an axis of counts.
pub(super) fn count_ticks(most: u64) -> impl Iterator<Item = u64> {
    let step = count_step(most.max(1));
    (0..=most.max(1).div_ceil(step)).map(move |n| n.saturating_mul(step))
}

/// A round number in few letters: `1500`, `20k`, `3M`.
pub(super) fn short(number: u64) -> String {
    for (size, unit) in [(1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")] {
        if number >= 10 * size || (number >= size && number.is_multiple_of(size)) {
            return format!("{}{unit}", number / size);
        }
    }
    number.to_string()
}

/// At most `most` ticks between two times in seconds, each with its word of eight letters at most; and what the words are.
pub(super) fn time_ticks(from: u64, to: u64, most: u64) -> (Vec<(u64, String)>, &'static str) {
    const STEPS: [u64; 20] =
        [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800];
    let fits = |step: u64| (to - from) / step < most.max(2);
    let step = STEPS.into_iter().find(|step| fits(*step));
    // Beyond some weeks: as many of them as it takes.
    let step = step.unwrap_or_else(|| (to - from).div_ceil(604_800 * most.max(2)).saturating_mul(604_800));
    let (unit, letters) = match step {
        0..60 => ("time", 11..19),
        60..86_400 => ("time", 11..16),
        _ if to - from < 300 * 86_400 => ("month-day", 5..10),
        _ => ("year-month", 0..7),
    };
    let ticks = (from.div_ceil(step)..=to / step).map(|n| {
        let text = Rfc3339(Time::from_secs(n * step)).to_string();
        (n * step, text.get(letters.clone()).unwrap_or_default().to_owned())
    });
    (ticks.collect(), unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_round_ticks() {
        for (most, ticks) in [
            (0, vec![0, 1]),
            (1, vec![0, 1]),
            (5, vec![0, 1, 2, 3, 4, 5]),
            (7, vec![0, 2, 4, 6, 8]),
            (93, vec![0, 20, 40, 60, 80, 100]),
            (1_002, vec![0, 500, 1_000, 1_500]),
        ] {
            assert_eq!(count_ticks(most).collect::<Vec<u64>>(), ticks, "{most}");
            assert_eq!(Some(&top(most)), ticks.last());
        }
        assert!(top(u64::MAX) == u64::MAX && count_ticks(u64::MAX).count() <= 9);
        assert_eq!([0, 999, 1_000, 1_500, 20_000, 3_000_000].map(short), ["0", "999", "1k", "1500", "20k", "3M"]);
    }

    #[test]
    fn times_have_round_ticks() {
        let words = |from, to, most| time_ticks(from, to, most).0.into_iter().map(|(_, word)| word).collect::<Vec<String>>().join(" ");
        let noon = 1_772_366_400;
        assert_eq!(words(noon, noon + 7, 6), "12:00:00 12:00:02 12:00:04 12:00:06");
        assert_eq!(words(noon + 1, noon + 3_600, 7), "12:10 12:20 12:30 12:40 12:50 13:00");
        assert_eq!(words(noon, noon + 86_400, 9), "12:00 15:00 18:00 21:00 00:00 03:00 06:00 09:00 12:00");
        assert_eq!(words(noon, noon + 10 * 86_400, 7), "03-02 03-04 03-06 03-08 03-10");
        assert_eq!(words(0, 1_000_000_000, 5).split(' ').count(), 5);
    }
}
