//! Resolves the names that must never be blocked (exempt names, time servers) and ends once it has all that the configuration names.
//! The only life that speaks DNS; it holds nothing that could be misused.

use super::{Start, enter, unprivileged_user};
use crate::host::time_servers;
use link::message::Message;
use model::decision::{ExemptReason, Exemption};
use model::limits;
use model::net::{Prefix, canonical};
use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;
use sys::sandbox::Profile;

/// Bytes of a configuration file of a time daemon that are read.
const FILE_BYTES: u64 = 1 << 20;
/// Where time daemons keep their servers; a folder stands for the files in it.
const TIME_CONFIGURATIONS: [&str; 10] = [
    "/etc/chrony/chrony.conf",
    "/etc/chrony.conf",
    "/etc/chrony/conf.d",
    "/etc/chrony/sources.d",
    "/etc/ntp.conf",
    "/etc/ntpsec/ntp.conf",
    "/etc/openntpd/ntpd.conf",
    "/etc/ntpd.conf",
    "/etc/systemd/timesyncd.conf",
    "/etc/systemd/timesyncd.conf.d",
];

/// The first and the longest wait before names that were not resolved are asked for again.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LAST_WAIT: Duration = Duration::from_secs(600);

/// Resolves everything and ends.
///
/// # Errors
/// Why it can't.
pub fn run(start: Start) -> Result<(), String> {
    let Start { mut warden, config, .. } = start;
    enter(&Profile::lookup(unprivileged_user(&config.process.user)?), &mut warden)?;
    let mut wanted: Vec<(String, ExemptReason)> = config.exempt_names.iter().map(|n| (n.clone(), ExemptReason::Configured)).collect();
    if config.derive.time_servers {
        let texts = TIME_CONFIGURATIONS.iter().flat_map(|path| texts(Path::new(path)));
        let servers = texts.flat_map(|text| time_servers::parse(&text));
        wanted.extend(servers.map(|name| (name, ExemptReason::TimeServer)));
    }
    let (mut found, mut wait, mut is_first) = (Vec::new(), FIRST_WAIT, true);
    loop {
        let known = found.len();
        wanted.retain(|(name, reason)| match resolve(name) {
            Ok(addrs) => {
                found.extend(addrs.into_iter().map(|addr| Exemption { prefix: Prefix::host(addr), reason: *reason }));
                false
            }
            Err(error) => {
                if is_first {
                    tracing::warn!(name, %reason, %error, "name not resolved: it protects nobody");
                }
                // Who is named is meant to be safe: at boot the network comes later than we do.
                true
            }
        });
        found.sort_unstable();
        found.dedup();
        found.truncate(limits::DERIVED);
        if is_first || found.len() > known {
            warden.send(&Message::Derived(found.clone())).map_err(|e| e.to_string())?;
        }
        if wanted.is_empty() {
            return Ok(());
        }
        std::thread::sleep(wait);
        (is_first, wait) = (false, (wait * 2).min(LAST_WAIT));
    }
}

fn resolve(name: &str) -> std::io::Result<Vec<IpAddr>> {
    if let Ok(addr) = name.parse::<IpAddr>() {
        return Ok(vec![canonical(addr)]);
    }
    Ok((name, 123).to_socket_addrs()?.map(|addr| canonical(addr.ip())).collect())
}

/// The file's text, or those of the files in the folder; nothing if it isn't there.
fn texts(path: &Path) -> Vec<String> {
    let read = |path: &Path| {
        let small = std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= FILE_BYTES);
        small.then(|| std::fs::read(path).ok()).flatten().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().filter_map(|entry| read(&entry.path())).collect(),
        Err(_) => read(path).into_iter().collect(),
    }
}
