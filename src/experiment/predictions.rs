//! Answers of a teacher in files, and the stages that learn from them.

use super::distill::Prediction;
use super::ports::{Port, Wants};
use super::sources::TeacherSource;
use super::stage_settings::StageSettings;
use super::task::Task;
use super::teachers::Teachers;
use super::unlabelled::UnlabelledUse;
use crate::data::{ALL_PREDICTIONS, TRAIN_PREDICTIONS};
use crate::job::RegressionTarget;

/// What the answers are taken for.
pub(crate) const PREDICTIONS: &str = "predictions";

/// Whether a stage of these keys learns from `teacher-predictions` of the task. A stage that names a model as its
/// teacher learns from that.
pub(super) fn learns_from_predictions(task: &Task, keys: &dyn StageSettings) -> bool {
    let Some(prediction) = keys.get::<Prediction>() else {
        return false;
    };
    let names_model = || {
        let own = keys.get::<TeacherSource>();
        let several = keys.get::<Teachers>();
        own.is_some_and(|own| own.teacher.is_some())
            || several.is_some_and(|several| several.teachers.is_some())
    };
    let has_loss = if task.regression {
        prediction.regression_target == RegressionTarget::Teacher
    } else {
        prediction.soft_loss_weight > 0.0
    };
    task.teacher_predictions.is_some() && has_loss && !names_model()
}

impl Port {
    /// The answers to the rows that a stage trains on, where it learns from them.
    pub(crate) fn predictions(task: &Task, keys: &dyn StageSettings) -> Option<Self> {
        let answers = if UnlabelledUse::of(task, keys).is_some() {
            ALL_PREDICTIONS
        } else {
            TRAIN_PREDICTIONS
        };
        learns_from_predictions(task, keys).then_some(Self {
            role: PREDICTIONS,
            wants: Wants::Predictions(answers),
        })
    }
}
