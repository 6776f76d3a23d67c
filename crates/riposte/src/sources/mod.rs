//! Where log lines come from: files, pipes, the kernel's ring, sockets, the journal. Never looks into a line.
//!
//! The privileged side opens (each kind's `open` function); the unprivileged side reads (each kind's `Source`). No source opens
//! anything, sets a timer or polls: it is woken by its descriptors, and an idle one costs nothing.

pub mod file;
pub mod files;
pub mod journal;
pub mod kmsg;
pub mod pipe;
pub mod syslog;

use model::limits::LINE_BYTES;
use std::io;
use std::os::fd::BorrowedFd;

/// Bytes read at one time.
const CHUNK_BYTES: usize = 65_536;
/// Bytes taken from one source before the others get their turn.
const TURN_BYTES: usize = 1 << 20;

/// One line of a log, without its line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its bytes, at most `LINE_BYTES`.
    pub text: &'a [u8],
    /// Whether it was longer, so that the last word may be half a word.
    pub cut: bool,
    /// When it was written, in nanoseconds since the epoch, if the source itself says so apart from the text.
    pub at: Option<u64>,
}

/// What a turn left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// There may be more at once: call `ready` again without waiting, after the others have had their turn.
    pub more: bool,
    /// Ask the privileged side to open the slot again.
    pub reopen_wanted: bool,
    /// Nothing will come any more.
    pub ended: bool,
}

/// What a source has seen and lost since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Lines handed on.
    pub lines: u64,
    /// Lines that were longer than `LINE_BYTES`, handed on cut.
    pub cut: u64,
    /// Lines whose end never came (the file was cut short or went away in the middle of one). They are not handed on:
    /// the half of an address is another address.
    pub unfinished: u64,
    /// Gaps in which the writer overwrote what we had not read yet.
    pub overwritten: u64,
    /// Records that the kernel did not write, where only the kernel's count.
    pub foreign: u64,
    /// Records that are not in the source's own format.
    pub malformed: u64,
    /// How often a file began again at its start.
    pub truncations: u64,
    /// How often a file was replaced by another.
    pub rotations: u64,
    /// Files that were replaced in their turn before they could be opened: what was in them is lost.
    pub missed: u64,
}

/// A source of log lines.
///
/// Call `ready` once when it begins, then whenever one of `fds` is readable, and again for as long as it says `more`.
pub trait Source {
    /// What to wait for. They change only when a slot is opened again; a source with none is read by `more` alone.
    fn fds(&self) -> Vec<BorrowedFd<'_>>;
    /// Reads what is there, at most a turn's worth, and hands on each whole line.
    fn ready(&mut self, lines: &mut dyn FnMut(Line<'_>)) -> io::Result<Progress>;
    /// What it has seen and lost.
    fn counters(&self) -> Counters;
}

/// Cuts bytes into lines. Holds at most one line's worth.
#[derive(Debug, Default)]
pub struct LineSplitter {
    /// The beginning of a line whose end has not come.
    pending: Vec<u8>,
    /// Bytes since the last line end, also those that were dropped.
    unfinished_bytes: u64,
    /// The line that is being read began before us: drop it.
    skipping: bool,
    lines: u64,
    cut: u64,
    unfinished: u64,
}

impl LineSplitter {
    /// Drops everything up to the next line end: its beginning was never seen.
    fn skip_first(&mut self) {
        self.skipping = true;
    }

    /// Takes the next bytes and hands on each line that they end.
    pub fn push(&mut self, mut chunk: &[u8], lines: &mut dyn FnMut(Line<'_>)) {
        while let Some(end) = memchr::memchr(b'\n', chunk) {
            let (head, tail) = chunk.split_at(end);
            if self.unfinished_bytes == 0 && !self.skipping {
                // The common case: a whole line inside the chunk, handed on without a copy.
                self.hand_on(head, false, lines);
            } else {
                self.keep(head);
                self.end_line(lines);
            }
            chunk = tail.get(1..).unwrap_or_default();
        }
        self.keep(chunk);
    }

    /// Bytes behind the last line that was handed on.
    fn unfinished_bytes(&self) -> u64 {
        self.unfinished_bytes
    }

    /// What is pending will never be finished: forgets and counts it.
    fn discard(&mut self) {
        self.unfinished += u64::from(self.unfinished_bytes > 0 && !self.skipping);
        self.pending.clear();
        self.unfinished_bytes = 0;
        self.skipping = false;
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.unfinished_bytes += bytes.len() as u64;
        if self.skipping {
            return;
        }
        // A writer that does not know that its file was truncated leaves a hole of zeros before its next line.
        let bytes = if self.pending.is_empty() { without_leading_nuls(bytes) } else { bytes };
        // One byte more than a line may have tells that it was too long; a carriage return may still follow.
        let room = (LINE_BYTES + 1).saturating_sub(self.pending.len());
        self.pending.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn end_line(&mut self, lines: &mut dyn FnMut(Line<'_>)) {
        let pending = std::mem::take(&mut self.pending);
        if !self.skipping {
            self.hand_on(&pending, true, lines);
        }
        self.pending = pending;
        self.pending.clear();
        self.unfinished_bytes = 0;
        self.skipping = false;
    }

    fn hand_on(&mut self, line: &[u8], stripped: bool, lines: &mut dyn FnMut(Line<'_>)) {
        let line = if stripped { line } else { without_leading_nuls(line) };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = line.get(..LINE_BYTES).unwrap_or(line);
        let cut = text.len() < line.len();
        self.lines += 1;
        self.cut += u64::from(cut);
        lines(Line { text, cut, at: None });
    }

    /// Adds what it has counted.
    fn count(&self, counters: &mut Counters) {
        counters.lines += self.lines;
        counters.cut += self.cut;
        counters.unfinished += self.unfinished;
    }
}

fn without_leading_nuls(bytes: &[u8]) -> &[u8] {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    bytes.get(first..).unwrap_or_default()
}

/// Reads once, retrying what a signal interrupted; `None` if there is nothing now.
fn read_once(reader: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match reader.read(buffer) {
            Ok(len) => return Ok(Some(len)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits chunks; the lines as text with a `+` behind those that were cut.
    fn split(chunks: &[&[u8]]) -> (Vec<String>, LineSplitter) {
        let mut splitter = LineSplitter::default();
        let mut found = Vec::new();
        for chunk in chunks {
            splitter.push(chunk, &mut |line| found.push(String::from_utf8_lossy(line.text).into_owned() + if line.cut { "+" } else { "" }));
        }
        (found, splitter)
    }

    #[test]
    fn lines_come_whole_however_they_are_chopped() {
        let text = b"one\ntwo\r\n\nthree\x00x\n";
        for size in 1..=text.len() {
            let chunks: Vec<&[u8]> = text.chunks(size).collect();
            assert_eq!(split(&chunks).0, ["one", "two", "", "three\0x"], "chunks of {size}");
        }
    }

    #[test]
    fn a_long_line_is_cut_and_counted_and_the_next_is_whole() {
        let exact = vec![b'a'; LINE_BYTES];
        let long = vec![b'b'; LINE_BYTES + 1];
        let huge = vec![b'c'; LINE_BYTES * 5];
        let text = [&exact[..], b"\r\n", &long, b"\n", &huge, b"\nend\n"].concat();
        for size in [1, 100, LINE_BYTES, text.len()] {
            let (lines, splitter) = split(&text.chunks(size).collect::<Vec<_>>());
            let shape: Vec<(usize, bool)> = lines.iter().map(|line| (line.trim_end_matches('+').len(), line.ends_with('+'))).collect();
            assert_eq!(shape, [(LINE_BYTES, false), (LINE_BYTES, true), (LINE_BYTES, true), (3, false)]);
            assert_eq!((splitter.lines, splitter.cut), (4, 2));
            assert!(splitter.pending.capacity() <= 4 * LINE_BYTES);
        }
    }

    #[test]
    fn what_has_no_end_waits_and_is_never_handed_on_by_halves() {
        let (lines, mut splitter) = split(&[b"whole\nSRC=192.0.2.1"]);
        assert_eq!(lines, ["whole"]);
        assert_eq!(splitter.unfinished_bytes, 13);
        splitter.discard();
        let mut found = Vec::new();
        splitter.push(b"7\n", &mut |line| found.push(line.text.to_vec()));
        assert_eq!((found, splitter.unfinished), (vec![b"7".to_vec()], 1));
    }

    #[test]
    fn a_hole_of_zeros_is_no_line_and_cuts_none() {
        let hole = vec![0; LINE_BYTES * 3];
        assert_eq!(split(&[&hole, &hole, b"\0after\n"]).0, ["after"]);
        assert_eq!(split(&[b"\0\0whole\n"]).0, ["whole"]);
    }
}
