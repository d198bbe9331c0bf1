//! What stages of a kind do.

use super::StageError;
use super::place::Place;
use crate::data::{DataError, PrepReport, Watch};
use crate::experiment::StageKind;
use crate::job;

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
    /// This process, from the beginning.
    Prepare(Preparation<'a>),
}

/// Makes a token store in the stage's work folder.
pub(crate) type Preparation<'a> = Box<dyn FnOnce(Watch<'_>) -> Result<PrepReport, DataError> + 'a>;

/// The work of every kind.
#[derive(Clone, Copy)]
pub struct Works(&'static [&'static dyn Work]);

impl Works {
    pub(crate) const fn new(works: &'static [&'static dyn Work]) -> Self {
        Self(works)
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
