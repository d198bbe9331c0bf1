//! Dense layers and layer norms that compute in the model's number format.

use tch::{Kind, Tensor};

use super::product;
use crate::native::{self, Weights};
use crate::packed::{After, Packed};
use crate::parameters::Parameters;

/// `y = x Wᵀ + b`, with `W` `[out, in]`.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Tensor,
    bias: Tensor,
    /// The same once more as the processor likes it, where nobody trains it.
    packed: Option<Packed>,
    /// The same for tokens without padding.
    packed_unpadded: Option<Tensor>,
}

impl Linear {
    /// The layer whose parameters are `{name}.weight` and `{name}.bias`.
    pub(crate) fn new(parameters: &Parameters, name: &str) -> Self {
        Self {
            weight: parameters.get(&format!("{name}.weight")),
            bias: parameters.get(&format!("{name}.bias")),
            packed: None,
            packed_unpadded: None,
        }
    }

    /// `x` `[.., in]` to `[.., out]`, computed in the format of `x`. A master weight of
    /// another format is cast here, so that its gradient arrives in fp32.
    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        if let Some(packed) = &self.packed {
            return packed.forward(x, After::Nothing);
        }
        let kind = x.kind();
        product::linear(x, &cast(&self.weight, kind), &cast(&self.bias, kind))
    }

    /// The same and an activation after it, in one pass where the weight is packed; `None` where not.
    pub(super) fn forward_and(&self, x: &Tensor, after: After) -> Option<Tensor> {
        let packed = self.packed.as_ref()?;
        Some(packed.forward(x, after))
    }

    /// For a model that is only read: packs the weight where that pays. No gradient reaches it then.
    pub(super) fn pack(&mut self) {
        self.packed = Packed::of(&self.weight, &self.bias);
        if self.packed.is_some() {
            self.weight = Tensor::new();
        }
    }

    /// For a model of `kind` that is only read, over tokens without padding.
    pub(super) fn pack_unpadded(&mut self, kind: Kind) {
        self.packed_unpadded = Some(native::pack(&self.weight, kind));
        self.weight = Tensor::new();
        self.bias = self.bias.to_kind(Kind::Float);
    }

    /// Weight and bias for tokens without padding.
    pub(crate) fn native(&self) -> (Weights<'_>, &Tensor) {
        let weight = match &self.packed_unpadded {
            Some(packed) => Weights::Packed(packed),
            None => Weights::Trained(&self.weight),
        };
        (weight, &self.bias)
    }

    /// Weight and bias as they are trained.
    pub(crate) fn trained(&self) -> (&Tensor, &Tensor) {
        (&self.weight, &self.bias)
    }

    /// Several layers over the same input as one, their outputs side by side; to be packed.
    pub(super) fn beside(layers: &[&Self]) -> Self {
        let cat = |part: fn(&Self) -> &Tensor| {
            let parts: Vec<&Tensor> = layers.iter().map(|layer| part(layer)).collect();
            Tensor::cat(&parts, 0)
        };
        Self {
            weight: cat(|layer| &layer.weight),
            bias: cat(|layer| &layer.bias),
            packed: None,
            packed_unpadded: None,
        }
    }

    /// Whether it is packed.
    pub(super) fn is_packed(&self) -> bool {
        self.packed.is_some()
    }
}

/// Layer normalisation over the last dimension.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// The norm whose parameters are `{name}.weight` and `{name}.bias`.
    pub(crate) fn new(parameters: &Parameters, name: &str, eps: f64) -> Self {
        Self {
            weight: parameters.get(&format!("{name}.weight")),
            bias: parameters.get(&format!("{name}.bias")),
            eps,
        }
    }

    /// In fp32, for tokens without padding.
    pub(super) fn widen(&mut self) {
        self.weight = self.weight.to_kind(Kind::Float);
        self.bias = self.bias.to_kind(Kind::Float);
    }

    /// Weight, bias and epsilon for tokens without padding.
    pub(super) fn native(&self) -> (&Tensor, &Tensor, f64) {
        (&self.weight, &self.bias, self.eps)
    }

    /// `x` `[.., d]`, same shape out. Mean and variance are accumulated in fp32 by libtorch.
    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let kind = x.kind();
        let (weight, bias) = (cast(&self.weight, kind), cast(&self.bias, kind));
        x.layer_norm(weight.size(), Some(&weight), Some(&bias), self.eps, true)
    }
}

/// `tensor` in `kind`; itself where it is so already.
pub(crate) fn cast(tensor: &Tensor, kind: Kind) -> Tensor {
    if tensor.kind() == kind {
        tensor.shallow_clone()
    } else {
        tensor.to_kind(kind)
    }
}
