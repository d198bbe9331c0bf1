//! Finds the tokenizer that cuts all text, and whether it fits the task and the student.

use std::collections::BTreeMap;

use super::find::Finder;
use super::inputs::{InputFile, ModelFolder};
use crate::data::TokenizerFiles;
use crate::document::Fault;
use crate::experiment::{Experiment, Role, windows_of_pairs};

/// Why a tokenizer gives no segments.
pub(super) const NO_SEGMENTS: &str =
    "`model_input_names` or `tokenizer_class` excludes `token_type_ids`";

/// What is wrong with a tokenizer without segments.
pub(super) fn same_segment(model: &str) -> String {
    format!("the tokenizer of `{model}` gives both texts of a pair the same segment")
}

impl Finder<'_> {
    /// Reads the tokenizer that cuts all text. A file that it takes tokens from counts, as the
    /// others do; what it says otherwise than the first version of tinyrun is returned.
    pub(super) fn tokenizer(
        &mut self,
        experiment: &Experiment,
        folders: &mut BTreeMap<String, ModelFolder>,
    ) -> Vec<&'static str> {
        let model = experiment.tokenizer_model();
        let Some(folder) = folders.get_mut(&model.value) else {
            return Vec::new();
        };
        let at = |message: String| Fault::new(message, model.span.clone());
        let Some(tokenizer) = folder.tokenizer.clone() else {
            if experiment.teacher.vocab.is_none() {
                let message = format!("checkpoint `{}` has no tokenizer", model.value);
                let hint = if experiment.has_teacher() {
                    "set `vocab` in `[teacher]` to the model's `vocab.txt`"
                } else {
                    "use a folder with a tokenizer, or add `[teacher]`"
                };
                self.faults.push(at(message).with_hint(hint.to_owned()));
            }
            return Vec::new();
        };
        let files = match TokenizerFiles::read(&tokenizer) {
            Ok(files) => files,
            Err(error) => {
                self.faults
                    .push(at(error.to_string()).with_hint(error.hint()));
                return Vec::new();
            }
        };
        if let Some(name) = files.added_file() {
            let path = tokenizer.join(name);
            let name = name.to_owned();
            folder.files.push(InputFile { name, path });
        }
        // A student that has token types gets a tokenizer that gives them.
        let has_pairs = experiment.task.pair.is_some() || windows_of_pairs(experiment).is_some();
        let needs_segments = has_pairs && folder.config.family.token_types;
        if needs_segments && !files.has_segments() {
            let fault = at(same_segment(&model.value));
            self.faults.push(fault.with_label(NO_SEGMENTS));
        }
        let draws_segments = experiment.student.model.is_none()
            && experiment.student.shape.family().token_types
            && experiment
                .stages
                .iter()
                .any(|stage| stage.makes_model_of() == Some(Role::Student));
        if has_pairs && draws_segments && !files.can_mark_pairs() {
            let message = format!(
                "the tokenizer of `{}` cannot mark the second text of a pair for a BERT student",
                model.value
            );
            let hint = "set `family = \"mpnet\"` in `[student]`, or set its `model` to a BERT with a tokenizer of its own and use `td-phase2` alone";
            self.faults.push(at(message).with_hint(hint.to_owned()));
        }
        self.vocabularies(experiment, folders, &tokenizer);
        files.changed_since_first()
    }
}
