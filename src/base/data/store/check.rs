//! The contents of a store's files, checked by reading them once from end to end.
//!
//! Not through the map: pages of a map count as memory of the process, and a runner that only
//! checks must stay small.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytemuck::Pod;

use super::error::{StoreError, read_error};
use super::{Row, StoreMeta};

/// Bytes read at once.
const BUFFER: usize = 1 << 18;

/// Checks that rows follow each other and fit `meta`.
pub(super) fn check_rows(file: &File, path: &Path, meta: &StoreMeta) -> Result<(), StoreError> {
    let mut start = 0;
    for_each::<Row>(
        file,
        path,
        |row,
         Row {
             end,
             text_b_start,
             label,
         }| {
            let fault = if end <= start || end > meta.tokens {
                "an end outside the tokens"
            } else if end - start > meta.max_seq_length as u64 {
                "more tokens than `max_seq_length`"
            } else if u64::from(text_b_start) > end - start {
                "a second text that starts after its end"
            } else if label.is_infinite() || !is_class(label, &meta.labels) {
                "a label that is not a class"
            } else {
                start = end;
                return Ok(());
            };
            Err(StoreError::Row {
                path: path.to_owned(),
                row,
                fault,
            })
        },
    )?;
    if start == meta.tokens {
        return Ok(());
    }
    Err(StoreError::Row {
        path: path.to_owned(),
        row: meta.examples - 1,
        fault: "an end before the last token",
    })
}

/// Whether a label names a class, where there are classes.
fn is_class(label: f32, labels: &[String]) -> bool {
    labels.is_empty()
        || label.is_nan()
        || (label >= 0.0 && label < labels.len() as f32 && label.fract() == 0.0)
}

/// Checks that every id is in the vocabulary.
pub(super) fn check_tokens(file: &File, path: &Path, meta: &StoreMeta) -> Result<(), StoreError> {
    for_each::<u32>(file, path, |token, id| {
        if (id as usize) < meta.vocab_size {
            return Ok(());
        }
        Err(StoreError::Token {
            path: path.to_owned(),
            token,
            id,
            vocab_size: meta.vocab_size,
        })
    })
}

/// Calls `check` with the index and the value of each item of a file, in order.
fn for_each<T: Pod>(
    mut file: &File,
    path: &Path,
    mut check: impl FnMut(u64, T) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut buffer = vec![T::zeroed(); BUFFER / size_of::<T>()];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut buffer);
    let mut index = 0;
    loop {
        let filled = fill(&mut file, bytes).map_err(|source| read_error(path, source))?;
        let whole = filled - filled % size_of::<T>();
        for &item in bytemuck::cast_slice(&bytes[..whole]) {
            check(index, item)?;
            index += 1;
        }
        if filled < bytes.len() {
            return Ok(());
        }
    }
}

/// Reads until `buffer` is full or the file ends; returns the bytes read.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
