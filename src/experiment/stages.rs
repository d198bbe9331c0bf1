//! Reading `[stages.*]`.

use super::check::Headers;
use super::convert::did_you_mean;
use super::fault::Fault;
use super::schema::{
    DataPrep, Distill, Eval, Finetune, GeneralDistill, Keep, LongLines, ModelSource, StageName,
    Stages, TdPhase1, TdPhase2, Training,
};
use super::section::Section;
use super::span::Located;
use super::student::{LARGEST, above_zero_to};
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

/// Reads `[stages]`, and where each stage's header is.
pub(super) fn read(stages: &Section<'_>) -> (Stages, Headers) {
    let headers = StageName::ALL
        .into_iter()
        .filter_map(|stage| Some((stage, stages.value_span(stage.as_str())?)))
        .collect();
    if let Some(data_prep) = stages.section("data-prep") {
        data_prep.finish();
    }
    let found = Stages {
        data_prep: DataPrep {},
        finetune: stages
            .section("finetune")
            .map(|stage| read_finetune(&stage)),
        general_distill: stages
            .section("general-distill")
            .map(|stage| read_general_distill(&stage)),
        td_phase1: stages
            .section("td-phase1")
            .map(|stage| read_td_phase1(&stage)),
        td_phase2: stages
            .section("td-phase2")
            .map(|stage| read_td_phase2(&stage)),
        eval: stages.section("eval").map(|stage| read_eval(&stage)),
    };
    stages.finish_as("stage");
    (found, headers)
}

fn read_finetune(stage: &Section<'_>) -> Finetune {
    let found = Finetune {
        training: read_training(stage, &FINETUNE),
        eval_interval: stage.integer_or("eval-interval", 0.., 0).value,
        keep: read_keep(stage),
    };
    stage.finish();
    found
}

fn read_general_distill(stage: &Section<'_>) -> GeneralDistill {
    let found = GeneralDistill {
        corpus: stage.required_strings("corpus", "a list of globs of text files"),
        max_seq_length: stage.integer_or("max-seq-length", 3..=LARGEST, 128),
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
        training: read_training(stage, &GENERAL_DISTILL),
        distill: read_distill(stage),
        student: read_source(stage, "student"),
        teacher: read_source(stage, "teacher"),
    };
    stage.finish();
    found
}

fn read_td_phase1(stage: &Section<'_>) -> TdPhase1 {
    let found = TdPhase1 {
        training: read_training(stage, &TD_PHASE1),
        distill: read_distill(stage),
        student: read_source(stage, "student"),
        teacher: read_source(stage, "teacher"),
    };
    stage.finish();
    found
}

fn read_td_phase2(stage: &Section<'_>) -> TdPhase2 {
    let found = TdPhase2 {
        training: read_training(stage, &TD_PHASE2),
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
        keep: read_keep(stage),
        student: read_source(stage, "student"),
        teacher: read_source(stage, "teacher"),
    };
    stage.finish();
    found
}

fn read_eval(stage: &Section<'_>) -> Eval {
    let found = Eval {
        batch_size: stage.integer_or("batch-size", 1..=65536, 32),
        student: read_source(stage, "student"),
        teacher: read_source(stage, "teacher"),
    };
    stage.finish();
    found
}

fn read_training(stage: &Section<'_>, defaults: &Defaults) -> Training {
    let epochs = stage.integer_or("epochs", 1..=10_000, defaults.epochs);
    let batch_size: Located<u32> = stage.integer_or("batch-size", 1..=65536, 32);
    let steps: Located<u32> = stage.integer_or("gradient-accumulation-steps", 1..=65536, 1);
    if stage.sound(&["batch-size", "gradient-accumulation-steps"])
        && !batch_size.is_multiple_of(*steps)
    {
        let message = format!(
            "`gradient-accumulation-steps` {} does not divide `batch-size` {}",
            *steps, *batch_size
        );
        let fault = Fault::new(message, steps.span.clone());
        stage.unfit(fault.with_label("every micro-step takes the same share of a batch"));
    }
    Training {
        epochs,
        batch_size,
        gradient_accumulation_steps: steps,
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
    let attention_weight = stage.float_or("attention-weight", 0.0.., 1.0);
    let hidden_weight = stage.float_or("hidden-weight", 0.0.., 1.0);
    if attention_weight == 0.0 && hidden_weight == 0.0 {
        let message = format!(
            "{} and `attention-weight` are both 0",
            stage.name("hidden-weight")
        );
        let fault = Fault::new(message, stage.value_span("hidden-weight"));
        stage.unfit(fault.with_label("nothing is left to learn from"));
    }
    Distill {
        attention_weight,
        hidden_weight,
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
        let message = format!("unknown stage `{}`", word.value);
        let fault = Fault::new(message, word.span.clone())
            .with_label("expected a stage's name, or a folder with a `/` in its path");
        stage.wrong(key, fault.with_hint(did_you_mean(&word, &names)));
        return None;
    }
    Some(word.map(ModelSource::Folder))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MINIMAL, faults, pipeline, read, read_with};
    use super::*;

    #[test]
    fn a_stage_that_is_left_out_is_not_run() {
        let stages = read(MINIMAL).stages;
        assert!(stages.finetune.is_none() && stages.eval.is_none());
        let stages = read(&pipeline()).stages;
        assert!(stages.finetune.is_some() && stages.eval.is_some());
    }

    #[test]
    fn accumulation_divides_the_batch() {
        let keys = |steps: &str| {
            faults(
                &pipeline(),
                &[&format!(
                    "stages.finetune.gradient-accumulation-steps={steps}"
                )],
            )
        };
        assert!(keys("8").is_empty());
        assert_eq!(
            keys("5"),
            ["--set:1:45: `gradient-accumulation-steps` 5 does not divide `batch-size` 32"]
        );
    }

    #[test]
    fn a_stage_without_any_loss_is_refused() {
        let sets = [
            "stages.td-phase1.attention-weight=0",
            "stages.td-phase1.hidden-weight=0",
        ];
        assert!(faults(&pipeline(), &sets[..1]).is_empty());
        assert_eq!(
            faults(&pipeline(), &sets),
            [
                "--set:1:32: `hidden-weight` in `[stages.td-phase1]` and `attention-weight` are both 0"
            ]
        );
    }

    #[test]
    fn a_source_is_a_stage_or_a_folder_and_a_bare_word_is_a_misspelt_stage() {
        let source = |word: &str| {
            let set = format!("stages.td-phase2.student={word}");
            read_with(&pipeline(), &[&set])
                .map(|experiment| experiment.stages.td_phase2.unwrap().student.unwrap().value)
        };
        assert_eq!(
            source("general-distill").unwrap(),
            ModelSource::Stage(StageName::GeneralDistill)
        );
        let folder = "models/general-distill";
        assert_eq!(
            source(folder).unwrap(),
            ModelSource::Folder(folder.to_owned())
        );
        let faults = source("genral-distill").unwrap_err();
        assert_eq!(
            faults.to_string(),
            "--set:1:26: unknown stage `genral-distill`"
        );
        assert_eq!(
            faults.faults[0].hint.as_deref(),
            Some("did you mean `general-distill`?")
        );
    }

    #[test]
    fn an_empty_corpus_is_refused() {
        assert_eq!(
            faults(&pipeline(), &["stages.general-distill.corpus=[]"]),
            ["--set:1:31: `corpus` in `[stages.general-distill]` is an empty list"]
        );
    }
}
