//! `tinyrun verify`: artifacts and inputs against their records.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, Place, layout, print};
use crate::kinds::KINDS;
use crate::plan::{Selection, Workload};
use crate::report::{Style, Verdict, verdict_lines};
use crate::runs::{Discrepancy, Error, Layout, Record, check_artifacts, check_inputs, stored};

/// `tinyrun verify [FILE...]`
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Experiment files whose results and inputs to check; if omitted, check all results in `runs/store`
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let layout = layout(&arguments.place)?;
    let verdicts = if arguments.files.is_empty() {
        whole_store(&layout)?
    } else {
        let selection = Selection::of_files(&arguments.files);
        of_workload(&Workload::read(KINDS, &selection, &layout)?)?
    };
    print(&verdict_lines(&verdicts, Style::of(&io::stdout())))?;
    if verdicts.iter().all(|verdict| verdict.faults.is_empty()) {
        Ok(())
    } else {
        Err(Failure::Found)
    }
}

fn whole_store(layout: &Layout) -> Result<Vec<Verdict>, Error> {
    let verdicts = stored(layout)?.into_iter().map(|result| {
        let name = match result.used_by.first() {
            Some(first) => format!("{first}/{}", result.kind),
            None => result.folder.display().to_string(),
        };
        verdict(name, &result.folder, result.record.as_ref())
    });
    verdicts.collect()
}

/// Results that experiments link to, each once, and the files that they were made of.
fn of_workload(workload: &Workload) -> Result<Vec<Verdict>, Error> {
    let mut seen = BTreeSet::new();
    let mut verdicts = Vec::new();
    for pipeline in workload.pipelines() {
        for node in pipeline.nodes {
            let Some(folder) = pipeline.result(&node.stage) else {
                continue;
            };
            if !seen.insert(folder.clone()) {
                continue;
            }
            let record = Record::read(&folder);
            let name = format!("{}/{}", pipeline.name, node.stage);
            let mut verdict = verdict(name, &folder, record.as_ref())?;
            if let Some(record) = &record {
                let inputs = pipeline.inputs.of(node);
                let faults = check_inputs(&inputs, record).into_iter();
                verdict.faults.extend(faults.map(|fault| fault.to_string()));
                verdict.files += inputs.len();
            }
            verdicts.push(verdict);
        }
    }
    Ok(verdicts)
}

/// A result against its record.
fn verdict(name: String, folder: &Path, record: Option<&Record>) -> Result<Verdict, Error> {
    let faults = match record {
        Some(record) => check_artifacts(folder, record)?,
        None => vec![Discrepancy::NoRecord],
    };
    let artifacts = record.into_iter().flat_map(|it| it.artifacts.values());
    Ok(Verdict {
        name,
        files: artifacts.clone().count(),
        bytes: artifacts.map(|artifact| artifact.size).sum(),
        faults: faults.iter().map(ToString::to_string).collect(),
    })
}
