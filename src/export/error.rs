//! Why a model was not exported.

use std::io;
use std::path::PathBuf;

use super::Format;
use crate::input::{excerpt, excerpt_path};
use crate::job::Word;
use crate::model::{ModelError, WeightDtype};
use crate::system::{advice, reason};

/// A model that is not exported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// It cannot be read, or the folder cannot be written.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The format holds a classifier, and the model has none.
    #[error(
        "the model in `{}` has no classifier, which format `{}` needs",
        excerpt_path(model),
        format.as_str()
    )]
    NoClassifier {
        /// Its folder.
        model: PathBuf,
        /// The format.
        format: Format,
    },
    /// The format does not have the number format.
    #[error("format `{}` has no `{}`", format.as_str(), dtype.as_str())]
    NoSuchNumbers {
        /// The format.
        format: Format,
        /// The number format.
        dtype: WeightDtype,
    },
    /// The format cannot hold something of the model.
    #[error("format `{}` does not support {what}", format.as_str())]
    Unsupported {
        /// The format.
        format: Format,
        /// What the model has.
        what: &'static str,
    },
    /// A weight is no finite number in the number format.
    #[error(
        "tensor `{}` has values that `{}` cannot hold",
        excerpt(tensor),
        dtype.as_str()
    )]
    OutOfRange {
        /// The tensor.
        tensor: String,
        /// The number format.
        dtype: WeightDtype,
    },
    /// A file that is no part of the model cannot be written.
    #[error("cannot write `{}`: {}", excerpt_path(path), reason(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
}

impl ExportError {
    /// What the system reported, where it refused to write.
    pub(crate) fn refused(&self) -> Option<&io::Error> {
        match self {
            Self::Model(ModelError::Io {
                action: "write",
                source,
                ..
            })
            | Self::Write { source, .. } => Some(source),
            _ => None,
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Model(error) => error.hint(),
            Self::NoClassifier { .. } => Some(
                "export a model that was trained on the task, such as that of `td-phase2`, or use format `huggingface`"
                    .to_owned(),
            ),
            Self::NoSuchNumbers { format, .. } => {
                let words = format.dtypes().iter().map(|dtype| dtype.as_str());
                let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
                Some(format!("use {}", words.join(" or ")))
            }
            Self::Unsupported { .. } => Some("use format `huggingface`".to_owned()),
            Self::OutOfRange { .. } => {
                Some("use `fp32`, or `bf16`, which has the range of fp32".to_owned())
            }
            Self::Write { source, .. } => advice(source),
        }
    }
}
