//! What a model learns: losses, and what they compare.

use serde::{Deserialize, Serialize};

use super::word::words;

/// Losses of a training stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Objective {
    /// Cross-entropy against the gold labels.
    Labels,
    /// Mean squared error against the gold values of a regression.
    Values,
    /// Mean squared error against a value: phase 2 of a regression.
    Regression {
        /// Whose value.
        target: RegressionTarget,
    },
    /// Attention and hidden-state losses: general distillation and phase 1.
    Intermediate {
        /// Which teacher layer each student layer learns from.
        layer_map: LayerMap,
        /// Factor of each student layer's attention loss; 0 leaves it out.
        attention_weights: Vec<f64>,
        /// Factor of each hidden state's loss, index 0 the embeddings; 0 leaves it out.
        hidden_weights: Vec<f64>,
        /// Relations that the attention loss compares in place of scores.
        relations: Option<Relations>,
        /// What the losses average over.
        reduction: Reduction,
        /// How far two hidden states are from each other.
        hidden_loss: HiddenLoss,
        /// Which hidden states share a projection to the teacher's width.
        projection: Projection,
        /// Go on with the projection that the student's folder brings along; else from
        /// random weights.
        keep_projection: bool,
    },
    /// Soft cross-entropy against the teacher's logits: phase 2.
    Prediction {
        /// Both logits are divided by it.
        temperature: f64,
        /// What the soft loss averages over.
        reduction: SoftLossReduction,
        /// Factor of the soft cross-entropy; 0 leaves it out, and the teacher is not asked.
        soft_loss_weight: f64,
        /// Factor of an added cross-entropy against the gold labels; 0 leaves it out.
        hard_label_weight: f64,
    },
}

/// Teacher layers that a student of `S` layers learns from (docs/concepts/losses.md#layer-mapping).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerMap {
    /// For student layer `i` in `0..S`, the 0-based teacher layer of its attention scores.
    pub attention: Vec<usize>,
    /// For student hidden state `i` in `0..=S` (0: embedding output), the teacher's index in `0..=T`.
    pub hidden: Vec<usize>,
}

/// What the attention loss compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttentionLoss {
    /// Attention scores, head by head: the paper and the published codes.
    Scores,
    /// Relations of queries, of keys and of values: MiniLMv2.
    Relations,
}

/// The loss of self-attention relations (docs/concepts/losses.md#relations).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relations {
    /// Parts into which queries, keys and values are cut; divides both widths.
    pub heads: usize,
    /// Weights of the relations of queries, of keys and of values.
    pub weights: [f64; 3],
}

/// What the intermediate losses average over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// Real tokens only: padding changes nothing.
    Tokens,
    /// The whole padded block, masked scores counted as zeros: the published codes.
    Block,
}

/// How far a projected hidden state is from the teacher's (docs/concepts/losses.md#hidden-states).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HiddenLoss {
    /// Mean squared difference: the paper and the published codes.
    Mse,
    /// One less the cosine of the angle between them.
    Cosine,
}

/// Which hidden states share a projection (docs/concepts/losses.md#projections).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Projection {
    /// All of them: the published codes.
    Shared,
    /// None: one a hidden state, as in Huawei's second checkpoints.
    PerLayer,
    /// The layers' states share one, the embeddings have their own: the paper's equations 8 and 9.
    EmbeddingAndHidden,
}

/// Whose value the student of a regression learns in phase 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegressionTarget {
    /// The teacher's.
    Teacher,
    /// The gold one, as in the published codes, whose teachers are not asked.
    Labels,
}

/// What the soft cross-entropy averages over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SoftLossReduction {
    /// Examples and classes: `1/num_labels` of the textbook value, as in the published codes.
    BatchAndClasses,
    /// Examples.
    Batch,
}

/// What is averaged over several teachers (docs/concepts/losses.md#several-teachers).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TeacherMean {
    /// Logits, or the values of a regression.
    Logits,
    /// Probabilities at the temperature of the loss.
    Probabilities,
}

words! {
    AttentionLoss { "scores" => Scores, "relations" => Relations }
    Reduction { "tokens" => Tokens, "block" => Block }
    HiddenLoss { "mse" => Mse, "cosine" => Cosine }
    Projection {
        "shared" => Shared,
        "per-layer" => PerLayer,
        "embedding-and-hidden" => EmbeddingAndHidden,
    }
    RegressionTarget { "teacher" => Teacher, "labels" => Labels }
    TeacherMean { "logits" => Logits, "probabilities" => Probabilities }
    SoftLossReduction { "batch-and-classes" => BatchAndClasses, "batch" => Batch }
}
