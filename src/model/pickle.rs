//! `pytorch_model.bin`: a zip archive of a pickle and the tensors' bytes.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::ModelError;
use super::weights::Entry;

pub(super) fn read_entries(
    path: &Path,
    _map: &[u8],
) -> Result<BTreeMap<String, Entry>, ModelError> {
    Err(ModelError::OldFormat {
        path: path.to_owned(),
    })
}
