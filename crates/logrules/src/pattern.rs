//! One regular expression over a line's bytes: in linear time if it can be, with a limit on its steps if it needs to look around.
//! Never runs away, whatever the line.

use crate::literals;
use crate::sequence::Sequence;
use fancy_regex::{BytesMode, RegexBuilder};
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Input, meta};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, Look};
use std::fmt;

/// Steps that a pattern with look-around may take on one line. A line of 8 KiB takes fewer of any sensible one.
const STEPS_MAX: usize = 200_000;
/// Bytes that one compiled pattern may take.
const COMPILED_MAX: usize = 16 << 20;
/// Bytes of states that it keeps while it searches.
const CACHE_MAX: usize = 2 << 20;

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
    flavour: Flavour,
    engine: Engine,
    literals: Option<Vec<Vec<u8>>>,
    anchored: bool,
}

#[derive(Clone)]
enum Engine {
    Sequence(Sequence),
    Linear(meta::Regex),
    Stepped(Box<fancy_regex::Regex>),
}

/// Where a pattern's groups matched: byte ranges, group 0 first. Kept by the caller, so that no line costs an allocation. Inside, two places for
/// each group: where it begins and where it ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spans(Vec<Option<NonMaxUsize>>);

/// It took more steps than it may on this line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManySteps;

impl Pattern {
    /// Compiles it: linear if possible, else with look-around, back-references and conditions.
    ///
    /// # Errors
    /// What is wrong with it, in the words of the engine that understands more.
    pub fn new(text: &str, flavour: Flavour) -> Result<Pattern, String> {
        let mut anchored = false;
        let (engine, literals) = match linear(text, flavour) {
            Some((engine, hir)) => {
                anchored = hir.properties().look_set_prefix().contains(Look::Start);
                (engine, literals::of_linear(&hir))
            }
            None => {
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
        Ok(Pattern { text: text.to_owned(), flavour, engine, literals, anchored })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether its time grows no faster than the line.
    pub fn is_linear(&self) -> bool {
        !matches!(self.engine, Engine::Stepped(_))
    }

    /// Whether it is linear and matches only where the text begins.
    pub fn is_anchored(&self) -> bool {
        self.anchored
    }

    /// As its parts, if it is linear.
    pub(crate) fn syntax(&self) -> Option<Hir> {
        if self.is_linear() { syntax(&self.text, self.flavour) } else { None }
    }

    /// Texts in lower case of which one is in everything that it matches, whatever the case there; `None` if there are none.
    pub fn literals(&self) -> Option<&[Vec<u8>]> {
        self.literals.as_deref()
    }

    /// Its groups' names, group 0 first.
    pub fn names(&self) -> Vec<Option<&str>> {
        match &self.engine {
            Engine::Sequence(sequence) => sequence.names().collect(),
            Engine::Linear(regex) => regex.group_info().pattern_names(regex_automata::PatternID::ZERO).collect(),
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
            Engine::Sequence(_) if from > 0 => Ok(false),
            Engine::Sequence(sequence) => Ok(sequence.run(line, |_, _| ()).is_some()),
            Engine::Linear(regex) => Ok(regex.is_match(Input::new(line).range(from..))),
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
            Engine::Sequence(_) if from > 0 => Ok(None),
            Engine::Sequence(sequence) => Ok(sequence.run(line, |_, _| ()).map(|end| (0, end))),
            Engine::Linear(regex) => Ok(regex.find(Input::new(line).range(from..)).map(|found| (found.start(), found.end()))),
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
            Engine::Sequence(_) if from > 0 => return Ok(false),
            Engine::Sequence(sequence) => {
                spans.0.resize(2 * sequence.groups(), None);
                let Some(end) = sequence.run(line, |slot, at| spans.set(slot, at)) else { return Ok(spans.none()) };
                spans.set(0, 0);
                spans.set(1, end);
            }
            Engine::Linear(regex) => {
                spans.0.resize(regex.group_info().slot_len(), None);
                if regex.search_slots(&Input::new(line).range(from..), &mut spans.0).is_none() {
                    return Ok(spans.none());
                }
            }
            Engine::Stepped(regex) => {
                let found = regex.captures_from_pos(line, from).map_err(|_| TooManySteps)?;
                let Some(groups) = found else { return Ok(false) };
                for group in (0..groups.len()).map(|n| groups.get(n)) {
                    spans.0.push(group.and_then(|group| NonMaxUsize::new(group.start())));
                    spans.0.push(group.and_then(|group| NonMaxUsize::new(group.end())));
                }
            }
        }
        Ok(true)
    }
}

/// Compiles it without look-around and back-references, if it has none and does not grow too large.
fn linear(text: &str, flavour: Flavour) -> Option<(Engine, Hir)> {
    let hir = syntax(text, flavour)?;
    if let Some(sequence) = Sequence::of(&hir) {
        return Some((Engine::Sequence(sequence), hir));
    }
    let config = meta::Config::new().utf8_empty(false).nfa_size_limit(Some(COMPILED_MAX)).hybrid_cache_capacity(CACHE_MAX);
    let regex = meta::Builder::new().configure(config).build_from_hir(&hir).ok()?;
    Some((Engine::Linear(regex), hir))
}

fn syntax(text: &str, flavour: Flavour) -> Option<Hir> {
    let Flavour { case_insensitive, multi_line } = flavour;
    ParserBuilder::new().utf8(false).unicode(false).case_insensitive(case_insensitive).multi_line(multi_line).build().parse(text).ok()
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.text).finish()
    }
}

impl Spans {
    fn set(&mut self, slot: usize, at: usize) {
        if let Some(place) = self.0.get_mut(slot) {
            *place = NonMaxUsize::new(at);
        }
    }

    /// Forgets what a match that failed has left.
    fn none(&mut self) -> bool {
        self.0.clear();
        false
    }

    /// How many groups there are, group 0 included, whether they took part in the match or not.
    pub fn len(&self) -> usize {
        self.0.len() / 2
    }

    /// Whether nothing has matched.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where group `group` matched.
    pub fn get(&self, group: usize) -> Option<(usize, usize)> {
        let place = |slot: usize| Some(self.0.get(slot).copied().flatten()?.get());
        Some((place(2 * group)?, place(2 * group + 1)?))
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
