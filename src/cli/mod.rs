//! The command line.

mod clean;
mod compare;
mod export;
mod export_data;
mod forward_check;
mod gc;
mod given_model;
mod gpus;
mod init;
mod launched;
mod man;
mod plan;
mod predict;
mod rerun;
mod run;
mod set;
mod show;
mod status;
mod verify;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::document::Faults;
use crate::experiment::StageName;
use crate::input::for_terminal;
use crate::job::Word;
use crate::kinds::KINDS;
use crate::plan::{Selection, SelectionError, StageRange, Workload, path_hint};
use crate::report::{Style, diagnostic, failed_stages, failure, goal_line, plain_error};
use crate::runs::{Error, Layout};
use crate::stage::{GoalResult, StageError};
use crate::system::reason;

/// The command line as typed.
#[derive(Debug, Parser)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    name = "tinyrun",
    version,
    max_term_width = 100,
    about = "Distill a BERT model into a TinyBERT from one experiment file",
    long_about = None,
    after_help = "Stages that are up to date are skipped, interrupted stages resume from their last \
                  checkpoint, changed stages run again.\nExit codes: 0 success, 1 a stage failed, \
                  2 invalid experiment file or command line, 3 a goal was missed, 130 interrupted."
)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    run: RunArguments,
}

/// What can be done beside running.
#[derive(Debug, Subcommand)]
enum Command {
    /// Show the status of each stage, with progress for running ones (never blocks)
    Status(status::Arguments),
    /// Show how a result was produced: settings, inputs, versions, machine, artifacts
    Show(show::Arguments),
    /// Compare experiments: settings that differ, and results
    Compare(compare::Arguments),
    /// Re-hash artifacts and inputs and compare them with the records
    Verify(verify::Arguments),
    /// Re-run a recorded stage and check that its output is byte-identical
    Rerun(rerun::Arguments),
    /// Answer texts with a trained model: label and probability of each class, or a value
    Predict(predict::Arguments),
    /// List unused results and caches, or delete them
    Gc(gc::Arguments),
    /// Delete the result of a stage
    Clean(clean::Arguments),
    /// Write a model in a format of other programs, with a model card
    Export(export::Arguments),
    /// Write prepared data as files that TensorFlow and MindSpore read
    ExportData(export_data::Arguments),
    /// Write a commented experiment file for your own table
    Init(init::Arguments),
    /// Print a shell completion script
    Completions {
        /// Shell to complete in
        shell: Shell,
    },
    /// Write a man page per command into a folder
    #[command(hide = true)]
    Man(man::Arguments),
}

/// Where the experiment's paths lead from.
#[derive(Debug, Args)]
struct Place {
    /// Folder that `runs/` and the paths in the file are relative to [default: current folder]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

/// A run, as typed.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag by itself")]
struct RunArguments {
    /// Experiment files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    #[command(flatten)]
    place: Place,

    /// Override a key of the file, for example `stages.td-phase1.epochs=3` (repeatable)
    #[arg(
        long, value_name = "KEY=VALUE", value_parser = set::KeyAndValue, hide_possible_values = true
    )]
    set: Vec<String>,

    /// Print which stages would run and why, without running them
    #[arg(long)]
    dry_run: bool,

    /// Print the plan as JSON
    #[arg(long, requires = "dry_run")]
    json: bool,

    /// Print all reasons and fingerprints
    #[arg(long)]
    explain: bool,

    /// Run a stage of the file even if it is up to date (repeatable)
    #[arg(long, value_name = "STAGE", value_parser = set::StageNames, hide_possible_values = true)]
    force: Vec<StageName>,

    /// Stop after this stage of the file
    #[arg(long, value_name = "STAGE", value_parser = set::StageNames, hide_possible_values = true)]
    until: Option<StageName>,

    /// Run only this stage, using existing results as inputs
    #[arg(long, value_name = "STAGE", value_parser = set::StageNames, hide_possible_values = true, conflicts_with = "until")]
    single_stage: Option<StageName>,

    /// Run this stage and the stages that depend on it, using existing results as inputs
    #[arg(
        long, value_name = "STAGE", value_parser = set::StageNames, hide_possible_values = true,
        conflicts_with_all = ["until", "single_stage"]
    )]
    downstream: Option<StageName>,

    /// Number of stages to run in parallel, if they do not depend on each other
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: u16,

    /// Number of processes that share each batch of a training, in place of `ranks` of the file
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    ranks: Option<u16>,

    /// After a failure, continue with the stages that do not depend on it
    #[arg(short, long)]
    keep_going: bool,

    /// Print errors only
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,

    /// Print more details
    #[arg(short, long)]
    verbose: bool,
}

impl RunArguments {
    fn overrides(&self) -> Vec<String> {
        let ranks = self.ranks.map(|ranks| format!("ranks={ranks}"));
        self.set.iter().cloned().chain(ranks).collect()
    }

    fn selection(&self) -> Selection {
        Selection {
            files: self.files.clone(),
            overrides: self.overrides(),
            stages: match (&self.until, &self.single_stage, &self.downstream) {
                (Some(stage), _, _) => StageRange::Until(stage.clone()),
                (_, Some(stage), _) => StageRange::Single(stage.clone()),
                (_, _, Some(stage)) => StageRange::Downstream(stage.clone()),
                (None, None, None) => StageRange::All,
            },
            forced: self.force.iter().cloned().collect(),
            started: None,
        }
    }
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
    /// Stages, each told when it failed; how many of them, and how many wait for them.
    Stages { failed: usize, left_out: usize },
    /// Goals that were not reached, each with its experiment's name in a matrix.
    Goals(Vec<(String, GoalResult)>),
    /// The rows that are read; those before were answered.
    Data {
        message: String,
        hint: Option<String>,
    },
    /// What was looked at is not as it should be; told already.
    Found,
    /// The user stopped what keeps nothing.
    Interrupted,
    /// The answer could not be written.
    Output(io::Error),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } | Self::Faults(_) => 2,
            Self::Stage(error) => error.exit_code(),
            Self::Output(_) | Self::Found | Self::Stages { .. } | Self::Data { .. } => 1,
            Self::Goals(_) => 3,
            Self::Interrupted => 130,
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

impl From<SelectionError> for Failure {
    fn from(error: SelectionError) -> Self {
        match error {
            SelectionError::Faults(faults) => Self::Faults(faults),
            error => Self::Usage {
                message: error.to_string(),
                hint: error.hint(),
            },
        }
    }
}

/// The command line as clap knows it, for pages and scripts that are made from it.
pub fn command() -> clap::Command {
    CommandLine::command()
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = match CommandLine::try_parse() {
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
                Failure::Usage { message, hint } | Failure::Data { message, hint } => {
                    plain_error(message, hint.as_deref(), style)
                }
                Failure::Faults(faults) => diagnostic::render(faults, style.is_coloured()),
                Failure::Stage(error) => failure(error, style),
                Failure::Stages { failed, left_out } => {
                    let message = failed_stages(*failed, *left_out);
                    plain_error(&message, None, style)
                }
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
                Failure::Found => String::new(),
                Failure::Interrupted => "tinyrun: interrupted\n".to_owned(),
                Failure::Output(error) => plain_error(
                    &format!("cannot write to stdout: {}", reason(error)),
                    None,
                    style,
                ),
            };
            let text = for_terminal(&text, style.is_coloured());
            let _ = io::stderr().write_all(text.as_bytes());
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(line: &CommandLine) -> Result<(), Failure> {
    match &line.command {
        None => run_files(&line.run),
        Some(Command::Status(arguments)) => status::run(arguments),
        Some(Command::Show(arguments)) => show::run(arguments),
        Some(Command::Compare(arguments)) => compare::run(arguments),
        Some(Command::Verify(arguments)) => verify::run(arguments),
        Some(Command::Rerun(arguments)) => rerun::run(arguments),
        Some(Command::Predict(arguments)) => predict::run(arguments),
        Some(Command::Gc(arguments)) => gc::run(arguments),
        Some(Command::Clean(arguments)) => clean::run(arguments),
        Some(Command::Export(arguments)) => export::run(arguments),
        Some(Command::ExportData(arguments)) => export_data::run(arguments),
        Some(Command::Init(arguments)) => init::run(arguments),
        Some(Command::Man(arguments)) => man::run(arguments),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command(), "tinyrun", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
    }
}

fn run_files(arguments: &RunArguments) -> Result<(), Failure> {
    let layout = layout(&arguments.place)?;
    let launched = launched::of_environment(arguments)?;
    let mut selection = arguments.selection();
    selection.started = launched
        .as_ref()
        .map(|launched| (launched.size, launched.by));
    let workload = Workload::read(KINDS, &selection, &layout)?;
    let is_first = launched.as_ref().is_none_or(|launched| launched.rank == 0);
    if arguments.dry_run {
        // One plan is enough.
        return if is_first {
            plan::run(arguments, &workload, &layout)
        } else {
            Ok(())
        };
    }
    match &launched {
        Some(launched) if !is_first => launched::serve(launched, &selection, &layout),
        launched => {
            let launched = launched.as_ref().map(|it| (it, &selection));
            run::run(arguments, &workload, launched, &layout)
        }
    }
}

/// Writes an answer to stdout. A reader that has seen enough, as `head`, is no fault.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let text = for_terminal(text, Style::of(&out).is_coloured());
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}

/// One of a key's words but `auto`, which an omitted option stands for.
fn word<T: Word + Send + Sync>() -> impl TypedValueParser<Value = T> {
    let names = T::WORDS.iter().map(|(word, _)| *word);
    PossibleValuesParser::new(names.filter(|word| *word != "auto")).map(|name| {
        let mut words = T::WORDS.iter();
        words
            .find(|(word, _)| *word == name)
            .expect("one of the names")
            .1
    })
}

fn layout(place: &Place) -> Result<Layout, Failure> {
    let Some(root) = &place.root else {
        return Ok(Layout::new(""));
    };
    let usage = |message: String, hint| Failure::Usage { message, hint };
    // Paths go to the kernel as JSON.
    let Some(name) = root.to_str() else {
        let message = format!("`--root`: `{}` is not valid UTF-8", root.display());
        let hint = "change to that folder and run without `--root`, or rename it";
        return Err(usage(message, Some(hint.to_owned())));
    };
    if !root.is_dir() {
        let message = format!("`--root`: `{}` is not a folder", root.display());
        return Err(usage(message, path_hint(Path::new(""), name)));
    }
    let root = if root == Path::new(".") {
        PathBuf::new()
    } else {
        root.clone()
    };
    Ok(Layout::new(root))
}
