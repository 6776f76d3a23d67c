//! One line of a log, and what is known of where it came from. Never what it means.

use model::time::Time;

/// One line.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Its text, without the line's end; of a journal entry the message alone.
    pub text: &'a [u8],
    /// When it was read, or when it was written if its source knows that for certain (the journal).
    pub at: Time,
    /// The file's path, or what else the source is called.
    pub place: &'a str,
    /// The journal's fields (`_SYSTEMD_UNIT`, `SYSLOG_IDENTIFIER`, `_UID`, …); empty for anything but the journal. Those that begin with `_`
    /// are the journal's own word, all others the sender's.
    pub journal: &'a [(&'a str, &'a [u8])],
}

impl<'a> Line<'a> {
    /// A line of a file.
    pub const fn new(text: &'a [u8], at: Time, place: &'a str) -> Line<'a> {
        Line { text, at, place, journal: &[] }
    }

    /// The journal's field of this name.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.journal.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}
