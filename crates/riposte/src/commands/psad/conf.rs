//! psad's `psad.conf` and the override files before it, read as psad reads them, with all that is wrong with them. Never guesses what a wrong
//! line meant.

use super::settings;
use crate::config::words::{nearest, quoted};
use std::collections::BTreeMap;

/// Rounds in which psad puts values in the place of `$NAME`.
const ROUNDS: usize = 20;
/// Bytes of a value, so that variables that hold each other twice don't grow without end.
const VALUE_BYTES: usize = 16_384;
/// What stands for nothing.
const NONE: &str = "NONE";

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// `FILE:LINE`.
    pub place: String,
    /// Where it stands among all that was read.
    pub order: usize,
    /// What stands before the semicolon; variables are filled in.
    pub text: String,
}

/// What psad's files say.
#[derive(Debug, Default)]
pub struct Conf {
    /// Settings read so far.
    count: usize,
    values: BTreeMap<String, Value>,
    /// What may stand there several times, in order: `FW_MSG_SEARCH`, `REPUTATION_FEED`.
    repeated: BTreeMap<&'static str, Vec<Value>>,
    /// What is wrong, in the files' order. Nothing of such a line is taken over.
    pub wrong: Vec<String>,
}

impl Conf {
    /// Reads one file. What an earlier one said stands: override files come first.
    pub fn read(&mut self, name: &str, text: &str) {
        let mut here: BTreeMap<String, usize> = BTreeMap::new();
        for (line, content) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            let content = content.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let place = format!("{name}:{line}");
            let parts = content.split_once(char::is_whitespace).and_then(|(key, rest)| Some((key, rest.split_once(';')?.0.trim())));
            let Some((key, value)) = parts else {
                self.wrong.push(format!("{place}: {} is no setting, and psad passes over it: write NAME VALUE;", quoted(content)));
                continue;
            };
            if !settings::is_known(key) {
                let near = nearest_name(key).map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
                self.wrong.push(format!("{place}: psad knows no {}{near}", quoted(key)));
                continue;
            }
            self.count += 1;
            let value = Value { place: place.clone(), order: self.count, text: value.to_owned() };
            if let Some(name) = settings::REPEATED.iter().find(|name| **name == key) {
                self.repeated.entry(name).or_default().push(value);
                continue;
            }
            if let Some(before) = here.insert(key.to_owned(), line) {
                self.wrong.push(format!("{place}: {key} stands there twice: line {before} counts"));
            }
            self.values.entry(key.to_owned()).or_insert(value);
        }
    }

    /// Puts values in the place of `$NAME`, as psad does: 20 rounds, and `$INSTALL_ROOT` of `/` is nothing. What can't be filled in is told and
    /// nobody's value.
    pub fn expand(&mut self) {
        for _ in 0..ROUNDS {
            let before = self.values.clone();
            let mut more = false;
            self.values.retain(|name, value| {
                let Some((start, inner)) = reference(&value.text).filter(|_| name != settings::RAW) else { return true };
                let filled = match before.get(inner) {
                    _ if inner == name.as_str() => Err("it holds itself".to_owned()),
                    None => Err(format!("there is no variable '${inner}'")),
                    Some(other) if inner == "INSTALL_ROOT" && other.text == "/" => Ok(""),
                    Some(other) if value.text.len() + other.text.len() > VALUE_BYTES => Err(format!("longer than {VALUE_BYTES} bytes")),
                    Some(other) => Ok(other.text.as_str()),
                };
                match filled {
                    Ok(filled) => {
                        value.text.replace_range(start..=start + inner.len(), filled);
                        more = true;
                        true
                    }
                    Err(why) => {
                        self.wrong.push(format!("{}: {name}: {why}, and psad does not start", value.place));
                        false
                    }
                }
            });
            if !more {
                return;
            }
        }
        self.values.retain(|name, value| {
            let is_whole = name == settings::RAW || reference(&value.text).is_none();
            if !is_whole {
                self.wrong.push(format!("{}: {name}: its variables hold each other, and psad does not start", value.place));
            }
            is_whole
        });
    }

    /// A variable's value.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// A variable's value, unless it stands for nothing.
    pub fn some(&self, key: &str) -> Option<&Value> {
        self.value(key).filter(|value| !value.text.is_empty() && value.text != NONE)
    }

    /// All values of one that may be repeated.
    pub fn all(&self, key: &str) -> &[Value] {
        self.repeated.get(key).map_or(&[], Vec::as_slice)
    }

    /// The variables that are there, in the order in which they stand.
    pub fn names(&self) -> Vec<&str> {
        let repeated = self.repeated.iter().filter_map(|(name, values)| Some((values.first()?.order, *name)));
        let mut names: Vec<(usize, &str)> = self.values.iter().map(|(name, value)| (value.order, name.as_str())).chain(repeated).collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name).collect()
    }

    /// Those whose names begin so.
    pub fn starting_with<'c>(&'c self, start: &'c str) -> impl Iterator<Item = (String, Value)> + 'c {
        self.values.iter().filter(move |(name, _)| name.starts_with(start)).map(|(name, value)| (name.clone(), value.clone()))
    }

    /// Where a variable stands, for a comment.
    pub fn place(&self, key: &str) -> Option<&str> {
        self.value(key).or_else(|| self.all(key).first()).map(|value| value.place.as_str())
    }

    /// A variable that is Y or N; `missing` if it is not there or is neither, which is told once.
    pub fn flag(&mut self, key: &str, missing: bool) -> bool {
        let Some(value) = self.values.get(key) else { return missing };
        match value.text.as_str() {
            "Y" | "YES" => true,
            "N" | "NO" => false,
            _ => {
                let place = value.place.clone();
                self.refuse(key, &format!("{place}: {key}: {} is neither Y nor N", quoted(&value.text)));
                missing
            }
        }
    }

    /// A variable that is a whole number within a range.
    pub fn number(&mut self, key: &str, range: std::ops::RangeInclusive<u64>, missing: u64) -> u64 {
        let Some(value) = self.values.get(key) else { return missing };
        let number = value.text.parse().ok().filter(|number| range.contains(number) && !value.text.starts_with('+'));
        if number.is_none() {
            let message = format!("{}: {key}: {} is no number from {} to {}", value.place, quoted(&value.text), range.start(), range.end());
            self.refuse(key, &message);
        }
        number.unwrap_or(missing)
    }

    /// Says that a value is wrong and forgets it.
    pub fn refuse(&mut self, key: &str, message: &str) {
        self.wrong.push(message.to_owned());
        self.values.remove(key);
    }
}

/// The first `$NAME` of a value: where it begins, and the name.
fn reference(text: &str) -> Option<(usize, &str)> {
    text.match_indices('$').find_map(|(at, _)| {
        let rest = &text[at + 1..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        (end > 0).then(|| (at, &rest[..end]))
    })
}

/// The variable that was most likely meant.
fn nearest_name(key: &str) -> Option<&'static str> {
    let all: Vec<(String, &'static str)> = settings::names().map(|name| (name.to_ascii_lowercase(), name)).collect();
    let near = nearest(key, all.iter().map(|(lower, _)| lower.as_str()))?;
    all.iter().find(|(lower, _)| lower == near).map(|(_, name)| *name)
}
