//! Thousands of followed files in one process, with one inotify descriptor for all of them. Never polls, never reads a line twice.
//!
//! The privileged side (`lives::warden::files`) finds the files, opens them and adds the watches; this side reads. A new name in a watched
//! folder means that the privileged side is to look again: it knows the patterns, and hands over only what is new.

use super::file::{EVENT_BYTES, Reader, Start};
use super::{CHUNK_BYTES, Counters, Line, Progress};
use inotify::{EventMask, Inotify};
use link::message::Position;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// What an earlier run has read last is looked at once more, so that its counts go on: so many bytes of each file, and of all together.
const BACK_BYTES: usize = 64 << 10;
const BACK_ALL: usize = 16 << 20;
/// Files read in one turn.
const TURN_FILES: usize = 64;

/// A file as the privileged side hands it over.
#[derive(Debug)]
pub struct Handed {
    /// Its number.
    pub slot: u16,
    /// Its watch.
    pub watch: u32,
    /// It had this name before: only what is left of it is wanted.
    pub rotated: bool,
    /// Its name.
    pub log: String,
    /// The file.
    pub file: OwnedFd,
}

/// One name, and the files that have it or had it.
#[derive(Debug)]
struct Followed {
    log: Arc<str>,
    current: Option<Reader>,
    /// The file that had the name before: its writer may go on with it for a while.
    previous: Option<Reader>,
    /// The previous one has been read to its end.
    drained: bool,
    told: Option<Position>,
}

/// All of them.
#[derive(Debug)]
pub struct FollowedFiles {
    watch: Inotify,
    files: BTreeMap<u16, Followed>,
    by_watch: HashMap<u32, u16>,
    /// Who has something to read.
    dirty: BTreeSet<u16>,
    /// Where the next turn begins.
    next: u16,
    /// Lines read by an earlier run that are looked at once more, in bytes before the place where that left off.
    back: usize,
    /// How far files were read by an earlier run; each is taken once.
    known: BTreeMap<String, Position>,
    /// Where files begin that are there at the start and that no earlier run has read. Later ones are read from their first line.
    start: Start,
    buffer: Vec<u8>,
    /// What the readers counted that are gone, and everything else.
    counters: Counters,
    /// Files that could not be read on.
    pub failed: u64,
}

impl FollowedFiles {
    /// Reads this inotify descriptor. `start` is for files that are there now.
    pub fn new(watch: OwnedFd, start: Start) -> FollowedFiles {
        FollowedFiles {
            watch: Inotify::from(watch),
            files: BTreeMap::new(),
            by_watch: HashMap::new(),
            dirty: BTreeSet::new(),
            next: 0,
            back: BACK_ALL,
            known: BTreeMap::new(),
            start,
            buffer: vec![0; CHUNK_BYTES],
            counters: Counters::default(),
            failed: 0,
        }
    }

    /// An earlier run has read this file so far.
    pub fn knows(&mut self, log: String, position: Position) {
        self.known.insert(log, position);
    }

    /// All files have been handed over that were there at the start.
    pub fn all_there(&mut self) {
        self.start = Start::Beginning;
    }

    /// How many are followed.
    pub fn count(&self) -> usize {
        self.files.values().filter(|file| file.current.is_some()).count()
    }

    /// What to wait for.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }

    /// Takes a file over. What is still unread of one that has to go is handed on; so are the last lines that an earlier run has read, marked as
    /// past.
    pub fn take(&mut self, handed: Handed, lines: &mut dyn FnMut(&str, Line<'_>, bool)) -> io::Result<()> {
        let Handed { slot, watch, rotated, log, file } = handed;
        if self.files.get(&slot).is_some_and(|known| *known.log != *log)
            && let Some(old) = self.files.remove(&slot)
        {
            self.by_watch.retain(|_, of| *of != slot);
            old.current.into_iter().chain(old.previous).for_each(|mut reader| reader.count(&mut self.counters, true));
        }
        if rotated {
            // Of interest only if it is what an earlier run was reading.
            let Some(position) = self.known.get(&log) else { return Ok(()) };
            let reader = Reader::new(file, &Start::At(position.clone()))?;
            if (position.device, position.inode) != reader.identity || self.files.contains_key(&slot) {
                return Ok(());
            }
            self.back(&reader, |line| lines(&log, line, true))?;
            let followed = Followed { log: log.into(), current: None, previous: Some(reader), drained: false, told: None };
            self.files.insert(slot, followed);
            self.by_watch.insert(watch, slot);
            self.dirty.insert(slot);
            return Ok(());
        }
        let known = self.known.remove(&log);
        let was_known = known.is_some();
        let reader = Reader::new(file, &known.map_or(self.start.clone(), Start::At))?;
        if was_known {
            self.back(&reader, |line| lines(&log, line, true))?;
        }
        self.by_watch.insert(watch, slot);
        self.dirty.insert(slot);
        let followed = self.files.entry(slot).or_insert_with(|| Followed {
            log: log.into(),
            current: None,
            previous: None,
            drained: true,
            told: None,
        });
        match &followed.current {
            // The same file under its name still, or again: go on where we are.
            Some(current) if current.identity == reader.identity => return Ok(()),
            Some(_) => {
                let back = followed.previous.take_if(|previous| previous.identity == reader.identity);
                if let Some(mut oldest) = followed.previous.take() {
                    let log = &followed.log;
                    while oldest.read(&mut self.buffer, &mut self.counters, &mut |line| lines(log, line, false))? {}
                    oldest.count(&mut self.counters, true);
                }
                followed.previous = followed.current.replace(back.unwrap_or(reader));
                followed.drained = false;
                self.counters.rotations += 1;
            }
            None => {
                self.counters.rotations += u64::from(followed.previous.is_some());
                followed.current = Some(reader);
            }
        }
        Ok(())
    }

    fn back(&mut self, reader: &Reader, mut past: impl FnMut(Line<'_>)) -> io::Result<()> {
        let bytes = BACK_BYTES.min(self.back);
        self.back -= bytes.min(usize::try_from(reader.offset).unwrap_or(bytes));
        reader.look_back(bytes, &mut past)
    }

    /// Reads what is there, a turn's worth. `reopen_wanted`: the privileged side is to look again.
    pub fn ready(&mut self, lines: &mut dyn FnMut(&str, Line<'_>)) -> io::Result<Progress> {
        let mut look = self.hear()?;
        let turn: Vec<u16> = self.dirty.range(self.next..).chain(self.dirty.range(..self.next)).take(TURN_FILES).copied().collect();
        for slot in turn {
            self.next = slot.wrapping_add(1);
            let Some(followed) = self.files.get_mut(&slot) else {
                self.dirty.remove(&slot);
                continue;
            };
            match followed.read(&mut self.buffer, &mut self.counters, lines) {
                Ok((true, _)) => {}
                Ok((false, lost)) => {
                    look |= lost;
                    self.dirty.remove(&slot);
                }
                // One bad disk sector must not end the others' reading.
                Err(_) => {
                    self.failed += 1;
                    self.dirty.remove(&slot);
                }
            }
        }
        Ok(Progress { more: !self.dirty.is_empty(), reopen_wanted: look, ended: false })
    }

    /// Whether a file has lost its name and no other has it: it may come back without a word.
    pub fn any_lost(&self) -> bool {
        self.files.values().any(|file| file.current.as_ref().is_some_and(|reader| reader.deleted))
    }

    /// How far files have been read, of those where that has changed since it was last asked.
    pub fn positions(&mut self, mut tell: impl FnMut(&str, &Position) -> io::Result<()>) -> io::Result<()> {
        for followed in self.files.values_mut() {
            // What is left of the file before counts until it is read.
            let unread = followed.previous.as_ref().filter(|_| !followed.drained);
            let Some(reader) = unread.or(followed.current.as_ref()).or(followed.previous.as_ref()) else { continue };
            if followed.told.as_ref().is_some_and(|told| reader.is_still_at(told)) {
                continue;
            }
            let position = reader.position()?;
            if followed.told.as_ref() != Some(&position) {
                tell(&followed.log, &position)?;
                followed.told = Some(position);
            }
        }
        Ok(())
    }

    /// What was seen and lost.
    pub fn counters(&mut self) -> Counters {
        let mut counters = self.counters;
        for followed in self.files.values_mut() {
            followed.current.iter_mut().chain(&mut followed.previous).for_each(|reader| reader.count(&mut counters, false));
        }
        counters
    }

    /// Empties the queue of events; whether one of them means that a name may stand for something else.
    fn hear(&mut self) -> io::Result<bool> {
        let mut look = false;
        let mut buffer = [0; EVENT_BYTES];
        loop {
            let events = match self.watch.read_events(&mut buffer) {
                Ok(events) => events,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(look),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            for event in events {
                let watch = event.wd.get_watch_descriptor_id().cast_unsigned();
                let slot = self.by_watch.get(&watch).copied();
                self.dirty.extend(slot);
                if event.mask.contains(EventMask::Q_OVERFLOW) {
                    self.dirty.extend(self.files.keys());
                }
                if event.mask.contains(EventMask::IGNORED) {
                    self.by_watch.remove(&watch);
                }
                let name = EventMask::CREATE | EventMask::MOVED_TO;
                let going = EventMask::MOVE_SELF | EventMask::DELETE_SELF | EventMask::UNMOUNT | EventMask::Q_OVERFLOW;
                look |= event.mask.intersects(name | going);
            }
        }
    }
}

impl Followed {
    /// One turn: the previous file first. Whether there may be more, and whether the name was lost just now.
    fn read(&mut self, buffer: &mut [u8], counters: &mut Counters, lines: &mut dyn FnMut(&str, Line<'_>)) -> io::Result<(bool, bool)> {
        let log = Arc::clone(&self.log);
        let mut lines = |line: Line<'_>| lines(&log, line);
        if let Some(previous) = &mut self.previous {
            if previous.read(buffer, counters, &mut lines)? {
                return Ok((true, false));
            }
            self.drained = true;
            // Once it is deleted and its successor has something in it, nobody writes to it any more.
            let successor_lives = self.current.as_ref().is_some_and(|current| current.offset > 0);
            if let Some(mut over) = self.previous.take_if(|previous| successor_lives && previous.deleted) {
                over.count(counters, true);
            }
        }
        let Some(current) = &mut self.current else { return Ok((false, false)) };
        let known = current.deleted;
        let more = current.read(buffer, counters, &mut lines)?;
        Ok((more, current.deleted && !known))
    }
}
