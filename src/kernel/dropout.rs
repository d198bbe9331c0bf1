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
    if x.device() != Device::Cpu {
        return x.dropout(p, train);
    }
    x * mask(&x.size(), x.kind(), p)
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
fn mask(size: &[i64], kind: Kind, p: f64) -> Tensor {
    let mut mask = Tensor::empty(size, (kind, Device::Cpu));
    let of_row = size.iter().skip(1).product();
    DropoutMask::next(p, true, Over::Rows(of_row)).fill(&mut mask);
    mask
}

impl DropoutMask {
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
mod tests {
    use std::ffi::{CStr, c_char};

    use super::*;

    fn drawn(seed: i64, count: i64, p: f64) -> Vec<f32> {
        reseed(seed, Amounts::NONE);
        let x = Tensor::ones([count], (Kind::Float, Device::Cpu));
        Vec::try_from(dropout(&x, p, true)).expect("numbers")
    }

    #[test]
    fn masks_never_change() {
        let bits: String = drawn(7, 40, 0.5)
            .iter()
            .map(|x| if *x == 0.0 { '0' } else { '1' })
            .collect();
        assert_eq!(bits, "0111000110111001101011011110010110000100");
    }

    #[test]
    fn as_many_are_dropped_as_asked_and_the_mean_stays() {
        for p in [0.1, 0.5, 0.9] {
            let x = drawn(1, 400_000, p);
            let zeros = x.iter().filter(|x| **x == 0.0).count() as f64 / 400_000.0;
            // Five standard deviations.
            assert!((zeros - p).abs() < 5.0 * (p * (1.0 - p) / 400_000.0_f64).sqrt());
            let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / 400_000.0;
            assert!((mean - 1.0).abs() < 0.02, "{mean}");
        }
    }

    #[test]
    fn masks_of_a_step_of_other_steps_and_of_neighbours_are_independent() {
        let n = 100_000;
        let x = Tensor::ones([n], (Kind::Float, Device::Cpu));
        reseed(3, Amounts::NONE);
        let draw = || Vec::<f32>::try_from(dropout(&x, 0.5, true)).expect("numbers");
        let (first, second) = (draw(), draw());
        let other = drawn(4, n, 0.5);
        let shifted: Vec<f32> = first[1..].iter().chain(&first[..1]).copied().collect();
        for (name, against) in [("next", &second), ("step", &other), ("neighbour", &shifted)] {
            let both = first
                .iter()
                .zip(against)
                .filter(|(a, b)| (*a - *b).abs() < 0.5)
                .count();
            let apart = (both as f64 / n as f64 - 0.5).abs();
            assert!(apart < 0.008, "{name}: {apart}");
        }
    }

    #[test]
    fn a_format_changes_the_numbers_and_not_the_places() {
        let zeros = |kind| {
            reseed(9, Amounts::NONE);
            let x = Tensor::ones([5000], (kind, Device::Cpu));
            let dropped = dropout(&x, 0.1, true).to_kind(Kind::Float);
            Vec::<f32>::try_from(dropped)
                .expect("numbers")
                .iter()
                .map(|x| *x == 0.0)
                .collect::<Vec<_>>()
        };
        let wide = zeros(Kind::Float);
        assert_eq!(zeros(Kind::BFloat16), wide);
        assert_eq!(zeros(Kind::Half), wide);
    }

    unsafe extern "C" {
        fn tinyrun_probe_dropout(
            of_loop: *const c_char,
            half: i32,
            n: i64,
            place: u64,
            key: u64,
            dropped: u32,
            kept: f32,
            found: *mut bool,
        ) -> i32;
    }

    /// A third is dropped.
    const MASK: DropoutMask = DropoutMask {
        begin: 0,
        key: 0x0123_4567_89ab_cdef,
        dropped: u32::MAX / 3,
        kept: 1.5,
    };

    fn at(begin: u64) -> DropoutMask {
        DropoutMask { begin, ..MASK }
    }

    /// Elements of a row.
    const ROW: usize = 48;

    /// First places of rows: below 2^32, across it, and beyond it.
    const PLACES: [u64; 6] = [
        0,
        1000,
        (1 << 32) - 48,
        (1 << 32) - 21,
        1 << 32,
        (5 << 32) - 7,
    ];

    /// Which elements of [`MASK`] are dropped, one by one: as dropout.inc says.
    fn dropped_at(place: u64) -> bool {
        let (low, high) = (place as u32, (place >> 32) as u32);
        let (key1, key2) = (MASK.key as u32, (MASK.key >> 32) as u32);
        let round = |mut x: u32| {
            x ^= x >> 16;
            x = x.wrapping_mul(0x7feb_352d);
            x ^= x >> 15;
            x = x.wrapping_mul(0x846c_a68b);
            x ^ x >> 16
        };
        let second = key2 ^ high.wrapping_mul(0x9e37_79b9);
        round(round(low ^ key1) ^ second) < MASK.dropped
    }

    fn row_at(place: u64) -> Vec<bool> {
        (place..).take(ROW).map(dropped_at).collect()
    }

    /// Which elements of a row at `place` a loop of the native code drops.
    fn drawn_by(of_loop: &CStr, kind: Kind, place: u64) -> Result<Vec<bool>, String> {
        cpu::processor();
        let mut found = vec![false; ROW];
        let half = i32::from(kind == Kind::BFloat16);
        let DropoutMask {
            key, dropped, kept, ..
        } = MASK;
        // SAFETY: room for as many as are asked for.
        let well = unsafe {
            let (name, n) = (of_loop.as_ptr(), ROW as i64);
            tinyrun_probe_dropout(name, half, n, place, key, dropped, kept, found.as_mut_ptr())
        };
        if well == 0 {
            Err(native::error())
        } else {
            Ok(found)
        }
    }

    fn every_loop_draws_by_place(kind: Kind) {
        let loops = [
            c"drop",
            c"embed",
            c"norm",
            c"norm backward",
            c"attention",
            c"attention backward",
        ];
        for of_loop in loops {
            for place in PLACES {
                let found = drawn_by(of_loop, kind, place).expect("it fits");
                assert_eq!(
                    found,
                    row_at(place),
                    "{of_loop:?} in {kind:?} at {place:#x}"
                );
            }
        }
        let refused = drawn_by(c"too little scratch", kind, 0).expect_err("it does not fit");
        assert!(refused.starts_with("a loop wants "), "{refused}");
    }

    #[test]
    fn every_loop_draws_its_mask_by_place() {
        every_loop_draws_by_place(Kind::Float);
    }

    #[test]
    #[cfg_attr(not(has_bf16), ignore = "this processor does not multiply in bf16")]
    fn in_bf16_every_loop_draws_its_mask_by_place() {
        every_loop_draws_by_place(Kind::BFloat16);
    }

    #[test]
    fn a_mask_is_drawn_by_place_below_2_to_the_32_and_beyond() {
        for kind in [Kind::Float, Kind::BFloat16, Kind::Half] {
            for place in PLACES {
                let mut mask = Tensor::empty([ROW as i64], (kind, Device::Cpu));
                at(place).fill(&mut mask);
                let found = Vec::<f32>::try_from(mask.to_kind(Kind::Float)).expect("numbers");
                let expected = row_at(place).into_iter();
                let expected: Vec<f32> = expected.map(|d| if d { 0.0 } else { 1.5 }).collect();
                assert_eq!(found, expected, "{kind:?} at {place:#x}");
            }
        }
    }

    #[test]
    fn places_beyond_2_to_the_32_do_not_repeat_those_below() {
        let n = 100_000;
        let drawn = |place| {
            let mut mask = Tensor::empty([n], (Kind::Float, Device::Cpu));
            at(place).fill(&mut mask);
            Vec::<f32>::try_from(mask).expect("numbers")
        };
        let first = drawn(0);
        for place in [1 << 32, 2 << 32, 1 << 63] {
            let both = first
                .iter()
                .zip(drawn(place))
                .filter(|(a, b)| a.to_bits() == b.to_bits());
            // Of independent draws 5 in 9 are equal.
            let apart = (both.count() as f64 / n as f64 - 5.0 / 9.0).abs();
            assert!(apart < 0.008, "{place:#x}: {apart}");
        }
    }

    #[test]
    fn a_mask_of_another_format_is_refused() {
        let mut mask = Tensor::empty([4], (Kind::Int64, Device::Cpu));
        let fill = std::panic::AssertUnwindSafe(|| MASK.fill(&mut mask));
        let told = std::panic::catch_unwind(fill).expect_err("no format of a mask");
        let told = told.downcast_ref::<String>().expect("a sentence");
        assert_eq!(
            told,
            "argument `mask` must be fp32, bf16 or fp16, is int64 [4]"
        );
    }

    #[test]
    fn without_training_nothing_is_dropped() {
        let x = Tensor::ones([100], (Kind::Float, Device::Cpu));
        assert_eq!(dropout(&x, 0.5, false), x);
        assert_eq!(dropout(&x, 0.0, true), x);
    }
}
