//! Reading `[stages.*]`.

use super::fault::Fault;
use super::read::above_zero_to;
use super::schema::{
    DataPrep, Distill, Eval, Finetune, GeneralDistill, Keep, LongLines, ModelSource, StageName,
    Stages, TdPhase1, TdPhase2, Training,
};
use super::section::{Section, did_you_mean};
use super::span::Located;
use crate::job::{Optimizer, OptimizerKind, Reduction, Schedule, ScheduleKind, SoftLossReduction};

/// What a training stage's own defaults are.
struct Defaults {
    epochs: u32,
    learning_rate: f64,
    schedule: ScheduleKind,
    warmup_proportion: f64,
}

const FINETUNE: Defaults = Defaults {
    epochs: 3,
    learning_rate: 2e-5,
    schedule: ScheduleKind::Linear,
    warmup_proportion: 0.1,
};
const GENERAL_DISTILL: Defaults = Defaults {
    epochs: 3,
    learning_rate: 1e-4,
    schedule: ScheduleKind::Linear,
    warmup_proportion: 0.1,
};
const TD_PHASE1: Defaults = Defaults {
    epochs: 10,
    learning_rate: 5e-5,
    schedule: ScheduleKind::Constant,
    warmup_proportion: 0.0,
};
const TD_PHASE2: Defaults = Defaults {
    epochs: 3,
    learning_rate: 3e-5,
    schedule: ScheduleKind::Linear,
    warmup_proportion: 0.1,
};

/// Reads `[stages]`.
pub(super) fn read(stages: Section<'_>) -> Stages {
    if let Some(data_prep) = stages.section("data-prep") {
        data_prep.finish();
    }
    let found = Stages {
        data_prep: DataPrep {},
        finetune: stages.section("finetune").map(read_finetune),
        general_distill: stages.section("general-distill").map(read_general_distill),
        td_phase1: stages.section("td-phase1").map(read_td_phase1),
        td_phase2: stages.section("td-phase2").map(read_td_phase2),
        eval: stages.section("eval").map(read_eval),
    };
    stages.finish_as("stage");
    found
}

fn read_finetune(stage: Section<'_>) -> Finetune {
    let found = Finetune {
        training: read_training(&stage, &FINETUNE),
        eval_interval: stage.integer_or("eval-interval", 0.., 0).value,
        keep: read_keep(&stage),
    };
    stage.finish();
    found
}

fn read_general_distill(stage: Section<'_>) -> GeneralDistill {
    let found = GeneralDistill {
        corpus: stage.required_strings("corpus", "a list of globs of text files"),
        max_seq_length: stage.integer_or("max-seq-length", 3..=1_000_000, 128),
        long_lines: stage
            .choice_or(
                "long-lines",
                &[
                    ("split", LongLines::Split),
                    ("truncate", LongLines::Truncate),
                ],
                LongLines::Split,
            )
            .value,
        training: read_training(&stage, &GENERAL_DISTILL),
        distill: read_distill(&stage),
        student: read_source(&stage, "student"),
        teacher: read_source(&stage, "teacher"),
    };
    stage.finish();
    found
}

fn read_td_phase1(stage: Section<'_>) -> TdPhase1 {
    let found = TdPhase1 {
        training: read_training(&stage, &TD_PHASE1),
        distill: read_distill(&stage),
        student: read_source(&stage, "student"),
        teacher: read_source(&stage, "teacher"),
    };
    stage.finish();
    found
}

fn read_td_phase2(stage: Section<'_>) -> TdPhase2 {
    let found = TdPhase2 {
        training: read_training(&stage, &TD_PHASE2),
        temperature: stage.float_or("temperature", above_zero_to(1000.0), 1.0),
        reduction: stage
            .choice_or(
                "soft-loss-reduction",
                &[
                    ("batch-and-classes", SoftLossReduction::BatchAndClasses),
                    ("batch", SoftLossReduction::Batch),
                ],
                SoftLossReduction::BatchAndClasses,
            )
            .value,
        hard_label_weight: stage.float_or("hard-label-weight", 0.0.., 0.0),
        eval_interval: stage.integer_or("eval-interval", 0.., 0).value,
        keep: read_keep(&stage),
        student: read_source(&stage, "student"),
        teacher: read_source(&stage, "teacher"),
    };
    stage.finish();
    found
}

fn read_eval(stage: Section<'_>) -> Eval {
    let found = Eval {
        batch_size: stage.integer_or("batch-size", 1..=65536, 32),
        student: read_source(&stage, "student"),
        teacher: read_source(&stage, "teacher"),
    };
    stage.finish();
    found
}

fn read_training(stage: &Section<'_>, defaults: &Defaults) -> Training {
    Training {
        epochs: stage.integer_or("epochs", 1..=10_000, defaults.epochs),
        batch_size: stage.integer_or("batch-size", 1..=65536, 32),
        gradient_accumulation_steps: stage.integer_or("gradient-accumulation-steps", 1..=65536, 1),
        schedule: Schedule {
            learning_rate: stage.float_or(
                "learning-rate",
                above_zero_to(1.0),
                defaults.learning_rate,
            ),
            kind: stage
                .choice_or(
                    "schedule",
                    &[
                        ("linear", ScheduleKind::Linear),
                        ("constant", ScheduleKind::Constant),
                    ],
                    defaults.schedule,
                )
                .value,
            warmup_proportion: stage.float_or(
                "warmup-proportion",
                0.0..1.0,
                defaults.warmup_proportion,
            ),
        },
        optimizer: Optimizer {
            kind: stage
                .choice_or(
                    "optimizer",
                    &[
                        ("bert-adam", OptimizerKind::BertAdam),
                        ("adamw", OptimizerKind::AdamW),
                    ],
                    OptimizerKind::BertAdam,
                )
                .value,
            beta1: stage.float_or("adam-beta1", 0.0..1.0, 0.9),
            beta2: stage.float_or("adam-beta2", 0.0..1.0, 0.999),
            epsilon: stage.float_or("adam-epsilon", above_zero_to(1.0), 1e-6),
            weight_decay: stage.float_or("weight-decay", 0.0..=1.0, 0.01),
            max_grad_norm: stage.float_or("max-grad-norm", 0.0.., 1.0),
        },
        train_limit: stage.integer("train-limit", 1..).map(|found| found.value),
        log_interval: stage.integer_or("log-interval", 1.., 50).value,
        checkpoint_interval: stage.integer_or("checkpoint-interval", 0.., 0).value,
        checkpoint_seconds: stage.integer_or("checkpoint-seconds", 0.., 60).value,
    }
}

fn read_distill(stage: &Section<'_>) -> Distill {
    Distill {
        attention_weight: stage.float_or("attention-weight", 0.0.., 1.0),
        hidden_weight: stage.float_or("hidden-weight", 0.0.., 1.0),
        reduction: stage
            .choice_or(
                "reduction",
                &[("tokens", Reduction::Tokens), ("block", Reduction::Block)],
                Reduction::Tokens,
            )
            .value,
    }
}

fn read_keep(stage: &Section<'_>) -> Keep {
    stage
        .choice_or(
            "keep",
            &[("best", Keep::Best), ("last", Keep::Last)],
            Keep::Best,
        )
        .value
}

/// A stage's name or a folder. A bare word that names no stage is a misspelt stage.
fn read_source(stage: &Section<'_>, key: &'static str) -> Option<Located<ModelSource>> {
    let word = stage.string(key)?;
    if let Some(name) = StageName::parse(&word) {
        return Some(word.map(|_| ModelSource::Stage(name)));
    }
    if !word.contains(['/', '\\', '.']) {
        let names: Vec<&str> = StageName::ALL.iter().map(|name| name.as_str()).collect();
        stage.faults().add(
            Fault::new(
                format!("{} names no stage: `{}`", stage.name(key), word.value),
                word.span.clone(),
            )
            .with_label("expected a stage, or a folder with a `/` in its path")
            .with_hint(did_you_mean(&word, &names)),
        );
        return None;
    }
    Some(word.map(ModelSource::Folder))
}
