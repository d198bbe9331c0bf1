//! Running experiments.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::num::NonZero;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::{Failure, RunArguments, gpus, launched};
use crate::input::for_terminal;
use crate::kinds::WORKS;
use crate::plan::{Pipeline, Selection, Workload};
use crate::report::{
    Caption, Console, Style, Verbosity, matrix_heading, matrix_summary, scores, summary,
};
use crate::runs::Layout;
use crate::stage::{
    Interrupts, Kernel, MatrixResults, Observer, Outcome, Reporter, Scheduler, StageError, goals,
};
use crate::system::Launched;

/// Does what is not up to date in every experiment, and prints the results.
/// `launched` are the ranks that a launcher has started, of which this process is the first.
pub(super) fn run(
    arguments: &RunArguments,
    workload: &Workload,
    launched: Option<(&Launched, &Selection)>,
    layout: &Layout,
) -> Result<(), Failure> {
    let interrupts = Interrupts::listen().map_err(|error| Failure::Usage {
        message: format!("cannot install signal handlers: {error}"),
        hint: None,
    })?;
    let jobs = usize::from(arguments.jobs);
    let mut kernel = Kernel::find();
    if jobs > 1 {
        // Two kernels on every core each are slower than one after the other.
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        kernel = kernel.on_threads((cores / jobs).max(1));
    }
    let pipelines = workload.pipelines();
    let reporter = Terminal::new(arguments, &pipelines);
    let ranks = match launched {
        Some((launched, selection)) => {
            let ranks = launched::gather(&kernel, launched, selection, layout, &interrupts)?;
            reporter.print(&format!(
                "{} ranks, started by {}\n",
                launched.size, launched.by
            ));
            kernel = ranks.call(kernel);
            Some(ranks)
        }
        None => None,
    };
    let outcomes = gpus::check(&pipelines, &kernel)
        .and_then(|()| run_all(arguments, &pipelines, &kernel, &interrupts, &reporter));
    if let Some(ranks) = ranks {
        ranks.end();
    }
    verdict(&pipelines, &outcomes?)
}

fn run_all(
    arguments: &RunArguments,
    pipelines: &[Pipeline<'_>],
    kernel: &Kernel,
    interrupts: &Interrupts,
    reporter: &Terminal<'_>,
) -> Result<Vec<Outcome>, Failure> {
    let scheduler = Scheduler {
        jobs: usize::from(arguments.jobs),
        keep_going: arguments.keep_going,
        works: WORKS,
        kernel,
        interrupts,
        reporter,
    };
    let outcomes = scheduler.run(pipelines)?;
    if reporter.is_parallel {
        for (place, outcome) in outcomes.iter().enumerate() {
            reporter.print_results(place, outcome);
        }
    }
    Ok(outcomes)
}

/// Fails if a stage failed or a goal was missed.
fn verdict(pipelines: &[Pipeline<'_>], outcomes: &[Outcome]) -> Result<(), Failure> {
    let failed = outcomes.iter().map(|outcome| outcome.failed.len()).sum();
    if failed > 0 {
        let left_out = outcomes.iter().map(|outcome| outcome.left_out.len()).sum();
        return Err(Failure::Stages { failed, left_out });
    }
    let mut missed = Vec::new();
    for (pipeline, outcome) in pipelines.iter().zip(outcomes) {
        let name = if pipelines.len() > 1 {
            pipeline.name
        } else {
            ""
        };
        let goals = goals(pipeline.experiment, outcome).into_iter();
        let goals = goals.filter(|goal| !goal.is_reached());
        missed.extend(goals.map(|goal| (name.to_owned(), goal)));
    }
    if missed.is_empty() {
        Ok(())
    } else {
        Err(Failure::Goals(missed))
    }
}

/// Prints what happens to stderr, and keeps the tables of matrices.
struct Terminal<'a> {
    pipelines: &'a [Pipeline<'a>],
    verbosity: Verbosity,
    explain: bool,
    style: Style,
    /// Then lines have labels, and results are printed at the end.
    is_parallel: bool,
    /// Of each experiment; empty where there is only one.
    captions: Vec<Caption>,
    matrices: Mutex<Matrices<'a>>,
}

/// The matrices of a run, by experiment name.
struct Matrices<'a> {
    results: BTreeMap<&'a str, MatrixResults<'a>>,
    /// Stages run so far in the file whose results are printed.
    ran: usize,
    /// When its first stage began.
    since: Instant,
}

impl<'a> Terminal<'a> {
    fn new(arguments: &RunArguments, pipelines: &'a [Pipeline<'a>]) -> Self {
        let style = Style::of(&io::stderr());
        let is_parallel = arguments.jobs > 1;
        let of = pipelines.len();
        let longest = pipelines.iter().map(|it| it.name.len()).max().unwrap_or(0);
        let caption = |(place, pipeline): (usize, &Pipeline<'_>)| {
            let name = pipeline.name;
            if is_parallel {
                Caption::Label(format!("{name:longest$}  "))
            } else {
                Caption::Heading(Mutex::new(Some(matrix_heading(place, of, name, style))))
            }
        };
        let captions = pipelines.iter().enumerate().filter(|_| of > 1);
        let matrices = pipelines.iter().map(|pipeline| &pipeline.file.experiments);
        let matrices = matrices.filter(|experiments| experiments.is_matrix);
        let results = matrices.map(|it| (it.name.as_str(), MatrixResults::new(it)));
        Self {
            pipelines,
            verbosity: match (arguments.quiet, arguments.verbose) {
                (true, _) => Verbosity::Quiet,
                (_, true) => Verbosity::Verbose,
                _ => Verbosity::Normal,
            },
            explain: arguments.explain,
            style,
            is_parallel,
            captions: captions.map(caption).collect(),
            matrices: Mutex::new(Matrices {
                results: results.collect(),
                ran: 0,
                since: Instant::now(),
            }),
        }
    }

    /// Prints what an experiment came to, and after the last one of a matrix its table. Called in
    /// the order of the experiments.
    fn print_results(&self, place: usize, outcome: &Outcome) {
        let pipeline = &self.pipelines[place];
        let experiments = &pipeline.file.experiments;
        let is_last = pipeline.place + 1 == experiments.variants.len();
        let (layout, style) = (pipeline.layout, self.style);
        let mut matrices = self.matrices();
        let Matrices {
            results,
            ran,
            since,
        } = &mut *matrices;
        if let Some(results) = results.get(experiments.name.as_str()) {
            let new = outcome.count_ran();
            *ran += new;
            // What was there before is in the table.
            if new > 0 && !self.is_parallel {
                self.print(&scores(outcome, style));
            }
            if is_last {
                let time = since.elapsed();
                self.print(&matrix_summary(
                    experiments,
                    results,
                    *ran,
                    time,
                    layout,
                    style,
                ));
            }
        } else if outcome.failed.is_empty() {
            self.print(&summary(outcome, pipeline.experiment, layout, style));
        }
        if is_last {
            *ran = 0;
        }
        if is_last && !self.is_parallel {
            *since = Instant::now();
        }
    }

    fn print(&self, text: &str) {
        if self.verbosity > Verbosity::Quiet {
            // A closed stderr is no reason to fail after the work is done.
            let text = for_terminal(text, self.style.is_coloured());
            let _ = io::stderr().write_all(text.as_bytes());
        }
    }

    fn matrices(&self) -> MutexGuard<'_, Matrices<'a>> {
        self.matrices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter for Terminal<'_> {
    fn observer(&self, place: usize) -> Box<dyn Observer + '_> {
        let mut console = Console::new(self.verbosity, self.explain);
        if let Some(caption) = self.captions.get(place) {
            console = console.under(caption);
        }
        if self.is_parallel {
            console = console.without_bars();
        }
        Box::new(console)
    }

    /// Puts an experiment into the tables of its matrix, which are there however far that comes.
    fn finished(&self, place: usize, outcome: &Outcome) -> Result<(), StageError> {
        let pipeline = &self.pipelines[place];
        let name = pipeline.file.experiments.name.as_str();
        // Of several stages that score the last one: a row of the table is one student's.
        let scoring = pipeline.experiment.final_scoring();
        if let Some(record) = scoring.and_then(|stage| outcome.record_of(stage))
            && let Some(results) = self.matrices().results.get_mut(name)
        {
            results.add(pipeline.place, record.clone());
            results.write(pipeline.layout)?;
        }
        if !self.is_parallel {
            self.print_results(place, outcome);
        }
        Ok(())
    }
}
