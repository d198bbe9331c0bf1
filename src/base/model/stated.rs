//! A model as it is named: its path, and what is stated of it beside that path.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::config::BertConfig;
use super::token_map::TokenMap;

/// What holds for a model beside its files: settings that its checkpoint does not hold, where they are not the ones
/// that such a checkpoint implies, and what is made of a model otherwise than its files say. Of a model folder the
/// dropouts, the layers and the ids alone are looked at: it has the others in its `config.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stated {
    /// Attention heads a layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_attention_heads: Option<usize>,
    /// Activation of the feed-forward layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden_act: Option<String>,
    /// Epsilon of layer norms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_norm_eps: Option<f64>,
    /// Dropout of hidden states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden_dropout_prob: Option<f64>,
    /// Dropout of attention probabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_probs_dropout_prob: Option<f64>,
    /// Longest input in tokens. A table of positions must have as many rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_position_embeddings: Option<usize>,
    /// Layers that are kept, from 0 on, in this order; all of them where empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<usize>,
    /// Ids that it reads in place of its own vocabulary's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenMap>,
}

impl Stated {
    /// Whether nothing is stated.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These values, and those of `other` where nothing is stated.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            num_attention_heads: self.num_attention_heads.or(other.num_attention_heads),
            hidden_act: self.hidden_act.or(other.hidden_act),
            layer_norm_eps: self.layer_norm_eps.or(other.layer_norm_eps),
            hidden_dropout_prob: self.hidden_dropout_prob.or(other.hidden_dropout_prob),
            attention_probs_dropout_prob: (self.attention_probs_dropout_prob)
                .or(other.attention_probs_dropout_prob),
            max_position_embeddings: (self.max_position_embeddings)
                .or(other.max_position_embeddings),
            layers: if self.layers.is_empty() {
                other.layers
            } else {
                self.layers
            },
            tokens: self.tokens.or(other.tokens),
        }
    }

    /// What holds for a model in inference, where dropout is off.
    #[must_use]
    pub fn without_dropouts(self) -> Self {
        Self {
            hidden_dropout_prob: None,
            attention_probs_dropout_prob: None,
            ..self
        }
    }

    /// Puts the stated values in place of implied ones.
    pub(super) fn apply(&self, config: &mut BertConfig) {
        fn put<T: Clone>(value: &mut T, stated: Option<&T>) {
            if let Some(stated) = stated {
                value.clone_from(stated);
            }
        }
        let heads = self.num_attention_heads.as_ref();
        put(&mut config.num_attention_heads, heads);
        put(&mut config.hidden_act, self.hidden_act.as_ref());
        put(&mut config.layer_norm_eps, self.layer_norm_eps.as_ref());
        let positions = self.max_position_embeddings.as_ref();
        put(&mut config.max_position_embeddings, positions);
    }

    /// Changes the shape of a model as it is in its files to that of the model that is made of it: what counts for
    /// folders too.
    pub fn reshape(&self, config: &mut BertConfig) {
        if let Some(dropout) = self.hidden_dropout_prob {
            config.hidden_dropout_prob = dropout;
            config.seq_classif_dropout = config.seq_classif_dropout.map(|_| dropout);
        }
        if let Some(dropout) = self.attention_probs_dropout_prob {
            config.attention_probs_dropout_prob = dropout;
        }
        if !self.layers.is_empty() {
            config.num_hidden_layers = self.layers.len();
        }
        if let Some(tokens) = &self.tokens {
            tokens.apply(config);
        }
    }
}

/// Where a model is, and what is stated of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRef {
    /// Model folder, or a checkpoint.
    pub path: PathBuf,
    /// What holds beside its files.
    #[serde(default, skip_serializing_if = "Stated::is_empty")]
    pub stated: Stated,
}

/// A model without stated settings.
impl<P: Into<PathBuf>> From<P> for ModelRef {
    fn from(path: P) -> Self {
        Self {
            path: path.into(),
            stated: Stated::default(),
        }
    }
}

/// The path.
impl Deref for ModelRef {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

/// Whether a path names a file that is a model by itself, and not a model folder.
pub fn is_checkpoint(path: &Path) -> bool {
    let ending = path.extension();
    ending.is_some_and(|ending| ending == "ckpt" || ending == "safetensors")
}
