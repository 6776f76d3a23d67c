//! The time at the head of a log line, in every form that system logs write it.
//! Never reads a clock: what a stamp leaves out (year, zone, day) comes from the `LogClock` that the caller gives.

use super::text::number;
use model::time::Time;
use std::fmt;

const DAY_SECS: i64 = 86_400;
const NANOS: i64 = 1_000_000_000;
/// A stamp without a year may lie this far in the future of the newest plausible time: clocks and zones are not exact.
const AHEAD_SECS: i64 = DAY_SECS;
/// Between two 29ths of February lie at most eight years (1896 to 1904, 2096 to 2104).
const YEARS_BACK: i64 = 9;
const MONTHS: [&[u8; 3]; 12] = [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const WEEKDAYS: [&[u8; 3]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];

/// What a log's stamps leave out.
pub struct LogClock {
    /// How many seconds the log's zone is ahead of UTC at a local time, given in seconds as if it were UTC.
    pub utc_offset: Box<dyn Fn(i64) -> i32 + Send>,
    /// The newest time that a stamp can plausibly have: for a file its last change, for a live log the present.
    /// A later `now` given with a line moves it on.
    pub reference: Time,
    /// When the kernel was started, for stamps that count from there; without it such a line gets `now`.
    pub boot: Option<Time>,
}

impl LogClock {
    /// A clock for a log that is written in UTC.
    pub fn utc(reference: Time) -> Self {
        LogClock { utc_offset: Box::new(|_| 0), reference, boot: None }
    }
}

impl fmt::Debug for LogClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogClock").field("reference", &self.reference).field("boot", &self.boot).finish_non_exhaustive()
    }
}

/// The minute of the last stamp. Lines come in order, so that most of them share it with the line before.
#[derive(Debug)]
struct Minute {
    /// The stamp's text up to the seconds.
    key: [u8; 24],
    /// How many bytes of it count; none if no minute is known.
    length: usize,
    /// The minute, in local seconds.
    local: i64,
    /// The zone's offset then.
    offset: i32,
    /// Whether a zone's name follows (`UTC`).
    zone_named: bool,
}

/// Reads stamps.
#[derive(Debug)]
pub struct Stamps {
    clock: LogClock,
    minute: Minute,
}

impl Stamps {
    /// By this clock.
    pub fn new(clock: LogClock) -> Self {
        Stamps { clock, minute: Minute { key: [0; 24], length: 0, local: 0, offset: 0, zone_named: false } }
    }

    /// The time of a stamp that counts from the kernel's start.
    pub(super) fn booted(&mut self, at: Time) {
        self.clock.boot = Some(at);
    }

    pub(super) fn since_boot(&self, micros: u64, now: Time) -> Time {
        self.clock.boot.map_or(now, |boot| Time::from_nanos(boot.as_nanos().saturating_add(micros.saturating_mul(1_000))))
    }

    /// Splits a stamp off the front.
    #[inline]
    pub fn split<'l>(&mut self, text: &'l [u8], now: Time) -> Option<(Time, &'l [u8])> {
        let known = self.minute.key.get(..self.minute.length)?;
        if !known.is_empty()
            && let Some(rest) = text.strip_prefix(known)
        {
            return self.finish(rest);
        }
        self.split_anew(text, now)
    }

    fn split_anew<'l>(&mut self, text: &'l [u8], now: Time) -> Option<(Time, &'l [u8])> {
        let head = text.first_chunk::<3>()?;
        if WEEKDAYS.contains(&head) && text.get(3) == Some(&b' ') {
            let rest = text.get(4..)?;
            if rest.first()?.is_ascii_digit() {
                let (day, rest) = iso_date(rest)?;
                return self.minute(text, day, rest, true);
            }
            return self.with_year_behind(rest);
        }
        if MONTHS.contains(&head) {
            let (month, day, rest) = month_and_day(text)?;
            return match year(rest) {
                Some((year, rest)) => self.minute(text, days(year, month, day)?, rest, false),
                None => {
                    let newest = self.clock.reference.max(now);
                    let (seconds, _) = hours_and_minutes(rest)?;
                    let day = self.infer_year(month, day, seconds, newest)?;
                    self.minute(text, day, rest, false)
                }
            };
        }
        if !head.first()?.is_ascii_digit() {
            return None;
        }
        if let Some((day, rest)) = iso_date(text) {
            return self.minute(text, day, rest, false);
        }
        if let Some((year, rest)) = year(text) {
            let (month, day, rest) = month_and_day(rest)?;
            return self.minute(text, days(year, month, day)?, rest, false);
        }
        unix(text).or_else(|| self.time_of_day(text, now))
    }

    /// Remembers the minute and reads the rest.
    fn minute<'l>(&mut self, text: &'l [u8], day: i64, rest: &'l [u8], zone_named: bool) -> Option<(Time, &'l [u8])> {
        let (seconds, rest) = hours_and_minutes(rest)?;
        let local = day * DAY_SECS + seconds;
        self.minute.local = local;
        self.minute.offset = (self.clock.utc_offset)(local);
        self.minute.zone_named = zone_named;
        let length = text.len() - rest.len();
        self.minute.length = 0;
        if let (Some(key), Some(seen)) = (self.minute.key.get_mut(..length), text.get(..length)) {
            key.copy_from_slice(seen);
            self.minute.length = length;
        }
        self.finish(rest)
    }

    /// Reads seconds, fraction and zone behind a known minute.
    #[inline]
    fn finish<'l>(&self, rest: &'l [u8]) -> Option<(Time, &'l [u8])> {
        let (seconds, rest) = two_digits(rest)?;
        let (nanos, rest) = fraction(rest);
        let (offset, rest) = zone(rest).unwrap_or((i64::from(self.minute.offset), rest));
        let (offset, rest) = if self.minute.zone_named { named_zone(rest, offset)? } else { (offset, rest) };
        if seconds > 60 {
            return None;
        }
        Some((time(self.minute.local + seconds - offset, nanos)?, rest))
    }

    /// `Nov 20 21:17:01 2026`, the weekday already taken off.
    fn with_year_behind<'l>(&self, text: &'l [u8]) -> Option<(Time, &'l [u8])> {
        let (month, day, rest) = month_and_day(text)?;
        let (minutes, rest) = hours_and_minutes(rest)?;
        let (seconds, rest) = two_digits(rest)?;
        let (year, rest) = number(rest.strip_prefix(b" ")?)?;
        let local = days(i64::from(year), month, day)? * DAY_SECS + minutes + seconds;
        Some((time(local - i64::from((self.clock.utc_offset)(local)), 0)?, rest))
    }

    /// `21:17:01.123456` without a day: the last such time that is not after the newest plausible one.
    fn time_of_day<'l>(&self, text: &'l [u8], now: Time) -> Option<(Time, &'l [u8])> {
        let (minutes, rest) = hours_and_minutes(text)?;
        let (seconds, rest) = two_digits(rest)?;
        let (nanos, rest) = fraction(rest);
        let newest = i64::try_from(self.clock.reference.max(now).as_secs()).ok()?;
        let offset = i64::from((self.clock.utc_offset)(newest));
        let today = (newest + offset).div_euclid(DAY_SECS) * DAY_SECS + minutes + seconds - offset;
        let at = if today > newest + 60 { today - DAY_SECS } else { today };
        Some((time(at, nanos)?, rest))
    }

    /// The day of a stamp without a year: in the latest year that does not put it too far into the future.
    fn infer_year(&self, month: i64, day: i64, seconds: i64, newest: Time) -> Option<i64> {
        let newest = i64::try_from(newest.as_secs()).ok()?;
        let year = year_of(newest.div_euclid(DAY_SECS)) + 1;
        (year - YEARS_BACK..=year).rev().find_map(|year| {
            let day = days(year, month, day)?;
            let local = day * DAY_SECS + seconds;
            (local - i64::from((self.clock.utc_offset)(local)) <= newest + AHEAD_SECS).then_some(day)
        })
    }
}

fn time(seconds: i64, nanos: i64) -> Option<Time> {
    let nanos = seconds.checked_mul(NANOS)?.checked_add(nanos)?;
    u64::try_from(nanos).ok().map(Time::from_nanos)
}

#[inline]
fn two_digits(text: &[u8]) -> Option<(i64, &[u8])> {
    match text {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', rest @ ..] if !rest.first().is_some_and(u8::is_ascii_digit) => {
            Some((i64::from(a - b'0') * 10 + i64::from(b - b'0'), rest))
        }
        _ => None,
    }
}

/// `21:17:` as seconds.
fn hours_and_minutes(text: &[u8]) -> Option<(i64, &[u8])> {
    let (hours, rest) = two_digits(text)?;
    let (minutes, rest) = two_digits(rest.strip_prefix(b":")?)?;
    (hours < 24 && minutes < 60).then_some((hours * 3_600 + minutes * 60, rest.strip_prefix(b":")?))
}

/// `.123456` as nanoseconds; nothing is zero. Digits past the ninth are dropped.
#[inline]
fn fraction(text: &[u8]) -> (i64, &[u8]) {
    let [b'.' | b',', digits @ ..] = text else { return (0, text) };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return (0, text);
    }
    let (digits, rest) = digits.split_at(length);
    let mut place = NANOS / 10;
    let mut nanos = 0;
    for digit in digits.iter().take(9) {
        nanos += i64::from(digit - b'0') * place;
        place /= 10;
    }
    (nanos, rest)
}

/// `Z`, `+01:00` or `+0100`, as seconds ahead of UTC.
#[inline]
fn zone(text: &[u8]) -> Option<(i64, &[u8])> {
    let (sign, rest) = match text {
        [b'Z', rest @ ..] => return Some((0, rest)),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let [a @ b'0'..=b'2', b @ b'0'..=b'9', rest @ ..] = rest else { return None };
    let [c @ b'0'..=b'5', d @ b'0'..=b'9', rest @ ..] = rest.strip_prefix(b":").unwrap_or(rest) else { return None };
    let tens = |tens: &u8, ones: &u8| i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
    Some((sign * (tens(a, b) * 3_600 + tens(c, d) * 60), rest))
}

/// ` UTC`: a zone's name. Only UTC's is known; with any other, the log's own zone holds.
fn named_zone(text: &[u8], offset: i64) -> Option<(i64, &[u8])> {
    let (name, rest) = super::text::until_space(text.strip_prefix(b" ")?);
    Some((if matches!(name, b"UTC" | b"GMT") { 0 } else { offset }, rest))
}

/// `2026-11-20T` or `2026-11-20 ` as a day's number.
fn iso_date(text: &[u8]) -> Option<(i64, &[u8])> {
    let (year, rest) = text.split_at_checked(4)?;
    let year = super::text::whole::<u32>(year)?;
    let (month, rest) = two_digits(rest.strip_prefix(b"-")?)?;
    let (day, rest) = two_digits(rest.strip_prefix(b"-")?)?;
    let [b'T' | b' ', rest @ ..] = rest else { return None };
    Some((days(i64::from(year), month, day)?, rest))
}

/// `Nov 20 `, `Nov  2 ` or `Nov 2 `.
fn month_and_day(text: &[u8]) -> Option<(i64, i64, &[u8])> {
    let (name, rest) = text.split_first_chunk::<3>()?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    let rest = rest.strip_prefix(b" ")?;
    let (day, rest) = number(rest.strip_prefix(b" ").unwrap_or(rest))?;
    Some((i64::try_from(month).ok()? + 1, i64::from(day), rest.strip_prefix(b" ")?))
}

/// `2026 `.
fn year(text: &[u8]) -> Option<(i64, &[u8])> {
    let (year, rest) = text.split_at_checked(4)?;
    Some((i64::from(super::text::whole::<u32>(year)?), rest.strip_prefix(b" ")?))
}

/// `1795123021.123456`, seconds since 1970.
fn unix(text: &[u8]) -> Option<(Time, &[u8])> {
    let (seconds, rest) = number(text)?;
    let (nanos, behind) = fraction(rest);
    (seconds > 99_999_999 && behind.len() < rest.len()).then_some(())?;
    Some((time(i64::from(seconds), nanos)?, behind))
}

/// The number of a day since 1 January 1970, if there is such a day (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        1..=12 => 31,
        _ => return None,
    };
    if !(1970..=9999).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// The year that a day lies in.
fn year_of(day: i64) -> i64 {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    era * 400 + year + i64::from((5 * of_year + 2) / 153 >= 10)
}
