//! Unlabelled text of the task, behind the labelled rows in a store of their own.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::encoders::{EncodedText, Encoders};
use super::further::FurtherStores;
use super::predictions::Predictions;
use super::pump::{Watch, pump, shown};
use crate::data::encode::Encoded;
use crate::data::error::{DataError, Place};
use crate::data::report::{FileReport, SplitReport, UnlabelledReport};
use crate::data::split::{ids_hash, text_hash};
use crate::data::store::StoreWriter;
use crate::data::table::{Table, TableLayout};
use crate::data::texts::{TextLayout, Texts};

/// Folder of the store: the labelled rows, and then the unlabelled ones.
pub const STORE: &str = "train-and-unlabelled";

/// Name of the unlabelled rows in the report.
const SPLIT: &str = "unlabelled";

/// Endings of files that are tables or JSON lines; a file of another ending has a text a line.
const TABLES: [&str; 6] = ["csv", "tsv", "json", "jsonl", "ndjson", "tab"];

/// The store being written, and what stands in none.
pub(super) struct Unlabelled {
    writer: StoreWriter,
    /// Of the token ids of rows that models are scored on, and of all that are in the store: 8 bytes a text.
    scored: HashSet<u64>,
    taken: HashSet<u64>,
    split: SplitReport,
    left_out: UnlabelledReport,
}

/// What became of a text.
enum Outcome {
    Blank,
    /// It is in the store already, or in dev.
    Omitted,
    Written,
}

impl Unlabelled {
    pub(super) fn new(writer: StoreWriter) -> Self {
        Self {
            writer,
            scored: HashSet::new(),
            taken: HashSet::new(),
            split: SplitReport::new(SPLIT, &[]),
            left_out: UnlabelledReport::default(),
        }
    }

    /// A row that models are scored on.
    pub(super) fn scored(&mut self, example: &Encoded) {
        self.scored.insert(hash_of(example));
    }

    /// A labelled row, before any unlabelled one.
    pub(super) fn labelled(&mut self, example: &Encoded, label: f32) -> Result<(), DataError> {
        self.taken.insert(hash_of(example));
        let (ids, start) = (&example.input_ids, example.text_b_start);
        self.writer.push(ids, start, Some(label))?;
        Ok(())
    }

    /// Reads the texts of a file, and leaves out those that models are scored on, and those that are there.
    pub(super) fn read(
        &mut self,
        (path, layout): (&Path, &TableLayout),
        encoders: &Encoders,
        further: &mut FurtherStores,
        mut predictions: Option<&mut Predictions>,
        (watch, progress): (&Watch<'_>, impl Fn(u64)),
    ) -> Result<FileReport, DataError> {
        let mut rows = 0;
        let texts = pump(
            open(path, layout)?,
            || encoders.sessions(),
            |texts: &mut Texts| {
                Ok(texts.next_row()?.map(|row| {
                    let bytes = row.text.len() + row.pair.as_ref().map_or(0, String::len);
                    (row, bytes)
                }))
            },
            Texts::bytes_read,
            |sessions, row| -> Result<_, tokenizers::Error> {
                let (text, pair) = (&row.text, row.pair.as_deref());
                let encoded = encoders.encode(sessions, (text, pair))?;
                let ids = encoded.example.as_ref().map_or(0, hash_of);
                Ok((encoded, ids, text_hash(text, pair), row.line))
            },
            |(text, ids, hash, line): (EncodedText, u64, u64, u64)| {
                rows += 1;
                let outcome = self.push(&text, ids)?;
                if matches!(outcome, Outcome::Written) {
                    further.push(STORE, &text.further, None)?;
                }
                match (&mut predictions, outcome) {
                    (None, _) | (_, Outcome::Blank) => {}
                    (Some(predictions), Outcome::Omitted) => {
                        predictions.text(hash);
                    }
                    (Some(predictions), Outcome::Written) => {
                        predictions.unlabelled(hash, path, line);
                    }
                }
                Ok(())
            },
            |bytes_done| {
                progress(bytes_done);
                watch.check()
            },
        )?;
        Ok(FileReport {
            path: path.to_owned(),
            rows,
            skipped: texts.skipped(),
            bytes: texts.bytes_read(),
        })
    }

    /// Writes a text, if it is new; `hash` is that of its ids.
    fn push(&mut self, text: &EncodedText, hash: u64) -> Result<Outcome, DataError> {
        self.split.rows_in += 1;
        let Some(example) = &text.example else {
            self.split.blank += 1;
            return Ok(Outcome::Blank);
        };
        if self.scored.contains(&hash) {
            self.left_out.in_dev += 1;
            return Ok(Outcome::Omitted);
        }
        if !self.taken.insert(hash) {
            self.left_out.repeated += 1;
            return Ok(Outcome::Omitted);
        }
        self.split.rows_out += 1;
        self.split.tokens += example.input_ids.len() as u64;
        self.split.truncated += u64::from(example.truncated);
        self.split.unknown += text.unknown;
        let (ids, start) = (&example.input_ids, example.text_b_start);
        self.writer.push(ids, start, None)?;
        Ok(Outcome::Written)
    }

    /// Completes the store.
    ///
    /// # Errors
    /// No text is left of the files.
    pub(super) fn finish(
        mut self,
        paths: &[PathBuf],
        specials: usize,
    ) -> Result<(SplitReport, UnlabelledReport), DataError> {
        if self.split.rows_out == 0 {
            return Err(DataError::NoUnlabelled {
                paths: shown(paths),
                in_dev: self.left_out.in_dev,
                repeated: self.left_out.repeated,
            });
        }
        self.writer.finish()?;
        self.split.complete(specials);
        Ok((self.split, self.left_out))
    }
}

/// What a model reads of an example: texts that give the same ids are the same to it.
fn hash_of(example: &Encoded) -> u64 {
    let (first, second) = example.input_ids.split_at(example.text_b_start);
    ids_hash(first, second)
}

/// A file of texts: a table or JSON lines by its ending, else a text a line.
fn open(path: &Path, layout: &TableLayout) -> Result<Texts, DataError> {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let is_table = ending.is_some_and(|ending| {
        TABLES
            .iter()
            .any(|table| table.eq_ignore_ascii_case(ending))
    });
    if is_table {
        return open_table(path, layout);
    }
    if layout.pair.is_some() {
        return Err(DataError::UnlabelledPairs {
            path: path.to_owned(),
        });
    }
    let file = File::open(path).map_err(|source| DataError::Io {
        path: path.to_owned(),
        source,
    })?;
    if has_header(path, layout) {
        return Err(DataError::UnlabelledHeader {
            place: Place::new(path, 1),
            column: layout.text.clone(),
        });
    }
    Ok(Texts::lines(path, Box::new(file)))
}

/// A table with a header, or one with the task's columns where its tables have none.
fn open_table(path: &Path, layout: &TableLayout) -> Result<Texts, DataError> {
    let with = |columns: Option<Vec<String>>| TextLayout {
        dialect: layout.dialect,
        text: layout.text.clone(),
        pair: layout.pair.clone(),
        columns,
        skip_short: layout.skip_short,
    };
    let found = Texts::open(path, &with(None), false);
    match (found, &layout.columns) {
        (Err(DataError::ColumnMissing { .. }), Some(names)) => {
            Texts::open(path, &with(Some(names.clone())), false)
        }
        (found, _) => found,
    }
}

/// Whether a file begins with the names of columns, of which the task's text is one.
fn has_header(path: &Path, layout: &TableLayout) -> bool {
    // Plain text need not be a table, so that a fault in it is none.
    let table = Table::open(path, layout.dialect, None, &[&layout.text]);
    table.is_ok_and(|table| table.column(&layout.text).is_ok())
}
