//! Faults as they are found.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::fault::Fault;

/// Faults found so far, and which keys have one, so that a key with a fault is not
/// compared with another and blamed twice.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    written: RefCell<Vec<Fault>>,
    unfit: RefCell<Vec<Fault>>,
    faulty: RefCell<BTreeSet<String>>,
}

impl Collector {
    /// Adds a fault of what a key says, under the key's dotted path.
    pub(crate) fn wrong(&self, path: &str, fault: Fault) {
        self.faulty.borrow_mut().insert(path.to_owned());
        self.written.borrow_mut().push(fault);
    }

    /// Adds a fault of a key that is not there.
    pub(crate) fn missing(&self, path: &str, fault: Fault) {
        self.faulty.borrow_mut().insert(path.to_owned());
        self.unfit.borrow_mut().push(fault);
    }

    /// Adds a fault of keys that do not go together.
    pub(crate) fn unfit(&self, fault: Fault) {
        self.unfit.borrow_mut().push(fault);
    }

    /// Faults so far.
    pub(crate) fn count(&self) -> usize {
        self.written.borrow().len() + self.unfit.borrow().len()
    }

    /// Whether neither these keys nor the tables they are in have a fault.
    pub(crate) fn sound(&self, paths: &[&str]) -> bool {
        let faulty = self.faulty.borrow();
        paths.iter().all(|path| {
            let ends = path.match_indices('.').map(|(dot, _)| dot);
            ends.chain([path.len()])
                .all(|end| !faulty.contains(&path[..end]))
        })
    }

    /// Faults of what is written, and faults of what is not there or does not go together.
    /// The second are guesses where the text has a syntax fault.
    pub(crate) fn into_faults(self) -> (Vec<Fault>, Vec<Fault>) {
        (self.written.into_inner(), self.unfit.into_inner())
    }
}
