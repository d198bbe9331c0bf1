//! Labelled tables, row by row.
//!
//! Two forms: TSV without quoting, as GLUE has it, where a quote mark is a character like any
//! other; and CSV with quoting (RFC 4180), where a field may hold delimiters and line ends. Other
//! delimiters, quoted TSV and backslash escapes are detected or given. A table begins with a
//! header, may begin with a byte-order mark, and may end its lines with CRLF.

mod cutter;
mod detect;
mod dialect;
mod swallowed;

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use self::cutter::{Cutter, Fault, MAX_ROW_BYTES};
use self::swallowed::Swallowed;
use super::error::{DataError, Place};
use crate::input::{Expected, Foreign, Kind, recognize, recognize_file};

pub use self::detect::is_delimiter;
pub use self::dialect::{Dialect, DialectRule, Escape, Quoting, TableFormat};

/// Where in a table the parts of an example are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableLayout {
    /// How it is cut into fields.
    pub dialect: DialectRule,
    /// Column of the text, or of the first of a pair.
    pub text: String,
    /// Column of the second text of a pair.
    pub pair: Option<String>,
    /// Column of the label.
    pub label: String,
    /// Names of all columns, for tables that have no header.
    pub columns: Option<Vec<String>>,
    /// Skip rows with too few columns, and count them; else they are an error.
    pub skip_short: bool,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRow {
    /// Line that it begins at, from 1.
    pub line: u64,
    /// Text, or first of a pair.
    pub text: String,
    /// Second of a pair.
    pub pair: Option<String>,
    /// Label as written, without spaces around it.
    pub label: String,
}

impl TableRow {
    /// Whether there is nothing to read in it.
    pub fn is_blank(&self) -> bool {
        self.text.trim().is_empty() && self.pair.as_ref().is_none_or(|pair| pair.trim().is_empty())
    }
}

/// A table of any columns, record by record.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    cutter: Cutter<BufReader<File>>,
    names: Vec<String>,
    header_line: u64,
    has_header: bool,
    /// Whether the user says how it is cut.
    is_given: bool,
    skip_short: bool,
    skipped: u64,
}

impl Table {
    /// Opens a table and reads its header, or takes `names` where it has none. `wanted` are columns
    /// that must be there, which helps to detect the delimiter.
    ///
    /// # Errors
    /// Where the file does not open, is empty, or is no table.
    pub fn open(
        path: &Path,
        rule: DialectRule,
        names: Option<&[String]>,
        wanted: &[&str],
    ) -> Result<Self, DataError> {
        let io = |source| DataError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(io)?;
        let mut sample = Vec::new();
        (&mut file)
            .take(detect::SAMPLE_BYTES as u64)
            .read_to_end(&mut sample)
            .map_err(io)?;
        if let Some(found) = recognize(&sample, Expected::Table) {
            return Err(DataError::Foreign {
                path: path.to_owned(),
                line: None,
                found,
            });
        }
        if sample.len() == detect::SAMPLE_BYTES {
            let end = sample.iter().rposition(|&byte| byte == b'\n');
            sample.truncate(end.map_or(sample.len(), |end| end + 1));
        }
        let dialect = detect::detect(&sample, rule, rule.is_csv(path), wanted);
        drop(sample);
        file.rewind().map_err(io)?;
        let mut table = Self {
            path: path.to_owned(),
            cutter: Cutter::new(BufReader::with_capacity(1 << 16, file), dialect),
            names: Vec::new(),
            header_line: 1,
            has_header: names.is_none(),
            is_given: rule != DialectRule::default(),
            skip_short: false,
            skipped: 0,
        };
        match names {
            Some(names) => table.names = names.to_vec(),
            None => table.read_header()?,
        }
        Ok(table)
    }

    fn read_header(&mut self) -> Result<(), DataError> {
        let Some(line) = self.read_record()? else {
            return Err(DataError::Empty {
                path: self.path.clone(),
            });
        };
        self.header_line = line;
        self.names = (0..self.cutter.len())
            .map(|index| Ok(self.field(line, index)?.trim().to_owned()))
            .collect::<Result<_, DataError>>()?;
        Ok(())
    }

    /// Names of all columns, without spaces around them.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How it is cut.
    pub fn dialect(&self) -> Dialect {
        self.cutter.dialect()
    }

    /// Line of the header.
    pub fn header_line(&self) -> u64 {
        self.header_line
    }

    /// Place of a column.
    ///
    /// # Errors
    /// Where no column or more than one has the name.
    pub fn column(&self, name: &str) -> Result<usize, DataError> {
        let place = Place::new(&self.path, self.header_line);
        find_column(&self.names, name, &place, self.is_given)
    }

    /// Bytes of the file read so far.
    pub fn bytes_read(&self) -> u64 {
        self.cutter.bytes()
    }

    /// Reads the next record and returns the line that it begins at; `None` after the last. Blank lines are
    /// no records.
    ///
    /// # Errors
    /// Where a record has another number of columns than the header, or cannot be cut.
    pub fn next_record(&mut self) -> Result<Option<u64>, DataError> {
        loop {
            let Some(line) = self.read_record()? else {
                return Ok(None);
            };
            let (found, expected) = (self.cutter.len(), self.names.len());
            if self.skip_short && found < expected {
                self.skipped += 1;
                continue;
            }
            // Spreadsheets leave empty columns at the end.
            let is_filled = self
                .cutter
                .fields()
                .skip(expected)
                .any(|field| !field.is_empty());
            if found < expected || is_filled {
                return Err(self.wrong_columns(line, found));
            }
            return Ok(Some(line));
        }
    }

    fn wrong_columns(&self, line: u64, found: usize) -> DataError {
        let place = Place::new(&self.path, line);
        if self.has_header {
            DataError::Columns {
                place,
                found,
                expected: self.names.len(),
                dialect: self.dialect(),
            }
        } else {
            DataError::ColumnsOfTask {
                place,
                found,
                names: self.names.clone(),
            }
        }
    }

    fn read_record(&mut self) -> Result<Option<u64>, DataError> {
        self.cutter.read().map_err(|fault| {
            let place = |line| Place::new(&self.path, line);
            match fault {
                Fault::Io(source) => DataError::Io {
                    path: self.path.clone(),
                    source,
                },
                Fault::Long { line, quote } => DataError::Long {
                    place: place(quote.unwrap_or(line)),
                    limit: MAX_ROW_BYTES,
                    in_quotes: quote.is_some(),
                },
                Fault::Unclosed { line } => DataError::Quote { place: place(line) },
                Fault::AfterQuote {
                    opened,
                    closed,
                    escaped,
                } => DataError::AfterQuote {
                    place: place(opened),
                    closed,
                    escaped,
                    dialect: self.dialect(),
                },
                Fault::Zero { line } => DataError::Foreign {
                    path: self.path.clone(),
                    line: Some(line),
                    found: Foreign {
                        kind: Kind::Zeros { only: false },
                        expected: Expected::Table,
                    },
                },
            }
        })
    }

    /// A field of the record that begins at `line`, as it is in the table.
    ///
    /// # Errors
    /// Where it is not UTF-8.
    pub fn field(&self, line: u64, index: usize) -> Result<&str, DataError> {
        let field = self.cutter.field(index);
        std::str::from_utf8(field).map_err(|error| {
            let before: u64 = self.cutter.fields().take(index).map(line_ends).sum();
            let within = line_ends(&field[..error.valid_up_to()]);
            let line = line + before + within;
            let begin = self.cutter.bytes() - self.cutter.raw().len() as u64;
            // The file may be gone by now: then what is known is said.
            let found = recognize_file(&self.path, Some(begin), Expected::Table);
            let found = found.ok().flatten().unwrap_or(Foreign {
                kind: Kind::UnknownEncoding,
                expected: Expected::Table,
            });
            DataError::Foreign {
                path: self.path.clone(),
                line: Some(line),
                found,
            }
        })
    }
}

/// Reads the examples of a table row by row.
#[derive(Debug)]
pub struct TableReader {
    table: Table,
    text: usize,
    pair: Option<usize>,
    label: usize,
    swallowed: Swallowed,
    /// Rows whose label stands between spaces.
    spaced_labels: u64,
    /// Rows with a field that looks quoted where quotes are characters, and the first of them.
    quoted_rows: (u64, u64),
    notes_quotes: bool,
}

impl TableReader {
    /// Opens a table and reads its header.
    ///
    /// # Errors
    /// Where the file does not open, is empty, is no table, or its header lacks a column of the layout.
    pub fn open(path: &Path, layout: &TableLayout) -> Result<Self, DataError> {
        let mut wanted = vec![layout.text.as_str(), layout.label.as_str()];
        wanted.extend(layout.pair.as_deref());
        let mut table = Table::open(path, layout.dialect, layout.columns.as_deref(), &wanted)?;
        table.skip_short = layout.skip_short;
        let (text, label) = (table.column(&layout.text)?, table.column(&layout.label)?);
        let pair = layout
            .pair
            .as_deref()
            .map(|name| table.column(name))
            .transpose()?;
        // Who says that quotes are quoting has the last word.
        let is_checked =
            table.dialect().quoting == Quoting::Quoted && layout.dialect.quoting.is_none();
        let swallowed = Swallowed::new(is_checked, label, table.names.len());
        let notes_quotes = table.dialect().quoting == Quoting::None
            && layout.dialect.quoting.is_none()
            && !layout.dialect.literal_tsv;
        Ok(Self {
            table,
            text,
            pair,
            label,
            swallowed,
            spaced_labels: 0,
            quoted_rows: (0, 0),
            notes_quotes,
        })
    }

    /// Rows with too few columns that were skipped so far.
    pub fn skipped(&self) -> u64 {
        self.table.skipped
    }

    /// Rows whose label stands between spaces.
    pub fn spaced_labels(&self) -> u64 {
        self.spaced_labels
    }

    /// Rows with a field that looks like one of CSV in a table that is read without quoting, and the line of
    /// the first.
    pub fn quoted_rows(&self) -> (u64, u64) {
        self.quoted_rows
    }

    /// The header's line and its name of the label column; `None` where there is no header.
    pub fn label_header(&self) -> Option<(u64, &str)> {
        let table = &self.table;
        let name = table.names[self.label].as_str();
        table.has_header.then_some((table.header_line, name))
    }

    /// Bytes of the file read so far.
    pub fn bytes_read(&self) -> u64 {
        self.table.bytes_read()
    }

    /// The next row; `None` after the last. Blank lines are no rows.
    ///
    /// # Errors
    /// Where a row has another number of columns than the header, is not UTF-8, has no label, or
    /// has a quote in a wrong place.
    pub fn next_row(&mut self) -> Result<Option<TableRow>, DataError> {
        let Some(line) = self.table.next_record()? else {
            return Ok(None);
        };
        if let Some(line) = self.swallowed.check(&self.table.cutter, line) {
            return Err(DataError::Swallowed {
                place: Place::new(&self.table.path, line),
                dialect: self.table.dialect(),
            });
        }
        let table = &self.table;
        let label = table.field(line, self.label)?;
        self.spaced_labels += u64::from(label.trim().len() < label.len());
        if self.notes_quotes && table.cutter.fields().any(looks_quoted) {
            self.quoted_rows.0 += 1;
            if self.quoted_rows.0 == 1 {
                self.quoted_rows.1 = line;
            }
        }
        let row = TableRow {
            line,
            text: table.field(line, self.text)?.to_owned(),
            pair: match self.pair {
                Some(pair) => Some(table.field(line, pair)?.to_owned()),
                None => None,
            },
            label: label.trim().to_owned(),
        };
        if row.label.is_empty() {
            return Err(DataError::LabelMissing {
                place: Place::new(&table.path, line),
            });
        }
        Ok(Some(row))
    }
}

fn find_column(
    names: &[String],
    column: &str,
    place: &Place,
    is_given: bool,
) -> Result<usize, DataError> {
    // As the header's names are trimmed, so is what is looked for.
    let column = column.trim();
    let mut found = names.iter().enumerate().filter(|(_, name)| *name == column);
    match (found.next(), found.next()) {
        (Some((index, _)), None) => Ok(index),
        (Some(_), Some(_)) => Err(DataError::ColumnTwice {
            place: place.clone(),
            column: column.to_owned(),
        }),
        (None, _) => Err(DataError::ColumnMissing {
            place: place.clone(),
            column: column.to_owned(),
            there: names.to_vec(),
            is_given,
        }),
    }
}

/// Whether a field is in quotes with doubled quotes within, as only CSV writes it.
fn looks_quoted(field: &[u8]) -> bool {
    let inner = field
        .strip_prefix(b"\"")
        .and_then(|field| field.strip_suffix(b"\""));
    inner.is_some_and(|inner| memchr::memmem::find(inner, b"\"\"").is_some())
}

fn line_ends(bytes: &[u8]) -> u64 {
    bytes.iter().map(|&byte| u64::from(byte == b'\n')).sum()
}

#[cfg(test)]
mod tests;
