//! Ranks that a launcher has started, one process each, for a whole run: they meet once, and for each stage rank 0's
//! kernel calls the others (`called.rs`), each of which starts a process for it (`serve.rs`). So a stage begins as it does
//! anywhere.
//!
//! Keys of the meeting: `hello/RANK` (what it was started for), `gathered`, `stages` (how many were called),
//! `stage/N` (what the keys of the stage's own meeting begin with), `ended/N/RANK` (how a process ended that should
//! not have), `beat/RANK`, `stopping` (one was asked to stop), `stopped/RANK` (so it was, and has no process of a stage any more), `end`,
//! `bye/RANK`.

use std::fs;
use std::io::{self, Write as _};

use serde::{Deserialize, Serialize};
use tinyrun_base::job::{self, Gathered, Launch};

use crate::error::KernelError;

pub(super) const NEWEST: &str = "newest";
pub(super) const GATHERED: &str = "gathered";
pub(super) const OVER: &str = "end";
pub(super) const STOPPING: &str = "stopping";

pub(super) fn bye_of(rank: usize) -> String {
    format!("bye/{rank}")
}

pub(super) fn stopped_of(rank: usize) -> String {
    format!("stopped/{rank}")
}

/// What a rank was started for: the same on all but for the cores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    version: u32,
    size: usize,
    experiment: String,
    /// The machine, and its cores that the rank may use.
    pub(super) cores: (String, String),
}

impl Hello {
    pub(super) fn of(launch: &Launch) -> Self {
        let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let cores = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        Self {
            version: job::VERSION,
            size: launch.size,
            experiment: launch.experiment.clone(),
            cores: (machine, cores.unwrap_or_default().to_owned()),
        }
    }

    /// What is wrong with a rank that says this, where rank 0 says `self`.
    pub(super) fn against(&self, rank: usize, other: &Self) -> Option<KernelError> {
        let (what, hint) = if other.version != self.version {
            (
                "is another version of tinyrun than rank 0".to_owned(),
                "install the same build on every machine",
            )
        } else if other.size != self.size {
            (
                format!(
                    "is one of {} ranks, rank 0 one of {}",
                    other.size, self.size
                ),
                "start all ranks with the same number of them",
            )
        } else if other.experiment != self.experiment {
            (
                "has another experiment file than rank 0, or other options".to_owned(),
                "start all ranks with the same command, in folders with the same files",
            )
        } else {
            return None;
        };
        let hint = Some(hint.to_owned());
        Some(KernelError::Rank { rank, what, hint })
    }
}

pub(super) fn say(answer: &Gathered) {
    let text = serde_json::to_string(answer).expect("plain data");
    let mut out = io::stdout().lock();
    // A runner that is gone is noticed on stdin.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

pub(super) fn beat_of(rank: usize) -> String {
    format!("beat/{rank}")
}

pub(super) fn ended_of(call: i64, rank: usize) -> String {
    format!("ended/{call}/{rank}")
}
