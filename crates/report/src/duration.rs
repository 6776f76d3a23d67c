//! Lengths of time for people: `9m 58s`, `1h 30m`, `7d`. Never more than two units.

use std::fmt;

/// Prints a number of seconds by its two largest units, cut and not rounded: what is left is never said to be more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Human(pub u64);

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
        let at = UNITS.iter().position(|(size, _)| self.0 >= *size).unwrap_or(3);
        let (size, unit) = UNITS[at];
        let whole = format!("{}{unit}", self.0 / size);
        match UNITS.get(at + 1).map(|(next, unit)| (self.0 % size / next, unit)) {
            Some((rest, unit)) if rest > 0 => f.pad(&format!("{whole} {rest}{unit}")),
            Some(_) | None => f.pad(&whole),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_units_at_most() {
        for (secs, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (598, "9m 58s"),
            (3_600, "1h"),
            (3_659, "1h"),
            (5_400, "1h 30m"),
            (86_399, "23h 59m"),
            (604_800, "7d"),
            (90_000, "1d 1h"),
            (u64::MAX, "213503982334601d 7h"),
        ] {
            assert_eq!(Human(secs).to_string(), text);
        }
        assert_eq!(format!("{:>8}|", Human(60)), "      1m|");
    }
}
