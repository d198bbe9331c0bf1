//! Dropout whose masks are a function of the seed, the step and the place in the model
//! (docs/concepts/exactness.md).

#![expect(unsafe_code, reason = "a foreign function over a tensor's storage")]

use std::cell::Cell;

use tch::{Device, Kind, Tensor};

use crate::seed::mix;

unsafe extern "C" {
    fn tinyrun_mask16(out: *mut u16, n: i64, key: u64, dropped: u32, kept: u16);
    fn tinyrun_mask32(out: *mut u32, n: i64, key: u64, dropped: u32, kept: u32);
}

thread_local! {
    /// Seed of the micro-step, and masks drawn since it began.
    static DRAWN: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Begins a micro-step: its masks are functions of `seed` and their order from here on.
pub(crate) fn reseed(seed: i64) {
    DRAWN.set((seed.cast_unsigned(), 0));
    // Devices that draw by themselves.
    tch::manual_seed(seed);
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

/// A mask that is drawn where it is used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drop {
    pub(crate) key: u64,
    /// Of 2^32 cases; 0: nothing is dropped.
    pub(crate) dropped: u32,
    /// Factor of the others.
    pub(crate) kept: f32,
}

impl Drop {
    /// The next mask of the micro-step; none without training.
    pub(crate) fn next(p: f64, train: bool) -> Self {
        if !train || p <= 0.0 {
            return Self {
                key: 0,
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
            dropped: (p * 2_f64.powi(32)) as u32,
            kept: (1.0 / (1.0 - p)) as f32,
        }
    }
}

/// The next mask of the micro-step.
fn mask(size: &[i64], kind: Kind, p: f64) -> Tensor {
    let Drop { key, dropped, kept } = Drop::next(p, true);
    let mask = Tensor::empty(size, (kind, Device::Cpu));
    let n = mask.numel() as i64;
    assert!(
        n <= i64::from(u32::MAX),
        "a mask of fewer than 2^32 numbers"
    );
    // SAFETY: the mask was just made, contiguous, with `n` numbers of the size that is written.
    unsafe {
        let half = |bits| tinyrun_mask16(mask.data_ptr().cast(), n, key, dropped, bits);
        match kind {
            Kind::BFloat16 => half(half::bf16::from_f32(kept).to_bits()),
            Kind::Half => half(half::f16::from_f32(kept).to_bits()),
            Kind::Float => {
                tinyrun_mask32(mask.data_ptr().cast(), n, key, dropped, kept.to_bits());
            }
            other => panic!("dropout of {other:?}"),
        }
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: i64, count: i64, p: f64) -> Vec<f32> {
        reseed(seed);
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
        reseed(3);
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
            reseed(9);
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

    #[test]
    fn without_training_nothing_is_dropped() {
        let x = Tensor::ones([100], (Kind::Float, Device::Cpu));
        assert_eq!(dropout(&x, 0.5, false), x);
        assert_eq!(dropout(&x, 0.0, true), x);
    }
}
