//! Records of TensorFlow: framing, columns, schema and rows. Those of MindSpore are in `mindrecord/tests.rs`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use tempfile::TempDir;

use super::*;
use crate::data::error::DataError;

pub(super) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures")
        .join(name)
}

/// The fields of a row, without its record.
#[derive(Debug, PartialEq)]
pub(super) struct Whole {
    pub(super) ids: Vec<i64>,
    mask: Vec<i64>,
    segments: Vec<i64>,
    label: Option<Label>,
}

impl From<Fields<'_>> for Whole {
    fn from(fields: Fields) -> Self {
        Self {
            ids: fields.ids.iter().collect(),
            mask: fields.mask.iter().collect(),
            segments: fields.segments.iter().collect(),
            label: fields.label,
        }
    }
}

/// All rows of files, or the first fault.
pub(super) fn read(
    files: &[PathBuf],
    format: RecordFormat,
    schema: Option<&Schema>,
    is_labelled: bool,
) -> Result<Vec<Whole>, String> {
    let shown = |error: DataError| error.to_string();
    let mut reader = RecordReader::new(files, format, schema, false).map_err(shown)?;
    let mut rows = Vec::new();
    while let Some(record) = reader.next_record().map_err(shown)? {
        let fields = record.fields(schema, is_labelled);
        let fields = fields.map_err(|fault| format!("record {}: {fault}", record.number))?;
        rows.push(fields.into());
    }
    Ok(rows)
}

fn masked(bytes: &[u8]) -> [u8; 4] {
    let sum = crc32c::crc32c(bytes);
    sum.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), data, &masked(data)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            bytes.push(low & 0x7f);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// A field that holds bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2], &varint(bytes.len() as u64)[..], bytes].concat()
}

#[derive(Clone, Copy)]
enum Form {
    Packed,
    OneTagEach,
    Floats,
    Strings,
}

/// An entry of the map of features.
fn entry(name: &str, values: &[i64], form: Form) -> Vec<u8> {
    let varints = values.iter().map(|value| varint((*value).cast_unsigned()));
    let feature = match form {
        Form::Packed => field(3, &field(1, &varints.collect::<Vec<_>>().concat())),
        Form::OneTagEach => {
            let values = varints.map(|bytes| [&[1 << 3], &bytes[..]].concat());
            field(3, &values.collect::<Vec<_>>().concat())
        }
        Form::Floats => {
            let values = values
                .iter()
                .flat_map(|value| (*value as f32).to_le_bytes());
            field(2, &field(1, &values.collect::<Vec<_>>()))
        }
        Form::Strings => {
            let values = values.iter().map(|value| field(1, &value.to_le_bytes()));
            field(1, &values.collect::<Vec<_>>().concat())
        }
    };
    field(1, &[field(1, name.as_bytes()), field(2, &feature)].concat())
}

fn example(entries: &[Vec<u8>]) -> Vec<u8> {
    field(1, &entries.concat())
}

/// A row of these tokens in four places, with a label.
fn row(ids: &[i64], label: i64) -> Vec<u8> {
    let padded = |value: &dyn Fn(usize) -> i64| (0..4).map(value).collect::<Vec<_>>();
    let is_token = |place: usize| i64::from(place < ids.len());
    example(&[
        entry(
            IDS,
            &padded(&|place| ids.get(place).copied().unwrap_or(0)),
            Form::Packed,
        ),
        entry(MASK, &padded(&is_token), Form::Packed),
        entry(SEGMENTS, &padded(&|_| 0), Form::Packed),
        entry(LABEL, &[label], Form::Packed),
    ])
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// Rows of a file of this content.
fn rows_of(bytes: &[u8]) -> Result<Vec<Whole>, String> {
    let folder = Folder::new();
    let path = folder.write("x.tf_record", bytes);
    let found = read(&[path], RecordFormat::TfRecord, None, true);
    found.map_err(|text| text.replace(&folder.0.path().display().to_string(), "."))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn two_rows() -> Vec<u8> {
    [framed(&row(&[2, 7, 3], 1)), framed(&row(&[2, 8, 9, 3], 0))].concat()
}

#[test]
fn rows_are_read_in_the_order_of_the_file() {
    let rows = rows_of(&two_rows()).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&rows[0].ids[..], rows[0].label),
        (&[2, 7, 3, 0][..], Some(Label::Int(1)))
    );
    assert_eq!(
        (&rows[1].ids[..], &rows[1].mask[..]),
        (&[2, 8, 9, 3][..], &[1; 4][..])
    );
    let train = fixture("records/train.tf_record");
    assert_eq!(
        read(&[train], RecordFormat::TfRecord, None, true)
            .unwrap()
            .len(),
        40
    );
    assert_eq!(rows_of(b"").unwrap(), []);
}

#[test]
fn lists_with_one_tag_a_value_are_read_as_packed_ones() {
    let row = |form| {
        let values = [2, -1, i64::MIN, i64::MAX, 300];
        let columns = [IDS, MASK, SEGMENTS].map(|name| entry(name, &values, form));
        rows_of(&framed(&example(
            &[&columns[..], &[entry(LABEL, &[4], form)]].concat(),
        )))
    };
    let found = row(Form::OneTagEach).unwrap();
    assert_eq!(found[0].ids, [2, -1, i64::MIN, i64::MAX, 300]);
    assert_eq!(found, row(Form::Packed).unwrap());
}

#[test]
fn a_missing_part_is_named_unless_one_is_read_alone() {
    let folder = Folder::new();
    let parts =
        [0, 2].map(|part| folder.write(&format!("x.tf_record-{part:05}-of-00003"), &two_rows()));
    let found = read(&parts, RecordFormat::TfRecord, None, true).unwrap_err();
    assert!(
        found.ends_with("is one of 3 parts, and part `x.tf_record-00001-of-00003` is missing"),
        "{found}"
    );
    assert!(RecordReader::new(&parts[..1], RecordFormat::TfRecord, None, true).is_ok());
    // Other names have no parts.
    let file = folder.write("a-1-of-2", &two_rows());
    assert!(read(&[file], RecordFormat::TfRecord, None, true).is_ok());
}

#[test]
fn compressed_files_are_known_by_their_content() {
    let plain = fs::read(fixture("records/train.tf_record")).unwrap();
    let rows = rows_of(&plain).unwrap();
    let members = [gzip(&plain[..100]), gzip(&plain[100..])].concat();
    for packed in [gzip(&plain), zlib(&plain), members] {
        assert_eq!(rows_of(&packed).unwrap(), rows);
    }
    // A length whose first bytes are those of gzip.
    let long = framed(&vec![0; 0x8b1f]);
    assert_eq!(long[..2], [0x1f, 0x8b]);
    let found = rows_of(&long).unwrap_err();
    assert!(found.contains("is not a `tf.train.Example`"), "{found}");
}

#[test]
fn files_are_recognized_by_their_first_bytes() {
    let folder = Folder::new();
    let found = |bytes: &[u8]| recognize_records(&folder.write("x", bytes)).unwrap();
    let records = Some(RecordFormat::TfRecord);
    assert_eq!(found(&two_rows()), records);
    assert_eq!(found(&gzip(&two_rows())), records);
    assert_eq!(found(&zlib(&two_rows())), records);
    for other in [&b""[..], b"text\tlabel\n", &gzip(b"text\tlabel\n")] {
        assert_eq!(found(other), None);
    }
}

#[test]
fn a_file_that_ends_within_a_record_is_cut_off() {
    let whole = two_rows();
    let first = framed(&row(&[2, 7, 3], 1)).len();
    for cut in 1..whole.len() {
        let found = rows_of(&whole[..cut]);
        if cut == first {
            assert_eq!(found.unwrap().len(), 1);
            continue;
        }
        let (number, byte) = if cut < first { (1, 0) } else { (2, first) };
        let expected = format!("`./x.tf_record`, record {number} at byte {byte}, is cut off: ");
        let found = found.unwrap_err();
        assert!(found.starts_with(&expected), "{cut}: {found}");
        assert!(
            found.contains(&format!(": {} of its ", cut - byte)),
            "{found}"
        );
        let packed = rows_of(&gzip(&whole[..cut])).unwrap_err();
        assert_eq!(packed, found);
    }
}

#[test]
fn damage_is_named_by_record_and_byte() {
    let first = framed(&row(&[2, 7, 3], 1)).len();
    let with = |at: usize, bits: u8| {
        let mut bytes = two_rows();
        bytes[at] ^= bits;
        rows_of(&bytes).unwrap_err()
    };
    let start = format!("`./x.tf_record`, record 2 at byte {first}, ");
    let length = "has a damaged length: it does not match its checksum";
    assert_eq!(with(first + 7, 0x80), format!("{start}{length}"));
    let data = "is damaged: its data do not match their checksum";
    assert_eq!(with(first + 20, 1), format!("{start}{data}"));
    let huge = (1_u64 << 40).to_le_bytes();
    let huge = [&huge[..], &masked(&huge)].concat();
    assert_eq!(
        rows_of(&huge).unwrap_err(),
        "`./x.tf_record`, record 1 at byte 0, is 1099511627776 bytes long, and at most 16777216 are read"
    );
    let found = rows_of(&framed(&[0xff; 20])).unwrap_err();
    assert!(
        found.starts_with("record 1: is not a `tf.train.Example`: "),
        "{found}"
    );
}

#[test]
fn no_flipped_byte_changes_a_row() {
    for (name, bytes) in [
        ("plain", two_rows()),
        ("gzip", gzip(&two_rows())),
        ("zlib", zlib(&two_rows())),
    ] {
        let rows = rows_of(&bytes).unwrap();
        for at in 0..bytes.len() {
            for bits in [1, 0x10, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= bits;
                match rows_of(&damaged) {
                    // Header and padding of a compressed stream hold what no row depends on.
                    Ok(found) => assert!(found == rows && name != "plain", "{name} byte {at}"),
                    Err(text) => assert!(text.contains("record "), "{text}"),
                }
            }
        }
    }
}

#[test]
fn columns_that_are_missing_or_of_another_kind_are_named() {
    let with = |entries: &[Vec<u8>]| rows_of(&framed(&example(entries))).unwrap_err();
    let ints = |name: &str| entry(name, &[1, 1], Form::Packed);
    let label = || entry(LABEL, &[1], Form::Packed);
    assert_eq!(
        with(&[ints(IDS), ints(SEGMENTS), label()]),
        "record 1: has no column `input_mask`; its columns are `input_ids`, `segment_ids`, `label_ids`"
    );
    assert_eq!(
        with(&[
            entry(IDS, &[1, 1], Form::Floats),
            ints(MASK),
            ints(SEGMENTS),
            label()
        ]),
        "record 1: has floats in `input_ids`, expected integers"
    );
    assert_eq!(
        with(&[ints(IDS), ints(MASK), ints(SEGMENTS), ints(LABEL)]),
        "record 1: has 2 values in `label_ids`, expected 1"
    );
    assert_eq!(
        with(&[
            ints(IDS),
            ints(MASK),
            ints(SEGMENTS),
            entry(LABEL, &[1], Form::Strings)
        ]),
        "record 1: has strings in `label_ids`, expected a number"
    );
    // The last of a name counts, and further columns do not matter.
    let twice = [
        entry(IDS, &[9], Form::Floats),
        ints("other"),
        ints(IDS),
        ints(MASK),
        ints(SEGMENTS),
    ];
    let score = entry(LABEL, &[3], Form::Floats);
    let found = rows_of(&framed(&example(&[&twice[..], &[score]].concat()))).unwrap();
    assert_eq!(
        (&found[0].ids[..], found[0].label),
        (&[1, 1][..], Some(Label::Float(3.0)))
    );
}

fn schema(text: &str) -> Result<Schema, String> {
    let folder = Folder::new();
    let path = folder.write("s.json", text.as_bytes());
    let shown = |error: DataError| {
        error
            .to_string()
            .replace(&path.display().to_string(), "s.json")
    };
    let schema = Schema::read(&path).map_err(shown)?;
    schema
        .check_columns(&path, wanted_columns(true))
        .map_err(shown)?;
    Ok(schema)
}

/// A schema of rows of four tokens, with changes.
fn four(from: &str, to: &str) -> Result<Schema, String> {
    let column = |name: &str, length: usize| {
        format!(r#""{name}": {{"type": "int64", "rank": 1, "shape": [{length}]}}"#)
    };
    let columns =
        [(IDS, 4), (MASK, 4), (SEGMENTS, 4), (LABEL, 1)].map(|(name, length)| column(name, length));
    let text = format!(
        r#"{{"datasetType": "TF", "numRows": 9, "columns": {{{}}}}}"#,
        columns.join(", ")
    );
    assert!(text.contains(from), "{from}");
    schema(&text.replacen(from, to, 1))
}

fn rows_with(schema: &Schema) -> Result<usize, String> {
    let folder = Folder::new();
    let path = folder.write("x.tf_record", &two_rows());
    let files = [path.clone(), path];
    read(&files, RecordFormat::TfRecord, Some(schema), true).map(|rows| rows.len())
}

#[test]
fn a_schema_states_how_many_rows_of_all_files_are_read() {
    for (rows, expected) in [("9", 4), ("4", 4), ("3", 3), ("1", 1), ("0", 4)] {
        let schema = four("\"numRows\": 9", &format!("\"numRows\": {rows}")).unwrap();
        assert_eq!(rows_with(&schema), Ok(expected), "{rows}");
    }
    assert_eq!(rows_with(&four("\"numRows\": 9, ", "").unwrap()), Ok(4));
}

#[test]
fn records_must_have_the_columns_and_shapes_of_the_schema() {
    let found = |from: &str, to: &str| rows_with(&four(from, to).unwrap());
    assert_eq!(
        found("[4]", "[8]").unwrap_err(),
        "record 1: has 4 values in `input_ids`, and the schema states the shape [8]"
    );
    assert_eq!(
        found("\"int64\"", "\"float32\"").unwrap_err(),
        "record 1: has integers in `input_ids`, expected floats"
    );
    let more = r#""columns": {"other": {"type": "int64"}, "#;
    assert_eq!(
        found("\"columns\": {", more).unwrap_err(),
        "record 1: has no column `other`; its columns are `input_ids`, `input_mask`, `segment_ids`, `label_ids`"
    );
    for (from, to) in [
        // Narrower than the record's 64 bits.
        ("\"int64\"", "\"int8\""),
        ("[4]", "[-1]"),
        ("[4]", "[2, 2]"),
        ("\"rank\": 1, ", ""),
        (", \"shape\": [4]", ""),
    ] {
        let to = to.replace("[2, 2]", "[4]");
        assert_eq!(found(from, &to), Ok(4), "{from}");
    }
    let narrow = r#"{"columns": {"input_ids": {"type": "bool"}, "input_mask": {"type": "bool"},
        "segment_ids": {"type": "bool"}, "label_ids": {"type": "bool", "rank": 0, "shape": []}}}"#;
    assert_eq!(
        rows_with(&schema(narrow).unwrap()).unwrap_err(),
        "record 1: has 2 in `input_ids`, and the schema states the type `bool`"
    );
}

#[test]
fn a_schema_at_fault_is_named_by_line_or_key() {
    let found = |text: &str| schema(text).unwrap_err();
    let json = found("{\n\"columns\": {,}}");
    assert!(json.starts_with("`s.json:2` is not JSON: "), "{json}");
    assert_eq!(
        found("[]"),
        "`s.json` is not a schema: expected a JSON object with `columns`"
    );
    assert_eq!(found("{}"), "`s.json` has no key `columns`");
    assert_eq!(
        found("{\"columns\": {}}"),
        "`s.json` has no column `input_ids` in `columns`"
    );
    let change = |from: &str, to: &str| four(from, to).unwrap_err();
    assert_eq!(
        change(": 9", ": -1"),
        "`s.json` has `numRows` = -1, expected a number of rows"
    );
    assert_eq!(
        change("\"int64\"", "\"int63\""),
        "`s.json` has `columns.input_ids.type` = \"int63\", expected a type such as \"int64\""
    );
    assert_eq!(
        change("\"type\": \"int64\", ", ""),
        "`s.json` has no key `columns.input_ids.type`"
    );
    assert_eq!(
        change("\"rank\": 1", "\"rank\": 2"),
        "`s.json` has `columns.input_ids.rank` = 2, expected 1, the axes of `columns.input_ids.shape`"
    );
    assert_eq!(
        change("[4]", "[-2]"),
        "`s.json` has `columns.input_ids.shape` = [-2], expected a list of lengths"
    );
    let list = r#"{"columns": [{"name": "input_ids", "type": "int32"}, {"type": "int32"}]}"#;
    assert_eq!(found(list), "`s.json` has no `name` in `columns[1]`");
}

const RULES: RowRules = RowRules {
    vocab_size: 10,
    pad: 0,
    has_second_segment: true,
    longest: Longest::Written(6),
};

/// What the rules make of a row; it is the same however its numbers are held.
fn checked(
    rules: RowRules,
    ids: &[i64],
    mask: &[i64],
    segments: &[i64],
) -> Result<TokenRow, RecordFault> {
    let wide = |values: &[i64]| Ints::Wide(values.to_vec());
    let words = |values: &[i64]| {
        let words = values.iter().map(|value| u32::try_from(*value).ok());
        words.collect::<Option<Vec<_>>>().map(Ints::Words)
    };
    let bytes = |values: &[i64]| {
        let bytes = values.iter().map(|value| u8::try_from(*value).ok());
        bytes.collect::<Option<Vec<_>>>()
    };
    let narrow = [ids, mask, segments].map(bytes);
    let [narrow_ids, narrow_mask, narrow_segments] = narrow
        .each_ref()
        .map(|bytes| bytes.as_deref().map(Ints::Bytes));
    let held = |ids: Option<Ints>, mask: Option<Ints>, segments: Option<Ints>| {
        let fields = Fields {
            ids: ids?,
            mask: mask?,
            segments: segments?,
            label: None,
        };
        Some(rules.row(fields))
    };
    let expected = held(Some(wide(ids)), Some(wide(mask)), Some(wide(segments))).unwrap();
    for found in [
        held(words(ids), words(mask), words(segments)),
        held(words(ids), narrow_mask, narrow_segments.clone()),
        held(narrow_ids, Some(wide(mask)), narrow_segments),
    ] {
        assert!(found.is_none_or(|found| found == expected));
    }
    expected
}

#[test]
fn a_row_loses_its_padding() {
    let found = checked(
        RULES,
        &[2, 7, 3, 8, 3, 0],
        &[1, 1, 1, 1, 1, 0],
        &[0, 0, 0, 1, 1, 0],
    );
    let found = found.unwrap();
    assert_eq!(
        (&found.input_ids[..], found.text_b_start, found.width),
        (&[2, 7, 3, 8, 3][..], 3, 6)
    );
    let found = checked(RULES, &[2, 3], &[1, 1], &[0, 0]).unwrap();
    assert_eq!((found.text_b_start, found.width), (2, 2));
}

#[test]
fn a_row_that_a_store_cannot_hold_is_refused() {
    let found = |ids: &[i64], mask: &[i64], segments: &[i64]| {
        checked(RULES, ids, mask, segments).unwrap_err().to_string()
    };
    let ids = [2, 7, 3, 0];
    let (mask, none) = ([1, 1, 1, 0], [0; 4]);
    assert_eq!(
        found(&ids, &[1, 0, 1, 0], &none),
        "has 1 at position 2 of `input_mask`, which must be ones and then zeros"
    );
    assert_eq!(
        found(&ids, &[1, 1, 2, 0], &none),
        "has 2 at position 2 of `input_mask`, which must be ones and then zeros"
    );
    assert_eq!(
        found(&ids, &none, &none),
        "has no token: its `input_mask` is 0 throughout"
    );
    assert_eq!(
        found(&[2, 10, 3, 0], &mask, &none),
        "has the id 10 at position 1, and the model has 10 tokens"
    );
    assert_eq!(
        found(&[2, -1, 3, 0], &mask, &none),
        "has the id -1 at position 1, and the model has 10 tokens"
    );
    assert_eq!(
        found(&[2, 7, 3, 5], &mask, &none),
        "has the id 5 at position 3, where `input_mask` is 0; the model's padding is 0"
    );
    for (segments, value, position) in [
        ([0, 1, 0, 0], 0, 2),
        ([0, 2, 1, 0], 2, 1),
        ([0, 1, 1, 1], 1, 3),
    ] {
        let expected =
            format!("has {value} at position {position} of `segment_ids`, which must be");
        let found = found(&ids, &mask, &segments);
        assert!(found.starts_with(&expected), "{found}");
    }
    assert_eq!(
        found(&ids, &mask[..3], &none),
        "has 3 values in `input_mask`, expected 4"
    );
    assert_eq!(
        found(&[2; 7], &[1; 7], &[0; 7]),
        "has 7 tokens, and `max-seq-length` is 6"
    );
    let one = RowRules {
        has_second_segment: false,
        longest: Longest::Positions(3),
        ..RULES
    };
    let row = |length: usize, segment: i64| {
        checked(
            one,
            &vec![2; length],
            &vec![1; length],
            &vec![segment; length],
        )
    };
    assert_eq!(
        row(3, 1).unwrap_err().to_string(),
        "has a second segment, and the model has one"
    );
    assert_eq!(
        row(4, 0).unwrap_err().to_string(),
        "has 4 tokens, and the models have 3 positions"
    );
}
