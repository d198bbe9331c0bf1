//! The tokenizer's files of an exported folder.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{ExportError, put};

/// Keys of `tokenizer_config.json` that may hold paths of the machine that wrote it.
const PATHS: [&str; 3] = ["name_or_path", "special_tokens_map_file", "tokenizer_file"];

/// Has the files cut texts at `longest` tokens: a longer one would fail in the middle of most
/// runtimes' computation, or be cut elsewhere. Nothing is padded to a length of another model.
///
/// # Errors
/// The disk refuses.
pub(super) fn limit(folder: &Path, longest: usize) -> Result<(), ExportError> {
    edit(&folder.join("tokenizer.json"), |file| {
        let truncation = json!({
            "direction": "Right", "max_length": longest, "strategy": "LongestFirst", "stride": 0
        });
        file.insert("truncation".to_owned(), truncation);
        file.insert("padding".to_owned(), Value::Null);
    })?;
    edit(&folder.join("tokenizer_config.json"), |file| {
        file.insert("model_max_length".to_owned(), json!(longest));
        file.retain(|key, _| !PATHS.contains(&key.as_str()));
    })
}

/// Changes a file of JSON, if it is there.
fn edit(path: &Path, change: impl FnOnce(&mut Map<String, Value>)) -> Result<(), ExportError> {
    let text = fs::read(path).unwrap_or_default();
    let Ok(Value::Object(mut file)) = serde_json::from_slice(&text) else {
        return Ok(());
    };
    change(&mut file);
    let mut text = serde_json::to_vec_pretty(&file).unwrap_or_default();
    text.push(b'\n');
    put(path, &text)
}
