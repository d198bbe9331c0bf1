//! `teachers` of a stage beside keys of other tables, and the stages that it names.

use super::schema::ModelSource;
use super::sources::TeacherSource;
use super::stage::Stage;
use super::teachers::Teachers;
use super::top::Experiment;
use crate::document::{Collector, Fault, Located};
use crate::job::TeacherMean;

/// `teachers` beside another source of the same, or of later stages, or with a mean that the task does not have.
pub(super) fn check(experiment: &Experiment, faults: &Collector) {
    for (stage, own) in experiment.stages.with::<Teachers>() {
        let Some(teachers) = &own.teachers else {
            continue;
        };
        let table = format!("`[stages.{}]`", stage.name);
        let fault = |message: String| Fault::new(message, teachers.span.clone());
        let single = stage.get::<TeacherSource>();
        if single.is_some_and(|single| single.teacher.is_some()) {
            let message = format!("`teachers` and `teacher` in {table} cannot be combined");
            let hint = "name all teachers in `teachers`, and remove `teacher`".to_owned();
            faults.unfit(fault(message).with_hint(hint));
        }
        if experiment.task.teacher_predictions.is_some() {
            let message = format!(
                "`teachers` in {table} and `teacher-predictions` in `[task]` cannot be combined"
            );
            let hint =
                "remove one of them: predictions in a file stand in for the teacher's logits";
            faults.unfit(fault(message).with_hint(hint.to_owned()));
        }
        check_order(experiment, stage, teachers, faults);
        let mean = &own.teacher_mean;
        if experiment.task.regression && **mean == TeacherMean::Probabilities {
            let message = format!(
                "`teacher-mean` in {table} is `probabilities`, but a regression has values"
            );
            let fault = Fault::new(message, mean.span.clone());
            faults.unfit(fault.with_hint("remove the key, for the mean of the values".to_owned()));
        }
    }
}

/// Stages that are no earlier ones.
fn check_order(
    experiment: &Experiment,
    stage: &Stage,
    teachers: &[Located<ModelSource>],
    faults: &Collector,
) {
    let place = |name: &str| experiment.stages.position(name);
    for teacher in teachers {
        let ModelSource::Stage(name) = &teacher.value else {
            continue;
        };
        let is_there = experiment.stages.get(name.as_str()).is_some();
        if is_there && place(name.as_str()) >= place(stage.name.as_str()) {
            let message = format!(
                "`{name}` in `teachers` of `{}` does not come before it",
                stage.name
            );
            let fault = Fault::new(message, teacher.span.clone());
            let hint = "name an earlier stage: they run by kind, and those of one kind in the order of the file";
            faults.unfit(fault.with_hint(hint.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::origin::Origin;
    use super::super::ports::Role;
    use super::super::testing::{MINIMAL, faults, pipeline, read_with};
    use super::super::to_toml;
    use super::*;
    use crate::kinds::KINDS;

    /// Faults of the pipeline with two fine-tuned teachers and keys of phase 2.
    fn with(keys: &[&str]) -> Vec<String> {
        let second = "stages.second={ kind = \"finetune\" }".to_owned();
        let keys = keys.iter().map(|key| match key.split_once('.') {
            Some(("task" | "stages", _)) => (*key).to_owned(),
            _ => format!("stages.td-phase2.{key}"),
        });
        let sets: Vec<String> = std::iter::once(second).chain(keys).collect();
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        faults(&pipeline(), &sets)
    }

    const BOTH: &str = "teachers=[\"finetune\", \"second\"]";

    #[test]
    fn each_fault_of_a_list_is_at_its_key() {
        assert!(with(&[BOTH]).is_empty());
        assert!(with(&["teachers=[\"second\"]"]).is_empty());
        for (list, at, text) in [
            ("[]", 27, "is an empty list"),
            ("[\"second\", \"second\"]", 38, "has `second` twice"),
            ("[\"a/b\", \"./a/b/\"]", 35, "has `./a/b/` twice"),
        ] {
            let set = format!("teachers={list}");
            let sentence = format!("`teachers` in `[stages.td-phase2]` {text}");
            assert_eq!(with(&[&set]), [format!("--set:1:{at}: {sentence}")]);
        }
        let nine: Vec<String> = (0..9).map(|nth| format!("\"m/{nth}\"")).collect();
        let found = with(&[&format!("teachers=[{}]", nine.join(", "))]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("has 9 entries, at most 8"), "{found:?}");
        assert_eq!(
            with(&["teachers=[\"finetune\", \"secnd\"]"]),
            ["--set:1:40: unknown stage `secnd`"]
        );
        assert_eq!(
            with(&["teachers=[\"finetune\", \"data-prep\"]"]),
            ["--set:1:40: `data-prep` cannot be the `teacher` of `td-phase2`"]
        );
    }

    #[test]
    fn a_later_stage_cannot_teach() {
        let later = "stages.later={ kind = \"td-phase2\", student = \"m/s\" }";
        assert_eq!(
            with(&[later, "teachers=[\"finetune\", \"later\"]"]),
            ["--set:1:40: `later` in `teachers` of `td-phase2` does not come before it"]
        );
        let own = with(&["teachers=[\"finetune\", \"td-phase2\"]"]);
        assert!(own[0].contains("does not come before it"), "{own:?}");
        let earlier = "stages.later.teachers=[\"finetune\", \"td-phase2\"]";
        assert!(with(&[later, earlier]).is_empty());
    }

    #[test]
    fn weights_and_the_mean_belong_to_a_list() {
        for (key, name) in [
            ("teacher-weights=[1, 2]", "teacher-weights"),
            ("teacher-mean=probabilities", "teacher-mean"),
        ] {
            let message = format!("`{name}` in `[stages.td-phase2]` needs `teachers`");
            assert_eq!(with(&[key]), [format!("--set:1:18: {message}")]);
            assert!(with(&[BOTH, key]).is_empty());
        }
        let found = with(&[BOTH, "teacher-weights=[1, 2, 3]"]);
        assert!(found[0].ends_with("has 3 entries, expected 2"), "{found:?}");
        for wrong in ["[1, 0]", "[1, -1]"] {
            let found = with(&[BOTH, &format!("teacher-weights={wrong}")]);
            assert_eq!(found.len(), 1, "{found:?}");
        }
    }

    #[test]
    fn another_source_of_the_same_is_refused_beside_a_list() {
        let found = with(&[BOTH, "teacher=finetune"]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("`teachers` and `teacher` in"),
            "{found:?}"
        );
        let found = with(&[BOTH, "task.teacher-predictions=answers.csv"]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("`teacher-predictions` in `[task]`"),
            "{found:?}"
        );
        let values = ["task.regression=true", BOTH];
        assert!(with(&values).is_empty());
        let found = with(&[&values[..], &["teacher-mean=probabilities"]].concat());
        assert!(found[0].contains("a regression has values"), "{found:?}");
    }

    #[test]
    fn a_list_is_read_again_from_what_is_written() {
        let sets = [
            "stages.td-phase2.teachers=[\"finetune\", \"models/large\"]",
            "stages.td-phase2.teacher-weights=[1, 3]",
        ];
        let experiment = read_with(&pipeline(), &sets).unwrap();
        let stage = experiment.stages.get("td-phase2").unwrap();
        let own: &Teachers = stage.keys();
        assert_eq!(own.shares(), Some(vec![0.25, 0.75]));
        let names = own.names().unwrap();
        assert_eq!(names, ["finetune", "models/large"]);
        let roles: Vec<_> = experiment.models_of(stage);
        let roles: Vec<_> = roles.iter().map(|(port, _)| port.role()).collect();
        assert_eq!(roles, ["teacher", "teacher-2", "student"]);
        let resolved = to_toml(&experiment);
        let again = Experiment::read(KINDS, "y.toml", "y", &resolved, &[]);
        assert_eq!(again.unwrap().0, experiment);
    }

    #[test]
    fn one_teacher_of_a_list_is_a_single_one() {
        let sets = [
            "stages.td-phase2.teachers=[\"models/large\"]",
            "student.model=m/s",
        ];
        let experiment = read_with(MINIMAL, &sets).unwrap();
        let stage = experiment.stages.get("td-phase2").unwrap();
        assert_eq!(stage.keys::<Teachers>().shares(), None);
        assert_eq!(stage.keys::<Teachers>().names(), None);
        let origin = experiment.origin_of(stage, Role::Teacher).unwrap();
        let folder = Origin::Folder("models/large".to_owned());
        assert_eq!(origin.value, folder);
    }
}
