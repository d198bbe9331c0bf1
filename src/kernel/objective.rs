//! What a stage trains on: a batch to its losses. One loop serves every stage; this is all
//! that differs.

mod layers;

use tch::Tensor;
use tinyrun_base::job;

use self::layers::layer_losses;
use crate::batch::{Amounts, Batch};
use crate::encoder::{Classifier, Encoder, Linear, Wanted};
use crate::losses::{cross_entropy, soft_cross_entropy, value_loss};
use crate::target::Target;

/// The model being trained.
#[derive(Debug)]
pub(crate) struct Student {
    pub(crate) encoder: Encoder,
    /// Where the objective trains a head.
    pub(crate) classifier: Option<Classifier>,
    /// Projections to the teacher's width, one for each hidden state, where the objective
    /// compares them. Several may be the same.
    pub(crate) projections: Vec<Linear>,
}

/// What a micro-batch, or a rank's part of one, is of its optimizer step. Its losses are weighed by it, so that the
/// sum over all of them is the loss of the step's examples taken together (with the `Block`
/// reduction as far as their padding agrees).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    /// Of the examples.
    pub(crate) examples: f64,
    /// Of the real tokens.
    pub(crate) tokens: f64,
    /// Of the sum of squared lengths.
    pub(crate) squared_lengths: f64,
}

impl Share {
    /// A step of one micro-batch.
    pub(crate) const WHOLE: Self = Self {
        examples: 1.0,
        tokens: 1.0,
        squared_lengths: 1.0,
    };

    /// Of rows that hold `part`, of a step whose micro-batches hold `all`.
    pub(crate) fn of(part: Amounts, all: &[Amounts]) -> Self {
        if all == [part] {
            return Self::WHOLE;
        }
        let share = |amount: fn(&Amounts) -> u64| {
            amount(&part) as f64 / all.iter().map(|all| amount(all) as f64).sum::<f64>()
        };
        Self {
            examples: share(|it| it.rows),
            tokens: share(|it| it.tokens),
            squared_lengths: share(|it| it.squared_lengths),
        }
    }
}

/// Losses of one batch.
#[derive(Debug)]
pub(crate) struct Losses {
    /// What is differentiated, a scalar.
    pub(crate) total: Tensor,
    /// The scalars named by [`part_names`], detached.
    pub(crate) parts: Vec<Tensor>,
}

impl Losses {
    /// A loss of one part.
    fn single(loss: Tensor) -> Self {
        Self {
            parts: vec![loss.detach()],
            total: loss,
        }
    }
}

/// Names of the parts of a loss, the columns of `metrics.csv`: sums first, then per layer.
pub(crate) fn part_names(objective: &job::Objective) -> Vec<String> {
    match objective {
        job::Objective::Labels | job::Objective::Values => vec!["label_loss".to_owned()],
        job::Objective::Regression { .. } => vec!["prediction_loss".to_owned()],
        job::Objective::Intermediate { layer_map, .. } => {
            let mut names = vec!["attention_loss".to_owned(), "hidden_loss".to_owned()];
            names.extend((0..layer_map.attention.len()).map(|i| format!("attention_loss_{i}")));
            names.extend((0..layer_map.hidden.len()).map(|i| format!("hidden_loss_{i}")));
            names
        }
        job::Objective::Prediction {
            soft_loss_weight,
            hard_label_weight,
            ..
        } => {
            let names = [
                ("prediction_loss", soft_loss_weight),
                ("label_loss", hard_label_weight),
            ];
            let used = names.into_iter().filter(|(_, weight)| **weight > 0.0);
            used.map(|(name, _)| name.to_owned()).collect()
        }
    }
}

/// Losses of `batch` against the teacher's `target`, weighed by its `share` of the step. Dropout is
/// active in the student.
///
/// # Panics
/// Where the target is not what [`Target::of`] makes for this objective.
pub(crate) fn losses(
    objective: &job::Objective,
    student: &Student,
    target: &Target,
    batch: &Batch,
    share: Share,
) -> Losses {
    match objective {
        job::Objective::Labels => {
            let loss = cross_entropy(&student.logits(batch, true), batch.expect_labels());
            Losses::single(loss * share.examples)
        }
        job::Objective::Values => {
            let loss = value_loss(&student.logits(batch, true), batch.expect_labels());
            Losses::single(loss * share.examples)
        }
        job::Objective::Regression { .. } => {
            let values = match target {
                Target::Logits(values) => values,
                _ => batch.expect_labels(),
            };
            let loss = value_loss(&student.logits(batch, true), values);
            Losses::single(loss * share.examples)
        }
        job::Objective::Intermediate { .. } => {
            layer_losses(objective, student, target, batch, share)
        }
        job::Objective::Prediction { .. } => {
            prediction_losses(objective, student, target, batch, share)
        }
    }
}

/// The loss over predictions, soft, hard or both.
fn prediction_losses(
    objective: &job::Objective,
    student: &Student,
    target: &Target,
    batch: &Batch,
    share: Share,
) -> Losses {
    let job::Objective::Prediction {
        temperature,
        reduction,
        soft_loss_weight,
        hard_label_weight,
    } = objective
    else {
        panic!("this objective compares predictions");
    };
    let logits = student.logits(batch, true);
    let soft = match target {
        Target::Logits(target) => {
            let soft = soft_cross_entropy(&logits, target, *temperature, *reduction);
            Some((soft * share.examples, *soft_loss_weight))
        }
        _ => None,
    };
    let hard = (*hard_label_weight > 0.0).then(|| {
        let hard = cross_entropy(&logits, batch.expect_labels());
        (hard * share.examples, *hard_label_weight)
    });
    let losses: Vec<(Tensor, f64)> = soft.into_iter().chain(hard).collect();
    let weighed: Vec<Tensor> = losses.iter().map(|(loss, weight)| loss * *weight).collect();
    Losses {
        total: sum(&weighed),
        parts: losses.iter().map(|(loss, _)| loss.detach()).collect(),
    }
}

impl Student {
    /// `[B, classes]`
    pub(crate) fn logits(&self, batch: &Batch, train: bool) -> Tensor {
        let classifier = self
            .classifier
            .as_ref()
            .expect("this objective trains a head");
        let output = self.encoder.forward_t(batch, Wanted::First, train);
        classifier.forward_t(output.last(), train)
    }
}

impl Batch {
    /// Class indices or values `[B]`; the store was checked to have one in every row.
    fn expect_labels(&self) -> &Tensor {
        self.labels.as_ref().expect("this objective needs labels")
    }
}

/// Sum of scalars.
fn sum(terms: &[Tensor]) -> Tensor {
    let (first, rest) = terms.split_first().expect("a loss has a term");
    rest.iter()
        .fold(first.shallow_clone(), |sum, term| sum + term)
}
