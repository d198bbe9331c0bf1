//! What stages of a kind do.

use super::place::Place;
use super::{Interrupts, Observer, StageError};
use crate::experiment::{StageKind, StageName};
use crate::job;
use crate::runs::Summary;

/// A kind of stage, as the scheduler sees it.
pub(crate) trait Work: StageKind {
    /// The work of a stage.
    ///
    /// # Errors
    /// Something that it is made of cannot be read.
    fn activity<'a>(&self, place: &'a Place<'_>) -> Result<Activity<'a>, StageError>;

    /// Files that the work must leave.
    fn promised(&self, place: &Place<'_>) -> Vec<&'static str>;
}

/// Work of a stage, and who does it.
pub(crate) enum Activity<'a> {
    /// The kernel, which can be interrupted and resumed.
    Kernel(job::Work),
    /// This process, from the beginning, in the stage's work folder.
    Here(WorkHere<'a>),
}

/// Work in this process.
pub(crate) type WorkHere<'a> = Box<dyn FnOnce(&mut Here<'_>) -> Result<Summary, StageError> + 'a>;

/// What work in this process may use.
pub(crate) struct Here<'a> {
    pub(super) stage: &'a StageName,
    pub(super) interrupts: &'a Interrupts,
    pub(super) observer: &'a mut dyn Observer,
}

/// The work of every kind.
#[derive(Clone, Copy)]
pub struct Works(&'static [&'static dyn Work]);

impl Works {
    pub(crate) const fn new(works: &'static [&'static dyn Work]) -> Self {
        Self(works)
    }

    /// Whether stages of a kind compute on the device of the experiment.
    pub fn compute(self, kind: &str) -> bool {
        self.of(kind).is_on_device()
    }

    /// That of a kind.
    ///
    /// # Panics
    /// The experiment was read with other kinds.
    pub(super) fn of(self, kind: &str) -> &'static dyn Work {
        let found = self.0.iter().find(|work| work.name() == kind);
        *found.expect("an experiment is read with the kinds that it is run with")
    }
}

impl std::fmt::Debug for Works {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.0.iter().map(|work| work.name());
        f.debug_list().entries(names).finish()
    }
}
