//! What is wrong with a configuration: one line for each thing, with its place. Never prints and never ends the program.

use std::fmt;

/// Diagnostics that one configuration yields; what is wrong beyond them is only counted.
pub const SHOWN: usize = 20;
/// Problems that are kept while reading, so that the first ones by place can be chosen.
const KEPT: usize = 1_000;

/// A place in a text, both counted from 1; the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// One thing that is wrong, in one line: `file:line:column: what`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file's name as it was given.
    pub file: String,
    /// Where in it; `None` for what concerns the whole file.
    pub at: Option<Position>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(Position { line, column }) => write!(f, "{}:{line}:{column}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// The problems found so far, by byte offset.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<(usize, String)>,
    more: usize,
}

impl Problems {
    /// Adds one, at a byte offset of the text.
    pub fn say(&mut self, at: usize, message: String) {
        if self.list.len() < KEPT { self.list.push((at, message)) } else { self.more += 1 }
    }

    /// How many there are: a caller that compares two counts knows whether something went wrong between.
    pub fn count(&self) -> usize {
        self.list.len() + self.more
    }

    /// The first ones by place, as diagnostics on `text`, and a last one that counts the rest.
    pub fn into_diagnostics(mut self, file: &str, text: &str) -> Vec<Diagnostic> {
        self.list.sort_by_key(|(at, _)| *at);
        let more = self.more + self.list.len().saturating_sub(SHOWN);
        self.list.truncate(SHOWN);
        let mut lines: Vec<Diagnostic> = self
            .list
            .into_iter()
            .map(|(at, message)| Diagnostic { file: file.to_owned(), at: Some(position(text, at)), message })
            .collect();
        if more > 0 {
            lines.push(Diagnostic { file: file.to_owned(), at: None, message: format!("and {more} more") });
        }
        lines
    }
}

/// The line and column of a byte offset; an offset past the end is the end.
pub fn position(text: &str, at: usize) -> Position {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    Position {
        line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
        // A byte that continues a character (10xxxxxx) starts none.
        column: before[line_start..].iter().filter(|byte| **byte & 0xc0 != 0x80).count() + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        assert_eq!(position("a\nöb=1", 5), Position { line: 2, column: 3 });
        assert_eq!(position("", 9), Position { line: 1, column: 1 });
        assert_eq!(position("x\n", 2), Position { line: 2, column: 1 });
    }

    #[test]
    fn the_first_ones_by_place_are_shown_and_the_rest_counted() {
        let text = "\n".repeat(3_000);
        let mut problems = Problems::default();
        (0..2_500).rev().for_each(|at| problems.say(at, format!("bad {at}")));
        assert_eq!(problems.count(), 2_500);
        let lines = problems.into_diagnostics("x.toml", &text);
        assert_eq!(lines.len(), SHOWN + 1);
        assert_eq!(lines[0].to_string(), "x.toml:1501:1: bad 1500");
        assert_eq!(lines[SHOWN].to_string(), "x.toml: and 2480 more");
    }
}
