//! Matrix products in the format of their factors.
//!
//! A processor without instructions for half precision multiplies bf16 through libtorch several
//! times slower than fp32. There the factors, which are halves already, are widened, multiplied in
//! fp32 and the product is rounded to a half again: what the instructions do, at the speed of fp32.

use tch::{Device, Kind, Tensor};

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

/// Whether the processor multiplies matrices of this format by instructions of its own.
pub(crate) fn multiplies(kind: Kind) -> bool {
    match kind {
        #[cfg(target_arch = "x86_64")]
        Kind::BFloat16 => std::arch::is_x86_feature_detected!("avx512bf16"),
        #[cfg(target_arch = "x86_64")]
        Kind::Half => std::arch::is_x86_feature_detected!("avx512fp16"),
        #[cfg(not(target_arch = "x86_64"))]
        Kind::BFloat16 | Kind::Half => false,
        _ => true,
    }
}
