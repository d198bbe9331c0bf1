//! Families of encoders: a row of [`FAMILIES`] says how a family differs from BERT, in its files and
//! in what it computes.
//!
//! Inside tinyrun every model has BERT's names, keys and shape ([`super::names`]); reading and
//! writing a folder translates by the row that its `config.json` names.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// How a family differs from BERT.
#[derive(Debug, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a difference of its own"
)]
pub struct Family {
    /// `model_type` in `config.json`.
    pub model_type: &'static str,
    /// Its name in messages.
    pub title: &'static str,
    /// `position_embedding_type` in `config.json`; `None` where the family has no such key.
    pub positions: Option<&'static str>,
    /// What tells the family where `model_type` is not written: this key is `true`.
    pub flag: Option<&'static str>,
    /// Class of the encoder alone, in `architectures`.
    pub encoder_class: &'static str,
    /// Class of the encoder with a classifier.
    pub classifier_class: &'static str,
    /// What the encoder's tensors begin with in a model that has a classifier.
    pub prefix: &'static str,
    /// Keys of `config.json` with another name: BERT's, and the family's.
    pub keys: &'static [(&'static str, &'static str)],
    /// Parts of tensor names that differ, without the prefix: BERT's, and the family's. They are
    /// replaced in this order.
    pub tensors: &'static [(&'static str, &'static str)],
    /// What the tensors of pre-training heads begin with, which no model here needs.
    pub pretraining: &'static [&'static str],
    /// Whether embeddings of token types (segments) are added. Without them `type_vocab_size` is 0.
    pub token_types: bool,
    /// Epsilon of layer norms where it is no key of `config.json`.
    pub layer_norm_eps: Option<f64>,
    /// Activation between pooler and classifier.
    pub pools: Pooling,
    /// Whether the pooler is part of the encoder; else it is the first layer of the classifier, and
    /// a model without one has none.
    pub pooler_in_encoder: bool,
    /// Whether the output of attention is dropped out before the residual is added.
    pub attention_output_dropout: bool,
    /// Whether the classifier's first layer reads the last hidden state after dropout.
    pub classifier_input_dropout: bool,
    /// Row of the table of positions that the first token has: those before stand for padding.
    pub first_position: usize,
    /// Whether scores have a bias by the distance of two tokens.
    pub relative_bias: bool,
    /// `seq_classif_dropout` where it is not written; `None` where the classifier's dropout is
    /// `hidden_dropout_prob`.
    pub classifier_dropout: Option<f64>,
}

/// Activation between pooler and classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// `tanh`, as BERT's pooler.
    Tanh,
    /// `max(x, 0)`.
    Relu,
}

/// Every family that is read and written. The first is what a file is that does not say.
pub static FAMILIES: [Family; 4] = [
    BERT,
    // MindSpore's BERT with relative positions (docs/concepts/models.md#relative-positions).
    // `transformers` would compute it otherwise, so it has a name that `transformers` refuses.
    Family {
        model_type: "tinyrun-bert",
        positions: Some("relative"),
        flag: Some("use_relative_positions"),
        ..BERT
    },
    // Sanh et al. 2019, arXiv 1910.01108, as `transformers` computes it
    // (docs/concepts/models.md#distilbert).
    Family {
        model_type: "distilbert",
        title: "DistilBERT",
        positions: None,
        flag: None,
        encoder_class: "DistilBertModel",
        classifier_class: "DistilBertForSequenceClassification",
        prefix: "distilbert.",
        keys: &[
            ("hidden_size", "dim"),
            ("num_hidden_layers", "n_layers"),
            ("num_attention_heads", "n_heads"),
            ("intermediate_size", "hidden_dim"),
            ("hidden_act", "activation"),
            ("hidden_dropout_prob", "dropout"),
            ("attention_probs_dropout_prob", "attention_dropout"),
        ],
        tensors: &[
            ("encoder.layer.", "transformer.layer."),
            ("attention.self.query.", "attention.q_lin."),
            ("attention.self.key.", "attention.k_lin."),
            ("attention.self.value.", "attention.v_lin."),
            ("attention.output.dense.", "attention.out_lin."),
            ("attention.output.LayerNorm.", "sa_layer_norm."),
            ("intermediate.dense.", "ffn.lin1."),
            ("output.dense.", "ffn.lin2."),
            ("output.LayerNorm.", "output_layer_norm."),
            ("pooler.dense.", "pre_classifier."),
        ],
        pretraining: &["vocab_transform.", "vocab_layer_norm.", "vocab_projector."],
        token_types: false,
        layer_norm_eps: Some(1e-12),
        pools: Pooling::Relu,
        pooler_in_encoder: false,
        attention_output_dropout: false,
        classifier_dropout: Some(0.2),
        ..BERT
    },
    // Song et al. 2020, arXiv 2004.09297, as `transformers` computes it
    // (docs/concepts/models.md#mpnet).
    Family {
        model_type: "mpnet",
        title: "MPNet",
        positions: None,
        flag: None,
        encoder_class: "MPNetModel",
        classifier_class: "MPNetForSequenceClassification",
        prefix: "mpnet.",
        tensors: &[
            ("attention.self.query.", "attention.attn.q."),
            ("attention.self.key.", "attention.attn.k."),
            ("attention.self.value.", "attention.attn.v."),
            ("attention.output.dense.", "attention.attn.o."),
            ("attention.output.LayerNorm.", "attention.LayerNorm."),
            ("classifier.", "classifier.out_proj."),
            ("pooler.dense.", "classifier.dense."),
        ],
        // A classifier of `transformers` does not read the pooler.
        pretraining: &["lm_head.", "pooler."],
        token_types: false,
        pooler_in_encoder: false,
        classifier_input_dropout: true,
        first_position: 2,
        relative_bias: true,
        ..BERT
    },
];

const BERT: Family = Family {
    model_type: "bert",
    title: "BERT",
    positions: Some("absolute"),
    flag: None,
    encoder_class: "BertModel",
    classifier_class: "BertForSequenceClassification",
    prefix: "bert.",
    keys: &[],
    tensors: &[],
    pretraining: &["cls."],
    token_types: true,
    layer_norm_eps: None,
    pools: Pooling::Tanh,
    pooler_in_encoder: true,
    attention_output_dropout: true,
    classifier_input_dropout: false,
    first_position: 0,
    relative_bias: false,
    classifier_dropout: None,
};

/// Key of the number of rows in the table of biases by distance.
pub(super) const RELATIVE_BUCKETS: &str = "relative_attention_num_buckets";

/// Buckets that distances are sorted into: the code of `transformers` takes no other number, and a
/// larger table has rows that nothing reads.
pub const LEAST_BUCKETS: usize = 32;

/// Every `model_type` that a `config.json` may name, for messages.
pub const MODEL_TYPES: &[&str] = &["bert", "distilbert", "mpnet"];

impl Family {
    /// The family of a `config.json`; the first where nothing says another.
    pub fn of(config: &Map<String, Value>) -> &'static Self {
        let is_set = |flag: &str| config.get(flag) == Some(&Value::Bool(true));
        let named = config.get("model_type").and_then(Value::as_str);
        let flagged = |family: &&Self| family.flag.is_some_and(is_set);
        let by_name = |family: &&Self| family.flag.is_none() && Some(family.model_type) == named;
        let mut found = FAMILIES.iter().filter(flagged);
        let mut found_by_name = FAMILIES.iter().filter(by_name);
        let family = found.next().or_else(|| found_by_name.next());
        family.unwrap_or_else(Self::bert)
    }

    /// BERT itself.
    pub fn bert() -> &'static Self {
        &FAMILIES[0]
    }

    /// BERT with positions relative to each other.
    pub(super) fn relative() -> &'static Self {
        &FAMILIES[1]
    }

    /// Whether it is BERT itself.
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde gives the field by reference"
    )]
    pub(super) fn is_bert(family: &&'static Self) -> bool {
        **family == FAMILIES[0]
    }

    /// The family of this `model_type`.
    pub fn named(model_type: &str) -> Option<&'static Self> {
        FAMILIES
            .iter()
            .find(|family| family.model_type == model_type)
    }

    /// What its models take of a tokenizer, as `model_input_names` of `transformers`.
    pub fn inputs(&self) -> &'static [&'static str] {
        if self.token_types {
            &["input_ids", "token_type_ids", "attention_mask"]
        } else {
            &["input_ids", "attention_mask"]
        }
    }

    /// The padding token's id where the family fixes it: the row of positions before the first.
    pub fn pad(&self) -> Option<usize> {
        self.first_position.checked_sub(1)
    }

    /// Whether the classifier of `transformers` has a form of its own, which a `head` does not change.
    pub fn has_own_head(&self) -> bool {
        !self.pooler_in_encoder
    }

    /// What the family calls one of BERT's keys.
    pub fn key(&self, key: &'static str) -> &'static str {
        let mut keys = self.keys.iter();
        keys.find(|(bert, _)| *bert == key)
            .map_or(key, |(_, own)| own)
    }

    /// A `config.json` of the family under BERT's keys, with the values that the family fixes.
    pub(super) fn with_berts_keys(&self, mut config: Map<String, Value>) -> Map<String, Value> {
        for (key, own) in self.keys {
            config.remove(*key);
            if let Some(value) = config.remove(*own) {
                config.insert((*key).to_owned(), value);
            }
        }
        if !self.token_types {
            config.insert("type_vocab_size".to_owned(), 0.into());
        }
        if let Some(epsilon) = self.layer_norm_eps {
            config.insert("layer_norm_eps".to_owned(), epsilon.into());
        }
        if let Some(pad) = self.pad() {
            config.entry("pad_token_id").or_insert(pad.into());
        }
        if self.relative_bias {
            let buckets = config.entry(RELATIVE_BUCKETS);
            buckets.or_insert(LEAST_BUCKETS.into());
        }
        config
    }

    /// The reverse of [`Self::with_berts_keys`], the order of the keys kept.
    pub(super) fn with_own_keys(&self, config: Map<String, Value>) -> Map<String, Value> {
        let is_fixed = |key: &str| match key {
            "type_vocab_size" => !self.token_types,
            "layer_norm_eps" => self.layer_norm_eps.is_some(),
            _ => false,
        };
        let own = |key: &str| {
            let mut keys = self.keys.iter();
            keys.find(|(bert, _)| *bert == key).map(|(_, own)| *own)
        };
        let kept = config.into_iter().filter(|(key, _)| !is_fixed(key));
        kept.map(|(key, value)| (own(&key).map_or(key.clone(), str::to_owned), value))
            .collect()
    }
}

/// By its `model_type`.
impl Serialize for Family {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.model_type)
    }
}

/// The family of a `model_type`, for `serde`.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<&'static Family, D::Error> {
    let name = String::deserialize(deserializer)?;
    Family::named(&name)
        .ok_or_else(|| serde::de::Error::custom(format!("there is no family `{name}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_list_every_family_that_a_file_may_name() {
        let named = FAMILIES.iter().filter(|family| family.flag.is_none());
        let named: Vec<&str> = named.map(|family| family.model_type).collect();
        assert_eq!(named, MODEL_TYPES);
    }
}
