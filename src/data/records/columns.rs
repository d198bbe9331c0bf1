//! The columns of a row by name.

/// A column of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) values: Values,
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values {
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    /// Strings or bytes, of which only the number matters.
    Texts(usize),
}

impl Values {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Ints(values) => values.len(),
            Self::Floats(values) => values.len(),
            Self::Texts(count) => *count,
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Ints(_) => "integers",
            Self::Floats(_) => "floats",
            Self::Texts(_) => "strings",
        }
    }
}
