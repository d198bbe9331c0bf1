//! What the tokenizer files of a folder come to in `transformers` 5, or why they are refused.
//!
//! `BertTokenizer` takes only the vocabulary and the added tokens of `tokenizer.json`; case,
//! accents and Chinese characters are as in `tokenizer_config.json`. A folder that says
//! `PreTrainedTokenizerFast` is read as its `tokenizer.json` was saved. Where versions 4 and 5
//! of `transformers` disagree, the folder is refused.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::added::{Added, BERTS as BERTS_NAMES, Defaults, MPNETS};
use super::documents::{ADDED, CONFIG, Documents, MODEL_CONFIG, Saved, TOKENIZER};
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

/// Way out where `tokenizer.json` contradicts its class.
const KEEP_FILE: &str = "if `tokenizer.json` is right, set `tokenizer_class` in `tokenizer_config.json` to \"PreTrainedTokenizerFast\"";

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

/// A token around the texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Framing {
    pub(super) token: String,
    pub(super) id: Option<u64>,
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

/// Whether a `tokenizer.json` that `BertTokenizer` reads is one of its own: versions 4 and 5
/// take different parts of others.
fn check_saved(documents: &Documents, saved: &Saved, added: &Added) -> Result<(), DataError> {
    let refuse = |key: &str, value: Value, expected: &str| {
        let error = documents.refuse(TOKENIZER, key, &value, expected);
        Err(match error {
            DataError::TokenizerRefused {
                path,
                key,
                value,
                reason,
                ..
            } => {
                let hint = Some(KEEP_FILE);
                DataError::TokenizerRefused {
                    path,
                    key,
                    value,
                    reason,
                    hint,
                }
            }
            error => error,
        })
    };
    let model = &saved.model;
    if let Some(kind) = model.kind.as_deref().filter(|kind| *kind != "WordPiece") {
        return refuse(
            "model.type",
            kind.into(),
            "`BertTokenizer` expects \"WordPiece\"",
        );
    }
    let prefix = model.continuing_subword_prefix.as_deref();
    if let Some(prefix) = prefix.filter(|prefix| *prefix != "##") {
        let key = "model.continuing_subword_prefix";
        return refuse(key, prefix.into(), "`BertTokenizer` expects \"##\"");
    }
    if let Some(chars) = model.max_input_chars_per_word.filter(|chars| *chars != 100) {
        let key = "model.max_input_chars_per_word";
        return refuse(key, chars.into(), "`BertTokenizer` expects 100");
    }
    let unk = added.name("unk_token");
    if let Some(found) = model.unk_token.as_deref().filter(|found| *found != unk) {
        let expected =
            format!("`BertTokenizer` expects \"{unk}\", the `unk_token` of the other files");
        return refuse("model.unk_token", found.into(), &expected);
    }
    let kind = |part: &Value| part.get("type").and_then(Value::as_str).map(str::to_owned);
    let normalizer = &saved.normalizer;
    if !normalizer.is_null() && kind(normalizer).as_deref() != Some("BertNormalizer") {
        let value = kind(normalizer).into();
        return refuse(
            "normalizer.type",
            value,
            "`BertTokenizer` expects \"BertNormalizer\"",
        );
    }
    if let Some(Value::Bool(false)) = normalizer.get("clean_text") {
        return refuse(
            "normalizer.clean_text",
            false.into(),
            "`BertTokenizer` expects true",
        );
    }
    let pre_tokenizer = &saved.pre_tokenizer;
    if !pre_tokenizer.is_null() && kind(pre_tokenizer).as_deref() != Some("BertPreTokenizer") {
        let value = kind(pre_tokenizer).into();
        return refuse(
            "pre_tokenizer.type",
            value,
            "`BertTokenizer` expects \"BertPreTokenizer\"",
        );
    }
    Ok(())
}

/// The tokens around a text by the post-processor, which must frame texts as BERT or MPNet does, and
/// how many are between two texts; `stated` are the tokens and the number that it should have, where
/// something else states them too.
fn framing(
    documents: &Documents,
    saved: &Saved,
    stated: Option<([String; 2], usize)>,
) -> Result<([Framing; 2], usize), DataError> {
    let processor = &saved.post_processor;
    if let (Value::Null, Some((names, between))) = (processor, &stated) {
        let frame = names.clone().map(|token| Framing { token, id: None });
        return Ok((frame, *between));
    }
    let kind = processor.get("type").and_then(Value::as_str);
    let named = || {
        ["cls", "sep"].map(|key| {
            let pair = processor.get(key)?;
            Some(Framing {
                token: pair.get(0)?.as_str()?.to_owned(),
                id: pair.get(1)?.as_u64(),
            })
        })
    };
    let (found, between) = match kind {
        Some("BertProcessing") => (named(), 1),
        Some("RobertaProcessing") => (named(), 2),
        Some("TemplateProcessing") => match template(processor, 1) {
            [None, _] | [_, None] => (template(processor, 2), 2),
            found => (found, 1),
        },
        _ => ([None, None], 1),
    };
    let expected = match &stated {
        Some((_, 2)) => "expected `<s> A </s>` and `<s> A </s> </s> B </s>`, as MPNet has it",
        _ => "expected `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]` with BERT's segments",
    };
    let shown = || processor.get("type").cloned().unwrap_or_default();
    let is_other = |(_, wanted): &([String; 2], usize)| *wanted != between;
    let ([Some(cls), Some(sep)], false) = (found, stated.as_ref().is_some_and(is_other)) else {
        return Err(documents.refuse(TOKENIZER, "post_processor", &shown(), expected));
    };
    let frame = [cls, sep];
    if let Some((names, _)) = stated
        && frame.each_ref().map(|framing| &framing.token) != names.each_ref()
    {
        let reason = format!(
            "its tokens differ from `{}` and `{}`, which other files name",
            names[0], names[1]
        );
        return Err(documents.refuse(TOKENIZER, "post_processor", &shown(), reason));
    }
    Ok((frame, between))
}

/// The tokens of a template, if it is BERT's but for the number of tokens `between` two texts.
fn template(processor: &Value, between: usize) -> [Option<Framing>; 2] {
    let name = |at: usize| {
        let special = processor.get("single")?.get(at)?.get("SpecialToken")?;
        special.get("id")?.as_str().map(str::to_owned)
    };
    let (Some(cls), Some(sep)) = (name(0), name(2)) else {
        return [None, None];
    };
    let special = |id: &str, segment: u8| json!({"SpecialToken": {"id": id, "type_id": segment}});
    let text = |id: &str, segment: u8| json!({"Sequence": {"id": id, "type_id": segment}});
    let single = json!([special(&cls, 0), text("A", 0), special(&sep, 0)]);
    // A model that takes two separators takes no segments.
    let pair = |segment: u8| {
        let mut parts = vec![special(&cls, 0), text("A", 0)];
        parts.extend(std::iter::repeat_n(special(&sep, 0), between));
        parts.extend([text("B", segment), special(&sep, segment)]);
        Value::Array(parts)
    };
    let is_pair = |found: &Value| *found == pair(1) || (between > 1 && *found == pair(0));
    if processor.get("single") != Some(&single) || !processor.get("pair").is_some_and(is_pair) {
        return [None, None];
    }
    [cls, sep].map(|token| {
        let ids = processor
            .get("special_tokens")?
            .get(&token)?
            .get("ids")?
            .as_array()?;
        let [id] = ids.as_slice() else { return None };
        Some(Framing {
            token,
            id: id.as_u64(),
        })
    })
}
