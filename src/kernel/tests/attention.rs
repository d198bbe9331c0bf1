//! Attention of rows without padding, in the formats that have loops of their own.

use tch::{Kind, Tensor};

use crate::dropout::DropoutMask;
use crate::native::{QkvInput, attention};

/// Shapes of a test: width of all heads, heads, lengths of rows.
const SHAPES: [(i64, i64, &[i64]); 5] = [
    // As the paper's student and as BERT's heads; more than a block of queries, odd lengths, single tokens.
    (312, 12, &[3, 13, 40, 17, 64, 1, 70]),
    (128, 2, &[200, 1, 33]),
    // More than whole vectors, less than one.
    (80, 2, &[31, 5]),
    (24, 4, &[16, 2]),
    // Heads of an odd width, which bf16 cannot be taken from two by two.
    (90, 6, &[18, 31]),
];

const NONE: DropoutMask = DropoutMask {
    begin: 0,
    key: 0,
    dropped: 0,
    kept: 1.0,
};
/// A tenth.
const SOME: DropoutMask = DropoutMask {
    begin: 0,
    key: 77,
    dropped: 429_496_729,
    kept: 1.0 / 0.9,
};

/// Noise that both formats can hold.
fn noise(seed: i64) -> impl Fn(&[i64]) -> Tensor {
    let noise = super::noise(seed);
    move |shape| noise(shape).to_kind(Kind::BFloat16)
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

/// Asserts that bf16 gives what fp32 gives: `outcome` of a format, as numbers with names and how far they may be off.
fn assert_rounded(what: &str, outcome: impl Fn(Kind) -> Vec<(&'static str, f64, Tensor)>) {
    let [expected, found] = [Kind::Float, Kind::BFloat16].map(outcome);
    for ((name, most, found), (_, _, expected)) in found.iter().zip(&expected) {
        let distance = distance(found, expected);
        assert!(distance < *most, "{name} of {what}: {distance}");
    }
}

/// `d loss / d leaf`
fn gradient(loss: &Tensor, leaf: &Tensor) -> Tensor {
    Tensor::run_backward(&[loss], &[leaf], false, false).remove(0)
}

/// What flows back from a context whose gradient is `slope`.
fn loss_of(context: &Tensor, slope: &Tensor) -> Tensor {
    (context * slope.to_kind(context.kind())).sum(Kind::Float)
}

#[test]
#[cfg_attr(not(has_bf16), ignore = "this processor does not multiply in bf16")]
fn in_bf16_it_is_that_of_fp32_but_for_rounding() {
    let noise = noise(9);
    for (width, heads, lengths) in SHAPES {
        let (offsets, scores) = offsets(lengths, heads);
        let tokens: i64 = lengths.iter().sum();
        let (all, teacher, slope) = (
            noise(&[tokens, 3 * width]),
            noise(&[scores]),
            noise(&[tokens, width]),
        );
        for drop in [NONE, SOME] {
            let what = format!("{width}/{heads} {lengths:?} {drop:?}");
            assert_rounded(&what, |kind| {
                let leaf = all.to_kind(kind).set_requires_grad(true);
                let looked = QkvInput::All(leaf.shallow_clone());
                let teacher = teacher.to_kind(kind);
                let attend = |teacher, scores| {
                    attention(&looked, &offsets, heads, drop, teacher, None, scores)
                };
                let a = attend(Some(&teacher), true);
                let both = loss_of(&a.context, &slope) + &a.squares * 1e-2;
                let squares = attend(Some(&teacher), false).squares;
                let context = attend(None, false).context;
                vec![
                    ("both' gradient", ROUNDED, gradient(&both, &leaf)),
                    ("squares' gradient", ROUNDED, gradient(&squares, &leaf)),
                    (
                        "context's gradient",
                        ROUNDED,
                        gradient(&loss_of(&context, &slope), &leaf),
                    ),
                    ("context", ROUNDED, a.context),
                    ("scores", ROUNDED, a.scores),
                    // Products of bf16 are exact, and summed in fp32.
                    ("squares", 1e-5, a.squares),
                ]
            });
        }
    }
}

#[test]
#[cfg_attr(not(has_bf16), ignore = "this processor does not multiply in bf16")]
fn in_bf16_that_of_first_tokens_alone_is_too() {
    let noise = noise(11);
    for (width, heads, lengths) in SHAPES {
        let (offsets, _) = offsets(lengths, heads);
        let tokens: i64 = lengths.iter().sum();
        let rows = lengths.len() as i64;
        let (query, rest, slope) = (
            noise(&[rows, width]),
            noise(&[tokens, 2 * width]),
            noise(&[rows, width]),
        );
        for drop in [NONE, SOME] {
            let what = format!("{width}/{heads} {lengths:?} {drop:?}");
            assert_rounded(&what, |kind| {
                let [query, rest] =
                    [&query, &rest].map(|leaf| leaf.to_kind(kind).set_requires_grad(true));
                let looked = QkvInput::First(query.shallow_clone(), rest.shallow_clone());
                let a = attention(&looked, &offsets, heads, drop, None, None, false);
                let loss = loss_of(&a.context, &slope);
                let [dquery, drest] =
                    Tensor::run_backward(&[&loss], &[&query, &rest], false, false)
                        .try_into()
                        .expect("two leaves");
                vec![
                    ("context", ROUNDED, a.context),
                    ("query's gradient", ROUNDED, dquery),
                    ("others' gradient", ROUNDED, drest),
                ]
            });
        }
    }
}

#[test]
fn first_tokens_alone_see_what_they_see_among_all() {
    first_tokens_see_the_same(Kind::Float);
}

#[test]
#[cfg_attr(not(has_bf16), ignore = "this processor does not multiply in bf16")]
fn in_bf16_first_tokens_alone_see_what_they_see_among_all() {
    first_tokens_see_the_same(Kind::BFloat16);
}

fn first_tokens_see_the_same(kind: Kind) {
    let noise = noise(10);
    for (width, heads, lengths) in SHAPES {
        let (offsets, _) = offsets(lengths, heads);
        let tokens: i64 = lengths.iter().sum();
        let all = noise(&[tokens, 3 * width]).to_kind(kind);
        let firsts = offsets.narrow(0, 0, lengths.len() as i64);
        let query = all.narrow(1, 0, width).index_select(0, &firsts);
        let rest = all.narrow(1, width, 2 * width).contiguous();
        let alone = QkvInput::First(query, rest);
        let alone = attention(&alone, &offsets, heads, NONE, None, None, false);
        let among = attention(
            &QkvInput::All(all),
            &offsets,
            heads,
            NONE,
            None,
            None,
            false,
        );
        let expected = among.context.index_select(0, &firsts);
        assert_eq!(alone.context, expected, "{width}/{heads} in {kind:?}");
    }
}

/// Context, squares and scores of rows in libtorch's operations, with the bias of each distance.
fn by_libtorch(
    all: &Tensor,
    lengths: &[i64],
    heads: i64,
    teacher: &Tensor,
    bias: &Tensor,
) -> [Tensor; 3] {
    let (width, none) = (all.size()[1] / 3, bias.size()[1] / 2);
    let (mut contexts, mut scores, mut begin) = (Vec::new(), Vec::new(), 0);
    for &length in lengths {
        let rows = all.narrow(0, begin, length);
        begin += length;
        let part = |part: i64| {
            let part = rows.narrow(1, part * width, width);
            part.view([length, heads, width / heads]).transpose(0, 1)
        };
        let [query, key, value] = [part(0), part(1), part(2)];
        let scale = 1.0 / ((width / heads) as f64).sqrt();
        let of_query = |place: i64| bias.narrow(1, none - place, length);
        let bias: Vec<Tensor> = (0..length).map(of_query).collect();
        let score = query.matmul(&key.transpose(1, 2)) * scale + Tensor::stack(&bias, 1);
        let context = score.softmax(-1, None).matmul(&value);
        contexts.push(context.transpose(0, 1).reshape([length, width]));
        scores.push(score.reshape([-1]));
    }
    let scores = Tensor::cat(&scores, 0);
    let squares = (&scores - teacher).square().sum(Kind::Float);
    [Tensor::cat(&contexts, 0), squares, scores]
}

/// Rows, a teacher's scores, what flows back, and a table of more distances than there are.
fn with_bias(
    noise: impl Fn(&[i64]) -> Tensor,
    width: i64,
    heads: i64,
    lengths: &[i64],
) -> [Tensor; 4] {
    let tokens: i64 = lengths.iter().sum();
    let scores: i64 = lengths.iter().map(|length| heads * length * length).sum();
    let longest = lengths.iter().max().expect("a row");
    [
        noise(&[tokens, 3 * width]),
        noise(&[scores]),
        noise(&[tokens, width]),
        noise(&[heads, 2 * longest + 3]).to_kind(Kind::Float),
    ]
}

#[test]
fn a_bias_of_distances_and_its_gradient_are_libtorchs() {
    let noise = noise(12);
    for (width, heads, lengths) in SHAPES {
        let (offsets, _) = offsets(lengths, heads);
        let [all, teacher, slope, bias] =
            with_bias(&noise, width, heads, lengths).map(|tensor| tensor.to_kind(Kind::Float));
        let outcome = |native: bool| {
            let [all, bias] = [&all, &bias].map(|leaf| leaf.copy().set_requires_grad(true));
            let [context, squares, scores] = if native {
                let looked = QkvInput::All(all.shallow_clone());
                let (teacher, bias) = (Some(&teacher), Some(&bias));
                let a = attention(&looked, &offsets, heads, NONE, teacher, bias, true);
                [a.context, a.squares, a.scores]
            } else {
                by_libtorch(&all, lengths, heads, &teacher, &bias)
            };
            let loss = loss_of(&context, &slope) + &squares * 1e-2;
            let [mut dall, dbias] = Tensor::run_backward(&[&loss], &[&all, &bias], true, false)
                .try_into()
                .expect("two leaves");
            let alone = Tensor::run_backward(&[&squares], &[&bias], false, false).remove(0);
            // The key's part is next to nothing where there is no teacher.
            dall = dall.detach();
            [context, scores, squares, dall, dbias, alone]
        };
        for (found, expected) in outcome(true).iter().zip(&outcome(false)) {
            let distance = distance(found, expected);
            assert!(distance < 1e-5, "{width}/{heads} {lengths:?}: {distance}");
        }
    }
}

#[test]
#[cfg_attr(not(has_bf16), ignore = "this processor does not multiply in bf16")]
fn in_bf16_a_bias_of_distances_is_that_of_fp32_but_for_rounding() {
    let noise = noise(13);
    for (width, heads, lengths) in SHAPES {
        let (offsets, _) = offsets(lengths, heads);
        let [all, teacher, slope, bias] = with_bias(&noise, width, heads, lengths);
        for drop in [NONE, SOME] {
            let what = format!("{width}/{heads} {lengths:?} {drop:?}");
            assert_rounded(&what, |kind| {
                let leaf = all.to_kind(kind).set_requires_grad(true);
                let bias = bias.copy().set_requires_grad(true);
                let (looked, teacher) =
                    (QkvInput::All(leaf.shallow_clone()), teacher.to_kind(kind));
                let (teacher, given) = (Some(&teacher), Some(&bias));
                let a = attention(&looked, &offsets, heads, drop, teacher, given, true);
                let loss = loss_of(&a.context, &slope) + &a.squares * 1e-2;
                let [dall, dbias] = Tensor::run_backward(&[&loss], &[&leaf, &bias], false, false)
                    .try_into()
                    .expect("two leaves");
                vec![
                    ("context", ROUNDED, a.context),
                    ("scores", ROUNDED, a.scores),
                    ("squares", 1e-4, a.squares),
                    ("gradient", ROUNDED, dall),
                    ("bias's gradient", ROUNDED, dbias),
                ]
            });
        }
    }
}
