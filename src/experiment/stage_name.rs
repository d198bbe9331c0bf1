//! Names of stages.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Name of a stage in the file, on the command line and in `runs/<experiment>/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageName(Arc<str>);

impl StageName {
    /// This name, whether or not there is such a stage.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Borrow<str> for StageName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for StageName {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for StageName {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}
