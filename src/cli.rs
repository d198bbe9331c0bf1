//! The command line.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use clap::builder::PossibleValuesParser;

use crate::experiment::{Experiment, Faults, Sources, StageName, to_toml};
use crate::plan::{Node, Planned, Planner, Status, find_inputs, find_missing, graph};
use crate::report::{
    Console, Style, Verbosity, diagnostic, failure, goal_line, plain_error, render_plan, summary,
};
use crate::runs::{Digester, Error, Layout, create_folder, write_atomic};
use crate::stage::{GoalResult, Interrupts, Kernel, Pipeline, StageError, goals};

/// The command line as typed.
#[derive(Debug, Parser)]
#[command(
    name = "tinyrun",
    version,
    max_term_width = 100,
    about = "Compress a BERT into a TinyBERT from one experiment file",
    long_about = None,
    after_help = "Stages that are up to date are skipped, interrupted ones go on where they stopped, \
                  changed ones run again.\nExit codes: 0 done or nothing to do, 1 a stage failed, \
                  2 the file or the command line is wrong, 3 a goal was missed, 130 interrupted."
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag by itself")]
struct Arguments {
    /// Experiment file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Folder that the file's paths and `runs/` are relative to; the current one by default
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,

    /// Replace a key of the file, such as `stages.td-phase1.epochs=3`; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,

    /// Print what would run and why, and run nothing
    #[arg(long)]
    dry_run: bool,

    /// Give every reason and fingerprint
    #[arg(long)]
    explain: bool,

    /// Run a stage although it is up to date; repeatable
    #[arg(long, value_name = "STAGE", value_parser = stage_names())]
    force: Vec<String>,

    /// Stop after a stage
    #[arg(long, value_name = "STAGE", value_parser = stage_names())]
    until: Option<String>,

    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,

    /// Say more
    #[arg(short, long)]
    verbose: bool,
}

fn stage_names() -> PossibleValuesParser {
    PossibleValuesParser::new(StageName::ALL.map(StageName::as_str))
}

/// Why the program ends without having done what was asked.
enum Failure {
    /// The command line or a file on it.
    Usage {
        message: String,
        hint: Option<String>,
    },
    /// The experiment file.
    Faults(Faults),
    /// A stage.
    Stage(StageError),
    /// Goals that were not reached.
    Goals(Vec<GoalResult>),
    /// The answer could not be written.
    Output(io::Error),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } | Self::Faults(_) => 2,
            Self::Stage(error) => error.exit_code(),
            Self::Output(_) => 1,
            Self::Goals(_) => 3,
        }
    }
}

impl From<StageError> for Failure {
    fn from(error: StageError) -> Self {
        Self::Stage(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Stage(error.into())
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::Faults(faults)
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to stdout with 0, faults to stderr with 2.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let style = Style::of(&io::stderr());
            let text = match &error {
                Failure::Usage { message, hint } => plain_error(message, hint.as_deref(), style),
                Failure::Faults(faults) => diagnostic::render(faults, style.is_coloured()),
                Failure::Stage(error) => failure(error, style),
                Failure::Goals(missed) => {
                    let goals: Vec<String> =
                        missed.iter().map(|goal| goal_line(goal, style)).collect();
                    plain_error(&goals.join("; "), None, style)
                }
                Failure::Output(error) => {
                    plain_error(&format!("cannot write the answer: {error}"), None, style)
                }
            };
            let _ = io::stderr().write_all(text.as_bytes());
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let layout = layout(arguments)?;
    let (experiment, sources) = read(arguments, &layout)?;
    let nodes = graph(&experiment);
    let forced = forced(arguments, &nodes)?;
    let until = match &arguments.until {
        Some(name) => Some(stage_of(name, &nodes)?),
        None => None,
    };
    if let Some(last) = until
        && let Some(stage) = forced.iter().find(|stage| **stage > last)
    {
        return Err(Failure::Usage {
            message: format!("`--force {stage}` lies after `--until {last}`"),
            hint: None,
        });
    }
    let inputs =
        find_inputs(&experiment, &nodes, &layout).map_err(|faults| Faults::new(faults, sources))?;
    let mut digester = Digester::open(layout.digests(), layout.root().to_owned());
    let pipeline = Pipeline {
        experiment: &experiment,
        inputs: &inputs,
        nodes: &nodes,
        layout: &layout,
        forced: &forced,
        until,
    };
    if arguments.dry_run {
        let plans = plan(&pipeline, &mut digester)?;
        let style = Style::of(&io::stdout());
        let text = render_plan(&plans, arguments.explain, style);
        return print(&text);
    }
    let verbosity = match (arguments.quiet, arguments.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    let interrupts = Interrupts::listen().map_err(|error| Failure::Usage {
        message: format!("cannot listen to signals: {error}"),
        hint: None,
    })?;
    write_resolved(&experiment, &layout)?;
    let mut console = Console::new(verbosity, arguments.explain);
    let outcome = pipeline.run(&Kernel::find(), &mut digester, &interrupts, &mut console);
    drop(console);
    let outcome = outcome?;
    if verbosity > Verbosity::Quiet {
        let text = summary(&outcome, &experiment, &layout, Style::of(&io::stderr()));
        let _ = io::stderr().write_all(text.as_bytes());
    }
    let mut missed = goals(&experiment, &outcome);
    missed.retain(|goal| !goal.is_reached());
    if missed.is_empty() {
        Ok(())
    } else {
        Err(Failure::Goals(missed))
    }
}

/// Writes an answer to stdout. A reader that has seen enough, as `head`, is no fault.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}

fn read(arguments: &Arguments, layout: &Layout) -> Result<(Experiment, Sources), Failure> {
    let file = &arguments.file;
    let usage = |message: String, hint: Option<String>| Failure::Usage { message, hint };
    let bytes = std::fs::read(file).map_err(|error| {
        let hint = (error.kind() == io::ErrorKind::NotFound)
            .then(|| "FILE is relative to the current folder, whatever `--root` says".to_owned())
            .filter(|_| arguments.root.is_some());
        usage(Error::read(file)(error).to_string(), hint)
    })?;
    let text = String::from_utf8(bytes)
        .map_err(|_| usage(format!("`{}` is not valid UTF-8", file.display()), None))?;
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    let name = file.display().to_string();
    Ok(Experiment::read_or_examine(
        &name,
        stem.unwrap_or("experiment"),
        &text,
        &arguments.set,
        |experiment| find_missing(experiment, layout),
    )?)
}

fn layout(arguments: &Arguments) -> Result<Layout, Failure> {
    let Some(root) = &arguments.root else {
        return Ok(Layout::new(""));
    };
    if !root.is_dir() {
        return Err(Failure::Usage {
            message: format!("`--root`: `{}` is not a folder", root.display()),
            hint: None,
        });
    }
    let root = if root == Path::new(".") {
        PathBuf::new()
    } else {
        root.clone()
    };
    Ok(Layout::new(root))
}

fn forced(arguments: &Arguments, nodes: &[Node]) -> Result<BTreeSet<StageName>, Failure> {
    let names = arguments.force.iter();
    names.map(|name| stage_of(name, nodes)).collect()
}

/// A stage by its name, which must be one of this experiment's.
fn stage_of(name: &str, nodes: &[Node]) -> Result<StageName, Failure> {
    let stage =
        StageName::parse(name).filter(|stage| nodes.iter().any(|node| node.stage == *stage));
    stage.ok_or_else(|| {
        let there: Vec<String> = nodes
            .iter()
            .map(|node| format!("`{}`", node.stage))
            .collect();
        Failure::Usage {
            message: format!("`{name}` is not a stage of this experiment"),
            hint: Some(format!("it has {}", there.join(", "))),
        }
    })
}

/// Where each stage stands, as far as that is known before any is run.
fn plan(pipeline: &Pipeline<'_>, digester: &mut Digester) -> Result<Vec<Planned>, Error> {
    let mut done = std::collections::BTreeMap::new();
    let mut planner = Planner {
        experiment: pipeline.experiment,
        inputs: pipeline.inputs,
        layout: pipeline.layout,
        forced: pipeline.forced,
        digester,
    };
    let mut plans = Vec::new();
    for node in pipeline.selected() {
        let plan = planner.plan(node, &done)?;
        if let Status::Fresh(record) = &plan.status {
            done.insert(node.stage, (**record).clone());
        }
        plans.push(plan);
    }
    // A dry run leaves nothing behind but what saves reading the next time.
    if pipeline.layout.runs().is_dir() {
        digester.save()?;
    }
    Ok(plans)
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
