//! `tinyrun export-data`: prepared data as files for other programs.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, Place, layout, print, set, word};
use crate::data::records::{schema_of, write_records};
use crate::data::{RecordFormat, TokenStore, UNLABELLED_STORE};
use crate::experiment::{Stage, StageName, What};
use crate::input::{excerpt, excerpt_path};
use crate::job::words;
use crate::kinds::KINDS;
use crate::plan::{Done, Node, Pipeline, Selection, Status, Workload};
use crate::report::why;
use crate::runs::{Digester, Record};
use crate::system::{advice_for_output, reason, sync_folder, write_atomic};

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

/// Folder in the output that holds what is not complete: an interrupted export is none.
const PARTIAL: &str = ".partial";

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let layout = layout(&arguments.place)?;
    let output = &arguments.output;
    let entries = fs::read_dir(output).into_iter().flatten().flatten();
    let mut entries = entries.filter(|entry| entry.file_name() != PARTIAL);
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
    let mut digester = Digester::of(&layout);
    let prepared = pipelines
        .iter()
        .map(|pipeline| prepared(pipeline, arguments, &mut digester))
        .collect::<Result<Vec<_>, _>>()?;
    let is_new = !output.exists();
    let partial = output.join(PARTIAL);
    let mut text = String::new();
    let mut write_all = || {
        refused(&partial, renewed(&partial))?;
        for (pipeline, results) in pipelines.iter().zip(&prepared) {
            // Each experiment of a matrix has a folder of its own.
            let name = match pipelines.len() {
                1 => Path::new(""),
                _ => Path::new(pipeline.name),
            };
            let folders = [&partial, output].map(|folder| folder.join(name));
            text.push_str(&write(results, arguments.format, &folders)?);
        }
        refused(output, move_up(&partial, output))
    };
    if let Err(error) = write_all() {
        // What cannot be removed either is removed by the next export.
        let _ = remove(if is_new { output } else { &partial });
        return Err(error);
    }
    print(&text)
}

/// Removes a folder that this command made.
#[expect(
    clippy::disallowed_methods,
    reason = "the user named an empty or new folder for the output; `runs` is not involved"
)]
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// An empty folder in place of what an interrupted export left.
fn renewed(folder: &Path) -> io::Result<()> {
    remove(folder)?;
    fs::create_dir_all(folder)
}

/// Moves what is in a folder to the folder around it.
#[expect(
    clippy::disallowed_methods,
    reason = "the files were synced as they were written, and the folder is afterwards"
)]
fn move_up(folder: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        fs::rename(entry.path(), to.join(entry.file_name()))?;
    }
    fs::remove_dir(folder)?;
    sync_folder(to)
}

/// The stages of an experiment that prepared data, with their results, which are those of its file
/// as it is now.
fn prepared(
    pipeline: &Pipeline<'_>,
    arguments: &Arguments,
    digester: &mut Digester,
) -> Result<Vec<(StageName, PathBuf, Record)>, Failure> {
    let mut found = Vec::new();
    let mut fault = None;
    let prepares = |node: &&Node| {
        let made = pipeline.experiment.stages.get(node.stage.as_str());
        let mut made = made.map(Stage::makes).unwrap_or_default().into_iter();
        made.any(|made| matches!(made.what, What::Rows | What::Text))
    };
    let nodes: Vec<&Node> = pipeline.nodes.iter().filter(prepares).collect();
    let mut planner = pipeline.planner(digester);
    for node in &nodes {
        let plan = planner.plan(node, &Done::new())?;
        let fingerprint = plan.fingerprint();
        let message = match plan.status {
            Status::Fresh(record) => {
                let folder = fingerprint.map(|found| pipeline.layout.store(plan.kind, &found));
                found.push((plan.stage, folder.unwrap_or_default(), *record));
                continue;
            }
            // Labelled data can be exported before the corpus is prepared.
            _ if pipeline.result(&node.stage).is_none() => None,
            Status::Stale(reasons) => why(&reasons),
            Status::Resumable(_) | Status::Waits { .. } => Some("not finished".to_owned()),
        };
        fault = match (fault, message) {
            (_, Some(why)) => {
                let what = format!("the data that `{}` prepared are stale: {why}", node.stage);
                Some((&node.stage, what))
            }
            (fault, None) => fault,
        };
    }
    let fault = fault.or_else(|| {
        let name = excerpt(pipeline.name);
        let message = format!("experiment `{name}` has no prepared data");
        found.is_empty().then_some((&nodes.first()?.stage, message))
    });
    let Some((stage, message)) = fault else {
        return Ok(found);
    };
    let file = excerpt_path(&pipeline.file.path);
    let sets = if arguments.set.is_empty() {
        ""
    } else {
        " with the same `--set`"
    };
    Err(Failure::Usage {
        message,
        hint: Some(format!("run `tinyrun {file} --until {stage}`{sets} first")),
    })
}

/// Writes the data of an experiment to the first of the folders, and says what the second will have.
fn write(
    results: &[(StageName, PathBuf, Record)],
    format: DataFormat,
    [output, shown]: &[PathBuf; 2],
) -> Result<String, Failure> {
    let mut text = String::new();
    for (stage, folder, record) in results {
        let splits = record.artifacts.keys();
        // The training rows stand in a store of their own, and a schema has labels for all rows or for none.
        let splits = splits.filter_map(|path| path.strip_suffix(STORE));
        for split in splits.filter(|split| *split != UNLABELLED_STORE) {
            let store = TokenStore::open(&folder.join(split)).map_err(|error| Failure::Usage {
                hint: error.hint(),
                message: error.to_string(),
            })?;
            // Text without labels is called after its stage.
            let (name, schema) = match store.label(0) {
                Some(_) => (split, "schema.json".to_owned()),
                None => (stage.as_str(), format!("schema-{stage}.json")),
            };
            let (format, ending) = format.records();
            let file = Path::new(name).join(format!("{name}.{ending}"));
            let path = output.join(&file);
            let file = shown.join(file);
            refused(&file, write_split(&store, format, &path))?;
            // A MindRecord file holds its own.
            if format == RecordFormat::TfRecord {
                let content = format!("{:#}\n", schema_of(&store));
                let path = output.join(&schema);
                let written = write_atomic(&path, |file| file.write_all(content.as_bytes()));
                refused(&shown.join(schema), written)?;
            }
            let rows = store.len();
            let line = format!("wrote {} ({rows} rows)\n", excerpt_path(&file));
            text.push_str(&line);
        }
    }
    Ok(text)
}

fn write_split(store: &TokenStore, format: RecordFormat, file: &Path) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    write_records(store, format, file)
}

fn refused(path: &Path, written: io::Result<()>) -> Result<(), Failure> {
    written.map_err(|error| Failure::Usage {
        message: format!("cannot write `{}`: {}", excerpt_path(path), reason(&error)),
        hint: advice_for_output(&error),
    })
}
