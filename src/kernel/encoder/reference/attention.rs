//! Multi-head self-attention.

use tch::{Kind, Tensor};
use tinyrun_base::model::config::BertConfig;

use super::relative::{RelativePositions, by_position};
use crate::dropout::dropout;
use crate::encoder::linear::Linear;
use crate::encoder::product::matmul;
use crate::parameters::Parameters;

/// What is kept of a layer's attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeps {
    /// No more than the context.
    Nothing,
    /// The scores `[B, h, A, L]`: before softmax, divided by `sqrt(d/h)`, the mask added.
    Scores,
    /// Query, key and value of every token, `[B, L, 3 d]`.
    Qkv,
}

/// Queries, keys and values, and the context that they make.
#[derive(Debug)]
pub(super) struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    relative: Option<RelativePositions>,
    heads: i64,
    head_size: i64,
    dropout: f64,
}

impl Attention {
    /// The parameters below `{name}` (`bert.encoder.layer.N.attention.self`).
    pub(super) fn new(parameters: &Parameters, name: &str, config: &BertConfig) -> Self {
        let linear = |part: &str| Linear::new(parameters, &format!("{name}.{part}"));
        let heads = config.num_attention_heads;
        Self {
            query: linear("query"),
            key: linear("key"),
            value: linear("value"),
            relative: config
                .use_relative_positions
                .then(|| RelativePositions::new(parameters, name)),
            heads: heads as i64,
            head_size: (config.hidden_size / heads) as i64,
            dropout: config.attention_probs_dropout_prob,
        }
    }

    /// Whether positions are relative.
    pub(super) fn is_relative(&self) -> bool {
        self.relative.is_some()
    }

    /// Context `[B, A, d]` of the tokens `asking` `[B, A, d]` among `x` `[B, L, d]`, and what it `keeps`. Mask and bias are
    /// `added` to the scores.
    pub(super) fn forward_t(
        &self,
        asking: &Tensor,
        x: &Tensor,
        added: [Option<&Tensor>; 2],
        keeps: Keeps,
        train: bool,
    ) -> (Tensor, Option<Tensor>) {
        let [query, key, value] = self.heads_of(asking, x);
        let qkv = (keeps == Keeps::Qkv).then(|| side_by_side(&[&query, &key, &value]));
        let (context, scores) = if keeps == Keeps::Scores || train || self.is_relative() {
            self.attend(x.kind(), [query, key, value], added, train)
        } else {
            // libtorch's kernel never holds more than a part of the scores.
            let mut all = added.into_iter().flatten();
            let first = all.next().map(Tensor::shallow_clone);
            let sum = first.map(|first| all.fold(first, |sum, next| sum + next));
            let context = Tensor::scaled_dot_product_attention(
                &query, &key, &value, sum, 0.0, false, None, false,
            );
            (context, None)
        };
        let (b, h, a, size) = context
            .size4()
            .expect("a tensor of heads has four dimensions");
        let context = context.transpose(1, 2).reshape([b, a, h * size]);
        (context, qkv.or(scores.filter(|_| keeps == Keeps::Scores)))
    }

    /// Queries of `asking`, keys and values of `x`: `[B, h, .., d/h]`.
    fn heads_of(&self, asking: &Tensor, x: &Tensor) -> [Tensor; 3] {
        let rows = x.size()[0];
        [
            self.query.forward(asking),
            self.key.forward(x),
            self.value.forward(x),
        ]
        .map(|t| {
            t.view([rows, -1, self.heads, self.head_size])
                .transpose(1, 2)
        })
    }

    /// Context `[B, h, L, d/h]` and scores of queries, keys and values of that shape.
    fn attend(
        &self,
        kind: Kind,
        [query, key, value]: [Tensor; 3],
        added: [Option<&Tensor>; 2],
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
        for part in added.into_iter().flatten() {
            scores += part;
        }
        let probs = dropout(&scores.softmax(-1, None), self.dropout, train);
        let mut context = matmul(&probs, &value);
        if let Some(distances) = &distances {
            context += by_position(&probs, distances);
        }
        (context, Some(scores))
    }
}

/// Tensors of heads `[B, h, L, d/h]`, all heads of a token together: `[B, L, n d]` of `n` of them.
fn side_by_side(tensors: &[&Tensor]) -> Tensor {
    let rows = tensors
        .iter()
        .map(|heads| heads.transpose(1, 2).flatten(2, 3));
    Tensor::cat(&rows.collect::<Vec<_>>(), -1)
}
