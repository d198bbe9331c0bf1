//! Who holds the lock of a stage, and how far that is.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Who holds a lock, for the one that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Owner {
    /// Process id.
    pub pid: u32,
    /// Its command line.
    pub command: String,
    /// Name of its machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Since when it has the lock.
    #[serde(default)]
    pub since: Option<DateTime<Utc>>,
    /// How far it is.
    #[serde(default)]
    pub progress: Option<StepProgress>,
}

/// How far a stage in progress is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepProgress {
    /// Optimizer steps done; batches of a scoring.
    pub step: u64,
    /// Of so many.
    pub total_steps: u64,
    /// Examples a second.
    pub examples_per_second: f64,
    /// Seconds that the rest will take at this speed; `None` before that can be said.
    pub seconds_left: Option<f64>,
}
