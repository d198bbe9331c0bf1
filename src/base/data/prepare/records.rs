//! Records, whose rows are token ids already, to the token stores that tables and texts give.

mod labels;
mod reading;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use self::labels::{Classes, Seen};
use self::reading::{At, Reading, RowHash, run_hash, split_hash};
use super::pump::{Watch, shown};
use crate::data::error::DataError;
use crate::data::labels::LabelRule;
use crate::data::records::{Longest, RecordFormat, RowRules, TokenRow};
use crate::data::report::{PrepReport, SplitReport};
use crate::data::split::is_dev;
use crate::data::store::{StoreMeta, StoreWriter};

/// Files of records that are read one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordFiles {
    /// In the order to be read.
    pub files: Vec<PathBuf>,
    /// Whether it is one file that the user names by its path, which may be one of several shards.
    pub is_alone: bool,
}

/// Where the dev examples come from.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordDev {
    /// Records of their own.
    Files(RecordFiles),
    /// This share of the training records, 0 to 1, by hash of the ids.
    Fraction(f64),
}

/// What [`prepare_record_task`] works on.
#[derive(Debug, Clone)]
pub struct RecordTask {
    /// Format of all files.
    pub format: RecordFormat,
    /// Schema that all records must have, and the number of them to read of each split.
    pub schema: Option<PathBuf>,
    /// Training records.
    pub train: RecordFiles,
    /// Dev examples.
    pub dev: RecordDev,
    /// Further records to score on: the folder of the store, and the files.
    pub more_dev: Vec<(String, RecordFiles)>,
    /// Classes. Found ones are the numbers from 0 to the highest of a training record.
    pub labels: LabelRule,
    /// What every row must keep to.
    pub rules: RowRules,
}

/// What [`prepare_record_corpus`] works on.
#[derive(Debug, Clone)]
pub struct RecordCorpus {
    /// Format of all files.
    pub format: RecordFormat,
    /// Schema that all records must have, and the number of them to read.
    pub schema: Option<PathBuf>,
    /// Records, whose labels are ignored.
    pub files: RecordFiles,
    /// What every row must keep to.
    pub rules: RowRules,
}

/// Writes the token stores `train/` and `dev/` and `report.json` into `output`, as
/// [`super::prepare_task`] does of tables.
///
/// # Errors
/// Where a record is at fault (see [`DataError`]), a split has none, the disk is full, or it was
/// stopped. The output then lacks a whole store.
pub fn prepare_record_task(
    settings: &RecordTask,
    output: &Path,
    watch: Watch,
) -> Result<PrepReport, DataError> {
    let begin = Instant::now();
    let none = RecordFiles::default();
    let (dev, hash): (_, RowHash) = match &settings.dev {
        RecordDev::Files(files) => (files, run_hash),
        RecordDev::Fraction(_) => (&none, split_hash),
    };
    let more = settings.more_dev.iter().map(|(_, files)| files);
    let all: Vec<&RecordFiles> = [dev, &settings.train].into_iter().chain(more).collect();
    let mut reading = Reading::new(
        settings.format,
        settings.schema.as_deref(),
        settings.rules,
        &all,
        watch,
    )?
    .labelled(hash);
    let classes = Classes::of(&settings.labels);
    let (sides, texts_in_dev) = read_sides(settings, dev, &mut reading, &classes, output)?;
    check_rows(&sides, &settings.dev)?;
    let seen: Vec<&Seen> = sides.iter().map(|(side, _)| &side.seen).collect();
    let names = classes.names(&seen, &settings.train.files)?;
    let splits = finish(sides, &names, reading.longest())?;
    let report = reading.report(splits, texts_in_dev, begin);
    report.write(output)?;
    Ok(report)
}

/// Reads the records of all splits: train, dev and more with their files, and the number of training texts that are in
/// dev too.
fn read_sides<'a>(
    settings: &'a RecordTask,
    dev: &'a RecordFiles,
    reading: &mut Reading<'_>,
    classes: &Classes,
    output: &Path,
) -> Result<(Vec<Written<'a>>, u64), DataError> {
    let mut train = Side::create("train", output, settings.rules)?;
    let mut dev_side = Side::create("dev", output, settings.rules)?;
    let mut more = Vec::new();
    // Dev first: its texts are looked for among the training records.
    let mut hashes = HashSet::new();
    if let RecordDev::Files(_) = settings.dev {
        reading.read("dev", dev, |row, hash, at| {
            hashes.insert(hash);
            dev_side.push(&row, at, classes)
        })?;
    }
    for (name, files) in &settings.more_dev {
        let mut side = Side::create(name, output, settings.rules)?;
        reading.read(name, files, |row, hash, at| {
            hashes.insert(hash);
            side.push(&row, at, classes)
        })?;
        more.push((side, &files.files[..]));
    }
    let mut texts_in_dev = 0;
    reading.read("train", &settings.train, |row, hash, at| {
        let side = match settings.dev {
            RecordDev::Fraction(fraction) if is_dev(hash, fraction) => &mut dev_side,
            _ => &mut train,
        };
        texts_in_dev += u64::from(hashes.contains(&hash));
        side.push(&row, at, classes)
    })?;
    let mut sides = vec![(train, &settings.train.files[..]), (dev_side, &dev.files)];
    sides.extend(more);
    Ok((sides, texts_in_dev))
}

/// Writes the token store `train/` and `report.json` into `output`: one example a record.
///
/// # Errors
/// As [`prepare_record_task`].
pub fn prepare_record_corpus(
    settings: &RecordCorpus,
    output: &Path,
    watch: Watch,
) -> Result<PrepReport, DataError> {
    let begin = Instant::now();
    let mut reading = Reading::new(
        settings.format,
        settings.schema.as_deref(),
        settings.rules,
        &[&settings.files],
        watch,
    )?;
    let mut side = Side::create("train", output, settings.rules)?;
    let classes = Classes::None;
    reading.read("train", &settings.files, |row, _, at| {
        side.push(&row, at, &classes)
    })?;
    if side.report.rows_in == 0 {
        return Err(no_records(&settings.files.files));
    }
    let splits = finish(
        vec![(side, &settings.files.files[..])],
        &[],
        reading.longest(),
    )?;
    let report = reading.report(splits, 0, begin);
    report.write(output)?;
    Ok(report)
}

/// One store being written, and what was counted of it.
struct Side {
    writer: StoreWriter,
    report: SplitReport,
    seen: Seen,
}

impl Side {
    fn create(name: &str, output: &Path, rules: RowRules) -> Result<Self, DataError> {
        let (Longest::Written(most) | Longest::Positions(most)) = rules.longest;
        let meta = StoreMeta::new(most, rules.vocab_size, rules.pad, Vec::new());
        Ok(Self {
            writer: StoreWriter::create(&output.join(name), meta)?,
            report: SplitReport::new(name, &[]),
            seen: Seen::default(),
        })
    }

    fn push(&mut self, row: &TokenRow, at: At<'_>, classes: &Classes) -> Result<(), DataError> {
        let label = match row.label {
            None => None,
            Some(label) => {
                let found = classes.value(label).map_err(|fault| at.error(fault))?;
                self.seen.add(found.0, at);
                Some(found.1)
            }
        };
        self.report.rows_in += 1;
        self.writer.push(&row.input_ids, row.text_b_start, label)?;
        Ok(())
    }
}

/// A store whose records are all read, and their files.
type Written<'a> = (Side, &'a [PathBuf]);

/// A side without a record.
fn check_rows(sides: &[Written<'_>], dev: &RecordDev) -> Result<(), DataError> {
    let is_any = sides.iter().any(|(side, _)| side.report.rows_in > 0);
    for (side, files) in sides {
        if side.report.rows_in > 0 {
            continue;
        }
        return Err(match dev {
            RecordDev::Fraction(fraction) if is_any && side.report.name != "dev-mismatched" => {
                DataError::SplitEmpty {
                    fraction: *fraction,
                    side: if side.report.name == "train" {
                        "train"
                    } else {
                        "dev"
                    },
                }
            }
            _ => no_records(files),
        });
    }
    Ok(())
}

fn no_records(files: &[PathBuf]) -> DataError {
    DataError::NoRows {
        paths: shown(files),
        what: "records",
    }
}

/// Completes the stores; `longest` is `max-seq-length` as set or found.
fn finish(
    sides: Vec<Written<'_>>,
    names: &[String],
    longest: usize,
) -> Result<Vec<SplitReport>, DataError> {
    let finish = |(side, _): Written<'_>| {
        let Side {
            writer,
            mut report,
            seen,
        } = side;
        let meta = writer.finish_as(longest, names.to_vec())?;
        report.rows_out = meta.examples;
        report.tokens = meta.tokens;
        report.labels = seen.counts(names);
        Ok(report)
    };
    sides.into_iter().map(finish).collect()
}
