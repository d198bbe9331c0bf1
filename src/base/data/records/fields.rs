//! The columns that an example is made of.

use super::columns::{Column, Ints, Values};
use super::fault::RecordFault;
use super::schema::Schema;

/// Token ids, padded.
pub(super) const IDS: &str = "input_ids";
/// 1 where there is a token, 0 where there is padding.
pub(super) const MASK: &str = "input_mask";
/// 0 for the first text and padding, 1 for the second text.
pub(super) const SEGMENTS: &str = "segment_ids";
/// Class, or value of a regression; one value.
pub(super) const LABEL: &str = "label_ids";

/// The columns that are read.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields<'r> {
    /// Token ids.
    pub ids: Ints<'r>,
    /// Where there are tokens.
    pub mask: Ints<'r>,
    /// Which text they are of.
    pub segments: Ints<'r>,
    /// Class or value, where it is wanted.
    pub label: Option<Label>,
}

/// A label as it stands in the record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Label {
    /// A class, or a whole number on a scale.
    Int(i64),
    /// A number on a scale.
    Float(f32),
}

impl<'r> Fields<'r> {
    /// Takes the columns that are read, `label_ids` only if it is wanted. A schema's columns must
    /// all be there as it states them; further ones are ignored.
    pub(super) fn of(
        mut columns: Vec<Column<'r>>,
        schema: Option<&Schema>,
        is_labelled: bool,
    ) -> Result<Self, RecordFault> {
        for stated in schema.into_iter().flat_map(Schema::columns) {
            let found = columns.iter().find(|column| column.name == stated.name);
            let found = found.ok_or_else(|| missing(&stated.name, &columns))?;
            stated.check(&found.values)?;
        }
        let label = if is_labelled {
            Some(label(&mut columns)?)
        } else {
            None
        };
        Ok(Self {
            ids: ints(&mut columns, IDS)?,
            mask: ints(&mut columns, MASK)?,
            segments: ints(&mut columns, SEGMENTS)?,
            label,
        })
    }
}

fn missing(name: &str, columns: &[Column]) -> RecordFault {
    RecordFault::Missing {
        column: name.to_owned(),
        there: columns
            .iter()
            .map(|column| column.name.to_string())
            .collect(),
    }
}

/// Takes the values of a column and leaves it empty.
fn take<'r>(columns: &mut [Column<'r>], name: &'static str) -> Result<Values<'r>, RecordFault> {
    match columns.iter_mut().find(|column| column.name == name) {
        Some(column) => Ok(std::mem::replace(&mut column.values, Values::Texts(0))),
        None => Err(missing(name, columns)),
    }
}

fn ints<'r>(columns: &mut [Column<'r>], name: &'static str) -> Result<Ints<'r>, RecordFault> {
    match take(columns, name)? {
        Values::Ints(values) => Ok(values),
        other => Err(RecordFault::Kind {
            column: name.to_owned(),
            found: other.kind(),
            expected: "integers",
        }),
    }
}

fn label(columns: &mut [Column]) -> Result<Label, RecordFault> {
    let values = take(columns, LABEL)?;
    match &values {
        Values::Ints(list) if list.len() == 1 => Ok(Label::Int(list.iter().sum())),
        Values::Floats(list) if list.len() == 1 => Ok(Label::Float(list[0])),
        Values::Texts(_) => Err(RecordFault::Kind {
            column: LABEL.to_owned(),
            found: values.kind(),
            expected: "a number",
        }),
        _ => Err(RecordFault::Count {
            column: LABEL,
            found: values.len(),
            expected: 1,
        }),
    }
}
