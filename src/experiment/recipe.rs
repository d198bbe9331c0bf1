//! Defaults by recipe: what the paper, Huawei's code and MindSpore's code each do where a
//! key is left out. Sources: the tables of docs/concepts/losses.md, optimizers.md and models.md.

use super::schema::{Recipe, TaskName};
use crate::job::{
    DecayFrom, HeadKind, InitializerKind, LossScaling, OptimizerKind, PadTo, Precision, Projection,
    Reduction, RegressionTarget, ScheduleKind, Warmup,
};

/// Defaults of a training stage.
pub(crate) struct TrainingDefaults {
    pub(super) epochs: u32,
    pub(super) batch_size: u32,
    pub(super) learning_rate: f64,
    pub(super) end_learning_rate: f64,
    pub(super) schedule: ScheduleKind,
    pub(super) warmup: Warmup,
    pub(super) decay_from: DecayFrom,
    pub(super) optimizer: OptimizerKind,
    pub(super) weight_decay: f64,
    pub(super) shuffle: bool,
    pub(super) drop_last: bool,
    pub(super) pad_to: PadTo,
    pub(super) loss_scaling: LossScaling,
    /// That of the experiment.
    pub(super) precision: Precision,
}

/// The parts that the published code trains in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Of a teacher; none of the sources has it.
    Finetuning,
    /// General distillation.
    General,
    /// Task distillation, intermediate layers.
    Phase1,
    /// Task distillation, prediction layer.
    Phase2,
}

/// What the defaults of a stage depend on.
pub(crate) struct StageDefaults {
    pub(crate) recipe: Recipe,
    pub(super) task: TaskName,
    pub(super) precision: Precision,
}

impl StageDefaults {
    /// Defaults of a part of the published code.
    pub(crate) fn training(&self, part: Part) -> TrainingDefaults {
        let defaults = match part {
            Part::Phase1 => self.recipe.phase1(self.task),
            _ => self.recipe.training(part),
        };
        TrainingDefaults {
            precision: self.precision,
            ..defaults
        }
    }
}

/// Defaults of a stage that compares layers.
pub(super) struct DistillDefaults {
    pub(super) reduction: Reduction,
    pub(super) projection: Projection,
    pub(super) keep_projection: bool,
}

/// Defaults of `[student]`.
pub(crate) struct StudentDefaults {
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) hidden_act: &'static str,
    pub(super) layer_norm_eps: f64,
    pub(super) initializer: InitializerKind,
    /// Of embedding tables and projection; `initializer-range` where `None`.
    pub(super) embedding_range: Option<f64>,
}

/// That of MindSpore's general distillation. Neither the paper nor Huawei's code trains in fp16.
const SCALING: LossScaling = LossScaling {
    initial: 65536.0,
    factor: 2.0,
    window: 1000,
};

const LINEAR: ScheduleKind = ScheduleKind::Polynomial(1.0);

/// What the parts and the recipes change.
const COMMON: TrainingDefaults = TrainingDefaults {
    epochs: 3,
    batch_size: 32,
    learning_rate: 2e-5,
    end_learning_rate: 0.0,
    schedule: LINEAR,
    warmup: Warmup::Proportion(0.1),
    decay_from: DecayFrom::Warmup,
    optimizer: OptimizerKind::BertAdam,
    weight_decay: 0.01,
    shuffle: true,
    drop_last: false,
    pad_to: PadTo::None,
    loss_scaling: SCALING,
    precision: Precision::Auto,
};

impl Recipe {
    /// Defaults of a training stage. None of the sources fine-tunes a teacher: that stage differs
    /// only in its optimizer.
    fn training(self, part: Part) -> TrainingDefaults {
        if part == Part::Finetuning {
            return TrainingDefaults {
                optimizer: self.finetune_optimizer(),
                ..COMMON
            };
        }
        let common = self.of_all_parts();
        match (part, self) {
            (Part::General, Self::Paper) => TrainingDefaults {
                learning_rate: 1e-4,
                ..common
            },
            (Part::General, Self::Huawei) => TrainingDefaults {
                batch_size: 256,
                learning_rate: 5e-5,
                ..common
            },
            (Part::General, Self::Mindspore) => TrainingDefaults {
                learning_rate: 5e-5,
                ..common
            },
            (Part::Phase1, Self::Mindspore) => TrainingDefaults {
                epochs: 10,
                learning_rate: 5e-5,
                warmup: Warmup::Epochs(0.1),
                loss_scaling: LossScaling {
                    initial: 256.0,
                    window: 50,
                    ..SCALING
                },
                ..common
            },
            (Part::Phase1, _) => TrainingDefaults {
                epochs: 10,
                learning_rate: 5e-5,
                schedule: ScheduleKind::Constant,
                warmup: Warmup::Proportion(0.0),
                ..common
            },
            (_, Self::Mindspore) => TrainingDefaults {
                loss_scaling: LossScaling {
                    window: 50,
                    ..SCALING
                },
                ..common
            },
            (_, Self::Paper | Self::Huawei) => TrainingDefaults {
                learning_rate: 3e-5,
                ..common
            },
        }
    }

    /// Defaults of every part of the published code.
    fn of_all_parts(self) -> TrainingDefaults {
        match self {
            Self::Paper => COMMON,
            Self::Huawei => TrainingDefaults {
                drop_last: true,
                pad_to: PadTo::MaxSeqLength,
                ..COMMON
            },
            Self::Mindspore => TrainingDefaults {
                end_learning_rate: 1e-14,
                decay_from: DecayFrom::Start,
                weight_decay: 1e-4,
                shuffle: false,
                drop_last: true,
                pad_to: PadTo::MaxSeqLength,
                ..COMMON
            },
        }
    }

    /// Without bias correction Adam's first steps are too long, and some seeds of a short
    /// fine-tuning end far below the others (arXiv 2006.04884, 2006.05987).
    fn finetune_optimizer(self) -> OptimizerKind {
        match self {
            Self::Paper => OptimizerKind::AdamW,
            Self::Huawei | Self::Mindspore => OptimizerKind::BertAdam,
        }
    }

    /// Defaults of phase 1, whose epochs depend on the task in the paper.
    fn phase1(self, task: TaskName) -> TrainingDefaults {
        let defaults = self.training(Part::Phase1);
        match (self, task) {
            (Self::Paper, TaskName::Glue(task)) => TrainingDefaults {
                epochs: task.phase1_epochs,
                ..defaults
            },
            _ => defaults,
        }
    }

    pub(super) fn distill(self) -> DistillDefaults {
        match self {
            Self::Paper => DistillDefaults {
                reduction: Reduction::Tokens,
                projection: Projection::EmbeddingAndHidden,
                keep_projection: true,
            },
            Self::Huawei => DistillDefaults {
                reduction: Reduction::Block,
                projection: Projection::Shared,
                keep_projection: true,
            },
            Self::Mindspore => DistillDefaults {
                reduction: Reduction::Block,
                projection: Projection::Shared,
                keep_projection: false,
            },
        }
    }

    /// Whether the teacher's dropout is active while it is learnt from: in Huawei's code it was
    /// never put into evaluation mode.
    pub(super) fn teacher_dropout(self) -> bool {
        self == Self::Huawei
    }

    /// Share of the tokens of a window that are replaced. Huawei's code has 0, and replaces a token
    /// per window nevertheless.
    pub(super) fn masked_share(self) -> f64 {
        match self {
            Self::Paper => 0.0,
            Self::Huawei => 0.001,
            Self::Mindspore => 0.15,
        }
    }

    /// Whose value a regression learns in phase 2; the paper does not say.
    pub(super) fn regression_target(self) -> RegressionTarget {
        match self {
            Self::Paper => RegressionTarget::Teacher,
            Self::Huawei | Self::Mindspore => RegressionTarget::Labels,
        }
    }

    /// Head of teacher and student.
    pub(super) fn head(self) -> HeadKind {
        match self {
            Self::Paper => HeadKind::Plain,
            Self::Huawei | Self::Mindspore => HeadKind::Relu,
        }
    }

    pub(super) fn student(self) -> StudentDefaults {
        match self {
            Self::Paper | Self::Huawei => StudentDefaults {
                hidden_size: 312,
                intermediate_size: 1200,
                hidden_act: "gelu",
                layer_norm_eps: 1e-12,
                initializer: InitializerKind::Normal,
                embedding_range: None,
            },
            Self::Mindspore => StudentDefaults {
                hidden_size: 384,
                intermediate_size: 1536,
                hidden_act: "gelu_new",
                layer_norm_eps: 1e-7,
                initializer: InitializerKind::TruncatedNormal,
                embedding_range: Some(0.01),
            },
        }
    }

    /// Whether the word embedding of `[PAD]` learns (docs/concepts/models.md#the-pad-row).
    pub(super) fn trains_padding(self) -> bool {
        self == Self::Mindspore
    }

    /// Longest input of a task.
    pub(super) fn max_seq_length(self, task: TaskName) -> usize {
        match (self, task) {
            (Self::Paper, TaskName::Glue(task)) => task.max_seq_length,
            (Self::Mindspore, TaskName::Glue(task)) if task.name == "sst-2" => 64,
            _ => 128,
        }
    }
}

#[cfg(test)]
mod tests;
