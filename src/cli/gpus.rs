//! Whether this machine has the GPUs that experiments name, asked before any stage runs: data may take hours to
//! prepare.

use std::iter;

use super::Failure;
use crate::document::{Fault, Faults};
use crate::job::Device;
use crate::kinds::WORKS;
use crate::plan::{Pipeline, PlannedStage, Status, preview};
use crate::runs::{Digester, Error};
use crate::stage::Kernel;

/// Fails at the key `device` where stages that are to run name a GPU that is not there. Ranks on other machines look for
/// their own.
///
/// # Errors
/// Such a key; an input that cannot be read.
pub(super) fn check(pipelines: &[Pipeline<'_>], kernel: &Kernel) -> Result<(), Failure> {
    let named = |pipeline: &Pipeline<'_>| -> Vec<usize> {
        let devices = &pipeline.experiment.device;
        let ranks = devices.count();
        let here = if kernel.is_with_all(ranks) { ranks } else { 1 };
        let indices = devices.iter().take(here).filter_map(Device::gpu);
        indices.collect()
    };
    // The answer takes libtorch's start.
    if pipelines.iter().all(|pipeline| named(pipeline).is_empty()) {
        return Ok(());
    }
    let compute = computing(pipelines)?.into_iter().zip(pipelines);
    let mut computing = compute.filter_map(|(computes, pipeline)| computes.then_some(pipeline));
    let Some(first) = computing.next() else {
        return Ok(());
    };
    // A kernel that does not answer says why when the first stage starts it.
    let Some(found) = kernel.gpus() else {
        return Ok(());
    };
    for pipeline in iter::once(first).chain(computing) {
        let mut indices = named(pipeline).into_iter();
        if let Some(missing) = indices.find_map(|index| found.missing(index)) {
            let span = pipeline.experiment.device.span.clone();
            let fault = Fault::new(missing.message, span).with_hint(missing.hint);
            let sources = pipeline.file.sources.clone();
            return Err(Failure::Faults(Faults::new(vec![fault], sources)));
        }
    }
    Ok(())
}

/// Whether each experiment has a stage to run that computes on its device.
fn computing(pipelines: &[Pipeline<'_>]) -> Result<Vec<bool>, Error> {
    let mut digester = pipelines.first().map(|first| Digester::of(first.layout));
    let digester = digester.as_mut().expect("somebody names a GPU");
    let previews = preview(pipelines, digester)?;
    let compute = pipelines.iter().zip(previews).map(|(pipeline, stages)| {
        let mut stages = pipeline.selected().into_iter().zip(stages);
        stages.any(|(node, stage)| is_sure_to_run(&stage) && WORKS.compute(node.kind))
    });
    let compute = compute.collect();
    if pipelines.iter().any(|it| it.layout.runs().is_dir()) {
        digester.save()?;
    }
    Ok(compute)
}

/// A stage that waits for others without a reason of its own may find that they leave what it was made of.
fn is_sure_to_run(stage: &PlannedStage) -> bool {
    let may_be_fresh =
        matches!(&stage.plan.status, Status::Waits { reasons, .. } if reasons.is_empty());
    stage.is_to_run() && !may_be_fresh
}
