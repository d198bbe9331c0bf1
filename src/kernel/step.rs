//! One optimizer step: forward and backward of its micro-batches, then the update.

use tch::{Device, Kind, Tensor, no_grad};

use crate::batch::{Amounts, Batch, Block};
use crate::dropout::{self, reseed};
use crate::ensemble::mean_target;
use crate::error::KernelError;
use crate::feed::{MicroBatch, Part};
use crate::objective::{Losses, Share, losses};
use crate::optimizer::Rows;
use crate::ranks::Ranks;
use crate::row::columns_of_losses;
use crate::schedule::learning_rate;
use crate::seed::Seed;
use crate::session::{Context, Session};
use crate::stopwatch::{Phase, Stopwatch};
use crate::target::Target;

/// Steps between two comparisons of the ranks' weights.
const COMPARED_EVERY: u64 = 100;

/// What the next update is.
#[derive(Debug)]
pub(crate) struct Update {
    /// Updates before it: a step that is skipped for an overflow is none to the schedule and to
    /// the optimizer.
    number: u64,
    /// Learning rate.
    pub(crate) rate: f64,
    /// What the loss is multiplied by; 1 without loss scaling.
    scale: f64,
}

/// Outcome of [`Session::gradients`].
#[derive(Debug)]
pub(crate) struct Gradients {
    /// In the order of the parameters, summed over the micro-batches.
    of_parameters: Vec<Tensor>,
    /// The loss and its parts, summed over the micro-batches.
    losses: Vec<f64>,
    /// Whether a rank was asked to stop.
    pub(crate) stopping: bool,
}

impl Gradients {
    /// Of no rows, with so many losses.
    fn none(losses: usize) -> Self {
        Self {
            of_parameters: Vec::new(),
            losses: vec![0.0; losses],
            stopping: false,
        }
    }

    /// The loss and its parts; the tensors are freed.
    pub(crate) fn into_losses(self) -> Vec<f64> {
        self.losses
    }
}

impl Session<'_> {
    /// The update that the next step makes.
    pub(crate) fn next_update(&self) -> Update {
        let state = &self.state;
        let number = state.step - state.loss_scale.map_or(0, |scale| scale.overflows);
        Update {
            number,
            rate: learning_rate(&self.context.train.steps.schedule, number, self.length),
            scale: state.loss_scale.map_or(1.0, |scale| scale.scale),
        }
    }

    /// Forward and backward of the micro-batches of a step: of this rank's rows, and then the sums over all ranks.
    ///
    /// # Errors
    /// Cached teacher outputs that cannot be read, a loss that is not finite, a rank that is lost.
    pub(crate) fn gradients(
        &mut self,
        micro_batches: &[MicroBatch],
        update: &Update,
        watch: &mut Stopwatch,
    ) -> Result<Gradients, KernelError> {
        let Context { train, ranks, .. } = self.context;
        let columns = self.state.window.losses.len().max(columns_of_losses(train));
        let count = ranks
            .own()
            .parts(0, train.data.reduction_leaves as usize)
            .len();
        self.compare_ranks()?;
        if let Some(exchange) = &self.exchange {
            exchange.begin(micro_batches[0].words.len());
        }
        let mut leaves: Vec<Gradients> = (0..count).map(|_| Gradients::none(columns)).collect();
        let all: Vec<Amounts> = micro_batches.iter().map(|batch| batch.whole).collect();
        for (micro, micro_batch) in micro_batches.iter().enumerate() {
            let flops = self.trainee.flops(micro_batch.whole);
            self.state.window.count(micro_batch, flops);
            if let Some(exchange) = &self.exchange
                && micro + 1 == micro_batches.len()
            {
                exchange.last_pass();
            }
            for (leaf, part) in leaves.iter_mut().zip(&micro_batch.parts) {
                if let Some(part) = part {
                    self.add_part(leaf, (part, micro), &all, update, watch)?;
                }
            }
        }
        let found = self.sum(leaves, micro_batches)?;
        watch.lap(Phase::Backward);
        let loss = found.losses[0];
        if loss.is_finite() {
            Ok(found)
        } else {
            Err(self.not_finite(format!("the loss is {loss}")))
        }
    }

    /// Forward and backward of the rows of a leaf in a micro-batch.
    ///
    /// # Errors
    /// Cached teacher outputs that cannot be read.
    fn add_part(
        &self,
        leaf: &mut Gradients,
        (part, micro): (&Part, usize),
        all: &[Amounts],
        update: &Update,
        watch: &mut Stopwatch,
    ) -> Result<(), KernelError> {
        let Context {
            job,
            train,
            compute,
            ..
        } = self.context;
        let Part { block, before } = part;
        let accumulated = u64::from(train.data.gradient_accumulation_steps);
        let place = self.state.step * accumulated + micro as u64;
        dropout::share(!self.context.ranks.are_one());
        reseed(Seed(job.seed).of_micro_step(place), *before);
        let mut batch = Batch::of(block, compute.device);
        watch.lap(Phase::Data);
        let target = self.target(block, &batch)?;
        watch.lap(Phase::Teacher);
        let inputs = self.leaves(&mut batch, block);
        let share = Share::of(block.amounts(), all);
        let Losses { total, parts } = losses(
            &train.objective,
            &self.trainee.student,
            &target,
            &batch,
            share,
        );
        let scaled = match self.state.loss_scale {
            Some(_) => &total * update.scale,
            None => total.shallow_clone(),
        };
        watch.lap(Phase::Forward);
        // The rows of words in use are a leaf of this pass; all other leaves have had their hooks from the start.
        let hook = match (&self.exchange, self.words) {
            (Some(exchange), Some(words)) => exchange.rows(&inputs[words]),
            _ => None,
        };
        let gradients = Tensor::run_backward(&[&scaled], &inputs, false, false);
        drop(hook);
        if self.exchange.is_none() {
            accumulate(&mut leaf.of_parameters, gradients);
        }
        watch.lap(Phase::Backward);
        add(&mut leaf.losses, &total, &parts);
        Ok(())
    }

    /// What a batch learns from its teachers: cached outputs, or those of forward passes.
    ///
    /// # Errors
    /// Cached teacher outputs that cannot be read.
    fn target(&self, block: &Block, batch: &Batch) -> Result<Target, KernelError> {
        let Context { train, compute, .. } = self.context;
        let objective = &train.objective;
        let cached = self.memories.iter().map(|memory| {
            let answers = memory.answers(&self.data, block)?;
            Ok(answers.target(compute.device))
        });
        let mut targets: Vec<Target> = cached.collect::<Result<_, KernelError>>()?;
        if targets.is_empty() {
            let teachers = self.trainee.teachers.iter();
            let teachers = teachers.zip(&self.trainee.rows_of_teachers);
            targets.extend(teachers.map(|(teacher, own)| {
                let own = own.as_ref().map(|store| {
                    let rows = block.places.iter();
                    let rows = rows.map(|&place| self.data.rows[place as usize]);
                    let rows: Vec<u32> = rows.collect();
                    Batch::new(store, &rows, self.trainee.layout, compute.device)
                });
                Target::of(objective, Some(teacher), own.as_ref().unwrap_or(batch))
            }));
        }
        if targets.is_empty() {
            return Ok(Target::of(objective, None, batch));
        }
        Ok(mean_target(objective, train.ensemble.as_ref(), targets))
    }

    /// Compares the weights of all ranks where that is due.
    ///
    /// # Errors
    /// A rank that is lost, or whose weights are others.
    fn compare_ranks(&self) -> Result<(), KernelError> {
        let is_due = self.is_fresh() || (self.state.step + 1).is_multiple_of(COMPARED_EVERY);
        let ranks = self.context.ranks;
        if ranks.are_one() || !is_due {
            return Ok(());
        }
        ranks.compare_weights(self.state.step, self.trainee.parameters.digest())
    }

    /// The sums of gradients and losses over all leaves and ranks.
    ///
    /// # Errors
    /// A rank that is lost.
    fn sum(
        &self,
        mut leaves: Vec<Gradients>,
        micro_batches: &[MicroBatch],
    ) -> Result<Gradients, KernelError> {
        let Context {
            train, ranks, stop, ..
        } = self.context;
        if let Some(exchange) = &self.exchange {
            let mut losses = leaves.remove(0).losses;
            let (of_parameters, stopping) = exchange.finish(&mut losses, stop.asked())?;
            return Ok(Gradients {
                of_parameters,
                losses,
                stopping,
            });
        }
        if train.data.reduction_leaves == 1 {
            return Ok(leaves.remove(0));
        }
        // Of the words only those of the step.
        let shapes = self.parameters.iter().enumerate();
        let shapes = shapes.map(|(place, parameter)| {
            let mut shape = parameter.size();
            if self.words == Some(place) {
                shape[0] = micro_batches[0].words.len() as i64;
            }
            shape
        });
        let shapes: Vec<Vec<i64>> = shapes.collect();
        sum_in_tree(ranks, leaves, &shapes, stop.asked())
    }

    /// What has a gradient: the parameters, but of the words only those of the batch.
    fn leaves(&self, batch: &mut Batch, block: &Block) -> Vec<Tensor> {
        let mut leaves: Vec<Tensor> = self.parameters.iter().map(Tensor::shallow_clone).collect();
        if let Some(words) = self.words
            && let Some(rows) = batch.take_words(block, &self.parameters[words])
        {
            leaves[words] = rows;
        }
        leaves
    }

    /// Changes the parameters, or with a scaled loss waits for a scale that the gradients bear.
    ///
    /// # Errors
    /// A gradient that is not finite: it would poison every weight.
    pub(crate) fn update(
        &mut self,
        gradients: &Gradients,
        micro_batches: &[MicroBatch],
        update: &Update,
    ) -> Result<(), KernelError> {
        let rows = &micro_batches[0].words;
        let rows = self.words.map(|parameter| Rows { parameter, rows });
        let updated = self.optimizer.step_rows(
            &gradients.of_parameters,
            rows,
            update.scale,
            update.rate,
            update.number,
        );
        let overflow = updated.map_err(|name| format!("the gradient of `{name}` is not finite"));
        let settings = &self.context.train.steps.loss_scaling;
        match (overflow, &mut self.state.loss_scale, settings) {
            (Ok(()), Some(scale), Some(settings)) => scale.grow(settings),
            (Ok(()), _, _) => {}
            (Err(what), Some(scale), Some(settings)) => {
                if scale.shrink(settings).is_err() {
                    return Err(self.not_finite(format!("{what} at the smallest loss scale")));
                }
            }
            (Err(what), _, _) => return Err(self.not_finite(what)),
        }
        Ok(())
    }

    fn not_finite(&self, what: String) -> KernelError {
        KernelError::NotFinite {
            what,
            step: self.state.step + 1,
            checkpoint: self.checkpoints.newest_step(),
        }
    }
}

/// Sums leaves of one size of tree on each rank, and then those of the ranks: neighbours first, so that the order, and
/// with it every bit, is that of one rank with all leaves.
fn sum_in_tree(
    ranks: &Ranks,
    mut leaves: Vec<Gradients>,
    shapes: &[Vec<i64>],
    is_asked: bool,
) -> Result<Gradients, KernelError> {
    for leaf in &mut leaves {
        leaf.of_parameters.resize_with(shapes.len(), Tensor::new);
    }
    let count = |place: usize| {
        let defined = leaves
            .iter()
            .filter(|leaf| leaf.of_parameters[place].defined());
        defined.count() as f64
    };
    let mut counts: Vec<f64> = (0..shapes.len()).map(count).collect();
    let stopping = ranks.sum_numbers_and_wishes(&mut counts, is_asked)?;
    let places: Vec<usize> = (0..shapes.len()).filter(|at| counts[*at] > 0.0).collect();
    // A leaf without a gradient that others have counts as zeros, whichever rank it is on.
    for leaf in &mut leaves {
        for &place in &places {
            let gradient = &mut leaf.of_parameters[place];
            if !gradient.defined() {
                *gradient = Tensor::zeros(&shapes[place][..], (Kind::Float, Device::Cpu));
            }
        }
    }
    while leaves.len() > 1 {
        let mut pairs = leaves.into_iter();
        let mut sums = Vec::new();
        while let (Some(mut first), Some(second)) = (pairs.next(), pairs.next()) {
            accumulate(&mut first.of_parameters, second.of_parameters);
            for (sum, loss) in first.losses.iter_mut().zip(second.losses) {
                *sum += loss;
            }
            sums.push(first);
        }
        leaves = sums;
    }
    let mut found = leaves.remove(0);
    found.stopping = stopping;
    let losses = Tensor::from_slice(&found.losses);
    ranks.sum_in_tree(&losses)?;
    found.losses = Vec::try_from(losses).expect("numbers");
    ranks.sum_gradients_in_tree(&mut found.of_parameters, &places, shapes)?;
    Ok(found)
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
