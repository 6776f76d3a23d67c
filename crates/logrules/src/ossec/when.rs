//! Times of the day and days of the week, as rules write them.

/// `<time>`: from one minute to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DayTime {
    /// Minutes since midnight.
    from: u16,
    to: u16,
    negated: bool,
}

impl DayTime {
    /// `6 pm - 8:30 am`, `!09:00-17:00`.
    pub fn parse(text: &str) -> Option<DayTime> {
        let text = text.trim();
        let (negated, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let (from, to) = text.split_once('-')?;
        let (from, to) = (minute(from)?, minute(to)?);
        // Over midnight is the same as not in between.
        Some(if from > to { DayTime { from: to, to: from, negated: true } } else { DayTime { from, to, negated } })
    }

    pub fn holds(self, minute: u16) -> bool {
        (self.from..=self.to).contains(&minute) != self.negated
    }
}

fn minute(text: &str) -> Option<u16> {
    let text = text.trim().to_ascii_lowercase();
    let (clock, half) = match (text.strip_suffix("am"), text.strip_suffix("pm")) {
        (Some(clock), _) => (clock, Some(0)),
        (_, Some(clock)) => (clock, Some(12)),
        _ => (text.as_str(), None),
    };
    let (hour, minute) = clock.trim().split_once(':').unwrap_or((clock.trim(), "0"));
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let hour = match half {
        None => hour,
        Some(half) if (1..=12).contains(&hour) => hour % 12 + half,
        // `0 am` and `18 pm` are what OSSEC makes of them: the hour.
        Some(half) => hour + if hour < 12 { half } else { 0 },
    };
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

/// `<weekday>`: a set of days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Days(u8);

impl Days {
    /// `weekends`, `monday, tue`, `!friday`.
    pub fn parse(text: &str) -> Option<Days> {
        let text = text.trim();
        let (negated, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let mut days = 0_u8;
        for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
            let names = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
            let word = word.to_ascii_lowercase();
            days |= match word.as_str() {
                "weekdays" => 0b011_1110,
                "weekends" => 0b100_0001,
                word => 1 << names.iter().position(|name| *name == word || name.get(..3) == Some(word))?,
            };
        }
        (days != 0).then_some(Days(if negated { !days } else { days }))
    }

    /// Sunday is 0.
    pub fn holds(self, day: u8) -> bool {
        self.0 & (1 << (day % 7)) != 0
    }
}

/// Minutes since midnight and the day of the week, of a local time in seconds since the epoch.
pub(crate) fn clock(local: i64) -> (u16, u8) {
    // The epoch was a Thursday.
    ((local.rem_euclid(86_400) / 60) as u16, (local.div_euclid(86_400) + 4).rem_euclid(7) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_over_midnight() {
        let night = DayTime::parse("6 pm - 8:30 am").unwrap();
        let at = |hour: u16, minute: u16| night.holds(hour * 60 + minute);
        assert!(at(18, 1) && at(23, 59) && at(0, 0) && at(8, 29));
        assert!(!at(8, 30) && !at(18, 0) && !at(12, 0), "to the letter: neither end is night");
        assert!(DayTime::parse("09:00 - 17:00").unwrap().holds(17 * 60));
        assert!(!DayTime::parse("!9-17").unwrap().holds(12 * 60));
        assert_eq!(DayTime::parse("12 am - 12 pm"), DayTime::parse("0:00 - 12:00"));
        assert_eq!((DayTime::parse("25 - 3"), DayTime::parse("1 pm"), DayTime::parse("x - y")), (None, None, None));
    }

    #[test]
    fn days_have_short_names() {
        assert_eq!(Days::parse("saturday, sun"), Days::parse("weekends"));
        assert!(Days::parse("weekdays").unwrap().holds(5) && !Days::parse("weekdays").unwrap().holds(6));
        assert!(!Days::parse("!fri").unwrap().holds(5));
        assert_eq!((Days::parse("someday"), Days::parse("")), (None, None));
    }

    #[test]
    fn the_clock_is_right() {
        // 2026-11-21 04:05:06 UTC, a Saturday.
        assert_eq!(clock(1_795_233_906), (245, 6));
        assert_eq!(clock(-1), (1439, 3));
    }
}
