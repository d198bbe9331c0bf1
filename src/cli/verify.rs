//! `tinyrun verify`: artifacts and inputs against their records.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, Place, layout, print, show};
use crate::kinds::KINDS;
use crate::plan::{Selection, Workload};
use crate::report::{Style, Verdict, verdict_lines};
use crate::runs::{
    Discrepancy, Error, Layout, RECORD, Record, check_artifacts, check_inputs, stored,
};

/// `tinyrun verify [FILE|RESULT...]`
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Experiment files, whose results and inputs are checked, or results as `EXPERIMENT/STAGE`;
    /// if omitted, check all results in `runs/store`
    #[arg(value_name = "FILE|RESULT")]
    given: Vec<PathBuf>,

    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let layout = layout(&arguments.place)?;
    let verdicts = if arguments.given.is_empty() {
        whole_store(&layout)?
    } else {
        of_given(&arguments.given, &layout)?
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
        let name = result.linked_as;
        let name = name.unwrap_or_else(|| result.folder.display().to_string());
        verdict(name, &result.folder, result.record.as_ref())
    });
    verdicts.collect()
}

/// Experiment files and results, each result once.
fn of_given(given: &[PathBuf], layout: &Layout) -> Result<Vec<Verdict>, Failure> {
    let is_file = |path: &&PathBuf| {
        let is_toml = path.extension().is_some_and(|ending| ending == "toml");
        is_toml || path.is_file() && !path.ends_with(RECORD)
    };
    let (files, results): (Vec<&PathBuf>, Vec<&PathBuf>) = given.iter().partition(is_file);
    let mut seen = BTreeSet::new();
    let mut verdicts = Vec::new();
    if !files.is_empty() {
        let files: Vec<PathBuf> = files.into_iter().cloned().collect();
        let workload = Workload::read(KINDS, &Selection::of_files(&files), layout)?;
        verdicts = of_workload(&workload, &mut seen)?;
    }
    for result in results {
        let (folder, record) = show::find(result, layout)?;
        if seen.insert(whole(&folder)) {
            let name = result.display().to_string();
            verdicts.push(verdict(name, &folder, Some(&record))?);
        }
    }
    Ok(verdicts)
}

/// Results that experiments link to, each once, and the files that they were made of.
fn of_workload(workload: &Workload, seen: &mut BTreeSet<PathBuf>) -> Result<Vec<Verdict>, Error> {
    let mut verdicts = Vec::new();
    for pipeline in workload.pipelines() {
        for node in pipeline.nodes {
            let Some(folder) = pipeline.result(&node.stage) else {
                continue;
            };
            if !seen.insert(whole(&folder)) {
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

/// The folder that a link or a relative path leads to.
fn whole(folder: &Path) -> PathBuf {
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
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
