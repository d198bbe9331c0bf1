//! What holds for a checkpoint of another program that a stage takes, and the projection that a stage
//! starts from, which no checkpoint holds.

use super::checkpoint_keys::{names_checkpoint, same_path};
use super::distill::Distill;
use super::origin::Origin;
use super::ports::Role;
use super::stage::Stage;
use super::top::Experiment;
use crate::document::Located;
use crate::job::HeadKind;
use crate::model::Stated;

impl Experiment {
    /// What is stated of the model at this path, which a stage takes for a role: the keys of the
    /// role's table hold for every checkpoint.
    pub fn stated(&self, role: Role, model: &str) -> Stated {
        if !names_checkpoint(model) {
            return Stated::default();
        }
        match (role, &self.student.model) {
            (Role::Teacher, _) => self.teacher.checkpoint.stated(),
            // One file has one shape; what is made of it may drop otherwise.
            (Role::Student, _) if same_path(model, &self.teacher.model) => {
                let own = self.student.checkpoint.0.stated();
                own.or(self.teacher.checkpoint.stated())
            }
            (Role::Student, Some(_)) => self.student.checkpoint.0.stated(),
            // A student that a stage names has the heads of the student's shape.
            (Role::Student, None) => Stated {
                num_attention_heads: Some(*self.student.shape.num_attention_heads),
                ..Stated::default()
            },
        }
    }

    /// The file of the projection that a stage starts from: the stage's own, or that of `[student]`
    /// for a student that no stage has trained.
    pub fn initial_projection(&self, stage: &Stage) -> Option<Located<String>> {
        let distill: &Distill = stage.get()?;
        let is_first = || {
            let origin = self.origin_of(stage, Role::Student);
            !origin.is_some_and(|origin| matches!(origin.value, Origin::Stage(_)))
        };
        let own = distill.initial_projection.clone();
        own.or_else(|| self.student.projection.clone().filter(|_| is_first()))
    }

    /// Activation between pooler and classifier of the model that a stage takes for a role: that of
    /// the role's table, but for a checkpoint that a stage names where the table has a folder.
    pub fn head_of(&self, stage: &Stage, role: Role) -> HeadKind {
        self.head_as(role, self.origin_of(stage, role).map(|origin| origin.value))
    }

    /// The same for a teacher of several: one that a stage has trained as a student has the student's.
    pub(crate) fn head_of_teacher(&self, origin: Origin) -> HeadKind {
        let made = match &origin {
            Origin::Stage(name) => self
                .stages
                .get(name.as_str())
                .and_then(Stage::makes_model_of),
            _ => None,
        };
        self.head_as(made.unwrap_or(Role::Teacher), Some(origin))
    }

    fn head_as(&self, role: Role, origin: Option<Origin>) -> HeadKind {
        let (head, model) = match role {
            Role::Teacher => (self.teacher.head, Some(&self.teacher.model)),
            Role::Student => (self.student.head, self.student.model.as_ref()),
        };
        let is_stated = model.is_some_and(|model| names_checkpoint(model));
        match origin {
            Some(Origin::Folder(path)) if names_checkpoint(&path) && !is_stated => HeadKind::Relu,
            // Reading the file has refused cycles.
            Some(Origin::Stage(name)) => match self.stages.get(name.as_str()) {
                Some(maker) if maker.makes_model_of() == Some(role) => self.head_of(maker, role),
                _ => head,
            },
            _ => head,
        }
    }
}
