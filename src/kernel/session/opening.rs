//! How a training run begins: from the newest checkpoint, or from the start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tch::{Device, Tensor, no_grad};
use tinyrun_base::job::Event;
use tinyrun_base::metrics::csv_file::MetricsFile;
use tinyrun_base::model::names::WORDS;

use super::{Context, Opened, Session, tensors};
use crate::checkpoint::{Checkpoints, Saved, State, TeacherScores};
use crate::error::KernelError;
use crate::feed::Data;
use crate::flops;
use crate::loss_scale::LossScale;
use crate::optimizer::Optimizer;
use crate::row::columns;
use crate::schedule::Length;
use crate::seed::Seed;
use crate::trainee::Trainee;

impl<'a> Session<'a> {
    /// Checks the teachers, loads the models and the newest checkpoint, and asks the teachers
    /// where their outputs are cached.
    ///
    /// # Errors
    /// Unreadable inputs, a teacher that fails its check, a checkpoint of another run.
    pub(crate) fn open(context: Context<'a>) -> Result<Opened<'a>, KernelError> {
        let Context { job, train, .. } = context;
        let (compute, ranks) = (context.compute, context.ranks);
        let data = Arc::new(Data::open(train, job.seed)?);
        let checkpoints = Checkpoints::new(&job.output, train.saving.checkpoint_keep);
        let Some(checked) = context.check_teachers_once(&checkpoints)? else {
            return Ok(Opened::Interrupted { step: 0 });
        };
        let trainee = Trainee::load(train, &data.train, compute, Seed(job.seed))?;
        let optimizer = Optimizer::new(train.steps.optimizer.clone(), &trainee.parameters);
        let length = Length::of(train, data.steps_per_epoch);
        let mut warnings = trainee.warnings();
        warnings.extend(ranks.crowd(tch::get_num_threads() as usize));
        warnings.extend(ranks.lacks_nccl());
        let saved = context.newest(&checkpoints, &mut warnings)?;
        let resumed_from = saved.as_ref().map(|(state, _)| state.step);
        let state = match saved {
            Some((state, tensors)) => {
                restore(&trainee, &optimizer, &tensors)?;
                // The run that scored them ended before its record was written.
                context.tell_teachers(&state.teachers);
                state
            }
            None => context.first_state(checked, length),
        };
        let metrics = context.metrics(resumed_from)?;
        let mut session = Self {
            parameters: optimizer.parameters(),
            words: None,
            exchange: None,
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
        session.prepare_exchange();
        if !session.is_done() {
            session.state.is_shared_by(ranks.own().size());
            if !session.ask_teachers(&mut warnings)? {
                let step = session.state.step;
                return Ok(Opened::Interrupted { step });
            }
        }
        session.announce(warnings);
        Ok(Opened::Ready(Box::new(session)))
    }

    /// Sets up the sums over ranks, and what they need of the table of words.
    fn prepare_exchange(&mut self) {
        let Context { train, ranks, .. } = self.context;
        let is_cpu = self.context.compute.device == Device::Cpu;
        self.words = is_cpu.then(|| self.optimizer.place(WORDS)).flatten();
        if train.data.reduction_leaves <= 1 {
            let parameters: Vec<_> = self.trainee.parameters.iter().collect();
            let how = train.data.gradient_exchange;
            self.exchange = ranks.exchange(&parameters, self.words, how);
        }
    }

    /// Reports that the first step begins, and what was odd before it.
    fn announce(&mut self, warnings: Vec<String>) {
        let (compute, reporter) = (self.context.compute, self.context.reporter);
        let parameters = self.trainee.model_parameters();
        let (ranks, step) = (&self.state.ranks, self.state.step);
        reporter.send(&compute.started(ranks, self.length.total, step, parameters));
        for message in warnings {
            reporter.send(&Event::Warning { message });
        }
        self.saved_at.1 = Instant::now();
        self.told_at = Instant::now();
    }
}

impl Context<'_> {
    /// The newest checkpoint that is whole. The first rank removes those that are damaged, before others look.
    fn newest(
        &self,
        checkpoints: &Checkpoints,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Saved>, KernelError> {
        let mut newest = None;
        let step = self.ranks.first_does("reading the checkpoint", || {
            newest = checkpoints.newest(&self.job.fingerprint, warnings)?;
            Ok(newest.as_ref().map(|(state, _)| state.step))
        })?;
        if let Some(step) = step.filter(|_| !self.ranks.is_first()) {
            newest = Some(checkpoints.at(step)?);
        }
        Ok(newest)
    }

    /// The state before the first step.
    fn first_state(&self, teachers: TeacherScores, length: Length) -> State {
        let scaling = self.train.steps.loss_scaling.as_ref();
        State {
            loss_scale: scaling.map(LossScale::new),
            teachers,
            ..State::new(&self.job.fingerprint, length.total)
        }
    }

    /// `metrics.csv`, which the first rank alone writes.
    fn metrics(&self, resumed_from: Option<u64>) -> Result<Option<MetricsFile>, KernelError> {
        if !self.ranks.is_first() {
            return Ok(None);
        }
        let path = self.job.output.join("metrics.csv");
        let columns = columns(self.train);
        let metrics = MetricsFile::create_or_resume(&path, &columns, resumed_from)?;
        Ok(Some(metrics))
    }
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
