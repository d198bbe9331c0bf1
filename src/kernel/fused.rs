//! The door to `optimizer_step.cpp`: checked tensors in, raw pointers out.

#![expect(unsafe_code, reason = "a foreign function over tensors' storage")]

use tch::{Device, Kind, Tensor};

use crate::optimizer::Rule;

unsafe extern "C" {
    fn tinyrun_blocks(n: i64) -> i64;
    fn tinyrun_squared_sum(g: *const f32, n: i64, partial: *mut f64) -> f64;
    fn tinyrun_bert_adam(
        p: *mut f32,
        g: *const f32,
        m: *mut f32,
        v: *mut f32,
        n: i64,
        clip: f32,
        lr: f32,
        beta1: f32,
        beta2: f32,
        eps: f32,
        decay: f32,
    );
    fn tinyrun_adamw(
        p: *mut f32,
        g: *const f32,
        m: *mut f32,
        v: *mut f32,
        n: i64,
        clip: f32,
        lr: f32,
        beta1: f32,
        beta2: f32,
        eps: f32,
        decay: f32,
        correction1: f32,
        root_correction2: f32,
    );
}

/// Sum of the squares of a contiguous fp32 tensor in memory; the same for any number of threads.
pub(crate) fn squared_sum(tensor: &Tensor) -> f64 {
    let n = checked(tensor);
    // SAFETY: `checked` saw n floats behind the pointer; the block count is the callee's own.
    unsafe {
        let mut partial = vec![0.0; usize::try_from(tinyrun_blocks(n)).expect("a count")];
        tinyrun_squared_sum(tensor.data_ptr().cast(), n, partial.as_mut_ptr())
    }
}

/// One Adam update of `parameter` and its moments in place.
pub(crate) fn adam(
    parameter: &mut Tensor,
    gradient: &Tensor,
    first_moment: &mut Tensor,
    second_moment: &mut Tensor,
    rule: &Rule,
) {
    let n = checked(parameter);
    for tensor in [gradient, first_moment, second_moment] {
        assert_eq!(checked(tensor), n, "an update's tensors are of one size");
    }
    let p = parameter.data_ptr().cast();
    let g = gradient.data_ptr().cast::<f32>().cast_const();
    let (m, v) = (
        first_moment.data_ptr().cast(),
        second_moment.data_ptr().cast(),
    );
    let Rule {
        clip,
        learning_rate: lr,
        beta1,
        beta2,
        epsilon,
        decay,
        bias_correction,
    } = *rule;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the update computes in fp32"
    )]
    let f = |x: f64| x as f32;
    // SAFETY: four distinct tensors of n floats each, checked above.
    unsafe {
        match bias_correction {
            None => tinyrun_bert_adam(
                p,
                g,
                m,
                v,
                n,
                f(clip),
                f(lr),
                f(beta1),
                f(beta2),
                f(epsilon),
                f(decay),
            ),
            Some((correction1, correction2)) => tinyrun_adamw(
                p,
                g,
                m,
                v,
                n,
                f(clip),
                f(lr),
                f(beta1),
                f(beta2),
                f(epsilon),
                f(decay),
                f(correction1),
                f(correction2.sqrt()),
            ),
        }
    }
}

/// Numbers in `tensor`, after making sure that they lie in memory as the callee reads them.
fn checked(tensor: &Tensor) -> i64 {
    assert!(
        tensor.device() == Device::Cpu && tensor.kind() == Kind::Float && tensor.is_contiguous(),
        "the fused update takes contiguous fp32 tensors in memory"
    );
    tensor.numel() as i64
}
