//! What can go wrong with the store, one variant for each thing that the caller then does.
//! Never a reason to stop blocking: the kernel's timers run without the store.

use model::block::BlockId;
use std::io::ErrorKind;

/// Why the store could not do something. Nothing of the failed call was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No room: try again when there is.
    #[error("the disk is full, or the store has reached its size limit")]
    Full,
    /// The file or its folder can't be written to.
    #[error("the store is read-only")]
    ReadOnly,
    /// Another process has it open.
    #[error("the store is in use by another process: is riposte running already?")]
    Busy,
    /// The file is damaged: set it aside and start afresh, loudly.
    #[error("the store is corrupt: {0}")]
    Corrupt(String),
    /// A newer riposte wrote it. Nothing was changed.
    #[error("the store has schema version {found}, and this riposte knows versions up to {known}: use the newer riposte that wrote it")]
    Newer {
        /// The file's version.
        found: i64,
        /// The newest that we know.
        known: i64,
    },
    /// A database of some other program. Nothing was changed.
    #[error("the file is a database, but not one of riposte's")]
    Foreign,
    /// The block's number is taken, or too high for the ledger (2^63).
    #[error("block number {0} is in use already, or out of range")]
    BadId(BlockId),
    /// The table is at its bound.
    #[error("the {0} is full")]
    TableFull(&'static str),
    /// The disk failed, or the file can't be opened.
    #[error("the store can't be read or written")]
    Io(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A statement that can't be right: our own bug.
    #[error("the store was misused")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        match error.sqlite_error_code() {
            Some(Code::DiskFull | Code::TooBig) => Error::Full,
            Some(Code::ReadOnly | Code::PermissionDenied) => Error::ReadOnly,
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => Error::Busy,
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => Error::Corrupt(error.to_string()),
            Some(Code::SystemIoFailure | Code::CannotOpen | Code::OutOfMemory | Code::FileLockingProtocolFailed) => {
                Error::Io(Box::new(error))
            }
            // An index names a row that its table doesn't have.
            _ if matches!(error, rusqlite::Error::QueryReturnedNoRows) => Error::Corrupt("a row that must be there is missing".into()),
            // The codes are SQLite's and may grow; what is left is a statement that can't be right.
            _ => Error::Broken(Box::new(error)),
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::Full,
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => Error::ReadOnly,
            _ => Error::Io(Box::new(error)),
        }
    }
}
