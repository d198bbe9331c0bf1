//! Files of the real package (`fixtures/mindrecord.py`) against the rows that they were written from.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use rusqlite::Connection;
use tempfile::TempDir;

use super::integers::pack;
use super::write_rows;
use crate::data::records::columns::{Column, Values};
use crate::data::records::tests::{Whole, fixture, read};
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

fn rows(files: &[PathBuf], is_labelled: bool) -> Result<Vec<Whole>, String> {
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
fn a_shard_under_the_name_of_another_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let files = unpacked(&folder, &SHARDS);
    fs::copy(&files[0], &files[1]).unwrap();
    let found = rows(&files, true).unwrap_err();
    assert!(
        found.ends_with("shards.mindrecord1` is shard `shards.mindrecord0` by its header"),
        "{found}"
    );
}

#[test]
fn tfrecord_in_place_of_mindrecord_is_named() {
    let found = rows(&[fixture("records/train.tf_record")], true).unwrap_err();
    assert!(
        found.ends_with("is a TFRecord file, expected MindRecord"),
        "{found}"
    );
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

/// Short rows, so many that they need several pages of both kinds.
fn many() -> Vec<Vec<Column<'static>>> {
    let column = |name: &'static str, values: Vec<i64>| Column {
        name: name.into(),
        values: Values::Ints(values.into()),
    };
    let row = |row: i64| {
        let ids = (0..4).map(|place| (row * 131 + place * 7) % 70_000);
        vec![
            column("input_ids", ids.collect()),
            column("input_mask", vec![1; 4]),
            column("label_ids", vec![row % 2]),
            column("segment_ids", vec![row % 300 - 150; 4]),
        ]
    };
    (0..10_000).map(row).collect()
}

#[test]
fn rows_that_are_written_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.mindrecord");
    write_rows(&path, many().into_iter()).unwrap();
    assert_eq!(
        recognize_records(&path).unwrap(),
        Some(RecordFormat::MindRecord)
    );
    let found = rows(&[path], true).unwrap();
    let expected = many()
        .into_iter()
        .map(|row| Whole::from(Fields::of(row, None, true).unwrap()));
    assert!(found.into_iter().eq(expected));
}

/// MindSpore finds a row by the database alone.
#[test]
fn the_database_has_the_place_of_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.mindrecord");
    write_rows(&path, many().into_iter()).unwrap();
    let bytes = fs::read(&path).unwrap();
    let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let size = |key: &str| usize::try_from(header[key].as_u64().unwrap()).unwrap();
    let pages = header["page"].as_array().unwrap();
    let kinds = pages.iter().filter(|page| page["page_type"] == "RAW_DATA");
    assert!(kinds.count() > 2 && pages.len() > 20, "{header:#}");

    let database = Connection::open(folder.path().join("x.mindrecord.db")).unwrap();
    let name: String = database
        .query_row("SELECT NAME FROM SHARD_NAME", [], |row| row.get(0))
        .unwrap();
    assert_eq!(name, "x.mindrecord");
    let mut places = database
        .prepare("SELECT * FROM INDEXES ORDER BY ROW_ID")
        .unwrap();
    let places = places.query_map([], |row| {
        let numbers: Result<Vec<usize>, _> = (0..8).map(|at| row.get(at)).collect();
        numbers
    });
    let row_at = |page: usize, start: usize, end: usize| {
        let page = size("header_size") + page * size("page_size");
        let (length, row) = bytes[page + start..page + end].split_first_chunk().unwrap();
        assert_eq!(u64::from_le_bytes(*length), row.len() as u64);
        row.to_vec()
    };
    let all = many();
    let mut count = 0;
    for (place, row) in places.unwrap().zip(&all) {
        let place = place.unwrap();
        assert_eq!(place[0], count);
        assert_eq!(row_at(place[1], place[2], place[3]), b"\x81\xa2id\0");
        let blob = row_at(place[5], place[6], place[7]).split_off(8);
        let Values::Ints(ids) = &row[0].values else {
            unreachable!()
        };
        assert!(
            blob.starts_with(&pack(&ids.iter().collect::<Vec<_>>())),
            "row {count}"
        );
        // Its group is the page of its arrays, whose scalars begin where the header says.
        let group = &pages[place[5]];
        assert_eq!(group["page_type_id"], place[4]);
        if group["start_row_id"] == place[0] {
            let begin = serde_json::json!({"id": place[4], "offset": place[2]});
            let groups = pages[place[1]]["row_group_ids"].as_array().unwrap();
            assert!(groups.contains(&begin));
        }
        count += 1;
    }
    assert_eq!(count, all.len());
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
