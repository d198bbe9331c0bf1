//! Further settings that the experiment file, the job and the kernel share.

use serde::{Deserialize, Serialize};

use super::word::words;

/// How a classifier reads the pooled output (docs/concepts/losses.md#heads).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadKind {
    /// `classifier(dropout(pooled))`: Hugging Face and Google.
    Plain,
    /// `classifier(relu(pooled))`: Huawei's and MindSpore's TinyBERT.
    Relu,
}

/// How long the rows of a batch are padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PadTo {
    /// Not at all where device and model allow it, else as [`PadTo::Longest`].
    None,
    /// To the longest of the batch.
    Longest,
    /// To the data's `max-seq-length`, as the published codes do.
    MaxSeqLength,
}

/// Distribution of initial weights (docs/concepts/models.md#initial-weights).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Initializer {
    /// Which one.
    pub kind: InitializerKind,
    /// Standard deviation of the embedding tables; that of the other weights is the model's
    /// `initializer_range`.
    pub embedding_range: f64,
    /// Standard deviation of the projection.
    pub projection_range: f64,
}

/// The two distributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InitializerKind {
    /// Normal.
    Normal,
    /// Normal, drawn again beyond two standard deviations. Embedding tables and projection are
    /// normal all the same, as in MindSpore's code.
    TruncatedNormal,
}

/// The score that makes a model the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Share of right answers.
    Accuracy,
    /// Matthews' correlation; of tasks with two classes.
    MatthewsCorr,
    /// Mean of Pearson's and Spearman's correlation; of regressions.
    Correlation,
}

/// Scoring on dev while a model is trained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scoring {
    /// Steps between two scorings beside the one at each epoch's end; 0: only there.
    pub eval_interval: u64,
    /// Scorings in a row that are no better than the best one before training ends; 0: never.
    pub patience: u64,
    /// Which model is handed on.
    pub keep: Keep,
}

/// Which model of a training stage is handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Best on dev; of equals the earlier.
    Best,
    /// The last.
    Last,
}

words! {
    HeadKind { "plain" => Plain, "relu" => Relu }
    PadTo { "none" => None, "longest" => Longest, "max-seq-length" => MaxSeqLength }
    InitializerKind { "normal" => Normal, "truncated-normal" => TruncatedNormal }
    Keep { "best" => Best, "last" => Last }
}
