//! One encoder layer.

use tch::Tensor;
use tinyrun_base::model::config::BertConfig;

use super::attention::{Attention, Keeps};
use crate::batch::Batch;
use crate::dropout::dropout;
use crate::encoder::activation::Activation;
use crate::encoder::linear::{LayerNorm, Linear};
use crate::parameters::Parameters;

/// Self-attention and feed-forward, each with residual and norm.
#[derive(Debug)]
pub(super) struct Layer {
    attention: Attention,
    attention_output: Output,
    intermediate: Linear,
    activation: Activation,
    output: Output,
}

impl Layer {
    /// The parameters of encoder layer `index`.
    pub(super) fn new(parameters: &Parameters, index: usize, config: &BertConfig) -> Self {
        let name = format!("bert.encoder.layer.{index}");
        Self {
            attention: Attention::new(parameters, &format!("{name}.attention.self"), config),
            attention_output: Output {
                dropout: config.attention_output_dropout(),
                ..Output::new(parameters, &format!("{name}.attention.output"), config)
            },
            intermediate: Linear::new(parameters, &format!("{name}.intermediate.dense")),
            activation: Activation::named(&config.hidden_act),
            output: Output::new(parameters, &format!("{name}.output"), config),
        }
    }

    /// Whether positions are relative: then every token's query has distances of its own.
    pub(super) fn is_relative(&self) -> bool {
        self.attention.is_relative()
    }

    /// `x` `[B, L, d]` to the next hidden state of its first `asking` tokens `[B, asking, d]` and,
    /// what its attention `keeps`. `bias` `[1, h, L, L]` is added to the scores.
    pub(super) fn forward_t(
        &self,
        x: &Tensor,
        asking: i64,
        batch: &Batch,
        bias: Option<&Tensor>,
        keeps: Keeps,
        train: bool,
    ) -> (Tensor, Option<Tensor>) {
        let bias = bias.map(|bias| bias.narrow(2, 0, asking));
        let mask = batch.key_mask.as_ref();
        let mask = mask.map(|mask| mask.to_kind(x.kind()));
        let added = [mask.as_ref(), bias.as_ref()];
        // A view even of all tokens: query and residual send their gradients back as one.
        let asking = x.narrow(1, 0, asking);
        let (context, kept) = self.attention.forward_t(&asking, x, added, keeps, train);
        let attended = self.attention_output.forward_t(&context, &asking, train);
        let inner = self.activation.apply(&self.intermediate.forward(&attended));
        (self.output.forward_t(&inner, &attended, train), kept)
    }
}

/// A projection with dropout, residual and norm: `layer_norm(drop(x W' + b) + residual)`.
#[derive(Debug)]
struct Output {
    dense: Linear,
    norm: LayerNorm,
    dropout: f64,
}

impl Output {
    fn new(parameters: &Parameters, name: &str, config: &BertConfig) -> Self {
        let norm = format!("{name}.LayerNorm");
        Self {
            dense: Linear::new(parameters, &format!("{name}.dense")),
            norm: LayerNorm::new(parameters, &norm, config.layer_norm_eps),
            dropout: config.hidden_dropout_prob,
        }
    }

    fn forward_t(&self, x: &Tensor, residual: &Tensor, train: bool) -> Tensor {
        let output = dropout(&self.dense.forward(x), self.dropout, train);
        self.norm.forward(&(output + residual))
    }
}
