//! What riposte needs of this machine. Only looks.

use super::Findings;
use crate::config::{Config, LogSource, respond};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Below this the ledger may soon not be written any more.
const FREE_KIB_LOW: u64 = 64 << 10;
const FREE_KIB_NONE: u64 = 1 << 10;
/// 2026-01-01: a clock before riposte was written is wrong.
const EARLIEST_SECS: u64 = 1_767_225_600;
/// A firewall log in which nothing was written for so long has probably been moved away.
const SILENT: Duration = Duration::from_secs(7 * 86_400);

/// Looks at everything.
pub fn look(config: &Config, findings: &mut Findings) {
    if sys::identity::own_uid() != 0 {
        findings.warn("user", "this is not root: much can't be looked at", "sudo riposte doctor");
    }
    account(config, findings);
    store(&config.store.path, findings);
    clock(findings);
    unit(findings);
    responders(config, findings);
    config.logs.iter().for_each(|source| log(source, findings));
    if config.logs.is_empty() && !config.nflog.enabled {
        findings.fail("sensors", "neither NFLOG nor a log is configured: nothing is seen", "set [sense.nflog] enabled = true");
    }
}

fn account(config: &Config, findings: &mut Findings) {
    let name = &config.process.user;
    match sys::identity::lookup_user(name) {
        Ok(Some(user)) => findings.ok("user", format!("'{name}' is there (uid {})", user.uid)),
        Ok(None) => findings.warn(
            "user",
            format!("there is no user '{name}': 'nobody' is used, and whatever else runs as nobody can read the ledger"),
            "sudo systemd-sysusers, or: sudo useradd --system riposte",
        ),
        Err(error) => findings.fail("user", format!("/etc/passwd: {error}"), "make it readable"),
    }
}

fn store(path: &Path, findings: &mut Findings) {
    if !path.is_dir() {
        return findings.ok("store", format!("{} is not there yet: 'riposte run' makes it", path.display()));
    }
    match free_kib(path) {
        Some(free) if free < FREE_KIB_NONE => {
            return findings.fail(
                "store",
                format!("no space is left in {}: {free} KiB", path.display()),
                "make room: blocks are kept in the kernel only",
            );
        }
        Some(free) if free < FREE_KIB_LOW => {
            findings.warn("store", format!("{} MiB are left in {}", free >> 10, path.display()), "make room, or lower [store] history_max");
        }
        Some(_) | None => {}
    }
    let trial = path.join(format!(".doctor-{}", std::process::id()));
    // The folder is the unprivileged user's: what he has laid there under this name must not be written to, nor removed.
    let made = File::options().write(true).create_new(true).open(&trial);
    let is_ours = made.is_ok();
    match made.and_then(|mut file| file.write_all(&[0; 4_096])).and_then(|()| fs::remove_file(&trial)) {
        Ok(()) => findings.ok("store", format!("{} can be written", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied && sys::identity::own_uid() != 0 => {}
        Err(error) => {
            // What could be made but not filled must not stay.
            if is_ours {
                let _ = fs::remove_file(&trial);
            }
            findings.fail(
                "store",
                format!("{} can't be written: {error}", path.display()),
                "riposte goes on without its ledger: mount it writable, make room",
            );
        }
    }
}

/// The free kibibytes of a file system that others than root may use, by df(1).
fn free_kib(path: &Path) -> Option<u64> {
    sys::disk::space(path).ok().map(|space| space.free >> 10)
}

fn clock(findings: &mut Findings) {
    let now = crate::lives::now();
    if now.as_nanos() / 1_000_000_000 < EARLIEST_SECS {
        findings.fail("clock", format!("it is {}", report::time::Rfc3339(now)), "set the clock: blocks end by it");
    } else {
        findings.ok("clock", report::time::Rfc3339(now));
    }
}

fn unit(findings: &mut Findings) {
    if !Path::new("/run/systemd/system").is_dir() {
        return;
    }
    let said = Command::new("systemctl").args(["is-active", "riposte.service"]).output();
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    match said.as_str() {
        "active" => findings.ok("unit", "riposte.service is active"),
        other => findings.warn("unit", format!("riposte.service is {other}"), "sudo systemctl enable --now riposte"),
    }
}

fn responders(config: &Config, findings: &mut Findings) {
    if config.respond.carried().next().is_none() {
        return;
    }
    match respond::check(config) {
        Ok(notices) if notices.is_empty() => findings.ok("responders", "what they need is installed"),
        Ok(notices) => findings.warn("responders", notices.join("; "), "install it, or take it out of [respond] kind"),
        Err(error) => findings.fail("responders", error, "install it, or set [respond] kind = \"nftables\""),
    }
    let beyond = respond::beyond_the_unit(&config.respond);
    if Path::new("/run/systemd/system").is_dir() && !beyond.is_empty() {
        findings.warn("responders", beyond.join("; "), "the unit does not give that: install the drop-in respond.conf");
    }
}

fn log(source: &LogSource, findings: &mut Findings) {
    match source {
        LogSource::File { path, .. } => {
            let what = format!("log {}", path.display());
            let look = fs::File::open(path).and_then(|file| file.metadata());
            match look {
                // The daemon watches its folder and follows it from its first line on.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    findings.warn(
                        &what,
                        "is not there yet; it is followed as soon as it is",
                        "is the name right, and does your logging daemon write it?",
                    );
                }
                Err(error) => {
                    findings.fail(&what, error, "does your logging daemon write it? Is it readable for the groups of riposte's user?")
                }
                Ok(meta) if !meta.is_file() => findings.fail(&what, "is no file", "name the file itself"),
                Ok(meta) => {
                    let age = meta.modified().ok().and_then(|at| at.elapsed().ok()).unwrap_or_default();
                    match age > SILENT {
                        true => findings.warn(
                            &what,
                            format!("nothing was written for {} days", age.as_secs() / 86_400),
                            "is it still the right file?",
                        ),
                        false => findings.ok(&what, format!("readable, {} bytes", meta.len())),
                    }
                }
            }
        }
        LogSource::Kmsg { .. } => match fs::File::open("/dev/kmsg") {
            Ok(_) => findings.ok("log /dev/kmsg", "readable"),
            Err(error) => findings.fail("log /dev/kmsg", error, "under the unit, install the drop-in kmsg.conf"),
        },
        LogSource::Journal { .. } => match Path::new(crate::sources::journal::PROGRAM).is_file() {
            true => findings.ok("log journal", "journalctl is there"),
            false => findings.fail("log journal", "there is no journalctl", "use a file, kmsg or syslog"),
        },
        // riposte makes these itself when it starts.
        LogSource::Pipe { .. } | LogSource::Syslog { .. } => {}
    }
}
