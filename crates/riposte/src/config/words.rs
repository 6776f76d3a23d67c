//! The words of a configuration: times, names, ports, and the nearest right word to a wrong one. Never looks anything up.

use policy::config::Ignore;
use policy::ignore::IgnoreError;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The longest time that any key takes. Longer ones are typing errors, and the kernel's timers stay far from their end.
pub const PERIOD_MAX: Duration = Duration::from_secs(3_650 * 86_400);

const UNITS: [(char, u64); 5] = [('w', 7 * 86_400), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// A length of time as it is typed: whole numbers with units, the larger unit first: `10m`, `1h30m`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

/// Why a text is no length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeriodError {
    /// It is not written as one.
    Form,
    /// It is longer than [`PERIOD_MAX`].
    Long,
    /// It is the word for without end.
    Never,
}

impl fmt::Display for PeriodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PeriodError::Form => "is no length of time; write it like \"90s\", \"10m\", \"1h30m\" or \"7d\" (s, m, h, d, w)",
            PeriodError::Long => "is too long: the most is 3650d",
            PeriodError::Never => "is not possible here: only an operator blocks for good (riposte block)",
        })
    }
}

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        if ["never", "forever", "permanent", "infinite"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
            return Err(PeriodError::Never);
        }
        let (mut secs, mut rest, mut units) = (0_u64, text, UNITS.as_slice());
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(PeriodError::Form)?;
            let (number, tail) = rest.split_at(digits);
            let unit = tail.chars().next().ok_or(PeriodError::Form)?;
            // Only the smaller units are left for the next number: `30m1h` and `5m5m` are typing errors.
            let place = units.iter().position(|(name, _)| *name == unit).ok_or(PeriodError::Form)?;
            if number.is_empty() {
                return Err(PeriodError::Form);
            }
            let number: u64 = number.parse().map_err(|_| PeriodError::Long)?;
            secs = number.checked_mul(units[place].1).and_then(|part| secs.checked_add(part)).ok_or(PeriodError::Long)?;
            (rest, units) = (&tail[1..], &units[place + 1..]);
        }
        match Duration::from_secs(secs) {
            _ if text.is_empty() => Err(PeriodError::Form),
            period if period > PERIOD_MAX => Err(PeriodError::Long),
            period => Ok(Period(period)),
        }
    }
}

impl fmt::Display for Period {
    /// The shortest spelling without weeks (`30d` is read faster than `4w2d`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut secs = self.0.as_secs();
        if secs == 0 {
            return f.write_str("0s");
        }
        for (unit, size) in &UNITS[1..] {
            if secs >= *size {
                write!(f, "{}{unit}", secs / size)?;
                secs %= size;
            }
        }
        Ok(())
    }
}

/// A remote or typed text between quotes: control characters escaped, cut to 60 characters.
pub fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(60).flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect();
    let dots = if text.chars().nth(60).is_some() { "…" } else { "" };
    format!("'{cut}{dots}'")
}

/// A text as TOML writes it.
pub fn toml(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The word among `known` that was most likely meant, if one is near enough.
pub fn nearest<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let typed = typed.to_ascii_lowercase().replace('-', "_");
    if typed.len() > 60 {
        return None;
    }
    let allowed = (typed.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|word| (strsim::osa_distance(&typed, word), word))
        .filter(|(distance, word)| *distance <= allowed || (typed.len() >= 3 && word.starts_with(&typed)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// `; did you mean 'x'?`, or nothing.
pub fn did_you_mean<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    nearest(typed, known).map_or_else(String::new, |word| format!("; did you mean '{word}'?"))
}

/// A choice among a few words.
pub trait Word: Sized + Copy + PartialEq + 'static {
    /// Every choice, in the order in which the manual lists them.
    const ALL: &'static [Self];
    /// The word for it.
    fn word(self) -> &'static str;

    /// Reads a word; the error lists them all and names the nearest.
    fn from_word(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|choice| choice.word() == text).ok_or_else(|| {
            let words: Vec<&str> = Self::ALL.iter().map(|choice| choice.word()).collect();
            format!("{} is none of {}{}", quoted(text), words.join(", "), did_you_mean(text, words.iter().copied()))
        })
    }
}

/// Reads one entry of the ignore list: `tcp/61000-61356`, `udp/53`, `icmp`.
pub fn ignore(text: &str) -> Result<Ignore, String> {
    text.parse().map_err(|error| match error {
        IgnoreError::Protocol(word) => {
            let near = did_you_mean(&word, ["icmp", "igmp", "tcp", "udp", "gre", "esp", "icmpv6", "sctp", "udplite"]);
            let near = if near.is_empty() { "." } else { &near };
            format!(
                "{} is no protocol name or number{near} Entries are written like \"tcp/61000-61356\", \"udp/53\" or \"icmp\"",
                quoted(&word)
            )
        }
        IgnoreError::Ports(word) => format!("{}: {} is no port (0 to 65535) and no rising range of ports", quoted(text), quoted(&word)),
        IgnoreError::Portless(protocol) => format!("{}: {protocol} has no ports", quoted(text)),
    })
}

/// Whether a text is a host name (RFC 1123): labels of letters, digits and inner hyphens, the last not all digits
/// (else a mistyped address would be looked up as a name).
pub fn is_host_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label) && !text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether a text can be the name of a user or group, as shadow's useradd would make it.
pub fn is_account_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_read_and_print() {
        for (text, secs, canonical) in [
            ("10m", 600, "10m"),
            ("1h30m", 5_400, "1h30m"),
            ("7d", 604_800, "7d"),
            ("2w", 1_209_600, "14d"),
            ("90s", 90, "1m30s"),
            ("1d2h3m4s", 93_784, "1d2h3m4s"),
            ("0s", 0, "0s"),
        ] {
            assert_eq!(text.parse(), Ok(Period(Duration::from_secs(secs))), "{text}");
            assert_eq!(Period(Duration::from_secs(secs)).to_string(), canonical);
        }
        for text in ["", "10", "m", "10x", "30m1h", "5m5m", "1.5h", "-1s", " 1s", "1h ", "10ö", "1h30"] {
            assert_eq!(text.parse::<Period>(), Err(PeriodError::Form), "{text:?}");
        }
        for text in ["3651d", "99999999999999999999s", "999999999999999999w"] {
            assert_eq!(text.parse::<Period>(), Err(PeriodError::Long), "{text}");
        }
        assert_eq!("Never".parse::<Period>(), Err(PeriodError::Never));
    }

    #[test]
    fn the_nearest_word_is_found_only_when_near() {
        let known = ["block_level", "block_for", "block_max", "dry_run"];
        assert_eq!(nearest("blok_level", known), Some("block_level"));
        assert_eq!(nearest("dry-run", known), Some("dry_run"));
        assert_eq!(nearest("dry", known), Some("dry_run"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest(&"x".repeat(10_000), known), None);
    }

    #[test]
    fn names_are_names() {
        for name in ["admin.example.org", "localhost", "a.b.", "x-1.example", "3com.com"] {
            assert!(is_host_name(name), "{name}");
        }
        for name in ["", "10.0.0", "1.2.3.4", "a..b", "-a.b", "a_b", "fe80::1", "a b", ".", "x.1"] {
            assert!(!is_host_name(name), "{name}");
        }
        assert!(is_account_name("riposte") && is_account_name("_r-1"));
        assert!(!is_account_name("") && !is_account_name("1a") && !is_account_name("a b") && !is_account_name(&"a".repeat(33)));
    }

    #[test]
    fn quoted_text_is_cut_and_harmless() {
        assert_eq!(quoted("a\u{1b}[2Jb"), "'a\\u{1b}[2Jb'");
        assert!(quoted(&"x".repeat(999)).chars().count() < 70);
    }
}
