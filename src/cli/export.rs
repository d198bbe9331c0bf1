//! `tinyrun export`: a model in a format of other programs, outside a pipeline.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use clap::Args;

use super::given_model::{CheckpointArguments, GivenModel};
use super::{Failure, Place, layout, print, word};
use crate::export::{Export, Format, History};
use crate::input::{excerpt, excerpt_path};
use crate::job::{HeadKind, Word};
use crate::kinds::KINDS;
use crate::model::WeightDtype;
use crate::runs::{Layout, Record, stored};
use crate::system::advice_for_output;

/// `tinyrun export MODEL`
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Model: a Hugging Face folder, a MindSpore checkpoint, or a result as `EXPERIMENT/STAGE`, for
    /// example `sst2/td-phase2`
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// File format
    #[arg(long, value_name = "WORD", value_parser = word::<Format>(), default_value = "huggingface")]
    format: Format,

    /// Number format of the weights
    #[arg(long, value_name = "WORD", value_parser = word::<WeightDtype>(), default_value = "fp32")]
    dtype: WeightDtype,

    /// Folder to write, which must be new or empty; with `--format mindspore` also a file that ends in `.ckpt`
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,

    #[command(flatten)]
    checkpoint: CheckpointArguments,

    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let layout = layout(&arguments.place)?;
    let model = GivenModel::find(&arguments.model, &arguments.checkpoint, &layout)?;
    let output = &arguments.output;
    let mut entries = fs::read_dir(output).into_iter().flatten();
    if output.is_file() || entries.next().is_some() {
        return Err(Failure::Usage {
            message: format!("`{}` exists and is not empty", excerpt_path(output)),
            hint: Some("choose another folder, or remove it".to_owned()),
        });
    }
    let history = match &model.record {
        Some(record) => Some(history(record, &layout)?),
        None => None,
    };
    let (name, is_result) = (model.name(), model.record.is_some());
    let export = Export {
        model: &model.model,
        tokenizer: model.tokenizer.as_deref(),
        name: &name,
        head: HeadKind::Plain,
        history: history.as_ref(),
        command: is_result.then(|| command(arguments, &name)),
        format: arguments.format,
        dtype: arguments.dtype,
    };
    let notes = export.write(output).map_err(|error| Failure::Usage {
        hint: match error.refused() {
            Some(source) => advice_for_output(source),
            None => error.hint(),
        },
        message: error.to_string(),
    })?;
    let mut text = format!("wrote {}\n", excerpt_path(output));
    for note in notes {
        let format = arguments.format.as_str();
        let _ = writeln!(text, "note: `{format}` computes it otherwise: {note}");
    }
    print(&text)
}

/// How a stored model was made, with the scores of other seeds.
fn history(made: &Record, layout: &Layout) -> Result<History, Failure> {
    let results = stored(layout)?.into_iter();
    let records: Vec<Record> = results.filter_map(|result| result.record).collect();
    let scored = History::scoring_of(made, &records);
    Ok(History::of(KINDS, made, &records, scored, &records))
}

/// The command, without folders of this machine; `experiment` is the model's.
fn command(arguments: &Arguments, experiment: &str) -> String {
    let mut parts = arguments.model.iter().rev();
    let stage = parts.find(|part| *part != "model").unwrap_or_default();
    format!(
        "tinyrun export {experiment}/{} --format {} --dtype {} -o FOLDER",
        excerpt(&stage.to_string_lossy()),
        arguments.format.as_str(),
        arguments.dtype.as_str()
    )
}
