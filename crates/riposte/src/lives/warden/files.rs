//! The files that application logs' patterns stand for: found, opened and watched on behalf of a sensor that may do none of it. Never takes
//! a path from the sensor: it asks to look again, and is handed what is new.

use crate::sources::file;
use glob::{MatchOptions, Pattern};
use inotify::{Inotify, WatchMask};
use link::message::Message;
use model::limits;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files in one answer: each takes a descriptor that is on its way until the sensor reads it.
const ANSWER_FILES: usize = 64;
/// Names looked at in one folder for one pattern.
const NAMES_MAX: usize = 65_536;
/// As a shell does it: `*` takes no hidden file.
const OPTIONS: MatchOptions = MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// What one life of the sensor was handed.
#[derive(Debug)]
pub struct Files {
    watch: Inotify,
    /// By slot: the path, and which file it stood for then.
    handed: BTreeMap<u16, (PathBuf, Option<(u64, u64)>)>,
    slots: BTreeMap<PathBuf, u16>,
    /// Files that could not be opened.
    pub refused: u64,
}

impl Files {
    /// For a sensor that begins now.
    ///
    /// # Errors
    /// If there is no inotify descriptor to be had.
    pub fn new() -> io::Result<Files> {
        Ok(Files { watch: Inotify::init()?, handed: BTreeMap::new(), slots: BTreeMap::new(), refused: 0 })
    }

    /// The sensor's copy of the inotify descriptor.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn watch(&self) -> io::Result<OwnedFd> {
        self.watch.as_fd().try_clone_to_owned()
    }

    /// Looks for what the patterns stand for now: messages for the sensor, most with a descriptor.
    pub fn look(&mut self, patterns: &[String]) -> Vec<(Message, Option<OwnedFd>)> {
        let mut found = BTreeSet::new();
        for pattern in patterns {
            let steps: Vec<&str> = pattern.split('/').filter(|step| !step.is_empty()).collect();
            self.walk(Path::new("/"), &steps, &mut found);
        }
        let (mut answer, mut surplus, mut more, mut files) = (Vec::new(), 0, false, 0);
        for path in found {
            if files >= ANSWER_FILES {
                more = true;
                break;
            }
            match self.hand(&path, &mut answer) {
                Ok(true) => files += 1,
                Ok(false) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => surplus += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    self.refused += 1;
                    if self.refused.is_power_of_two() {
                        tracing::warn!(log = %path.display(), %error, times = self.refused, "the log can't be followed");
                    }
                }
            }
        }
        answer.push((Message::Looked { more, surplus }, None));
        answer
    }

    /// Goes down from a folder along a pattern's steps and watches wherever something new would count. Each watch comes before the look, so
    /// that nothing appears in between.
    fn walk(&mut self, folder: &Path, steps: &[&str], found: &mut BTreeSet<PathBuf>) {
        let [step, rest @ ..] = steps else { return };
        if found.len() > 2 * limits::FOLLOWED_FILES {
            return;
        }
        let is_plain = !step.contains(['*', '?', '[']);
        if is_plain {
            let path = folder.join(step);
            if !rest.is_empty() && path.is_dir() {
                return self.walk(&path, rest, found);
            }
            self.watch_folder(folder);
            if rest.is_empty() {
                found.extend(path.exists().then_some(path));
            } else if path.is_dir() {
                self.walk(&path, rest, found);
            }
            return;
        }
        self.watch_folder(folder);
        let Ok(pattern) = Pattern::new(step) else { return };
        let Ok(names) = fs::read_dir(folder) else { return };
        for name in names.take(NAMES_MAX).filter_map(|entry| Some(entry.ok()?.file_name())) {
            if !name.to_str().is_some_and(|name| pattern.matches_with(name, OPTIONS)) {
                continue;
            }
            let path = folder.join(name);
            match (rest.is_empty(), path.is_dir()) {
                (true, false) => drop(found.insert(path)),
                (false, true) => self.walk(&path, rest, found),
                (true, true) | (false, false) => {}
            }
        }
    }

    fn watch_folder(&mut self, folder: &Path) {
        let going = WatchMask::MOVE_SELF | WatchMask::DELETE_SELF | WatchMask::ONLYDIR | WatchMask::MASK_ADD;
        // A folder that may not be watched, or is gone again, is looked at when something else moves.
        if self.watch.watches().add(folder, WatchMask::CREATE | WatchMask::MOVED_TO | going).is_err() {
            self.refused += 1;
        }
    }

    /// Adds what the sensor needs for this path, if its name stands for another file than it was handed.
    fn hand(&mut self, path: &Path, answer: &mut Vec<(Message, Option<OwnedFd>)>) -> io::Result<bool> {
        let there = fs::metadata(path)?;
        let identity = (there.dev(), there.ino());
        let known = self.slots.get(path).copied();
        if known.and_then(|slot| self.handed.get(&slot)).is_some_and(|(_, handed)| *handed == Some(identity)) {
            return Ok(false);
        }
        let slot = match known {
            Some(slot) => slot,
            None => self.free_slot().ok_or(io::ErrorKind::StorageFull)?,
        };
        // What had this name before riposte was stopped may not have been read to its end.
        let before = known.is_none().then(|| file::rotated(path)).flatten().and_then(|file| self.offer(file.into(), path, slot, true).ok());
        let (message, file, identity) = self.offer(sys::fd::open_nonblocking(path, false)?, path, slot, false)?;
        answer.extend(before.map(|(message, file, _)| (message, Some(file))));
        answer.push((message, Some(file)));
        if let Some((old, _)) = self.handed.insert(slot, (path.to_owned(), Some(identity))) {
            self.slots.remove(&old);
        }
        self.slots.insert(path.to_owned(), slot);
        Ok(true)
    }

    fn offer(&self, file: File, path: &Path, slot: u16, rotated: bool) -> io::Result<(Message, OwnedFd, (u64, u64))> {
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        // By descriptor: the name may stand for another file by now.
        let this = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let mask = WatchMask::MODIFY | WatchMask::ATTRIB | WatchMask::MOVE_SELF | WatchMask::DELETE_SELF;
        let watch = self.watch.watches().add(this, mask)?.get_watch_descriptor_id().cast_unsigned();
        let log = path.to_string_lossy();
        let log = log[..log.floor_char_boundary(limits::PLACE_BYTES)].to_owned();
        Ok((Message::Followed { slot, watch, rotated, log }, file.into(), (found.dev(), found.ino())))
    }

    /// A slot that nobody has, or else one whose file has been gone for good.
    fn free_slot(&mut self) -> Option<u16> {
        let most = u16::try_from(limits::FOLLOWED_FILES).unwrap_or(u16::MAX);
        if self.handed.len() < limits::FOLLOWED_FILES {
            let next = self.handed.len() as u16;
            return if self.handed.contains_key(&next) { (0..most).find(|slot| !self.handed.contains_key(slot)) } else { Some(next) };
        }
        let gone = self.handed.iter().find(|(_, (path, _))| !path.exists()).map(|(slot, _)| *slot)?;
        let (path, _) = self.handed.remove(&gone)?;
        self.slots.remove(&path);
        Some(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(files: &mut Files, patterns: &[String]) -> Vec<String> {
        let mut told = Vec::new();
        for (message, file) in files.look(patterns) {
            match message {
                Message::Followed { rotated, log, .. } => {
                    assert!(file.is_some());
                    told.push(format!("{}{}", log.rsplit('/').next().unwrap(), if rotated { " before" } else { "" }));
                }
                Message::Looked { more: false, surplus: 0 } => {}
                other => panic!("{other:?}"),
            }
        }
        told
    }

    #[test]
    fn only_what_is_new_is_handed_over() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let pattern = |text: &str| format!("{}/{text}", folder.path().display());
        let patterns = [pattern("auth.log"), pattern("*/access*.log"), pattern("*.log")];
        let mut files = Files::new().unwrap();
        assert_eq!(look(&mut files, &patterns), Vec::<String>::new());
        fs::write(place("auth.log"), "").unwrap();
        fs::write(place(".hidden.log"), "").unwrap();
        fs::create_dir(place("site")).unwrap();
        fs::create_dir(place("folder.log")).unwrap();
        fs::write(place("site/access-1.log"), "").unwrap();
        fs::write(place("site/error.log"), "").unwrap();
        assert_eq!(look(&mut files, &patterns), ["auth.log", "access-1.log"]);
        assert_eq!(look(&mut files, &patterns), Vec::<String>::new());
        // Rotated: the name stands for another file.
        fs::rename(place("auth.log"), place("auth.log.1")).unwrap();
        assert_eq!(look(&mut files, &patterns), Vec::<String>::new());
        fs::write(place("auth.log"), "").unwrap();
        assert_eq!(look(&mut files, &patterns), ["auth.log"]);
        // Who begins anew also gets what had the name before.
        assert_eq!(look(&mut Files::new().unwrap(), &patterns), ["auth.log before", "auth.log", "access-1.log"]);
    }

    #[test]
    fn what_is_no_file_is_refused_and_many_come_in_pieces() {
        let folder = tempfile::tempdir().unwrap();
        sys::fd::make_fifo(&folder.path().join("trap.log"), 0o600).unwrap();
        let patterns = [format!("{}/*.log", folder.path().display())];
        let mut files = Files::new().unwrap();
        assert_eq!((look(&mut files, &patterns), files.refused), (Vec::new(), 1));
        for n in 0..ANSWER_FILES + 10 {
            fs::write(folder.path().join(format!("{n}.log")), "").unwrap();
        }
        let answer = files.look(&patterns);
        assert!(matches!(answer.last(), Some((Message::Looked { more: true, .. }, None))) && answer.len() == ANSWER_FILES + 1);
        let answer = files.look(&patterns);
        assert!(matches!(answer.last(), Some((Message::Looked { more: false, .. }, None))) && answer.len() == 10 + 1);
    }
}
