//! The experiments of a selection.

use std::collections::BTreeMap;
use std::path::Path;

use super::experiment_file::ExperimentFile;
use super::forced::Forced;
use super::pipeline::Pipeline;
use super::selection::{Selection, SelectionError, StageRange};
use crate::experiment::{Kinds, StageName};
use crate::runs::Layout;

/// The experiments of a selection, ready to be planned and run.
#[derive(Debug)]
pub struct Workload {
    files: Vec<ExperimentFile>,
    layout: Layout,
    stages: StageRange,
    forced: Forced,
}

impl Workload {
    /// Reads the files of a selection.
    ///
    /// # Errors
    /// Every fault of the first file that has some; a stage that no file has.
    pub fn read(
        kinds: Kinds,
        selection: &Selection,
        layout: &Layout,
    ) -> Result<Self, SelectionError> {
        let files = selection.files.iter();
        let files = files.map(|path| ExperimentFile::read(kinds, path, selection, layout));
        let files: Vec<ExperimentFile> = files.collect::<Result<_, _>>()?;
        check_names(&files)?;
        check_stages(selection, &files)?;
        Ok(Self {
            files,
            layout: layout.clone(),
            stages: selection.stages.clone(),
            forced: Forced::new(selection.forced.clone()),
        })
    }

    /// Every experiment, in the order of the command line and of its file.
    pub fn pipelines(&self) -> Vec<Pipeline<'_>> {
        let all = self.files.iter().flat_map(|file| {
            let prepared = file.prepared.iter().enumerate();
            prepared.map(move |(place, (nodes, inputs))| Pipeline {
                name: self.name_of(file, place),
                file,
                place,
                experiment: &file.experiments.variants[place].experiment,
                inputs,
                nodes,
                layout: &self.layout,
                forced: &self.forced,
                stages: &self.stages,
            })
        });
        all.collect()
    }

    /// The error that no experiment has a stage of this name.
    pub fn no_stage(&self, stage: &StageName) -> SelectionError {
        SelectionError::NoStage {
            stage: stage.clone(),
            stages: stages_of(&self.files),
        }
    }

    /// What an experiment is called among those of the selection.
    fn name_of<'a>(&self, file: &'a ExperimentFile, place: usize) -> &'a str {
        let variant = &file.experiments.variants[place];
        match (variant.name.as_str(), self.files.len()) {
            (name, 1) if !name.is_empty() => name,
            _ => &variant.experiment.name,
        }
    }
}

/// Two files of one name would overwrite each other's results.
fn check_names(files: &[ExperimentFile]) -> Result<(), SelectionError> {
    let mut seen: BTreeMap<&str, &Path> = BTreeMap::new();
    for file in files {
        if let Some(other) = seen.insert(&file.experiments.name, &file.path) {
            return Err(SelectionError::SameName {
                first: other.to_owned(),
                second: file.path.clone(),
                name: file.experiments.name.clone(),
            });
        }
    }
    Ok(())
}

/// Stages that at least one experiment has, in pipeline order.
fn stages_of(files: &[ExperimentFile]) -> Vec<StageName> {
    let nodes = files.iter().flat_map(|file| &file.prepared);
    let mut stages: Vec<StageName> = Vec::new();
    for node in nodes.flat_map(|(nodes, _)| nodes) {
        if !stages.contains(&node.stage) {
            stages.push(node.stage.clone());
        }
    }
    stages
}

/// Each stage that is named must be one of the files': one experiment may lack what another has.
fn check_stages(selection: &Selection, files: &[ExperimentFile]) -> Result<(), SelectionError> {
    let stages = stages_of(files);
    let mut named = selection.forced.iter().chain(selection.stages.stage());
    if let Some(stage) = named.find(|stage| !stages.contains(stage)) {
        let stage = stage.clone();
        return Err(SelectionError::NoStage { stage, stages });
    }
    if let StageRange::Until(last) = &selection.stages {
        let mut after = stages.iter().skip_while(|stage| *stage != last).skip(1);
        if let Some(stage) = after.find(|stage| selection.forced.contains(*stage)) {
            let (stage, last) = (stage.clone(), last.clone());
            return Err(SelectionError::ForcedAfter { stage, last });
        }
    }
    Ok(())
}
