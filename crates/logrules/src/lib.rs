//! Application-log rules: lines in, findings out, for our own rule format and for the ones that people bring along.
//! Opens nothing, starts nothing, reads no clock: files' texts and the time are arguments.

pub mod fail2ban;
pub mod finding;
pub mod head;
pub mod line;
mod literals;
pub mod native;
pub mod ossec;
pub mod pattern;
pub mod scan;
mod sequence;
mod starts;

use finding::Finding;
use line::Line;

/// Rules of one kind, at work: our own, OSSEC's, fail2ban's.
pub trait Rules {
    /// Takes one line in; what follows from it is appended to `out`. Lines come in the order in which they were read.
    fn line(&mut self, line: &Line<'_>, out: &mut Vec<Finding>);

    /// What was counted so far: every line that could not be read as its author meant, every table entry that gave way.
    fn counters(&self) -> Vec<(&'static str, u64)>;
}
