//! Labelled tables to two token stores.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::findings::Findings;
use super::found_labels::{find_labels, no_rows, no_text};
use super::further::{Further, encode_by_each, push, sessions};
use super::own_tokens::OwnTokens;
use super::predictions::{PredictionSettings, Predictions};
use super::pump::{Watch, pump, sizes};
use super::row::encode;
use super::unlabelled::{STORE as UNLABELLED_STORE, Unlabelled};
use crate::data::encode::{Encoded, SINGLE_SPECIALS};
use crate::data::error::{DataError, Place};
use crate::data::labels::{LabelRule, LabelSet};
use crate::data::own_stores::OwnStores;
use crate::data::report::{FileReport, PredictionsReport, PrepReport, SplitReport};
use crate::data::split::{is_dev, text_hash};
use crate::data::store::{StoreMeta, StoreWriter};
use crate::data::table::{TableLayout, TableReader, TableRow};
use crate::data::tokenizer::{SpecialTokens, Tokenizer};

/// The one further table of dev rows that a task may have.
const MISMATCHED: &str = "dev-mismatched";

/// Where the dev examples come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Dev {
    /// A table of its own, with the columns of the training tables.
    Table(PathBuf),
    /// This share of the training tables, 0 to 1, by hash of the text.
    Fraction(f64),
}

/// What [`prepare_task`] works on.
#[derive(Debug, Clone)]
pub struct TaskSettings {
    /// Training tables, in the order to be read.
    pub train: Vec<PathBuf>,
    /// Dev examples.
    pub dev: Dev,
    /// Further tables to score on: the folder of the store, and the table.
    pub more_dev: Vec<(String, PathBuf)>,
    /// Files with texts that have no label, which stand behind the training rows in a store of their own.
    pub unlabelled: Vec<PathBuf>,
    /// A teacher's answers to the training rows.
    pub predictions: Option<PredictionSettings>,
    /// Columns of all tables.
    pub layout: TableLayout,
    /// Classes.
    pub labels: LabelRule,
    /// Folder of the tokenizer.
    pub tokenizer: PathBuf,
    /// Folder of a tokenizer that the student keeps, with the same tokens under other ids: rows that it splits
    /// otherwise are counted.
    pub students: Option<PathBuf>,
    /// Folders of further tokenizers, each of which cuts every text into stores of its own.
    pub further: Vec<(OwnStores, PathBuf)>,
    /// Longest example in tokens, special tokens included.
    pub max_seq_length: usize,
}

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
    let specials = specials_of(settings, tokenizer.special());
    // One token a text.
    let texts = 1 + usize::from(settings.layout.pair.is_some());
    let least = specials + texts;
    if settings.max_seq_length < least {
        return Err(DataError::MaxSeqLength {
            found: settings.max_seq_length,
            least,
        });
    }
    let labels = match &settings.labels {
        LabelRule::Given(labels) => labels.clone(),
        LabelRule::Values => LabelSet::none(),
        LabelRule::Found => find_labels(&settings.train, &settings.layout, &watch)?,
    };
    let dev_table = match &settings.dev {
        Dev::Table(path) => std::slice::from_ref(path),
        Dev::Fraction(_) => &[],
    };
    let more: Vec<PathBuf> = settings
        .more_dev
        .iter()
        .map(|(_, path)| path.clone())
        .collect();
    let answers = settings.predictions.as_ref();
    let answers: &[PathBuf] = answers.map_or(&[], |answers| &answers.files);
    let tables = [dev_table, &more, &settings.train];
    let paths = [&tables[..], &[&settings.unlabelled, answers]]
        .concat()
        .concat();
    let bytes_total = sizes(&paths)?.iter().sum();
    let mut preparation = Preparation {
        settings,
        train: Side::create("train", output, settings, &tokenizer, &labels)?,
        dev: Side::create("dev", output, settings, &tokenizer, &labels)?,
        more: settings
            .more_dev
            .iter()
            .map(|(name, _)| Side::create(name, output, settings, &tokenizer, &labels))
            .collect::<Result<_, _>>()?,
        unlabelled: if settings.unlabelled.is_empty() {
            None
        } else {
            let side = Side::create(UNLABELLED_STORE, output, settings, &tokenizer, &labels)?;
            Some(Unlabelled::new(side.writer))
        },
        predictions: settings
            .predictions
            .as_ref()
            .map(|_| Predictions::default()),
        students: match &settings.students {
            Some(own) => OwnTokens::load(&settings.tokenizer, own)?,
            None => None,
        },
        further: further(settings, output, &labels)?,
        tokenizer,
        labels,
        dev_hashes: HashSet::new(),
        train_texts_in_dev: 0,
        findings: Findings::default(),
        files: Vec::new(),
        bytes_total,
        watch,
    };
    // Dev first: its texts are looked for among the training rows.
    for path in dev_table {
        preparation.read_table(path, |_| Target::Dev)?;
    }
    for (index, path) in more.iter().enumerate() {
        preparation.read_table(path, |_| Target::More(index))?;
    }
    for path in &settings.train {
        preparation.read_table(path, |hash| match settings.dev {
            Dev::Fraction(fraction) if is_dev(hash, fraction) => Target::Dev,
            _ => Target::Train,
        })?;
    }
    for path in &settings.unlabelled {
        preparation.read_unlabelled(path)?;
    }
    let read = preparation.read_predictions(output)?;
    let mut report = preparation.finish(dev_table, specials, begin)?;
    report.predictions = read;
    report.write(output)?;
    Ok(report)
}

/// The stores of further tokenizers.
fn further(
    settings: &TaskSettings,
    output: &Path,
    labels: &LabelSet,
) -> Result<Vec<Further>, DataError> {
    let mut splits = vec!["train", "dev"];
    if !settings.more_dev.is_empty() {
        splits.push(MISMATCHED);
    }
    if !settings.unlabelled.is_empty() {
        splits.push(UNLABELLED_STORE);
    }
    let texts = (settings.max_seq_length, settings.layout.pair.is_some());
    let created = settings.further.iter().map(|(names, tokenizer)| {
        Further::create((*names, tokenizer), output, &splits, texts, labels.names())
    });
    created.collect()
}

/// Special tokens of an example.
fn specials_of(settings: &TaskSettings, special: SpecialTokens) -> usize {
    if settings.layout.pair.is_some() {
        special.around_pair()
    } else {
        SINGLE_SPECIALS
    }
}

/// One store being written, and what was counted of it.
struct Side {
    writer: StoreWriter,
    report: SplitReport,
}

impl Side {
    fn create(
        name: &str,
        output: &Path,
        settings: &TaskSettings,
        tokenizer: &Tokenizer,
        labels: &LabelSet,
    ) -> Result<Self, DataError> {
        let meta = StoreMeta::new(
            settings.max_seq_length,
            tokenizer.vocab_size(),
            tokenizer.special().pad,
            labels.names().to_vec(),
        );
        Ok(Self {
            writer: StoreWriter::create(&output.join(name), meta)?,
            report: SplitReport::new(name, labels.names()),
        })
    }

    fn finish(self, specials: usize) -> Result<SplitReport, DataError> {
        let Self { writer, mut report } = self;
        let meta = writer.finish()?;
        report.rows_out = meta.examples;
        report.tokens = meta.tokens;
        report.complete(specials);
        Ok(report)
    }
}

/// A row after its text is cut into word pieces.
struct EncodedRow {
    /// `None` where the row is blank.
    example: Option<Encoded>,
    unknown: u64,
    /// Class, where there are classes.
    class: Option<usize>,
    /// Class as a number, or value of a regression.
    value: f32,
    hash: u64,
    target: Target,
    line: u64,
    id: Option<String>,
    /// Whether the student's own tokenizer splits it otherwise.
    differs: bool,
    /// By each further tokenizer.
    further: Vec<Option<Encoded>>,
}

/// The store that a row goes to.
#[derive(Clone, Copy)]
enum Target {
    Train,
    Dev,
    /// One of [`TaskSettings::more_dev`].
    More(usize),
}

impl Target {
    /// Name of its store.
    fn split(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Dev => "dev",
            Self::More(_) => MISMATCHED,
        }
    }
}

struct Preparation<'a> {
    settings: &'a TaskSettings,
    tokenizer: Tokenizer,
    labels: LabelSet,
    train: Side,
    dev: Side,
    more: Vec<Side>,
    /// The training rows once more, and texts without labels.
    unlabelled: Option<Unlabelled>,
    /// What a teacher's answers must cover.
    predictions: Option<Predictions>,
    students: Option<OwnTokens>,
    further: Vec<Further>,
    /// Of a dev table; 8 bytes a row and not its text.
    dev_hashes: HashSet<u64>,
    train_texts_in_dev: u64,
    findings: Findings,
    files: Vec<FileReport>,
    bytes_total: u64,
    watch: Watch<'a>,
}

impl Preparation<'_> {
    /// Writes the rows of a table to the store that `target` says of their hash.
    fn read_table(
        &mut self,
        path: &Path,
        target: impl Fn(u64) -> Target + Sync,
    ) -> Result<(), DataError> {
        let Self {
            settings,
            tokenizer,
            labels,
            train,
            dev,
            more,
            unlabelled,
            predictions,
            dev_hashes,
            train_texts_in_dev,
            students,
            further,
            findings,
            files,
            bytes_total,
            watch,
        } = self;
        let (cuts, mut stores): (Vec<_>, Vec<_>) = further.iter_mut().map(Further::parts).unzip();
        let bytes_before: u64 = files.iter().map(|file| file.bytes).sum();
        let file_bytes = sizes(&[path.to_owned()])?[0];
        let mut rows = 0;
        let special = tokenizer.special();
        let specials = specials_of(settings, special);
        let table = pump(
            TableReader::open(path, &settings.layout)?,
            || {
                (
                    tokenizer.session(),
                    students.as_ref().map(OwnTokens::session),
                    sessions(&cuts),
                )
            },
            |table: &mut TableReader| {
                let Some(row) = table.next_row()? else {
                    return Ok(None);
                };
                // A blank row is dropped, whatever its label says.
                let label = if row.is_blank() {
                    (None, 0.0)
                } else {
                    label_of(&row, path, labels, &settings.labels)?
                };
                let bytes = row.text.len() + row.pair.as_ref().map_or(0, String::len);
                Ok(Some(((row, label), bytes)))
            },
            TableReader::bytes_read,
            |(session, own, others), (row, (class, value))| -> Result<_, tokenizers::Error> {
                let hash = text_hash(&row.text, row.pair.as_deref());
                let pair = row.pair.as_deref();
                let longest = settings.max_seq_length;
                let (example, unknown) = encode(session, &row.text, pair, special, longest)?;
                let differs = match (students.as_ref(), own, &example) {
                    (Some(students), Some(own), Some(example)) => {
                        students.differ(own, (&row.text, pair), example, longest)?
                    }
                    _ => false,
                };
                Ok(EncodedRow {
                    further: encode_by_each(&cuts, others, (&row.text, pair))?,
                    differs,
                    example,
                    unknown,
                    class,
                    value,
                    hash,
                    target: target(hash),
                    line: row.line,
                    id: row.id,
                })
            },
            |row: EncodedRow| {
                rows += 1;
                let side = match row.target {
                    Target::Train => &mut *train,
                    Target::Dev => &mut *dev,
                    Target::More(index) => &mut more[index],
                };
                side.report.rows_in += 1;
                let Some(example) = row.example else {
                    side.report.blank += 1;
                    return Ok(());
                };
                match (&settings.dev, row.target) {
                    (Dev::Table(_), Target::Train) => {
                        *train_texts_in_dev += u64::from(dev_hashes.contains(&row.hash));
                    }
                    (Dev::Table(_), _) => {
                        dev_hashes.insert(row.hash);
                    }
                    // A text is on one side only.
                    (Dev::Fraction(_), _) => {}
                }
                for (stores, example) in stores.iter_mut().zip(&row.further) {
                    let label = Some(row.value);
                    push(stores, row.target.split(), example.as_ref(), label)?;
                    if matches!(row.target, Target::Train) {
                        push(stores, UNLABELLED_STORE, example.as_ref(), label)?;
                    }
                }
                match (unlabelled.as_mut(), row.target) {
                    (None, _) => {}
                    (Some(store), Target::Train) => {
                        store.labelled(&example, row.value)?;
                    }
                    (Some(store), Target::Dev | Target::More(_)) => store.scored(&example),
                }
                let is_of_train = settings.train.iter().any(|train| train == path);
                if let (Some(texts), Some(id), true) = (&mut *predictions, &row.id, is_of_train) {
                    texts.id(id, row.hash);
                }
                match (predictions.as_mut(), row.target) {
                    (None, _) => {}
                    (Some(texts), Target::Train) => texts.train(row.hash, path, row.line),
                    (Some(texts), Target::Dev | Target::More(_)) => {
                        texts.text(row.hash);
                    }
                }
                if matches!(row.target, Target::Train) {
                    findings.train_text(row.hash, row.value, path, row.line);
                }
                findings.example(&example, (specials, row.unknown), path, row.line);
                if row.differs {
                    findings.other_tokens(path, row.line);
                }
                side.report.truncated += u64::from(example.truncated);
                side.report.unknown += row.unknown;
                if let Some(class) = row.class {
                    side.report.labels[class].examples += 1;
                }
                side.writer
                    .push(&example.input_ids, example.text_b_start, Some(row.value))?;
                Ok(())
            },
            |bytes_done| {
                (watch.progress)(bytes_before + bytes_done.min(file_bytes), *bytes_total);
                watch.check()
            },
        )?;
        if rows == 0 {
            return Err(no_rows(path));
        }
        findings.table(path, &table);
        files.push(FileReport {
            path: path.to_owned(),
            rows,
            skipped: table.skipped(),
            bytes: file_bytes,
        });
        Ok(())
    }

    /// Reads texts without labels, once all rows are read.
    fn read_unlabelled(&mut self, path: &Path) -> Result<(), DataError> {
        let Some(store) = &mut self.unlabelled else {
            return Ok(());
        };
        let before: u64 = self.files.iter().map(|file| file.bytes).sum();
        let (settings, watch, total) = (self.settings, &self.watch, self.bytes_total);
        let cut = (&self.tokenizer, settings.max_seq_length);
        let progress = |bytes: u64| (watch.progress)((before + bytes).min(total), total);
        let predictions = self.predictions.as_mut();
        let file = store.read(
            (path, &settings.layout),
            cut,
            &mut self.further,
            predictions,
            (watch, progress),
        )?;
        self.files.push(file);
        Ok(())
    }

    /// Reads a teacher's answers, once all rows are read.
    fn read_predictions(&mut self, output: &Path) -> Result<Option<PredictionsReport>, DataError> {
        let Some((texts, wanted)) = self
            .predictions
            .take()
            .zip(self.settings.predictions.as_ref())
        else {
            return Ok(None);
        };
        let before: u64 = self.files.iter().map(|file| file.bytes).sum();
        let (watch, total) = (&self.watch, self.bytes_total);
        let of = (&self.settings.layout, &self.labels);
        let progress = |bytes: u64| (watch.progress)((before + bytes).min(total), total);
        let (files, report) = texts.finish(wanted, of, output, (watch, progress))?;
        self.files.extend(files);
        Ok(Some(report))
    }

    fn finish(
        self,
        dev_table: &[PathBuf],
        specials: usize,
        begin: Instant,
    ) -> Result<PrepReport, DataError> {
        let sides = [
            (&self.train, &self.settings.train[..]),
            (&self.dev, dev_table),
        ];
        let examples = |side: &Side| side.report.rows_in - side.report.blank;
        for (index, (side, tables)) in sides.into_iter().enumerate() {
            if examples(side) > 0 {
                continue;
            }
            return Err(match self.settings.dev {
                Dev::Fraction(fraction) if sides.iter().any(|(side, _)| examples(side) > 0) => {
                    DataError::SplitEmpty {
                        fraction,
                        side: ["train", "dev"][index],
                    }
                }
                _ => no_text(tables),
            });
        }
        for further in self.further {
            further.finish()?;
        }
        let train = self.train.finish(specials)?;
        let dev = self.dev.finish(specials)?;
        let mut splits = vec![train, dev];
        for (side, (_, table)) in self.more.into_iter().zip(&self.settings.more_dev) {
            if side.report.rows_in == side.report.blank {
                return Err(no_text(std::slice::from_ref(table)));
            }
            splits.push(side.finish(specials)?);
        }
        let warnings = self.findings.warnings(&splits);
        let mut left_out = None;
        if let Some(unlabelled) = self.unlabelled {
            let (split, found) = unlabelled.finish(&self.settings.unlabelled, specials)?;
            splits.push(split);
            left_out = Some(found);
        }
        Ok(PrepReport {
            unlabelled: left_out,
            predictions: None,
            bytes_read: self.files.iter().map(|file| file.bytes).sum(),
            files: self.files,
            splits,
            train_texts_in_dev: self.train_texts_in_dev,
            warnings: warnings.iter().map(ToString::to_string).collect(),
            windows: None,
            seconds: begin.elapsed().as_secs_f64(),
        })
    }
}

/// Class of a row, also as a number, or its value.
fn label_of(
    row: &TableRow,
    path: &Path,
    labels: &LabelSet,
    rule: &LabelRule,
) -> Result<(Option<usize>, f32), DataError> {
    let found = match rule {
        LabelRule::Values => row
            .label
            .parse()
            .ok()
            .filter(|value: &f32| value.is_finite())
            .map(|value| (None, value)),
        _ => labels
            .class(&row.label)
            .map(|class| (Some(class), class as f32)),
    };
    found.ok_or_else(|| {
        let (place, label) = (Place::new(path, row.line), row.label.clone());
        let known = labels.spellings().to_vec();
        match rule {
            LabelRule::Values => DataError::LabelNoNumber { place, label },
            LabelRule::Given(_) => DataError::LabelUnknown {
                place,
                label,
                allowed: known,
            },
            LabelRule::Found => DataError::LabelUnseen {
                place,
                label,
                found: known,
            },
        }
    })
}

#[cfg(test)]
mod tests;
