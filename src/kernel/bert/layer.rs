//! One encoder layer.

use tch::Tensor;
use tinyrun::model::config::BertConfig;

use super::attention::Attention;
use super::linear::{LayerNorm, Linear};
use super::model::Wanted;
use crate::batch::Batch;
use crate::dropout::dropout;
use crate::packed::After;
use crate::parameters::Parameters;

/// Non-linearity of the feed-forward part.
#[derive(Debug, Clone, Copy)]
enum Activation {
    /// `x Φ(x)` by the error function.
    Gelu,
    /// The tanh approximation.
    GeluTanh,
    Relu,
}

impl Activation {
    /// By Hugging Face's name; the configuration was checked when it was read.
    fn named(name: &str) -> Self {
        match name {
            "gelu_new" | "gelu_pytorch_tanh" => Self::GeluTanh,
            "relu" => Self::Relu,
            _ => Self::Gelu,
        }
    }

    /// What a packed layer can compute by itself.
    fn after(self) -> Option<After> {
        match self {
            Self::Gelu => Some(After::Gelu),
            Self::GeluTanh => Some(After::GeluTanh),
            Self::Relu => None,
        }
    }

    fn apply(self, x: &Tensor) -> Tensor {
        match self {
            Self::Gelu => x.gelu("none"),
            Self::GeluTanh => x.gelu("tanh"),
            Self::Relu => x.relu(),
        }
    }
}

/// Self-attention and feed-forward, each with residual and norm.
#[derive(Debug)]
pub(crate) struct Layer {
    attention: Attention,
    intermediate: Linear,
    output: Linear,
    norm: LayerNorm,
    activation: Activation,
    dropout: f64,
}

impl Layer {
    /// The parameters of encoder layer `index`.
    pub(crate) fn new(parameters: &Parameters, index: usize, config: &BertConfig) -> Self {
        let name = format!("bert.encoder.layer.{index}");
        Self {
            attention: Attention::new(parameters, &format!("{name}.attention"), config),
            intermediate: Linear::new(parameters, &format!("{name}.intermediate.dense")),
            output: Linear::new(parameters, &format!("{name}.output.dense")),
            norm: LayerNorm::new(
                parameters,
                &format!("{name}.output.LayerNorm"),
                config.layer_norm_eps,
            ),
            activation: Activation::named(&config.hidden_act),
            dropout: config.hidden_dropout_prob,
        }
    }

    /// For a model that is only read.
    pub(super) fn pack(&mut self) {
        self.attention.pack();
        self.intermediate.pack();
        self.output.pack();
    }

    /// Whether positions are relative.
    pub(super) fn is_relative(&self) -> bool {
        self.attention.is_relative()
    }

    /// `x` `[B, L, d]` to the next hidden state `[B, L, d]` and, where they are `wanted`, the attention
    /// scores `[B, h, L, L]`; of the first `asking` tokens alone, where nothing reads the others.
    pub(crate) fn forward_t(
        &self,
        x: &Tensor,
        asking: i64,
        batch: &Batch,
        wanted: Wanted,
        train: bool,
    ) -> (Tensor, Option<Tensor>) {
        let (attended, scores) = self.attention.forward_t(x, asking, batch, wanted, train);
        let inner = self
            .activation
            .after()
            .and_then(|after| self.intermediate.forward_and(&attended, after))
            .unwrap_or_else(|| self.activation.apply(&self.intermediate.forward(&attended)));
        let output = dropout(&self.output.forward(&inner), self.dropout, train);
        (self.norm.forward(&(output + &attended)), scores)
    }
}
