//! Which texts a pattern cannot do without: at least one of them is in whatever it matches. Never leaves out a possible match: where it
//! can't tell, it says so, and the pattern has to look at every line.

use fancy_regex::Expr;
use regex_syntax::hir::{Class, Hir, HirKind};

/// More alternatives than this are no help.
const ALTERNATIVES_MAX: usize = 64;
/// Shorter ones are in nearly every line.
const LENGTH_MIN: usize = 3;
/// Longer ones only cost.
const LENGTH_MAX: usize = 32;

/// In lower case; what a pattern cannot do without at one place, or nothing if anything may stand there.
#[derive(Debug, Clone)]
enum Need {
    /// Exactly this text.
    Exact(Vec<u8>),
    /// One of these, somewhere.
    OneOf(Vec<Vec<u8>>),
    /// Who knows.
    Unknown,
}

/// Of a linear pattern. `None` if there is nothing that it always needs.
pub(crate) fn of_linear(pattern: &Hir) -> Option<Vec<Vec<u8>>> {
    useful(of_hir(pattern))
}

/// Of a pattern in `fancy-regex`' syntax.
pub(crate) fn of_stepped(pattern: &str) -> Option<Vec<Vec<u8>>> {
    useful(of_expr(&Expr::parse_tree(pattern).ok()?.expr))
}

fn useful(need: Need) -> Option<Vec<Vec<u8>>> {
    let mut texts = match need {
        Need::Exact(text) => vec![text],
        Need::OneOf(texts) => texts,
        Need::Unknown => return None,
    };
    if texts.is_empty() || texts.iter().any(|text| text.len() < LENGTH_MIN) {
        return None;
    }
    texts.iter_mut().for_each(|text| text.truncate(LENGTH_MAX));
    texts.sort();
    texts.dedup();
    Some(texts)
}

fn of_hir(hir: &Hir) -> Need {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Need::Exact(Vec::new()),
        HirKind::Literal(literal) => Need::Exact(literal.0.to_ascii_lowercase()),
        HirKind::Class(class) => one_letter(class).map_or(Need::Unknown, |letter| Need::Exact(vec![letter])),
        HirKind::Repetition(repetition) => repeated(of_hir(&repetition.sub), repetition.min, repetition.max),
        HirKind::Capture(capture) => of_hir(&capture.sub),
        HirKind::Concat(parts) => in_a_row(parts.iter().map(of_hir)),
        HirKind::Alternation(parts) => either(parts.iter().map(of_hir)),
    }
}

/// A class that is one ASCII letter in either case.
fn one_letter(class: &Class) -> Option<u8> {
    let Class::Bytes(bytes) = class else { return None };
    let mut letters = bytes.iter().flat_map(|range| range.start()..=range.end());
    let (first, rest) = (letters.next()?.to_ascii_lowercase(), letters.next());
    (rest.is_none_or(|letter| letter.to_ascii_lowercase() == first) && letters.next().is_none()).then_some(first)
}

fn of_expr(expr: &Expr) -> Need {
    match expr {
        Expr::Empty | Expr::Assertion(_) | Expr::LookAround(..) | Expr::KeepOut => Need::Exact(Vec::new()),
        Expr::Literal { val, .. } if val.is_ascii() => Need::Exact(val.to_ascii_lowercase().into_bytes()),
        Expr::Concat(parts) => in_a_row(parts.iter().map(of_expr)),
        Expr::Alt(parts) => either(parts.iter().map(of_expr)),
        Expr::Group(sub) => of_expr(sub),
        Expr::AtomicGroup(sub) => of_expr(sub),
        Expr::Repeat { child, lo, hi, .. } => {
            let bound = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            repeated(of_expr(child), bound(*lo), (*hi != usize::MAX).then(|| bound(*hi)))
        }
        // Classes, back-references, conditions and what else there may be.
        _ => Need::Unknown,
    }
}

fn repeated(need: Need, min: u32, max: Option<u32>) -> Need {
    match need {
        _ if min == 0 => Need::Unknown,
        need if min == 1 && max == Some(1) => need,
        // It may go on differently.
        Need::Exact(text) if !text.is_empty() => Need::OneOf(vec![text]),
        Need::Exact(text) => Need::Exact(text),
        need => need,
    }
}

/// The best of what stands in a row: what is exact runs together.
fn in_a_row(parts: impl Iterator<Item = Need>) -> Need {
    let (mut best, mut run, mut exact) = (Vec::new(), Vec::new(), true);
    for part in parts {
        match part {
            Need::Exact(text) => run.extend(text),
            part => {
                exact = false;
                best = better(best, vec![std::mem::take(&mut run)]);
                if let Need::OneOf(texts) = part {
                    best = better(best, texts);
                }
            }
        }
    }
    if exact {
        return Need::Exact(run);
    }
    best = better(best, vec![run]);
    if best.is_empty() { Need::Unknown } else { Need::OneOf(best) }
}

/// The one whose shortest text is longer; of those the one with fewer.
fn better(one: Vec<Vec<u8>>, other: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let rank = |texts: &[Vec<u8>]| {
        let shortest = texts.iter().map(Vec::len).min().unwrap_or(0).min(LENGTH_MAX);
        // Short texts are everywhere: one more letter is worth more than fewer alternatives, but only at first.
        (shortest.min(6), std::cmp::Reverse(texts.len()), shortest)
    };
    if rank(&other) > rank(&one) { other } else { one }
}

fn either(parts: impl Iterator<Item = Need>) -> Need {
    let mut texts = Vec::new();
    for part in parts {
        match part {
            Need::Exact(text) => texts.push(text),
            Need::OneOf(more) => texts.extend(more),
            Need::Unknown => return Need::Unknown,
        }
    }
    if texts.len() > ALTERNATIVES_MAX || texts.iter().any(Vec::is_empty) { Need::Unknown } else { Need::OneOf(texts) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linear(pattern: &str) -> Vec<String> {
        let pattern = regex_syntax::ParserBuilder::new().utf8(false).unicode(false).build().parse(pattern).unwrap();
        of_linear(&pattern).unwrap_or_default().into_iter().map(|text| String::from_utf8(text).unwrap()).collect()
    }

    #[test]
    fn the_longest_text_that_must_be_there_is_found() {
        assert_eq!(linear("^Failed password for .* from"), ["failed password for "]);
        assert_eq!(linear("(?i)Accepted"), ["accepted"]);
        assert_eq!(linear("user (?:unknown|not found)"), ["not found", "unknown"]);
        assert_eq!(linear("x(?:abcd)+y"), ["abcd"]);
        assert_eq!(linear("^(?P<user>\\S+) logged in"), [" logged in"]);
    }

    #[test]
    fn what_may_be_absent_is_not_asked_for() {
        assert!(linear("(?:abcdef)?.*").is_empty());
        assert!(linear("abcd|.*").is_empty());
        assert!(linear("\\d+").is_empty());
        assert!(linear("ab").is_empty(), "too short to be of use");
        assert!(linear("(?:abcdef)*xyz|").is_empty());
    }

    #[test]
    fn look_around_is_passed_over() {
        let stepped = |pattern| of_stepped(pattern).unwrap_or_default();
        assert_eq!(stepped("(?!root)user (?=x)\\w+ failed"), [b" failed".to_vec()]);
        assert_eq!(stepped("(?<!a)(?:from|by) host"), [b" host".to_vec()]);
        assert!(stepped("(\\w+) \\1").is_empty());
    }
}
