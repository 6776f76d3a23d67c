//! The ledger: every block from the moment it is wanted to its end.
//! Never lets a block come back from its end, and never uses a block's number twice.

use crate::error::Error;
use crate::key::{Columns, Key, TRUST, clean_note, nanos};
use crate::{Counts, Store, Tally, take};
use model::block::{Because, Block, BlockId, Effect, Expiry, Scope, State};
use model::event::RuleId;
use model::level::DangerLevel;
use model::offence::Charge;
use model::style::StyleSet;
use model::time::Time;
use rusqlite::{Connection, OptionalExtension, params};

/// What became of a batch of changes to the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marked {
    /// Changes made.
    pub applied: usize,
    /// The block was in that state already; its first time of reaching it stands.
    pub repeated: usize,
    /// Not legal for the block's state, or no such block: not applied.
    pub illegal: usize,
}

/// A block with all that the ledger knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The block.
    pub block: Block,
    /// Its state.
    pub state: State,
    /// When it was handed to a responder.
    pub ordered: Option<Time>,
    /// When the responder confirmed it.
    pub active: Option<Time>,
    /// When it ended, in whatever way.
    pub ended: Option<Time>,
}

/// Whether a block may go from one state to the other. A live one can end in any way: its time can run out, or a storm be
/// rolled back, before a responder has answered.
pub const fn is_legal(from: State, to: State) -> bool {
    match to {
        State::Wanted => false,
        State::Ordered => matches!(from, State::Wanted),
        State::Active => matches!(from, State::Wanted | State::Ordered),
        State::Expired | State::Lifted | State::Failed => from.is_live(),
    }
}

/// The columns of a block, in the order in which [`block`] reads them.
pub(crate) const BLOCK_COLUMNS: &str =
    "id, whom, made, expiry, charge, level, styles, trust, strike, note, rule, state, ordered, active, ended";

const INSERT: &str = "INSERT INTO block (id, state, whom, made, expiry, charge, level, styles, trust, strike, note, rule)
    VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

impl Store {
    /// Writes new blocks down as [`State::Wanted`], in one transaction. Call it before anything is done about them.
    ///
    /// # Errors
    /// [`Error::BadId`] if a number has been used before. Nothing is written if one block can't be.
    pub fn want(&mut self, blocks: &[Block]) -> Result<(), Error> {
        if blocks.is_empty() {
            return Ok(());
        }
        self.write(|connection, tally| want(connection, tally, blocks))
    }

    /// Notes that blocks have reached a state, in one transaction. Changes that are not legal are counted, not applied.
    pub fn mark(&mut self, changes: &[(BlockId, State)], now: Time) -> Result<Marked, Error> {
        let mut marked = Marked::default();
        if changes.is_empty() {
            return Ok(marked);
        }
        self.write(|connection, tally| {
            let mut find = connection.prepare_cached("SELECT state FROM block WHERE id = ?1")?;
            for (id, to) in changes {
                let Ok(id) = i64::try_from(id.0) else {
                    marked.illegal += 1;
                    continue;
                };
                match find.query_row([id], |row| Ok(Columns(row).one_of(0, &State::ALL))).optional()?.transpose()? {
                    Some(from) if from == *to => marked.repeated += 1,
                    Some(from) if is_legal(from, *to) => {
                        set_state(connection, tally, id, (from, *to), now)?;
                        marked.applied += 1;
                    }
                    Some(_) | None => marked.illegal += 1,
                }
            }
            Ok(marked)
        })
    }

    /// Gives live blocks a new end and new grounds, as they are given here. A block that has ended, or never was, counts as illegal.
    pub fn extend(&mut self, blocks: &[Block]) -> Result<Marked, Error> {
        let mut marked = Marked::default();
        if blocks.is_empty() {
            return Ok(marked);
        }
        self.write(|connection, tally| extend(connection, tally, blocks, &mut marked))?;
        Ok(marked)
    }

    /// All blocks that should be in force at `now`, by number. Those whose time has run out are left out, and marked when
    /// [`Store::tidy`] passes them: restoring after a restart must not wait for the disk, nor fail because it is full.
    pub fn live(&self, now: Time) -> Result<Vec<Block>, Error> {
        let mut blocks = Vec::with_capacity(usize::try_from(self.counts().live()).unwrap_or(0));
        self.for_each_live(now, |block, _| blocks.push(block))?;
        Ok(blocks)
    }

    /// The same as [`Store::live`], one at a time and with the state, for who can't hold them all.
    pub fn for_each_live(&self, now: Time, mut tell: impl FnMut(Block, State)) -> Result<(), Error> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, whom, made, expiry, charge, level, styles, trust, strike, note, rule, state FROM block
             WHERE state <= 2 AND (expiry IS NULL OR expiry > ?1) ORDER BY id",
        )?;
        let mut rows = statement.query([nanos(now)])?;
        while let Some(row) = rows.next()? {
            let row = Columns(row);
            tell(block(&row)?, row.one_of(11, &State::ALL)?);
        }
        Ok(())
    }
}

/// Writes new blocks down.
pub(crate) fn want(connection: &Connection, tally: &mut Tally, blocks: &[Block]) -> Result<(), Error> {
    let mut insert = connection.prepare_cached(INSERT)?;
    blocks.iter().try_for_each(|block| add(&mut insert, tally, block))
}

/// Gives live blocks a new end and new grounds.
pub(crate) fn extend(connection: &Connection, tally: &mut Tally, blocks: &[Block], marked: &mut Marked) -> Result<(), Error> {
    let mut update = connection.prepare_cached(
        "UPDATE block SET whom = ?2, made = ?3, expiry = ?4, charge = ?5, level = ?6, styles = ?7, trust = ?8, strike = ?9, note = ?10, rule = ?11
         WHERE id = ?1 AND state <= 2",
    )?;
    for block in blocks {
        let changed = match i64::try_from(block.id.0) {
            Ok(id) => write(&mut update, id, block)?,
            Err(_) => 0,
        };
        marked.applied += changed;
        marked.illegal += 1 - changed;
        tally.unsaved += changed as u64;
    }
    Ok(())
}

fn add(insert: &mut rusqlite::CachedStatement<'_>, tally: &mut Tally, block: &Block) -> Result<(), Error> {
    let id = i64::try_from(block.id.0).ok().filter(|id| *id < i64::MAX).ok_or(Error::BadId(block.id))?;
    let inserted = write(insert, id, block);
    inserted.map_err(|error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => Error::BadId(block.id),
        _ => error.into(),
    })?;
    tally.counts.blocks[State::Wanted as usize] += 1;
    tally.next_block = tally.next_block.max(block.id.0 + 1);
    tally.unsaved += 1;
    Ok(())
}

/// Fills in a statement whose parameters are the id and what a block has besides.
fn write(statement: &mut rusqlite::CachedStatement<'_>, id: i64, block: &Block) -> rusqlite::Result<usize> {
    // Both have one variant; a second one needs a column, and stops here.
    let Scope::Source(whom) = block.scope;
    let Effect::Drop = block.effect;
    let (whom, made, expiry) = (Key::of(whom), nanos(block.made), expiry_column(block.expiry));
    match &block.because {
        Because::Offence { charge, level, styles, trust, strike, rule } => {
            let (charge, trust) = (*charge as u8, *trust as u8);
            let (note, rule) = (None::<&str>, rule.map(|rule| rule.0));
            statement.execute(params![id, whom, made, expiry, charge, level.number(), styles.bits(), trust, strike, note, rule])
        }
        Because::Adopted => {
            let none = None::<u8>;
            statement.execute(params![id, whom, made, expiry, none, none, none, none, none, None::<&str>, none])
        }
        Because::Operator { note } => {
            let none = None::<u8>;
            statement.execute(params![id, whom, made, expiry, none, none, none, none, none, clean_note(note), none])
        }
    }
}

/// Writes a state whose legality the caller has checked.
pub(crate) fn set_state(connection: &Connection, tally: &mut Tally, id: i64, step: (State, State), at: Time) -> Result<(), Error> {
    let (from, to) = step;
    debug_assert!(is_legal(from, to));
    let sql = match to {
        State::Wanted | State::Ordered => "UPDATE block SET state = ?2, ordered = ?3 WHERE id = ?1",
        State::Active => "UPDATE block SET state = ?2, active = ?3 WHERE id = ?1",
        State::Expired | State::Lifted | State::Failed => "UPDATE block SET state = ?2, ended = ?3 WHERE id = ?1",
    };
    connection.prepare_cached(sql)?.execute(params![id, to as u8, nanos(at)])?;
    moved(&mut tally.counts, from, to);
    tally.unsaved += 1;
    Ok(())
}

fn moved(counts: &mut Counts, from: State, to: State) {
    take(&mut counts.blocks[from as usize], 1);
    counts.blocks[to as usize] += 1;
}

/// NULL stands for never.
pub(crate) fn expiry_column(expiry: Expiry) -> Option<i64> {
    match expiry {
        Expiry::At(at) => Some(nanos(at)),
        Expiry::Never => None,
    }
}

/// NULL stands for never.
pub(crate) fn expiry_of(column: Option<Time>) -> Expiry {
    column.map_or(Expiry::Never, Expiry::At)
}

/// Reads the first eleven of [`BLOCK_COLUMNS`].
fn block(row: &Columns<'_, '_>) -> Result<Block, Error> {
    let because = match row.maybe::<usize>(4)? {
        Some(_) => Because::Offence {
            charge: row.one_of(4, &Charge::ALL)?,
            level: row.made(5, DangerLevel::new)?,
            styles: StyleSet::from_bits(row.number(6)?),
            trust: row.one_of(7, &TRUST)?,
            strike: row.number(8)?,
            rule: row.maybe(10)?.map(RuleId),
        },
        None => row.text(9)?.map_or(Because::Adopted, |note| Because::Operator { note }),
    };
    Ok(Block {
        id: BlockId(row.number(0)?),
        scope: Scope::Source(row.prefix(1)?),
        effect: Effect::Drop,
        made: row.time(2)?,
        expiry: expiry_of(row.maybe_time(3)?),
        because,
    })
}

/// Reads [`BLOCK_COLUMNS`], as things stand at `now`: a live block whose time has run out has expired, marked or not.
pub(crate) fn record(row: &Columns<'_, '_>, now: Time) -> Result<Record, Error> {
    let mut record = Record {
        block: block(row)?,
        state: row.one_of(11, &State::ALL)?,
        ordered: row.maybe_time(12)?,
        active: row.maybe_time(13)?,
        ended: row.maybe_time(14)?,
    };
    if let (true, Expiry::At(at)) = (record.state.is_live(), record.block.expiry)
        && at <= now
    {
        (record.state, record.ended) = (State::Expired, Some(at));
    }
    Ok(record)
}
