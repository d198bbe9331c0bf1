//! All records of several files, one file after the other.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::bytes::Bytes;

use super::RecordFormat;
use super::columns::Column;
use super::example;
use super::fault::{FileFault, RecordFault, Stop};
use super::fields::Fields;
use super::mindrecord::{Layout, MindRecords, check_shards};
use super::schema::Schema;
use super::tfrecord::TfRecords;
use crate::data::error::DataError;
use crate::input::excerpt;

/// One record, whose columns are not decoded yet.
#[derive(Debug)]
pub struct Record {
    /// Its file, among those of the reader.
    pub file: usize,
    /// Counted from 1 in its file.
    pub number: u64,
    /// Where it begins in its file, in bytes; in the unpacked content of a compressed one.
    pub byte: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Example(Bytes),
    Row {
        arrays: Bytes,
        scalars: Bytes,
        layout: Arc<Layout>,
    },
}

impl Record {
    /// Bytes of its content.
    pub fn size(&self) -> usize {
        match &self.content {
            Content::Example(data) => data.len(),
            Content::Row {
                arrays, scalars, ..
            } => arrays.len() + scalars.len(),
        }
    }

    /// Decodes the columns that are read.
    ///
    /// # Errors
    /// Where one of them is missing or holds something else, or a column is not as in the schema.
    pub fn fields(
        &self,
        schema: Option<&Schema>,
        is_labelled: bool,
    ) -> Result<Fields<'_>, RecordFault> {
        let columns: Vec<Column> = match &self.content {
            Content::Example(data) => example::columns(data)?,
            Content::Row {
                arrays,
                scalars,
                layout,
            } => layout.columns(arrays, scalars)?,
        };
        Fields::of(columns, schema, is_labelled)
    }
}

/// Reads the records of files of one format, in the order of the files, up to the number of rows that
/// a schema states.
pub struct RecordReader<'a> {
    files: &'a [PathBuf],
    format: RecordFormat,
    /// Rows that are still to be read; `None` for all.
    rows_left: Option<u64>,
    open: Option<Open>,
    /// Records of the files that were begun.
    counts: Vec<u64>,
    /// Bytes of the files that were read to their end.
    bytes_before: u64,
    is_limited: bool,
    is_part: bool,
}

enum Open {
    Tf(TfRecords),
    Mind(MindRecords),
}

impl Open {
    fn bytes(&self) -> u64 {
        match self {
            Self::Tf(records) => records.bytes(),
            Self::Mind(records) => records.bytes(),
        }
    }
}

impl<'a> RecordReader<'a> {
    /// A reader of these files. `is_alone` is for a single file that the user names by its path: it may be
    /// one of several shards.
    ///
    /// # Errors
    /// Where a shard of a MindRecord data set or a part of several TFRecord files is not among the
    /// files, or a header does not read.
    pub fn new(
        files: &'a [PathBuf],
        format: RecordFormat,
        schema: Option<&Schema>,
        is_alone: bool,
    ) -> Result<Self, DataError> {
        let is_part = match format {
            RecordFormat::TfRecord => {
                check_parts(files, is_alone)?;
                false
            }
            RecordFormat::MindRecord => {
                check_format(files)?;
                check_shards(files, is_alone)?
            }
        };
        Ok(Self {
            files,
            format,
            rows_left: schema.and_then(Schema::rows),
            open: None,
            counts: Vec::with_capacity(files.len()),
            bytes_before: 0,
            is_limited: false,
            is_part,
        })
    }

    /// Records read so far of the files that were begun, in order.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Whether the schema's number of rows left records unread.
    pub fn is_limited(&self) -> bool {
        self.is_limited
    }

    /// Whether the only file is one of several shards.
    pub fn is_part(&self) -> bool {
        self.is_part
    }

    /// Bytes of the files read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes_before + self.open.as_ref().map_or(0, Open::bytes)
    }

    /// The next record; `None` after the last.
    ///
    /// # Errors
    /// Where a file does not read, or is damaged.
    pub fn next_record(&mut self) -> Result<Option<Record>, DataError> {
        loop {
            let Some(open) = &mut self.open else {
                let Some(path) = self.files.get(self.counts.len()) else {
                    return Ok(None);
                };
                self.open = Some(open(path, self.format)?);
                self.counts.push(0);
                continue;
            };
            let file = self.counts.len() - 1;
            let next = match open {
                Open::Tf(records) => records.next().map(|next| {
                    next.map(|record| Record {
                        file,
                        number: record.number,
                        byte: record.byte,
                        content: Content::Example(record.data),
                    })
                }),
                Open::Mind(records) => records.next().map(|next| {
                    next.map(|row| Record {
                        file,
                        number: row.number,
                        byte: row.byte,
                        content: Content::Row {
                            arrays: row.arrays,
                            scalars: row.scalars,
                            layout: Arc::clone(records.layout()),
                        },
                    })
                }),
            };
            let Some(record) = next.map_err(|stop| stopped(stop, &self.files[file]))? else {
                self.bytes_before = self.bytes();
                self.open = None;
                continue;
            };
            match &mut self.rows_left {
                Some(0) => {
                    self.is_limited = true;
                    return Ok(None);
                }
                Some(left) => *left -= 1,
                None => {}
            }
            self.counts[file] += 1;
            return Ok(Some(record));
        }
    }
}

/// What a file of the other format needs.
const OTHER_FORMAT: &str = "all files of a task or corpus have one format: set `format` in `[task]`, or \
                            `corpus-format` of the stage, to theirs, or remove the key";

/// Checks that files are no TFRecord where MindRecord is expected.
fn check_format(files: &[PathBuf]) -> Result<(), DataError> {
    for path in files {
        let io = |source| DataError::Io {
            path: path.to_owned(),
            source,
        };
        if super::recognize_records(path).map_err(io)? == Some(RecordFormat::TfRecord) {
            let fault = FileFault::new("is a TFRecord file, expected MindRecord");
            return Err(fault.with_hint(OTHER_FORMAT).of(path));
        }
    }
    Ok(())
}

/// Checks that files called `NAME-00000-of-00003` are all there, unless one is named alone.
fn check_parts(files: &[PathBuf], is_alone: bool) -> Result<(), DataError> {
    for path in files.iter().filter(|_| !is_alone) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some((before, parts, after)) = part_of(&name) else {
            continue;
        };
        for part in 0..parts {
            let other = format!("{before}-{part:05}-of-{parts:05}{after}");
            if !files.contains(&path.with_file_name(&other)) {
                let other = excerpt(&other);
                let text = format!("is one of {parts} parts, and part `{other}` is missing");
                let hint = "put all parts into one folder, or rename those that are to be read";
                return Err(FileFault::new(text).with_hint(hint).of(path));
            }
        }
    }
    Ok(())
}

/// What stands before and after the number of a part, and how many parts there are.
fn part_of(name: &str) -> Option<(&str, u32, &str)> {
    const DIGITS: usize = 5;
    let (first, rest) = name.rsplit_once("-of-")?;
    let (before, part) = first.rsplit_once('-')?;
    let (parts, after) = rest.split_at_checked(DIGITS)?;
    let is_number =
        |text: &str| text.len() == DIGITS && text.bytes().all(|letter| letter.is_ascii_digit());
    let is_end = !after.starts_with(|letter: char| letter.is_ascii_digit());
    let is_part = is_number(part) && is_number(parts) && is_end;
    is_part.then_some((before, parts.parse().ok()?, after))
}

fn open(path: &Path, format: RecordFormat) -> Result<Open, DataError> {
    match format {
        RecordFormat::TfRecord => {
            if super::mindrecord::is_file(path) {
                let fault = FileFault::new("is a MindRecord file, expected TFRecord");
                return Err(fault.with_hint(OTHER_FORMAT).of(path));
            }
            let io = |source| DataError::Io {
                path: path.to_owned(),
                source,
            };
            if !super::tfrecord::may_be_file(path).map_err(io)? {
                let text = "is not a TFRecord file, or the length of its first record is damaged";
                let hint = "name TFRecord files only, or set the format to that of the files";
                return Err(FileFault::new(text).with_hint(hint).of(path));
            }
            Ok(Open::Tf(TfRecords::open(path).map_err(io)?))
        }
        RecordFormat::MindRecord => Ok(Open::Mind(MindRecords::open(path)?)),
    }
}

fn stopped(stop: Stop, path: &Path) -> DataError {
    let path = path.to_owned();
    match stop {
        Stop::Io(source) => DataError::Io { path, source },
        Stop::Fault {
            number,
            byte,
            fault,
        } => DataError::Record {
            path,
            number,
            byte,
            fault: Box::new(fault),
        },
    }
}
