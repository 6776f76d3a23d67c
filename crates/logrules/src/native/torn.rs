//! Logs in which a stranger may have ended a line within his own text: what follows is passed over for as long as that text can go on.

use crate::line::Line;
use std::collections::HashMap;

/// Far more than files can be followed.
const PLACES: usize = 262_144;

/// By place: how many bytes further on the text can reach.
#[derive(Debug, Default)]
pub(super) struct Torn {
    left: HashMap<Box<str>, usize>,
    /// Lines that were passed over.
    pub(super) passed: u64,
}

impl Torn {
    /// Whether this line begins within such a text: then it says nothing of its own.
    pub(super) fn covers(&mut self, line: &Line<'_>) -> bool {
        if self.left.is_empty() {
            return false;
        }
        let Some(left) = self.left.get_mut(line.place) else { return false };
        match left.checked_sub(line.text.len() + 1) {
            Some(less) => *left = less,
            None => drop(self.left.remove(line.place)),
        }
        self.passed += 1;
        true
    }

    /// From the beginning of this line on, so many bytes may be a stranger's.
    pub(super) fn tear(&mut self, line: &Line<'_>, bytes: usize) {
        let Some(left) = bytes.checked_sub(line.text.len() + 1) else { return };
        if self.left.len() < PLACES || self.left.contains_key(line.place) {
            self.left.insert(line.place.into(), left);
        }
    }

    pub(super) fn clear(&mut self) {
        self.left.clear();
    }
}
