//! Tensors of a file under the names that they have here.

use std::collections::BTreeMap;

use super::weights::Weights;

/// Which tensor of a file is which one here.
#[derive(Debug, Default)]
pub(super) struct Renaming {
    /// Names here, and those of the file.
    pub(super) names: BTreeMap<String, String>,
    /// Names here that two tensors have.
    pub(super) ambiguous: Vec<String>,
}

impl Renaming {
    /// The tensors for whose own name `known` gives one.
    pub(super) fn of(weights: &Weights, known: impl Fn(&str) -> Option<String>) -> Self {
        let mut found = Self::default();
        for own in weights.names() {
            let Some(name) = known(own) else { continue };
            if found.names.insert(name.clone(), own.to_owned()).is_some() {
                found.ambiguous.push(name);
            }
        }
        found
    }
}
