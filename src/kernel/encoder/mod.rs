//! Encoders: from tokens to hidden states and attention scores, and the classifier on top.
//!
//! Two encoders compute the same. [`mod@reference`] is written in libtorch's operations, with the
//! names and the order of Hugging Face's model, for padded batches on every device and in every
//! number format. [`packed`] computes BERT's shape in the C++ of `native/`, for batches without
//! padding. [`layout`] chooses once, before a model is opened; nothing below asks again.

mod activation;
mod classifier;
mod distances;
mod linear;
mod packed;
mod product;
mod reference;

use std::fmt::Debug;

use tch::{Device, Kind, Tensor};
use tinyrun_base::job::PadTo;
use tinyrun_base::model::config::BertConfig;

use crate::batch::Batch;
use crate::native;
use crate::parameters::Parameters;

pub(crate) use classifier::Classifier;
pub(crate) use linear::Linear;
pub(crate) use product::matmul;

/// Which inner tensors of a forward pass are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// The last hidden state of the first token only, which is what a classifier reads.
    First,
    /// Every hidden state and every attention score.
    Everything,
    /// Every hidden state, and the attention scores of these layers; there may be others.
    Layers(&'a [usize]),
    /// Every hidden state, and query, key and value of these layers.
    Qkv(&'a [usize]),
    /// Every hidden state, and how far the attention scores of each layer are from these. Of a
    /// batch without padding only: the scores themselves are never held.
    Squares(&'a [Tensor]),
}

impl Wanted<'_> {
    fn is_first(self) -> bool {
        matches!(self, Self::First)
    }

    /// Whether the scores of layer `index` are kept.
    fn keeps_scores(self, index: usize) -> bool {
        match self {
            Self::Everything => true,
            Self::Layers(layers) => layers.contains(&index),
            Self::First | Self::Squares(_) | Self::Qkv(_) => false,
        }
    }

    /// Whether query, key and value of layer `index` are kept.
    fn keeps_qkv(self, index: usize) -> bool {
        matches!(self, Self::Qkv(layers) if layers.contains(&index))
    }
}

/// Inner tensors of a forward pass.
#[derive(Debug)]
pub(crate) struct Output {
    /// `[B, L, d]` each, or `[T, d]` without padding; index 0 is the embedding output. Layers + 1
    /// of them, or the last alone, `[B, .., d]`, whose first token at least is there.
    pub(crate) hidden_states: Vec<Tensor>,
    /// Before softmax, mask added: one a layer, undefined where it was not wanted, or none.
    /// `[B, h, L, L]`; without padding of each row `[h, length, length]`, one after the other.
    pub(crate) attention_scores: Vec<Tensor>,
    /// Query, key and value of every token side by side, all heads together, `[B, L, 3 d]` or `[T, 3 d]`: one a layer,
    /// undefined where it was not wanted, or none.
    pub(crate) qkv: Vec<Tensor>,
    /// `Σ (scores - wanted)²` over heads, rows and pairs of tokens: a scalar a layer, where asked for.
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

/// What both encoders do.
trait Encode: Debug + Send {
    /// Runs the encoder over a batch in its layout. Dropout is active where `train`.
    fn forward_t(&self, batch: &Batch, wanted: Wanted<'_>, train: bool) -> Output;
}

/// One of the two encoders, and the layout of the batches that it reads.
#[derive(Debug)]
pub(crate) struct Encoder {
    encode: Box<dyn Encode>,
    layout: PadTo,
}

impl Encoder {
    /// An encoder whose parameters, fp32 leaves, are trained; it computes in `kind`. `pad_to` is
    /// what [`layout`] said.
    pub(crate) fn trained(
        parameters: &Parameters,
        config: &BertConfig,
        kind: Kind,
        pad_to: PadTo,
    ) -> Self {
        Self {
            encode: match pad_to {
                PadTo::None => Box::new(packed::Encoder::trained(parameters, config, kind)),
                _ => Box::new(reference::Encoder::new(parameters, config, kind)),
            },
            layout: pad_to,
        }
    }

    /// An encoder that is only read, for what is `wanted` of it: its weights as the processor
    /// likes them. `pad_to` is what [`layout`] said.
    pub(crate) fn frozen(
        parameters: &Parameters,
        config: &BertConfig,
        kind: Kind,
        wanted: Wanted<'_>,
        pad_to: PadTo,
    ) -> Self {
        let first = wanted.is_first();
        Self {
            encode: match pad_to {
                PadTo::None => Box::new(packed::Encoder::frozen(parameters, config, kind, first)),
                _ => Box::new(reference::Encoder::new(parameters, config, kind)),
            },
            layout: pad_to,
        }
    }

    /// How the rows of its batches are laid out.
    pub(crate) fn layout(&self) -> PadTo {
        self.layout
    }

    /// Runs the encoder. Dropout is active where `train`.
    pub(crate) fn forward_t(&self, batch: &Batch, wanted: Wanted<'_>, train: bool) -> Output {
        self.encode.forward_t(batch, wanted, train)
    }
}

/// How batches are laid out for a model of this shape where `pad_to` is asked for: without
/// padding where the packed encoder computes it, else padded to the longest row.
pub(crate) fn layout(pad_to: PadTo, config: &BertConfig, kind: Kind, device: Device) -> PadTo {
    // bf16 is multiplied two numbers at a time.
    let even = config.hidden_size.is_multiple_of(2) && config.intermediate_size.is_multiple_of(2);
    let fits = !config.use_relative_positions && (even || kind == Kind::Float);
    match pad_to {
        PadTo::None if !(fits && native::computes(kind, device)) => PadTo::Longest,
        pad_to => pad_to,
    }
}

#[cfg(test)]
mod either {
    use super::{Batch, BertConfig, Encode, Encoder, Kind, Output, PadTo, Parameters, Wanted};
    use super::{packed, reference};

    /// Both encoders over the same parameters, so that a test can give one model batches of
    /// both layouts.
    #[derive(Debug)]
    struct Either(reference::Encoder, Option<packed::Encoder>);

    impl Encode for Either {
        fn forward_t(&self, batch: &Batch, wanted: Wanted<'_>, train: bool) -> Output {
            match (&self.1, &batch.unpadded) {
                (Some(packed), Some(_)) => packed.forward_t(batch, wanted, train),
                _ => self.0.forward_t(batch, wanted, train),
            }
        }
    }

    impl Encoder {
        /// Both encoders; the layout of a batch decides which one reads it.
        pub(crate) fn either(parameters: &Parameters, config: &BertConfig, kind: Kind) -> Self {
            // Relative positions have no table that the packed encoder could read.
            let packed = !config.use_relative_positions;
            let packed = packed.then(|| packed::Encoder::trained(parameters, config, kind));
            Self {
                encode: Box::new(Either(
                    reference::Encoder::new(parameters, config, kind),
                    packed,
                )),
                layout: PadTo::Longest,
            }
        }
    }
}
