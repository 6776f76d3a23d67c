//! A followed file: rotation by renaming, truncation, a file or folder that appears later. Never polls, and never reads a line twice.
//!
//! A sensor may neither open files nor watch them, so the privileged side does both (`open_slot`) and hands over the file and an
//! inotify descriptor; when that one says that the name now stands for another file, the sensor asks to have the slot opened again.

use super::{CHUNK_BYTES, Counters, Line, LineSplitter, Progress, Source, TURN_BYTES};
use inotify::{EventMask, Inotify, WatchMask};
use link::message::{MARK_BYTES, Position};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

/// Names in a log's folder that are looked at for the file that had its name before.
const BESIDE: usize = 4_096;
/// Endings of what nobody can read on in.
const COMPRESSED: [&[u8]; 4] = [b".gz", b".xz", b".bz2", b".zst"];
/// Room for some dozens of inotify events (header and name up to 255 bytes).
pub(super) const EVENT_BYTES: usize = 8_192;

// ---- the privileged side ---------------------------------------------------------------------------------------

/// What the privileged side hands over for one file.
#[derive(Debug)]
pub struct FileSlot {
    /// inotify: the file, and the folders on the way to it.
    pub watch: OwnedFd,
    /// The file, if there is one now.
    pub file: Option<OwnedFd>,
    /// The file that had the name before, as it seems, if there is one.
    pub rotated: Option<OwnedFd>,
    /// The names whose appearing means that the slot should be opened again.
    pub names: Vec<OsString>,
}

/// Where to watch for new names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// In the file's own folder: enough while the file is there.
    Folder,
    /// In every folder on the way: it does not matter which of them is missing.
    Way,
}

/// Opens a file to follow, and watches it and the way to it. A missing file or folder is no error.
///
/// The watches come first: whatever appears after them is seen, so nothing falls between.
pub fn open_slot(path: &Path) -> io::Result<FileSlot> {
    // While the file is there, a new name in some folder above it is nothing to wake up for.
    if path.exists() {
        let slot = open_within(path, Reach::Folder)?;
        if slot.file.is_some() {
            return Ok(FileSlot { rotated: rotated(path), ..slot });
        }
    }
    let slot = open_within(path, Reach::Way)?;
    Ok(FileSlot { rotated: rotated(path), ..slot })
}

/// The newest file beside this one whose name goes on with a suffix (`kern.log.1`, `kern.log-20261121`). No link is followed, and in what
/// is compressed nobody can read on.
pub fn rotated(path: &Path) -> Option<OwnedFd> {
    let (folder, name) = (path.parent()?, path.file_name()?.as_bytes());
    let is_older = |other: &[u8]| {
        let suffix = other.strip_prefix(name).unwrap_or_default();
        suffix.len() > 1 && matches!(suffix.first(), Some(b'.' | b'-')) && !COMPRESSED.iter().any(|ending| suffix.ends_with(ending))
    };
    let beside = fs::read_dir(folder).ok()?.take(BESIDE).flatten().filter(|entry| is_older(entry.file_name().as_bytes()));
    let files = beside.filter_map(|entry| Some((entry.metadata().ok().filter(fs::Metadata::is_file)?.modified().ok()?, entry.path())));
    let (_, newest) = files.max()?;
    let file = File::options().read(true).custom_flags(sys::fd::NO_FOLLOW | sys::fd::NO_WAIT).open(newest).ok()?;
    file.metadata().is_ok_and(|found| found.is_file()).then(|| file.into())
}

fn open_within(path: &Path, reach: Reach) -> io::Result<FileSlot> {
    let watch = Inotify::init()?;
    let mut names = Vec::new();
    watch_way(&watch, path, reach, &mut names)?;
    if let Ok(target) = fs::read_link(path) {
        // A link: the file that it stands for is rotated in its own folder.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.parent().unwrap_or(Path::new("/")).join(target));
        watch_way(&watch, &target, reach, &mut names)?;
    }
    let file = match sys::fd::open_nonblocking(path, false) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(FileSlot { watch: watch.into(), file: None, rotated: None, names });
        }
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    // By descriptor: the name may stand for another file by now.
    let this = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    watch.watches().add(this, WatchMask::MODIFY | WatchMask::ATTRIB | WatchMask::MOVE_SELF | WatchMask::DELETE_SELF)?;
    Ok(FileSlot { watch: watch.into(), file: Some(file.into()), rotated: None, names })
}

/// Watches the folders on the way to a file for the next step and for their own going. From the root down, each before the next is
/// looked at, so that none can appear unseen.
fn watch_way(watch: &Inotify, path: &Path, reach: Reach, names: &mut Vec<OsString>) -> io::Result<()> {
    let (Some(folder), Some(_)) = (path.parent().filter(|_| path.is_absolute()), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the full path of a file"));
    };
    let going = WatchMask::MOVE_SELF | WatchMask::DELETE_SELF | WatchMask::ONLYDIR | WatchMask::MASK_ADD;
    let coming = WatchMask::CREATE | WatchMask::MOVED_TO;
    let mut place = PathBuf::new();
    for step in path.components() {
        if let Component::Normal(name) = step {
            let looked_for = reach == Reach::Way || place == folder;
            match watch.watches().add(&place, if looked_for { going | coming } else { going }) {
                Ok(_) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
                // Who may enter a folder may not always list it; only the file's own must be watched.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied && place != folder => {}
                Err(error) => return Err(error),
            }
            if looked_for && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        place.push(step);
    }
    Ok(())
}

// ---- the unprivileged side -------------------------------------------------------------------------------------

/// Where to begin in a file that is there at the start. One that appears later is read from its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Behind what is there.
    End,
    /// At the first line.
    Beginning,
    /// Where an earlier run has left off. If the name stands for another file by now, or it was written anew: at the first line, and before
    /// that what is left in the file of then, if it is still beside it.
    At(Position),
}

/// One file, and how far it has been read.
#[derive(Debug)]
pub(super) struct Reader {
    file: File,
    pub(super) identity: (u64, u64),
    pub(super) offset: u64,
    mark: Vec<u8>,
    splitter: LineSplitter,
    /// It was deleted while we had it. Its folder may follow without a word, as the kernel keeps that alive for our sake.
    pub(super) deleted: bool,
}

impl Reader {
    pub(super) fn new(file: OwnedFd, start: &Start) -> io::Result<Self> {
        let file = File::from(file);
        let found = file.metadata()?;
        let identity = (found.dev(), found.ino());
        let mut reader = Reader { file, identity, offset: 0, mark: Vec::new(), splitter: LineSplitter::default(), deleted: false };
        match start {
            Start::Beginning => {}
            Start::End => reader.begin_at(found.len())?,
            Start::At(position) => {
                let is_this = (position.device, position.inode) == identity && position.offset <= found.len();
                if is_this && reader.bytes_before(position.offset, position.mark.len())? == position.mark {
                    reader.begin_at(position.offset)?;
                }
            }
        }
        Ok(reader)
    }

    /// Hands on what was read before this reader began, as far as it lies within so many bytes.
    pub(super) fn look_back(&self, bytes: usize, lines: &mut dyn FnMut(Line<'_>)) -> io::Result<()> {
        let count = usize::try_from(self.offset).unwrap_or(usize::MAX).min(bytes);
        let mut past = vec![0; count];
        let from = self.offset - count as u64;
        let mut have = 0;
        while let Some(room) = past.get_mut(have..).filter(|room| !room.is_empty()) {
            match self.file.read_at(room, from + have as u64)? {
                0 => break,
                len => have += len,
            }
        }
        let mut splitter = LineSplitter::default();
        if from > 0 {
            splitter.skip_first();
        }
        splitter.push(past.get(..have).unwrap_or_default(), lines);
        Ok(())
    }

    /// Goes to an offset; if that is in the middle of a line, the rest of it will be dropped.
    fn begin_at(&mut self, offset: u64) -> io::Result<()> {
        self.offset = offset;
        self.mark = self.bytes_before(offset, MARK_BYTES)?;
        if self.mark.last().is_some_and(|byte| *byte != b'\n') {
            self.splitter.skip_first();
        }
        Ok(())
    }

    /// Up to `count` bytes before an offset; fewer where the file has fewer.
    fn bytes_before(&self, offset: u64, count: usize) -> io::Result<Vec<u8>> {
        let count = usize::try_from(offset).unwrap_or(usize::MAX).min(count.min(MARK_BYTES));
        let mut bytes = vec![0; count];
        let mut have = 0;
        while let Some(room) = bytes.get_mut(have..).filter(|room| !room.is_empty()) {
            match self.file.read_at(room, offset - count as u64 + have as u64)? {
                0 => break,
                len => have += len,
            }
        }
        bytes.truncate(have);
        Ok(bytes)
    }

    /// Behind the last line that was handed on.
    pub(super) fn position(&self) -> io::Result<Position> {
        let (device, inode) = self.identity;
        let offset = self.offset.saturating_sub(self.splitter.unfinished_bytes());
        let mark = if offset == self.offset { self.mark.clone() } else { self.bytes_before(offset, MARK_BYTES)? };
        Ok(Position { device, inode, offset, mark })
    }

    /// Whether nothing has been read since this was its position.
    pub(super) fn is_still_at(&self, position: &Position) -> bool {
        let offset = self.offset.saturating_sub(self.splitter.unfinished_bytes());
        (position.device, position.inode) == self.identity && position.offset == offset
    }

    /// Whether what has been read is no longer there: the file was cut short, or cut short and written again.
    fn was_rewritten(&self, length: u64) -> io::Result<bool> {
        Ok(length < self.offset || self.bytes_before(self.offset, self.mark.len())? != self.mark)
    }

    /// Reads on to the end or for one turn; whether there may be more.
    pub(super) fn read(&mut self, buffer: &mut [u8], counters: &mut Counters, lines: &mut dyn FnMut(Line<'_>)) -> io::Result<bool> {
        let found = self.file.metadata()?;
        self.deleted = found.nlink() == 0;
        if self.was_rewritten(found.len())? {
            self.splitter.discard();
            self.offset = 0;
            self.mark.clear();
            counters.truncations += 1;
        }
        let mut taken = 0;
        while taken < TURN_BYTES {
            let len = match self.file.read_at(buffer, self.offset) {
                Ok(0) => return Ok(false),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let bytes = buffer.get(..len).unwrap_or_default();
            self.splitter.push(bytes, lines);
            self.offset += len as u64;
            taken += len;
            self.remember(bytes);
        }
        Ok(true)
    }

    /// Adds what it has counted; `for_good` if it will read no more.
    pub(super) fn count(&mut self, counters: &mut Counters, for_good: bool) {
        if for_good {
            self.splitter.discard();
        }
        self.splitter.count(counters);
    }

    fn remember(&mut self, bytes: &[u8]) {
        let last = bytes.get(bytes.len().saturating_sub(MARK_BYTES)..).unwrap_or(bytes);
        let surplus = (self.mark.len() + last.len()).saturating_sub(MARK_BYTES);
        self.mark.drain(..surplus.min(self.mark.len()));
        self.mark.extend_from_slice(last);
        debug_assert!(self.mark.len() <= MARK_BYTES);
    }
}

/// Follows a file by its name, over rotations.
#[derive(Debug)]
pub struct FollowedFile {
    watch: Inotify,
    names: Vec<OsString>,
    current: Option<Reader>,
    /// What an earlier run has left unread in a file that has lost its name since. Nobody writes to it any more.
    rest: Option<Reader>,
    /// The file that had the name before: its writer may go on with it for a while.
    previous: Option<(Inotify, Reader)>,
    buffer: Vec<u8>,
    /// How often the file's own name has come to stand for something new since the slot was opened.
    appeared: u64,
    /// What the readers counted that are gone, and everything else.
    counters: Counters,
}

impl FollowedFile {
    /// Begins to follow.
    pub fn new(slot: FileSlot, start: &Start) -> io::Result<Self> {
        let current = slot.file.map(|file| Reader::new(file, start)).transpose()?;
        let rotated = slot.rotated.map(|file| Reader::new(file, start)).transpose()?;
        let rest = rotated.filter(|reader| {
            let Start::At(position) = start else { return false };
            let is_left = (position.device, position.inode) == reader.identity && position.offset == reader.offset;
            // A link beside the file may be the same file.
            is_left && current.as_ref().is_none_or(|current| current.identity != reader.identity)
        });
        let watch = Inotify::from(slot.watch);
        Ok(FollowedFile {
            watch,
            names: slot.names,
            current,
            rest,
            previous: None,
            appeared: 0,
            buffer: vec![0; CHUNK_BYTES],
            counters: Counters::default(),
        })
    }

    /// How far it has been read: where another may go on one day. A file that has lost its name counts while no other has it.
    pub fn position(&self) -> io::Result<Option<Position>> {
        let reader = self.rest.as_ref().or(self.current.as_ref()).or(self.previous.as_ref().map(|(_, reader)| reader));
        reader.map(Reader::position).transpose()
    }

    /// Goes on with a slot that was opened again, because this source asked for it. Call `ready` afterwards.
    pub fn reopened(&mut self, slot: FileSlot, lines: &mut dyn FnMut(Line<'_>)) -> io::Result<()> {
        let next = slot.file.map(|file| Reader::new(file, &Start::Beginning)).transpose()?;
        let old_watch = std::mem::replace(&mut self.watch, Inotify::from(slot.watch));
        self.names = slot.names;
        let appeared = std::mem::take(&mut self.appeared);
        let is = |reader: &Option<Reader>, other: &Reader| reader.as_ref().is_some_and(|reader| reader.identity == other.identity);
        match next {
            // The same file under its name still, or again: go on where we are.
            Some(next) if is(&self.current, &next) => {}
            Some(next) => {
                let before = self.previous.take_if(|(_, reader)| reader.identity == next.identity);
                self.retire_current(old_watch, lines)?;
                self.current = Some(match before {
                    Some((_, reader)) => reader,
                    None => next,
                });
                self.counters.rotations += 1;
                // Those in between came and went before anybody opened them.
                self.counters.missed += appeared.saturating_sub(1);
            }
            None => self.retire_current(old_watch, lines)?,
        }
        Ok(())
    }

    /// The current file has lost its name: it is followed as the previous one from now on, and the one before that is let go.
    fn retire_current(&mut self, watch: Inotify, lines: &mut dyn FnMut(Line<'_>)) -> io::Result<()> {
        let Some(reader) = self.current.take() else { return Ok(()) };
        if let Some((_, mut oldest)) = self.previous.replace((watch, reader)) {
            while oldest.read(&mut self.buffer, &mut self.counters, lines)? {}
            self.let_go(oldest);
        }
        Ok(())
    }

    fn let_go(&mut self, mut reader: Reader) {
        reader.count(&mut self.counters, true);
    }

    /// Empties the queue of events; whether one of them means that the name now stands for something else.
    fn names_changed(&mut self) -> io::Result<bool> {
        let mut changed = false;
        let mut buffer = [0; EVENT_BYTES];
        loop {
            let events = match self.watch.read_events(&mut buffer) {
                Ok(events) => events,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(changed),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            for event in events {
                let appeared = event.mask.intersects(EventMask::CREATE | EventMask::MOVED_TO)
                    && event.name.is_some_and(|name: &OsStr| self.names.iter().any(|wanted| wanted == name));
                self.appeared += u64::from(appeared);
                let moved = EventMask::MOVE_SELF | EventMask::DELETE_SELF | EventMask::UNMOUNT | EventMask::Q_OVERFLOW;
                changed |= appeared || event.mask.intersects(moved);
            }
        }
    }

    /// Reads on in the previous file. Once it is deleted and its successor has something in it, nobody writes to it any more.
    fn read_previous(&mut self, lines: &mut dyn FnMut(Line<'_>)) -> io::Result<bool> {
        let Some((mut watch, mut reader)) = self.previous.take() else { return Ok(false) };
        let mut buffer = [0; EVENT_BYTES];
        while watch.read_events(&mut buffer).is_ok() {}
        let more = reader.read(&mut self.buffer, &mut self.counters, lines)?;
        let successor_lives = self.current.as_ref().is_some_and(|current| current.offset > 0);
        if !more && successor_lives && reader.deleted {
            self.let_go(reader);
        } else {
            self.previous = Some((watch, reader));
        }
        Ok(more)
    }
}

impl Source for FollowedFile {
    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        let previous = self.previous.as_ref().map(|(watch, _)| watch.as_fd());
        [self.watch.as_fd()].into_iter().chain(previous).collect()
    }

    fn ready(&mut self, lines: &mut dyn FnMut(Line<'_>)) -> io::Result<Progress> {
        let mut reopen_wanted = self.names_changed()?;
        if let Some(mut rest) = self.rest.take() {
            if rest.read(&mut self.buffer, &mut self.counters, lines)? {
                self.rest = Some(rest);
                return Ok(Progress { more: true, reopen_wanted, ended: false });
            }
            self.let_go(rest);
            self.counters.rotations += 1;
        }
        // Old lines before new ones: the previous file is read to its end first.
        let mut more = self.read_previous(lines)?;
        if let (false, Some(reader)) = (more, &mut self.current) {
            let known = reader.deleted;
            more = reader.read(&mut self.buffer, &mut self.counters, lines)?;
            reopen_wanted |= reader.deleted && !known;
        }
        Ok(Progress { more, reopen_wanted, ended: false })
    }

    fn counters(&self) -> Counters {
        let mut counters = self.counters;
        for reader in self.rest.iter().chain(&self.current).chain(self.previous.iter().map(|(_, reader)| reader)) {
            reader.splitter.count(&mut counters);
        }
        counters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::io::Write;
    use sys::fd::{Interest, Poller};
    use sys::process::{Ended, Launch, spawn};

    /// Both sides in one: a source, and the privileged side that opens its slot again when asked.
    struct Follow {
        path: PathBuf,
        source: FollowedFile,
        reopened: u32,
    }

    impl Follow {
        fn new(path: &Path, start: &Start) -> Self {
            let slot = open_slot(path).unwrap();
            Follow { path: path.to_owned(), source: FollowedFile::new(slot, start).unwrap(), reopened: 0 }
        }

        /// Everything that is there now. Afterwards nothing may wake us, even though the other tests make files in /tmp all the
        /// time (while the file is missing they do: its folders may appear anywhere on the way).
        fn lines(&mut self) -> Vec<String> {
            let mut found = Vec::new();
            let mut keep = |line: Line<'_>| found.push(String::from_utf8_lossy(line.text).into_owned());
            loop {
                let progress = self.source.ready(&mut keep).unwrap();
                if progress.reopen_wanted {
                    self.source.reopened(open_slot(&self.path).unwrap(), &mut keep).unwrap();
                    self.reopened += 1;
                } else if !progress.more {
                    break;
                }
            }
            if self.source.current.is_some() {
                let poller = Poller::new().unwrap();
                for fd in self.source.fds() {
                    poller.add(fd, 0, Interest::Read).unwrap();
                }
                let mut ready = Vec::new();
                poller.wait(Some(std::time::Duration::ZERO), &mut ready).unwrap();
                assert_eq!(ready, [], "an idle source must not be woken");
            }
            found
        }
    }

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kern.log");
        (folder, path)
    }

    fn append(path: &Path, text: &str) {
        OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn what_was_left_unread_in_a_file_that_was_rotated_meanwhile_is_read_first() {
        for (old, zipped) in [("kern.log.1", "kern.log.2.gz"), ("kern.log-20261121", "kern.log-20261120.gz")] {
            let (place, path) = folder();
            append(&path, "known\n");
            let mut follow = Follow::new(&path, &Start::Beginning);
            assert_eq!(follow.lines(), ["known"]);
            append(&path, "half of ");
            assert_eq!(follow.lines(), [""; 0]);
            let position = follow.source.position().unwrap().unwrap();
            drop(follow);
            // Nobody is there now.
            append(&path, "a line\nunread\n");
            fs::rename(&path, place.path().join(old)).unwrap();
            append(&place.path().join(zipped), "not this one\n");
            append(&place.path().join("kern.logs"), "nor that\n");
            std::os::unix::fs::symlink("/etc/passwd", place.path().join("kern.log.0")).unwrap();
            append(&path, "new\n");
            let mut follow = Follow::new(&path, &Start::At(position.clone()));
            assert_eq!(follow.lines(), ["half of a line", "unread", "new"], "{old}");
            assert_eq!(follow.source.counters().rotations, 1);
            let after = follow.source.position().unwrap().unwrap();
            assert_ne!(after.inode, position.inode);
            assert_eq!(Follow::new(&path, &Start::At(after)).lines(), [""; 0], "nothing twice");
            // A file that was written anew under the old one's number is not what was left.
            fs::write(place.path().join(old), "something else that is longer than all that was read\n").unwrap();
            assert_eq!(Follow::new(&path, &Start::At(position)).lines(), ["new"]);
        }
    }

    #[test]
    fn it_goes_on_where_another_has_left_off() {
        let (_folder, path) = folder();
        append(&path, "one\ntwo\nhal");
        let mut first = Follow::new(&path, &Start::Beginning);
        assert_eq!(first.lines(), ["one", "two"]);
        let left = first.source.position().unwrap().unwrap();
        assert_eq!((left.offset, left.mark.as_slice()), (8, &b"one\ntwo\n"[..]));
        append(&path, "f\nthree\n");
        let mut second = Follow::new(&path, &Start::At(left.clone()));
        assert_eq!(second.lines(), ["half", "three"]);
        let left_again = second.source.position().unwrap().unwrap();
        assert_eq!(Follow::new(&path, &Start::At(left_again.clone())).lines(), Vec::<String>::new());
        // Cut short, written anew, or another file: its first line is new.
        fs::write(&path, "four\n").unwrap();
        assert_eq!(Follow::new(&path, &Start::At(left.clone())).lines(), ["four"]);
        fs::write(&path, "five and\nsix\n").unwrap();
        assert_eq!(Follow::new(&path, &Start::At(left_again)).lines(), ["five and", "six"]);
        let other = Position { inode: left.inode + 1, offset: 0, mark: Vec::new(), ..left };
        assert_eq!(Follow::new(&path, &Start::At(other)).lines(), ["five and", "six"]);
        // Who began in the middle of a line has never seen its beginning, and neither has who follows him.
        fs::write(&path, "seven").unwrap();
        let began_late = Follow::new(&path, &Start::End).source.position().unwrap().unwrap();
        append(&path, "teen\neight\n");
        assert_eq!(Follow::new(&path, &Start::At(began_late)).lines(), ["eight"]);
    }

    #[test]
    fn it_begins_where_it_is_told() {
        let (_folder, path) = folder();
        append(&path, "one\ntwo\nhal");
        assert_eq!(Follow::new(&path, &Start::Beginning).lines(), ["one", "two"]);
        let mut at_end = Follow::new(&path, &Start::End);
        append(&path, "f\nthree\n");
        // The beginning of `half` was never seen: half a line is not handed on.
        assert_eq!(at_end.lines(), ["three"]);
        append(&path, "four\n");
        assert_eq!(at_end.lines(), ["four"]);
        assert_eq!(at_end.source.counters(), Counters { lines: 2, ..Counters::default() });
    }

    #[test]
    fn a_renamed_file_is_read_to_its_end_before_the_new_one() {
        let (_folder, path) = folder();
        append(&path, "one\n");
        let mut follow = Follow::new(&path, &Start::Beginning);
        assert_eq!(follow.lines(), ["one"]);
        let mut writer = OpenOptions::new().append(true).open(&path).unwrap();
        writer.write_all(b"two\nthr").unwrap();
        fs::rename(&path, path.with_extension("1")).unwrap();
        assert_eq!(follow.lines(), ["two"]);
        // The writer has not noticed yet, and is in the middle of a line.
        writer.write_all(b"ee\nfour\n").unwrap();
        append(&path, "five\n");
        assert_eq!(follow.lines(), ["three", "four", "five"]);
        writer.write_all(b"late\n").unwrap();
        append(&path, "six\n");
        assert_eq!(follow.lines(), ["late", "six"]);
        // gzip takes the old one away.
        fs::remove_file(path.with_extension("1")).unwrap();
        drop(writer);
        assert_eq!(follow.lines(), Vec::<String>::new());
        assert!(follow.source.previous.is_none());
        // A second rotation, and a third before the first line of it.
        for round in 2..4 {
            fs::rename(&path, path.with_extension(round.to_string())).unwrap();
            append(&path, &format!("round {round}\n"));
            assert_eq!(follow.lines(), [format!("round {round}")]);
        }
        assert_eq!(follow.source.counters().rotations, 3);
        assert_eq!(follow.source.counters().unfinished, 0);
    }

    #[test]
    fn a_file_moved_away_and_back_is_not_read_again() {
        let (_folder, path) = folder();
        append(&path, "one\n");
        let mut follow = Follow::new(&path, &Start::Beginning);
        assert_eq!(follow.lines(), ["one"]);
        fs::rename(&path, path.with_extension("1")).unwrap();
        assert_eq!(follow.lines(), Vec::<String>::new());
        fs::rename(path.with_extension("1"), &path).unwrap();
        append(&path, "two\n");
        assert_eq!(follow.lines(), ["two"]);
        // Deleted and made again.
        fs::remove_file(&path).unwrap();
        append(&path, "three\n");
        assert_eq!(follow.lines(), ["three"]);
    }

    #[test]
    fn a_truncated_file_begins_again_and_nothing_is_read_twice() {
        let (_folder, path) = folder();
        append(&path, "one\ntwo\n");
        let mut follow = Follow::new(&path, &Start::Beginning);
        assert_eq!(follow.lines(), ["one", "two"]);
        File::create(&path).unwrap();
        assert_eq!(follow.lines(), Vec::<String>::new());
        append(&path, "three\nhalf of a");
        assert_eq!(follow.lines(), ["three"]);
        // Truncated and at once longer than before: the length alone does not tell.
        fs::write(&path, "four, which is quite long\nfive, which is quite long too\n").unwrap();
        assert_eq!(follow.lines(), ["four, which is quite long", "five, which is quite long too"]);
        assert_eq!(follow.source.counters(), Counters { lines: 5, truncations: 2, unfinished: 1, ..Counters::default() });
    }

    #[test]
    fn a_writer_that_keeps_its_offset_leaves_a_hole_and_loses_no_line() {
        let (_folder, path) = folder();
        let mut writer = File::create(&path).unwrap();
        writer.write_all(&b"a line\n".repeat(10_000)).unwrap();
        let mut follow = Follow::new(&path, &Start::Beginning);
        assert_eq!(follow.lines().len(), 10_000);
        OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        writer.write_all(b"after the hole\n").unwrap();
        assert_eq!(follow.lines(), ["after the hole"]);
        assert_eq!((follow.source.counters().cut, follow.source.counters().truncations), (0, 1));
    }

    #[test]
    fn a_file_and_its_folders_may_appear_later() {
        let (folder, _) = folder();
        let path = folder.path().join("a/b/kern.log");
        let mut follow = Follow::new(&path, &Start::End);
        fs::write(folder.path().join("other"), "x").unwrap();
        assert_eq!((follow.lines(), follow.reopened), (vec![], 0));
        fs::create_dir(folder.path().join("a")).unwrap();
        assert_eq!((follow.lines(), follow.reopened), (vec![], 1));
        fs::create_dir(folder.path().join("a/b")).unwrap();
        append(&path, "one\n");
        assert_eq!(follow.lines(), ["one"]);
        // The folder is replaced as a whole.
        fs::rename(folder.path().join("a/b"), folder.path().join("a/old")).unwrap();
        assert_eq!(follow.lines(), Vec::<String>::new());
        fs::create_dir(folder.path().join("a/b")).unwrap();
        append(&path, "two\n");
        assert_eq!(follow.lines(), ["two"]);
        fs::remove_dir_all(folder.path().join("a")).unwrap();
        assert_eq!(follow.lines(), Vec::<String>::new());
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        append(&path, "three\n");
        assert_eq!(follow.lines(), ["three"]);
    }

    #[test]
    fn a_link_is_followed_to_wherever_it_points() {
        let (folder, path) = folder();
        let real = folder.path().join("real");
        fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink("real/today", &path).unwrap();
        let mut follow = Follow::new(&path, &Start::End);
        append(&real.join("today"), "one\n");
        assert_eq!(follow.lines(), ["one"]);
        fs::rename(real.join("today"), real.join("yesterday")).unwrap();
        append(&real.join("today"), "two\n");
        assert_eq!(follow.lines(), ["two"]);
        append(&real.join("tomorrow"), "three\n");
        std::os::unix::fs::symlink("real/tomorrow", folder.path().join("new")).unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!(follow.lines(), ["three"]);
    }

    #[test]
    fn a_hundred_thousand_lines_in_one_write() {
        let (_folder, path) = folder();
        append(&path, "");
        let mut follow = Follow::new(&path, &Start::End);
        let text: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
        append(&path, &text);
        let lines = follow.lines();
        assert_eq!(lines.len(), 100_000);
        assert!(lines.iter().enumerate().all(|(n, line)| *line == format!("line {n}")));
    }

    #[test]
    fn a_file_that_comes_and_goes_unseen_is_counted() {
        let (_folder, path) = folder();
        append(&path, "one\n");
        let mut follow = Follow::new(&path, &Start::Beginning);
        assert_eq!(follow.lines(), ["one"]);
        for round in 1..4 {
            fs::rename(&path, path.with_extension(round.to_string())).unwrap();
            append(&path, &format!("round {round}\n"));
        }
        assert_eq!(follow.lines(), ["round 3"]);
        assert_eq!((follow.source.counters().rotations, follow.source.counters().missed), (1, 2));
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let (folder, path) = folder();
        sys::fd::make_fifo(&path, 0o600).unwrap();
        for (bad, kind) in [
            (path.as_path(), io::ErrorKind::InvalidInput),
            (folder.path(), io::ErrorKind::InvalidInput),
            (Path::new("/"), io::ErrorKind::InvalidInput),
        ] {
            assert_eq!(open_slot(bad).unwrap_err().kind(), kind, "{}", bad.display());
        }
    }

    /// The real logrotate, if it is installed, in its three ways of doing it.
    #[test]
    fn the_real_logrotate_loses_no_line() {
        let program = Path::new("/usr/sbin/logrotate");
        if !program.exists() {
            return;
        }
        for how in ["create 0644", "copytruncate", "nocreate\n compress"] {
            let (folder, path) = folder();
            let config = folder.path().join("logrotate.conf");
            fs::write(&config, format!("{} {{\n rotate 2\n {how}\n}}\n", path.display())).unwrap();
            // logrotate refuses a configuration that others may write to.
            fs::set_permissions(&config, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
            let state = folder.path().join("state");
            append(&path, "0\n");
            let mut follow = Follow::new(&path, &Start::Beginning);
            assert_eq!(follow.lines(), ["0"]);
            for round in 1..5 {
                append(&path, &format!("{round} before\n"));
                assert_eq!(follow.lines(), [format!("{round} before")], "{how}");
                let args = [OsStr::new("-f"), OsStr::new("-s"), state.as_os_str(), config.as_os_str()];
                let launch = Launch { program, title: "logrotate", args: &args, fds: &[], timezone: None, env: &[], identity: None };
                assert_eq!(spawn(&launch).unwrap().wait().unwrap(), Ended::Exited(0), "{how}");
                assert_eq!(follow.lines(), Vec::<String>::new(), "{how}");
                append(&path, &format!("{round} after\n"));
                assert_eq!(follow.lines(), [format!("{round} after")], "{how}");
            }
        }
    }
}
