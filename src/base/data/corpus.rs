//! Raw text, one paragraph a line, or JSON lines with a `text` each.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::error::{DataError, Place};
use super::line::read_line;
use super::table::Object;
use crate::input::{Expected, Foreign, Kind, recognize_file};

/// Key of the paragraph in an object of JSON lines.
const TEXT: &str = "text";

/// What happens to a line of more word pieces than an example holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongLines {
    /// Cut into several examples; nothing is lost.
    Split,
    /// The rest is dropped, and counted.
    Truncate,
}

/// Lines of one file of a corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LineCounts {
    /// All lines.
    pub lines: u64,
    /// Lines without a character that shows.
    pub blank: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// Reads the lines of several files that are not blank, file after file.
#[derive(Debug)]
pub struct CorpusReader<'a> {
    files: &'a [PathBuf],
    counts: Vec<LineCounts>,
    open: Option<BufReader<File>>,
    /// Whether the open file is JSON lines.
    is_json: bool,
    buffer: Vec<u8>,
    /// Whether a document ended before the line that was read last.
    is_first: bool,
}

impl<'a> CorpusReader<'a> {
    /// A reader of these files, in this order. None is opened yet.
    pub fn new(files: &'a [PathBuf]) -> Self {
        Self {
            files,
            counts: Vec::with_capacity(files.len()),
            open: None,
            is_json: false,
            buffer: Vec::new(),
            is_first: false,
        }
    }

    /// Whether the line that was read last begins a document: it is the first of its file, stands
    /// after a blank line, or is an object of JSON lines.
    pub fn begins_document(&self) -> bool {
        self.is_first || self.is_json
    }

    /// The next line that is not blank, without its line end; `None` after the last.
    ///
    /// # Errors
    /// Where a file does not read, or a line is not UTF-8 or longer than a megabyte.
    pub fn next_line(&mut self) -> Result<Option<&str>, DataError> {
        self.is_first = false;
        loop {
            let reader = if let Some(reader) = &mut self.open {
                reader
            } else {
                let Some(path) = self.files.get(self.counts.len()) else {
                    return Ok(None);
                };
                let file = File::open(path).map_err(|source| DataError::Io {
                    path: path.clone(),
                    source,
                })?;
                self.is_json = check_kind(path)?;
                self.is_first = true;
                self.counts.push(LineCounts::default());
                self.open.insert(BufReader::with_capacity(1 << 16, file))
            };
            let path = &self.files[self.counts.len() - 1];
            let counts = self.counts.last_mut().expect("pushed where it was opened");
            let read = read_line(reader, &mut self.buffer, path, counts.lines + 1)?;
            if read == 0 {
                self.open = None;
                continue;
            }
            counts.bytes += read as u64;
            counts.lines += 1;
            let first = counts.lines == 1;
            let (start, end) = match std::str::from_utf8(&self.buffer) {
                Ok(line) => trimmed(line, first),
                Err(_) => {
                    return Err(not_utf8(path, *counts));
                }
            };
            if start < end && self.is_json {
                let place = Place::new(path, counts.lines);
                let text = Object::parse(&self.buffer[start..end], place)?.text(TEXT)?;
                self.buffer.clear();
                self.buffer.extend_from_slice(text.trim().as_bytes());
                if !self.buffer.is_empty() {
                    return Ok(std::str::from_utf8(&self.buffer).ok());
                }
            } else if start < end {
                // Checked above; the borrow of the loop does not reach over the return.
                return Ok(std::str::from_utf8(&self.buffer[start..end]).ok());
            }
            counts.blank += 1;
            self.is_first = true;
        }
    }

    /// Counts of the files that were begun, in order.
    pub fn counts(&self) -> &[LineCounts] {
        &self.counts
    }

    /// Bytes of all files that were read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.counts.iter().map(|counts| counts.bytes).sum()
    }
}

/// Refuses what is no text by its first bytes; whether it is JSON lines.
fn check_kind(path: &Path) -> Result<bool, DataError> {
    let found = recognize_file(path, None, Expected::Corpus);
    let found = found.map_err(|source| DataError::Io {
        path: path.to_owned(),
        source,
    })?;
    match found {
        Some(found) if found.kind == Kind::JsonLines => Ok(true),
        Some(found) => Err(DataError::Foreign {
            path: path.to_owned(),
            line: None,
            found,
        }),
        None => Ok(false),
    }
}

fn not_utf8(path: &Path, counts: LineCounts) -> DataError {
    let found = recognize_file(path, Some(counts.bytes), Expected::Corpus);
    DataError::Foreign {
        path: path.to_owned(),
        line: Some(counts.lines),
        found: found.ok().flatten().unwrap_or(Foreign {
            kind: Kind::UnknownEncoding,
            expected: Expected::Corpus,
        }),
    }
}

/// First and last (exclusive) byte of what a line holds between whitespace at its ends, and a
/// byte-order mark where it is the first of its file.
fn trimmed(line: &str, first: bool) -> (usize, usize) {
    let mut text = line;
    if first {
        text = text.strip_prefix('\u{feff}').unwrap_or(text);
    }
    let start = line.len() - text.trim_start().len();
    (start, line.trim_end().len().max(start))
}

/// The examples that a line's word pieces make, of at most `room` pieces each.
///
/// # Panics
/// Where `room` is 0.
pub fn cut_line(
    pieces: &[u32],
    room: usize,
    long_lines: LongLines,
) -> impl Iterator<Item = &[u32]> {
    let examples = match long_lines {
        LongLines::Split => usize::MAX,
        LongLines::Truncate => 1,
    };
    pieces.chunks(room).take(examples)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::data::line::MAX_LINE_BYTES;

    fn read(files: &[&[u8]]) -> Result<(Vec<String>, Vec<LineCounts>), DataError> {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..files.len())
            .map(|i| folder.path().join(format!("{i}.txt")))
            .collect();
        for (path, content) in paths.iter().zip(files) {
            fs::write(path, content).unwrap();
        }
        let mut reader = CorpusReader::new(&paths);
        let mut lines = Vec::new();
        while let Some(line) = reader.next_line()? {
            lines.push(line.to_owned());
        }
        Ok((lines, reader.counts().to_vec()))
    }

    fn counts(lines: u64, blank: u64, bytes: u64) -> LineCounts {
        LineCounts {
            lines,
            blank,
            bytes,
        }
    }

    #[test]
    fn blank_lines_are_skipped_and_counted() {
        let (lines, found) = read(&[b"\xef\xbb\xbfa\r\n\n \t\nb c \n", b"", b"\nd"]).unwrap();
        assert_eq!(lines, ["a", "b c", "d"]);
        assert_eq!(found, [counts(4, 2, 15), counts(0, 0, 0), counts(2, 1, 2)]);
    }

    #[test]
    fn a_document_begins_after_a_blank_line_in_each_file_and_with_each_object() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            "\na\nb\n \n\nc",
            "d\n",
            "{\"text\": \"e\"}\n{\"text\": \"f\"}\n",
        ];
        let paths: Vec<PathBuf> = (0..files.len())
            .map(|i| folder.path().join(i.to_string()))
            .collect();
        for (path, text) in paths.iter().zip(files) {
            fs::write(path, text).unwrap();
        }
        let mut reader = CorpusReader::new(&paths);
        let mut found = String::new();
        while let Some(line) = reader.next_line().unwrap().map(str::to_owned) {
            found.push_str(if reader.begins_document() { "|" } else { "" });
            found.push_str(&line);
        }
        assert_eq!(found, "|ab|c|d|e|f");
    }

    #[test]
    fn json_lines_hold_a_text_each() {
        let objects = b"{\"text\": \" a\\nb \", \"id\": 1}\n\n{\"text\": \"\"}\n{\"text\": \"c\"}";
        let (lines, found) = read(&[objects, b"d\n"]).unwrap();
        assert_eq!(lines, ["a\nb", "c", "d"]);
        assert_eq!((found[0].lines, found[0].blank), (4, 2));
        let error = read(&[b"{\"text\": \"a\"}\n{\"body\": \"b\"}\n"]).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("0.txt:2` has no key `text`; its keys are `body`")
        );
    }

    #[test]
    fn bytes_that_are_no_utf8_are_named_by_file_and_line() {
        let error = read(&[b"a\n", b"b\n\ncaf\xe9\n"]).unwrap_err().to_string();
        assert!(error.ends_with("1.txt:3` is not UTF-8"), "{error}");
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_fills_the_memory() {
        let long = vec![b'a'; MAX_LINE_BYTES + 1];
        let error = read(&[b"a\n", &long]).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("1.txt:1` is longer than 1048576 bytes")
        );
        assert!(error.hint().is_some());
        let fits = [&long[1..MAX_LINE_BYTES], b"\n"].concat();
        assert_eq!(read(&[&fits]).unwrap().0.len(), 1);
    }

    #[test]
    fn a_long_line_is_split_or_truncated() {
        let cut = |long_lines| -> Vec<Vec<u32>> {
            cut_line(&[1, 2, 3, 4, 5], 2, long_lines)
                .map(<[u32]>::to_vec)
                .collect()
        };
        assert_eq!(cut(LongLines::Split), [vec![1, 2], vec![3, 4], vec![5]]);
        assert_eq!(cut(LongLines::Truncate), [[1, 2]]);
    }
}
