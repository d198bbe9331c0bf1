//! The door to `packed.cpp`: a frozen weight packed once for oneDNN.

#![expect(unsafe_code, reason = "foreign functions over tensors")]

use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

use crate::bert::multiplies;

unsafe extern "C" {
    fn tinyrun_pack(weight: *const C_tensor, rows: i64) -> *mut C_tensor;
    fn tinyrun_packed_linear(
        x: *const C_tensor,
        packed: *const C_tensor,
        bias: *const C_tensor,
        gelu: i32,
    ) -> *mut C_tensor;
}

/// Rows that a weight is packed for: a batch's tokens, about.
const ROWS: i64 = 1024;

/// What is computed after the product, in the same pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Nothing,
    Gelu,
    GeluTanh,
}

/// A linear layer that no gradient goes through.
#[derive(Debug)]
pub(crate) struct Packed {
    weight: Tensor,
    bias: Tensor,
}

impl Packed {
    /// `None` where it would not pay or not be the same: on other devices, in fp32, which is what parity is
    /// shown in, without instructions for the format, or with a libtorch that lacks the operator.
    pub(crate) fn of(weight: &Tensor, bias: &Tensor) -> Option<Self> {
        let kind = weight.kind();
        let is_half = matches!(kind, Kind::BFloat16 | Kind::Half);
        let pays = weight.device() == Device::Cpu && is_half && multiplies(kind);
        if !pays {
            return None;
        }
        // SAFETY: a live tensor in, a new one or null out.
        let packed = unsafe { tensor(tinyrun_pack(weight.as_ptr(), ROWS)) }?;
        let packed = Self {
            weight: packed,
            bias: bias.shallow_clone(),
        };
        let probe = Tensor::zeros([1, 1, weight.size()[1]], (kind, Device::Cpu));
        let after = [After::Nothing, After::Gelu, After::GeluTanh];
        let works = |after| packed.try_forward(&probe, after).is_some();
        after.into_iter().all(works).then_some(packed)
    }

    /// `x` `[.., in]` to `[.., out]`.
    pub(crate) fn forward(&self, x: &Tensor, after: After) -> Tensor {
        self.try_forward(x, after)
            .expect("what was tried when the weight was packed")
    }

    fn try_forward(&self, x: &Tensor, after: After) -> Option<Tensor> {
        let gelu = match after {
            After::Nothing => 0,
            After::Gelu => 1,
            After::GeluTanh => 2,
        };
        let (weight, bias) = (self.weight.as_ptr(), self.bias.as_ptr());
        // SAFETY: live tensors in, a new one or null out.
        unsafe { tensor(tinyrun_packed_linear(x.as_ptr(), weight, bias, gelu)) }
    }
}

/// Takes what a foreign function returned over.
///
/// # Safety
/// The pointer is null or a tensor that nobody else frees.
unsafe fn tensor(pointer: *mut C_tensor) -> Option<Tensor> {
    // SAFETY: by this function's own condition.
    (!pointer.is_null()).then(|| unsafe { Tensor::from_ptr(pointer) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest difference over the largest number.
    fn apart(found: &Tensor, expected: &Tensor) -> f64 {
        let (found, expected) = (found.to_kind(Kind::Double), expected.to_kind(Kind::Double));
        let largest = expected.abs().max().double_value(&[]);
        (found - expected).abs().max().double_value(&[]) / largest
    }

    #[test]
    fn a_packed_layer_computes_what_the_plain_one_does() {
        if !multiplies(Kind::BFloat16) {
            return;
        }
        tch::manual_seed(1);
        let normal = |size: &[i64]| Tensor::randn(size, (Kind::Float, Device::Cpu));
        for (rows, length, inner, outer) in [(1, 1, 24, 40), (3, 7, 312, 1200), (32, 13, 768, 768)]
        {
            let (weight, bias) = (normal(&[outer, inner]), normal(&[outer]));
            let x = normal(&[rows, length, inner]).to_kind(Kind::BFloat16);
            let (weight, bias) = (weight.to_kind(Kind::BFloat16), bias.to_kind(Kind::BFloat16));
            let packed = Packed::of(&weight, &bias).expect("libtorch packs");
            let wide = |t: &Tensor| t.to_kind(Kind::Float);
            let exact = wide(&x).linear(&wide(&weight), Some(wide(&bias)));
            let half = 2.0_f64.powi(-8);
            for (after, exact) in [
                (After::Nothing, exact.shallow_clone()),
                (After::Gelu, exact.gelu("none")),
                (After::GeluTanh, exact.gelu("tanh")),
            ] {
                let found = packed.forward(&x, after);
                assert_eq!(found.size(), exact.size());
                let apart = apart(&found, &exact);
                assert!(apart <= half, "{after:?} {inner}x{outer}: {apart}");
            }
        }
    }

    #[test]
    fn fp32_is_left_as_parity_knows_it() {
        let (weight, bias) = (
            Tensor::zeros([8, 8], (Kind::Float, Device::Cpu)),
            Tensor::zeros([8], (Kind::Float, Device::Cpu)),
        );
        assert!(Packed::of(&weight, &bias).is_none());
    }
}
