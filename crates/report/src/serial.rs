//! The nouns as JSON has them: a time as RFC 3339, a prefix as its text. The model itself knows no format.

use crate::time::{Rfc3339, parse_rfc3339};
use model::event::Trust;
use model::level::DangerLevel;
use model::net::Prefix;
use model::style::{Style, StyleSet};
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

/// A danger level as its number, for `#[serde(with)]`.
pub mod level {
    use super::*;

    /// Writes it.
    pub fn serialize<S: Serializer>(level: &DangerLevel, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(level.number())
    }

    /// Reads it.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DangerLevel, D::Error> {
        DangerLevel::new(u8::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("no danger level from 1 to 5"))
    }
}

/// Styles as a list of their words, for `#[serde(with)]`.
pub mod styles {
    use super::*;

    /// Writes them.
    pub fn serialize<S: Serializer>(styles: &StyleSet, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(styles.iter().map(Style::word))
    }

    /// Reads them.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StyleSet, D::Error> {
        let words = Vec::<Cow<str>>::deserialize(deserializer)?;
        let style = |word: &Cow<str>| Style::ALL.into_iter().find(|style| style.word() == word);
        words.iter().map(|word| style(word).ok_or_else(|| D::Error::custom("no word for a style"))).collect()
    }
}

/// Trust as its word, for `#[serde(with)]`.
pub mod trust {
    use super::*;

    /// Writes it.
    pub fn serialize<S: Serializer>(trust: &Trust, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(trust.word())
    }

    /// Reads it.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Trust, D::Error> {
        let word = Cow::<str>::deserialize(deserializer)?;
        let all = [Trust::Spoofable, Trust::Handshake, Trust::Vouched];
        all.into_iter().find(|trust| trust.word() == word).ok_or_else(|| D::Error::custom("no word for trust"))
    }
}

/// One line of JSON with its newline, for the reports that travel and for `--json`. DEL and the C1 controls, which
/// serde_json leaves as they are and some terminals obey, are escaped.
pub fn to_json_line(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut plain = serde_json::to_string(value)?;
    if plain.bytes().all(|byte| byte < 0x7f) {
        plain.push('\n');
        return Ok(plain);
    }
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
