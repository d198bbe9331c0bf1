//! `tinyrun status`: where each stage stands, without waiting for anything.

use std::io;
use std::path::PathBuf;

use clap::Args;

use super::{Failure, Place, layout, print, set};
use crate::kinds::KINDS;
use crate::plan::{Selection, Workload, standings};
use crate::report::{Style, experiment_lines, standing_line, standing_lines};
use crate::runs::{Digester, Layout, experiments};

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
    let mut digester = Digester::of(&layout);
    let text = if arguments.files.is_empty() {
        of_all(&layout, &mut digester)?
    } else {
        let selection = Selection {
            overrides: arguments.set.clone(),
            ..Selection::of_files(&arguments.files)
        };
        of_workload(&Workload::read(KINDS, &selection, &layout)?, &mut digester)?
    };
    if layout.runs().is_dir() {
        // A memo that cannot be stored costs time only, and this command changes nothing else.
        let _ = digester.save();
    }
    print(&text)
}

/// A line for each experiment in `runs/`.
fn of_all(layout: &Layout, digester: &mut Digester) -> Result<String, Failure> {
    let experiments = experiments(layout)?;
    if experiments.is_empty() {
        let runs = layout.runs();
        return Ok(format!("no experiment has run in `{}`\n", runs.display()));
    }
    let mut rows = Vec::new();
    for (name, file) in experiments {
        let line = match Workload::read(KINDS, &Selection::of_files(&[file]), layout) {
            Ok(workload) => {
                let stages = standings(&workload.pipelines()[0], digester)?;
                standing_line(&stages, Style::of(&io::stdout()))
            }
            // Its data may be gone; what is there is still an experiment.
            Err(_) => {
                "cannot read its inputs: run `tinyrun status` with its experiment file".to_owned()
            }
        };
        rows.push((name, line));
    }
    Ok(experiment_lines(rows))
}

/// A line for each stage of one experiment, or for each of several experiments.
fn of_workload(workload: &Workload, digester: &mut Digester) -> Result<String, Failure> {
    let style = Style::of(&io::stdout());
    let pipelines = workload.pipelines();
    if let [pipeline] = pipelines.as_slice() {
        return Ok(standing_lines(&standings(pipeline, digester)?, style));
    }
    let mut rows = Vec::new();
    for pipeline in &pipelines {
        let stages = standings(pipeline, digester)?;
        rows.push((pipeline.name.to_owned(), standing_line(&stages, style)));
    }
    Ok(experiment_lines(rows))
}
