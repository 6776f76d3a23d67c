//! Descriptors that the parent left at agreed numbers. Each is taken at most once, at the start of a life.

use crate::fd::checked;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Takes over the descriptor at this number and makes it close-on-exec. Call it at most once for each number, before any other
/// descriptor is opened.
///
/// # Errors
/// If nothing is open there.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_SETFD takes one integer; a number with nothing behind it gives EBADF.
    checked(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })
        .map_err(|e| io::Error::new(e.kind(), format!("descriptor {number} is missing: this command is for riposte's own use")))?;
    // SAFETY: it is open, and the parent left it for us alone: nobody else in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Makes this the standard error of this process, and of every process that it starts.
///
/// # Errors
/// If the kernel refuses.
pub fn replace_stderr(with: OwnedFd) -> io::Result<()> {
    // SAFETY: takes integers only; 2 belongs to this process as a whole, and whoever writes there means whatever is behind it.
    checked(unsafe { libc::dup2(with.as_raw_fd(), libc::STDERR_FILENO) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    #[test]
    fn what_is_there_is_taken_and_what_is_not_is_refused() {
        let number = std::fs::File::open("/dev/null").unwrap().into_raw_fd();
        drop(inherited(number).unwrap());
        assert!(inherited(987).unwrap_err().to_string().contains("descriptor 987"));
    }
}
