//! A configuration as a tree of values with their places.

use crate::document::{Fault, Span};

/// What is read, or the first fault.
pub(super) type Read<T> = Result<T, Box<Fault>>;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) span: Span,
}

/// What a configuration may hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// `null`, `None`, or nothing.
    Nothing,
    Flag(bool),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// An expression that is not a literal; it is not computed.
    Code,
}

/// A key of a map.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) span: Span,
    pub(super) node: Node,
}

/// Maps and lists in each other at most.
pub(super) const DEPTH: usize = 32;

impl Value {
    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Nothing => "empty",
            Self::Flag(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "a table",
            Self::Code => "an expression",
        }
    }

    /// The value of a key of a map.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        match self {
            Self::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
        .map(|entry| &entry.node)
    }
}

/// A plain word: a number, a boolean, nothing, or text.
pub(super) fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" | "None" => Value::Nothing,
        "true" | "True" | "TRUE" => Value::Flag(true),
        "false" | "False" | "FALSE" => Value::Flag(false),
        _ => number(text).map_or_else(|| Value::Text(text.to_owned()), Value::Number),
    }
}

/// A number as YAML and Python write it. Words such as `nan` and `inf` are text.
pub(super) fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let starts = digits.starts_with(|letter: char| letter.is_ascii_digit() || letter == '.');
    let plain = text.replace('_', "");
    plain
        .parse()
        .ok()
        .filter(|number: &f64| starts && number.is_finite())
}
