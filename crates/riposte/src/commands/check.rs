//! `riposte check`: what the configuration means, or what is wrong with it.

use super::Failure;
use crate::cli;
use crate::config::Config;
use serde_json::json;
use std::io::Write;

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
