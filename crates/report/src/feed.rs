//! `riposte feeds list`: what others' lists say, how fresh they are and what was left out of them.

use crate::escape;
use crate::serial::Stamp;
use crate::table::thousands;
use crate::time::Readable;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// Characters of an address of a list, and of why it can't be had.
const WORDS_CHARS: usize = 200;

/// One feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedLine {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub place: String,
    /// What follows for whom it names: `block`, `level` or `mark`.
    pub effect: String,
    /// Entries in force.
    pub entries: u64,
    /// When it was fetched last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched: Option<Stamp>,
    /// When it is fetched next; absent: just now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Stamp>,
    /// When it ends if nobody renews it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Stamp>,
    /// What was left out of it, with how many entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<(String, u64)>,
    /// Why it can't be renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<FeedTrouble>,
}

/// Why a feed can't be renewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedTrouble {
    /// Since when.
    pub since: Stamp,
    /// In words.
    pub why: String,
}

impl FeedLine {
    /// Why entries are left out, in the order of their counts.
    pub const REASONS: [&'static str; 5] = ["not public", "exempt", "too large", "unreadable", "beyond the bound"];
}

/// The text.
pub fn text(feeds: &[FeedLine]) -> String {
    let mut out = String::new();
    if feeds.is_empty() {
        return "no feeds: [[feed]] in the configuration names them\n".to_owned();
    }
    for feed in feeds {
        let place = escape::text(&feed.place, WORDS_CHARS);
        let _ = writeln!(out, "{} ({}): {} entries", feed.name, feed.effect, thousands(feed.entries));
        let _ = writeln!(out, "  from {place}");
        match (&feed.fetched, &feed.until) {
            (Some(fetched), Some(until)) => _ = writeln!(out, "  fetched {}, holds until {}", Readable(fetched.0), Readable(until.0)),
            (Some(fetched), None) => _ = writeln!(out, "  fetched {}", Readable(fetched.0)),
            (None, _) => out.push_str("  never fetched\n"),
        }
        match &feed.next {
            Some(next) => _ = writeln!(out, "  next {}", Readable(next.0)),
            None => out.push_str("  being fetched now\n"),
        }
        if !feed.left_out.is_empty() {
            let parts: Vec<String> = feed.left_out.iter().map(|(why, n)| format!("{} {why}", thousands(*n))).collect();
            let _ = writeln!(out, "  left out: {}", parts.join(", "));
        }
        if let Some(FeedTrouble { since, why }) = &feed.trouble {
            let _ = writeln!(out, "  not renewed since {}: {}", Readable(since.0), escape::text(why, WORDS_CHARS));
        }
    }
    out
}
