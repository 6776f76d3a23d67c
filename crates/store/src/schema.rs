//! The tables, how a file is opened and brought up to date, and how its log is written back.
//! Never changes a file that is not ours or that a newer riposte wrote.

use crate::error::Error;
use crate::key::Columns;
use crate::{Counts, Tally, take};
use model::block::State;
use rusqlite::{Connection, TransactionBehavior};
use std::time::Duration;

/// "Ript", in the file's header: so `file` and we can tell whose database it is.
const APPLICATION_ID: i64 = 0x5269_7074;

/// One step for each version of the schema; the file's version is the number of steps it has taken.
const STEPS: [&str; 6] = [
    "
    CREATE TABLE block (
        id INTEGER PRIMARY KEY,
        state INTEGER NOT NULL,
        whom BLOB NOT NULL,
        made INTEGER NOT NULL,
        expiry INTEGER,
        ordered INTEGER,
        active INTEGER,
        ended INTEGER,
        charge INTEGER,
        level INTEGER,
        styles INTEGER,
        trust INTEGER,
        strike INTEGER,
        note TEXT
    ) STRICT;
    CREATE INDEX block_whom ON block (whom);
    CREATE TABLE entry (
        id INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        whom BLOB NOT NULL,
        kind INTEGER NOT NULL,
        reason INTEGER,
        block INTEGER,
        until INTEGER,
        strike INTEGER,
        charge INTEGER,
        level INTEGER,
        styles INTEGER,
        trust INTEGER,
        first INTEGER,
        last INTEGER,
        packets INTEGER,
        targets INTEGER,
        endpoints INTEGER,
        protocols INTEGER,
        convicted INTEGER
    ) STRICT;
    CREATE INDEX entry_whom ON entry (whom);
    CREATE TABLE strike (
        whom BLOB PRIMARY KEY,
        count INTEGER NOT NULL,
        last INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX strike_last ON strike (last);
    CREATE TABLE allow (
        whom BLOB PRIMARY KEY,
        made INTEGER NOT NULL,
        until INTEGER,
        note TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE position (
        log TEXT PRIMARY KEY,
        device INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        offset INTEGER NOT NULL,
        mark BLOB NOT NULL
    ) STRICT;
    CREATE TABLE storm (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        since INTEGER NOT NULL,
        until INTEGER NOT NULL,
        rolled_back INTEGER NOT NULL
    ) STRICT;
",
    "
    ALTER TABLE block ADD COLUMN rule INTEGER;
    ALTER TABLE entry ADD COLUMN rule INTEGER;
    ALTER TABLE entry ADD COLUMN wished INTEGER;
    CREATE TABLE rule (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL
    ) STRICT;
    CREATE TABLE quote (
        whom BLOB PRIMARY KEY,
        at INTEGER NOT NULL,
        log TEXT NOT NULL,
        line TEXT NOT NULL
    ) STRICT;
",
    "
    CREATE TABLE run (
        id INTEGER PRIMARY KEY,
        response TEXT NOT NULL,
        whom BLOB NOT NULL,
        user TEXT,
        rule INTEGER,
        made INTEGER NOT NULL,
        until INTEGER,
        block INTEGER
    ) STRICT;
",
    "
    ALTER TABLE run ADD COLUMN level INTEGER;
    ALTER TABLE run ADD COLUMN protocol INTEGER;
    ALTER TABLE run ADD COLUMN port INTEGER;
    ALTER TABLE run ADD COLUMN style INTEGER;
",
    "
    ALTER TABLE run ADD COLUMN again INTEGER NOT NULL DEFAULT 0;
",
];

/// Locks, checks and migrates what `connection` has open.
pub(crate) fn prepare(connection: &mut Connection) -> Result<(), Error> {
    connection.busy_timeout(Duration::ZERO)?;
    // SQLite quietly falls back to reading when it may not write.
    if connection.is_readonly("main")? {
        return Err(Error::ReadOnly);
    }
    // Before anything is read: the first access takes the lock for good.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let known = STEPS.len() as i64;
    let fresh = application == 0 && found == 0 && tables == 0;
    if !fresh && application != APPLICATION_ID {
        return Err(Error::Foreign);
    }
    if found > known {
        return Err(Error::Newer { found, known });
    }
    // Only an empty file can be made to give pages back later.
    if fresh {
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    for (name, value) in [
        ("journal_mode", "WAL"),
        ("synchronous", "NORMAL"),
        // The backstop for a storm between two calls of `tidy`: the log stays under 64 MiB.
        ("wal_autocheckpoint", "16384"),
        ("journal_size_limit", "16777216"),
        ("temp_store", "MEMORY"),
        // 2 MiB: with 1 MiB a batch of 1,000 blocks costs half as much again, with 4 MiB it gains nothing more.
        ("cache_size", "-2048"),
        ("mmap_size", "0"),
        ("cell_size_check", "ON"),
        ("trusted_schema", "OFF"),
    ] {
        connection.pragma_update(None, name, value)?;
    }
    connection.set_prepared_statement_cache_capacity(48);
    migrate(connection, usize::try_from(found).map_err(|_| Error::Corrupt("negative schema version".into()))?)?;
    let mut reference = Connection::open_in_memory()?;
    migrate(&mut reference, 0)?;
    if definitions(connection)? != definitions(&reference)? {
        return Err(Error::Corrupt("its tables are not those that riposte made".into()));
    }
    Ok(())
}

/// What the tables and indices are, as text. Compared at the start, so that no later statement can stumble over them.
fn definitions(connection: &Connection) -> Result<Vec<[Option<String>; 4]>, Error> {
    let mut statement = connection.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name")?;
    let mut rows = statement.query([])?;
    let mut definitions = Vec::new();
    while let Some(row) = rows.next()? {
        let row = Columns(row);
        definitions.push([row.text(0)?, row.text(1)?, row.text(2)?, row.text(3)?]);
    }
    Ok(definitions)
}

/// Takes the steps that the file has not taken yet, all or none. Also the first write, so the lock is ours from here.
fn migrate(connection: &mut Connection, found: usize) -> Result<(), Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (version, step) in STEPS.iter().enumerate().skip(found) {
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", version as i64 + 1)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    Ok(transaction.commit()?)
}

/// Looks every page through.
pub(crate) fn check(connection: &Connection) -> Result<(), Error> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(Error::Corrupt(found)) }
}

/// Counts what is in the tables. A million blocks take some 40 ms.
pub(crate) fn count(connection: &Connection) -> Result<Tally, Error> {
    let mut counts = Counts::default();
    let of = |query| -> Result<u64, Error> { connection.query_row(query, [], |row| Ok(Columns(row).number(0)))? };
    // Only what is not active is handed out row by row: in a large ledger that is little, and all rows are counted without looking at them.
    counts.blocks[State::Active as usize] = of("SELECT count(*) FROM block")?;
    let mut statement = connection.prepare("SELECT state FROM block WHERE state <> ?1")?;
    let mut rows = statement.query([State::Active as u8])?;
    while let Some(row) = rows.next()? {
        counts.blocks[Columns(row).one_of(0, &State::ALL)? as usize] += 1;
        take(&mut counts.blocks[State::Active as usize], 1);
    }
    counts.entries = of("SELECT count(*) FROM entry")?;
    counts.strikes = of("SELECT count(*) FROM strike")?;
    counts.allowances = of("SELECT count(*) FROM allow")?;
    let next_block = of("SELECT ifnull(max(id), 0) FROM block")?.saturating_add(1);
    Ok(Tally { counts, next_block, unsaved: 0 })
}

/// Writes the log back into the file and has the disk keep it.
pub(crate) fn checkpoint(connection: &Connection) -> Result<(), Error> {
    Ok(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
}
