//! Labelled tables, row by row.
//!
//! Two forms: TSV without quoting, as GLUE has it, where a quote mark is a character like any
//! other; and CSV with quoting (RFC 4180), where a field may hold commas and line ends. Both
//! begin with a header, may begin with a byte-order mark, and may end their lines with CRLF.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder, Terminator};

use super::error::{DataError, Place};

/// A longer row is no row: most likely a quote that is never closed.
const MAX_ROW_BYTES: usize = 1 << 20;

/// How a table is cut into fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFormat {
    /// By the file's ending: `.csv` is CSV, anything else TSV.
    Auto,
    /// Tabs, no quoting.
    Tsv,
    /// Commas, with quoting.
    Csv,
}

impl TableFormat {
    fn is_csv(self, path: &Path) -> bool {
        match self {
            Self::Auto => path
                .extension()
                .is_some_and(|ending| ending.eq_ignore_ascii_case("csv")),
            Self::Tsv => false,
            Self::Csv => true,
        }
    }
}

/// Where in a table the parts of an example are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableLayout {
    /// How it is cut into fields.
    pub format: TableFormat,
    /// Column of the text, or of the first of a pair.
    pub text: String,
    /// Column of the second text of a pair.
    pub pair: Option<String>,
    /// Column of the label.
    pub label: String,
    /// Names of all columns, for tables that have no header.
    pub columns: Option<Vec<String>>,
    /// Leave out rows with too few columns, and count them; else they are a fault.
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

/// Reads a table row by row.
#[derive(Debug)]
pub struct TableReader {
    path: PathBuf,
    reader: csv::Reader<Input>,
    record: ByteRecord,
    csv: bool,
    columns: usize,
    text: usize,
    pair: Option<usize>,
    label: usize,
    skip_short: bool,
    skipped: u64,
    /// Names of the columns, where there is no header.
    fixed: Option<Vec<String>>,
}

impl TableReader {
    /// Opens a table and reads its header.
    ///
    /// # Errors
    /// Where the file does not open, is empty, or its header lacks a column of the layout.
    pub fn open(path: &Path, layout: &TableLayout) -> Result<Self, DataError> {
        let file = File::open(path).map_err(|source| DataError::Io {
            path: path.to_owned(),
            source,
        })?;
        let csv = layout.format.is_csv(path);
        let reader = ReaderBuilder::new()
            .delimiter(if csv { b',' } else { b'\t' })
            .quoting(csv)
            // The widths of rows are checked here, with the line in the message.
            .flexible(true)
            .has_headers(false)
            // A lone CR is part of a text.
            .terminator(Terminator::Any(b'\n'))
            .buffer_capacity(1 << 16)
            .from_reader(Input::new(file));
        let mut table = Self {
            path: path.to_owned(),
            reader,
            record: ByteRecord::new(),
            csv,
            columns: 0,
            text: 0,
            pair: None,
            label: 0,
            skip_short: layout.skip_short,
            skipped: 0,
            fixed: layout.columns.clone(),
        };
        let (line, names) = match &layout.columns {
            Some(names) => (1, names.clone()),
            None => table.read_header()?,
        };
        let place = Place::new(path, line);
        table.columns = names.len();
        table.text = find_column(&names, &layout.text, &place)?;
        table.label = find_column(&names, &layout.label, &place)?;
        if let Some(pair) = &layout.pair {
            table.pair = Some(find_column(&names, pair, &place)?);
        }
        Ok(table)
    }

    /// Names in the header, and its line.
    fn read_header(&mut self) -> Result<(u64, Vec<String>), DataError> {
        let Some(line) = self.read_record()? else {
            return Err(DataError::Empty {
                path: self.path.clone(),
            });
        };
        let names = (0..self.record.len())
            .map(|index| Ok(self.field(line, index)?.trim().to_owned()))
            .collect::<Result<Vec<String>, DataError>>()?;
        Ok((line, names))
    }

    /// Rows with too few columns that were left out so far.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The next row; `None` after the last. Blank lines are no rows.
    ///
    /// # Errors
    /// Where a row has another number of columns than the header, is not UTF-8, has no label, or
    /// opens a quote that is never closed.
    pub fn next_row(&mut self) -> Result<Option<TableRow>, DataError> {
        let (line, found) = loop {
            let Some(line) = self.read_record()? else {
                return Ok(None);
            };
            let found = self.record.len();
            if !self.skip_short || found >= self.columns {
                break (line, found);
            }
            self.skipped += 1;
        };
        // Spreadsheets leave empty columns at the end.
        let filled = self
            .record
            .iter()
            .skip(self.columns)
            .any(|field| !field.is_empty());
        if found < self.columns || filled {
            let place = Place::new(&self.path, line);
            if let Some(names) = &self.fixed {
                return Err(DataError::ColumnsOfTask {
                    place,
                    found,
                    names: names.clone(),
                });
            }
            return Err(DataError::Columns {
                place,
                found,
                expected: self.columns,
                quoted: self.csv,
            });
        }
        let row = TableRow {
            line,
            text: self.field(line, self.text)?.to_owned(),
            pair: match self.pair {
                Some(pair) => Some(self.field(line, pair)?.to_owned()),
                None => None,
            },
            label: self.field(line, self.label)?.trim().to_owned(),
        };
        if row.label.is_empty() {
            return Err(DataError::LabelMissing {
                place: Place::new(&self.path, line),
            });
        }
        Ok(Some(row))
    }

    /// Bytes of the file read so far.
    pub fn bytes_read(&self) -> u64 {
        self.reader.position().byte()
    }

    /// Reads the next record that is not a blank line; returns the line that it begins at.
    fn read_record(&mut self) -> Result<Option<u64>, DataError> {
        loop {
            let before = self.reader.position().line();
            self.reader.get_mut().since_row = 0;
            let more = self.reader.read_byte_record(&mut self.record);
            if self.reader.get_ref().since_row > MAX_ROW_BYTES {
                return Err(DataError::Long {
                    place: Place::new(&self.path, before),
                    limit: MAX_ROW_BYTES,
                });
            }
            if !more.map_err(|error| self.io(error))? {
                return Ok(None);
            }
            let inside: u64 = self.record.iter().map(line_ends).sum();
            // The reader passes over blank lines without a word: what is left of the lines
            // between the two positions, after the record's own, comes before the record.
            let after = self.reader.position().line();
            let line = after.saturating_sub(inside + 1).max(before);
            if self.at_end() {
                // The last record is the end mark, unless a quote is open: then the mark is in it.
                return if self.record.len() == 1 && self.record[0] == END_MARK[..1] {
                    Ok(None)
                } else {
                    Err(DataError::Quote {
                        place: Place::new(&self.path, after.saturating_sub(inside)),
                    })
                };
            }
            if self.record.len() > 1 || !self.record[0].trim_ascii().is_empty() {
                return Ok(Some(line));
            }
        }
    }

    /// Whether the end mark was read.
    fn at_end(&self) -> bool {
        let input = self.reader.get_ref();
        input.tail.is_some_and(<[u8]>::is_empty) && self.reader.position().byte() == input.length
    }

    /// A field of the record that begins at `line`.
    fn field(&self, line: u64, index: usize) -> Result<&str, DataError> {
        let field = &self.record[index];
        let field = if index + 1 == self.record.len() {
            field.strip_suffix(b"\r").unwrap_or(field)
        } else {
            field
        };
        std::str::from_utf8(field).map_err(|error| {
            let before: u64 = self.record.iter().take(index).map(line_ends).sum();
            let within = line_ends(&field[..error.valid_up_to()]);
            DataError::Utf8 {
                place: Place::new(&self.path, line + before + within),
            }
        })
    }

    fn io(&self, error: csv::Error) -> DataError {
        DataError::Io {
            path: self.path.clone(),
            source: error.into(),
        }
    }
}

fn find_column(names: &[String], column: &str, place: &Place) -> Result<usize, DataError> {
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
        }),
    }
}

fn line_ends(bytes: &[u8]) -> u64 {
    bytes.iter().map(|&byte| u64::from(byte == b'\n')).sum()
}

/// A record of its own after the last one. An open quote swallows it, and so is found: the
/// `csv` crate takes the end of a file for the end of a quote.
const END_MARK: &[u8] = b"\0\n";

/// The bytes of a table, with a line end after the last row and [`END_MARK`] after that.
#[derive(Debug)]
struct Input {
    file: File,
    /// Bytes handed out; all there are, once the tail is.
    length: u64,
    /// Bytes handed out since the last row was asked for.
    since_row: usize,
    last: u8,
    /// What is still to be handed out after the file's end.
    tail: Option<&'static [u8]>,
}

impl Input {
    fn new(file: File) -> Self {
        Self {
            file,
            length: 0,
            since_row: 0,
            last: b'\n',
            tail: None,
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_row > MAX_ROW_BYTES {
            return Err(io::Error::other("a row without end"));
        }
        let mut read = match self.tail {
            None => self.file.read(buffer)?,
            Some(_) => 0,
        };
        if read > 0 {
            self.last = buffer[read - 1];
        } else {
            let whole: &[u8] = match (self.last, self.length) {
                (_, 0) => b"",
                (b'\n', _) => END_MARK,
                _ => b"\n\0\n",
            };
            let tail = self.tail.get_or_insert(whole);
            read = tail.read(buffer)?;
        }
        self.length += read as u64;
        self.since_row += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    fn layout(format: TableFormat, pair: bool) -> TableLayout {
        TableLayout {
            format,
            text: "sentence".to_owned(),
            pair: pair.then(|| "other".to_owned()),
            label: "label".to_owned(),
            columns: None,
            skip_short: false,
        }
    }

    #[test]
    fn a_table_without_a_header_has_its_columns_from_the_layout() {
        let folder: TempDir = tempfile::tempdir().unwrap();
        let path = folder.path().join("cola.tsv");
        fs::write(&path, "gj04\t1\t\tThe car ran.\ngj04\t0\t*\tThe ran car.").unwrap();
        let names = ["source", "label", "mark", "sentence"].map(str::to_owned);
        let layout = TableLayout {
            columns: Some(names.to_vec()),
            ..layout(TableFormat::Auto, false)
        };
        let mut table = TableReader::open(&path, &layout).unwrap();
        let first = table.next_row().unwrap().unwrap();
        assert_eq!((first.line, first.text.as_str()), (1, "The car ran."));
        let second = table.next_row().unwrap().unwrap();
        assert_eq!((second.line, second.label.as_str()), (2, "0"));
        assert_eq!(table.next_row().unwrap(), None);
    }

    #[test]
    fn short_rows_are_counted_where_the_task_has_such_and_a_fault_elsewhere() {
        let folder: TempDir = tempfile::tempdir().unwrap();
        let path = folder.path().join("qqp.tsv");
        fs::write(&path, "sentence\tlabel\na\t1\ncut short\nb\t0\n").unwrap();
        let strict = layout(TableFormat::Auto, false);
        let mut table = TableReader::open(&path, &strict).unwrap();
        assert!(table.next_row().is_ok() && table.next_row().is_err());
        let lenient = TableLayout {
            skip_short: true,
            ..strict
        };
        let mut table = TableReader::open(&path, &lenient).unwrap();
        let mut lines = Vec::new();
        while let Some(row) = table.next_row().unwrap() {
            lines.push(row.line);
        }
        assert_eq!((lines, table.skipped()), (vec![2, 4], 1));
    }

    fn read_as(name: &str, content: &[u8], pair: bool) -> Result<Vec<TableRow>, DataError> {
        let folder: TempDir = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let mut table = TableReader::open(&path, &layout(TableFormat::Auto, pair))?;
        let mut rows = Vec::new();
        while let Some(row) = table.next_row()? {
            rows.push(row);
        }
        assert!(table.bytes_read() >= content.len() as u64);
        Ok(rows)
    }

    fn rows(name: &str, content: &str) -> Vec<(u64, String, String)> {
        read_as(name, content.as_bytes(), false)
            .unwrap()
            .into_iter()
            .map(|row| (row.line, row.text, row.label))
            .collect()
    }

    fn fault(name: &str, content: &[u8]) -> (String, Option<String>) {
        let error = read_as(name, content, false).unwrap_err();
        let text = error.to_string();
        // Messages begin with the path in the test's folder.
        let start = text.find(name).unwrap();
        (text[start..].to_owned(), error.hint())
    }

    fn row(line: u64, text: &str, label: &str) -> (u64, String, String) {
        (line, text.to_owned(), label.to_owned())
    }

    #[test]
    fn a_quote_in_a_tsv_is_a_character() {
        assert_eq!(
            rows("a.tsv", "sentence\tlabel\n\"good\t1\na \"b\" , \t0\n"),
            [row(2, "\"good", "1"), row(3, "a \"b\" , ", "0")]
        );
    }

    #[test]
    fn a_csv_field_may_hold_commas_quotes_and_line_ends() {
        assert_eq!(
            rows(
                "a.CSV",
                "label,id,sentence\n1,7,\"a, \"\"b\"\"\nc\"\n0,8,d\n"
            ),
            [row(2, "a, \"b\"\nc", "1"), row(4, "d", "0")]
        );
    }

    #[test]
    fn byte_order_mark_crlf_and_a_missing_last_line_end_are_taken() {
        assert_eq!(
            rows("a.tsv", "\u{feff}sentence\tlabel\r\na\t1\r\nb\rc\t0"),
            [row(2, "a", "1"), row(3, "b\rc", "0")]
        );
        assert_eq!(
            rows("a.csv", "\u{feff}label,sentence\r\n1,\"a\"\r\n0,b"),
            [row(2, "a", "1"), row(3, "b", "0")]
        );
    }

    #[test]
    fn blank_lines_are_no_rows_and_are_counted_as_lines() {
        let expected = [row(4, "a\nb", "1"), row(9, "c", "0")];
        for end in ["\n", "\r\n"] {
            let content = "\nsentence,label\n\n\"a|b\",1\n\n\n  \nc,0\n\n"
                .replace('\n', end)
                .replace('|', "\n");
            assert_eq!(rows("a.csv", &content), expected);
        }
    }

    #[test]
    fn a_pair_is_read_from_its_column() {
        let rows = read_as("a.tsv", b"label\tother\tsentence\n1\tb\ta\n", true).unwrap();
        assert_eq!(rows[0].text, "a");
        assert_eq!(rows[0].pair.as_deref(), Some("b"));
    }

    #[test]
    fn a_row_with_too_few_columns_is_named_by_its_line() {
        assert_eq!(
            fault("a.tsv", b"sentence\tlabel\na\t1\n\nb 0\n").0,
            "a.tsv:4` has 1 column where the header has 2"
        );
    }

    #[test]
    fn a_row_with_too_many_columns_is_named_unless_they_are_empty() {
        let (message, hint) = fault("a.csv", b"sentence,label\na, b,1\n");
        assert_eq!(message, "a.csv:2` has 3 columns where the header has 2");
        assert_eq!(
            hint.unwrap(),
            "a text that holds a comma is put in double quotes"
        );
        assert_eq!(rows("a.csv", "sentence,label\na,1,,\n"), [row(2, "a", "1")]);
    }

    #[test]
    fn a_missing_column_is_named_with_those_there() {
        let (message, hint) = fault("a.tsv", b"text\tLabel\na\t1\n");
        assert_eq!(
            message,
            "a.tsv:1` has no column `sentence`, only `text`, `Label`"
        );
        assert_eq!(hint, None);
        let (_, hint) = fault("a.tsv", b"sentences\tlabel\na\t1\n");
        assert_eq!(hint.unwrap(), "did you mean `sentences`?");
        assert_eq!(
            fault("a.tsv", b"sentence\tlabel\tlabel\n").0,
            "a.tsv:1` names the column `label` twice"
        );
    }

    #[test]
    fn an_empty_file_is_told() {
        for content in [&b""[..], b"\n\n", b"\xef\xbb\xbf"] {
            assert_eq!(fault("a.tsv", content).0, "a.tsv` is empty");
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_are_named_by_their_line() {
        assert_eq!(
            fault("a.tsv", b"sentence\tlabel\na\t1\ncaf\xe9\t1\n").0,
            "a.tsv:3` is not valid UTF-8"
        );
        assert_eq!(
            fault("a.csv", b"sentence,label\n\"a\nb\xe9\nc\",1\n").0,
            "a.csv:3` is not valid UTF-8"
        );
        assert!(
            fault("a.tsv", b"s\xe9\tlabel\n")
                .1
                .unwrap()
                .contains("iconv")
        );
    }

    #[test]
    fn a_row_without_label_is_named() {
        assert_eq!(
            fault("a.tsv", b"sentence\tlabel\na\t \n").0,
            "a.tsv:2` has no label"
        );
    }

    #[test]
    fn a_quote_that_is_never_closed_is_named_where_it_opens() {
        for content in [
            "label,sentence\n1,a\n\n0,\"b\n1,c\n",
            "label,sentence\n1,a\n\n0,\"b\n1,c",
        ] {
            assert_eq!(
                fault("a.csv", content.as_bytes()).0,
                "a.csv:4` opens a quote that is never closed"
            );
        }
        let long = format!("label,sentence\n0,\"b\n{}", "1,c\n".repeat(400_000));
        let (message, hint) = fault("a.csv", long.as_bytes());
        assert_eq!(message, "a.csv:2` is longer than 1048576 bytes");
        assert!(hint.is_some());
    }

    #[test]
    fn a_text_like_the_end_mark_ends_nothing() {
        assert_eq!(
            rows("a.tsv", "sentence\tlabel\n\0\t1\na\t0\n"),
            [row(2, "\0", "1"), row(3, "a", "0")]
        );
        assert_eq!(
            fault("a.tsv", b"sentence\tlabel\n\0\n").0,
            "a.tsv:2` has 1 column where the header has 2"
        );
    }
}
