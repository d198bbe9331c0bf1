//! What several experiments would run: `--dry-run`.

use std::collections::BTreeMap;

use super::estimate::{Estimate, estimate};
use super::graph::Node;
use super::pipeline::{Done, Pipeline};
use super::status::{Planned, Status};
use crate::experiment::StageName;
use crate::runs::{Digester, Error, Fingerprint};

/// A stage of a plan and what it may take.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedStage {
    /// Where it stands.
    pub plan: Planned,
    /// What it may take.
    pub estimate: Estimate,
    /// What runs it for this one too: another experiment of the same command, or another stage of this
    /// one.
    pub same_as: Option<String>,
}

impl PlannedStage {
    /// Whether this experiment will run it, as far as is known.
    pub fn is_to_run(&self) -> bool {
        self.same_as.is_none() && !matches!(self.plan.status, Status::Fresh(_))
    }
}

/// Plans the selected stages of each experiment before any of them runs.
///
/// # Errors
/// An input cannot be read.
pub fn preview(
    pipelines: &[Pipeline<'_>],
    digester: &mut Digester,
) -> Result<Vec<Vec<PlannedStage>>, Error> {
    // Who runs a stage first, by what its result depends on.
    let mut owners: BTreeMap<Fingerprint, (&str, &StageName)> = BTreeMap::new();
    let mut previews = Vec::with_capacity(pipelines.len());
    for pipeline in pipelines {
        let plan = pipeline.plan(digester)?;
        let mut planner = pipeline.planner(digester);
        let mut identities: BTreeMap<StageName, Fingerprint> = BTreeMap::new();
        let mut stages = Vec::with_capacity(plan.stages.len());
        for (node, planned) in pipeline.selected().into_iter().zip(plan.stages) {
            let identity = planner.identity(node, &identities)?;
            identities.insert(node.stage.clone(), identity.clone());
            let own = (pipeline.name, &node.stage);
            let owner = *owners.entry(identity).or_insert(own);
            let is_fresh = matches!(planned.status, Status::Fresh(_));
            stages.push(PlannedStage {
                estimate: estimate_of(pipeline, node, &planned, &plan.done),
                plan: planned,
                same_as: (owner != own && !is_fresh).then(|| match owner {
                    (name, stage) if name == pipeline.name => stage.to_string(),
                    (name, _) => name.to_owned(),
                }),
            });
        }
        previews.push(stages);
    }
    Ok(previews)
}

fn estimate_of(pipeline: &Pipeline<'_>, node: &Node, plan: &Planned, done: &Done) -> Estimate {
    let data = node.take("train").or_else(|| node.take("corpus"));
    // What was prepared last will do for a guess of what is prepared next.
    let data = data.and_then(|take| {
        let last = || pipeline.last_record(&take.from);
        done.get(&take.from).cloned().or_else(last)
    });
    let resumed = match &plan.status {
        Status::Resumable(checkpoint) => checkpoint.step,
        _ => 0,
    };
    let (experiment, layout) = (pipeline.experiment, pipeline.layout);
    estimate(experiment, node, data.as_ref(), resumed, layout)
}
