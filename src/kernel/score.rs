//! Scoring a model on a labelled store.

use std::collections::BTreeMap;
use std::time::Instant;

use tch::{Device, Kind, Tensor, no_grad};
use tinyrun_base::data::batches::plan_in_order;
use tinyrun_base::data::store::TokenStore;
use tinyrun_base::job::{HeadKind, Metric, PadTo};
use tinyrun_base::metrics::{Counts, f1, matthews_corr, pearson, spearman};
use tinyrun_base::model::BertConfig;

use crate::batch::Batch;
use crate::encoder::{Classifier, Encoder, Wanted, layout};
use crate::error::KernelError;
use crate::parameters::Parameters;
use crate::ranks::{Rank, Ranks};

/// Number format of every score, whatever a model was trained in: in bf16 the predictions of close
/// rows depend on the code path, so that two scores of the same weights would differ.
pub(crate) const SCORE_KIND: Kind = Kind::Float;

/// Encoder and head of a model that is scored: weights in [`SCORE_KIND`], inference-only.
/// Dev scoring, `eval` and the teacher check all score with this.
pub(crate) fn scoring_model(
    parameters: Parameters,
    config: &BertConfig,
    head: HeadKind,
    device: Device,
) -> (Encoder, Classifier) {
    inference_model(parameters, config, head, device, SCORE_KIND)
}

/// Inference-only encoder and classifier of a model: the encoder computes in `kind`, the classifier
/// in fp32.
pub(crate) fn inference_model(
    parameters: Parameters,
    config: &BertConfig,
    head: HeadKind,
    device: Device,
    kind: Kind,
) -> (Encoder, Classifier) {
    let parameters = parameters.frozen(device, Kind::Float);
    let classifier = Classifier::new(&parameters, config, head);
    let layout = layout(PadTo::None, config, kind, device);
    // The packed encoder rounds weights when it packs them.
    let parameters = match layout {
        PadTo::None => parameters,
        _ => parameters.frozen(device, kind),
    };
    let encoder = Encoder::frozen(&parameters, config, kind, Wanted::First, layout);
    (encoder, classifier)
}

/// Scores of one model on one data set.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scores {
    /// Right answers; of a regression none is counted.
    pub(crate) correct: u64,
    /// Examples.
    pub(crate) total: u64,
    /// In the order of [`Self::names`]; `None` for what the task does not have.
    values: Vec<Option<f64>>,
}

impl Scores {
    /// Names of the scores of a task with so many classes; none are a regression.
    pub(crate) fn names(classes: usize) -> &'static [&'static str] {
        match classes {
            0 => &["pearson", "spearman"],
            _ => &["accuracy", "f1", "matthews_corr"],
        }
    }

    /// The scores in the order of [`Self::names`].
    pub(crate) fn values(&self) -> &[Option<f64>] {
        &self.values
    }

    /// Those that the task has, by name.
    pub(crate) fn named(&self, classes: usize) -> BTreeMap<String, f64> {
        Self::names(classes)
            .iter()
            .zip(&self.values)
            .filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?)))
            .collect()
    }

    /// One of them; the first where the task does not have it.
    pub(crate) fn of(&self, metric: Metric) -> f64 {
        let at = |index: usize| self.values.get(index).copied().flatten();
        let found = match metric {
            Metric::Accuracy => at(0),
            Metric::MatthewsCorr => at(2),
            Metric::Correlation => at(0).zip(at(1)).map(|(p, s)| f64::midpoint(p, s)),
        };
        found.or(at(0)).unwrap_or(0.0)
    }
}

/// One example's answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prediction {
    /// Gold class.
    pub(crate) label: usize,
    /// Gold value of a regression; the class again otherwise.
    pub(crate) value: f32,
    /// Answered class: the largest logit, of equals the first.
    pub(crate) predicted: usize,
    /// One a class.
    pub(crate) logits: Vec<f32>,
}

/// Scores every row of `store`, none dropped, without dropout, each rank a part of the rows.
///
/// # Errors
/// A rank that is lost.
pub(crate) fn score_on(
    ranks: &Ranks,
    encoder: &Encoder,
    classifier: &Classifier,
    store: &TokenStore,
    batch_size: usize,
    device: Device,
) -> Result<Scores, KernelError> {
    let part = Part {
        store,
        batch_size,
        rank: ranks.own(),
    };
    let found = predict_part(encoder, &[classifier], part, device, || false);
    let mut found = found.expect("it is never stopped");
    let mut logits = found.remove(0).logits;
    ranks.sum_floats(&mut logits)?;
    let predictions = predictions(store, &logits);
    Ok(scores(&predictions, store.meta().labels.len()))
}

/// Scores every row of `store`, none dropped, without dropout. Predictions are in the
/// order of the store.
#[cfg(test)]
pub(crate) fn score(
    encoder: &Encoder,
    classifier: &Classifier,
    store: &TokenStore,
    batch_size: usize,
    device: Device,
) -> (Scores, Vec<Prediction>) {
    let classifiers = [classifier];
    let run = predict_on(
        &Ranks::one(),
        encoder,
        &classifiers,
        store,
        batch_size,
        device,
        || false,
    );
    let mut found = run.expect("one rank").expect("it is never stopped");
    let predictions = found.remove(0).predictions;
    (scores(&predictions, store.meta().labels.len()), predictions)
}

/// Scores of given predictions over `classes` classes; none are a regression.
pub(crate) fn scores(predictions: &[Prediction], classes: usize) -> Scores {
    if classes == 0 {
        let found: Vec<f64> = predictions.iter().map(|p| f64::from(p.logits[0])).collect();
        let gold: Vec<f64> = predictions.iter().map(|p| f64::from(p.value)).collect();
        return Scores {
            correct: 0,
            total: predictions.len() as u64,
            values: vec![Some(pearson(&found, &gold)), Some(spearman(&found, &gold))],
        };
    }
    let predicted: Vec<usize> = predictions.iter().map(|p| p.predicted).collect();
    let labels: Vec<usize> = predictions.iter().map(|p| p.label).collect();
    let counts = Counts::of(&predicted, &labels);
    let binary =
        |score: fn(&[usize], &[usize]) -> f64| (classes == 2).then(|| score(&predicted, &labels));
    Scores {
        correct: counts.correct,
        total: counts.total,
        values: vec![Some(counts.accuracy()), binary(f1), binary(matthews_corr)],
    }
}

/// Predictions and the time the forward passes took.
#[derive(Debug)]
pub(crate) struct Predicted {
    pub(crate) predictions: Vec<Prediction>,
    pub(crate) seconds: f64,
}

/// Predicts every row of `store` by several classifiers on one pass of the encoder, in their order, each rank a part of
/// the rows; `None` where `stop` of any rank said so on the way. The predictions are the same on any number of ranks,
/// which share the batches that one has.
///
/// # Errors
/// A rank that is lost.
pub(crate) fn predict_on(
    ranks: &Ranks,
    encoder: &Encoder,
    classifiers: &[&Classifier],
    store: &TokenStore,
    batch_size: usize,
    device: Device,
    stop: impl FnMut() -> bool,
) -> Result<Option<Vec<Predicted>>, KernelError> {
    let rank = ranks.own();
    let part = Part {
        store,
        batch_size,
        rank,
    };
    let found = predict_part(encoder, classifiers, part, device, stop);
    let mut seconds = vec![0.0; rank.size()];
    let own = found.as_ref().and_then(|found| found.first());
    seconds[rank.place()] = own.map_or(0.0, |found| found.seconds);
    let stopped = ranks.sum_numbers_and_wishes(&mut seconds, found.is_none())?;
    let Some(found) = found.filter(|_| !stopped) else {
        return Ok(None);
    };
    // Ranks share the rows and wait for each other: the time is that of the slowest one.
    let seconds = seconds.into_iter().fold(0.0, f64::max);
    let all = found.into_iter().map(|Logits { mut logits, .. }| {
        ranks.sum_floats(&mut logits)?;
        Ok(Predicted {
            predictions: predictions(store, &logits),
            seconds,
        })
    });
    all.collect::<Result<_, _>>().map(Some)
}

/// The batches of a store that one rank predicts.
#[derive(Clone, Copy)]
struct Part<'a> {
    store: &'a TokenStore,
    batch_size: usize,
    rank: Rank,
}

/// Logits of every row of a store, one after the other; 0 for rows of other ranks.
struct Logits {
    logits: Vec<f32>,
    seconds: f64,
}

/// Predicts the rows of a rank; `None` where `stop` said so on the way.
fn predict_part(
    encoder: &Encoder,
    classifiers: &[&Classifier],
    part: Part<'_>,
    device: Device,
    mut stop: impl FnMut() -> bool,
) -> Option<Vec<Logits>> {
    let store = part.store;
    let lengths: Vec<u32> = (0..store.len())
        .map(|row| store.length(row) as u32)
        .collect();
    let mut found: Vec<Vec<f32>> = vec![Vec::new(); classifiers.len()];
    let mut seconds = 0.0;
    let batches = plan_in_order(&lengths, part.batch_size);
    // In turn: the longest rows are the last.
    for rows in batches
        .iter()
        .skip(part.rank.place())
        .step_by(part.rank.size())
    {
        if stop() {
            return None;
        }
        let batch = Batch::new(store, rows, encoder.layout(), device);
        let clock = Instant::now();
        let logits: Vec<Tensor> = no_grad(|| {
            let output = encoder.forward_t(&batch, Wanted::First, false);
            let logits = classifiers
                .iter()
                .map(|classifier| classifier.forward_t(output.last(), false));
            logits.map(|logits| logits.to_device(Device::Cpu)).collect()
        });
        seconds += clock.elapsed().as_secs_f64();
        for (found, logits) in found.iter_mut().zip(&logits) {
            let classes = logits.size()[1] as usize;
            found.resize(store.len() * classes, 0.0);
            for (logits, &row) in floats(logits).chunks(classes).zip(rows) {
                let from = row as usize * classes;
                found[from..from + classes].copy_from_slice(logits);
            }
        }
    }
    let all = found.into_iter();
    Some(all.map(|logits| Logits { logits, seconds }).collect())
}

/// The answers of logits, row by row.
fn predictions(store: &TokenStore, logits: &[f32]) -> Vec<Prediction> {
    let classes = logits.len() / store.len();
    let rows = logits.chunks(classes).enumerate();
    rows.map(|(row, logits)| Prediction {
        label: store.label(row).map_or(0, |label| label as usize),
        value: store.label(row).unwrap_or(0.0),
        predicted: largest(logits),
        logits: logits.to_vec(),
    })
    .collect()
}

/// Place of the largest number, of equals the first; what is no number counts as larger than any.
fn largest(numbers: &[f32]) -> usize {
    let mut best = 0;
    for (place, number) in numbers.iter().enumerate().skip(1) {
        if *number > numbers[best] || (number.is_nan() && !numbers[best].is_nan()) {
            best = place;
        }
    }
    best
}

/// Numbers of a tensor, row by row.
fn floats(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_kind(Kind::Float).contiguous().view(-1)).expect("floats")
}
