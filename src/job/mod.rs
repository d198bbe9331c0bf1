//! The contract between the runner and the training kernel.
//!
//! The runner writes one [`Job`] as a JSON document on the kernel's stdin; the kernel
//! answers with [`Event`]s, one JSON object a line, on its stdout. Plain data on both
//! sides: neither program sees the other's types. [`VERSION`] is checked by the kernel,
//! so that a runner and a kernel of two builds do not misunderstand each other.

mod event;
mod settings;
mod word;

pub use event::{Event, Failure, Progress};
pub use settings::{
    Clipping, DecayFrom, Device, HeadKind, Initializer, InitializerKind, LayerMap, LossScaling,
    Metric, Objective, Optimizer, OptimizerKind, PadTo, Precision, Projection, Reduction,
    RegressionTarget, Schedule, ScheduleKind, SoftLossReduction, Warmup, WeightDtype,
};

pub use word::Word;
pub(crate) use word::words;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::config::BertConfig;

/// Version of the contract. Bumped with every change of [`Job`] or [`Event`].
pub const VERSION: u32 = 7;

/// Version of libtorch that the kernel is built for.
pub const LIBTORCH_VERSION: &str = "2.11.0";

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
#[expect(clippy::struct_excessive_bools, reason = "each is a switch by itself")]
pub struct Train {
    /// Losses of the stage.
    pub objective: Objective,
    /// Hugging Face folder of the frozen teacher; `None` for [`Objective::Labels`].
    pub teacher: Option<PathBuf>,
    /// Head of the teacher.
    pub teacher_head: HeadKind,
    /// Whether the teacher's dropout is active, as it is in Huawei's code.
    pub teacher_dropout: bool,
    /// What the teacher must show on dev before the first step.
    pub gate: Option<Gate>,
    /// The model being trained.
    pub student: Student,
    /// Token store to train on.
    pub train: PathBuf,
    /// Token store scored at every evaluation, for the objectives that train a head.
    pub dev: Option<PathBuf>,
    /// Train on this many examples only, chosen by the seed.
    pub train_limit: Option<u64>,
    /// Another order each epoch, batches of like lengths; else the data's own order.
    pub shuffle: bool,
    /// Leave out an epoch's last batch where it is not whole.
    pub drop_last: bool,
    /// How long rows are padded.
    pub pad_to: PadTo,
    /// Passes over the training data.
    pub epochs: u32,
    /// Examples a micro-step.
    pub batch_size: u32,
    /// Micro-steps an optimizer step.
    pub gradient_accumulation_steps: u32,
    /// Update rule.
    pub optimizer: Optimizer,
    /// By what the loss is multiplied, in fp16 only.
    pub loss_scaling: Option<LossScaling>,
    /// Learning rate as a function of the step.
    pub schedule: Schedule,
    /// The score that makes a model the best.
    pub metric: Metric,
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
    /// Newest checkpoints that are kept.
    pub checkpoint_keep: u32,
    /// Batches laid out ahead of the step that takes them; 0: none.
    pub prefetch: u32,
    /// Bytes that the teacher's answers may take; 0: they are not kept.
    pub teacher_memory: u64,
    /// Folder that they are kept in and shared with whoever asks the same, beside others of its kind, which count for
    /// [`Train::teacher_memory`] too. `None`: in [`Job::output`], while the stage runs.
    pub teacher_answers: Option<PathBuf>,
}

/// What a teacher must show before it is learnt from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Labelled token store.
    pub data: PathBuf,
    /// The least accuracy; `None`: better than guessing, and in no other reading clearly better.
    pub at_least: Option<f64>,
}

/// The model that a training run starts from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Student {
    /// Shape and dropout of the model.
    pub config: BertConfig,
    /// Distribution of what has no weights yet.
    pub initializer: Initializer,
    /// Folder the weights come from; random initial weights where `None`. A folder that
    /// also holds `fit_dense.safetensors` hands its projection on.
    pub weights: Option<PathBuf>,
    /// Folder whose tokenizer files are copied beside the written model.
    pub tokenizer: PathBuf,
    /// Label names in class order; empty before a head exists.
    pub labels: Vec<String>,
    /// How the classifier reads the pooled output.
    pub head: HeadKind,
    /// Start from a new classifier, whatever [`Self::weights`] hold.
    pub new_classifier: bool,
    /// Number format in which the weights are written.
    pub dtype: WeightDtype,
}

/// Scoring of one or two models. It leaves in [`Job::output`] one
/// `predictions-<model>.csv` a model, `predictions-<model>-<split>.csv` for every data set
/// after the first, and reports [`Event::Scored`] for each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluate {
    /// Models to score, in order, each on every set. The first is what the speed of the others is measured against.
    pub models: Vec<EvalModel>,
    /// Labelled token stores.
    pub sets: Vec<EvalSet>,
    /// Examples a batch.
    pub batch_size: u32,
}

/// A data set to score on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalSet {
    /// Name of the split, for the record: `dev`.
    pub split: String,
    /// Its token store.
    pub data: PathBuf,
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
