//! The FFI boundary to the C++ beside this file: embeddings and parts of an encoder layer over a packed batch.
//!
//! Rows of a batch are packed, `[tokens, width]`, without padding, and attention is computed within each. Products go
//! through libtorch to oneDNN's kernels in tiles, and what follows a product (bias, activation, dropout, residual, norm,
//! a loss) is computed on a tile while it is in the cache. Each function is one autograd function of libtorch, with a
//! backward pass of its own. Results do not depend on the number of threads.
//!
//! The C++ checks kind, device, layout and sizes of every tensor before it takes a pointer (`argument.h`), so these
//! functions are safe for any tensors. A wrong one is a panic that names the argument, what it must be and what it is.

#![expect(unsafe_code, reason = "foreign functions over tensors")]

pub(crate) mod relations;

use std::ffi::{CStr, c_char};
use std::sync::OnceLock;

use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

use crate::cpu::{self, multiplies};
use crate::dropout::DropoutMask;

unsafe extern "C" {
    fn tinyrun_native_error() -> *const c_char;
    fn tinyrun_native_works(half: i32) -> i32;
    fn tinyrun_native_pack(weight: *const C_tensor, half: i32) -> *mut C_tensor;
    fn tinyrun_native_embeddings(
        words: *const C_tensor,
        ids: *const C_tensor,
        pad: i64,
        types: *const C_tensor,
        type_ids: *const C_tensor,
        positions: *const C_tensor,
        position_ids: *const C_tensor,
        gamma: *const C_tensor,
        beta: *const C_tensor,
        eps: f64,
        dropout: *const DropoutMask,
        half: i32,
    ) -> *mut C_tensor;
    fn tinyrun_native_linear(
        x: *const C_tensor,
        activation: i32,
        packed: *const C_tensor,
        weights: *const *const C_tensor,
        biases: *const *const C_tensor,
        count: i64,
    ) -> *mut C_tensor;
    fn tinyrun_native_linear_norm(
        x: *const C_tensor,
        residual: *const C_tensor,
        gamma: *const C_tensor,
        beta: *const C_tensor,
        eps: f64,
        dropout: *const DropoutMask,
        packed: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
    ) -> *mut C_tensor;
    fn tinyrun_native_squared_error(
        x: *const C_tensor,
        target: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
    ) -> *mut C_tensor;
    fn tinyrun_native_attention(
        q: *const C_tensor,
        kv: *const C_tensor,
        offsets: *const C_tensor,
        heads: i64,
        dropout: *const DropoutMask,
        teacher: *const C_tensor,
        bias: *const C_tensor,
        scores: i32,
        found: *mut *mut C_tensor,
    ) -> i32;
}

/// Whether models are computed here in this format on this device. fp16, which needs a scaled loss, is left to libtorch,
/// and so is bf16 where the processor or libtorch has no instructions for it.
pub(crate) fn computes(kind: Kind, device: Device) -> bool {
    static WORKS: [OnceLock<bool>; 2] = [const { OnceLock::new() }; 2];
    let half = match kind {
        Kind::Float => 0,
        Kind::BFloat16 => 1,
        _ => return false,
    };
    let here = cfg!(target_arch = "x86_64") && device == Device::Cpu && multiplies(kind);
    // SAFETY: a function of a number.
    here && *WORKS[half].get_or_init(|| unsafe { tinyrun_native_works(half as i32) != 0 })
}

/// What is applied to the output of a linear layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    Nothing = 0,
    /// By the error function.
    Gelu = 1,
    GeluTanh = 2,
    Relu = 3,
}

/// A weight `[out, in]` prepacked for an inference-only model, for activations of `kind`.
pub(crate) fn pack(weight: &Tensor, kind: Kind) -> Tensor {
    cpu::processor();
    let weight = weight.detach().to_kind(Kind::Float).contiguous();
    let half = i32::from(kind == Kind::BFloat16);
    // SAFETY: a live tensor in.
    owned(unsafe { tinyrun_native_pack(weight.as_ptr(), half) })
}

/// Weights of a linear layer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Weights<'a> {
    /// `[out, in]`, fp32.
    Trained(&'a Tensor),
    /// Of [`pack`].
    Packed(&'a Tensor),
}

impl Weights<'_> {
    /// The packed one and the other, one of which is null.
    fn pointers(&self) -> [*const C_tensor; 2] {
        match self {
            Self::Trained(weight) => [std::ptr::null(), weight.as_ptr()],
            Self::Packed(weight) => [weight.as_ptr(), std::ptr::null()],
        }
    }
}

/// A table of embeddings `[rows, d]`, fp32, and the row of each token, int64 `[tokens]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EmbeddingLookup<'a> {
    pub(crate) table: &'a Tensor,
    pub(crate) rows: &'a Tensor,
}

/// `drop(layer_norm(word + segment + position))` `[tokens, d]` in `kind`. Tokens of the row `pad` give the words' table no
/// gradient; -1 where all do.
pub(crate) fn embeddings(
    words: EmbeddingLookup<'_>,
    pad: i64,
    types: EmbeddingLookup<'_>,
    positions: EmbeddingLookup<'_>,
    (gamma, beta, eps): (&Tensor, &Tensor, f64),
    drop: DropoutMask,
    kind: Kind,
) -> Tensor {
    cpu::processor();
    // SAFETY: live tensors in.
    owned(unsafe {
        tinyrun_native_embeddings(
            words.table.as_ptr(),
            words.rows.as_ptr(),
            pad,
            types.table.as_ptr(),
            types.rows.as_ptr(),
            positions.table.as_ptr(),
            positions.rows.as_ptr(),
            gamma.as_ptr(),
            beta.as_ptr(),
            eps,
            &raw const drop,
            i32::from(kind == Kind::BFloat16),
        )
    })
}

/// `act(x W' + b)` of `x` `[tokens, in]`; of several layers over the same input side by side, where all are trained.
/// Biases are fp32.
pub(crate) fn linear(x: &Tensor, layers: &[(Weights<'_>, &Tensor)], after: Activation) -> Tensor {
    cpu::processor();
    let weights: Vec<[*const C_tensor; 2]> = layers.iter().map(|(w, _)| w.pointers()).collect();
    let biases: Vec<*const C_tensor> = layers.iter().map(|(_, b)| b.as_ptr()).collect();
    let is_packed = |(weight, _): &(Weights<'_>, &Tensor)| matches!(weight, Weights::Packed(_));
    assert!(
        !layers.is_empty() && (layers.len() == 1 || !layers.iter().any(is_packed)),
        "several layers side by side are trained ones"
    );
    let packed = weights[0][0];
    let weights: Vec<*const C_tensor> = weights.iter().map(|w| w[1]).collect();
    let count = layers.len() as i64;
    // SAFETY: live tensors in, `count` of each.
    owned(unsafe {
        let (weights, biases) = (weights.as_ptr(), biases.as_ptr());
        tinyrun_native_linear(x.as_ptr(), after as i32, packed, weights, biases, count)
    })
}

/// `layer_norm(drop(x W' + b) + residual)`
pub(crate) fn linear_norm(
    x: &Tensor,
    (weight, bias): (Weights<'_>, &Tensor),
    residual: &Tensor,
    (gamma, beta, eps): (&Tensor, &Tensor, f64),
    drop: DropoutMask,
) -> Tensor {
    cpu::processor();
    let [packed, weight] = weight.pointers();
    // SAFETY: live tensors in.
    owned(unsafe {
        tinyrun_native_linear_norm(
            x.as_ptr(),
            residual.as_ptr(),
            gamma.as_ptr(),
            beta.as_ptr(),
            eps,
            &raw const drop,
            packed,
            weight,
            bias.as_ptr(),
        )
    })
}

/// `Σ |x W' + b - target|²` over all of `x` `[tokens, in]` and `target` `[tokens, out]`, a scalar in fp32.
pub(crate) fn squared_error(
    x: &Tensor,
    (weight, bias): (&Tensor, &Tensor),
    target: &Tensor,
) -> Tensor {
    cpu::processor();
    // SAFETY: live tensors in.
    owned(unsafe {
        tinyrun_native_squared_error(x.as_ptr(), target.as_ptr(), weight.as_ptr(), bias.as_ptr())
    })
}

/// The input of attention.
#[derive(Debug)]
pub(crate) enum QkvInput {
    /// Query, key and value of every token side by side, `[tokens, 3 d]`.
    All(Tensor),
    /// The query of each row's first token `[rows, d]`; key and value of every token `[tokens, 2 d]`.
    First(Tensor, Tensor),
}

/// Outcome of [`attention`].
#[derive(Debug)]
pub(crate) struct Attended {
    /// `[queries, d]`
    pub(crate) context: Tensor,
    /// `Σ (scores - teacher)²` over all heads, rows and pairs of tokens, a scalar in fp32; 0 without a teacher.
    pub(crate) squares: Tensor,
    /// Of each row `[heads, length, length]`, one after the other; nothing where they are not wanted.
    pub(crate) scores: Tensor,
}

/// Self-attention of each row by itself. `offsets` int32 `[rows + 1]` says where rows begin, and the last one's end;
/// `teacher` is what the scores, before softmax, are compared with. `bias` fp32 `[heads, 2 n - 1]`, for rows of at most `n`
/// tokens: `bias[h, n - 1 + k - q]` is added to a head's score of the query at place `q` and the key at place `k`.
pub(crate) fn attention(
    looked: &QkvInput,
    offsets: &Tensor,
    heads: i64,
    drop: DropoutMask,
    teacher: Option<&Tensor>,
    bias: Option<&Tensor>,
    wants_scores: bool,
) -> Attended {
    cpu::processor();
    let (query, rest) = match looked {
        QkvInput::All(all) => (std::ptr::null(), all),
        QkvInput::First(query, rest) => (query.as_ptr(), rest),
    };
    let [teacher, bias] = [teacher, bias].map(|it| it.map_or(std::ptr::null(), Tensor::as_ptr));
    let mut found = [std::ptr::null_mut(); 3];
    // SAFETY: live tensors or null in, and room for three.
    let well = unsafe {
        tinyrun_native_attention(
            query,
            rest.as_ptr(),
            offsets.as_ptr(),
            heads,
            &raw const drop,
            teacher,
            bias,
            i32::from(wants_scores),
            found.as_mut_ptr(),
        )
    };
    assert!(well != 0, "{}", error());
    let [context, squares, scores] = found.map(owned);
    Attended {
        context,
        squares,
        scores,
    }
}

/// Takes over the tensor that a foreign function made.
///
/// # Panics
/// Where it failed, with its message: libtorch's own operations panic in the same way.
fn owned(pointer: *mut C_tensor) -> Tensor {
    assert!(!pointer.is_null(), "{}", error());
    // SAFETY: the functions above give their results away.
    unsafe { Tensor::from_ptr(pointer) }
}

/// The message of the last failure of a foreign function on this thread.
pub(crate) fn error() -> String {
    // SAFETY: the text lives until the next failure on this thread.
    let text = unsafe { CStr::from_ptr(tinyrun_native_error()) };
    text.to_string_lossy().into_owned()
}
