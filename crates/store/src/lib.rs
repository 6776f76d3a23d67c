//! The ledger of blocks and the history of what was charged and decided, in one SQLite file.
//! Never decides anything, never reads a clock, and never stands in the way of blocking: every failure is a typed
//! error, and the store stays usable after it.
//!
//! # One owner
//! The file is locked for as long as a [`Store`] is open, so a second process gets [`Error::Busy`] and not a second
//! truth. The command line asks the judge through the control socket; nobody else reads the file while riposte runs.
//! The lock also spares the shared-memory file that SQLite's write-ahead log otherwise needs.
//!
//! # What survives what
//! A commit is in the page cache when a call returns: a killed process loses nothing. It is on the disk after the next
//! checkpoint ([`Store::tidy`]); a power cut can lose what came since then, but never leaves half a transaction. The
//! hot path never waits for the disk, unless the log reaches 64 MiB between two calls of `tidy`.
//!
//! # Schema, version 6
//! Times are nanoseconds since the Unix epoch, cut to the year 2262; enums are their index in `model`'s `ALL` arrays.
//! `whom` is an address range as a blob that sorts like the addresses: family (4 or 6), the first address' bytes, the
//! length in bits.
//! ```sql
//! block (id, state, whom, made, expiry,            -- expiry NULL: never
//!        ordered, active, ended,                   -- when it reached that state; NULL: not yet
//!        charge, level, styles, trust, strike, rule, -- why, if it was an offence
//!        note)                                     -- why, if it was an operator: cut to 200 characters, no control characters;
//!                                                  -- neither: adopted from the kernel
//! entry (id, at, whom, kind, reason, block, until, strike,
//!        charge, level, styles, trust, first, last, packets, targets, endpoints, protocols, convicted, rule, wished)
//! strike (whom, count, last)                       -- past offences of an offender
//! allow (whom, made, until, note)                  -- the operator's allow list
//! rule (id, name)                                  -- log rules by the numbers in `rule`; since version 3, as the columns `rule` and `wished`
//! quote (whom, at, log, line)                      -- the log line that decided about an offender last: cut to 200 characters, no control
//!                                                  -- characters; since version 3
//! run (id, response, whom, user, rule, made, until, block, -- responses to be undone; since version 4
//!      level, protocol, port, style,                -- since version 5
//!      again)                                       -- 1: it is being undone, and then wanted once more; since version 6
//! storm (id, since, until, rolled_back)             -- the latest storm's pause, in one row; since version 2
//! position (log, device, inode, offset, mark)      -- how far a followed log has been read; since version 2
//! ```
//! Indices: `block(whom)`, `entry(whom)`, `strike(last)`. There is none by time or state: each would be paid for at
//! every insert, and the few readers that want one scan.

pub mod entry;
pub mod error;
pub mod fail2ban;
#[cfg(feature = "faults")]
pub mod faults;
pub mod history;
mod key;
pub mod ledger;
pub mod memory;
pub mod rescue;
pub mod runs;
mod schema;
pub mod sentence;
pub mod story;
pub mod tidy;

use crate::error::Error;
use model::block::{BlockId, State};
use model::time::Time;
use rusqlite::{Connection, OpenFlags};
use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Entries of the history that are kept whatever the retention says and even if nobody calls [`Store::tidy`]. At the
/// bound the oldest give way.
pub const ENTRIES_CEILING: u64 = 4_000_000;
/// The longest file that is looked through after an unclean end: some 0.2 s.
const CHECKED_BYTES: u64 = 64 << 20;
/// Rows that one query answers with at most.
pub const ANSWER_MAX: usize = 100_000;

/// The ledger and the history. One per process; it locks its file.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    tally: Tally,
    sweep: tidy::Sweep,
    entries_ceiling: u64,
    /// Its file, and which one that was when it was opened (device and inode).
    place: Option<(PathBuf, (u64, u64))>,
}

/// What the store holds, for `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Blocks by state, in the order of [`State::ALL`]. One whose time ran out counts as live until it is marked or tidied.
    pub blocks: [u64; State::ALL.len()],
    /// Entries of the history.
    pub entries: u64,
    /// Offenders with strikes.
    pub strikes: u64,
    /// Entries of the operator's allow list.
    pub allowances: u64,
}

impl Counts {
    /// Blocks in one state.
    pub fn in_state(&self, state: State) -> u64 {
        self.blocks[state as usize]
    }

    /// Blocks that should be in force.
    pub fn live(&self) -> u64 {
        State::ALL.iter().filter(|state| state.is_live()).map(|state| self.in_state(*state)).sum()
    }

    /// Blocks that have ended.
    pub fn ended(&self) -> u64 {
        self.blocks.iter().sum::<u64>() - self.live()
    }
}

/// The running totals, so that nobody has to count a million rows. Changed only when a transaction has been committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Tally {
    counts: Counts,
    next_block: u64,
    /// Rows written since the last checkpoint.
    unsaved: u64,
}

impl Store {
    /// Opens the store, creates it (readable by its owner alone) if there is none, and brings an older schema up to date.
    ///
    /// # Errors
    /// [`Error::Busy`] if another process has it; [`Error::Newer`] or [`Error::Foreign`] if it is not ours to change;
    /// [`Error::Corrupt`] if it is damaged: then [`Store::set_aside`] makes room for a new one.
    pub fn open(path: &Path) -> Result<Store, Error> {
        // SQLite would create it with the process' usual mode; its log inherits this one.
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?.metadata()?;
        let log = std::fs::metadata(with_suffix(path, "-wal")).map_or(0, |log| log.len());
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let store = Store::prepare(Connection::open_with_flags(path, flags)?)?;
        // Only an unclean end leaves a log: then the file is looked through, unless that would keep the host waiting.
        if log > 0 && file.len() <= CHECKED_BYTES {
            schema::check(&store.connection)?;
        }
        Ok(Store { place: Some((path.to_owned(), (file.dev(), file.ino()))), ..store })
    }

    /// Opens an empty store that vanishes with the process: for dry runs, replays, and when the disk has failed.
    pub fn open_in_memory() -> Result<Store, Error> {
        Store::prepare(Connection::open_in_memory()?)
    }

    fn prepare(mut connection: Connection) -> Result<Store, Error> {
        // Our own statements are right, so here it is the tables that are not what they were.
        let damaged = |error| match error {
            Error::Broken(source) => Error::Corrupt(source.to_string()),
            other => other,
        };
        schema::prepare(&mut connection).map_err(damaged)?;
        let tally = schema::count(&connection).map_err(damaged)?;
        Ok(Store { connection, tally, sweep: tidy::Sweep::default(), entries_ceiling: ENTRIES_CEILING, place: None })
    }

    /// Renames a damaged store and its log to `NAME.corrupt-<seconds>`, so that a new one can be opened in its place.
    /// Returns the new name. Never overwrites an older one.
    pub fn set_aside(path: &Path, now: Time) -> Result<PathBuf, Error> {
        let with = with_suffix;
        let base = with(path, &format!(".corrupt-{}", now.as_secs()));
        let mut aside = base.clone();
        let mut turn = 1;
        while aside.exists() {
            turn += 1;
            aside = with(&base, &format!(".{turn}"));
        }
        // The log first: a new store must never find the damaged one's.
        for suffix in ["-wal", "-journal", ""] {
            match std::fs::rename(with(path, suffix), with(&aside, suffix)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && !suffix.is_empty() => {}
                result => result?,
            }
        }
        Ok(aside)
    }

    /// The number for the next block: higher than any that was ever used.
    pub fn next_block_id(&self) -> BlockId {
        BlockId(self.tally.next_block)
    }

    /// What the store holds. Costs nothing.
    pub fn counts(&self) -> Counts {
        self.tally.counts
    }

    /// Writes the log into the file and closes it. Dropping the store does the same, but tells nobody of a failure.
    pub fn close(self) -> Result<(), Error> {
        schema::checkpoint(&self.connection)?;
        self.connection.close().map_err(|(_, error)| Error::from(error))
    }

    /// Runs `work` in one transaction: all of it happens, totals included, or none of it.
    fn write<T>(&mut self, work: impl FnOnce(&Connection, &mut Tally) -> Result<T, Error>) -> Result<T, Error> {
        let mut tally = self.tally;
        let transaction = Transaction::begin(&self.connection)?;
        let result = work(&self.connection, &mut tally)?;
        transaction.commit()?;
        self.tally = tally;
        self.check_invariants();
        Ok(result)
    }

    /// The totals are those of the tables. Counted in debug builds only, and only while the tables are small.
    fn check_invariants(&self) {
        if cfg!(debug_assertions) && self.tally.counts.blocks.iter().sum::<u64>() + self.tally.counts.entries < 256 {
            match schema::count(&self.connection) {
                Ok(counted) => {
                    debug_assert_eq!(counted.counts, self.tally.counts);
                    debug_assert!(counted.next_block <= self.tally.next_block);
                }
                // A failing disk is nobody's broken promise.
                Err(error) => debug_assert!(!matches!(error, Error::Broken(_)), "{error}"),
            }
        }
    }
}

/// A transaction that is rolled back unless it is committed. Its words are prepared once: a block waits while they are read.
struct Transaction<'c>(&'c Connection);

impl<'c> Transaction<'c> {
    fn begin(connection: &'c Connection) -> Result<Self, Error> {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Transaction(connection))
    }

    fn commit(self) -> Result<(), Error> {
        self.0.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // One that is committed, or that SQLite has rolled back itself, is over.
        if !self.0.is_autocommit() {
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Takes `gone` off a total. Saturating: the file may be damaged, and a wrong total must not stop the judge.
fn take(total: &mut u64, gone: u64) {
    *total = total.saturating_sub(gone);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::HistoryQuery;
    use model::block::{Because, Block, Effect, Expiry, Scope};

    fn block(id: u64) -> Block {
        Block {
            id: BlockId(id),
            scope: Scope::Source(format!("10.{}.{}.{}", id >> 16 & 255, id >> 8 & 255, id & 255).parse().unwrap()),
            effect: Effect::Drop,
            made: Time::from_secs(1),
            expiry: Expiry::Never,
            because: Because::Operator { note: String::new() },
        }
    }

    #[test]
    fn a_full_disk_is_an_error_that_leaves_the_store_usable() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("riposte.db")).unwrap();
        let pages: i64 = store.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        store.connection.query_row(&format!("PRAGMA max_page_count = {}", pages + 8), [], |_| Ok(())).unwrap();
        let mut kept = 0;
        let error = loop {
            let first = store.next_block_id().0;
            match store.want(&(first..first + 50).map(block).collect::<Vec<_>>()) {
                Ok(()) => kept += 50,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Full), "{error}");
        assert!(kept > 0);
        assert_eq!(store.counts().live(), kept);
        assert_eq!(store.next_block_id(), BlockId(kept + 1));
        assert_eq!(store.live(Time::EPOCH).unwrap().len() as u64, kept);
        store.connection.query_row("PRAGMA max_page_count = 100000", [], |_| Ok(())).unwrap();
        store.want(&[block(kept + 1)]).unwrap();
        assert_eq!(store.live(Time::EPOCH).unwrap().len() as u64, kept + 1);
    }

    #[test]
    fn what_can_only_be_read_is_said_at_once_and_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("riposte.db");
        let mut store = Store::open(&path).unwrap();
        store.want(&[block(1)]).unwrap();
        store.connection.pragma_update(None, "query_only", "ON").unwrap();
        assert!(matches!(store.want(&[block(2)]), Err(Error::ReadOnly)));
        assert_eq!(store.live(Time::EPOCH).unwrap(), [block(1)]);
        drop(store);
        let read_only = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        assert!(matches!(Store::prepare(read_only), Err(Error::ReadOnly)));
    }

    #[test]
    fn a_newer_schema_and_a_foreign_database_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("riposte.db");
        let store = Store::open(&path).unwrap();
        store.connection.pragma_update(None, "user_version", 9).unwrap();
        store.close().unwrap();
        assert!(matches!(Store::open(&path), Err(Error::Newer { found: 9, known: 6 })));

        let other = folder.path().join("other.db");
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE mail (id INTEGER)").unwrap();
        let before = std::fs::read(&other).unwrap();
        assert!(matches!(Store::open(&other), Err(Error::Foreign)));
        assert_eq!(std::fs::read(&other).unwrap(), before);
    }

    #[test]
    fn the_log_is_a_write_ahead_log_and_the_lock_needs_no_shared_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("riposte.db");
        let mut store = Store::open(&path).unwrap();
        store.want(&[block(1)]).unwrap();
        let mode: String = store.connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        let mut files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        files.sort();
        assert_eq!(files, ["riposte.db", "riposte.db-wal"]);
        assert!(matches!(Store::open(&path), Err(Error::Busy)));
    }

    #[test]
    fn the_history_is_bounded_even_if_nobody_tidies() {
        let mut store = Store::open_in_memory().unwrap();
        store.entries_ceiling = 10;
        let entry = |secs| entry::Entry::Disallowed { at: Time::from_secs(secs), whom: "192.0.2.1".parse().unwrap() };
        for secs in 0..25 {
            store.record(&[entry(secs), entry(secs)]).unwrap();
        }
        assert_eq!(store.counts().entries, 10);
        let kept = store.history(&HistoryQuery { newest_first: false, ..HistoryQuery::default() }).unwrap();
        assert_eq!(kept, (20..25).flat_map(|secs| [entry(secs), entry(secs)]).collect::<Vec<_>>());
    }
}
