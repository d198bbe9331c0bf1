//! Labelled tables, row by row.
//!
//! Two forms: TSV without quoting, as GLUE has it, where a quote mark is a character like any
//! other; and CSV with quoting (RFC 4180), where a field may hold delimiters and line ends. Other
//! delimiters, quoted TSV and backslash escapes are detected or given. A table begins with a
//! header, may begin with a byte-order mark, and may end its lines with CRLF.

mod columns;
mod cutter;
mod detect;
mod dialect;
mod examples;
mod quotes;
mod swallowed;

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use self::columns::find_column;
use self::cutter::Cutter;
use super::error::{DataError, Place};
use crate::input::{Expected, Foreign, Kind, recognize, recognize_file};

pub use self::detect::is_delimiter;
pub use self::dialect::{Dialect, DialectRule, Escape, Quoting, TableFormat};
pub use self::examples::{TableLayout, TableReader, TableRow};

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

    fn read_record(&mut self) -> Result<Option<u64>, DataError> {
        self.cutter.read().map_err(|fault| fault.of(&self.path))
    }

    /// A field that an example is made of.
    ///
    /// # Errors
    /// As [`Self::field`].
    fn value(&self, line: u64, index: usize) -> Result<&str, DataError> {
        self.field(line, index)
    }

    /// The record's fields as they were cut.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "records of other formats are not cut"
    )]
    fn cutter(&self) -> Option<&Cutter<BufReader<File>>> {
        Some(&self.cutter)
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

fn line_ends(bytes: &[u8]) -> u64 {
    bytes.iter().map(|&byte| u64::from(byte == b'\n')).sum()
}

#[cfg(test)]
mod tests;
