//! How weights are updated: the rule, the learning rate, the scale of the loss.

use serde::{Deserialize, Serialize};

use super::word::words;

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

words! {
    Clipping { "tensor" => Tensor, "global" => Global, "off" => Off }
    OptimizerKind { "bert-adam" => BertAdam, "adamw" => AdamW }
    DecayFrom { "warmup" => Warmup, "start" => Start }
}
