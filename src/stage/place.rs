//! Where a stage works, and what it takes from where.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::experiment::{Experiment, StageName};
use crate::plan::{Inputs, Node};
use crate::runs::{Key, Layout, Record};

/// A stage with the paths of all that it reads and writes.
pub(super) struct Place<'a> {
    pub(super) experiment: &'a Experiment,
    pub(super) inputs: &'a Inputs,
    pub(super) layout: &'a Layout,
    pub(super) node: &'a Node,
    pub(super) key: &'a Key,
    /// Records of the stages before it.
    pub(super) done: &'a BTreeMap<StageName, Record>,
    /// The stage's work folder.
    pub(super) work: &'a Path,
}

impl Place<'_> {
    pub(super) fn stage(&self) -> StageName {
        self.node.stage
    }

    /// Path of an upstream artifact.
    ///
    /// # Panics
    /// For a role that the graph does not give the stage.
    pub(super) fn artifact(&self, role: &str) -> PathBuf {
        self.upstream(role)
            .expect("the graph gives each stage the data that it reads")
    }

    fn upstream(&self, role: &str) -> Option<PathBuf> {
        let take = self.node.take(role)?;
        let record = self.done.get(&take.from)?;
        let folder = self.layout.store(take.from.as_str(), &record.fingerprint);
        Some(folder.join(take.artifact))
    }

    /// Folder of the result of a stage before this one.
    pub(super) fn output_of(&self, stage: StageName) -> Option<PathBuf> {
        let record = self.done.get(&stage)?;
        Some(self.layout.store(stage.as_str(), &record.fingerprint))
    }

    /// Folder of a model, from a stage or the user; `None` for random weights.
    pub(super) fn model(&self, role: &str) -> Option<PathBuf> {
        self.upstream(role).or_else(|| {
            let folder = self.inputs.folders.get(self.node.folder(role)?)?;
            Some(folder.path.clone())
        })
    }
}
