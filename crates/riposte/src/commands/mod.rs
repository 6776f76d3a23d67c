//! The commands, one file each. Each returns what the exit code shall be; errors are one line on standard error.

pub mod active_response;
pub mod alert;
pub mod ask;
pub mod check;
pub mod doctor;
pub mod feeds;
pub mod health;
pub mod hostcheck;
pub mod import;
pub mod logtest;
pub mod metrics;
pub mod pages;
pub mod portsentry;
pub mod psad;
pub mod regex;
pub mod replay;
pub mod rules;
pub mod sandbox;

use crate::config::Config;
use crate::config::problems::Diagnostic;
use std::path::Path;

/// A command's failure: lines for standard error.
pub type Failure = Vec<String>;

/// The configuration that was named, or the default one.
///
/// # Errors
/// One line for each thing that is wrong with it.
pub fn config(path: Option<&Path>) -> Result<Config, Failure> {
    let loaded = match path {
        Some(path) => Config::load(path),
        None => Config::load_default(),
    };
    loaded.map_err(|wrong| wrong.iter().map(Diagnostic::to_string).collect())
}

/// A line for standard error, as a failure.
pub fn fail(line: impl Into<String>) -> Failure {
    vec![line.into()]
}
