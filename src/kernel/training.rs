//! The training loop. One function serves fine-tuning and every distillation stage.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tch::{Device, Kind, Tensor, no_grad};
use tinyrun::job::{Event, Job, Objective, Train};
use tinyrun::metrics::csv_file::MetricsFile;

use crate::batch::Batch;
use crate::checkpoint::{Best, Checkpoints, State, Window};
use crate::device::Compute;
use crate::dropout::reseed;
use crate::error::KernelError;
use crate::feed::{Data, Feed};
use crate::flops;
use crate::gate::{Verdict, check_teacher};
use crate::loss_scale::LossScale;
use crate::memory::{self, Asked};
use crate::objective::{Losses, Share, losses};
use crate::optimizer::{Optimizer, Rows};
use crate::reporter::Reporter;
use crate::row::{columns, columns_of_losses, row};
use crate::schedule::{Length, learning_rate};
use crate::score::{Scores, score};
use crate::seed::Seed;
use crate::stop::Stop;
use crate::stopwatch::{Phase, Stopwatch};
use crate::target::Target;
use crate::trainee::Trainee;

/// Time between two progress events, whatever the interval of `metrics.csv`.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// The table of which a batch uses few rows.
const WORDS: &str = "bert.embeddings.word_embeddings.weight";

/// How a training run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// After all steps, artifacts written.
    Done { steps: u64 },
    /// On request, after a checkpoint of this step.
    Interrupted { step: u64 },
}

/// Trains from the newest checkpoint, or from the start, to the end or until asked to stop.
///
/// # Errors
/// Unreadable inputs, a loss that is not a number, a disk that refuses.
pub(crate) fn train(
    job: &Job,
    train: &Train,
    compute: Compute,
    reporter: &Reporter,
    stop: &Stop,
) -> Result<Ended, KernelError> {
    let seed = Seed(job.seed);
    let data = Arc::new(Data::open(job, train)?);
    let checkpoints = Checkpoints::new(&job.output, train.checkpoint_keep);
    // A run that goes on has passed the gate.
    if let (Some(gate), Some(teacher), None) =
        (&train.gate, &train.teacher, checkpoints.newest_step())
    {
        let head = train.teacher_head;
        let lenient = matches!(train.objective, Objective::Intermediate { .. });
        match check_teacher(gate, teacher, head, lenient, compute, stop)? {
            Verdict::Passed => {}
            Verdict::Skipped(message) => reporter.send(&Event::Warning { message }),
            Verdict::Interrupted => return Ok(Ended::Interrupted { step: 0 }),
        }
    }
    let mut trainee = Trainee::load(train, &data.train, compute, seed)?;
    let mut optimizer = Optimizer::new(train.optimizer.clone(), &trainee.parameters);
    let parameters = optimizer.parameters();
    let words = (compute.device == Device::Cpu)
        .then(|| optimizer.place(WORDS))
        .flatten();

    let total_steps = data.steps_per_epoch * u64::from(train.epochs);
    let length = Length {
        epoch: data.steps_per_epoch,
        total: total_steps,
    };
    let mut state = State {
        loss_scale: train.loss_scaling.as_ref().map(LossScale::new),
        ..State::new(&job.fingerprint, total_steps)
    };
    let mut warnings = trainee.warnings();
    let newest = checkpoints.newest(&job.fingerprint, &mut warnings)?;
    let resumed = newest.is_some();
    if let Some((saved, tensors)) = newest {
        restore(&trainee, &optimizer, &tensors)?;
        state = saved;
    }
    let mut metrics = MetricsFile::create_or_resume(
        &job.output.join("metrics.csv"),
        &columns(train),
        resumed.then_some(state.step),
    )?;
    let pad_to = trainee.arrangement;
    let mut memory = None;
    if state.step < total_steps {
        let teacher = trainee.teacher.as_ref();
        // What the steps before did: the two differ by rounding.
        let before = resumed.then_some(state.remembers);
        match memory::ask(
            (job, train),
            before,
            &data,
            teacher,
            (compute, pad_to),
            (reporter, stop),
        )? {
            Asked::Remembered(answers) => {
                memory = Some(answers);
                state.remembers = true;
                trainee.dismiss_teacher();
            }
            Asked::InEveryStep(warning) => warnings.extend(warning),
            Asked::Interrupted => return Ok(Ended::Interrupted { step: state.step }),
        }
    }
    reporter.send(&compute.started(total_steps, state.step, trainee.model_parameters()));
    for message in warnings {
        reporter.send(&Event::Warning { message });
    }

    let mut saved_at = (state.step, Instant::now());
    let mut told_at = Instant::now();
    let peak = flops::peak(compute);
    let mut watch = Stopwatch::start();
    let mut feed = Feed::start(&data, train, pad_to, job.seed, state.step);
    while state.step < total_steps {
        let micro_batches = feed.next();
        watch.lap(Phase::Data);
        // A step that is skipped for an overflow is none to the schedule and to the optimizer.
        let scale = state.loss_scale.map_or(1.0, |scale| scale.scale);
        let update = state.step - state.loss_scale.map_or(0, |scale| scale.overflows);
        let rate = learning_rate(&train.schedule, update, length);

        // Forward and backward, the gradients summed over the micro-batches
        let mut gradients: Vec<Tensor> = Vec::new();
        let mut sums = vec![0.0; state.window.losses.len().max(columns_of_losses(train))];
        for (micro, block) in micro_batches.iter().enumerate() {
            let place = state.step * u64::from(train.gradient_accumulation_steps) + micro as u64;
            reseed(seed.of_micro_step(place));
            let mut batch = Batch::of(block, compute.device);
            watch.lap(Phase::Data);
            let target = match &memory {
                Some(memory) => memory.answers(&data, block)?.target(compute.device),
                None => Target::of(&train.objective, trainee.teacher.as_ref(), &batch),
            };
            watch.lap(Phase::Teacher);
            // What has a gradient: the parameters, but of the words only those of the batch.
            let mut leaves: Vec<Tensor> = parameters.iter().map(Tensor::shallow_clone).collect();
            if let Some(words) = words
                && let Some(rows) = batch.take_words(block, &parameters[words])
            {
                leaves[words] = rows;
            }
            let share = Share::of(micro, &micro_batches);
            let Losses { total, parts } =
                losses(&train.objective, &trainee.student, &target, &batch, share);
            let scaled = match state.loss_scale {
                Some(_) => &total * scale,
                None => total.shallow_clone(),
            };
            watch.lap(Phase::Forward);
            accumulate(
                &mut gradients,
                Tensor::run_backward(&[&scaled], &leaves, false, false),
            );
            watch.lap(Phase::Backward);
            add(&mut sums, &total, &parts);
            state.window.count(&batch, trainee.flops(&batch));
        }

        // A NaN in the loss or a gradient would poison every weight: stop before the update
        let not_finite = |what: String| KernelError::NotFinite {
            what,
            step: state.step + 1,
            checkpoint: checkpoints.newest_step(),
        };
        if !sums[0].is_finite() {
            return Err(not_finite(format!("the loss is {}", sums[0])));
        }

        // Update, or with a scaled loss wait for a scale that the gradients bear
        let rows = words.and_then(|parameter| {
            let rows = micro_batches[0].words()?;
            Some(Rows { parameter, rows })
        });
        let updated = optimizer.step_rows(&gradients, rows, scale, rate, update);
        let overflow = updated.map_err(|name| format!("the gradient of `{name}` is not finite"));
        match (overflow, &mut state.loss_scale, &train.loss_scaling) {
            (Ok(()), Some(scale), Some(settings)) => scale.grow(settings),
            (Ok(()), _, _) => {}
            (Err(what), Some(scale), Some(settings)) => scale
                .shrink(settings)
                .map_err(|_| not_finite(format!("{what} at the smallest loss scale")))?,
            (Err(what), _, _) => return Err(not_finite(what)),
        }
        drop(gradients);
        watch.lap(Phase::Optimizer);
        state.step += 1;
        state.window.add(&sums, watch.take());

        // Score dev at an epoch's end and at the interval; log
        let epoch_ends = state.step.is_multiple_of(data.steps_per_epoch);
        let scores = if data.dev.is_some() && (epoch_ends || due(state.step, train.eval_interval)) {
            Some(evaluate(
                &trainee,
                &data,
                train,
                compute,
                &mut state,
                &checkpoints,
                reporter,
            )?)
        } else {
            None
        };
        let progress = state
            .window
            .progress(state.step, data.steps_per_epoch, rate);
        if scores.is_some() || epoch_ends || due(state.step, train.log_interval) {
            let classes = data.dev.as_ref().map(|_| train.student.labels.len());
            watch.lap(Phase::Other);
            state.window.split.add(watch.take());
            let row = row(&progress, &state, peak, scores.as_ref(), classes);
            metrics.append(state.step, &row)?;
            state.window = Window::default();
        }
        if told_at.elapsed() >= PROGRESS_EVERY || state.step == total_steps {
            reporter.send(&Event::Step(progress));
            told_at = Instant::now();
        }

        // Checkpoint, and stop when asked
        let (saved_step, saved_time) = saved_at;
        let time_is_up = train.checkpoint_seconds > 0
            && saved_time.elapsed() >= Duration::from_secs(train.checkpoint_seconds);
        let stopping = stop.asked();
        if state.step > saved_step
            && (stopping
                || time_is_up
                || state.step == total_steps
                || due(state.step, train.checkpoint_interval))
        {
            metrics.sync()?;
            checkpoints.save(&state, &tensors(&trainee, &optimizer))?;
            saved_at = (state.step, Instant::now());
            reporter.send(&Event::Checkpoint { step: state.step });
        }
        if stopping && state.step < total_steps {
            return Ok(Ended::Interrupted { step: state.step });
        }
        watch.lap(Phase::Other);
    }

    metrics.sync()?;
    drop(feed);
    memory::remove(&job.output)?;
    trainee.write(train, &job.output, state.best.as_ref(), &checkpoints)?;
    if resumed && let Some(best) = state.best {
        // Its scoring may lie before the checkpoint: this process has not told it yet.
        reporter.send(&Event::Evaluated {
            step: best.step,
            scores: best.scores,
            best: true,
        });
    }
    Ok(Ended::Done { steps: total_steps })
}

/// Whether an interval of `every` steps (0: never) ends at `step`.
fn due(step: u64, every: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}

/// Adds the gradients of a micro-batch.
fn accumulate(sum: &mut Vec<Tensor>, gradients: Vec<Tensor>) {
    if sum.is_empty() {
        *sum = gradients;
        return;
    }
    no_grad(|| {
        for (sum, gradient) in sum.iter_mut().zip(gradients) {
            if gradient.defined() {
                *sum = if sum.defined() {
                    &*sum + gradient
                } else {
                    gradient
                };
            }
        }
    });
}

/// Adds the losses of a micro-batch. They are read together: each read waits for the device.
fn add(sums: &mut [f64], total: &Tensor, parts: &[Tensor]) {
    let total = total.detach();
    let all: Vec<&Tensor> = std::iter::once(&total).chain(parts).collect();
    let losses = Tensor::stack(&all, 0).to_kind(Kind::Double);
    let losses = Vec::<f64>::try_from(losses).expect("a number for each loss");
    for (sum, loss) in sums.iter_mut().zip(losses) {
        *sum += loss;
    }
}

/// Scores dev as `eval` will score the written folder, and keeps the model if it is the best so far;
/// of equals the earlier stays.
fn evaluate(
    trainee: &Trainee,
    data: &Data,
    train: &Train,
    compute: Compute,
    state: &mut State,
    checkpoints: &Checkpoints,
    reporter: &Reporter,
) -> Result<Scores, KernelError> {
    let dev = data.dev.as_ref().expect("called with a dev set");
    let (bert, classifier) = trainee.scoring_model(train, compute.device);
    let (scores, _) = score(
        &bert,
        &classifier,
        dev,
        train.batch_size as usize,
        compute.device,
    );
    let score = scores.of(train.metric);
    let is_best = state.best.as_ref().is_none_or(|best| score > best.score);
    if is_best {
        if train.keep_best {
            checkpoints.save_best(state.step, &trainee.named_tensors())?;
        }
        state.best = Some(Best {
            step: state.step,
            score,
            scores: scores.named(train.student.labels.len()),
        });
    }
    reporter.send(&Event::Evaluated {
        step: state.step,
        scores: scores.named(train.student.labels.len()),
        best: is_best,
    });
    Ok(scores)
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
    saved: &std::collections::BTreeMap<String, Tensor>,
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
