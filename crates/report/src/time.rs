//! Times as text: RFC 3339 in UTC. Never knows another zone and never reads a clock.

use crate::json::digits;
use model::time::Time;
use std::fmt;

const DAY: u64 = 86_400;

/// A day of the Gregorian calendar and a time of day, in UTC.
struct Civil {
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
}

/// The civil time of a `Time`: Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>), for days from 1970 on only.
fn civil(time: Time) -> Civil {
    let (days, rest) = ((time.as_secs() / DAY) as u32, (time.as_secs() % DAY) as u32);
    // Years begin in March here, so that the leap day is a year's last.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    Civil {
        year: year_of_era + era * 400 + u32::from(month <= 2),
        month,
        day: day_of_year - (153 * march_month + 2) / 5 + 1,
        hour: rest / 3_600,
        minute: rest / 60 % 60,
        second: rest % 60,
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar; the counterpart of [`civil`].
fn days(year: u32, month: u32, day: u32) -> u32 {
    let year = if month <= 2 { year - 1 } else { year };
    let march_month = (month + 9) % 12;
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Appends `2026-03-01T12:00:00Z`, with the fraction of a second only if there is one.
pub fn write_rfc3339(time: Time, out: &mut Vec<u8>) {
    write_seconds(time, b'T', out);
    let nanos = (time.as_nanos() % 1_000_000_000) as u32;
    if nanos != 0 {
        let mut fraction = *b".000000000";
        digits(nanos, &mut fraction[1..]);
        let len = fraction.iter().rposition(|digit| *digit != b'0').map_or(1, |last| last + 1);
        out.extend_from_slice(&fraction[..len]);
    }
    out.push(b'Z');
}

fn write_seconds(time: Time, between: u8, out: &mut Vec<u8>) {
    let civil = civil(time);
    let mut text = *b"0000-00-00 00:00:00";
    digits(civil.year, &mut text[..4]);
    digits(civil.month, &mut text[5..7]);
    digits(civil.day, &mut text[8..10]);
    text[10] = between;
    digits(civil.hour, &mut text[11..13]);
    digits(civil.minute, &mut text[14..16]);
    digits(civil.second, &mut text[17..]);
    out.extend_from_slice(&text);
}

/// Prints as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rfc3339(pub Time);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(30);
        write_rfc3339(self.0, &mut text);
        f.pad(&String::from_utf8_lossy(&text))
    }
}

/// Prints for people: `2026-03-01 12:00:00Z` (RFC 3339 too, with the space that its §5.6 allows), whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readable(pub Time);

impl fmt::Display for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(20);
        write_seconds(self.0, b' ', &mut text);
        text.push(b'Z');
        f.pad(&String::from_utf8_lossy(&text))
    }
}

/// Reads what [`write_rfc3339`] writes: UTC with `Z`, up to nine digits of fraction.
pub fn parse_rfc3339(text: &str) -> Option<Time> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<u32> {
        let part = bytes.get(from..to)?;
        part.iter().all(u8::is_ascii_digit).then(|| part.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
    };
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if !marks.iter().all(|(place, mark)| bytes.get(*place) == Some(mark)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1970..=2553).contains(&year) || !(1..=12).contains(&month) || day == 0 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let fraction = match bytes.get(19..)?.strip_suffix(b"Z")? {
        [] => 0,
        [b'.', rest @ ..] if (1..=9).contains(&rest.len()) => {
            let scale = 10_u32.pow(9 - rest.len() as u32);
            number(20, 20 + rest.len())? * scale
        }
        _ => return None,
    };
    let days = days(year, month, day);
    let secs = u64::from(days) * DAY + u64::from(hour * 3_600 + minute * 60 + second);
    let time = Time::from_nanos(secs * 1_000_000_000 + u64::from(fraction));
    // A day that the month does not have comes back as another one.
    (civil(time).day == day).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_dates() {
        for (secs, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (68_169_599, "1972-02-28T23:59:59Z"),
            (68_169_600, "1972-02-29T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_078_012_800, "2004-02-29T00:00:00Z"),
            (1_234_567_890, "2009-02-13T23:31:30Z"),
            (2_147_483_648, "2038-01-19T03:14:08Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (13_574_563_200, "2400-02-29T00:00:00Z"),
        ] {
            assert_eq!(Rfc3339(Time::from_secs(secs)).to_string(), text);
            assert_eq!(parse_rfc3339(text), Some(Time::from_secs(secs)), "{text}");
        }
        assert_eq!(Rfc3339(Time::from_nanos(u64::MAX)).to_string(), "2554-07-21T23:34:33.709551615Z");
        assert_eq!(Readable(Time::from_nanos(1_234_567_890_999_999_999)).to_string(), "2009-02-13 23:31:30Z");
    }

    #[test]
    fn fractions_only_where_there_are_any() {
        let text = |nanos| Rfc3339(Time::from_nanos(nanos)).to_string();
        assert_eq!(text(1_500_000_000), "1970-01-01T00:00:01.5Z");
        assert_eq!(text(1_000_000_001), "1970-01-01T00:00:01.000000001Z");
        assert_eq!(text(123_456_000), "1970-01-01T00:00:00.123456Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00+00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00.1234567890Z",
            "1969-12-31T23:59:59Z",
            "2026-1-01T00:00:00Z",
            "2026-01-01T00:00:0éZ",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_and_back(nanos in 0..18_429_292_800_000_000_000_u64) {
            prop_assert_eq!(parse_rfc3339(&Rfc3339(Time::from_nanos(nanos)).to_string()), Some(Time::from_nanos(nanos)));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}|[0-9T:.Z-]{0,40}") {
            parse_rfc3339(&text);
        }
    }
}
