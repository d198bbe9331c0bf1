//! What can be wrong with a record, or with the row in it.

use std::fmt;
use std::io;
use std::path::Path;

use crate::data::error::{DataError, FormatFault};
use crate::data::settings::Settings;
use crate::input::{excerpt, excerpt_list};

/// Bytes of a record at most: a row of a million tokens has fewer.
pub(super) const MAX_RECORD_BYTES: u64 = 1 << 24;

/// Why there is no next record.
pub(super) enum Stop {
    /// The system reported an error.
    Io(io::Error),
    /// The record is at fault.
    Fault {
        /// Its number, from 1.
        number: u64,
        /// Where it begins, in bytes.
        byte: u64,
        /// What is wrong.
        fault: RecordFault,
    },
}

/// A fault of one record. Its text goes on after the place: "`x.tf_record`, record 3 at byte 352,".
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RecordFault {
    /// The file ends before the record does.
    #[error("is cut off: {there} of its {bytes} bytes are there")]
    CutOff {
        /// Bytes of the record, framing included; of a record's head, those of the head.
        bytes: u64,
        /// Bytes that are there.
        there: u64,
    },
    /// The length of the record is not the one that was written.
    #[error("has a damaged length: it does not match its checksum")]
    LengthChecksum,
    /// The content of the record is not the one that was written.
    #[error("is damaged: its data do not match their checksum")]
    DataChecksum,
    /// A record beyond every sensible size.
    #[error("is {bytes} bytes long, and at most {limit} are read")]
    Long {
        /// Its length.
        bytes: u64,
        /// Bytes at most.
        limit: u64,
    },
    /// The compressed stream is damaged.
    #[error("cannot be unpacked: {}", excerpt(reason))]
    Packed {
        /// What the decompressor reported.
        reason: String,
    },
    /// The content is another message.
    #[error("is not a `tf.train.Example`: {}", excerpt(reason))]
    NotExample {
        /// What the decoder reported.
        reason: String,
    },
    /// The row of a MindRecord file does not read.
    #[error("{0}")]
    Layout(&'static str),
    /// A column that is read or that the schema names is not there.
    #[error(
        "has no column `{}`; its columns are {}",
        excerpt(column),
        excerpt_list(there)
    )]
    Missing {
        /// The column.
        column: String,
        /// Columns that are there.
        there: Vec<String>,
    },
    /// A column holds values of another kind.
    #[error("has {found} in `{}`, expected {expected}", excerpt(column))]
    Kind {
        /// The column.
        column: String,
        /// `floats`, and so on.
        found: &'static str,
        /// What is expected there.
        expected: &'static str,
    },
    /// A column has another number of values than `input_ids`, or than one.
    #[error("has {} in `{column}`, expected {expected}", values(*found))]
    Count {
        /// The column.
        column: &'static str,
        /// Values that are there.
        found: usize,
        /// Values that are expected.
        expected: usize,
    },
    /// A column does not have the shape that the schema states.
    #[error("has {} in `{}`, and the schema states the shape {shape}", values(*found), excerpt(column))]
    Shape {
        /// The column.
        column: String,
        /// Values that are there.
        found: usize,
        /// The shape as in the schema.
        shape: String,
    },
    /// A value does not fit the type that the schema states.
    #[error(
        "has {value} in `{}`, and the schema states the type `{word}`",
        excerpt(column)
    )]
    OutOfType {
        /// The column.
        column: String,
        /// The value.
        value: i64,
        /// The type as in the schema.
        word: &'static str,
    },
    /// A row of more tokens than are allowed.
    #[error("has {found} tokens, and `max-seq-length` is {limit}")]
    TooLong {
        /// Values in `input_ids`.
        found: usize,
        /// `max-seq-length`.
        limit: usize,
    },
    /// A row of more tokens than a model can read.
    #[error("has {found} tokens, and the models have {positions} positions")]
    Positions {
        /// Values in `input_ids`.
        found: usize,
        /// `max_position_embeddings` of the model that has fewest.
        positions: usize,
    },
    /// A token that the model does not have.
    #[error("has the id {id} at position {position}, and the model has {vocabulary} tokens")]
    Id {
        /// The value.
        id: i64,
        /// Its place in `input_ids`, from 0.
        position: usize,
        /// `vocab_size` of the model.
        vocabulary: usize,
    },
    /// `input_mask` is no row of ones and then zeros.
    #[error(
        "has {value} at position {position} of `input_mask`, which must be ones and then zeros"
    )]
    Mask {
        /// The value.
        value: i64,
        /// Its place, from 0.
        position: usize,
    },
    /// A row of padding alone.
    #[error("has no token: its `input_mask` is 0 throughout")]
    NoToken,
    /// Padding that is another token than the model's.
    #[error(
        "has the id {id} at position {position}, where `input_mask` is 0; the model's padding is {pad}"
    )]
    Padding {
        /// The value.
        id: i64,
        /// Its place, from 0.
        position: usize,
        /// `pad_token_id` of the model.
        pad: u32,
    },
    /// `segment_ids` is no row of zeros, then ones, then zeros of padding.
    #[error(
        "has {value} at position {position} of `segment_ids`, which must be zeros, then ones, and 0 where `input_mask` is 0"
    )]
    Segment {
        /// The value.
        value: i64,
        /// Its place, from 0.
        position: usize,
    },
    /// A second text for a model of one segment.
    #[error("has a second segment, and the model has one")]
    OneSegment,
    /// A label that is no class of the task.
    #[error("has the label {label}, expected a class from 0 to {last}")]
    Label {
        /// The value.
        label: i64,
        /// The last class of the task.
        last: usize,
    },
    /// A label of a regression that is no number.
    #[error("has a label that is not a finite number")]
    NotFinite,
}

fn values(count: usize) -> String {
    format!("{count} value{}", if count == 1 { "" } else { "s" })
}

impl FormatFault for RecordFault {
    fn hint(&self, _: Settings) -> Option<String> {
        let text = match self {
            Self::CutOff { .. }
            | Self::LengthChecksum
            | Self::DataChecksum
            | Self::Packed { .. }
            | Self::Layout(_) => "copy the file again, or write it again",
            Self::TooLong { found, .. } => {
                return Some(format!(
                    "set `max-seq-length = {found}`, or remove the key to take it from the records"
                ));
            }
            Self::Positions { .. } => {
                "write shorter records, or use models with more `max-position-embeddings`"
            }
            Self::Id { .. } => {
                "records and model must have the same vocabulary: check `model` in `[teacher]`"
            }
            Self::Mask { .. } => "rows with gaps cannot be read; write each row without them",
            Self::Missing { .. } | Self::Count { .. } => {
                "rows have `input_ids`, `input_mask`, `segment_ids` of one length, and `label_ids` of one value in labelled data"
            }
            Self::Padding { .. } => {
                "records and model must have the same `pad_token_id`: write the rows with that of the model"
            }
            Self::Segment { .. } => {
                "write 0 for the first text, 1 for the second, and 0 for the padding"
            }
            Self::Shape { .. } | Self::OutOfType { .. } => {
                "correct the schema, or remove the key that names it"
            }
            Self::Label { .. } => {
                "list every class in `labels` in `[task]`; for values on a scale set `regression = true`"
            }
            Self::Kind {
                expected: "a class",
                ..
            } => "for values on a scale set `regression = true` in `[task]`",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// A fault of a whole file: its schema or its header. Its text goes on after the path.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FileFault {
    text: String,
    hint: Option<&'static str>,
}

impl FileFault {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            hint: None,
        }
    }

    pub(super) fn with_hint(self, hint: &'static str) -> Self {
        Self {
            hint: Some(hint),
            ..self
        }
    }

    /// The error of the file at `path`.
    pub(super) fn of(self, path: &Path) -> DataError {
        DataError::RecordFile {
            path: path.to_owned(),
            fault: Box::new(self),
        }
    }
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FormatFault for FileFault {
    fn hint(&self, _: Settings) -> Option<String> {
        self.hint.map(str::to_owned)
    }
}
