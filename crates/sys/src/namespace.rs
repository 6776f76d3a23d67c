//! Work inside another network namespace, on a thread of its own. For the test range and benchmarks; never moves a thread that does
//! anything else, and never used by the daemon.

use crate::fd::checked;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

/// Runs `work` in the network namespace whose file this is (`/run/netns/NAME`). Sockets that it opens stay in there for good, whoever
/// uses them later. Needs CAP_SYS_ADMIN.
///
/// # Errors
/// If the namespace is not there or may not be entered.
pub fn within<T: Send>(namespace: &Path, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    let file = File::open(namespace)?;
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            // SAFETY: takes integers only, and moves only this thread, which ends after `work`.
            checked(unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) })?;
            Ok(work())
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_namespace_is_refused() {
        assert_eq!(within(Path::new("/run/netns/rp-not-there"), || ()).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(within(Path::new("/dev/null"), || ()).is_err());
    }
}
