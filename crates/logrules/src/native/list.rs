//! A list that a rule asks: words, addresses and prefixes, one a line; or the text that a CDB is made of (`key:value`).

use super::classes;
use model::net::Prefix;
use std::collections::HashSet;

/// Entries of one list. What is beyond is refused when it is loaded.
const ENTRIES_MAX: usize = 1_000_000;

/// A list.
#[derive(Debug, Clone, Default)]
pub(crate) struct List {
    words: HashSet<Box<[u8]>>,
    prefixes: Vec<Prefix>,
}

impl List {
    /// Adds one entry.
    pub(crate) fn add(&mut self, entry: &str) {
        match entry.parse::<Prefix>() {
            Ok(prefix) if !prefix.is_host() => self.prefixes.push(prefix),
            Ok(prefix) => drop(self.words.insert(prefix.addr().to_string().into_bytes().into())),
            Err(_) => drop(self.words.insert(entry.as_bytes().into())),
        }
    }

    /// Reads a file: one entry a line, `#` begins a comment, `key:value` counts as its key.
    ///
    /// # Errors
    /// If it is too long.
    pub(crate) fn of_text(text: &str) -> Result<List, String> {
        let mut list = List::default();
        for line in text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim()) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if list.words.len() + list.prefixes.len() >= ENTRIES_MAX {
                return Err(format!("the list has more than {ENTRIES_MAX} entries"));
            }
            let whole = line.parse::<Prefix>().is_ok();
            let key = if whole { line } else { line.split_once(':').map_or(line, |(key, _)| key) };
            list.add(key.trim_matches('"'));
        }
        Ok(list)
    }

    /// Whether it is on the list.
    pub(crate) fn has(&self, text: &[u8]) -> bool {
        if self.words.contains(text) {
            return true;
        }
        let Some(address) = classes::parse(text) else { return false };
        self.prefixes.iter().any(|prefix| prefix.contains(address)) || self.words.contains(address.to_string().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_addresses_and_keys() {
        let list = List::of_text("# people\nroot\nadmin:x y\n192.0.2.0/24\n2001:db8::1\n198.51.100.7:why\n\n\"quoted\":1\n").unwrap();
        for text in ["root", "admin", "192.0.2.9", "2001:db8::1", "2001:0db8::1", "198.51.100.7", "::ffff:192.0.2.9", "quoted"] {
            assert!(list.has(text.as_bytes()), "{text}");
        }
        for text in ["", "x y", "people", "192.0.3.1", "2001:db8::2", "Root", "why"] {
            assert!(!list.has(text.as_bytes()), "{text}");
        }
    }
}
