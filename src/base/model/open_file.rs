//! A file of a model, mapped.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::error::ModelError;
use crate::system::FileBytes;

/// A file that holds tensors.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) path: PathBuf,
    pub(super) bytes: FileBytes,
}

impl OpenFile {
    /// # Errors
    /// It cannot be read, or is empty.
    pub(super) fn open(path: &Path) -> Result<Self, ModelError> {
        let file = File::open(path).map_err(|source| ModelError::read(path, source))?;
        let bytes = FileBytes::of(&file).map_err(|source| ModelError::read(path, source))?;
        if bytes.is_empty() {
            return Err(ModelError::damaged(path, "it is empty"));
        }
        Ok(Self {
            path: path.to_owned(),
            bytes,
        })
    }
}
