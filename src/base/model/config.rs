//! `config.json` of a model: the shape of an encoder, and what follows from it.

mod check;
mod read;
mod write;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::family::{self, Family};

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

/// Distances between positions that are told apart, in each direction.
pub const MAX_RELATIVE_DISTANCE: usize = 16;

impl BertConfig {
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
mod tests;
