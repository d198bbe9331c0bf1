//! One encoder layer.

use tch::{Kind, Tensor};
use tinyrun::model::config::BertConfig;

use super::attention::Attention;
use super::linear::{LayerNorm, Linear};
use super::model::Wanted;
use crate::batch::{Batch, Unpadded};
use crate::dropout::{Drop, dropout};
use crate::native;
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

    /// For tokens without padding.
    fn native(self) -> native::Activation {
        match self {
            Self::Gelu => native::Activation::Gelu,
            Self::GeluTanh => native::Activation::GeluTanh,
            Self::Relu => native::Activation::Relu,
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

    /// The same for tokens without padding; `first` of a layer whose first tokens alone are read.
    pub(super) fn pack_unpadded(&mut self, kind: Kind, first: bool) {
        self.attention.pack_unpadded(kind, first);
        self.intermediate.pack_unpadded(kind);
        self.output.pack_unpadded(kind);
        self.norm.widen();
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
        wanted: Wanted<'_>,
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

    /// Tokens without padding `x` `[T, d]` to the next hidden state `[T, d]`, or `[B, d]` of the `first` token of each row
    /// alone. With a teacher's scores the attention's distance from them; the scores where they are to be kept.
    pub(super) fn forward_unpadded(
        &self,
        x: &Tensor,
        first: bool,
        rows: &Unpadded,
        scores: (Option<&Tensor>, bool),
        train: bool,
    ) -> Done {
        let done = self
            .attention
            .forward_unpadded(x, first, rows, scores, train);
        let layers = [self.intermediate.native()];
        let inner = native::linear(&done.hidden, &layers, self.activation.native());
        let drop = Drop::next(self.dropout, train);
        let output = self.output.native();
        Done {
            hidden: native::linear_norm(&inner, output, &done.hidden, self.norm.native(), drop),
            ..done
        }
    }
}

/// What a layer makes of tokens without padding.
#[derive(Debug)]
pub(super) struct Done {
    /// `[T, d]` or `[B, d]`
    pub(super) hidden: Tensor,
    /// Undefined where they were not to be kept.
    pub(super) scores: Tensor,
    /// A scalar; 0 without a teacher.
    pub(super) squares: Tensor,
}
