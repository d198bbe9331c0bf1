//! One experiment of a command, planned stage by stage.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::experiment_file::ExperimentFile;
use super::forced::Forced;
use super::graph::Node;
use super::inputs::Inputs;
use super::selection::StageRange;
use super::status::{Planned, Planner, Status};
use crate::experiment::{Experiment, StageName, Variant};
use crate::runs::{Digester, Error, Layout, Record, linked};

/// Records of stages that are done.
pub type Done = BTreeMap<StageName, Record>;

/// An experiment that is ready to be planned and run.
#[derive(Debug, Clone, Copy)]
pub struct Pipeline<'a> {
    /// What it is called among those of the command.
    pub name: &'a str,
    /// The file that it is in.
    pub file: &'a ExperimentFile,
    /// Its place among the experiments of the file.
    pub place: usize,
    /// Its settings.
    pub experiment: &'a Experiment,
    /// The files that it reads.
    pub inputs: &'a Inputs,
    /// Its stages in order.
    pub nodes: &'a [Node],
    /// Where results are stored.
    pub layout: &'a Layout,
    /// Stages that run even if they are fresh.
    pub forced: &'a Forced,
    /// Which of its stages are selected.
    pub stages: &'a StageRange,
}

/// Where the selected stages stand before any of them runs.
#[derive(Debug)]
pub struct Plan {
    /// The selected stages in order.
    pub stages: Vec<Planned>,
    /// Records of all stages that are fresh.
    pub done: Done,
}

impl<'a> Pipeline<'a> {
    /// Its entry in the file.
    pub fn variant(&self) -> &'a Variant {
        &self.file.experiments.variants[self.place]
    }

    /// The selected stages, in order.
    pub fn selected(&self) -> Vec<&'a Node> {
        self.stages.of(self.nodes)
    }

    /// Plans its stages one by one.
    pub fn planner<'b>(&self, digester: &'b mut Digester) -> Planner<'b>
    where
        'a: 'b,
    {
        Planner {
            experiment: self.experiment,
            inputs: self.inputs,
            layout: self.layout,
            forced: self.forced,
            digester,
        }
    }

    /// Records of the stages that are not selected and are fresh: what the others build on.
    ///
    /// # Errors
    /// An input cannot be read.
    pub fn fresh_before(&self, digester: &mut Digester) -> Result<Done, Error> {
        let mut done = Done::new();
        if matches!(self.stages, StageRange::All | StageRange::Until(_)) {
            return Ok(done);
        }
        let selected = self.selected();
        let mut planner = self.planner(digester);
        for node in self.nodes.iter().filter(|node| !selected.contains(node)) {
            planner.plan_next(node, &mut done)?;
        }
        Ok(done)
    }

    /// Plans the selected stages before any of them runs.
    ///
    /// # Errors
    /// An input cannot be read.
    pub fn plan(&self, digester: &mut Digester) -> Result<Plan, Error> {
        let mut done = self.fresh_before(digester)?;
        let mut planner = self.planner(digester);
        let stages = self.selected().into_iter();
        let stages = stages.map(|node| planner.plan_next(node, &mut done));
        Ok(Plan {
            stages: stages.collect::<Result<_, _>>()?,
            done,
        })
    }

    /// Folder of the result of a stage that the experiment used last.
    pub fn result(&self, stage: &StageName) -> Option<PathBuf> {
        linked(self.layout, &self.experiment.name, stage.as_str())
    }

    /// The last records of the stages that scored models, in order.
    pub fn scored(&self) -> Vec<(StageName, Record)> {
        let nodes = self.nodes.iter();
        let records = nodes.filter_map(|node| {
            let record = self.last_record(&node.stage)?;
            Some((node.stage.clone(), record))
        });
        records
            .filter(|(_, record)| !record.summary.scored.is_empty())
            .collect()
    }

    /// The record in [`Self::result`].
    pub fn last_record(&self, stage: &StageName) -> Option<Record> {
        Record::read(&self.result(stage)?)
    }
}

impl Planner<'_> {
    /// Plans a stage and, if it is fresh, adds its record to those of the stages before it.
    fn plan_next(&mut self, node: &Node, done: &mut Done) -> Result<Planned, Error> {
        let plan = self.plan(node, done)?;
        if let Status::Fresh(record) = &plan.status {
            done.insert(node.stage.clone(), (**record).clone());
        }
        Ok(plan)
    }
}
