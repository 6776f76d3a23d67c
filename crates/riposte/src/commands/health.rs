//! `riposte status --check`: asks the daemon how it is and says so in one line. Writes nothing but its own file of figures.

use super::ask;
use crate::cli;
use report::health::{Health, State, Thresholds};
use report::status::StatusReport;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Bytes of a file of figures.
const STATE_BYTES: u64 = 16 << 20;

/// Prints the line (or an object) and hands back the exit code.
pub fn run(args: &cli::Status, out: &mut impl Write) -> ExitCode {
    let health = look(args);
    let line = if args.ask.json { report::serial::to_json_line(&health).unwrap_or_default() } else { health.line() + "\n" };
    // Nobody reads it: then the code is all there is.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    ExitCode::from(health.state as u8)
}

fn look(args: &cli::Status) -> Health {
    let unknown = |lines: Vec<String>| Health::unreachable(State::Unknown, &lines.join("; "));
    let place = match ask::place(args.ask.socket.as_deref(), args.ask.config.as_deref()) {
        Ok(place) => place,
        Err(lines) => return unknown(lines),
    };
    let asked = ask::reach(Some(&place), None).and_then(|mut client| {
        client.wait_at_most(Duration::from_secs(args.timeout)).map_err(super::fail)?;
        ask::figures(&mut client)
    });
    let report = match asked {
        Ok(report) => report,
        // Who may not ask does not know how it is; who is not answered does.
        Err(lines) if lines.iter().any(|line| line.contains("try with sudo")) => return unknown(lines),
        Err(lines) => return Health::unreachable(State::Critical, &lines.join("; ")),
    };
    let before = match args.state.as_deref().map(read).transpose() {
        Ok(before) => before.flatten(),
        Err(why) => return unknown(vec![why]),
    };
    let thresholds = Thresholds { warning: args.warning.clone(), critical: args.critical.clone() };
    let health = Health::of(&report, before.as_ref(), &thresholds);
    match args.state.as_deref().map(|path| write(path, &report)).transpose() {
        Ok(_) => health,
        Err(why) => unknown(vec![why]),
    }
}

/// What was kept at the last call; `None` at the first one.
fn read(path: &Path) -> Result<Option<StatusReport>, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(&error)),
        Ok(meta) if !meta.is_file() || meta.len() > STATE_BYTES => return Err(wrong(&"is no file of figures")),
        Ok(_) => {}
    }
    let text = fs::read_to_string(path).map_err(|error| wrong(&error))?;
    serde_json::from_str(&text).map(Some).map_err(|_| wrong(&"is no file of figures: take another name"))
}

/// Beside it first, so that a call that is ended in the middle leaves the last figures.
fn write(path: &Path, report: &StatusReport) -> Result<(), String> {
    let line = report::serial::to_json_line(report).map_err(|error| error.to_string())?;
    let beside = path.with_extension("new");
    // Never through a link that somebody has laid there.
    let _ = fs::remove_file(&beside);
    let made = fs::File::options().write(true).create_new(true).open(&beside);
    let kept = made.and_then(|mut file| file.write_all(line.as_bytes())).and_then(|()| fs::rename(&beside, path));
    kept.map_err(|error| format!("{}: {error}", path.display()))
}
