//! The encoder in libtorch's operations, with the names and the order of Hugging Face's
//! `BertModel`: to be read, and for everything that [`super::packed`] does not compute.

mod attention;
mod embeddings;
mod layer;
mod relative;

use tch::{Kind, Tensor};
use tinyrun_base::model::config::BertConfig;

use self::attention::Keeps;
use self::embeddings::Embeddings;
use self::layer::Layer;
use super::distances::DistanceBias;
use super::{Encode, Output, Wanted};
use crate::batch::Batch;
use crate::parameters::Parameters;

/// Embeddings and encoder layers.
#[derive(Debug)]
pub(super) struct Encoder {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    distances: Option<DistanceBias>,
    kind: Kind,
}

impl Encoder {
    /// The parameters below `bert.`, computing in `kind`.
    pub(super) fn new(parameters: &Parameters, config: &BertConfig, kind: Kind) -> Self {
        Self {
            embeddings: Embeddings::new(parameters, config),
            layers: (0..config.num_hidden_layers)
                .map(|index| Layer::new(parameters, index, config))
                .collect(),
            distances: DistanceBias::new(parameters, config),
            kind,
        }
    }
}

impl Encode for Encoder {
    fn forward_t(&self, batch: &Batch, wanted: Wanted<'_>, train: bool) -> Output {
        let mut hidden = self.embeddings.forward_t(batch, self.kind, train);
        let mut output = Output {
            hidden_states: Vec::new(),
            attention_scores: Vec::new(),
            attention_squares: Vec::new(),
            qkv: Vec::new(),
        };
        let distances = self.distances.as_ref();
        let bias = distances.map(|bias| bias.by_pair(hidden.size()[1], self.kind));
        for (index, layer) in self.layers.iter().enumerate() {
            // Of the last layer's tokens only the first is read; the others are its keys and values.
            let is_last = index + 1 == self.layers.len();
            let first = is_last && wanted.is_first() && !layer.is_relative();
            let asking = if first { 1 } else { hidden.size()[1] };
            let keeps = match wanted {
                Wanted::Qkv(_) if wanted.keeps_qkv(index) => Keeps::Qkv,
                Wanted::First | Wanted::Qkv(_) => Keeps::Nothing,
                _ => Keeps::Scores,
            };
            let bias = bias.as_ref();
            let (next, kept) = layer.forward_t(&hidden, asking, batch, bias, keeps, train);
            match wanted {
                Wanted::Qkv(_) => output.qkv.push(kept.unwrap_or_else(Tensor::new)),
                _ => output.attention_scores.extend(kept),
            }
            let before = std::mem::replace(&mut hidden, next);
            if !wanted.is_first() {
                output.hidden_states.push(before);
            }
        }
        output.hidden_states.push(hidden);
        output
    }
}
