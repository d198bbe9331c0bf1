//! Running the experiments of a file, one after the other.

use std::io::{self, Write as _};
use std::time::Instant;

use super::{Arguments, Failure, Prepared};
use crate::experiment::{Experiment, Experiments, StageName, to_toml};
use crate::report::{Console, Style, Verbosity, matrix_heading, matrix_summary, scores, summary};
use crate::runs::{Digester, Error, Layout, create_folder, write_atomic};
use crate::stage::{GoalResult, Interrupts, Kernel, MatrixResults, Outcome, goals};

/// Does what is not up to date in every experiment, and says what came of it.
pub(super) fn run(
    arguments: &Arguments,
    experiments: &Experiments,
    found: &Prepared,
    layout: &Layout,
    digester: &mut Digester,
) -> Result<(), Failure> {
    let verbosity = match (arguments.quiet, arguments.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let interrupts = Interrupts::listen().map_err(|error| Failure::Usage {
        message: format!("cannot listen to signals: {error}"),
        hint: None,
    })?;
    let style = Style::of(&io::stderr());
    let clock = Instant::now();
    let mut results = MatrixResults::new(experiments);
    let mut missed: Vec<(String, GoalResult)> = Vec::new();
    let mut ran = 0;
    for (place, variant) in experiments.variants.iter().enumerate() {
        let experiment = &variant.experiment;
        write_resolved(experiment, layout)?;
        let mut console = Console::new(verbosity, arguments.explain);
        if experiments.is_matrix {
            let of = experiments.variants.len();
            console.announce(matrix_heading(place, of, variant, style));
        }
        let pipeline = found.pipeline(place, experiments, layout);
        let outcome = pipeline.run(&Kernel::find(), digester, &interrupts, &mut console);
        drop(console);
        let outcome = outcome?;
        let text = if experiments.is_matrix {
            let new = outcome.stages.iter().filter(|stage| stage.ran).count();
            ran += new;
            add(&mut results, place, &outcome, layout)?;
            // What was there before is in the table.
            if new > 0 {
                scores(&outcome)
            } else {
                String::new()
            }
        } else {
            summary(&outcome, experiment, layout, style)
        };
        say(verbosity, &text);
        let goals = goals(experiment, &outcome).into_iter();
        let not_reached = goals.filter(|goal| !goal.is_reached());
        missed.extend(not_reached.map(|goal| (variant.name.clone(), goal)));
    }
    if experiments.is_matrix {
        let elapsed = clock.elapsed();
        let text = matrix_summary(experiments, &results, ran, elapsed, layout, style);
        say(verbosity, &text);
    }
    if missed.is_empty() {
        Ok(())
    } else {
        Err(Failure::Goals(missed))
    }
}

/// Puts an experiment into the tables of the matrix: they are there however far it comes.
fn add(
    results: &mut MatrixResults<'_>,
    place: usize,
    outcome: &Outcome,
    layout: &Layout,
) -> Result<(), Error> {
    let mut stages = outcome.stages.iter();
    if let Some(eval) = stages.find(|stage| stage.stage == StageName::Eval) {
        results.add(place, eval.record.clone());
        results.write(layout)?;
    }
    Ok(())
}

fn say(verbosity: Verbosity, text: &str) {
    if verbosity > Verbosity::Quiet {
        // A closed stderr is no reason to fail after the work is done.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// Writes the experiment as resolved beside its results.
fn write_resolved(experiment: &Experiment, layout: &Layout) -> Result<(), Error> {
    let path = layout.resolved(&experiment.name);
    let text = to_toml(experiment);
    if std::fs::read_to_string(&path).is_ok_and(|present| present == text) {
        return Ok(());
    }
    create_folder(&layout.experiment(&experiment.name))?;
    write_atomic(&path, text.as_bytes())
}
