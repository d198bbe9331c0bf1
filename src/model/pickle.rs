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
    if archive
        .index_for_name(&format!("{root}byteorder"))
        .is_some()
    {
        let order = read_small(path, &mut archive, &format!("{root}byteorder"), 64)?;
        if order != b"little" {
            return Err(ModelError::damaged(
                path,
                "its numbers are big-endian, which is not read",
            ));
        }
    }
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
mod tests {
    use std::fs;
    use std::io::Write;

    use tempfile::TempDir;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::model::Weights;

    /// An archive of `a`, a tensor of the given sizes in a storage of six floats, 0 to 5.
    fn archive(offset: u8, shape: [u8; 2], strides: [u8; 2], method: CompressionMethod) -> Vec<u8> {
        let mut pickle = b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage\
            ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ"
            .to_vec();
        pickle.extend([b'K', offset, b'K', shape[0], b'K', shape[1], 0x86]);
        pickle.extend([
            b'K', strides[0], b'K', strides[1], 0x86, 0x89, b'N', b't', b'R', b's', b'.',
        ]);
        let numbers: Vec<u8> = (0_u8..6).flat_map(|n| f32::from(n).to_le_bytes()).collect();
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(method);
        for (name, content) in [("m/data.pkl", &pickle), ("m/data/0", &numbers)] {
            zip.start_file(name, options).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn open(bytes: &[u8]) -> Result<Weights, ModelError> {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("pytorch_model.bin");
        fs::write(&path, bytes).unwrap();
        Weights::open_file(&path)
    }

    fn stored(offset: u8, shape: [u8; 2], strides: [u8; 2]) -> Result<Weights, ModelError> {
        open(&archive(offset, shape, strides, CompressionMethod::Stored))
    }

    #[test]
    fn strides_are_honoured() {
        let row_major = stored(0, [2, 3], [3, 1]).unwrap();
        assert_eq!(
            row_major.to_f32("a").unwrap(),
            [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
        );
        let transposed = stored(0, [3, 2], [1, 3]).unwrap();
        assert_eq!(
            transposed.to_f32("a").unwrap(),
            [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
        );
        let column = stored(1, [2, 1], [3, 1]).unwrap();
        assert_eq!(column.to_f32("a").unwrap(), [1.0, 4.0]);
        let empty = stored(0, [0, 9], [9, 1]).unwrap();
        assert!(empty.to_f32("a").unwrap().is_empty());
    }

    #[test]
    fn a_view_beyond_its_storage_or_many_times_over_it_is_damage() {
        for (offset, shape, strides) in [
            (0, [2, 4], [4, 1]),
            (1, [2, 3], [3, 1]),
            (0, [2, 2], [255, 1]),
            (0, [200, 200], [0, 0]),
        ] {
            let error = stored(offset, shape, strides).unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains("tensor `a` reaches beyond its storage"),
                "{error}"
            );
        }
    }

    #[test]
    fn compressed_numbers_are_refused() {
        let error = open(&archive(0, [2, 3], [3, 1], CompressionMethod::Deflated)).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("the numbers of `a` are compressed"),
            "{error}"
        );
    }

    #[test]
    fn a_changed_byte_among_the_numbers_is_found_by_its_checksum() {
        let mut bytes = archive(0, [2, 3], [3, 1], CompressionMethod::Stored);
        let at = bytes
            .windows(4)
            .position(|four| four == 5.0_f32.to_le_bytes())
            .unwrap();
        bytes[at] ^= 1;
        let error = open(&bytes).unwrap().to_f32("a").unwrap_err();
        assert!(
            error.to_string().contains("the checksum of tensor `a`"),
            "{error}"
        );
    }

    #[test]
    fn no_cut_or_changed_byte_of_an_archive_panics() {
        let bytes = archive(0, [2, 3], [3, 1], CompressionMethod::Stored);
        let path = Path::new("m.bin");
        for length in 0..bytes.len() {
            assert!(read_entries(path, &bytes[..length]).is_err(), "{length}");
        }
        let mut changed = bytes.clone();
        for at in 0..bytes.len() {
            for other in [0, 1, 0x7f, 0x80, 0xff] {
                changed[at] = other;
                drop(read_entries(path, &changed));
            }
            changed[at] = bytes[at];
        }
    }

    #[test]
    fn a_file_from_before_zip_archives_is_refused_with_a_way_out() {
        let error = open(b"\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.").unwrap_err();
        assert!(matches!(error, ModelError::OldFormat { .. }));
        assert!(error.hint().unwrap().contains("save_pretrained"));
    }
}
