//! `td-phase2`: task distillation of the prediction layer.

use crate::experiment::settings::settings;
use crate::experiment::{
    Artifact, Counts, ModelPort, Part, Port, Prediction, Role, Sources, StageDefaults, StageKind,
    StageSettings, TableKeys, Task, TaskTeacher, Teachers, Teaching, Training, UnlabelledUse,
};
use crate::job::{Objective, Scoring};
use crate::stage::{Activity, Lesson, Place, StageError, Work, training_files};

pub(super) struct TdPhase2;

settings! {
    /// `[stages.td-phase2]`
    pub(super) struct Keys(stage, defaults: StageDefaults) {
        /// Common settings.
        group training: Training = &defaults.training(Part::Phase2);
        /// Losses.
        group prediction: Prediction = &defaults.recipe;
        /// How the teacher is run.
        group teaching: Teaching = &defaults.recipe;
        /// Several teachers.
        group teachers: Teachers = &();
        /// Check and cache of the teacher.
        group task_teacher: TaskTeacher = &();
        /// Scoring on dev.
        group scoring: Scoring = &();
        /// Text without labels.
        group unlabelled: UnlabelledUse = &();
        /// Models.
        group sources: Sources = &();
    }
}

impl StageKind for TdPhase2 {
    fn name(&self) -> &'static str {
        "td-phase2"
    }

    fn keys(&self) -> Option<TableKeys> {
        Some(TableKeys::of::<Keys>())
    }

    fn ports(&self, task: &Task, keys: &dyn StageSettings) -> Vec<Port> {
        let student = ModelPort::trained(Role::Student).with_classifier();
        let learned = match Port::predictions(task, keys) {
            // The tokenizer, which a teacher brings along, is written beside the student.
            Some(predictions) => vec![predictions, Port::tokenizer()],
            None => Port::teachers(keys),
        };
        let rows = [Port::train(task, keys), Port::rows("dev")];
        rows.into_iter()
            .chain(learned)
            .chain([student.port()])
            .collect()
    }

    fn makes(&self) -> Vec<Artifact> {
        vec![Artifact::model(Role::Student, true)]
    }

    fn counts(&self) -> Vec<Counts> {
        vec![
            Counts::Trained,
            // It has no projection.
            Counts::StudentInTraining {
                without: "projection-initializer-range",
            },
            Counts::Teacher,
            Counts::Selection(Role::Student),
        ]
    }
}

impl Work for TdPhase2 {
    fn activity<'a>(&self, place: &'a Place<'_>) -> Result<Activity<'a>, StageError> {
        let keys: &Keys = place.stage().keys();
        let Prediction {
            temperature,
            reduction,
            soft_loss_weight,
            hard_label_weight,
            regression_target: target,
        } = keys.prediction;
        let objective = if place.experiment.task.regression {
            Objective::Regression { target }
        } else {
            Objective::Prediction {
                temperature,
                reduction,
                soft_loss_weight,
                hard_label_weight,
            }
        };
        Lesson {
            training: &keys.training,
            scoring: Some(&keys.scoring),
            rows: "train",
            objective,
            trains: Role::Student,
            teaching: Some(&keys.teaching),
            task_teacher: Some(&keys.task_teacher),
            teacher_head: place.head(Role::Teacher),
            teachers: Some(&keys.teachers),
            dtype: place.experiment.student.dtype,
        }
        .activity(place)
    }

    fn promised(&self, place: &Place<'_>) -> Vec<&'static str> {
        training_files(place)
    }
}
