//! Takes values out of a rule file and says, with their places, what is wrong with them. Never knows what a key means.

use std::fmt;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One thing that is wrong with a rule file: `file:line:column: what`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file's name as it was given.
    pub file: String,
    /// Where in it, both counted from 1.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

impl std::error::Error for Problem {}

/// A value and the byte where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given<T> {
    pub(crate) at: usize,
    pub(crate) value: T,
}

/// One file being read.
#[derive(Debug)]
pub(crate) struct Reader<'f> {
    pub(crate) file: &'f str,
    pub(crate) text: &'f str,
    pub(crate) problems: Vec<Problem>,
}

/// The line and column of a byte, both from 1.
pub(crate) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at.min(text.len())).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// `; did you mean "x"?`, if something is near enough.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let best = known.into_iter().map(|known| (strsim::damerau_levenshtein(word, known), known)).min();
    match best {
        Some((distance, known)) if distance <= 1 + word.chars().count() / 3 => format!("; did you mean \"{known}\"?"),
        _ => String::new(),
    }
}

/// `10m`, `1h30m`.
pub(crate) fn period(text: &str) -> Option<Duration> {
    let (mut seconds, mut number) = (0_u64, None::<u64>);
    for c in text.chars() {
        match c.to_digit(10) {
            Some(digit) => number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(digit))?),
            None => {
                let unit = match c {
                    's' => 1,
                    'm' => 60,
                    'h' => 3_600,
                    'd' => 86_400,
                    'w' => 604_800,
                    _ => return None,
                };
                seconds = seconds.checked_add(number.take()?.checked_mul(unit)?)?;
            }
        }
    }
    (number.is_none() && (1..=3_650 * 86_400).contains(&seconds)).then(|| Duration::from_secs(seconds))
}

/// A period as it is typed.
pub(crate) fn shown(span: Duration) -> String {
    let seconds = span.as_secs();
    [(86_400, 'd'), (3_600, 'h'), (60, 'm')]
        .iter()
        .find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit))
        .map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}

impl<'f> Reader<'f> {
    /// Says what is wrong at a byte.
    pub(crate) fn say(&mut self, at: usize, message: impl Into<String>) {
        let (line, column) = position(self.text, at);
        self.problems.push(Problem { file: self.file.to_owned(), line, column, message: message.into() });
    }

    /// Refuses keys that there are not.
    pub(crate) fn only(&mut self, table: &DeTable<'_>, known: &[&str], place: &str) {
        for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let hint = nearest(key.get_ref(), known.iter().copied());
            self.say(key.span().start, format!("unknown key \"{}\" in {place}{hint}", key.get_ref()));
        }
    }

    fn value<T>(&mut self, table: &DeTable<'_>, key: &str, wanted: &str, take: impl FnOnce(&DeValue<'_>) -> Option<T>) -> Option<Given<T>> {
        let value = table.get(key)?;
        let taken = take(value.get_ref());
        if taken.is_none() {
            self.say(value.span().start, format!("{key}: {wanted} is wanted"));
        }
        taken.map(|taken| Given { at: value.span().start, value: taken })
    }

    pub(crate) fn text(&mut self, table: &DeTable<'_>, key: &str) -> Option<Given<String>> {
        self.value(table, key, "a text in quotes", |value| value.as_str().map(str::to_owned))
    }

    pub(crate) fn flag(&mut self, table: &DeTable<'_>, key: &str) -> Option<Given<bool>> {
        self.value(table, key, "true or false", |value| value.as_bool())
    }

    pub(crate) fn number(&mut self, table: &DeTable<'_>, key: &str, least: u32, most: u32) -> Option<Given<u32>> {
        self.value(table, key, &format!("a whole number from {least} to {most}"), |value| {
            let number = value.as_integer().and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok())?;
            (least..=most).contains(&number).then_some(number)
        })
    }

    pub(crate) fn period(&mut self, table: &DeTable<'_>, key: &str) -> Option<Given<Duration>> {
        self.value(table, key, "a length of time like \"90s\", \"10m\", \"1h30m\" or \"7d\"", |value| period(value.as_str()?))
    }

    /// One text, or several in a list.
    pub(crate) fn texts(&mut self, table: &DeTable<'_>, key: &str) -> Vec<Given<String>> {
        let Some(value) = table.get(key) else { return Vec::new() };
        self.strings(value, key)
    }

    pub(crate) fn strings(&mut self, value: &Spanned<DeValue<'_>>, key: &str) -> Vec<Given<String>> {
        let one = |value: &Spanned<DeValue<'_>>| Some(Given { at: value.span().start, value: value.get_ref().as_str()?.to_owned() });
        let all = match value.get_ref().as_array() {
            Some(list) => list.iter().map(one).collect(),
            None => one(value).map(|text| vec![text]),
        };
        all.unwrap_or_else(|| {
            self.say(value.span().start, format!("{key}: a text in quotes or a list of them is wanted"));
            Vec::new()
        })
    }

    /// A table, as what stands in it.
    pub(crate) fn table<'t, 'v>(&mut self, table: &'t DeTable<'v>, key: &str) -> Option<&'t DeTable<'v>> {
        let value = table.get(key)?;
        let inner = value.get_ref().as_table();
        if inner.is_none() {
            self.say(value.span().start, format!("{key}: a table {{ key = value }} is wanted"));
        }
        inner
    }

    /// A list of whatever.
    pub(crate) fn list<'t, 'v>(&mut self, table: &'t DeTable<'v>, key: &str) -> Vec<&'t Spanned<DeValue<'v>>> {
        let Some(value) = table.get(key) else { return Vec::new() };
        match value.get_ref().as_array() {
            Some(list) => list.iter().collect(),
            None => {
                self.say(value.span().start, format!("{key}: a list [ … ] is wanted"));
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_typed_and_shown_alike() {
        for text in ["90s", "10m", "25h", "7d"] {
            assert_eq!(shown(period(text).unwrap()), text);
        }
        assert_eq!(period("1h30m"), Some(Duration::from_secs(5_400)));
        for text in ["", "10", "m", "10x", "0s", "99999999999999999999d", "4000d"] {
            assert_eq!(period(text), None, "{text}");
        }
    }

    #[test]
    fn places_count_characters() {
        assert_eq!(position("a\nöb", 4), (2, 2));
        assert_eq!(position("", 9), (1, 1));
    }
}
