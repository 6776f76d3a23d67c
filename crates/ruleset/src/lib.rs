//! What a saved firewall ruleset does: three formats in, one model, and answers about packets that nobody has sent. Opens nothing,
//! runs nothing, and changes nobody's firewall; what it doesn't understand is "maybe", never "no".
//!
//! [`read`] → [`Ruleset`] → [`ask::ask`] (one packet) or [`survey::survey`] (every kind of packet that the rules tell apart).

pub mod advice;
pub mod ask;
pub mod firewall;
mod iptables;
mod iptables_matches;
mod iptables_targets;
pub mod json;
mod mentioned;
mod names;
mod nft_json;
mod nft_lexer;
mod nft_rule;
mod nft_text;
mod nft_words;
pub mod packet;
pub mod rules;
pub mod survey;
pub mod tools;

pub use iptables::iptables_save;
pub use nft_json::nft_json;
pub use nft_text::nft_text;
pub use rules::{Ruleset, Version};

/// Why a text is no ruleset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {message}")]
pub struct Wrong {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong with it.
    pub message: String,
}

impl Wrong {
    fn new(line: u32, message: impl Into<String>) -> Self {
        // Names out of the ruleset stand in it, and it goes to a terminal.
        Wrong { line, message: names::shown(&message.into()) }
    }
}

/// Bytes of a ruleset that are read.
pub const TEXT_BYTES: usize = 64 << 20;
/// Rules that are kept.
pub const RULES: usize = 200_000;
/// Chains of one table that are kept.
pub const CHAINS: usize = 10_000;
/// Elements of one set that are kept; whether an address is among the rest is "maybe".
pub const ELEMENTS: usize = 100_000;
/// How deep braces and brackets may nest.
pub const DEPTH: usize = 32;
/// Bytes of one rule's text that are kept for messages.
pub const RULE_TEXT: usize = 300;

/// Reads a saved ruleset of any of the three kinds, recognised by its content. `version` is for iptables-save text whose header is gone.
///
/// # Errors
/// What makes it no ruleset.
pub fn read(text: &str, version: Option<Version>) -> Result<Ruleset, Wrong> {
    if text.len() > TEXT_BYTES {
        return Err(Wrong::new(0, format!("longer than {} MiB", TEXT_BYTES >> 20)));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
    match lines.next() {
        None if text.contains("tables-save") => iptables_save(text, version),
        None => Ok(Ruleset::default()),
        Some(line) if line.starts_with('{') => nft_json(text),
        Some(line) if line.starts_with(['*', ':', '-', '[']) || line == "COMMIT" => iptables_save(text, version),
        Some(_) => nft_text(text),
    }
}
