//! What the envoy's ways leave for the envoy that follows: how much they have told of late. Kept in memory, and in the store's folder over a
//! restart of riposte; never looked into, for who has written it speaks with the whole world.

use link::message::Message;
use model::limits::ALERT_BYTES;
use model::time::Time;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// In the store's folder.
const STATE: &str = "alerts.state";
/// It is written at most this often.
const EVERY: Duration = Duration::from_secs(10);
/// The ways that alerts can go. An envoy that was broken into can have notes kept for no other.
const WAYS: [&str; 4] = ["mail", "syslog", "webhook", "command"];

/// The notes, by the way's name.
#[derive(Debug, Default)]
pub struct Kept {
    folder: PathBuf,
    notes: BTreeMap<String, String>,
    unsaved: bool,
    from: Time,
}

impl Kept {
    /// What an earlier process has left. One that can't be read is nothing: then limits begin anew.
    pub fn load(folder: &Path) -> Kept {
        let mut text = String::new();
        let most = 2 * (WAYS.len() * ALERT_BYTES) as u64;
        let read = File::open(folder.join(STATE)).and_then(|file| file.take(most).read_to_string(&mut text));
        let mut notes: BTreeMap<String, String> = read.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or_default();
        notes.retain(|way, note| WAYS.contains(&way.as_str()) && note.len() <= ALERT_BYTES);
        Kept { folder: folder.to_owned(), notes, ..Kept::default() }
    }

    /// For an envoy that begins.
    pub fn messages(&self) -> impl Iterator<Item = Message> {
        self.notes.iter().map(|(way, note)| Message::Kept { way: way.clone(), note: note.clone() })
    }

    /// Takes one. False if there is no such way.
    pub fn take(&mut self, way: String, note: String) -> bool {
        if !WAYS.contains(&way.as_str()) {
            return false;
        }
        self.unsaved |= self.notes.get(&way) != Some(&note);
        self.notes.insert(way, note);
        true
    }

    /// When there is something to write (steady).
    pub fn due(&self) -> Option<Time> {
        self.unsaved.then_some(self.from)
    }

    /// Writes what is to be written by now, or all.
    pub fn write(&mut self, now: Time, all: bool) {
        if !self.unsaved || !(all || self.from <= now) {
            return;
        }
        (self.unsaved, self.from) = (false, now.after(EVERY));
        let (new, path) = (self.folder.join("alerts.new"), self.folder.join(STATE));
        let text = serde_json::to_string(&self.notes).unwrap_or_default();
        if let Err(error) = fs::write(&new, text).and_then(|()| fs::rename(&new, &path)) {
            tracing::warn!(%error, "how much was told can't be written down: after a restart limits of alerts begin anew");
            self.unsaved = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_there_after_a_restart_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let mut kept = Kept::load(folder.path());
        assert!(kept.take("mail".into(), "one".into()) && kept.take("mail".into(), "two".into()));
        kept.write(Time::from_secs(100), false);
        assert!(kept.take("mail".into(), "three".into()));
        // Not again so soon, but at the end.
        kept.write(Time::from_secs(101), false);
        assert_eq!((kept.due(), Kept::load(folder.path()).notes["mail"].as_str()), (Some(Time::from_secs(110)), "two"));
        kept.write(Time::from_secs(101), true);
        let mut again = Kept::load(folder.path());
        assert_eq!(again.messages().collect::<Vec<_>>(), [Message::Kept { way: "mail".into(), note: "three".into() }]);
        assert!(!again.take("pigeon".into(), "x".into()) && again.take("syslog".into(), "x".into()));
        fs::write(folder.path().join(STATE), "{\"pigeon\": \"x\", \"mail\": \"four\"}").unwrap();
        assert_eq!(Kept::load(folder.path()).messages().collect::<Vec<_>>(), [Message::Kept { way: "mail".into(), note: "four".into() }]);
        fs::write(folder.path().join(STATE), "{\"mail\": 7").unwrap();
        assert_eq!(Kept::load(folder.path()).messages().count(), 0);
        // What could not be written is tried again.
        folder.close().unwrap();
        again.write(Time::from_secs(200), true);
        assert_eq!(again.due(), Some(Time::from_secs(210)));
    }
}
