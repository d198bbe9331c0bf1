//! How tinyrun 0.1 read a folder: `tokenizer.json` as it was saved, else `vocab.txt` with the
//! flags and names of `tokenizer_config.json`, and no other file.

use serde_json::{Map, Value};

use super::reading::{Flags, Kind, TokenizerFiles};

impl TokenizerFiles {
    /// What tinyrun 0.1 read otherwise, as far as ids are concerned: results of such a folder are not
    /// those of today.
    pub fn changed_since_first(&self) -> Vec<&'static str> {
        let documents = &self.documents;
        let mut found = Vec::new();
        if let (Kind::Bert(flags), Some(saved)) = (self.kind, &documents.tokenizer)
            && flags_of(&saved.normalizer) != Some(effective(flags))
        {
            found.push("do_lower_case, strip_accents and tokenize_chinese_chars");
        }
        let names = ["cls_token", "sep_token", "pad_token", "unk_token"];
        let names = names.map(|key| name(&documents.config, key));
        if names != self.special_names() {
            found.push("special tokens");
        }
        let added = &self.added;
        let today = added.stated.values().chain(&added.special);
        let mut today: Vec<String> = today.map(|token| format!("{token:?}")).collect();
        let mut before: Vec<String> = match &documents.tokenizer {
            Some(saved) => {
                let tokens = saved.added_tokens.iter();
                tokens.map(|saved| format!("{:?}", saved.token)).collect()
            }
            None => [&names[..], &[name(&documents.config, "mask_token")]]
                .concat()
                .into_iter()
                .map(|name| format!("{:?}", tokenizers::AddedToken::from(name, true)))
                .collect(),
        };
        for tokens in [&mut today, &mut before] {
            tokens.sort();
            tokens.dedup();
        }
        if today != before {
            found.push("added tokens");
        }
        found
    }
}

/// Accents go with the case where nothing is said of them.
fn effective(flags: Flags) -> Flags {
    Flags {
        strip_accents: Some(flags.strip_accents.unwrap_or(flags.lowercase)),
        ..flags
    }
}

fn flags_of(normalizer: &Value) -> Option<Flags> {
    let flag = |key: &str| normalizer.get(key).and_then(Value::as_bool);
    Some(effective(Flags {
        lowercase: flag("lowercase")?,
        strip_accents: flag("strip_accents"),
        chinese_chars: flag("handle_chinese_chars")?,
    }))
}

fn name(config: &Map<String, Value>, key: &str) -> String {
    let value = config.get(key);
    value
        .and_then(|value| value.get("content").or(Some(value)))
        .and_then(Value::as_str)
        .map_or_else(
            || format!("[{}]", key.trim_end_matches("_token").to_uppercase()),
            str::to_owned,
        )
}
