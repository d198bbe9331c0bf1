//! A model whose vocabulary has the tokens of another one under other ids: how its table of words is read in the
//! other's order, and written back in its own.

use serde::{Deserialize, Serialize};

use super::config::BertConfig;

/// The ids of the data for a model with a vocabulary of its own. Inside tinyrun the model reads the data's ids, so its
/// table of words has the data's order; its files keep the model's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenMap {
    /// For each row of the table in the data's order, the model's own row. Behind the ids of the data are rows of
    /// tokens that the data do not have.
    pub rows: Vec<u32>,
    /// For each id of the model's own vocabulary, its row in the data's order.
    pub own: Vec<u32>,
    /// The data's padding token.
    pub pad: u32,
    /// The model's own.
    pub own_pad: u32,
}

impl TokenMap {
    /// The shape of a model that reads the data's ids.
    pub(super) fn apply(&self, config: &mut BertConfig) {
        config.vocab_size = self.rows.len();
        config.pad_token_id = self.pad as usize;
    }

    /// The shape that its files have: the reverse of reading it.
    #[must_use]
    pub fn in_files(&self, config: &BertConfig) -> BertConfig {
        BertConfig {
            vocab_size: self.own.len(),
            pad_token_id: self.own_pad as usize,
            ..config.clone()
        }
    }
}
