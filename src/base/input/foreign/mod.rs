//! Recognition of files that are not what a reader expects: archives, spreadsheets, weights,
//! web pages, pointers, and texts in other encodings.

mod encoding;
mod hint;
mod magic;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

pub use self::magic::{ByteOrder, Compression, Kind, Pointer};

/// Bytes from the start of a file that [`recognize`] makes use of.
pub const HEAD_BYTES: usize = 1 << 16;

/// What messages call the standard input, in the place of a path.
pub const STDIN: &str = "stdin";

/// What a reader is able to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// A table of labelled rows.
    Table,
    /// Plain text.
    Corpus,
    /// Model weights: safetensors, a pickle of PyTorch or an archive of it.
    Weights,
}

/// A file that is not what its reader expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// What it is.
    pub kind: Kind,
    /// What was expected.
    pub expected: Expected,
}

/// What the first bytes of a file say of it, where it is not what is expected.
///
/// Texts are checked for their encoding in `head` alone; see [`recognize_file`] for bytes that are not
/// UTF-8 further on.
pub fn recognize(head: &[u8], expected: Expected) -> Option<Foreign> {
    let head = &head[..head.len().min(HEAD_BYTES)];
    let kind = magic::binary(head).or_else(|| match expected {
        Expected::Weights => magic::text_document(head),
        Expected::Table | Expected::Corpus => encoding::wide(head)
            .or_else(|| magic::text_document(head))
            .or_else(|| encoding::layout(head)),
    })?;
    let is_expected = expected == Expected::Weights && kind.is_weights();
    (!is_expected).then_some(Foreign { kind, expected })
}

/// [`recognize`], and then, for a text, what encoding its bytes are in from `offset` on, where a reader
/// found that they are not UTF-8.
///
/// # Errors
/// Where the file cannot be read.
pub fn recognize_file(
    path: &Path,
    offset: Option<u64>,
    expected: Expected,
) -> io::Result<Option<Foreign>> {
    const SAMPLE_BYTES: u64 = 1 << 20;
    let mut file = File::open(path)?;
    let mut head = Vec::new();
    (&mut file).take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    let Some(offset) = offset else {
        return Ok(recognize(&head, expected));
    };
    if let Some(found) = recognize(&head, expected) {
        return Ok(Some(found));
    }
    // Before the fault too: UTF-8 there means that two encodings are mixed.
    let start = offset.saturating_sub(SAMPLE_BYTES / 2);
    file.seek(SeekFrom::Start(start))?;
    let mut sample = Vec::new();
    file.take(SAMPLE_BYTES).read_to_end(&mut sample)?;
    let is_cut = sample.len() as u64 == SAMPLE_BYTES;
    let kind = encoding::narrow(whole_lines(&sample, start > 0, is_cut));
    Ok(kind.map(|kind| Foreign { kind, expected }))
}

/// A part of a text, without the incomplete lines at its ends.
fn whole_lines(part: &[u8], is_cut_before: bool, is_cut_after: bool) -> &[u8] {
    let is_end = |byte: &u8| *byte == b'\n';
    let start = part.iter().position(is_end).filter(|_| is_cut_before);
    let end = part.iter().rposition(is_end).filter(|_| is_cut_after);
    let (start, end) = (
        start.map_or(0, |at| at + 1),
        end.map_or(part.len(), |at| at + 1),
    );
    part.get(start..end).unwrap_or(part)
}
