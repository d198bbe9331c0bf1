//! Ranks that a launcher has started (`torchrun`, `mpirun`, `srun`). Each rank's runner starts one kernel for the
//! whole run, with the argument [`LAUNCHED`] and a [`Launch`] as JSON.
//!
//! On rank 0 this kernel runs the store in which the ranks meet, until it reads the line [`END`] on its stdin. On
//! another rank it starts a process for each stage, until rank 0 ends. Both print [`Gathered`] lines on stdout.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Failure;

/// First argument of a kernel that gathers ranks or serves as one.
pub const LAUNCHED: &str = "--launched";

/// Line on a kernel's stdin that asks it to stop after the step, with a checkpoint.
pub const STOP: &str = "stop";

/// Line on the stdin of rank 0's kernel that says that the run is over.
pub const END: &str = "end";

/// Where ranks meet: a store of libtorch's c10d.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meeting {
    /// Name or address of a machine.
    pub host: String,
    /// Port there.
    pub port: u16,
    /// What every key of this run begins with.
    pub run: String,
}

/// A place among the ranks of a launcher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// Which rank this is.
    pub rank: usize,
    /// How many there are.
    pub size: usize,
    /// Where they meet.
    pub at: At,
    /// Digest of what is run and how: the same on all ranks.
    pub experiment: String,
    /// How long a rank may take to come.
    pub wait_seconds: u64,
}

/// How ranks find their meeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum At {
    /// The launcher serves it.
    Launcher(Meeting),
    /// Rank 0 serves it there.
    Address(Meeting),
    /// Rank 0 serves it on this machine, and writes where to this file.
    File(PathBuf),
}

/// What a kernel of a launched rank answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Gathered {
    /// All have come, and `sharing` of them share the cores of rank 0.
    All {
        /// Where they meet.
        meeting: Meeting,
        /// Ranks, rank 0 included.
        sharing: usize,
    },
    /// The run is over.
    End,
    /// It cannot go on.
    Failed(Failure),
}
