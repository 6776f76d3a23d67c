//! `riposte replay`: the same sensors, detectors and judge over old logs. Never touches a firewall; time is the log's own.

mod bench;
mod columns;
mod criteria;
mod fields;
mod tally;

use super::ask::room;
use super::{Failure, config, fail};
use crate::cli;
use crate::config::Config;
use crate::lives::log::utc_offset;
use crate::lives::now;
use bench::{Bench, Outcome};
use columns::Columns;
use criteria::Item;
use fields::Packet;
use indicatif::{ProgressBar, ProgressStyle};
use model::event::{Act, Trust};
use model::limits;
use model::time::Time;
use report::decision::Verdict;
use report::offender::OffenderLine;
use report::picture::{self, Picture, PortSources};
use report::replay::{EventLine, SummaryLine, offender_table, signature_table, system_table};
use report::serial::Whom;
use report::table::thousands;
use report::timeline::Timeline;
use report::{plot, replay_csv};
use sense::facts::Reading;
use sense::firewall::timestamp::LogClock;
use sense::firewall::{FirewallLog, LineKind, Provenance, Sighting};
use serde::Serialize;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use tally::Tally;

/// Bytes read at one time: what fits into the core's own cache beside everything else is read again from there.
const CHUNK: usize = 64 << 10;
/// The progress bar moves after this many bytes.
const STEP: u64 = 4 << 20;
/// Ports that the host's own clients call from, if nothing better is known of the host whose log it is (Linux' default).
const EPHEMERAL: std::ops::RangeInclusive<u16> = 32_768..=60_999;

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
    Csv,
}

/// Everything that goes on while files are read.
struct Reader<'a, W: Write> {
    args: &'a cli::Replay,
    format: Format,
    benches: Vec<Bench>,
    out: W,
    line: Vec<u8>,
    summary: SummaryLine,
    config: Config,
    /// What a packet must be like to be looked at.
    only: Vec<Item>,
    columns: Option<Columns>,
    /// What only a report with everything needs.
    tally: Option<Box<Tally>>,
}

/// Reads the files and prints.
///
/// # Errors
/// One line that says what can't be read.
pub fn run(args: &cli::Replay, out: &mut impl Write) -> Result<(), Failure> {
    if args.csv && args.what_if.is_some() {
        return Err(fail("--csv prints one table and has no place for --what-if: take --json"));
    }
    if args.plot.is_some() && args.svg.is_none() && args.png.is_none() {
        return Err(fail("--plot draws into a file: name it with --svg or --png"));
    }
    if let Some(end) = args.end_line.filter(|end| *end < args.start_line) {
        return Err(fail(format!("--end-line {end} is before --start-line {}", args.start_line)));
    }
    let config_now = config(args.config.as_deref())?;
    let counts = args.detail || args.html.is_some() || args.plot.is_some();
    // What is counted besides wants to know at once who is charged.
    let apart = !counts && std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1);
    let mut benches = vec![Bench::new(&config_now, apart)?];
    if let Some(path) = &args.what_if {
        benches.push(Bench::new(&config(Some(path))?, apart)?);
    }
    let format = match (args.json, args.csv) {
        (true, _) => Format::Json,
        (false, true) => Format::Csv,
        (false, false) => Format::Text,
    };
    let mut only = Vec::new();
    for list in &args.only {
        only.extend(criteria::parse_conditions(list).map_err(|wrong| fail(format!("--only: {wrong}")))?);
    }
    let columns = Columns::new(args)?;
    let tally = counts.then(|| Box::new(Tally::new(&config_now.scan)));
    let summary = SummaryLine::default();
    let mut reader = Reader { args, format, benches, out, line: Vec::new(), summary, config: config_now, only, columns, tally };
    match &reader.columns {
        Some(columns) if !args.no_header => {
            let mut header = Vec::new();
            columns.header(&mut header);
            reader.print(&header)?;
        }
        None if format == Format::Csv && args.events => reader.print(replay_csv::EVENT_HEADER.as_bytes())?,
        Some(_) | None => {}
    }
    let progress = Progress::new(&args.files);
    for path in &args.files {
        reader.file(path, &progress)?;
    }
    progress.bar.finish_and_clear();
    reader.finish()
}

/// The bar on standard error, if a person watches.
struct Progress {
    bar: ProgressBar,
}

impl Progress {
    fn new(files: &[std::path::PathBuf]) -> Self {
        let total: u64 = files.iter().filter_map(|path| std::fs::metadata(path).ok()).map(|meta| meta.len()).sum();
        let bar = if std::io::stderr().is_terminal() && total > STEP { ProgressBar::new(total) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Progress { bar }
    }
}

impl<W: Write> Reader<'_, W> {
    fn print(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(|e| fail(e.to_string()))
    }

    fn file(&mut self, path: &Path, progress: &Progress) -> Result<(), Failure> {
        let wrong = |e: std::io::Error| fail(format!("{}: {e}", path.display()));
        let (input, reference): (Box<dyn Read>, Time) = if path == Path::new("-") {
            (Box::new(std::io::stdin()), now())
        } else {
            let file = File::open(path).map_err(wrong)?;
            let meta = file.metadata().map_err(wrong)?;
            if meta.is_dir() {
                return Err(fail(format!("{}: is a folder; name the logs in it", path.display())));
            }
            (Box::new(file), changed(&meta).min(now()))
        };
        let zone = match &self.args.timezone {
            None => None,
            Some(name) => Some(
                jiff::tz::TimeZone::get(name).map_err(|_| fail(format!("there is no time zone '{name}'; examples: UTC, Europe/Berlin")))?,
            ),
        };
        let clock = LogClock { utc_offset: utc_offset(zone), reference, boot: None };
        let provenance = match (self.args.kernel, self.args.ulogd) {
            (true, _) => Provenance::Kernel,
            (false, true) => Provenance::Ulogd,
            (false, false) => Provenance::Syslog,
        };
        let mut log = FirewallLog::new(0, provenance, clock, EPHEMERAL).wanting(&self.config.lines);
        let base = self.summary.lines;
        let mut input = BufReader::with_capacity(CHUNK, input);
        let mut carry: Vec<u8> = Vec::new();
        let mut since_step = 0;
        if let Some(reader) = decompressor(input.fill_buf().map_err(wrong)?) {
            return Err(fail(format!("{0}: is compressed: try {reader} {0} | riposte replay -", path.display())));
        }
        loop {
            let chunk = input.fill_buf().map_err(wrong)?;
            if chunk.is_empty() || self.is_over() {
                break;
            }
            let len = chunk.len();
            let mut rest = chunk;
            while let Some(end) = memchr::memchr(b'\n', rest) {
                let (head, tail) = rest.split_at(end);
                if carry.is_empty() {
                    self.line(&mut log, head, reference, base)?;
                } else {
                    carry.extend_from_slice(head);
                    let whole = std::mem::take(&mut carry);
                    self.line(&mut log, &whole, reference, base)?;
                    carry = whole;
                    carry.clear();
                }
                rest = tail.get(1..).unwrap_or_default();
            }
            // A line without an end must not fill the memory; the parser cuts at the same length.
            let room = (limits::LINE_BYTES + 1).saturating_sub(carry.len());
            carry.extend_from_slice(rest.get(..room).unwrap_or(rest));
            input.consume(len);
            since_step += len as u64;
            if since_step >= STEP {
                progress.bar.inc(since_step);
                since_step = 0;
            }
        }
        progress.bar.inc(since_step);
        if !carry.is_empty() {
            self.line(&mut log, &carry, reference, base)?;
        }
        let counters = log.counters();
        self.summary.unparsed += counters.unparsed;
        self.summary.ignored += counters.ignored();
        Ok(())
    }

    /// Whether no further line needs to be read.
    fn is_over(&self) -> bool {
        self.args.end_line.is_some_and(|end| self.summary.lines >= end) || self.columns.as_ref().is_some_and(|columns| columns.is_over())
    }

    fn line(&mut self, log: &mut FirewallLog, line: &[u8], at: Time, base: u64) -> Result<(), Failure> {
        let Reader { args, format, line: printed, summary, benches, only, columns, tally, .. } = self;
        if args.end_line.is_some_and(|end| summary.lines >= end) {
            return Ok(());
        }
        summary.lines += 1;
        let (number, begins) = (summary.lines, summary.lines >= args.start_line);
        // Lines before the first are read all the same: "last message repeated" may follow one.
        let kind = log.line(line, at, |sighting| {
            let packet = Packet { sighting, line, number };
            if !begins || !only.iter().all(|item| item.holds(&packet)) {
                return;
            }
            summary.events += u64::from(sighting.times);
            if let Some(columns) = columns {
                return columns.print(&packet, printed);
            }
            if args.events {
                print_event(sighting, base, *format, printed);
            }
            if let Some(tally) = tally {
                tally.count(sighting, |whom| benches.first().is_some_and(|bench| bench.has_charged(whom)));
            }
            if ignored(sighting).is_some() {
                summary.ignored += u64::from(sighting.times);
            }
            // What was let through is no evidence against its sender, but for him.
            benches.iter_mut().for_each(|bench| bench.take(sighting));
        });
        match kind {
            LineKind::Packets(_) if !self.line.is_empty() => {
                let printed = std::mem::take(&mut self.line);
                let result = self.print(&printed);
                self.line = printed;
                self.line.clear();
                result
            }
            LineKind::Packets(_) | LineKind::Ignored | LineKind::Unparsed => Ok(()),
        }
    }

    fn finish(mut self) -> Result<(), Failure> {
        if self.columns.is_some() {
            return self.out.flush().map_err(|e| fail(e.to_string()));
        }
        let outcomes: Vec<Outcome> = std::mem::take(&mut self.benches).into_iter().map(Bench::finish).collect();
        let mut bytes = Vec::new();
        if self.format == Format::Csv && !self.args.events {
            bytes.extend_from_slice(replay_csv::OFFENDER_HEADER.as_bytes());
        }
        // Only what is aligned or compared has to be there all at once.
        let (keeps, mut offenders) = (self.format == Format::Text || outcomes.len() > 1 || self.tally.is_some(), Vec::new());
        let (mut levels, mut port_sources) = ([0; 5], PortSources::default());
        for whom in outcomes.first().map(Outcome::whom).unwrap_or_default() {
            let Some(mut line) = outcomes.first().and_then(|outcome| outcome.line(&whom)) else { continue };
            self.summary.offenders += 1;
            levels = picture::add(levels, &line);
            if let Some(tally) = &self.tally {
                line.detail = tally.detail(&line.address.0).map(Box::new);
                port_sources.count(&line.ports);
            }
            match self.format {
                Format::Json => bytes.extend_from_slice(without_samples(&mut line).as_bytes()),
                Format::Csv if !self.args.events => line.to_csv_line(&mut bytes),
                Format::Csv | Format::Text => {}
            }
            if keeps {
                offenders.push(line);
            }
            if bytes.len() >= CHUNK {
                self.print(&bytes)?;
                bytes.clear();
            }
        }
        if let Some(outcome) = outcomes.first() {
            self.summary.ignored += outcome.ignored;
            self.summary.signatures = outcome.tops();
        }
        let tops = match &self.tally {
            Some(tally) => tally.tops(levels, &port_sources, self.args.top),
            None => picture::Tops { levels, ..picture::Tops::default() },
        };
        let picture = self.tally.is_some().then(|| self.picture(&offenders, &tops));
        if let Some(picture) = &picture {
            self.write_files(picture)?;
        }
        if self.format == Format::Text {
            match picture.filter(|_| self.args.detail) {
                Some(picture) => bytes.extend_from_slice((picture.tops_text(room()) + &picture.sources_text()).as_bytes()),
                None => bytes.extend_from_slice((offender_table(&offenders) + &system_table(&offenders)).as_bytes()),
            }
            bytes.extend_from_slice(signature_table(&self.summary.signatures).as_bytes());
            let apart = if self.args.detail && !offenders.is_empty() { "\n" } else { "" };
            bytes.extend_from_slice((apart.to_owned() + &tops.levels_text()).as_bytes());
        }
        self.summary.tops = self.args.detail.then_some(tops);
        if let Some(other) = outcomes.get(1) {
            what_if(&offenders, &other.offenders(), self.args, self.format, &mut bytes);
        }
        match self.format {
            Format::Json => bytes.extend_from_slice(self.summary.to_json_line().as_bytes()),
            Format::Csv => {}
            Format::Text => {
                bytes.extend_from_slice(self.summary.text().as_bytes());
                if self.config.policy.dry_run {
                    bytes.extend_from_slice(b"The configuration is a dry run: nobody would be blocked in earnest.\n");
                }
            }
        }
        self.print(&bytes)?;
        self.out.flush().map_err(|e| fail(e.to_string()))
    }
}

impl<W: Write> Reader<'_, W> {
    /// Everything that there is to show, of the worst sources.
    fn picture(&self, offenders: &[OffenderLine], tops: &picture::Tops) -> Picture {
        let mut sources = offenders.to_vec();
        picture::sort(&mut sources);
        sources.truncate(self.args.top);
        let names: Vec<String> = self.args.files.iter().map(|path| path.display().to_string()).collect();
        let SummaryLine { lines, events, offenders, ignored, .. } = &self.summary;
        let heads = [("lines", *lines), ("packets", *events), ("sources charged", *offenders), ("of no meaning", *ignored)];
        Picture {
            title: format!("riposte replay: {}", names.join(", ")),
            heads: heads.map(|(what, number)| (what.to_owned(), thousands(number))).to_vec(),
            tops: tops.clone(),
            signatures: self.summary.signatures.iter().take(self.args.top).cloned().collect(),
            sources,
            sources_in_all: self.summary.offenders,
            blocks: None,
            timeline: self.tally.as_ref().map(|tally| (tally.timeline.clone(), "packet")),
        }
    }

    /// The page and the plot.
    fn write_files(&self, picture: &Picture) -> Result<(), Failure> {
        let args = self.args;
        if let Some(path) = &args.html {
            write_file(path, report::html::page(picture).as_bytes())?;
        }
        let Some(kind) = args.plot else { return Ok(()) };
        let empty = Timeline::default();
        let timeline = picture.timeline.as_ref().map_or(&empty, |(timeline, _)| timeline);
        let drawing = match kind {
            cli::Plot::Ports => plot::ports_over_time(timeline),
            cli::Plot::Sources => plot::sources_by_port(&picture.sources),
            cli::Plot::Counts => plot::counts_over_time(timeline, "packet"),
        };
        args.svg.iter().try_for_each(|path| write_file(path, drawing.to_svg().as_bytes()))?;
        args.png.iter().try_for_each(|path| write_file(path, &drawing.to_png()))
    }
}

/// The line as JSON, without what only pictures need.
fn without_samples(line: &mut OffenderLine) -> String {
    let samples = line.detail.as_mut().map(|detail| std::mem::take(&mut detail.samples));
    let json = line.to_json_line();
    if let (Some(detail), Some(samples)) = (&mut line.detail, samples) {
        detail.samples = samples;
    }
    json
}

/// Writes a file that was asked for by name.
///
/// # Errors
/// One line that names it.
pub fn write_file(path: &PathBuf, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|error| fail(format!("{}: {error}", path.display())))
}

/// The program that reads a compressed file, told by the file's first bytes.
fn decompressor(bytes: &[u8]) -> Option<&'static str> {
    let magics: [(&[u8], &str); 4] = [(b"\x1f\x8b", "zcat"), (b"\xfd7zXZ\0", "xzcat"), (b"\x28\xb5\x2f\xfd", "zstdcat"), (b"BZh", "bzcat")];
    magics.into_iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, program)| program)
}

fn changed(meta: &std::fs::Metadata) -> Time {
    let since = meta.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    since.map_or_else(now, |since| Time::from_nanos(since.as_nanos() as u64))
}

/// Why a packet is no evidence against its sender, if it is none.
fn ignored(sighting: &Sighting<'_>) -> Option<&'static str> {
    match sighting.reading {
        Reading::Evidence(Act::Probe(_), _) => None,
        Reading::Evidence(Act::Reached { .. } | Act::Reported(_) | Act::Touched(_) | Act::Matched(_) | Act::Guessed(_), _) => {
            Some("let through")
        }
        Reading::Harmless(why) => Some(why.word()),
    }
}

fn print_event(sighting: &Sighting<'_>, base: u64, format: Format, out: &mut Vec<u8>) {
    let facts = &sighting.facts;
    let trust = match sighting.reading {
        Reading::Evidence(_, trust) => trust,
        Reading::Harmless(_) if facts.established => Trust::Handshake,
        Reading::Harmless(_) => Trust::Spoofable,
    };
    let some = |bytes| Some(bytes).filter(|b: &&[u8]| !b.is_empty());
    let line = EventLine {
        line: base + sighting.serial,
        time: sighting.at,
        actor: facts.source,
        target: Some(facts.target),
        protocol: facts.protocol,
        source_port: facts.source_port,
        port: facts.port,
        flags: facts.flags,
        chain: Some(facts.chain.word()),
        interface: some(sighting.interface_in).or(some(sighting.interface_out)),
        prefix: some(sighting.prefix),
        trust: Some(trust),
        times: sighting.times,
        ignored: ignored(sighting),
    };
    match format {
        Format::Json => line.to_json_line(out),
        Format::Csv => line.to_csv_line(out),
        Format::Text => {
            // People read the same words, one packet a line.
            line.to_csv_line(out);
        }
    }
}

/// An offender whom the other configuration would have treated differently.
#[derive(Serialize)]
struct WhatIfLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    address: Whom,
    config: &'a str,
    now: Verdict,
    decision: Verdict,
}

/// Whom the other configuration would have treated differently.
fn what_if(now: &[OffenderLine], other: &[OffenderLine], args: &cli::Replay, format: Format, out: &mut Vec<u8>) {
    let name = args.what_if.as_deref().map_or_else(String::new, |path| path.display().to_string());
    let mut sides: std::collections::BTreeMap<Whom, (Option<&OffenderLine>, Option<&OffenderLine>)> = std::collections::BTreeMap::new();
    now.iter().for_each(|line| sides.entry(line.address).or_default().0 = Some(line));
    other.iter().for_each(|line| sides.entry(line.address).or_default().1 = Some(line));
    let verdict = |line: Option<&OffenderLine>| line.map_or_else(|| Verdict::none("not charged"), |line| line.decision.clone());
    let differing = sides.into_iter().map(|(address, (now, other))| (address, verdict(now), verdict(other)));
    let differing: Vec<_> = differing.filter(|(_, now, other)| (now.action, now.seconds) != (other.action, other.seconds)).collect();
    if format == Format::Text {
        out.extend_from_slice(format!("\nWith {name}, {} of these would have fared differently:\n", differing.len()).as_bytes());
    }
    for (address, now, other) in differing {
        let words = |v: &Verdict| {
            v.seconds.map_or_else(|| v.action.word().to_owned(), |s| format!("{} {}", v.action.word(), report::duration::Human(s)))
        };
        match format {
            Format::Json => {
                let line = WhatIfLine { kind: "what-if", address, config: &name, now, decision: other };
                out.extend(report::serial::to_json_line(&line).unwrap_or_default().into_bytes());
            }
            Format::Text | Format::Csv => {
                let address = address.to_string();
                out.extend_from_slice(format!("  {address:<20} {} instead of {}: {}\n", words(&other), words(&now), other.why).as_bytes());
            }
        }
    }
}
