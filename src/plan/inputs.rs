//! The files and folders that an experiment reads from outside `runs/`, once they are found.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::graph::Node;
use crate::experiment::{Models, StageName};
use crate::model::{BertConfig, TOKENIZER_FILES};

/// An input file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Name that counts: below the fixed part of a glob, or in its folder. Never absolute.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// A Hugging Face folder.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFolder {
    /// Where it is.
    pub path: PathBuf,
    /// Its files that are read, by name.
    pub files: Vec<InputFile>,
    /// Its `config.json`.
    pub config: BertConfig,
    /// Classes of its classifier; `None` where it has none.
    pub num_labels: Option<usize>,
}

/// Everything an experiment reads from outside `runs/`.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    /// Training tables.
    pub train: Vec<InputFile>,
    /// Development table, if it is one of its own.
    pub dev: Vec<InputFile>,
    /// MNLI's second development table.
    pub dev_mismatched: Vec<InputFile>,
    /// Texts of general distillation.
    pub corpus: Vec<InputFile>,
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
    /// The files that a stage reads, by role and name, sorted.
    pub fn of(&self, node: &Node) -> BTreeMap<String, PathBuf> {
        let mut files = BTreeMap::new();
        let mut add = |role: &str, found: &[InputFile]| {
            for file in found {
                files.insert(format!("{role}/{}", file.name), file.path.clone());
            }
        };
        match node.stage {
            StageName::DataPrep => {
                add("train", &self.train);
                add("dev", &self.dev);
                add("dev-mismatched", &self.dev_mismatched);
            }
            StageName::CorpusPrep => add("corpus", &self.corpus),
            _ => {}
        }
        for (role, folder) in &node.folders {
            let Some(folder) = self.folders.get(folder) else {
                continue;
            };
            let mut read = folder.files.clone();
            if *role == "tokenizer" {
                read.retain(|file| TOKENIZER_FILES.contains(&file.name.as_str()));
            }
            add(role, &read);
        }
        files
    }
}
