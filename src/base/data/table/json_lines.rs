//! JSON lines: one object per line, as `datasets` and most tools write tables and texts.

use std::fmt;
use std::io::BufRead;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::data::error::{DataError, FormatFault, Place, Settings};
use crate::data::line::{BYTE_ORDER_MARK, read_line};
use crate::input::{excerpt, excerpt_list};

/// Reads the objects of a file, line by line.
#[derive(Debug)]
struct JsonLines<R> {
    path: PathBuf,
    input: R,
    buffer: Vec<u8>,
    lines: u64,
    bytes: u64,
}

impl<R: BufRead> JsonLines<R> {
    /// A reader of the file at `path`, which messages name.
    fn new(path: &Path, input: R) -> Self {
        Self {
            path: path.to_owned(),
            input,
            buffer: Vec::new(),
            lines: 0,
            bytes: 0,
        }
    }

    /// The object of the next line that is not blank; `None` after the last.
    ///
    /// # Errors
    /// Where the file does not read, or a line is too long or holds no object.
    fn next(&mut self) -> Result<Option<Object>, DataError> {
        loop {
            let number = self.lines + 1;
            let read = read_line(&mut self.input, &mut self.buffer, &self.path, number)?;
            if read == 0 {
                return Ok(None);
            }
            self.lines = number;
            self.bytes += read as u64;
            let place = Place::new(&self.path, number);
            let line = match self.buffer.strip_prefix(BYTE_ORDER_MARK) {
                Some(rest) if self.lines == 1 => rest,
                _ => &self.buffer,
            };
            if !line.trim_ascii().is_empty() {
                return Object::parse(line, place).map(Some);
            }
        }
    }
}

/// The objects of a file as records of a table, whose columns are the keys of the first.
#[derive(Debug)]
pub(super) struct Objects<R> {
    lines: JsonLines<R>,
    names: Vec<String>,
    /// The first one, until it is asked for.
    first: Option<Object>,
    /// The present one, and its values.
    object: Option<Object>,
    fields: Vec<String>,
}

impl<R: BufRead> Objects<R> {
    /// Reads the first object.
    ///
    /// # Errors
    /// Where there is none.
    pub(super) fn open(path: &Path, input: R) -> Result<Self, DataError> {
        let mut lines = JsonLines::new(path, input);
        let Some(first) = lines.next()? else {
            return Err(DataError::Empty {
                path: path.to_owned(),
            });
        };
        Ok(Self {
            lines,
            names: first.values.keys().cloned().collect(),
            first: Some(first),
            object: None,
            fields: Vec::new(),
        })
    }

    /// Names of the columns.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Goes to the next object and returns its line; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<u64>, DataError> {
        self.object = match self.first.take() {
            Some(first) => Some(first),
            None => self.lines.next()?,
        };
        let Some(object) = &self.object else {
            return Ok(None);
        };
        self.fields = self.names.iter().map(|name| object.shown(name)).collect();
        Ok(Some(object.place.line))
    }

    /// A value of the present object, shown as text whatever it is.
    pub(super) fn field(&self, index: usize) -> &str {
        self.fields.get(index).map_or("", String::as_str)
    }

    /// The present object as it was written.
    pub(super) fn object(&self) -> Option<&RawObject> {
        self.object.as_ref().map(|object| &object.values)
    }

    /// Refuses an object whose value of a column is no text.
    pub(super) fn check(&self, index: usize) -> Result<(), DataError> {
        match &self.object {
            Some(object) => object.text(&self.names[index]).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Bytes of the file read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.lines.bytes
    }
}

/// The keys of an object in their order, each with its value as it is written: a number may have more
/// digits than any type of this program.
pub type RawObject = IndexMap<String, Box<RawValue>>;

/// The object of a line.
#[derive(Debug)]
pub(in crate::data) struct Object {
    place: Place,
    values: RawObject,
}

impl Object {
    /// The object that a line holds.
    ///
    /// # Errors
    /// Where it holds anything else.
    pub(in crate::data) fn parse(line: &[u8], place: Place) -> Result<Self, DataError> {
        let fault = match serde_json::from_slice(line) {
            Ok(values) => return Ok(Self { place, values }),
            Err(error) => match serde_json::from_slice::<&RawValue>(line) {
                Ok(other) if error.is_data() => JsonFault::NoObject(kind(other)),
                _ => JsonFault::Syntax {
                    column: error.column(),
                    reason: reason(&error),
                },
            },
        };
        Err(fault.at(place))
    }

    /// The value of a key as text: numbers and truth values as they are written.
    ///
    /// # Errors
    /// Where the key is missing, or its value is null, a list or an object.
    pub(in crate::data) fn text(&self, key: &str) -> Result<String, DataError> {
        let fault = match self.values.get(key) {
            Some(value) => match scalar(value) {
                Ok(Some(text)) => return Ok(text),
                Ok(None) => JsonFault::Value {
                    key: key.to_owned(),
                    kind: kind(value),
                },
                Err(error) => JsonFault::Text {
                    key: key.to_owned(),
                    reason: reason(&error),
                },
            },
            None => JsonFault::Missing {
                key: key.to_owned(),
                there: self.values.keys().cloned().collect(),
            },
        };
        Err(fault.at(self.place.clone()))
    }

    /// The same of a key that nobody needs: what is no text is shown as JSON.
    fn shown(&self, key: &str) -> String {
        self.values.get(key).map_or_else(String::new, |v| shown(v))
    }
}

/// A value as a field of a table: what is no text as JSON, and null as nothing.
pub fn shown(value: &RawValue) -> String {
    match scalar(value) {
        Ok(Some(text)) => text,
        _ if value.get() == "null" => String::new(),
        _ => value.get().to_owned(),
    }
}

/// A text, a number or a truth value as text; `None` of anything else.
fn scalar(value: &RawValue) -> Result<Option<String>, serde_json::Error> {
    let json = value.get();
    Ok(match json.as_bytes().first() {
        Some(b'"') => Some(serde_json::from_str(json)?),
        Some(b't' | b'f') => Some(json.to_owned()),
        Some(b'-' | b'0'..=b'9') => {
            // As `1.50` is the number 1.5. What no type of a number holds stays as it is.
            let number = serde_json::from_str::<Value>(json).ok();
            let is_fraction = json.contains(['.', 'e', 'E']);
            let number = number.filter(|_| is_fraction);
            Some(number.map_or_else(|| json.to_owned(), |it| it.to_string()))
        }
        _ => None,
    })
}

/// What is wrong with a line.
#[derive(Debug)]
enum JsonFault {
    /// It is not JSON.
    Syntax { column: usize, reason: String },
    /// It is another value than an object.
    NoObject(&'static str),
    /// The object lacks a key.
    Missing { key: String, there: Vec<String> },
    /// The value of a key is no text.
    Value { key: String, kind: &'static str },
    /// The text of a key is not Unicode.
    Text { key: String, reason: String },
}

impl JsonFault {
    fn at(self, place: Place) -> DataError {
        DataError::Format {
            place,
            fault: Box::new(self),
        }
    }
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { column, reason } => {
                write!(f, "is not JSON: {} at column {column}", excerpt(reason))
            }
            Self::NoObject(kind) => write!(f, "is {kind}, expected an object"),
            Self::Missing { key, there } => write!(
                f,
                "has no key `{}`; its keys are {}",
                excerpt(key),
                excerpt_list(there)
            ),
            Self::Value { key, kind } => {
                write!(f, "has {kind} at `{}`, expected a text", excerpt(key))
            }
            Self::Text { key, reason } => {
                let (key, reason) = (excerpt(key), excerpt(reason));
                write!(f, "has an invalid text at `{key}`: {reason}")
            }
        }
    }
}

impl FormatFault for JsonFault {
    fn hint(&self, _: Settings) -> Option<String> {
        match self {
            Self::Syntax { .. } | Self::NoObject(_) => {
                Some("write one JSON object per line".to_owned())
            }
            Self::Missing { .. } | Self::Value { .. } | Self::Text { .. } => None,
        }
    }
}

/// What a value is, for messages.
fn kind(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'n') => "null",
        Some(b't' | b'f') => "a truth value",
        Some(b'"') => "a text",
        Some(b'[') => "a list",
        Some(b'{') => "an object",
        _ => "a number",
    }
}

/// The words of an error without its place, which counts lines from this one.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests;
