//! The rows of pages of one kind: a length of 8 bytes, little-endian, and then so many bytes.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::vec::IntoIter;

use prost::bytes::Bytes;

use super::header::Page;
use crate::data::records::blocks::Blocks;
use crate::data::records::fault::{MAX_RECORD_BYTES, RecordFault};

/// Bytes of a row's length.
const LENGTH: u64 = 8;

/// Rows one after the other, page after page. A row never lies in two pages.
#[derive(Debug)]
pub(super) struct Rows {
    file: Blocks<File>,
    pages: IntoIter<Page>,
    /// Bytes that are left of the page.
    left: u64,
    /// Rows that are left of it, where that is known.
    expected: Option<u64>,
    /// Place of the next row in the file.
    at: u64,
    /// Bytes of all rows that were read.
    bytes: u64,
}

/// Why there is no next row.
pub(super) enum NoRow {
    Io(io::Error),
    Fault(RecordFault),
}

impl From<io::Error> for NoRow {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

const DAMAGED: NoRow = NoRow::Fault(RecordFault::Layout(
    "is damaged: its length is not that of a row of its page",
));
const ROWS: NoRow = NoRow::Fault(RecordFault::Layout(
    "is damaged: its page does not hold as many rows as the header says",
));

impl Rows {
    pub(super) fn new(file: File, pages: Vec<Page>) -> Self {
        Self {
            file: Blocks::new(file),
            pages: pages.into_iter(),
            left: 0,
            expected: None,
            at: 0,
            bytes: 0,
        }
    }

    /// Bytes of the rows that were read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Place of the next row in the file, in bytes.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next row; `None` after the last page.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, NoRow> {
        while self.left == 0 {
            if self.expected.is_some_and(|left| left > 0) {
                return Err(ROWS);
            }
            let Some(page) = self.pages.next() else {
                return Ok(None);
            };
            self.file.input().seek(SeekFrom::Start(page.start))?;
            self.at = page.start;
            self.left = page.size;
            self.expected = page.rows;
        }
        if self.left < LENGTH {
            return Err(DAMAGED);
        }
        let length = self.file.take(LENGTH)?;
        let length = u64::from_le_bytes(*length.first_chunk().ok_or(DAMAGED)?);
        if length > self.left - LENGTH {
            return Err(DAMAGED);
        }
        if length > MAX_RECORD_BYTES {
            let limit = MAX_RECORD_BYTES;
            let bytes = length;
            return Err(NoRow::Fault(RecordFault::Long { bytes, limit }));
        }
        if let Some(left) = &mut self.expected {
            *left = left.checked_sub(1).ok_or(ROWS)?;
        }
        let row = self.file.take(length)?;
        if row.len() as u64 != length {
            return Err(DAMAGED);
        }
        self.left -= LENGTH + length;
        self.at += LENGTH + length;
        self.bytes += LENGTH + length;
        Ok(Some(row))
    }
}
