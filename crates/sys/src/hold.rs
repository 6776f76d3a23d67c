//! Files and folders that are held by a descriptor, so that what is looked at is what is changed, whoever swaps the path between.
//! Never follows a symbolic link in a path's last part, and never reads or writes what it holds.

use crate::fd::{checked, owned};
use crate::process::c_string;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;

/// A place in the file system (`O_PATH`).
#[derive(Debug)]
pub struct Held(File);

impl Held {
    /// Holds a folder. `NotADirectory` if there is something else, a link to a folder as well.
    pub fn folder(path: &Path) -> io::Result<Self> {
        hold(libc::AT_FDCWD, path.as_os_str(), libc::O_DIRECTORY)
    }

    /// Holds what has this name in the folder, be it a link.
    pub fn inside(&self, name: &OsStr) -> io::Result<Self> {
        hold(self.0.as_raw_fd(), name, 0)
    }

    /// What is held, as it is now.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.0.metadata()
    }

    /// Gives what is held to a user and a group.
    pub fn give(&self, uid: u32, gid: u32) -> io::Result<()> {
        // SAFETY: the name is a NUL-terminated constant; an empty one with this flag means the descriptor itself.
        checked(unsafe { libc::fchownat(self.0.as_raw_fd(), c"".as_ptr(), uid, gid, libc::AT_EMPTY_PATH) }).map(drop)
    }
}

impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn hold(folder: RawFd, name: &OsStr, kind: libc::c_int) -> io::Result<Held> {
    let name = c_string(name)?;
    let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC | kind;
    // SAFETY: `name` is NUL-terminated and lives through the call; nothing is created, so no mode is read.
    Ok(Held(File::from(owned(unsafe { libc::openat(folder, name.as_ptr(), flags) })?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    /// Somebody without privilege.
    const SOMEBODY: u32 = 65_534;

    #[test]
    fn what_was_looked_at_is_what_changes_hands_though_the_path_was_swapped() {
        if !crate::identity::is_privileged() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::create_dir(path("store")).unwrap();
        fs::write(path("store/riposte.db"), "").unwrap();
        fs::create_dir(path("treasure")).unwrap();
        fs::write(path("treasure/riposte.db"), "").unwrap();
        let folder = Held::folder(&path("store")).unwrap();
        // Between the look and the change: the folder becomes a link to another one.
        fs::rename(path("store"), path("moved")).unwrap();
        symlink(path("treasure"), path("store")).unwrap();
        let file = folder.inside(OsStr::new("riposte.db")).unwrap();
        assert!(file.metadata().unwrap().is_file());
        // And the file a link to another one.
        fs::rename(path("moved/riposte.db"), path("moved/mine")).unwrap();
        symlink(path("treasure/riposte.db"), path("moved/riposte.db")).unwrap();
        folder.give(SOMEBODY, SOMEBODY).unwrap();
        file.give(SOMEBODY, SOMEBODY).unwrap();
        let owner = |name: &str| fs::symlink_metadata(path(name)).unwrap().uid();
        assert_eq!([owner("moved"), owner("moved/mine")], [SOMEBODY; 2]);
        assert_eq!(["treasure", "treasure/riposte.db", "store", "moved/riposte.db"].map(owner), [0; 4]);
        // A link in the last part is held itself, and is no folder.
        assert!(folder.inside(OsStr::new("riposte.db")).unwrap().metadata().unwrap().is_symlink());
        assert_eq!(Held::folder(&path("store")).unwrap_err().kind(), io::ErrorKind::NotADirectory);
    }
}
