//! `[sense.lines]`: which packets of firewall logs count.

use super::raw::{Given, GivenList, RawLines};
use super::read::Meaning;
use super::words::quoted;
use sense::firewall::Wanted;

/// Texts of a list, and bytes of one.
const TEXTS_MAX: usize = 64;
const TEXT_BYTES: usize = 128;

impl Meaning<'_> {
    pub(super) fn lines(&mut self, raw: RawLines) -> Wanted {
        Wanted { only: self.texts(raw.only), ignore: self.texts(raw.ignore), ignore_interfaces: self.texts(raw.ignore_interfaces) }
    }

    /// Plain texts that something is compared with.
    fn texts(&mut self, given: Option<GivenList<String>>) -> Vec<String> {
        let Some(given) = given else { return Vec::new() };
        let texts: Vec<Given<String>> = self.few(given, TEXTS_MAX).collect();
        for entry in &texts {
            if entry.value.is_empty() || entry.value.len() > TEXT_BYTES || entry.value.chars().any(char::is_control) {
                self.wrong(entry, format!("{} must have 1 to {TEXT_BYTES} bytes and no control characters", quoted(&entry.value)));
            }
        }
        texts.into_iter().map(|entry| entry.value).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn lines_are_wanted_by_texts_and_interfaces() {
        let lines = Config::parse("[sense.lines]\nonly = ['DROP']\nignore_interfaces = ['eth1']", "x").unwrap().lines;
        assert_eq!((&lines.only[..], &lines.ignore_interfaces[..]), (&["DROP".to_owned()][..], &["eth1".to_owned()][..]));
        let wrong = |text: &str| Config::parse(text, "x").unwrap_err()[0].message.clone();
        assert_eq!(wrong("[sense.lines]\nonyl = []"), "unknown key 'onyl' in [sense.lines]; did you mean 'only'?");
        assert_eq!(wrong("[sense.lines]\nignore = ['']"), "[sense.lines] ignore: '' must have 1 to 128 bytes and no control characters");
    }
}
