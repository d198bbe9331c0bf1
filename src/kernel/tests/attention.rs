//! Attention of rows without padding, in the formats that have loops of their own.

use tch::{Device, Kind, Tensor};

use crate::dropout::Drop;
use crate::native::{Looked, attention};

/// Shapes of a test: width of all heads, heads, lengths of rows.
const SHAPES: [(i64, i64, &[i64]); 5] = [
    // As the paper's student and as BERT's heads; more than a block of queries, odd lengths, single tokens.
    (312, 12, &[3, 13, 40, 17, 64, 1, 70]),
    (128, 2, &[200, 1, 33]),
    // More than whole vectors, less than one.
    (80, 2, &[31, 5]),
    (24, 4, &[16, 2]),
    // Halves that cannot be taken two by two.
    (90, 6, &[18, 31]),
];

const NONE: Drop = Drop {
    key: 0,
    dropped: 0,
    kept: 1.0,
};
/// A tenth.
const SOME: Drop = Drop {
    key: 77,
    dropped: 429_496_729,
    kept: 1.0 / 0.9,
};

fn noise(shape: &[i64]) -> Tensor {
    // What both formats can hold.
    let noise = Tensor::randn(shape, (Kind::Float, Device::Cpu));
    noise.to_kind(Kind::BFloat16)
}

/// Offsets of rows, and how many scores they have.
fn offsets(lengths: &[i64], heads: i64) -> (Tensor, i64) {
    let mut ends = vec![0_i32];
    for &length in lengths {
        let end = i32::try_from(length).expect("short") + ends.last().expect("the first");
        ends.push(end);
    }
    let scores = lengths.iter().map(|length| heads * length * length).sum();
    (Tensor::from_slice(&ends), scores)
}

/// `|found - expected| / |expected|`
fn distance(found: &Tensor, expected: &Tensor) -> f64 {
    let [found, expected] = [found, expected].map(|t| t.to_kind(Kind::Double));
    let norm = |t: &Tensor| t.norm().double_value(&[]);
    norm(&(found - &expected)) / norm(&expected)
}

/// Rounding each number once and each product's factors once costs less than this.
const ROUNDED: f64 = 4e-3;

#[test]
fn in_bf16_it_is_that_of_fp32_but_for_rounding() {
    if !crate::native::computes(Kind::BFloat16, Device::Cpu) {
        return;
    }
    tch::manual_seed(9);
    for (width, heads, lengths) in SHAPES {
        let (offsets, scores) = offsets(lengths, heads);
        let tokens: i64 = lengths.iter().sum();
        let (all, teacher, slope) = (
            noise(&[tokens, 3 * width]),
            noise(&[scores]),
            noise(&[tokens, width]),
        );
        for drop in [NONE, SOME] {
            let [expected, found] = [Kind::Float, Kind::BFloat16].map(|kind| {
                let leaf = all.to_kind(kind).set_requires_grad(true);
                let looked = Looked::All(leaf.shallow_clone());
                let teacher = teacher.to_kind(kind);
                let a = attention(&looked, &offsets, heads, drop, Some(&teacher), true);
                let loss = (&a.context * slope.to_kind(kind)).sum(Kind::Float);
                let total = loss + &a.squares * 1e-2;
                let [gradient] = Tensor::run_backward(&[&total], &[&leaf], false, false)
                    .try_into()
                    .expect("one leaf");
                let alone = Tensor::run_backward(
                    &[&attention(&looked, &offsets, heads, drop, Some(&teacher), false).squares],
                    &[&leaf],
                    false,
                    false,
                );
                let alone = alone[0].shallow_clone();
                vec![a.context, a.scores, a.squares, gradient, alone]
            });
            let names = ["context", "scores", "squares", "gradient", "of squares"];
            for (name, (found, expected)) in names.iter().zip(found.iter().zip(&expected)) {
                let distance = distance(found, expected);
                assert!(
                    distance < ROUNDED,
                    "{name} of {width}/{heads} {lengths:?}: {distance}"
                );
            }
        }
    }
}

#[test]
fn first_tokens_alone_see_what_they_see_among_all() {
    for kind in [Kind::Float, Kind::BFloat16] {
        if !crate::native::computes(kind, Device::Cpu) {
            continue;
        }
        tch::manual_seed(10);
        for (width, heads, lengths) in SHAPES {
            let (offsets, _) = offsets(lengths, heads);
            let tokens: i64 = lengths.iter().sum();
            let all = noise(&[tokens, 3 * width]).to_kind(kind);
            let firsts = offsets.narrow(0, 0, lengths.len() as i64);
            let query = all.narrow(1, 0, width).index_select(0, &firsts);
            let rest = all.narrow(1, width, 2 * width).contiguous();
            let alone = Looked::First(query, rest);
            let alone = attention(&alone, &offsets, heads, NONE, None, false);
            let among = attention(&Looked::All(all), &offsets, heads, NONE, None, false);
            let expected = among.context.index_select(0, &firsts);
            assert_eq!(alone.context, expected, "{width}/{heads} in {kind:?}");
        }
    }
}
