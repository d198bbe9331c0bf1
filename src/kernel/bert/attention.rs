//! Multi-head self-attention.

use tch::{Kind, Tensor};
use tinyrun::model::config::BertConfig;

use super::layer::Done;
use super::linear::{LayerNorm, Linear};
use super::model::Wanted;
use super::product::matmul;
use super::relative::{RelativePositions, by_position};
use crate::batch::{Batch, Unpadded};
use crate::dropout::{Drop, dropout};
use crate::native::{self, Looked};
use crate::parameters::Parameters;

/// The products that make queries, keys and values.
#[derive(Debug)]
enum Inputs {
    Apart([Linear; 3]),
    /// One product for all three, of a model that is only read.
    Together(Linear),
    /// Query; key and value in one product: of a model that is only read, in the layer whose first tokens are.
    Halves([Linear; 2]),
}

impl Inputs {
    /// Query of `asking`, the first tokens of `x` `[B, L, d]`, then key and value of `x`.
    fn of(&self, x: &Tensor, asking: &Tensor) -> [Tensor; 3] {
        match self {
            Self::Apart([query, key, value]) => {
                [query.forward(asking), key.forward(x), value.forward(x)]
            }
            Self::Together(layer) => {
                let width = x.size()[2];
                let all = layer.forward(x);
                let part = |part| all.narrow(-1, part * width, width);
                let query = part(0).narrow(1, 0, asking.size()[1]);
                [query, part(1), part(2)]
            }
            Self::Halves(_) => unreachable!("packed for tokens without padding"),
        }
    }

    /// The same for tokens without padding `[T, d]`; where first tokens alone ask, those are given.
    fn of_unpadded(&self, x: &Tensor, first: Option<&Tensor>) -> Looked {
        let nothing = native::Activation::Nothing;
        let product = |x: &Tensor, layers: &[&Linear]| {
            let layers: Vec<_> = layers.iter().map(|layer| layer.native()).collect();
            native::linear(x, &layers, nothing)
        };
        match (self, first) {
            (Self::Apart([query, key, value]), None) => {
                Looked::All(product(x, &[query, key, value]))
            }
            (Self::Apart([query, key, value]), Some(first)) => {
                Looked::First(product(first, &[query]), product(x, &[key, value]))
            }
            (Self::Together(all), None) => Looked::All(product(x, &[all])),
            (Self::Halves([query, rest]), Some(first)) => {
                Looked::First(product(first, &[query]), product(x, &[rest]))
            }
            _ => unreachable!("packed for what is wanted"),
        }
    }
}

/// Self-attention with its output projection, residual and norm.
#[derive(Debug)]
pub(crate) struct Attention {
    inputs: Inputs,
    output: Linear,
    norm: LayerNorm,
    relative: Option<RelativePositions>,
    heads: i64,
    head_size: i64,
    hidden_dropout: f64,
    probs_dropout: f64,
}

impl Attention {
    /// The parameters below `{name}` (`bert.encoder.layer.N.attention`).
    pub(crate) fn new(parameters: &Parameters, name: &str, config: &BertConfig) -> Self {
        let linear = |part: &str| Linear::new(parameters, &format!("{name}.{part}"));
        let heads = config.num_attention_heads;
        Self {
            inputs: Inputs::Apart(
                ["query", "key", "value"].map(|part| linear(&format!("self.{part}"))),
            ),
            output: linear("output.dense"),
            norm: LayerNorm::new(
                parameters,
                &format!("{name}.output.LayerNorm"),
                config.layer_norm_eps,
            ),
            relative: config
                .use_relative_positions
                .then(|| RelativePositions::new(parameters, name)),
            heads: heads as i64,
            head_size: (config.hidden_size / heads) as i64,
            hidden_dropout: config.hidden_dropout_prob,
            probs_dropout: config.attention_probs_dropout_prob,
        }
    }

    /// Whether positions are relative: then every token's query has distances of its own.
    pub(super) fn is_relative(&self) -> bool {
        self.relative.is_some()
    }

    /// For a model that is only read.
    pub(super) fn pack(&mut self) {
        self.output.pack();
        if let Inputs::Apart([query, key, value]) = &mut self.inputs {
            let mut together = Linear::beside(&[query, key, value]);
            together.pack();
            if together.is_packed() {
                self.inputs = Inputs::Together(together);
            }
        }
    }

    /// The same for tokens without padding.
    pub(super) fn pack_unpadded(&mut self, kind: Kind, first: bool) {
        self.output.pack_unpadded(kind);
        self.norm.widen();
        let Inputs::Apart([query, key, value]) = &mut self.inputs else {
            return;
        };
        let packed = |mut layer: Linear| {
            layer.pack_unpadded(kind);
            layer
        };
        self.inputs = if first {
            let query = packed(Linear::beside(&[query]));
            Inputs::Halves([query, packed(Linear::beside(&[key, value]))])
        } else {
            Inputs::Together(packed(Linear::beside(&[query, key, value])))
        };
    }

    /// Attention, output projection, residual and norm of tokens without padding; see [`super::layer::Layer`].
    pub(super) fn forward_unpadded(
        &self,
        x: &Tensor,
        first: bool,
        rows: &Unpadded,
        (teacher, keeps_scores): (Option<&Tensor>, bool),
        train: bool,
    ) -> Done {
        let asking = first.then(|| x.index_select(0, &rows.first));
        let looked = self.inputs.of_unpadded(x, asking.as_ref());
        let drop = Drop::next(self.probs_dropout, train);
        let attended = native::attention(
            &looked,
            &rows.offsets,
            self.heads,
            drop,
            teacher,
            keeps_scores,
        );
        let residual = asking.as_ref().unwrap_or(x);
        let drop = Drop::next(self.hidden_dropout, train);
        let (output, norm) = (self.output.native(), self.norm.native());
        Done {
            hidden: native::linear_norm(&attended.context, output, residual, norm, drop),
            scores: attended.scores,
            squares: attended.squares,
        }
    }

    /// `x` `[B, L, d]` to the layer's attention output `[B, L, d]` and, where they are `wanted`, its
    /// attention scores `[B, h, L, L]`: before softmax, divided by `sqrt(d/h)`, the mask added. Of
    /// the first `asking` tokens alone, where nothing reads the others.
    pub(crate) fn forward_t(
        &self,
        x: &Tensor,
        asking: i64,
        batch: &Batch,
        wanted: Wanted<'_>,
        train: bool,
    ) -> (Tensor, Option<Tensor>) {
        let (b, _, d) = x.size3().expect("a hidden state has three dimensions");
        let first = x.narrow(1, 0, asking);
        let split = |t: Tensor| t.view([b, -1, self.heads, self.head_size]).transpose(1, 2);
        let [query, key, value] = self.inputs.of(x, &first).map(split);
        let (context, scores) = if wanted.is_first() && !train && self.relative.is_none() {
            // Nobody looks at the scores: libtorch's kernel never holds more than a part of them.
            let mask = batch.key_mask.as_ref();
            let mask = mask.map(|mask| mask.to_kind(x.kind()));
            let context = Tensor::scaled_dot_product_attention(
                &query, &key, &value, mask, 0.0, false, None, false,
            );
            (context, None)
        } else {
            self.attend(x.kind(), [query, key, value], batch, train)
        };
        let context = context.transpose(1, 2).reshape([b, asking, d]);
        let output = dropout(&self.output.forward(&context), self.hidden_dropout, train);
        let scores = scores.filter(|_| !wanted.is_first());
        (self.norm.forward(&(output + first)), scores)
    }

    /// Context `[B, h, L, d/h]` and scores of queries, keys and values of that shape.
    fn attend(
        &self,
        kind: Kind,
        [query, key, value]: [Tensor; 3],
        batch: &Batch,
        train: bool,
    ) -> (Tensor, Option<Tensor>) {
        let l = query.size()[2];
        // Scaling the query costs L·d products, scaling the scores h·L².
        let scale = 1.0 / (self.head_size as f64).sqrt();
        let query = query * scale;
        let mut scores = matmul(&query, &key.transpose(-1, -2));
        let distances = self.relative.as_ref();
        let distances = distances.map(|relative| relative.of(l, kind));
        if let Some(distances) = &distances {
            scores += by_position(&query, &distances.transpose(1, 2));
        }
        if let Some(mask) = &batch.key_mask {
            scores += mask.to_kind(kind);
        }
        let probs = dropout(&scores.softmax(-1, None), self.probs_dropout, train);
        let mut context = matmul(&probs, &value);
        if let Some(distances) = &distances {
            context += by_position(&probs, distances);
        }
        (context, Some(scores))
    }
}
