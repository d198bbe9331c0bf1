//! `tinyrun export`: a model in a format of other programs, outside a pipeline.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use clap::Args;

use super::forward_check::largest_difference;
use super::given_model::{CheckpointArguments, GivenModel};
use super::{Failure, Place, layout, print, word};
use crate::export::{Export, Format, History};
use crate::input::{excerpt, excerpt_path};
use crate::job::Word;
use crate::kinds::KINDS;
use crate::model::{ModelRef, WeightDtype, is_checkpoint, load_stated};
use crate::runs::{Layout, Record, stored};
use crate::stage::Interrupts;
use crate::system::advice_for_output;

/// `tinyrun export MODEL`
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Model: a Hugging Face folder, a folder of Google's TensorFlow BERT, a MindSpore checkpoint, or a
    /// result as `EXPERIMENT/STAGE`, for example `sst2/td-phase2`
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
            message: if output.is_file() {
                format!("the file `{}` exists", excerpt_path(output))
            } else {
                format!("`{}` exists and is not empty", excerpt_path(output))
            },
            hint: Some(if output.is_file() {
                "choose another name, or remove the file".to_owned()
            } else {
                "choose another folder, or remove it".to_owned()
            }),
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
        head: None,
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
    text.push_str(&checked(arguments, &model.model)?);
    print(&text)
}

/// What a checkpoint of another program was read as, and whether the written folder computes the
/// same.
fn checked(arguments: &Arguments, model: &ModelRef) -> Result<String, Failure> {
    let is_foreign = is_checkpoint(model) || !model.join("config.json").exists();
    if !is_foreign {
        return Ok(String::new());
    }
    let usage = |message: String| Failure::Usage {
        message,
        hint: None,
    };
    let read = load_stated(model, &model.stated).map_err(|error| usage(error.to_string()))?;
    let mut text = format!("read as {}\n", read.config.described());
    if arguments.format != Format::HuggingFace {
        return Ok(text);
    }
    if !(read.has_classifier() && read.has_pooler) {
        text.push_str("forward check: skipped, the model has no classifier\n");
        return Ok(text);
    }
    let interrupts = Interrupts::listen()
        .map_err(|error| usage(format!("cannot install signal handlers: {error}")))?;
    let _held = interrupts.hold();
    let written = ModelRef::from(&arguments.output);
    let _ = match largest_difference(&read, [model, &written], &interrupts) {
        Ok((difference, rows)) => writeln!(
            text,
            "forward check: logits of {rows} rows differ by at most {difference:e}"
        ),
        // The model is written; only the check needs the training kernel.
        Err(error) => writeln!(text, "forward check: failed: {error}"),
    };
    Ok(text)
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
