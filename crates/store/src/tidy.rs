//! Retention, in small steps, so that the judge is never kept waiting. Never deletes a live block.

use crate::error::Error;
use crate::history::forget_oldest;
use crate::key::{Columns, nanos, whole};
use crate::ledger::set_state;
use crate::{Store, Tally, schema, take};
use model::block::State;
use model::limits;
use model::time::Time;
use rusqlite::{Connection, params};
use std::time::Duration;

/// How long what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Entries of the history and ended blocks older than this many days go.
    pub days: u32,
    /// At most so many entries, and as many ended blocks; the oldest go first.
    pub entries_max: u64,
    /// Bytes that the file may have. Above, the oldest entries of the history go; what else is in it stays, however much.
    pub bytes_max: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Retention { days: 90, entries_max: 1_000_000, bytes_max: 2 << 30 }
    }
}

/// What one call of [`Store::tidy`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tidied {
    /// Blocks found past their time and marked as expired.
    pub expired: u64,
    /// Ended blocks deleted.
    pub blocks: u64,
    /// Entries of the history deleted.
    pub entries: u64,
    /// Those of them that would have stayed in a smaller file.
    pub thinned: u64,
    /// Strikes forgotten.
    pub strikes: u64,
    /// Allowances deleted that had run out.
    pub allowances: u64,
    /// Whether there is more to do now: call again soon.
    pub more: bool,
}

/// How large the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Its pages.
    pub pages: u64,
    /// Those of them that nothing is on.
    pub free: u64,
    /// Bytes of a page.
    pub page: u64,
}

impl Size {
    /// Bytes that something is on.
    pub fn used(&self) -> u64 {
        self.pages.saturating_sub(self.free).saturating_mul(self.page)
    }
}

/// Rows changed in one call, at most, by each kind of work. A row costs some 5 µs.
const STEP_ROWS: u64 = 200;
/// Blocks looked at in one call.
const STEP_LOOKS: u64 = 2_000;
/// Pages given back to the file system in one call.
const STEP_PAGES: u32 = 64;
/// How often the ledger is walked for blocks that have ended.
const WALK_EVERY: Duration = Duration::from_secs(15 * 60);
/// Rows in the log from which a call writes them back to the file, if nothing else is to be done or in any case: or a store that always
/// has something to tidy would let the log grow until a commit has to wait for the disk.
const CHECKPOINT_ROWS: u64 = 1_000;
const CHECKPOINT_ROWS_MOST: u64 = 5_000;

/// Where the walk through the ledger stands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sweep {
    /// The last block that was looked at; `None` between two walks.
    at: Option<i64>,
    /// When the next walk begins.
    next: Time,
}

impl Store {
    /// Does a few milliseconds' worth of what retention asks for, writes the log back when it has grown, and gives
    /// unused pages back. Call it from time to time, and again at once while it says [`Tidied::more`].
    /// Only writing the log back waits for the disk.
    pub fn tidy(&mut self, now: Time, retention: &Retention) -> Result<Tidied, Error> {
        let cutoff = now.before(Duration::from_secs(u64::from(retention.days) * 86_400));
        let mut done = Tidied::default();
        let mut sweep = self.sweep;
        // A clock that was set back must not stop the walks.
        if sweep.at.is_none() && (sweep.next <= now || sweep.next > now.after(WALK_EVERY)) {
            sweep = Sweep { at: Some(-1), next: now.after(WALK_EVERY) };
        }
        let walk_begins = sweep.at == Some(-1);
        let is_large = self.size()?.used() > retention.bytes_max;
        self.write(|connection, tally| {
            if walk_begins {
                connection.prepare_cached("DELETE FROM quote WHERE at < ?1")?.execute([nanos(cutoff)])?;
            }
            tidy_entries(connection, tally, &mut done, cutoff, retention.entries_max)?;
            if is_large {
                done.thinned = forget_oldest(connection, STEP_ROWS.saturating_sub(done.entries))?;
                done.entries += done.thinned;
                take(&mut tally.counts.entries, done.thinned);
                done.more |= done.thinned > 0;
            }
            tidy_strikes(connection, tally, &mut done)?;
            done.allowances = connection.prepare_cached("DELETE FROM allow WHERE until <= ?1")?.execute([nanos(now)])? as u64;
            take(&mut tally.counts.allowances, done.allowances);
            if let Some(from) = sweep.at {
                sweep.at = tidy_blocks(connection, tally, &mut done, from, (now, cutoff, retention.entries_max))?;
                done.more |= sweep.at.is_some();
            }
            tally.unsaved += done.blocks + done.entries + done.strikes + done.allowances;
            Ok(())
        })?;
        self.sweep = sweep;
        if !done.more {
            done.more = self.shrink(retention.bytes_max)?;
        }
        if self.tally.unsaved >= if done.more { CHECKPOINT_ROWS_MOST } else { CHECKPOINT_ROWS } {
            schema::checkpoint(&self.connection)?;
            self.tally.unsaved = 0;
        }
        Ok(done)
    }

    /// How large the file is.
    pub fn size(&self) -> Result<Size, Error> {
        let number = |name| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map(i64::cast_unsigned);
        Ok(Size { pages: number("page_count")?, free: number("freelist_count")?, page: number("page_size")? })
    }

    /// Gives some pages back if more than a quarter of the file is empty, or if it is too large; says whether that is still so.
    fn shrink(&self, bytes_max: u64) -> Result<bool, Error> {
        let wasteful = || -> Result<bool, Error> {
            let Size { pages, free, page } = self.size()?;
            Ok(free > 4 * u64::from(STEP_PAGES) && (free > pages / 4 || pages.saturating_mul(page) > bytes_max))
        };
        if !wasteful()? {
            return Ok(false);
        }
        let mut statement = self.connection.prepare(&format!("PRAGMA incremental_vacuum({STEP_PAGES})"))?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        wasteful()
    }
}

/// The oldest entries go: those past their days, and any above the number.
fn tidy_entries(connection: &Connection, tally: &mut Tally, done: &mut Tidied, cutoff: Time, max: u64) -> Result<(), Error> {
    // A wrongly dated entry at the head can hold up the others' days, but not the number.
    let mut old = connection.prepare_cached("DELETE FROM entry WHERE id IN (SELECT id FROM entry ORDER BY id LIMIT ?1) AND at < ?2")?;
    done.entries = old.execute(params![whole(STEP_ROWS), nanos(cutoff)])? as u64;
    let excess = tally.counts.entries.saturating_sub(done.entries).saturating_sub(max).min(STEP_ROWS - done.entries);
    if excess > 0 {
        done.entries += forget_oldest(connection, excess)?;
    }
    take(&mut tally.counts.entries, done.entries);
    done.more |= done.entries == STEP_ROWS;
    Ok(())
}

/// The oldest strikes above the bound go.
fn tidy_strikes(connection: &Connection, tally: &mut Tally, done: &mut Tidied) -> Result<(), Error> {
    let excess = tally.counts.strikes.saturating_sub(limits::STRIKES as u64).min(STEP_ROWS);
    if excess > 0 {
        let mut delete = connection.prepare_cached("DELETE FROM strike WHERE whom IN (SELECT whom FROM strike ORDER BY last LIMIT ?1)")?;
        done.strikes = delete.execute([whole(excess)])? as u64;
        take(&mut tally.counts.strikes, done.strikes);
        done.more |= done.strikes == STEP_ROWS;
    }
    Ok(())
}

/// Walks on through the ledger: marks what is past its time, deletes what ended long ago or is too much.
/// Returns the last block it looked at, or `None` at the end.
fn tidy_blocks(
    connection: &Connection,
    tally: &mut Tally,
    done: &mut Tidied,
    from: i64,
    (now, cutoff, max): (Time, Time, u64),
) -> Result<Option<i64>, Error> {
    let mut look = connection.prepare_cached("SELECT id, state, expiry, ended FROM block WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    // The last block stays as long as it is the last: its number says which come next.
    let last = whole(tally.next_block) - 1;
    let mut excess = tally.counts.ended().saturating_sub(max);
    let (mut at, mut looked) = (from, 0);
    let (mut over, mut old) = (Vec::new(), Vec::new());
    let mut rows = look.query(params![from, whole(STEP_LOOKS)])?;
    while let Some(row) = rows.next()? {
        let row = Columns(row);
        looked += 1;
        at = row.number(0)?;
        let state = row.one_of(1, &State::ALL)?;
        if state.is_live() {
            over.extend(row.maybe_time(2)?.filter(|expiry| *expiry <= now).map(|expiry| (at, state, expiry)));
        } else if at != last && (excess > 0 || row.maybe_time(3)?.is_some_and(|ended| ended < cutoff)) {
            old.push((at, state));
            excess = excess.saturating_sub(1);
        }
        if (over.len() + old.len()) as u64 == STEP_ROWS {
            break;
        }
    }
    let finished = looked < STEP_LOOKS && ((over.len() + old.len()) as u64) < STEP_ROWS;
    drop(rows);
    for (id, state, expiry) in &over {
        set_state(connection, tally, *id, (*state, State::Expired), *expiry)?;
    }
    let mut delete = connection.prepare_cached("DELETE FROM block WHERE id = ?1")?;
    for (id, state) in &old {
        delete.execute([id])?;
        take(&mut tally.counts.blocks[*state as usize], 1);
    }
    done.expired = over.len() as u64;
    done.blocks = old.len() as u64;
    Ok((!finished).then_some(at))
}
