//! What can be wrong with a user's data.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::store::StoreError;
use crate::system::{advice, reason};

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
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

/// Why data could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A column of the settings is in the table twice.
    #[error("`{place}` names the column `{column}` twice")]
    ColumnTwice {
        /// The header.
        place: Place,
        /// Name of the column.
        column: String,
    },
    /// A column of the settings is not in the table.
    #[error("`{place}` has no column `{column}`, only {}", ticked(there))]
    ColumnMissing {
        /// The header.
        place: Place,
        /// Name that was looked for.
        column: String,
        /// Names that are there.
        there: Vec<String>,
    },
    /// Too many or too few columns.
    #[error("`{place}` has {} where the header has {expected}", count(*found, "column"))]
    Columns {
        /// The row.
        place: Place,
        /// Columns of the row.
        found: usize,
        /// Columns of the header.
        expected: usize,
        /// Whether the table is CSV, where a comma in a text needs quotes.
        quoted: bool,
    },
    /// Too many or too few columns in a table that has no header.
    #[error("`{place}` has {} where the task's tables have {}, without a header: {}", count(*found, "column"), names.len(), names.join(", "))]
    ColumnsOfTask {
        /// The row.
        place: Place,
        /// Columns of the row.
        found: usize,
        /// Names of the task's columns.
        names: Vec<String>,
    },
    /// The tokenizer's model refused a text.
    #[error("could not cut a text into word pieces: {source}")]
    Encode {
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file without a byte, or without a header.
    #[error("`{}` is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The stop flag was raised.
    #[error("data preparation was interrupted")]
    Interrupted,
    /// The disk said no.
    #[error("cannot read `{}`: {}", path.display(), reason(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
    /// A label that is not one of the given or found ones.
    #[error(
        "`{place}` has the unknown label `{label}`; known are {}",
        ticked(allowed)
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
        "`{place}` has the label `{label}`, which no training row has; they have {}",
        ticked(found)
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
    #[error("`{place}` has the label `{label}`, which is no number")]
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
    #[error("every row of `{}` has the same label `{label}`", path.display())]
    LabelSingle {
        /// The first training table.
        path: PathBuf,
        /// The label.
        label: String,
    },
    /// More labels than a classification has.
    #[error("column `{column}` of `{}` has more than {limit} different labels", path.display())]
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
        /// Where the line or row begins.
        place: Place,
        /// Bytes at most.
        limit: usize,
    },
    /// No room for a token beside the special ones.
    #[error("`max-seq-length` is {found}, and an example needs at least {least} tokens")]
    MaxSeqLength {
        /// The value.
        found: usize,
        /// Special tokens and one token a text.
        least: usize,
    },
    /// Files whose every row or line is blank, or which have none.
    #[error("{} {} no {what}", ticked(paths), if paths.len() == 1 { "has" } else { "have" })]
    NoRows {
        /// The files.
        paths: Vec<String>,
        /// What is missing: `rows below the header`, `line that is not blank`.
        what: &'static str,
    },
    /// One side of a split got nothing.
    #[error("`dev-fraction` {fraction} leaves no rows for {side}")]
    SplitEmpty {
        /// The share asked for.
        fraction: f64,
        /// `train` or `dev`.
        side: &'static str,
    },
    /// The token store could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// `tokenizer.json`, `vocab.txt` or `tokenizer_config.json` does not read as one.
    #[error("`{}` is not a tokenizer: {source}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Neither `tokenizer.json` nor `vocab.txt`.
    #[error("`{}` has neither `tokenizer.json` nor `vocab.txt`", folder.display())]
    TokenizerMissing {
        /// The model's folder.
        folder: PathBuf,
    },
    /// A special token is not in the vocabulary.
    #[error("the vocabulary of `{}` lacks the special token `{token}`", path.display())]
    TokenMissing {
        /// `tokenizer.json` or `vocab.txt`.
        path: PathBuf,
        /// The token.
        token: String,
    },
    /// A quote that opens a field and is never closed.
    #[error("`{place}` opens a quote that is never closed")]
    Quote {
        /// Where the row begins.
        place: Place,
    },
    /// The report could not be written.
    #[error("cannot write `{}`: {}", path.display(), reason(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
    /// Bytes that are no UTF-8.
    #[error("`{place}` is not valid UTF-8")]
    Utf8 {
        /// The line.
        place: Place,
    },
}

impl DataError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::ColumnMissing { there, .. } if matches!(there.as_slice(), [only] if only.contains([',', '\t', ';'])) => {
                Some(
                    "set `format = \"csv\"` or `\"tsv\"` in `[task]` to say how lines are cut"
                        .to_owned(),
                )
            }
            Self::ColumnMissing { column, there, .. } => nearest(column, there),
            Self::Columns {
                found,
                expected,
                quoted: true,
                ..
            } if found > expected => {
                Some("a text that holds a comma is put in double quotes".to_owned())
            }
            Self::ColumnsOfTask { .. } => {
                Some("for a table of another form set `name = \"custom\"` in `[task]`".to_owned())
            }
            Self::LabelUnknown { label, allowed, .. } => nearest(label, allowed),
            Self::LabelUnseen { label, found, .. } => nearest(label, found)
                .or_else(|| Some("give every class as `labels` in `[task]`".to_owned())),
            Self::LabelNoNumber { .. } => Some(
                "a regression's labels are numbers; is `label` in `[task]` the right column?"
                    .to_owned(),
            ),
            Self::LabelSingle { .. } => {
                Some("a classification needs two labels or more in its training table".to_owned())
            }
            Self::LabelsMany { column, .. } => Some(format!(
                "is `{column}` the column of the labels? Numbers on a scale are no classes"
            )),
            Self::Long { .. } => {
                Some("a table has one example a row, and a corpus one paragraph a line".to_owned())
            }
            Self::SplitEmpty { .. } => Some("give more rows or another fraction".to_owned()),
            Self::Store(error) => error.hint(),
            Self::Io { source, .. } | Self::Write { source, .. } => advice(source),
            Self::Utf8 { place } => Some(format!(
                "convert it, as in `iconv -f LATIN1 -t UTF-8 {}`",
                place.path.display()
            )),
            _ => None,
        }
    }
}

/// "did you mean", where one of the names is close.
fn nearest(name: &str, there: &[String]) -> Option<String> {
    let lower = name.to_lowercase();
    there
        .iter()
        .map(|other| {
            let likeness = strsim::jaro_winkler(&lower, &other.to_lowercase());
            (likeness, other)
        })
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, other)| format!("did you mean `{other}`?"))
}

/// Names in backticks, the first ten of them.
fn ticked(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let mut text: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    if names.len() > SHOWN {
        text.push(format!("{} more", names.len() - SHOWN));
    }
    text.join(", ")
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
