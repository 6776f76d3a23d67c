//! `riposte check`: what the configuration means, or what is wrong with it.

use super::Failure;
use crate::cli;
use crate::config::problems::Diagnostic;
use crate::config::words::{did_you_mean, quoted};
use crate::config::{Config, DEFAULT_PATH, respond};
use crate::lives::applications::engine;
use crate::lives::{fingerprints, signatures};
use serde_json::json;
use std::io::Write;
use std::path::Path;

/// Prints the canonical form; with `--json` also the errors as JSON.
///
/// # Errors
/// One line for each thing that is wrong.
pub fn run(args: &cli::Check, out: &mut impl Write) -> Result<(), Failure> {
    let loaded = match &args.config {
        Some(path) => Config::load(path),
        None => Config::load_default(),
    };
    let io = |e: std::io::Error| super::fail(e.to_string());
    let loaded = loaded.and_then(|config| there(args.config.as_deref(), &config).map(|()| config));
    match loaded {
        Ok(config) if args.json => writeln!(out, "{}", json!({"ok": true, "config": config.canonical()})).map_err(io),
        Ok(config) => write!(out, "{}", config.canonical()).map_err(io),
        Err(wrong) => {
            if args.json {
                let errors: Vec<_> = wrong
                    .iter()
                    .map(|d| json!({"file": d.file, "line": d.at.map(|p| p.line), "column": d.at.map(|p| p.column), "message": d.message}))
                    .collect();
                writeln!(out, "{}", json!({"ok": false, "errors": errors})).map_err(io)?;
            }
            Err(wrong.iter().map(ToString::to_string).collect())
        }
    }
}

/// Whether the rules, the group and the user that are named are there, on this machine. riposte does not start without the group; without the user it
/// does, and says what that costs.
fn there(file: Option<&Path>, config: &Config) -> Result<(), Vec<Diagnostic>> {
    let names = |path: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().filter_map(|line| line.split(':').next()).map(str::to_owned).collect::<Vec<String>>()
    };
    let hint = |name: &str, path: &str| did_you_mean(name, names(path).iter().map(String::as_str));
    let user = &config.process.user;
    if let Ok(None) = sys::identity::lookup_user(user) {
        let hint = hint(user, "/etc/passwd");
        eprintln!("riposte: process.user: there is no user {} on this machine: 'nobody' is used{hint}", quoted(user));
    }
    let wrong =
        |message: String| vec![Diagnostic { file: file.unwrap_or(Path::new(DEFAULT_PATH)).display().to_string(), at: None, message }];
    if config.applications.enabled {
        let rules = engine::load(&config.applications, &config.responses)
            .map_err(|all| all.into_iter().flat_map(|error| wrong(format!("[applications] rules: {error}"))).collect::<Vec<_>>())?;
        rules.notices.iter().for_each(|notice| eprintln!("riposte: [applications] rules: {notice}"));
    }
    let (_, remarks) = signatures::load(&config.signatures)
        .map_err(|all| all.into_iter().flat_map(|error| wrong(format!("[signatures]: {error}"))).collect::<Vec<_>>())?;
    remarks.iter().for_each(|remark| eprintln!("riposte: [signatures]: {remark}"));
    fingerprints::load(&config.fingerprint)
        .map_err(|all| all.into_iter().flat_map(|error| wrong(format!("[fingerprint]: {error}"))).collect::<Vec<_>>())?;
    crate::config::response::check(&config.responses).map_err(|all| all.into_iter().flat_map(&wrong).collect::<Vec<_>>())?;
    let notices = respond::check(config).map_err(&wrong)?;
    notices.iter().for_each(|notice| eprintln!("riposte: [respond]: {notice}"));
    for needs in respond::beyond_the_unit(&config.respond) {
        eprintln!("riposte: [respond]: {needs}: root has that; under the systemd unit it takes the drop-in respond.conf");
    }
    match &config.control.group {
        Some(group) if matches!(sys::identity::lookup_group(group), Ok(None)) => {
            let message = format!("control.group: there is no group {} on this machine{}", quoted(group), hint(group, "/etc/group"));
            Err(wrong(message))
        }
        Some(_) | None => Ok(()),
    }
}
