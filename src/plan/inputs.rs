//! The files and folders an experiment names: found, listed and checked before anything
//! runs, every fault at the key that named them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::given_models::{Classes, check_classifiers, check_projections, stated_labels};
use super::graph::{Node, graph};
use super::missing::{Missing, Wanted, missing, misspelt, near, shown};
use super::pattern::{matches, unreadable};
use crate::data::TokenizerFiles;
use crate::document::{Fault, Located, Span};
use crate::experiment::{Experiment, Models, Origin, StageName, check_models};
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
    /// What the first version of tinyrun read otherwise in the tokenizer files; see
    /// [`TokenizerFiles::changed_since_first`].
    pub tokenizer_changes: Vec<&'static str>,
}

/// Files of a model folder that are read, beside one of [`WEIGHTS`].
const CONFIG: &str = "config.json";

/// Tokens beside the vocabulary, which other files may repeat.
const ADDED_TOKENS: &str = "added_tokens.json";

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
        Some(stage) => finder.files(&stage.corpus.files.iter().collect::<Vec<_>>()),
        None => Vec::new(),
    };
    let mut folders = finder.folders(experiment, nodes);
    let tokenizer_changes = finder.tokenizer(experiment, &mut folders);
    let labels = stated_labels(&experiment.task);
    let classes = labels.as_deref().map(Classes::of);
    let found = check_classifiers(experiment, nodes, &folders, classes);
    finder.faults.extend(found);
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
            tokenizer_changes,
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
    let corpus = corpus.flat_map(|stage| stage.corpus.files.iter());
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
        let root = self.layout.root();
        // A path that is there is that path, whatever characters it has.
        let is_there = root.join(&**pattern).symlink_metadata().is_ok();
        let Some(wildcard) = pattern.find(['*', '?', '[']).filter(|_| !is_there) else {
            return self.plain_file(pattern).into_iter().collect();
        };
        // The fixed part: the folders before the first one with a wildcard.
        let fixed = pattern[..wildcard].rfind('/').map_or(0, |slash| slash + 1);
        let base = root.join(&pattern[..fixed]);
        let runs = self.layout.runs();
        let find = |case_sensitive| matches(&base, &pattern[fixed..], &runs, case_sensitive);
        let name = shown(pattern);
        let found = match find(true) {
            Ok(found) => found,
            Err(error) => {
                let message = format!("`{name}` is not a valid pattern: {}", error.msg);
                let hint = "`[` starts a set of characters: write `[[]` for the character itself";
                let hint = pattern.contains('[').then(|| hint.to_owned());
                let fault = Fault::new(message, pattern.span.clone());
                self.faults.push(fault.with_hint(hint));
                return Vec::new();
            }
        };
        if found.files.is_empty() && found.faults.is_empty() {
            if let Some(found) = misspelt(root, pattern, Wanted::File) {
                self.missing(found, pattern.span.as_ref());
                return Vec::new();
            }
            let other_case = find(false).map(|found| found.files).unwrap_or_default();
            let hint = unmatched_hint(root, &pattern[..fixed], pattern, &other_case);
            let message = format!("`{name}` matches no file");
            let fault = Fault::new(message, pattern.span.clone()).with_note(self.relative_to());
            self.faults.push(fault.with_hint(hint));
        }
        for (message, hint) in found.faults {
            let fault = Fault::new(message, pattern.span.clone());
            let label = format!("matched by `{name}`");
            self.faults.push(fault.with_label(label).with_hint(hint));
        }
        found.files
    }

    fn plain_file(&mut self, written: &Located<String>) -> Option<InputFile> {
        let root = self.layout.root();
        if let Some(found) = misspelt(root, written, Wanted::File) {
            self.missing(found, written.span.as_ref());
            return None;
        }
        let path = root.join(&**written);
        let opened = fs::metadata(&path).and_then(|metadata| {
            if metadata.is_file() {
                fs::File::open(&path)?;
            }
            Ok(metadata)
        });
        let name = shown(written);
        match opened {
            Ok(metadata) if metadata.is_file() => {
                if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
                    let name = name.to_owned();
                    return Some(InputFile { name, path });
                }
                let fault = Fault::new(format!("`{name}` is not a file"), written.span.clone());
                self.faults.push(fault);
            }
            Ok(metadata) if metadata.is_dir() => {
                let pattern = format!("{}/*", name.trim_end_matches('/'));
                let message = format!("`{name}` is a folder, not a file");
                let fault = Fault::new(message, written.span.clone());
                let hint = format!("write a file's path, or a pattern such as `{pattern}`");
                self.faults.push(fault.with_hint(hint));
            }
            Ok(_) => {
                let message = format!("`{name}` is not a regular file");
                self.faults.push(Fault::new(message, written.span.clone()));
            }
            Err(error) => {
                let found = missing(root, written, Wanted::File, &error);
                self.missing(found, written.span.as_ref());
            }
        }
        None
    }

    fn missing(&mut self, missing: Missing, span: Option<&Span>) {
        let mut fault = Fault::new(missing.message, span.cloned()).with_hint(missing.hint);
        if missing.is_relative {
            fault = fault.with_note(self.relative_to());
        }
        self.faults.push(fault);
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
        let root = self.layout.root();
        let path = root.join(name);
        if let Some(found) = misspelt(root, name, Wanted::Model) {
            self.missing(found, span);
            return None;
        }
        if path.is_file() {
            let fault = fault(format!("`{}` is a file", shown(name)));
            let label = "expected a folder with `config.json`, weights and tokenizer";
            self.faults.push(fault.with_label(label));
            return None;
        }
        if let Err(error) = fs::read_dir(&path) {
            let found = missing(root, name, Wanted::Model, &error);
            self.missing(found, span);
            return None;
        }
        // A file that is there and cannot be read must not be taken for one that is not there.
        let others = TOKENIZER_FILES.into_iter().chain([CONFIG, PROJECTION]);
        for file in others.clone().chain(WEIGHTS) {
            let path = path.join(file);
            let read = fs::symlink_metadata(&path)
                .is_ok()
                .then(|| fs::File::open(&path));
            if let Some(Err(error)) = read {
                let (message, hint) = unreadable(&path, &error);
                self.faults.push(fault(message).with_hint(hint));
                return None;
            }
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
        // Whether `added_tokens.json` counts, `tokenizer` finds out.
        let others = TOKENIZER_FILES
            .into_iter()
            .filter(|name| *name != ADDED_TOKENS);
        let others = others.chain([CONFIG, PROJECTION]);
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
                "model folder `{name}` has neither `tokenizer.json` nor `vocab.txt`"
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

    /// Reads the tokenizer that cuts all text. A file that it takes tokens from counts, as the
    /// others do; what it says otherwise than the first version of tinyrun is returned.
    fn tokenizer(
        &mut self,
        experiment: &Experiment,
        folders: &mut BTreeMap<String, ModelFolder>,
    ) -> Vec<&'static str> {
        let model = &experiment.teacher.model;
        let Some(folder) = folders.get_mut(&model.value) else {
            return Vec::new();
        };
        let at = |message: String| Fault::new(message, model.span.clone());
        let files = match TokenizerFiles::read(&folder.path) {
            Ok(files) => files,
            Err(error) => {
                self.faults
                    .push(at(error.to_string()).with_hint(error.hint()));
                return Vec::new();
            }
        };
        if let Some(name) = files.added_file() {
            let path = folder.path.join(name);
            let name = name.to_owned();
            folder.files.push(InputFile { name, path });
        }
        if experiment.task.pair.is_some() && !files.has_segments() {
            let message = format!(
                "the tokenizer of `{}` gives both texts of a pair the same segment",
                model.value
            );
            let label = "`model_input_names` or `tokenizer_class` excludes `token_type_ids`";
            self.faults.push(at(message).with_label(label));
        }
        files.changed_since_first()
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

/// Why a pattern may match nothing.
fn unmatched_hint(
    root: &Path,
    fixed: &str,
    pattern: &str,
    other_case: &[InputFile],
) -> Option<String> {
    let folder = fixed.trim_end_matches('/');
    if !folder.is_empty() && !root.join(folder).is_dir() {
        return Some(match near(root, folder) {
            Some(meant) => format!("did you mean the folder `{}`?", shown(&meant)),
            None => format!("the folder `{}` does not exist", shown(folder)),
        });
    }
    if let Some(file) = other_case.first() {
        let name = shown(&format!("{fixed}{}", file.name));
        return Some(format!("`{name}` differs only in upper and lower case"));
    }
    pattern.contains('[').then(|| {
        "`[...]` matches one of the characters in it: write `[[]` for the character `[`".to_owned()
    })
}
