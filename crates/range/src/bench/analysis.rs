//! How fast a firewall log is read beside psad on the same file: on one core, and with all signatures and fingerprints; and that memory does
//! not grow with the file.

use super::figure::{Figure, Unit};
use super::{Context, have, peers, progress, seconds_since};
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
const EVERYTHING: &str = "[signatures]\nenabled = true\n\n[fingerprint]\nenabled = true\n";

pub fn measure(context: &Context) -> io::Result<Vec<Figure>> {
    let file = context.folder("analysis")?.join("kern.log");
    progress(&format!("analysis: writing {LINES} lines"));
    let mut out = BufWriter::new(File::create(&file)?);
    logs::write(&mut out, LINES, SOURCES, SEED)?;
    out.flush()?;

    let (wall, usage) = best(|| replay(context, &file, &["taskset", "-c", "0"], &[]))?;
    let everything = context.folder("analysis")?.join("everything.toml");
    std::fs::write(&everything, EVERYTHING)?;
    let with: [&Path; 2] = ["--config".as_ref(), &everything];
    let (full_wall, full_usage) = best(|| replay(context, &file, &[], &with))?;
    let (_, full_usage_one) = best(|| replay(context, &file, &["taskset", "-c", "0"], &with))?;
    let psad = match have("psad") {
        true => {
            progress("analysis: psad on the same file (minutes)");
            Some(peers::psad(context, &file)?)
        }
        false => None,
    };
    let rate = |wall: f64| f64::from(LINES) / wall;
    let mib = |usage: Usage| usage.resident_max_kib as f64 / 1024.0;
    progress("analysis: ten times as many lines, from a pipe");
    let long = piped(context, 10 * LINES, SOURCES)?;
    progress("analysis: ten times as many lines and sources, from a pipe");
    let wide = piped(context, 10 * LINES, 10 * SOURCES)?;
    let cpu = usage.processor().as_secs_f64();
    let words = |usage: Usage| format!("user {:.2} s, system {:.2} s", usage.user.as_secs_f64(), usage.system.as_secs_f64());
    let psad_cpu = psad.map_or_else(String::new, |(_, usage)| format!("; psad: {}", words(usage)));
    Ok(vec![
        Figure::more("log lines a second, one core", rate(wall), Unit::PerSecond)
            .beside("psad", psad.map(|(wall, _)| rate(wall)))
            .promised_ratio(300.0)
            .noted(format!(
                "{LINES} lines, {SOURCES} sources, best of {RUNS}, wall; psad -A once, pinned alike. riposte: {}{psad_cpu}",
                words(usage)
            )),
        Figure::more("the same by processor time", f64::from(LINES) / cpu, Unit::PerSecond)
            .beside("psad", psad.map(|(_, usage)| f64::from(LINES) / usage.processor().as_secs_f64()))
            .promised_ratio(300.0)
            .noted("the fairer figure on a machine that does other things at the same time"),
        Figure::more("with all signatures and fingerprints", rate(full_wall), Unit::PerSecond)
            .beside("psad", psad.map(|(wall, _)| rate(wall)))
            .promised_ratio(200.0)
            .noted(format!(
                "the same file, and psad's same run, which has signatures and fingerprints too; riposte reads on one core and judges on another: {}; \
                 on one core {:.0} lines a second of processor time",
                words(full_usage),
                f64::from(LINES) / full_usage_one.processor().as_secs_f64()
            )),
        Figure::less("resident while it reads", mib(usage), Unit::Mebibytes)
            .promised(64.0)
            .beside("psad", psad.map(|(_, usage)| mib(usage))),
        Figure::less("resident, 10 × lines", mib(long), Unit::Mebibytes).promised(64.0),
        Figure::less("resident, 10 × lines and sources", mib(wide), Unit::Mebibytes).noted(format!(
            "{} lines of {} sources, most of them offenders; 65,536 are followed at one time, so it grows no further",
            10 * LINES,
            10 * SOURCES
        )),
    ])
}

/// The quickest of some runs: wall seconds and what it took.
fn best(run: impl Fn() -> io::Result<(f64, Usage)>) -> io::Result<(f64, Usage)> {
    let mut best: Option<(f64, Usage)> = None;
    for _ in 0..RUNS {
        let run = run()?;
        progress(&format!("analysis: riposte {:.3} s wall, {:.3} s CPU", run.0, run.1.processor().as_secs_f64()));
        best = Some(best.filter(|best| best.0 <= run.0).unwrap_or(run));
    }
    best.ok_or_else(|| io::Error::other("no run"))
}

/// `riposte replay` of a file with further arguments, behind what pins it, if anything does.
fn replay(context: &Context, file: &Path, pin: &[&str], with: &[&Path]) -> io::Result<(f64, Usage)> {
    let words = pin.iter().map(Path::new).chain([context.riposte.as_path(), Path::new("replay"), Path::new("--json")]);
    let mut words = words.chain(with.iter().copied()).chain([file]);
    let mut command = Command::new(words.next().unwrap_or(&context.riposte));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null());
    let start = monotonic();
    let (status, usage) = usage::wait(command.spawn()?)?;
    let wall = seconds_since(start);
    if status.success() { Ok((wall, usage)) } else { Err(io::Error::other(format!("riposte replay: {status}"))) }
}

fn piped(context: &Context, lines: u32, sources: u32) -> io::Result<Usage> {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).arg(&context.riposte).args(["replay", "--json", "-"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn()?;
    let input = child.stdin.take().ok_or_else(|| io::Error::other("no pipe"))?;
    let mut out = BufWriter::with_capacity(1 << 20, input);
    logs::write(&mut out, lines, sources, SEED)?;
    out.flush()?;
    drop(out);
    let (status, usage) = usage::wait(child)?;
    if status.success() { Ok(usage) } else { Err(io::Error::other(format!("riposte replay -: {status}"))) }
}
