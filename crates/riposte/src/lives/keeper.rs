//! Lives that are two processes: one that works, and one that does nothing but begin the other again, since the warden in its sandbox no longer
//! can start a program that could live. Parses nothing.

use super::{CONFIG_FD, OWN_FD, Start, WARDEN_FD, monotonic};
use link::message::Life;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use sys::fd::sealed_text;
use sys::process::{Ended, spawn_life};

/// This bit in its slot tells the one that works.
pub const WORKER: u16 = 1 << 15;
/// The first and the longest wait before the one that works is begun again.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(10);

/// Begins the one that works, again and again, until it ends in order: the warden has gone. `link` is handed on, if it has one beside the
/// warden's.
///
/// # Errors
/// If it can't be started.
pub fn keep(start: &Start, life: Life, link: Option<&OwnedFd>) -> io::Result<()> {
    let (slot, mut wait) = ((start.slot | WORKER).to_string(), FIRST_WAIT);
    let zone = std::env::var_os("TZ");
    loop {
        let text = sealed_text(start.config.canonical().as_bytes())?;
        let mut fds = vec![(start.warden.as_fd(), WARDEN_FD), (text.as_fd(), CONFIG_FD)];
        fds.extend(link.map(|link| (link.as_fd(), OWN_FD)));
        let child = spawn_life(life.word(), &[OsStr::new(&slot)], &fds, zone.as_deref())?;
        let began = monotonic();
        match child.wait()? {
            Ended::Exited(0) => return Ok(()),
            ended => {
                tracing::warn!(?ended, life = life.word(), "the process that works ended: it is started again");
                wait = if monotonic().since(began) > LAST_WAIT { FIRST_WAIT } else { (wait * 2).min(LAST_WAIT) };
                std::thread::sleep(wait);
            }
        }
    }
}
