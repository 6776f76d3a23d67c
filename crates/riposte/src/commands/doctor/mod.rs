//! `riposte doctor`: is everything there that riposte needs, does the running one do its work, and does a probe go the whole way from
//! the wire to a block and back. Changes nothing on this machine; only `--live`, which is asked for, adds an interface for some seconds.

mod daemon;
mod host;
mod whole_way;

use super::{Failure, fail};
use crate::cli;
use crate::config::Config;
use serde::Serialize;
use std::fmt::Display;
use std::io::Write;

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, but not as well as it could.
    Warn,
    /// It does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// What.
    pub what: String,
    /// How it stands.
    pub state: State,
    /// What was seen.
    pub said: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

/// All findings so far.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// It is as it should be.
    pub fn ok(&mut self, what: &str, said: impl Display) {
        self.add(what, State::Ok, said, None);
    }

    /// It could be better.
    pub fn warn(&mut self, what: &str, said: impl Display, todo: impl Display) {
        self.add(what, State::Warn, said, Some(todo.to_string()));
    }

    /// It does not work.
    pub fn fail(&mut self, what: &str, said: impl Display, todo: impl Display) {
        self.add(what, State::Fail, said, Some(todo.to_string()));
    }

    fn add(&mut self, what: &str, state: State, said: impl Display, todo: Option<String>) {
        self.0.push(Finding { what: what.to_owned(), state, said: said.to_string(), todo });
    }

    fn count(&self, state: State) -> usize {
        self.0.iter().filter(|finding| finding.state == state).count()
    }
}

/// Looks at everything and tells it.
///
/// # Errors
/// If anything does not work: one line that says how much.
pub fn run(args: &cli::Doctor, out: &mut impl Write) -> Result<(), Failure> {
    let mut findings = Findings::default();
    let loaded = match &args.ask.config {
        Some(path) => Config::load(path),
        None => Config::load_default(),
    };
    match loaded {
        Ok(config) => {
            findings.ok("configuration", "can be read and makes sense");
            host::look(&config, &mut findings);
            daemon::look(&config, args.ask.socket.as_deref(), &mut findings);
            whole_way::in_private(&config, &mut findings);
            if args.live {
                whole_way::live(&config, &mut findings);
            }
        }
        Err(wrong) => {
            let lines: Vec<String> = wrong.iter().map(ToString::to_string).collect();
            findings.fail("configuration", lines.join("; "), "correct it: nothing else was looked at");
        }
    }
    tell(&findings, args.ask.json, out).map_err(|e| fail(e.to_string()))?;
    match findings.count(State::Fail) {
        0 => Ok(()),
        1 => Err(fail("1 thing does not work")),
        n => Err(fail(format!("{n} things do not work"))),
    }
}

fn tell(findings: &Findings, json: bool, out: &mut impl Write) -> std::io::Result<()> {
    if json {
        for finding in &findings.0 {
            writeln!(out, "{}", serde_json::to_string(finding).map_err(std::io::Error::other)?)?;
        }
        return out.flush();
    }
    for finding in &findings.0 {
        let word = match finding.state {
            State::Ok => "ok  ",
            State::Warn => "warn",
            State::Fail => "FAIL",
        };
        writeln!(out, "{word}  {:28} {}", finding.what, finding.said)?;
        if let Some(todo) = &finding.todo {
            writeln!(out, "{:36}→ {todo}", "")?;
        }
    }
    let [ok, warn, failed] = [State::Ok, State::Warn, State::Fail].map(|state| findings.count(state));
    writeln!(out, "\n{ok} ok, {warn} could be better, {failed} do not work.")?;
    out.flush()
}
