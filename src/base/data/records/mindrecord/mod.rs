//! MindRecord, MindSpore's format: a header of JSON, then pages of fixed size with rows.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | n, length of the JSON, little-endian |
//! | n | JSON; zeros up to `header_size` |
//! | at `header_size + page_id * page_size` | a page, of which its own `page_size` bytes count |
//!
//! The arrays of the k-th row are in the pages of type `BLOB_DATA`, its scalars in those of type
//! `RAW_DATA`, as a map of MessagePack. The database beside a file (`.db`) holds the same places once
//! more: it is written for MindSpore, and not read. Source: `mindspore/ccsrc/minddata/mindrecord/meta/shard_{header,column}.cc`.

mod database;
mod header;
mod integers;
mod layout;
mod rows;
#[cfg(test)]
mod tests;
mod write;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use prost::bytes::Bytes;

use self::header::Header;
use self::rows::{NoRow, Rows};
use super::fault::{RecordFault, Stop};
use crate::data::error::DataError;

pub(super) use self::header::check_shards;
pub(super) use self::layout::Layout;
pub(super) use self::write::write_rows;

/// Whether bytes begin as a file does: a length, and JSON with the key that MindSpore writes first.
pub(super) fn is_head(bytes: &[u8]) -> bool {
    let Some((length, json)) = bytes.split_first_chunk::<8>() else {
        return false;
    };
    u64::from_le_bytes(*length) < 1 << 32 && json.starts_with(b"{\"header_size\"")
}

/// Whether MindSpore has encrypted a file, which is recognized to be refused by name.
pub(super) fn is_encrypted(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mode = header::encryption(&mut file, size)?;
    Ok(mode.is_some_and(|mode| header::MODES.contains(&mode.as_str())))
}

/// Whether a file begins so.
pub(super) fn is_file(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(64).read_to_end(&mut head));
    read.is_ok() && is_head(&head)
}

/// The rows of one file in its order.
#[derive(Debug)]
pub(super) struct MindRecords {
    arrays: Rows,
    scalars: Rows,
    layout: Arc<Layout>,
    number: u64,
}

/// A row.
pub(super) struct Row {
    /// Counted from 1.
    pub(super) number: u64,
    /// Place of its arrays in the file.
    pub(super) byte: u64,
    pub(super) arrays: Bytes,
    pub(super) scalars: Bytes,
}

impl MindRecords {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// Where it is encrypted, no MindRecord file, or damaged.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let header = Header::read(path)?;
        let open = || {
            File::open(path).map_err(|source| DataError::Io {
                path: path.to_owned(),
                source,
            })
        };
        Ok(Self {
            arrays: Rows::new(open()?, header.arrays),
            scalars: Rows::new(open()?, header.scalars),
            layout: Arc::new(header.layout),
            number: 0,
        })
    }

    pub(super) fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Bytes of the rows that were read.
    pub(super) fn bytes(&self) -> u64 {
        self.arrays.bytes() + self.scalars.bytes()
    }

    /// The next row; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Row>, Stop> {
        let number = self.number + 1;
        let arrays = self.arrays.next();
        let byte = self.arrays.at();
        let stop = |error, byte| match error {
            NoRow::Io(error) => Stop::Io(error),
            NoRow::Fault(fault) => Stop::Fault {
                number,
                byte,
                fault,
            },
        };
        let arrays = arrays.map_err(|error| stop(error, byte))?;
        let scalars = self.scalars.next();
        let scalars = scalars.map_err(|error| stop(error, self.scalars.at()))?;
        match (arrays, scalars) {
            (Some(arrays), Some(scalars)) => {
                self.number = number;
                let byte = byte - (8 + arrays.len() as u64);
                Ok(Some(Row {
                    number,
                    byte,
                    arrays,
                    scalars,
                }))
            }
            (None, None) => Ok(None),
            _ => Err(Stop::Fault {
                number,
                byte,
                fault: RecordFault::Layout(
                    "is damaged: its arrays and its scalars are not both there",
                ),
            }),
        }
    }
}
