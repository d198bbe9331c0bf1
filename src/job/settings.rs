//! Settings that the experiment file, the job and the kernel share.

use std::fmt;

use serde::{Deserialize, Serialize};

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
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Fp32 => "fp32",
            Self::Bf16 => "bf16",
        })
    }
}

/// How a classifier reads the pooled output (semantics.md A4).
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
    /// Attention and hidden-state losses: general distillation and phase 1.
    Intermediate {
        /// Which teacher layer each student layer learns from.
        layer_map: LayerMap,
        /// Factor of the summed attention loss.
        attention_weight: f64,
        /// Factor of the summed hidden-state loss, index 0 (embeddings) included.
        hidden_weight: f64,
        /// What the losses average over.
        reduction: Reduction,
    },
    /// Soft cross-entropy against the teacher's logits: phase 2.
    Prediction {
        /// Both logits are divided by it.
        temperature: f64,
        /// What the soft loss averages over.
        reduction: SoftLossReduction,
        /// Factor of an added cross-entropy against the gold labels; 0 leaves it out.
        hard_label_weight: f64,
    },
}

/// Teacher layers that a student of `S` layers learns from (semantics.md A1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerMap {
    /// For student layer `i` in `0..S`, the 0-based teacher layer of its attention scores.
    pub attention: Vec<usize>,
    /// For student hidden state `i` in `0..=S` (0: embedding output), the teacher's index in `0..=T`.
    pub hidden: Vec<usize>,
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

/// What the soft cross-entropy averages over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SoftLossReduction {
    /// Examples and classes: `1/num_labels` of the textbook value, as in the published codes.
    BatchAndClasses,
    /// Examples.
    Batch,
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
    /// Decoupled decay of every weight but biases and layer norms.
    pub weight_decay: f64,
    /// Largest norm of one tensor's gradient; 0: no clipping.
    pub max_grad_norm: f64,
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
    /// Share of all steps over which the rate rises linearly from 0.
    pub warmup_proportion: f64,
}

/// Shape of a schedule after its warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// Stays at the peak.
    Constant,
    /// Falls linearly to 0 at the last step.
    Linear,
}
