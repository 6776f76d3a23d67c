//! psad's analysis of a log, as Debian packs it: in a network of its own, with a private view of the folders that it writes to.

use crate::bench::peers::{PRIVATE, secluded};
use crate::namespace::Namespace;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

/// Where Debian's package has its configuration.
pub const ETC: &str = "/etc/psad";

/// Copies Debian's configuration into a folder, with what psad needs to run at all without asking the network: a name, no mail, no lookups.
///
/// # Errors
/// If it isn't there, or can't be copied.
pub fn configure(folder: &Path) -> io::Result<()> {
    crate::namespace::run("cp", [Path::new("-rT"), Path::new(ETC), folder])?;
    let text = fs::read_to_string(folder.join("psad.conf"))?;
    let changed = text.lines().map(|line| match line.split_whitespace().next() {
        Some("HOSTNAME") => "HOSTNAME gate;".to_owned(),
        Some("ALERTING_METHODS") => "ALERTING_METHODS noemail;".to_owned(),
        Some("ENABLE_WHOIS_LOOKUPS") => "ENABLE_WHOIS_LOOKUPS N;".to_owned(),
        Some("ENABLE_DNS_LOOKUPS") => "ENABLE_DNS_LOOKUPS N;".to_owned(),
        Some("ENABLE_FW_LOGGING_CHECK") => "ENABLE_FW_LOGGING_CHECK N;".to_owned(),
        Some(_) | None => line.to_owned(),
    });
    fs::write(folder.join("psad.conf"), changed.collect::<Vec<_>>().join("\n") + "\n")
}

/// The command that has psad, so configured, look at a log. Its standard output goes nowhere until somebody says where.
pub fn analysis(namespace: &Namespace, etc: &Path, log: &Path) -> Command {
    let script = format!(
        "{PRIVATE} && mkdir -p /run/psad /var/log/psad && mount -t tmpfs tmpfs /var/lib/psad && mount --bind {} {ETC} && exec taskset -c 0 psad -A -m {}",
        etc.display(),
        log.display()
    );
    secluded(namespace.command("unshare"), &script)
}
