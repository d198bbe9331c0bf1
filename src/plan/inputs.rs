//! The files and folders that an experiment reads from outside `runs/`, once they are found.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::graph::Node;
use crate::data::OwnStores;
use crate::experiment::{Models, StageName};
use crate::model::{BertConfig, ModelRef, TOKENIZER_FILES, TokenMap};

/// An input file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Name that counts: below the fixed part of a glob, or in its folder. Never absolute.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// A Hugging Face folder, or a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFolder {
    /// Where it is, and what is stated of it.
    pub model: ModelRef,
    /// Folder, or vocabulary, that text is cut by; `None` for a checkpoint without a vocabulary.
    pub tokenizer: Option<PathBuf>,
    /// Its files that are read, by name.
    pub files: Vec<InputFile>,
    /// Its `config.json`, or what a checkpoint comes to.
    pub config: BertConfig,
    /// The ids of the data for it, where its vocabulary has the same tokens under others.
    pub tokens: Option<TokenMap>,
    /// The rows that its tokenizer cuts, where it has other tokens than the one that cuts all others.
    pub own_stores: Option<OwnStores>,
    /// Classes of its classifier; `None` where it has none.
    pub num_labels: Option<usize>,
}

impl ModelFolder {
    /// Whether its tokenizer gives other ids than the one that cuts the text.
    pub fn has_own_vocabulary(&self) -> bool {
        self.tokens.is_some() || self.own_stores.is_some()
    }

    /// Whether it is a checkpoint of another program, which does not hold all settings.
    pub fn is_checkpoint(&self) -> bool {
        self.files.iter().any(|file| file.name == CHECKPOINT)
    }
}

/// Name under which a checkpoint counts, whatever its file is called.
pub(super) const CHECKPOINT: &str = "checkpoint";

/// Files that a stage reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFiles {
    /// The stage.
    pub stage: StageName,
    /// What for.
    pub role: &'static str,
    /// In the order of the patterns, and then by name.
    pub files: Vec<InputFile>,
}

/// Everything an experiment reads from outside `runs/`.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    /// Tables and texts.
    pub files: Vec<FoundFiles>,
    /// Model folders by what the user wrote.
    pub folders: BTreeMap<String, ModelFolder>,
    /// What `[teacher]` and `[student]` come to.
    pub models: Models,
    /// What the first version of tinyrun read otherwise in the tokenizer files; see
    /// [`crate::data::TokenizerFiles::changed_since_first`].
    pub tokenizer_changes: Vec<&'static str>,
}

/// The student's projection, which a stage of tinyrun leaves beside its weights.
pub(super) const PROJECTION: &str = "fit_dense.safetensors";

impl Inputs {
    /// The tables or texts that a stage reads for a role.
    pub fn named(&self, stage: &StageName, role: &str) -> &[InputFile] {
        let mut files = self.files.iter();
        let found = files.find(|found| found.stage == *stage && found.role == role);
        found.map_or(&[], |found| &found.files)
    }

    /// The files that a stage reads, by role and name, sorted.
    pub fn of(&self, node: &Node) -> BTreeMap<String, PathBuf> {
        let mut files = BTreeMap::new();
        let mut add = |role: &str, found: &[InputFile]| {
            for file in found {
                files.insert(format!("{role}/{}", file.name), file.path.clone());
            }
        };
        for found in self.files.iter().filter(|found| found.stage == node.stage) {
            add(found.role, &found.files);
        }
        for (role, folder) in &node.folders {
            let Some(folder) = self.folders.get(folder) else {
                continue;
            };
            let mut read = folder.files.clone();
            if role.starts_with("tokenizer") {
                read.retain(|file| TOKENIZER_FILES.contains(&file.name.as_str()));
            }
            add(role, &read);
        }
        files
    }
}
