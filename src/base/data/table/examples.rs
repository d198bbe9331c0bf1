//! The examples of a labelled table.

use std::path::Path;

use super::quotes::QuoteFault;
use super::swallowed::Swallowed;
use super::{DialectRule, Quoting, Table};
use crate::data::error::{DataError, Place};

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
    /// What the table has in its column `id`, if it has one.
    pub id: Option<String>,
}

/// Column that names rows, where a table has it.
pub(in crate::data) const ID: &str = "id";

impl TableRow {
    /// Whether there is nothing to read in it.
    pub fn is_blank(&self) -> bool {
        self.text.trim().is_empty() && self.pair.as_ref().is_none_or(|pair| pair.trim().is_empty())
    }
}

/// Reads the examples of a table row by row.
#[derive(Debug)]
pub struct TableReader {
    table: Table,
    text: usize,
    pair: Option<usize>,
    label: usize,
    id: Option<usize>,
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
        table.skip_short_rows(layout.skip_short);
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
        let id = table.names.iter().position(|name| name == ID);
        Ok(Self {
            table,
            text,
            pair,
            label,
            id,
            swallowed,
            spaced_labels: 0,
            quoted_rows: (0, 0),
            notes_quotes,
        })
    }

    /// Rows with too few columns that were skipped so far.
    pub fn skipped(&self) -> u64 {
        self.table.skipped()
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
        if let Some(cutter) = self.table.cutter()
            && let Some(line) = self.swallowed.check(cutter, line)
        {
            return Err(QuoteFault::Swallowed.at(&self.table.path, line));
        }
        let table = &self.table;
        let label = table.value(line, self.label)?;
        self.spaced_labels += u64::from(label.trim().len() < label.len());
        if self.notes_quotes
            && table
                .cutter()
                .is_some_and(|cutter| cutter.fields().any(looks_quoted))
        {
            self.quoted_rows.0 += 1;
            if self.quoted_rows.0 == 1 {
                self.quoted_rows.1 = line;
            }
        }
        let row = TableRow {
            line,
            text: table.value(line, self.text)?.to_owned(),
            pair: match self.pair {
                Some(pair) => Some(table.value(line, pair)?.to_owned()),
                None => None,
            },
            label: label.trim().to_owned(),
            id: match self.id {
                Some(id) => Some(table.field(line, id)?.trim().to_owned()),
                None => None,
            },
        };
        if row.label.is_empty() {
            return Err(DataError::LabelMissing {
                place: Place::new(&table.path, line),
            });
        }
        Ok(Some(row))
    }
}

/// Whether a field is in quotes with doubled quotes within, as only CSV writes it.
fn looks_quoted(field: &[u8]) -> bool {
    let inner = field
        .strip_prefix(b"\"")
        .and_then(|field| field.strip_suffix(b"\""));
    inner.is_some_and(|inner| memchr::memmem::find(inner, b"\"\"").is_some())
}
