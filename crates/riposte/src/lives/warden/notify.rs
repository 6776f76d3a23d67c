//! Word to the service manager (sd_notify(3)): ready, reloading, stopping, and the watchdog's sign of life. Never says that all is well
//! unless the judge has just said so, and never waits long for the manager.

use super::stored::spelling;
use model::time::Time;
use std::env;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How long a manager whose queue is full may hold us up: it may hear ten messages late, but must not miss that we are ready.
const PATIENCE: Duration = Duration::from_millis(250);
/// Characters of a status line.
const STATUS_CHARS: usize = 200;

/// The way to the service manager; silent if there is none.
#[derive(Debug, Default)]
pub struct Notify {
    /// Connected before the sandbox, from inside which no socket outside can be reached any more.
    socket: Option<UnixDatagram>,
    /// How often it wants to hear that we live, if it does.
    watchdog: Option<Duration>,
    /// When the judge is to be asked next (monotonic).
    due: Time,
    ready: bool,
}

impl Notify {
    /// What the environment says. One that can't be reached is told of and done without.
    pub fn open() -> Self {
        let Some(name) = env::var_os("NOTIFY_SOCKET") else { return Notify::default() };
        let socket = connect(name.as_bytes());
        if let Err(error) = &socket {
            tracing::warn!(%error, "the service manager can't be reached (NOTIFY_SOCKET)");
        }
        let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        // The watchdog may be meant for another process, whose environment we have inherited.
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|usec| ours && *usec > 0).map(Duration::from_micros);
        let socket = socket.ok();
        Notify { watchdog: watchdog.filter(|_| socket.is_some()), socket, ..Notify::default() }
    }

    /// Everything needed is at work; how it stands, in a line.
    pub fn ready(&mut self, status: &str) {
        self.ready = true;
        let status: String = status.chars().filter(|c| !c.is_control()).take(STATUS_CHARS).collect();
        self.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// Whether `ready` was ever said.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// The configuration is being read again; `ready` says when that is over. Before all is at work it is still the start.
    pub fn reloading(&self, now: Time) {
        if !self.ready {
            return;
        }
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.as_nanos() / 1_000));
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=ending; blocks stay until their time");
    }

    /// When the judge is to be asked for a sign of life; `None`: nobody wants one.
    pub fn due(&self) -> Option<Time> {
        self.watchdog.map(|_| self.due)
    }

    /// Whether the judge is to be asked now: twice in each of the manager's intervals, so that one answer may be late.
    pub fn take_due(&mut self, now: Time) -> bool {
        let Some(watchdog) = self.watchdog.filter(|_| self.due <= now) else { return false };
        self.due = now.after(watchdog / 2);
        true
    }

    /// The judge has answered: all is well.
    pub fn alive(&self) {
        if self.watchdog.is_some() {
            self.say("WATCHDOG=1");
        }
    }

    /// Asks the manager to keep a descriptor for the next run, in place of one of the same name. It is not to watch it: an overflow of a
    /// socket's queue would look to it like the end.
    pub fn keep(&self, name: &str, fd: BorrowedFd<'_>) {
        let (Some(socket), Some(name)) = (&self.socket, spelling(name)) else { return };
        // The manager would keep both.
        self.say(&format!("FDSTOREREMOVE=1\nFDNAME={name}"));
        let text = format!("FDSTORE=1\nFDNAME={name}\nFDPOLL=0");
        if let Err(error) = sys::fd::send_frame(socket.as_fd(), text.as_bytes(), Some(fd)) {
            tracing::debug!(name, %error, "the service manager keeps no descriptor");
        }
    }

    /// Asks the manager to let go of what it keeps under this name.
    pub fn forget(&self, name: &str) {
        if let Some(name) = spelling(name) {
            self.say(&format!("FDSTOREREMOVE=1\nFDNAME={name}"));
        }
    }

    fn say(&self, text: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(text.as_bytes())
        {
            tracing::debug!(%error, "the service manager doesn't listen");
        }
    }
}

/// A path, or with an `@` in front a name in the abstract namespace.
fn connect(name: &[u8]) -> io::Result<UnixDatagram> {
    let address = match name.split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        Some((b'/', _)) => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
        Some(_) | None => return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a full path nor an abstract name")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 1_024];
        let len = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    }

    #[test]
    fn the_manager_hears_each_word_and_nothing_when_nobody_asks_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let socket = Some(connect(path.as_os_str().as_bytes()).unwrap());
        let mut notify = Notify { socket, watchdog: Some(Duration::from_secs(10)), ..Notify::default() };
        notify.ready("on\nwatch");
        assert_eq!(heard(&manager), "READY=1\nSTATUS=onwatch");
        notify.reloading(Time::from_secs(7));
        assert_eq!(heard(&manager), "RELOADING=1\nMONOTONIC_USEC=7000000");
        assert!(notify.take_due(Time::from_secs(100)) && !notify.take_due(Time::from_secs(104)) && notify.take_due(Time::from_secs(105)));
        notify.alive();
        assert_eq!(heard(&manager), "WATCHDOG=1");
        notify.watchdog = None;
        assert!(notify.due().is_none() && !notify.take_due(Time::from_secs(1_000)));
        notify.alive();
        notify.stopping();
        assert!(heard(&manager).starts_with("STOPPING=1\n"));
    }

    #[test]
    fn a_name_is_a_path_or_abstract() {
        assert_eq!(connect(b"relative").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(connect(b"").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let name = format!("rp-notify-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        connect(format!("@{name}").as_bytes()).unwrap().send(b"x").unwrap();
        assert_eq!(heard(&manager), "x");
    }
}
