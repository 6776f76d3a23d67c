//! How fast a log of logins is read, on one core, with every rule that riposte ships, beside fail2ban, sshguard's
//! parser and CrowdSec on the same file.

use super::figure::{Figure, Unit};
use super::{Context, crowdsec, have, peers, progress, seconds_since};
use crate::logs;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use sys::clock::monotonic;
use sys::usage::{self, Usage};

const LINES: u32 = 1_000_000;
const SOURCES: u32 = 10_000;
const SEED: u64 = 1;
const RUNS: usize = 3;

pub fn measure(context: &Context) -> io::Result<Vec<Figure>> {
    let file = context.folder("logins")?.join("auth.log");
    progress(&format!("logins: writing {LINES} lines"));
    let mut out = BufWriter::new(File::create(&file)?);
    // fail2ban only counts what is recent.
    let until = crate::namespace::run("date", ["+%s"])?.trim().parse().map_err(io::Error::other)?;
    logs::write_logins(&mut out, LINES, SOURCES, SEED, until)?;
    out.flush()?;
    drop(out);

    let mut best: Option<(f64, Usage)> = None;
    for _ in 0..RUNS {
        let run = timed(pinned(context.riposte()).args(["logtest", "--summary", "--json"]).stdin(File::open(&file)?))?;
        progress(&format!("logins: riposte {:.3} s wall, {:.3} s CPU", run.0, run.1.processor().as_secs_f64()));
        if best.is_none_or(|best| run.0 < best.0) {
            best = Some(run);
        }
    }
    let ours = best.ok_or_else(|| io::Error::other("no run"))?;
    let parser = Path::new("/usr/libexec/sshguard/sshg-parser");
    let sshguard = match parser.exists() {
        true => Some(timed(pinned(parser).stdin(File::open(&file)?))?),
        false => None,
    };
    let (server, tester) = match have("fail2ban-server") {
        true => {
            progress("logins: fail2ban-server on the same file (a minute or two)");
            let server = peers::fail2ban_reading(context, &file)?;
            progress("logins: fail2ban-regex on the same file (a minute)");
            let arguments = [file.as_path(), Path::new("/etc/fail2ban/filter.d/sshd.conf")];
            (Some(server), Some(timed(pinned(Path::new("fail2ban-regex")).args(arguments).stdin(Stdio::null()))?))
        }
        false => (None, None),
    };
    progress("logins: crowdsec on a part of it (a minute)");
    let crowdsec = crowdsec::reading(context, &file)?;
    let rate = |run: (f64, Usage)| f64::from(LINES) / run.0;
    let mib = |run: (f64, Usage)| run.1.resident_max_kib as f64 / 1024.0;
    let (first, second) = ("lines of an auth.log a second, one core", "the same beside sshguard's parser");
    let (third, fourth) = ("the same beside fail2ban-regex", "resident while it reads an auth.log");
    let mut figures = vec![
        Figure::more(first, rate(ours), Unit::PerSecond).beside("fail2ban-server", server.map(rate)).promised_ratio(100.0).noted(
            format!("{LINES} lines, {SOURCES} guessers, best of {RUNS}, wall; fail2ban with its sshd jail alone, no action; riposte with all its rules"),
        ),
        Figure::more(second, rate(ours), Unit::PerSecond).beside("sshguard", sshguard.map(rate)).promised_ratio(3.0),
        Figure::more(third, rate(ours), Unit::PerSecond).beside("fail2ban-regex", tester.map(rate)),
        Figure::more("the same beside CrowdSec", rate(ours), Unit::PerSecond).beside("crowdsec", crowdsec),
        Figure::less(fourth, mib(ours), Unit::Mebibytes).promised(64.0).beside("fail2ban-server", server.map(mib)),
    ];
    figures.extend(with_ossec(context, &file)?);
    Ok(figures)
}

/// With OSSEC's own rules, if `RIPOSTE_OSSEC` says where they are: they are under the GPL, and no part of riposte.
fn with_ossec(context: &Context, file: &Path) -> io::Result<Option<Figure>> {
    let Some(rules) = std::env::var_os("RIPOSTE_OSSEC") else {
        progress("RIPOSTE_OSSEC names no folder with OSSEC's rules: measured without them");
        return Ok(None);
    };
    let mut command = pinned(context.riposte());
    let run = timed(command.args(["logtest", "--summary", "--json", "--rules"]).arg(rules).stdin(File::open(file)?))?;
    let what = "the same file by all of OSSEC's rules";
    Ok(Some(Figure::more(what, f64::from(LINES) / run.0, Unit::PerSecond).promised(150_000.0)))
}

/// On the first core.
fn pinned(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(program).stdout(Stdio::null());
    command
}

fn timed(command: &mut Command) -> io::Result<(f64, Usage)> {
    let start = monotonic();
    let (status, usage) = usage::wait(command.spawn()?)?;
    let wall = seconds_since(start);
    if status.success() { Ok((wall, usage)) } else { Err(io::Error::other(format!("{command:?}: {status}"))) }
}
