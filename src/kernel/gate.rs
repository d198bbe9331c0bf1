//! The teacher check: before a student learns from a teacher for hours, the teacher is scored on
//! dev. A teacher at chance level, with classes in another order, or with the wrong `head` is
//! reported before the first step. Thresholds:
//! docs/concepts/evaluation.md#teacher-check.

use std::collections::BTreeMap;
use std::path::Path;

use tinyrun::data::store::TokenStore;
use tinyrun::job::{Gate, HeadKind, Metric};
use tinyrun::metrics::matthews_corr;
use tinyrun::model::ModelRef;

use crate::device::Compute;
use crate::error::KernelError;
use crate::folder::load_for_scoring;
use crate::ranks::Ranks;
use crate::score::{Prediction, predict_on, scores};
use crate::stop::Stop;

/// Classes up to which every order is tried: 720 of them.
const MOST_CLASSES: usize = 6;

/// How much better another reading of the answers must be, beyond chance, to be the right one.
const CLEARLY: f64 = 0.1;

/// The same for another head, which often costs a few points only.
const CLEARLY_HEAD: f64 = 0.02;

/// What a regression's teacher must show where no threshold is given.
const LEAST_CORRELATION: f64 = 0.2;

const BATCH_SIZE: usize = 32;

/// What the gate came to.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The stage may begin.
    Passed,
    /// Nothing could be asked, and why.
    Skipped(String),
    /// The user wants to stop.
    Interrupted,
}

/// A teacher that was checked.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) verdict: Verdict,
    /// On dev, by name; none where nothing was scored.
    pub(crate) scores: BTreeMap<String, f64>,
}

impl Checked {
    /// Of a teacher that was not scored.
    fn unscored(verdict: Verdict) -> Self {
        Self {
            verdict,
            scores: BTreeMap::new(),
        }
    }
}

/// Scores the teacher in `folder` on dev, each rank a part of the rows. A stage that reads no classifier, `lenient`,
/// may learn from a teacher that has none, or one of other classes.
///
/// # Errors
/// What is wrong with the teacher, with the key to set; that it cannot be read; a rank that is lost.
pub(crate) fn check_teacher(
    gate: &Gate,
    folder: &ModelRef,
    head: HeadKind,
    lenient: bool,
    compute: Compute,
    stop: &Stop,
    ranks: &Ranks,
) -> Result<Checked, KernelError> {
    let dev = TokenStore::open(&gate.data)?;
    let (other, word) = match head {
        HeadKind::Plain => (HeadKind::Relu, "relu"),
        HeadKind::Relu => (HeadKind::Plain, "plain"),
    };
    let model = match load_for_scoring(folder, head, &dev, compute.device) {
        Err(error @ (KernelError::NoClassifier { .. } | KernelError::Classes { .. }))
            if lenient && gate.at_least.is_none() =>
        {
            let why = format!("the teacher check is skipped: {error}");
            return Ok(Checked::unscored(Verdict::Skipped(why)));
        }
        model => model?,
    };
    let otherwise = load_for_scoring(folder, other, &dev, compute.device)?;
    let heads = [&model.classifier, &otherwise.classifier];
    let stopped = || stop.asked();
    let (encoder, device) = (&model.encoder, compute.device);
    let answers = predict_on(ranks, encoder, &heads, &dev, BATCH_SIZE, device, stopped)?;
    let Some(answers) = answers else {
        return Ok(Checked::unscored(Verdict::Interrupted));
    };
    let judged = Judged {
        gate,
        folder,
        names: &dev.meta().labels,
        same_labels: model.same_labels,
    };
    let classes = judged.names.len();
    let found = scores(&answers[0].predictions, classes);
    let verdict = if classes == 0 {
        judged.correlation(found.of(Metric::Correlation))?
    } else {
        let tables = [0, 1].map(|head| Confusion::of(&answers[head].predictions, classes));
        judged.classes(&tables, word)?
    };
    Ok(Checked {
        verdict,
        scores: found.named(classes),
    })
}

/// How to do without the check.
const OFF: &str = "or set `gate` of the stage to \"off\" or to a threshold";

/// A teacher that was scored.
struct Judged<'a> {
    gate: &'a Gate,
    folder: &'a Path,
    /// Classes; none of a regression.
    names: &'a [String],
    /// Whether the model has the data's own names.
    same_labels: bool,
}

impl Judged<'_> {
    fn refuse(&self, found: String, hint: String) -> Result<Verdict, KernelError> {
        Err(KernelError::Gate {
            model: self.folder.to_owned(),
            found,
            hint,
        })
    }

    /// A regression.
    fn correlation(&self, score: f64) -> Result<Verdict, KernelError> {
        let least = self.gate.at_least.unwrap_or(LEAST_CORRELATION);
        if score >= least {
            return Ok(Verdict::Passed);
        }
        self.refuse(
            format!("has a correlation of {score:.4} with the labels of dev, less than {least}"),
            format!("fine-tune it (`[stages.finetune]`), {OFF}"),
        )
    }

    /// A classification, by the head that is set and by the `other` one.
    fn classes(&self, tables: &[Confusion; 2], other: &str) -> Result<Verdict, KernelError> {
        let (names, [table, _]) = (self.names, tables);
        let absent = table.absent();
        if absent.len() + 1 >= names.len() && self.gate.at_least.is_none() {
            return Ok(Verdict::Skipped(format!(
                "the teacher was not checked: dev has rows of one class only ({})",
                names[table.most_common()]
            )));
        }
        // Where a class is absent from dev, scores on dev are hard to judge: say so.
        let on_dev = match absent
            .iter()
            .map(|&class| format!("`{}`", names[class]))
            .collect::<Vec<_>>()
        {
            list if list.is_empty() => "on dev".to_owned(),
            list => format!("on dev (dev has no row of class {})", list.join(", ")),
        };
        match self.gate.at_least {
            Some(least) if table.accuracy() >= least => Ok(Verdict::Passed),
            Some(least) => self.refuse(
                format!(
                    "has accuracy {} {on_dev}, below `gate = {least}`",
                    table.score()
                ),
                "train it longer, or lower `gate`".to_owned(),
            ),
            None => self.readings(tables, other, &on_dev),
        }
    }

    /// Whether the teacher is clearly better in another reading of its answers, or no better than chance.
    fn readings(
        &self,
        [table, by_other]: &[Confusion; 2],
        other: &str,
        on_dev: &str,
    ) -> Result<Verdict, KernelError> {
        let score = table.score();
        let noise = 2.0 * table.standard_error(table.accuracy());
        if let Some((order, correct)) = table.best_order()
            && correct as f64 / table.total as f64 > table.accuracy() + CLEARLY.max(noise)
            && !table.in_order(&order).guesses()
        {
            let order: Vec<&str> = order
                .iter()
                .map(|&class| self.names[class].as_str())
                .collect();
            // A model with the data's own names, such as one that was fine-tuned on train, is not
            // to blame: the labels of dev disagree with those of train.
            let hint = if self.same_labels {
                "the labels of `dev` seem to be in another order than those of `train`: compare the two tables"
            } else {
                "list `labels` in `[task]` in the model's order"
            };
            return self.refuse(
                format!(
                    "has accuracy {score} {on_dev}, but {} if its classes are in the order {}",
                    shown(correct, table.total),
                    order.join(", ")
                ),
                format!("{hint}, {OFF}"),
            );
        }
        if by_other.accuracy() > table.accuracy() + CLEARLY_HEAD.max(noise) && !by_other.guesses() {
            return self.refuse(
                format!(
                    "has accuracy {score} {on_dev}, but {} with `head = \"{other}\"`",
                    by_other.score()
                ),
                format!("set `head = \"{other}\"` in `[teacher]`, {OFF}"),
            );
        }
        if table.guesses() {
            let hint = if self.same_labels {
                "fine-tune it longer (`[stages.finetune]`), and compare the labels of `dev` with those of `train`"
            } else {
                "fine-tune it (`[stages.finetune]`)"
            };
            return self.refuse(
                format!(
                    "has accuracy {score} and Matthews correlation {:.3} {on_dev}: no better than chance",
                    table.matthews_corr()
                ),
                format!("{hint}, {OFF}"),
            );
        }
        Ok(Verdict::Passed)
    }
}

/// How often each class was answered for each.
struct Confusion {
    /// `counts[answered][gold]`
    counts: Vec<Vec<u64>>,
    total: u64,
}

impl Confusion {
    fn of(predictions: &[Prediction], classes: usize) -> Self {
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
    fn score(&self) -> String {
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
    fn absent(&self) -> Vec<usize> {
        let classes = 0..self.counts.len();
        classes.filter(|&class| self.rows_of(class) == 0).collect()
    }

    fn most_common(&self) -> usize {
        let classes = 0..self.counts.len();
        classes
            .max_by_key(|&class| self.rows_of(class))
            .unwrap_or(0)
    }

    fn rows_of(&self, class: usize) -> u64 {
        self.counts.iter().map(|row| row[class]).sum()
    }

    fn accuracy(&self) -> f64 {
        self.correct() as f64 / self.total as f64
    }

    /// The same answers if the model's class `i` means `order[i]`.
    fn in_order(&self, order: &[usize]) -> Self {
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
    fn matthews_corr(&self) -> f64 {
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
    fn guesses(&self) -> bool {
        self.matthews_corr() < 2.0 / (self.total as f64).sqrt()
    }

    fn standard_error(&self, share: f64) -> f64 {
        (share * (1.0 - share) / self.total as f64).sqrt()
    }

    /// The order of classes with the most right answers, and how many; `None` where there are too
    /// many classes to try.
    fn best_order(&self) -> Option<(Vec<usize>, u64)> {
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
fn shown(correct: u64, total: u64) -> String {
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
