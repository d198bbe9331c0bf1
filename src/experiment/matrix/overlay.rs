//! The changes to a file's tree that make one experiment of it.

use crate::document::node::{Node, Table, Value};
use crate::document::overrides::insert;
use crate::document::{Fault, Span};

/// Changes to the file's tree that make one experiment of it.
#[derive(Debug, Default, Clone)]
pub(in crate::experiment) struct Overlay {
    pub(in crate::experiment) name: String,
    pub(super) group: String,
    pub(super) values: Vec<(String, String)>,
    pub(super) edits: Vec<Edit>,
    pub(super) without: Vec<(String, Span)>,
}

/// A key's new value.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    pub(super) path: Vec<(String, Span)>,
    pub(super) node: Node,
}

impl Overlay {
    /// The tree of this experiment.
    pub(in crate::experiment) fn apply(&self, base: &Table) -> Result<Table, Vec<Fault>> {
        let mut tree = base.clone();
        let mut faults = Vec::new();
        for edit in &self.edits {
            if let Err(found) = insert(&mut tree, &edit.path, edit.node.clone()) {
                faults.extend(found);
            }
        }
        for (stage, span) in &self.without {
            let removed = match tree.get_mut("stages").map(|entry| &mut entry.node.value) {
                Some(Value::Table(stages)) => stages.remove(stage).is_some(),
                _ => false,
            };
            if !removed {
                let message =
                    format!("`without` removes `{stage}`, but that stage is not in the file");
                faults.push(Fault::new(message, span.clone()));
            }
        }
        if faults.is_empty() {
            Ok(tree)
        } else {
            Err(faults)
        }
    }
}
