//! `tinyrun verify`: artifacts and inputs against their records.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use rayon::prelude::*;

use super::{Failure, Place, layout, print};
use crate::plan::{Selection, Workload};
use crate::report::{Style, Verdict, verdict_lines};
use crate::runs::{Error, Layout, Record, list_artifacts, stored};
use crate::system::Digest;

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
        of_workload(&Workload::read(&selection, &layout)?)?
    };
    print(&verdict_lines(&verdicts, Style::of(&io::stdout())))?;
    if verdicts.iter().all(|verdict| verdict.faults.is_empty()) {
        Ok(())
    } else {
        Err(Failure::Found)
    }
}

fn whole_store(layout: &Layout) -> Result<Vec<Verdict>, Error> {
    let stored = stored(layout)?;
    let verdicts = stored.into_iter().map(|result| {
        let users: Vec<String> = result.used_by.iter().cloned().collect();
        let name = match users.first() {
            Some(first) => format!("{first}/{}", result.kind),
            None => result.folder.display().to_string(),
        };
        let Some(record) = result.record else {
            return Ok(unreadable(name));
        };
        artifacts(name, &result.folder, &record)
    });
    verdicts.collect()
}

/// Results that experiments link to, each once, and the files that they were made of.
fn of_workload(workload: &Workload) -> Result<Vec<Verdict>, Error> {
    let mut seen = BTreeSet::new();
    let mut verdicts = Vec::new();
    for pipeline in workload.pipelines() {
        for node in pipeline.nodes {
            let Some(folder) = pipeline.result(node.stage) else {
                continue;
            };
            if !seen.insert(folder.clone()) {
                continue;
            }
            let name = format!("{}/{}", pipeline.name, node.stage);
            let Some(record) = Record::read(&folder) else {
                verdicts.push(unreadable(name));
                continue;
            };
            let mut verdict = artifacts(name, &folder, &record)?;
            let inputs = pipeline.inputs.of(node);
            verdict.faults.extend(changed_inputs(&inputs, &record));
            verdict.files += inputs.len();
            verdicts.push(verdict);
        }
    }
    Ok(verdicts)
}

fn unreadable(name: String) -> Verdict {
    Verdict {
        name,
        files: 0,
        bytes: 0,
        faults: vec!["cannot read its record".to_owned()],
    }
}

/// Every artifact read again, whatever is remembered of it.
fn artifacts(name: String, folder: &Path, record: &Record) -> Result<Verdict, Error> {
    let files: Vec<_> = record.artifacts.iter().collect();
    let faults: Vec<Option<String>> = files
        .par_iter()
        .map(
            |(file, artifact)| match Digest::of_file(&folder.join(file)) {
                Ok((digest, _)) if digest == artifact.sha256 => None,
                Ok((_, size)) if size != artifact.size => Some(format!(
                    "`{file}` has {size} bytes, the record {}",
                    artifact.size
                )),
                Ok(_) => Some(format!("`{file}` has changed")),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    Some(format!("`{file}` is missing"))
                }
                Err(error) => Some(format!("cannot read `{file}`: {error}")),
            },
        )
        .collect();
    let mut faults: Vec<String> = faults.into_iter().flatten().collect();
    let added = list_artifacts(folder)?;
    let added = added
        .iter()
        .filter(|file| !record.artifacts.contains_key(*file));
    faults.extend(added.map(|file| format!("`{file}` is not in the record")));
    Ok(Verdict {
        name,
        files: files.len(),
        bytes: record
            .artifacts
            .values()
            .map(|artifact| artifact.size)
            .sum(),
        faults,
    })
}

/// Input files that are not those that the result was made of.
fn changed_inputs(inputs: &BTreeMap<String, PathBuf>, record: &Record) -> Vec<String> {
    let files: Vec<_> = inputs.iter().collect();
    let found: Vec<Option<String>> = files
        .par_iter()
        .map(|(name, path)| {
            let recorded = record.key.inputs.get(*name);
            match (Digest::of_file(path), recorded) {
                (Ok((digest, _)), Some(recorded)) if digest == *recorded => None,
                (Ok(_), Some(_)) => Some(format!("input `{name}` has changed since the run")),
                (Ok(_), None) => Some(format!("input `{name}` was added after the run")),
                (Err(error), _) => Some(format!("cannot read input `{name}`: {error}")),
            }
        })
        .collect();
    let gone = record.key.inputs.keys();
    let gone = gone.filter(|name| !inputs.contains_key(*name));
    let gone = gone.map(|name| format!("input `{name}` is no longer used"));
    found.into_iter().flatten().chain(gone).collect()
}
