//! What stages take and leave, by type.

use super::stage_settings::StageSettings;
use super::task::Task;
use super::unlabelled::UnlabelledUse;
use crate::data::{RecordFormat, UNLABELLED_STORE};
use crate::document::Located;

/// Something that a stage leaves for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Artifact {
    /// Its folder within the result.
    pub(crate) name: &'static str,
    pub(crate) what: What,
}

/// Type of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Labelled rows of the task as tokens: the split of the artifact's name.
    Rows,
    /// Text without labels as tokens.
    Text,
    /// A model.
    Model {
        /// Whose shape it has.
        of: Role,
        /// Whether its classifier was trained on the task.
        classifier: bool,
    },
    /// Answers of a model on dev, from which its scores are counted.
    Scores {
        /// The table that describes the model.
        of: Role,
    },
    /// Answers of a teacher to the rows of a store of the task.
    Predictions,
    /// A model as a file format of other programs.
    Export,
}

/// The table that describes a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `[teacher]`
    Teacher,
    /// `[student]`
    Student,
}

impl Role {
    /// Name of the table, of the key and of the port.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Teacher => "teacher",
            Self::Student => "student",
        }
    }
}

impl What {
    /// Whether it is scores.
    pub(crate) fn is_scores(self) -> bool {
        matches!(self, Self::Scores { .. })
    }

    /// A student that was trained to classify.
    pub(crate) const CLASSIFYING_STUDENT: Self = Self::Model {
        of: Role::Student,
        classifier: true,
    };
}

impl Artifact {
    /// A split of the task.
    pub(crate) const fn rows(name: &'static str) -> Self {
        let what = What::Rows;
        Self { name, what }
    }

    /// Answers of a teacher to rows.
    pub(crate) const fn predictions(name: &'static str) -> Self {
        let what = What::Predictions;
        Self { name, what }
    }

    /// What a stage that scores a model leaves of it.
    pub(crate) const fn scores(name: &'static str, of: Role) -> Self {
        let what = What::Scores { of };
        Self { name, what }
    }

    /// The model of a stage.
    pub(crate) const fn model(of: Role, classifier: bool) -> Self {
        let what = What::Model { of, classifier };
        Self {
            name: "model",
            what,
        }
    }
}

/// What each of several teachers is taken for, as in a fingerprint: the first as a single one.
pub(crate) const TEACHER_ROLES: [&str; 8] = [
    "teacher",
    "teacher-2",
    "teacher-3",
    "teacher-4",
    "teacher-5",
    "teacher-6",
    "teacher-7",
    "teacher-8",
];

/// Something that a stage takes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Port {
    /// What for; part of the fingerprint.
    pub(crate) role: &'static str,
    pub(crate) wants: Wants,
}

/// What is taken.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Wants {
    /// Files that the user names by paths and globs.
    Files(Vec<Located<String>>),
    /// The same, and no more than one file.
    OneFile(Located<String>),
    /// Records: files that the user names by paths, globs and folders.
    Records(Vec<Located<String>>, RecordFormat),
    /// Rows of the task: the artifact of this name.
    Rows(&'static str),
    /// Answers of a teacher that were read from files: the artifact of this name.
    Predictions(&'static str),
    /// Text that the stage's own preparation has made.
    Text,
    /// The tokenizer of the model of `[teacher]`, which cuts all text.
    Tokenizer,
    /// A model.
    Model(ModelPort),
    /// Scores of the model of the port `student`, if an earlier stage has scored it.
    Scores,
}

/// How a model is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ModelPort {
    /// The table that describes it where no stage makes it.
    pub(crate) of: Role,
    /// Its place among several teachers.
    pub(crate) nth: usize,
    /// Whether its classifier is used.
    pub(crate) reads_classifier: bool,
    /// Whether the stage trains it. Then it may start from random weights, if it is the student.
    pub(crate) is_trained: bool,
    /// What it is where the user says nothing.
    pub(crate) unconnected: Unconnected,
}

/// The model of a port that the user does not connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unconnected {
    /// The nearest earlier one of its role, or else that of its table.
    Nearest,
    /// The same, and nothing where there is none of both.
    NearestOrNone,
    /// The same, and random weights where there is none of both.
    NearestOrRandom,
    /// That of its table.
    Given,
}

impl ModelPort {
    /// Whether a stage's model can be used here.
    pub(crate) fn fits(self, what: What) -> bool {
        // What is trained here is described by its table, so it must have that shape.
        matches!(what, What::Model { of, .. } if !self.is_trained || of == self.of)
    }

    /// Whether it needs a classifier that was trained before.
    pub(crate) fn needs_classifier(self) -> bool {
        self.reads_classifier && !self.is_trained
    }

    /// What it is taken for; part of the fingerprint.
    pub(crate) fn role(self) -> &'static str {
        match self.of {
            Role::Teacher => TEACHER_ROLES[self.nth],
            Role::Student => self.of.as_str(),
        }
    }

    /// The port of this use.
    pub(crate) fn port(self) -> Port {
        Port {
            role: self.role(),
            wants: Wants::Model(self),
        }
    }

    /// A model that is used as it is: the nearest earlier one of its role.
    pub(crate) fn used(of: Role) -> Self {
        Self {
            of,
            nth: 0,
            reads_classifier: false,
            is_trained: false,
            unconnected: Unconnected::Nearest,
        }
    }

    /// A model that is trained: the nearest earlier one of its role.
    pub(crate) fn trained(of: Role) -> Self {
        Self {
            is_trained: true,
            ..Self::used(of)
        }
    }

    /// Its classifier is used.
    pub(crate) fn with_classifier(self) -> Self {
        Self {
            reads_classifier: true,
            ..self
        }
    }

    /// It is the table's own model where the user says nothing.
    pub(crate) fn given(self) -> Self {
        Self {
            unconnected: Unconnected::Given,
            ..self
        }
    }

    /// It is left out where neither a stage nor a folder makes it.
    pub(crate) fn or_none(self) -> Self {
        Self {
            unconnected: Unconnected::NearestOrNone,
            ..self
        }
    }

    /// It is random where neither a stage nor a folder makes it.
    pub(crate) fn or_random(self) -> Self {
        Self {
            unconnected: Unconnected::NearestOrRandom,
            ..self
        }
    }
}

impl Port {
    /// Labelled rows of a split.
    pub(crate) fn rows(role: &'static str) -> Self {
        let wants = Wants::Rows(role);
        Self { role, wants }
    }

    /// Rows to train on: with those that have no label, where the stage takes such.
    pub(crate) fn train(task: &Task, keys: &dyn StageSettings) -> Self {
        let has_unlabelled = UnlabelledUse::of(task, keys).is_some();
        Self {
            role: "train",
            wants: Wants::Rows(if has_unlabelled {
                UNLABELLED_STORE
            } else {
                "train"
            }),
        }
    }

    /// Scores of the student that the stage takes.
    pub(crate) fn scores() -> Self {
        Self {
            role: "scores",
            wants: Wants::Scores,
        }
    }

    /// The tokenizer that cuts text.
    pub(crate) fn tokenizer() -> Self {
        Self {
            role: "tokenizer",
            wants: Wants::Tokenizer,
        }
    }

    /// How it uses a model, if it takes one.
    pub(crate) fn model(&self) -> Option<ModelPort> {
        match &self.wants {
            Wants::Model(model) => Some(*model),
            _ => None,
        }
    }
}
