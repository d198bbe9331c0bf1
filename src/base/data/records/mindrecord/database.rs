//! The database beside a MindRecord file: where each row lies. MindSpore does not read a file without it.

use std::io;
use std::path::Path;

use rusqlite::{Connection, Error, params};

/// As MindSpore creates them where no column is an index field.
const TABLES: &str = "
    PRAGMA page_size = 4096;
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE INDEXES(
        ROW_ID INT NOT NULL, PAGE_ID_RAW INT NOT NULL, PAGE_OFFSET_RAW INT NOT NULL,
        PAGE_OFFSET_RAW_END INT NOT NULL, ROW_GROUP_ID INT NOT NULL, PAGE_ID_BLOB INT NOT NULL,
        PAGE_OFFSET_BLOB INT NOT NULL, PAGE_OFFSET_BLOB_END INT NOT NULL, PRIMARY KEY(ROW_ID));
    CREATE TABLE SHARD_NAME(NAME TEXT NOT NULL);
    BEGIN;";

const INSERT: &str = "INSERT INTO INDEXES VALUES (?, ?, ?, ?, ?, ?, ?, ?)";

/// Where a row lies.
pub(super) struct Place {
    /// Counted from 0.
    pub(super) row: u64,
    /// Number of its page among the pages of arrays.
    pub(super) group: u64,
    /// Page, and first byte and end in it, of its scalars, with their length.
    pub(super) scalars: (u64, u64, u64),
    /// The same of its arrays.
    pub(super) arrays: (u64, u64, u64),
}

/// A database that is being written.
pub(super) struct Database {
    connection: Connection,
}

impl Database {
    /// Begins one for the file of this name. It is not synced, and worthless until it is finished.
    ///
    /// # Errors
    /// Where the disk refuses, or the library does.
    pub(super) fn create(path: &Path, name: &str) -> io::Result<Self> {
        let connection = Connection::open(path).map_err(of_sqlite)?;
        connection.execute_batch(TABLES).map_err(of_sqlite)?;
        connection
            .execute("INSERT INTO SHARD_NAME VALUES (?)", [name])
            .map_err(of_sqlite)?;
        Ok(Self { connection })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub(super) fn add(&mut self, place: &Place) -> io::Result<()> {
        let Place {
            row,
            group,
            scalars,
            arrays,
        } = place;
        let numbers = params![
            row, scalars.0, scalars.1, scalars.2, group, arrays.0, arrays.1, arrays.2
        ];
        let mut insert = self.connection.prepare_cached(INSERT).map_err(of_sqlite)?;
        insert.execute(numbers).map_err(of_sqlite)?;
        Ok(())
    }

    /// Writes the rest.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub(super) fn finish(self) -> io::Result<()> {
        self.connection.execute_batch("COMMIT").map_err(of_sqlite)?;
        let closed = self.connection.close();
        closed.map_err(|(_, error)| of_sqlite(error))
    }
}

/// An error of the library, whose kind tells what to do about it.
fn of_sqlite(error: Error) -> io::Error {
    use rusqlite::ErrorCode;
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => io::ErrorKind::StorageFull,
        Some(ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            io::ErrorKind::PermissionDenied
        }
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
