//! Writing the history and asking it. Never answers with more than [`ANSWER_MAX`] rows.

use crate::entry::{self, Entry};
use crate::error::Error;
use crate::key::{Columns, Key, nanos, whole, wider};
use crate::{ANSWER_MAX, Store, Tally, take};
use model::net::Prefix;
use model::time::Time;
use rusqlite::{Connection, params};

/// What to look for in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Only what touches this range: what lies inside and what covers it.
    pub whom: Option<Prefix>,
    /// Only from this time on.
    pub since: Option<Time>,
    /// Only up to this time.
    pub until: Option<Time>,
    /// At most so many entries, and never more than [`ANSWER_MAX`].
    pub limit: usize,
    /// The newest first, and the newest if there are more than `limit`; otherwise the oldest.
    pub newest_first: bool,
}

impl Default for HistoryQuery {
    fn default() -> Self {
        HistoryQuery { whom: None, since: None, until: None, limit: 100, newest_first: true }
    }
}

impl Store {
    /// Writes entries down, in one transaction. At [`ENTRIES_CEILING`](crate::ENTRIES_CEILING) the oldest give way.
    pub fn record(&mut self, entries: &[Entry]) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        let ceiling = self.entries_ceiling;
        self.write(|connection, tally| record(connection, tally, entries, ceiling))
    }

    /// The entries that the query asks for, in the order in which they were recorded or in its reverse.
    pub fn history(&self, query: &HistoryQuery) -> Result<Vec<Entry>, Error> {
        let limit = query.limit.min(ANSWER_MAX);
        let between = (query.since.unwrap_or(Time::EPOCH), query.until.unwrap_or(Time::from_nanos(u64::MAX)));
        match query.whom {
            Some(whom) => {
                let found = touching(&self.connection, Table::Entry, whom, between, query.newest_first, limit)?;
                let mut one = self.connection.prepare_cached(&format!("SELECT {} FROM entry WHERE id = ?1", entry::COLUMNS))?;
                found.into_iter().map(|id| one.query_row([id], |row| Ok(entry::read(&Columns(row))))?).collect()
            }
            None => {
                let order = if query.newest_first { "DESC" } else { "ASC" };
                let mut all = self.connection.prepare_cached(&format!(
                    "SELECT {} FROM entry WHERE at BETWEEN ?1 AND ?2 ORDER BY id {order} LIMIT ?3",
                    entry::COLUMNS
                ))?;
                let mut rows = all.query(params![nanos(between.0), nanos(between.1), limit as i64])?;
                let mut entries = Vec::new();
                while let Some(row) = rows.next()? {
                    entries.push(entry::read(&Columns(row))?);
                }
                Ok(entries)
            }
        }
    }
}

/// Writes entries down; above the ceiling the oldest give way.
pub(crate) fn record(connection: &Connection, tally: &mut Tally, entries: &[Entry], ceiling: u64) -> Result<(), Error> {
    let mut insert = connection.prepare_cached(entry::INSERT)?;
    for entry in entries {
        entry::write(&mut insert, entry)?;
    }
    tally.counts.entries += entries.len() as u64;
    tally.unsaved += entries.len() as u64;
    let excess = tally.counts.entries.saturating_sub(ceiling);
    if excess > 0 {
        take(&mut tally.counts.entries, forget_oldest(connection, excess)?);
    }
    Ok(())
}

/// Deletes the oldest entries; returns how many.
pub(crate) fn forget_oldest(connection: &Connection, count: u64) -> Result<u64, Error> {
    let mut delete = connection.prepare_cached("DELETE FROM entry WHERE id IN (SELECT id FROM entry ORDER BY id LIMIT ?1)")?;
    Ok(delete.execute([whole(count)])? as u64)
}

/// The tables that are searched by address.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Table {
    Block,
    Entry,
}

impl Table {
    /// Its name, its index by address, its time.
    const fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Table::Block => ("block", "block_whom", "made"),
            Table::Entry => ("entry", "entry_whom", "at"),
        }
    }
}

/// The row numbers of all that touches a range, the newest or the oldest `limit` of them, in that order.
/// What covers the range is looked up by its exact key, one for each length; what lies inside is one stretch of the index.
pub(crate) fn touching(
    connection: &Connection,
    table: Table,
    whom: Prefix,
    between: (Time, Time),
    newest_first: bool,
    limit: usize,
) -> Result<Vec<i64>, Error> {
    let (name, index, time) = table.names();
    let order = if newest_first { "DESC" } else { "ASC" };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT id FROM {name} INDEXED BY {index} WHERE whom BETWEEN ?1 AND ?2 AND {time} BETWEEN ?3 AND ?4 ORDER BY id {order} LIMIT ?5"
    ))?;
    let mut found = Vec::new();
    let stretches = wider(whom).map(|prefix| (Key::of(prefix), Key::of(prefix)));
    for (first, last) in stretches.chain([(Key::of(whom), Key::last_inside(whom))]) {
        let mut rows = statement.query(params![first, last, nanos(between.0), nanos(between.1), limit as i64])?;
        while let Some(row) = rows.next()? {
            found.push(row.get(0)?);
        }
    }
    found.sort_unstable();
    if newest_first {
        found.reverse();
    }
    found.truncate(limit);
    Ok(found)
}
