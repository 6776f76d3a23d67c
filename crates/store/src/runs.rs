//! Runs of responses that are to be undone: written down before the program is started, so that a restart in the middle leaves nothing behind.
//! Never decides when.

use crate::Store;
use crate::error::Error;
use crate::key::{Columns, Key, clean_note, nanos, whole};
use crate::ledger::{expiry_column, expiry_of};
use model::block::{BlockId, Expiry};
use model::event::{TcpFlags, Touch};
use model::level::DangerLevel;
use model::limits;
use model::net::Prefix;
use model::net::Protocol;
use model::response::{Ground, RunId, UserName};
use model::style::Style;
use model::time::Time;
use rusqlite::params;

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// The response's name: its number may change with the configuration.
    pub response: String,
    /// Against whom.
    pub whom: Prefix,
    /// Whose account.
    pub user: Option<UserName>,
    /// Why.
    pub ground: Ground,
    /// Since when.
    pub made: Time,
    /// Until when, unless it ends with a block.
    pub until: Expiry,
    /// The block that it ends with.
    pub block: Option<BlockId>,
    /// It is being undone, and wanted once more behind that.
    pub again: bool,
}

impl Store {
    /// Writes runs down, in place of what was known of the same ones.
    pub fn save_runs(&mut self, runs: &[Run]) -> Result<(), Error> {
        if runs.is_empty() {
            return Ok(());
        }
        self.write(|connection, tally| {
            let mut insert = connection.prepare_cached(
                "INSERT OR REPLACE INTO run (id, response, whom, user, rule, made, until, block, level, protocol, port, style, again)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?;
            for Run { id, response, whom, user, ground: Ground { rule, level, touch }, made, until, block, again } in runs {
                let (user, block) = (user.as_ref().map(UserName::as_str), block.map(|block| whole(block.0)));
                let (protocol, port, style) = (touch.map(|t| t.protocol.0), touch.map(|t| t.port), touch.map(|t| t.style as u8));
                insert.execute(params![
                    whole(id.0),
                    clean_note(response),
                    Key::of(*whom),
                    user,
                    rule,
                    nanos(*made),
                    expiry_column(*until),
                    block,
                    level.map(DangerLevel::number),
                    protocol,
                    port,
                    style,
                    again
                ])?;
                tally.unsaved += 1;
            }
            Ok(())
        })
    }

    /// Forgets runs: they are undone, or there is nothing to undo.
    pub fn forget_runs(&mut self, ids: &[RunId]) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        self.write(|connection, tally| {
            let mut delete = connection.prepare_cached("DELETE FROM run WHERE id = ?1")?;
            for id in ids {
                tally.unsaved += delete.execute([whole(id.0)])? as u64;
            }
            Ok(())
        })
    }

    /// The runs that are to be undone, the oldest first, at most [`limits::RUNS`].
    pub fn load_runs(&self) -> Result<Vec<Run>, Error> {
        let columns =
            "SELECT id, response, whom, user, rule, made, until, block, level, protocol, port, style, again FROM run ORDER BY id LIMIT ?1";
        let mut statement = self.connection.prepare_cached(columns)?;
        let mut rows = statement.query([limits::RUNS as i64])?;
        let mut runs = Vec::new();
        while let Some(row) = rows.next()? {
            let row = Columns(row);
            let user = match row.text(3)? {
                Some(name) => Some(UserName::new(&name).ok_or_else(|| Error::Corrupt("a run's user is no user's name".into()))?),
                None => None,
            };
            runs.push(Run {
                id: row.number(0).map(RunId)?,
                response: row.text(1)?.unwrap_or_default(),
                whom: row.prefix(2)?,
                user,
                ground: Ground {
                    rule: row.maybe(4)?,
                    level: row.maybe(8)?.and_then(DangerLevel::new),
                    touch: match (row.maybe(9)?.map(Protocol), row.maybe(10)?) {
                        (Some(protocol), Some(port)) => {
                            Some(Touch { protocol, port, style: row.one_of(11, &Style::ALL)?, flags: TcpFlags::default(), hops: None })
                        }
                        (_, _) => None,
                    },
                },
                made: row.time(5)?,
                until: expiry_of(row.maybe_time(6)?),
                block: row.maybe(7)?.map(BlockId),
                again: row.one_of(12, &[false, true])?,
            });
        }
        Ok(runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_remembered_until_they_are_undone() {
        let mut store = Store::open_in_memory().unwrap();
        let run = |id| Run {
            id: RunId(id),
            response: "disable-account".into(),
            whom: "192.0.2.1".parse().unwrap(),
            user: UserName::new("bob"),
            ground: Ground {
                rule: Some(5_712),
                level: Some(DangerLevel::MAX),
                touch: Some(Touch { protocol: Protocol::UDP, port: 65_535, style: Style::Udp, flags: TcpFlags::default(), hops: None }),
            },
            made: Time::from_secs(1),
            until: Expiry::At(Time::from_secs(2)),
            block: None,
            again: false,
        };
        let bound = Run { user: None, ground: Ground::default(), until: Expiry::Never, block: Some(BlockId(7)), ..run(2) };
        store.save_runs(&[run(1), bound.clone()]).unwrap();
        let later = Run { until: Expiry::At(Time::from_secs(9)), again: true, ..run(1) };
        store.save_runs(std::slice::from_ref(&later)).unwrap();
        assert_eq!(store.load_runs().unwrap(), [later, bound.clone()]);
        store.forget_runs(&[RunId(1), RunId(99)]).unwrap();
        assert_eq!(store.load_runs().unwrap(), [bound]);
    }
}
