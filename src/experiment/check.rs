//! Keys that are right by themselves and do not go together.

use super::origin::{Origin, port_key};
use super::ports::{ModelPort, Role, Unconnected, What};
use super::predictions_check;
use super::schema::{ClassifierStart, LayerMapRule, ModelSource, RANDOM};
use super::stage::Stage;
use super::stage_keys::Corpus;
use super::stage_name::StageName;
use super::student_start;
use super::teachers_check;
use super::top::Experiment;
use super::training::Training;
use super::unlabelled_check;
use crate::document::{Collector, Fault, Located, Span, alternatives, did_you_mean};
use crate::job::{Device, GradientExchange, LayerMap, Precision};

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
    check_ranks(experiment, faults);
    check_leaves(experiment, faults);
    let before = faults.count();
    for stage in &experiment.stages {
        for port in model_ports(experiment, stage) {
            check_source(experiment, stage, port, faults);
            check_model(experiment, stage, port, faults);
        }
    }
    // A source that is wrong by itself is not worth a second fault for the cycle it makes.
    if faults.count() == before {
        check_cycles(experiment, faults);
    }
}

/// How a stage uses models.
fn model_ports(experiment: &Experiment, stage: &Stage) -> impl Iterator<Item = ModelPort> {
    let ports = stage.ports(&experiment.task).into_iter();
    ports.filter_map(|port| port.model())
}

/// Whether a stage trains a model of this role.
pub(super) fn trains(experiment: &Experiment, role: Role) -> bool {
    let mut stages = experiment.stages.iter();
    stages.any(|stage| {
        let mut ports = model_ports(experiment, stage);
        ports.any(|port| port.is_trained && port.of == role)
    })
}

/// Names of kinds that make something.
fn kinds_that_make(experiment: &Experiment, made: impl Fn(What) -> bool) -> Vec<&'static str> {
    experiment.stages.kinds.that_make(made)
}

/// More ranks than there are rows for, or ranks on a device that has none.
fn check_ranks(experiment: &Experiment, faults: &Collector) {
    let ranks = &experiment.ranks;
    if **ranks == 1 || !faults.sound(&["ranks"]) {
        return;
    }
    if let Device::Cuda(_) = experiment.device {
        let message = format!("`ranks` = {} on a CUDA device is not supported", **ranks);
        let hint = "set `device` to \"cpu\", or `ranks` to 1";
        faults.unfit(Fault::new(message, ranks.span.clone()).with_hint(Some(hint.to_owned())));
    }
    for (stage, training) in experiment.stages.with::<Training>() {
        let rows = *training.batch_size / *training.gradient_accumulation_steps;
        let key = format!("stages.{}.batch-size", stage.name);
        if **ranks > rows as usize && faults.sound(&[&key]) {
            let message = format!(
                "`ranks` {} exceeds the {rows} examples of a batch of `{}`",
                **ranks, stage.name
            );
            faults.unfit(Fault::new(message, ranks.span.clone()));
        }
        let leaves = *training.reduction_leaves as usize;
        let key = format!("stages.{}.reduction-leaves", stage.name);
        if leaves > 1 && !leaves.is_multiple_of(**ranks) && faults.sound(&[&key]) {
            let message = format!(
                "`ranks` {} does not divide the {leaves} `reduction-leaves` of `{}`",
                **ranks, stage.name
            );
            faults.unfit(Fault::new(message, ranks.span.clone()));
        }
    }
}

/// Leaves where sums have no order of ours, or more of them than there are rows.
fn check_leaves(experiment: &Experiment, faults: &Collector) {
    for (stage, training) in experiment.stages.with::<Training>() {
        let leaves = &training.reduction_leaves;
        let key = |name: &str| format!("stages.{}.{name}", stage.name);
        if **leaves == 1 || !faults.sound(&[&key("reduction-leaves"), &key("batch-size")]) {
            continue;
        }
        let rows = *training.batch_size / *training.gradient_accumulation_steps;
        let on = match (experiment.device, experiment.precision) {
            (Device::Cuda(_), _) => Some("on a CUDA device"),
            (_, Precision::Fp16) => Some("in fp16"),
            _ => None,
        };
        if let Some(on) = on {
            let message = format!("`reduction-leaves` = {} {on} is not supported", **leaves);
            let hint = Some("remove the key: the sums there have no fixed order".to_owned());
            faults.unfit(Fault::new(message, leaves.span.clone()).with_hint(hint));
        } else if *training.gradient_exchange != GradientExchange::Fp32 {
            let exchange = &training.gradient_exchange;
            let message = "`gradient-exchange` = \"bf16\" with `reduction-leaves` is not supported";
            let hint = Some("remove one of them: the leaves fix every bit of a sum".to_owned());
            faults.unfit(Fault::new(message, exchange.span.clone()).with_hint(hint));
        } else if **leaves > rows {
            let message = format!(
                "`reduction-leaves` {} exceeds the {rows} examples of a batch",
                **leaves
            );
            faults.unfit(Fault::new(message, leaves.span.clone()));
        }
    }
}

/// Goals of a student that no stage scores.
fn check_goals(experiment: &Experiment, faults: &Collector) {
    let mut stages = experiment.stages.iter();
    let scored = stages.any(|stage| {
        let mut made = stage.makes().into_iter();
        made.any(|made| made.what.is_scores())
            && experiment.origin_of(stage, Role::Student).is_some()
    });
    let score = kinds_that_make(experiment, What::is_scores);
    let train = kinds_that_make(experiment, |what| what == What::CLASSIFYING_STUDENT);
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
        let makers = kinds_that_make(experiment, teacher);
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

/// A `student` or `teacher` that names no stage, or one whose model cannot be used.
fn check_source(experiment: &Experiment, stage: &Stage, port: ModelPort, faults: &Collector) {
    let (key, own) = (port.of.as_str(), &stage.name);
    let Some(Located { value, span }) = port_key(stage, port) else {
        return;
    };
    let may_be_random = port.is_trained && port.of == Role::Student;
    let named = match value {
        ModelSource::Folder(_) => return,
        ModelSource::Random if may_be_random => return,
        ModelSource::Random => RANDOM,
        ModelSource::Stage(named) => named.as_str(),
    };
    let path = format!("stages.{own}.{key}");
    let there = experiment.stages.get(named).map(|stage| stage.kind);
    let Some(kind) = there.or_else(|| experiment.stages.kinds.get(named)) else {
        // A table without a right `kind` was told.
        if !faults.sound(&[&format!("stages.{named}.kind")]) {
            return;
        }
        let message = format!("unknown stage `{named}`");
        let fault = Fault::new(message, span.clone()).with_label(if may_be_random {
            "expected a stage name, `random`, or the path of a folder with a `/`"
        } else {
            "expected a stage name, or the path of a folder with a `/`"
        });
        let stages = experiment.stages.iter();
        let mut known: Vec<&str> = stages.map(|stage| stage.name.as_str()).collect();
        known.extend(experiment.stages.kinds.names());
        faults.wrong(&path, fault.with_hint(did_you_mean(named, &known)));
        return;
    };
    if !kind.makes().iter().any(|made| port.fits(made.what)) {
        let message = format!("`{named}` cannot be the `{key}` of `{own}`");
        let allowed = kinds_that_make(experiment, |what| port.fits(what));
        let expected = alternatives(allowed);
        let label = format!("expected {expected}, or a folder");
        faults.unfit(Fault::new(message, span.clone()).with_label(label));
    } else if there.is_none() && faults.sound(&[&format!("stages.{named}")]) {
        let message = format!("`{key}` of `{own}` is `{named}`, but that stage is not in the file");
        let hint = format!("add `[stages.{named}]`");
        faults.unfit(Fault::new(message, span.clone()).with_hint(hint));
    }
}

/// A stage without a model that it needs, or whose student would be random weights without its
/// saying so.
fn check_model(experiment: &Experiment, stage: &Stage, port: ModelPort, faults: &Collector) {
    let is_free = [Unconnected::NearestOrRandom, Unconnected::NearestOrNone];
    if is_free.contains(&port.unconnected) || port_key(stage, port).is_some() {
        return;
    }
    let made_or_given = match experiment.connect(stage, port).map(|origin| origin.value) {
        Some(Origin::Stage(_) | Origin::Folder(_) | Origin::Layers { .. }) => true,
        Some(Origin::Random) | None => false,
    };
    let role = port.of.as_str();
    let makers = kinds_that_make(experiment, |what| port.fits(what));
    let is_sound = |key: String| faults.sound(&[&key]);
    if made_or_given
        || !is_sound(format!("stages.{}.{role}", stage.name))
        || !is_sound(format!("{role}.model"))
        || !makers.iter().all(|kind| is_sound(format!("stages.{kind}")))
    {
        return;
    }
    let (message, random) = if port.is_trained {
        let message = format!("`{}` has no {role} to start from", stage.name);
        (
            message,
            format!(", or set `{role} = \"random\"` in this stage"),
        )
    } else {
        (format!("`{}` has no {role}", stage.name), String::new())
    };
    let fault = Fault::new(message, stage.header.clone());
    if port.of == Role::Teacher && !experiment.has_teacher() {
        let hint = "add `[teacher]` with a `model`, or remove this stage";
        let fault = fault.with_label("`teacher-predictions` is for `td-phase2` only");
        faults.unfit(fault.with_hint(Some(hint.to_owned())));
        return;
    }
    let first = makers.first().copied().unwrap_or_default();
    let hint = format!("add `[stages.{first}]`, set `model` in `[{role}]` to a folder{random}");
    let fault = fault.with_label(format!("no earlier stage produces a {role}"));
    faults.unfit(fault.with_hint(hint));
}

fn check_cycles(experiment: &Experiment, faults: &Collector) {
    let mut done = Vec::new();
    for stage in &experiment.stages {
        let mut path = vec![stage.name.clone()];
        if let Some(cycle) = find_cycle(experiment, &mut path, &mut done) {
            let path: Vec<&str> = cycle.iter().map(StageName::as_str).collect();
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
    let name = path.last()?.clone();
    for next in experiment.depends_on(experiment.stages.get(name.as_str())?) {
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
    done.push(name);
    None
}

/// Place of the key that names a stage not before its own. Defaults only look back, so every
/// cycle has such a key.
fn closing_key(experiment: &Experiment, cycle: &[StageName]) -> Option<Span> {
    let place = |name: &StageName| experiment.stages.position(name.as_str());
    cycle.windows(2).find_map(|pair| {
        let (name, next) = (&pair[0], &pair[1]);
        let stage = experiment.stages.get(name.as_str())?;
        let keys = model_ports(experiment, stage).filter_map(|port| port_key(stage, port));
        let names_it =
            |source: &&Located<ModelSource>| source.value == ModelSource::Stage(next.clone());
        let key = { keys }.find(names_it)?;
        (place(next) >= place(name)).then(|| key.span.clone())?
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
            ]),
            [
                "--set:1:26: `data-prep` cannot be the `student` of `td-phase1`",
                "--set:1:26: `eval` cannot be the `teacher` of `td-phase1`",
                "--set:1:26: `finetune` cannot be the `student` of `td-phase2`",
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
