//! One regular expression over a line's bytes: in linear time if it can be, with a limit on its steps if it needs to look around.
//! Never runs away, whatever the line.

use crate::literals;
use crate::sequence::Sequence;
use fancy_regex::{BytesMode, RegexBuilder};
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Input, meta};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look};
use std::fmt;
use std::sync::OnceLock;

/// Steps that a pattern with look-around may take on one line. A line of 8 KiB takes fewer of any sensible one.
const STEPS_MAX: usize = 200_000;
/// Bytes that one compiled pattern may take.
const COMPILED_MAX: usize = 16 << 20;
/// Patterns of no more states than this need less than that for certain.
const SMALL: usize = 10_000;
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
    /// Its groups' names, group 0 first.
    names: Vec<Option<Box<str>>>,
    literals: Option<Vec<Vec<u8>>>,
    anchored: bool,
}

#[derive(Clone)]
enum Engine {
    Sequence(Sequence),
    /// Made when the first line asks for it: most patterns never see one that begins as they do.
    Linear(OnceLock<Option<meta::Regex>>),
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
        if let Some((engine, hir)) = linear(text, flavour) {
            let mut names = vec![None];
            name_groups(&hir, &mut names);
            let anchored = hir.properties().look_set_prefix().contains(Look::Start);
            return Ok(Pattern { text: text.to_owned(), flavour, engine, names, literals: literals::of_linear(&hir), anchored });
        }
        let stepped = RegexBuilder::new(text)
            .bytes_mode(BytesMode::Ascii)
            .unicode_mode(false)
            .case_insensitive(flavour.case_insensitive)
            .multi_line(flavour.multi_line)
            .backtrack_limit(STEPS_MAX)
            .delegate_size_limit(COMPILED_MAX)
            .build()
            .map_err(|error| error.to_string())?;
        let names = stepped.capture_names().map(|name| name.map(Box::from)).collect();
        let engine = Engine::Stepped(Box::new(stepped));
        Ok(Pattern { text: text.to_owned(), flavour, engine, names, literals: literals::of_stepped(text), anchored: false })
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
        self.names.iter().map(Option::as_deref).collect()
    }

    /// What searches, if it is neither a sequence nor needs steps.
    fn automaton<'p>(&'p self, made: &'p OnceLock<Option<meta::Regex>>) -> Option<&'p meta::Regex> {
        made.get_or_init(|| compile(&self.syntax()?)).as_ref()
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
            Engine::Linear(made) => Ok(self.automaton(made).is_some_and(|regex| regex.is_match(Input::new(line).range(from..)))),
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
            Engine::Linear(made) => {
                let found = self.automaton(made).and_then(|regex| regex.find(Input::new(line).range(from..)));
                Ok(found.map(|found| (found.start(), found.end())))
            }
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
                spans.0.resize(2 * self.names.len(), None);
                let Some(end) = sequence.run(line, |slot, at| spans.set(slot, at)) else { return Ok(spans.none()) };
                spans.set(0, 0);
                spans.set(1, end);
            }
            Engine::Linear(made) => {
                spans.0.resize(2 * self.names.len(), None);
                let search = |regex: &meta::Regex| regex.search_slots(&Input::new(line).range(from..), &mut spans.0);
                if self.automaton(made).and_then(search).is_none() {
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
    let made = OnceLock::new();
    if states(&hir) > SMALL {
        _ = made.set(Some(compile(&hir)?));
    }
    Some((Engine::Linear(made), hir))
}

fn compile(hir: &Hir) -> Option<meta::Regex> {
    let config = meta::Config::new().utf8_empty(false).nfa_size_limit(Some(COMPILED_MAX)).hybrid_cache_capacity(CACHE_MAX);
    meta::Builder::new().configure(config).build_from_hir(hir).ok()
}

/// How many states it has at most, roughly.
fn states(hir: &Hir) -> usize {
    let sum = |parts: &[Hir]| parts.iter().map(states).fold(1, usize::saturating_add);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(text) => text.0.len(),
        HirKind::Class(Class::Bytes(class)) => class.ranges().len(),
        HirKind::Class(Class::Unicode(_)) => SMALL,
        HirKind::Repetition(repeated) => {
            let times = repeated.max.unwrap_or(repeated.min.saturating_add(1)) as usize;
            states(&repeated.sub).saturating_add(1).saturating_mul(times)
        }
        HirKind::Capture(group) => states(&group.sub).saturating_add(2),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => sum(parts),
    }
}

/// Collects the groups' names, each at its number.
fn name_groups(hir: &Hir, names: &mut Vec<Option<Box<str>>>) {
    if let HirKind::Capture(group) = hir.kind() {
        let place = group.index as usize;
        if place >= names.len() {
            names.resize(place + 1, None);
        }
        if let Some(name) = names.get_mut(place) {
            name.clone_from(&group.name);
        }
    }
    hir.kind().subs().iter().for_each(|sub| name_groups(sub, names));
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
    fn groups_keep_their_numbers() {
        assert_eq!(pattern("(?P<a>x)(y)|(?P<b>z(?P<c>.))?").names(), [None, Some("a"), None, Some("b"), Some("c")]);
        let gap = pattern("(a){0}(?P<b>b)+.");
        let mut spans = Spans::default();
        assert_eq!(gap.captures(b"xbby", 0, &mut spans), Ok(true));
        assert_eq!((gap.names(), spans.len(), spans.get(1), spans.get(2)), (vec![None, None, Some("b")], 3, None, Some((2, 3))));
    }

    #[test]
    fn what_grows_too_large_is_refused_when_it_is_read() {
        assert!(Pattern::new("x(?:(?:a{1,99}b){1,99}c){1,99}.*", Flavour::default()).is_err());
    }

    #[test]
    fn an_error_says_what_is_wrong() {
        assert!(Pattern::new("a(b", Flavour::default()).unwrap_err().contains("paren"), "{:?}", Pattern::new("a(b", Flavour::default()));
    }
}
