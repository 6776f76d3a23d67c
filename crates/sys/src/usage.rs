//! What an ended child took, as the kernel counted it. For benchmarks; the daemon hears of its children elsewhere.

use std::io;
use std::mem;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::Duration;

/// What a process and those of its children that it waited for took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Processor time of its own.
    pub user: Duration,
    /// Processor time of the kernel for it.
    pub system: Duration,
    /// The most memory that was resident at one time, in kibibytes; of several processes, the largest one's.
    pub resident_max_kib: u64,
}

impl Usage {
    /// All processor time.
    pub fn processor(&self) -> Duration {
        self.user + self.system
    }
}

/// Waits for a child's end. Its standard input should be closed or not a pipe of ours: nobody closes it here.
///
/// # Errors
/// If it was waited for already.
pub fn wait(child: Child) -> io::Result<(ExitStatus, Usage)> {
    let mut status = 0;
    // SAFETY: rusage is plain integers, for which all zeroes are valid.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    let pid = child.id() as libc::pid_t;
    loop {
        // SAFETY: both pointers are valid for writes for the whole call. `child` is ours and consumed, so nobody waits for it again.
        let ended = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
        if ended == pid {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    let span = |time: libc::timeval| Duration::new(time.tv_sec.try_into().unwrap_or(0), u32::try_from(time.tv_usec).unwrap_or(0) * 1_000);
    let resident_max_kib = usage.ru_maxrss.try_into().unwrap_or(0);
    Ok((ExitStatus::from_raw(status), Usage { user: span(usage.ru_utime), system: span(usage.ru_stime), resident_max_kib }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn an_ended_child_tells_how_and_what_it_took() {
        let child = Command::new("sh").args(["-c", "exit 3"]).spawn().unwrap();
        let (status, usage) = wait(child).unwrap();
        assert_eq!(status.code(), Some(3));
        assert!(usage.resident_max_kib > 100, "{usage:?}");
    }
}
