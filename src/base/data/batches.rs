//! Which examples go into which batch, in what order.
//!
//! Every function is a pure function of its arguments: a resumed run finds its place in an
//! epoch again by making the same plan.

use super::order::{SplitMix64, shuffle};

/// Batches sorted by length together. Wide enough that padding all but vanishes, narrow enough
/// that a batch still mixes what was shuffled.
const WINDOW: usize = 64;

// Streams of one seed that must not be the same.
const EPOCH_STREAM: u64 = 1;
const LIMIT_STREAM: u64 = 2;
const TURN_STREAM: u64 = 3;

/// Batches of an epoch as indices into `lengths` (in tokens), in training order.
///
/// All examples are shuffled, cut into windows of 64 batches, sorted by length within a window
/// so that a batch needs little padding, cut into batches, and the batches shuffled. Every
/// example occurs exactly once; one batch is smaller where `batch_size` does not divide. With
/// `drop_last` as many examples are left out instead, whichever the shuffling puts last.
///
/// # Panics
/// Where `batch_size` is 0 or there are more than `u32::MAX` examples.
pub fn plan_epoch(
    lengths: &[u32],
    batch_size: usize,
    seed: u64,
    epoch: u64,
    drop_last: bool,
) -> Vec<Vec<u32>> {
    let mut random = SplitMix64::from_parts(&[seed, EPOCH_STREAM, epoch]);
    let mut examples = indices(lengths.len());
    shuffle(&mut examples, &mut random);
    if drop_last {
        // Before the sorting, which would always leave out the longest of a window.
        examples.truncate(examples.len() / batch_size * batch_size);
    }
    let mut batches: Vec<Vec<u32>> = Vec::with_capacity(examples.len().div_ceil(batch_size));
    for window in examples.chunks_mut(batch_size.saturating_mul(WINDOW)) {
        window.sort_by_key(|&example| lengths[example as usize]);
        batches.extend(window.chunks(batch_size).map(<[u32]>::to_vec));
    }
    shuffle(&mut batches, &mut random);
    batches
}

/// Batches of an epoch in the data's own order.
///
/// # Panics
/// Where `batch_size` is 0 or there are more than `u32::MAX` examples.
pub fn plan_unshuffled(n: usize, batch_size: usize, drop_last: bool) -> Vec<Vec<u32>> {
    let mut examples = indices(n);
    if drop_last {
        examples.truncate(n / batch_size * batch_size);
    }
    examples.chunks(batch_size).map(<[u32]>::to_vec).collect()
}

/// Optimizer steps of an epoch of `examples`, `micro_batch_size` a micro-step, `accumulation`
/// micro-steps a step.
///
/// # Panics
/// Where `micro_batch_size` or `accumulation` is 0.
pub fn steps_per_epoch(
    examples: u64,
    micro_batch_size: u32,
    accumulation: u32,
    drop_last: bool,
) -> u64 {
    let (size, micro_steps) = (u64::from(micro_batch_size), u64::from(accumulation));
    if drop_last {
        examples / size / micro_steps
    } else {
        examples.div_ceil(size).div_ceil(micro_steps)
    }
}

/// Batches for scoring: every example exactly once, shortest first, of equals the first first.
///
/// # Panics
/// Where `batch_size` is 0 or there are more than `u32::MAX` examples.
pub fn plan_in_order(lengths: &[u32], batch_size: usize) -> Vec<Vec<u32>> {
    let mut examples = indices(lengths.len());
    examples.sort_by_key(|&example| lengths[example as usize]);
    examples.chunks(batch_size).map(<[u32]>::to_vec).collect()
}

/// Batches of at most `tokens` tokens with their padding (of one example, where it is longer): every
/// example exactly once, shortest first, of equals the first first.
///
/// # Panics
/// Where there are more than `u32::MAX` examples.
pub fn plan_by_tokens(lengths: &[u32], tokens: usize) -> Vec<Vec<u32>> {
    let mut examples = indices(lengths.len());
    examples.sort_by_key(|&example| lengths[example as usize]);
    let mut batches: Vec<Vec<u32>> = Vec::new();
    for example in examples {
        // It is the longest so far, so the batch is padded to it.
        let length = lengths[example as usize] as usize;
        match batches.last_mut() {
            Some(batch) if (batch.len() + 1) * length <= tokens => batch.push(example),
            _ => batches.push(vec![example]),
        }
    }
    batches
}

/// `limit` of the indices `0..n`, each subset equally likely, in ascending order; all of them
/// where `limit` is no less than `n`. A smaller limit with the same seed is not a subset.
///
/// # Panics
/// Where `n` is more than `u32::MAX`.
pub fn choose_limit(n: usize, limit: u64, seed: u64) -> Vec<u32> {
    let mut chosen = indices(n);
    let Some(limit) = usize::try_from(limit).ok().filter(|&limit| limit < n) else {
        return chosen;
    };
    let mut random = SplitMix64::from_parts(&[seed, LIMIT_STREAM]);
    shuffle(&mut chosen, &mut random);
    chosen.truncate(limit);
    chosen.sort_unstable();
    chosen
}

/// The `each` of the indices `0..n` whose turn it is in an epoch, in ascending order: each epoch takes the next ones of
/// one shuffling, which begins anew after its last.
///
/// # Panics
/// Where `n` is more than `u32::MAX`.
pub fn choose_turn(n: usize, each: usize, seed: u64, epoch: u64) -> Vec<u32> {
    let mut all = indices(n);
    if each >= n {
        return all;
    }
    shuffle(&mut all, &mut SplitMix64::from_parts(&[seed, TURN_STREAM]));
    // Below `n`, and so is each summand of the next line.
    let turn = usize::try_from(epoch % n as u64).expect("below a usize");
    let begin = turn * each % n;
    let mut chosen: Vec<u32> = (0..each).map(|at| all[(begin + at) % n]).collect();
    chosen.sort_unstable();
    chosen
}

fn indices(n: usize) -> Vec<u32> {
    let n = u32::try_from(n).expect("more examples than `u32::MAX` in one plan");
    (0..n).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths 3 to 62 in no order.
    fn lengths(n: u32) -> Vec<u32> {
        (0..n).map(|i| 3 + (i * 37) % 60).collect()
    }

    fn sorted(batches: &[Vec<u32>]) -> Vec<u32> {
        let mut all: Vec<u32> = batches.iter().flatten().copied().collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn every_index_has_its_turn_before_one_has_a_second() {
        let turns: Vec<Vec<u32>> = (0..5).map(|epoch| choose_turn(10, 4, 7, epoch)).collect();
        let mut counts = [0; 10];
        for (epoch, turn) in turns.iter().enumerate() {
            assert_eq!(turn.len(), 4);
            for index in turn {
                counts[*index as usize] += 1;
            }
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 1, "epoch {epoch}: {counts:?}");
        }
        assert_eq!(counts, [2; 10]);
        assert_eq!(choose_turn(3, 5, 7, 1), [0, 1, 2]);
        assert_ne!(choose_turn(10, 4, 8, 0), turns[0]);
    }

    #[test]
    fn the_plan_never_changes() {
        assert_eq!(
            plan_epoch(&lengths(10), 4, 42, 0, false),
            [vec![4, 9, 1, 6], vec![3, 8], vec![0, 5, 2, 7]]
        );
        assert_eq!(
            plan_epoch(&lengths(10), 4, 42, 1, false),
            [vec![3, 8], vec![0, 5, 2, 7], vec![4, 9, 1, 6]]
        );
        assert_eq!(choose_limit(10, 4, 42), [1, 5, 6, 7]);
        // One number over a plan of many windows.
        let digest = plan_epoch(&lengths(5000), 32, 1, 3, false)
            .iter()
            .flatten()
            .fold(0_u64, |digest, &example| {
                (digest ^ u64::from(example)).wrapping_mul(0x0100_0000_01B3)
            });
        assert_eq!(digest, 0x7F98_B68C_E39A_EB5E);
    }

    #[test]
    fn every_example_occurs_once_an_epoch() {
        for n in [0, 1, 31, 32, 33, 2048, 2049, 5000] {
            let plan = plan_epoch(&lengths(n), 32, 9, 2, false);
            assert_eq!(sorted(&plan), indices(n as usize));
            assert_eq!(plan.len(), (n as usize).div_ceil(32));
            let small = plan.iter().filter(|batch| batch.len() < 32).count();
            assert_eq!(small, usize::from(n % 32 != 0), "{n} examples");
        }
    }

    #[test]
    fn seed_and_epoch_change_the_order() {
        let lengths = lengths(500);
        let plan = plan_epoch(&lengths, 8, 1, 1, false);
        assert_ne!(plan, plan_epoch(&lengths, 8, 2, 1, false));
        assert_ne!(plan, plan_epoch(&lengths, 8, 1, 2, false));
        assert_eq!(plan, plan_epoch(&lengths, 8, 1, 1, false));
    }

    #[test]
    fn a_batch_holds_examples_of_like_length() {
        let lengths = lengths(4096);
        let padded = |plan: &[Vec<u32>]| -> u64 {
            plan.iter()
                .map(|batch| {
                    let longest = batch.iter().map(|&i| lengths[i as usize]).max();
                    u64::from(longest.unwrap_or(0)) * batch.len() as u64
                })
                .sum()
        };
        let real: u64 = lengths.iter().map(|&length| u64::from(length)).sum();
        let plan = plan_epoch(&lengths, 32, 3, 0, false);
        assert!(
            padded(&plan) * 100 < real * 103,
            "{} of {real}",
            padded(&plan)
        );
        // Short batches do not come before long ones.
        let firsts: Vec<u32> = plan
            .iter()
            .map(|batch| lengths[batch[0] as usize])
            .collect();
        assert!(!firsts.is_sorted());
    }

    #[test]
    fn scoring_goes_from_short_to_long() {
        let plan = plan_in_order(&[5, 3, 5, 4, 3], 2);
        assert_eq!(plan, [vec![1, 4], vec![3, 0], vec![2]]);
    }

    #[test]
    fn a_budget_of_tokens_counts_padding_and_takes_at_least_one() {
        let plan = plan_by_tokens(&[5, 3, 5, 4, 30], 10);
        assert_eq!(plan, [vec![1, 3], vec![0, 2], vec![4]]);
        assert!(plan_by_tokens(&[], 10).is_empty());
        let lengths = lengths(3000);
        let plan = plan_by_tokens(&lengths, 512);
        assert_eq!(sorted(&plan), indices(3000));
        for batch in &plan {
            let longest = batch.iter().map(|&i| lengths[i as usize]).max();
            assert!(longest.unwrap_or(0) as usize * batch.len() <= 512);
        }
    }

    #[test]
    fn a_limit_chooses_a_subset_by_the_seed() {
        let chosen = choose_limit(1000, 100, 5);
        assert_eq!(chosen.len(), 100);
        assert!(chosen.is_sorted_by(|a, b| a < b));
        assert_ne!(chosen, choose_limit(1000, 100, 6));
        assert_eq!(choose_limit(3, 3, 5), [0, 1, 2]);
        assert_eq!(choose_limit(3, u64::MAX, 5), [0, 1, 2]);
    }

    #[test]
    fn a_partial_batch_that_is_left_out_is_not_always_that_of_the_longest() {
        let lengths: Vec<u32> = (0..100).collect();
        let mut left_out = std::collections::BTreeSet::new();
        for epoch in 0..20 {
            let plan = plan_epoch(&lengths, 32, 7, epoch, true);
            assert!(plan.iter().all(|batch| batch.len() == 32));
            let kept = sorted(&plan);
            assert_eq!(kept.len(), 96);
            left_out.extend((0..100).filter(|example| !kept.contains(example)));
        }
        assert!(left_out.iter().any(|example| *example < 50));
        assert_eq!(plan_unshuffled(5, 2, true), [vec![0, 1], vec![2, 3]]);
    }
}
