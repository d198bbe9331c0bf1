//! Keys that are right by themselves and do not go together.

use super::ports::{Role, What};
use super::predictions_check;
use super::ranks_check;
use super::schema::{ClassifierStart, LayerMapRule};
use super::source_check;
use super::stage_keys::Corpus;
use super::student_start;
use super::teachers_check;
use super::top::Experiment;
use super::unlabelled_check;
use crate::document::{Collector, Fault, Located, Span};
use crate::job::LayerMap;

/// Checks what takes more than one table to see.
pub(super) fn check(experiment: &Experiment, faults: &Collector) {
    check_shape(experiment, faults);
    check_layer_map(experiment, faults);
    check_lengths(experiment, faults);
    student_start::check(experiment, faults);
    unlabelled_check::check(experiment, faults);
    predictions_check::check(experiment, faults);
    teachers_check::check(experiment, faults);
    check_goals(experiment, faults);
    check_classifier(experiment, faults);
    ranks_check::check(experiment, faults);
    source_check::check(experiment, faults);
}

/// Whether a stage trains a model of this role.
pub(super) fn trains(experiment: &Experiment, role: Role) -> bool {
    let mut stages = experiment.stages.iter();
    stages.any(|stage| {
        let mut ports = stage.model_ports(&experiment.task);
        ports.any(|port| port.is_trained && port.of == role)
    })
}

/// Goals of a student that no stage scores.
fn check_goals(experiment: &Experiment, faults: &Collector) {
    let mut stages = experiment.stages.iter();
    let scored = stages.any(|stage| {
        let mut made = stage.makes().into_iter();
        made.any(|made| made.what.is_scores())
            && experiment.origin_of(stage, Role::Student).is_some()
    });
    let score = experiment.stages.kinds.that_make(What::is_scores);
    let train = experiment
        .stages
        .kinds
        .that_make(|what| what == What::CLASSIFYING_STUDENT);
    let mut needed = train.iter().chain(&score);
    if scored || !needed.all(|kind| faults.sound(&[&format!("stages.{kind}")])) {
        return;
    }
    for goal in &experiment.goals {
        let message = format!("no stage scores the student of goal `{}`", goal.name);
        // The tables that are not there.
        let tables = train.iter().chain(&score);
        let is_there = |kind: &&&str| experiment.stages.iter().any(|it| it.kind() == **kind);
        let tables: Vec<String> = tables
            .filter(|kind| !is_there(kind))
            .map(|kind| format!("`[stages.{kind}]`"))
            .collect();
        let hint = (!tables.is_empty()).then(|| format!("add {}", tables.join(" and ")));
        faults.unfit(Fault::new(message, goal.span.clone()).with_hint(hint));
    }
}

/// A new classifier that no stage trains.
fn check_classifier(experiment: &Experiment, faults: &Collector) {
    let classifier = &experiment.teacher.classifier;
    if classifier.value == ClassifierStart::New && !trains(experiment, Role::Teacher) {
        let teacher = |what| {
            matches!(
                what,
                What::Model {
                    of: Role::Teacher,
                    ..
                }
            )
        };
        let makers = experiment.stages.kinds.that_make(teacher);
        let tables = alternatives_of_tables(&makers);
        let message = format!("`classifier = \"new\"` in `[teacher]` needs {tables}");
        let fault = Fault::new(message, classifier.span.clone());
        faults.unfit(fault.with_label("a new classifier has random weights until it is trained"));
    }
}

/// `[stages.a]` or one of several.
fn alternatives_of_tables(kinds: &[&str]) -> String {
    let tables: Vec<String> = kinds.iter().map(|it| format!("`[stages.{it}]`")).collect();
    tables.join(" or ")
}

fn check_shape(experiment: &Experiment, faults: &Collector) {
    let shape = &experiment.student.shape;
    let (hidden, heads) = (&shape.hidden_size, &shape.num_attention_heads);
    let keys = ["student.hidden-size", "student.num-attention-heads"];
    // A model has a width of its own.
    if experiment.student.model.is_none()
        && faults.sound(&keys)
        && !hidden.value.is_multiple_of(heads.value)
    {
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
    let shape = &experiment.student.shape;
    let (positions, first) = (
        &shape.max_position_embeddings,
        shape.family().first_position,
    );
    if experiment.student.model.is_some() || !trains(experiment, Role::Student) {
        return;
    }
    let lengths = lengths(experiment);
    let is_sound = |table: &str| faults.sound(&[&format!("{table}.max-seq-length")]);
    if faults.sound(&["student.max-position-embeddings"])
        && lengths.iter().all(|(table, _)| is_sound(table))
    {
        for (place, length) in lengths {
            if length.value + first > positions.value {
                // A family that keeps positions for padding.
                let without = match first {
                    0 => String::new(),
                    first => format!(" without the first {first}"),
                };
                let message = format!(
                    "`max-seq-length` {} in `[{place}]` exceeds the student's `max-position-embeddings` {}{without}",
                    length.value, positions.value
                );
                let span = length.span.clone().or_else(|| positions.span.clone());
                faults.unfit(Fault::new(message, span));
            }
        }
    }
}

/// Every longest input that is known and the table it is of.
pub(super) fn lengths(experiment: &Experiment) -> Vec<(String, &Located<usize>)> {
    let of_task = experiment.task.max_seq_length.as_ref();
    let mut lengths: Vec<_> = of_task
        .map(|length| ("task".to_owned(), length))
        .into_iter()
        .collect();
    let texts = experiment.stages.with::<Corpus>();
    lengths.extend(texts.filter_map(|(stage, corpus)| {
        let table = format!("stages.{}", stage.name);
        Some((table, corpus.max_seq_length.as_ref()?))
    }));
    lengths
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
}
