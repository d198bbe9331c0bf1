//! The tokens beside the vocabulary, and the names of the special ones, in the order in which
//! `transformers` 5 adds them (`PreTrainedTokenizerBase._from_pretrained`,
//! `TokenizersBackend.__init__`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::documents::{ADDED, CONFIG, Documents, TOKENIZER};
use crate::data::error::DataError;
use crate::input::excerpt;

/// Named special tokens, in the order in which they are added.
const NAMES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// Names of special tokens, by key, that a class of tokenizers has where no file names them.
pub(super) type Defaults = &'static [(&'static str, &'static str)];

/// Those of `BertTokenizer`.
pub(super) const BERTS: Defaults = &[
    ("unk_token", "[UNK]"),
    ("sep_token", "[SEP]"),
    ("pad_token", "[PAD]"),
    ("cls_token", "[CLS]"),
    ("mask_token", "[MASK]"),
];

/// Those of `MPNetTokenizer`.
pub(super) const MPNETS: Defaults = &[
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
    ("unk_token", "[UNK]"),
    ("sep_token", "</s>"),
    ("pad_token", "<pad>"),
    ("cls_token", "<s>"),
    ("mask_token", "<mask>"),
];

/// Every token that is added to the vocabulary.
#[derive(Debug, Default)]
pub(super) struct Added {
    /// Tokens whose id a file states, by id, and the file.
    pub(super) stated: BTreeMap<u32, AddedToken>,
    pub(super) stated_in: &'static str,
    /// Special tokens that get an id only where the vocabulary lacks them.
    pub(super) special: Vec<AddedToken>,
    /// Names by key, such as `cls_token`.
    names: BTreeMap<String, String>,
    /// Whether `added_tokens.json` states a token that no other file does.
    pub(super) reads_added_file: bool,
}

impl Added {
    /// `defaults` stand for keys that no file has.
    pub(super) fn of(documents: &Documents, defaults: Option<Defaults>) -> Result<Self, DataError> {
        let mut found = Self::default();
        let config = &documents.config;
        let mut values: Map<String, Value> = Map::new();
        let mut extra: Option<Value> = None;
        for (key, value) in config {
            match key.as_str() {
                "additional_special_tokens" | "extra_special_tokens" => {}
                key if key.ends_with("_token") => {
                    drop(values.insert(key.to_owned(), value.clone()));
                }
                _ => {}
            }
        }
        let is_empty =
            |value: &Value| value.as_array().is_some_and(Vec::is_empty) || value.is_null();
        for key in ["additional_special_tokens", "extra_special_tokens"] {
            if let Some(value) = config.get(key).filter(|value| !is_empty(value)) {
                extra = Some(value.clone());
            }
        }
        if let Some(decoder) = config.get("added_tokens_decoder") {
            found.stated_in = CONFIG;
            found.read_decoder(documents, decoder)?;
        } else {
            merge_special_map(documents, &mut values, &mut extra);
            found.read_legacy(documents, &values, extra.as_ref())?;
        }
        found.read_special(documents, &values, extra.as_ref(), defaults)?;
        Ok(found)
    }

    /// Name of a special token.
    pub(super) fn name(&self, key: &str) -> String {
        self.names
            .get(key)
            .cloned()
            .unwrap_or_else(|| default_name(key))
    }

    fn read_decoder(&mut self, documents: &Documents, decoder: &Value) -> Result<(), DataError> {
        let refuse = |value: &Value| {
            documents.refuse(
                CONFIG,
                "added_tokens_decoder",
                value,
                "expected tokens by id",
            )
        };
        let tokens = decoder.as_object().ok_or_else(|| refuse(decoder))?;
        for (id, token) in tokens {
            let read = id.parse().ok().zip(token.as_object().and_then(token_of));
            let (id, token) = read.ok_or_else(|| refuse(token))?;
            self.stated.insert(id, token);
        }
        let saved = documents.tokenizer.iter();
        for saved in saved.flat_map(|saved| &saved.added_tokens) {
            // Version 4 goes by `tokenizer.json`, version 5 by the configuration.
            if self.stated.get(&saved.id) != Some(&saved.token) {
                let stated = tokens.get(&saved.id.to_string());
                return Err(documents.refuse(
                    CONFIG,
                    &format!("added_tokens_decoder.{}", saved.id),
                    stated.unwrap_or(&Value::Null),
                    format!(
                        "and `tokenizer.json` another token `{}`",
                        excerpt(&saved.token.content)
                    ),
                ));
            }
        }
        Ok(())
    }

    /// `added_tokens.json`, over which the added tokens of `tokenizer.json` go.
    fn read_legacy(
        &mut self,
        documents: &Documents,
        values: &Map<String, Value>,
        extra: Option<&Value>,
    ) -> Result<(), DataError> {
        // A table marked as a token in the configuration is not one yet where this is compared.
        let is_read = |value: &&Value| value.get("__type").is_none();
        let mut special: Vec<String> = NAMES
            .iter()
            .filter_map(|key| values.get(*key).filter(is_read).and_then(content))
            .collect();
        special.extend(
            extra
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(content),
        );
        for (name, id) in &documents.added {
            let read = id.as_u64().and_then(|id| u32::try_from(id).ok());
            let id = read.ok_or_else(|| documents.refuse(ADDED, name, id, "expected an id"))?;
            let is_special = special.contains(name);
            self.stated.insert(id, AddedToken::from(name, is_special));
        }
        self.stated_in = TOKENIZER;
        let mut of_file: Vec<u32> = self.stated.keys().copied().collect();
        for saved in documents
            .tokenizer
            .iter()
            .flat_map(|saved| &saved.added_tokens)
        {
            of_file.retain(|id| *id != saved.id);
            self.stated.insert(saved.id, saved.token.clone());
        }
        if !of_file.is_empty() {
            self.stated_in = ADDED;
            self.reads_added_file = true;
        }
        Ok(())
    }

    fn read_special(
        &mut self,
        documents: &Documents,
        values: &Map<String, Value>,
        extra: Option<&Value>,
        defaults: Option<Defaults>,
    ) -> Result<(), DataError> {
        let mut named: Vec<(&str, Value)> = Vec::new();
        for key in NAMES {
            let mut own = defaults.unwrap_or_default().iter();
            let default = own.find(|(of, _)| *of == key).map(|(_, name)| *name);
            match values.get(key) {
                Some(Value::Null) if default.is_some() => {
                    return Err(documents.refuse(CONFIG, key, &Value::Null, "expected a token"));
                }
                Some(Value::Null) => {}
                Some(value) => named.push((key, value.clone())),
                None => named.extend(default.map(|name| (key, name.into()))),
            }
        }
        let others = values
            .iter()
            .filter(|(key, value)| !NAMES.contains(&key.as_str()) && content(value).is_some());
        named.extend(others.map(|(key, value)| (key.as_str(), value.clone())));
        let (mut list, mut table): (&[Value], Option<&Map<String, Value>>) = (&[], None);
        match extra {
            Some(Value::Array(found)) => list = found,
            Some(Value::Object(found)) => table = Some(found),
            _ => {}
        }
        let table = table.into_iter().flatten();
        named.extend(table.map(|(key, value)| (key.as_str(), value.clone())));
        named.extend(
            list.iter()
                .map(|value| ("extra_special_tokens", value.clone())),
        );
        for (key, value) in named {
            let token = special_token(&value)
                .ok_or_else(|| documents.refuse(CONFIG, key, &value, "expected a token"))?;
            self.names.insert(key.to_owned(), token.content.clone());
            let mut stated = self.stated.values();
            let is_stated = stated.any(|stated| stated.content == token.content);
            if !is_stated && !self.special.contains(&token) {
                self.special.push(token);
            }
        }
        Ok(())
    }
}

/// Lays `special_tokens_map.json` over the configuration.
fn merge_special_map(
    documents: &Documents,
    values: &mut Map<String, Value>,
    extra: &mut Option<Value>,
) {
    for (key, value) in &documents.special_map {
        match (key.as_str(), value) {
            ("additional_special_tokens", value) => {
                extra.get_or_insert_with(|| value.clone());
            }
            ("extra_special_tokens", Value::Array(more)) => {
                let mut all = match extra.take() {
                    Some(Value::Array(all)) => all,
                    _ => Vec::new(),
                };
                for token in more.iter().map(marked_special) {
                    if !all.contains(&token) {
                        all.push(token);
                    }
                }
                *extra = Some(Value::Array(all));
            }
            ("extra_special_tokens", value) => *extra = Some(value.clone()),
            (key, value) if key.ends_with("_token") => {
                values.insert(key.to_owned(), marked_special(value));
            }
            _ => {}
        }
    }
}

/// A token of `special_tokens_map.json`: special whatever it says, so not normalized by default.
fn marked_special(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(token) = value.as_object_mut() {
        token.insert("special".to_owned(), Value::Bool(true));
    }
    value
}

/// A special token as a string, or as a table with a `content`.
fn special_token(value: &Value) -> Option<AddedToken> {
    match value {
        Value::String(name) => Some(AddedToken::from(name, true)),
        Value::Object(token) => Some(token_of(token)?.special(true)),
        _ => None,
    }
}

/// As the constructor of `AddedToken` in Python reads a table.
fn token_of(token: &Map<String, Value>) -> Option<AddedToken> {
    let flag = |key: &str| token.get(key).and_then(Value::as_bool);
    let special = flag("special").unwrap_or(false);
    let is_set = |key| flag(key).unwrap_or(false);
    Some(AddedToken {
        content: token.get("content")?.as_str()?.to_owned(),
        single_word: is_set("single_word"),
        lstrip: is_set("lstrip"),
        rstrip: is_set("rstrip"),
        normalized: flag("normalized").unwrap_or(!special),
        special,
    })
}

fn content(value: &Value) -> Option<String> {
    let text = value.get("content").unwrap_or(value).as_str()?;
    Some(text.to_owned())
}

/// `[CLS]` for `cls_token`.
fn default_name(key: &str) -> String {
    format!("[{}]", key.trim_end_matches("_token").to_uppercase())
}
