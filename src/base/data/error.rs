//! What can be wrong with a user's data.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

pub use super::settings::Settings;
use super::store::StoreError;
use super::table::Dialect;
use crate::input::{Foreign, excerpt, excerpt_list, excerpt_path};
use crate::system::reason;

/// A place in a text file. Shown as `path:line`, which terminals and editors open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub path: PathBuf,
    /// Number of the line, from 1.
    pub line: u64,
}

impl Place {
    pub(super) fn new(path: &Path, line: u64) -> Self {
        Self {
            path: path.to_owned(),
            line,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", excerpt_path(&self.path), self.line)
    }
}

/// A fault that only one file format has: its text goes on after the place. A format keeps its
/// faults beside its reader.
pub trait FormatFault: fmt::Debug + fmt::Display + Send + Sync {
    /// What to do about it, for who sets something there.
    fn hint(&self, settings: Settings) -> Option<String>;
}

/// Why data could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A column of the settings is in the table twice.
    #[error("`{place}` has two columns named `{}`", excerpt(column))]
    ColumnTwice {
        /// The header.
        place: Place,
        /// Name of the column.
        column: String,
    },
    /// A column of the settings is not in the table.
    #[error(
        "`{place}` has no column `{}`; its columns are {}",
        excerpt(column),
        excerpt_list(there)
    )]
    ColumnMissing {
        /// The header.
        place: Place,
        /// Name that was looked for.
        column: String,
        /// Names that are there.
        there: Vec<String>,
        /// Whether the user says how the table is cut.
        is_given: bool,
    },
    /// Too many or too few columns.
    #[error("`{place}` has {}, and the header has {expected}", count(*found, "column"))]
    Columns {
        /// The row.
        place: Place,
        /// Columns of the row.
        found: usize,
        /// Columns of the header.
        expected: usize,
        /// How the table is read.
        dialect: Dialect,
    },
    /// Too many or too few columns in a table that has no header.
    #[error("`{place}` has {}, and tables of this task have {}, without a header: {}", count(*found, "column"), names.len(), names.join(", "))]
    ColumnsOfTask {
        /// The row.
        place: Place,
        /// Columns of the row.
        found: usize,
        /// Names of the task's columns.
        names: Vec<String>,
    },
    /// The tokenizer's model refused a text.
    #[error("could not tokenize a text: {}", excerpt(&source.to_string()))]
    Encode {
        /// What it reported.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file without a byte, or without a header.
    #[error("`{}` is empty", excerpt_path(path))]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A file that is no table or text, or in another encoding.
    #[error("`{}{}` is {}", excerpt_path(path), line.map(|line| format!(":{line}")).unwrap_or_default(), found.what())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The line that shows it, where it is not the first.
        line: Option<u64>,
        /// What it is.
        found: Foreign,
    },
    /// The stop flag was raised.
    #[error("data preparation was interrupted")]
    Interrupted,
    /// The system reported an error.
    #[error("cannot read `{}`: {}", excerpt_path(path), reason(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
    /// The label of every row is its text.
    #[error("the label of every row of `{}` is its text", excerpt_path(path))]
    LabelIsText {
        /// The first training table.
        path: PathBuf,
    },
    /// A label that is not one of the given or found ones.
    #[error(
        "`{place}` has the unknown label `{}`; known labels are {}",
        excerpt(label),
        excerpt_list(allowed)
    )]
    LabelUnknown {
        /// The row.
        place: Place,
        /// Its label.
        label: String,
        /// Labels as they are written in the table.
        allowed: Vec<String>,
    },
    /// A dev row whose label no training table has.
    #[error(
        "`{place}` has the label `{}`, which no training row has; their labels are {}",
        excerpt(label),
        excerpt_list(found)
    )]
    LabelUnseen {
        /// The row.
        place: Place,
        /// Its label.
        label: String,
        /// Labels of the training tables.
        found: Vec<String>,
    },
    /// A label of a regression that is no number.
    #[error(
        "`{place}` has the label `{}`, which is not a finite number",
        excerpt(label)
    )]
    LabelNoNumber {
        /// The row.
        place: Place,
        /// Its label.
        label: String,
    },
    /// A row whose label is blank.
    #[error("`{place}` has no label")]
    LabelMissing {
        /// The row.
        place: Place,
    },
    /// One label for all rows: there is nothing to learn.
    #[error(
        "every row of `{}` has the same label `{}`",
        excerpt_path(path),
        excerpt(label)
    )]
    LabelSingle {
        /// The first training table.
        path: PathBuf,
        /// The label.
        label: String,
    },
    /// As many labels as rows.
    #[error(
        "all {rows} rows of `{}` have different labels in column `{}`",
        excerpt_path(path),
        excerpt(column)
    )]
    LabelsDiffer {
        /// The first training table.
        path: PathBuf,
        /// Name of the label column.
        column: String,
        /// Rows of all training tables.
        rows: u64,
    },
    /// More labels than a classification has.
    #[error(
        "column `{}` of `{}` has more than {limit} different labels",
        excerpt(column),
        excerpt_path(path)
    )]
    LabelsMany {
        /// The first training table.
        path: PathBuf,
        /// Name of the label column.
        column: String,
        /// Labels at most.
        limit: usize,
    },
    /// A line or row beyond every sensible size.
    #[error("`{place}` is longer than {limit} bytes")]
    Long {
        /// Where the line or the row begins.
        place: Place,
        /// Bytes at most.
        limit: usize,
    },
    /// No room for a token beside the special ones.
    #[error("`max-seq-length` is {found}, and an example has at least {least} tokens")]
    MaxSeqLength {
        /// The value.
        found: usize,
        /// Special tokens and one token per text.
        least: usize,
    },
    /// What the rules of a file format refuse.
    #[error("`{place}` {fault}")]
    Format {
        /// The line.
        place: Place,
        /// What is wrong, in the format's own terms.
        fault: Box<dyn FormatFault>,
    },
    /// What is wrong with one record.
    #[error("`{}`, record {number} at byte {byte}, {fault}", excerpt_path(path))]
    Record {
        /// The file.
        path: PathBuf,
        /// Number of the record in it, from 1.
        number: u64,
        /// Where the record begins; in a compressed file a place in the unpacked content.
        byte: u64,
        /// What is wrong, in the format's own terms.
        fault: Box<dyn FormatFault>,
    },
    /// What is wrong with a file of records or its schema as a whole.
    #[error("`{}` {fault}", excerpt_path(path))]
    RecordFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, in the format's own terms.
        fault: Box<dyn FormatFault>,
    },
    /// Files whose every row or line is blank, or which have none.
    #[error("{} {} no {what}", excerpt_list(paths), if paths.len() == 1 { "has" } else { "have" })]
    NoRows {
        /// The files.
        paths: Vec<String>,
        /// What is missing: `rows below the header`, `line that is not blank`.
        what: &'static str,
    },
    /// All unlabelled texts are left out.
    #[error(
        "{} {} no text that is neither in dev nor in train: {in_dev} are in dev, {repeated} are repeated",
        excerpt_list(paths), if paths.len() == 1 { "has" } else { "have" }
    )]
    NoUnlabelled {
        /// The files.
        paths: Vec<String>,
        /// Texts that are in dev.
        in_dev: u64,
        /// Texts that are in train, or occur before.
        repeated: u64,
    },
    /// A file with a text a line, where each example has two.
    #[error("`{}` has one text per line, the task has pairs", excerpt_path(path))]
    UnlabelledPairs {
        /// The file.
        path: PathBuf,
    },
    /// Rows that a file of a teacher's answers does not cover.
    #[error(
        "{missing} of {rows} rows have no prediction in {}: the first is `{first}`",
        excerpt_list(files)
    )]
    Unanswered {
        /// The first such row.
        first: Place,
        /// How many there are.
        missing: u64,
        /// Rows that need one.
        rows: u64,
        /// The files of answers.
        files: Vec<String>,
    },
    /// A table with an ending by which it would be read as a text a line.
    #[error(
        "`{place}` names the column `{}`, but a file of this ending has one text per line",
        excerpt(column)
    )]
    UnlabelledHeader {
        /// The header.
        place: Place,
        /// Name of the column.
        column: String,
    },
    /// Pairs are to be made of a single document.
    #[error(
        "the corpus of `{}` is one document, and a random second text needs another",
        excerpt_path(path)
    )]
    OneDocument {
        /// The first file.
        path: PathBuf,
    },
    /// One side of a split got nothing.
    #[error("`dev-fraction` {fraction} leaves no rows for {side}")]
    SplitEmpty {
        /// The share in the settings.
        fraction: f64,
        /// `train` or `dev`.
        side: &'static str,
    },
    /// The token store could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// `tokenizer.json`, `vocab.txt` or `tokenizer_config.json` does not read as one.
    #[error("`{}` is not a tokenizer: {}", excerpt_path(path), excerpt(&source.to_string()))]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A setting of a tokenizer that would lead to other tokens than those of `transformers`.
    #[error(
        "`{}` has `{}` = {}, {reason}",
        excerpt_path(path),
        excerpt(key),
        excerpt(value)
    )]
    TokenizerRefused {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value as JSON.
        value: String,
        /// What is expected, or why it is not read.
        reason: String,
        /// What to do about it.
        hint: Option<&'static str>,
    },
    /// An added token whose id is not the one that `transformers` gives it.
    #[error("`{}` gives token `{}` the id {stated}, and the vocabulary {}", excerpt_path(path), excerpt(token), found.map_or_else(|| "has none".to_owned(), |id| format!("the id {id}")))]
    TokenizerId {
        /// The file.
        path: PathBuf,
        /// The token.
        token: String,
        /// Id in the file.
        stated: u32,
        /// Id that it gets.
        found: Option<u32>,
    },
    /// More tokens than the model has embeddings.
    #[error(
        "`{}` has {tokens} tokens, and `vocab_size` in `config.json` is {embeddings}",
        excerpt_path(path)
    )]
    TokenizerLarge {
        /// The vocabulary.
        path: PathBuf,
        /// The largest id and one.
        tokens: usize,
        /// Rows of the model's word-embedding matrix.
        embeddings: u64,
    },
    /// A vocabulary of another model.
    #[error(
        "`{}` has {tokens} tokens, and the model's vocabulary has {embeddings}",
        excerpt_path(path)
    )]
    VocabularySize {
        /// The vocabulary.
        path: PathBuf,
        /// The largest id and one.
        tokens: usize,
        /// Rows of the model's word-embedding matrix.
        embeddings: usize,
    },
    /// Something else under the name of a tokenizer's file.
    #[error("`{}` is {}, not a file of a tokenizer", excerpt_path(path), foreign.what())]
    TokenizerForeign {
        /// The file.
        path: PathBuf,
        /// What it is.
        foreign: Foreign,
    },
    /// Neither `tokenizer.json` nor `vocab.txt`.
    #[error(
        "`{}` has neither `tokenizer.json` nor `vocab.txt`",
        excerpt_path(folder)
    )]
    TokenizerMissing {
        /// The model's folder.
        folder: PathBuf,
    },
    /// A special token is not in the vocabulary.
    #[error(
        "the vocabulary of `{}` lacks the special token `{}`",
        excerpt_path(path),
        excerpt(token)
    )]
    TokenMissing {
        /// `tokenizer.json` or `vocab.txt`.
        path: PathBuf,
        /// The token.
        token: String,
    },
    /// The report could not be written.
    #[error("cannot write `{}`: {}", excerpt_path(path), reason(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

impl From<tokenizers::Error> for DataError {
    fn from(source: tokenizers::Error) -> Self {
        Self::Encode { source }
    }
}
