use std::fs;
use std::io::Write;

use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;
use crate::model::Weights;

/// An archive of `a`, a tensor of the given sizes in a storage of six floats, 0 to 5.
fn archive(offset: u8, shape: [u8; 2], strides: [u8; 2], method: CompressionMethod) -> Vec<u8> {
    let mut pickle =
        b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage\
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
