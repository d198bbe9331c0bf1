//! `tinyrun export-data`: prepared data as files for other programs.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, Place, layout, print, set, word};
use crate::data::records::{schema_of, write_records};
use crate::data::{RecordFormat, TokenStore};
use crate::input::{excerpt, excerpt_path};
use crate::job::words;
use crate::kinds::KINDS;
use crate::plan::{Pipeline, Selection, Workload};
use crate::system::{advice_for_output, reason, write_atomic};

/// `tinyrun export-data FILE`
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Experiment file, whose data have been prepared
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// File format
    #[arg(long, value_name = "WORD", value_parser = word::<DataFormat>(), default_value = "tfrecord")]
    format: DataFormat,

    /// Folder to write, which must be new or empty
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,

    /// Override a key of the file, for example `task.max-seq-length=64` (repeatable)
    #[arg(
        long, value_name = "KEY=VALUE", value_parser = set::KeyAndValue, hide_possible_values = true
    )]
    set: Vec<String>,

    #[command(flatten)]
    place: Place,
}

/// A format of data for other programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DataFormat {
    /// TensorFlow's records.
    TfRecord,
    /// MindSpore's records.
    MindRecord,
}

words! {
    DataFormat { "tfrecord" => TfRecord, "mindrecord" => MindRecord }
}

impl DataFormat {
    /// What it is, and what its files end in.
    fn records(self) -> (RecordFormat, &'static str) {
        match self {
            Self::TfRecord => (RecordFormat::TfRecord, "tf_record"),
            Self::MindRecord => (RecordFormat::MindRecord, "mindrecord"),
        }
    }
}

/// File in the folder of a split by which a token store is known.
const STORE: &str = "/store.json";

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let layout = layout(&arguments.place)?;
    let output = &arguments.output;
    let mut entries = fs::read_dir(output).into_iter().flatten();
    if output.is_file() || entries.next().is_some() {
        return Err(Failure::Usage {
            message: format!("`{}` exists and is not empty", excerpt_path(output)),
            hint: Some("choose another folder, or remove it".to_owned()),
        });
    }
    let selection = Selection {
        overrides: arguments.set.clone(),
        ..Selection::of_files(std::slice::from_ref(&arguments.file))
    };
    let workload = Workload::read(KINDS, &selection, &layout)?;
    let pipelines = workload.pipelines();
    let mut text = String::new();
    for pipeline in &pipelines {
        // Each experiment of a matrix has a folder of its own.
        let folder = match pipelines.len() {
            1 => output.clone(),
            _ => output.join(pipeline.name),
        };
        text.push_str(&write(pipeline, arguments.format, &folder)?);
    }
    print(&text)
}

/// Writes the data of an experiment, and says what was written.
fn write(pipeline: &Pipeline<'_>, format: DataFormat, output: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    for node in pipeline.nodes {
        let Some((folder, record)) = pipeline
            .result(&node.stage)
            .zip(pipeline.last_record(&node.stage))
        else {
            continue;
        };
        let splits = record.artifacts.keys();
        for split in splits.filter_map(|path| path.strip_suffix(STORE)) {
            let store = TokenStore::open(&folder.join(split)).map_err(|error| Failure::Usage {
                hint: error.hint(),
                message: error.to_string(),
            })?;
            // Text without labels is called after its stage.
            let (name, schema) = match store.label(0) {
                Some(_) => (split, "schema.json".to_owned()),
                None => (
                    node.stage.as_str(),
                    format!("schema-{}.json", node.stage.as_str()),
                ),
            };
            let (format, ending) = format.records();
            let file = output.join(name).join(format!("{name}.{ending}"));
            refused(&file, write_split(&store, format, &file))?;
            // A MindRecord file holds its own.
            if format == RecordFormat::TfRecord {
                let schema = output.join(schema);
                let content = format!("{:#}\n", schema_of(&store));
                let written = write_atomic(&schema, |file| file.write_all(content.as_bytes()));
                refused(&schema, written)?;
            }
            let rows = store.len();
            let line = format!("wrote {} ({rows} rows)\n", excerpt_path(&file));
            text.push_str(&line);
        }
    }
    if text.is_empty() {
        let file = excerpt_path(&pipeline.file.path);
        return Err(Failure::Usage {
            message: format!(
                "experiment `{}` has no prepared data",
                excerpt(pipeline.name)
            ),
            hint: Some(format!("run `tinyrun {file}` first")),
        });
    }
    Ok(text)
}

fn write_split(store: &TokenStore, format: RecordFormat, file: &Path) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    write_records(store, format, file)
}

fn refused(path: &Path, written: std::io::Result<()>) -> Result<(), Failure> {
    written.map_err(|error| Failure::Usage {
        message: format!("cannot write `{}`: {}", excerpt_path(path), reason(&error)),
        hint: advice_for_output(&error),
    })
}
