//! Gradients in the middle of a backward pass, by the C++ of `native/hooks.cpp`.

#![expect(unsafe_code, reason = "foreign functions")]

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tch::Tensor;
use torch_sys::C_tensor;

use crate::native;

type Taker = unsafe extern "C" fn(context: *const c_void, gradient: *const C_tensor) -> i32;

unsafe extern "C" {
    fn tinyrun_hook(tensor: *const C_tensor, taker: Taker, context: *const c_void) -> i64;
    fn tinyrun_unhook(tensor: *const C_tensor, number: i64);
}

/// What is called with the gradient.
type Take = Box<dyn Fn(&Tensor)>;

/// Calls a function with the gradient of a leaf in every backward pass, as soon as it is complete, until this is
/// dropped. On the CPU that is the thread which runs the pass.
pub(crate) struct Hook {
    leaf: Tensor,
    number: i64,
    /// Lives as long as the hook. A box of a box: the C++ keeps a thin pointer.
    _take: Box<Take>,
}

impl Hook {
    /// # Panics
    /// A tensor that requires no gradient.
    pub(crate) fn new(leaf: &Tensor, take: impl Fn(&Tensor) + 'static) -> Self {
        let take: Box<Take> = Box::new(Box::new(take));
        let context: *const Take = &raw const *take;
        // SAFETY: a live tensor; the context lives until the hook is removed.
        let number = unsafe { tinyrun_hook(leaf.as_ptr(), taker, context.cast()) };
        assert!(number >= 0, "{}", native::error());
        Self {
            leaf: leaf.shallow_clone(),
            number,
            _take: take,
        }
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        // SAFETY: a live tensor, and its hook, which is removed once.
        unsafe { tinyrun_unhook(self.leaf.as_ptr(), self.number) };
    }
}

/// Called by C++, which turns 0 into an error of the backward pass.
unsafe extern "C" fn taker(context: *const c_void, gradient: *const C_tensor) -> i32 {
    // SAFETY: what `Hook::new` has passed, and a live tensor, of which this is another handle.
    let (take, gradient) = unsafe {
        let take = &*context.cast::<Take>();
        (take, Tensor::clone_from_ptr(gradient.cast_mut()))
    };
    // A panic must not pass through C++. Its message is in the log.
    let taken = catch_unwind(AssertUnwindSafe(|| take(&gradient)));
    i32::from(taken.is_ok())
}
