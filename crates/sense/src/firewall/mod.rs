//! The firewall-log sensor: log lines in, packets out, for every way in which Linux and the BSDs write what their packet filters saw.
//! Never believes a line that the kernel (or the filter's own logger) did not write, however much it looks like a packet.
//!
//! A line goes through two steps. `framing` reads its head (when, which host, who wrote it) by position. Only then the message is read by the
//! format that its writer uses: `netfilter`, `ipchains` and `ipfw` for the kernel, `filterlog` and `pf` for the loggers of those names.
//!
//! What is left to an attacker: in a plain log file nothing tells the kernel's lines from those of a *local* user who calls `logger -t kernel`.
//! `/dev/kmsg`, the journal's kernel transport and NFLOG do not have that gap.

pub(crate) mod details;
mod filterlog;
mod framing;
mod ipchains;
mod ipfw;
mod netfilter;
mod pf;
mod prefix;
mod repetition;
mod text;
pub mod timestamp;
mod wanted;

pub use timestamp::LogClock;
pub use wanted::Wanted;

use crate::facts::{Facts, Reading};
use crate::guessing::Details;
use crate::matching::Seen;
use framing::{Head, Writer};
use memchr::memmem;
use model::event::{Event, Origin};
use model::limits::LINE_BYTES;
use model::time::Time;
use prefix::Said;
use repetition::Remembered;
use std::ops::RangeInclusive;
use timestamp::Stamps;

/// Where a log's lines come from, and so what they must prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// A system log, which every program writes to. A line must name the kernel in its tag position, with facility 0 if it has a priority.
    /// Without any head it may only be a raw copy of the kernel's buffer: with the kernel's stamp, or with the record itself at its start.
    Syslog,
    /// `/dev/kmsg` or dmesg: every line is the kernel's own, but for what user space wrote there, which the facility tells.
    /// A line with a syslog head is judged by that head.
    Kernel,
    /// What ulogd writes as LOGEMU: packets and nothing else, behind a stamp and the host.
    Ulogd,
    /// The journal's kernel transport, in one of journalctl's short formats: the head must be there and name the kernel.
    Journal,
}

/// What one line came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// So many packets were handed over.
    Packets(u32),
    /// It is no packet, or nobody who can be believed says so.
    Ignored,
    /// A packet filter logged a packet, but it can't be read.
    Unparsed,
}

/// What became of a log's lines. Every line that is no packet stands under exactly one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Lines in all.
    pub lines: u64,
    /// Packets handed over; a repetition counts once, whatever its number.
    pub packets: u64,
    /// Ignored: another program's lines.
    pub other_programs: u64,
    /// Ignored: the kernel's lines about something else.
    pub other_messages: u64,
    /// Ignored: repetitions of a line that was no packet.
    pub other_repetitions: u64,
    /// Ignored: lines that look like a packet but were not written by the kernel.
    pub forged: u64,
    /// Ignored: packets that the configuration takes out.
    pub unwanted: u64,
    /// Packets that can't be read.
    pub unparsed: u64,
    /// Lines that were longer than the limit and were cut; they count in their other place too.
    pub cut: u64,
}

impl Counters {
    /// All ignored lines.
    pub fn ignored(&self) -> u64 {
        self.other_programs + self.other_messages + self.other_repetitions + self.forged + self.unwanted
    }
}

/// One packet that a line tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting<'l> {
    /// The packet.
    pub facts: &'l Facts,
    /// When.
    pub at: Time,
    /// The line's number, from 1.
    pub serial: u64,
    /// How many times in a row it was seen; at least 1.
    pub times: u32,
    /// The interface it came in on; empty if none.
    pub interface_in: &'l [u8],
    /// The interface it went out on; empty if none.
    pub interface_out: &'l [u8],
    /// The log prefix, without spaces around it; for ipchains and ipfw the rule's action, for pf the rule's number and reason.
    pub prefix: &'l [u8],
    /// The host that logged it; empty if the line does not tell.
    pub host: &'l [u8],
    /// What the packet comes to.
    pub reading: Reading,
    /// What a guess at its sender's system needs besides.
    pub details: Details<'l>,
}

impl Sighting<'_> {
    /// The packet as signatures are asked about it.
    pub fn seen(&self, sensor: u16) -> Seen<'_> {
        let Sighting { facts, reading, at, serial, times, prefix, details, .. } = self;
        Seen { facts, reading, at: *at, origin: Origin { sensor, serial: *serial }, times: *times, prefix, details: *details }
    }

    /// The event, if this is evidence of anything.
    pub fn event(&self, sensor: u16) -> Option<Event> {
        match self.reading {
            Reading::Evidence(act, trust) => Some(Event {
                at: self.at,
                origin: Origin { sensor, serial: self.serial },
                actor: self.facts.source,
                target: Some(self.facts.target),
                act,
                trust,
                times: self.times,
            }),
            Reading::Harmless(_) => None,
        }
    }
}

/// A packet as the readers of the formats hand it over.
#[derive(Debug, Clone, Copy)]
struct Record<'l> {
    facts: Facts,
    interface_in: &'l [u8],
    interface_out: &'l [u8],
    prefix: &'l [u8],
    details: Details<'l>,
}

/// One line's place: what its packets have in common.
#[derive(Debug, Clone, Copy)]
struct Place<'l> {
    at: Time,
    host: &'l [u8],
    times: u32,
}

/// One firewall log.
#[derive(Debug)]
pub struct FirewallLog {
    sensor: u16,
    provenance: Provenance,
    ephemeral: RangeInclusive<u16>,
    stamps: Stamps,
    said: Said,
    remembered: Remembered,
    marks: Marks,
    counters: Counters,
    /// `None`: everything counts.
    wanted: Option<Wanted>,
}

impl FirewallLog {
    /// A log that nothing has been read from. `ephemeral` is the range of ports from which this host's own clients call.
    pub fn new(sensor: u16, provenance: Provenance, clock: LogClock, ephemeral: RangeInclusive<u16>) -> Self {
        let (stamps, said, remembered) = (Stamps::new(clock), Said::default(), Remembered::default());
        let (marks, counters) = (Marks::new(), Counters::default());
        FirewallLog { sensor, provenance, ephemeral, stamps, said, remembered, marks, counters, wanted: None }
    }

    /// Goes by another range of such ports from now on.
    pub fn set_ephemeral(&mut self, ephemeral: RangeInclusive<u16>) {
        self.ephemeral = ephemeral;
    }

    /// The same, of which only what is wanted counts.
    pub fn wanting(self, wanted: &Wanted) -> Self {
        FirewallLog { wanted: (!wanted.is_all()).then(|| wanted.clone()), ..self }
    }

    /// The sensor's slot.
    pub fn sensor(&self) -> u16 {
        self.sensor
    }

    /// What became of the lines so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Says when the kernel's own stamps (seconds since the boot) began to count: another time than before once the machine has slept or its
    /// clock was set.
    pub fn booted(&mut self, at: Time) {
        self.stamps.booted(at);
    }

    /// Reads one line, with or without its line end, and hands every packet in it to `sink`. `now` is the time of a line that has no stamp of
    /// its own: for a live log the present, for an old one the time it was last written to.
    pub fn line(&mut self, line: &[u8], now: Time, mut sink: impl FnMut(&Sighting<'_>)) -> LineKind {
        self.counters.lines += 1;
        let line = self.bounded(line);
        let head = framing::head(line, self.provenance, &mut self.stamps, now);
        let place = Place { at: head.at, host: head.host, times: 1 };
        let kind = match head.writer {
            Writer::Kernel => self.kernel(&head, &mut sink),
            Writer::Buffer => self.buffer(&head, &mut sink),
            Writer::Filterlog => self.found(filterlog::read(head.body), place, &mut sink),
            Writer::Tcpdump => self.found(pf::read(head.body), place, &mut sink),
            Writer::Repetition => return self.repeated(head.body, place, &mut sink),
            Writer::Other => self.not_the_kernels(line),
        };
        if !matches!(kind, LineKind::Packets(_)) {
            self.remembered.forget();
        }
        kind
    }

    fn bounded<'l>(&mut self, line: &'l [u8]) -> &'l [u8] {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match line.split_at_checked(LINE_BYTES) {
            Some((head, rest)) if !rest.is_empty() => {
                self.counters.cut += 1;
                head
            }
            Some(_) | None => line,
        }
    }

    /// A line that a tag or its source proves to be the kernel's.
    fn kernel(&mut self, head: &Head<'_>, sink: &mut impl FnMut(&Sighting<'_>)) -> LineKind {
        let (_, body) = framing::stamped(head.body);
        let place = Place { at: head.at, host: head.host, times: 1 };
        if let Some((times, inside)) = repetition::quoted(body) {
            let (_, inside) = framing::stamped(inside);
            return self.message(inside, Place { times, ..place }, sink);
        }
        if repetition::number_of_times(body).is_some() {
            return self.repeated(body, place, sink);
        }
        self.message(body, place, sink)
    }

    /// A line that nobody has signed, in the form of the kernel's buffer.
    fn buffer(&mut self, head: &Head<'_>, sink: &mut impl FnMut(&Sighting<'_>)) -> LineKind {
        let before = netfilter::find(head.body).map_or(b"".as_slice(), |start| start.before);
        if !prefix::can_be_unsigned(before) {
            return self.forged();
        }
        self.message(head.body, Place { at: head.at, host: head.host, times: 1 }, sink)
    }

    fn message(&mut self, body: &[u8], place: Place<'_>, sink: &mut impl FnMut(&Sighting<'_>)) -> LineKind {
        if body.starts_with(ipchains::START) {
            return self.found(ipchains::read(body), place, sink);
        }
        if body.starts_with(ipfw::START) {
            return match ipfw::read(body) {
                ipfw::Line::Packet(record) => self.found(Some(record), place, sink),
                ipfw::Line::Damaged => self.found(None, place, sink),
                ipfw::Line::Other => self.no_packet(),
            };
        }
        match netfilter::find(body) {
            None => self.no_packet(),
            Some(start) if !prefix::can_be(start.before) => self.forged(),
            Some(start) => self.records(start, place, sink),
        }
    }

    /// One record, and any others that run on behind it on the same line.
    fn records(&mut self, first: netfilter::Start<'_>, place: Place<'_>, sink: &mut impl FnMut(&Sighting<'_>)) -> LineKind {
        let (mut packets, mut unparsed) = (0, 0);
        let unwanted = self.counters.unwanted;
        let mut next = Some((first.before.trim_ascii(), place, first));
        while let Some((prefix, place, start)) = next {
            let read = netfilter::read(&start, prefix, self.said.handling(prefix));
            let (Ok((_, rest)) | Err(rest)) = read;
            // Nothing stands behind most records.
            next = if rest.is_empty() { None } else { netfilter::find(rest) }.and_then(|start| self.run_on(start, read.is_ok(), place));
            match read {
                // Free text behind a record that is no other record's head: somebody else wrote part of this line.
                Ok((record, rest)) if rest.is_empty() || next.is_some() => {
                    packets += u32::from(self.hand_over(&record, place, sink));
                }
                Ok(_) | Err(_) => unparsed += 1,
            }
        }
        self.counters.unparsed += unparsed;
        match packets {
            0 if self.counters.unwanted > unwanted => LineKind::Ignored,
            0 => LineKind::Unparsed,
            packets => LineKind::Packets(packets),
        }
    }

    /// The prefix and place of a record that stands behind another one, if its head (or the want of one) is the kernel's.
    fn run_on<'l>(
        &mut self,
        start: netfilter::Start<'l>,
        clean: bool,
        place: Place<'l>,
    ) -> Option<(&'l [u8], Place<'l>, netfilter::Start<'l>)> {
        let head = framing::head(start.before, Provenance::Kernel, &mut self.stamps, place.at);
        let (_, prefix) = framing::stamped(head.body);
        if head.writer != Writer::Kernel || text::has_process_mark(prefix) {
            return None;
        }
        // Behind a torn record the rest of it stands there, and no prefix.
        let prefix = if clean { prefix.trim_ascii() } else { b"" };
        let host = if head.host.is_empty() { place.host } else { head.host };
        Some((prefix, Place { at: head.at, host, ..place }, start))
    }

    /// `last message repeated 3 times`: the packet of the line before, if that was one.
    fn repeated(&mut self, body: &[u8], place: Place<'_>, sink: &mut impl FnMut(&Sighting<'_>)) -> LineKind {
        let times = repetition::number_of_times(body).unwrap_or(0);
        let serial = self.counters.lines;
        match self.remembered.sighting(place.at, serial, times) {
            Some(sighting) if place.host.is_empty() || sighting.host == place.host => {
                self.counters.packets += 1;
                sink(&sighting);
                LineKind::Packets(1)
            }
            _ => {
                self.remembered.forget();
                self.counters.other_repetitions += 1;
                LineKind::Ignored
            }
        }
    }

    fn found(&mut self, record: Option<Record<'_>>, place: Place<'_>, sink: &mut impl FnMut(&Sighting<'_>)) -> LineKind {
        let Some(record) = record else {
            self.counters.unparsed += 1;
            return LineKind::Unparsed;
        };
        if self.hand_over(&record, place, sink) { LineKind::Packets(1) } else { LineKind::Ignored }
    }

    /// False if nobody wants it.
    #[inline]
    fn hand_over(&mut self, record: &Record<'_>, place: Place<'_>, sink: &mut impl FnMut(&Sighting<'_>)) -> bool {
        if self.wanted.as_ref().is_some_and(|wanted| !wanted.takes(record.prefix, record.interface_in, record.interface_out)) {
            self.counters.unwanted += 1;
            return false;
        }
        self.counters.packets += 1;
        let sighting = Sighting {
            facts: &record.facts,
            at: place.at,
            serial: self.counters.lines,
            times: place.times,
            interface_in: record.interface_in,
            interface_out: record.interface_out,
            prefix: record.prefix,
            host: place.host,
            reading: record.facts.read(self.ephemeral.clone()),
            details: record.details,
        };
        self.remembered.keep(&sighting);
        sink(&sighting);
        true
    }

    fn no_packet(&mut self) -> LineKind {
        self.counters.other_messages += 1;
        LineKind::Ignored
    }

    fn forged(&mut self) -> LineKind {
        self.counters.forged += 1;
        LineKind::Ignored
    }

    /// Another program's line: whether it tries to pass for a packet only matters for the counters.
    fn not_the_kernels(&mut self, line: &[u8]) -> LineKind {
        if self.marks.are_in(line) {
            return self.forged();
        }
        self.counters.other_programs += 1;
        LineKind::Ignored
    }
}

/// What a line has that looks like a packet, whoever wrote it.
#[derive(Debug)]
struct Marks {
    interface: memmem::Finder<'static>,
    source: memmem::Finder<'static>,
    ipchains: memmem::Finder<'static>,
    ipfw: memmem::Finder<'static>,
}

impl Marks {
    fn new() -> Self {
        let finder = |mark: &'static [u8]| memmem::Finder::new(mark);
        Marks { interface: finder(b"OUT="), source: finder(b"SRC="), ipchains: finder(ipchains::START), ipfw: finder(ipfw::START) }
    }

    fn are_in(&self, line: &[u8]) -> bool {
        let has = |mark: &memmem::Finder<'_>| mark.find(line).is_some();
        has(&self.interface) && has(&self.source) || has(&self.ipchains) || has(&self.ipfw)
    }
}
