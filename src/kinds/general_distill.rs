//! `general-distill`: a student from text without labels.

use std::sync::Arc;

use super::corpus_prep::CorpusPrep;
use crate::experiment::settings::{Settings, settings};
use crate::experiment::{
    Artifact, Corpus, Counts, Distill, ModelPort, Part, Port, Prepared, Role, Sources,
    StageDefaults, StageKind, StageName, StageSettings, TableKeys, Task, Teaching, Training, Wants,
};
use crate::job::{HeadKind, WeightDtype};
use crate::stage::{Activity, Lesson, Place, StageError, Work, layer_objective, training_files};

pub(super) struct GeneralDistill;

settings! {
    /// `[stages.general-distill]`
    pub(super) struct Keys(stage, defaults: StageDefaults) {
        /// Text to train on.
        group corpus: Corpus = &defaults.recipe;
        /// Common settings.
        group training: Training = &defaults.training(Part::General);
        /// Losses.
        group distill: Distill = &defaults.recipe;
        /// How the teacher is run.
        group teaching: Teaching = &defaults.recipe;
        /// Models.
        group sources: Sources = &();
    }
}

impl StageKind for GeneralDistill {
    fn name(&self) -> &'static str {
        "general-distill"
    }

    fn preparation(&self, stage: &StageName, keys: &dyn StageSettings) -> Option<Prepared> {
        let corpus: &Corpus = keys.keys();
        let name = if *stage == *self.name() {
            CorpusPrep.name().to_owned()
        } else {
            format!("{stage}-corpus")
        };
        Some(Prepared {
            name: StageName::new(&name),
            by: &CorpusPrep,
            keys: Arc::new(corpus.clone()),
        })
    }

    fn keys(&self) -> Option<TableKeys> {
        Some(TableKeys::of::<Keys>())
    }

    fn example(&self) -> &'static str {
        "{ corpus = [\"corpus/*.txt\"] }"
    }

    fn ports(&self, _: &Task, _: &dyn StageSettings) -> Vec<Port> {
        let corpus = Port {
            role: "corpus",
            wants: Wants::Text,
        };
        let teacher = ModelPort::used(Role::Teacher).given();
        let student = ModelPort::trained(Role::Student).or_random();
        vec![corpus, teacher.port(), student.port()]
    }

    fn makes(&self) -> Vec<Artifact> {
        vec![Artifact::model(Role::Student, false)]
    }

    fn counts(&self) -> Vec<Counts> {
        vec![
            Counts::Trained,
            // In the artifact of corpus-prep.
            Counts::Without(Corpus::names),
            // It writes fp32 always.
            Counts::StudentInTraining { without: "dtype" },
            Counts::LayerMap,
        ]
    }
}

impl Work for GeneralDistill {
    fn activity<'a>(&self, place: &'a Place<'_>) -> Result<Activity<'a>, StageError> {
        let keys: &Keys = place.stage().keys();
        Lesson {
            training: &keys.training,
            scoring: None,
            rows: "corpus",
            objective: layer_objective(&keys.distill, place),
            trains: Role::Student,
            teaching: Some(&keys.teaching),
            task_teacher: None,
            // It is asked for no answer.
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
