//! Updates of parameters in one pass, in C++ (`optimizer_step.cpp`).

#![expect(unsafe_code, reason = "foreign functions over tensors")]

use tch::{Kind, Tensor};
use torch_sys::C_tensor;

use crate::{cpu, native};

unsafe extern "C" {
    fn tinyrun_squared_sum(gradient: *const C_tensor, sum: *mut f64) -> i32;
    fn tinyrun_adam(
        parameter: *mut C_tensor,
        gradient: *const C_tensor,
        first_moment: *mut C_tensor,
        second_moment: *mut C_tensor,
        rows: *const SparseRows,
        corrects_bias: i32,
        step: *const AdamStep,
    ) -> i32;
}

/// The struct of this name in `optimizer_step.h`.
#[repr(C)]
struct SparseRows {
    numbers: *const i64,
    count: i64,
    moved: *mut u8,
    flags: i64,
}

/// The struct of this name in `exact.h`.
#[repr(C)]
struct AdamStep {
    clip: f32,
    learning_rate: f32,
    beta1: f32,
    beta2: f32,
    eps: f32,
    decay: f32,
    correction1: f32,
    root_correction2: f32,
}

/// Constants of one update of one tensor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// Factor of the gradient.
    pub(crate) clip: f64,
    pub(crate) learning_rate: f64,
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    pub(crate) epsilon: f64,
    /// 0 for a tensor that does not decay.
    pub(crate) decay: f64,
    /// `1 - beta1^t` and `1 - beta2^t`, for a rule that corrects its bias.
    pub(crate) bias_correction: Option<(f64, f64)>,
}

impl Rule {
    /// In fp32, in which the update computes.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the update computes in fp32"
    )]
    fn step(&self) -> AdamStep {
        let (correction1, correction2) = self.bias_correction.unwrap_or((1.0, 1.0));
        AdamStep {
            clip: self.clip as f32,
            learning_rate: self.learning_rate as f32,
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            eps: self.epsilon as f32,
            decay: self.decay as f32,
            correction1: correction1 as f32,
            root_correction2: correction2.sqrt() as f32,
        }
    }
}

/// Sum of the squares of a contiguous fp32 tensor in memory; the same for any number of threads.
///
/// # Panics
/// Where it is another tensor.
pub(crate) fn squared_sum(tensor: &Tensor) -> f64 {
    cpu::processor();
    let mut sum = 0.0;
    // SAFETY: a live tensor, which is checked before it is read.
    let well = unsafe { tinyrun_squared_sum(tensor.as_ptr(), &raw mut sum) };
    assert!(well != 0, "{}", native::error());
    sum
}

/// Rows of a gradient that is zero elsewhere.
#[derive(Debug)]
pub(crate) struct Sparse<'a> {
    /// Their numbers in the table.
    pub(crate) rows: &'a [i64],
    /// Of each row of the table, 0 where both moments are zero. Without a gradient they stay so, and are not read. Rows that
    /// get one are set to 1.
    pub(crate) moved: &'a mut [u8],
}

/// For [`Sparse::moved`], of moments `[rows, width]`.
pub(crate) fn moved(first_moment: &Tensor, second_moment: &Tensor) -> Vec<u8> {
    let any = |moment: &Tensor| moment.not_equal(0.0).any_dim(1, false);
    let either = any(first_moment).logical_or(&any(second_moment));
    Vec::try_from(either.to_kind(Kind::Uint8)).expect("a flag a row")
}

/// One Adam update of `parameter` and its moments in place. A gradient that is given with `rows` is theirs, and zero
/// elsewhere: the result is that of the whole gradient, number by number.
///
/// # Panics
/// Where the tensors are not contiguous fp32 ones of fitting sizes in memory; then nothing was changed.
pub(crate) fn adam(
    parameter: &mut Tensor,
    (gradient, rows): (&Tensor, Option<Sparse<'_>>),
    first_moment: &mut Tensor,
    second_moment: &mut Tensor,
    rule: &Rule,
) {
    cpu::processor();
    let rows = rows.map(|Sparse { rows, moved }| SparseRows {
        numbers: rows.as_ptr(),
        count: rows.len() as i64,
        moved: moved.as_mut_ptr(),
        flags: moved.len() as i64,
    });
    let step = rule.step();
    // SAFETY: live tensors, which are checked before they are read or written, and slices with their lengths.
    let well = unsafe {
        tinyrun_adam(
            parameter.as_mut_ptr(),
            gradient.as_ptr(),
            first_moment.as_mut_ptr(),
            second_moment.as_mut_ptr(),
            rows.as_ref().map_or(std::ptr::null(), std::ptr::from_ref),
            i32::from(rule.bias_correction.is_some()),
            &raw const step,
        )
    };
    assert!(well != 0, "{}", native::error());
}
