//! `config.json` of a model.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::error::{ModelError, ticked};
use super::family::{self, Family, LEAST_BUCKETS, MODEL_TYPES, RELATIVE_BUCKETS};
use crate::input::{Expected, Kind, recognize};

/// What `hidden_act` may say.
pub const HIDDEN_ACTS: [&str; 4] = ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu"];

/// Longer lists of layers or larger axes are taken for a damaged file: names and shapes are
/// made from these numbers before a tensor is looked at.
const MAX_LAYERS: usize = 1024;
const MAX_SIZE: usize = i32::MAX as usize;

/// Shape of an encoder, under the keys of Hugging Face's `config.json` of a BERT; other families
/// have other keys in their files. Keys that tinyrun has no use for are accepted and dropped, as
/// Huawei's own files carry five of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BertConfig {
    /// What differs from BERT.
    #[serde(
        default = "Family::bert",
        deserialize_with = "family::deserialize",
        skip_serializing_if = "Family::is_bert"
    )]
    pub family: &'static Family,
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of a hidden state.
    pub hidden_size: usize,
    /// Encoder layers.
    pub num_hidden_layers: usize,
    /// Attention heads a layer; divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// `gelu` (exact), `gelu_new` or `gelu_pytorch_tanh` (tanh form), or `relu`.
    #[serde(default = "default_hidden_act")]
    pub hidden_act: String,
    /// Dropout after embeddings, attention output, feed-forward and pooler, in training.
    #[serde(default = "default_dropout")]
    pub hidden_dropout_prob: f64,
    /// Dropout before the classifier, where the family has a key of its own for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq_classif_dropout: Option<f64>,
    /// Dropout of attention probabilities, in training.
    #[serde(default = "default_dropout")]
    pub attention_probs_dropout_prob: f64,
    /// Longest input in tokens.
    pub max_position_embeddings: usize,
    /// Segments of an input; 0 for a family without embeddings of token types.
    #[serde(default = "default_type_vocab_size")]
    pub type_vocab_size: usize,
    /// Standard deviation of initial weights.
    #[serde(default = "default_initializer_range")]
    pub initializer_range: f64,
    /// Added to the variance in layer norms.
    #[serde(default = "default_layer_norm_eps")]
    pub layer_norm_eps: f64,
    /// Id of the padding token.
    #[serde(default)]
    pub pad_token_id: usize,
    /// Label names by class, as a fine-tuned model carries them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub id2label: BTreeMap<String, String>,
    /// How the classifier's outputs are read, such as `multi_label_classification`. Written by
    /// [`Self::to_json`] alone, from the labels.
    #[serde(default, skip_serializing)]
    pub problem_type: Option<String>,
    /// `relu` where the classifier reads `relu(pooled)`; absent for the plain head, which is
    /// the one that `transformers` computes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tinyrun_head: Option<String>,
    /// Positions relative to each other as MindSpore's BERT defines them
    /// (docs/concepts/models.md#relative-positions): no table of positions, and one of distances in
    /// each layer. `transformers` does not know them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub use_relative_positions: bool,
    /// Rows of the table of biases by distance, where the family has one.
    #[serde(
        default,
        rename = "relative_attention_num_buckets",
        skip_serializing_if = "Option::is_none"
    )]
    pub relative_buckets: Option<usize>,
    /// Whether the word embedding of the padding token is trained
    /// (docs/concepts/models.md#the-pad-row). A setting of a training, which no `config.json` has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub train_padding: bool,
}

/// Fields that a `config.json` has in another form, or not at all.
const NOT_IN_FILES: [&str; 3] = ["id2label", "family", "train_padding"];

/// Distances between positions that are told apart, in each direction.
pub const MAX_RELATIVE_DISTANCE: usize = 16;

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
    pub(super) fn read_file(path: &Path) -> Result<Self, ModelError> {
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

    /// Checks the values; `path` is named in the error.
    ///
    /// # Errors
    /// The first value, in the order of the fields, that no supported BERT has.
    pub fn check(&self, path: &Path) -> Result<(), ModelError> {
        let fault = |key: &'static str, value: String, expected: String| {
            Err(ModelError::Value {
                path: path.to_owned(),
                key: self.family.key(key),
                value,
                expected,
            })
        };
        for (key, size, largest) in [
            ("vocab_size", self.vocab_size, MAX_SIZE),
            ("hidden_size", self.hidden_size, MAX_SIZE),
            ("num_hidden_layers", self.num_hidden_layers, MAX_LAYERS),
            ("num_attention_heads", self.num_attention_heads, MAX_SIZE),
            ("intermediate_size", self.intermediate_size, MAX_SIZE),
            (
                "max_position_embeddings",
                self.max_position_embeddings,
                MAX_SIZE,
            ),
            // A family without token types has none of them.
            (
                "type_vocab_size",
                self.type_vocab_size + usize::from(!self.family.token_types),
                MAX_SIZE,
            ),
        ] {
            if size == 0 || size > largest {
                return fault(key, size.to_string(), format!("1 to {largest}"));
            }
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return fault(
                "hidden_size",
                self.hidden_size.to_string(),
                format!(
                    "a multiple of `{}`, which is {}",
                    self.family.key("num_attention_heads"),
                    self.num_attention_heads
                ),
            );
        }
        if !HIDDEN_ACTS.contains(&self.hidden_act.as_str()) {
            let value = format!("`{}`", self.hidden_act);
            return fault(
                "hidden_act",
                value,
                format!("one of {}", ticked(&HIDDEN_ACTS)),
            );
        }
        for (key, share) in [
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            ("seq_classif_dropout", self.classifier_dropout()),
            (
                "attention_probs_dropout_prob",
                self.attention_probs_dropout_prob,
            ),
        ] {
            if !(0.0..1.0).contains(&share) {
                return fault(key, share.to_string(), "at least 0 and below 1".to_owned());
            }
        }
        if self.initializer_range < 0.0 {
            return fault(
                "initializer_range",
                self.initializer_range.to_string(),
                "at least 0".to_owned(),
            );
        }
        if self.layer_norm_eps <= 0.0 {
            return fault(
                "layer_norm_eps",
                self.layer_norm_eps.to_string(),
                "above 0".to_owned(),
            );
        }
        let longest = self.longest_input();
        if longest == 0 {
            return fault(
                "max_position_embeddings",
                self.max_position_embeddings.to_string(),
                format!("above {}", self.family.first_position),
            );
        }
        if let Some(buckets) = self.relative_buckets.filter(|it| *it < LEAST_BUCKETS) {
            let expected = format!("at least {LEAST_BUCKETS}");
            return fault(RELATIVE_BUCKETS, buckets.to_string(), expected);
        }
        if let Some(pad) = self.family.pad().filter(|pad| *pad != self.pad_token_id) {
            let expected = format!("{pad}, the padding token of every {}", self.family.title);
            return fault("pad_token_id", self.pad_token_id.to_string(), expected);
        }
        if self.pad_token_id >= self.vocab_size {
            return fault(
                "pad_token_id",
                self.pad_token_id.to_string(),
                format!("below `vocab_size`, which is {}", self.vocab_size),
            );
        }
        match self.tinyrun_head.as_deref() {
            None | Some("plain" | "relu") => Ok(()),
            Some(head) => fault(
                "tinyrun_head",
                format!("`{head}`"),
                "one of `plain` and `relu`".to_owned(),
            ),
        }
    }

    /// Tokens of the longest input: as many as there are positions, without those of padding.
    pub fn longest_input(&self) -> usize {
        self.max_position_embeddings
            .saturating_sub(self.family.first_position)
    }

    /// Row of the word embeddings that gets no gradient; -1: none.
    pub fn fixed_row(&self) -> i64 {
        i64::try_from(self.pad_token_id)
            .ok()
            .filter(|_| !self.train_padding)
            .unwrap_or(-1)
    }

    /// Its shape, and how it is computed, for a line.
    pub fn described(&self) -> String {
        let positions = if self.use_relative_positions {
            ", relative positions"
        } else {
            ""
        };
        format!(
            "{} layers, {} wide, {} heads, activation {}, epsilon {:e}{positions}",
            self.num_hidden_layers,
            self.hidden_size,
            self.num_attention_heads,
            self.hidden_act,
            self.layer_norm_eps,
        )
    }

    /// Width of one attention head.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Dropout of attention's output, in training; 0 for a family that has none.
    pub fn attention_output_dropout(&self) -> f64 {
        if self.family.attention_output_dropout {
            self.hidden_dropout_prob
        } else {
            0.0
        }
    }

    /// Dropout before the classifier, in training.
    pub fn classifier_dropout(&self) -> f64 {
        match self.family.classifier_dropout {
            Some(default) => self.seq_classif_dropout.unwrap_or(default),
            None => self.hidden_dropout_prob,
        }
    }

    /// Label names in class order; empty where the file names none, or not each from 0 upwards.
    pub fn labels(&self) -> Vec<String> {
        let names: Option<Vec<String>> = (0..self.id2label.len())
            .map(|class| self.id2label.get(&class.to_string()).cloned())
            .collect();
        names.unwrap_or_default()
    }

    /// Content of a `config.json` that `transformers` opens, for an encoder alone or one that
    /// classifies: then with these labels in class order, without any for a regression.
    pub fn to_json(&self, classifies: bool, labels: &[String]) -> Value {
        let Ok(Value::Object(own)) = serde_json::to_value(self) else {
            unreachable!("a struct with named fields is an object")
        };
        let family = match Family::of(&own) {
            flagged if flagged.flag.is_some() => flagged,
            _ => self.family,
        };
        let class = if classifies {
            family.classifier_class
        } else {
            family.encoder_class
        };
        let mut object = Map::new();
        object.insert("architectures".to_owned(), json!([class]));
        object.insert("model_type".to_owned(), json!(family.model_type));
        let own = family.with_own_keys(own).into_iter();
        let own = own.filter(|(key, _)| !NOT_IN_FILES.contains(&key.as_str()));
        object.extend(own);
        if let Some(positions) = family.positions {
            object.insert("position_embedding_type".to_owned(), json!(positions));
        }
        object.insert("torch_dtype".to_owned(), json!("float32"));
        if labels.is_empty() && classifies {
            // `transformers` counts the labels by their names.
            object.insert("id2label".to_owned(), json!({"0": "LABEL_0"}));
            object.insert("label2id".to_owned(), json!({"LABEL_0": 0}));
            object.insert("problem_type".to_owned(), json!("regression"));
        }
        if !labels.is_empty() {
            let id2label: Map<String, Value> = labels
                .iter()
                .enumerate()
                .map(|(class, name)| (class.to_string(), json!(name)))
                .collect();
            let label2id: Map<String, Value> = labels
                .iter()
                .enumerate()
                .map(|(class, name)| (name.clone(), json!(class)))
                .collect();
            object.insert("id2label".to_owned(), Value::Object(id2label));
            object.insert("label2id".to_owned(), Value::Object(label2id));
            object.insert(
                "problem_type".to_owned(),
                json!("single_label_classification"),
            );
        }
        Value::Object(object)
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

fn default_hidden_act() -> String {
    "gelu".to_owned()
}
fn default_dropout() -> f64 {
    0.1
}
fn default_type_vocab_size() -> usize {
    2
}
fn default_initializer_range() -> f64 {
    0.02
}
fn default_layer_norm_eps() -> f64 {
    1e-12
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const WHOLE: &str = r#"{
  "vocab_size": 64, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
  "intermediate_size": 40, "max_position_embeddings": 32
}"#;

    fn read(text: &str) -> Result<BertConfig, ModelError> {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("config.json"), text).unwrap();
        BertConfig::read(folder.path())
    }

    /// The error of a whole file in which one key has another value, or is there in addition.
    fn error_of(key: &str, value: Value) -> String {
        let mut object: Map<String, Value> = serde_json::from_str(WHOLE).unwrap();
        object.insert(key.to_owned(), value);
        read(&Value::Object(object).to_string())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn defaults_are_those_of_bert() {
        let config = read(WHOLE).unwrap();
        assert_eq!(config.hidden_act, "gelu");
        assert_eq!((config.type_vocab_size, config.head_size()), (2, 6));
        assert_eq!(config.layer_norm_eps.to_bits(), 1e-12_f64.to_bits());
        assert!(config.labels().is_empty());
    }

    #[test]
    fn bad_json_is_named_by_line_and_column() {
        let error = read("{\n  \"vocab_size\": 64,\n}").unwrap_err().to_string();
        assert!(
            error.contains("config.json:3:1`: trailing comma"),
            "{error}"
        );
    }

    #[test]
    fn a_pointer_or_a_web_page_in_its_place_is_named() {
        for (text, what) in [
            (
                "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n",
                "Git LFS",
            ),
            ("<!doctype html>\n<html>", "web page"),
        ] {
            let error = read(text).unwrap_err();
            assert!(matches!(error, ModelError::NotConfig { .. }), "{error}");
            assert!(error.to_string().contains(what), "{error}");
        }
    }

    #[test]
    fn a_value_of_another_type_is_named_with_its_key() {
        let error = read(&WHOLE.replace("24", "\"24\""))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("`hidden_size` in"), "{error}");
        assert!(error.ends_with("is \"24\", expected an integer"), "{error}");
    }

    #[test]
    fn a_missing_file_and_missing_keys_are_named() {
        let folder = TempDir::new().unwrap();
        let error = BertConfig::read(folder.path()).unwrap_err();
        assert!(
            error.to_string().ends_with("config.json` does not exist"),
            "{error}"
        );
        let error = read(r#"{"vocab_size": 64, "hidden_size": 24, "intermediate_size": 40, "max_position_embeddings": 32}"#)
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("lacks `num_hidden_layers` and `num_attention_heads`"),
            "{error}"
        );
    }

    #[test]
    fn values_that_no_supported_bert_has_are_named_with_what_is_allowed() {
        for (key, value, expected) in [
            ("vocab_size", json!(0), "`vocab_size`"),
            (
                "num_hidden_layers",
                json!(1_000_000_000),
                "expected 1 to 1024",
            ),
            (
                "num_attention_heads",
                json!(5),
                "expected a multiple of `num_attention_heads`, which is 5",
            ),
            (
                "hidden_act",
                json!("swish"),
                "is `swish`, expected one of `gelu`",
            ),
            (
                "model_type",
                json!("roberta"),
                "is `roberta`, expected one of `bert`, `distilbert` and `mpnet`",
            ),
            (
                "position_embedding_type",
                json!("relative_key"),
                "expected `absolute`",
            ),
            ("hidden_dropout_prob", json!(1.0), "at least 0 and below 1"),
            ("layer_norm_eps", json!(0.0), "above 0"),
            ("pad_token_id", json!(64), "below `vocab_size`, which is 64"),
            ("tinyrun_head", json!("tanh"), "one of `plain` and `relu`"),
        ] {
            let error = error_of(key, value);
            assert!(error.contains(expected), "{key}: {error}");
        }
    }

    #[test]
    fn labels_are_in_class_order_beyond_ten() {
        let mut config = read(WHOLE).unwrap();
        config.id2label = (0..12)
            .map(|class| (class.to_string(), format!("label {class}")))
            .collect();
        assert_eq!(config.labels()[10], "label 10");
        assert_eq!(config.labels()[2], "label 2");
        config.id2label.remove("3");
        assert!(config.labels().is_empty());
    }

    const DISTILBERT: &str = r#"{
  "model_type": "distilbert", "vocab_size": 64, "dim": 24, "n_layers": 3, "n_heads": 4,
  "hidden_dim": 40, "max_position_embeddings": 32, "activation": "relu", "dropout": 0.3
}"#;

    #[test]
    fn a_distilbert_is_read_and_written_under_its_own_keys() {
        let config = read(DISTILBERT).unwrap();
        assert_eq!((config.hidden_size, config.type_vocab_size), (24, 0));
        assert_eq!(config.hidden_act, "relu");
        let dropouts = [
            config.hidden_dropout_prob,
            config.attention_output_dropout(),
            config.classifier_dropout(),
        ];
        // The last is the default of `transformers`.
        assert_eq!(format!("{dropouts:?}"), "[0.3, 0.0, 0.2]");
        let written = config.to_json(false, &[]);
        assert_eq!(written["architectures"], json!(["DistilBertModel"]));
        assert_eq!(written["hidden_dim"], 40);
        let keys = ["hidden_size", "type_vocab_size", "layer_norm_eps", "family"];
        assert!(
            keys.iter().all(|key| written.get(key).is_none()),
            "{written}"
        );
        assert_eq!(read(&written.to_string()).unwrap(), config);
        // As a job has it.
        let sent = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<BertConfig>(&sent).unwrap(), config);
    }

    const MPNET: &str = r#"{
  "model_type": "mpnet", "vocab_size": 64, "hidden_size": 24, "num_hidden_layers": 3,
  "num_attention_heads": 4, "intermediate_size": 40, "max_position_embeddings": 34, "pad_token_id": 1
}"#;

    #[test]
    fn an_mpnet_has_no_positions_for_padding_and_a_table_of_distances() {
        let config = read(MPNET).unwrap();
        assert_eq!((config.longest_input(), config.type_vocab_size), (32, 0));
        assert_eq!(config.relative_buckets, Some(32));
        let written = config.to_json(true, &[]);
        assert_eq!(written["relative_attention_num_buckets"], 32);
        assert_eq!(written["pad_token_id"], 1);
        assert_eq!(read(&written.to_string()).unwrap().family, config.family);
        let sent = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<BertConfig>(&sent).unwrap(), config);
        for (from, to, expected) in [
            (
                "\"max_position_embeddings\": 34",
                "\"max_position_embeddings\": 2",
                "above 2",
            ),
            (
                "\"pad_token_id\": 1",
                "\"pad_token_id\": 0",
                "expected 1, the padding token",
            ),
            (
                "\"vocab_size\": 64",
                "\"vocab_size\": 64, \"relative_attention_num_buckets\": 16",
                "is 16, expected at least 32",
            ),
        ] {
            let error = read(&MPNET.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let unstated = MPNET.replace(", \"pad_token_id\": 1", "");
        assert_eq!(read(&unstated).unwrap().pad_token_id, 1);
    }

    #[test]
    fn faults_of_a_distilbert_name_its_own_keys() {
        let error = |from: &str, to: &str| {
            let error = read(&DISTILBERT.replace(from, to)).unwrap_err();
            error.to_string()
        };
        for (from, to, expected) in [
            (
                "\"n_heads\": 4",
                "\"n_heads\": 5",
                "a multiple of `n_heads`, which is 5",
            ),
            ("\"dim\": 24", "\"dim\": \"24\"", "`dim` in"),
            ("\"dim\": 24,", "", "lacks `dim`"),
            ("\"dropout\": 0.3", "\"dropout\": 1.0", "`dropout` in"),
        ] {
            let error = error(from, to);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut config = read(WHOLE).unwrap();
        config.tinyrun_head = Some("relu".to_owned());
        let labels = ["negative".to_owned(), "positive".to_owned()];
        let written = config.to_json(true, &labels);
        assert_eq!(written["label2id"], json!({"negative": 0, "positive": 1}));
        assert_eq!(written["tinyrun_head"], "relu");
        let again = read(&written.to_string()).unwrap();
        assert_eq!(again.labels(), labels);
        config.id2label = again.id2label.clone();
        config.problem_type = Some("single_label_classification".to_owned());
        assert_eq!(again, config);
    }
}
