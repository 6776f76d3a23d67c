//! Locks that the kernel keeps: abstract sockets, which it keeps apart by network namespace as it does firewall tables. Whoever sits on a name
//! without privilege is no riposte, and must not keep one from its work.

use crate::config::Config;
use std::io;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

/// How a lock was found.
#[derive(Debug)]
pub enum Lock {
    /// Ours, for as long as this is held.
    Taken(UnixListener),
    /// Somebody without privilege sits on its name.
    Squatted {
        /// His user.
        uid: u32,
    },
    /// A riposte's.
    Held {
        /// Its process, if it still answers.
        pid: Option<u32>,
    },
}

/// Tries to take one.
///
/// # Errors
/// If the kernel refuses otherwise.
pub fn take(name: &[u8], config: &Config) -> io::Result<Lock> {
    // Under the unit riposte runs as this user from the start.
    let service = sys::identity::lookup_user(&config.process.user).ok().flatten().map(|user| user.uid);
    let name = SocketAddr::from_abstract_name(name)?;
    match UnixListener::bind_addr(&name) {
        Ok(listener) => Ok(Lock::Taken(listener)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let holder = UnixStream::connect_addr(&name).and_then(|stream| sys::fd::peer_credentials(stream.as_fd()));
            Ok(match holder {
                Ok(peer) if peer.uid != 0 && Some(peer.uid) != service => Lock::Squatted { uid: peer.uid },
                Ok(peer) => Lock::Held { pid: Some(peer.pid) },
                Err(_) => Lock::Held { pid: None },
            })
        }
        Err(error) => Err(error),
    }
}
