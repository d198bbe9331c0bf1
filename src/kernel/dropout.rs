//! Dropout whose masks are a function of the seed, the step and the place in the model
//! (docs/concepts/exactness.md).

#![expect(unsafe_code, reason = "a foreign function over a tensor")]

use std::cell::Cell;

use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

use crate::batch::Amounts;
use crate::seed::{mix, seeded};
use crate::{cpu, native};

unsafe extern "C" {
    fn tinyrun_dropout_mask(
        mask: *mut C_tensor,
        place: u64,
        key: u64,
        dropped: u32,
        kept: u32,
    ) -> i32;
}

thread_local! {
    /// Seed of the micro-step, and masks drawn since it began.
    static DRAWN: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
    /// What of the micro-batch other ranks have before this one's rows.
    static BEFORE: Cell<Amounts> = const { Cell::new(Amounts::NONE) };
    /// Whether there are other ranks.
    static IS_SHARED: Cell<bool> = const { Cell::new(false) };
}

/// Says whether other ranks compute parts of the batches too. Their masks are then drawn by place on every device;
/// a GPU that computes whole batches draws faster by itself.
pub(crate) fn share(is_shared: bool) {
    IS_SHARED.set(is_shared);
}

/// Begins a micro-step: its masks are functions of `seed` and their order from here on, each drawn by place in the
/// whole micro-batch, of which other ranks have what is `before`.
pub(crate) fn reseed(seed: i64, before: Amounts) {
    DRAWN.set((seed.cast_unsigned(), 0));
    BEFORE.set(before);
    // Devices that draw by themselves.
    seeded(seed, || ());
}

/// `x`, where `train` is set with each element 0 with probability `p` and divided by `1 - p` else.
pub(crate) fn dropout(x: &Tensor, p: f64, train: bool) -> Tensor {
    if !train || p <= 0.0 {
        return x.shallow_clone();
    }
    if x.device() == Device::Cpu {
        return x * mask(&x.size(), x.kind(), p);
    }
    if !IS_SHARED.get() {
        return x.dropout(p, train);
    }
    let mask = of_rows(&x.size(), p).tensor(&x.size(), x.device());
    x * mask.to_kind(x.kind())
}

/// What a mask has a place for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Over {
    /// So many numbers of each row.
    Rows(i64),
    /// So many numbers of each token.
    Tokens(i64),
    /// Each pair of a row's tokens, for so many heads.
    Pairs(i64),
}

impl Over {
    /// Places that other ranks have before.
    fn before(self) -> u64 {
        let before = BEFORE.get();
        let (count, each) = match self {
            Self::Rows(each) => (before.rows, each),
            Self::Tokens(each) => (before.tokens, each),
            Self::Pairs(each) => (before.squared_lengths, each),
        };
        count * each.cast_unsigned()
    }
}

/// A mask that is drawn where it is used, as `native/kernels.h` has it.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct DropoutMask {
    pub(crate) key: u64,
    /// Place of its first element.
    pub(crate) begin: u64,
    /// Of 2^32 cases; 0: nothing is dropped.
    pub(crate) dropped: u32,
    /// Factor of the others.
    pub(crate) kept: f32,
}

impl DropoutMask {
    /// The next mask of the micro-step; none without training.
    pub(crate) fn next(p: f64, train: bool, over: Over) -> Self {
        if !train || p <= 0.0 {
            return Self {
                key: 0,
                begin: 0,
                dropped: 0,
                kept: 1.0,
            };
        }
        let (seed, place) = DRAWN.get();
        DRAWN.set((seed, place + 1));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a probability of 2^32 cases; the format of the factor"
        )]
        Self {
            key: mix(seed, place),
            begin: over.before(),
            dropped: (p * 2_f64.powi(32)) as u32,
            kept: (1.0 / (1.0 - p)) as f32,
        }
    }
}

/// The next mask of the micro-step, of rows.
fn of_rows(size: &[i64], p: f64) -> DropoutMask {
    let of_row = size.iter().skip(1).product();
    DropoutMask::next(p, true, Over::Rows(of_row))
}

/// The same on the CPU, drawn.
fn mask(size: &[i64], kind: Kind, p: f64) -> Tensor {
    let mut mask = Tensor::empty(size, (kind, Device::Cpu));
    of_rows(size, p).fill(&mut mask);
    mask
}

/// The lower 32 bits of a number.
const LOW: i64 = 0xffff_ffff;

impl DropoutMask {
    /// The same mask by operations of libtorch, for devices that `native/dropout.inc` is not compiled for. fp32.
    fn tensor(self, size: &[i64], device: Device) -> Tensor {
        let begin = self.begin.cast_signed();
        let count: i64 = size.iter().product();
        let place = Tensor::arange_start(begin, begin + count, (Kind::Int64, device));
        let key = self.key.cast_signed();
        let high = place.bitwise_right_shift_tensor_scalar(32);
        // Products of 32 bits lose nothing below 2^32, also where they overflow.
        let mut second = high * 0x9e37_79b9_i64;
        let _ = second.bitwise_and_(LOW).bitwise_xor_((key >> 32) & LOW);
        let mut x = place.bitwise_and(LOW).bitwise_xor(key & LOW);
        for round in 0..2 {
            for (shift, factor) in [
                (16, Some(0x7feb_352d_i64)),
                (15, Some(0x846c_a68b)),
                (16, None),
            ] {
                let _ = x.bitwise_xor_tensor_(&x.bitwise_right_shift_tensor_scalar(shift));
                if let Some(factor) = factor {
                    let _ = x.g_mul_scalar_(factor).bitwise_and_(LOW);
                }
            }
            if round == 0 {
                let _ = x.bitwise_xor_tensor_(&second);
            }
        }
        let stays = x.ge(i64::from(self.dropped)).to_kind(Kind::Float);
        (stays * f64::from(self.kept)).view(size)
    }

    /// Fills `mask` with 0 and with the factor of the elements that stay.
    fn fill(self, mask: &mut Tensor) {
        cpu::processor();
        let Self {
            key,
            begin,
            dropped,
            kept,
        } = self;
        let kept = match mask.kind() {
            Kind::BFloat16 => u32::from(half::bf16::from_f32(kept).to_bits()),
            Kind::Half => u32::from(half::f16::from_f32(kept).to_bits()),
            _ => kept.to_bits(),
        };
        // SAFETY: a live tensor, which is checked before it is written.
        let filled = unsafe { tinyrun_dropout_mask(mask.as_mut_ptr(), begin, key, dropped, kept) };
        assert!(filled != 0, "{}", native::error());
    }
}

#[cfg(test)]
mod tests;
