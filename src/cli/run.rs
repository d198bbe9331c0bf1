//! Running experiments, one after the other.

use std::io::{self, Write as _};
use std::time::Instant;

use super::Failure;
use super::file::{File, Request};
use crate::experiment::{Experiment, StageName, to_toml};
use crate::report::{Console, Style, Verbosity, matrix_heading, matrix_summary, scores, summary};
use crate::runs::{Digester, Error, Layout, create_folder, write_atomic};
use crate::stage::{GoalResult, Interrupts, Kernel, MatrixResults, Outcome, StageError, goals};

/// What the experiments of a command came to.
#[derive(Default)]
struct Totals {
    /// Goals that were not reached, each with its experiment's name where there are several.
    missed: Vec<(String, GoalResult)>,
    failed: usize,
    left_out: usize,
    /// Experiments so far.
    place: usize,
}

/// How to run and to tell.
struct Session<'a> {
    request: &'a Request<'a>,
    interrupts: Interrupts,
    kernel: Kernel,
    verbosity: Verbosity,
    style: Style,
}

/// Does what is not up to date in every experiment, and says what came of it.
pub(super) fn run(request: &Request<'_>, digester: &mut Digester) -> Result<(), Failure> {
    let arguments = request.arguments;
    let interrupts = Interrupts::listen().map_err(|error| Failure::Usage {
        message: format!("cannot listen to signals: {error}"),
        hint: None,
    })?;
    let session = Session {
        request,
        interrupts,
        kernel: Kernel::find(),
        verbosity: match (arguments.quiet, arguments.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        },
        style: Style::of(&io::stderr()),
    };
    let mut totals = Totals::default();
    for file in &request.files {
        session.file(file, digester, &mut totals)?;
    }
    if totals.failed > 0 {
        return Err(Failure::Stages {
            failed: totals.failed,
            left_out: totals.left_out,
        });
    }
    if totals.missed.is_empty() {
        Ok(())
    } else {
        Err(Failure::Goals(totals.missed))
    }
}

impl Session<'_> {
    /// All experiments of one file.
    fn file(
        &self,
        file: &File,
        digester: &mut Digester,
        totals: &mut Totals,
    ) -> Result<(), Failure> {
        let layout = self.request.layout;
        let experiments = &file.experiments;
        let clock = Instant::now();
        let mut results = MatrixResults::new(experiments);
        let mut ran = 0;
        for (place, variant) in experiments.variants.iter().enumerate() {
            let experiment = &variant.experiment;
            let name = match self.request.count() {
                1 => "",
                _ => self.request.name_of(variant),
            };
            let outcome = self.experiment(file, place, name, digester, totals)?;
            if experiments.is_matrix {
                let new = outcome.stages.iter().filter(|stage| stage.ran).count();
                ran += new;
                add(&mut results, place, &outcome, layout)?;
                // What was there before is in the table.
                if new > 0 {
                    self.say(&scores(&outcome));
                }
            } else if outcome.failed.is_empty() {
                self.say(&summary(&outcome, experiment, layout, self.style));
            }
            totals.failed += outcome.failed.len();
            totals.left_out += outcome.left_out.len();
            let goals = goals(experiment, &outcome).into_iter();
            let missed = goals.filter(|goal| !goal.is_reached());
            totals
                .missed
                .extend(missed.map(|goal| (name.to_owned(), goal)));
        }
        if experiments.is_matrix {
            let elapsed = clock.elapsed();
            self.say(&matrix_summary(
                experiments,
                &results,
                ran,
                elapsed,
                layout,
                self.style,
            ));
        }
        Ok(())
    }

    /// One experiment.
    fn experiment(
        &self,
        file: &File,
        place: usize,
        name: &str,
        digester: &mut Digester,
        totals: &mut Totals,
    ) -> Result<Outcome, Failure> {
        let experiment = &file.experiments.variants[place].experiment;
        write_resolved(experiment, self.request.layout)?;
        let mut console = Console::new(self.verbosity, self.request.arguments.explain);
        if !name.is_empty() {
            let of = self.request.count();
            console.announce(matrix_heading(totals.place, of, name, self.style));
        }
        totals.place += 1;
        let pipeline = self.request.pipeline(file, place);
        let outcome = pipeline.run(&self.kernel, digester, &self.interrupts, &mut console);
        drop(console);
        outcome.map_err(|error: StageError| error.into())
    }

    fn say(&self, text: &str) {
        if self.verbosity > Verbosity::Quiet {
            // A closed stderr is no reason to fail after the work is done.
            let _ = io::stderr().write_all(text.as_bytes());
        }
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
