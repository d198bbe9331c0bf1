//! `[stages.*]`: the groups of keys that each stage has.

use super::distill::{Distill, Prediction, Teaching};
use super::recipe::StageDefaults;
use super::schema::StageName;
use super::settings::{Settings, key, settings};
use super::sources::Sources;
use super::stage_keys::{Corpus, Scoring, TaskTeacher};
use super::training::Training;
use crate::document::{Located, Section};

/// Every stage, in pipeline order. A stage that is `None` is not run.
#[derive(Debug, Clone, PartialEq)]
pub struct Stages {
    /// Always run.
    pub data_prep: DataPrep,
    /// Makes the teacher.
    pub finetune: Option<Finetune>,
    /// Student from raw text.
    pub general_distill: Option<GeneralDistill>,
    /// Intermediate layers on task data.
    pub td_phase1: Option<TdPhase1>,
    /// Prediction layer on task data.
    pub td_phase2: Option<TdPhase2>,
    /// Scores of teacher and student.
    pub eval: Option<Eval>,
}

/// Reads `[stages]`.
pub(super) fn read(stages: &Section<'_>, defaults: &StageDefaults) -> Stages {
    fn table<T: Settings<Defaults = StageDefaults>>(
        stages: &Section<'_>,
        name: StageName,
        defaults: &StageDefaults,
    ) -> Option<T> {
        let stage = stages.section(name.as_str())?;
        Some(T::read_table(&stage, defaults))
    }
    let found = Stages {
        data_prep: table(stages, StageName::DataPrep, defaults).unwrap_or(DataPrep {}),
        finetune: table(stages, StageName::Finetune, defaults),
        general_distill: table(stages, StageName::GeneralDistill, defaults),
        td_phase1: table(stages, StageName::TdPhase1, defaults),
        td_phase2: table(stages, StageName::TdPhase2, defaults),
        eval: table(stages, StageName::Eval, defaults),
    };
    stages.finish_as("stage");
    found
}

settings! {
    /// `[stages.data-prep]`: nothing to set but what `[task]` holds.
    pub struct DataPrep(stage, none: StageDefaults) {}
}

settings! {
    /// `[stages.finetune]`
    pub struct Finetune(stage, defaults: StageDefaults) {
        /// Common settings.
        group training: Training = &defaults.training(StageName::Finetune);
        /// Scoring on dev.
        group scoring: Scoring = &();
    }
}

settings! {
    /// `[stages.general-distill]`
    pub struct GeneralDistill(stage, defaults: StageDefaults) {
        /// Text to train on.
        group corpus: Corpus = &();
        /// Common settings.
        group training: Training = &defaults.training(StageName::GeneralDistill);
        /// Losses.
        group distill: Distill = &defaults.recipe;
        /// How the teacher is run.
        group teaching: Teaching = &defaults.recipe;
        /// Models.
        group sources: Sources = &();
    }
}

settings! {
    /// `[stages.td-phase1]`
    pub struct TdPhase1(stage, defaults: StageDefaults) {
        /// Common settings.
        group training: Training = &defaults.training(StageName::TdPhase1);
        /// Losses.
        group distill: Distill = &defaults.recipe;
        /// How the teacher is run.
        group teaching: Teaching = &defaults.recipe;
        /// Check and cache of the teacher.
        group task_teacher: TaskTeacher = &();
        /// Models.
        group sources: Sources = &();
    }
}

settings! {
    /// `[stages.td-phase2]`
    pub struct TdPhase2(stage, defaults: StageDefaults) {
        /// Common settings.
        group training: Training = &defaults.training(StageName::TdPhase2);
        /// Losses.
        group prediction: Prediction = &defaults.recipe;
        /// How the teacher is run.
        group teaching: Teaching = &defaults.recipe;
        /// Check and cache of the teacher.
        group task_teacher: TaskTeacher = &();
        /// Scoring on dev.
        group scoring: Scoring = &();
        /// Models.
        group sources: Sources = &();
    }
}

settings! {
    /// `[stages.eval]`
    pub struct Eval(stage, none: StageDefaults) titled "Evaluation" {
        /// Batch size.
        counts batch_size: Located<u32> =
            key("batch-size").range(1..=65536).range_text("examples; 1 to 65536"), default 32;
        /// Models.
        group sources: Sources = &();
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MINIMAL, pipeline, read};

    #[test]
    fn a_stage_that_is_left_out_is_not_run() {
        let stages = read(MINIMAL).stages;
        assert!(stages.finetune.is_none() && stages.eval.is_none());
        let stages = read(&pipeline()).stages;
        assert!(stages.finetune.is_some() && stages.eval.is_some());
    }
}
