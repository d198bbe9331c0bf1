//! The answers of a model by class, and what other readings of them would score.

use tinyrun_base::metrics::matthews_corr;

use crate::score::Prediction;

/// Classes up to which every order is tried: 720 of them.
const MOST_CLASSES: usize = 6;

/// How often each class was answered for each.
pub(super) struct Confusion {
    /// `counts[answered][gold]`
    counts: Vec<Vec<u64>>,
    pub(super) total: u64,
}

impl Confusion {
    pub(super) fn of(predictions: &[Prediction], classes: usize) -> Self {
        let mut counts = vec![vec![0; classes]; classes];
        for prediction in predictions {
            counts[prediction.predicted][prediction.label] += 1;
        }
        Self {
            counts,
            total: predictions.len() as u64,
        }
    }

    /// As a share with its counts.
    pub(super) fn score(&self) -> String {
        shown(self.correct(), self.total)
    }

    fn correct(&self) -> u64 {
        self.correct_in(&(0..self.counts.len()).collect::<Vec<_>>())
    }

    /// Right answers if the model's class `i` means `order[i]`.
    fn correct_in(&self, order: &[usize]) -> u64 {
        let pairs = self.counts.iter().zip(order);
        pairs.map(|(row, &class)| row[class]).sum()
    }

    /// Classes without a row.
    pub(super) fn absent(&self) -> Vec<usize> {
        let classes = 0..self.counts.len();
        classes.filter(|&class| self.rows_of(class) == 0).collect()
    }

    pub(super) fn most_common(&self) -> usize {
        let classes = 0..self.counts.len();
        classes
            .max_by_key(|&class| self.rows_of(class))
            .unwrap_or(0)
    }

    fn rows_of(&self, class: usize) -> u64 {
        self.counts.iter().map(|row| row[class]).sum()
    }

    pub(super) fn accuracy(&self) -> f64 {
        self.correct() as f64 / self.total as f64
    }

    /// The same answers if the model's class `i` means `order[i]`.
    pub(super) fn in_order(&self, order: &[usize]) -> Self {
        let mut counts = vec![Vec::new(); self.counts.len()];
        for (row, &class) in self.counts.iter().zip(order) {
            counts[class].clone_from(row);
        }
        Self {
            counts,
            total: self.total,
        }
    }

    /// Matthews' correlation: 0 for a model whose answers say nothing of the class, however
    /// common that is.
    pub(super) fn matthews_corr(&self) -> f64 {
        let (mut answered, mut gold) = (Vec::new(), Vec::new());
        for (answer, row) in self.counts.iter().enumerate() {
            for (class, &times) in row.iter().enumerate() {
                answered.extend(std::iter::repeat_n(answer, times as usize));
                gold.extend(std::iter::repeat_n(class, times as usize));
            }
        }
        matthews_corr(&answered, &gold)
    }

    /// Whether the answers could be drawn by lot: their correlation is within two standard
    /// errors of none.
    pub(super) fn guesses(&self) -> bool {
        self.matthews_corr() < 2.0 / (self.total as f64).sqrt()
    }

    pub(super) fn standard_error(&self, share: f64) -> f64 {
        (share * (1.0 - share) / self.total as f64).sqrt()
    }

    /// The order of classes with the most right answers, and how many; `None` where there are too
    /// many classes to try.
    pub(super) fn best_order(&self) -> Option<(Vec<usize>, u64)> {
        let classes = self.counts.len();
        if classes > MOST_CLASSES {
            return None;
        }
        let mut orders = Vec::new();
        permute(&mut (0..classes).collect(), 0, &mut orders);
        let scored = orders.into_iter().map(|order| {
            let correct = self.correct_in(&order);
            (order, correct)
        });
        // Of equals the one that moves the fewest classes: any place is as good for one without rows.
        let kept = |order: &[usize]| {
            order
                .iter()
                .enumerate()
                .filter(|(at, to)| at == *to)
                .count()
        };
        scored.max_by_key(|(order, correct)| (*correct, kept(order)))
    }
}

fn permute(order: &mut Vec<usize>, from: usize, found: &mut Vec<Vec<usize>>) {
    if from == order.len() {
        found.push(order.clone());
        return;
    }
    for other in from..order.len() {
        order.swap(from, other);
        permute(order, from + 1, found);
        order.swap(from, other);
    }
}

/// `90.71 % (791/872)`
pub(super) fn shown(correct: u64, total: u64) -> String {
    let percent = 100.0 * correct as f64 / total as f64;
    format!("{percent:.2} % ({correct}/{total})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictions(pairs: &[(usize, usize, usize)]) -> Vec<Prediction> {
        let of = |&(predicted, label, times): &(usize, usize, usize)| {
            let prediction = Prediction {
                label,
                value: label as f32,
                predicted,
                logits: Vec::new(),
            };
            vec![prediction; times]
        };
        pairs.iter().flat_map(of).collect()
    }

    #[test]
    fn classes_in_another_order_are_found() {
        // Answers 0, 1, 2 mean 1, 2, 0.
        let answers = predictions(&[(0, 1, 30), (1, 2, 28), (2, 0, 29), (0, 0, 3)]);
        let table = Confusion::of(&answers, 3);
        assert_eq!(table.correct(), 3);
        assert_eq!(table.best_order(), Some((vec![1, 2, 0], 87)));
    }

    #[test]
    fn classes_that_dev_lacks_are_found_and_stay_in_their_place() {
        let answers = predictions(&[(0, 1, 30), (1, 0, 28), (3, 0, 2)]);
        let table = Confusion::of(&answers, 4);
        assert_eq!(table.absent(), [2, 3]);
        assert_eq!(table.best_order(), Some((vec![1, 0, 2, 3], 58)));
        let one = Confusion::of(&predictions(&[(0, 1, 9), (1, 1, 3)]), 2);
        assert_eq!((one.absent(), one.most_common()), (vec![0], 1));
    }

    #[test]
    fn always_the_same_answer_is_a_guess_however_often_it_is_right() {
        let table = Confusion::of(&predictions(&[(0, 0, 70), (0, 1, 30)]), 2);
        assert!((table.accuracy() - 0.7).abs() < 1e-12);
        assert!(table.guesses());
        // The other way round it is one as well, and no other order.
        assert!(table.in_order(&[1, 0]).guesses());
        let knows = Confusion::of(
            &predictions(&[(0, 0, 65), (0, 1, 15), (1, 1, 15), (1, 0, 5)]),
            2,
        );
        assert!(!knows.guesses());
        assert!((table.standard_error(0.7) - 0.21_f64.sqrt() / 10.0).abs() < 1e-12);
    }
}
