//! Taking what a store knows to another file: when its own was deleted under it, or when a disk that failed at the start has come back.
//! Never loses what the other file has, and leaves this store as it was.

use crate::error::Error;
use crate::key::nanos;
use crate::{Store, schema};
use model::block::{BlockId, State};
use model::time::Time;
use rusqlite::{Connection, params_from_iter, types::Value};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The tables, and whether their rows are numbered anew.
const TABLES: [(&str, bool); 9] = [
    ("block", false),
    ("entry", true),
    ("strike", false),
    ("allow", false),
    ("position", false),
    ("storm", false),
    ("rule", false),
    ("quote", false),
    ("run", false),
];

impl Store {
    /// Whether its file is still there under its name. One in memory always is.
    pub fn is_in_place(&self) -> bool {
        let Some((path, identity)) = &self.place else { return true };
        std::fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == *identity)
    }

    /// Whether it is on a disk at all.
    pub fn is_on_disk(&self) -> bool {
        self.place.is_some()
    }

    /// Whether nothing was ever written to it.
    pub fn is_new(&self) -> bool {
        self.tally.next_block <= 1 && self.tally.counts.entries == 0
    }

    /// The next block's number is at least this. For a store in memory whose numbers must not be those of a file that can't be read.
    pub fn begin_at(&mut self, first: BlockId) {
        self.tally.next_block = self.tally.next_block.max(first.0);
    }

    /// Opens (or makes) the store at `path` and writes all into it that this one has. Its own history stays; blocks that it takes for
    /// live give way to this store's: they are marked as lifted.
    ///
    /// # Errors
    /// As [`Store::open`], or if it can't be written; it is as it was then.
    pub fn carry_to(&self, path: &Path, now: Time) -> Result<Store, Error> {
        let mut other = Store::open(path)?;
        other.write(|connection, tally| {
            let live = State::ALL.iter().filter(|state| state.is_live()).map(|state| *state as u8).max().unwrap_or(0);
            connection.execute("UPDATE block SET state = ?1, ended = ?2 WHERE state <= ?3", (State::Lifted as u8, nanos(now), live))?;
            for (table, numbered) in TABLES {
                copy(&self.connection, connection, table, numbered)?;
            }
            *tally = crate::Tally { unsaved: u64::MAX / 2, ..schema::count(connection)? };
            Ok(())
        })?;
        other.begin_at(BlockId(self.tally.next_block));
        Ok(other)
    }
}

fn copy(from: &Connection, to: &Connection, table: &str, numbered: bool) -> Result<(), Error> {
    let mut select = from.prepare(&format!("SELECT * FROM {table}"))?;
    let columns = select.column_count();
    let places = vec!["?"; columns].join(", ");
    let mut insert = to.prepare(&format!("INSERT OR REPLACE INTO {table} VALUES ({places})"))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let mut values = (0..columns).map(|column| row.get::<_, Value>(column)).collect::<Result<Vec<_>, _>>()?;
        if let (true, Some(number)) = (numbered, values.first_mut()) {
            *number = Value::Null;
        }
        insert.execute(params_from_iter(values))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Entry;
    use crate::memory::Allowance;
    use model::block::{Because, Block, Effect, Expiry, Scope};

    fn block(id: u64) -> Block {
        Block {
            id: BlockId(id),
            scope: Scope::Source(format!("10.0.0.{id}").parse().unwrap()),
            effect: Effect::Drop,
            made: Time::from_secs(1),
            expiry: Expiry::Never,
            because: Because::Operator { note: String::new() },
        }
    }

    fn entry(secs: u64) -> Entry {
        Entry::Disallowed { at: Time::from_secs(secs), whom: "192.0.2.1".parse().unwrap() }
    }

    #[test]
    fn a_deleted_file_is_made_again_with_all_that_was_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("riposte.db");
        let mut store = Store::open(&path).unwrap();
        assert!(store.is_new() && store.is_in_place());
        store.want(&[block(1), block(2)]).unwrap();
        store.mark(&[(BlockId(1), State::Active), (BlockId(2), State::Expired)], Time::from_secs(2)).unwrap();
        store.record(&[entry(1), entry(2)]).unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
        assert!(!store.is_in_place());
        store.want(&[block(3)]).unwrap();
        let moved = store.carry_to(&path, Time::from_secs(9)).unwrap();
        assert_eq!((moved.counts(), moved.next_block_id()), (store.counts(), BlockId(4)));
        assert_eq!(moved.live(Time::EPOCH).unwrap(), [block(1), block(3)]);
        drop(moved);
        assert_eq!(Store::open(&path).unwrap().counts(), store.counts());
    }

    #[test]
    fn what_was_kept_in_memory_joins_what_the_disk_had() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("riposte.db");
        let mut old = Store::open(&path).unwrap();
        old.want(&[block(1)]).unwrap();
        old.record(&[entry(1)]).unwrap();
        let allowance = Allowance { whom: "198.51.100.7".parse().unwrap(), made: Time::EPOCH, until: Expiry::Never, note: "me".into() };
        old.save_allow(&allowance).unwrap();
        old.close().unwrap();
        let mut memory = Store::open_in_memory().unwrap();
        assert!(!memory.is_on_disk());
        memory.begin_at(BlockId(100));
        memory.want(&[block(100)]).unwrap();
        memory.record(&[entry(5)]).unwrap();
        let moved = memory.carry_to(&path, Time::from_secs(9)).unwrap();
        assert_eq!(moved.live(Time::EPOCH).unwrap(), [block(100)]);
        assert_eq!((moved.counts().entries, moved.counts().ended()), (2, 1));
        assert_eq!(moved.load_allow(Time::EPOCH).unwrap(), [allowance]);
        assert_eq!(moved.next_block_id(), BlockId(101));
        assert!(matches!(memory.carry_to(&path, Time::EPOCH), Err(Error::Busy)), "another has it");
    }
}
