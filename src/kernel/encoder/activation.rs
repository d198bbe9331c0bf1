//! Activations of the feed-forward layer.

use tch::Tensor;

use crate::native;

/// Non-linearity of the feed-forward part.
#[derive(Debug, Clone, Copy)]
pub(super) enum Activation {
    /// `x Φ(x)` by the error function.
    Gelu,
    /// The tanh approximation.
    GeluTanh,
    Relu,
}

impl Activation {
    /// By Hugging Face's name; the configuration was checked when it was read.
    pub(super) fn named(name: &str) -> Self {
        match name {
            "gelu_new" | "gelu_pytorch_tanh" => Self::GeluTanh,
            "relu" => Self::Relu,
            _ => Self::Gelu,
        }
    }

    /// As the packed encoder computes it.
    pub(super) fn native(self) -> native::Activation {
        match self {
            Self::Gelu => native::Activation::Gelu,
            Self::GeluTanh => native::Activation::GeluTanh,
            Self::Relu => native::Activation::Relu,
        }
    }

    /// On every number of `x`.
    pub(super) fn apply(self, x: &Tensor) -> Tensor {
        match self {
            Self::Gelu => x.gelu("none"),
            Self::GeluTanh => x.gelu("tanh"),
            Self::Relu => x.relu(),
        }
    }
}
