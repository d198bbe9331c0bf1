//! Format `huggingface`: the folder that training stages write, in a number format of choice.

use std::path::Path;

use super::{ExportError, labels};
use crate::model::{LoadedModel, WeightDtype, round_to, write_model_folder};

/// Writes `config.json`, `model.safetensors` and the tokenizer's files.
///
/// # Errors
/// A tensor cannot be read, or its values are beyond the number format; the disk refuses.
pub(super) fn write(
    model: &LoadedModel,
    dtype: WeightDtype,
    folder: &Path,
) -> Result<(), ExportError> {
    let mut config = model.config.to_json(model.has_classifier(), &labels(model));
    config["torch_dtype"] = dtype.torch_name().into();
    let mut tensors = Vec::new();
    for name in model.weights.names() {
        // A projection is needed in training only.
        if name.starts_with("fit_dense") {
            continue;
        }
        let values = model.weights.to_f32(name)?;
        let bytes = round_to(&values, dtype).ok_or_else(|| ExportError::OutOfRange {
            tensor: name.to_owned(),
            dtype,
        })?;
        let shape = model.weights.shape(name).unwrap_or_default().to_vec();
        tensors.push((name, shape, bytes));
    }
    Ok(write_model_folder(
        folder,
        &config,
        dtype,
        tensors,
        &model.folder,
    )?)
}
