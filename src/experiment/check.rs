//! Keys that are right by themselves and do not go together.

use std::collections::BTreeMap;

use super::origin::Origin;
use super::schema::{ClassifierStart, LayerMapRule, ModelSource, StageName};
use super::top::Experiment;
use crate::document::{Collector, Fault, Located, Span, alternatives};
use crate::job::LayerMap;

/// Headers of the stages that are written.
pub(super) type Headers = BTreeMap<StageName, Span>;

/// Checks what takes more than one table to see.
pub(super) fn check(experiment: &Experiment, headers: &Headers, faults: &Collector) {
    check_shape(experiment, faults);
    check_layer_map(experiment, faults);
    check_lengths(experiment, faults);
    check_goals(experiment, faults);
    check_classifier(experiment, faults);
    let before = faults.count();
    for stage in StageName::ALL {
        check_sources(experiment, stage, faults);
        check_student(experiment, stage, headers, faults);
    }
    // A source that is wrong by itself is not worth a second fault for the cycle it makes.
    if faults.count() == before {
        check_cycles(experiment, faults);
    }
}

/// Goals of a student that no stage scores.
fn check_goals(experiment: &Experiment, faults: &Collector) {
    let scored = experiment.student_of(StageName::Eval).is_some();
    if scored || !faults.sound(&["stages.eval", "stages.td-phase2"]) {
        return;
    }
    for goal in &experiment.goals {
        let message = format!("no stage scores the student of goal `{}`", goal.name);
        let hint = "add `[stages.td-phase2]` and `[stages.eval]`".to_owned();
        faults.unfit(Fault::new(message, goal.span.clone()).with_hint(hint));
    }
}

/// A new classifier that no stage trains.
fn check_classifier(experiment: &Experiment, faults: &Collector) {
    let classifier = &experiment.teacher.classifier;
    if classifier.value == ClassifierStart::New && experiment.stages.finetune.is_none() {
        let message = "`classifier = \"new\"` in `[teacher]` needs `[stages.finetune]`".to_owned();
        let fault = Fault::new(message, classifier.span.clone());
        faults.unfit(fault.with_label("a new classifier has random weights until it is trained"));
    }
}

fn distils(experiment: &Experiment) -> bool {
    let stages = &experiment.stages;
    stages.general_distill.is_some() || stages.td_phase1.is_some() || stages.td_phase2.is_some()
}

fn check_shape(experiment: &Experiment, faults: &Collector) {
    let shape = &experiment.student.shape;
    let (hidden, heads) = (&shape.hidden_size, &shape.num_attention_heads);
    let keys = ["student.hidden-size", "student.num-attention-heads"];
    if faults.sound(&keys) && !hidden.value.is_multiple_of(heads.value) {
        let message = format!(
            "`hidden-size` {} is not a multiple of `num-attention-heads` {}",
            hidden.value, heads.value
        );
        let below = hidden.value / heads.value * heads.value;
        let above = below + heads.value;
        let span = hidden.span.clone().or_else(|| heads.span.clone());
        let hint = if below == 0 {
            format!("use at least {above}")
        } else {
            format!("use {below} or {above}")
        };
        faults.unfit(Fault::new(message, span).with_hint(hint));
    }
}

fn check_layer_map(experiment: &Experiment, faults: &Collector) {
    let student = &experiment.student;
    let LayerMapRule::Explicit(map) = &student.layer_map.value else {
        return;
    };
    // A given model's layers are in its config.json: see `models.rs`.
    let keys = [
        "student.layer-map.attention",
        "student.layer-map.hidden",
        "student.num-hidden-layers",
    ];
    if student.model.is_none() && faults.sound(&keys) {
        let span = student.layer_map.span.as_ref();
        for fault in map_length_faults(map, *student.shape.num_hidden_layers, span) {
            faults.unfit(fault);
        }
    }
}

/// Faults of lists that are not as long as the student has layers.
pub(super) fn map_length_faults(map: &LayerMap, layers: usize, span: Option<&Span>) -> Vec<Fault> {
    let lists = [
        ("attention", map.attention.len(), layers, "one per layer"),
        (
            "hidden",
            map.hidden.len(),
            layers + 1,
            "one for the embedding output and one per layer",
        ),
    ];
    let wrong = lists
        .into_iter()
        .filter(|(_, found, wanted, _)| found != wanted);
    wrong
        .map(|(list, found, wanted, why)| {
            let message = format!(
                "`{list}` in `layer-map` has {found} entries, expected {wanted} for {layers} student layers"
            );
            let label = format!("expected {wanted} in `{list}`: {why}");
            Fault::new(message, span.cloned()).with_label(label)
        })
        .collect()
}

/// Inputs that are longer than the student has positions.
fn check_lengths(experiment: &Experiment, faults: &Collector) {
    let positions = &experiment.student.shape.max_position_embeddings;
    if experiment.student.model.is_some() || !distils(experiment) {
        return;
    }
    let keys = [
        "student.max-position-embeddings",
        "task.max-seq-length",
        "stages.general-distill.max-seq-length",
    ];
    if faults.sound(&keys) {
        for (place, length) in lengths(experiment) {
            if length.value > positions.value {
                let message = format!(
                    "`max-seq-length` {} in `[{place}]` exceeds the student's `max-position-embeddings` {}",
                    length.value, positions.value
                );
                let span = length.span.clone().or_else(|| positions.span.clone());
                faults.unfit(Fault::new(message, span));
            }
        }
    }
}

/// Every longest input and the table it is of.
pub(super) fn lengths(experiment: &Experiment) -> Vec<(&'static str, &Located<usize>)> {
    let mut lengths = vec![("task", &experiment.task.max_seq_length)];
    if let Some(general) = &experiment.stages.general_distill {
        lengths.push(("stages.general-distill", &general.corpus.max_seq_length));
    }
    lengths
}

/// Stages that make a model for `student` or `teacher` of a stage.
fn allowed_sources(stage: StageName, key: &str) -> &'static [StageName] {
    use StageName::{Finetune, GeneralDistill, TdPhase1, TdPhase2};
    match (stage, key) {
        // A fine-tuned model has the teacher's shape, not that of `[student]`.
        (GeneralDistill | TdPhase1 | TdPhase2, "student") => &[GeneralDistill, TdPhase1, TdPhase2],
        (GeneralDistill | TdPhase1, _) => &[Finetune, GeneralDistill, TdPhase1, TdPhase2],
        // Logits are read: general distillation trains no classifier.
        _ => &[Finetune, TdPhase1, TdPhase2],
    }
}

fn check_sources(experiment: &Experiment, stage: StageName, faults: &Collector) {
    let keys = [
        ("student", experiment.student_key(stage)),
        ("teacher", experiment.teacher_key(stage)),
    ];
    for (key, source) in keys {
        let Some(Located {
            value: ModelSource::Stage(named),
            span,
        }) = source
        else {
            continue;
        };
        let allowed = allowed_sources(stage, key);
        if !allowed.contains(named) {
            let message = format!("`{named}` cannot be the `{key}` of `{stage}`");
            let expected = alternatives(allowed.iter().map(|name| name.as_str()));
            faults.unfit(
                Fault::new(message, span.clone())
                    .with_label(format!("expected {expected}, or a folder")),
            );
        } else if !experiment.has_stage(*named) && faults.sound(&[&format!("stages.{named}")]) {
            let message =
                format!("`{key}` of `{stage}` is `{named}`, but that stage is not in the file");
            let hint = format!("add `[stages.{named}]`");
            faults.unfit(Fault::new(message, span.clone()).with_hint(hint));
        }
    }
}

/// A task stage whose student would be random weights.
fn check_student(experiment: &Experiment, stage: StageName, headers: &Headers, faults: &Collector) {
    let is_task_stage = matches!(stage, StageName::TdPhase1 | StageName::TdPhase2);
    let keys = [
        format!("stages.{stage}.student"),
        "stages.general-distill".to_owned(),
        "stages.td-phase1".to_owned(),
        "student.model".to_owned(),
    ];
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let student = experiment.student_of(stage);
    if is_task_stage
        && experiment.student_key(stage).is_none()
        && student.is_some_and(|origin| origin.value == Origin::Random)
        && faults.sound(&keys)
    {
        let message = format!("`{stage}` has no student to start from");
        let hint = "add `[stages.general-distill]`, set `model` in `[student]` to a folder, \
                    or set `student = \"random\"` in this stage";
        faults.unfit(
            Fault::new(message, headers.get(&stage).cloned())
                .with_label("no earlier stage produces a student")
                .with_hint(hint.to_owned()),
        );
    }
}

fn check_cycles(experiment: &Experiment, faults: &Collector) {
    let mut done = Vec::new();
    for stage in StageName::ALL {
        if let Some(cycle) = find_cycle(experiment, &mut vec![stage], &mut done) {
            let path: Vec<&str> = cycle.iter().map(|stage| stage.as_str()).collect();
            let message = format!("dependency cycle: {}", path.join(" -> "));
            faults.unfit(Fault::new(message, closing_key(experiment, &cycle)));
            return;
        }
    }
}

/// Depth first from the end of `path`; the cycle starts and ends with the same stage.
fn find_cycle(
    experiment: &Experiment,
    path: &mut Vec<StageName>,
    done: &mut Vec<StageName>,
) -> Option<Vec<StageName>> {
    let stage = *path.last()?;
    for next in experiment.depends_on(stage) {
        if let Some(start) = path.iter().position(|seen| *seen == next) {
            let mut cycle = path[start..].to_vec();
            cycle.push(next);
            return Some(cycle);
        }
        if !done.contains(&next) {
            path.push(next);
            if let Some(cycle) = find_cycle(experiment, path, done) {
                return Some(cycle);
            }
            path.pop();
        }
    }
    done.push(stage);
    None
}

/// Place of the key that names a stage not before its own. Defaults only look back, so every
/// cycle has such a key.
fn closing_key(experiment: &Experiment, cycle: &[StageName]) -> Option<Span> {
    cycle.windows(2).find_map(|pair| {
        let (stage, next) = (pair[0], pair[1]);
        let keys = [experiment.student_key(stage), experiment.teacher_key(stage)];
        let names_it = |source: &&Located<ModelSource>| source.value == ModelSource::Stage(next);
        let key = keys.into_iter().flatten().find(names_it)?;
        (next >= stage).then(|| key.span.clone())?
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MINIMAL, faults, pipeline};

    /// Faults of the whole pipeline with overrides.
    fn with(overrides: &[&str]) -> Vec<String> {
        faults(&pipeline(), overrides)
    }

    #[test]
    fn heads_divide_the_hidden_size() {
        assert_eq!(
            with(&["student.num-attention-heads=7"]),
            ["--set:1:29: `hidden-size` 312 is not a multiple of `num-attention-heads` 7"]
        );
        assert!(with(&["student.num-attention-heads=8"]).is_empty());
    }

    #[test]
    fn a_key_with_a_fault_is_not_blamed_a_second_time() {
        let sets = ["student.hidden-size=wide", "student.num-attention-heads=7"];
        assert_eq!(
            with(&sets),
            ["--set:1:21: `hidden-size` in `[student]` is a string"]
        );
    }

    #[test]
    fn a_layer_map_has_one_entry_a_layer_and_one_for_the_embeddings() {
        assert_eq!(
            with(&["student.layer-map={ attention = [0, 2, 3], hidden = [0, 1, 3, 4] }"]),
            [
                "--set:1:19: `attention` in `layer-map` has 3 entries, expected 4 for 4 student layers",
                "--set:1:19: `hidden` in `layer-map` has 4 entries, expected 5 for 4 student layers",
            ]
        );
    }

    #[test]
    fn inputs_fit_the_student() {
        assert_eq!(
            with(&[
                "stages.general-distill.max-seq-length=600",
                "task.max-seq-length=513"
            ]),
            [
                "--set:1:39: `max-seq-length` 600 in `[stages.general-distill]` exceeds the student's `max-position-embeddings` 512",
                "--set:1:21: `max-seq-length` 513 in `[task]` exceeds the student's `max-position-embeddings` 512",
            ]
        );
        assert!(with(&["task.max-seq-length=512"]).is_empty());
        assert_eq!(with(&["task.max-seq-length=2"]).len(), 1);
        // Nothing here reads the student.
        assert!(faults(MINIMAL, &["task.max-seq-length=600"]).is_empty());
    }

    #[test]
    fn a_source_that_is_left_out_or_makes_no_model_is_refused() {
        let text = format!("{MINIMAL}[student]\nmodel = \"models/small\"\n[stages.td-phase1]\n");
        assert_eq!(
            faults(&text, &["stages.td-phase1.student=general-distill"]),
            [
                "--set:1:26: `student` of `td-phase1` is `general-distill`, but that stage is not in the file"
            ]
        );
        assert_eq!(
            with(&[
                "stages.td-phase1.student=data-prep",
                "stages.td-phase1.teacher=eval",
                "stages.td-phase2.student=finetune",
                "stages.td-phase2.teacher=general-distill",
            ]),
            [
                "--set:1:26: `data-prep` cannot be the `student` of `td-phase1`",
                "--set:1:26: `eval` cannot be the `teacher` of `td-phase1`",
                "--set:1:26: `finetune` cannot be the `student` of `td-phase2`",
                "--set:1:26: `general-distill` cannot be the `teacher` of `td-phase2`",
            ]
        );
    }

    #[test]
    fn a_student_may_be_a_teaching_assistant() {
        let sets = [
            "stages.td-phase2.teacher=td-phase1",
            "stages.td-phase2.student=general-distill",
        ];
        assert!(with(&sets).is_empty());
    }

    #[test]
    fn a_cycle_is_shown_with_its_path_at_the_key_that_closes_it() {
        assert_eq!(
            with(&["stages.td-phase1.teacher=td-phase2"]),
            ["--set:1:26: dependency cycle: td-phase1 -> td-phase2 -> td-phase1"]
        );
        assert_eq!(
            with(&["stages.general-distill.student=td-phase2"]),
            [
                "--set:1:32: dependency cycle: general-distill -> td-phase2 -> td-phase1 -> general-distill"
            ]
        );
        assert_eq!(
            with(&["stages.td-phase1.student=td-phase1"]),
            ["--set:1:26: dependency cycle: td-phase1 -> td-phase1"]
        );
    }

    #[test]
    fn a_task_stage_needs_a_student_to_start_from() {
        let text = format!("{MINIMAL}[stages.td-phase1]\n[stages.td-phase2]\n");
        let expected = "x.toml:9:1: `td-phase1` has no student to start from";
        assert_eq!(faults(&text, &[]), [expected]);
        assert!(faults(&text, &["student.model=models/small"]).is_empty());
        assert!(faults(&text, &["stages.td-phase1.student=models/small"]).is_empty());
    }
}
