//! The columns of a row by name.

use std::borrow::Cow;

/// A column of a row; what it can, it borrows from the record.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column<'r> {
    pub(super) name: Cow<'r, str>,
    pub(super) values: Values<'r>,
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values<'r> {
    Ints(Ints<'r>),
    Floats(Vec<f32>),
    /// Strings or bytes, of which only the number matters.
    Texts(usize),
}

impl Values<'_> {
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

/// Whole numbers. Rows have hundreds of them and files millions of rows: they are held as narrow as
/// they come.
#[derive(Debug, Clone)]
pub enum Ints<'r> {
    /// 0 to 127, a byte each, as a record has them: nearly always a mask and the segments.
    Bytes(&'r [u8]),
    /// 0 to 2^32 - 1: nearly always the ids.
    Words(Vec<u32>),
    /// Any.
    Wide(Vec<i64>),
}

impl Ints<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(values) => values.len(),
            Self::Words(values) => values.len(),
            Self::Wide(values) => values.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one at a place, if there are so many.
    pub fn get(&self, place: usize) -> Option<i64> {
        match self {
            Self::Bytes(values) => values.get(place).map(|value| i64::from(*value)),
            Self::Words(values) => values.get(place).map(|value| i64::from(*value)),
            Self::Wide(values) => values.get(place).copied(),
        }
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = i64> {
        (0..self.len()).filter_map(|place| self.get(place))
    }
}

impl From<Vec<i64>> for Ints<'_> {
    fn from(values: Vec<i64>) -> Self {
        Self::Wide(values)
    }
}

/// The numbers count, not how they are held.
impl PartialEq for Ints<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}
