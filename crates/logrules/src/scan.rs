//! Which of many patterns could match a line, found in one pass over it. Never misses one that does.

use crate::pattern::Pattern;
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};

/// Up to so many texts the automaton is a table with a step for each byte: twice as fast, and some megabytes at most.
const TABLE_MAX: usize = 500;

/// Looks for the texts that patterns cannot do without, all at once.
#[derive(Debug, Clone)]
pub struct Scan {
    automaton: Option<AhoCorasick>,
    /// The patterns that each of the automaton's texts speaks for.
    owners: Vec<Vec<u32>>,
    /// Patterns that have to look at every line.
    always: Vec<u32>,
    patterns: usize,
}

/// Which patterns could match: kept by the caller, so that no line costs an allocation.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    bits: Vec<u64>,
    touched: Vec<u32>,
}

impl Scan {
    /// Over these patterns; their numbers are their places.
    ///
    /// # Errors
    /// If there are more texts than the automaton can take (millions).
    pub fn new<'p>(patterns: impl IntoIterator<Item = &'p Pattern>) -> Result<Scan, String> {
        let (mut texts, mut always, mut count) = (std::collections::BTreeMap::<&[u8], Vec<u32>>::new(), Vec::new(), 0);
        for (number, pattern) in patterns.into_iter().enumerate() {
            let number = number as u32;
            count += 1;
            match pattern.literals() {
                Some(literals) => literals.iter().for_each(|text| texts.entry(text).or_default().push(number)),
                None => always.push(number),
            }
        }
        let owners = texts.values().cloned().collect();
        let mut builder = AhoCorasickBuilder::new();
        builder.ascii_case_insensitive(true).match_kind(MatchKind::Standard);
        if texts.len() <= TABLE_MAX {
            builder.kind(Some(AhoCorasickKind::DFA));
        }
        let automaton = (!texts.is_empty()).then(|| builder.build(texts.keys())).transpose().map_err(|error| error.to_string())?;
        Ok(Scan { automaton, owners, always, patterns: count })
    }

    /// Patterns that have to look at every line.
    pub fn always(&self) -> &[u32] {
        &self.always
    }

    /// Finds out which patterns could match this line.
    pub fn look(&self, line: &[u8], found: &mut Candidates) {
        found.clear(self.patterns);
        self.always.iter().for_each(|&number| found.insert(number));
        if let Some(automaton) = &self.automaton {
            for text in automaton.find_overlapping_iter(line) {
                let owners = self.owners.get(text.pattern().as_usize()).map(Vec::as_slice).unwrap_or_default();
                owners.iter().for_each(|&number| found.insert(number));
            }
        }
    }
}

impl Candidates {
    fn clear(&mut self, patterns: usize) {
        for &number in &self.touched {
            if let Some(word) = self.bits.get_mut(number as usize / 64) {
                *word = 0;
            }
        }
        self.touched.clear();
        self.bits.resize(patterns.div_ceil(64), 0);
    }

    fn insert(&mut self, number: u32) {
        if let Some(word) = self.bits.get_mut(number as usize / 64)
            && *word & (1 << (number % 64)) == 0
        {
            *word |= 1 << (number % 64);
            self.touched.push(number);
        }
    }

    /// Whether this pattern could match.
    pub fn has(&self, number: u32) -> bool {
        self.bits.get(number as usize / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// All that could, in ascending order.
    pub fn sorted(&mut self) -> &[u32] {
        self.touched.sort_unstable();
        &self.touched
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Flavour;

    #[test]
    fn only_who_could_match_is_asked() {
        let flavour = Flavour { case_insensitive: true, multi_line: false };
        let patterns =
            ["^Failed password", "(?:abc|def)x", "\\d+", "failed (?!x)login", "word for"].map(|text| Pattern::new(text, flavour).unwrap());
        let scan = Scan::new(&patterns).unwrap();
        let mut found = Candidates::default();
        scan.look(b"FAILED PASSWORD for root", &mut found);
        assert_eq!(found.sorted(), [0, 2, 4], "overlapping texts are all found");
        scan.look(b"defx", &mut found);
        assert_eq!(found.sorted(), [1, 2]);
        assert!(found.has(1) && !found.has(0) && !found.has(99));
        scan.look(b"", &mut found);
        assert_eq!(found.sorted(), [2]);
        assert_eq!(scan.always(), [2]);
    }

    proptest::proptest! {
        /// Whatever the pattern and the line: who matches is among the candidates.
        #[test]
        fn nobody_who_matches_is_left_out(
            pattern in "(\\(\\?i\\))?[ab]{0,2}(cde|CDE|[cC]d|\\.|\\w)(\\?|\\+|\\*)?(\\(xyz\\|aBc\\))?[a-c]{1,4}(\\{1,3\\})?",
            line in "[abcABCdeDExyz ]{0,24}",
            case_insensitive: bool,
        ) {
            if let Ok(pattern) = Pattern::new(&pattern, Flavour { case_insensitive, multi_line: false }) {
                let scan = Scan::new([&pattern]).unwrap();
                let mut found = Candidates::default();
                scan.look(line.as_bytes(), &mut found);
                proptest::prop_assert!(found.has(0) || pattern.is_match(line.as_bytes(), 0) == Ok(false));
            }
        }
    }
}
