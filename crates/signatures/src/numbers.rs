//! Numbers as rules write them: `5`, `<5`, `>=5`, `1:5`, `:5`, `1<>5`, `!5`. Never holds for a number that is not known.

use std::str::FromStr;

/// A range of numbers, or all but one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    first: u32,
    last: u32,
    not: bool,
}

impl Numbers {
    /// Whether it has this number.
    pub fn has(&self, number: u32) -> bool {
        self.have(number, number)
    }

    /// The number, if it is a single one.
    pub fn one(&self) -> Option<u32> {
        (self.first == self.last && !self.not).then_some(self.first)
    }

    /// Whether all of it lies below a number.
    pub fn are_below(&self, number: u32) -> bool {
        !self.not && self.last < number
    }

    /// Whether it has all numbers from `least` to `most`: what is only known to lie between them.
    pub fn have(&self, least: u32, most: u32) -> bool {
        if self.not { most < self.first || self.last < least } else { self.first <= least && most <= self.last }
    }
}

impl FromStr for Numbers {
    type Err = String;

    /// `a<>b` leaves both ends out, as Snort 3 and Suricata have it; `a<=>b`, `a:b` and `a-b` have them in.
    fn from_str(text: &str) -> Result<Numbers, String> {
        let text = text.trim();
        let (not, text) = match text.strip_prefix('!') {
            Some(rest) => (true, rest.trim_start()),
            None => (false, text),
        };
        let wrong = || format!("'{text}' is no number or range; examples: 5, <5, >=5, 1:5, 1<>5, !5");
        let number = |text: &str| number(text).ok_or_else(wrong);
        let between = |first: &str, last: &str| -> Result<(u32, u32), String> {
            let first = if first.trim().is_empty() { 0 } else { number(first)? };
            let last = if last.trim().is_empty() { u32::MAX } else { number(last)? };
            Ok((first, last))
        };
        let above = |least: u32| least.checked_add(1).ok_or_else(wrong);
        let below = |most: u32| most.checked_sub(1).ok_or_else(wrong);
        let (first, last) = if let Some((first, last)) = text.split_once("<=>") {
            (number(first)?, number(last)?)
        } else if let Some((first, last)) = text.split_once("<>") {
            (above(number(first)?)?, below(number(last)?)?)
        } else if let Some(most) = text.strip_prefix("<=") {
            (0, number(most)?)
        } else if let Some(most) = text.strip_prefix('<') {
            (0, below(number(most)?)?)
        } else if let Some(least) = text.strip_prefix(">=") {
            (number(least)?, u32::MAX)
        } else if let Some(least) = text.strip_prefix('>') {
            (above(number(least)?)?, u32::MAX)
        } else if let Some((first, last)) = text.split_once(':').or_else(|| text.split_once('-')).filter(|_| text.len() > 1) {
            between(first, last)?
        } else {
            let number = number(text.strip_prefix('=').unwrap_or(text))?;
            (number, number)
        };
        if first > last { Err(wrong()) } else { Ok(Numbers { first, last, not }) }
    }
}

/// A number in decimal, or in hexadecimal behind `0x`.
pub(crate) fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // `from_str_radix` takes a plus sign too.
    if digits.starts_with('+') { None } else { u32::from_str_radix(digits, radix).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_numbers() {
        let table: [(&str, &[u32], &[u32]); 17] = [
            ("5", &[5], &[4, 6]),
            ("=5", &[5], &[4]),
            ("0x10", &[16], &[10]),
            ("<5", &[0, 4], &[5]),
            ("<=5", &[5], &[6]),
            (">5", &[6, u32::MAX], &[5]),
            ("> 5", &[6], &[5]),
            (">=5", &[5], &[4]),
            ("2:4", &[2, 4], &[1, 5]),
            (":4", &[0, 4], &[5]),
            ("4:", &[4, u32::MAX], &[3]),
            ("2-4", &[2, 4], &[1, 5]),
            ("-4", &[0, 4], &[5]),
            ("2<>4", &[3], &[2, 4]),
            ("2<=>4", &[2, 4], &[1, 5]),
            ("!5", &[4, 6], &[5]),
            ("!2:4", &[1, 5], &[2, 4]),
        ];
        for (text, has, has_not) in table {
            let numbers: Numbers = text.parse().unwrap_or_else(|wrong| panic!("{text}: {wrong}"));
            has.iter().for_each(|number| assert!(numbers.has(*number), "{text} has {number}"));
            has_not.iter().for_each(|number| assert!(!numbers.has(*number), "{text} has not {number}"));
        }
        for bad in ["", ":", "-", "x", "5x", "<0", ">4294967295", "4294967296", "4:2", "2<>3", "2<>2", "+5", "!", "1:2:3", "--1"] {
            if let Ok(numbers) = bad.parse::<Numbers>() {
                assert!([":", "-"].contains(&bad), "{bad} became {numbers:?}");
            }
        }
    }

    #[test]
    fn what_lies_between_two_numbers_must_all_fit() {
        let more: Numbers = ">20".parse().unwrap();
        assert!(more.have(21, 60) && !more.have(0, 40) && !more.have(20, 20));
        let not: Numbers = "!0".parse().unwrap();
        assert!(not.have(1, 40) && !not.have(0, 40));
    }
}
