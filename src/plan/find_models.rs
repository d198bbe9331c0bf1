//! Finds the model folders that an experiment names.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::find::Finder;
use super::inputs::{CHECKPOINT, InputFile, ModelFolder, PROJECTION};
use super::missing::{Wanted, missing, shown};
use super::misspelt::misspelt;
use super::pattern::unreadable;
use crate::data::check_vocabulary;
use crate::document::{Fault, Span};
use crate::experiment::{Experiment, Origin, Role};
use crate::model::{
    ModelRef, TOKENIZER_FILES, WEIGHTS_FILES, is_checkpoint, load_model, load_stated,
};

/// Files of a model folder that are read, beside one of [`WEIGHTS_FILES`].
const CONFIG: &str = "config.json";

/// Name under which a vocabulary counts, as in a model folder.
const VOCABULARY: &str = "vocab.txt";

/// Tokens beside the vocabulary, which other files may repeat.
const ADDED_TOKENS: &str = "added_tokens.json";

/// The same in a folder of Google's BERT.
const BERT_CONFIG: &str = "bert_config.json";

impl Finder<'_> {
    /// Every model folder that a stage reads.
    pub(super) fn folders(&mut self, experiment: &Experiment) -> BTreeMap<String, ModelFolder> {
        let named = self.named_models(experiment);
        let mut folders = BTreeMap::new();
        for (name, (role, span)) in named {
            let is_checkpoint = is_checkpoint(Path::new(&name));
            let folder = if is_checkpoint && !self.layout.root().join(&name).is_dir() {
                self.checkpoint(experiment, (role, &name), span.as_ref())
            } else {
                self.folder(&name, span.as_ref())
            };
            if let Some(folder) = folder {
                folders.insert(name, folder);
            }
        }
        folders
    }

    /// Models by path: the role of each, and where it is named.
    fn named_models(&mut self, experiment: &Experiment) -> BTreeMap<String, (Role, Option<Span>)> {
        let mut named = BTreeMap::new();
        let own = [
            (Role::Student, experiment.student_folder()),
            (
                Role::Teacher,
                experiment
                    .has_teacher()
                    .then_some(&experiment.teacher.model),
            ),
        ];
        for (role, model) in own {
            if let Some(model) = model {
                named.insert(model.value.clone(), (role, model.span.clone()));
            }
        }
        for stage in &experiment.stages {
            for (port, origin) in experiment.models_of(stage) {
                let role = port.of;
                if let Origin::Folder(folder) = origin.value.whole() {
                    let (known, _) = named
                        .entry(folder.clone())
                        .or_insert((role, origin.span.clone()));
                    let stated = |role| experiment.stated(role, &folder).without_dropouts();
                    let [known, own] = [*known, role].map(stated);
                    if known != own {
                        let message = format!(
                            "checkpoint `{folder}` is both a teacher and a student, with different settings"
                        );
                        let fault = Fault::new(message, origin.span);
                        let label = "`[teacher]` and `[student]` state different values of it";
                        self.faults.push(fault.with_label(label));
                    }
                }
            }
        }
        named
    }

    /// A checkpoint of another program, and the vocabulary that `[teacher]` names.
    fn checkpoint(
        &mut self,
        experiment: &Experiment,
        (role, name): (Role, &str),
        span: Option<&Span>,
    ) -> Option<ModelFolder> {
        if self.is_misspelt(name, span) {
            return None;
        }
        let path = self.layout.root().join(name);
        if let Err(error) = fs::File::open(&path) {
            self.unread_model(name, &error, span);
            return None;
        }
        let stated = experiment.stated(role, name);
        let model = match load_stated(&path, &stated) {
            Ok(model) => model,
            Err(error) => {
                let fault = Fault::new(error.to_string(), span.cloned());
                self.faults.push(fault.with_hint(error.hint()));
                return None;
            }
        };
        let mut files = vec![InputFile {
            name: CHECKPOINT.to_owned(),
            path: path.clone(),
        }];
        let vocab = experiment.teacher.vocab.as_ref();
        let is_teacher = *name == **experiment.teacher.model;
        let vocab = vocab
            .filter(|_| is_teacher)
            .and_then(|it| self.plain_file(it));
        let tokenizer = vocab.as_ref().map(|file| file.path.clone());
        let checked = tokenizer.as_deref().map_or(Ok(()), |path| {
            check_vocabulary(path, model.config.vocab_size)
        });
        if let Err(error) = checked {
            let span = experiment.teacher.vocab.as_ref();
            let span = span.and_then(|vocab| vocab.span.clone());
            let fault = Fault::new(error.to_string(), span);
            self.faults.push(fault.with_hint(error.hint()));
            return None;
        }
        files.extend(vocab.map(|file| InputFile {
            name: VOCABULARY.to_owned(),
            ..file
        }));
        Some(ModelFolder {
            model: ModelRef { path, stated },
            tokenizer,
            files,
            tokens: None,
            own_stores: None,
            num_labels: model.num_labels,
            config: model.config,
        })
    }

    fn folder(&mut self, name: &str, span: Option<&Span>) -> Option<ModelFolder> {
        let fault = |message: String| Fault::new(message, span.cloned());
        if self.is_misspelt(name, span) {
            return None;
        }
        let path = self.layout.root().join(name);
        if path.is_file() {
            let fault = fault(format!("`{}` is a file", shown(name)));
            let label = "expected a folder with `config.json`, weights and tokenizer, or a checkpoint that ends in `.ckpt`";
            self.faults.push(fault.with_label(label));
            return None;
        }
        if let Err(error) = fs::read_dir(&path) {
            self.unread_model(name, &error, span);
            return None;
        }
        if let Some((message, hint)) = unreadable_file(&path) {
            self.faults.push(fault(message).with_hint(hint));
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
        let files = files_of(&path, model.weights.files());
        let has_tokenizer = files
            .iter()
            .any(|file| matches!(file.name.as_str(), "tokenizer.json" | "vocab.txt"));
        if !has_tokenizer && self.needs_tokenizer {
            let name = shown(name);
            let message =
                format!("model folder `{name}` has neither `tokenizer.json` nor `vocab.txt`");
            let hint = "copy those files of the model into the folder".to_owned();
            self.faults.push(fault(message).with_hint(hint));
            return None;
        }
        Some(ModelFolder {
            tokenizer: Some(path.clone()),
            model: path.into(),
            files,
            tokens: None,
            own_stores: None,
            num_labels: model.num_labels,
            config: model.config,
        })
    }

    /// Whether the path of a model is wrong by the way it is written, which is then reported.
    fn is_misspelt(&mut self, name: &str, span: Option<&Span>) -> bool {
        let found = misspelt(self.layout.root(), name, Wanted::Model);
        let is_misspelt = found.is_some();
        if let Some(found) = found {
            self.missing(found, span);
        }
        is_misspelt
    }

    /// Reports a model that is not there, or cannot be read.
    fn unread_model(&mut self, name: &str, error: &io::Error, span: Option<&Span>) {
        let found = missing(self.layout.root(), name, Wanted::Model, error);
        self.missing(found, span);
    }
}

/// What is wrong with the first file of a model folder that is there and cannot be read: it must not be taken for one
/// that is not there.
fn unreadable_file(folder: &Path) -> Option<(String, Option<String>)> {
    let others = TOKENIZER_FILES.into_iter().chain([CONFIG, PROJECTION]);
    others.chain(WEIGHTS_FILES).find_map(|name| {
        let path = folder.join(name);
        let is_there = fs::symlink_metadata(&path).is_ok();
        let error = fs::File::open(&path).err().filter(|_| is_there)?;
        Some(unreadable(&path, &error))
    })
}

/// The files of a model folder that count. Whether `added_tokens.json` does, [`Finder::tokenizer`] finds out.
fn files_of<'a>(folder: &Path, weights: impl Iterator<Item = &'a Path>) -> Vec<InputFile> {
    let others = TOKENIZER_FILES
        .into_iter()
        .filter(|name| *name != ADDED_TOKENS);
    let others = others.chain([CONFIG, BERT_CONFIG, PROJECTION]);
    let others = others
        .map(|name| folder.join(name))
        .filter(|path| path.is_file());
    let files = others.chain(weights.map(Path::to_path_buf));
    let files = files.filter_map(|path| {
        let name = path.file_name()?.to_str()?.to_owned();
        Some(InputFile { name, path })
    });
    files.collect()
}
