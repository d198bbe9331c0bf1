//! The contract between the runner and the training kernel.
//!
//! The runner writes one [`Job`] as a JSON document on the kernel's stdin; the kernel
//! answers with [`Event`]s, one JSON object a line, on its stdout. A [`Predict`] reads more from
//! stdin. Plain data on both sides: neither program sees the other's types. [`VERSION`] is checked by the kernel,
//! so that a runner and a kernel of two builds do not misunderstand each other.

mod device;
mod event;
mod launch;
mod objective;
mod optimizer;
mod settings;
mod train;
mod word;

pub use device::*;
pub use event::{Event, Failure, Progress};
pub use launch::{At, END, Gathered, LAUNCHED, Launch, Meeting, STOP};
pub use objective::*;
pub use optimizer::*;
pub use settings::*;
pub use train::{
    Ensemble, Gate, ModelSelection, Saving, Steps, Student, Teacher, Train, TrainData, Unlabelled,
};
pub use word::{Word, words};

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::ModelRef;

pub use crate::model::WeightDtype;

/// Version of the contract: a hash of the sources that define it, so that nobody has to remember
/// to raise it with a change of [`Job`] or [`Event`].
pub const VERSION: u32 = hash(&[
    include_bytes!("mod.rs"),
    include_bytes!("device.rs"),
    include_bytes!("event.rs"),
    include_bytes!("launch.rs"),
    include_bytes!("objective.rs"),
    include_bytes!("optimizer.rs"),
    include_bytes!("settings.rs"),
    include_bytes!("train.rs"),
    include_bytes!("word.rs"),
    include_bytes!("../model/config.rs"),
    include_bytes!("../model/family.rs"),
    include_bytes!("../model/stated.rs"),
    include_bytes!("../model/token_map.rs"),
]);

/// FNV-1a over several files.
const fn hash(files: &[&[u8]]) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    let mut file = 0;
    while file < files.len() {
        let mut place = 0;
        while place < files[file].len() {
            hash = (hash ^ files[file][place] as u32).wrapping_mul(0x0100_0193);
            place += 1;
        }
        file += 1;
    }
    hash
}

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
    pub device: Devices,
    /// What to compute in.
    pub precision: Precision,
    /// Threads of libtorch; every core where `None`.
    pub threads: Option<usize>,
    /// Processes that share the work, each on so many threads.
    pub ranks: usize,
    /// How many of them share this machine's cores.
    pub ranks_here: usize,
    /// Where they meet, if a launcher has started them.
    pub meeting: Option<Meeting>,
    /// How long a rank may wait for the others in a step, in seconds; without end where `None`.
    pub wait_seconds: Option<u64>,
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
    /// Compute the logits of rows as they are sent.
    Predict(Predict),
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
    /// Stores of the same rows as [`Evaluate::sets`] for its own tokenizer, in their order; empty where it reads those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_sets: Vec<PathBuf>,
    /// Hugging Face folder, or checkpoint.
    pub folder: ModelRef,
    /// How its classifier reads the pooled output.
    pub head: HeadKind,
}

/// Prediction. Behind the job, stdin carries [`Rows`], one JSON document a line, until it closes. Each is answered by
/// an [`Event::Logits`], in their order. Nothing is written to [`Job::output`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predict {
    /// Hugging Face folder, or checkpoint.
    pub folder: ModelRef,
    /// How its classifier reads the pooled output.
    pub head: HeadKind,
}

/// A batch of rows. Their logits do not depend on what is in a batch beside them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    /// Token ids of each row, special tokens included.
    pub ids: Vec<Vec<u32>>,
    /// Position at which the second segment of each begins; its length where there is none.
    pub text_b_start: Vec<usize>,
}
