//! Labelled tables to two token stores.

mod labels;
mod rows;
mod settings;
mod sides;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use self::rows::{LabelledRow, Origin, TaskRows};
pub use self::settings::{Dev, TaskSettings};
use self::sides::{MISMATCHED, Sides, Target};
use super::encoders::Encoders;
use super::findings::Findings;
use super::found_labels::{find_labels, no_rows};
use super::further::{Cut, FurtherStores};
use super::own_tokens::OwnTokens;
use super::predictions::Predictions;
use super::pump::{Watch, pump, sizes};
use super::row::{check_length, specials_of};
use super::unlabelled::{STORE as UNLABELLED_STORE, Unlabelled};
use crate::data::error::DataError;
use crate::data::labels::{LabelRule, LabelSet};
use crate::data::report::{FileReport, PredictionsReport, PrepReport};
use crate::data::split::is_dev;
use crate::data::store::{StoreMeta, StoreWriter};
use crate::data::table::TableReader;
use crate::data::tokenizer::Tokenizer;

/// Writes the token stores `train/` and `dev/` and `report.json` into `output`.
///
/// # Errors
/// Where a table is at fault (see [`DataError`]), a side has no rows, the tokenizer does not
/// load, the disk is full, or it was stopped. The output then lacks a whole store.
pub fn prepare_task(
    settings: &TaskSettings,
    output: &Path,
    watch: Watch,
) -> Result<PrepReport, DataError> {
    let begin = Instant::now();
    let tokenizer = Tokenizer::load(&settings.tokenizer)?;
    check_length(
        settings.max_seq_length,
        tokenizer.special(),
        settings.has_pairs(),
    )?;
    let labels = match &settings.labels {
        LabelRule::Given(labels) => labels.clone(),
        LabelRule::Values => LabelSet::none(),
        LabelRule::Found => find_labels(&settings.train, &settings.layout, &watch)?,
    };
    let mut preparation = Preparation::new(settings, tokenizer, labels, output, watch)?;
    preparation.read_tables()?;
    for path in &settings.unlabelled {
        preparation.read_unlabelled(path)?;
    }
    let predictions = preparation.read_predictions(output)?;
    let report = preparation.finish(predictions, begin)?;
    report.write(output)?;
    Ok(report)
}

struct Preparation<'a> {
    settings: &'a TaskSettings,
    encoders: Encoders,
    labels: LabelSet,
    rows: TaskRows,
    /// Special tokens of an example.
    specials: usize,
    files: Vec<FileReport>,
    bytes_total: u64,
    watch: Watch<'a>,
}

impl<'a> Preparation<'a> {
    /// Creates the stores.
    fn new(
        settings: &'a TaskSettings,
        tokenizer: Tokenizer,
        labels: LabelSet,
        output: &Path,
        watch: Watch<'a>,
    ) -> Result<Self, DataError> {
        let bytes_total = sizes(&settings.files())?.iter().sum();
        let (longest, special) = (settings.max_seq_length, tokenizer.special());
        let size = tokenizer.vocab_size();
        let meta = StoreMeta::new(longest, size, special.pad, labels.names().to_vec());
        let sides = Sides::create(output, settings, &meta)?;
        let unlabelled = (!settings.unlabelled.is_empty())
            .then(|| StoreWriter::create(&output.join(UNLABELLED_STORE), meta));
        let unlabelled = unlabelled.transpose()?.map(Unlabelled::new);
        let students = match &settings.students {
            Some(own) => OwnTokens::load(&settings.tokenizer, own)?,
            None => None,
        };
        let (cuts, further) = further(settings, output, &labels)?;
        Ok(Self {
            settings,
            encoders: Encoders {
                tokenizer,
                students,
                further: cuts,
                longest,
            },
            labels,
            rows: TaskRows {
                sides,
                unlabelled,
                predictions: settings
                    .predictions
                    .as_ref()
                    .map(|_| Predictions::default()),
                further,
                dev_hashes: matches!(settings.dev, Dev::Table(_)).then(HashSet::new),
                train_texts_in_dev: 0,
                findings: Findings::default(),
            },
            specials: specials_of(special, settings.has_pairs()),
            files: Vec::new(),
            bytes_total,
            watch,
        })
    }

    /// Bytes of the files that were read.
    fn bytes_read(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Reads all rows; those of dev first: their texts are looked for among the training rows.
    fn read_tables(&mut self) -> Result<(), DataError> {
        let settings = self.settings;
        for path in settings.dev_table() {
            self.read_table(path, |_| Target::Dev)?;
        }
        for (index, (_, path)) in settings.more_dev.iter().enumerate() {
            self.read_table(path, |_| Target::More(index))?;
        }
        for path in &settings.train {
            self.read_table(path, |hash| match settings.dev {
                Dev::Fraction(fraction) if is_dev(hash, fraction) => Target::Dev,
                _ => Target::Train,
            })?;
        }
        Ok(())
    }

    /// Writes the rows of a table to the store that `target` says of their hash.
    fn read_table(
        &mut self,
        path: &Path,
        target: impl Fn(u64) -> Target + Sync,
    ) -> Result<(), DataError> {
        let before = self.bytes_read();
        let bytes = sizes(&[path.to_owned()])?[0];
        let (settings, encoders, labels) = (self.settings, &self.encoders, &self.labels);
        let (watch, total) = (&self.watch, self.bytes_total);
        let origin = Origin {
            path,
            specials: self.specials,
            is_of_train: settings.train.iter().any(|train| train == path),
        };
        let mut rows = 0;
        let table = pump(
            TableReader::open(path, &settings.layout)?,
            || encoders.sessions(),
            |table: &mut TableReader| LabelledRow::next(table, path, labels, settings),
            TableReader::bytes_read,
            |sessions, row| row.encode(encoders, sessions, &target),
            |row| {
                rows += 1;
                self.rows.push(&row, origin)
            },
            |done| {
                (watch.progress)(before + done.min(bytes), total);
                watch.check()
            },
        )?;
        if rows == 0 {
            return Err(no_rows(path));
        }
        self.rows.findings.table(path, &table);
        self.files.push(FileReport {
            path: path.to_owned(),
            rows,
            skipped: table.skipped(),
            bytes,
        });
        Ok(())
    }

    /// Reads texts without labels, once all rows are read.
    fn read_unlabelled(&mut self, path: &Path) -> Result<(), DataError> {
        let (before, watch, total) = (self.bytes_read(), &self.watch, self.bytes_total);
        let TaskRows {
            unlabelled: Some(store),
            predictions,
            further,
            ..
        } = &mut self.rows
        else {
            return Ok(());
        };
        let progress = |bytes: u64| (watch.progress)((before + bytes).min(total), total);
        let file = store.read(
            (path, &self.settings.layout),
            &self.encoders,
            further,
            predictions.as_mut(),
            (watch, progress),
        )?;
        self.files.push(file);
        Ok(())
    }

    /// Reads a teacher's answers, once all rows are read.
    fn read_predictions(&mut self, output: &Path) -> Result<Option<PredictionsReport>, DataError> {
        let (before, watch, total) = (self.bytes_read(), &self.watch, self.bytes_total);
        let texts = self.rows.predictions.take();
        let Some((texts, wanted)) = texts.zip(self.settings.predictions.as_ref()) else {
            return Ok(None);
        };
        let of = (&self.settings.layout, &self.labels);
        let progress = |bytes: u64| (watch.progress)((before + bytes).min(total), total);
        let (files, report) = texts.finish(wanted, of, output, (watch, progress))?;
        self.files.extend(files);
        Ok(Some(report))
    }

    /// Completes the stores.
    fn finish(
        self,
        predictions: Option<PredictionsReport>,
        begin: Instant,
    ) -> Result<PrepReport, DataError> {
        let bytes_read = self.bytes_read();
        let (settings, rows, specials) = (self.settings, self.rows, self.specials);
        rows.sides.check(settings)?;
        rows.further.finish()?;
        let mut splits = rows.sides.finish(settings, specials)?;
        let warnings = rows.findings.warnings(&splits);
        let mut left_out = None;
        if let Some(unlabelled) = rows.unlabelled {
            let (split, found) = unlabelled.finish(&settings.unlabelled, specials)?;
            splits.push(split);
            left_out = Some(found);
        }
        Ok(PrepReport {
            unlabelled: left_out,
            predictions,
            bytes_read,
            files: self.files,
            splits,
            train_texts_in_dev: rows.train_texts_in_dev,
            warnings: warnings.iter().map(ToString::to_string).collect(),
            windows: None,
            seconds: begin.elapsed().as_secs_f64(),
        })
    }
}

/// Further tokenizers, and their stores.
fn further(
    settings: &TaskSettings,
    output: &Path,
    labels: &LabelSet,
) -> Result<(Vec<Cut>, FurtherStores), DataError> {
    let mut splits = vec!["train", "dev"];
    if !settings.more_dev.is_empty() {
        splits.push(MISMATCHED);
    }
    if !settings.unlabelled.is_empty() {
        splits.push(UNLABELLED_STORE);
    }
    let texts = (settings.max_seq_length, settings.has_pairs());
    let mut stores = FurtherStores::default();
    let cuts = settings.further.iter().map(|(names, tokenizer)| {
        stores.create((*names, tokenizer), output, &splits, texts, labels.names())
    });
    let cuts = cuts.collect::<Result<_, _>>()?;
    Ok((cuts, stores))
}
