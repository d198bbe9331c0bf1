//! The file as a tree of values that know where they were written.
//!
//! The tree is our own because `toml`'s spans know one text only, while a value here may
//! come from the file or from any `--set` argument.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Fault;
use super::span::Span;

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) span: Span,
}

/// A TOML value; what no key of ours can be is kept by its type's name only.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Array(Vec<Node>),
    Table(Table),
    /// A number that does not fit 64 bits.
    TooLarge,
    Boolean(bool),
    Datetime,
}

/// Entries by key.
pub(crate) type Table = BTreeMap<String, Entry>;

/// A key's place and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: Span,
    pub(crate) node: Node,
}

impl Value {
    /// What it is, with its article.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::TooLarge => "an integer beyond 64 bits",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
            Self::Boolean(_) => "a boolean",
            Self::Datetime => "a date or time",
        }
    }
}

/// Where a piece of text that is parsed lies in its source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) source: usize,
    /// Bytes of the source before the piece.
    pub(crate) offset: usize,
}

impl Piece {
    pub(crate) fn span(self, range: Range<usize>) -> Span {
        Span {
            source: self.source,
            range: range.start + self.offset..range.end + self.offset,
        }
    }

    pub(crate) fn node(self, value: &Spanned<DeValue<'_>>) -> Node {
        let converted = match value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
                .map_or(Value::TooLarge, Value::Integer),
            DeValue::Float(digits) => digits
                .as_str()
                .parse()
                .map_or(Value::TooLarge, Value::Float),
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::Datetime(_) => Value::Datetime,
            DeValue::Array(items) => {
                Value::Array(items.iter().map(|item| self.node(item)).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table)),
        };
        Node {
            value: converted,
            span: self.span(value.span()),
        }
    }

    fn table(self, table: &DeTable<'_>) -> Table {
        table
            .iter()
            .map(|(key, value)| {
                let entry = Entry {
                    key: self.span(key.span()),
                    node: self.node(value),
                };
                (key.get_ref().to_string(), entry)
            })
            .collect()
    }

    pub(crate) fn fault(self, error: &toml::de::Error) -> Fault {
        let span = error.span().map(|range| self.span(range));
        Fault::new(error.message().replace('\n', ", "), span)
    }
}

/// Reads the file's text. With syntax faults, the table holds what could be made out.
pub(crate) fn parse(text: &str) -> (Table, Vec<Fault>) {
    let piece = Piece {
        source: 0,
        offset: 0,
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    let faults = errors.iter().map(|error| {
        let fault = piece.fault(error);
        match error.span().and_then(|range| text.get(range)) {
            Some(key) if fault.message == "duplicate key" => Fault {
                message: format!("duplicate key `{key}`"),
                ..fault
            },
            _ => fault,
        }
    });
    let faults = faults.collect();
    (piece.table(table.get_ref()), faults)
}
