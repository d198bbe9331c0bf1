//! The experiment files of a command, read and ready to run.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::{Arguments, Failure};
use crate::document::{Fault, Faults, Sources};
use crate::experiment::{Experiments, StageName, Variant};
use crate::plan::{Forced, Inputs, Node, find_inputs, find_missing, graph, path_hint};
use crate::runs::{Error, Layout};
use crate::stage::{Pipeline, Selection};

/// An experiment file and what its experiments need to run.
pub(super) struct File {
    /// Its path as typed.
    pub(super) path: PathBuf,
    /// What it says.
    pub(super) experiments: Experiments,
    /// Graph and inputs of each experiment, in their order.
    prepared: Vec<(Vec<Node>, Inputs)>,
}

/// What is to be done with which files.
pub(super) struct Request<'a> {
    pub(super) arguments: &'a Arguments,
    pub(super) layout: &'a Layout,
    pub(super) files: Vec<File>,
    forced: Forced,
    selection: Selection,
}

impl<'a> Request<'a> {
    /// Reads the files of a command line.
    ///
    /// # Errors
    /// Every fault of the first file that has some; a stage that no file has.
    pub(super) fn read(arguments: &'a Arguments, layout: &'a Layout) -> Result<Self, Failure> {
        let mut files = Vec::new();
        for path in &arguments.files {
            files.push(File::read(path, &arguments.set, layout)?);
        }
        check_names(&files)?;
        // A stage that one experiment leaves out may be another's.
        let nodes = files.iter().flat_map(|file| &file.prepared);
        let nodes = nodes.flat_map(|(nodes, _)| nodes);
        let stages: BTreeSet<StageName> = nodes.map(|node| node.stage).collect();
        let forced = arguments.force.iter();
        let forced: BTreeSet<StageName> = forced
            .map(|name| stage_of(name, &stages))
            .collect::<Result<_, _>>()?;
        let selection = selection(arguments, &stages)?;
        if let Selection::Until(last) = selection
            && let Some(stage) = forced.iter().find(|stage| **stage > last)
        {
            return Err(Failure::Usage {
                message: format!("`--force {stage}` comes after `--until {last}`"),
                hint: None,
            });
        }
        Ok(Self {
            arguments,
            layout,
            files,
            forced: Forced::new(forced),
            selection,
        })
    }

    /// How many experiments there are in all.
    pub(super) fn count(&self) -> usize {
        let files = self.files.iter();
        files.map(|file| file.experiments.variants.len()).sum()
    }

    /// What an experiment is called among those of the command.
    pub(super) fn name_of<'b>(&self, variant: &'b Variant) -> &'b str {
        match (variant.name.as_str(), self.files.len()) {
            (name, 1) if !name.is_empty() => name,
            _ => &variant.experiment.name,
        }
    }

    /// The pipeline of a file's experiment at a place.
    pub(super) fn pipeline<'b>(&'b self, file: &'b File, place: usize) -> Pipeline<'b> {
        let (nodes, inputs) = &file.prepared[place];
        Pipeline {
            experiment: &file.experiments.variants[place].experiment,
            inputs,
            nodes,
            layout: self.layout,
            forced: &self.forced,
            selection: self.selection,
            keep_going: self.arguments.keep_going,
        }
    }
}

impl File {
    fn read(path: &Path, set: &[String], layout: &Layout) -> Result<Self, Failure> {
        let usage = |message: String, hint: Option<String>| Failure::Usage { message, hint };
        let bytes = std::fs::read(path).map_err(|error| {
            let is_elsewhere = !layout.root().as_os_str().is_empty();
            let hint = match error.kind() {
                io::ErrorKind::NotFound if is_elsewhere => Some(
                    "pass FILE relative to the current folder: `--root` does not apply to it"
                        .to_owned(),
                ),
                io::ErrorKind::NotFound => path_hint(Path::new(""), &path.to_string_lossy()),
                io::ErrorKind::IsADirectory => Some(
                    "write the path of an experiment file, for example `experiments/sst2.toml`"
                        .to_owned(),
                ),
                _ => None,
            };
            usage(Error::read(path)(error).to_string(), hint)
        })?;
        let text = String::from_utf8(bytes)
            .map_err(|_| usage(format!("`{}` is not valid UTF-8", path.display()), None))?;
        // A name that is not UTF-8 is refused as a name of results, unless the file sets `name`.
        let stem = path.file_stem().map(|stem| stem.to_string_lossy());
        let name = path.display().to_string();
        let (experiments, sources) = Experiments::read(
            &name,
            stem.as_deref().unwrap_or("experiment"),
            &text,
            set,
            |experiment| find_missing(experiment, layout),
        )?;
        Ok(Self {
            prepared: prepare(&experiments, sources, layout)?,
            path: path.to_owned(),
            experiments,
        })
    }
}

/// Graphs and inputs of all experiments of a file.
fn prepare(
    experiments: &Experiments,
    sources: Sources,
    layout: &Layout,
) -> Result<Vec<(Vec<Node>, Inputs)>, Faults> {
    let mut faults: Vec<Fault> = Vec::new();
    let mut prepared = Vec::new();
    for variant in &experiments.variants {
        let nodes = graph(&variant.experiment);
        match find_inputs(&variant.experiment, &nodes, layout) {
            Ok(inputs) => prepared.push((nodes, inputs)),
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
        Err(Faults::new(faults, sources))
    }
}

/// Two files of one name would overwrite each other's results.
fn check_names(files: &[File]) -> Result<(), Failure> {
    let mut seen: BTreeMap<&str, &Path> = BTreeMap::new();
    for file in files {
        if let Some(other) = seen.insert(&file.experiments.name, &file.path) {
            return Err(Failure::Usage {
                message: format!(
                    "`{}` and `{}` have the same experiment name `{}`",
                    other.display(),
                    file.path.display(),
                    file.experiments.name
                ),
                hint: Some("set another `name` in one of the files".to_owned()),
            });
        }
    }
    Ok(())
}

/// Which stages the command line asks for.
fn selection(arguments: &Arguments, stages: &BTreeSet<StageName>) -> Result<Selection, Failure> {
    let stage = |name: &String| stage_of(name, stages);
    Ok(
        match (
            &arguments.until,
            &arguments.single_stage,
            &arguments.downstream,
        ) {
            (Some(name), _, _) => Selection::Until(stage(name)?),
            (_, Some(name), _) => Selection::Single(stage(name)?),
            (_, _, Some(name)) => Selection::Downstream(stage(name)?),
            (None, None, None) => Selection::All,
        },
    )
}

/// A stage by its name, which must be one of the files'.
fn stage_of(name: &str, stages: &BTreeSet<StageName>) -> Result<StageName, Failure> {
    let stage = StageName::parse(name).filter(|stage| stages.contains(stage));
    stage.ok_or_else(|| {
        let there: Vec<String> = stages.iter().map(|stage| format!("`{stage}`")).collect();
        Failure::Usage {
            message: format!("`{name}` is not a stage of this experiment"),
            hint: Some(format!("use one of {}", there.join(", "))),
        }
    })
}
