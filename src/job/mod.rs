//! The contract between the runner and the training kernel.
//!
//! The runner writes one [`Job`] as a JSON document on the kernel's stdin; the kernel
//! answers with [`Event`]s, one JSON object a line, on its stdout. Plain data on both
//! sides: neither program sees the other's types. [`VERSION`] is checked by the kernel,
//! so that a runner and a kernel of two builds do not misunderstand each other.

mod event;
mod settings;

pub use event::{Event, Failure, Progress};
pub use settings::{
    Device, HeadKind, LayerMap, Objective, Optimizer, OptimizerKind, Precision, Reduction,
    Schedule, ScheduleKind, SoftLossReduction,
};

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::config::BertConfig;

/// Version of the contract. Bumped with every change of [`Job`] or [`Event`].
pub const VERSION: u32 = 1;

/// Exit code of the kernel after it was asked to stop and wrote a checkpoint.
pub const EXIT_INTERRUPTED: u8 = 130;

/// One stage's work for one kernel process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// [`VERSION`] of the runner that wrote the job.
    pub version: u32,
    /// Stage name as the user knows it, for messages.
    pub stage: String,
    /// Fingerprint of the stage. A checkpoint that carries another one is refused.
    pub fingerprint: String,
    /// Seed of initial weights, data order and dropout.
    pub seed: u64,
    /// Where to compute.
    pub device: Device,
    /// What to compute in.
    pub precision: Precision,
    /// Threads of libtorch; every core where `None`.
    pub threads: Option<usize>,
    /// Folder that the kernel writes its artifacts, checkpoints and `metrics.csv` to.
    /// It exists when the kernel starts.
    pub output: PathBuf,
    /// What to do.
    pub work: Work,
}

/// What a kernel can do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Work {
    /// Train a model: fine-tuning and every distillation stage.
    Train(Box<Train>),
    /// Score models on a labelled data set.
    Evaluate(Evaluate),
}

/// A training run. It leaves in [`Job::output`]:
/// `model/` (the model handed on: best on dev where a dev set is scored, else the last),
/// `last/` (the last one, only where a dev set is scored), both Hugging Face folders,
/// and `metrics.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Losses of the stage.
    pub objective: Objective,
    /// Hugging Face folder of the frozen teacher; `None` for [`Objective::Labels`].
    pub teacher: Option<PathBuf>,
    /// Head of the teacher.
    pub teacher_head: HeadKind,
    /// The model being trained.
    pub student: Student,
    /// Token store to train on.
    pub train: PathBuf,
    /// Token store scored at every evaluation, for the objectives that train a head.
    pub dev: Option<PathBuf>,
    /// Train on this many examples only, chosen by the seed.
    pub train_limit: Option<u64>,
    /// Passes over the training data.
    pub epochs: u32,
    /// Examples a micro-step.
    pub batch_size: u32,
    /// Micro-steps an optimizer step.
    pub gradient_accumulation_steps: u32,
    /// Update rule.
    pub optimizer: Optimizer,
    /// Learning rate as a function of the step.
    pub schedule: Schedule,
    /// Hand on the best model on dev; else the last.
    pub keep_best: bool,
    /// Steps between two scorings of dev beside the one at each epoch's end; 0: only there.
    pub eval_interval: u64,
    /// Steps between two rows of `metrics.csv`.
    pub log_interval: u64,
    /// Steps between two checkpoints; 0: none by steps.
    pub checkpoint_interval: u64,
    /// Seconds between two checkpoints; 0: none by time.
    pub checkpoint_seconds: u64,
}

/// The model that a training run starts from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Student {
    /// Shape and dropout of the model.
    pub config: BertConfig,
    /// Folder the weights come from; random initial weights where `None`. A folder that
    /// also holds `fit_dense.safetensors` hands its projection on.
    pub weights: Option<PathBuf>,
    /// Folder whose tokenizer files are copied beside the written model.
    pub tokenizer: PathBuf,
    /// Label names in class order; empty before a head exists.
    pub labels: Vec<String>,
    /// How the classifier reads the pooled output.
    pub head: HeadKind,
}

/// Scoring of one or two models. It leaves in [`Job::output`] one
/// `predictions-<model>.csv` a model and reports [`Event::Scored`] for each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluate {
    /// Models to score, in order. The first is what the speed of the others is measured against.
    pub models: Vec<EvalModel>,
    /// Labelled token store.
    pub data: PathBuf,
    /// Name of the split, for the record: `dev` or `test`.
    pub split: String,
    /// Examples a batch.
    pub batch_size: u32,
}

/// A model to be scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalModel {
    /// `teacher` or `student`.
    pub name: String,
    /// Hugging Face folder.
    pub folder: PathBuf,
    /// How its classifier reads the pooled output.
    pub head: HeadKind,
}
