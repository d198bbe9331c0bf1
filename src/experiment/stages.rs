//! Reading `[stages.*]`.

use super::check::Headers;
use super::convert::did_you_mean;
use super::fault::Fault;
use super::recipe::TrainingDefaults;
use super::schema::{
    DataPrep, Distill, Eval, Finetune, GateRule, GeneralDistill, Keep, LongLines, ModelSource,
    Recipe, StageName, Stages, TaskName, TdPhase1, TdPhase2, Training,
};
use super::section::{Section, WordOrNumber};
use super::span::Located;
use super::student::{LARGEST, above_zero_to};
use crate::job::{
    Clipping, DecayFrom, Optimizer, OptimizerKind, PadTo, Projection, Reduction, RegressionTarget,
    Schedule, ScheduleKind, SoftLossReduction, Warmup,
};

/// Reads `[stages]`, and where each stage's header is.
pub(super) fn read(stages: &Section<'_>, recipe: Recipe, task: TaskName) -> (Stages, Headers) {
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
            .map(|stage| read_finetune(&stage, recipe)),
        general_distill: stages
            .section("general-distill")
            .map(|stage| read_general_distill(&stage, recipe)),
        td_phase1: stages
            .section("td-phase1")
            .map(|stage| read_td_phase1(&stage, recipe, task)),
        td_phase2: stages
            .section("td-phase2")
            .map(|stage| read_td_phase2(&stage, recipe)),
        eval: stages.section("eval").map(|stage| read_eval(&stage)),
    };
    stages.finish_as("stage");
    (found, headers)
}

fn read_finetune(stage: &Section<'_>, recipe: Recipe) -> Finetune {
    let found = Finetune {
        training: read_training(stage, &recipe.training(StageName::Finetune)),
        eval_interval: stage.integer_or("eval-interval", 0.., 0).value,
        keep: read_keep(stage),
    };
    stage.finish();
    found
}

fn read_general_distill(stage: &Section<'_>, recipe: Recipe) -> GeneralDistill {
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
        training: read_training(stage, &recipe.training(StageName::GeneralDistill)),
        distill: read_distill(stage, recipe),
        student: read_source(stage, "student"),
        teacher: read_source(stage, "teacher"),
    };
    stage.finish();
    found
}

fn read_td_phase1(stage: &Section<'_>, recipe: Recipe, task: TaskName) -> TdPhase1 {
    let found = TdPhase1 {
        training: read_training(stage, &recipe.phase1(task)),
        distill: read_distill(stage, recipe),
        gate: read_gate(stage),
        student: read_source(stage, "student"),
        teacher: read_source(stage, "teacher"),
    };
    stage.finish();
    found
}

fn read_td_phase2(stage: &Section<'_>, recipe: Recipe) -> TdPhase2 {
    let found = TdPhase2 {
        training: read_training(stage, &recipe.training(StageName::TdPhase2)),
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
        regression_target: stage
            .choice_or(
                "regression-target",
                &[
                    ("teacher", RegressionTarget::Teacher),
                    ("labels", RegressionTarget::Labels),
                ],
                recipe.regression_target(),
            )
            .value,
        teacher_dropout: read_teacher_dropout(stage, recipe),
        gate: read_gate(stage),
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

fn read_training(stage: &Section<'_>, defaults: &TrainingDefaults) -> Training {
    let epochs = stage.integer_or("epochs", 1..=10_000, defaults.epochs);
    let batch_size: Located<u32> = stage.integer_or("batch-size", 1..=65536, defaults.batch_size);
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
        schedule: read_schedule(stage, defaults),
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
            weight_decay: stage.float_or("weight-decay", 0.0..=1.0, defaults.weight_decay),
            weight_decay_exempt: stage.strings("weight-decay-exempt").map_or_else(
                || EXEMPT.map(str::to_owned).to_vec(),
                |parts| parts.value.into_iter().map(|part| part.value).collect(),
            ),
            clipping: stage
                .choice_or(
                    "clipping",
                    &[
                        ("tensor", Clipping::Tensor),
                        ("global", Clipping::Global),
                        ("off", Clipping::Off),
                    ],
                    Clipping::Tensor,
                )
                .value,
            max_grad_norm: stage.float_or("max-grad-norm", 0.0.., 1.0),
        },
        shuffle: stage.boolean_or("shuffle", defaults.shuffle).value,
        drop_last: stage.boolean_or("drop-last", defaults.drop_last).value,
        pad_to: stage
            .choice_or(
                "pad-to",
                &[
                    ("longest", PadTo::Longest),
                    ("max-seq-length", PadTo::MaxSeqLength),
                ],
                defaults.pad_to,
            )
            .value,
        train_limit: stage.integer("train-limit", 1..).map(|found| found.value),
        log_interval: stage.integer_or("log-interval", 1.., 50).value,
        checkpoint_interval: stage.integer_or("checkpoint-interval", 0.., 0).value,
        checkpoint_seconds: stage.integer_or("checkpoint-seconds", 0.., 60).value,
        checkpoint_keep: stage.integer_or("checkpoint-keep", 1..=1000, 2).value,
    }
}

/// Parts of names of tensors that do not decay, as in every published code.
const EXEMPT: [&str; 2] = ["bias", "LayerNorm"];

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Linear,
    Polynomial,
    Constant,
}

fn read_schedule(stage: &Section<'_>, defaults: &TrainingDefaults) -> Schedule {
    let default = match defaults.schedule {
        ScheduleKind::Constant => Shape::Constant,
        ScheduleKind::Polynomial(_) => Shape::Linear,
    };
    let shape = stage.choice_or(
        "schedule",
        &[
            ("linear", Shape::Linear),
            ("polynomial", Shape::Polynomial),
            ("constant", Shape::Constant),
        ],
        default,
    );
    let power = stage.float_or("power", above_zero_to(100.0), 1.0);
    if *shape != Shape::Polynomial && stage.has("power") && stage.sound(&["schedule", "power"]) {
        let fault = Fault::new(
            format!(
                "{} without `schedule = \"polynomial\"`",
                stage.name("power")
            ),
            stage.key_span("power"),
        );
        stage.unfit(fault.with_label("the other schedules have no power"));
    }
    let learning_rate = stage.float_or("learning-rate", above_zero_to(1.0), defaults.learning_rate);
    let end = stage.float("end-learning-rate", 0.0..=1.0);
    if let Some(end) = &end {
        let fault = if *shape == Shape::Constant {
            Some("a constant schedule has no end".to_owned())
        } else if end.value > learning_rate {
            Some(format!("more than the `learning-rate` {learning_rate}"))
        } else {
            None
        };
        if let Some(label) = fault
            && stage.sound(&["schedule", "learning-rate", "end-learning-rate"])
        {
            let message = format!(
                "{} cannot be {}",
                stage.name("end-learning-rate"),
                end.value
            );
            stage.unfit(Fault::new(message, end.span.clone()).with_label(label));
        }
    }
    let default_end = match *shape {
        Shape::Constant => 0.0,
        _ => defaults.end_learning_rate.min(learning_rate),
    };
    Schedule {
        learning_rate,
        end_learning_rate: end.map_or(default_end, |end| end.value),
        kind: match *shape {
            Shape::Linear => ScheduleKind::Polynomial(1.0),
            Shape::Polynomial => ScheduleKind::Polynomial(power),
            Shape::Constant => ScheduleKind::Constant,
        },
        warmup: read_warmup(stage, defaults.warmup),
        decay_from: stage
            .choice_or(
                "decay-from",
                &[("warmup", DecayFrom::Warmup), ("start", DecayFrom::Start)],
                defaults.decay_from,
            )
            .value,
    }
}

/// One of three keys says how long the warm-up is.
fn read_warmup(stage: &Section<'_>, default: Warmup) -> Warmup {
    let proportion = stage.float("warmup-proportion", 0.0..1.0);
    let steps = stage.integer("warmup-steps", 0..);
    let epochs = stage.float("warmup-epochs", 0.0..=10_000.0);
    let keys = ["warmup-proportion", "warmup-steps", "warmup-epochs"];
    let written: Vec<&str> = keys.into_iter().filter(|key| stage.has(key)).collect();
    if let [first, second, ..] = written[..] {
        let message = format!("`{first}` and {} exclude each other", stage.name(second));
        stage.unfit(Fault::new(message, stage.key_span(second)));
    }
    let proportion = proportion.map(|found| Warmup::Proportion(found.value));
    let steps = steps.map(|found| Warmup::Steps(found.value));
    let epochs = epochs.map(|found| Warmup::Epochs(found.value));
    proportion.or(steps).or(epochs).unwrap_or(default)
}

fn read_distill(stage: &Section<'_>, recipe: Recipe) -> Distill {
    let defaults = recipe.distill();
    let attention_weight = stage.float_or("attention-weight", 0.0.., 1.0);
    let hidden_weight = stage.float_or("hidden-weight", 0.0.., 1.0);
    let attention_layer_weights = stage.floats("attention-layer-weights", 0.0..);
    let hidden_layer_weights = stage.floats("hidden-layer-weights", 0.0..);
    let is_off = |weight: f64, layers: &Option<Located<Vec<f64>>>| {
        let layers = layers.as_ref();
        weight == 0.0 || layers.is_some_and(|list| list.iter().all(|weight| *weight == 0.0))
    };
    if is_off(attention_weight, &attention_layer_weights)
        && is_off(hidden_weight, &hidden_layer_weights)
    {
        let lists = stage.has("attention-layer-weights") || stage.has("hidden-layer-weights");
        let message = if lists {
            format!("every weight of the losses in `{}` is 0", stage.path())
        } else {
            format!(
                "{} and `attention-weight` are both 0",
                stage.name("hidden-weight")
            )
        };
        let span = [
            "hidden-weight",
            "hidden-layer-weights",
            "attention-layer-weights",
        ]
        .into_iter()
        .find_map(|key| stage.value_span(key));
        let fault = Fault::new(message, span);
        stage.unfit(fault.with_label("nothing is left to learn from"));
    }
    Distill {
        attention_weight,
        hidden_weight,
        attention_layer_weights,
        hidden_layer_weights,
        reduction: stage
            .choice_or(
                "reduction",
                &[("tokens", Reduction::Tokens), ("block", Reduction::Block)],
                defaults.reduction,
            )
            .value,
        projection: stage
            .choice_or(
                "projection",
                &[
                    ("shared", Projection::Shared),
                    ("per-layer", Projection::PerLayer),
                    ("embedding-and-hidden", Projection::EmbeddingAndHidden),
                ],
                defaults.projection,
            )
            .value,
        keep_projection: stage.boolean_or("keep-projection", defaults.keep_projection),
        teacher_dropout: read_teacher_dropout(stage, recipe),
    }
}

fn read_teacher_dropout(stage: &Section<'_>, recipe: Recipe) -> bool {
    let default = recipe.teacher_dropout();
    stage.boolean_or("teacher-dropout", default).value
}

fn read_gate(stage: &Section<'_>) -> GateRule {
    let words = [("auto", GateRule::Auto), ("off", GateRule::Off)];
    match stage.choice_or_float("gate", &words, 0.0..=1.0) {
        None => GateRule::Auto,
        Some(WordOrNumber::Word(rule)) => rule,
        Some(WordOrNumber::Number(least)) => GateRule::AtLeast(least),
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

    #[test]
    fn keys_of_a_schedule_that_contradict_each_other_are_refused() {
        let one = |sets: &[&str]| {
            let sets: Vec<String> = sets
                .iter()
                .map(|set| format!("stages.finetune.{set}"))
                .collect();
            let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
            faults(&pipeline(), &sets)
        };
        assert_eq!(
            one(&["power=2"]),
            ["--set:1:17: `power` in `[stages.finetune]` without `schedule = \"polynomial\"`"]
        );
        assert_eq!(
            one(&["end-learning-rate=1e-3"]),
            ["--set:1:35: `end-learning-rate` in `[stages.finetune]` cannot be 0.001"]
        );
        assert_eq!(
            one(&["warmup-steps=3", "warmup-proportion=0.1"]),
            [
                "--set:1:17: `warmup-proportion` and `warmup-steps` in `[stages.finetune]` exclude each other"
            ]
        );
        assert!(one(&["schedule=polynomial", "power=2", "warmup-epochs=0.5"]).is_empty());
    }

    #[test]
    fn weights_of_layers_that_are_all_zero_leave_nothing_to_learn() {
        let sets = [
            "stages.td-phase1.attention-layer-weights=[0, 0, 0, 0]",
            "stages.td-phase1.hidden-weight=0",
        ];
        assert!(faults(&pipeline(), &sets[..1]).is_empty());
        assert_eq!(
            faults(&pipeline(), &sets),
            ["--set:1:32: every weight of the losses in `stages.td-phase1` is 0"]
        );
    }
}
