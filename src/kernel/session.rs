//! A training run from its opening to its end: what is loaded, how it resumes, what it writes.
//! The steps themselves are in `step.rs`, their order in `training.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tch::{Device, Tensor, no_grad};
use tinyrun::job::{Event, Job, Keep, Objective, Train};
use tinyrun::metrics::csv_file::MetricsFile;
use tinyrun::model::names::WORDS;

use crate::checkpoint::{Best, Checkpoints, State, TeacherScores, Window};
use crate::device::Compute;
use crate::error::KernelError;
use crate::feed::{Data, Feed};
use crate::flops;
use crate::gate::{Verdict, check_teacher};
use crate::loss_scale::LossScale;
use crate::memory::{self, Asked, TeacherMemory};
use crate::optimizer::Optimizer;
use crate::ranks::{Exchange, Ranks};
use crate::reporter::Reporter;
use crate::row::{columns, row};
use crate::schedule::Length;
use crate::score::{Scores, score_on};
use crate::seed::Seed;
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

impl<'a> Session<'a> {
    /// Checks the teachers, loads the models and the newest checkpoint, and asks the teachers
    /// where their outputs are cached.
    ///
    /// # Errors
    /// Unreadable inputs, a teacher that fails its check, a checkpoint of another run.
    pub(crate) fn open(context: Context<'a>) -> Result<Opened<'a>, KernelError> {
        let Context {
            job,
            train,
            compute,
            reporter,
            ranks,
            ..
        } = context;
        let data = Arc::new(Data::open(train, job.seed)?);
        let checkpoints = Checkpoints::new(&job.output, train.saving.checkpoint_keep);
        // A run that goes on has passed the gate.
        let is_done = ranks.first_does("looking for a checkpoint", || {
            Ok(checkpoints.newest_step().is_some())
        })?;
        let checked = if is_done {
            Some(TeacherScores::new())
        } else {
            context.check_teachers()?
        };
        let Some(checked) = checked else {
            return Ok(Opened::Interrupted { step: 0 });
        };
        let trainee = Trainee::load(train, &data.train, compute, Seed(job.seed))?;
        let optimizer = Optimizer::new(train.steps.optimizer.clone(), &trainee.parameters);
        let length = Length {
            epoch: data.steps_per_epoch,
            total: data.steps_per_epoch * u64::from(train.steps.epochs),
        };
        let mut warnings = trainee.warnings();
        warnings.extend(ranks.crowd(tch::get_num_threads() as usize));
        let mut newest = None;
        // The first rank removes checkpoints that are damaged, before others look.
        let step = ranks.first_does("reading the checkpoint", || {
            newest = checkpoints.newest(&job.fingerprint, &mut warnings)?;
            Ok(newest.as_ref().map(|(state, _)| state.step))
        })?;
        if let Some(step) = step.filter(|_| !ranks.is_first()) {
            newest = Some(checkpoints.at(step)?);
        }
        let is_resumed = newest.is_some();
        let state = match newest {
            Some((state, tensors)) => {
                restore(&trainee, &optimizer, &tensors)?;
                // The run that scored them ended before its record was written.
                context.tell_teachers(&state.teachers);
                state
            }
            None => State {
                loss_scale: train.steps.loss_scaling.as_ref().map(LossScale::new),
                teachers: checked,
                ..State::new(&job.fingerprint, length.total)
            },
        };
        let resumed_from = is_resumed.then_some(state.step);
        let path = job.output.join("metrics.csv");
        let metrics = ranks
            .is_first()
            .then(|| MetricsFile::create_or_resume(&path, &columns(train), resumed_from));
        let metrics = metrics.transpose()?;
        let is_cpu = compute.device == Device::Cpu;
        let words = is_cpu.then(|| optimizer.place(WORDS)).flatten();
        let is_tree = train.data.reduction_leaves > 1;
        let exchange = (!is_tree).then(|| {
            let parameters: Vec<_> = trainee.parameters.iter().collect();
            ranks.exchange(&parameters, words, train.data.gradient_exchange)
        });
        let mut session = Self {
            parameters: optimizer.parameters(),
            words,
            exchange: exchange.flatten(),
            peak: flops::peak(compute) * ranks.own().size() as f64,
            saved_at: (state.step, Instant::now()),
            told_at: Instant::now(),
            memories: Vec::new(),
            context,
            data,
            trainee,
            optimizer,
            length,
            state,
            checkpoints,
            metrics,
            resumed_from,
        };
        if !session.is_done() {
            session.state.is_shared_by(ranks.own().size());
            if !session.ask_teachers(&mut warnings)? {
                let step = session.state.step;
                return Ok(Opened::Interrupted { step });
            }
        }
        let parameters = session.trainee.model_parameters();
        let (ranks, step) = (&session.state.ranks, session.state.step);
        reporter.send(&compute.started(ranks, length.total, step, parameters));
        for message in warnings {
            reporter.send(&Event::Warning { message });
        }
        session.saved_at.1 = Instant::now();
        session.told_at = Instant::now();
        Ok(Opened::Ready(Box::new(session)))
    }

    /// Caches what each teacher says of every row, where that is worth it and all of it fits; `false` where
    /// asked to stop on the way.
    fn ask_teachers(&mut self, warnings: &mut Vec<String>) -> Result<bool, KernelError> {
        let Context {
            job,
            train,
            compute,
            reporter,
            stop,
            ranks,
        } = self.context;
        if let Some(path) = &train.predictions {
            let classes = train.student.labels.len().max(1);
            self.memories = vec![TeacherMemory::given(path, &self.data, classes)?];
            return Ok(true);
        }
        // What the steps before did: the two differ by rounding.
        let before = self.resumed_from.map(|_| self.state.remembers);
        let mut found = Vec::new();
        let teachers = train.teachers().zip(&self.trainee.teachers);
        let teachers = teachers.zip(&self.trainee.rows_of_teachers);
        for (place, ((cache, model), rows)) in teachers.enumerate() {
            let asked = memory::ask(
                (job, train),
                before,
                &self.data,
                memory::Source {
                    cache,
                    model,
                    rows: rows.as_ref(),
                    place,
                },
                (compute, self.trainee.layout),
                (reporter, stop, ranks),
            )?;
            match asked {
                Asked::Remembered(answers) => found.push(answers),
                // Then all of them run in every step: a run that resumes must do as this one.
                Asked::InEveryStep(warning) => {
                    warnings.extend(warning);
                    return Ok(true);
                }
                Asked::Interrupted => return Ok(false),
            }
        }
        if !found.is_empty() {
            self.memories = found;
            self.state.remembers = true;
            self.trainee.dismiss_teachers();
        }
        Ok(true)
    }

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

    /// Known from the steps alone, so that a run that is resumed ends where it would have ended.
    fn is_out_of_patience(&self) -> bool {
        let selection = self.context.train.selection.as_ref();
        let (Some(selection), Some(best)) = (selection, &self.state.best) else {
            return false;
        };
        let scoring = &selection.scoring;
        let epoch = self.data.steps_per_epoch;
        let since = |step| scorings(step, epoch, scoring.eval_interval);
        scoring.patience > 0 && since(self.state.step) - since(best.step) >= scoring.patience
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

    /// Scores dev at an epoch's end and at the interval, as `eval` will score the written folder,
    /// and keeps the model if it is the best so far; of equals the earlier stays.
    pub(crate) fn score_when_due(&mut self) -> Result<Option<Scores>, KernelError> {
        let Context {
            train,
            compute,
            ranks,
            ..
        } = self.context;
        let (Some(dev), Some(selection)) = (&self.data.dev, &train.selection) else {
            return Ok(None);
        };
        if !self.epoch_ends() && !due(self.state.step, selection.scoring.eval_interval) {
            return Ok(None);
        }
        let (encoder, classifier) = self.trainee.scoring_model(train, compute.device);
        let batch_size = train.data.batch_size as usize;
        let scores = score_on(
            ranks,
            &encoder,
            &classifier,
            dev,
            batch_size,
            compute.device,
        )?;
        let score = scores.of(selection.metric);
        let named = scores.named(train.student.labels.len());
        let step = self.state.step;
        let best = self.state.best.as_ref();
        let is_best = best.is_none_or(|best| score > best.score);
        if is_best {
            if selection.scoring.keep == Keep::Best && ranks.is_first() {
                let tensors = self.trainee.named_tensors();
                self.checkpoints.save_best(step, &tensors)?;
            }
            self.state.best = Some(Best {
                step,
                score,
                scores: named.clone(),
            });
        }
        self.context.reporter.send(&Event::Evaluated {
            step,
            scores: named,
            best: is_best,
        });
        Ok(Some(scores))
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

    /// Writes the artifacts. Returns the steps of the run and the scoring of the model that is handed on,
    /// where that is the best and lies before the checkpoint that was resumed.
    pub(crate) fn finish(mut self) -> Result<(u64, Option<Best>), KernelError> {
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
        Ok((self.state.step, self.state.best.filter(is_before)))
    }
}

impl Context<'_> {
    /// Checks the teachers where the job says so: the scores of several by name; `None` where asked to stop on the
    /// way.
    fn check_teachers(&self) -> Result<Option<TeacherScores>, KernelError> {
        let train = self.train;
        let lenient = matches!(train.objective, Objective::Intermediate { .. });
        let mut found = TeacherScores::new();
        for (place, teacher) in train.teachers().enumerate() {
            let Some(gate) = &teacher.gate else {
                continue;
            };
            let (folder, head) = (&teacher.folder, teacher.head);
            let (compute, stop, ranks) = (self.compute, self.stop, self.ranks);
            let checked = check_teacher(gate, folder, head, lenient, compute, stop, ranks)?;
            match checked.verdict {
                Verdict::Passed => {}
                Verdict::Skipped(message) => self.reporter.send(&Event::Warning { message }),
                Verdict::Interrupted => return Ok(None),
            }
            let ensemble = train.ensemble.as_ref();
            if let Some(name) = ensemble.and_then(|ensemble| ensemble.names.get(place)) {
                let scored = TeacherScores::from([(name.clone(), checked.scores)]);
                self.tell_teachers(&scored);
                found.extend(scored);
            }
        }
        Ok(Some(found))
    }

    /// Reports the scores of teachers.
    fn tell_teachers(&self, scores: &TeacherScores) {
        for (teacher, scores) in scores {
            self.reporter.send(&Event::TeacherScored {
                teacher: teacher.clone(),
                scores: scores.clone(),
            });
        }
    }
}

/// Whether an interval of `every` steps (0: never) ends at `step`.
fn due(step: u64, every: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}

/// How often dev has been scored up to a step: at the end of each epoch, and at each interval (0:
/// never) that does not end there too.
pub(crate) fn scorings(step: u64, epoch: u64, interval: u64) -> u64 {
    if interval == 0 {
        return step / epoch;
    }
    let (mut a, mut b) = (epoch, interval);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    let both = epoch / a * interval;
    step / epoch + step / interval - step / both
}

/// Everything a checkpoint holds, by name.
fn tensors<'a>(trainee: &'a Trainee, optimizer: &'a Optimizer) -> Vec<(String, &'a Tensor)> {
    let parameters = trainee
        .parameters
        .iter()
        .map(|(name, tensor)| (format!("parameter.{name}"), tensor));
    parameters.chain(optimizer.state()).collect()
}

/// Copies a checkpoint's tensors into the run's own.
fn restore(
    trainee: &Trainee,
    optimizer: &Optimizer,
    saved: &BTreeMap<String, Tensor>,
) -> Result<(), KernelError> {
    no_grad(|| {
        for (name, tensor) in tensors(trainee, optimizer) {
            let found = saved
                .get(&name)
                .filter(|found| found.size() == tensor.size());
            let Some(found) = found else {
                return Err(KernelError::CheckpointLacks { name });
            };
            tensor.detach().copy_(found);
        }
        Ok(())
    })
}
