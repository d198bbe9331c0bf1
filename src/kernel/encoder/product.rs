//! Matrix products in the format of their factors.
//!
//! A processor without instructions for 16-bit products multiplies bf16 through libtorch several
//! times slower than fp32. There the factors, which are 16-bit numbers already, are widened and multiplied in
//! fp32, and the product is rounded to 16 bits again: what the instructions do, at the speed of fp32.

use tch::{Device, Kind, Tensor};

use crate::cpu::multiplies;

/// `x Wᵀ + b`
pub(super) fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Tensor {
    if !is_widened(x) {
        return x.linear(weight, Some(bias));
    }
    let wide = |tensor: &Tensor| tensor.to_kind(Kind::Float);
    let product = wide(x).linear(&wide(weight), Some(wide(bias)));
    product.to_kind(x.kind())
}

/// `a b` over the last two dimensions.
pub(crate) fn matmul(a: &Tensor, b: &Tensor) -> Tensor {
    if !is_widened(a) {
        return a.matmul(b);
    }
    let product = a.to_kind(Kind::Float).matmul(&b.to_kind(Kind::Float));
    product.to_kind(a.kind())
}

fn is_widened(tensor: &Tensor) -> bool {
    tensor.device() == Device::Cpu && !multiplies(tensor.kind())
}
