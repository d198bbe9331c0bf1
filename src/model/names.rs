//! Names and shapes of a BERT's tensors.

use std::fmt;

/// How found tensors differ from expected ones.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MatchReport {}

impl MatchReport {
    /// What to do about the differences.
    pub fn hint(&self) -> Option<String> {
        None
    }
}

impl fmt::Display for MatchReport {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}
