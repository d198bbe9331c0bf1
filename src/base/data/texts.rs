//! Texts without labels, row by row: of a table, of JSON lines, or one a line.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::error::DataError;
use super::line::{BYTE_ORDER_MARK, read_line};
use super::table::{DialectRule, RawObject, Table};
use crate::input::{Expected, Foreign, Kind, recognize};

/// Where in a table the texts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextLayout {
    /// How it is cut into fields.
    pub dialect: DialectRule,
    /// Column of the text, or of the first of a pair.
    pub text: String,
    /// Column of the second text of a pair.
    pub pair: Option<String>,
    /// Names of all columns, for tables that have no header.
    pub columns: Option<Vec<String>>,
    /// Skip rows with too few columns, and count them; else they are an error.
    pub skip_short: bool,
}

/// One row.
#[derive(Debug, Clone)]
pub struct TextRow {
    /// Line that it begins at, from 1.
    pub line: u64,
    /// Text, or first of a pair.
    pub text: String,
    /// Second of a pair.
    pub pair: Option<String>,
    /// All of its columns, where they are kept.
    pub columns: RowColumns,
}

/// The columns of a row, as they were read.
#[derive(Debug, Clone)]
pub enum RowColumns {
    /// Fields of a table in the order of [`Texts::columns`].
    Fields(Vec<String>),
    /// An object of JSON lines.
    Object(RawObject),
}

/// Reads texts.
#[derive(Debug)]
pub struct Texts {
    records: Records,
    keeps_columns: bool,
}

#[derive(Debug)]
enum Records {
    Table {
        table: Box<Table>,
        text: usize,
        pair: Option<usize>,
    },
    Lines(Lines),
}

impl Texts {
    /// Opens a table or a file of JSON lines. `keeps_columns`: rows carry all of their columns.
    ///
    /// # Errors
    /// Where the file does not open, is empty, is no table, or its header lacks a column of the layout.
    pub fn open(path: &Path, layout: &TextLayout, keeps_columns: bool) -> Result<Self, DataError> {
        let (rule, names) = (layout.dialect, layout.columns.as_deref());
        let table = Table::open(path, rule, names, &layout.wanted())?;
        Self::of(table, layout, keeps_columns)
    }

    /// The same of a stream, which messages call `path`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn stream(
        path: &Path,
        input: Box<dyn Read + Send>,
        layout: &TextLayout,
        keeps_columns: bool,
    ) -> Result<Self, DataError> {
        let (rule, names) = (layout.dialect, layout.columns.as_deref());
        let table = Table::stream(path, input, rule, names, &layout.wanted())?;
        Self::of(table, layout, keeps_columns)
    }

    fn of(mut table: Table, layout: &TextLayout, keeps_columns: bool) -> Result<Self, DataError> {
        table.keep_blank_lines();
        table.skip_short_rows(layout.skip_short);
        let pair = layout.pair.as_deref();
        let records = Records::Table {
            text: table.column(&layout.text)?,
            pair: pair.map(|name| table.column(name)).transpose()?,
            table: Box::new(table),
        };
        Ok(Self {
            records,
            keeps_columns,
        })
    }

    /// Takes each line of a stream, which messages call `path`, for a text. An empty line is an empty text.
    pub fn lines(path: &Path, input: Box<dyn Read + Send>) -> Self {
        Self {
            records: Records::Lines(Lines {
                path: path.to_owned(),
                input: Input(BufReader::with_capacity(1 << 16, input)),
                buffer: Vec::new(),
                count: 0,
                bytes: 0,
            }),
            keeps_columns: false,
        }
    }

    /// Names of the columns that rows carry; none where they are not kept.
    pub fn columns(&self) -> &[String] {
        match &self.records {
            Records::Table { table, .. } if self.keeps_columns => table.names(),
            _ => &[],
        }
    }

    /// Rows with too few columns that were skipped so far.
    pub fn skipped(&self) -> u64 {
        match &self.records {
            Records::Table { table, .. } => table.skipped(),
            Records::Lines(_) => 0,
        }
    }

    /// Bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        match &self.records {
            Records::Table { table, .. } => table.bytes_read(),
            Records::Lines(lines) => lines.bytes,
        }
    }

    /// The next row; `None` after the last.
    ///
    /// # Errors
    /// Where a row cannot be cut, has another number of columns than the header, has no text, or is not UTF-8.
    pub fn next_row(&mut self) -> Result<Option<TextRow>, DataError> {
        let (table, text, pair) = match &mut self.records {
            Records::Table { table, text, pair } => (table, *text, *pair),
            Records::Lines(lines) => {
                let text = lines.next_line()?;
                return Ok(text.map(|text| TextRow {
                    line: lines.count,
                    text,
                    pair: None,
                    columns: RowColumns::Fields(Vec::new()),
                }));
            }
        };
        let Some(line) = table.next_record()? else {
            return Ok(None);
        };
        let columns = match table.object() {
            Some(object) if self.keeps_columns => RowColumns::Object(object.clone()),
            None if self.keeps_columns => {
                let fields = (0..table.names().len()).map(|index| table.field(line, index));
                let fields = fields.map(|field| field.map(str::to_owned));
                RowColumns::Fields(fields.collect::<Result<_, _>>()?)
            }
            _ => RowColumns::Fields(Vec::new()),
        };
        let value = |index| table.value(line, index).map(str::to_owned);
        Ok(Some(TextRow {
            line,
            text: value(text)?,
            pair: pair.map(value).transpose()?,
            columns,
        }))
    }
}

impl TextLayout {
    fn wanted(&self) -> Vec<&str> {
        let text = std::iter::once(self.text.as_str());
        text.chain(self.pair.as_deref()).collect()
    }
}

/// Plain lines.
#[derive(Debug)]
struct Lines {
    path: PathBuf,
    input: Input,
    buffer: Vec<u8>,
    count: u64,
    bytes: u64,
}

struct Input(BufReader<Box<dyn Read + Send>>);

impl Lines {
    fn next_line(&mut self) -> Result<Option<String>, DataError> {
        let number = self.count + 1;
        let read = read_line(&mut self.input.0, &mut self.buffer, &self.path, number)?;
        if read == 0 {
            return Ok(None);
        }
        self.count = number;
        self.bytes += read as u64;
        let line = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = match line.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) if self.count == 1 => rest,
            _ => line,
        };
        if let Ok(text) = std::str::from_utf8(line) {
            return Ok(Some(text.to_owned()));
        }
        let unknown = Foreign {
            kind: Kind::UnknownEncoding,
            expected: Expected::Corpus,
        };
        // What begins with it is a file of another kind.
        let begin = Some(line).filter(|_| number == 1);
        let found = begin.and_then(|begin| recognize(begin, Expected::Corpus));
        Err(DataError::Foreign {
            path: self.path.clone(),
            line: Some(number),
            found: found.unwrap_or(unknown),
        })
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
