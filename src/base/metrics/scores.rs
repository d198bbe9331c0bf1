//! The scores of GLUE (docs/concepts/evaluation.md#scores). Each is a free function of predictions
//! and gold labels.
//!
//! A score whose denominator is zero (a class nobody predicted, a constant series, no
//! example at all) is 0, never NaN, as in scikit-learn: such a model has shown nothing.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// Right answers out of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Examples whose prediction equals their label.
    pub correct: u64,
    /// Examples scored.
    pub total: u64,
}

impl Counts {
    /// Counts the predictions that equal their label.
    ///
    /// # Panics
    /// Where the two differ in length.
    pub fn of(predictions: &[usize], labels: &[usize]) -> Self {
        check_lengths(predictions, labels);
        let correct = pairs(predictions, labels).filter(|(p, l)| p == l).count();
        Self {
            correct: correct as u64,
            total: labels.len() as u64,
        }
    }

    /// `correct / total`; 0 where nothing was scored.
    pub fn accuracy(self) -> f64 {
        ratio(self.correct as f64, self.total as f64)
    }
}

/// Share of predictions that equal their label.
///
/// # Panics
/// Where the two differ in length.
pub fn accuracy(predictions: &[usize], labels: &[usize]) -> f64 {
    Counts::of(predictions, labels).accuracy()
}

/// Binary F1 of class 1: `2 TP / (2 TP + FP + FN)`. Every class other than 1 is negative.
///
/// # Panics
/// Where the two differ in length.
pub fn f1(predictions: &[usize], labels: &[usize]) -> f64 {
    check_lengths(predictions, labels);
    let (mut hits, mut misses) = (0_u64, 0_u64);
    for (prediction, label) in pairs(predictions, labels) {
        match (prediction == 1, label == 1) {
            (true, true) => hits += 1,
            (false, false) => {}
            _ => misses += 1,
        }
    }
    ratio(2.0 * hits as f64, (2 * hits + misses) as f64)
}

/// Matthews' correlation coefficient, in -1 to 1, for two classes or more.
///
/// With `c` right answers out of `s`, and class `k` predicted `p_k` and true `t_k` times:
/// `(c s - sum p_k t_k) / sqrt((s^2 - sum p_k^2) (s^2 - sum t_k^2))` (Gorodkin 2004), which for
/// two classes is `(TP TN - FP FN) / sqrt((TP+FP) (TP+FN) (TN+FP) (TN+FN))`.
///
/// # Panics
/// Where the two differ in length.
pub fn matthews_corr(predictions: &[usize], labels: &[usize]) -> f64 {
    check_lengths(predictions, labels);
    let classes = predictions
        .iter()
        .chain(labels)
        .max()
        .map_or(0, |last| last + 1);
    let mut predicted = vec![0.0_f64; classes];
    let mut actual = vec![0.0_f64; classes];
    let mut correct = 0.0;
    for (prediction, label) in pairs(predictions, labels) {
        predicted[prediction] += 1.0;
        actual[label] += 1.0;
        if prediction == label {
            correct += 1.0;
        }
    }
    let total = labels.len() as f64;
    let sum = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(x, y)| x * y).sum() };
    let spread = |counts: &[f64]| total * total - sum(counts, counts);
    ratio(
        correct * total - sum(&predicted, &actual),
        (spread(&predicted) * spread(&actual)).sqrt(),
    )
}

/// Pearson's correlation of two series, in -1 to 1; 0 where one of them is constant.
///
/// # Panics
/// Where the two differ in length.
pub fn pearson(x: &[f64], y: &[f64]) -> f64 {
    check_lengths(x, y);
    let (mean_x, mean_y) = (mean(x), mean(y));
    let (mut covariance, mut variance_x, mut variance_y) = (0.0, 0.0, 0.0);
    for (x, y) in pairs(x, y) {
        let (x, y) = (x - mean_x, y - mean_y);
        covariance += x * y;
        variance_x += x * x;
        variance_y += y * y;
    }
    // The root of each, not of the product: the product of two small variances underflows.
    ratio(covariance, variance_x.sqrt() * variance_y.sqrt()).clamp(-1.0, 1.0)
}

/// Spearman's correlation: Pearson's of the ranks, equal values sharing the mean of theirs.
///
/// # Panics
/// Where the two differ in length.
pub fn spearman(x: &[f64], y: &[f64]) -> f64 {
    check_lengths(x, y);
    pearson(&ranks(x), &ranks(y))
}

/// Rank of each value, from 1; equal values share the mean of the ranks that they span.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for tie in order.chunk_by(|&a, &b| values[a].partial_cmp(&values[b]) == Some(Ordering::Equal)) {
        // Ranks first+1 ..= first+len.
        let rank = first as f64 + f64::midpoint(1.0, tie.len() as f64);
        for &index in tie {
            ranks[index] = rank;
        }
        first += tie.len();
    }
    ranks
}

fn check_lengths<T>(a: &[T], b: &[T]) {
    assert_eq!(a.len(), b.len(), "a prediction for every label");
}

fn pairs<'a, T: Copy>(a: &'a [T], b: &'a [T]) -> impl Iterator<Item = (T, T)> + 'a {
    a.iter().copied().zip(b.iter().copied())
}

fn mean(values: &[f64]) -> f64 {
    ratio(values.iter().sum(), values.len() as f64)
}

fn ratio(numerator: f64, denominator: f64) -> f64 {
    if denominator == 0.0 {
        0.0
    } else {
        numerator / denominator
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    // from sklearn.metrics import f1_score, matthews_corrcoef
    // p, l = [1,1,0,0,1,0], [1,0,0,1,1,0]
    const PREDICTIONS: [usize; 6] = [1, 1, 0, 0, 1, 0];
    const LABELS: [usize; 6] = [1, 0, 0, 1, 1, 0];

    #[test]
    fn binary_scores_agree_with_scikit_learn() {
        assert_eq!(
            Counts::of(&PREDICTIONS, &LABELS),
            Counts {
                correct: 4,
                total: 6
            }
        );
        close(accuracy(&PREDICTIONS, &LABELS), 2.0 / 3.0);
        close(f1(&PREDICTIONS, &LABELS), 2.0 / 3.0);
        close(matthews_corr(&PREDICTIONS, &LABELS), 1.0 / 3.0);
    }

    #[test]
    fn f1_counts_class_one_as_positive() {
        close(f1(&[1, 0, 0, 0], &[1, 1, 1, 0]), 0.5);
        close(f1(&[0, 1, 1, 1], &[0, 0, 0, 1]), 0.5);
        close(f1(&[0, 0, 0, 1], &[0, 0, 1, 1]), 2.0 / 3.0);
    }

    #[test]
    fn matthews_takes_more_than_two_classes() {
        // matthews_corrcoef([0,1,2,2,1,0], [0,2,2,2,1,1])
        close(
            matthews_corr(&[0, 2, 2, 2, 1, 1], &[0, 1, 2, 2, 1, 0]),
            12.0 / (24.0_f64 * 22.0).sqrt(),
        );
    }

    #[test]
    fn a_class_nobody_has_scores_zero_and_not_nan() {
        close(f1(&[0, 0], &[0, 0]), 0.0);
        close(matthews_corr(&[1, 1, 1], &[0, 1, 0]), 0.0);
        close(matthews_corr(&[], &[]), 0.0);
        close(accuracy(&[], &[]), 0.0);
        close(pearson(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]), 0.0);
        close(spearman(&[], &[]), 0.0);
    }

    #[test]
    fn matthews_of_the_opposite_is_minus_one() {
        close(matthews_corr(&[0, 1, 0, 1], &[1, 0, 1, 0]), -1.0);
    }

    #[test]
    fn pearson_is_a_correlation() {
        // scipy.stats.pearsonr([1,2,3,4,5], [2,1,4,3,7]).statistic
        close(
            pearson(&[1.0, 2.0, 3.0, 4.0, 5.0], &[2.0, 1.0, 4.0, 3.0, 7.0]),
            12.0 / (10.0_f64 * 21.2).sqrt(),
        );
        close(pearson(&[1e-100, 2e-100], &[3e-100, 4e-100]), 1.0);
    }

    #[test]
    fn spearman_gives_ties_their_mean_rank() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
        // scipy.stats.spearmanr([1,2,2,4], [1,3,2,4]).statistic
        close(
            spearman(&[1.0, 2.0, 2.0, 4.0], &[1.0, 3.0, 2.0, 4.0]),
            0.948_683_298_050_513_8,
        );
        close(spearman(&[1.0, 10.0, 100.0], &[1.0, 2.0, 3.0]), 1.0);
    }
}
