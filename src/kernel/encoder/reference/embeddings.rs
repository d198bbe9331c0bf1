//! Word, position and segment embeddings.

use tch::{Kind, Tensor};
use tinyrun_base::model::config::BertConfig;

use crate::batch::Batch;
use crate::dropout::dropout;
use crate::encoder::linear::{LayerNorm, cast};
use crate::parameters::Parameters;

/// Sum of the embeddings, normalised.
#[derive(Debug)]
pub(super) struct Embeddings {
    words: Tensor,
    /// `None` where positions are relative.
    positions: Option<Tensor>,
    /// Row of the positions that the first token has.
    first_position: i64,
    /// `None` for a family that has none.
    token_types: Option<Tensor>,
    norm: LayerNorm,
    /// Row of the words that gets no gradient; -1: none.
    fixed_row: i64,
    dropout: f64,
}

impl Embeddings {
    /// The parameters below `bert.embeddings`.
    pub(super) fn new(parameters: &Parameters, config: &BertConfig) -> Self {
        let get = |name: &str| parameters.get(&format!("bert.embeddings.{name}.weight"));
        Self {
            words: get("word_embeddings"),
            positions: (!config.use_relative_positions).then(|| get("position_embeddings")),
            first_position: config.family.first_position as i64,
            token_types: (config.family.token_types).then(|| get("token_type_embeddings")),
            norm: LayerNorm::new(
                parameters,
                "bert.embeddings.LayerNorm",
                config.layer_norm_eps,
            ),
            fixed_row: config.fixed_row(),
            dropout: config.hidden_dropout_prob,
        }
    }

    /// Hidden state 0, `[B, L, d]` in `kind`: after layer norm and dropout
    /// (docs/concepts/losses.md#hidden-states).
    pub(super) fn forward_t(&self, batch: &Batch, kind: Kind, train: bool) -> Tensor {
        // The sum is taken in the format of the tables: rounding three addends to bf16 before
        // adding them would cost a bit for nothing.
        let (table, rows, pad) = match &batch.words {
            Some(part) => (&part.rows, &part.places, part.pad),
            None => (&self.words, &batch.input_ids, self.fixed_row),
        };
        let mut sum = Tensor::embedding(table, rows, pad, false, false);
        if let Some(token_types) = &self.token_types {
            sum += Tensor::embedding(token_types, &batch.token_type_ids, -1, false, false);
        }
        if let Some(positions) = &self.positions {
            sum += positions.narrow(0, self.first_position, batch.input_ids.size()[1]);
        }
        dropout(&self.norm.forward(&cast(&sum, kind)), self.dropout, train)
    }
}
