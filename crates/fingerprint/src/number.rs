//! Numbers as both formats write them.

/// A number that a fingerprint asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// Any.
    Any,
    /// This one.
    Exactly(u32),
    /// A multiple of this one.
    MultipleOf(u32),
}

impl Number {
    /// Reads `*`, `%4`, `4711`, no higher than `most`.
    pub fn read(text: &str, most: u32) -> Result<Number, String> {
        let number = |digits: &str| match digits.parse::<u32>() {
            Ok(number) if number <= most && digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(number),
            _ => Err(format!("'{}' is no number from 0 to {most}", shown(text))),
        };
        match text.strip_prefix('%') {
            _ if text == "*" => Ok(Number::Any),
            Some(digits) => match number(digits)? {
                0 => Err("nothing is a multiple of 0".to_owned()),
                divisor => Ok(Number::MultipleOf(divisor)),
            },
            None => Ok(Number::Exactly(number(text)?)),
        }
    }

    /// Whether this number is what it asks for.
    pub fn fits(self, number: u32) -> bool {
        match self {
            Number::Any => true,
            Number::Exactly(wanted) => number == wanted,
            Number::MultipleOf(divisor) => number.is_multiple_of(divisor),
        }
    }
}

/// The window that a fingerprint asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// As a number.
    Number(Number),
    /// So many times the maximum segment size.
    Segments(u32),
    /// So many times the size of a packet.
    Packets(u32),
}

impl Window {
    /// Reads a number, or one behind the word for segments or for packets.
    pub fn read(text: &str, segments: &str, packets: &str) -> Result<Window, String> {
        let times = |digits: &str| match Number::read(digits, 65_535) {
            Ok(Number::Exactly(times)) => Ok(times),
            _ => Err(format!("'{}' is no window: a number, *, %N, {segments}N or {packets}N", shown(text))),
        };
        match (text.strip_prefix(segments), text.strip_prefix(packets)) {
            (Some(digits), _) => times(digits).map(Window::Segments),
            (_, Some(digits)) => times(digits).map(Window::Packets),
            _ => Number::read(text, 65_535).map(Window::Number),
        }
    }
}

/// A part of a file in an error message.
pub fn shown(text: &str) -> String {
    text.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_they_are_written() {
        assert_eq!(Number::read("*", 9), Ok(Number::Any));
        assert_eq!(Number::read("%4", 9), Ok(Number::MultipleOf(4)));
        assert_eq!(Number::read("9", 9), Ok(Number::Exactly(9)));
        for bad in ["", "10", "%0", "%", "+1", "-1", "x", "1 "] {
            assert!(Number::read(bad, 9).is_err(), "{bad}");
        }
        assert!(Number::MultipleOf(4).fits(0) && Number::MultipleOf(4).fits(8) && !Number::MultipleOf(4).fits(9));
    }
}
