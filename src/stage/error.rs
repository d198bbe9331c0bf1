//! Why stages were not done.

use std::io;
use std::path::PathBuf;

use super::KernelError;
use crate::data::StoreError;
use crate::experiment::StageName;
use crate::model::ModelError;
use crate::runs::{Checkpoint, Error};

/// Why a run ended before its last stage.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The disk.
    #[error(transparent)]
    Disk(#[from] Error),
    /// The kernel failed.
    #[error("`{stage}` failed: {source}")]
    Kernel {
        /// The stage.
        stage: StageName,
        /// What the kernel reported, or how it ended.
        source: KernelError,
        /// Its log.
        log: PathBuf,
        /// Where the next run resumes.
        checkpoint: Option<Checkpoint>,
    },
    /// The kernel failed to predict.
    #[error("prediction failed: {source}")]
    Prediction {
        /// What the kernel reported, or how it ended.
        source: KernelError,
    },
    /// Ranks of a launcher do not come together, or lose each other between stages.
    #[error("{source}")]
    Ranks {
        /// What the kernel that gathers or serves them reported.
        source: KernelError,
    },
    /// A preparation failed.
    #[error("`{stage}` failed: {message}")]
    Prep {
        /// The stage.
        stage: StageName,
        /// What is wrong, and where in the data.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A given model does not fit the data.
    #[error("`{stage}` cannot start: {message}")]
    Unfit {
        /// The stage that would have been first to use the kernel.
        stage: StageName,
        /// Which model, of which stage, and why.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A model that a stage is to start from cannot be read.
    #[error("`{stage}` failed: {source}")]
    Model {
        /// The stage.
        stage: StageName,
        /// What is wrong.
        source: ModelError,
    },
    /// A token store that a stage is to read cannot be opened.
    #[error("`{stage}` failed: {source}")]
    Store {
        /// The stage.
        stage: StageName,
        /// What is wrong.
        source: StoreError,
    },
    /// The stage ended well and did not write what it must.
    #[error("`{stage}` finished without writing `{file}`")]
    Incomplete {
        /// The stage.
        stage: StageName,
        /// The artifact.
        file: String,
    },
    /// Inputs changed while the stage ran: its result belongs to neither.
    #[error(
        "the result of `{stage}` is not stored: {} changed while it ran",
        names(files)
    )]
    InputsChanged {
        /// The stage.
        stage: StageName,
        /// The files by role and name.
        files: Vec<String>,
    },
    /// A stage was selected by itself, and its inputs are not up to date.
    #[error(
        "`{stage}` needs {}, which {} not up to date",
        stages(needs),
        verb(needs)
    )]
    NotReady {
        /// The stage.
        stage: StageName,
        /// The stages before it that have to run.
        needs: Vec<StageName>,
    },
    /// The user asked to stop.
    #[error("interrupted{}", place(stage.as_ref(), *step))]
    Interrupted {
        /// The stage that was running.
        stage: Option<StageName>,
        /// Step of the checkpoint that the next run resumes from.
        step: Option<u64>,
    },
}

impl StageError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Disk(error) => error.hint(),
            Self::Kernel {
                source, checkpoint, ..
            } => kernel_hint(source, *checkpoint),
            Self::Prediction { source } => prediction_hint(source),
            Self::Ranks { source } => kernel_hint(source, None),
            Self::Prep { hint, .. } | Self::Unfit { hint, .. } => hint.clone(),
            Self::Model { source, .. } => source.hint(),
            Self::Store { source, .. } => source.hint(),
            Self::NotReady { .. } => Some(
                "run without `--single-stage` and `--downstream`, which do not run earlier stages"
                    .to_owned(),
            ),
            Self::Incomplete { .. } => {
                Some("tinyrun and tinyrun-kernel may be of different builds: build both again with `make build`".to_owned())
            }
            Self::InputsChanged { .. } => {
                Some("run the same command again when these files no longer change".to_owned())
            }
            Self::Interrupted {
                step: Some(step), ..
            } if *step > 0 => Some(go_on(*step)),
            Self::Interrupted { .. } => {
                Some("run the same command again: finished stages are kept".to_owned())
            }
        }
    }

    /// The last lines of the kernel's log, where they may tell more.
    pub fn log_lines(&self) -> &[String] {
        match self {
            Self::Kernel {
                source: KernelError::Died { log, .. },
                ..
            }
            | Self::Prediction {
                source: KernelError::Died { log, .. },
            } => log,
            _ => &[],
        }
    }

    /// The kernel's log, where there is one.
    pub fn log(&self) -> Option<&PathBuf> {
        match self {
            Self::Kernel { log, .. } if log.metadata().is_ok_and(|file| file.len() > 0) => {
                Some(log)
            }
            _ => None,
        }
    }

    /// The program's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Interrupted { .. } => 130,
            _ => 1,
        }
    }
}

fn go_on(step: u64) -> String {
    format!("run the same command again: it resumes from step {step}")
}

fn kernel_hint(source: &KernelError, checkpoint: Option<Checkpoint>) -> Option<String> {
    let resume = || match checkpoint {
        Some(checkpoint) => go_on(checkpoint.step),
        None => "run the same command again: this stage starts from the beginning".to_owned(),
    };
    match source {
        KernelError::Missing { .. } => {
            Some("build it with `make build`, or set TINYRUN_KERNEL to its path".to_owned())
        }
        KernelError::Start { source, .. } => cannot_start_hint(source),
        KernelError::NotLoaded { failure } => Some(failure.hint()),
        // What it reported stays true: running it again helps only once something was changed.
        KernelError::Failed { failure } => failure
            .hint
            .clone()
            .or_else(|| checkpoint.map(|checkpoint| go_on(checkpoint.step))),
        KernelError::Died { killed: true, .. } => Some(format!(
            "if the machine ran out of memory, set a smaller `batch-size` or a larger `gradient-accumulation-steps`; otherwise {}",
            resume()
        )),
        KernelError::Hung { .. } => Some(format!(
            "loading a model and scoring dev count too: set a larger `watchdog-seconds`, or {}",
            resume()
        )),
        KernelError::Died { .. } => Some(resume()),
        KernelError::Disk(error) => error.hint(),
    }
}

fn prediction_hint(source: &KernelError) -> Option<String> {
    match source {
        KernelError::Failed { failure } => failure.hint.clone(),
        KernelError::Died { killed: true, .. } => {
            Some("if the machine ran out of memory, set a smaller `--batch-size`".to_owned())
        }
        KernelError::Died { .. } | KernelError::Hung { .. } => None,
        source => kernel_hint(source, None),
    }
}

fn cannot_start_hint(source: &io::Error) -> Option<String> {
    match source.kind() {
        io::ErrorKind::PermissionDenied => Some(
            "make it executable with `chmod +x`; a file system that is mounted with `noexec` cannot run programs"
                .to_owned(),
        ),
        // ENOEXEC, which has no kind of its own.
        _ if source.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => Some(
            "it is not a program for this machine: build it here with `make build`".to_owned(),
        ),
        _ => None,
    }
}

fn place(stage: Option<&StageName>, step: Option<u64>) -> String {
    match (stage, step) {
        (Some(stage), Some(step)) if step > 0 => format!(" in `{stage}` at step {step}"),
        (Some(stage), _) => format!(" in `{stage}`"),
        (None, _) => String::new(),
    }
}

fn stages(names: &[StageName]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn verb(names: &[StageName]) -> &'static str {
    if names.len() == 1 { "is" } else { "are" }
}

fn names(files: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<String> = files
        .iter()
        .take(SHOWN)
        .map(|file| format!("`{file}`"))
        .collect();
    match files.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
