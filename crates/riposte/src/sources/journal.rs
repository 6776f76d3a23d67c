//! The systemd journal, as `journalctl -o export` writes it. For firewall logs it never hands on an entry that did not come from the kernel,
//! whatever its text says; for application logs it hands on every entry with what the journal itself knows of its sender.

use super::{CHUNK_BYTES, Counters, Line, Progress, Source, TURN_BYTES, read_once};
use link::message::Position;
use model::limits::LINE_BYTES;
use model::time::Time;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The program that reads the journal's files. It runs without privilege, with its output into the sensor's pipe.
pub const PROGRAM: &str = "/usr/bin/journalctl";
/// Its arguments: from now on, entries of the kernel's transport only.
pub const ARGUMENTS: [&str; 6] = ["-f", "-n", "0", "-o", "export", "_TRANSPORT=kernel"];
/// The same for application logs: all entries, with the fields that tell whose they are. The last ones before that are asked for, too: among them
/// is where an earlier run has stopped.
pub const SERVICES: [&str; 6] = [
    "-f",
    "-n",
    "20000",
    "-o",
    "export",
    "--output-fields=MESSAGE,PRIORITY,SYSLOG_FACILITY,SYSLOG_IDENTIFIER,_COMM,_EXE,_PID,_SYSTEMD_UNIT,_TRANSPORT,_UID",
];
/// Those fields by name.
const FIELDS: [&str; 9] =
    ["PRIORITY", "SYSLOG_FACILITY", "SYSLOG_IDENTIFIER", "_COMM", "_EXE", "_PID", "_SYSTEMD_UNIT", "_TRANSPORT", "_UID"];
/// A series' number is 128 bits in hexadecimal digits.
const SERIES_BYTES: usize = 32;
/// The group whose members may read the system's journal.
pub const GROUP: &str = "systemd-journal";

/// Bytes kept of one field: the longest value that counts and its name.
const FIELD_BYTES: usize = LINE_BYTES + 64;

/// The journal's fields of an entry, by name.
pub type Fields<'a> = &'a [(&'a str, &'a [u8])];
/// Who takes entries, and whether an earlier run has had them.
type Take<'t> = &'t mut dyn FnMut(Line<'_>, Fields<'_>, bool);

/// Where in the journal an entry stands: the journal's own numbers, of its cursor. The numbers of one series only grow.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    series: Vec<u8>,
    number: u64,
    /// Nanoseconds since 1970.
    at: u64,
}

impl Place {
    /// Of `s=SERIES;i=HEX;…`.
    fn of(cursor: &[u8], at: u64) -> Option<Place> {
        let mut parts = cursor.split(|byte| *byte == b';');
        let series = parts.next()?.strip_prefix(b"s=").filter(|series| series.len() <= SERIES_BYTES)?;
        let number = std::str::from_utf8(parts.next()?.strip_prefix(b"i=")?).ok()?;
        Some(Place { series: series.to_vec(), number: u64::from_str_radix(number, 16).ok()?, at })
    }

    fn is_after(&self, other: &Place) -> bool {
        if self.series == other.series { self.number > other.number } else { self.at > other.at }
    }
}

/// How much of the journal an earlier run has read.
#[derive(Debug)]
enum Read {
    /// No run has: what was there before now is past.
    Before(Time),
    /// So far.
    To(Place),
    /// All that comes now is new.
    Passed,
}

/// Reads journalctl's output until its end.
#[derive(Debug)]
pub struct JournalSource {
    pipe: File,
    parser: Parser,
    buffer: Vec<u8>,
    ended: bool,
    read: Read,
    /// The last entry that was read, and whether that was told.
    last: Option<Place>,
    told: bool,
}

impl JournalSource {
    /// Reads from the reading end of a pipe (non-blocking) into which journalctl writes.
    pub fn new(pipe: OwnedFd) -> Self {
        let (parser, buffer) = (Parser::default(), vec![0; CHUNK_BYTES]);
        JournalSource { pipe: pipe.into(), parser, buffer, ended: false, read: Read::Passed, last: None, told: true }
    }
}

impl JournalSource {
    /// Reads what journalctl wrote with [`SERVICES`]. Entries before `now` are passed over, unless an earlier run has stopped among them.
    pub fn of_services(pipe: OwnedFd, now: Time) -> Self {
        let mut source = JournalSource::new(pipe);
        source.parser.keeps = true;
        source.read = Read::Before(now);
        source
    }

    /// An earlier run has read the journal so far.
    pub fn knows(&mut self, position: Position) {
        self.read = Read::To(Place { series: position.mark, number: position.offset, at: position.inode });
    }

    /// How far it was read, if that has changed.
    pub fn position(&mut self) -> Option<Position> {
        let last = self.last.as_ref().filter(|_| !std::mem::replace(&mut self.told, true))?;
        Some(Position { device: 0, inode: last.at, offset: last.number, mark: last.series.clone() })
    }

    /// The same as `ready`, with the journal's fields of each entry, and whether an earlier run has had it.
    ///
    /// # Errors
    /// If the pipe can't be read.
    pub fn entries(&mut self, take: Take<'_>) -> io::Result<Progress> {
        let (mut read, mut last) = (std::mem::replace(&mut self.read, Read::Passed), self.last.take());
        let mut sort = |line: Line<'_>, fields: Fields<'_>, cursor: &[u8]| {
            let place = Place::of(cursor, line.at.unwrap_or(0));
            let past = match (&read, &place) {
                (Read::Before(now), _) => {
                    if line.at.is_some_and(|at| Time::from_nanos(at) < *now) {
                        return;
                    }
                    false
                }
                (Read::To(known), Some(place)) => !place.is_after(known),
                (Read::To(_) | Read::Passed, _) => false,
            };
            if !past {
                read = Read::Passed;
            }
            take(line, fields, past);
            if let Some(place) = place.filter(|_| !past) {
                last = Some(place);
                self.told = false;
            }
        };
        let progress = turn(&mut self.pipe, &mut self.buffer, &mut self.ended, &mut |bytes| self.parser.push_entries(bytes, &mut sort));
        (self.read, self.last) = (read, last);
        progress
    }
}

/// Reads a turn's worth of bytes.
fn turn(pipe: &mut File, buffer: &mut [u8], ended: &mut bool, push: &mut dyn FnMut(&[u8])) -> io::Result<Progress> {
    let mut taken = 0;
    while taken < TURN_BYTES && !*ended {
        match read_once(pipe, buffer)? {
            None => return Ok(Progress::default()),
            Some(0) => *ended = true,
            Some(len) => {
                push(buffer.get(..len).unwrap_or_default());
                taken += len;
            }
        }
    }
    Ok(Progress { more: !*ended, ended: *ended, ..Progress::default() })
}

impl Source for JournalSource {
    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        if self.ended { Vec::new() } else { vec![self.pipe.as_fd()] }
    }

    fn ready(&mut self, lines: &mut dyn FnMut(Line<'_>)) -> io::Result<Progress> {
        turn(&mut self.pipe, &mut self.buffer, &mut self.ended, &mut |bytes| self.parser.push(bytes, lines))
    }

    fn counters(&self) -> Counters {
        self.parser.counters
    }
}

/// The export format (systemd's JOURNAL_EXPORT_FORMATS): fields `NAME=value\n`, or `NAME\n`, the length in 8 bytes little-endian,
/// the value and `\n`; an empty line ends the entry.
#[derive(Debug, Default)]
pub struct Parser {
    state: State,
    /// The field that is being read, at most `FIELD_BYTES` of it.
    field: Vec<u8>,
    field_cut: bool,
    entry: Entry,
    /// Whether the fields are kept that tell whose an entry is.
    keeps: bool,
    counters: Counters,
}

#[derive(Debug, Default)]
enum State {
    /// In a line: a whole field, a binary field's name, or the empty line.
    #[default]
    Text,
    /// In a binary field's length.
    Length { name: Field, bytes: [u8; 8], have: usize },
    /// In a binary field's value.
    Value { name: Field, left: u64 },
    /// At the line end behind a binary field's value.
    LineEnd,
}

/// The fields that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Message,
    Time,
    Transport,
    Facility,
    Cursor,
    /// One of `FIELDS`, by its place there.
    Kept(usize),
    Other,
}

impl Field {
    fn named(name: &[u8]) -> Self {
        match name {
            b"MESSAGE" => Field::Message,
            b"__REALTIME_TIMESTAMP" => Field::Time,
            b"_TRANSPORT" => Field::Transport,
            b"SYSLOG_FACILITY" => Field::Facility,
            b"__CURSOR" => Field::Cursor,
            _ => FIELDS.iter().position(|known| known.as_bytes() == name).map_or(Field::Other, Field::Kept),
        }
    }
}

/// What is known of the entry that is being read.
#[derive(Debug, Default)]
struct Entry {
    any: bool,
    message: Option<(Vec<u8>, bool)>,
    at: Option<u64>,
    /// Where it stands in the journal, if fields are kept.
    cursor: Vec<u8>,
    /// The journal's own word for the way the entry came; a client can't set a field that begins with `_`.
    kernel_transport: Option<bool>,
    /// The kernel's ring holds what programs wrote to /dev/kmsg too; their records have another facility than 0.
    kernel_facility: Option<bool>,
    /// The first of each of `FIELDS` by its place there, if they are kept.
    fields: Vec<(usize, Vec<u8>)>,
}

impl Parser {
    /// What it has seen and lost.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Takes the next bytes and hands on the message of each entry that they end, if the kernel wrote it.
    pub fn push(&mut self, bytes: &[u8], lines: &mut dyn FnMut(Line<'_>)) {
        self.parse(bytes, &mut |counters, entry| {
            // What is missing is not the kernel's: an entry must say both.
            if entry.kernel_transport != Some(true) || entry.kernel_facility != Some(true) {
                counters.foreign += 1;
            } else {
                entry.hand_on(counters, &mut |line, _, _| lines(line));
            }
        });
    }

    /// Takes the next bytes and hands on each entry that they end, with the fields that tell whose it is, and its cursor.
    pub fn push_entries(&mut self, bytes: &[u8], take: &mut dyn FnMut(Line<'_>, Fields<'_>, &[u8])) {
        self.parse(bytes, &mut |counters, entry| entry.hand_on(counters, take));
    }

    fn parse(&mut self, mut bytes: &[u8], entries: &mut dyn FnMut(&mut Counters, Entry)) {
        while !bytes.is_empty() {
            bytes = match &mut self.state {
                State::Text => self.text(bytes, entries),
                State::Length { name, bytes: length, have } => {
                    let (first, rest) = bytes.split_at(1);
                    if let (Some(place), Some(byte)) = (length.get_mut(*have), first.first()) {
                        *place = *byte;
                    }
                    *have += 1;
                    if *have == length.len() {
                        let (name, left) = (*name, u64::from_le_bytes(*length));
                        self.begin_value(name, left);
                    }
                    rest
                }
                State::Value { name, left } => {
                    let name = *name;
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    let (value, rest) = bytes.split_at(here);
                    *left -= here as u64;
                    let done = *left == 0;
                    if name != Field::Other {
                        self.keep(value);
                    }
                    if done {
                        self.end_value(name);
                    }
                    rest
                }
                State::LineEnd => {
                    self.state = State::Text;
                    let (first, rest) = bytes.split_at(1);
                    self.counters.malformed += u64::from(first != b"\n");
                    rest
                }
            };
        }
    }

    /// Takes bytes up to the line's end; returns those behind it.
    fn text<'a>(&mut self, bytes: &'a [u8], entries: &mut dyn FnMut(&mut Counters, Entry)) -> &'a [u8] {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.keep(bytes);
            return &[];
        };
        let (head, tail) = bytes.split_at(end);
        self.keep(head);
        let field = std::mem::take(&mut self.field);
        match memchr::memchr(b'=', &field) {
            _ if field.is_empty() => self.end_entry(entries),
            Some(equals) => {
                let (name, value) = field.split_at(equals);
                let cut = self.field_cut;
                self.entry.take(Field::named(name), value.get(1..).unwrap_or_default(), cut, self.keeps);
            }
            None => self.state = State::Length { name: Field::named(&field), bytes: [0; 8], have: 0 },
        }
        self.field = field;
        self.field.clear();
        self.field_cut = false;
        tail.get(1..).unwrap_or_default()
    }

    fn begin_value(&mut self, name: Field, left: u64) {
        self.state = State::Value { name, left };
        if left == 0 {
            self.end_value(name);
        }
    }

    fn end_value(&mut self, name: Field) {
        let field = std::mem::take(&mut self.field);
        self.entry.take(name, &field, self.field_cut, self.keeps);
        self.field = field;
        self.field.clear();
        self.field_cut = false;
        self.state = State::LineEnd;
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = FIELD_BYTES.saturating_sub(self.field.len());
        self.field_cut |= bytes.len() > room;
        self.field.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    fn end_entry(&mut self, entries: &mut dyn FnMut(&mut Counters, Entry)) {
        let entry = std::mem::take(&mut self.entry);
        if entry.any {
            entries(&mut self.counters, entry);
        }
    }
}

impl Entry {
    /// Hands its message on, no further than its first line, so that one message can't pass for two.
    fn hand_on(self, counters: &mut Counters, take: &mut dyn FnMut(Line<'_>, Fields<'_>, &[u8])) {
        let Some((message, message_cut)) = self.message else {
            counters.malformed += 1;
            return;
        };
        let first = message.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let text = first.get(..LINE_BYTES).unwrap_or(first);
        let cut = message_cut || text.len() < message.len();
        counters.lines += 1;
        counters.cut += u64::from(cut);
        let fields: Vec<(&str, &[u8])> =
            self.fields.iter().filter_map(|(place, value)| Some((*FIELDS.get(*place)?, value.as_slice()))).collect();
        take(Line { text, cut, at: self.at }, &fields, &self.cursor);
    }

    fn take(&mut self, name: Field, value: &[u8], cut: bool, keeps: bool) {
        self.any = true;
        let place = match name {
            Field::Kept(place) => Some(place),
            Field::Transport => FIELDS.iter().position(|known| *known == "_TRANSPORT"),
            Field::Facility => FIELDS.iter().position(|known| *known == "SYSLOG_FACILITY"),
            Field::Message | Field::Time | Field::Cursor | Field::Other => None,
        };
        // A sender may give a field twice; the first counts. A long one is half of something: it stands for nothing.
        if let Some(place) = place.filter(|place| keeps && !cut && !self.fields.iter().any(|(known, _)| known == place)) {
            self.fields.push((place, value.to_vec()));
        }
        // A second one that says otherwise counts against it.
        let agree = |before: Option<bool>, now: bool| Some(before.unwrap_or(true) && now);
        match name {
            Field::Message => self.message = Some((value.to_vec(), cut)),
            Field::Time => {
                let micros = std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok());
                self.at = micros.and_then(|micros| micros.checked_mul(1_000));
            }
            Field::Transport => self.kernel_transport = agree(self.kernel_transport, value == b"kernel" && !cut),
            Field::Facility => self.kernel_facility = agree(self.kernel_facility, value == b"0" && !cut),
            // Only a sender's own fields can come twice.
            Field::Cursor if keeps && !cut => self.cursor = value.to_vec(),
            Field::Cursor | Field::Kept(_) | Field::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::path::Path;
    use sys::process::{Ended, Launch, output_pipe, spawn};

    type Found = Vec<(String, bool, Option<u64>)>;

    fn parse(chunks: &[&[u8]]) -> (Found, Counters) {
        let mut parser = Parser::default();
        let mut found = Vec::new();
        for chunk in chunks {
            parser.push(chunk, &mut |line| found.push((String::from_utf8_lossy(line.text).into_owned(), line.cut, line.at)));
        }
        (found, parser.counters)
    }

    fn binary(name: &str, value: &[u8]) -> Vec<u8> {
        [name.as_bytes(), b"\n", &(value.len() as u64).to_le_bytes(), value, b"\n"].concat()
    }

    const KERNEL: &str =
        "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1700000000123456\n_TRANSPORT=kernel\nSYSLOG_FACILITY=0\nMESSAGE=IN=eth0 OUT= SRC=192.0.2.1\n\n";

    #[test]
    fn entries_come_whole_however_they_are_chopped() {
        let text = [
            KERNEL.as_bytes(),
            b"_TRANSPORT=kernel\nSYSLOG_FACILITY=0\n",
            &binary("MESSAGE", b"bell \x07 and\nsecond line"),
            &binary("_OTHER", b"\n\n=\n"),
            b"\n",
        ]
        .concat();
        for size in 1..=text.len() {
            let (found, counters) = parse(&text.chunks(size).collect::<Vec<_>>());
            let first = ("IN=eth0 OUT= SRC=192.0.2.1".to_owned(), false, Some(1_700_000_000_123_456_000));
            assert_eq!(found, [first, ("bell \x07 and".to_owned(), true, None)], "chunks of {size}");
            assert_eq!(counters, Counters { lines: 2, cut: 1, ..Counters::default() });
        }
    }

    #[test]
    fn what_the_kernel_did_not_write_is_counted_and_dropped() {
        let line = "MESSAGE=kernel: IN=eth0 OUT= SRC=192.0.2.1\n";
        for head in [
            "_TRANSPORT=syslog\nSYSLOG_FACILITY=0\n",
            // A program's record in /dev/kmsg.
            "_TRANSPORT=kernel\nSYSLOG_FACILITY=3\n",
            "_TRANSPORT=kernel\n",
            "SYSLOG_FACILITY=0\n",
            "TRANSPORT=kernel\nSYSLOG_FACILITY=0\n",
            "_TRANSPORT=kernel\nSYSLOG_FACILITY=0\n_TRANSPORT=stdout\n",
        ] {
            let (found, counters) = parse(&[format!("{head}{line}\n").as_bytes()]);
            assert_eq!((found.len(), counters.foreign), (0, 1), "{head}");
        }
        // A value with line ends in it can't begin an entry of its own.
        let inside = [&b"_TRANSPORT=syslog\n"[..], &binary("MESSAGE", format!("x\n\n{KERNEL}").as_bytes()), b"\n"].concat();
        assert_eq!(parse(&[&inside]).1, Counters { foreign: 1, ..Counters::default() });
    }

    #[test]
    fn entries_of_services_come_with_what_tells_whose_they_are() {
        let text = [
            &b"_TRANSPORT=syslog\nSYSLOG_IDENTIFIER=sshd\nSYSLOG_IDENTIFIER=other\n_UID=0\n_HOSTNAME=h\nMESSAGE=Failed password\n\n"[..],
            b"_UID=1000\n",
            &binary("MESSAGE", b"one\n_UID=0\n\nMESSAGE=two"),
            b"\n",
        ]
        .concat();
        for size in 1..=text.len() {
            let mut parser = Parser { keeps: true, ..Parser::default() };
            let mut found = Vec::new();
            for chunk in text.chunks(size) {
                parser.push_entries(chunk, &mut |line, fields, _| {
                    let fields: Vec<String> =
                        fields.iter().map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value))).collect();
                    found.push((String::from_utf8_lossy(line.text).into_owned(), fields.join(" ")));
                });
            }
            let first = ("Failed password".to_owned(), "_TRANSPORT=syslog SYSLOG_IDENTIFIER=sshd _UID=0".to_owned());
            assert_eq!(found, [first, ("one".to_owned(), "_UID=1000".to_owned())], "chunks of {size}");
            assert_eq!(parser.counters, Counters { lines: 2, cut: 1, ..Counters::default() });
        }
    }

    #[test]
    fn a_cursor_says_what_comes_after_it() {
        let place = |cursor: &str, at| Place::of(cursor.as_bytes(), at);
        let known = place("s=00ff;i=a0;b=1;m=2;t=3;x=4", 500).unwrap();
        assert_eq!(known, Place { series: b"00ff".to_vec(), number: 160, at: 500 });
        // In one series the number counts, whatever the clock said.
        assert!(place("s=00ff;i=a1;b=1", 400).unwrap().is_after(&known) && !place("s=00ff;i=a0;b=1", 600).unwrap().is_after(&known));
        assert!(place("s=00fe;i=1", 501).unwrap().is_after(&known) && !place("s=00fe;i=ffff", 500).unwrap().is_after(&known));
        for wrong in
            ["", "s=00ff", "i=1;s=00ff", "s=00ff;i=", "s=00ff;i=g", "s=00ff;i=11111111111111111", &format!("s={};i=1", "0".repeat(33))]
        {
            assert_eq!(place(wrong, 1), None, "{wrong}");
        }
    }

    #[test]
    fn hostile_lengths_cost_no_memory() {
        let mut parser = Parser::default();
        parser.push(b"MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff", &mut |_| ());
        for _ in 0..100 {
            parser.push(&[b'x'; 65_536], &mut |_| ());
        }
        assert!(parser.field.capacity() <= 4 * FIELD_BYTES);
        let long = format!("MESSAGE={}\n_TRANSPORT=kernel\nSYSLOG_FACILITY=0\n\n", "y".repeat(100_000));
        let (found, _) = parse(&[long.as_bytes()]);
        assert_eq!((found[0].0.len(), found[0].1), (LINE_BYTES, true));
    }

    fn run(program: &str, args: &[&str], output: Option<OwnedFd>) -> Ended {
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        let fds: Vec<_> = output.iter().map(|fd| (fd.as_fd(), 1)).collect();
        let launch =
            Launch { program: Path::new(program), title: program, args: &args, fds: &fds, timezone: None, env: &[], identity: None };
        spawn(&launch).unwrap().wait().unwrap()
    }

    /// The real journalctl, over a journal that the real systemd-journal-remote has written. Where they are not installed, the
    /// format's tests above are all there is.
    #[test]
    fn the_real_journalctl_is_understood() {
        let remote = "/lib/systemd/systemd-journal-remote";
        if !Path::new(remote).exists() || !Path::new(PROGRAM).exists() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (export, journal) = (folder.path().join("in.export"), folder.path().join("made.journal"));
        let boot = "_BOOT_ID=0123456789abcdef0123456789abcdef\n_MACHINE_ID=0123456789abcdef0123456789abcdef\n";
        let stamp = |n: u64| format!("__REALTIME_TIMESTAMP={}\n__MONOTONIC_TIMESTAMP={n}\n{boot}", 1_700_000_000_000_000 + n);
        let mut text = Vec::new();
        for n in 1..=1000 {
            text.extend_from_slice(stamp(2 * n).as_bytes());
            text.extend_from_slice(b"_TRANSPORT=kernel\nSYSLOG_FACILITY=0\nPRIORITY=4\n");
            match n % 2 {
                0 => text.extend_from_slice(format!("MESSAGE=packet {n} IN=eth0\n\n").as_bytes()),
                _ => text
                    .extend_from_slice(&[binary("MESSAGE", format!("packet {n} IN=eth0\ttab \x07").as_bytes()), b"\n".to_vec()].concat()),
            }
            text.extend_from_slice(stamp(2 * n + 1).as_bytes());
            text.extend_from_slice(b"_TRANSPORT=syslog\nSYSLOG_FACILITY=0\nMESSAGE=packet forged IN=eth0\n\n");
        }
        std::fs::write(&export, &text).unwrap();
        let made = run(remote, &["-o", journal.to_str().unwrap(), export.to_str().unwrap()], None);
        assert_eq!(made, Ended::Exited(0));
        for (filter, foreign) in [(&["_TRANSPORT=kernel"][..], 0), (&[], 1000)] {
            let (reader, writer) = output_pipe().unwrap();
            let file = format!("--file={}", journal.display());
            let reading = std::thread::spawn(move || {
                let mut source = JournalSource::new(reader);
                let mut found = Vec::new();
                while !source.ready(&mut |line| found.push((String::from_utf8_lossy(line.text).into_owned(), line.at))).unwrap().ended {}
                (found, source.counters())
            });
            assert_eq!(run(PROGRAM, &[&[&*file, "-o", "export"], filter].concat(), Some(writer)), Ended::Exited(0));
            let (found, counters) = reading.join().unwrap();
            assert_eq!(counters, Counters { lines: 1000, foreign, ..Counters::default() });
            assert_eq!(found[0], ("packet 1 IN=eth0\ttab \x07".to_owned(), Some(1_700_000_000_000_002_000)));
            assert_eq!(found[1], ("packet 2 IN=eth0".to_owned(), Some(1_700_000_000_000_004_000)));
        }
    }
}
