//! Which of many patterns that begin with `^` could match a line, by how it begins: the reading ends where nobody is left who could. Never misses
//! one that does.

use crate::pattern::Pattern;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::{Hir, HirKind};

/// A text of this length tells patterns apart.
const LENGTH_MIN: usize = 3;
/// So much of their texts is enough: who begins with the same is asked himself.
const LENGTH_MAX: usize = 24;
/// Bytes that the automaton may take; it is made anew when they are full, and gives up if that happens too often.
const CACHE_MAX: usize = 1 << 20;
/// How often it is made anew before it is asked what for.
const CLEARED_MAX: usize = 3;
/// So many bytes must be read for each of its states then.
const BYTES_PER_STATE: usize = 10;

/// One automaton over the beginnings of patterns, made as lines come.
#[derive(Debug)]
pub(crate) struct Starts {
    /// If there can be none, or it gives up, every pattern has to look.
    automaton: Option<(DFA, Cache)>,
    patterns: usize,
}

impl Starts {
    /// Over these patterns; their numbers are their places.
    pub(crate) fn new<'p>(patterns: impl IntoIterator<Item = &'p Pattern>) -> Starts {
        let starts: Vec<Option<Hir>> = patterns.into_iter().map(|pattern| Some(start(&pattern.syntax()?))).collect();
        let patterns = starts.len();
        let automaton = starts.into_iter().collect::<Option<Vec<Hir>>>().and_then(|starts| automaton(&starts));
        Starts { automaton, patterns }
    }

    /// Finds out which patterns could match this line, in ascending order.
    pub(crate) fn look(&mut self, line: &[u8], found: &mut Vec<u32>) {
        found.clear();
        if self.search(line, found).is_none() {
            found.clear();
            found.extend(0..self.patterns as u32);
        }
    }

    /// `None` if it can't tell.
    fn search(&mut self, line: &[u8], found: &mut Vec<u32>) -> Option<()> {
        let (automaton, cache) = self.automaton.as_mut()?;
        let mut state = automaton.start_state_forward(cache, &Input::new(line).anchored(Anchored::Yes)).ok()?;
        for &byte in line {
            state = automaton.next_state(cache, state, byte).ok()?;
            if state.is_tagged() {
                if state.is_dead() {
                    break;
                }
                if state.is_quit() {
                    return None;
                }
                matches(automaton, cache, state, found);
            }
        }
        state = automaton.next_eoi_state(cache, state).ok()?;
        matches(automaton, cache, state, found);
        found.sort_unstable();
        found.dedup();
        Some(())
    }
}

/// Whose beginning ends here.
fn matches(automaton: &DFA, cache: &Cache, state: LazyStateID, found: &mut Vec<u32>) {
    if state.is_match() {
        found.extend((0..automaton.match_len(cache, state)).map(|n| automaton.match_pattern(cache, state, n).as_u32()));
    }
}

fn automaton(starts: &[Hir]) -> Option<(DFA, Cache)> {
    let config = thompson::Config::new().utf8(false).which_captures(WhichCaptures::None);
    let nfa = thompson::Compiler::new().configure(config).build_many_from_hir(starts).ok()?;
    let config = DFA::config()
        .match_kind(MatchKind::All)
        .cache_capacity(CACHE_MAX)
        .skip_cache_capacity_check(true)
        .minimum_cache_clear_count(Some(CLEARED_MAX))
        .minimum_bytes_per_state(Some(BYTES_PER_STATE));
    let automaton = DFA::builder().configure(config).build_from_nfa(nfa).ok()?;
    let cache = automaton.create_cache();
    Some((automaton, cache))
}

/// What every match begins with: up to the first part of any length that follows a text, or up to so much text.
fn start(hir: &Hir) -> Hir {
    let HirKind::Concat(parts) = hir.kind() else { return hir.clone() };
    let (mut kept, mut length) = (Vec::new(), 0);
    for part in parts {
        match part.kind() {
            HirKind::Literal(text) => {
                let text = text.0.get(..LENGTH_MAX - length).unwrap_or(&text.0);
                kept.push(Hir::literal(text));
                length += text.len();
            }
            _ if length >= LENGTH_MIN && part.properties().maximum_len().is_none() => break,
            _ => kept.push(part.clone()),
        }
        if length >= LENGTH_MAX {
            break;
        }
    }
    Hir::concat(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Flavour;
    use proptest::prelude::*;

    fn look(patterns: &[&str], lines: &[&[u8]]) -> Vec<Vec<u32>> {
        let patterns: Vec<Pattern> = patterns.iter().map(|text| Pattern::new(text, Flavour::default()).unwrap()).collect();
        let (mut starts, mut found) = (Starts::new(&patterns), Vec::new());
        let look = |line: &&[u8]| {
            starts.look(line, &mut found);
            found.clone()
        };
        lines.iter().map(look).collect()
    }

    #[test]
    fn who_begins_otherwise_is_not_asked() {
        let patterns = ["^Failed password for .* x$", "^(?:error: )?Failed (?:none|key) for", "^\\S+: Failed by \\d+$", "^.*key", "^Fail"];
        let lines: [&[u8]; 5] = [b"Failed password for y", b"error: Failed none for", b"Failed x", b"Failed key for", b""];
        assert_eq!(look(&patterns, &lines), [vec![0, 4], vec![1], vec![4], vec![1, 3, 4], vec![]]);
        assert!(look(&[], &[b"x"])[0].is_empty());
    }

    #[test]
    fn an_automaton_that_grows_without_end_gives_up() {
        let patterns = ["^(?:a|b)*a(?:a|b){19}cde"; 40];
        let mut seed = 1_u64;
        let line: Vec<u8> = (0..200_000)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                b'a' + (seed >> 63) as u8
            })
            .collect();
        assert_eq!(look(&patterns, &[&line])[0].len(), 40, "all are asked, though none could match");
    }

    proptest! {
        /// Whatever the pattern and the line: who matches is found.
        #[test]
        fn nobody_who_matches_is_left_out(
            patterns in prop::collection::vec("\\^(\\(\\?:abc\\|ab\\)|[ab]{1,3}|abcd|\\.\\*|\\[ab\\]\\{1,3\\}|\\(a\\|\\)){0,5}\\$?", 1..4),
            line in "[abcd]{0,16}",
        ) {
            let patterns: Vec<Pattern> = patterns.iter().map(|text| Pattern::new(text, Flavour::default()).unwrap()).collect();
            let mut found = Vec::new();
            Starts::new(&patterns).look(line.as_bytes(), &mut found);
            for (number, pattern) in patterns.iter().enumerate() {
                prop_assert!(found.contains(&(number as u32)) || pattern.is_match(line.as_bytes(), 0) == Ok(false), "{:?}", pattern);
            }
        }
    }
}
