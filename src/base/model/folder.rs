//! Writing a model folder that `transformers` opens.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde_json::{Map, Value, json};

use super::error::ModelError;
use super::family::Family;
use super::names::in_file;
use super::tensor::WeightDtype;
use crate::system;

/// Files that a folder's tokenizer consists of; which of them are there differs.
pub const TOKENIZER_FILES: [&str; 5] = [
    "tokenizer.json",
    VOCABULARY,
    TOKENIZER_CONFIG,
    "special_tokens_map.json",
    "added_tokens.json",
];

const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const VOCABULARY: &str = "vocab.txt";
const MODEL_CONFIG: &str = "config.json";

/// Writes tensors of floats to a safetensors file, in place of the one that may be
/// there: to a temporary file first, synced, then renamed.
///
/// `tensors` gives name, shape and row-major little-endian bytes. They are written in order of
/// their names and the header in a fixed order, so equal tensors make equal files. `metadata`
/// is the header's `__metadata__`; `format` = `pt` is added, which `transformers` asks for.
///
/// # Errors
/// The disk refuses, or a tensor's bytes do not fit its shape.
pub fn write_safetensors<N, B>(
    path: &Path,
    dtype: WeightDtype,
    tensors: impl IntoIterator<Item = (N, Vec<usize>, B)>,
    metadata: &BTreeMap<String, String>,
) -> Result<(), ModelError>
where
    N: Into<String>,
    B: AsRef<[u8]>,
{
    let failed = |source| ModelError::write(path, source);
    let tensors: BTreeMap<String, (Vec<usize>, B)> = tensors
        .into_iter()
        .map(|(name, shape, bytes)| (name.into(), (shape, bytes)))
        .collect();
    let header = header(dtype, &tensors, metadata).map_err(failed)?;
    write_atomic(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        tensors
            .values()
            .try_for_each(|(_, bytes)| file.write_all(bytes.as_ref()))
    })
}

/// The header, padded to a multiple of 8 bytes. Written here and not by the crate's
/// serializer, which passes `__metadata__` through a hash map: equal tensors would not make
/// equal files, and artifacts are compared by digest.
fn header<B: AsRef<[u8]>>(
    dtype: WeightDtype,
    tensors: &BTreeMap<String, (Vec<usize>, B)>,
    metadata: &BTreeMap<String, String>,
) -> io::Result<Vec<u8>> {
    let mut all = metadata.clone();
    all.insert("format".to_owned(), "pt".to_owned());
    let mut object = Map::new();
    object.insert("__metadata__".to_owned(), json!(all));
    let (dtype, size) = match dtype {
        WeightDtype::Fp32 => (Dtype::F32, 4),
        WeightDtype::Fp16 => (Dtype::F16, 2),
        WeightDtype::Bf16 => (Dtype::BF16, 2),
    };
    let mut start = 0;
    for (name, (shape, bytes)) in tensors {
        let length = bytes.as_ref().len();
        if shape.iter().product::<usize>() * size != length {
            let message = format!("tensor `{name}` of shape {shape:?} has {length} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let data_offsets = (start, start + length);
        start += length;
        let info = TensorInfo {
            dtype,
            shape: shape.clone(),
            data_offsets,
        };
        object.insert(name.clone(), serde_json::to_value(info)?);
    }
    let mut header = serde_json::to_vec(&object)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

/// Writes a model folder: `config.json`, `model.safetensors`, and the tokenizer's files that
/// exist in `tokenizer_from`, a folder, or a vocabulary; empty for none. Tensors have the names of [`super::names`] and get those of the family
/// that `config` names. The weights come last: a folder that has them is whole.
///
/// # Errors
/// The disk refuses, or a tensor's bytes do not fit its shape.
pub fn write_model_folder<N, B>(
    folder: &Path,
    config: &Value,
    dtype: WeightDtype,
    tensors: impl IntoIterator<Item = (N, Vec<usize>, B)>,
    tokenizer_from: &Path,
) -> Result<(), ModelError>
where
    N: Into<String>,
    B: AsRef<[u8]>,
{
    write_without_weights(folder, config, tokenizer_from)?;
    let family = config.as_object().map_or(Family::bert(), Family::of);
    let tensors = tensors.into_iter();
    let tensors = tensors.map(|(name, shape, bytes)| (in_file(&name.into(), family), shape, bytes));
    let weights = folder.join("model.safetensors");
    write_safetensors(&weights, dtype, tensors, &BTreeMap::new())
}

/// What of [`write_model_folder`] comes before the weights.
///
/// # Errors
/// The disk refuses.
pub fn write_without_weights(
    folder: &Path,
    config: &Value,
    tokenizer_from: &Path,
) -> Result<(), ModelError> {
    fs::create_dir_all(folder).map_err(|source| ModelError::write(folder, source))?;
    // Only a folder says more of its tokenizer.
    let beside = Some(tokenizer_from.join(MODEL_CONFIG)).filter(|_| tokenizer_from.is_dir());
    let beside = beside.unwrap_or_default();
    let inputs = other_inputs(config, &beside);
    for name in TOKENIZER_FILES {
        let Some(from) = tokenizer_file(tokenizer_from, name) else {
            continue;
        };
        let to = folder.join(name);
        let is_needed = name == TOKENIZER_CONFIG && inputs.is_some();
        // A resumed run writes over its own folder, where both are the same file.
        if from == to || !(from.exists() || is_needed) {
            continue;
        }
        let mut content = match fs::read(&from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => b"{}".to_vec(),
            read => read.map_err(|source| ModelError::read(&from, source))?,
        };
        if name == TOKENIZER_CONFIG {
            content = fitting_config(content, config, inputs);
        }
        write_atomic(&to, |file| file.write_all(&content))?;
    }
    let path = folder.join(MODEL_CONFIG);
    let config = with_tokenizer_class(config, &beside);
    let mut text = serde_json::to_string_pretty(&config)
        .map_err(|error| ModelError::write(&path, error.into()))?;
    text.push('\n');
    write_atomic(&path, |file| file.write_all(text.as_bytes()))
}

/// Whether a model folder has a tokenizer.
pub fn has_tokenizer(folder: &Path) -> bool {
    ["tokenizer.json", VOCABULARY]
        .iter()
        .any(|name| folder.join(name).exists())
}

/// Where a file of a tokenizer is: in its folder; a vocabulary is the file itself.
fn tokenizer_file(tokenizer: &Path, name: &str) -> Option<PathBuf> {
    if tokenizer.as_os_str().is_empty() {
        return None;
    }
    if tokenizer.is_file() {
        return (name == VOCABULARY).then(|| tokenizer.to_owned());
    }
    Some(tokenizer.join(name))
}

/// The model's settings with the class of its tokenizer, which older folders name in `config.json`:
/// without it `transformers` would read the same files as another tokenizer.
fn with_tokenizer_class(config: &Value, of_tokenizer: &Path) -> Value {
    let mut config = config.clone();
    let text = fs::read(of_tokenizer).unwrap_or_default();
    let found: Value = serde_json::from_slice(&text).unwrap_or_default();
    if let Some(class) = found
        .get("tokenizer_class")
        .filter(|class| class.is_string())
    {
        config["tokenizer_class"] = class.clone();
    }
    config
}

/// What a tokenizer must give the written model, where its own model takes other inputs: one family
/// refuses `token_type_ids`, and another reads the second text of a pair by them.
fn other_inputs(config: &Value, of_tokenizer: &Path) -> Option<&'static [&'static str]> {
    let text = fs::read(of_tokenizer).unwrap_or_default();
    let found: Value = serde_json::from_slice(&text).unwrap_or_default();
    let [own, wanted] = [
        Family::of(found.as_object()?),
        Family::of(config.as_object()?),
    ];
    (own.inputs() != wanted.inputs()).then(|| wanted.inputs())
}

/// The tokenizer's settings as they hold for the written model: no more tokens than it has
/// positions, padding on the right, as it was trained, and the `inputs` that it takes, where they are
/// others. Settings that fit stay byte for byte.
fn fitting_config(
    content: Vec<u8>,
    model: &Value,
    inputs: Option<&'static [&'static str]>,
) -> Vec<u8> {
    let Ok(Value::Object(mut config)) = serde_json::from_slice(&content) else {
        return content;
    };
    let positions = model.get("max_position_embeddings").and_then(Value::as_u64);
    let family = model.as_object().map_or(Family::bert(), Family::of);
    let positions = positions.map(|rows| rows.saturating_sub(family.first_position as u64));
    let longest = config.get("model_max_length").and_then(Value::as_f64);
    let mut changes = Vec::new();
    if let (Some(positions), Some(longest)) = (positions, longest)
        && longest > positions as f64
    {
        changes.push(("model_max_length", json!(positions)));
    }
    if config
        .get("padding_side")
        .is_some_and(|side| side != "right")
    {
        changes.push(("padding_side", json!("right")));
    }
    if let Some(inputs) = inputs {
        changes.push(("model_input_names", json!(inputs)));
    }
    if changes.is_empty() {
        return content;
    }
    for (key, value) in changes {
        config.insert(key.to_owned(), value);
    }
    let text = serde_json::to_string_pretty(&config).map(|text| text + "\n");
    text.map_or(content, String::into_bytes)
}

/// As [`system::write_atomic`], with the path in the error.
fn write_atomic(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> Result<(), ModelError> {
    system::write_atomic(path, write).map_err(|source| ModelError::write(path, source))
}

#[cfg(test)]
mod tests;
