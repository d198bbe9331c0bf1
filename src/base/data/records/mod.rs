//! Rows that are token ids already: records of TensorFlow (TFRecord) and of MindSpore (MindRecord),
//! as Google's, Huawei's and MindSpore's scripts for BERT write them.
//!
//! A row has `input_ids`, `input_mask` and `segment_ids` of one length, padded, and `label_ids` of one
//! value. Nothing is decoded twice: [`RecordReader`] cuts files into [`Record`]s, whose columns are
//! decoded wherever there is a thread for it, and [`RowRules`] makes examples of them.

mod blocks;
mod columns;
mod example;
mod fault;
mod fields;
mod mindrecord;
mod reader;
mod row;
mod schema;
#[cfg(test)]
mod tests;
mod tfrecord;
mod write;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub use self::columns::Ints;
pub use self::fault::RecordFault;
pub use self::fields::{Fields, Label};
pub use self::reader::{Record, RecordReader};
pub use self::row::{Longest, RowRules, TokenRow};
pub use self::schema::Schema;
pub use self::write::{schema_of, write_records};

use self::fields::{IDS, LABEL, MASK, SEGMENTS};

/// A format of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordFormat {
    /// TensorFlow's, plain or compressed by gzip or zlib.
    TfRecord,
    /// MindSpore's.
    MindRecord,
}

impl RecordFormat {
    /// As in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::TfRecord => "TFRecord",
            Self::MindRecord => "MindRecord",
        }
    }
}

/// Bytes of a file that tell its format.
const HEAD_BYTES: u64 = 1 << 12;

/// The format of a file of records by its first bytes; `None` of any other file and of an empty one.
///
/// # Errors
/// Where the file cannot be read.
pub fn recognize_records(path: &Path) -> io::Result<Option<RecordFormat>> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    let is_records = tfrecord::is_head(&tfrecord::unpacked_head(&head, 12));
    Ok(if is_records {
        Some(RecordFormat::TfRecord)
    } else if mindrecord::is_head(&head) || mindrecord::is_encrypted(path)? {
        Some(RecordFormat::MindRecord)
    } else {
        None
    })
}

/// Whether a file is a MindRecord file that was compressed, which is read unpacked only.
///
/// # Errors
/// Where the file cannot be read.
pub fn is_packed_mindrecord(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    let unpacked = tfrecord::unpacked_head(&head, 64);
    Ok(!head.starts_with(&unpacked) && mindrecord::is_head(&unpacked))
}

/// The columns that a schema must state.
pub fn wanted_columns(is_labelled: bool) -> &'static [&'static str] {
    const ALL: [&str; 4] = [IDS, MASK, SEGMENTS, LABEL];
    if is_labelled { &ALL } else { &ALL[..3] }
}
