//! All patterns of decoders and rules, each once, and one look at a line for all that could match.

use super::event::{Event, Span};
use crate::pattern::{Pattern, Spans};
use crate::scan::{Candidates, Scan};
use std::collections::BTreeMap;

/// Programs whose patterns are remembered.
const PROGRAMS_MAX: usize = 1024;

/// Patterns; their places are their numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patterns {
    /// On the log or a part of it.
    log: Vec<Pattern>,
    /// On programs' names.
    programs: Vec<Pattern>,
    known: BTreeMap<(bool, String), u32>,
    scan: Option<Scan>,
}

/// What is kept from line to line so that none costs an allocation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scratch {
    pub candidates: Candidates,
    pub spans: Spans,
    /// The groups of the last match that took part in it: places in the event's text.
    pub groups: Vec<Span>,
    /// Patterns that took too many steps.
    pub gave_up: u64,
}

/// What is known of a program's name.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    /// Decoders' roots; places in their list.
    pub roots: Box<[u32]>,
    matching: Box<[bool]>,
}

/// Remembers programs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Remembered {
    programs: BTreeMap<Box<[u8]>, Programs>,
    /// Forgotten because there were too many.
    pub forgotten: u64,
}

impl Patterns {
    pub fn log(&mut self, pattern: Pattern) -> u32 {
        Self::keep(&mut self.log, &mut self.known, false, pattern)
    }

    pub fn program(&mut self, pattern: Pattern) -> u32 {
        Self::keep(&mut self.programs, &mut self.known, true, pattern)
    }

    fn keep(list: &mut Vec<Pattern>, known: &mut BTreeMap<(bool, String), u32>, program: bool, pattern: Pattern) -> u32 {
        *known.entry((program, pattern.text().to_owned())).or_insert_with(|| {
            list.push(pattern);
            list.len() as u32 - 1
        })
    }

    /// To be called when all are there.
    pub fn finish(&mut self) -> Result<(), String> {
        self.scan = Some(Scan::new(&self.log)?);
        self.known.clear();
        Ok(())
    }

    /// Patterns on logs, and those of them that have to look at every line.
    pub fn counts(&self) -> (usize, usize) {
        (self.log.len(), self.scan.as_ref().map_or(0, |scan| scan.always().len()))
    }

    /// Looks which patterns could match.
    pub fn look(&self, event: &Event, scratch: &mut Scratch) {
        if let Some(scan) = &self.scan {
            scan.look(event.log(), &mut scratch.candidates);
        }
    }

    /// Whether a pattern matches part of the log, or what was made up.
    pub fn matches(&self, pattern: u32, text: &[u8], event: &Event, scratch: &mut Scratch) -> bool {
        if !event.foreign && !scratch.candidates.has(pattern) {
            return false;
        }
        let Some(pattern) = self.log.get(pattern as usize) else { return false };
        pattern.is_match(text, 0).unwrap_or_else(|_| {
            scratch.gave_up += 1;
            false
        })
    }

    /// Where the first match from a place of the log on ends. What lies before is not there: `^` matches at that place.
    pub fn end(&self, pattern: u32, event: &Event, from: u32, scratch: &mut Scratch) -> Option<u32> {
        if !event.foreign && !scratch.candidates.has(pattern) {
            return None;
        }
        let rest = event.at((from, event.log.1));
        match self.log.get(pattern as usize)?.find(rest, 0) {
            Ok(found) => found.map(|(_, end)| from + end as u32),
            Err(_) => {
                scratch.gave_up += 1;
                None
            }
        }
    }

    /// Likewise, with the groups that took part; or with all up to the last of them, empty where they took no part.
    pub fn groups(&self, pattern: u32, all: bool, event: &Event, from: u32, scratch: &mut Scratch) -> Option<u32> {
        scratch.groups.clear();
        if !event.foreign && !scratch.candidates.has(pattern) {
            return None;
        }
        let rest = event.at((from, event.log.1));
        match self.log.get(pattern as usize)?.captures(rest, 0, &mut scratch.spans) {
            Ok(true) => {
                let spans = &scratch.spans;
                let place = |(start, end): (usize, usize)| (from + start as u32, from + end as u32);
                let last = (1..spans.len()).rev().find(|&group| spans.get(group).is_some()).unwrap_or(0);
                let empty = if all { Some((0, 0)) } else { None };
                scratch.groups.extend((1..=last).filter_map(|group| spans.get(group).or(empty)).map(place));
                spans.get(0).map(|(_, end)| from + end as u32)
            }
            Ok(false) => None,
            Err(_) => {
                scratch.gave_up += 1;
                None
            }
        }
    }

    /// Whether a pattern that isn't on logs matches a text.
    pub fn outside(&self, pattern: u32, text: &[u8]) -> bool {
        self.programs.get(pattern as usize).is_some_and(|pattern| pattern.is_match(text, 0).unwrap_or(false))
    }

    /// What a program's name matches.
    pub fn programs(&self, name: &[u8]) -> Box<[bool]> {
        self.programs.iter().map(|pattern| pattern.is_match(name, 0).unwrap_or(false)).collect()
    }
}

impl Programs {
    pub fn matches(&self, pattern: u32) -> bool {
        self.matching.get(pattern as usize).copied().unwrap_or(false)
    }
}

impl Remembered {
    /// What is known of a program.
    pub fn of(&mut self, name: &[u8], learn: impl FnOnce() -> (Box<[u32]>, Box<[bool]>)) -> Option<&Programs> {
        if !self.programs.contains_key(name) {
            if self.programs.len() >= PROGRAMS_MAX {
                self.forgotten += self.programs.len() as u64;
                self.programs.clear();
            }
            let (roots, matching) = learn();
            self.programs.insert(name.into(), Programs { roots, matching });
        }
        self.programs.get(name)
    }
}
