//! Files of models for tests.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::error::ModelError;
use super::weights::Weights;

/// A file or folder of the fixtures.
pub(super) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures")
        .join(name)
}

/// A safetensors file of a header as given and `data` zero bytes.
pub(super) fn file_of(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

/// Opens a model folder whose `model.safetensors` has this content.
pub(super) fn open_bytes(bytes: &[u8]) -> Result<Weights, ModelError> {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    Weights::open(folder.path())
}
