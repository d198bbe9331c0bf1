//! One experiment file: read, its stage graphs made, its inputs found.

use std::path::{Path, PathBuf};

use super::find::{find_inputs, find_missing};
use super::find_records::{lost_formats, stated_formats};
use super::graph::{Node, graph};
use super::inputs::Inputs;
use super::own_rows::add_own_rows;
use super::selection::{Selection, SelectionError};
use crate::document::{Fault, Faults, Sources};
use crate::experiment::{Elsewhere, Experiment, Experiments, Kinds, Stated};
use crate::runs::Layout;

/// An experiment file, and what its experiments need to run.
#[derive(Debug)]
pub struct ExperimentFile {
    /// Its path as typed.
    pub path: PathBuf,
    /// Its content.
    pub experiments: Experiments,
    /// Its text, and those of the command line that replace parts of it.
    pub sources: Sources,
    /// Graph and inputs of each experiment, in their order.
    pub(super) prepared: Vec<(Vec<Node>, Inputs)>,
}

impl ExperimentFile {
    pub(super) fn read(
        kinds: Kinds,
        path: &Path,
        selection: &Selection,
        layout: &Layout,
    ) -> Result<Self, SelectionError> {
        let bytes = std::fs::read(path)
            .map_err(|error| SelectionError::unreadable(path, layout.root(), error))?;
        let text = String::from_utf8(bytes).map_err(|_| SelectionError::NotText {
            path: path.to_owned(),
        })?;
        // A name that is not UTF-8 is refused as a name of results, unless the file sets `name`.
        let stem = path.file_stem().map(|stem| stem.to_string_lossy());
        let stem = stem.as_deref().unwrap_or("experiment");
        let file = path.display().to_string();
        let files = Files { layout };
        let read =
            |overrides: &[String]| Experiments::read(kinds, &file, stem, &text, overrides, &files);
        let (mut experiments, mut sources) = read(&selection.overrides)?;
        if let Some((ranks, by)) = selection.started {
            let faults = other_ranks(&experiments, ranks, by);
            if !faults.is_empty() {
                return Err(Faults::new(faults, sources).into());
            }
            let started = [&selection.overrides[..], &[format!("ranks={ranks}")]].concat();
            (experiments, sources) = read(&started)?;
        }
        Ok(Self {
            prepared: prepare(&experiments, &sources, layout)?,
            path: path.to_owned(),
            sources,
            experiments,
        })
    }
}

/// Experiments that are to run on another number of ranks than a launcher has started.
fn other_ranks(experiments: &Experiments, started: usize, by: &str) -> Vec<Fault> {
    // Variants mostly share the key.
    let mut other: Vec<Fault> = Vec::new();
    for variant in &experiments.variants {
        let Experiment { ranks, device, .. } = &variant.experiment;
        if **ranks == 1 || **ranks == started {
            continue;
        }
        // A list of devices says how many ranks there are, mostly without the other key.
        let devices = device.count();
        let (message, key, span) = if devices > 1 {
            let listed = format!("`device` lists {devices} devices");
            (listed, "list a device for each rank", &device.span)
        } else {
            (
                format!("`ranks` is {}", **ranks),
                "remove the key",
                &ranks.span,
            )
        };
        let message = format!("{message}, but {by} has started {started} ranks");
        let hint = format!("{key}, or start {} ranks", **ranks);
        let fault = Fault::new(message, span.clone()).with_hint(Some(hint));
        if !other.contains(&fault) {
            other.push(fault);
        }
    }
    other
}

/// What files state and lack.
struct Files<'a> {
    layout: &'a Layout,
}

impl Elsewhere for Files<'_> {
    fn faults(&self, experiment: &Experiment) -> Vec<Fault> {
        let is_lost = !lost_formats(experiment, self.layout).is_empty();
        find_missing(experiment, self.layout, is_lost)
    }

    fn stated(&self, experiment: &Experiment) -> Vec<Stated> {
        stated_formats(experiment, self.layout)
    }

    fn lost(&self, experiment: &Experiment) -> Vec<Stated> {
        lost_formats(experiment, self.layout)
    }
}

/// Graphs and inputs of all experiments of a file.
fn prepare(
    experiments: &Experiments,
    sources: &Sources,
    layout: &Layout,
) -> Result<Vec<(Vec<Node>, Inputs)>, Faults> {
    let mut faults: Vec<Fault> = Vec::new();
    let mut prepared = Vec::new();
    for variant in &experiments.variants {
        let mut nodes = graph(&variant.experiment);
        let is_lost = !lost_formats(&variant.experiment, layout).is_empty();
        match find_inputs(&variant.experiment, &nodes, layout, is_lost) {
            Ok(inputs) => {
                add_own_rows(&mut nodes, &variant.experiment, &inputs);
                prepared.push((nodes, inputs));
            }
            // Variants mostly share what they read, and so what is wrong with it.
            Err(found) => {
                let new = found.into_iter().filter(|fault| !faults.contains(fault));
                let new: Vec<Fault> = new.collect();
                faults.extend(new);
            }
        }
    }
    if faults.is_empty() {
        Ok(prepared)
    } else {
        Err(Faults::new(faults, sources.clone()))
    }
}
