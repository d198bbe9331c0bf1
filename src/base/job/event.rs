//! What a running kernel says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One line of the kernel's stdout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The kernel has read its job and its inputs.
    Started {
        /// Device it computes on, such as `cpu` or `cuda:0`.
        device: String,
        /// Number format of matrix products: `fp32` or `bf16`.
        precision: String,
        /// Threads in use, of each rank.
        threads: usize,
        /// Numbers of ranks that have shared its steps so far, in order.
        #[serde(default)]
        ranks: Vec<usize>,
        /// libtorch's version.
        libtorch: String,
        /// Optimizer steps of the whole stage; batches for a scoring.
        total_steps: u64,
        /// Step of the checkpoint it goes on from; 0 where it begins.
        step: u64,
        /// Parameters of the model being trained.
        parameters: u64,
    },
    /// One of several teachers was scored on dev before the first step.
    TeacherScored {
        /// As the user wrote it: a stage or a path.
        teacher: String,
        /// Metric name to value.
        scores: BTreeMap<String, f64>,
    },
    /// The teacher is asked about every example before the first step.
    Asking {
        /// Examples answered so far.
        done: u64,
        /// Examples.
        total: u64,
    },
    /// A logged step (also a batch of a scoring).
    Step(Progress),
    /// Dev was scored during training.
    Evaluated {
        /// Step after which it was scored.
        step: u64,
        /// Metric name to value, such as `accuracy`.
        scores: BTreeMap<String, f64>,
        /// Whether this is the best so far.
        best: bool,
    },
    /// A checkpoint is complete on disk.
    Checkpoint {
        /// Step it was taken after.
        step: u64,
    },
    /// Something that the user should know and that stops nothing.
    Warning {
        /// One sentence.
        message: String,
    },
    /// One model of an [`super::Evaluate`] was scored.
    Scored {
        /// [`super::EvalModel::name`].
        model: String,
        /// [`super::EvalSet::split`].
        #[serde(default = "dev")]
        split: String,
        /// Metric name to value.
        scores: BTreeMap<String, f64>,
        /// Right answers.
        correct: u64,
        /// Examples scored.
        total: u64,
        /// Parameters of the model.
        parameters: u64,
        /// Bytes of its weights file.
        size_bytes: u64,
        /// Examples a second of the forward pass at [`super::Evaluate::batch_size`].
        examples_per_second: f64,
    },
    /// Answer to the next [`super::Rows`].
    Logits {
        /// Of each row, one a class; the value of a regression.
        rows: Vec<Vec<f32>>,
    },
    /// The work is done and every artifact is on disk.
    Done {
        /// Optimizer steps of the stage.
        steps: u64,
        /// Peak resident memory of the kernel in bytes.
        peak_memory: u64,
    },
    /// Stopped on request; the checkpoint of this step is on disk.
    Interrupted {
        /// Step of the checkpoint.
        step: u64,
    },
    /// The stage failed.
    Failed(Failure),
}

/// Where a training run is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Optimizer steps done.
    pub step: u64,
    /// Passes done, as a fraction.
    pub epoch: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Mean loss since the last logged step.
    pub loss: f64,
    /// Examples a second since the last logged step.
    pub examples_per_second: f64,
    /// Real tokens a second since the last logged step.
    pub tokens_per_second: f64,
}

/// Why a stage failed, as the user is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// One sentence, lower case.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The split of every scoring before there were several.
fn dev() -> String {
    "dev".to_owned()
}
