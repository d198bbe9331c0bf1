//! The files and folders an experiment names: found, listed and checked before anything
//! runs, every fault at the key that named them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::given_models::{check_classifiers, check_projections};
use super::graph::{Node, graph};
use crate::experiment::{
    Experiment, Fault, Located, Models, Origin, Span, StageName, check_models,
};
use crate::model::{BertConfig, TOKENIZER_FILES, load_model};
use crate::runs::Layout;

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
}

/// Files of a model folder that are read, beside one of [`WEIGHTS`].
const CONFIG: &str = "config.json";

/// Weights, the first that is there.
const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

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

/// Finds everything that the stages read.
///
/// # Errors
/// Every fault: missing files, globs that match nothing, folders that are no models, models
/// that do not go together.
pub fn find_inputs(
    experiment: &Experiment,
    nodes: &[Node],
    layout: &Layout,
) -> Result<Inputs, Vec<Fault>> {
    let mut finder = Finder {
        layout,
        faults: Vec::new(),
    };
    let train = finder.files(&[&experiment.task.train]);
    let mut one = |table: &Option<Located<String>>| match table {
        Some(table) => finder.one_file(table),
        None => Vec::new(),
    };
    let dev = one(&experiment.task.dev);
    let dev_mismatched = one(&experiment.task.dev_mismatched);
    let corpus = match &experiment.stages.general_distill {
        Some(stage) => finder.files(&stage.corpus.iter().collect::<Vec<_>>()),
        None => Vec::new(),
    };
    let folders = finder.folders(experiment, nodes);
    check_classifiers(&mut finder.faults, experiment, nodes, &folders);
    check_projections(&mut finder.faults, experiment, &folders);
    let mut faults = finder.faults;
    let configs = folders
        .iter()
        .map(|(name, folder)| (name.as_str(), &folder.config));
    match check_models(experiment, &configs.collect()) {
        Ok(models) if faults.is_empty() => Ok(Inputs {
            train,
            dev,
            dev_mismatched,
            corpus,
            folders,
            models,
        }),
        Ok(_) => Err(faults),
        Err(found) => {
            faults.extend(found);
            Err(faults)
        }
    }
}

/// Files and folders that are not there, for an experiment that has other faults already.
/// Only what the user wrote is looked for: the keys at fault hold defaults.
pub fn find_missing(experiment: &Experiment, layout: &Layout) -> Vec<Fault> {
    let mut finder = Finder {
        layout,
        faults: Vec::new(),
    };
    let task = &experiment.task;
    let tables = [
        Some(&task.train),
        task.dev.as_ref(),
        task.dev_mismatched.as_ref(),
    ];
    let corpus = experiment.stages.general_distill.iter();
    let corpus = corpus.flat_map(|stage| stage.corpus.iter());
    for pattern in tables.into_iter().flatten().chain(corpus) {
        finder.expand(pattern);
    }
    finder.folders(experiment, &graph(experiment));
    finder.faults.retain(|fault| fault.span.is_some());
    finder.faults
}

struct Finder<'a> {
    layout: &'a Layout,
    faults: Vec<Fault>,
}

impl Finder<'_> {
    /// Files of one or several patterns, in the order of the patterns and then by name.
    fn files(&mut self, patterns: &[&Located<String>]) -> Vec<InputFile> {
        let mut files: Vec<InputFile> = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            for mut file in self.expand(pattern) {
                // Several patterns may match the same file, and files of the same name.
                if files.iter().any(|found| found.path == file.path) {
                    continue;
                }
                if patterns.len() > 1 {
                    file.name = format!("{}/{}", index + 1, file.name);
                }
                files.push(file);
            }
        }
        files
    }

    /// The one file of a pattern that may match no more.
    fn one_file(&mut self, pattern: &Located<String>) -> Vec<InputFile> {
        let files = self.expand(pattern);
        if files.len() > 1 {
            let message = format!("`{}` matches {} files", **pattern, files.len());
            let fault = Fault::new(message, pattern.span.clone());
            self.faults.push(fault.with_label("expected one table"));
        }
        files
    }

    fn expand(&mut self, pattern: &Located<String>) -> Vec<InputFile> {
        let at = |message: String| Fault::new(message, pattern.span.clone());
        let Some(wildcard) = pattern.find(['*', '?', '[']) else {
            return self.plain_file(pattern).into_iter().collect();
        };
        // The fixed part: the folders before the first one with a wildcard.
        let fixed = pattern[..wildcard].rfind('/').map_or(0, |slash| slash + 1);
        let base = self.layout.root().join(&pattern[..fixed]);
        let full = Path::new(&glob::Pattern::escape(&base.to_string_lossy()))
            .join(&pattern[fixed..])
            .to_string_lossy()
            .into_owned();
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let paths = match glob::glob_with(&full, options) {
            Ok(paths) => paths,
            Err(error) => {
                self.faults
                    .push(at(format!("`{}` is no glob: {}", **pattern, error.msg)));
                return Vec::new();
            }
        };
        let mut files = Vec::new();
        let runs = self.layout.runs();
        for path in paths {
            let path = match path {
                Ok(path) => path,
                Err(error) => {
                    let message = format!("cannot list `{}`", error.path().display());
                    self.faults.push(at(message));
                    continue;
                }
            };
            // What tinyrun writes is never what it reads by accident.
            if path.starts_with(&runs) || !path.is_file() {
                continue;
            }
            let below = path.strip_prefix(&base).unwrap_or(&path);
            match below.to_str() {
                Some(name) => files.push(InputFile {
                    name: name.to_owned(),
                    path: path.clone(),
                }),
                None => self.faults.push(at(format!(
                    "the name of `{}` is not valid UTF-8",
                    path.display()
                ))),
            }
        }
        if files.is_empty() {
            let fault = at(format!("`{}` matches no file", **pattern));
            self.faults.push(fault.with_note(self.relative_to()));
        }
        files.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        files
    }

    fn plain_file(&mut self, written: &Located<String>) -> Option<InputFile> {
        let at = |message: String| Fault::new(message, written.span.clone());
        let path = self.layout.root().join(&**written);
        let fault = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => {
                if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
                    let name = name.to_owned();
                    return Some(InputFile { name, path });
                }
                at(format!("`{}` is not a file", **written))
            }
            Ok(_) => at(format!("`{}` is not a file", **written)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                at(format!("`{}` does not exist", **written)).with_note(self.relative_to())
            }
            Err(error) => at(format!("cannot read `{}`: {error}", **written)),
        };
        self.faults.push(fault);
        None
    }

    /// Every model folder that a stage reads.
    fn folders(
        &mut self,
        experiment: &Experiment,
        nodes: &[Node],
    ) -> BTreeMap<String, ModelFolder> {
        let mut named: BTreeMap<String, Option<Span>> = BTreeMap::new();
        let own = [
            Some(&experiment.teacher.model),
            experiment.student.model.as_ref(),
        ];
        for model in own.into_iter().flatten() {
            named.insert(model.value.clone(), model.span.clone());
        }
        for node in nodes {
            let origins = [
                experiment.teacher_of(node.stage),
                experiment.student_of(node.stage),
            ];
            for origin in origins.into_iter().flatten() {
                if let Origin::Folder(folder) = origin.value {
                    named.entry(folder).or_insert(origin.span);
                }
            }
        }
        let mut folders = BTreeMap::new();
        for (name, span) in named {
            if let Some(folder) = self.folder(&name, span.as_ref()) {
                folders.insert(name, folder);
            }
        }
        folders
    }

    fn folder(&mut self, name: &str, span: Option<&Span>) -> Option<ModelFolder> {
        let fault = |message: String| Fault::new(message, span.cloned());
        let path = self.layout.root().join(name);
        if path.is_file() {
            let fault = fault(format!("`{name}` is a file"));
            let label = "expected a folder with `config.json`, weights and tokenizer";
            self.faults.push(fault.with_label(label));
            return None;
        }
        if !path.is_dir() {
            let fault = fault(format!("model folder `{name}` does not exist"));
            self.faults.push(fault.with_note(self.relative_to()));
            return None;
        }
        let model = match load_model(&path) {
            Ok(model) => model,
            Err(error) => {
                self.faults
                    .push(fault(error.to_string()).with_hint(error.hint()));
                return None;
            }
        };
        let weights = WEIGHTS.into_iter().find(|name| path.join(name).is_file());
        let others = TOKENIZER_FILES.into_iter().chain([CONFIG, PROJECTION]);
        let files: Vec<InputFile> = others
            .filter(|name| path.join(name).is_file())
            .chain(weights)
            .map(|name| InputFile {
                name: name.to_owned(),
                path: path.join(name),
            })
            .collect();
        let has_tokenizer = files
            .iter()
            .any(|file| matches!(file.name.as_str(), "tokenizer.json" | "vocab.txt"));
        if !has_tokenizer {
            self.faults.push(fault(format!(
                "model folder `{name}` holds neither `tokenizer.json` nor `vocab.txt`"
            )));
            return None;
        }
        Some(ModelFolder {
            path,
            files,
            num_labels: model.num_labels,
            config: model.config,
        })
    }

    fn relative_to(&self) -> String {
        let root = self.layout.root();
        if root.as_os_str().is_empty() {
            "paths are relative to the current folder".to_owned()
        } else {
            format!("paths are relative to `{}`", root.display())
        }
    }
}
