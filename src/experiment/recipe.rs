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

impl Recipe {
    /// Defaults of a training stage. None of the sources fine-tunes a teacher: that stage differs
    /// only in its optimizer.
    fn training(self, part: Part) -> TrainingDefaults {
        let common = TrainingDefaults {
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
        if part == Part::Finetuning {
            return TrainingDefaults {
                optimizer: self.finetune_optimizer(),
                ..common
            };
        }
        let common = match self {
            Self::Paper => common,
            Self::Huawei => TrainingDefaults {
                drop_last: true,
                pad_to: PadTo::MaxSeqLength,
                ..common
            },
            Self::Mindspore => TrainingDefaults {
                end_learning_rate: 1e-14,
                decay_from: DecayFrom::Start,
                weight_decay: 1e-4,
                shuffle: false,
                drop_last: true,
                pad_to: PadTo::MaxSeqLength,
                ..common
            },
        };
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
mod tests {
    use super::super::testing::{pipeline, read_with};
    use super::super::{Distill, Experiment, Teaching, Training};
    use super::*;
    use crate::job::OptimizerKind;

    fn experiment(recipe: &str, sets: &[&str]) -> Experiment {
        let recipe = format!("recipe={recipe}");
        read_with(&pipeline(), &[&[&*recipe], sets].concat()).unwrap()
    }

    /// The keys of a group of a stage.
    fn keys<'a, T: 'static>(experiment: &'a Experiment, stage: &str) -> &'a T {
        experiment.stages.get(stage).unwrap().keys()
    }

    const PHASE1: &str = "td-phase1";

    #[test]
    fn the_paper_is_the_default() {
        let plain = read_with(&pipeline(), &[]).unwrap();
        assert_eq!(plain, experiment("paper", &[]));
        let distill: &Distill = keys(&plain, PHASE1);
        assert_eq!(distill.projection, Projection::EmbeddingAndHidden);
        let training: &Training = keys(&plain, PHASE1);
        assert_eq!(training.schedule.kind, ScheduleKind::Constant);
        assert!(!keys::<Teaching>(&plain, PHASE1).teacher_dropout);
    }

    #[test]
    fn only_the_papers_finetune_corrects_adams_bias() {
        for (recipe, optimizer) in [
            ("paper", OptimizerKind::AdamW),
            ("huawei", OptimizerKind::BertAdam),
            ("mindspore", OptimizerKind::BertAdam),
        ] {
            let read = experiment(recipe, &[]);
            let kind = |stage: &str| keys::<Training>(&read, stage).optimizer.kind;
            assert_eq!(kind("finetune"), optimizer);
            for stage in ["general-distill", "td-phase1", "td-phase2"] {
                assert_eq!(kind(stage), OptimizerKind::BertAdam);
            }
        }
    }

    #[test]
    fn huaweis_code_pads_drops_out_the_teacher_and_reads_heads_by_relu() {
        let huawei = experiment("huawei", &[]);
        assert_eq!(huawei.teacher.head, HeadKind::Relu);
        assert_eq!(huawei.student.head, HeadKind::Relu);
        assert_eq!(huawei.task.max_seq_length.as_ref().unwrap().value, 128);
        assert!(keys::<Teaching>(&huawei, PHASE1).teacher_dropout);
        let distill: &Distill = keys(&huawei, PHASE1);
        assert!(distill.keep_projection.value);
        assert_eq!(distill.projection, Projection::Shared);
        assert_eq!(distill.reduction, Reduction::Block);
        let training: &Training = keys(&huawei, PHASE1);
        assert_eq!(training.pad_to, PadTo::MaxSeqLength);
        assert_eq!(training.schedule.kind, ScheduleKind::Constant);
        assert!(training.drop_last && training.shuffle);
        assert_eq!(training.optimizer.kind, OptimizerKind::BertAdam);
        assert!((training.optimizer.weight_decay - 0.01).abs() < f64::EPSILON);
    }

    #[test]
    fn mindspores_code_draws_projections_anew_and_decays_from_the_start() {
        let mindspore = experiment("mindspore", &[]);
        let shape = &mindspore.student.shape;
        assert_eq!(
            (shape.hidden_size.value, shape.intermediate_size.value),
            (384, 1536)
        );
        assert_eq!(shape.hidden_act, "gelu_new");
        assert_eq!(
            mindspore.student.initializer.kind,
            InitializerKind::TruncatedNormal
        );
        assert!(!keys::<Distill>(&mindspore, PHASE1).keep_projection.value);
        assert!(!keys::<Teaching>(&mindspore, PHASE1).teacher_dropout);
        let phase1: &Training = keys(&mindspore, PHASE1);
        assert_eq!(phase1.schedule.warmup, Warmup::Epochs(0.1));
        assert_eq!(phase1.schedule.decay_from, DecayFrom::Start);
        assert!(!phase1.shuffle && phase1.drop_last);
        assert!((phase1.optimizer.weight_decay - 1e-4).abs() < f64::EPSILON);
        let phase2: &Training = keys(&mindspore, "td-phase2");
        assert!((phase2.schedule.learning_rate - 2e-5).abs() < f64::EPSILON);
        assert_eq!(phase2.schedule.warmup, Warmup::Proportion(0.1));
    }

    #[test]
    fn mindspores_code_scales_its_losses_by_stage() {
        let mindspore = experiment("mindspore", &["precision=fp16"]);
        let scaling = ["general-distill", "td-phase1", "td-phase2"].map(|stage| {
            let scaling = keys::<Training>(&mindspore, stage).loss_scaling.unwrap();
            (scaling.initial, scaling.factor, scaling.window)
        });
        let expected = [(65536.0, 2.0, 1000), (256.0, 2.0, 50), (65536.0, 2.0, 50)];
        assert_eq!(scaling, expected);
    }

    #[test]
    fn a_key_that_is_written_wins_over_the_recipe() {
        let sets = [
            "stages.td-phase1.reduction=tokens",
            "student.hidden-size=312",
        ];
        let mindspore = experiment("mindspore", &sets);
        assert_eq!(mindspore.student.shape.hidden_size.value, 312);
        assert_eq!(
            keys::<Distill>(&mindspore, PHASE1).reduction,
            Reduction::Tokens
        );
    }
}
