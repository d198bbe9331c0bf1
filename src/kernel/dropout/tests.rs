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

/// Also beyond 2^32 places, where the upper bits enter.
#[test]
fn operations_of_libtorch_draw_the_same_mask() {
    let size = [3, 5, 700];
    for begin in [0, 77, (1 << 32) - 5000, (5 << 32) + 1] {
        for p in [0.1, 0.5] {
            reseed(5, Amounts::NONE);
            let next = DropoutMask::next(p, true, Over::Rows(1));
            let mask = DropoutMask { begin, ..next };
            let mut expected = Tensor::empty(size, (Kind::Float, Device::Cpu));
            mask.fill(&mut expected);
            assert!(mask.tensor(&size, Device::Cpu).equal(&expected), "{begin}");
        }
    }
}
