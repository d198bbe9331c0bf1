//! A model that is named on the command line: a folder, or the result of a stage.

use std::path::{Path, PathBuf};

use super::{Failure, show};
use crate::input::excerpt_path;
use crate::runs::{Layout, RECORD, Record};

/// A model and where it came from.
pub(super) struct GivenModel {
    /// Its Hugging Face folder.
    pub(super) folder: PathBuf,
    /// The record of the stage that made it, where one did.
    pub(super) record: Option<Record>,
}

/// Name of the model in the result of a stage.
const MODEL: &str = "model";

impl GivenModel {
    /// The model that `given` means: a folder with a `config.json`, or else a result as
    /// `EXPERIMENT/STAGE`.
    ///
    /// # Errors
    /// There is no such folder or result, or the result has no model.
    pub(super) fn find(given: &Path, layout: &Layout) -> Result<Self, Failure> {
        if given.join("config.json").exists() {
            let result = given.parent();
            let is_its_model = given.file_name().is_some_and(|name| name == MODEL);
            return Ok(Self {
                record: result.filter(|_| is_its_model).and_then(Record::read),
                folder: given.to_owned(),
            });
        }
        let usage = |message: String, hint: &str| Failure::Usage {
            message,
            hint: Some(hint.to_owned()),
        };
        let shown = excerpt_path(given);
        let how = "name a stage as `EXPERIMENT/STAGE`, as in `runs/`, or the folder of a model";
        if !layout.runs().join(given).exists() {
            if !given.exists() {
                return Err(usage(format!("model `{shown}` not found"), how));
            }
            if given.is_dir() && !given.join(RECORD).exists() {
                return Err(usage(format!("folder `{shown}` has no `config.json`"), how));
            }
        }
        let (result, record) = show::find(given, layout)?;
        if record.artifact(MODEL).is_none() {
            let message = format!("the result `{shown}` has no model");
            return Err(usage(message, "name a stage that trains a model"));
        }
        Ok(Self {
            folder: result.join(MODEL),
            record: Some(record),
        })
    }

    /// What it is called: its experiment, or its folder.
    pub(super) fn name(&self) -> String {
        let experiment = self.record.as_ref().and_then(|record| {
            let table: toml::Table = record.experiment.parse().ok()?;
            Some(table.get("name")?.as_str()?.to_owned())
        });
        experiment.unwrap_or_else(|| {
            let whole = self.folder.canonicalize().unwrap_or_default();
            let name = whole.file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        })
    }
}
