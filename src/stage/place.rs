//! Where a stage works, and what it takes from where.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::data::OwnStores;
use crate::experiment::{Experiment, Origin, Role, Stage, StageName};
use crate::job::HeadKind;
use crate::model::{ModelRef, Stated};
use crate::plan::{Inputs, ModelFolder, Node, TEACHER_ROWS, scored_rows};
use crate::runs::{Key, Layout, Record};

/// A stage with the paths of all that it reads and writes.
pub(crate) struct Place<'a> {
    pub(crate) experiment: &'a Experiment,
    pub(crate) inputs: &'a Inputs,
    pub(crate) layout: &'a Layout,
    pub(crate) node: &'a Node,
    pub(crate) key: &'a Key,
    /// Records of the stages before it.
    pub(crate) done: &'a BTreeMap<StageName, Record>,
    /// The stage's work folder.
    pub(crate) work: &'a Path,
}

impl Place<'_> {
    /// The stage's keys.
    ///
    /// # Panics
    /// The graph is that of another experiment.
    pub(crate) fn stage(&self) -> &Stage {
        let stage = self.experiment.stages.get(self.node.stage.as_str());
        stage.expect("the graph holds stages that are in the experiment")
    }

    pub(super) fn name(&self) -> StageName {
        self.node.stage.clone()
    }

    /// Paths of the tables or texts that it reads for a role.
    pub(crate) fn files(&self, role: &str) -> Vec<PathBuf> {
        let files = self.inputs.named(&self.node.stage, role).iter();
        files.map(|file| file.path.clone()).collect()
    }

    /// Path of an upstream artifact.
    ///
    /// # Panics
    /// For a role that the graph does not give the stage.
    pub(crate) fn artifact(&self, role: &str) -> PathBuf {
        self.upstream(role)
            .expect("the graph gives each stage the data that it reads")
    }

    fn upstream(&self, role: &str) -> Option<PathBuf> {
        let take = self.node.take(role)?;
        let record = self.done.get(&take.from)?;
        let folder = self.layout.store(&record.key.kind, &record.fingerprint);
        Some(folder.join(take.artifact))
    }

    /// Path of another split that the tokenizer of a store has cut.
    pub(super) fn beside(&self, role: &str, split: &'static str) -> Option<PathBuf> {
        let take = self.node.take(role)?;
        let record = self.done.get(&take.from)?;
        let folder = self.layout.store(&record.key.kind, &record.fingerprint);
        Some(folder.join(OwnStores::beside(take.artifact, split)))
    }

    /// What the rows of a teacher are taken for: those of the student, or its own.
    pub(super) fn rows_of_teacher(&self, nth: usize, students: &'static str) -> &'static str {
        let own = TEACHER_ROWS[nth];
        self.node.take(own).map_or(students, |_| own)
    }

    /// The rows that a model is scored on, where its tokenizer cuts others than those of the split.
    pub(crate) fn scored_rows(&self, of: Role, split: &str) -> Option<PathBuf> {
        self.upstream(scored_rows(of, split)?)
    }

    /// A model, from a stage or the user; `None` for random weights.
    pub(crate) fn model(&self, role: &str) -> Option<ModelRef> {
        let given = || Some(self.given(role)?.model.path.clone());
        let path = self.upstream(role).or_else(given)?;
        let stated = match role {
            "student" => Stated {
                tokens: self
                    .own_vocabulary()
                    .and_then(|folder| folder.tokens.clone()),
                ..self.experiment.stated_of(self.stage(), Role::Student)
            },
            _ => self.stated_of_teacher(role),
        };
        Some(ModelRef { path, stated })
    }

    /// What is stated of the teacher taken for a role, and the ids of the data where it has others.
    fn stated_of_teacher(&self, role: &str) -> Stated {
        let Some(origin) = self.origin(role) else {
            return Stated::default();
        };
        let folder = self.experiment.folder_behind(origin.clone());
        let folder = folder.and_then(|folder| self.inputs.folders.get(&folder));
        Stated {
            tokens: folder.and_then(|folder| folder.tokens.clone()),
            ..self.experiment.stated_as(Role::Teacher, origin)
        }
    }

    /// Where the model taken for a role comes from.
    pub(super) fn origin(&self, role: &str) -> Option<Origin> {
        let mut models = self.experiment.models_of(self.stage()).into_iter();
        let (_, origin) = models.find(|(port, _)| port.role() == role)?;
        Some(origin.value)
    }

    /// The folder that the stage's student started from, where that has a vocabulary of its own.
    fn own_vocabulary(&self) -> Option<&ModelFolder> {
        let folder = self.experiment.folder_of_student(self.stage())?;
        let found = self.inputs.folders.get(&folder)?;
        found.has_own_vocabulary().then_some(found)
    }

    /// Whether a model, or the folder that it was made from, has a vocabulary of its own.
    fn has_own_tokenizer(&self, model: Origin) -> bool {
        let folder = self.experiment.folder_behind(model);
        let found = folder.and_then(|folder| self.inputs.folders.get(&folder));
        found.is_some_and(ModelFolder::has_own_vocabulary)
    }

    /// Folder of the tokenizer that a student of the experiment keeps, where it has other ids. What is said of it
    /// changes no result, so that it does not count.
    pub(crate) fn tokenizer_of_its_own(&self) -> Option<PathBuf> {
        let stages = self.experiment.stages.iter();
        let mut names = stages.filter_map(|stage| self.experiment.folder_of_student(stage));
        names.find_map(|name| {
            let own = self.inputs.folders.get(&name)?;
            own.tokens.as_ref().and(own.tokenizer.clone())
        })
    }

    /// Folder of the tokenizer that the stage's student is written with.
    pub(crate) fn tokenizer_of_student(&self) -> PathBuf {
        let own = self.own_vocabulary();
        own.and_then(|folder| folder.tokenizer.clone())
            .unwrap_or_else(|| self.tokenizer())
    }

    /// Folder of the tokenizer, or vocabulary: that of `[teacher]`, which cut the text, or of the
    /// teacher that a stage made, which brings it along. Empty where there is none.
    pub(crate) fn tokenizer(&self) -> PathBuf {
        let own = self.given("tokenizer").or_else(|| self.given("teacher"));
        // A student that teaches another one may have brought a tokenizer of its own.
        let own = own.or_else(|| {
            self.has_own_tokenizer(self.origin("teacher")?)
                .then(|| self.experiment.tokenizer_model())
                .and_then(|model| self.inputs.folders.get(&model.value))
        });
        let own = match own {
            Some(given) => given.tokenizer.clone(),
            None => self.upstream("teacher"),
        };
        own.unwrap_or_default()
    }

    /// Folder of the tokenizer that lies beside a model, or its vocabulary.
    pub(crate) fn tokenizer_of(&self, role: &str) -> Option<PathBuf> {
        match self.given(role) {
            Some(given) => given.tokenizer.clone(),
            None => self.upstream(role),
        }
    }

    /// Activation between pooler and classifier of the model taken for a role.
    pub(crate) fn head(&self, role: Role) -> HeadKind {
        self.experiment.head_of(self.stage(), role)
    }

    fn given(&self, role: &str) -> Option<&ModelFolder> {
        self.inputs.folders.get(self.node.folder(role)?)
    }
}
