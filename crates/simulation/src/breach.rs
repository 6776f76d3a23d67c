//! A promise that was broken. Never says how: the story does.

use std::fmt;

/// Which promise, and the particulars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The promise, in words.
    pub rule: &'static str,
    /// The particulars.
    pub what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

/// Nothing, or a broken promise.
pub type Kept = Result<(), Breach>;

/// Says that a promise is broken unless it holds.
pub fn hold(holds: bool, rule: &'static str, what: impl FnOnce() -> String) -> Kept {
    if holds { Ok(()) } else { Err(Breach { rule, what: what() }) }
}
