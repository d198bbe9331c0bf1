//! What the tokenizer files of a folder come to in `transformers` 5, or why they are refused.
//!
//! `BertTokenizer` takes only the vocabulary and the added tokens of `tokenizer.json`; case,
//! accents and Chinese characters are as in `tokenizer_config.json`. A folder that says
//! `PreTrainedTokenizerFast` is read as its `tokenizer.json` was saved. Where versions 4 and 5
//! of `transformers` disagree, the folder is refused.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::added::{Added, BERTS as BERTS_NAMES, Defaults, MPNETS};
use super::documents::{ADDED, CONFIG, Documents, MODEL_CONFIG, TOKENIZER};
use super::framing::{Framing, framing};
use super::saved::check_saved;
use crate::data::error::DataError;

/// Classes that are `BertTokenizer` under other names.
const BERTS: [&str; 7] = [
    "BertTokenizer",
    "DistilBertTokenizer",
    "ElectraTokenizer",
    "LayoutLMTokenizer",
    "LxmertTokenizer",
    "MobileBertTokenizer",
    "SqueezeBertTokenizer",
];

/// Classes that read `tokenizer.json` as it is.
const AS_SAVED: [&str; 3] = ["PreTrainedTokenizer", "TokenizersBackend", "PythonBackend"];

/// A tokenizer without its vocabulary.
#[derive(Debug)]
pub struct TokenizerFiles {
    pub(super) documents: Documents,
    pub(super) kind: Kind,
    pub(super) added: Added,
    /// `[CLS]` and `[SEP]` with the ids that a post-processor states.
    pub(super) frame: [Framing; 2],
    /// How often `[SEP]` stands between the texts of a pair.
    pub(super) between: usize,
    segments: bool,
}

/// How a text is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// As `BertTokenizer` does.
    Bert(Flags),
    /// As `tokenizer.json` says.
    AsSaved,
}

/// Settings of BERT's normalizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) lowercase: bool,
    pub(super) strip_accents: Option<bool>,
    pub(super) chinese_chars: bool,
}

impl TokenizerFiles {
    /// Reads the files of a folder, but for the vocabulary.
    ///
    /// # Errors
    /// A file does not read, or states what tinyrun does not do as `transformers` does.
    pub fn read(folder: &Path) -> Result<Self, DataError> {
        let documents = Documents::read(folder)?;
        let class = class(&documents)?;
        refuse_settings(&documents)?;
        let added = Added::of(&documents, class.defaults())?;
        let kind = match class {
            Class::AsSaved => Kind::AsSaved,
            _ => Kind::Bert(flags(&documents)?),
        };
        let names = [added.name("cls_token"), added.name("sep_token")];
        let between = class.between();
        let (frame, between) = match (&documents.tokenizer, kind) {
            (None, _) => (names.map(|token| Framing { token, id: None }), between),
            (Some(saved), Kind::Bert(_)) => {
                check_saved(&documents, saved, &added)?;
                framing(&documents, saved, Some((names, between)))?
            }
            (Some(saved), Kind::AsSaved) => framing(&documents, saved, None)?,
        };
        let inputs = documents.config.get("model_input_names");
        let inputs = inputs.and_then(Value::as_array);
        let segments = match inputs {
            Some(names) => names.iter().any(|name| name == "token_type_ids"),
            None => !matches!(class, Class::DistilBert | Class::MpNet),
        };
        Ok(Self {
            documents,
            kind,
            added,
            frame,
            between,
            segments,
        })
    }

    /// Whether the second text of a pair is marked by `token_type_ids`.
    pub fn has_segments(&self) -> bool {
        self.segments
    }

    /// Whether its post-processor can mark the second text of a pair at all: MPNet's cannot.
    pub fn can_mark_pairs(&self) -> bool {
        self.between == 1
    }

    /// `added_tokens.json`, where it states a token that no other file does.
    pub fn added_file(&self) -> Option<&'static str> {
        self.added.reads_added_file.then_some(ADDED)
    }

    /// Names of the special tokens: `[CLS]`, `[SEP]`, `[PAD]`, `[UNK]`.
    pub(super) fn special_names(&self) -> [String; 4] {
        let [cls, sep] = self.frame.clone().map(|framing| framing.token);
        [
            cls,
            sep,
            self.added.name("pad_token"),
            self.added.name("unk_token"),
        ]
    }

    /// The file that holds the vocabulary.
    pub(super) fn vocabulary(&self) -> PathBuf {
        self.documents.vocabulary()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Bert,
    /// BERT's without `token_type_ids`.
    DistilBert,
    /// BERT's pieces with other special tokens, two between the texts of a pair, and without
    /// `token_type_ids`.
    MpNet,
    AsSaved,
}

impl Class {
    /// Names of special tokens where no file has them.
    fn defaults(self) -> Option<Defaults> {
        match self {
            Self::Bert | Self::DistilBert => Some(BERTS_NAMES),
            Self::MpNet => Some(MPNETS),
            Self::AsSaved => None,
        }
    }

    fn between(self) -> usize {
        if self == Self::MpNet { 2 } else { 1 }
    }
}

fn class(documents: &Documents) -> Result<Class, DataError> {
    let of = |config: &serde_json::Map<String, Value>| {
        let value = config.get("tokenizer_class");
        value.filter(|value| !value.is_null()).cloned()
    };
    let own = of(&documents.config).map(|class| (CONFIG, class));
    let found = own.or_else(|| of(&documents.model_config).map(|class| (MODEL_CONFIG, class)));
    let Some((file, value)) = found else {
        return Ok(Class::Bert);
    };
    let refuse = |reason: &str| Err(documents.refuse(file, "tokenizer_class", &value, reason));
    let name = value.as_str().unwrap_or_default();
    let name = name.strip_suffix("Fast").unwrap_or(name);
    if name == "DistilBertTokenizer" {
        Ok(Class::DistilBert)
    } else if name == "MPNetTokenizer" {
        Ok(Class::MpNet)
    } else if BERTS.contains(&name) {
        Ok(Class::Bert)
    } else if !AS_SAVED.contains(&name) {
        refuse(
            "which tinyrun does not implement: expected `BertTokenizer`, `MPNetTokenizer` or `PreTrainedTokenizerFast`",
        )
    } else if documents.tokenizer.is_none() {
        refuse("which needs a `tokenizer.json`")
    } else {
        Ok(Class::AsSaved)
    }
}

/// Settings that `transformers` obeys and tinyrun does not.
fn refuse_settings(documents: &Documents) -> Result<(), DataError> {
    let refuse =
        |key: &str, value: &Value, reason: &str| Err(documents.refuse(CONFIG, key, value, reason));
    let config = &documents.config;
    let own_code = match config.get("auto_map") {
        Some(map @ Value::Object(_)) => map.get("AutoTokenizer"),
        other => other,
    };
    if let Some(code) = own_code.filter(|code| !code.is_null()) {
        return refuse("auto_map", code, "a tokenizer with code of its own");
    }
    if let Some(files) = config.get("fast_tokenizer_files")
        && *files != json!([TOKENIZER])
        && !files.is_null()
    {
        return refuse(
            "fast_tokenizer_files",
            files,
            "other files than `tokenizer.json`",
        );
    }
    if let Some(split @ Value::Bool(true)) = config.get("split_special_tokens") {
        return refuse("split_special_tokens", split, "expected false");
    }
    if let Some(inputs) = config
        .get("init_inputs")
        .filter(|inputs| **inputs != json!([]))
    {
        return refuse("init_inputs", inputs, "expected none");
    }
    if let Some(side) = config.get("truncation_side") {
        if side != "right" {
            return refuse(
                "truncation_side",
                side,
                "expected \"right\": tinyrun cuts the end of long texts",
            );
        }
    } else if let Some(saved) = &documents.tokenizer
        && let Some(side) = saved
            .truncation
            .get("direction")
            .filter(|side| *side != "Right")
    {
        let reason = "expected \"Right\": tinyrun cuts the end of long texts";
        return Err(documents.refuse(TOKENIZER, "truncation.direction", side, reason));
    }
    Ok(())
}

fn flags(documents: &Documents) -> Result<Flags, DataError> {
    let flag = |key: &str| match documents.config.get(key) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(Value::Null) if key == "strip_accents" => Ok(None),
        Some(other) => Err(documents.refuse(CONFIG, key, other, "expected true or false")),
    };
    Ok(Flags {
        lowercase: flag("do_lower_case")?.unwrap_or(true),
        strip_accents: flag("strip_accents")?,
        chinese_chars: flag("tokenize_chinese_chars")?.unwrap_or(true),
    })
}
