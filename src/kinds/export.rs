//! `export`: a model in a format of other programs, with its card.

use crate::document::{Fault, Located, Section};
use crate::experiment::setting::choices;
use crate::experiment::settings::{key, settings};
use crate::experiment::{
    Artifact, Counts, ModelPort, Port, Role, StageDefaults, StageKind, StageSettings,
    StudentSource, TableKeys, Task, What,
};
use crate::export::{ExportError, Format, History};
use crate::model::WeightDtype;
use crate::runs::{Record, Summary};
use crate::stage::{Activity, Place, StageError, Work};

use super::KINDS;

pub(super) struct Export;

choices! { Format }

settings! {
    /// `[stages.export]`
    pub(super) struct Keys(stage, none: StageDefaults) titled "Export" checked by check_dtype {
        /// File format of the exported folder.
        counts format: Located<Format> = key("format"), default Format::HuggingFace;
        /// Number format of the exported weights.
        counts dtype: Located<WeightDtype> = key("dtype"), default WeightDtype::Fp32;
        /// The model.
        group source: StudentSource = &();
    }
}

fn check_dtype(found: &Keys, stage: &Section<'_>) {
    let (format, dtype) = (*found.format, *found.dtype);
    if !format.dtypes().contains(&dtype) {
        let error = ExportError::NoSuchNumbers { format, dtype };
        let fault = Fault::new(error.to_string(), found.dtype.span.clone());
        stage.wrong("dtype", fault.with_hint(error.hint()));
    }
}

/// Folder of the exported model in the result.
const FOLDER: &str = "model";

impl StageKind for Export {
    fn name(&self) -> &'static str {
        "export"
    }

    fn is_on_device(&self) -> bool {
        false
    }

    fn keys(&self) -> Option<TableKeys> {
        Some(TableKeys::of::<Keys>())
    }

    fn ports(&self, _: &Task, keys: &dyn StageSettings) -> Vec<Port> {
        let keys: &Keys = keys.keys();
        let student = ModelPort::used(Role::Student);
        let student = if keys.format.needs_classifier() {
            student.with_classifier()
        } else {
            student
        };
        vec![student.port(), Port::scores()]
    }

    fn makes(&self) -> Vec<Artifact> {
        vec![Artifact {
            name: FOLDER,
            what: What::Export,
        }]
    }

    fn counts(&self) -> Vec<Counts> {
        vec![Counts::Own, Counts::StudentHead]
    }
}

impl Work for Export {
    fn activity<'a>(&self, place: &'a Place<'_>) -> Result<Activity<'a>, StageError> {
        let keys: &Keys = place.stage().keys();
        let history = history(place);
        let head = match &history {
            // A model that was trained here says in its `config.json` what its head is.
            Some(_) => None,
            None => Some(place.head(Role::Student)),
        };
        Ok(Activity::Here(Box::new(move |_| {
            let mut model = place.model("student").unwrap_or_default();
            // It goes out with its own vocabulary.
            model.stated.tokens = None;
            let tokenizer = place.tokenizer_of("student");
            let export = crate::export::Export {
                model: &model,
                tokenizer: tokenizer.as_deref(),
                name: &place.experiment.name,
                head,
                history: history.as_ref(),
                command: None,
                format: *keys.format,
                dtype: *keys.dtype,
            };
            let written = export.write(&place.work.join(FOLDER));
            written.map_err(|error| StageError::Prep {
                stage: place.node.stage.clone(),
                hint: error.hint(),
                message: error.to_string(),
            })?;
            Ok(Summary::default())
        })))
    }

    fn promised(&self, _: &Place<'_>) -> Vec<&'static str> {
        vec!["model/README.md", "model/config.json"]
    }
}

/// How the model was made, where a stage made it.
fn history(place: &Place<'_>) -> Option<History> {
    let record = |role: &str| {
        let take = place.node.take(role)?;
        place.done.get(&take.from)
    };
    let records: Vec<Record> = place.done.values().cloned().collect();
    let made = record("student")?;
    Some(History::of(KINDS, made, &records, record("scores"), &[]))
}
