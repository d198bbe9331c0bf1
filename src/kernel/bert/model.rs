//! The encoder as a whole, and the head on it.

use tch::{Device, Kind, Tensor};
use tinyrun::job::{HeadKind, PadTo};
use tinyrun::model::config::BertConfig;

use super::embeddings::Embeddings;
use super::layer::Layer;
use super::linear::Linear;
use crate::batch::Batch;
use crate::dropout::dropout;
use crate::native;
use crate::parameters::Parameters;

/// Which inner tensors of a forward pass are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// The last hidden state of the first token only, which is what a classifier reads.
    First,
    /// Every hidden state and every attention score.
    Everything,
    /// Every hidden state, and the attention scores of these layers; there may be others.
    Layers(&'a [usize]),
    /// Every hidden state, and how far the attention scores of each layer are from these. Of tokens without padding
    /// only: the scores themselves are never held.
    Squares(&'a [Tensor]),
}

impl Wanted<'_> {
    pub(super) fn is_first(self) -> bool {
        matches!(self, Self::First)
    }

    /// Whether the scores of layer `index` are kept.
    pub(super) fn keeps_scores(self, index: usize) -> bool {
        match self {
            Self::Everything => true,
            Self::Layers(layers) => layers.contains(&index),
            Self::First | Self::Squares(_) => false,
        }
    }
}

/// Inner tensors of a forward pass.
#[derive(Debug)]
pub(crate) struct Output {
    /// `[B, L, d]` each, or `[T, d]` of tokens without padding; index 0 is the embedding output. Layers + 1 of them, or the
    /// last alone, `[B, .., d]`, whose first token at least is there.
    pub(crate) hidden_states: Vec<Tensor>,
    /// Before softmax, mask added: one a layer, undefined where it was not wanted, or none. `[B, h, L, L]`; without padding
    /// of each row `[h, length, length]`, one after the other.
    pub(crate) attention_scores: Vec<Tensor>,
    /// `Σ (scores - wanted)²` over heads, rows and pairs of tokens, a scalar a layer, where it was asked for.
    pub(crate) attention_squares: Vec<Tensor>,
}

impl Output {
    /// `[B, .., d]`, or `[T, d]`
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
    /// Whether it reads tokens without padding.
    reads_unpadded: bool,
}

impl Bert {
    /// The parameters below `bert.`, computing in `kind`.
    pub(crate) fn new(parameters: &Parameters, config: &BertConfig, kind: Kind) -> Self {
        let embeddings = Embeddings::new(parameters, config);
        Self {
            reads_unpadded: Self::can_read_unpadded(config, kind, embeddings.device()),
            embeddings,
            layers: (0..config.num_hidden_layers)
                .map(|index| Layer::new(parameters, index, config))
                .collect(),
            kind,
        }
    }

    /// Whether a model of this shape reads tokens without padding.
    pub(crate) fn can_read_unpadded(config: &BertConfig, kind: Kind, device: Device) -> bool {
        // Halves are multiplied two by two.
        let even =
            config.hidden_size.is_multiple_of(2) && config.intermediate_size.is_multiple_of(2);
        let fits = !config.use_relative_positions && (even || kind == Kind::Float);
        fits && native::computes(kind, device)
    }

    /// For a model that is only read: its weights as the processor likes them, and as they are needed for what is `wanted`
    /// of rows that are padded so (`None`, where it is not able to do without, is `Longest`).
    pub(crate) fn packed(mut self, wanted: Wanted<'_>, pad_to: PadTo) -> Self {
        let unpadded = pad_to == PadTo::None && self.reads_unpadded;
        self.reads_unpadded = unpadded;
        if unpadded {
            let last = self.layers.len().saturating_sub(1);
            for (index, layer) in self.layers.iter_mut().enumerate() {
                layer.pack_unpadded(self.kind, index == last && wanted.is_first());
            }
        } else {
            self.layers.iter_mut().for_each(Layer::pack);
        }
        self
    }

    /// How rows of tokens are laid out for this model, where nothing speaks for padding.
    pub(crate) fn arrangement(&self) -> PadTo {
        if self.reads_unpadded {
            PadTo::None
        } else {
            PadTo::Longest
        }
    }

    /// Runs the encoder. Dropout is active where `train`.
    pub(crate) fn forward_t(&self, batch: &Batch, wanted: Wanted<'_>, train: bool) -> Output {
        let mut hidden = self.embeddings.forward_t(batch, self.kind, train);
        let mut output = Output {
            hidden_states: Vec::new(),
            attention_scores: Vec::new(),
            attention_squares: Vec::new(),
        };
        let everything = !wanted.is_first();
        for (index, layer) in self.layers.iter().enumerate() {
            // Of the last layer's tokens only the first is read; the others are its keys and values.
            let is_last = index + 1 == self.layers.len();
            let first = is_last && wanted.is_first() && !layer.is_relative();
            let next = if let Some(rows) = &batch.unpadded {
                let teacher = match wanted {
                    Wanted::Squares(teacher) => Some(&teacher[index]),
                    _ => None,
                };
                let scores = (teacher, wanted.keeps_scores(index));
                let done = layer.forward_unpadded(&hidden, first, rows, scores, train);
                if everything {
                    output.attention_scores.push(done.scores);
                    output.attention_squares.push(done.squares);
                }
                done.hidden
            } else {
                let length = batch.input_ids.size()[1];
                let asking = if first { 1 } else { length };
                let (next, scores) = layer.forward_t(&hidden, asking, batch, wanted, train);
                output.attention_scores.extend(scores);
                next
            };
            if everything {
                output.hidden_states.push(hidden);
            }
            hidden = next;
        }
        output.hidden_states.push(match &batch.unpadded {
            // A model without layers has the first tokens among the others.
            Some(rows) if !everything => {
                let first = if self.layers.is_empty() {
                    hidden.index_select(0, &rows.first)
                } else {
                    hidden
                };
                first.unsqueeze(1)
            }
            _ => hidden,
        });
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
