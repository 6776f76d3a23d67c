//! Extended attributes of a file that another one replaces.

use crate::fd::checked;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// What decides who may read a file beside its owner and mode: SELinux' label, and the access list.
const NAMES: [&CStr; 2] = [c"security.selinux", c"system.posix_acl_access"];
/// Bytes of an attribute that are copied; a longer one is an error.
const BYTES: usize = 4_096;

/// Gives `to` what `from` has of SELinux' label and access list.
///
/// # Errors
/// If one that is there can't be read or set.
pub fn copy_access(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    for name in NAMES {
        let mut value = [0u8; BYTES];
        // SAFETY: the name ends in NUL, and `value` is valid for writes of the length given with it.
        let length = unsafe { libc::fgetxattr(from.as_raw_fd(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
        let value = match usize::try_from(length) {
            Ok(length) => value.get(..length).unwrap_or_default(),
            Err(_) => match io::Error::last_os_error() {
                error if [Some(libc::ENODATA), Some(libc::EOPNOTSUPP)].contains(&error.raw_os_error()) => continue,
                error => return Err(error),
            },
        };
        // SAFETY: the name ends in NUL, and `value` is valid for reads of the length given with it.
        checked(unsafe { libc::fsetxattr(to.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn what_has_no_attributes_is_copied_as_it_is() {
        let (from, to) = (crate::fd::sealed_text(b"from").unwrap(), File::open("/proc/self/status").unwrap());
        copy_access(from.as_fd(), to.as_fd()).unwrap();
    }
}
