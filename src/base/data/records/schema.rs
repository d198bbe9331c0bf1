//! The schema of a data set as MindSpore reads it: JSON with the number of rows and the type and
//! shape of each column.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

use super::columns::Values;
use super::fault::{FileFault, RecordFault};
use crate::data::error::{DataError, Place};
use crate::input::excerpt;

/// Bytes of a schema at most.
const MAX_BYTES: u64 = 1 << 20;

/// Type words, the kind of values that each describes, and the whole numbers that fit.
const TYPES: [(&str, Kind); 15] = [
    ("bool", Kind::Ints(0, 1)),
    ("int8", Kind::Ints(i8::MIN as i64, i8::MAX as i64)),
    ("uint8", Kind::Ints(0, u8::MAX as i64)),
    ("int16", Kind::Ints(i16::MIN as i64, i16::MAX as i64)),
    ("uint16", Kind::Ints(0, u16::MAX as i64)),
    ("int32", Kind::Ints(i32::MIN as i64, i32::MAX as i64)),
    ("uint32", Kind::Ints(0, u32::MAX as i64)),
    ("int64", Kind::Ints(i64::MIN, i64::MAX)),
    ("uint64", Kind::Ints(0, i64::MAX)),
    ("float16", Kind::Floats),
    ("float32", Kind::Floats),
    ("float64", Kind::Floats),
    ("bfloat16", Kind::Floats),
    ("string", Kind::Texts),
    ("bytes", Kind::Texts),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ints(i64, i64),
    Floats,
    Texts,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Ints(..) => "integers",
            Self::Floats => "floats",
            Self::Texts => "strings",
        }
    }
}

/// A schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// Rows to read of all files together; `None` for all.
    rows: Option<u64>,
    columns: Vec<Stated>,
}

/// A column as the schema states it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stated {
    pub(super) name: String,
    word: &'static str,
    kind: Kind,
    /// Axes, `None` for one of any length; no list where the shape is not stated.
    shape: Option<Vec<Option<u64>>>,
}

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// Where it is no JSON, or states something that no schema does.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let io = |source| DataError::Io {
            path: path.to_owned(),
            source,
        };
        let mut text = Vec::new();
        let file = File::open(path).map_err(io)?;
        let mut file = file.take(MAX_BYTES + 1);
        file.read_to_end(&mut text).map_err(io)?;
        if text.len() as u64 > MAX_BYTES {
            let text = format!("is longer than {MAX_BYTES} bytes");
            return Err(FileFault::new(text).of(path));
        }
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
        let value = serde_json::from_slice(text).map_err(|error| DataError::Format {
            place: Place::new(path, error.line().max(1) as u64),
            fault: Box::new(FileFault::new(format!("is not JSON: {error}"))),
        })?;
        Self::of(&value).map_err(|text| FileFault::new(text).of(path))
    }

    fn of(value: &Value) -> Result<Self, String> {
        let object = value
            .as_object()
            .ok_or("is not a schema: expected a JSON object with `columns`")?;
        let rows = match object.get("numRows") {
            None => None,
            Some(rows) => {
                let rows = rows
                    .as_u64()
                    .ok_or_else(|| wrong("numRows", rows, "a number of rows"))?;
                (rows > 0).then_some(rows)
            }
        };
        let columns = match object.get("columns") {
            Some(Value::Object(columns)) => columns
                .iter()
                .map(|(name, column)| Stated::of(name, column))
                .collect::<Result<Vec<_>, _>>()?,
            Some(Value::Array(columns)) => columns
                .iter()
                .enumerate()
                .map(|(index, column)| {
                    let name = column.get("name").and_then(Value::as_str);
                    let name =
                        name.ok_or_else(|| format!("has no `name` in `columns[{index}]`"))?;
                    Stated::of(name, column)
                })
                .collect::<Result<Vec<_>, _>>()?,
            Some(other) => return Err(wrong("columns", other, "an object of columns")),
            None => return Err("has no key `columns`".to_owned()),
        };
        Ok(Self { rows, columns })
    }

    /// Checks that it states the columns that are read.
    ///
    /// # Errors
    /// Where one is missing.
    pub fn check_columns(&self, path: &Path, wanted: &[&str]) -> Result<(), DataError> {
        let is_stated = |name: &&&str| self.columns.iter().any(|column| column.name == **name);
        match wanted.iter().find(|name| !is_stated(name)) {
            Some(name) => {
                let text = format!("has no column `{name}` in `columns`");
                Err(FileFault::new(text).of(path))
            }
            None => Ok(()),
        }
    }

    /// Rows to read of all files together; `None` for all.
    pub(super) fn rows(&self) -> Option<u64> {
        self.rows
    }

    pub(super) fn columns(&self) -> &[Stated] {
        &self.columns
    }
}

fn wrong(key: &str, found: &Value, expected: &str) -> String {
    let found = excerpt(&found.to_string());
    format!("has `{key}` = {found}, expected {expected}")
}

impl Stated {
    fn of(name: &str, value: &Value) -> Result<Self, String> {
        let key = |key: &str| format!("columns.{}.{key}", excerpt(name));
        let column: &Map<String, Value> = value.as_object().ok_or_else(|| {
            let place = format!("columns.{}", excerpt(name));
            wrong(&place, value, "an object with `type` and `shape`")
        })?;
        let found = column
            .get("type")
            .ok_or_else(|| format!("has no key `{}`", key("type")))?;
        let known = TYPES
            .into_iter()
            .find(|(word, _)| found.as_str() == Some(word));
        let (word, kind) =
            known.ok_or_else(|| wrong(&key("type"), found, "a type such as \"int64\""))?;
        let shape = match column.get("shape") {
            None => None,
            Some(found) => {
                let axes = found.as_array().and_then(|axes| {
                    let axes = axes.iter().map(|axis| match axis.as_i64() {
                        Some(-1) => Some(None),
                        other => u64::try_from(other?).ok().map(Some),
                    });
                    axes.collect::<Option<Vec<_>>>()
                });
                Some(axes.ok_or_else(|| wrong(&key("shape"), found, "a list of lengths"))?)
            }
        };
        if let Some(found) = column.get("rank") {
            let rank = found
                .as_u64()
                .ok_or_else(|| wrong(&key("rank"), found, "a number of axes"))?;
            if let Some(shape) = &shape
                && shape.len() as u64 != rank
            {
                let expected = format!("{}, the axes of `{}`", shape.len(), key("shape"));
                return Err(wrong(&key("rank"), found, &expected));
            }
        }
        Ok(Self {
            name: name.to_owned(),
            word,
            kind,
            shape,
        })
    }

    /// Whether values are as stated: their kind, number and range. A type may be narrower than
    /// the record's, which holds 64 bits.
    pub(super) fn check(&self, values: &Values) -> Result<(), RecordFault> {
        let column = || self.name.clone();
        match (self.kind, values) {
            (Kind::Ints(low, high), Values::Ints(list)) => {
                let beyond = list.iter().find(|value| !(low..=high).contains(value));
                if let Some(value) = beyond {
                    let word = self.word;
                    return Err(RecordFault::OutOfType {
                        column: column(),
                        value,
                        word,
                    });
                }
            }
            (Kind::Floats, Values::Floats(_)) | (Kind::Texts, Values::Texts(_)) => {}
            (kind, values) => {
                return Err(RecordFault::Kind {
                    column: column(),
                    found: values.kind(),
                    expected: kind.name(),
                });
            }
        }
        match &self.shape {
            Some(shape) if !fits(shape, values.len() as u64) => Err(RecordFault::Shape {
                column: column(),
                found: values.len(),
                shape: shown(shape),
            }),
            _ => Ok(()),
        }
    }
}

/// Whether so many values fill a shape.
fn fits(shape: &[Option<u64>], found: u64) -> bool {
    let stated = shape.iter().flatten();
    let product = stated.fold(1_u64, |product, axis| product.saturating_mul(*axis));
    if shape.iter().all(Option::is_some) {
        return product == found;
    }
    product > 0 && found.is_multiple_of(product)
}

fn shown(shape: &[Option<u64>]) -> String {
    let axes = shape.iter().map(|axis| match axis {
        Some(axis) => axis.to_string(),
        None => "-1".to_owned(),
    });
    format!("[{}]", axes.collect::<Vec<_>>().join(", "))
}
