//! The relation loss over a packed batch.

#![expect(unsafe_code, reason = "foreign functions over tensors")]

use tch::Tensor;
use tinyrun_base::job::Relations;
use torch_sys::C_tensor;

use super::owned;
use crate::cpu;

unsafe extern "C" {
    fn tinyrun_native_relations(
        student: *const C_tensor,
        teacher: *const C_tensor,
        offsets: *const C_tensor,
        heads: i64,
        weights: *const f64,
    ) -> *mut C_tensor;
}

/// `Σ KL(teacher || student)` over relation heads and tokens, and over queries, keys and values by their weights: a
/// scalar in fp32. `student` and `teacher` hold query, key and value of every token side by side, `[tokens, 3 d]`, and
/// `offsets` says where rows begin, as for [`attention`](super::attention).
pub(crate) fn relations(
    student: &Tensor,
    teacher: &Tensor,
    offsets: &Tensor,
    relations: &Relations,
) -> Tensor {
    cpu::processor();
    // SAFETY: live tensors in, and three weights.
    owned(unsafe {
        tinyrun_native_relations(
            student.as_ptr(),
            teacher.as_ptr(),
            offsets.as_ptr(),
            relations.heads as i64,
            relations.weights.as_ptr(),
        )
    })
}
