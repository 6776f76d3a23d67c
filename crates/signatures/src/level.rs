//! How grave a match is: psad's danger levels, and how Snort's priorities become them.

use model::level::DangerLevel;
use std::collections::BTreeMap;

/// A level from 0 to 5; 0 says that such packets are nothing to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(u8);

impl Level {
    /// Nothing to look at.
    pub const IGNORE: Level = Level(0);
    /// What a match is if nobody says anything of it: psad's own default.
    pub const DEFAULT: Level = Level(2);

    /// Reads it.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(text: &str) -> Result<Level, String> {
        let digit = text.trim().parse().ok().filter(|level| *level <= 5);
        digit.map(Level).ok_or_else(|| format!("'{}' is no danger level (0 to 5)", text.trim()))
    }

    /// The danger level; `None` for 0.
    pub fn danger(self) -> Option<DangerLevel> {
        DangerLevel::new(self.0)
    }

    /// psad's reading of a Snort priority.
    pub fn of_priority(priority: u32) -> Level {
        Level(match priority {
            1 => 5,
            2 => 4,
            3 => 3,
            4 => 2,
            _ => 1,
        })
    }
}

impl From<DangerLevel> for Level {
    fn from(level: DangerLevel) -> Level {
        Level(level.number())
    }
}

/// Snort's classes that nearly every distribution of its rules has, by priority (its manual, 3.4.6).
const CLASSES: [(u32, &[&str]); 4] = [
    (
        1,
        &[
            "attempted-admin",
            "attempted-user",
            "client-side-exploit",
            "file-format",
            "inappropriate-content",
            "malware-cnc",
            "policy-violation",
            "shellcode-detect",
            "successful-admin",
            "successful-user",
            "trojan-activity",
            "unsuccessful-user",
            "web-application-attack",
        ],
    ),
    (
        2,
        &[
            "attempted-dos",
            "attempted-recon",
            "bad-unknown",
            "default-login-attempt",
            "denial-of-service",
            "misc-attack",
            "non-standard-protocol",
            "rpc-portmap-decode",
            "sdf",
            "successful-dos",
            "successful-recon-largescale",
            "successful-recon-limited",
            "suspicious-filename-detect",
            "suspicious-login",
            "system-call-detect",
            "unusual-client-port-connection",
            "web-application-activity",
        ],
    ),
    (3, &["icmp-event", "misc-activity", "network-scan", "not-suspicious", "protocol-command-decode", "string-detect", "unknown"]),
    (4, &["tcp-connection"]),
];

/// The priority of one of Snort's own classes.
pub fn of_class(name: &str) -> Option<u32> {
    CLASSES.into_iter().find(|(_, names)| names.contains(&name)).map(|(priority, _)| priority)
}

/// Reads `config classification: name, words, priority` (or what stands behind the colon): the name and the priority.
pub(crate) fn classification(text: &str) -> Result<(String, u32), String> {
    let mut parts = text.split(',').map(str::trim);
    let (name, priority) = (parts.next().unwrap_or_default(), parts.next_back().and_then(|number| number.parse().ok()));
    match priority {
        Some(priority) if !name.is_empty() => Ok((name.to_owned(), priority)),
        _ => Err("a name, a description and a number are wanted, with commas between".to_owned()),
    }
}

/// The levels of single signatures: psad's `snort_rule_dl`.
pub type Levels = BTreeMap<u32, Level>;
