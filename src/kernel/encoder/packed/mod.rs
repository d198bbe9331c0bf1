//! The encoder of BERT's shape over batches without padding: an embedding and four nodes of
//! libtorch's graph per layer, each computed in the C++ of `native/`.

mod dense;
mod layer;

use tch::{Device, Kind, Tensor};
use tinyrun_base::model::config::BertConfig;

use self::dense::Norm;
use self::layer::Layer;
use super::distances::DistanceBias;
use super::{Encode, Output, Wanted};
use crate::batch::{Batch, Unpadded};
use crate::dropout::{DropoutMask, Over};
use crate::native::{self, EmbeddingLookup};
use crate::parameters::Parameters;

/// Embeddings and encoder layers.
#[derive(Debug)]
pub(super) struct Encoder {
    words: Tensor,
    positions: Tensor,
    /// Row of the positions that the first token has.
    first_position: i64,
    distances: Option<DistanceBias>,
    /// Rows of zeros, which are not trained, for a family that has none.
    token_types: Tensor,
    norm: Norm,
    /// Row of the words that gets no gradient; -1: none.
    fixed_row: i64,
    dropout: f64,
    layers: Vec<Layer>,
    kind: Kind,
}

impl Encoder {
    /// The parameters below `bert.`, trained, computing in `kind`.
    pub(super) fn trained(parameters: &Parameters, config: &BertConfig, kind: Kind) -> Self {
        let layers = 0..config.num_hidden_layers;
        let layers = layers.map(|index| Layer::trained(parameters, index, config));
        Self::new(parameters, config, kind, layers.collect())
    }

    /// The same, only read; of the last layer the `first` tokens alone, where that is so.
    pub(super) fn frozen(
        parameters: &Parameters,
        config: &BertConfig,
        kind: Kind,
        first: bool,
    ) -> Self {
        let count = config.num_hidden_layers;
        let layers = (0..count).map(|index| {
            let first = first && index + 1 == count;
            Layer::frozen(parameters, index, config, kind, first)
        });
        Self::new(parameters, config, kind, layers.collect())
    }

    fn new(parameters: &Parameters, config: &BertConfig, kind: Kind, layers: Vec<Layer>) -> Self {
        let table = |name: &str| parameters.get(&format!("bert.embeddings.{name}.weight"));
        let no_token_types = || {
            let size = [2, config.hidden_size as i64];
            Tensor::zeros(size, (Kind::Float, Device::Cpu))
        };
        Self {
            words: table("word_embeddings"),
            positions: table("position_embeddings"),
            first_position: config.family.first_position as i64,
            distances: DistanceBias::new(parameters, config),
            token_types: if config.family.token_types {
                table("token_type_embeddings")
            } else {
                no_token_types()
            },
            norm: Norm::new(parameters, "bert.embeddings.LayerNorm", config),
            fixed_row: config.fixed_row(),
            dropout: config.hidden_dropout_prob,
            layers,
            kind,
        }
    }

    /// Hidden state 0, `[T, d]`: after layer norm and dropout
    /// (docs/concepts/losses.md#hidden-states).
    fn embed(&self, batch: &Batch, rows: &Unpadded, train: bool) -> Tensor {
        let (table, places, pad) = match &batch.words {
            Some(part) => (&part.rows, &part.places, part.pad),
            None => (&self.words, &batch.input_ids, self.fixed_row),
        };
        let taken = |table, rows| EmbeddingLookup { table, rows };
        // The table itself, where all of it is used: a leaf of the graph.
        let positions = match self.first_position {
            0 => self.positions.shallow_clone(),
            first => self.positions.slice(0, first, None, 1),
        };
        native::embeddings(
            taken(table, places),
            pad,
            taken(&self.token_types, &batch.token_type_ids),
            taken(&positions, &rows.positions),
            self.norm.native(),
            DropoutMask::next(self.dropout, train, Over::Tokens(self.words.size()[1])),
            self.kind,
        )
    }
}

impl Encode for Encoder {
    fn forward_t(&self, batch: &Batch, wanted: Wanted<'_>, train: bool) -> Output {
        let rows = batch.unpadded.as_ref();
        let rows = rows.expect("a batch is laid out as its encoder says");
        let mut hidden = self.embed(batch, rows, train);
        let mut output = Output {
            hidden_states: Vec::new(),
            attention_scores: Vec::new(),
            attention_squares: Vec::new(),
            qkv: Vec::new(),
        };
        let distances = self.distances.as_ref();
        let bias = distances.map(|bias| bias.by_distance(rows.longest));
        for (index, layer) in self.layers.iter().enumerate() {
            // Of the last layer's tokens only the first is read; the others are its keys and values.
            let first = wanted.is_first() && index + 1 == self.layers.len();
            let teacher = match wanted {
                Wanted::Squares(teacher) => Some(&teacher[index]),
                _ => None,
            };
            let scores = (teacher, wanted.keeps_scores(index));
            let done = layer.forward_t(&hidden, first, rows, bias.as_ref(), scores, train);
            let before = std::mem::replace(&mut hidden, done.hidden);
            if !wanted.is_first() {
                output.hidden_states.push(before);
                output.attention_scores.push(done.scores);
                output.attention_squares.push(done.squares);
                let qkv = Some(done.qkv).filter(|_| wanted.keeps_qkv(index));
                output.qkv.push(qkv.unwrap_or_else(Tensor::new));
            }
        }
        if wanted.is_first() {
            // A model without layers has the first tokens among the others.
            if self.layers.is_empty() {
                hidden = hidden.index_select(0, &rows.first);
            }
            hidden = hidden.unsqueeze(1);
        }
        output.hidden_states.push(hidden);
        output
    }
}
