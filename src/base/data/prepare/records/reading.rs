//! Reading the records of all splits: decoded on all threads, handed on in order.

use std::hash::{DefaultHasher, Hasher as _};
use std::path::Path;
use std::time::Instant;

use super::RecordFiles;
use crate::data::error::DataError;
use crate::data::prepare::findings::class_warnings;
use crate::data::prepare::pump::{Watch, pump, sizes};
use crate::data::records::{
    Longest, Record, RecordFault, RecordFormat, RecordReader, RowRules, Schema, TokenRow,
    wanted_columns,
};
use crate::data::report::{FileReport, PrepReport, SplitReport};
use crate::data::split::ids_hash;
use crate::data::warning::DataWarning;

/// Place of a record.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) path: &'a Path,
    pub(super) number: u64,
    pub(super) byte: u64,
}

impl At<'_> {
    pub(super) fn error(self, fault: RecordFault) -> DataError {
        DataError::Record {
            path: self.path.to_owned(),
            number: self.number,
            byte: self.byte,
            fault: Box::new(fault),
        }
    }
}

/// What tells rows of the same text by their ids.
pub(super) type RowHash = fn(&TokenRow) -> u64;

/// The hash that puts a row on a side of a split: the same in every run of every version.
pub(super) fn split_hash(row: &TokenRow) -> u64 {
    let (first, second) = row.input_ids.split_at(row.text_b_start);
    ids_hash(first, second)
}

/// A hash for finding equal rows within a run, several times as fast.
pub(super) fn run_hash(row: &TokenRow) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_usize(row.text_b_start);
    hasher.write(bytemuck::cast_slice(&row.input_ids));
    hasher.finish()
}

/// What makes rows of records.
struct Decoder {
    schema: Option<Schema>,
    rules: RowRules,
    hash: RowHash,
    is_labelled: bool,
}

impl Decoder {
    /// The row of a record, with its hash.
    fn row(&self, record: &Record) -> Result<(u64, TokenRow), RecordFault> {
        let fields = record.fields(self.schema.as_ref(), self.is_labelled)?;
        let row = self.rules.row(fields)?;
        Ok(((self.hash)(&row), row))
    }
}

/// What is common to the splits of a preparation.
pub(super) struct Reading<'a> {
    format: RecordFormat,
    decoder: Decoder,
    schema_path: Option<&'a Path>,
    /// Tokens of the longest record, padding included.
    widest: usize,
    files: Vec<FileReport>,
    warnings: Vec<DataWarning>,
    bytes_total: u64,
    watch: Watch<'a>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        format: RecordFormat,
        schema: Option<&'a Path>,
        rules: RowRules,
        all: &[&RecordFiles],
        watch: Watch<'a>,
    ) -> Result<Self, DataError> {
        let sizes = all.iter().map(|files| sizes(&files.files));
        let sizes = sizes.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            format,
            decoder: Decoder {
                schema: schema.map(Schema::read).transpose()?,
                rules,
                hash: |_| 0,
                is_labelled: false,
            },
            schema_path: schema,
            widest: 0,
            files: Vec::new(),
            warnings: Vec::new(),
            bytes_total: sizes.iter().flatten().sum(),
            watch,
        })
    }

    /// Rows have labels, and their hashes are wanted.
    pub(super) fn labelled(mut self, hash: RowHash) -> Self {
        self.decoder.is_labelled = true;
        self.decoder.hash = hash;
        self
    }

    /// `max-seq-length` as it is set, or else tokens of the longest record that was read.
    pub(super) fn longest(&self) -> usize {
        match self.decoder.rules.longest {
            Longest::Written(longest) => longest,
            Longest::Positions(_) => self.widest,
        }
    }

    /// Hands every row of a split to `write`, in the order of the files, with its hash, which is 0
    /// where none is wanted.
    pub(super) fn read(
        &mut self,
        split: &str,
        from: &RecordFiles,
        mut write: impl FnMut(TokenRow, u64, At<'_>) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let (decoder, schema) = (&self.decoder, self.decoder.schema.as_ref());
        if let (Some(schema), Some(path)) = (schema, self.schema_path) {
            schema.check_columns(path, wanted_columns(decoder.is_labelled))?;
        }
        let (watch, bytes_total) = (self.watch, self.bytes_total);
        let before: u64 = self.files.iter().map(|file| file.bytes).sum();
        let sizes = sizes(&from.files)?;
        let size: u64 = sizes.iter().sum();
        let reader = RecordReader::new(&from.files, self.format, schema, from.is_alone)?;
        if reader.is_part() {
            let split = split.to_owned();
            self.warnings.push(DataWarning::OneShard { split });
        }
        let widest = &mut self.widest;
        let reader = pump(
            reader,
            || (),
            |reader: &mut RecordReader| {
                let record = reader.next_record()?;
                Ok(record.map(|record| {
                    let size = record.size();
                    (record, size)
                }))
            },
            RecordReader::bytes,
            |(), record: Record| -> Result<_, DataError> {
                let at = At {
                    path: &from.files[record.file],
                    number: record.number,
                    byte: record.byte,
                };
                // A fault waits for its turn: the first one is reported.
                Ok((at, decoder.row(&record)))
            },
            |(at, row): (At<'_>, Result<(u64, TokenRow), RecordFault>)| {
                let (hash, row) = row.map_err(|fault| at.error(fault))?;
                *widest = row.width.max(*widest);
                write(row, hash, at)
            },
            |bytes_done| {
                (watch.progress)(before + bytes_done.min(size), bytes_total);
                watch.check()
            },
        )?;
        (watch.progress)(before + size, bytes_total);
        self.note(split, from, &sizes, &reader);
        Ok(())
    }

    /// Counts the files of a split that was read to its end.
    fn note(&mut self, split: &str, from: &RecordFiles, sizes: &[u64], reader: &RecordReader) {
        if reader.is_limited() {
            self.warnings.push(DataWarning::RowsLimited {
                split: split.to_owned(),
                rows: reader.counts().iter().sum(),
            });
        }
        let files = from.files.iter().zip(sizes).enumerate();
        self.files
            .extend(files.map(|(index, (path, &bytes))| FileReport {
                path: path.clone(),
                rows: reader.counts().get(index).copied().unwrap_or(0),
                skipped: 0,
                bytes,
            }));
    }

    /// What was done.
    pub(super) fn report(
        self,
        splits: Vec<SplitReport>,
        train_texts_in_dev: u64,
        begin: Instant,
    ) -> PrepReport {
        let mut warnings = self.warnings;
        warnings.extend(class_warnings(&splits));
        PrepReport {
            bytes_read: self.files.iter().map(|file| file.bytes).sum(),
            files: self.files,
            splits,
            train_texts_in_dev,
            warnings: warnings.iter().map(ToString::to_string).collect(),
            seconds: begin.elapsed().as_secs_f64(),
            ..PrepReport::default()
        }
    }
}
