//! The rows of a task's tables: cut into tokens, written to their stores, and counted.

use std::collections::HashSet;
use std::path::Path;

use super::labels::label_of;
use super::settings::TaskSettings;
use super::sides::{Sides, Target};
use crate::data::encode::Encoded;
use crate::data::error::DataError;
use crate::data::labels::LabelSet;
use crate::data::prepare::encoders::{EncodedText, Encoders, Sessions};
use crate::data::prepare::findings::Findings;
use crate::data::prepare::further::FurtherStores;
use crate::data::prepare::predictions::Predictions;
use crate::data::prepare::unlabelled::{STORE as UNLABELLED_STORE, Unlabelled};
use crate::data::split::text_hash;
use crate::data::table::{TableReader, TableRow};

/// A row and its label.
pub(super) struct LabelledRow {
    row: TableRow,
    /// Class, where there are classes.
    class: Option<usize>,
    /// Class as a number, or value of a regression.
    value: f32,
}

impl LabelledRow {
    /// The next row of a table, with its bytes of text.
    pub(super) fn next(
        table: &mut TableReader,
        path: &Path,
        labels: &LabelSet,
        settings: &TaskSettings,
    ) -> Result<Option<(Self, usize)>, DataError> {
        let Some(row) = table.next_row()? else {
            return Ok(None);
        };
        // A blank row is dropped, whatever its label says.
        let (class, value) = if row.is_blank() {
            (None, 0.0)
        } else {
            label_of(&row, path, labels, &settings.labels)?
        };
        let bytes = row.text.len() + row.pair.as_ref().map_or(0, String::len);
        Ok(Some((Self { row, class, value }, bytes)))
    }

    /// Cuts its text; `target` says of a text's hash where the row goes.
    pub(super) fn encode(
        self,
        encoders: &Encoders,
        sessions: &mut Sessions<'_>,
        target: impl Fn(u64) -> Target,
    ) -> Result<EncodedRow, tokenizers::Error> {
        let Self { row, class, value } = self;
        let texts = (row.text.as_str(), row.pair.as_deref());
        let text = encoders.encode(sessions, texts)?;
        let differs = match &text.example {
            Some(example) => encoders.differ(sessions, texts, example)?,
            None => false,
        };
        let hash = text_hash(texts.0, texts.1);
        Ok(EncodedRow {
            text,
            differs,
            class,
            value,
            hash,
            target: target(hash),
            line: row.line,
            id: row.id,
        })
    }
}

/// A row after its text is cut into word pieces.
pub(super) struct EncodedRow {
    text: EncodedText,
    /// Whether the student's own tokenizer splits it otherwise.
    differs: bool,
    class: Option<usize>,
    value: f32,
    hash: u64,
    target: Target,
    line: u64,
    id: Option<String>,
}

/// The table that a row is from.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) path: &'a Path,
    /// Special tokens of an example.
    pub(super) specials: usize,
    /// Whether it is a training table, from which dev rows may be taken too.
    pub(super) is_of_train: bool,
}

/// All that the rows of a task are written to and counted in.
pub(super) struct TaskRows {
    pub(super) sides: Sides,
    /// The training rows once more, and texts without labels.
    pub(super) unlabelled: Option<Unlabelled>,
    /// What a teacher's answers must cover.
    pub(super) predictions: Option<Predictions>,
    pub(super) further: FurtherStores,
    /// Texts of a dev table, 8 bytes a row; `None` where dev is a share of the training tables: then a text is on one
    /// side only.
    pub(super) dev_hashes: Option<HashSet<u64>>,
    pub(super) train_texts_in_dev: u64,
    pub(super) findings: Findings,
}

impl TaskRows {
    /// Writes a row to every store that it belongs to, and counts it.
    pub(super) fn push(&mut self, row: &EncodedRow, from: Origin<'_>) -> Result<(), DataError> {
        let report = &mut self.sides.of(row.target).report;
        report.rows_in += 1;
        let Some(example) = &row.text.example else {
            report.blank += 1;
            return Ok(());
        };
        report.truncated += u64::from(example.truncated);
        report.unknown += row.text.unknown;
        if let Some(class) = row.class {
            report.labels[class].examples += 1;
        }
        self.compare_sides(row);
        self.repeat(row, example)?;
        self.expect_answer(row, from);
        self.look_at(row, example, from);
        let writer = &mut self.sides.of(row.target).writer;
        writer.push(&example.input_ids, example.text_b_start, Some(row.value))?;
        Ok(())
    }

    /// Counts training texts that are in the dev table too.
    fn compare_sides(&mut self, row: &EncodedRow) {
        match (&mut self.dev_hashes, row.target) {
            (None, _) => {}
            (Some(hashes), Target::Train) => {
                self.train_texts_in_dev += u64::from(hashes.contains(&row.hash));
            }
            (Some(hashes), Target::Dev | Target::More(_)) => {
                hashes.insert(row.hash);
            }
        }
    }

    /// Writes a row to the stores of further tokenizers, and a training row before the texts without labels.
    fn repeat(&mut self, row: &EncodedRow, example: &Encoded) -> Result<(), DataError> {
        let (further, label) = (&row.text.further, Some(row.value));
        self.further.push(row.target.split(), further, label)?;
        if matches!(row.target, Target::Train) {
            self.further.push(UNLABELLED_STORE, further, label)?;
        }
        match (&mut self.unlabelled, row.target) {
            (None, _) => {}
            (Some(store), Target::Train) => store.labelled(example, row.value)?,
            (Some(store), Target::Dev | Target::More(_)) => store.scored(example),
        }
        Ok(())
    }

    /// Notes that a teacher's answer must, or may, be there for a row.
    fn expect_answer(&mut self, row: &EncodedRow, from: Origin<'_>) {
        let Some(texts) = &mut self.predictions else {
            return;
        };
        if let Some(id) = row.id.as_ref().filter(|_| from.is_of_train) {
            texts.id(id, row.hash);
        }
        match row.target {
            Target::Train => texts.train(row.hash, from.path, row.line),
            Target::Dev | Target::More(_) => {
                texts.text(row.hash);
            }
        }
    }

    /// Looks for what is odd about a row.
    fn look_at(&mut self, row: &EncodedRow, example: &Encoded, from: Origin<'_>) {
        let (findings, path, line) = (&mut self.findings, from.path, row.line);
        if matches!(row.target, Target::Train) {
            findings.train_text(row.hash, row.value, path, line);
        }
        findings.example(example, (from.specials, row.text.unknown), path, line);
        if row.differs {
            findings.other_tokens(path, line);
        }
    }
}
