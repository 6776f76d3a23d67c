//! What log daemons write instead of the same line again.
//! Never repeats anything but the line directly before: a repetition belongs to the log's last message, whoever wrote that.

use super::Sighting;
use super::text::{Text, number, skip_spaces};
use crate::facts::{Facts, Reading};
use crate::guessing::Details;
use model::time::Time;

const HOST_BYTES: usize = 64;
const INTERFACE_BYTES: usize = 16;
const PREFIX_BYTES: usize = 128;

/// `last message repeated 3 times`, `--- last message repeated 1 time ---`: how many times, if at least once.
#[inline]
pub(super) fn number_of_times(text: &[u8]) -> Option<u32> {
    matches!(text.first(), Some(b'l' | b'-')).then_some(())?;
    let text = text.strip_prefix(b"--- ").unwrap_or(text);
    let (times, rest) = number(text.strip_prefix(b"last message repeated ")?)?;
    (times > 0 && rest.starts_with(b" time")).then_some(times)
}

/// `message repeated 3 times: [ … ]` (rsyslog): how many times, and the message itself.
#[inline]
pub(super) fn quoted(text: &[u8]) -> Option<(u32, &[u8])> {
    matches!(text.first(), Some(b'm')).then_some(())?;
    let (times, rest) = number(text.strip_prefix(b"message repeated ")?)?;
    let inside = rest.strip_prefix(b" times: [")?.trim_ascii_end().strip_suffix(b"]")?;
    (times > 0).then_some((times, skip_spaces(inside)))
}

/// The packet of the line before.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    packet: Option<(Facts, Reading)>,
    host: Text<HOST_BYTES>,
    interface_in: Text<INTERFACE_BYTES>,
    interface_out: Text<INTERFACE_BYTES>,
    prefix: Text<PREFIX_BYTES>,
}

impl Remembered {
    #[inline]
    pub(super) fn keep(&mut self, sighting: &Sighting<'_>) {
        self.packet = Some((*sighting.facts, sighting.reading));
        self.host.set(sighting.host);
        self.interface_in.set(sighting.interface_in);
        self.interface_out.set(sighting.interface_out);
        self.prefix.set(sighting.prefix);
    }

    pub(super) fn forget(&mut self) {
        self.packet = None;
    }

    /// The packet again, seen so many more times; `None` if the line before was none, or if it was not repeated at all.
    pub(super) fn sighting(&self, at: Time, serial: u64, times: u32) -> Option<Sighting<'_>> {
        let (facts, reading) = self.packet.as_ref().filter(|_| times > 0)?;
        Some(Sighting {
            facts,
            at,
            serial,
            times,
            interface_in: self.interface_in.text(),
            interface_out: self.interface_out.text(),
            prefix: self.prefix.text(),
            host: self.host.text(),
            reading: *reading,
            // The line that it repeats has told it.
            details: Details::Unknown,
        })
    }
}
