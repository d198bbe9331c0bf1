//! `td-phase1`: task distillation of intermediate layers.

use crate::experiment::settings::settings;
use crate::experiment::{
    Artifact, Counts, Distill, ModelPort, Part, Port, Role, Sources, StageDefaults, StageKind,
    StageSettings, TableKeys, Task, TaskTeacher, Teaching, Training, UnlabelledUse,
};
use crate::job::WeightDtype;
use crate::stage::{Activity, Lesson, Place, StageError, Work, layer_objective, training_files};

pub(super) struct TdPhase1;

settings! {
    /// `[stages.td-phase1]`
    pub(super) struct Keys(stage, defaults: StageDefaults) {
        /// Common settings.
        group training: Training = &defaults.training(Part::Phase1);
        /// Losses.
        group distill: Distill = &defaults.recipe;
        /// How the teacher is run.
        group teaching: Teaching = &defaults.recipe;
        /// Check and cache of the teacher.
        group task_teacher: TaskTeacher = &();
        /// Text without labels.
        group unlabelled: UnlabelledUse = &();
        /// Models.
        group sources: Sources = &();
    }
}

impl StageKind for TdPhase1 {
    fn name(&self) -> &'static str {
        "td-phase1"
    }

    fn keys(&self) -> Option<TableKeys> {
        Some(TableKeys::of::<Keys>())
    }

    fn ports(&self, task: &Task, keys: &dyn StageSettings) -> Vec<Port> {
        let teacher = ModelPort::used(Role::Teacher);
        let student = ModelPort::trained(Role::Student);
        vec![Port::train(task, keys), teacher.port(), student.port()]
    }

    fn makes(&self) -> Vec<Artifact> {
        vec![Artifact::model(Role::Student, false)]
    }

    fn counts(&self) -> Vec<Counts> {
        vec![
            Counts::Trained,
            // It writes fp32 always.
            Counts::StudentInTraining { without: "dtype" },
            Counts::LayerMap,
        ]
    }
}

impl Work for TdPhase1 {
    fn activity<'a>(&self, place: &'a Place<'_>) -> Result<Activity<'a>, StageError> {
        let keys: &Keys = place.stage().keys();
        Lesson {
            training: &keys.training,
            scoring: None,
            rows: "train",
            objective: layer_objective(&keys.distill, place),
            trains: Role::Student,
            teaching: Some(&keys.teaching),
            task_teacher: Some(&keys.task_teacher),
            teacher_head: place.head(Role::Teacher),
            teachers: None,
            dtype: WeightDtype::Fp32,
        }
        .activity(place)
    }

    fn promised(&self, place: &Place<'_>) -> Vec<&'static str> {
        training_files(place)
    }
}
