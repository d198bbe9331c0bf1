//! Finds the model folders that an experiment names, and the tokenizer in one of them.

use std::collections::BTreeMap;
use std::fs;

use super::find::Finder;
use super::inputs::{InputFile, ModelFolder, PROJECTION};
use super::missing::{Wanted, missing, misspelt, shown};
use super::pattern::unreadable;
use crate::data::TokenizerFiles;
use crate::document::{Fault, Span};
use crate::experiment::{Experiment, Origin, Role, windows_of_pairs};
use crate::model::{TOKENIZER_FILES, load_model};

/// Files of a model folder that are read, beside one of [`WEIGHTS`].
const CONFIG: &str = "config.json";

/// Tokens beside the vocabulary, which other files may repeat.
const ADDED_TOKENS: &str = "added_tokens.json";

/// Weights, the first that is there.
const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

impl Finder<'_> {
    /// Every model folder that a stage reads.
    pub(super) fn folders(&mut self, experiment: &Experiment) -> BTreeMap<String, ModelFolder> {
        let mut named: BTreeMap<String, Option<Span>> = BTreeMap::new();
        let own = [
            Some(&experiment.teacher.model),
            experiment.student.model.as_ref(),
        ];
        for model in own.into_iter().flatten() {
            named.insert(model.value.clone(), model.span.clone());
        }
        for stage in &experiment.stages {
            let roles = [Role::Teacher, Role::Student];
            let origins = roles.map(|role| experiment.origin_of(stage, role));
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
        if !has_tokenizer && self.needs_tokenizer {
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
    pub(super) fn tokenizer(
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
        // A student that has token types gets a tokenizer that gives them.
        let has_pairs = experiment.task.pair.is_some() || windows_of_pairs(experiment).is_some();
        let needs_segments = has_pairs && folder.config.family.token_types;
        if needs_segments && !files.has_segments() {
            let message = format!(
                "the tokenizer of `{}` gives both texts of a pair the same segment",
                model.value
            );
            let label = "`model_input_names` or `tokenizer_class` excludes `token_type_ids`";
            self.faults.push(at(message).with_label(label));
        }
        files.changed_since_first()
    }
}
