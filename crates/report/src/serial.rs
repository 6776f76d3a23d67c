//! The nouns as JSON has them: a time as RFC 3339, a prefix as its text. The model itself knows no format.

use crate::time::{Rfc3339, parse_rfc3339};
use model::net::Prefix;
use model::time::Time;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// A time, as `"2026-03-01T12:00:00Z"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub Time);

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Rfc3339(self.0))
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        parse_rfc3339(&text).map(Stamp).ok_or_else(|| D::Error::custom("no RFC 3339 time in UTC"))
    }
}

/// An address or prefix, as `"192.0.2.1"` or `"192.0.2.0/24"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Whom(pub Prefix);

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

impl Serialize for Whom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Whom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map(Whom).map_err(D::Error::custom)
    }
}

/// One line of JSON with its newline, for the reports that travel and for `--json`. DEL and the C1 controls, which
/// serde_json leaves as they are and some terminals obey, are escaped.
pub fn to_json_line(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let plain = serde_json::to_string(value)?;
    let mut line = String::with_capacity(plain.len() + 1);
    for c in plain.chars() {
        // Outside of texts JSON has no such character, and serde_json has escaped the C0 controls.
        if c.is_control() { line += &format!("\\u{:04x}", u32::from(c)) } else { line.push(c) }
    }
    line.push('\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_is_in_a_line() {
        let text = "a\u{1b}\u{7f}\u{9b}\n\"é";
        let line = to_json_line(&text).unwrap();
        assert_eq!(line, "\"a\\u001b\\u007f\\u009b\\n\\\"é\"\n");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }

    #[test]
    fn they_are_texts() {
        let both = (Stamp(Time::from_nanos(1_500_000_000)), Whom("192.0.2.0/24".parse().unwrap()));
        let json = serde_json::to_string(&both).unwrap();
        assert_eq!(json, r#"["1970-01-01T00:00:01.5Z","192.0.2.0/24"]"#);
        assert_eq!(serde_json::from_str::<(Stamp, Whom)>(&json).unwrap(), both);
        assert!(serde_json::from_str::<Stamp>("\"yesterday\"").is_err());
        assert!(serde_json::from_str::<Whom>("\"::1/129\"").is_err());
    }
}
