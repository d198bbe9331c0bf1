//! What the student of `[student]` starts from, and what is made of it: `model`, `layers` and the dropouts beside them.

use super::checkpoint_keys::{names_checkpoint, same_path};
use super::origin::Origin;
use super::ports::Role;
use super::stage::Stage;
use super::stage_name::StageName;
use super::top::Experiment;
use crate::document::{Collector, Fault, Located, alternatives};
use crate::job::Word;
use crate::model::Stated;

impl Experiment {
    /// The model that a student starts from where no stage has trained one; `None` for random weights.
    pub(crate) fn start_of_student(&self) -> Option<Located<Origin>> {
        let model = self.student.model.as_ref()?;
        let whole = match self.fine_tuning_named(model) {
            Some(name) => Origin::Stage(name),
            None => Origin::Folder(model.value.clone()),
        };
        let start = match &self.student.layers {
            Some(layers) => Origin::Layers {
                of: Box::new(whole),
                layers: layers.value.clone(),
            },
            None => whole,
        };
        Some(model.clone().map(|_| start))
    }

    /// `model` in `[student]` where it is a folder or a checkpoint, and not a stage.
    pub(crate) fn student_folder(&self) -> Option<&Located<String>> {
        let model = self.student.model.as_ref()?;
        self.fine_tuning_named(model).is_none().then_some(model)
    }

    /// The folder that a stage's student started from, in that stage or an earlier one; `None` for random weights and
    /// for a start from the fine-tuned teacher.
    pub(crate) fn folder_of_student(&self, stage: &Stage) -> Option<String> {
        self.folder_behind(self.origin_of(stage, Role::Student)?.value)
    }

    /// The same for a model: its own folder, or that of the student that became it.
    pub(crate) fn folder_behind(&self, model: Origin) -> Option<String> {
        match model.whole() {
            Origin::Folder(folder) => Some(folder),
            Origin::Stage(name) => {
                let maker = self.stages.get(name.as_str())?;
                // Reading the file has refused cycles.
                let is_student = maker.makes_model_of()? == Role::Student;
                is_student.then(|| self.folder_of_student(maker))?
            }
            Origin::Random | Origin::Layers { .. } => None,
        }
    }

    /// Whether the student starts from the model that a stage takes as its teacher, fine-tuned or not: then it has
    /// layers of that teacher.
    pub(super) fn starts_from_teacher_of(&self, stage: &Stage) -> bool {
        let start = self.start_of_student().map(|start| start.value);
        let teacher = self.origin_of(stage, Role::Teacher);
        let [start, teacher] =
            [start, teacher.map(|it| it.value)].map(|model| self.fine_tuned_from(model?));
        matches!((start, teacher), (Some(start), Some(teacher)) if same_path(&start, &teacher))
    }

    /// The folder or checkpoint that a model is, or was fine-tuned from.
    fn fine_tuned_from(&self, model: Origin) -> Option<String> {
        match model.whole() {
            Origin::Folder(path) => Some(path),
            Origin::Stage(name) => {
                let stage = self
                    .stages
                    .get(self.fine_tuning_named(name.as_str())?.as_str())?;
                // Reading the file has refused cycles.
                self.fine_tuned_from(self.origin_of(stage, Role::Teacher)?.value)
            }
            Origin::Random | Origin::Layers { .. } => None,
        }
    }

    /// The stage of this name, if it trains the teacher.
    fn fine_tuning_named(&self, name: &str) -> Option<StageName> {
        let stage = self.stages.get(name)?;
        (stage.makes_model_of()? == Role::Teacher).then(|| stage.name.clone())
    }

    /// What holds for the model that a stage takes for a role, beside its files.
    pub(crate) fn stated_of(&self, stage: &Stage, role: Role) -> Stated {
        let origin = self.origin_of(stage, role);
        origin.map_or_else(Stated::default, |origin| self.stated_as(role, origin.value))
    }

    /// The same for a model that a stage takes from somewhere.
    pub(crate) fn stated_as(&self, role: Role, origin: Origin) -> Stated {
        match (origin, role) {
            (Origin::Folder(path), Role::Teacher) => self.stated(role, &path),
            (origin, Role::Student) => self.stated_start(&origin),
            _ => Stated::default(),
        }
    }

    /// The same for what a student comes from. The dropouts hold for every student that was not made from it
    /// before.
    pub(super) fn stated_start(&self, origin: &Origin) -> Stated {
        let dropouts = || {
            let all = self.student.checkpoint.0.stated();
            Stated {
                hidden_dropout_prob: all.hidden_dropout_prob,
                attention_probs_dropout_prob: all.attention_probs_dropout_prob,
                ..Stated::default()
            }
        };
        match origin {
            Origin::Folder(path) if names_checkpoint(path) => self.stated(Role::Student, path),
            Origin::Folder(_) => dropouts(),
            Origin::Stage(name) if self.fine_tuning_named(name.as_str()).is_some() => dropouts(),
            Origin::Stage(_) | Origin::Random => Stated::default(),
            Origin::Layers { of, layers } => Stated {
                layers: layers.clone(),
                ..self.stated_start(of)
            },
        }
    }
}

/// `layers` of nothing, or a `model` that is a stage and no start of a student.
pub(super) fn check(experiment: &Experiment, faults: &Collector) {
    let student = &experiment.student;
    if let Some(layers) = &student.layers {
        let fault = |message: &str| Fault::new(message.to_owned(), layers.span.clone());
        if layers.value.is_empty() {
            faults.unfit(fault("`layers` in `[student]` is empty"));
        } else if student.model.is_none() && faults.sound(&["student.model"]) {
            let fault = fault("`layers` in `[student]` needs `model`");
            let hint = "set `model` to the model that they are of, or to the stage that fine-tunes the teacher";
            faults.unfit(fault.with_hint(Some(hint.to_owned())));
        }
    }
    let Some(model) = &student.model else {
        return;
    };
    let (own, teachers) = (student.head, experiment.teacher.head);
    if experiment.student_folder().is_none() && own != teachers {
        let [own, teachers] = [own, teachers].map(Word::as_str);
        let message = format!(
            "the student starts from the fine-tuned teacher, whose `head` is `{teachers}`, and its own is `{own}`"
        );
        let hint = format!("set `head = \"{teachers}\"` in `[student]`");
        faults.unfit(Fault::new(message, model.span.clone()).with_hint(Some(hint)));
    }
    let named = experiment.stages.get(model).map(|stage| stage.kind);
    let Some(kind) = named.or_else(|| experiment.stages.kinds.get(model)) else {
        return;
    };
    let is_teacher = |what| {
        matches!(
            what,
            super::ports::What::Model {
                of: Role::Teacher,
                ..
            }
        )
    };
    let makes_teacher = kind.makes().iter().any(|made| is_teacher(made.what));
    if named.is_some() && !makes_teacher {
        let message = format!("`{}` cannot be the `model` of `[student]`", model.value);
        let kinds = experiment.stages.kinds.that_make(is_teacher);
        let label = format!("expected {}, or a folder", alternatives(kinds));
        faults.unfit(Fault::new(message, model.span.clone()).with_label(label));
    } else if named.is_none()
        && makes_teacher
        && faults.sound(&[&format!("stages.{}", model.value)])
    {
        let message = format!(
            "`model` in `[student]` is `{}`, but that stage is not in the file",
            model.value
        );
        let hint = format!(
            "add `[stages.{0}]`, or name a folder as `./{0}`",
            model.value
        );
        faults.unfit(Fault::new(message, model.span.clone()).with_hint(Some(hint)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, pipeline, read_with};
    use super::*;

    fn origin(experiment: &Experiment, stage: &str) -> Origin {
        let stage = experiment.stages.get(stage).unwrap();
        experiment.origin_of(stage, Role::Student).unwrap().value
    }

    fn layers(of: Origin) -> Origin {
        Origin::Layers {
            of: Box::new(of),
            layers: vec![0, 2],
        }
    }

    #[test]
    fn layers_are_kept_by_the_first_stage_alone() {
        let sets = ["student.model=models/small", "student.layers=[0, 2]"];
        let experiment = read_with(&pipeline(), &sets).unwrap();
        let start = layers(Origin::Folder("models/small".to_owned()));
        assert_eq!(origin(&experiment, "general-distill"), start);
        let next = Origin::Stage(StageName::new("general-distill"));
        assert_eq!(origin(&experiment, "td-phase1"), next);
        let stated = |stage: &str| {
            let stage = experiment.stages.get(stage).unwrap();
            experiment.stated_of(stage, Role::Student)
        };
        assert_eq!(stated("general-distill").layers, [0, 2]);
        assert!(stated("td-phase1").is_empty() && stated("td-phase2").is_empty());
    }

    #[test]
    fn a_student_may_start_from_the_fine_tuned_teacher() {
        let sets = ["student.model=finetune", "student.layers=[0, 2]"];
        let experiment = read_with(&pipeline(), &sets).unwrap();
        let start = layers(Origin::Stage(StageName::new("finetune")));
        assert_eq!(origin(&experiment, "general-distill"), start);
        let stage = experiment.stages.get("general-distill").unwrap();
        let expected = ["finetune", "corpus-prep"];
        let mut found = experiment.depends_on(stage);
        found.sort_by_key(|name| expected.iter().position(|it| *name == *it));
        assert_eq!(found, expected);
        assert!(experiment.starts_from_teacher_of(stage));
        assert_eq!(experiment.student_folder(), None);
    }

    #[test]
    fn layers_are_the_teachers_however_its_path_is_written_and_of_no_other_teacher() {
        let is_teachers = |sets: &[&str]| {
            let sets = [&["student.layers=[0, 2]"], sets].concat();
            let experiment = read_with(&pipeline(), &sets).unwrap();
            let stage = experiment.stages.get("td-phase1").unwrap();
            experiment.starts_from_teacher_of(stage)
        };
        let other = "stages.td-phase1.teacher=models/other";
        for model in ["models/teacher", "./models/teacher/", "finetune"] {
            let model = format!("student.model={model}");
            assert!(is_teachers(&[&model]), "{model}");
            assert!(!is_teachers(&[&model, other]), "{model}");
        }
        assert!(!is_teachers(&["student.model=models/other"]));
        assert!(is_teachers(&["student.model=models/other", other]));
    }

    #[test]
    fn dropouts_hold_for_what_the_student_starts_from() {
        let dropout = "student.hidden-dropout-prob=0.0";
        for model in ["models/small", "finetune"] {
            let sets = [&format!("student.model={model}"), dropout];
            let experiment = read_with(&pipeline(), &sets).unwrap();
            let stated = |stage: &str, role| {
                let stage = experiment.stages.get(stage).unwrap();
                experiment.stated_of(stage, role).hidden_dropout_prob
            };
            assert_eq!(stated("general-distill", Role::Student), Some(0.0));
            assert_eq!(stated("general-distill", Role::Teacher), None);
            assert_eq!(stated("td-phase1", Role::Student), None);
        }
    }

    #[test]
    fn what_cannot_be_a_start_is_refused() {
        let found = |sets: &[&str]| faults(&pipeline(), sets);
        assert_eq!(
            found(&["student.layers=[0]"]),
            ["--set:1:16: `layers` in `[student]` needs `model`"]
        );
        assert_eq!(
            found(&["student.layers=[]", "student.model=models/small"]),
            ["--set:1:16: `layers` in `[student]` is empty"]
        );
        assert_eq!(
            found(&["student.model=td-phase1"]),
            ["--set:1:15: `td-phase1` cannot be the `model` of `[student]`"]
        );
        let relu = ["student.model=finetune", "teacher.head=relu"];
        assert_eq!(
            found(&relu),
            [
                "--set:1:15: the student starts from the fine-tuned teacher, whose `head` is `relu`, and its own is `plain`"
            ]
        );
        assert!(read_with(&pipeline(), &[relu[0], relu[1], "student.head=relu"]).is_ok());
        let text = pipeline().replace("[stages.finetune]", "[stages.other]\nkind = \"finetune\"");
        let experiment = read_with(&text, &["student.model=other"]).unwrap();
        assert_eq!(experiment.student_folder(), None);
        assert_eq!(
            faults(&text, &["student.model=finetune"]),
            ["--set:1:15: `model` in `[student]` is `finetune`, but that stage is not in the file"]
        );
    }
}
