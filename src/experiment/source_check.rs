//! The models that stages start or learn from: that they are there, can be used, and form no cycle.

use super::origin::{Origin, port_key};
use super::ports::{ModelPort, Role, Unconnected};
use super::schema::{ModelSource, RANDOM};
use super::stage::Stage;
use super::stage_name::StageName;
use super::top::Experiment;
use crate::document::{Collector, Fault, Located, Span, alternatives, did_you_mean};

/// Checks every model of every stage.
pub(super) fn check(experiment: &Experiment, faults: &Collector) {
    let before = faults.count();
    for stage in &experiment.stages {
        for port in stage.model_ports(&experiment.task) {
            check_source(experiment, stage, port, faults);
            check_model(experiment, stage, port, faults);
        }
    }
    // A source that is wrong by itself is not worth a second fault for the cycle it makes.
    if faults.count() == before {
        check_cycles(experiment, faults);
    }
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
        let allowed = experiment.stages.kinds.that_make(|what| port.fits(what));
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
    let makers = experiment.stages.kinds.that_make(|what| port.fits(what));
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
        let mut keys = stage
            .model_ports(&experiment.task)
            .filter_map(|port| port_key(stage, port));
        let key = keys.find(|source| source.value == ModelSource::Stage(next.clone()))?;
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
