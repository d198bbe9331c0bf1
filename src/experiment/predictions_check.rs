//! What an experiment has in place of a teacher model, and keys that do not go with that.

use super::predictions::learns_from_predictions;
use super::top::Experiment;
use super::unlabelled::UnlabelledUse;
use crate::document::{Collector, Fault, Located};

impl Experiment {
    /// Whether there is a model of `[teacher]`. A student that learns from `teacher-predictions` needs none.
    pub(crate) fn has_teacher(&self) -> bool {
        self.task.teacher_predictions.is_none() || self.teacher.model.span.is_some()
    }

    /// The model whose tokenizer cuts all text: that of `[teacher]`, or else of `[student]`.
    pub(crate) fn tokenizer_model(&self) -> &Located<String> {
        let teacher = &self.teacher.model;
        match &self.student.model {
            Some(student) if !self.has_teacher() => student,
            _ => teacher,
        }
    }

    /// Whether a stage learns from answers to texts without labels.
    pub(crate) fn answers_unlabelled(&self) -> bool {
        self.stages.iter().any(|stage| {
            learns_from_predictions(&self.task, &*stage.settings)
                && UnlabelledUse::of_stage(&self.task, stage).is_some()
        })
    }
}

/// Answers to data without text, and a tokenizer that nobody brings.
pub(super) fn check(experiment: &Experiment, faults: &Collector) {
    let Some(predictions) = &experiment.task.teacher_predictions else {
        return;
    };
    let fault = |message: &str| Fault::new(message.to_owned(), predictions.span.clone());
    if !experiment.task.is_table() {
        faults.unfit(fault(
            "`teacher-predictions` in `[task]` needs tables, the data are records",
        ));
    }
    let is_sound = faults.sound(&["teacher", "teacher.model", "student.model"]);
    if !experiment.has_teacher() && experiment.student_folder().is_none() && is_sound {
        let fault = fault("without `[teacher]`, `[student]` needs a `model` with a tokenizer");
        let hint = "set `model` in `[student]` to a folder, or add `[teacher]` with a `model`";
        faults.unfit(fault.with_hint(Some(hint.to_owned())));
    }
}

#[cfg(test)]
mod tests {
    use super::super::ports::{Role, Wants};
    use super::super::testing::{MINIMAL, faults, pipeline, read_with};
    use super::super::to_toml;
    use super::*;
    use crate::data::{ALL_PREDICTIONS, TRAIN_PREDICTIONS};
    use crate::kinds::KINDS;

    const FILE: &str = "task.teacher-predictions=answers.csv";
    const TEXTS: &str = "task.unlabelled=[\"more.txt\"]";

    /// The answers that phase 2 learns from, and whether it takes a teacher.
    fn taken(sets: &[&str]) -> (Option<&'static str>, bool) {
        let experiment = read_with(&pipeline(), sets).unwrap();
        let stage = experiment.stages.get("td-phase2").unwrap();
        let mut answers = None;
        for port in stage.ports(&experiment.task) {
            if let Wants::Predictions(name) = port.wants {
                answers = Some(name);
            }
        }
        let teacher = experiment.origin_of(stage, Role::Teacher);
        (answers, teacher.is_some())
    }

    #[test]
    fn answers_of_a_file_stand_in_for_the_teacher_of_phase_2() {
        assert_eq!(taken(&[]), (None, true));
        assert_eq!(taken(&[FILE]), (Some(TRAIN_PREDICTIONS), false));
        assert_eq!(taken(&[FILE, TEXTS]), (Some(ALL_PREDICTIONS), false));
        let without = "stages.td-phase2.unlabelled-limit=0";
        assert_eq!(
            taken(&[FILE, TEXTS, without]),
            (Some(TRAIN_PREDICTIONS), false)
        );
        // What names a model learns from it; labels alone need neither.
        assert_eq!(
            taken(&[FILE, "stages.td-phase2.teacher=finetune"]),
            (None, true)
        );
        let labels = [
            "stages.td-phase2.soft-loss-weight=0",
            "stages.td-phase2.hard-label-weight=1",
        ];
        assert_eq!(taken(&[&[FILE][..], &labels].concat()), (None, true));
        let experiment = read_with(&pipeline(), &[FILE]).unwrap();
        let phase1 = experiment.stages.get("td-phase1").unwrap();
        assert!(experiment.origin_of(phase1, Role::Teacher).is_some());
    }

    #[test]
    fn phase_2_needs_no_teacher_table_and_its_settings_read_again() {
        let text = MINIMAL.replace("[teacher]\nmodel = \"models/teacher\"", "");
        let text = format!(
            "{text}[student]\nmodel = \"models/small\"\n[stages.td-phase2]\n[stages.eval]\n"
        );
        assert!(faults(&text, &[])[0].contains("missing table `[teacher]`"));
        let experiment = read_with(&text, &[FILE]).unwrap();
        assert!(!experiment.has_teacher());
        assert_eq!(experiment.tokenizer_model().value, "models/small");
        let eval = experiment.stages.get("eval").unwrap();
        assert_eq!(experiment.origin_of(eval, Role::Teacher), None);
        let resolved = to_toml(&experiment);
        assert!(!resolved.contains("[teacher]"), "{resolved}");
        let again = Experiment::read(KINDS, "y.toml", "y", &resolved, &[])
            .unwrap()
            .0;
        assert_eq!(again, experiment);
    }

    #[test]
    fn what_needs_a_teacher_is_refused_without_one() {
        let text = MINIMAL.replace("[teacher]\nmodel = \"models/teacher\"", "");
        let student = "[student]\nmodel = \"models/small\"\n";
        let all =
            format!("{text}{student}[stages.finetune]\n[stages.td-phase1]\n[stages.td-phase2]\n");
        let found = faults(&all, &[FILE]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with("`finetune` has no teacher to start from"));
        let found = faults(&all.replace("[stages.finetune]\n", ""), &[FILE]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with("`td-phase1` has no teacher"));
        let bare = format!("{text}[stages.td-phase2]\nstudent = \"random\"\n");
        assert_eq!(
            faults(&bare, &[FILE]),
            ["--set:1:26: without `[teacher]`, `[student]` needs a `model` with a tokenizer"]
        );
        let records = [FILE, "task.format=tfrecord"];
        let found = faults(&pipeline(), &records);
        assert!(
            found[0].contains("`teacher-predictions` in `[task]` needs tables"),
            "{found:?}"
        );
    }
}
