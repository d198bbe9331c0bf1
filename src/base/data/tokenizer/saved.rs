//! Whether a `tokenizer.json` is what its class reads.

use serde_json::Value;

use super::added::Added;
use super::documents::{Documents, Saved, TOKENIZER};
use crate::data::error::DataError;

/// Way out where `tokenizer.json` contradicts its class.
const KEEP_FILE: &str = "if `tokenizer.json` is right, set `tokenizer_class` in `tokenizer_config.json` to \"PreTrainedTokenizerFast\"";

/// Whether a `tokenizer.json` that `BertTokenizer` reads is one of its own: versions 4 and 5
/// take different parts of others.
pub(super) fn check_saved(
    documents: &Documents,
    saved: &Saved,
    added: &Added,
) -> Result<(), DataError> {
    let refuse = |key: &str, value: Value, expected: &str| {
        let reason = format!("`BertTokenizer` expects {expected}");
        let mut error = documents.refuse(TOKENIZER, key, &value, reason);
        if let DataError::TokenizerRefused { hint, .. } = &mut error {
            *hint = Some(KEEP_FILE);
        }
        Err(error)
    };
    let model = &saved.model;
    if let Some(kind) = model.kind.as_deref().filter(|kind| *kind != "WordPiece") {
        return refuse("model.type", kind.into(), "\"WordPiece\"");
    }
    let prefix = model.continuing_subword_prefix.as_deref();
    if let Some(prefix) = prefix.filter(|prefix| *prefix != "##") {
        let key = "model.continuing_subword_prefix";
        return refuse(key, prefix.into(), "\"##\"");
    }
    if let Some(chars) = model.max_input_chars_per_word.filter(|chars| *chars != 100) {
        return refuse("model.max_input_chars_per_word", chars.into(), "100");
    }
    let unk = added.name("unk_token");
    if let Some(found) = model.unk_token.as_deref().filter(|found| *found != unk) {
        let expected = format!("\"{unk}\", the `unk_token` of the other files");
        return refuse("model.unk_token", found.into(), &expected);
    }
    let check_type = |part: &Value, key: &str, wanted: &str| {
        let kind = part.get("type").and_then(Value::as_str);
        if part.is_null() || kind == Some(wanted) {
            return Ok(());
        }
        refuse(key, kind.into(), &format!("\"{wanted}\""))
    };
    check_type(&saved.normalizer, "normalizer.type", "BertNormalizer")?;
    if let Some(Value::Bool(false)) = saved.normalizer.get("clean_text") {
        return refuse("normalizer.clean_text", false.into(), "true");
    }
    check_type(
        &saved.pre_tokenizer,
        "pre_tokenizer.type",
        "BertPreTokenizer",
    )
}
