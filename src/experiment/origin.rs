//! Where each stage's student and teacher come from: the rules of defaults, written once,
//! for the checks here and for the plan.

use super::schema::{Experiment, ModelSource, StageName};
use super::span::Located;

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
        // General distillation trains no classifier, so its student cannot be scored.
        let earlier: &[StageName] = match stage {
            GeneralDistill => &[],
            TdPhase1 => &[GeneralDistill],
            TdPhase2 => &[TdPhase1, GeneralDistill],
            Eval => &[TdPhase2, TdPhase1],
            _ => return None,
        };
        if !self.has_stage(stage) {
            return None;
        }
        let nearest = earlier.iter().find(|earlier| self.has_stage(**earlier));
        if let Some(nearest) = nearest {
            return Some(Located::default_value(Origin::Stage(*nearest)));
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

    /// The `student` key of a stage.
    pub(super) fn student_key(&self, stage: StageName) -> Option<&Located<ModelSource>> {
        let stages = &self.stages;
        match stage {
            StageName::GeneralDistill => stages.general_distill.as_ref()?.student.as_ref(),
            StageName::TdPhase1 => stages.td_phase1.as_ref()?.student.as_ref(),
            StageName::TdPhase2 => stages.td_phase2.as_ref()?.student.as_ref(),
            StageName::Eval => stages.eval.as_ref()?.student.as_ref(),
            _ => None,
        }
    }

    /// The `teacher` key of a stage.
    pub(super) fn teacher_key(&self, stage: StageName) -> Option<&Located<ModelSource>> {
        let stages = &self.stages;
        match stage {
            StageName::GeneralDistill => stages.general_distill.as_ref()?.teacher.as_ref(),
            StageName::TdPhase1 => stages.td_phase1.as_ref()?.teacher.as_ref(),
            StageName::TdPhase2 => stages.td_phase2.as_ref()?.teacher.as_ref(),
            StageName::Eval => stages.eval.as_ref()?.teacher.as_ref(),
            _ => None,
        }
    }
}

fn as_origin(source: &Located<ModelSource>) -> Located<Origin> {
    source.clone().map(|source| match source {
        ModelSource::Stage(stage) => Origin::Stage(stage),
        ModelSource::Folder(folder) => Origin::Folder(folder),
    })
}
