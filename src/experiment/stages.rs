//! Reading `[stages.*]`.

use super::check::Headers;
use super::schema::{
    DataPrep, Distill, Eval, Finetune, GateRule, GeneralDistill, Keep, LongLines, ModelSource,
    RANDOM, Recipe, StageName, Stages, TaskName, TdPhase1, TdPhase2,
};
use super::student::{LARGEST, above_zero_to};
use super::training::read_training;
use crate::document::{Fault, Located, Section, WordOrNumber, did_you_mean};
use crate::job::{Precision, SoftLossReduction};

/// Reads `[stages]`, and where each stage's header is.
pub(super) fn read(
    stages: &Section<'_>,
    recipe: Recipe,
    task: TaskName,
    precision: Precision,
) -> (Stages, Headers) {
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
            .map(|stage| read_finetune(&stage, recipe, precision)),
        general_distill: stages
            .section("general-distill")
            .map(|stage| read_general_distill(&stage, recipe, precision)),
        td_phase1: stages
            .section("td-phase1")
            .map(|stage| read_td_phase1(&stage, recipe, task, precision)),
        td_phase2: stages
            .section("td-phase2")
            .map(|stage| read_td_phase2(&stage, recipe, precision)),
        eval: stages.section("eval").map(|stage| read_eval(&stage)),
    };
    stages.finish_as("stage");
    (found, headers)
}

fn read_finetune(stage: &Section<'_>, recipe: Recipe, precision: Precision) -> Finetune {
    let found = Finetune {
        training: read_training(stage, &recipe.training(StageName::Finetune), precision),
        eval_interval: stage.integer_or("eval-interval", 0.., 0).value,
        keep: read_keep(stage),
    };
    stage.finish();
    found
}

fn read_general_distill(
    stage: &Section<'_>,
    recipe: Recipe,
    precision: Precision,
) -> GeneralDistill {
    let found = GeneralDistill {
        corpus: stage.required_strings("corpus", "a list of globs of text files"),
        max_seq_length: stage.integer_or("max-seq-length", 3..=LARGEST, 128),
        long_lines: stage.word_or("long-lines", LongLines::Split),
        training: read_training(
            stage,
            &recipe.training(StageName::GeneralDistill),
            precision,
        ),
        distill: read_distill(stage, recipe),
        student: read_source(stage, "student"),
        teacher: read_source(stage, "teacher"),
    };
    stage.finish();
    found
}

fn read_td_phase1(
    stage: &Section<'_>,
    recipe: Recipe,
    task: TaskName,
    precision: Precision,
) -> TdPhase1 {
    let found = TdPhase1 {
        training: read_training(stage, &recipe.phase1(task), precision),
        distill: read_distill(stage, recipe),
        gate: read_gate(stage),
        teacher_memory: stage.float_or("teacher-memory", 0.0..=1e6, 10.0),
        student: read_source(stage, "student"),
        teacher: read_source(stage, "teacher"),
    };
    stage.finish();
    found
}

fn read_td_phase2(stage: &Section<'_>, recipe: Recipe, precision: Precision) -> TdPhase2 {
    let soft_loss_weight = stage.float_or("soft-loss-weight", 0.0.., 1.0);
    let hard_label_weight = stage.float_or("hard-label-weight", 0.0.., 0.0);
    if soft_loss_weight == 0.0 && hard_label_weight == 0.0 {
        let message = format!(
            "{} and `hard-label-weight` are both 0",
            stage.name("soft-loss-weight")
        );
        let fault = Fault::new(message, stage.value_span("soft-loss-weight"));
        stage.unfit(fault.with_label("no loss is left"));
    }
    let found = TdPhase2 {
        training: read_training(stage, &recipe.training(StageName::TdPhase2), precision),
        temperature: stage.float_or("temperature", above_zero_to(1000.0), 1.0),
        reduction: stage.word_or("soft-loss-reduction", SoftLossReduction::BatchAndClasses),
        soft_loss_weight,
        hard_label_weight,
        regression_target: stage.word_or("regression-target", recipe.regression_target()),
        teacher_dropout: read_teacher_dropout(stage, recipe),
        gate: read_gate(stage),
        teacher_memory: stage.float_or("teacher-memory", 0.0..=1e6, 10.0),
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
            format!("all loss weights in `[{}]` are 0", stage.path())
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
        stage.unfit(fault.with_label("no loss is left"));
    }
    Distill {
        attention_weight,
        hidden_weight,
        attention_layer_weights,
        hidden_layer_weights,
        reduction: stage.word_or("reduction", defaults.reduction),
        projection: stage.word_or("projection", defaults.projection),
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
    stage.word_or("keep", Keep::Best)
}

/// A stage's name, a folder or `random`. A bare word that names no stage is a misspelt stage.
fn read_source(stage: &Section<'_>, key: &'static str) -> Option<Located<ModelSource>> {
    let word = stage.string(key)?;
    if let Some(name) = StageName::parse(&word) {
        return Some(word.map(|_| ModelSource::Stage(name)));
    }
    // What is scored or learnt from was trained.
    let may_be_random = key == "student" && stage.path() != "stages.eval";
    if may_be_random && word.as_str() == RANDOM {
        return Some(word.map(|_| ModelSource::Random));
    }
    if !word.contains(['/', '\\', '.']) {
        let names: Vec<&str> = StageName::ALL.iter().map(|name| name.as_str()).collect();
        let message = format!("unknown stage `{}`", word.value);
        let fault = Fault::new(message, word.span.clone()).with_label(if may_be_random {
            "expected a stage name, `random`, or the path of a folder with a `/`"
        } else {
            "expected a stage name, or the path of a folder with a `/`"
        });
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
    fn random_weights_are_a_student_where_one_is_trained_and_nowhere_else() {
        let student = |stage: &str| read_with(&pipeline(), &[&format!("{stage}=random")]);
        let phase1 = student("stages.td-phase1.student").unwrap();
        let named = phase1.stages.td_phase1.unwrap().student;
        assert_eq!(named.unwrap().value, ModelSource::Random);
        for elsewhere in ["stages.eval.student", "stages.td-phase1.teacher"] {
            let faults = student(elsewhere).unwrap_err().to_string();
            assert!(faults.contains("unknown stage `random`"), "{faults}");
        }
    }

    #[test]
    fn a_phase_2_that_learns_from_nobody_is_refused() {
        let without = ["stages.td-phase2.soft-loss-weight=0"];
        assert_eq!(
            faults(&pipeline(), &without),
            [
                "--set:1:35: `soft-loss-weight` in `[stages.td-phase2]` and `hard-label-weight` are both 0"
            ]
        );
        let labels = [without[0], "stages.td-phase2.hard-label-weight=1"];
        assert!(faults(&pipeline(), &labels).is_empty());
    }

    #[test]
    fn a_stage_that_is_left_out_is_not_run() {
        let stages = read(MINIMAL).stages;
        assert!(stages.finetune.is_none() && stages.eval.is_none());
        let stages = read(&pipeline()).stages;
        assert!(stages.finetune.is_some() && stages.eval.is_some());
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
    fn weights_of_layers_that_are_all_zero_leave_nothing_to_learn() {
        let sets = [
            "stages.td-phase1.attention-layer-weights=[0, 0, 0, 0]",
            "stages.td-phase1.hidden-weight=0",
        ];
        assert!(faults(&pipeline(), &sets[..1]).is_empty());
        assert_eq!(
            faults(&pipeline(), &sets),
            ["--set:1:32: all loss weights in `[stages.td-phase1]` are 0"]
        );
    }
}
