//! All that the store knows of one address, for `explain`. Only reads.

use crate::entry::Entry;
use crate::error::Error;
use crate::history::{HistoryQuery, Table, touching};
use crate::key::{Columns, wider};
use crate::ledger::{BLOCK_COLUMNS, Record, record};
use crate::memory::{Allowance, Quote, Strike, allowance_for, strike_for};
use crate::{ANSWER_MAX, Store};
use model::net::Prefix;
use model::time::Time;
use std::net::IpAddr;

/// All that the store knows of one address. What is about a range that holds it counts too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Story {
    /// Charges, decisions and what became of them, the oldest first.
    pub entries: Vec<Entry>,
    /// Blocks, the oldest first.
    pub blocks: Vec<Record>,
    /// Strikes, of the widest range first.
    pub strikes: Vec<Strike>,
    /// Allowances that hold at the time, the widest first.
    pub allowances: Vec<Allowance>,
    /// The log line that decided about exactly this address last.
    pub quote: Option<Quote>,
}

impl Store {
    /// The story of an address as it stands at `now`, with the newest `limit` entries and blocks.
    pub fn story(&self, addr: IpAddr, now: Time, limit: usize) -> Result<Story, Error> {
        let whom = Prefix::host(addr);
        let limit = limit.min(ANSWER_MAX);
        let mut entries = self.history(&HistoryQuery { whom: Some(whom), limit, ..HistoryQuery::default() })?;
        entries.reverse();
        let ever = (Time::EPOCH, Time::from_nanos(u64::MAX));
        let mut blocks = Vec::new();
        let mut one = self.connection.prepare_cached(&format!("SELECT {BLOCK_COLUMNS} FROM block WHERE id = ?1"))?;
        for id in touching(&self.connection, Table::Block, whom, ever, true, limit)?.into_iter().rev() {
            blocks.push(one.query_row([id], |row| Ok(record(&Columns(row), now)))??);
        }
        let mut story = Story { entries, blocks, quote: self.quote(whom)?, ..Story::default() };
        for range in wider(whom).chain([whom]) {
            story.strikes.extend(strike_for(&self.connection, range)?);
            story.allowances.extend(allowance_for(&self.connection, range)?.filter(|allowance| !allowance.until.is_over(now)));
        }
        Ok(story)
    }
}
