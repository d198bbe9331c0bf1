//! Families of encoders: a row of [`FAMILIES`] says how the files of a family differ from BERT's.
//!
//! Inside tinyrun every model has BERT's names and shape ([`super::names`]); reading and writing a
//! folder translates by the row that its `config.json` names.

use serde_json::{Map, Value};

/// What the files of a family say of themselves.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// `model_type` in `config.json`.
    pub model_type: &'static str,
    /// `position_embedding_type` in `config.json`.
    pub positions: &'static str,
    /// What tells the family where `model_type` is not written: this key is `true`.
    pub flag: Option<&'static str>,
    /// Class of the encoder alone, in `architectures`.
    pub encoder_class: &'static str,
    /// Class of the encoder with a classifier.
    pub classifier_class: &'static str,
    /// What the encoder's tensors begin with in a model that has a classifier.
    pub prefix: &'static str,
}

/// Every family that is read and written. The first is what a file is that does not say.
pub const FAMILIES: [Family; 2] = [
    Family {
        model_type: "bert",
        positions: "absolute",
        flag: None,
        encoder_class: "BertModel",
        classifier_class: "BertForSequenceClassification",
        prefix: "bert.",
    },
    // MindSpore's BERT with relative positions (docs/concepts/models.md#relative-positions).
    // `transformers` would compute it otherwise, so it has a name that `transformers` refuses.
    Family {
        model_type: "tinyrun-bert",
        positions: "relative",
        flag: Some("use_relative_positions"),
        encoder_class: "BertModel",
        classifier_class: "BertForSequenceClassification",
        prefix: "bert.",
    },
];

impl Family {
    /// The family of a `config.json`; the first where nothing says another.
    pub fn of(config: &Map<String, Value>) -> &'static Self {
        let is_set = |flag: &str| config.get(flag) == Some(&Value::Bool(true));
        let mut families = FAMILIES.iter();
        let flagged = families.find(|family| family.flag.is_some_and(is_set));
        flagged.unwrap_or(&FAMILIES[0])
    }
}
