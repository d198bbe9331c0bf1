//! Weights as the C++ of `native/` takes them.

use tch::{Kind, Tensor};
use tinyrun_base::model::config::BertConfig;

use crate::native::{self, Activation, Weights};
use crate::parameters::Parameters;

/// `y = x Wᵀ + b`
#[derive(Debug)]
pub(super) struct Dense {
    weight: Weight,
    /// fp32
    bias: Tensor,
}

#[derive(Debug)]
enum Weight {
    /// `[out, in]`, fp32.
    Trained(Tensor),
    /// Frozen, in the layout of the CPU's matrix kernels.
    Packed(Tensor),
}

impl Dense {
    /// The layer whose parameters are `{name}.weight` and `{name}.bias`, to be trained.
    pub(super) fn trained(parameters: &Parameters, name: &str) -> Self {
        Self {
            weight: Weight::Trained(parameters.get(&format!("{name}.weight"))),
            bias: parameters.get(&format!("{name}.bias")),
        }
    }

    /// The same, only read, for activations of `kind`; of several over the same input, their
    /// outputs side by side.
    pub(super) fn frozen(parameters: &Parameters, names: &[&str], kind: Kind) -> Self {
        let beside = |part: &str| {
            let parts = names
                .iter()
                .map(|name| parameters.get(&format!("{name}.{part}")));
            Tensor::cat(&parts.collect::<Vec<_>>(), 0)
        };
        Self {
            weight: Weight::Packed(native::pack(&beside("weight"), kind)),
            bias: beside("bias").to_kind(Kind::Float),
        }
    }

    /// `act(x W' + b)`
    pub(super) fn forward(&self, x: &Tensor, after: Activation) -> Tensor {
        native::linear(x, &[self.native()], after)
    }

    /// Weight and bias.
    pub(super) fn native(&self) -> (Weights<'_>, &Tensor) {
        let weight = match &self.weight {
            Weight::Trained(weight) => Weights::Trained(weight),
            Weight::Packed(weight) => Weights::Packed(weight),
        };
        (weight, &self.bias)
    }
}

/// Layer normalisation over the last dimension.
#[derive(Debug)]
pub(super) struct Norm {
    /// fp32, like the bias.
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl Norm {
    /// The norm whose parameters are `{name}.weight` and `{name}.bias`.
    pub(super) fn new(parameters: &Parameters, name: &str, config: &BertConfig) -> Self {
        // A trained parameter is fp32 already, and stays the leaf that it is.
        let part = |part: &str| {
            parameters
                .get(&format!("{name}.{part}"))
                .to_kind(Kind::Float)
        };
        Self {
            weight: part("weight"),
            bias: part("bias"),
            eps: config.layer_norm_eps,
        }
    }

    /// Weight, bias and epsilon.
    pub(super) fn native(&self) -> (&Tensor, &Tensor, f64) {
        (&self.weight, &self.bias, self.eps)
    }
}
