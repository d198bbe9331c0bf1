//! Where each stage's student and teacher come from: the rules of defaults, written once,
//! for the checks here and for the plan.

use super::schema::{ModelSource, StageName};
use super::top::Experiment;
use super::training::Training;
use crate::document::Located;

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A stage's artifact.
    Stage(StageName),
    /// A Hugging Face folder.
    Folder(String),
    /// Random weights in the shape of `[student]`.
    Random,
}

impl Experiment {
    /// Whether a stage is run.
    pub fn has_stage(&self, stage: StageName) -> bool {
        match stage {
            StageName::DataPrep => true,
            StageName::Finetune => self.stages.finetune.is_some(),
            StageName::CorpusPrep | StageName::GeneralDistill => {
                self.stages.general_distill.is_some()
            }
            StageName::TdPhase1 => self.stages.td_phase1.is_some(),
            StageName::TdPhase2 => self.stages.td_phase2.is_some(),
            StageName::Eval => self.stages.eval.is_some(),
        }
    }

    /// What a stage trains or scores as its student; `None` where it has none. With no
    /// key of its own it is the nearest earlier student. The place is the key's, or that of
    /// `model` in `[student]`.
    pub fn student_of(&self, stage: StageName) -> Option<Located<Origin>> {
        use StageName::{Eval, GeneralDistill, TdPhase1, TdPhase2};
        if let Some(source) = self.student_key(stage) {
            return Some(as_origin(source));
        }
        // Before phase 2 a student has no classifier, so eval cannot score it.
        let earlier: &[StageName] = match stage {
            GeneralDistill => &[],
            TdPhase1 => &[GeneralDistill],
            TdPhase2 => &[TdPhase1, GeneralDistill],
            Eval => &[TdPhase2],
            _ => return None,
        };
        if !self.has_stage(stage) {
            return None;
        }
        let nearest = earlier.iter().find(|earlier| self.has_stage(**earlier));
        if let Some(nearest) = nearest {
            return Some(Located::default_value(Origin::Stage(*nearest)));
        }
        if stage == Eval && (self.has_stage(TdPhase1) || self.has_stage(GeneralDistill)) {
            return None;
        }
        match &self.student.model {
            Some(model) => Some(model.clone().map(Origin::Folder)),
            None if stage == Eval => None,
            None => Some(Located::default_value(Origin::Random)),
        }
    }

    /// What a stage learns from or scores as its teacher; `None` where it has none. With no
    /// key of its own it is the fine-tuned one, or the one of `[teacher]` where nothing is
    /// fine-tuned and in general distillation.
    pub fn teacher_of(&self, stage: StageName) -> Option<Located<Origin>> {
        use StageName::{Eval, Finetune, GeneralDistill, TdPhase1, TdPhase2};
        if let Some(source) = self.teacher_key(stage) {
            return Some(as_origin(source));
        }
        if !matches!(stage, GeneralDistill | TdPhase1 | TdPhase2 | Eval) || !self.has_stage(stage) {
            return None;
        }
        if stage != GeneralDistill && self.has_stage(Finetune) {
            return Some(Located::default_value(Origin::Stage(Finetune)));
        }
        Some(self.teacher.model.clone().map(Origin::Folder))
    }

    /// Stages whose artifacts a stage reads, in pipeline order; none for one that is not run.
    pub fn depends_on(&self, stage: StageName) -> Vec<StageName> {
        if !self.has_stage(stage) {
            return Vec::new();
        }
        let mut stages = match stage {
            StageName::DataPrep | StageName::CorpusPrep => Vec::new(),
            StageName::GeneralDistill => vec![StageName::CorpusPrep],
            _ => vec![StageName::DataPrep],
        };
        let models = [self.student_of(stage), self.teacher_of(stage)];
        stages.extend(
            models
                .into_iter()
                .flatten()
                .filter_map(|origin| match origin.value {
                    Origin::Stage(name) => Some(name),
                    Origin::Folder(_) | Origin::Random => None,
                }),
        );
        stages.sort_unstable();
        stages.dedup();
        stages
    }

    /// The common settings of a training stage; `None` for the other stages and those left out.
    pub fn training(&self, stage: StageName) -> Option<&Training> {
        let stages = &self.stages;
        match stage {
            StageName::Finetune => Some(&stages.finetune.as_ref()?.training),
            StageName::GeneralDistill => Some(&stages.general_distill.as_ref()?.training),
            StageName::TdPhase1 => Some(&stages.td_phase1.as_ref()?.training),
            StageName::TdPhase2 => Some(&stages.td_phase2.as_ref()?.training),
            StageName::DataPrep | StageName::CorpusPrep | StageName::Eval => None,
        }
    }

    /// The seed that a stage draws from.
    pub fn seed_of(&self, stage: StageName) -> u64 {
        let training = self.training(stage);
        training.and_then(|found| found.seed).unwrap_or(self.seed)
    }

    /// The `student` key of a stage.
    pub(super) fn student_key(&self, stage: StageName) -> Option<&Located<ModelSource>> {
        let stages = &self.stages;
        match stage {
            StageName::GeneralDistill => stages.general_distill.as_ref()?.sources.student.as_ref(),
            StageName::TdPhase1 => stages.td_phase1.as_ref()?.sources.student.as_ref(),
            StageName::TdPhase2 => stages.td_phase2.as_ref()?.sources.student.as_ref(),
            StageName::Eval => stages.eval.as_ref()?.sources.student.as_ref(),
            _ => None,
        }
    }

    /// The `teacher` key of a stage.
    pub(super) fn teacher_key(&self, stage: StageName) -> Option<&Located<ModelSource>> {
        let stages = &self.stages;
        match stage {
            StageName::GeneralDistill => stages.general_distill.as_ref()?.sources.teacher.as_ref(),
            StageName::TdPhase1 => stages.td_phase1.as_ref()?.sources.teacher.as_ref(),
            StageName::TdPhase2 => stages.td_phase2.as_ref()?.sources.teacher.as_ref(),
            StageName::Eval => stages.eval.as_ref()?.sources.teacher.as_ref(),
            _ => None,
        }
    }
}

fn as_origin(source: &Located<ModelSource>) -> Located<Origin> {
    source.clone().map(|source| match source {
        ModelSource::Stage(stage) => Origin::Stage(stage),
        ModelSource::Folder(folder) => Origin::Folder(folder),
        ModelSource::Random => Origin::Random,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MINIMAL, pipeline, read, read_with};
    use super::*;
    use StageName::{CorpusPrep, DataPrep, Eval, Finetune, GeneralDistill, TdPhase1, TdPhase2};

    #[test]
    fn a_stage_takes_the_nearest_earlier_student_and_the_fine_tuned_teacher() {
        let experiment = read(&pipeline());
        let student = |stage| experiment.student_of(stage).map(|origin| origin.value);
        assert_eq!(student(GeneralDistill), Some(Origin::Random));
        assert_eq!(student(TdPhase1), Some(Origin::Stage(GeneralDistill)));
        assert_eq!(student(TdPhase2), Some(Origin::Stage(TdPhase1)));
        assert_eq!(student(Eval), Some(Origin::Stage(TdPhase2)));
        assert_eq!(student(Finetune), None);
        let teacher = |stage| experiment.teacher_of(stage).map(|origin| origin.value);
        let given = Origin::Folder("models/teacher".to_owned());
        assert_eq!(teacher(GeneralDistill), Some(given));
        assert_eq!(teacher(TdPhase1), Some(Origin::Stage(Finetune)));
        assert_eq!(experiment.depends_on(GeneralDistill), [CorpusPrep]);
        assert_eq!(
            experiment.depends_on(TdPhase1),
            [DataPrep, Finetune, GeneralDistill]
        );
        assert_eq!(experiment.depends_on(Eval), [DataPrep, Finetune, TdPhase2]);
    }

    #[test]
    fn a_given_student_stands_in_for_stages_that_are_left_out() {
        let sets = [
            "student.model=models/small",
            "stages.td-phase2={}",
            "stages.eval={}",
        ];
        let experiment = read_with(MINIMAL, &sets).unwrap();
        let small = Some(Located::default_value(Origin::Folder(
            "models/small".to_owned(),
        )));
        assert_eq!(experiment.student_of(TdPhase2), small);
        assert_eq!(
            experiment
                .student_of(TdPhase2)
                .unwrap()
                .span
                .unwrap()
                .source,
            1
        );
        let given = Some(Located::default_value(Origin::Folder(
            "models/teacher".to_owned(),
        )));
        assert_eq!(experiment.teacher_of(TdPhase2), given);
        assert_eq!(experiment.depends_on(TdPhase1), []);
    }

    #[test]
    fn with_no_student_the_teacher_is_scored_alone() {
        let experiment = read_with(MINIMAL, &["stages.eval={}", "stages.finetune={}"]).unwrap();
        assert_eq!(experiment.student_of(Eval), None);
    }

    #[test]
    fn a_student_that_never_got_a_classifier_is_not_scored() {
        let sets = ["stages.eval={}", "stages.td-phase1={}", "student.model=m/s"];
        let experiment = read_with(MINIMAL, &sets).unwrap();
        assert_eq!(experiment.student_of(Eval), None);
        let experiment = read_with(MINIMAL, &[sets[0], sets[2]]).unwrap();
        assert!(experiment.student_of(Eval).is_some());
    }
}
