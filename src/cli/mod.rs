//! The command line.

mod plan;
mod run;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use clap::builder::PossibleValuesParser;

use crate::experiment::{Experiments, Fault, Faults, Sources, StageName};
use crate::plan::{Forced, Inputs, Node, find_inputs, find_missing, graph};
use crate::report::{Style, diagnostic, failure, goal_line, plain_error};
use crate::runs::{Digester, Error, Layout};
use crate::stage::{GoalResult, Pipeline, StageError};

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
    /// Goals that were not reached, each with its experiment's name in a matrix.
    Goals(Vec<(String, GoalResult)>),
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
                    let goals = missed.iter().map(|(variant, goal)| {
                        let line = goal_line(goal, style);
                        if variant.is_empty() {
                            line
                        } else {
                            format!("{variant}: {line}")
                        }
                    });
                    let goals: Vec<String> = goals.collect();
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
    let (experiments, sources) = read(arguments, &layout)?;
    let found = prepare(arguments, &experiments, sources, &layout)?;
    let mut digester = Digester::open(layout.digests(), layout.root().to_owned());
    if arguments.dry_run {
        let text = plan::dry_run(arguments, &experiments, &found, &layout, &mut digester)?;
        return print(&text);
    }
    run::run(arguments, &experiments, &found, &layout, &mut digester)
}

/// What the experiments of a file need to run.
struct Prepared {
    /// Graph and inputs of each variant, in their order.
    variants: Vec<(Vec<Node>, Inputs)>,
    forced: Forced,
    until: Option<StageName>,
}

impl Prepared {
    /// The pipeline of the variant at a place.
    fn pipeline<'a>(
        &'a self,
        place: usize,
        experiments: &'a Experiments,
        layout: &'a Layout,
    ) -> Pipeline<'a> {
        let (nodes, inputs) = &self.variants[place];
        Pipeline {
            experiment: &experiments.variants[place].experiment,
            inputs,
            nodes,
            layout,
            forced: &self.forced,
            until: self.until,
        }
    }
}

/// Graphs and inputs of all experiments, and what the command line says of stages.
fn prepare(
    arguments: &Arguments,
    experiments: &Experiments,
    sources: Sources,
    layout: &Layout,
) -> Result<Prepared, Failure> {
    let graphs = experiments.variants.iter();
    let graphs: Vec<_> = graphs.map(|variant| graph(&variant.experiment)).collect();
    // A stage that one variant leaves out may be another's.
    let stages: BTreeSet<StageName> = graphs.iter().flatten().map(|node| node.stage).collect();
    let names = arguments.force.iter();
    let forced: BTreeSet<StageName> = names
        .map(|name| stage_of(name, &stages))
        .collect::<Result<_, _>>()?;
    let until = arguments.until.as_ref();
    let until = until.map(|name| stage_of(name, &stages)).transpose()?;
    if let Some(last) = until
        && let Some(stage) = forced.iter().find(|stage| **stage > last)
    {
        return Err(Failure::Usage {
            message: format!("`--force {stage}` lies after `--until {last}`"),
            hint: None,
        });
    }
    let mut faults: Vec<Fault> = Vec::new();
    let mut variants = Vec::new();
    for (variant, nodes) in experiments.variants.iter().zip(graphs) {
        match find_inputs(&variant.experiment, &nodes, layout) {
            Ok(inputs) => variants.push((nodes, inputs)),
            // Variants mostly share what they read, and so what is wrong with it.
            Err(found) => {
                let new = found.into_iter().filter(|fault| !faults.contains(fault));
                let new: Vec<Fault> = new.collect();
                faults.extend(new);
            }
        }
    }
    if !faults.is_empty() {
        return Err(Faults::new(faults, sources).into());
    }
    Ok(Prepared {
        variants,
        forced: Forced::new(forced),
        until,
    })
}

/// Writes an answer to stdout. A reader that has seen enough, as `head`, is no fault.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}

fn read(arguments: &Arguments, layout: &Layout) -> Result<(Experiments, Sources), Failure> {
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
    Ok(Experiments::read(
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

/// A stage by its name, which must be one of the file's.
fn stage_of(name: &str, stages: &BTreeSet<StageName>) -> Result<StageName, Failure> {
    let stage = StageName::parse(name).filter(|stage| stages.contains(stage));
    stage.ok_or_else(|| {
        let there: Vec<String> = stages.iter().map(|stage| format!("`{stage}`")).collect();
        Failure::Usage {
            message: format!("`{name}` is not a stage of this experiment"),
            hint: Some(format!("it has {}", there.join(", "))),
        }
    })
}
