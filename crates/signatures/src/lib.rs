//! Signatures on packets, in the rule language of Snort that psad uses too: rules in, and for each packet which of them it fits.
//! Opens nothing, reads no clock, and never looks at more of a packet than the [`header::Header`] that it is given.

pub mod addresses;
pub mod assigned;
pub mod header;
pub mod keywords;
pub mod level;
pub mod numbers;
pub mod prefix;
pub mod rule;
pub mod set;
pub mod shipped;
pub mod tables;

pub use set::{Hit, Set, Sources};

use std::fmt;
use std::sync::Arc;

/// Something wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file's name.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, in words.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// `; did you mean 'itype'?`, if there is a word so near.
fn did_you_mean<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> String {
    let nearest = known.into_iter().map(|known| (strsim::osa_distance(word, known), known)).min();
    let near = nearest.filter(|(distance, _)| *distance <= (word.len() / 3).max(1));
    near.map_or_else(String::new, |(_, known)| format!("; did you mean '{known}'?"))
}

/// A file's lines that say something, with their numbers from 1: without comments, ends and blanks around.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(n, line)| (n + 1, line.split('#').next().unwrap_or_default().trim()))
        .filter(|(_, line)| !line.is_empty())
}
