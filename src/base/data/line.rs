//! One line of a stream, of limited length.

use std::io::{BufRead, Read};
use std::path::Path;

use super::error::{DataError, Place};

/// A longer line is no text.
pub(super) const MAX_LINE_BYTES: usize = 1 << 20;

pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads line `number` of the stream at `path` into `buffer`, with its end, in place of what was
/// there. Returns its bytes; 0 after the last line.
///
/// # Errors
/// The stream does not read, or the line is longer than [`MAX_LINE_BYTES`].
pub(super) fn read_line(
    input: &mut impl BufRead,
    buffer: &mut Vec<u8>,
    path: &Path,
    number: u64,
) -> Result<usize, DataError> {
    buffer.clear();
    let read = input
        .take(MAX_LINE_BYTES as u64 + 1)
        .read_until(b'\n', buffer)
        .map_err(|source| DataError::Io {
            path: path.to_owned(),
            source,
        })?;
    if read > MAX_LINE_BYTES {
        return Err(DataError::Long {
            place: Place::new(path, number),
            limit: MAX_LINE_BYTES,
        });
    }
    Ok(read)
}
