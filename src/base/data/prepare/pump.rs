//! Read, encode in parallel, write in order.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::data::corpus::CorpusReader;
use crate::data::error::DataError;
use crate::data::report::{FileReport, SplitReport};

/// Items of a chunk at most.
const CHUNK_ITEMS: usize = 4096;
/// Bytes of text of a chunk, about.
const CHUNK_BYTES: usize = 1 << 20;
/// Items that a thread takes at once.
const BATCH: usize = 64;

/// Who looks on, and who may stop it.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Called after each chunk with the bytes read so far and the bytes of all files.
    pub progress: &'a dyn Fn(u64, u64),
    /// Once it is true, preparation ends with [`DataError::Interrupted`].
    pub stop: &'a AtomicBool,
}

impl Watch<'_> {
    pub(super) fn check(&self) -> Result<(), DataError> {
        if self.stop.load(Ordering::Relaxed) {
            Err(DataError::Interrupted)
        } else {
            Ok(())
        }
    }
}

/// Items that were read together, and how far the reader then was.
struct Chunk<T> {
    items: Vec<T>,
    bytes_done: u64,
}

/// Moves items from `read` through `encode` to `write` until `read` has no more.
///
/// `read` returns an item with its bytes of text; `bytes_done` asks the same source how far it is.
/// `encode` runs on all threads, each with a tool of its own from `tool`; `write` gets its results in
/// the order of the items.
pub(super) fn pump<S: Send, T: Send + Sync, E: Send, W, X: Send + Into<DataError>>(
    mut source: S,
    tool: impl Fn() -> W + Sync,
    read: impl Fn(&mut S) -> Result<Option<(T, usize)>, DataError> + Sync,
    bytes_done: impl Fn(&S) -> u64 + Sync,
    encode: impl Fn(&mut W, T) -> Result<E, X> + Sync,
    mut write: impl FnMut(E) -> Result<(), DataError>,
    mut after_chunk: impl FnMut(u64) -> Result<(), DataError>,
) -> Result<S, DataError> {
    let next_chunk = |source: &mut S| read_chunk(source, &read, &bytes_done);
    let encode_chunk = |items: Vec<T>| -> Result<Vec<Vec<E>>, X> {
        items
            .into_par_iter()
            .chunks(BATCH)
            .map_init(&tool, |tool, items| {
                items.into_iter().map(|item| encode(tool, item)).collect()
            })
            .collect()
    };
    let mut write_chunk = |encoded: Option<(Vec<Vec<E>>, u64)>| -> Result<(), DataError> {
        let Some((items, bytes_done)) = encoded else {
            return Ok(());
        };
        for item in items.into_iter().flatten() {
            write(item)?;
        }
        after_chunk(bytes_done)
    };
    // While one chunk is encoded, that after it is read and that before it is written.
    let mut before = None;
    let mut next = next_chunk(&mut source);
    loop {
        let chunk = match next {
            Ok(chunk) if !chunk.items.is_empty() => chunk,
            // Whatever was read before the end or the error comes first.
            end => {
                write_chunk(before)?;
                return end.map(|_| source);
            }
        };
        let (items, bytes_done) = (chunk.items, chunk.bytes_done);
        let (mut encoded, mut after) = (None, None);
        rayon::in_place_scope(|scope| {
            scope.spawn(|_| encoded = Some(encode_chunk(items)));
            scope.spawn(|_| after = Some(next_chunk(&mut source)));
            write_chunk(before.take())
        })?;
        let encoded = encoded.expect("the scope has waited for it");
        before = Some((encoded.map_err(Into::into)?, bytes_done));
        next = after.expect("the scope has waited for it");
    }
}

/// The next items together; none at the end.
fn read_chunk<S, T>(
    source: &mut S,
    read: impl Fn(&mut S) -> Result<Option<(T, usize)>, DataError>,
    bytes_done: impl Fn(&S) -> u64,
) -> Result<Chunk<T>, DataError> {
    let (mut items, mut size) = (Vec::new(), 0);
    while items.len() < CHUNK_ITEMS && size < CHUNK_BYTES {
        let Some((item, bytes)) = read(source)? else {
            break;
        };
        items.push(item);
        size += bytes;
    }
    Ok(Chunk {
        items,
        bytes_done: bytes_done(source),
    })
}

/// Sizes of files, in bytes.
pub(super) fn sizes(paths: &[PathBuf]) -> Result<Vec<u64>, DataError> {
    paths
        .iter()
        .map(|path| match fs::metadata(path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(source) => Err(DataError::Io {
                path: path.clone(),
                source,
            }),
        })
        .collect()
}

/// Paths as they are shown.
pub(super) fn shown(paths: &[PathBuf]) -> Vec<String> {
    paths
        .iter()
        .map(|path| path.display().to_string())
        .collect()
}

/// Adds the lines of a corpus that was read to `split`, and returns a report per file.
///
/// # Errors
/// All lines are blank.
pub(super) fn count_lines(
    files: &[PathBuf],
    reader: &CorpusReader,
    split: &mut SplitReport,
) -> Result<Vec<FileReport>, DataError> {
    let mut reports = Vec::with_capacity(files.len());
    for (path, counts) in files.iter().zip(reader.counts()) {
        split.rows_in += counts.lines;
        split.blank += counts.blank;
        reports.push(FileReport {
            path: path.clone(),
            rows: counts.lines,
            skipped: 0,
            bytes: counts.bytes,
        });
    }
    if split.rows_in == split.blank {
        return Err(DataError::NoRows {
            paths: shown(files),
            what: "line that is not blank",
        });
    }
    Ok(reports)
}
