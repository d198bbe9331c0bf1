//! What can be wrong with a file of answers.

use std::fmt;

use super::TOLERANCE;
use crate::data::error::{DataError, FormatFault, Place, Settings};
use crate::data::labels::LabelSet;
use crate::input::{excerpt, excerpt_list};

/// A fault of a row or of the header.
#[derive(Debug)]
pub(in crate::data) enum PredictionFault {
    /// The text that is answered is not in the file.
    NoText { column: String, there: Vec<String> },
    /// No column is an answer; the task's column of the label.
    NoAnswers(String),
    /// The same of a regression.
    NoValue(String),
    /// A class without a probability.
    NoProbability(String),
    /// A class that the task does not have.
    Class { class: String, known: Vec<String> },
    /// A probability that is not one.
    Number { class: String, text: String },
    /// Probabilities of another sum.
    Sum(f64),
    /// A list of another length.
    Count { found: usize, classes: usize },
    /// Something else where probabilities are listed.
    List(String),
    /// A value of a regression that is not a number.
    Value(String),
    /// A text that is answered before, and otherwise.
    Again { before: Place },
    /// A text that no table of the task has.
    NoRow,
    /// An id that no training table has.
    NoId(String),
    /// An id that rows with different texts have.
    SharedId(String),
}

impl PredictionFault {
    pub(in crate::data) fn at(self, place: Place) -> DataError {
        DataError::Format {
            place,
            fault: Box::new(self),
        }
    }

    pub(super) fn number(class: &str, text: &str) -> Self {
        Self::Number {
            class: class.to_owned(),
            text: text.trim().to_owned(),
        }
    }

    pub(super) fn class(class: &str, labels: &LabelSet) -> Self {
        Self::Class {
            class: class.to_owned(),
            known: labels.names().to_vec(),
        }
    }
}

impl fmt::Display for PredictionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoText { column, there } => write!(
                f,
                "has no column `{}`, by which predictions are matched to rows; its columns are {}",
                excerpt(column),
                excerpt_list(there)
            ),
            Self::NoAnswers(label) => write!(
                f,
                "has no predictions: expected `probabilities`, a column `probability_CLASS` per class, or a class in `label` or `{}`",
                excerpt(label)
            ),
            Self::NoValue(label) => write!(
                f,
                "has no predictions: expected a number in `value` or `{}`",
                excerpt(label)
            ),
            Self::NoProbability(class) => {
                write!(f, "has no probability of the class `{}`", excerpt(class))
            }
            Self::Class { class, known } => write!(
                f,
                "has the class `{}`, the task has {}",
                excerpt(class),
                excerpt_list(known)
            ),
            Self::Number { class, text } => write!(
                f,
                "has `{}` as the probability of `{}`, expected a number from 0 to 1",
                excerpt(text),
                excerpt(class)
            ),
            Self::Sum(sum) => write!(
                f,
                "has probabilities that sum to {sum:.4}, expected 1 within {TOLERANCE}"
            ),
            Self::Count { found, classes } => {
                write!(
                    f,
                    "lists {found} probabilities, the task has {classes} classes"
                )
            }
            Self::List(text) => write!(
                f,
                "has `{}` as probabilities, expected an object by class or a list in class order",
                excerpt(text)
            ),
            Self::Value(text) => {
                write!(
                    f,
                    "has the value `{}`, expected a finite number",
                    excerpt(text)
                )
            }
            Self::Again { before } => {
                write!(f, "has another prediction for the text of `{before}`")
            }
            Self::NoRow => f.write_str("has a prediction for a text that no row of the task has"),
            Self::NoId(id) => {
                write!(
                    f,
                    "has a prediction for the id `{}`, which no row of `train` has",
                    excerpt(id)
                )
            }
            Self::SharedId(id) => {
                let id = excerpt(id);
                write!(
                    f,
                    "has a prediction for the id `{id}`, which different texts of `train` have"
                )
            }
        }
    }
}

impl FormatFault for PredictionFault {
    fn hint(&self, _: Settings) -> Option<String> {
        let hint = match self {
            Self::NoText { .. } => {
                "write the text beside each prediction; `tinyrun predict` does so with `--keep-columns`"
            }
            Self::Class { .. } => {
                "a class is written as in the task's tables, by its name in `labels`, or by its number from 0"
            }
            Self::Again { .. } => "keep one prediction per text",
            Self::NoRow => {
                "remove it, or add its file to `unlabelled` in `[task]`; texts are compared as they are written, but for white space around them"
            }
            Self::NoId(_) | Self::SharedId(_) => {
                "a column `id` names the rows of `train` by their own column `id`; else write the text beside each prediction"
            }
            Self::Sum(_) => {
                "give the probability of every class, not its logarithm or a percentage"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
