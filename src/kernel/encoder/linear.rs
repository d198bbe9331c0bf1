//! Dense layers and layer norms that compute in the model's number format.

use tch::{Kind, Tensor};

use super::product;
use crate::parameters::Parameters;

/// `y = x Wᵀ + b`, with `W` `[out, in]`.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// The layer whose parameters are `{name}.weight` and `{name}.bias`.
    pub(crate) fn new(parameters: &Parameters, name: &str) -> Self {
        Self {
            weight: parameters.get(&format!("{name}.weight")),
            bias: parameters.get(&format!("{name}.bias")),
        }
    }

    /// `x` `[.., in]` to `[.., out]`, computed in the format of `x`. A master weight of
    /// another format is cast here, so that its gradient arrives in fp32.
    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let kind = x.kind();
        product::linear(x, &cast(&self.weight, kind), &cast(&self.bias, kind))
    }

    /// Weight and bias as they are trained.
    pub(crate) fn trained(&self) -> (&Tensor, &Tensor) {
        (&self.weight, &self.bias)
    }
}

/// Layer normalisation over the last dimension.
#[derive(Debug)]
pub(super) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// The norm whose parameters are `{name}.weight` and `{name}.bias`.
    pub(super) fn new(parameters: &Parameters, name: &str, eps: f64) -> Self {
        Self {
            weight: parameters.get(&format!("{name}.weight")),
            bias: parameters.get(&format!("{name}.bias")),
            eps,
        }
    }

    /// `x` `[.., d]`, same shape out. Mean and variance are accumulated in fp32 by libtorch.
    pub(super) fn forward(&self, x: &Tensor) -> Tensor {
        let kind = x.kind();
        let (weight, bias) = (cast(&self.weight, kind), cast(&self.bias, kind));
        x.layer_norm(weight.size(), Some(&weight), Some(&bias), self.eps, true)
    }
}

/// `tensor` in `kind`; itself where it is so already.
pub(super) fn cast(tensor: &Tensor, kind: Kind) -> Tensor {
    if tensor.kind() == kind {
        tensor.shallow_clone()
    } else {
        tensor.to_kind(kind)
    }
}
