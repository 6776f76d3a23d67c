//! Watches the host itself for whom never to block: own addresses, gateways, resolvers, logged-in administrators.
//! Tells the warden whenever the list changes. Event-driven: a machine on which nothing changes stays asleep.

use super::{Start, calm::Calm, channel, channel::Channel, ended, enter, now, own, unprivileged_user};
use crate::config::Config;
use crate::host::{admins, resolvers};
use link::message::Message;
use model::decision::{ExemptReason, Exemption};
use model::limits;
use model::net::{Prefix, canonical};
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::ops::ControlFlow::{Break, Continue};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use sys::diag::Diag;
use sys::fd::{Interest, Poller};
use sys::route::Routes;
use sys::sandbox::Profile;

/// What is read, and watched by the warden's inotify descriptor.
pub const RESOLV_CONF: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
/// Who is logged in.
pub const UTMP: &str = "/run/utmp";
/// logind's session files.
pub const SESSIONS: &str = "/run/systemd/sessions";
/// Bytes of one of these files that are read.
const FILE_BYTES: u64 = 1 << 20;
const WARDEN: u64 = 1;
const ROUTES: u64 = 2;
const FILES: u64 = 3;

struct Host {
    config: Config,
    warden: Channel,
    routes: Routes,
    diag: Diag,
    files: File,
    ages: admins::Ages,
    told: Option<Vec<Exemption>>,
}

/// Runs until the warden goes.
///
/// # Errors
/// Why it can't go on.
pub fn run(start: Start) -> Result<(), String> {
    let Start { mut warden, config, .. } = start;
    let (questions, changes, diag, files): (OwnedFd, OwnedFd, OwnedFd, OwnedFd) = (own(0)?, own(1)?, own(2)?, own(3)?);
    let routes = Routes::from_fds(questions, changes).map_err(|e| e.to_string())?;
    let user = unprivileged_user(&config.process.user)?;
    enter(&Profile::host(user), &mut warden)?;
    let mut host =
        Host { config, warden, routes, diag: Diag::from_fd(diag), files: files.into(), ages: admins::Ages::default(), told: None };
    ended(host.watch())
}

impl Host {
    fn watch(&mut self) -> io::Result<()> {
        sys::fd::set_nonblocking(self.files.as_fd(), true)?;
        let poller = Poller::new()?;
        poller.add(self.warden.as_fd(), WARDEN, Interest::Read)?;
        poller.add(self.routes.changes_fd(), ROUTES, Interest::Read)?;
        poller.add(self.files.as_fd(), FILES, Interest::Read)?;
        let (mut ready, mut frame, mut calm) = (Vec::new(), channel::frame_buffer(), Calm::default());
        loop {
            self.look()?;
            let wait = self.ages.next(now()).map(|at| at.since(now()));
            calm.wait(&poller, wait, &mut ready)?;
            for event in &ready {
                match event.token {
                    WARDEN => match self.warden.hear(&mut frame)? {
                        Break(false) => return Ok(()),
                        Break(true) | Continue(_) => self.warden.flush()?,
                    },
                    ROUTES => drop(self.routes.drain_changes()),
                    _ => self.drain_files(),
                }
            }
        }
    }

    /// Only that something changed counts: what, is read anew anyway.
    fn drain_files(&mut self) {
        let mut bytes = [0; 4_096];
        while matches!(self.files.read(&mut bytes), Ok(len) if len > 0) {}
    }

    fn look(&mut self) -> io::Result<()> {
        let mut found = self.collect();
        found.retain(|exemption| !exemption.prefix.addr().is_loopback() && !exemption.prefix.addr().is_unspecified());
        found.sort_unstable();
        found.dedup_by_key(|exemption| exemption.prefix);
        if found.len() > limits::DERIVED {
            tracing::warn!(dropped = found.len() - limits::DERIVED, "too many derived exemptions");
            found.truncate(limits::DERIVED);
        }
        if self.told.as_ref() != Some(&found) {
            self.warden.send(&Message::Derived(found.clone()))?;
            self.told = Some(found);
        }
        Ok(())
    }

    fn collect(&mut self) -> Vec<Exemption> {
        let derive = self.config.derive;
        let mut found: Vec<Exemption> = Vec::new();
        let mut add = |addrs: Vec<IpAddr>, reason| {
            found.extend(addrs.into_iter().map(|addr| Exemption { prefix: Prefix::host(addr), reason }));
        };
        if derive.own {
            add(self.routes.addresses().unwrap_or_default(), ExemptReason::Own);
        }
        if derive.gateways {
            add(self.routes.default_gateways().unwrap_or_default(), ExemptReason::Gateway);
        }
        if derive.resolvers {
            let texts = RESOLV_CONF.iter().map(|path| String::from_utf8_lossy(&read(Path::new(path))).into_owned());
            add(texts.flat_map(|text| resolvers::parse(&text)).collect(), ExemptReason::Resolver);
        }
        if derive.admin {
            let connections = self.diag.established(&self.config.nflog.ssh_ports).unwrap_or_default();
            let peers: Vec<(IpAddr, u16)> = connections.iter().map(|c| (canonical(c.peer.ip()), c.peer.port())).collect();
            add(self.ages.observe(&peers, now()), ExemptReason::Admin);
            add(admins::from_utmp(&read(Path::new(UTMP))), ExemptReason::Admin);
            let sessions = std::fs::read_dir(SESSIONS).into_iter().flatten().flatten();
            let texts = sessions.map(|entry| String::from_utf8_lossy(&read(&entry.path())).into_owned());
            add(texts.filter_map(|text| admins::from_session(&text)).collect(), ExemptReason::Admin);
        }
        found
    }
}

/// The file's first mebibyte; empty if it isn't there.
fn read(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        // What was read before an error is as good as what was not.
        let _ = file.take(FILE_BYTES).read_to_end(&mut bytes);
    }
    bytes
}
