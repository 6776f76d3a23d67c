//! What a long trial came to, line by line: what was wanted, what was, and whether that will do. Measures nothing.

use report::table::{Room, Side, Table};
use serde::Serialize;
use std::fmt::Write as _;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// What was looked at.
    pub what: String,
    /// What had to be.
    pub wanted: String,
    /// What was.
    pub measured: String,
    /// Whether that will do.
    pub kept: bool,
    /// What else is to be known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Verdict {
    /// A line without a note.
    pub fn new(what: impl Into<String>, wanted: impl Into<String>, measured: impl Into<String>, kept: bool) -> Self {
        Verdict { what: what.into(), wanted: wanted.into(), measured: measured.into(), kept, note: String::new() }
    }

    /// A count of something that must not happen.
    pub fn none(what: impl Into<String>, count: u64) -> Self {
        Verdict::new(what, "0", count.to_string(), count == 0)
    }

    /// With a note.
    #[must_use]
    pub fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

/// All lines as a table, with the notes below.
pub fn table(verdicts: &[Verdict]) -> String {
    let mut table = Table::new([("kept", Side::Left), ("what", Side::Left), ("measured", Side::Left), ("wanted", Side::Left)]);
    for verdict in verdicts {
        let kept = if verdict.kept { "yes" } else { "NO" };
        table.row([kept.to_owned(), verdict.what.clone(), verdict.measured.clone(), verdict.wanted.clone()]);
    }
    let mut text = table.text(Room::Terminal);
    for verdict in verdicts.iter().filter(|verdict| !verdict.note.is_empty()) {
        let _ = writeln!(text, "\n{}: {}", verdict.what, verdict.note);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_not_happen_is_not_kept_if_it_does() {
        let lines = [Verdict::none("lost blocks", 0), Verdict::none("doubled blocks", 2).noted("two")];
        assert_eq!([lines[0].kept, lines[1].kept], [true, false]);
        let text = table(&lines);
        assert!(text.contains("NO    doubled blocks") && text.contains("doubled blocks: two"), "{text}");
    }
}
