//! The commands that ask the running daemon: status, list, block, unblock, allow, explain, history, reload.

use super::replay::write_file;
use super::{Failure, config, fail};
use crate::cli::{self, Ask};
use crate::config::words::{Period, quoted};
use crate::control::client::Client;
use crate::control::protocol::{AllowedLine, Done, ERROR_CHARS, PAGE, Reloaded, Request};
use model::net::Prefix;
use report::duration::Human;
use report::escape;
use report::explain::Explanation;
use report::history::HistoryLine;
use report::list::{BlockLine, Listed};
use report::offender::SignatureLine;
use report::picture::{Offenders, Picture};
use report::replay::TopSignature;
use report::status::{ProcessLine, SignatureCount, StatusReport};
use report::table::{Room, count, thousands};
use report::timeline::Timeline;
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use sys::identity::{ProcessReport, Seccomp};

/// Entries of others' lists that `list` shows to people.
const LISTED_SHOWN: usize = 20;

pub(super) fn connect(ask: &Ask) -> Result<Client, Failure> {
    reach(ask.socket.as_deref(), ask.config.as_deref())
}

/// Connects to the daemon at this socket, or at the one that the configuration names.
///
/// # Errors
/// One line that says what to do.
pub fn reach(socket: Option<&Path>, named: Option<&Path>) -> Result<Client, Failure> {
    Client::connect(&place(socket, named)?).map_err(fail)
}

/// Where the daemon is to be asked.
///
/// # Errors
/// One line for each thing that is wrong with the configuration.
pub fn place(socket: Option<&Path>, named: Option<&Path>) -> Result<PathBuf, Failure> {
    match socket {
        Some(socket) => Ok(socket.to_owned()),
        // An error in the file is no reason to leave a running daemon without orders: where it is to be asked may be right all the same.
        None => match config(named) {
            Ok(config) => Ok(config.control.socket),
            Err(wrong) => crate::config::socket_in(named).ok_or(wrong),
        },
    }
}

pub(super) fn io(error: std::io::Error) -> Failure {
    fail(error.to_string())
}

pub(super) fn json_line(out: &mut impl Write, value: &impl Serialize) -> Result<(), Failure> {
    let line = report::serial::to_json_line(value).map_err(|e| fail(e.to_string()))?;
    out.write_all(line.as_bytes()).map_err(io)
}

/// Standard output's width, which is where all of this goes.
pub fn room() -> Room {
    if std::io::stdout().is_terminal() { Room::Terminal } else { Room::Endless }
}

/// A prefix as typed, checked before the daemon is asked.
fn prefix(text: &str) -> Result<String, Failure> {
    text.parse::<Prefix>().map(|p| p.to_string()).map_err(|e| fail(e.to_string()))
}

fn seconds(text: &str) -> Result<u64, Failure> {
    text.parse::<Period>().map(|period| period.0.as_secs()).map_err(|e| fail(format!("{} {e}", quoted(text))))
}

/// `riposte status`.
///
/// # Errors
/// One line that says why there is no answer.
pub fn status(args: &cli::Status, out: &mut impl Write) -> Result<(), Failure> {
    let mut client = connect(&args.ask)?;
    let mut report = figures(&mut client)?;
    if !args.sandbox && !args.prometheus {
        let prefix = args.address.as_deref().map(prefix).transpose()?;
        report.offenders = Some(client.ask(&Request::Offenders { top: args.top, prefix, level: args.level })?);
    }
    let is_text = !(args.sandbox || args.prometheus || args.ask.json);
    let picture = if is_text || args.html.is_some() { Some(picture(&mut client, &report, args)?) } else { None };
    if let Some((path, picture)) = args.html.as_ref().zip(picture.as_ref()) {
        write_file(path, report::html::page(picture).as_bytes())?;
    }
    match (args.sandbox, args.ask.json) {
        (true, true) => super::sandbox::read(&report)?.iter().try_for_each(|process| json_line(out, process)),
        (true, false) => write!(out, "{}", super::sandbox::text(&super::sandbox::read(&report)?)).map_err(io),
        (false, true) => json_line(out, &report),
        (false, false) => match &picture {
            Some(picture) => write!(out, "{}", status_text(&report, picture, args)).map_err(io),
            None => write!(out, "{}", report::metrics::text(&report)).map_err(io),
        },
    }
}

/// The sources and blocks of the daemon as `replay` shows those of a log.
fn picture(client: &mut Client, report: &StatusReport, args: &cli::Status) -> Result<Picture, Failure> {
    let Offenders { tops, in_all, worst } = report.offenders.clone().unwrap_or_default();
    let inside = args.address.as_deref().and_then(|address| address.parse::<Prefix>().ok());
    let is_meant = |block: &BlockLine| {
        inside.is_none_or(|inside| inside.overlaps(&block.address.0))
            && args.level.is_none_or(|level| block.level.is_some_and(|l| l >= level))
    };
    let is_all = inside.is_none() && args.level.is_none();
    let (mut blocks, mut standing): (Vec<BlockLine>, u64) = (Vec::new(), 0);
    pages(client, |page| {
        for block in page.into_iter().filter(&is_meant) {
            standing += 1;
            if blocks.len() < args.top {
                blocks.push(block);
            }
        }
        // Without a choice the first are enough: how many there are is known.
        Ok(!is_all)
    })?;
    let standing = if is_all { report.blocks.active } else { standing };
    let timeline = if args.html.is_some() { Some((charges(client, args)?, "charge")) } else { None };
    let head = [
        ("up", Human(report.uptime_secs).to_string()),
        ("blocks", thousands(report.blocks.active)),
        ("sources charged", thousands(in_all)),
    ];
    let signature = |line: &SignatureCount| TopSignature {
        signature: SignatureLine { sid: line.sid, message: line.message.clone(), count: line.count },
        sources: line.sources,
    };
    Ok(Picture {
        title: "riposte status".to_owned(),
        heads: head.map(|(what, how_many)| (what.to_owned(), how_many)).to_vec(),
        tops,
        signatures: report.signatures.iter().take(args.top).map(signature).collect(),
        sources: worst,
        sources_in_all: in_all,
        blocks: Some((blocks, standing)),
        timeline,
    })
}

/// What was charged when, in the last week.
fn charges(client: &mut Client, args: &cli::Status) -> Result<Timeline, Failure> {
    const WEEK: u64 = 7 * 86_400;
    let history = Request::History { prefix: args.address.clone(), since_secs: Some(WEEK), limit: usize::MAX };
    let entries: Vec<HistoryLine> = client.ask(&history)?;
    let mut timeline = Timeline::default();
    // What has no level is no charge but a turn in a block's life.
    let charges = entries.iter().filter(|line| line.level > 0 && args.level.is_none_or(|level| line.level >= level));
    charges.for_each(|line| timeline.count(line.at.0, None, 1));
    Ok(timeline)
}

fn status_text(report: &StatusReport, picture: &Picture, args: &cli::Status) -> String {
    let few = args.summary || args.address.is_some() || args.level.is_some();
    let mut text = if few { report.head_text() } else { report.text(room()) };
    text += &picture.tops_text(room());
    text += &picture.tops.levels_text();
    if let Some((blocks, all)) = picture.blocks.as_ref().filter(|(blocks, _)| !blocks.is_empty()) {
        let more = all.saturating_sub(blocks.len() as u64);
        text = text + "\n" + &report::list::text(blocks, room());
        if more > 0 {
            text += &format!("and {} (riposte list shows all)\n", count(more, "other"));
        }
    }
    if few {
        text += &report.signatures_text(room());
    }
    if args.detail || args.address.is_some() {
        text += &picture.sources_text();
    }
    text
}

/// The daemon's status, with what the kernel says of each process.
///
/// # Errors
/// One line that says why there is no answer.
pub fn figures(client: &mut Client) -> Result<StatusReport, Failure> {
    let mut report: StatusReport = client.ask(&Request::Status)?;
    report.processes.iter_mut().for_each(look);
    Ok(report)
}

/// What the kernel says of a process. The daemon's own word stands only for what the kernel does not tell (Landlock).
pub fn look(line: &mut ProcessLine) {
    let Ok(report) = ProcessReport::read(line.pid) else {
        line.landlock = format!("{} (process not visible from here)", line.landlock);
        return;
    };
    line.uid = report.uid;
    line.capabilities = report.capabilities;
    line.no_new_privs = report.no_new_privs;
    line.rss_kb = report.resident_bytes / 1_024;
    line.open_fds = std::fs::read_dir(format!("/proc/{}/fd", line.pid)).ok().map(|open| open.count() as u64);
    line.seccomp = match report.seccomp {
        Seccomp::Off => "off".into(),
        Seccomp::Strict => "strict".into(),
        Seccomp::Filters(n) => format!("filter ({n})"),
    };
}

/// `riposte reload`.
///
/// # Errors
/// One line for each thing that is wrong with the configuration, or why there is no answer.
pub fn reload(args: &Ask, out: &mut impl Write) -> Result<(), Failure> {
    let reloaded: Reloaded = connect(args)?.ask(&Request::Reload)?;
    if args.json {
        return json_line(out, &reloaded);
    }
    writeln!(out, "The configuration is in force.").map_err(io)?;
    reloaded.later.iter().try_for_each(|line| writeln!(out, "{line}").map_err(io))
}

/// Hands over all blocks that stand, page after page, while `take` wants more.
fn pages(client: &mut Client, mut take: impl FnMut(Vec<BlockLine>) -> Result<bool, Failure>) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let page: Vec<BlockLine> = client.ask(&Request::List { after })?;
        after = page.last().map(|line| line.address.to_string());
        let is_full = page.len() == PAGE;
        if !(take(page)? && is_full) {
            return Ok(());
        }
    }
}

/// `riposte list`.
///
/// # Errors
/// One line that says why there is no answer.
pub fn list(args: &cli::List, out: &mut impl Write) -> Result<(), Failure> {
    let (mut client, is_json) = (connect(&args.ask)?, args.ask.json);
    let mut all: Vec<BlockLine> = Vec::new();
    pages(&mut client, |page| {
        if is_json {
            page.iter().try_for_each(|line| json_line(out, line))?;
        } else {
            all.extend(page);
        }
        Ok(true)
    })?;
    // Programs want all of it, people see how many there are.
    let most = args.listed.unwrap_or(if is_json { usize::MAX } else { LISTED_SHOWN });
    let listed = listed(&mut client, most)?;
    if is_json {
        return listed.entries.iter().try_for_each(|line| json_line(out, line));
    }
    write!(out, "{}", report::list::whole_text(&all, &listed, room())).map_err(io)
}

/// What others' lists block: the first so many.
fn listed(client: &mut Client, most: usize) -> Result<Listed, Failure> {
    let mut listed = Listed { all: None, entries: Vec::new() };
    loop {
        let after = listed.entries.last().map(|line: &BlockLine| line.address.to_string());
        let page: Listed = client.ask(&Request::Listed { after, limit: most - listed.entries.len() })?;
        let is_full = page.entries.len() == PAGE;
        listed.all = listed.all.or(page.all);
        listed.entries.extend(page.entries);
        if !is_full || listed.entries.len() >= most {
            return Ok(listed);
        }
    }
}

pub(super) fn order(ask: &Ask, request: &Request, out: &mut impl Write) -> Result<(), Failure> {
    let done: Done = connect(ask)?.ask(request)?;
    if ask.json {
        return json_line(out, &done);
    }
    // An allowance may take more with it than was said: a blocked range that holds the address is lifted as a whole.
    let lifted = match (request, done.changed) {
        (Request::Allow { .. }, 1) => "; 1 block was lifted for it".to_owned(),
        (Request::Allow { .. }, 2..) => format!("; {} blocks were lifted for it", done.changed),
        (_, _) => String::new(),
    };
    writeln!(out, "{}{lifted}.", escape::text(&done.said, ERROR_CHARS)).map_err(io)
}

/// `riposte block`.
///
/// # Errors
/// One line that says why not.
pub fn block(args: &cli::Block, out: &mut impl Write) -> Result<(), Failure> {
    let seconds = if args.span == "never" { None } else { Some(seconds(&args.span)?) };
    order(&args.ask, &Request::Block { prefix: prefix(&args.prefix)?, seconds, note: args.note.clone() }, out)
}

/// `riposte unblock`.
///
/// # Errors
/// One line that says why not.
pub fn unblock(args: &cli::Unblock, out: &mut impl Write) -> Result<(), Failure> {
    order(&args.ask, &Request::Unblock { prefix: prefix(&args.prefix)? }, out)
}

/// `riposte allow`.
///
/// # Errors
/// One line that says why not.
pub fn allow(args: &cli::Allow, out: &mut impl Write) -> Result<(), Failure> {
    let Some(text) = &args.prefix else {
        let list: Vec<AllowedLine> = connect(&args.ask)?.ask(&Request::Allowed)?;
        if args.ask.json {
            return list.iter().try_for_each(|line| json_line(out, line));
        }
        if list.is_empty() {
            return writeln!(out, "Nobody is allowed by hand.").map_err(io);
        }
        return list.iter().try_for_each(|line| {
            let [prefix, until] = [&line.prefix, line.until.as_deref().unwrap_or("until it is removed")].map(|word| escape::text(word, 60));
            writeln!(out, "{prefix:40} {until}").map_err(io)
        });
    };
    let prefix = prefix(text)?;
    let request = match (args.remove, &args.span) {
        (true, _) => Request::Disallow { prefix },
        (false, None) => Request::Allow { prefix, seconds: None },
        (false, Some(span)) => Request::Allow { prefix, seconds: Some(seconds(span)?) },
    };
    order(&args.ask, &request, out)
}

/// `riposte explain`.
///
/// # Errors
/// One line that says why there is no answer.
pub fn explain(args: &cli::Explain, out: &mut impl Write) -> Result<(), Failure> {
    let explanation: Explanation = connect(&args.ask)?.ask(&Request::Explain { address: args.address.clone() })?;
    if args.ask.json { json_line(out, &explanation) } else { write!(out, "{}", explanation.text(room())).map_err(io) }
}

/// `riposte history`.
///
/// # Errors
/// One line that says why there is no answer.
pub fn history(args: &cli::History, out: &mut impl Write) -> Result<(), Failure> {
    let request = Request::History {
        prefix: args.prefix.as_deref().map(prefix).transpose()?,
        since_secs: args.since.as_deref().map(seconds).transpose()?,
        limit: args.limit,
    };
    let lines: Vec<HistoryLine> = connect(&args.ask)?.ask(&request)?;
    if args.ask.json {
        return lines.iter().try_for_each(|line| json_line(out, line));
    }
    write!(out, "{}", report::history::text(&lines, room())).map_err(io)
}
