//! Labelled tables, row by row.
//!
//! Two forms: TSV without quoting, as GLUE has it, where a quote mark is a character like any
//! other; and CSV with quoting (RFC 4180), where a field may hold delimiters and line ends. Other
//! delimiters, quoted TSV and backslash escapes are detected or given. JSON lines are read too: one
//! object per row. A table begins with a
//! header, may begin with a byte-order mark, and may end its lines with CRLF.

mod columns;
mod cutter;
mod detect;
mod dialect;
mod examples;
mod json_lines;
mod quotes;
mod source;
mod swallowed;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use self::columns::find_column;
use self::cutter::Cutter;
use self::json_lines::Objects;
use self::source::{Sample, Source};
use super::error::{DataError, Place};
use crate::input::{Expected, Foreign, Kind, recognize, recognize_file};

pub use self::detect::is_delimiter;
pub use self::dialect::{Dialect, DialectRule, Escape, Quoting, TableFormat};
pub(in crate::data) use self::examples::ID;
pub use self::examples::{TableLayout, TableReader, TableRow};
pub(in crate::data) use self::json_lines::Object;
pub use self::json_lines::{RawObject, shown};

/// Where the records of a table come from.
#[derive(Debug)]
enum Records {
    /// Lines that are cut into fields.
    Cut(Cutter<Source>),
    /// Objects, whose keys in the first one are the columns, and the dialect that the settings name.
    Objects(Objects<Source>, Dialect),
}

/// A table of any columns, record by record.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    records: Records,
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
        let file = File::open(path).map_err(io)?;
        let is_file = file.metadata().map_err(io)?.is_file();
        Self::read(path, Box::new(file), is_file, rule, names, wanted)
    }

    /// The same of a stream, which messages call `path`. Its dialect is detected by what is there when its first line
    /// is, so that a row can be read before the next one is written.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn stream(
        path: &Path,
        input: Box<dyn Read + Send>,
        rule: DialectRule,
        names: Option<&[String]>,
        wanted: &[&str],
    ) -> Result<Self, DataError> {
        Self::read(path, input, false, rule, names, wanted)
    }

    fn read(
        path: &Path,
        mut input: Box<dyn Read + Send>,
        is_file: bool,
        rule: DialectRule,
        names: Option<&[String]>,
        wanted: &[&str],
    ) -> Result<Self, DataError> {
        let sample = Sample::read(&mut input, is_file).map_err(|source| DataError::Io {
            path: path.to_owned(),
            source,
        })?;
        let found = recognize(&sample.bytes, Expected::Table);
        let is_json = |found: &Foreign| found.kind == Kind::JsonLines;
        if found.as_ref().is_some_and(is_json) {
            return Self::of_objects(path, Source::new(sample, input), rule);
        }
        if let Some(found) = found {
            return Err(DataError::Foreign {
                path: path.to_owned(),
                line: None,
                found,
            });
        }
        let dialect = detect::detect(sample.whole_lines(), rule, rule.is_csv(path), wanted);
        let mut table = Self {
            path: path.to_owned(),
            records: Records::Cut(Cutter::new(Source::new(sample, input), dialect)),
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

    /// A table of JSON lines.
    fn of_objects(path: &Path, source: Source, rule: DialectRule) -> Result<Self, DataError> {
        let objects = Objects::open(path, source)?;
        Ok(Self {
            path: path.to_owned(),
            names: objects.names().to_vec(),
            header_line: 1,
            records: Records::Objects(objects, rule.stated(rule.is_csv(path))),
            has_header: false,
            is_given: false,
            skip_short: false,
            skipped: 0,
        })
    }

    fn read_header(&mut self) -> Result<(), DataError> {
        let Some(line) = self.read_record()? else {
            return Err(DataError::Empty {
                path: self.path.clone(),
            });
        };
        self.header_line = line;
        let columns = self.cutter().map_or(0, Cutter::len);
        self.names = (0..columns)
            .map(|index| Ok(self.field(line, index)?.trim().to_owned()))
            .collect::<Result<_, DataError>>()?;
        Ok(())
    }

    /// Skips rows with too few columns, and counts them; else they are an error.
    pub fn skip_short_rows(&mut self, skips: bool) {
        self.skip_short = skips;
    }

    /// Rows with too few columns that were skipped so far.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Takes blank lines of a table of one column for rows with an empty field.
    pub fn keep_blank_lines(&mut self) {
        if let Records::Cut(cutter) = &mut self.records {
            cutter.keeps_blank = self.names.len() == 1;
        }
    }

    /// Names of all columns, without spaces around them.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How it is cut.
    pub fn dialect(&self) -> Dialect {
        match &self.records {
            Records::Cut(cutter) => cutter.dialect(),
            // As the settings state it: nothing else is to be set for JSON lines.
            Records::Objects(_, dialect) => *dialect,
        }
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
        match &self.records {
            Records::Cut(cutter) => cutter.bytes(),
            Records::Objects(objects, _) => objects.bytes(),
        }
    }

    /// Reads the next record and returns the line that it begins at; `None` after the last. Blank lines are
    /// no records.
    ///
    /// # Errors
    /// Where a record has another number of columns than the header, or cannot be cut.
    pub fn next_record(&mut self) -> Result<Option<u64>, DataError> {
        if let Records::Objects(objects, _) = &mut self.records {
            return objects.next();
        }
        loop {
            let Some(line) = self.read_record()? else {
                return Ok(None);
            };
            let Some(cutter) = self.cutter() else {
                return Ok(None);
            };
            let (found, expected) = (cutter.len(), self.names.len());
            if self.skip_short && found < expected {
                self.skipped += 1;
                continue;
            }
            // Spreadsheets leave empty columns at the end.
            let is_filled = cutter
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
        match &mut self.records {
            Records::Cut(cutter) => cutter.read().map_err(|fault| fault.of(&self.path)),
            Records::Objects(..) => Ok(None),
        }
    }

    /// A field that an example is made of: in JSON lines it must be there and be a text.
    ///
    /// # Errors
    /// As [`Self::field`].
    pub fn value(&self, line: u64, index: usize) -> Result<&str, DataError> {
        if let Records::Objects(objects, _) = &self.records {
            objects.check(index)?;
        }
        self.field(line, index)
    }

    /// The record as it was written in JSON lines; `None` of a table that is cut.
    pub fn object(&self) -> Option<&RawObject> {
        match &self.records {
            Records::Cut(_) => None,
            Records::Objects(objects, _) => objects.object(),
        }
    }

    /// The record's fields as they were cut.
    fn cutter(&self) -> Option<&Cutter<Source>> {
        match &self.records {
            Records::Cut(cutter) => Some(cutter),
            Records::Objects(..) => None,
        }
    }

    /// A field of the record that begins at `line`, as it is in the table.
    ///
    /// # Errors
    /// Where it is not UTF-8.
    pub fn field(&self, line: u64, index: usize) -> Result<&str, DataError> {
        let cutter = match &self.records {
            Records::Cut(cutter) => cutter,
            Records::Objects(objects, _) => return Ok(objects.field(index)),
        };
        let field = cutter.field(index);
        std::str::from_utf8(field).map_err(|error| {
            let before: u64 = cutter.fields().take(index).map(line_ends).sum();
            let within = line_ends(&field[..error.valid_up_to()]);
            let line = line + before + within;
            let begin = cutter.bytes() - cutter.raw().len() as u64;
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
