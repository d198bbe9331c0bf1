//! Records of a table: lines cut into fields, strictly.
//!
//! The `csv` crate reads whatever it is given: text after a closing quote is joined to the field, and
//! the end of the file closes a quote. Both lose rows without a word, so records are cut here.

use std::io::{self, BufRead, Read};

use memchr::{memchr, memchr2};

use super::dialect::{Dialect, Escape, Quoting};

/// A longer row is no row: most likely a quote that is never closed.
pub(super) const MAX_ROW_BYTES: usize = 1 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why no record could be cut.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file cannot be read.
    Io(io::Error),
    /// A record longer than [`MAX_ROW_BYTES`], with the line of a quote that is open.
    Long { line: u64, quote: Option<u64> },
    /// A quote that is open at the end of the file.
    Unclosed { line: u64 },
    /// Something other than a delimiter after a closing quote.
    AfterQuote {
        /// Line of the opening quote.
        opened: u64,
        /// Line of the closing one.
        closed: u64,
        /// Whether a backslash stands before the closing quote.
        escaped: bool,
    },
    /// A zero byte.
    Zero { line: u64 },
}

/// Where in a record the cutter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Quoted,
    Closed { line: u64, escaped: bool },
}

/// Cuts a text into records.
#[derive(Debug)]
pub(super) struct Cutter<R> {
    input: R,
    dialect: Dialect,
    /// The record's lines as they are in the file.
    raw: Vec<u8>,
    /// The contents of the fields, one after the other.
    content: Vec<u8>,
    /// Where each field ends in `content`.
    ends: Vec<usize>,
    state: State,
    /// Line of the last quote that opened a field.
    opened: u64,
    /// Lines read.
    lines: u64,
    /// Bytes read.
    bytes: u64,
    /// Fields in quotes after spaces, and those that stand so in a dialect that skips none.
    pub(super) spaced: u64,
    /// Whether a blank line is a record too.
    pub(super) keeps_blank: bool,
}

impl<R: BufRead> Cutter<R> {
    pub(super) fn new(input: R, dialect: Dialect) -> Self {
        Self {
            input,
            dialect,
            raw: Vec::new(),
            content: Vec::new(),
            ends: Vec::new(),
            state: State::Start,
            opened: 0,
            lines: 0,
            bytes: 0,
            spaced: 0,
            keeps_blank: false,
        }
    }

    /// Cuts the next record, which is no blank line unless those are kept, and returns the line that it begins at; `None` after the last.
    pub(super) fn read(&mut self) -> Result<Option<u64>, Fault> {
        loop {
            self.raw.clear();
            self.content.clear();
            self.ends.clear();
            self.state = State::Start;
            let line = self.lines + 1;
            if !self.read_line(line)? {
                return Ok(None);
            }
            if self.dialect.has_sep_line && line == 1 {
                continue;
            }
            let mut from = 0;
            while !self.cut_line(from)? {
                from = self.raw.len();
                if !self.read_line(line)? {
                    return Err(Fault::Unclosed { line: self.opened });
                }
            }
            if self.keeps_blank || self.len() > 1 || !self.field(0).trim_ascii().is_empty() {
                return Ok(Some(line));
            }
        }
    }

    /// Appends the next line to the record that begins at `begin`; false at the end of the file.
    fn read_line(&mut self, begin: u64) -> Result<bool, Fault> {
        let before = self.raw.len();
        let room = MAX_ROW_BYTES + 1 - before;
        let read = (&mut self.input)
            .take(room as u64)
            .read_until(b'\n', &mut self.raw)
            .map_err(Fault::Io)?;
        self.bytes += read as u64;
        if self.raw.len() > MAX_ROW_BYTES {
            let quote = (self.state == State::Quoted).then_some(self.opened);
            return Err(Fault::Long { line: begin, quote });
        }
        if read == 0 {
            return Ok(false);
        }
        self.lines += 1;
        if self.lines == 1 && self.raw.starts_with(BYTE_ORDER_MARK) {
            self.raw.drain(..BYTE_ORDER_MARK.len());
        }
        if memchr(0, &self.raw[before..]).is_some() {
            return Err(Fault::Zero { line: self.lines });
        }
        Ok(true)
    }

    /// Cuts the line that begins at `from` in `raw`; false where it ends in an open quote.
    fn cut_line(&mut self, from: usize) -> Result<bool, Fault> {
        let raw = std::mem::take(&mut self.raw);
        let done = self.cut(&raw[from..]);
        self.raw = raw;
        done
    }

    fn cut(&mut self, line: &[u8]) -> Result<bool, Fault> {
        let mut at = 0;
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        loop {
            match self.state {
                State::Start => {
                    let rest = &text[at..];
                    if let Some(quote) = self.opening_quote(rest) {
                        self.opened = self.lines;
                        self.state = State::Quoted;
                        at += quote + 1;
                        continue;
                    }
                    let length = self.bare_length(rest);
                    self.push_bare(&rest[..length]);
                    self.ends.push(self.content.len());
                    at += length + 1;
                    if at > text.len() {
                        return Ok(true);
                    }
                }
                State::Quoted => match self.closing_quote(&line[at..]) {
                    None => return Ok(false),
                    Some(length) => {
                        let escaped = at + length > 0 && line.get(at + length - 1) == Some(&b'\\');
                        self.state = State::Closed {
                            line: self.lines,
                            escaped,
                        };
                        at += length + 1;
                    }
                },
                State::Closed {
                    line: closed,
                    escaped,
                } => {
                    let rest = text.get(at..).unwrap_or_default();
                    let spaces = rest.iter().take_while(|&&byte| byte == b' ').count();
                    let next = rest.get(spaces);
                    if next.is_some_and(|&next| next != self.dialect.delimiter) {
                        return Err(Fault::AfterQuote {
                            opened: self.opened,
                            closed,
                            escaped,
                        });
                    }
                    self.ends.push(self.content.len());
                    self.state = State::Start;
                    if next.is_none() {
                        return Ok(true);
                    }
                    at += spaces + 1;
                }
            }
        }
    }

    /// Where the quote is that opens a field, if one does.
    fn opening_quote(&mut self, rest: &[u8]) -> Option<usize> {
        if self.dialect.quoting == Quoting::None {
            return None;
        }
        let spaces = rest.iter().take_while(|&&byte| byte == b' ').count();
        if rest.get(spaces) != Some(&b'"') {
            return None;
        }
        if spaces > 0 {
            self.spaced += 1;
        }
        (spaces == 0 || self.dialect.skips_space).then_some(spaces)
    }

    /// Length of a field without quotes.
    fn bare_length(&self, rest: &[u8]) -> usize {
        if self.dialect.escape == Escape::Double {
            return memchr(self.dialect.delimiter, rest).unwrap_or(rest.len());
        }
        let mut at = 0;
        while let Some(found) = memchr2(self.dialect.delimiter, b'\\', &rest[at..]) {
            at += found;
            if rest[at] != b'\\' {
                return at;
            }
            at = (at + 2).min(rest.len());
        }
        rest.len()
    }

    fn push_bare(&mut self, field: &[u8]) {
        if self.dialect.escape == Escape::Double {
            self.content.extend_from_slice(field);
            return;
        }
        let mut rest = field;
        while let Some(at) = memchr(b'\\', rest) {
            self.content.extend_from_slice(&rest[..at]);
            let next = rest.get(at + 1).copied();
            let is_escape = next.is_some_and(|next| self.is_escaped(next));
            self.content.push(if is_escape {
                next.unwrap_or(b'\\')
            } else {
                b'\\'
            });
            rest = &rest[at + 1 + usize::from(is_escape)..];
        }
        self.content.extend_from_slice(rest);
    }

    /// Whether a backslash before it stands for the character alone.
    fn is_escaped(&self, byte: u8) -> bool {
        byte == b'"' || byte == b'\\' || byte == self.dialect.delimiter
    }

    /// Takes what a quoted field holds and returns where its closing quote is; `None` where the line has none.
    fn closing_quote(&mut self, rest: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            let found = match self.dialect.escape {
                Escape::Double => memchr(b'"', &rest[at..]),
                Escape::Backslash => memchr2(b'"', b'\\', &rest[at..]),
            };
            let Some(found) = found.map(|found| at + found) else {
                self.content.extend_from_slice(&rest[at..]);
                return None;
            };
            self.content.extend_from_slice(&rest[at..found]);
            let next = rest.get(found + 1).copied();
            at = match (rest[found], next) {
                (b'"', Some(b'"')) => {
                    self.content.push(b'"');
                    found + 2
                }
                (b'"', _) => return Some(found),
                (_, Some(next)) if self.is_escaped(next) => {
                    self.content.push(next);
                    found + 2
                }
                _ => {
                    self.content.push(b'\\');
                    found + 1
                }
            };
        }
    }

    /// Number of fields.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// What a field holds.
    pub(super) fn field(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.content[start..self.ends[index]]
    }

    /// Fields of the record.
    pub(super) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.field(index))
    }

    /// The record's lines as they are in the file.
    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Bytes read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How the text is cut.
    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }
}
