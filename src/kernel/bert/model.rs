//! The encoder as a whole, and the head on it.

use tch::{Kind, Tensor};
use tinyrun::job::HeadKind;
use tinyrun::model::config::BertConfig;

use super::embeddings::Embeddings;
use super::layer::Layer;
use super::linear::Linear;
use crate::batch::Batch;
use crate::dropout::dropout;
use crate::parameters::Parameters;

/// Which inner tensors of a forward pass are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The last hidden state of the first token only, which is what a classifier reads.
    First,
    /// Every hidden state and every attention score.
    Everything,
}

/// Inner tensors of a forward pass.
#[derive(Debug)]
pub(crate) struct Output {
    /// `[B, L, d]` each; index 0 is the embedding output. Layers + 1 of them, or the last alone, whose
    /// first token at least is there.
    pub(crate) hidden_states: Vec<Tensor>,
    /// `[B, h, L, L]` each, before softmax, mask added; one a layer, or none.
    pub(crate) attention_scores: Vec<Tensor>,
}

impl Output {
    /// `[B, L, d]`
    pub(crate) fn last(&self) -> &Tensor {
        self.hidden_states
            .last()
            .expect("a forward pass has a last hidden state")
    }
}

/// Embeddings and encoder layers.
#[derive(Debug)]
pub(crate) struct Bert {
    embeddings: Embeddings,
    layers: Vec<Layer>,
    kind: Kind,
}

impl Bert {
    /// The parameters below `bert.`, computing in `kind`.
    pub(crate) fn new(parameters: &Parameters, config: &BertConfig, kind: Kind) -> Self {
        Self {
            embeddings: Embeddings::new(parameters, config),
            layers: (0..config.num_hidden_layers)
                .map(|index| Layer::new(parameters, index, config))
                .collect(),
            kind,
        }
    }

    /// For a model that is only read: its weights as the processor likes them.
    pub(crate) fn packed(mut self) -> Self {
        self.layers.iter_mut().for_each(Layer::pack);
        self
    }

    /// Runs the encoder. Dropout is active where `train`.
    pub(crate) fn forward_t(&self, batch: &Batch, wanted: Wanted, train: bool) -> Output {
        let mut hidden = self.embeddings.forward_t(batch, self.kind, train);
        let mut output = Output {
            hidden_states: Vec::new(),
            attention_scores: Vec::new(),
        };
        let length = batch.input_ids.size()[1];
        for (index, layer) in self.layers.iter().enumerate() {
            // Of the last layer's tokens only the first is read; the others are its keys and values.
            let is_last = index + 1 == self.layers.len();
            let asking = match wanted {
                Wanted::First if is_last && !layer.is_relative() => 1,
                _ => length,
            };
            let (next, scores) = layer.forward_t(&hidden, asking, batch, wanted, train);
            if wanted == Wanted::Everything {
                output.hidden_states.push(hidden);
            }
            output.attention_scores.extend(scores);
            hidden = next;
        }
        output.hidden_states.push(hidden);
        output
    }
}

/// Pooler and classifier.
#[derive(Debug)]
pub(crate) struct Classifier {
    pooler: Linear,
    output: Linear,
    head: HeadKind,
    dropout: f64,
}

impl Classifier {
    /// The parameters `bert.pooler.dense` and `classifier`.
    pub(crate) fn new(parameters: &Parameters, config: &BertConfig, head: HeadKind) -> Self {
        Self {
            pooler: Linear::new(parameters, "bert.pooler.dense"),
            output: Linear::new(parameters, "classifier"),
            head,
            dropout: config.hidden_dropout_prob,
        }
    }

    /// Last hidden state, of the first token at least, `[B, .., d]` to logits `[B, classes]` in fp32.
    pub(crate) fn forward_t(&self, last: &Tensor, train: bool) -> Tensor {
        let pooled = self.pooler.forward(&last.select(1, 0)).tanh();
        let read = match self.head {
            HeadKind::Plain => dropout(&pooled, self.dropout, train),
            HeadKind::Relu => pooled.relu(),
        };
        self.output.forward(&read).to_kind(Kind::Float)
    }
}
