//! Reads the blocks that stand in fail2ban's own database. Never writes into it.

use crate::error::Error;
use model::net::Prefix;
use model::time::Time;
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// More blocks than this are not taken over.
const BANS_MAX: i64 = 1_000_000;

/// A block of fail2ban's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// Whom.
    pub whom: Prefix,
    /// Which jail.
    pub jail: String,
    /// How much longer it stands; `None`: for ever.
    pub left: Option<Duration>,
    /// How often it was blocked, this time included.
    pub count: u32,
}

/// The blocks that stand at `now`, one for each address: the one that stands longest. Also how many entries were of no address.
///
/// # Errors
/// If it is no such database, or can't be read.
pub fn standing(path: &Path, now: Time) -> Result<(Vec<Ban>, usize), Error> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let mut all = connection.prepare("SELECT jail, ip, timeofban, bantime, bancount FROM bans ORDER BY timeofban LIMIT ?1")?;
    let mut rows = all.query([BANS_MAX])?;
    let (mut bans, mut odd) = (BTreeMap::<Prefix, Ban>::new(), 0);
    while let Some(row) = rows.next()? {
        let (jail, ip, at, length, count): (String, String, i64, i64, i64) =
            (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        let Ok(whom) = ip.parse::<Prefix>() else {
            odd += 1;
            continue;
        };
        let ends = at.saturating_add(length);
        let left = match u64::try_from(ends.saturating_sub(now.as_secs() as i64)) {
            _ if length < 0 => None,
            Ok(left) if left > 0 => Some(Duration::from_secs(left)),
            _ => continue,
        };
        let ban = Ban { whom, jail, left, count: u32::try_from(count).unwrap_or(1) };
        match bans.get_mut(&whom) {
            // For ever is longer than anything.
            Some(known) if known.left.is_some_and(|known| ban.left.is_none_or(|left| left > known)) => *known = ban,
            Some(_) => {}
            None => {
                bans.insert(whom, ban);
            }
        }
    }
    Ok((bans.into_values().collect(), odd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standing_blocks_are_read_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fail2ban.sqlite3");
        let connection = Connection::open(&path).unwrap();
        // The table as fail2ban's version 4 has it.
        connection
            .execute_batch(
                "CREATE TABLE bans(jail TEXT NOT NULL, ip TEXT, timeofban INTEGER NOT NULL, bantime INTEGER NOT NULL, bancount INTEGER NOT NULL default 1, data JSON);
                 INSERT INTO bans VALUES
                   ('sshd', '192.0.2.1', 1000, 600, 1, '{}'), ('web', '192.0.2.1', 1100, 3600, 3, '{}'), ('sshd', '192.0.2.2', 10, 600, 1, '{}'),
                   ('sshd', '2001:db8::/64', 1000, -1, 2, '{}'), ('app', 'session-4711', 1000, 600, 1, '{}');",
            )
            .unwrap();
        drop(connection);
        let before = std::fs::read(&path).unwrap();
        let (bans, odd) = standing(&path, Time::from_secs(1_200)).unwrap();
        let told: Vec<(String, &str, Option<u64>, u32)> =
            bans.iter().map(|ban| (ban.whom.to_string(), ban.jail.as_str(), ban.left.map(|left| left.as_secs()), ban.count)).collect();
        assert_eq!(told, [("192.0.2.1".to_owned(), "web", Some(3_500), 3), ("2001:db8::/64".to_owned(), "sshd", None, 2)]);
        assert_eq!(odd, 1);
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert!(standing(&folder.path().join("gone"), Time::EPOCH).is_err());
    }
}
