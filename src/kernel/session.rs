//! A training run between its steps: what it holds, what it logs, when it saves, what it writes at the end.
//! The steps themselves are in `step.rs`, their order in `training.rs`.

mod opening;
mod scoring;
mod teachers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tch::Tensor;
use tinyrun_base::job::{Event, Job, Keep, Train};
use tinyrun_base::metrics::csv_file::MetricsFile;

#[cfg(test)]
pub(crate) use self::scoring::scorings;
use crate::checkpoint::{Best, Checkpoints, State, Window};
use crate::device::Compute;
use crate::error::KernelError;
use crate::feed::{Data, Feed};
use crate::memory::{self, TeacherMemory};
use crate::optimizer::Optimizer;
use crate::ranks::{Exchange, Ranks};
use crate::reporter::Reporter;
use crate::row::row;
use crate::schedule::Length;
use crate::score::Scores;
use crate::stop::Stop;
use crate::stopwatch::{Phase, Split, Stopwatch};
use crate::trainee::Trainee;

/// Time between two progress events, whatever the interval of `metrics.csv`.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// What a run is given.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) job: &'a Job,
    pub(crate) train: &'a Train,
    pub(crate) compute: Compute,
    pub(crate) reporter: &'a Reporter,
    pub(crate) stop: &'a Stop,
    pub(crate) ranks: &'a Ranks,
}

/// Outcome of [`Session::open`].
pub(crate) enum Opened<'a> {
    /// The next step can begin.
    Ready(Box<Session<'a>>),
    /// Asked to stop before that.
    Interrupted { step: u64 },
}

/// A run between two steps.
pub(crate) struct Session<'a> {
    pub(crate) context: Context<'a>,
    pub(crate) data: Arc<Data>,
    pub(crate) trainee: Trainee,
    pub(crate) optimizer: Optimizer,
    /// What is trained, in the optimizer's order.
    pub(crate) parameters: Vec<Tensor>,
    /// Place of the table of words among them, where a batch's rows alone are looked at.
    pub(crate) words: Option<usize>,
    /// Sums over ranks; `None` of one rank, and of sums in a fixed tree.
    pub(crate) exchange: Option<Exchange>,
    pub(crate) length: Length,
    pub(crate) state: State,
    /// Cached outputs of each teacher; none where they run in every step.
    pub(crate) memories: Vec<TeacherMemory>,
    pub(crate) checkpoints: Checkpoints,
    /// Of the first rank alone.
    metrics: Option<MetricsFile>,
    /// The step of the checkpoint that was resumed.
    resumed_from: Option<u64>,
    /// Operations a second that the device can do.
    peak: f64,
    /// Step and time of the last checkpoint.
    saved_at: (u64, Instant),
    told_at: Instant,
}

impl Session<'_> {
    /// The batches of the steps to come.
    pub(crate) fn feed(&self) -> Feed {
        let Context { job, train, .. } = self.context;
        let rows = (self.trainee.layout, self.context.ranks.own());
        let fixed_row = train.student.config.fixed_row();
        let from = (job.seed, self.state.step);
        Feed::start(&self.data, &train.data, fixed_row, rows, from)
    }

    /// Whether no step is left, or no better score on dev has come for as long as is waited for one.
    pub(crate) fn is_done(&self) -> bool {
        self.state.step >= self.length.total || self.is_out_of_patience()
    }

    /// Optimizer steps done.
    pub(crate) fn steps_done(&self) -> u64 {
        self.state.step
    }

    /// Whether no step was made since it was opened.
    pub(crate) fn is_fresh(&self) -> bool {
        self.state.step == self.resumed_from.unwrap_or(0)
    }

    fn epoch_ends(&self) -> bool {
        self.state.step.is_multiple_of(self.data.steps_per_epoch)
    }

    /// Counts a step and what it took.
    pub(crate) fn count_step(&mut self, losses: &[f64], split: Split) {
        self.state.step += 1;
        self.state.window.add(losses, split);
    }

    /// Writes a row of `metrics.csv` and tells the runner how far the run is, each when due.
    pub(crate) fn log(
        &mut self,
        rate: f64,
        scores: Option<&Scores>,
        watch: &mut Stopwatch,
    ) -> Result<(), KernelError> {
        let train = self.context.train;
        let step = self.state.step;
        let window = &self.state.window;
        let progress = window.progress(step, self.data.steps_per_epoch, rate);
        if scores.is_some() || self.epoch_ends() || due(step, train.saving.log_interval) {
            let classes = self.data.dev.as_ref().map(|_| train.student.labels.len());
            watch.lap(Phase::Other);
            self.state.window.split.add(watch.take());
            let row = row(&progress, &self.state, self.peak, scores, classes);
            if let Some(metrics) = &mut self.metrics {
                metrics.append(step, &row)?;
            }
            self.state.window = Window::default();
        }
        if self.told_at.elapsed() >= PROGRESS_EVERY || self.is_done() {
            self.context.reporter.send(&Event::Step(progress));
            self.told_at = Instant::now();
        }
        Ok(())
    }

    /// Writes a checkpoint at the end, when one is due, and before `stopping`.
    pub(crate) fn checkpoint_when_due(&mut self, stopping: bool) -> Result<(), KernelError> {
        let saving = &self.context.train.saving;
        let step = self.state.step;
        let (saved_step, saved_time) = self.saved_at;
        let time_is_up = saving.checkpoint_seconds > 0
            && saved_time.elapsed() >= Duration::from_secs(saving.checkpoint_seconds);
        let is_due = due(step, saving.checkpoint_interval) || time_is_up;
        if step > saved_step && (stopping || is_due || self.is_done()) {
            // What the first rank writes is of all: they have the same weights.
            if let Some(metrics) = &mut self.metrics {
                metrics.sync()?;
                let tensors = tensors(&self.trainee, &self.optimizer);
                self.checkpoints.save(&self.state, &tensors)?;
            }
            self.saved_at = (step, Instant::now());
            self.context.reporter.send(&Event::Checkpoint { step });
        }
        Ok(())
    }

    /// Writes the artifacts, and returns the steps of the run.
    pub(crate) fn finish(mut self) -> Result<u64, KernelError> {
        let Context { job, train, .. } = self.context;
        if let Some(metrics) = &mut self.metrics {
            metrics.sync()?;
            memory::remove_all(&job.output, train)?;
            let best = self.state.best.as_ref();
            self.trainee
                .write(train, &job.output, best, &self.checkpoints)?;
        }
        let selection = train.selection.as_ref();
        let keeps_best = selection.is_some_and(|selection| selection.scoring.keep == Keep::Best);
        let resumed_from = self.resumed_from.filter(|_| keeps_best);
        let is_before = |best: &Best| resumed_from.is_some_and(|from| best.step <= from);
        if let Some(best) = self.state.best.filter(is_before) {
            // The model that is handed on: this process has not told of it yet.
            self.context.reporter.send(&Event::Evaluated {
                step: best.step,
                scores: best.scores,
                best: true,
            });
        }
        Ok(self.state.step)
    }
}

/// Whether an interval of `every` steps (0: never) ends at `step`.
fn due(step: u64, every: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}

/// Everything a checkpoint holds, by name.
fn tensors<'a>(trainee: &'a Trainee, optimizer: &'a Optimizer) -> Vec<(String, &'a Tensor)> {
    let parameters = trainee
        .parameters
        .iter()
        .map(|(name, tensor)| (format!("parameter.{name}"), tensor));
    parameters.chain(optimizer.state()).collect()
}
