//! How the columns of a row lie in a MindRecord file.

use std::borrow::Cow;

use rmpv::Value;

use super::integers::unpack;
use crate::data::records::columns::{Column, Values};
use crate::data::records::fault::RecordFault;

/// Type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Int32,
    Int64,
    Float32,
    Float64,
    String,
    Bytes,
}

impl Type {
    /// By its word in the header.
    pub(super) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "float32" => Self::Float32,
            "float64" => Self::Float64,
            "string" => Self::String,
            "bytes" => Self::Bytes,
            _ => return None,
        })
    }
}

/// The columns of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::data::records) struct Layout {
    /// Those of a blob, in the order of their names, which is that of the file: type, and number of values
    /// where it is fixed.
    pub(super) arrays: Vec<(String, Type, Option<u64>)>,
    /// Those of a row of scalars.
    pub(super) scalars: Vec<(String, Type)>,
}

const ENDS: RecordFault = RecordFault::Layout("is damaged: its columns do not fill it");
const INTEGERS: RecordFault =
    RecordFault::Layout("is damaged: a column of integers is not packed as MindSpore writes it");
const NUMBERS: RecordFault =
    RecordFault::Layout("is damaged: a column is not as long as its type says");
const SCALARS: RecordFault = RecordFault::Layout("is damaged: its scalar columns do not read");

impl Layout {
    /// Decodes a row: the bytes of its arrays and of its scalars.
    pub(in crate::data::records) fn columns(
        &self,
        arrays: &[u8],
        scalars: &[u8],
    ) -> Result<Vec<Column<'_>>, RecordFault> {
        let mut columns = self.arrays(arrays)?;
        columns.extend(self.scalars(scalars)?);
        Ok(columns)
    }

    fn arrays(&self, mut rest: &[u8]) -> Result<Vec<Column<'_>>, RecordFault> {
        let mut columns = Vec::with_capacity(self.arrays.len() + self.scalars.len());
        for (name, r#type, length) in &self.arrays {
            // A single column has no length in front.
            let bytes = if self.arrays.len() == 1 {
                std::mem::take(&mut rest)
            } else {
                let (length, after) = rest.split_first_chunk::<8>().ok_or(ENDS)?;
                let length = usize::try_from(u64::from_be_bytes(*length)).map_err(|_| ENDS)?;
                let (bytes, after) = after.split_at_checked(length).ok_or(ENDS)?;
                rest = after;
                bytes
            };
            let values = array(*r#type, bytes)?;
            if let Some(length) = length
                && *r#type != Type::Bytes
                && values.len() as u64 != *length
            {
                return Err(RecordFault::Shape {
                    column: name.clone(),
                    found: values.len(),
                    shape: format!("[{length}]"),
                });
            }
            let name = Cow::Borrowed(&name[..]);
            columns.push(Column { name, values });
        }
        if rest.is_empty() {
            Ok(columns)
        } else {
            Err(ENDS)
        }
    }

    fn scalars(&self, mut bytes: &[u8]) -> Result<Vec<Column<'_>>, RecordFault> {
        const DEPTH: usize = 8;
        let row =
            rmpv::decode::read_value_with_max_depth(&mut bytes, DEPTH).map_err(|_| SCALARS)?;
        let Value::Map(entries) = row else {
            return Err(SCALARS);
        };
        if !bytes.is_empty() {
            return Err(SCALARS);
        }
        let scalars = self.scalars.iter().filter_map(|(name, r#type)| {
            let mut entries = entries.iter();
            let (_, value) = entries.find(|(key, _)| key.as_str() == Some(name))?;
            let name = Cow::Borrowed(&name[..]);
            Some(scalar(*r#type, value).map(|values| Column { name, values }))
        });
        scalars.collect()
    }
}

fn array(r#type: Type, bytes: &[u8]) -> Result<Values<'static>, RecordFault> {
    Ok(match r#type {
        Type::Int32 | Type::Int64 => Values::Ints(unpack(bytes).ok_or(INTEGERS)?.into()),
        Type::Float32 => {
            let (values, []) = bytes.as_chunks::<4>() else {
                return Err(NUMBERS);
            };
            Values::Floats(values.iter().map(|it| f32::from_le_bytes(*it)).collect())
        }
        Type::Float64 => {
            let (values, []) = bytes.as_chunks::<8>() else {
                return Err(NUMBERS);
            };
            let values = values.iter().map(|it| f64::from_le_bytes(*it));
            Values::Floats(values.map(narrowed).collect())
        }
        Type::String | Type::Bytes => Values::Texts(1),
    })
}

fn scalar(r#type: Type, value: &Value) -> Result<Values<'static>, RecordFault> {
    let values = match r#type {
        Type::Int32 | Type::Int64 => value.as_i64().map(|value| Values::Ints(vec![value].into())),
        Type::Float32 | Type::Float64 => {
            let value = value.as_f64().map(narrowed);
            value.map(|value| Values::Floats(vec![value]))
        }
        Type::String | Type::Bytes => Some(Values::Texts(1)),
    };
    values.ok_or(SCALARS)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "labels are stored as f32; one beyond becomes infinite, which is refused"
)]
fn narrowed(value: f64) -> f32 {
    value as f32
}
