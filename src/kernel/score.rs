//! Scoring a model on a labelled store.

use std::collections::BTreeMap;
use std::time::Instant;

use tch::{Device, Kind, Tensor, no_grad};
use tinyrun::data::batches::plan_in_order;
use tinyrun::data::store::TokenStore;
use tinyrun::metrics::{Counts, f1, matthews_corr};

use crate::batch::Batch;
use crate::bert::{Bert, Classifier, Wanted};

/// Scores of one model on one data set.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scores {
    /// Right answers.
    pub(crate) correct: u64,
    /// Examples.
    pub(crate) total: u64,
    accuracy: f64,
    /// Binary tasks only.
    f1: Option<f64>,
    /// Binary tasks only.
    matthews_corr: Option<f64>,
}

impl Scores {
    /// Names of the scores, in the order of [`Self::values`].
    pub(crate) const NAMES: [&'static str; 3] = ["accuracy", "f1", "matthews_corr"];

    /// The scores in the order of [`Self::NAMES`].
    pub(crate) fn values(&self) -> [Option<f64>; 3] {
        [Some(self.accuracy), self.f1, self.matthews_corr]
    }

    /// Those that the task has, by name.
    pub(crate) fn named(&self) -> BTreeMap<String, f64> {
        Self::NAMES
            .iter()
            .zip(self.values())
            .filter_map(|(name, value)| Some(((*name).to_owned(), value?)))
            .collect()
    }

    /// Share of right answers.
    pub(crate) fn accuracy(&self) -> f64 {
        self.accuracy
    }
}

/// One example's answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prediction {
    /// Gold class.
    pub(crate) label: usize,
    /// Answered class: the largest logit, of equals the first.
    pub(crate) predicted: usize,
    /// One a class.
    pub(crate) logits: Vec<f32>,
}

/// Scores every row of `store`, none dropped, without dropout. Predictions are in the
/// order of the store.
pub(crate) fn score(
    bert: &Bert,
    classifier: &Classifier,
    store: &TokenStore,
    batch_size: usize,
    device: Device,
) -> (Scores, Vec<Prediction>) {
    let run = predict(bert, classifier, store, batch_size, device, || false);
    let predictions = run.expect("nobody stops it").predictions;
    (scores(&predictions, store.meta().labels.len()), predictions)
}

/// Scores of given predictions over `classes` classes.
pub(crate) fn scores(predictions: &[Prediction], classes: usize) -> Scores {
    let predicted: Vec<usize> = predictions.iter().map(|p| p.predicted).collect();
    let labels: Vec<usize> = predictions.iter().map(|p| p.label).collect();
    let counts = Counts::of(&predicted, &labels);
    Scores {
        correct: counts.correct,
        total: counts.total,
        accuracy: counts.accuracy(),
        f1: (classes == 2).then(|| f1(&predicted, &labels)),
        matthews_corr: (classes == 2).then(|| matthews_corr(&predicted, &labels)),
    }
}

/// Predictions and the time the forward passes took.
#[derive(Debug)]
pub(crate) struct Predicted {
    pub(crate) predictions: Vec<Prediction>,
    pub(crate) seconds: f64,
}

/// Predicts every row of `store`; `None` where `stop` said so on the way.
pub(crate) fn predict(
    bert: &Bert,
    classifier: &Classifier,
    store: &TokenStore,
    batch_size: usize,
    device: Device,
    mut stop: impl FnMut() -> bool,
) -> Option<Predicted> {
    let lengths: Vec<u32> = (0..store.len())
        .map(|row| store.length(row) as u32)
        .collect();
    let mut predictions: Vec<Option<Prediction>> = vec![None; store.len()];
    let mut seconds = 0.0;
    for rows in plan_in_order(&lengths, batch_size) {
        if stop() {
            return None;
        }
        let batch = Batch::new(store, &rows, device);
        let clock = Instant::now();
        let logits = no_grad(|| {
            let output = bert.forward_t(&batch, Wanted::Last, false);
            classifier
                .forward_t(output.last(), false)
                .to_device(Device::Cpu)
        });
        seconds += clock.elapsed().as_secs_f64();
        let answers: Vec<i64> = Vec::try_from(logits.argmax(-1, false)).expect("one answer a row");
        for (place, &row) in rows.iter().enumerate() {
            predictions[row as usize] = Some(Prediction {
                label: store.label(row as usize).map_or(0, |label| label as usize),
                predicted: answers[place] as usize,
                logits: floats(&logits.get(place as i64)),
            });
        }
    }
    let predictions = predictions
        .into_iter()
        .map(|p| p.expect("every row is planned once"))
        .collect();
    Some(Predicted {
        predictions,
        seconds,
    })
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_kind(Kind::Float)).expect("a row of floats")
}
