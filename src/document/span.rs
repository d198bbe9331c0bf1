//! Places in what the user wrote.

use std::ops::{Deref, Range};

/// A place in the experiment file or in a `--set` argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// 0: the file; `n`: the n-th `--set` argument, from 1.
    pub source: usize,
    /// Bytes of that source's text.
    pub range: Range<usize>,
}

/// A value and where it was written; `span` is `None` for a default.
///
/// Two are equal when their values are: a key that is moved, or spelled out with its
/// default, leaves an experiment the same.
#[derive(Debug, Clone)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Option<Span>,
}

impl<T> Located<T> {
    /// A value that nobody wrote.
    pub fn default_value(value: T) -> Self {
        Self { value, span: None }
    }

    /// The same place with another value.
    pub(crate) fn map<U>(self, convert: impl FnOnce(T) -> U) -> Located<U> {
        Located {
            value: convert(self.value),
            span: self.span,
        }
    }
}

impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T> Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
