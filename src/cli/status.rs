//! `tinyrun status`: where each stage stands, without waiting for anything.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::file::Request;
use super::{Failure, Place, layout, print, set};
use crate::experiment::StageName;
use crate::plan::{Planner, Status};
use crate::report::{Standing, Style, experiment_lines, standing_line, standing_lines};
use crate::runs::{Digester, Error, Layout, Lock, Record};
use crate::stage::Pipeline;

/// `tinyrun status [FILE...]`
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Experiment files; if omitted, print one line per experiment in `runs/`
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Override a key of the file, as for a run (repeatable)
    #[arg(
        long, value_name = "KEY=VALUE", value_parser = set::KeyAndValue, hide_possible_values = true
    )]
    set: Vec<String>,

    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let layout = layout(&arguments.place)?;
    let style = Style::of(&io::stdout());
    let mut digester = Digester::open(layout.digests(), layout.root().to_owned());
    let mut text = String::new();
    let mut rows = Vec::new();
    if arguments.files.is_empty() {
        let experiments = experiments(&layout)?;
        for (name, file) in &experiments {
            let run = run_arguments(std::slice::from_ref(file), &[]);
            let line = match Request::read(&run, &layout) {
                Ok(request) => {
                    let standing = standing_of(&request, 0, 0, &mut digester)?;
                    standing_line(&standing, style)
                }
                // Its data may be gone; what is there is still an experiment.
                Err(_) => "cannot read its inputs: run `tinyrun status` with its experiment file"
                    .to_owned(),
            };
            rows.push((name.clone(), line));
        }
        if experiments.is_empty() {
            text = format!("no experiment has run in `{}`\n", layout.runs().display());
        }
    } else {
        let run = run_arguments(&arguments.files, &arguments.set);
        let request = Request::read(&run, &layout)?;
        for (file, found) in request.files.iter().enumerate() {
            for (place, variant) in found.experiments.variants.iter().enumerate() {
                let standing = standing_of(&request, file, place, &mut digester)?;
                if request.count() > 1 {
                    let name = request.name_of(variant).to_owned();
                    rows.push((name, standing_line(&standing, style)));
                } else {
                    text.push_str(&standing_lines(&standing, style));
                }
            }
        }
    }
    text.push_str(&experiment_lines(rows));
    if layout.runs().is_dir() {
        // A memo that cannot be stored costs time only, and this command changes nothing else.
        let _ = digester.save();
    }
    print(&text)
}

/// Where every stage of one experiment stands.
fn standing_of(
    request: &Request<'_>,
    file: usize,
    place: usize,
    digester: &mut Digester,
) -> Result<Vec<(StageName, Standing)>, Error> {
    let pipeline = request.pipeline(&request.files[file], place);
    let mut done: BTreeMap<StageName, Record> = BTreeMap::new();
    let mut found = Vec::new();
    for node in pipeline.nodes {
        let mut planner = Planner {
            experiment: pipeline.experiment,
            inputs: pipeline.inputs,
            layout: pipeline.layout,
            forced: pipeline.forced,
            digester: &mut *digester,
        };
        let plan = planner.plan(node, &done)?;
        if let Status::Fresh(record) = &plan.status {
            done.insert(node.stage, (**record).clone());
        }
        let owner = plan.fingerprint().and_then(|fingerprint| {
            let lock = pipeline.layout.lock(node.stage.as_str(), &fingerprint);
            Lock::owner(&lock)
        });
        let standing = match (plan.status, owner) {
            (Status::Fresh(record), _) => Standing::Done(record),
            (_, Some(owner)) => Standing::Running(owner),
            (Status::Resumable(checkpoint), None) => Standing::Stopped(checkpoint),
            (Status::Stale(reasons), None) => Standing::Stale(reasons),
            (Status::Waits { on, .. }, None) => Standing::Waits(on),
        };
        found.push((node.stage, standing));
    }
    Ok(found)
}

/// The arguments of a run of these files.
pub(super) fn run_arguments(files: &[PathBuf], set: &[String]) -> super::Arguments {
    super::Arguments {
        files: files.to_vec(),
        set: set.to_vec(),
        ..super::Arguments::default()
    }
}

/// Name and resolved file of every experiment in `runs/`, those of matrices too.
fn experiments(layout: &Layout) -> Result<Vec<(String, PathBuf)>, Error> {
    let mut found = Vec::new();
    let runs = layout.runs();
    below(&runs, &runs, &mut found)?;
    found.sort();
    Ok(found)
}

fn below(runs: &Path, folder: &Path, found: &mut Vec<(String, PathBuf)>) -> Result<(), Error> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(Error::read(folder))?,
    };
    for entry in entries {
        let path = entry.map_err(Error::read(folder))?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or("");
        if path.is_symlink()
            || !path.is_dir()
            || (folder == runs && Layout::RESERVED.contains(&name))
        {
            continue;
        }
        let file = path.join("experiment.toml");
        if file.is_file() {
            let name = path.strip_prefix(runs).unwrap_or(&path);
            found.push((name.display().to_string(), file));
        }
        below(runs, &path, found)?;
    }
    Ok(())
}

/// The folder of a stage's result in the store, for the commands that name one.
pub(super) fn linked(pipeline: &Pipeline<'_>, stage: StageName) -> Option<PathBuf> {
    let name = &pipeline.experiment.name;
    crate::runs::linked(pipeline.layout, name, stage.as_str())
}
