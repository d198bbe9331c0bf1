//! A teacher's answers from files, laid out as the rows that a student learns from are.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::pump::Watch;
use crate::data::error::{DataError, Place};
use crate::data::labels::LabelSet;
use crate::data::predictions::{
    Prediction, PredictionFault, PredictionKey, PredictionReader, TOLERANCE,
};
use crate::data::report::{FileReport, PredictionsReport};
use crate::data::split::text_hash;
use crate::data::table::TableLayout;
use crate::system::write_atomic;

/// Answers to the rows of `train`: a row each of fp32 numbers and their CRC-32, as a teacher's cached logits.
pub const TRAIN_PREDICTIONS: &str = "teacher-predictions.bin";

/// The same of `train-and-unlabelled`.
pub const ALL_PREDICTIONS: &str = "teacher-predictions-and-unlabelled.bin";

/// Rows that are read between two looks at the stop flag.
const LOOK_EVERY: u64 = 4096;

/// Where answers come from, and what they must cover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PredictionSettings {
    /// The files, in the order to be read.
    pub files: Vec<PathBuf>,
    /// Whether texts without labels need an answer too.
    pub with_unlabelled: bool,
}

/// In place of the number of a text: there are several.
const SHARED: u32 = u32::MAX;

/// Texts that are answered: about 32 bytes each, and the answer.
#[derive(Debug, Default)]
pub(super) struct Predictions {
    /// Every text by its hash, numbered.
    texts: HashMap<u64, u32>,
    /// Texts of the training tables by the hash of their id; [`SHARED`] where several have it.
    ids: HashMap<u64, u32>,
    train: Vec<Row>,
    unlabelled: Vec<Row>,
    files: Vec<PathBuf>,
}

/// A row that needs an answer.
#[derive(Debug, Clone, Copy)]
struct Row {
    text: u32,
    /// Place in [`Predictions::files`].
    file: u32,
    line: u64,
}

/// The answers by text.
struct Answers {
    width: usize,
    /// Not a number where a text has no answer.
    numbers: Vec<f32>,
    /// File and line of the first answer.
    places: Vec<(u32, u64)>,
}

impl Predictions {
    /// A text that may be answered, and need not be.
    pub(super) fn text(&mut self, hash: u64) -> u32 {
        let next = u32::try_from(self.texts.len()).expect("a store has fewer rows");
        *self.texts.entry(hash).or_insert(next)
    }

    /// A row of the training tables by its id, which may be answered.
    pub(super) fn id(&mut self, id: &str, hash: u64) {
        let text = self.text(hash);
        let known = self.ids.entry(id_hash(id)).or_insert(text);
        if *known != text {
            *known = SHARED;
        }
    }

    /// The next row of `train`.
    pub(super) fn train(&mut self, hash: u64, path: &Path, line: u64) {
        let row = self.row(hash, path, line);
        self.train.push(row);
    }

    /// The next row without a label.
    pub(super) fn unlabelled(&mut self, hash: u64, path: &Path, line: u64) {
        let row = self.row(hash, path, line);
        self.unlabelled.push(row);
    }

    fn row(&mut self, hash: u64, path: &Path, line: u64) -> Row {
        if self.files.last().is_none_or(|last| last != path) {
            self.files.push(path.to_owned());
        }
        Row {
            text: self.text(hash),
            file: u32::try_from(self.files.len() - 1).expect("few files"),
            line,
        }
    }

    /// Reads the answers and writes them for the rows that were met.
    ///
    /// # Errors
    /// A file at fault, an answer to a text that was not met, a row without an answer.
    pub(super) fn finish(
        &self,
        settings: &PredictionSettings,
        of: (&TableLayout, &LabelSet),
        output: &Path,
        watch: (&Watch<'_>, impl Fn(u64)),
    ) -> Result<(Vec<FileReport>, PredictionsReport), DataError> {
        let (answers, reports) = self.read(&settings.files, of, watch)?;
        let others: &[Row] = if settings.with_unlabelled {
            &self.unlabelled
        } else {
            &[]
        };
        self.check(&answers, &self.train, settings)?;
        self.check(&answers, others, settings)?;
        write(&output.join(TRAIN_PREDICTIONS), &answers, &[&self.train])?;
        if settings.with_unlabelled {
            let all = [&self.train[..], others];
            write(&output.join(ALL_PREDICTIONS), &answers, &all)?;
        }
        let report = PredictionsReport {
            answers: reports.iter().map(|file| file.rows).sum(),
            rows: (self.train.len() + others.len()) as u64,
        };
        Ok((reports, report))
    }

    fn read(
        &self,
        files: &[PathBuf],
        (layout, labels): (&TableLayout, &LabelSet),
        (watch, progress): (&Watch<'_>, impl Fn(u64)),
    ) -> Result<(Answers, Vec<FileReport>), DataError> {
        let width = labels.names().len().max(1);
        let mut answers = Answers {
            width,
            numbers: vec![f32::NAN; width * self.texts.len()],
            places: vec![(0, 0); self.texts.len()],
        };
        let (mut reports, mut before) = (Vec::new(), 0);
        for (file, path) in files.iter().enumerate() {
            let mut reader = PredictionReader::open(path, layout, labels)?;
            let mut rows = 0;
            while let Some(row) = reader.next_row()? {
                rows += 1;
                self.take(&mut answers, &row, (file, files))?;
                if rows % LOOK_EVERY == 0 {
                    progress(before + reader.bytes_read());
                    watch.check()?;
                }
            }
            before += reader.bytes_read();
            reports.push(FileReport {
                path: path.clone(),
                rows,
                skipped: 0,
                bytes: reader.bytes_read(),
            });
        }
        Ok((answers, reports))
    }

    /// Keeps an answer.
    fn take(
        &self,
        answers: &mut Answers,
        row: &Prediction,
        (file, files): (usize, &[PathBuf]),
    ) -> Result<(), DataError> {
        let fault = |fault: PredictionFault| fault.at(Place::new(&files[file], row.line));
        let otherwise = |fault| match &row.unquoted {
            Some(key) => self.find(key).map_err(|_| fault),
            None => Err(fault),
        };
        let found = self.find(&row.key).or_else(otherwise);
        let Some(text) = found.map_err(fault)? else {
            return Ok(());
        };
        let known = &mut answers.numbers[text * answers.width..][..answers.width];
        if known[0].is_nan() {
            known.copy_from_slice(&row.answer);
            answers.places[text] = (u32::try_from(file).expect("few files"), row.line);
        } else if differs(known, &row.answer) {
            let (file, line) = answers.places[text];
            let before = Place::new(&files[file as usize], line);
            return Err(fault(PredictionFault::Again { before }));
        }
        Ok(())
    }

    /// The text that is answered; `None` of a blank one, which no store has.
    fn find(&self, key: &PredictionKey) -> Result<Option<usize>, PredictionFault> {
        let is_blank = |text: &str| text.trim().is_empty();
        let found = match key {
            PredictionKey::Text(text, pair) => {
                let pair = pair.as_deref();
                if is_blank(text) && pair.is_none_or(is_blank) {
                    return Ok(None);
                }
                let found = self.texts.get(&text_hash(text, pair));
                found.ok_or(PredictionFault::NoRow)?
            }
            PredictionKey::Id(id) => match self.ids.get(&id_hash(id)) {
                Some(&SHARED) => return Err(PredictionFault::SharedId(id.clone())),
                found => found.ok_or_else(|| PredictionFault::NoId(id.clone()))?,
            },
        };
        Ok(Some(*found as usize))
    }

    /// Refuses rows without an answer.
    fn check(
        &self,
        answers: &Answers,
        rows: &[Row],
        settings: &PredictionSettings,
    ) -> Result<(), DataError> {
        let lacks = |row: &&Row| answers.of(row)[0].is_nan();
        let mut missing = rows.iter().filter(lacks);
        let Some(first) = missing.next() else {
            return Ok(());
        };
        let files = settings.files.iter();
        Err(DataError::Unanswered {
            first: Place::new(&self.files[first.file as usize], first.line),
            missing: 1 + missing.count() as u64,
            rows: rows.len() as u64,
            files: files.map(|file| file.display().to_string()).collect(),
        })
    }
}

impl Answers {
    fn of(&self, row: &Row) -> &[f32] {
        &self.numbers[row.text as usize * self.width..][..self.width]
    }
}

fn id_hash(id: &str) -> u64 {
    text_hash(id, None)
}

/// Whether two answers are not the same but for rounding.
fn differs(known: &[f32], other: &[f32]) -> bool {
    // Of a regression the values themselves, which are no logarithms.
    let number = |value: f32| {
        let value = f64::from(value);
        if known.len() == 1 { value } else { value.exp() }
    };
    let mut pairs = known.iter().zip(other);
    pairs.any(|(known, other)| (number(*known) - number(*other)).abs() > TOLERANCE)
}

fn write(path: &Path, answers: &Answers, rows: &[&[Row]]) -> Result<(), DataError> {
    let written = write_atomic(path, |file| {
        for row in rows.iter().copied().flatten() {
            let bytes: &[u8] = bytemuck::cast_slice(answers.of(row));
            file.write_all(bytes)?;
            file.write_all(&crc32fast::hash(bytes).to_le_bytes())?;
        }
        Ok(())
    });
    written.map_err(|source| DataError::Write {
        path: path.to_owned(),
        source,
    })
}
