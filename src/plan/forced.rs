//! Stages that are run although they are fresh.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::experiment::StageName;
use crate::runs::Fingerprint;

/// What `--force` asks for. A result that was made again is not made once more for the next
/// experiment of a matrix that shares it.
#[derive(Debug, Default)]
pub struct Forced {
    stages: BTreeSet<StageName>,
    done: RefCell<BTreeSet<Fingerprint>>,
}

impl Forced {
    /// These stages.
    pub fn new(stages: impl IntoIterator<Item = StageName>) -> Self {
        Self {
            stages: stages.into_iter().collect(),
            done: RefCell::default(),
        }
    }

    /// The stages asked for.
    pub fn stages(&self) -> impl Iterator<Item = StageName> {
        self.stages.iter().copied()
    }

    /// Whether a stage is to be run whatever is there; its fingerprint where it is known.
    pub fn applies(&self, stage: StageName, fingerprint: Option<&Fingerprint>) -> bool {
        let is_done = |fingerprint| self.done.borrow().contains(fingerprint);
        self.stages.contains(&stage) && !fingerprint.is_some_and(is_done)
    }

    /// A stage was run.
    pub fn mark(&self, fingerprint: &Fingerprint) {
        self.done.borrow_mut().insert(fingerprint.clone());
    }
}
