//! The logs that sensors read, opened by the side that may. A sensor asks by its slot's number; paths never leave this file.

use crate::config::{Config, JournalUse, LogSource, SyslogSocket, Zone};
use crate::sources::{file, journal, kmsg, pipe, syslog};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use sys::process::{Child, Identity, Launch};

/// Bits of a pipe or socket that riposte makes: its owner and group may write, nobody else.
const MODE: u32 = 0o660;

/// A log's name, for people.
pub fn name(source: &LogSource) -> String {
    match source {
        LogSource::File { path, .. } => format!("file {}", path.display()),
        LogSource::Pipe { path, .. } => format!("pipe {}", path.display()),
        LogSource::Kmsg { .. } => "kernel ring".into(),
        LogSource::Journal { .. } => "journal".into(),
        LogSource::Syslog { socket: SyslogSocket::Unix(path), .. } => format!("syslog socket {}", path.display()),
        LogSource::Syslog { socket: SyslogSocket::Udp(addr), .. } => format!("syslog on udp {addr}"),
    }
}

/// Opens what the sensors of this slot read for as long as riposte runs. `None`: a followed file, which comes over the link each time it is
/// opened again and is only looked at here, so that a path that can never be right is told at the start; and the journal.
///
/// # Errors
/// Why it can't be opened.
pub fn open_for_good(source: &LogSource) -> io::Result<Option<OwnedFd>> {
    match source {
        LogSource::File { path, .. } => file::open_slot(path).map(|_| None),
        LogSource::Pipe { path, .. } => pipe::open_pipe(path, MODE).map(Some),
        LogSource::Kmsg { .. } => kmsg::open_kmsg().map(Some),
        LogSource::Syslog { socket: SyslogSocket::Unix(path), .. } => syslog::open_unix(path, MODE).map(Some),
        LogSource::Syslog { socket: SyslogSocket::Udp(addr), .. } => syslog::open_udp(*addr).map(Some),
        LogSource::Journal { .. } => Ok(None),
    }
}

/// Whether a descriptor from an earlier run is still what this log's path stands for.
pub fn is_still(source: &LogSource, kept: &OwnedFd) -> bool {
    match source {
        LogSource::Pipe { path, .. } => {
            let here = kept.try_clone().and_then(|fd| File::from(fd).metadata());
            let there = fs::symlink_metadata(path);
            matches!((here, there), (Ok(here), Ok(there)) if (here.dev(), here.ino()) == (there.dev(), there.ino()))
        }
        // A bound socket can't be compared with its path: at least there must be one.
        LogSource::Syslog { socket: SyslogSocket::Unix(path), .. } => {
            fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
        }
        LogSource::Syslog { socket: SyslogSocket::Udp(_), .. } | LogSource::Kmsg { .. } => true,
        // Opened anew each time.
        LogSource::File { .. } | LogSource::Journal { .. } => false,
    }
}

/// Whether both are the same log: where it is read from and how its stamps are understood apart.
pub fn is_same(one: &LogSource, other: &LogSource) -> bool {
    match (one, other) {
        (LogSource::File { path: a, ulogd: c, .. }, LogSource::File { path: b, ulogd: d, .. }) => (a, c) == (b, d),
        (LogSource::Pipe { path: a, .. }, LogSource::Pipe { path: b, .. }) => a == b,
        (LogSource::Kmsg { .. }, LogSource::Kmsg { .. }) | (LogSource::Journal { .. }, LogSource::Journal { .. }) => true,
        (LogSource::Syslog { socket: a, .. }, LogSource::Syslog { socket: b, .. }) => a == b,
        (
            LogSource::File { .. } | LogSource::Pipe { .. } | LogSource::Kmsg { .. } | LogSource::Journal { .. } | LogSource::Syslog { .. },
            _,
        ) => false,
    }
}

/// How the stamps of this log without a zone are understood.
pub fn zone(source: &LogSource) -> Zone {
    match source {
        LogSource::File { timezone, .. } | LogSource::Pipe { timezone, .. } | LogSource::Syslog { timezone, .. } => timezone.clone(),
        LogSource::Kmsg { .. } | LogSource::Journal { .. } => None,
    }
}

/// Opens a followed file again.
///
/// # Errors
/// One line that says why.
pub fn reopen(source: &LogSource) -> Result<file::FileSlot, String> {
    match source {
        LogSource::File { path, .. } => file::open_slot(path).map_err(|e| format!("{}: {e}", path.display())),
        LogSource::Pipe { .. } | LogSource::Kmsg { .. } | LogSource::Journal { .. } | LogSource::Syslog { .. } => {
            Err(format!("{} is no file", name(source)))
        }
    }
}

/// journalctl as an unprivileged user in the group that may read the journal, its output into a pipe.
///
/// # Errors
/// Why it can't be started.
pub fn start_journal(config: &Config, arguments: &[&str]) -> io::Result<(OwnedFd, Child)> {
    let (ours, theirs) = sys::process::output_pipe()?;
    sys::fd::set_nonblocking(ours.as_fd(), true)?;
    let user = super::super::unprivileged_user(&config.process.user).map_err(io::Error::other)?;
    let group = sys::identity::lookup_group(journal::GROUP)?;
    let identity = user.map(|user| Identity { uid: user.uid, gid: user.gid, groups: group.into_iter().collect() });
    let args: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    let child = sys::process::spawn(&Launch {
        program: Path::new(journal::PROGRAM),
        title: journal::PROGRAM,
        args: &args,
        fds: &[(theirs.as_fd(), 1)],
        timezone: None,
        env: &[],
        identity: identity.as_ref(),
    })?;
    Ok((ours, child))
}

/// Programs that these logs need.
pub fn programs(config: &Config) -> Vec<PathBuf> {
    let services = config.applications.enabled && config.applications.journal != JournalUse::Never && Path::new(journal::PROGRAM).exists();
    let journal = services || config.logs.iter().any(|source| matches!(source, LogSource::Journal { .. }));
    journal.then(|| PathBuf::from(journal::PROGRAM)).into_iter().collect()
}

/// Folders in which these logs need something made.
pub fn folders(config: &Config) -> Vec<PathBuf> {
    let made = config.logs.iter().filter_map(|source| match source {
        LogSource::Pipe { path, .. } | LogSource::Syslog { socket: SyslogSocket::Unix(path), .. } => path.parent(),
        LogSource::Syslog { socket: SyslogSocket::Udp(_), .. }
        | LogSource::File { .. }
        | LogSource::Kmsg { .. }
        | LogSource::Journal { .. } => None,
    });
    let services = [&config.applications.syslog, &config.applications.pipe].into_iter().filter_map(|place| place.as_deref()?.parent());
    made.chain(services.filter(|_| config.applications.enabled)).map(Path::to_owned).collect()
}
