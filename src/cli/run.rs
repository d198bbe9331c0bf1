//! Running experiments, one after the other or side by side.

use std::io::{self, Write as _};
use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::Failure;
use super::file::{File, Request};
use crate::experiment::{Experiment, StageName, to_toml};
use crate::input::for_terminal;
use crate::report::{Console, Style, Verbosity, matrix_heading, matrix_summary, scores, summary};
use crate::runs::{Digester, Error, Layout, create_folder, write_atomic};
use crate::stage::{
    GoalResult, Interrupts, Kernel, MatrixResults, Outcome, SideBySide, StageError, goals,
    run_side_by_side,
};

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

impl Totals {
    /// Adds what one experiment came to.
    fn count(&mut self, name: &str, experiment: &Experiment, outcome: &Outcome) {
        self.failed += outcome.failed.len();
        self.left_out += outcome.left_out.len();
        let goals = goals(experiment, outcome).into_iter();
        let missed = goals.filter(|goal| !goal.is_reached());
        self.missed
            .extend(missed.map(|goal| (name.to_owned(), goal)));
    }
}

/// The tables of the matrices among files whose experiments end in any order.
struct Tables<'a> {
    /// Of each file; `None` where it is no matrix.
    of_files: Vec<Option<MatrixResults<'a>>>,
    /// File, and place in it, of each experiment.
    places: Vec<(usize, usize)>,
}

impl<'a> Tables<'a> {
    fn new(files: &'a [File]) -> Self {
        let results = |file: &'a File| {
            let experiments = &file.experiments;
            experiments
                .is_matrix
                .then(|| MatrixResults::new(experiments))
        };
        let places = files.iter().enumerate().flat_map(|(index, file)| {
            let variants = 0..file.experiments.variants.len();
            variants.map(move |place| (index, place))
        });
        Self {
            of_files: files.iter().map(results).collect(),
            places: places.collect(),
        }
    }

    fn add(&mut self, place: usize, outcome: &Outcome, layout: &Layout) -> Result<(), Error> {
        let (file, place) = self.places[place];
        match &mut self.of_files[file] {
            Some(results) => add(results, place, outcome, layout),
            None => Ok(()),
        }
    }

    fn of_file(&self, file: usize) -> Option<&MatrixResults<'a>> {
        self.of_files[file].as_ref()
    }
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
        message: format!("cannot install signal handlers: {error}"),
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
    if arguments.jobs > 1 {
        session.side_by_side(usize::from(arguments.jobs), &mut totals)?;
    } else {
        for file in &request.files {
            session.file(file, digester, &mut totals)?;
        }
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
            totals.count(name, experiment, &outcome);
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

    /// All experiments of all files, several stages at a time.
    fn side_by_side(&self, jobs: usize, totals: &mut Totals) -> Result<(), Failure> {
        let request = self.request;
        let clock = Instant::now();
        let mut pipelines = Vec::new();
        let mut names = Vec::new();
        for file in &request.files {
            for (place, variant) in file.experiments.variants.iter().enumerate() {
                write_resolved(&variant.experiment, request.layout)?;
                pipelines.push(request.pipeline(file, place));
                names.push(match request.count() {
                    1 => String::new(),
                    _ => request.name_of(variant).to_owned(),
                });
            }
        }
        let tables = Mutex::new(Tables::new(&request.files));
        let longest = names.iter().map(String::len).max().unwrap_or(0);
        let label = |place: usize| match names[place].as_str() {
            "" => String::new(),
            name => format!("{name:longest$}  "),
        };
        let explain = request.arguments.explain;
        // What an experiment does not say is shared out: two kernels on every core each are
        // slower than one after the other.
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let kernel = self.kernel.clone().on_threads((cores / jobs).max(1));
        let how = SideBySide {
            jobs,
            kernel: &kernel,
            interrupts: &self.interrupts,
            observer: &|place| Box::new(Console::labelled(self.verbosity, explain, label(place))),
            finished: &|place, outcome| {
                let mut tables = tables.lock().unwrap_or_else(PoisonError::into_inner);
                tables.add(place, outcome, request.layout)?;
                Ok(())
            },
        };
        let outcomes = run_side_by_side(&pipelines, &how)?;
        let tables = tables.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut place = 0;
        for (index, file) in request.files.iter().enumerate() {
            let mut ran = 0;
            for variant in &file.experiments.variants {
                let outcome = &outcomes[place];
                ran += outcome.stages.iter().filter(|stage| stage.ran).count();
                if !file.experiments.is_matrix && outcome.failed.is_empty() {
                    let text = summary(outcome, &variant.experiment, request.layout, self.style);
                    self.say(&text);
                }
                totals.count(&names[place], &variant.experiment, outcome);
                place += 1;
            }
            if let Some(results) = tables.of_file(index) {
                let (all, layout) = (&file.experiments, request.layout);
                let time = clock.elapsed();
                self.say(&matrix_summary(all, results, ran, time, layout, self.style));
            }
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
            let text = for_terminal(text, Style::of(&io::stderr()).is_coloured());
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
