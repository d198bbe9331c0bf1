//! A row of `metrics.csv`: what is gathered for it, and its columns
//! (docs/reference/metrics-csv.md).

use tinyrun_base::job::{Progress, Train};

use crate::checkpoint::{State, Window};
use crate::feed::MicroBatch;
use crate::loss_scale::LossScale;
use crate::objective::part_names;
use crate::score::Scores;
use crate::stopwatch::{Phase, Split};

/// Columns of `metrics.csv` after `step`.
pub(crate) fn columns(train: &Train) -> Vec<String> {
    let mut columns = vec![
        "epoch".to_owned(),
        "learning_rate".to_owned(),
        "loss".to_owned(),
    ];
    columns.extend(part_names(&train.objective));
    let of_speed = ["examples_per_second", "tokens_per_second", "padding", "mfu"];
    let phases = Phase::ALL.iter().map(|(_, name)| *name);
    columns.extend(of_speed.into_iter().chain(phases).map(str::to_owned));
    if train.steps.loss_scaling.is_some() {
        columns.extend(["loss_scale".to_owned(), "overflows".to_owned()]);
    }
    if train.selection.is_some() {
        let names = Scores::names(train.student.labels.len()).iter();
        columns.extend(names.map(|name| format!("dev_{name}")));
    }
    columns
}

/// How many of them are losses.
pub(crate) fn columns_of_losses(train: &Train) -> usize {
    1 + part_names(&train.objective).len()
}

/// One row of `metrics.csv`, in the order of [`columns`]. `peak` is what the device can do, in
/// operations a second, `classes` are those of a dev set.
pub(crate) fn row(
    progress: &Progress,
    state: &State,
    peak: f64,
    scores: Option<&Scores>,
    classes: Option<usize>,
) -> Vec<Option<f64>> {
    let mut row = vec![Some(progress.epoch), Some(progress.learning_rate)];
    row.extend(state.window.mean_losses().into_iter().map(Some));
    let window = &state.window;
    let seconds = window.split.training();
    row.extend([
        Some(progress.examples_per_second),
        Some(progress.tokens_per_second),
        Some(1.0 - window.tokens as f64 / window.cells as f64),
        Some(window.flops / seconds / peak),
    ]);
    let milliseconds = |phase| 1000.0 * window.split.of(phase) / window.steps as f64;
    row.extend(Phase::ALL.map(|(phase, _)| Some(milliseconds(phase))));
    if let Some(LossScale {
        scale, overflows, ..
    }) = state.loss_scale
    {
        row.extend([Some(scale), Some(overflows as f64)]);
    }
    if let Some(classes) = classes {
        match scores {
            Some(scores) => row.extend(scores.values()),
            None => row.extend(Scores::names(classes).iter().map(|_| None)),
        }
    }
    row
}

impl Window {
    /// Adds a micro-batch and the operations that it needed.
    pub(crate) fn count(&mut self, batch: &MicroBatch, flops: f64) {
        self.examples += batch.whole.rows;
        self.tokens += batch.whole.tokens;
        self.cells += batch.cells;
        self.flops += flops;
    }

    /// Adds a step.
    pub(crate) fn add(&mut self, sums: &[f64], split: Split) {
        self.losses.resize(sums.len(), 0.0);
        for (total, loss) in self.losses.iter_mut().zip(sums) {
            *total += loss;
        }
        self.steps += 1;
        self.split.add(split);
    }

    fn mean_losses(&self) -> Vec<f64> {
        self.losses
            .iter()
            .map(|sum| sum / self.steps as f64)
            .collect()
    }

    pub(crate) fn progress(&self, step: u64, steps_per_epoch: u64, learning_rate: f64) -> Progress {
        Progress {
            step,
            epoch: step as f64 / steps_per_epoch as f64,
            learning_rate,
            loss: self.losses[0] / self.steps as f64,
            examples_per_second: self.examples as f64 / self.split.training(),
            tokens_per_second: self.tokens as f64 / self.split.training(),
        }
    }
}
