//! The demonstration.

use std::io::Write;
use std::path::Path;

/// Runs it.
///
/// # Errors
/// If it can't.
pub fn run(_binary: &Path, _only: Option<&str>, _json: bool, _out: &mut impl Write) -> std::io::Result<()> {
    Ok(())
}
