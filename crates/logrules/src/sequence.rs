//! Patterns that are texts and runs of one class each, where every run ends by itself: `^Invalid user [^ ]* from [0-9.]+ port [0-9]+$`. There is
//! only one way to match them, so they are matched by hand, several times faster than by an automaton. Takes no pattern that could match in two ways.

use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// Longer ones are left to the automata.
const STEPS_MAX: usize = 256;

/// A compiled pattern of this kind. It begins with `^`.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    /// Exactly this.
    Text(Box<[u8]>),
    /// As many bytes of this set as there are, but no more than `most`; fewer than `least` are no match.
    Run { set: Set, least: usize, most: usize },
    /// A group begins or ends here: its place among the slots.
    Slot(usize),
    /// Nothing may follow.
    End,
}

/// A set of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Set([u64; 4]);

impl Set {
    /// What one byte may be.
    fn of(hir: &Hir) -> Option<Set> {
        let mut set = Set([0; 4]);
        let mut add = |byte: u8| set.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
        match hir.kind() {
            HirKind::Class(Class::Bytes(class)) => class.iter().flat_map(|range| range.start()..=range.end()).for_each(add),
            HirKind::Literal(literal) => match *literal.0 {
                [byte] => add(byte),
                _ => return None,
            },
            _ => return None,
        }
        Some(set)
    }

    const fn has(&self, byte: u8) -> bool {
        self.0[(byte >> 6) as usize] >> (byte & 63) & 1 == 1
    }

    fn meets(&self, other: &Set) -> bool {
        self.0.iter().zip(other.0).any(|(one, other)| one & other != 0)
    }
}

impl Sequence {
    /// The pattern, if it is one of this kind.
    pub(crate) fn of(hir: &Hir) -> Option<Sequence> {
        let HirKind::Concat(parts) = hir.kind() else { return None };
        let (first, rest) = parts.split_first()?;
        let mut sequence = Sequence { steps: Vec::new() };
        if !matches!(first.kind(), HirKind::Look(Look::Start)) {
            return None;
        }
        rest.iter().try_for_each(|part| sequence.push(part))?;
        sequence.has_one_way().then_some(sequence)
    }

    fn push(&mut self, hir: &Hir) -> Option<()> {
        let step = match hir.kind() {
            HirKind::Empty => return Some(()),
            HirKind::Literal(literal) => Step::Text(literal.0.clone()),
            HirKind::Class(_) => Step::Run { set: Set::of(hir)?, least: 1, most: 1 },
            HirKind::Look(Look::End) => Step::End,
            HirKind::Look(_) | HirKind::Alternation(_) => return None,
            HirKind::Repetition(repeated) => {
                let (least, most) = (repeated.min as usize, repeated.max.map_or(usize::MAX, |most| most as usize));
                match Set::of(&repeated.sub) {
                    Some(set) if repeated.greedy => Step::Run { set, least, most },
                    _ if least == most => return (0..least).try_for_each(|_| self.push(&repeated.sub)),
                    _ => return None,
                }
            }
            HirKind::Capture(group) => {
                let place = group.index as usize;
                self.steps.push(Step::Slot(2 * place));
                self.push(&group.sub)?;
                Step::Slot(2 * place + 1)
            }
            HirKind::Concat(parts) => return parts.iter().try_for_each(|part| self.push(part)),
        };
        self.steps.push(step);
        (self.steps.len() <= STEPS_MAX).then_some(())
    }

    /// Whether each run ends where it must: what follows it cannot be of the run itself.
    fn has_one_way(&self) -> bool {
        let mut steps = self.steps.iter().filter(|step| !matches!(step, Step::Slot(_))).peekable();
        while let Some(step) = steps.next() {
            let next = steps.peek();
            let ends = match (step, next) {
                (Step::End, next) => next.is_none(),
                (Step::Text(_), _) | (Step::Run { .. }, None | Some(Step::End)) => true,
                (Step::Run { least, most, .. }, _) if least == most => true,
                (Step::Run { set, .. }, Some(Step::Text(text))) => text.first().is_some_and(|byte| !set.has(*byte)),
                (Step::Run { set, .. }, Some(Step::Run { set: other, least, .. })) => *least > 0 && !set.meets(other),
                (Step::Slot(_), _) | (_, Some(Step::Slot(_))) => false,
            };
            if !ends {
                return false;
            }
        }
        true
    }

    /// Where the match ends that begins at the text's first byte; `slot` is told where each group begins (twice its number) and ends (one more).
    #[inline]
    pub(crate) fn run(&self, text: &[u8], mut slot: impl FnMut(usize, usize)) -> Option<usize> {
        let mut rest = text;
        for step in &self.steps {
            match step {
                Step::Text(expected) => rest = rest.strip_prefix(&**expected)?,
                Step::Run { set, least, most } => {
                    let length = rest.iter().take(*most).take_while(|byte| set.has(**byte)).count();
                    rest = rest.get(length..).filter(|_| length >= *least)?;
                }
                Step::Slot(place) => slot(*place, text.len() - rest.len()),
                Step::End if rest.is_empty() => {}
                Step::End => return None,
            }
        }
        Some(text.len() - rest.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex_automata::meta;

    fn hir(pattern: &str) -> Hir {
        regex_syntax::ParserBuilder::new().utf8(false).unicode(false).build().parse(pattern).unwrap()
    }

    #[test]
    fn only_what_matches_in_one_way_is_taken() {
        for pattern in ["^a [^ ]* b$", "^(?P<x>[0-9]+)\\.(?P<y>[0-9]{1,3})$", "^(?:[0-9]{1,3}\\.){3}[0-9]{1,3}", "^[ab]+[cd]+$", "^\\Sx?$"]
        {
            assert!(Sequence::of(&hir(pattern)).is_some(), "{pattern}");
        }
        for pattern in ["a b", "^a|b", "^.* b$", "^[ab]*[bc]+$", "^[ab]*[cd]*[ab]$", "^[ab]+?$", "^(?:ab)?c", "^a$b", "(?m)^a", "^\\ba"] {
            assert!(Sequence::of(&hir(pattern)).is_none(), "{pattern}");
        }
    }

    proptest! {
        /// Whatever pattern is taken: it matches what the automata match, and its groups are where theirs are.
        #[test]
        fn it_matches_as_the_automata_do(
            pattern in "\\^(a|b|ab|\\(a[bc]\\)|[ab]|[bc][*+?]|\\[\\^a\\][*+]|\\(\\[ab\\]\\{1,2\\}\\)|\\(\\[bc\\][*+]\\)c|\\(\\?:\\(\\[ab\\]\\)c\\)\\{2\\}){0,6}\\$?",
            line in "[abc\n]{0,10}",
        ) {
            let hir = hir(&pattern);
            if let Some(sequence) = Sequence::of(&hir) {
                let automaton = meta::Builder::new().configure(meta::Config::new().utf8_empty(false)).build_from_hir(&hir).unwrap();
                let mut groups = automaton.create_captures();
                automaton.captures(line.as_bytes(), &mut groups);
                let mut slots = vec![None; groups.group_info().slot_len()];
                let end = sequence.run(line.as_bytes(), |slot, at| slots[slot] = Some(at));
                prop_assert_eq!(end, groups.get_match().map(|found| found.end()), "{}", pattern);
                let spans: Vec<_> = slots.chunks(2).map(|pair| Some((pair[0]?, pair[1]?))).skip(1).collect();
                let theirs: Vec<_> = groups.iter().skip(1).map(|group| group.map(|group| (group.start, group.end))).collect();
                prop_assert!(end.is_none() || spans == theirs, "{}: {:?} {:?}", pattern, spans, theirs);
            }
        }
    }
}
