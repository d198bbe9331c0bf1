//! Files of the real package (`fixtures/mindrecord.py`) against the rows that they were written from.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use tempfile::TempDir;

use crate::data::records::tests::{fixture, read};
use crate::data::records::{Fields, RecordFormat, RecordReader, recognize_records};

/// Unpacks files of the fixtures, in their order.
fn unpacked(folder: &TempDir, names: &[&str]) -> Vec<PathBuf> {
    let unpack = |name: &&str| {
        let packed = fs::read(fixture("mindrecord").join(format!("{name}.gz"))).unwrap();
        let mut bytes = Vec::new();
        GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    names.iter().map(unpack).collect()
}

fn rows(files: &[PathBuf], is_labelled: bool) -> Result<Vec<Fields>, String> {
    read(files, RecordFormat::MindRecord, None, is_labelled)
}

const SHARDS: [&str; 4] = [
    "shards.mindrecord0",
    "shards.mindrecord1",
    "shards.mindrecord2",
    "shards.mindrecord3",
];

#[test]
fn files_of_every_kind_hold_the_rows_of_the_tfrecord() {
    let train = [fixture("records/train.tf_record")];
    let expected = read(&train, RecordFormat::TfRecord, None, true).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for names in [
        &["int32.mindrecord"][..],
        &["int64.mindrecord"],
        &["scalar.mindrecord"],
        &["more.mindrecord"],
        &["appended.mindrecord"],
        &SHARDS,
    ] {
        let files = unpacked(&folder, names);
        let found = recognize_records(&files[0]).unwrap();
        assert_eq!(found, Some(RecordFormat::MindRecord));
        assert!(rows(&files, true).unwrap() == expected, "{names:?}");
    }
}

#[test]
fn rows_of_several_pages_are_read_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let found = rows(&unpacked(&folder, &["pages.mindrecord"]), false).unwrap();
    let expected = fs::read(fixture("mindrecord/pages.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_slice(&expected).unwrap();
    assert_eq!(expected["rows"], found.len());
    let sum: i64 = found.iter().flat_map(|row| &row.ids).sum();
    assert_eq!(expected["sum of input_ids"], sum);
    assert_eq!(
        expected["last row"],
        serde_json::json!(found.last().unwrap().ids)
    );
}

#[test]
fn a_missing_shard_is_named_unless_one_is_read_alone() {
    let folder = tempfile::tempdir().unwrap();
    let files = unpacked(&folder, &SHARDS);
    let found = rows(&files[..3], true).unwrap_err();
    assert!(
        found.ends_with("is one of 4 shards, and shard `shards.mindrecord3` is missing"),
        "{found}"
    );
    let alone = &files[1..2];
    let mut reader = RecordReader::new(alone, RecordFormat::MindRecord, None, true).unwrap();
    assert!(reader.is_part());
    let mut count = 0;
    while reader.next_record().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 10);
}

#[test]
fn an_encrypted_file_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.mindrecord");
    fs::write(&path, [&[7; 500][..], b"AES-GCMENCRYPT"].concat()).unwrap();
    let found = recognize_records(&path).unwrap();
    assert_eq!(found, Some(RecordFormat::MindRecord));
    let found = rows(&[path], true).unwrap_err();
    assert!(
        found.ends_with("is encrypted by MindSpore (AES-GCM)"),
        "{found}"
    );
}

#[test]
fn files_that_are_cut_off_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = unpacked(&folder, &["scalar.mindrecord"]).remove(0);
    let whole = fs::read(&path).unwrap();
    for length in [0, 7, 8, 300, 16384, 20000, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let found = rows(std::slice::from_ref(&path), true).unwrap_err();
        assert!(found.contains("is cut off"), "{length}: {found}");
    }
}

/// Nothing covers the values of arrays and scalars: a byte of them may change its own row.
#[test]
fn a_flipped_byte_is_seen_or_changes_one_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = unpacked(&folder, &["scalar.mindrecord"]).remove(0);
    let whole = fs::read(&path).unwrap();
    let files = [path];
    let expected = rows(&files, true).unwrap();
    let header = 8 + usize::try_from(u64::from_le_bytes(whole[..8].try_into().unwrap())).unwrap();
    let used: Vec<usize> = (0..whole.len())
        .filter(|at| *at < header || whole[*at] != 0 || at % 199 == 0)
        .collect();
    for at in used {
        for bits in [1, 0xff] {
            let file = fs::File::options().write(true).open(&files[0]).unwrap();
            file.write_all_at(&[whole[at] ^ bits], at as u64).unwrap();
            let found = rows(&files, true);
            file.write_all_at(&whole[at..=at], at as u64).unwrap();
            let Ok(found) = found else {
                continue;
            };
            let changed = found.iter().zip(&expected);
            let changed = changed.filter(|(found, expected)| found != expected);
            let most = usize::from(at >= header);
            assert!(
                found.len() == expected.len() && changed.count() <= most,
                "byte {at} ^ {bits:#x}"
            );
        }
    }
}
