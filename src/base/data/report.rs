//! What data preparation did with the data: `report.json`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::DataError;
use super::store::write_json;

/// Name of the report in the folder of the stores.
pub const REPORT: &str = "report.json";

/// Counts of a whole preparation. Two runs over the same data differ in [`Self::seconds`] only.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrepReport {
    /// Files in the order read.
    pub files: Vec<FileReport>,
    /// Stores written: `train` and `dev`, or `train` alone for a corpus; and the `unlabelled` rows of a task, which are
    /// behind those of `train` in `train-and-unlabelled`.
    pub splits: Vec<SplitReport>,
    /// Training rows whose text is also the text of a dev row.
    pub train_texts_in_dev: u64,
    /// What is odd about the data, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Unlabelled texts that were left out, where there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlabelled: Option<UnlabelledReport>,
    /// Answers of a teacher that were read from files, where they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictions: Option<PredictionsReport>,
    /// Windows that were made of documents, where they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<WindowReport>,
    /// Bytes of all files.
    pub bytes_read: u64,
    /// Time it took.
    pub seconds: f64,
}

/// Unlabelled texts that were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnlabelledReport {
    /// Texts of rows that models are scored on.
    pub in_dev: u64,
    /// Texts of training rows, and those that occur before.
    pub repeated: u64,
}

/// Answers of a teacher that were read from files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictionsReport {
    /// Answers in the files.
    pub answers: u64,
    /// Rows that a student learns from by them.
    pub rows: u64,
}

/// How the windows of a corpus came out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowReport {
    /// Documents that have a token.
    pub documents: u64,
    /// Sentences that have a token.
    pub sentences: u64,
    /// Windows whose second text is from another document.
    pub random_next: u64,
    /// Tokens that were chosen to be replaced.
    pub masked: u64,
    /// Those that became `[MASK]`.
    pub mask_tokens: u64,
}

/// One file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileReport {
    /// As it was named.
    pub path: PathBuf,
    /// Rows of a table, or lines of a corpus, blank ones included.
    pub rows: u64,
    /// Rows with too few columns that were left out, where the task's tables hold such.
    #[serde(default)]
    pub skipped: u64,
    /// Its size.
    pub bytes: u64,
}

/// One store that was written.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitReport {
    /// `train` or `dev`; the folder of the store.
    pub name: String,
    /// Rows or lines, blank ones included.
    pub rows_in: u64,
    /// Examples.
    pub rows_out: u64,
    /// Rows or lines left out for having no text.
    pub blank: u64,
    /// Examples whose text was cut off at `max-seq-length`.
    pub truncated: u64,
    /// `truncated / rows_out`.
    pub truncated_share: f64,
    /// Lines that were cut into several examples.
    pub split: u64,
    /// Tokens, special tokens included.
    pub tokens: u64,
    /// Word pieces that are `[UNK]`.
    pub unknown: u64,
    /// `unknown` of all word pieces.
    pub unknown_share: f64,
    /// Examples by label in class order; empty for a corpus.
    pub labels: Vec<LabelCount>,
}

/// Examples of a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelCount {
    /// Name of the label.
    pub name: String,
    /// Examples that have it.
    pub examples: u64,
}

impl SplitReport {
    /// Nothing counted yet.
    pub(super) fn new(name: &str, labels: &[String]) -> Self {
        let labels = labels.iter().map(|name| LabelCount {
            name: name.clone(),
            examples: 0,
        });
        Self {
            name: name.to_owned(),
            labels: labels.collect(),
            ..Self::default()
        }
    }

    /// Fills in what follows from the counts: the shares, of `specials` special tokens an example.
    pub(super) fn complete(&mut self, specials: usize) {
        let pieces = self.tokens - self.rows_out * specials as u64;
        self.truncated_share = share(self.truncated, self.rows_out);
        self.unknown_share = share(self.unknown, pieces);
    }
}

impl PrepReport {
    /// Writes the report into the folder of the stores.
    ///
    /// # Errors
    /// Where the disk is full or the like.
    pub(super) fn write(&self, folder: &Path) -> Result<(), DataError> {
        let path = folder.join(REPORT);
        write_json(&path, self).map_err(|source| DataError::Write { path, source })
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}
