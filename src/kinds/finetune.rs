//! `finetune`: makes the teacher.

use crate::experiment::settings::settings;
use crate::experiment::{
    Artifact, Counts, ModelPort, Part, Port, Role, StageDefaults, StageKind, StageSettings,
    TableKeys, Task, Training,
};
use crate::job::{HeadKind, Objective, Scoring, WeightDtype};
use crate::stage::{Activity, Lesson, Place, StageError, Work, training_files};

pub(super) struct Finetune;

settings! {
    /// `[stages.finetune]`
    pub(super) struct Keys(stage, defaults: StageDefaults) {
        /// Common settings.
        group training: Training = &defaults.training(Part::Finetuning);
        /// Scoring on dev.
        group scoring: Scoring = &();
    }
}

impl StageKind for Finetune {
    fn name(&self) -> &'static str {
        "finetune"
    }

    fn keys(&self) -> Option<TableKeys> {
        Some(TableKeys::of::<Keys>())
    }

    fn ports(&self, _: &Task, _: &dyn StageSettings) -> Vec<Port> {
        let teacher = ModelPort::trained(Role::Teacher).with_classifier().given();
        vec![Port::rows("train"), Port::rows("dev"), teacher.port()]
    }

    fn makes(&self) -> Vec<Artifact> {
        vec![Artifact::model(Role::Teacher, true)]
    }

    fn counts(&self) -> Vec<Counts> {
        vec![
            Counts::Trained,
            Counts::TeacherInTraining,
            Counts::Selection(Role::Teacher),
        ]
    }
}

impl Work for Finetune {
    fn activity<'a>(&self, place: &'a Place<'_>) -> Result<Activity<'a>, StageError> {
        let keys: &Keys = place.stage().keys();
        let objective = if place.experiment.task.regression {
            Objective::Values
        } else {
            Objective::Labels
        };
        Lesson {
            training: &keys.training,
            scoring: Some(&keys.scoring),
            rows: "train",
            objective,
            trains: Role::Teacher,
            teaching: None,
            task_teacher: None,
            teacher_head: HeadKind::Plain,
            teachers: None,
            dtype: WeightDtype::Fp32,
        }
        .activity(place)
    }

    fn promised(&self, place: &Place<'_>) -> Vec<&'static str> {
        training_files(place)
    }
}
