//! `riposte alert --test`: sends a sample by each configured way and says what became of it. In the envoy's own sandbox, so that what works here
//! works there; asks no daemon.

use super::{Failure, config, fail};
use crate::cli;
use crate::lives::envoy::{self, Tried};
use serde_json::json;
use std::io::Write;

/// Sends it.
///
/// # Errors
/// One line for each way that failed.
pub fn run(args: &cli::Alert, out: &mut impl Write) -> Result<(), Failure> {
    if !args.test {
        return Err(fail("'--test' is missing: there is nothing else to do with alerts"));
    }
    let config = config(args.config.as_deref())?;
    if !config.alert.is_on() {
        return Err(fail(
            "nobody is told anything: the configuration has none of [alert.mail], [alert.syslog], [alert.webhook], [alert.command]",
        ));
    }
    let mut failed = Vec::new();
    for Tried { way, to, result } in envoy::try_out(&config).map_err(fail)? {
        let line = match (&result, args.json) {
            (_, true) => json!({ "way": way, "to": to, "delivered": result.is_ok(), "why": result.as_ref().err() }).to_string(),
            (Ok(()), false) => format!("{way}: delivered to {to}"),
            (Err(_), false) => format!("{way}: not delivered to {to}"),
        };
        writeln!(out, "{line}").map_err(|error| fail(error.to_string()))?;
        failed.extend(result.err().map(|why| format!("{way}: {why}")));
    }
    if failed.is_empty() { Ok(()) } else { Err(failed) }
}
