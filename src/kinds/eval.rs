//! `eval`: scores of teacher and student.

use crate::document::Located;
use crate::experiment::settings::{key, settings};
use crate::experiment::{
    Artifact, Counts, ModelPort, Port, Role, Sources, StageDefaults, StageKind, StageSettings,
    TableKeys, Task,
};
use crate::job::{self, EvalModel, EvalSet, Evaluate};
use crate::stage::{Activity, Place, StageError, Work};

pub(super) struct Eval;

settings! {
    /// `[stages.eval]`
    pub(super) struct Keys(stage, none: StageDefaults) titled "Evaluation" {
        /// Batch size.
        counts batch_size: Located<u32> =
            key("batch-size").range(1..=65536).range_text("examples; 1 to 65536"), default 32;
        /// Models.
        group sources: Sources = &();
    }
}

/// Models in the order they are scored: speed is measured against the first.
const MODELS: [Role; 2] = [Role::Teacher, Role::Student];

/// What they are scored on, of what the task has, and the files that it leaves for each model.
const SPLITS: [(&str, [&str; 2]); 2] = [
    (
        "dev",
        ["predictions-teacher.csv", "predictions-student.csv"],
    ),
    (
        "dev-mismatched",
        [
            "predictions-teacher-dev-mismatched.csv",
            "predictions-student-dev-mismatched.csv",
        ],
    ),
];

impl StageKind for Eval {
    fn name(&self) -> &'static str {
        "eval"
    }

    fn keys(&self) -> Option<TableKeys> {
        Some(TableKeys::of::<Keys>())
    }

    fn ports(&self, task: &Task, _: &dyn StageSettings) -> Vec<Port> {
        let has_more = task.dev_mismatched.is_some();
        let splits = SPLITS.into_iter().take(if has_more { 2 } else { 1 });
        let rows = splits.map(|(split, _)| Port::rows(split));
        // A teacher is scored alone before there is a student.
        let models = MODELS.map(|role| ModelPort::used(role).with_classifier().or_none().port());
        rows.chain(models).collect()
    }

    fn makes(&self) -> Vec<Artifact> {
        let [(_, files), _] = SPLITS;
        let scores = MODELS.into_iter().zip(files);
        scores
            .map(|(of, file)| Artifact::scores(file, of))
            .collect()
    }

    fn counts(&self) -> Vec<Counts> {
        vec![
            // Scores are computed in fp32 whatever models are trained in.
            Counts::Fixed("precision", "fp32"),
            Counts::Own,
            Counts::Teacher,
            Counts::StudentHead,
        ]
    }
}

impl Work for Eval {
    fn activity<'a>(&self, place: &'a Place<'_>) -> Result<Activity<'a>, StageError> {
        let keys: &Keys = place.stage().keys();
        let models = MODELS.into_iter().filter_map(|role| {
            let name = role.as_str();
            Some(EvalModel {
                name: name.to_owned(),
                own_sets: SPLITS
                    .into_iter()
                    .filter_map(|(split, _)| place.scored_rows(role, split))
                    .collect(),
                folder: place.model(name)?,
                head: place.head(role),
            })
        });
        let sets = SPLITS.into_iter();
        let sets = sets.filter(|(split, _)| place.node.take(split).is_some());
        Ok(Activity::Kernel(job::Work::Evaluate(Evaluate {
            models: models.collect(),
            sets: sets
                .map(|(split, _)| EvalSet {
                    split: split.to_owned(),
                    data: place.artifact(split),
                })
                .collect(),
            batch_size: *keys.batch_size,
        })))
    }

    fn promised(&self, place: &Place<'_>) -> Vec<&'static str> {
        let splits = SPLITS.into_iter();
        splits
            .filter(|(split, _)| place.node.take(split).is_some())
            .flat_map(|(_, files)| MODELS.into_iter().zip(files))
            .filter(|(role, _)| place.model(role.as_str()).is_some())
            .map(|(_, file)| file)
            .collect()
    }
}
