//! The tokenizer's files of an exported folder.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{ExportError, put};

/// Has the files cut texts that are longer than the model: most runtimes would fail in the middle of
/// its computation.
///
/// # Errors
/// The disk refuses.
pub(super) fn limit(folder: &Path, longest: usize) -> Result<(), ExportError> {
    let truncation = json!({
        "direction": "Right", "max_length": longest, "strategy": "LongestFirst", "stride": 0
    });
    for (name, key, limit) in [
        ("tokenizer.json", "truncation", truncation),
        ("tokenizer_config.json", "model_max_length", json!(longest)),
    ] {
        let path = folder.join(name);
        let text = fs::read(&path).unwrap_or_default();
        let Ok(Value::Object(mut file)) = serde_json::from_slice(&text) else {
            continue;
        };
        let length = |found: &Value| found.get("max_length").unwrap_or(found).as_f64();
        let is_limited = file.get(key).and_then(length);
        if is_limited.is_some_and(|found| found <= longest as f64) {
            continue;
        }
        file.insert(key.to_owned(), limit);
        let mut text = serde_json::to_vec_pretty(&file).unwrap_or_default();
        text.push(b'\n');
        put(&path, &text)?;
    }
    Ok(())
}
