//! Reading `config.json`: which model it is of, and that no key lacks or has another type.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::BertConfig;
use crate::input::{Expected, Kind, recognize};
use crate::model::error::{ModelError, ticked};
use crate::model::family::{Family, MODEL_TYPES, RELATIVE_BUCKETS};

impl BertConfig {
    /// Reads and checks `config.json` of a model folder.
    ///
    /// # Errors
    /// The file is missing or no JSON, a key without which the shape is not known is missing,
    /// or a value is one that no supported model has.
    pub fn read(folder: &Path) -> Result<Self, ModelError> {
        Self::read_file(&folder.join("config.json"))
    }

    /// Reads and checks a file that has the form of `config.json`.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(in crate::model) fn read_file(path: &Path) -> Result<Self, ModelError> {
        let path = path.to_owned();
        let text = fs::read_to_string(&path).map_err(|source| ModelError::read(&path, source))?;
        let located = |error: &serde_json::Error| ModelError::Json {
            path: path.clone(),
            line: error.line(),
            column: error.column(),
            message: message_of(error),
        };
        let value: Value = serde_json::from_str(&text).map_err(|error| {
            match recognize(text.as_bytes(), Expected::Weights) {
                Some(foreign) if matches!(foreign.kind, Kind::Pointer(_) | Kind::Html) => {
                    ModelError::NotConfig {
                        path: path.clone(),
                        foreign,
                    }
                }
                _ => located(&error),
            }
        })?;
        let Value::Object(object) = value else {
            return Err(ModelError::Json {
                path: path.clone(),
                line: 1,
                column: 1,
                message: "expected a JSON object".to_owned(),
            });
        };
        let family = check_kind(&path, &object)?;
        let mut object = family.with_berts_keys(object);
        let keys: Vec<&'static str> = REQUIRED
            .into_iter()
            .filter(|key| !object.contains_key(*key))
            .map(|key| family.key(key))
            .collect();
        if !keys.is_empty() {
            return Err(ModelError::MissingKeys { path, keys });
        }
        check_types(&path, &object, family)?;
        object.insert("family".to_owned(), json!(family));
        let config: Self =
            serde_json::from_value(Value::Object(object)).map_err(|error| located(&error))?;
        config.check(&path)?;
        Ok(config)
    }
}

/// Keys that have no default.
const REQUIRED: [&str; 6] = [
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
];

/// The family that the file names. Refuses models that share its keys but not its computation.
fn check_kind(path: &Path, object: &Map<String, Value>) -> Result<&'static Family, ModelError> {
    let family = Family::of(object);
    let types = match family.flag {
        Some(_) => vec![family.model_type],
        None => MODEL_TYPES.to_vec(),
    };
    let positions = family.positions.unwrap_or("absolute");
    for (key, allowed) in [
        ("model_type", types),
        ("position_embedding_type", vec![positions]),
    ] {
        match object.get(key) {
            None | Some(Value::Null) => {}
            Some(Value::String(found)) if allowed.contains(&found.as_str()) => {}
            Some(found) => {
                let value = found
                    .as_str()
                    .map_or_else(|| found.to_string(), |name| format!("`{name}`"));
                let one_of = if allowed.len() > 1 { "one of " } else { "" };
                return Err(ModelError::Value {
                    path: path.to_owned(),
                    key,
                    value,
                    expected: format!("{one_of}{}", ticked(&allowed)),
                });
            }
        }
    }
    Ok(family)
}

/// Names the key whose value is of another type than that of every model. `object` has BERT's keys.
fn check_types(
    path: &Path,
    object: &Map<String, Value>,
    family: &Family,
) -> Result<(), ModelError> {
    type Is<'a> = &'a dyn Fn(&Value) -> bool;
    const OTHER_WHOLE: [&str; 3] = ["type_vocab_size", "pad_token_id", RELATIVE_BUCKETS];
    const NUMBERS: [&str; 5] = [
        "hidden_dropout_prob",
        "seq_classif_dropout",
        "attention_probs_dropout_prob",
        "initializer_range",
        "layer_norm_eps",
    ];
    let whole = |value: &Value| value.is_u64();
    let names = |value: &Value| {
        let object = value.as_object();
        object.is_some_and(|names| names.values().all(Value::is_string))
    };
    let all_whole = REQUIRED.into_iter().chain(OTHER_WHOLE);
    let whole = all_whole.map(|key| (key, &whole as Is<'_>, "an integer"));
    let numbers = NUMBERS.map(|key| (key, &Value::is_number as Is<'_>, "a number"));
    let string_or_null = |value: &Value| value.is_string() || value.is_null();
    let others: [(_, Is<'_>, _); 5] = [
        ("hidden_act", &Value::is_string, "a string"),
        ("problem_type", &string_or_null, "a string"),
        ("tinyrun_head", &Value::is_string, "a string"),
        ("id2label", &names, "a table of names"),
        ("use_relative_positions", &Value::is_boolean, "a boolean"),
    ];
    for (key, is, expected) in whole.chain(numbers).chain(others) {
        if let Some(value) = object.get(key).filter(|value| !is(value)) {
            return Err(ModelError::Value {
                path: path.to_owned(),
                key: family.key(key),
                value: value.to_string(),
                expected: expected.to_owned(),
            });
        }
    }
    Ok(())
}

/// The message of a JSON error without the position that `Display` appends to it.
fn message_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
