//! A source's system or scanner, as its packets' headers give it away. A guess: whoever writes his own packets writes any system's.

use crate::escape;
use model::event::{Guessed, Maker};
use model::net::Hops;
use serde::{Deserialize, Serialize};

/// Characters of a name that people are shown.
const NAME_CHARS: usize = 80;

/// One guess.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemLine {
    /// Such as `Windows 10 or newer`, `nmap -sS`.
    pub name: String,
    /// `scanner` (which says nothing of the system below it), `system` or `perhaps` (a system).
    pub kind: String,
    /// How many routers away it seems to be; not told of a scanner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hops: Option<u8>,
}

impl SystemLine {
    /// A guess with its name.
    pub fn new(guessed: &Guessed, name: &str) -> SystemLine {
        SystemLine { name: name.to_owned(), kind: guessed.kind.word().to_owned(), hops: guessed.hops.map(|hops| hops.0) }
    }

    /// For people: `perhaps Linux, 7 hops away`, `nmap -sS (a scanner's own packets)`.
    pub fn text(&self) -> String {
        let name = escape::text(&self.name, NAME_CHARS);
        if self.kind == Maker::Scanner.word() {
            return format!("{name} (a scanner's own packets)");
        }
        let perhaps = if self.kind == Maker::PerhapsSystem.word() { "perhaps " } else { "" };
        let hops = self.hops.map_or_else(String::new, |hops| format!(", {}", Hops(hops)));
        format!("{perhaps}{name}{hops}")
    }
}

/// Several in one line.
pub fn joined(systems: &[SystemLine]) -> String {
    systems.iter().map(SystemLine::text).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_words() {
        let line = |kind, hops| SystemLine { name: "X\n1".into(), kind, hops }.text();
        assert_eq!(line("scanner".into(), None), "X\\u{a}1 (a scanner's own packets)");
        assert_eq!(line("system".into(), Some(1)), "X\\u{a}1, 1 hop away");
        assert_eq!(line("perhaps".into(), Some(7)), "perhaps X\\u{a}1, 7 hops away");
        assert_eq!(Maker::ALL.map(Maker::word), ["scanner", "system", "perhaps"]);
    }
}
