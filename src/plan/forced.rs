//! Stages that are run although they are fresh.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::experiment::StageName;
use crate::runs::Fingerprint;

/// What `--force` asks for. A result that was made again is not made once more for the next
/// experiment of a matrix that shares it.
#[derive(Debug, Default)]
pub struct Forced {
    stages: BTreeSet<StageName>,
    done: Mutex<BTreeSet<Fingerprint>>,
}

impl Forced {
    /// These stages.
    pub fn new(stages: BTreeSet<StageName>) -> Self {
        Self {
            stages,
            done: Mutex::default(),
        }
    }

    /// Whether a stage is to be run whatever is there; its fingerprint where it is known.
    pub fn applies(&self, stage: &StageName, fingerprint: Option<&Fingerprint>) -> bool {
        let is_done = |fingerprint| self.done().contains(fingerprint);
        self.stages.contains(stage) && !fingerprint.is_some_and(is_done)
    }

    /// A stage was run.
    pub fn mark(&self, fingerprint: &Fingerprint) {
        self.done().insert(fingerprint.clone());
    }

    fn done(&self) -> MutexGuard<'_, BTreeSet<Fingerprint>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
