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
        places: *const i32,
        width: i64,
        moved: *mut u8,
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
        places: *const i32,
        width: i64,
        moved: *mut u8,
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
pub(crate) fn adam(
    parameter: &mut Tensor,
    (gradient, rows): (&Tensor, Option<Sparse<'_>>),
    first_moment: &mut Tensor,
    second_moment: &mut Tensor,
    rule: &Rule,
) {
    let count = checked(parameter);
    for tensor in [&*first_moment, &*second_moment] {
        let other = checked(tensor);
        assert_eq!(other, count, "an update's tensors are of one size");
    }
    // Of each row of the table, its place in the gradient; -1 where it has none.
    let mut table = rows.map(|Sparse { rows, moved }| {
        let (height, width) = parameter.size2().expect("rows are those of a table");
        assert_eq!(
            checked(gradient),
            rows.len() as i64 * width,
            "a gradient has a row for each number of a row"
        );
        let mut places = vec![-1_i32; usize::try_from(height).expect("a count")];
        for (place, &row) in rows.iter().enumerate() {
            places[usize::try_from(row).expect("a row")] = i32::try_from(place).expect("few");
        }
        assert_eq!(moved.len(), places.len(), "a flag a row");
        (places, width, moved)
    });
    if table.is_none() {
        assert_eq!(
            checked(gradient),
            count,
            "an update's tensors are of one size"
        );
    }
    let (places, width, moved) = match &mut table {
        Some((places, width, moved)) => (places.as_ptr(), *width, moved.as_mut_ptr()),
        None => (std::ptr::null(), 0, std::ptr::null_mut()),
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the update computes in fp32"
    )]
    let single = |x: f64| x as f32;
    let (clip, rate) = (single(rule.clip), single(rule.learning_rate));
    let (beta1, beta2) = (single(rule.beta1), single(rule.beta2));
    let (epsilon, decay) = (single(rule.epsilon), single(rule.decay));
    let weights = parameter.data_ptr().cast();
    let slope = gradient.data_ptr().cast::<f32>().cast_const();
    let first = first_moment.data_ptr().cast();
    let second = second_moment.data_ptr().cast();
    // SAFETY: three distinct tensors of `count` floats each, and a gradient of as many, or with `places` of a row of
    // `width` for each that is not negative, and a flag for each row of the table, checked above.
    unsafe {
        if let Some((correction1, correction2)) = rule.bias_correction {
            tinyrun_adamw(
                weights,
                slope,
                first,
                second,
                count,
                places,
                width,
                moved,
                clip,
                rate,
                beta1,
                beta2,
                epsilon,
                decay,
                single(correction1),
                single(correction2.sqrt()),
            );
        } else {
            tinyrun_bert_adam(
                weights, slope, first, second, count, places, width, moved, clip, rate, beta1,
                beta2, epsilon, decay,
            );
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
