//! `--dry-run`: what would run and why.

use std::collections::BTreeMap;

use super::{Arguments, Prepared};
use crate::experiment::{Experiments, StageName};
use crate::plan::{Planned, Planner, Status};
use crate::report::{Style, matrix_heading, render_plan};
use crate::runs::{Digester, Error, Fingerprint, Layout};
use crate::stage::Pipeline;

/// The plans of all experiments as text.
pub(super) fn dry_run(
    arguments: &Arguments,
    experiments: &Experiments,
    found: &Prepared,
    layout: &Layout,
    digester: &mut Digester,
) -> Result<String, Error> {
    let style = Style::of(&std::io::stdout());
    let mut text = String::new();
    // Who runs a stage first, by what its result depends on.
    let mut owners: BTreeMap<Fingerprint, String> = BTreeMap::new();
    for (place, variant) in experiments.variants.iter().enumerate() {
        let pipeline = found.pipeline(place, experiments, layout);
        let plans = plan(&pipeline, digester)?;
        let mut shared = BTreeMap::new();
        if experiments.is_matrix {
            let of = experiments.variants.len();
            text.push_str(&matrix_heading(place, of, variant, style));
            let identities = identities(&pipeline, digester)?;
            for (planned, identity) in plans.iter().zip(identities) {
                let owner = owners
                    .entry(identity)
                    .or_insert_with(|| variant.name.clone());
                if *owner != variant.name && !matches!(planned.status, Status::Fresh(_)) {
                    shared.insert(planned.stage, owner.clone());
                }
            }
        }
        text.push_str(&render_plan(&plans, &shared, arguments.explain, style));
    }
    // A dry run leaves nothing behind but what saves reading the next time.
    if layout.runs().is_dir() {
        digester.save()?;
    }
    Ok(text)
}

/// Where each stage stands, as far as that is known before any is run.
fn plan(pipeline: &Pipeline<'_>, digester: &mut Digester) -> Result<Vec<Planned>, Error> {
    let mut done = BTreeMap::new();
    let mut planner = planner(pipeline, digester);
    let mut plans = Vec::new();
    for node in pipeline.selected() {
        let plan = planner.plan(node, &done)?;
        if let Status::Fresh(record) = &plan.status {
            done.insert(node.stage, (**record).clone());
        }
        plans.push(plan);
    }
    Ok(plans)
}

/// What the result of each stage will depend on.
fn identities(pipeline: &Pipeline<'_>, digester: &mut Digester) -> Result<Vec<Fingerprint>, Error> {
    let mut planner = planner(pipeline, digester);
    let mut known: BTreeMap<StageName, Fingerprint> = BTreeMap::new();
    let mut found = Vec::new();
    for node in pipeline.selected() {
        let identity = planner.identity(node, &known)?;
        known.insert(node.stage, identity.clone());
        found.push(identity);
    }
    Ok(found)
}

fn planner<'a>(pipeline: &Pipeline<'a>, digester: &'a mut Digester) -> Planner<'a> {
    Planner {
        experiment: pipeline.experiment,
        inputs: pipeline.inputs,
        layout: pipeline.layout,
        forced: pipeline.forced,
        digester,
    }
}
