//! `--dry-run`: what would run and why.

use super::{Failure, RunArguments, print};
use crate::plan::{Workload, preview};
use crate::report::{
    Style, checkpoint_lines, experiment_json, matrix_heading, plan_json, render_plan, total_line,
};
use crate::runs::{Digester, Layout};

/// Prints the plans of all experiments as text or as JSON.
pub(super) fn run(
    arguments: &RunArguments,
    workload: &Workload,
    layout: &Layout,
) -> Result<(), Failure> {
    let mut digester = Digester::of(layout);
    let pipelines = workload.pipelines();
    let plans = preview(&pipelines, &mut digester)?;
    // A dry run leaves nothing behind but what saves reading the next time.
    if layout.runs().is_dir() {
        digester.save()?;
    }
    let all = pipelines.iter().zip(&plans);
    if arguments.json {
        let documents = all.map(|(pipeline, stages)| {
            let path = pipeline.file.path.display().to_string();
            experiment_json(&path, pipeline.variant(), stages)
        });
        return print(&plan_json(&documents.collect::<Vec<_>>()));
    }
    let style = Style::of(&std::io::stdout());
    let mut text = String::new();
    for (place, (pipeline, stages)) in all.enumerate() {
        if pipelines.len() > 1 {
            text.push_str(&matrix_heading(
                place,
                pipelines.len(),
                pipeline.name,
                style,
            ));
        }
        text.push_str(&checkpoint_lines(pipeline.inputs, style));
        text.push_str(&render_plan(stages, arguments.explain, style));
    }
    text.extend(total_line(plans.iter().flatten(), style));
    print(&text)
}
