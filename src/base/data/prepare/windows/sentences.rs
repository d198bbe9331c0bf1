//! The sentences of a corpus as tokens on disk, document by document.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use unicode_segmentation::UnicodeSegmentation as _;

use crate::data::corpus::CorpusReader;
use crate::data::error::DataError;
use crate::data::prepare::pump::{Watch, count_lines, pump, sizes};
use crate::data::report::{FileReport, SplitReport};
use crate::data::tokenizer::Tokenizer;

/// What a line of a corpus is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// One sentence.
    Sentence,
    /// Sentences, which end where Unicode's rules (UAX #29) end them.
    Paragraph,
}

/// The sentences of a corpus as tokens, in files without a name beside the result. They are read
/// where they are needed: pages of a map would count as memory of the process.
#[derive(Debug)]
pub(super) struct Sentences {
    tokens: File,
    /// A number per sentence: where its tokens end, and whether it begins a document.
    ends: File,
    count: usize,
    tokens_total: u64,
    /// Where the files are, for messages.
    folder: PathBuf,
}

/// A sentence among the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Index of its first token.
    start: u64,
    /// Index after its last token.
    end: u64,
    /// Whether it is the first sentence of its document.
    pub(super) begins_document: bool,
}

impl Span {
    /// Tokens of the sentence.
    pub(super) fn length(self) -> usize {
        usize::try_from(self.end - self.start).unwrap_or(usize::MAX)
    }
}

/// A mark in [`Sentences::ends`]: the sentence is the first of its document.
const BEGINS: u64 = 1 << 63;

/// Sentences whose ends are read at once.
const BLOCK: usize = 1024;

/// Writes the sentences of `files` beside the result in `folder`, and counts lines. Documents end at blank lines
/// and at the end of a file; an object of JSON lines is one.
pub(super) fn write(
    files: &[PathBuf],
    tokenizer: &Tokenizer,
    unit: Unit,
    folder: &Path,
    watch: Watch,
) -> Result<(Sentences, SplitReport, Vec<FileReport>), DataError> {
    let total: u64 = sizes(files)?.iter().sum();
    let mut writer = Writer::new(folder)?;
    let mut split = SplitReport::new("train", &[]);
    let unk = tokenizer.special().unk;
    let mut begins = true;
    let reader = pump(
        CorpusReader::new(files),
        || tokenizer.session(),
        |reader: &mut CorpusReader| {
            let line = reader.next_line()?.map(str::to_owned);
            let is_first = reader.begins_document();
            Ok(line.map(|line| {
                let size = line.len();
                ((line, is_first), size)
            }))
        },
        CorpusReader::bytes_read,
        |session, (line, is_first)| -> Result<_, tokenizers::Error> {
            let mut found = Vec::new();
            for sentence in of_line(&line, unit) {
                let mut pieces = Vec::new();
                session.encode(sentence, &mut pieces)?;
                if !pieces.is_empty() {
                    found.push(pieces);
                }
            }
            Ok((found, is_first))
        },
        |(found, is_first): (Vec<Vec<u32>>, bool)| {
            begins |= is_first;
            // A line of characters that the tokenizer drops, such as soft hyphens.
            split.blank += u64::from(found.is_empty());
            for pieces in found {
                split.unknown += pieces.iter().filter(|&&id| id == unk).count() as u64;
                writer.push(&pieces, begins)?;
                begins = false;
            }
            Ok(())
        },
        |done| {
            // Windows are made in the second half.
            (watch.progress)(done / 2, total);
            watch.check()
        },
    )?;
    let reports = count_lines(files, &reader, &mut split)?;
    Ok((writer.finish()?, split, reports))
}

/// The sentences of a line.
fn of_line(line: &str, unit: Unit) -> impl Iterator<Item = &str> {
    let paragraphs = line.lines();
    paragraphs.flat_map(move |part| -> Box<dyn Iterator<Item = &str>> {
        match unit {
            Unit::Sentence => Box::new(std::iter::once(part)),
            Unit::Paragraph => Box::new(part.unicode_sentences()),
        }
    })
}

/// Writes sentences.
struct Writer {
    tokens: BufWriter<File>,
    ends: BufWriter<File>,
    count: usize,
    tokens_total: u64,
    folder: PathBuf,
}

impl Writer {
    fn new(folder: &Path) -> Result<Self, DataError> {
        let create = || {
            fs::create_dir_all(folder)?;
            tempfile::tempfile_in(folder).map(BufWriter::new)
        };
        let create = || create().map_err(|source| write_error(folder, source));
        Ok(Self {
            tokens: create()?,
            ends: create()?,
            count: 0,
            tokens_total: 0,
            folder: folder.to_owned(),
        })
    }

    fn push(&mut self, pieces: &[u32], begins_document: bool) -> Result<(), DataError> {
        self.count += 1;
        self.tokens_total += pieces.len() as u64;
        let mark = if begins_document { BEGINS } else { 0 };
        let end = self.tokens_total | mark;
        self.tokens
            .write_all(bytemuck::cast_slice(pieces))
            .and_then(|()| self.ends.write_all(&end.to_ne_bytes()))
            .map_err(|source| write_error(&self.folder, source))
    }

    fn finish(self) -> Result<Sentences, DataError> {
        let folder = self.folder;
        let whole = |file: BufWriter<File>| {
            file.into_inner()
                .map_err(|error| write_error(&folder, error.into_error()))
        };
        Ok(Sentences {
            tokens: whole(self.tokens)?,
            ends: whole(self.ends)?,
            count: self.count,
            tokens_total: self.tokens_total,
            folder,
        })
    }
}

fn write_error(folder: &Path, source: io::Error) -> DataError {
    let path = folder.to_owned();
    DataError::Write { path, source }
}

impl Sentences {
    /// All sentences.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Tokens of all sentences.
    pub(super) fn tokens(&self) -> u64 {
        self.tokens_total
    }

    /// A reader with a block of ends of its own.
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader {
            sentences: self,
            first: 0,
            ends: Vec::new(),
        }
    }

    fn read(&self, file: &File, bytes: &mut [u8], at: u64) -> Result<(), DataError> {
        file.read_exact_at(bytes, at)
            .map_err(|source| DataError::Io {
                path: self.folder.clone(),
                source,
            })
    }

    /// The documents in order: ranges of sentences, with their tokens.
    pub(super) fn documents(&self) -> impl Iterator<Item = Result<(Range<usize>, u64), DataError>> {
        let mut reader = self.reader();
        let mut next = 0;
        std::iter::from_fn(move || (next < self.count).then(|| reader.document(&mut next)))
    }
}

/// Reads sentences, mostly one after the other.
pub(super) struct Reader<'a> {
    sentences: &'a Sentences,
    /// Sentence whose end is the first in `ends`.
    first: usize,
    ends: Vec<u64>,
}

impl Reader<'_> {
    /// Where a sentence is.
    ///
    /// # Errors
    /// The file does not read.
    pub(super) fn span(&mut self, i: usize) -> Result<Span, DataError> {
        let (before, own) = (if i == 0 { 0 } else { self.end(i - 1)? }, self.end(i)?);
        Ok(Span {
            start: before & !BEGINS,
            end: own & !BEGINS,
            begins_document: own & BEGINS != 0,
        })
    }

    fn end(&mut self, i: usize) -> Result<u64, DataError> {
        if i < self.first || i >= self.first + self.ends.len() {
            // One before, which the sentence begins after.
            self.first = i.saturating_sub(1);
            let count = BLOCK.min(self.sentences.count - self.first);
            self.ends.resize(count, 0);
            let bytes = bytemuck::cast_slice_mut(&mut self.ends);
            let at = self.first as u64 * 8;
            self.sentences.read(&self.sentences.ends, bytes, at)?;
        }
        Ok(self.ends[i - self.first])
    }

    /// Appends the tokens of a sentence, and returns where it is.
    ///
    /// # Errors
    /// The file does not read.
    pub(super) fn append(&mut self, i: usize, to: &mut Vec<u32>) -> Result<Span, DataError> {
        let span = self.span(i)?;
        let old = to.len();
        to.resize(old + span.length(), 0);
        let bytes = bytemuck::cast_slice_mut(&mut to[old..]);
        let file = &self.sentences.tokens;
        self.sentences.read(file, bytes, span.start * 4)?;
        Ok(span)
    }

    /// The document that begins at `next`, which is moved behind it.
    fn document(&mut self, next: &mut usize) -> Result<(Range<usize>, u64), DataError> {
        let start = *next;
        let mut tokens = self.span(start)?.length() as u64;
        *next += 1;
        while *next < self.sentences.count {
            let span = self.span(*next)?;
            if span.begins_document {
                break;
            }
            tokens += span.length() as u64;
            *next += 1;
        }
        Ok((start..*next, tokens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_is_cut_after_its_sentences() {
        let text = "It rained. (Why?) He asked! At 3.5 degrees, no snow. 好。再见。";
        let found: Vec<&str> = of_line(text, Unit::Paragraph).map(str::trim).collect();
        assert_eq!(
            found,
            [
                "It rained.",
                "(Why?)",
                "He asked!",
                "At 3.5 degrees, no snow.",
                "好。",
                "再见。"
            ]
        );
        assert_eq!(of_line(text, Unit::Sentence).collect::<Vec<_>>(), [text]);
        // The text of an object of JSON lines.
        assert_eq!(
            of_line("a\nb", Unit::Sentence).collect::<Vec<_>>(),
            ["a", "b"]
        );
    }
}
