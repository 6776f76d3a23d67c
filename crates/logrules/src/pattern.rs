//! One regular expression over a line's bytes: in linear time if it can be, with a limit on its steps if it needs to look around.
//! Never runs away, whatever the line.

use crate::literals;
use fancy_regex::{BytesMode, RegexBuilder};
use regex::bytes;
use std::fmt;

/// Steps that a pattern with look-around may take on one line. A line of 8 KiB takes fewer of any sensible one.
const STEPS_MAX: usize = 200_000;
/// Bytes that one compiled pattern may take.
const COMPILED_MAX: usize = 16 << 20;

/// How a pattern is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flavour {
    /// Letters of either case match.
    pub case_insensitive: bool,
    /// `^` and `$` also match at line ends inside the text (for rules over several lines joined).
    pub multi_line: bool,
}

/// A compiled pattern.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    engine: Engine,
    literals: Option<Vec<Vec<u8>>>,
}

#[derive(Clone)]
enum Engine {
    Linear(bytes::Regex),
    Stepped(Box<fancy_regex::Regex>),
}

/// Where a pattern's groups matched: byte ranges, group 0 first. Kept by the caller, so that no line costs an allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans(Vec<Option<(usize, usize)>>);

/// It took more steps than it may on this line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManySteps;

impl Pattern {
    /// Compiles it: linear if possible, else with look-around, back-references and conditions.
    ///
    /// # Errors
    /// What is wrong with it, in the words of the engine that understands more.
    pub fn new(text: &str, flavour: Flavour) -> Result<Pattern, String> {
        let linear = bytes::RegexBuilder::new(text)
            .unicode(false)
            .case_insensitive(flavour.case_insensitive)
            .multi_line(flavour.multi_line)
            .size_limit(COMPILED_MAX)
            .build();
        let (engine, literals) = match linear {
            Ok(regex) => (Engine::Linear(regex), literals::of_linear(text, flavour.case_insensitive)),
            Err(_) => {
                let stepped = RegexBuilder::new(text)
                    .bytes_mode(BytesMode::Ascii)
                    .unicode_mode(false)
                    .case_insensitive(flavour.case_insensitive)
                    .multi_line(flavour.multi_line)
                    .backtrack_limit(STEPS_MAX)
                    .delegate_size_limit(COMPILED_MAX)
                    .build()
                    .map_err(|error| error.to_string())?;
                (Engine::Stepped(Box::new(stepped)), literals::of_stepped(text))
            }
        };
        Ok(Pattern { text: text.to_owned(), engine, literals })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether its time grows no faster than the line.
    pub fn is_linear(&self) -> bool {
        matches!(self.engine, Engine::Linear(_))
    }

    /// Texts in lower case of which one is in everything that it matches, whatever the case there; `None` if there are none.
    pub fn literals(&self) -> Option<&[Vec<u8>]> {
        self.literals.as_deref()
    }

    /// Its groups' names, group 0 first.
    pub fn names(&self) -> Vec<Option<&str>> {
        match &self.engine {
            Engine::Linear(regex) => regex.capture_names().collect(),
            Engine::Stepped(regex) => regex.capture_names().collect(),
        }
    }

    /// Whether it matches anywhere from byte `from` on; what lies before is still there to look behind at.
    ///
    /// # Errors
    /// If it took too many steps: count it, and take it for no match.
    pub fn is_match(&self, line: &[u8], from: usize) -> Result<bool, TooManySteps> {
        if from > line.len() {
            return Ok(false);
        }
        match &self.engine {
            Engine::Linear(regex) => Ok(regex.is_match_at(line, from)),
            Engine::Stepped(regex) => regex.find_from_pos(line, from).map(|found| found.is_some()).map_err(|_| TooManySteps),
        }
    }

    /// Where the first match from byte `from` on begins and ends.
    ///
    /// # Errors
    /// If it took too many steps: count it, and take it for no match.
    pub fn find(&self, line: &[u8], from: usize) -> Result<Option<(usize, usize)>, TooManySteps> {
        if from > line.len() {
            return Ok(None);
        }
        match &self.engine {
            Engine::Linear(regex) => Ok(regex.find_at(line, from).map(|found| (found.start(), found.end()))),
            Engine::Stepped(regex) => {
                regex.find_from_pos(line, from).map(|found| found.map(|found| (found.start(), found.end()))).map_err(|_| TooManySteps)
            }
        }
    }

    /// The first match from byte `from` on, with its groups.
    ///
    /// # Errors
    /// If it took too many steps: count it, and take it for no match.
    pub fn captures(&self, line: &[u8], from: usize, spans: &mut Spans) -> Result<bool, TooManySteps> {
        spans.0.clear();
        if from > line.len() {
            return Ok(false);
        }
        match &self.engine {
            Engine::Linear(regex) => {
                // The automaton without groups is several times faster, and most lines don't match.
                if !regex.is_match_at(line, from) {
                    return Ok(false);
                }
                let Some(groups) = regex.captures_at(line, from) else { return Ok(false) };
                spans.0.extend(groups.iter().map(|group| group.map(|group| (group.start(), group.end()))));
            }
            Engine::Stepped(regex) => {
                let found = regex.captures_from_pos(line, from).map_err(|_| TooManySteps)?;
                let Some(groups) = found else { return Ok(false) };
                spans.0.extend((0..groups.len()).map(|n| groups.get(n).map(|group| (group.start(), group.end()))));
            }
        }
        Ok(true)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.text).finish()
    }
}

impl Spans {
    /// How many groups there are, group 0 included, whether they took part in the match or not.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing has matched.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where group `group` matched.
    pub fn get(&self, group: usize) -> Option<(usize, usize)> {
        self.0.get(group).copied().flatten()
    }

    /// What group `group` matched.
    pub fn text<'a>(&self, line: &'a [u8], group: usize) -> Option<&'a [u8]> {
        let (from, to) = self.get(group)?;
        line.get(from..to)
    }
}

impl fmt::Display for TooManySteps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pattern took too many steps on this line")
    }
}

impl std::error::Error for TooManySteps {}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text, Flavour::default()).unwrap()
    }

    #[test]
    fn both_engines_capture_the_same() {
        let (linear, stepped) = (pattern("from (?P<host>\\S+) port (\\d+)"), pattern("from (?P<host>\\S+)(?= port) port (\\d+)"));
        assert!(linear.is_linear() && !stepped.is_linear());
        let line = b"Failed \xff from 192.0.2.1 port 4711";
        let (mut one, mut other) = (Spans::default(), Spans::default());
        assert_eq!(linear.captures(line, 0, &mut one), Ok(true));
        assert_eq!(stepped.captures(line, 0, &mut other), Ok(true));
        assert_eq!(one, other);
        assert_eq!(one.text(line, 1), Some(&b"192.0.2.1"[..]));
        assert_eq!(linear.names(), stepped.names());
        assert_eq!(stepped.captures(line, 10, &mut other), Ok(false));
        assert_eq!(other.get(0), None);
    }

    #[test]
    fn a_pattern_that_runs_away_is_stopped() {
        let pattern = pattern("^(a|aa)+\\1$");
        let line = [&[b'a'; 100][..], b"b"].concat();
        assert_eq!(pattern.is_match(&line, 0), Err(TooManySteps));
        assert_eq!(pattern.captures(&line, 0, &mut Spans::default()), Err(TooManySteps));
        assert_eq!(pattern.is_match(b"xaab", 9), Ok(false), "behind the end there is nothing");
    }

    #[test]
    fn what_lies_before_is_seen_but_not_matched() {
        assert_eq!(pattern("^b").is_match(b"ab", 1), Ok(false));
        assert_eq!(pattern("\\bb").is_match(b"ab", 1), Ok(false));
    }

    #[test]
    fn an_error_says_what_is_wrong() {
        assert!(Pattern::new("a(b", Flavour::default()).unwrap_err().contains("paren"), "{:?}", Pattern::new("a(b", Flavour::default()));
    }
}
