//! Settings that the experiment file, the job and the kernel share.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::word::words;
use crate::model::WeightDtype;

/// Where the kernel computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// The first CUDA device if the kernel sees one, else the processor.
    Auto,
    /// The processor.
    Cpu,
    /// CUDA device by its index.
    Cuda(usize),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

/// Why a word names no device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Not a word that is known.
    #[error("expected `auto`, `cpu`, `cuda` or `cuda:N`")]
    Unknown,
    /// A device of Huawei's Ascend family, which libtorch does not have.
    #[error("libtorch has no Ascend device; expected `auto`, `cpu`, `cuda` or `cuda:N`")]
    Ascend,
}

impl DeviceError {
    /// What it would take to use the device.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::Unknown => None,
            Self::Ascend => Some(
                "an Ascend device needs CANN, `torch_npu` (which adds it to PyTorch as the \
                 PrivateUse1 device) and a training kernel linked with its library; with \
                 `device = \"auto\"` the same experiment runs on a CPU or a CUDA device",
            ),
        }
    }
}

impl FromStr for Device {
    type Err = DeviceError;

    fn from_str(word: &str) -> Result<Self, DeviceError> {
        let (kind, index) = match word.split_once(':') {
            Some((kind, index)) => (kind, Some(index)),
            None => (word, None),
        };
        match (kind, index.map(str::parse)) {
            ("auto", None) => Ok(Self::Auto),
            ("cpu", None) => Ok(Self::Cpu),
            ("cuda", None) => Ok(Self::Cuda(0)),
            ("cuda", Some(Ok(index))) => Ok(Self::Cuda(index)),
            _ if ["npu", "ascend"].contains(&kind.to_ascii_lowercase().as_str()) => {
                Err(DeviceError::Ascend)
            }
            _ => Err(DeviceError::Unknown),
        }
    }
}

/// Number format of matrix products. Master weights, optimizer and reductions are fp32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// bf16 where the device computes in it natively, else fp32.
    Auto,
    /// 32-bit floats.
    Fp32,
    /// 16-bit brain floats.
    Bf16,
    /// IEEE 16-bit floats, with a scaled loss ([`LossScaling`]).
    Fp16,
}

/// How a classifier reads the pooled output (docs/concepts/losses.md#heads).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadKind {
    /// `classifier(dropout(pooled))`: Hugging Face and Google.
    Plain,
    /// `classifier(relu(pooled))`: Huawei's and MindSpore's TinyBERT.
    Relu,
}

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

/// Number format in which gradients travel between ranks (docs/guides/ranks.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GradientExchange {
    /// As they are computed.
    Fp32,
    /// Half the bytes; sums are rounded to 8 bits.
    Bf16,
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

/// By what a loss is multiplied, so that small gradients do not vanish in fp16
/// (docs/concepts/optimizers.md#loss-scaling).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossScaling {
    /// Scale of the first step.
    pub initial: f64,
    /// What it is divided by after an overflow, and multiplied by after a window without one.
    pub factor: f64,
    /// Steps without an overflow after which it grows.
    pub window: u64,
}

/// Update rule and its constants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// Which rule.
    pub kind: OptimizerKind,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled decay of every weight that is not exempt.
    pub weight_decay: f64,
    /// Tensors whose name contains one of these, in whatever case, do not decay.
    pub weight_decay_exempt: Vec<String>,
    /// Of what the norm is bounded.
    pub clipping: Clipping,
    /// Largest norm; 0: no clipping.
    pub max_grad_norm: f64,
}

/// Of what the gradient's norm is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clipping {
    /// Each tensor by itself: BERT's Adam and MindSpore's code.
    Tensor,
    /// All tensors together.
    Global,
    /// Nothing.
    Off,
}

/// The two Adams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// BERT's: no bias correction.
    BertAdam,
    /// Loshchilov and Hutter's: bias correction.
    AdamW,
}

/// Learning rate as a function of the step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Shape after the warm-up.
    pub kind: ScheduleKind,
    /// Peak.
    pub learning_rate: f64,
    /// Where the decay ends, at the last step.
    pub end_learning_rate: f64,
    /// Over how many steps the rate rises linearly from 0.
    pub warmup: Warmup,
    /// Where the decay is counted from.
    pub decay_from: DecayFrom,
}

/// Length of a warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Warmup {
    /// Share of all steps.
    Proportion(f64),
    /// Steps.
    Steps(u64),
    /// Epochs, and whole steps of them.
    Epochs(f64),
}

/// Where a decay is counted from (docs/concepts/optimizers.md#learning-rate-schedule).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecayFrom {
    /// From the end of the warm-up: continuous, as in BERT's own code and Huawei's.
    Warmup,
    /// From step 0, as in MindSpore's code: the rate jumps down where the warm-up ends, and
    /// a warm-up is whole steps.
    Start,
}

/// Shape of a schedule after its warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// Stays at the peak.
    Constant,
    /// Falls to the end rate at the last step, with this power of what is left; 1 is linear.
    Polynomial(f64),
}

impl ScheduleKind {
    /// Its name in the experiment file; with a power of 1 it is the one that is called linear.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Polynomial(power) if (power - 1.0).abs() < f64::EPSILON => "linear",
            Self::Polynomial(_) => "polynomial",
        }
    }

    /// The power, where the name does not say it.
    pub fn power(self) -> Option<f64> {
        match self {
            Self::Polynomial(power) if self.as_str() == "polynomial" => Some(power),
            _ => None,
        }
    }
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
    Precision { "auto" => Auto, "fp32" => Fp32, "bf16" => Bf16, "fp16" => Fp16 }
    WeightDtype { "fp32" => Fp32, "fp16" => Fp16, "bf16" => Bf16 }
    HeadKind { "plain" => Plain, "relu" => Relu }
    AttentionLoss { "scores" => Scores, "relations" => Relations }
    Reduction { "tokens" => Tokens, "block" => Block }
    HiddenLoss { "mse" => Mse, "cosine" => Cosine }
    GradientExchange { "fp32" => Fp32, "bf16" => Bf16 }
    Projection {
        "shared" => Shared,
        "per-layer" => PerLayer,
        "embedding-and-hidden" => EmbeddingAndHidden,
    }
    PadTo { "none" => None, "longest" => Longest, "max-seq-length" => MaxSeqLength }
    InitializerKind { "normal" => Normal, "truncated-normal" => TruncatedNormal }
    RegressionTarget { "teacher" => Teacher, "labels" => Labels }
    TeacherMean { "logits" => Logits, "probabilities" => Probabilities }
    SoftLossReduction { "batch-and-classes" => BatchAndClasses, "batch" => Batch }
    Clipping { "tensor" => Tensor, "global" => Global, "off" => Off }
    OptimizerKind { "bert-adam" => BertAdam, "adamw" => AdamW }
    DecayFrom { "warmup" => Warmup, "start" => Start }
    Keep { "best" => Best, "last" => Last }
}
