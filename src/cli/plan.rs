//! `--dry-run`: what would run and why.

use std::collections::BTreeMap;

use super::file::Request;
use super::status::linked;
use crate::experiment::StageName;
use crate::plan::{Estimate, Node, Planned, Planner, Status, estimate};
use crate::report::{
    PlannedStage, Style, experiment_json, matrix_heading, plan_json, render_plan, total_line,
};
use crate::runs::{Digester, Error, Fingerprint, Record};
use crate::stage::{Done, Pipeline};

/// The plans of all experiments as text, or as JSON.
pub(super) fn dry_run(request: &Request<'_>, digester: &mut Digester) -> Result<String, Error> {
    let style = Style::of(&std::io::stdout());
    let of = request.count();
    let mut text = String::new();
    let mut documents = Vec::new();
    let mut all = Vec::new();
    // Who runs a stage first, by what its result depends on.
    let mut owners: BTreeMap<Fingerprint, String> = BTreeMap::new();
    for file in &request.files {
        for (place, variant) in file.experiments.variants.iter().enumerate() {
            let pipeline = request.pipeline(file, place);
            let name = request.name_of(variant);
            let stages = plan(&pipeline, name, &mut owners, digester)?;
            if of > 1 {
                text.push_str(&matrix_heading(documents.len(), of, name, style));
            }
            text.push_str(&render_plan(&stages, request.arguments.explain, style));
            let path = file.path.display().to_string();
            documents.push(experiment_json(&path, variant, &stages));
            all.extend(stages);
        }
    }
    text.extend(total_line(all.iter(), style));
    // A dry run leaves nothing behind but what saves reading the next time.
    if request.layout.runs().is_dir() {
        digester.save()?;
    }
    Ok(if request.arguments.json {
        plan_json(&documents)
    } else {
        text
    })
}

/// Where each stage stands, as far as that is known before any is run.
fn plan(
    pipeline: &Pipeline<'_>,
    name: &str,
    owners: &mut BTreeMap<Fingerprint, String>,
    digester: &mut Digester,
) -> Result<Vec<PlannedStage>, Error> {
    let mut planner = Planner {
        experiment: pipeline.experiment,
        inputs: pipeline.inputs,
        layout: pipeline.layout,
        forced: pipeline.forced,
        digester,
    };
    let mut done = pipeline.fresh_before(&mut planner)?;
    let mut identities: BTreeMap<StageName, Fingerprint> = BTreeMap::new();
    let mut stages = Vec::new();
    for node in pipeline.selected() {
        let plan = planner.plan(node, &done)?;
        let identity = planner.identity(node, &identities)?;
        identities.insert(node.stage, identity.clone());
        let owner = owners.entry(identity).or_insert_with(|| name.to_owned());
        let is_fresh = matches!(plan.status, Status::Fresh(_));
        let same_as = (*owner != name && !is_fresh).then(|| owner.clone());
        if let Status::Fresh(record) = &plan.status {
            done.insert(node.stage, (**record).clone());
        }
        stages.push(PlannedStage {
            estimate: estimate_of(pipeline, node, &plan, &done),
            plan,
            same_as,
        });
    }
    Ok(stages)
}

fn estimate_of(pipeline: &Pipeline<'_>, node: &Node, plan: &Planned, done: &Done) -> Estimate {
    let data = node.take("train").or_else(|| node.take("corpus"));
    // What was prepared last will do for a guess of what is prepared next.
    let data = data.and_then(|take| {
        let last = || Record::read(&linked(pipeline, take.from)?);
        done.get(&take.from).cloned().or_else(last)
    });
    let resumed = match &plan.status {
        Status::Resumable(checkpoint) => checkpoint.step,
        _ => 0,
    };
    estimate(
        pipeline.experiment,
        node.stage,
        data.as_ref(),
        resumed,
        pipeline.layout,
    )
}
