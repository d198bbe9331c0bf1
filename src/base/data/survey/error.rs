//! Why the columns of a table are not known.

use crate::data::error::DataError;
use crate::data::settings::Settings;
use crate::input::{excerpt, excerpt_list};

/// Why the columns of a table are not known.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// It cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// No column is a label, or none a text.
    #[error(
        "`{path}` has no column that looks like {what}; its columns are {}",
        excerpt_list(columns)
    )]
    NoColumn {
        /// Its path.
        path: String,
        /// `a label` or `a text`.
        what: &'static str,
        /// The option that names it.
        option: &'static str,
        /// All names.
        columns: Vec<String>,
    },
    /// One column twice.
    #[error("column `{}` cannot be both {first} and {second}", excerpt(column))]
    SameColumn {
        /// Its name.
        column: String,
        /// `the text`.
        first: &'static str,
        /// `the label`.
        second: &'static str,
    },
}

impl SurveyError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Data(error) => error.hint_for(Settings::Options),
            Self::NoColumn { columns, .. } if columns.len() == 1 => Some(format!(
                "the header is read as one column: {}",
                Settings::Options.one_column()
            )),
            Self::NoColumn { option, .. } => Some(format!("name it with `{option} COLUMN`")),
            Self::SameColumn { .. } => None,
        }
    }
}
