//! The files of a folder that `transformers` reads a tokenizer from.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::AddedToken;

use crate::data::error::DataError;
use crate::input::{Expected, Kind, recognize};

pub(super) const TOKENIZER: &str = "tokenizer.json";
pub(super) const VOCAB: &str = "vocab.txt";
pub(super) const CONFIG: &str = "tokenizer_config.json";
pub(super) const SPECIAL_MAP: &str = "special_tokens_map.json";
pub(super) const ADDED: &str = "added_tokens.json";
pub(super) const MODEL_CONFIG: &str = "config.json";

/// The JSON documents of a folder; one that is not there is empty.
#[derive(Debug)]
pub(super) struct Documents {
    pub(super) folder: PathBuf,
    pub(super) config: Map<String, Value>,
    pub(super) special_map: Map<String, Value>,
    pub(super) added: Map<String, Value>,
    pub(super) model_config: Map<String, Value>,
    /// `tokenizer.json` without its vocabulary; `None` where `vocab.txt` is read instead.
    pub(super) tokenizer: Option<Saved>,
}

/// What is read of `tokenizer.json` beside the vocabulary.
#[derive(Debug, Deserialize)]
pub(super) struct Saved {
    #[serde(default)]
    pub(super) added_tokens: Vec<SavedToken>,
    #[serde(default)]
    pub(super) normalizer: Value,
    #[serde(default)]
    pub(super) pre_tokenizer: Value,
    #[serde(default)]
    pub(super) post_processor: Value,
    #[serde(default)]
    pub(super) truncation: Value,
    pub(super) model: SavedModel,
}

/// An added token with its id.
#[derive(Debug, Deserialize)]
pub(super) struct SavedToken {
    pub(super) id: u32,
    #[serde(flatten)]
    pub(super) token: AddedToken,
}

/// The model in `tokenizer.json` without its vocabulary.
#[derive(Debug, Deserialize)]
pub(super) struct SavedModel {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) unk_token: Option<String>,
    pub(super) continuing_subword_prefix: Option<String>,
    pub(super) max_input_chars_per_word: Option<u64>,
}

impl Documents {
    /// Those of a folder; or of a vocabulary alone, beside which nothing is read.
    pub(super) fn read(folder: &Path) -> Result<Self, DataError> {
        if folder.is_file() {
            return Ok(Self {
                folder: folder.to_owned(),
                config: Map::new(),
                special_map: Map::new(),
                added: Map::new(),
                model_config: Map::new(),
                tokenizer: None,
            });
        }
        let tokenizer = folder.join(TOKENIZER);
        let saved = if tokenizer.exists() {
            Some(from_json(&tokenizer)?)
        } else if folder.join(VOCAB).exists() {
            None
        } else {
            return Err(DataError::TokenizerMissing {
                folder: folder.to_owned(),
            });
        };
        Ok(Self {
            folder: folder.to_owned(),
            config: object(&folder.join(CONFIG))?,
            special_map: object(&folder.join(SPECIAL_MAP))?,
            added: object(&folder.join(ADDED))?,
            model_config: object(&folder.join(MODEL_CONFIG))?,
            tokenizer: saved,
        })
    }

    /// The file that holds the vocabulary.
    pub(super) fn vocabulary(&self) -> PathBuf {
        if self.folder.is_file() {
            return self.folder.clone();
        }
        let name = match self.tokenizer {
            Some(_) => TOKENIZER,
            None => VOCAB,
        };
        self.folder.join(name)
    }

    /// Embeddings that the model has, if its `config.json` is there.
    pub(super) fn embeddings(&self) -> Option<u64> {
        self.model_config.get("vocab_size").and_then(Value::as_u64)
    }

    /// A value that leads to other tokens than tinyrun would make.
    pub(super) fn refuse(
        &self,
        file: &str,
        key: &str,
        value: &Value,
        reason: impl Into<String>,
    ) -> DataError {
        DataError::TokenizerRefused {
            path: self.folder.join(file),
            key: key.to_owned(),
            value: value.to_string(),
            reason: reason.into(),
            hint: None,
        }
    }
}

fn object(path: &Path) -> Result<Map<String, Value>, DataError> {
    if path.exists() {
        from_json(path)
    } else {
        Ok(Map::new())
    }
}

fn from_json<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T, DataError> {
    // All of it: serde skips what it has no field for without a look at the bytes.
    let bytes = read(path)?;
    let text = str::from_utf8(&bytes).map_err(|source| not_a_tokenizer(path, source.into()))?;
    serde_json::from_str(text).map_err(|source| not_a_tokenizer(path, source.into()))
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    let bytes = fs::read(path).map_err(|source: io::Error| DataError::Io {
        path: path.to_owned(),
        source,
    })?;
    // A pointer of Git LFS would be a vocabulary of three words.
    let foreign = recognize(&bytes, Expected::Corpus).filter(|foreign| {
        use Kind::{Archive, Compressed, Html, Pointer, Utf16};
        let kind = foreign.kind;
        matches!(
            kind,
            Pointer(_) | Html | Compressed(_) | Archive(_) | Utf16(_)
        )
    });
    match foreign {
        Some(foreign) => Err(DataError::TokenizerForeign {
            path: path.to_owned(),
            foreign,
        }),
        None => Ok(bytes),
    }
}

pub(super) fn not_a_tokenizer(path: &Path, source: tokenizers::Error) -> DataError {
    DataError::Tokenizer {
        path: path.to_owned(),
        source,
    }
}
