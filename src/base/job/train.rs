//! A training run as a job: one struct for each part of the kernel that reads it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    GradientExchange, HeadKind, Initializer, LossScaling, Metric, Objective, Optimizer, PadTo,
    Schedule, Scoring, TeacherMean, WeightDtype,
};
use crate::model::ModelRef;
use crate::model::config::BertConfig;

/// A training run. It leaves in [`super::Job::output`]:
/// `model/` (the model handed on: best on dev where a dev set is scored, else the last),
/// `last/` (the last one, only where a dev set is scored), both Hugging Face folders,
/// and `metrics.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Losses of the stage.
    pub objective: Objective,
    /// The model that is learned from; `None` where labels are.
    pub teacher: Option<Teacher>,
    /// Teachers beside that one, where the mean of several is learned from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ensemble: Option<Ensemble>,
    /// Answers of a teacher to the rows of the store, which stand in for its logits: a row each of fp32 numbers and
    /// their CRC-32. `None` where a model or labels are learned from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictions: Option<PathBuf>,
    /// The model being trained.
    pub student: Student,
    /// What it is trained on, and how that is laid out.
    pub data: TrainData,
    /// How many steps, and what each does.
    pub steps: Steps,
    /// How the model handed on is chosen; `None` where no dev set is scored: the last.
    pub selection: Option<ModelSelection>,
    /// How often something is written.
    pub saving: Saving,
}

/// The frozen model that a student learns from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Teacher {
    /// Hugging Face folder, or checkpoint.
    pub folder: ModelRef,
    /// How its classifier reads the pooled output.
    pub head: HeadKind,
    /// Whether its dropout is active, as it is in Huawei's code.
    pub dropout: bool,
    /// Store of the same rows as [`TrainData::store`] for its own tokenizer, where that has other tokens and only
    /// logits are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<PathBuf>,
    /// What it must show on dev before the first step.
    pub gate: Option<Gate>,
    /// Bytes that its cached outputs may take; 0: they are not cached.
    pub cache_bytes: u64,
    /// Folder that they are kept in and shared with whoever asks the same, beside others of its
    /// kind, which count for [`Self::cache_bytes`] too. `None`: in [`super::Job::output`], while
    /// the stage runs.
    pub cache: Option<PathBuf>,
}

/// Several teachers, the mean of whose outputs is learned from (docs/concepts/losses.md#several-teachers).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ensemble {
    /// All but the first, which is [`Train::teacher`].
    pub others: Vec<Teacher>,
    /// Names of all, as the user wrote them: a stage or a path.
    pub names: Vec<String>,
    /// Weights of all, which sum to 1.
    pub weights: Vec<f64>,
    /// What the mean is taken of.
    pub mean: TeacherMean,
}

impl Train {
    /// The models that are learned from, in order.
    pub fn teachers(&self) -> impl Iterator<Item = &Teacher> {
        let others = self.ensemble.iter().flat_map(|ensemble| &ensemble.others);
        self.teacher.iter().chain(others)
    }
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
    /// Model the weights come from; random initial weights where `None`. A folder that
    /// also holds `fit_dense.safetensors` hands its projection on.
    pub weights: Option<ModelRef>,
    /// File with the projections that the stage starts from, whatever lies beside the weights.
    pub projection: Option<PathBuf>,
    /// Folder whose tokenizer files are copied beside the written model, or a vocabulary; empty:
    /// there is none.
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

/// Rows that are trained on, and how they become batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainData {
    /// Token store.
    pub store: PathBuf,
    /// Train on this many examples only, chosen by the seed; of a store with unlabelled rows these are labelled ones.
    pub limit: Option<u64>,
    /// How many rows without a label are taken beside them, which stand behind the labelled ones in the store; `None`:
    /// there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlabelled: Option<Unlabelled>,
    /// Reshuffle every epoch and bucket rows by length; if false, keep the data's order.
    pub shuffle: bool,
    /// Leave out an epoch's last batch where it is not whole.
    pub drop_last: bool,
    /// How long rows are padded.
    pub pad_to: PadTo,
    /// Examples a micro-step.
    pub batch_size: u32,
    /// Micro-steps an optimizer step.
    pub gradient_accumulation_steps: u32,
    /// Parts of a micro-batch whose gradients are computed apart and added in a fixed tree: a power of two, which is
    /// a multiple of the number of ranks. 1: each rank computes its rows together.
    pub reduction_leaves: u32,
    /// Number format in which gradients travel between ranks.
    pub gradient_exchange: GradientExchange,
    /// Batches laid out ahead of the step that takes them; 0: none.
    pub prefetch: u32,
}

/// How many rows without a label are trained on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unlabelled {
    /// At most so many, chosen by the seed.
    pub limit: Option<u64>,
    /// Their share of an epoch's examples; all of them are in every epoch where `None`.
    pub share: Option<f64>,
}

impl Unlabelled {
    /// Rows of an epoch, of those that are `there`, beside so many labelled ones.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a number of rows, of which there are at most 2^32"
    )]
    pub fn each_epoch(&self, labelled: u64, there: u64) -> u64 {
        let there = self.limit.map_or(there, |limit| limit.min(there));
        self.share.map_or(there, |share| {
            let wanted = (labelled as f64 * share / (1.0 - share)).round();
            (wanted as u64).clamp(1, there.max(1)).min(there)
        })
    }

    /// Rows of all epochs, each once.
    pub fn in_all(&self, labelled: u64, there: u64, epochs: u32) -> u64 {
        let each = self.each_epoch(labelled, there);
        let there = self.limit.map_or(there, |limit| limit.min(there));
        each.saturating_mul(u64::from(epochs)).min(there)
    }
}

/// How many steps there are, and what each does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steps {
    /// Passes over the training data.
    pub epochs: u32,
    /// Update rule.
    pub optimizer: Optimizer,
    /// By what the loss is multiplied, in fp16 only.
    pub loss_scaling: Option<LossScaling>,
    /// Learning rate as a function of the step.
    pub schedule: Schedule,
}

/// How the model handed on is chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSelection {
    /// Labelled token store that is scored.
    pub dev: PathBuf,
    /// The score that makes a model the best.
    pub metric: Metric,
    /// When it is scored, and what is made of the scores.
    pub scoring: Scoring,
}

/// How often something is written. None of it changes a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saving {
    /// Steps between two rows of `metrics.csv`.
    pub log_interval: u64,
    /// Steps between two checkpoints; 0: none by steps.
    pub checkpoint_interval: u64,
    /// Seconds between two checkpoints; 0: none by time.
    pub checkpoint_seconds: u64,
    /// Newest checkpoints that are kept.
    pub checkpoint_keep: u32,
}
