//! `pytorch_model.bin` as `PyTorch` 1.6 and later write it: a zip archive of a pickle and, one
//! uncompressed entry a storage, the tensors' numbers.
//!
//! Only the archive's directory and the pickle are read here. A tensor becomes a stretch of
//! the file, with the entry's checksum to verify when it is needed.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

use zip::{CompressionMethod, ZipArchive};

use super::error::ModelError;
use super::pickle_machine::{PickledTensor, tensors};
use super::tensor::{Checked, Checksum, Entry, Part};
use crate::input::excerpt;

/// The pickle of a BERT of 24 layers is 60 kB long. A longer one than this is not read: what
/// it builds in memory is a multiple of it.
const MAX_PICKLE: u64 = 8 << 20;

/// Names, types and places of the tensors in a `PyTorch` archive.
pub(super) fn read_entries(path: &Path, map: &[u8]) -> Result<BTreeMap<String, Entry>, ModelError> {
    if !map.starts_with(b"PK") {
        return Err(ModelError::OldFormat {
            path: path.to_owned(),
        });
    }
    let unreadable = |error: zip::result::ZipError| {
        ModelError::damaged(path, format!("it is not a readable zip archive: {error}"))
    };
    let mut archive = ZipArchive::new(Cursor::new(map)).map_err(unreadable)?;
    let root = archive
        .file_names()
        .find_map(|name| {
            let name = name.ok()?;
            let root = name.strip_suffix("data.pkl")?;
            root.ends_with('/').then(|| root.to_owned())
        })
        .ok_or_else(|| ModelError::OldFormat {
            path: path.to_owned(),
        })?;
    check_byte_order(path, &mut archive, &root)?;
    let pickle = read_small(path, &mut archive, &format!("{root}data.pkl"), MAX_PICKLE)?;
    let tensors = tensors(&pickle).map_err(|reason| ModelError::Refused {
        path: path.to_owned(),
        reason,
    })?;

    let mut entries = BTreeMap::new();
    let mut storages: BTreeMap<String, Checked> = BTreeMap::new();
    for (name, tensor) in tensors {
        let storage = if let Some(storage) = storages.get(&*tensor.key) {
            *storage
        } else {
            let entry = format!("{root}data/{}", tensor.key);
            let storage = find_storage(map, &mut archive, &entry).map_err(|reason| {
                ModelError::damaged(
                    path,
                    format!("the numbers of `{}` {reason}", excerpt(&name)),
                )
            })?;
            storages.insert(tensor.key.to_string(), storage);
            storage
        };
        let entry = place(tensor, storage).ok_or_else(|| {
            ModelError::damaged(
                path,
                format!("tensor `{}` reaches beyond its storage", excerpt(&name)),
            )
        })?;
        entries.insert(name, entry);
    }
    Ok(entries)
}

/// Refuses numbers that are not little-endian. Older archives do not say which they are.
fn check_byte_order(
    path: &Path,
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    root: &str,
) -> Result<(), ModelError> {
    let name = format!("{root}byteorder");
    if archive.index_for_name(&name).is_none() {
        return Ok(());
    }
    let order = read_small(path, archive, &name, 64)?;
    if order != b"little" {
        return Err(ModelError::damaged(
            path,
            "its numbers are big-endian, which is not read",
        ));
    }
    Ok(())
}

fn read_small(
    path: &Path,
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    name: &str,
    limit: u64,
) -> Result<Vec<u8>, ModelError> {
    let unreadable = |reason: String| ModelError::damaged(path, format!("`{name}` in it {reason}"));
    let entry = archive
        .by_name(name)
        .map_err(|error| unreadable(format!("is unreadable: {error}")))?;
    let mut bytes = Vec::new();
    entry
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(format!("is unreadable: {error}")))?;
    if bytes.len() as u64 > limit {
        return Err(unreadable(format!("is longer than {limit} bytes")));
    }
    Ok(bytes)
}

/// The stretch of the file that an uncompressed entry of the archive is.
fn find_storage(
    map: &[u8],
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    name: &str,
) -> Result<Checked, String> {
    let index = archive
        .index_for_name(name)
        .ok_or("are not in the archive")?;
    let entry = archive
        .by_index_raw(index)
        .map_err(|error| format!("are unreadable: {error}"))?;
    if entry.encrypted() || entry.compression() != CompressionMethod::Stored {
        return Err("are compressed or encrypted, as PyTorch never writes them".to_owned());
    }
    let beyond = "reach beyond the end of the file";
    let start = entry
        .data_start()
        .and_then(|start| usize::try_from(start).ok())
        .ok_or(beyond)?;
    let len = usize::try_from(entry.compressed_size()).map_err(|_| beyond)?;
    match start.checked_add(len) {
        Some(end) if end <= map.len() => Ok(Checked {
            start,
            len,
            sum: Checksum::Crc32(entry.crc32()),
        }),
        _ => Err(beyond.to_owned()),
    }
}

/// Where a tensor's numbers lie, or `None` where they are not all inside the storage.
///
/// A view that shows numbers of a small storage many times over (strides of 0) is refused
/// too: its size in memory would be whatever the file says.
fn place(tensor: PickledTensor, storage: Checked) -> Option<Entry> {
    let PickledTensor {
        dtype,
        numbers,
        offset,
        shape,
        strides,
        ..
    } = tensor;
    let size = dtype.size().unwrap_or(1);
    if shape.len() != strides.len() || numbers.checked_mul(size)? > storage.len {
        return None;
    }
    let count = shape
        .iter()
        .try_fold(1_usize, |count, length| count.checked_mul(*length))?;
    if count > numbers {
        return None;
    }
    if count > 0 {
        let last = shape
            .iter()
            .zip(&strides)
            .try_fold(offset, |last, (length, stride)| {
                last.checked_add((length - 1).checked_mul(*stride)?)
            })?;
        if last >= numbers {
            return None;
        }
    }
    let start = if count > 0 {
        storage.start + offset * size
    } else {
        storage.start
    };
    let strides = (!is_row_major(&shape, &strides)).then_some(strides);
    let end = match strides {
        Some(_) => storage.start + storage.len,
        None => start + count * size,
    };
    let part = Part {
        file: 0,
        start,
        len: end - start,
        checked: Some(storage),
    };
    Some(Entry {
        dtype,
        shape,
        parts: vec![part],
        regions: None,
        strides,
    })
}

/// Whether strides are those of a tensor without gaps; axes of length 1 are never stepped along.
fn is_row_major(shape: &[usize], strides: &[usize]) -> bool {
    let mut step = 1;
    shape.contains(&0)
        || shape.iter().zip(strides).rev().all(|(length, stride)| {
            let fits = *length == 1 || *stride == step;
            step *= length;
            fits
        })
}

#[cfg(test)]
mod tests;
