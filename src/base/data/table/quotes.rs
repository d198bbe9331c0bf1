//! Faults of quotes around fields.

use std::fmt;
use std::path::Path;

use super::cutter::{Fault, MAX_ROW_BYTES};
use crate::data::error::{DataError, FormatFault, Place};
use crate::data::settings::Settings;
use crate::input::{Expected, Foreign, Kind};

/// What is wrong with the quote that opens a field.
#[derive(Debug)]
pub(super) enum QuoteFault {
    /// The field goes on after the quote that closes it.
    TextAfter {
        /// Line of the closing quote, where it is another one.
        closed: Option<u64>,
        /// Whether a backslash stands before the closing quote.
        escaped: bool,
    },
    /// It is never closed.
    Unclosed,
    /// The field is longer than a row can be.
    Long,
    /// It joins rows to one field.
    Swallowed,
}

impl QuoteFault {
    /// The fault of a quote that opens on a line.
    pub(super) fn at(self, path: &Path, line: u64) -> DataError {
        DataError::Format {
            place: Place::new(path, line),
            fault: Box::new(self),
        }
    }
}

impl fmt::Display for QuoteFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("opens a quoted field")?;
        match self {
            Self::TextAfter { closed, .. } => {
                f.write_str(", and there is text after the quote that closes it")?;
                match closed {
                    Some(line) => write!(f, " in line {line}"),
                    None => Ok(()),
                }
            }
            Self::Unclosed => f.write_str(" that is never closed"),
            Self::Long => write!(f, " that is longer than {MAX_ROW_BYTES} bytes"),
            Self::Swallowed => f.write_str(" that runs over the next rows"),
        }
    }
}

impl FormatFault for QuoteFault {
    fn hint(&self, settings: Settings) -> Option<String> {
        if let Self::TextAfter { escaped: true, .. } = self {
            let set = settings.set("escape", "backslash")?;
            return Some(format!(
                "if quotes within a text have a backslash before them, {set}"
            ));
        }
        let twice = "write a quote within a quoted field twice (`\"\"`)";
        Some(match settings.set("quoting", "none") {
            Some(set) => format!("{twice}; if quotes have no meaning in this table, {set}"),
            None => twice.to_owned(),
        })
    }
}

impl Fault {
    /// The error for the table at `path`.
    pub(super) fn of(self, path: &Path) -> DataError {
        match self {
            Self::Io(source) => DataError::Io {
                path: path.to_owned(),
                source,
            },
            Self::Long { line, quote: None } => DataError::Long {
                place: Place::new(path, line),
                limit: MAX_ROW_BYTES,
            },
            Self::Long {
                quote: Some(line), ..
            } => QuoteFault::Long.at(path, line),
            Self::Unclosed { line } => QuoteFault::Unclosed.at(path, line),
            Self::AfterQuote {
                opened,
                closed,
                escaped,
            } => {
                let closed = (closed != opened).then_some(closed);
                QuoteFault::TextAfter { closed, escaped }.at(path, opened)
            }
            Self::Zero { line } => DataError::Foreign {
                path: path.to_owned(),
                line: Some(line),
                found: Foreign {
                    kind: Kind::Zeros { only: false },
                    expected: Expected::Table,
                },
            },
        }
    }
}
