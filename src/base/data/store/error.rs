//! What can be wrong with a token store.

use std::io;
use std::path::{Path, PathBuf};

use super::VERSION;
use crate::system::{advice, reason};

/// Why a token store could not be written or opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk said no.
    #[error("cannot {action} `{}`: {}", path.display(), reason(source))]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
    /// There is no `store.json`.
    #[error("`{}` is not a token store: it has no `store.json`", folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
    },
    /// `store.json` does not read as one.
    #[error("`{}` is damaged: {source}", path.display())]
    Meta {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        source: serde_json::Error,
    },
    /// Written by another version.
    #[error("`{}` has format version {found}, and this tinyrun reads {VERSION}", path.display())]
    Version {
        /// `store.json`.
        path: PathBuf,
        /// Version it names.
        found: u64,
    },
    /// A file is shorter or longer than `store.json` says.
    #[error("`{}` is damaged: it has {found} bytes and should have {expected}", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// The size that follows from `store.json`.
        expected: u64,
    },
    /// A row contradicts its neighbours or the settings.
    #[error("`{}` is damaged: row {row} has {fault}", path.display())]
    Row {
        /// `rows.bin`.
        path: PathBuf,
        /// Index of the row, from 0.
        row: u64,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// An id that is not in the vocabulary.
    #[error("`{}` is damaged: token {token} has the id {id} in a vocabulary of {vocab_size}", path.display())]
    Token {
        /// `tokens.bin`.
        path: PathBuf,
        /// Index of the token, from 0.
        token: u64,
        /// Its id.
        id: u32,
        /// Ids go up to this, exclusive.
        vocab_size: usize,
    },
    /// There is nothing to train on or to score.
    #[error("the token store `{}` has no examples", folder.display())]
    Empty {
        /// The folder.
        folder: PathBuf,
    },
}

impl StoreError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => advice(source),
            Self::Empty { .. } => None,
            _ => Some("run the preparation of this data again with `--force`".to_owned()),
        }
    }
}

pub(super) fn read_error(path: &Path, source: io::Error) -> StoreError {
    StoreError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    }
}

pub(super) fn write_error(path: &Path, source: io::Error) -> StoreError {
    StoreError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    }
}
