//! A store that fails when it is told to, for the simulation. Not part of riposte itself: no crate that it is built from asks for the feature.

use crate::Store;
use crate::error::Error;

/// What is wrong with the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// There is no room for one more page.
    Full,
    /// Nothing can be written.
    ReadOnly,
}

impl Store {
    /// From now on it is as if the disk were so. SQLite itself makes the errors, in the middle of whatever is being written.
    ///
    /// # Errors
    /// If the store can't be told.
    pub fn suffer(&self, trouble: Trouble) -> Result<(), Error> {
        let pages: i64 = self.connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        let most = if trouble == Trouble::Full { pages } else { 1 << 30 };
        self.connection.query_row(&format!("PRAGMA max_page_count = {most}"), [], |_| Ok(()))?;
        self.connection.pragma_update(None, "query_only", trouble == Trouble::ReadOnly)?;
        Ok(())
    }
}
