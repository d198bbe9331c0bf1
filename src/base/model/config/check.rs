//! The values that a supported model has.

use std::fmt::Display;
use std::path::Path;

use super::BertConfig;
use crate::model::error::{ModelError, ticked};
use crate::model::family::{LEAST_BUCKETS, RELATIVE_BUCKETS};

/// What `hidden_act` may say.
const HIDDEN_ACTS: [&str; 4] = ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu"];

/// Longer lists of layers or larger axes are taken for a damaged file: names and shapes are
/// made from these numbers before a tensor is looked at.
const MAX_LAYERS: usize = 1024;
const MAX_SIZE: usize = i32::MAX as usize;

/// A value that no supported model has.
struct Unsupported {
    /// Its key, as BERT has it.
    key: &'static str,
    value: String,
    expected: String,
}

fn unsupported(
    key: &'static str,
    value: &dyn Display,
    expected: impl Into<String>,
) -> Result<(), Unsupported> {
    Err(Unsupported {
        key,
        value: value.to_string(),
        expected: expected.into(),
    })
}

impl BertConfig {
    /// Checks the values; `path` is named in the error.
    ///
    /// # Errors
    /// The first value, in the order of the fields, that no supported BERT has.
    pub fn check(&self, path: &Path) -> Result<(), ModelError> {
        let checks = [
            Self::check_sizes,
            Self::check_layers,
            Self::check_numbers,
            Self::check_inputs,
            Self::check_head,
        ];
        checks
            .iter()
            .try_for_each(|check| check(self))
            .map_err(|found| ModelError::Value {
                path: path.to_owned(),
                key: self.family.key(found.key),
                value: found.value,
                expected: found.expected,
            })
    }

    fn check_sizes(&self) -> Result<(), Unsupported> {
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
                return unsupported(key, &size, format!("1 to {largest}"));
            }
        }
        Ok(())
    }

    /// How the width is cut into heads, and the activation between two layers.
    fn check_layers(&self) -> Result<(), Unsupported> {
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return unsupported(
                "hidden_size",
                &self.hidden_size,
                format!(
                    "a multiple of `{}`, which is {}",
                    self.family.key("num_attention_heads"),
                    self.num_attention_heads
                ),
            );
        }
        if !HIDDEN_ACTS.contains(&self.hidden_act.as_str()) {
            let value = format!("`{}`", self.hidden_act);
            return unsupported(
                "hidden_act",
                &value,
                format!("one of {}", ticked(&HIDDEN_ACTS)),
            );
        }
        Ok(())
    }

    /// Dropouts and the numbers of layer norms and initial weights.
    fn check_numbers(&self) -> Result<(), Unsupported> {
        for (key, share) in [
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            ("seq_classif_dropout", self.classifier_dropout()),
            (
                "attention_probs_dropout_prob",
                self.attention_probs_dropout_prob,
            ),
        ] {
            if !(0.0..1.0).contains(&share) {
                return unsupported(key, &share, "at least 0 and below 1");
            }
        }
        if self.initializer_range < 0.0 {
            return unsupported("initializer_range", &self.initializer_range, "at least 0");
        }
        if self.layer_norm_eps <= 0.0 {
            return unsupported("layer_norm_eps", &self.layer_norm_eps, "above 0");
        }
        Ok(())
    }

    /// Positions, and the padding token.
    fn check_inputs(&self) -> Result<(), Unsupported> {
        let longest = self.longest_input();
        if longest == 0 {
            return unsupported(
                "max_position_embeddings",
                &self.max_position_embeddings,
                format!("above {}", self.family.first_position),
            );
        }
        if let Some(buckets) = self.relative_buckets.filter(|it| *it < LEAST_BUCKETS) {
            let expected = format!("at least {LEAST_BUCKETS}");
            return unsupported(RELATIVE_BUCKETS, &buckets, expected);
        }
        if let Some(pad) = self.family.pad().filter(|pad| *pad != self.pad_token_id) {
            let expected = format!("{pad}, the padding token of every {}", self.family.title);
            return unsupported("pad_token_id", &self.pad_token_id, expected);
        }
        if self.pad_token_id >= self.vocab_size {
            return unsupported(
                "pad_token_id",
                &self.pad_token_id,
                format!("below `vocab_size`, which is {}", self.vocab_size),
            );
        }
        Ok(())
    }

    fn check_head(&self) -> Result<(), Unsupported> {
        match self.tinyrun_head.as_deref() {
            None | Some("plain" | "relu") => Ok(()),
            Some(head) => unsupported(
                "tinyrun_head",
                &format!("`{head}`"),
                "one of `plain` and `relu`",
            ),
        }
    }
}
