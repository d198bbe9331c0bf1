//! Multi-head self-attention.

use tch::Tensor;
use tinyrun::model::config::BertConfig;

use super::linear::{LayerNorm, Linear};
use super::product::matmul;
use super::relative::{RelativePositions, by_position};
use crate::batch::Batch;
use crate::dropout::dropout;
use crate::parameters::Parameters;

/// Self-attention with its output projection, residual and norm.
#[derive(Debug)]
pub(crate) struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
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
            query: linear("self.query"),
            key: linear("self.key"),
            value: linear("self.value"),
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

    /// `x` `[B, L, d]` to the layer's attention output `[B, L, d]` and its attention scores
    /// `[B, h, L, L]`: before softmax, divided by `sqrt(d/h)`, the mask added.
    pub(crate) fn forward_t(&self, x: &Tensor, batch: &Batch, train: bool) -> (Tensor, Tensor) {
        let (b, l, d) = x.size3().expect("a hidden state has three dimensions");
        let split = |t: Tensor| t.view([b, l, self.heads, self.head_size]).transpose(1, 2);
        let (query, key, value) = (
            split(self.query.forward(x)),
            split(self.key.forward(x)),
            split(self.value.forward(x)),
        );
        // Scaling the query costs L·d products, scaling the scores h·L².
        let scale = 1.0 / (self.head_size as f64).sqrt();
        let query = query * scale;
        let mut scores = matmul(&query, &key.transpose(-1, -2));
        let distances = self.relative.as_ref();
        let distances = distances.map(|relative| relative.of(l, x.kind()));
        if let Some(distances) = &distances {
            scores += by_position(&query, &distances.transpose(1, 2));
        }
        if let Some(mask) = &batch.key_mask {
            scores += mask.to_kind(x.kind());
        }
        let probs = dropout(&scores.softmax(-1, None), self.probs_dropout, train);
        let mut context = matmul(&probs, &value);
        if let Some(distances) = &distances {
            context += by_position(&probs, distances);
        }
        let context = context.transpose(1, 2).reshape([b, l, d]);
        let output = dropout(&self.output.forward(&context), self.hidden_dropout, train);
        (self.norm.forward(&(output + x)), scores)
    }
}
