//! How a kernel fails.

use std::io;
use std::path::PathBuf;

use super::LoadFailure;
use crate::job::Failure;
use crate::runs::Error;
use crate::system::reason;

/// A kernel that did not do its job.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// There is no such program.
    #[error("the training kernel `{}` does not exist", program.display())]
    Missing {
        /// Where it was looked for.
        program: PathBuf,
    },
    /// It cannot be started.
    #[error("cannot start the training kernel `{}`: {}", program.display(), reason(source))]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It reported what is wrong.
    #[error("{}", failure.message)]
    Failed {
        /// Its report.
        failure: Failure,
    },
    /// The dynamic loader could not start it.
    #[error("the training kernel cannot be loaded: {failure}")]
    NotLoaded {
        /// What the loader reported.
        failure: LoadFailure,
    },
    /// It sent nothing for too long.
    #[error("the training kernel sent no progress for {seconds} s and was stopped")]
    Hung {
        /// The experiment's `watchdog-seconds`.
        seconds: u64,
    },
    /// It ended without a report.
    #[error("the training kernel {how}")]
    Died {
        /// Its exit code or the signal that ended it.
        how: String,
        /// Whether by SIGKILL, which is how a system short of memory ends a process.
        killed: bool,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// The log cannot be written, or the like.
    #[error(transparent)]
    Disk(#[from] Error),
}
