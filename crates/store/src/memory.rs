//! What the judge must remember over a restart besides the blocks: strikes of repeat offenders, the operator's allow list.
//! Never decides what a strike or an allowance means.

use crate::error::Error;
use crate::key::{Columns, Key, clean_note, nanos, whole};
use crate::ledger::{expiry_column, expiry_of};
use crate::{Store, Tally, take};
use model::block::Expiry;
use model::event::RuleId;
use model::limits;
use model::net::Prefix;
use model::time::Time;
use rusqlite::{Connection, OptionalExtension, params};
use std::cmp::Reverse;

/// How often somebody has been charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strike {
    /// Who.
    pub whom: Prefix,
    /// How often.
    pub count: u32,
    /// The last time.
    pub last: Time,
}

/// An entry of the operator's allow list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// Whom.
    pub whom: Prefix,
    /// When the operator said so.
    pub made: Time,
    /// Until when.
    pub until: Expiry,
    /// The operator's words, cut to 200 characters without control characters.
    pub note: String,
}

/// How far a followed log has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPosition {
    /// Which log.
    pub log: String,
    /// The file's device and inode, as the kernel's unsigned numbers.
    pub device: u64,
    /// See `device`.
    pub inode: u64,
    /// Bytes read.
    pub offset: u64,
    /// The last bytes before that.
    pub mark: Vec<u8>,
}

/// The log line that decided about an offender last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// Whom.
    pub whom: Prefix,
    /// When it was decided.
    pub at: Time,
    /// Which log it stands in.
    pub log: String,
    /// The line, cut to 200 characters without control characters.
    pub line: String,
}

/// The pause after the latest storm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StormPause {
    /// When the storm was recognised.
    pub since: Time,
    /// When the pause ends.
    pub until: Time,
    /// How many blocks were rolled back.
    pub rolled_back: u64,
}

/// Positions that are kept. At the bound the one that was not written for longest gives way.
pub const POSITIONS: usize = 256 + limits::FOLLOWED_FILES;

impl Store {
    /// Writes down how far logs have been read, in place of what was known of the same logs.
    pub fn save_positions(&mut self, positions: &[LogPosition]) -> Result<(), Error> {
        if positions.is_empty() {
            return Ok(());
        }
        self.write(|connection, tally| {
            let mut insert = connection
                .prepare_cached("INSERT OR REPLACE INTO position (log, device, inode, offset, mark) VALUES (?1, ?2, ?3, ?4, ?5)")?;
            for LogPosition { log, device, inode, offset, mark } in positions {
                insert.execute(params![log, device.cast_signed(), inode.cast_signed(), offset.cast_signed(), mark])?;
                tally.unsaved += 1;
            }
            // A replaced row is a new one: the lowest number has not been written for longest.
            let mut forget = connection
                .prepare_cached("DELETE FROM position WHERE rowid NOT IN (SELECT rowid FROM position ORDER BY rowid DESC LIMIT ?1)")?;
            forget.execute([POSITIONS as i64])?;
            Ok(())
        })
    }

    /// Writes down the pause after a storm, in place of the one before.
    pub fn save_storm(&mut self, pause: &StormPause) -> Result<(), Error> {
        let StormPause { since, until, rolled_back } = *pause;
        self.write(|connection, tally| {
            let mut insert =
                connection.prepare_cached("INSERT OR REPLACE INTO storm (id, since, until, rolled_back) VALUES (1, ?1, ?2, ?3)")?;
            insert.execute(params![nanos(since), nanos(until), whole(rolled_back)])?;
            tally.unsaved += 1;
            Ok(())
        })
    }

    /// The pause after the latest storm, over or not.
    pub fn load_storm(&self) -> Result<Option<StormPause>, Error> {
        let mut statement = self.connection.prepare_cached("SELECT since, until, rolled_back FROM storm")?;
        let pause = |row: &Columns<'_, '_>| Ok(StormPause { since: row.time(0)?, until: row.time(1)?, rolled_back: row.number(2)? });
        statement.query_row([], |row| Ok(pause(&Columns(row)))).optional()?.transpose()
    }

    /// How far each log has been read, by name.
    pub fn load_positions(&self) -> Result<Vec<LogPosition>, Error> {
        let mut statement = self.connection.prepare_cached("SELECT log, device, inode, offset, mark FROM position ORDER BY log")?;
        let mut rows = statement.query([])?;
        let mut positions = Vec::new();
        while let Some(row) = rows.next()? {
            let row = Columns(row);
            let number = |column| row.number::<i64>(column).map(i64::cast_unsigned);
            let log = row.text(0)?.unwrap_or_default();
            positions.push(LogPosition { log, device: number(1)?, inode: number(2)?, offset: number(3)?, mark: row.blob(4)? });
        }
        Ok(positions)
    }

    /// Writes down log rules' names by their numbers.
    pub fn save_rules(&mut self, rules: &[(RuleId, String)]) -> Result<(), Error> {
        if rules.is_empty() {
            return Ok(());
        }
        self.write(|connection, tally| {
            let mut insert = connection.prepare_cached("INSERT OR REPLACE INTO rule (id, name) VALUES (?1, ?2)")?;
            for (id, name) in rules {
                insert.execute(params![id.0, clean_note(name)])?;
                tally.unsaved += 1;
            }
            Ok(())
        })
    }

    /// The log rules' names, by number.
    pub fn load_rules(&self) -> Result<Vec<(RuleId, String)>, Error> {
        let mut statement = self.connection.prepare_cached("SELECT id, name FROM rule ORDER BY id")?;
        let mut rows = statement.query([])?;
        let mut rules = Vec::new();
        while let Some(row) = rows.next()? {
            let row = Columns(row);
            rules.push((row.number(0).map(RuleId)?, row.text(1)?.unwrap_or_default()));
        }
        Ok(rules)
    }

    /// Writes down the lines that decided about these offenders, in place of the ones before. At [`limits::QUOTES`] the oldest give way.
    pub fn save_quotes(&mut self, quotes: &[Quote]) -> Result<(), Error> {
        if quotes.is_empty() {
            return Ok(());
        }
        self.write(|connection, tally| {
            let mut insert = connection.prepare_cached("INSERT OR REPLACE INTO quote (whom, at, log, line) VALUES (?1, ?2, ?3, ?4)")?;
            for Quote { whom, at, log, line } in quotes {
                insert.execute(params![Key::of(*whom), nanos(*at), clean_note(log), clean_note(line)])?;
                tally.unsaved += 1;
            }
            // A replaced row is a new one: the lowest number is the oldest.
            let mut forget = connection.prepare_cached("DELETE FROM quote WHERE rowid <= (SELECT max(rowid) FROM quote) - ?1")?;
            forget.execute([limits::QUOTES as i64])?;
            Ok(())
        })
    }

    /// The line that decided about exactly this range last.
    pub fn quote(&self, whom: Prefix) -> Result<Option<Quote>, Error> {
        let mut statement = self.connection.prepare_cached("SELECT whom, at, log, line FROM quote WHERE whom = ?1")?;
        let quote = |row: &Columns<'_, '_>| {
            let text = |column| Ok::<_, Error>(row.text(column)?.unwrap_or_default());
            Ok(Quote { whom: row.prefix(0)?, at: row.time(1)?, log: text(2)?, line: text(3)? })
        };
        statement.query_row([Key::of(whom)], |row| Ok(quote(&Columns(row)))).optional()?.transpose()
    }

    /// Writes down strikes, in place of what was known of the same offenders. The table is brought back to
    /// [`limits::STRIKES`] by [`Store::tidy`]; the oldest give way.
    pub fn save_strikes(&mut self, strikes: &[Strike]) -> Result<(), Error> {
        if strikes.is_empty() {
            return Ok(());
        }
        self.write(|connection, tally| strike(connection, tally, strikes))
    }

    /// Forgets the strikes of these offenders; those without any are passed over.
    pub fn forget_strikes(&mut self, offenders: &[Prefix]) -> Result<(), Error> {
        if offenders.is_empty() {
            return Ok(());
        }
        self.write(|connection, tally| forgive(connection, tally, offenders))
    }

    /// All strikes, the latest first, at most [`limits::STRIKES`].
    pub fn load_strikes(&self) -> Result<Vec<Strike>, Error> {
        // In the table's own order: by the index on `last` each row would be looked up on its own, at six times the cost.
        let mut statement = self.connection.prepare_cached("SELECT whom, count, last FROM strike")?;
        let mut rows = statement.query([])?;
        let mut strikes = Vec::new();
        while let Some(row) = rows.next()? {
            strikes.push(strike_of(&Columns(row))?);
        }
        strikes.sort_unstable_by_key(|strike| (Reverse(strike.last), strike.whom));
        strikes.truncate(limits::STRIKES);
        Ok(strikes)
    }

    /// Writes down an allowance, in place of an older one for the same range.
    ///
    /// # Errors
    /// [`Error::TableFull`] at [`limits::EXEMPTIONS`].
    pub fn save_allow(&mut self, allowance: &Allowance) -> Result<(), Error> {
        self.write(|connection, tally| {
            let known = allowance_for(connection, allowance.whom)?.is_some();
            if !known && tally.counts.allowances >= limits::EXEMPTIONS as u64 {
                return Err(Error::TableFull("operator's allow list"));
            }
            let mut insert = connection.prepare_cached("INSERT OR REPLACE INTO allow (whom, made, until, note) VALUES (?1, ?2, ?3, ?4)")?;
            let Allowance { whom, made, until, note } = allowance;
            insert.execute(params![Key::of(*whom), nanos(*made), expiry_column(*until), clean_note(note)])?;
            tally.counts.allowances += u64::from(!known);
            tally.unsaved += 1;
            Ok(())
        })
    }

    /// Takes back the allowance for exactly this range; says whether there was one.
    pub fn remove_allow(&mut self, whom: Prefix) -> Result<bool, Error> {
        self.write(|connection, tally| {
            let deleted = connection.prepare_cached("DELETE FROM allow WHERE whom = ?1")?.execute([Key::of(whom)])? as u64;
            take(&mut tally.counts.allowances, deleted);
            tally.unsaved += deleted;
            Ok(deleted > 0)
        })
    }

    /// The allowances that hold at `now`, by address.
    pub fn load_allow(&self, now: Time) -> Result<Vec<Allowance>, Error> {
        let mut statement =
            self.connection.prepare_cached("SELECT whom, made, until, note FROM allow WHERE until IS NULL OR until > ?1 ORDER BY whom")?;
        let mut rows = statement.query([nanos(now)])?;
        let mut allowances = Vec::new();
        while let Some(row) = rows.next()? {
            allowances.push(allowance(&Columns(row))?);
        }
        Ok(allowances)
    }
}

/// Writes strikes down.
pub(crate) fn strike(connection: &Connection, tally: &mut Tally, strikes: &[Strike]) -> Result<(), Error> {
    // Most offenders are new, and a block waits for this.
    let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO strike (whom, count, last) VALUES (?1, ?2, ?3)")?;
    let mut update = connection.prepare_cached("UPDATE strike SET count = ?2, last = ?3 WHERE whom = ?1")?;
    for Strike { whom, count, last } in strikes {
        let inserted = insert.execute(params![Key::of(*whom), count, nanos(*last)])?;
        tally.counts.strikes += inserted as u64;
        if inserted == 0 {
            update.execute(params![Key::of(*whom), count, nanos(*last)])?;
        }
        tally.unsaved += 1;
    }
    Ok(())
}

/// Forgets strikes.
pub(crate) fn forgive(connection: &Connection, tally: &mut Tally, offenders: &[Prefix]) -> Result<(), Error> {
    let mut delete = connection.prepare_cached("DELETE FROM strike WHERE whom = ?1")?;
    for whom in offenders {
        let deleted = delete.execute([Key::of(*whom)])? as u64;
        take(&mut tally.counts.strikes, deleted);
        tally.unsaved += deleted;
    }
    Ok(())
}

/// The strikes of exactly this range.
pub(crate) fn strike_for(connection: &Connection, whom: Prefix) -> Result<Option<Strike>, Error> {
    let mut statement = connection.prepare_cached("SELECT whom, count, last FROM strike WHERE whom = ?1")?;
    statement.query_row([Key::of(whom)], |row| Ok(strike_of(&Columns(row)))).optional()?.transpose()
}

/// The allowance for exactly this range.
pub(crate) fn allowance_for(connection: &Connection, whom: Prefix) -> Result<Option<Allowance>, Error> {
    let mut statement = connection.prepare_cached("SELECT whom, made, until, note FROM allow WHERE whom = ?1")?;
    statement.query_row([Key::of(whom)], |row| Ok(allowance(&Columns(row)))).optional()?.transpose()
}

fn strike_of(row: &Columns<'_, '_>) -> Result<Strike, Error> {
    Ok(Strike { whom: row.prefix(0)?, count: row.number(1)?, last: row.time(2)? })
}

fn allowance(row: &Columns<'_, '_>) -> Result<Allowance, Error> {
    Ok(Allowance { whom: row.prefix(0)?, made: row.time(1)?, until: expiry_of(row.maybe_time(2)?), note: row.text(3)?.unwrap_or_default() })
}
