//! The token store: what data preparation leaves and the kernel trains on
//! (docs/concepts/file-formats.md#token-store).
//!
//! A folder of three files:
//!
//! | file | what it holds |
//! |---|---|
//! | `tokens.bin` | ids of all examples one after the other, `[CLS]` and `[SEP]` included, u32 little-endian |
//! | `rows.bin` | one 16-byte row an example: end in `tokens.bin` (u64), start of the second text (u32), label (f32) |
//! | `store.json` | [`StoreMeta`]; written last, so that a folder without it is not a store |
//!
//! Writing streams; reading maps the files where the file system can, so neither needs memory that grows with the data.

mod check;
mod error;
mod reader;
mod writer;

pub use error::StoreError;
pub use reader::TokenStore;
pub use writer::StoreWriter;

use std::io::{self, Write};
use std::path::Path;

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

use crate::system::write_atomic;

/// Version of the layout. Bumped with every change of it.
pub const VERSION: u32 = 1;

const TOKENS: &str = "tokens.bin";
const ROWS: &str = "rows.bin";
const META: &str = "store.json";

const _: () = assert!(
    cfg!(target_endian = "little"),
    "the files are mapped as they are, and are little-endian"
);

/// What a token store says about itself, in `store.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreMeta {
    /// [`VERSION`] of the program that wrote it.
    pub version: u32,
    /// Examples.
    pub examples: u64,
    /// Tokens of all examples, special tokens included.
    pub tokens: u64,
    /// No example is longer, in tokens.
    pub max_seq_length: usize,
    /// Every id is below it.
    pub vocab_size: usize,
    /// Id that fills up a batch.
    pub pad_token_id: u32,
    /// Label names in class order; empty where examples carry no label or a number.
    pub labels: Vec<String>,
}

impl StoreMeta {
    /// Settings of a store that is about to be written.
    pub fn new(
        max_seq_length: usize,
        vocab_size: usize,
        pad_token_id: u32,
        labels: Vec<String>,
    ) -> Self {
        Self {
            version: VERSION,
            examples: 0,
            tokens: 0,
            max_seq_length,
            vocab_size,
            pad_token_id,
            labels,
        }
    }
}

/// One example's entry in `rows.bin`.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Row {
    /// Index in `tokens.bin` after the example's last token.
    end: u64,
    /// Index within the example of its first token of segment 1; its length where it has none.
    text_b_start: u32,
    /// Class index or value; NaN where there is none.
    label: f32,
}

const ROW_BYTES: u64 = size_of::<Row>() as u64;

/// Writes `value` as indented JSON and hands it to the disk. A file of this name appears whole
/// or not at all.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    write_atomic(path, |file| {
        serde_json::to_writer_pretty(&mut *file, value)?;
        file.write_all(b"\n")
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;

    fn meta() -> StoreMeta {
        StoreMeta::new(8, 50, 0, vec!["negative".to_owned(), "positive".to_owned()])
    }

    /// Three examples: labelled single, labelled pair, single without label.
    fn store() -> (TempDir, PathBuf) {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("train");
        let mut writer = StoreWriter::create(&folder, meta()).unwrap();
        writer.push(&[1, 7, 2], 3, Some(1.0)).unwrap();
        writer.push(&[1, 7, 2, 8, 9, 2], 3, Some(0.0)).unwrap();
        writer.push(&[1, 2], 2, None).unwrap();
        writer.finish().unwrap();
        (temp, folder)
    }

    fn overwrite(folder: &Path, name: &str, at: usize, bytes: &[u8]) {
        let path = folder.join(name);
        let mut content = fs::read(&path).unwrap();
        content[at..at + bytes.len()].copy_from_slice(bytes);
        fs::write(path, content).unwrap();
    }

    fn fault(folder: &Path) -> String {
        let error = TokenStore::open(folder).unwrap_err();
        assert!(error.hint().is_some());
        error
            .to_string()
            .replace(&folder.display().to_string(), "store")
    }

    #[test]
    fn what_is_written_is_read() {
        let (_temp, folder) = store();
        let store = TokenStore::open(&folder).unwrap();
        assert_eq!(store.len(), 3);
        assert_eq!(store.input_ids(0), [1, 7, 2]);
        assert_eq!(store.input_ids(1), [1, 7, 2, 8, 9, 2]);
        assert_eq!(store.input_ids(2), [1, 2]);
        assert_eq!([0, 1, 2].map(|i| store.text_b_start(i)), [3, 3, 2]);
        assert_eq!(
            [0, 1, 2].map(|i| store.label(i)),
            [Some(1.0), Some(0.0), None]
        );
        assert_eq!(store.lengths(), [3, 6, 2]);
        let expected = StoreMeta {
            examples: 3,
            tokens: 11,
            ..meta()
        };
        assert_eq!(store.meta(), &expected);
    }

    #[test]
    fn a_store_that_was_not_finished_does_not_open() {
        let (_temp, folder) = store();
        let mut writer = StoreWriter::create(&folder, meta()).unwrap();
        writer.push(&[1, 2], 2, None).unwrap();
        drop(writer);
        assert_eq!(
            fault(&folder),
            "`store` is not a token store: it has no `store.json`"
        );
    }

    #[test]
    fn a_file_that_was_cut_off_is_named_with_its_sizes() {
        for (name, size) in [(TOKENS, 44), (ROWS, 48)] {
            let (_temp, folder) = store();
            let file = fs::OpenOptions::new()
                .write(true)
                .open(folder.join(name))
                .unwrap();
            file.set_len(size - 3).unwrap();
            let expected = format!(
                "`store/{name}` is damaged: it has {} bytes and should have {size}",
                size - 3
            );
            assert_eq!(fault(&folder), expected);
        }
    }

    #[test]
    fn an_id_outside_the_vocabulary_is_found() {
        let (_temp, folder) = store();
        overwrite(&folder, TOKENS, 16, &50_u32.to_le_bytes());
        assert_eq!(
            fault(&folder),
            "`store/tokens.bin` is damaged: token 4 has the id 50 in a vocabulary of 50"
        );
    }

    #[test]
    fn rows_that_contradict_each_other_are_found() {
        let end = |value: u64| value.to_le_bytes().to_vec();
        let cases = [
            (16, end(3), "row 1 has an end outside the tokens"),
            (16, end(12), "row 1 has an end outside the tokens"),
            (
                32,
                [end(10), 1_u32.to_le_bytes().to_vec()].concat(),
                "row 2 has an end before the last token",
            ),
            (
                24,
                7_u32.to_le_bytes().to_vec(),
                "row 1 has a second text that starts after its end",
            ),
            (
                28,
                2_f32.to_le_bytes().to_vec(),
                "row 1 has a label that is not a class",
            ),
            (
                28,
                f32::INFINITY.to_le_bytes().to_vec(),
                "row 1 has a label that is not a class",
            ),
        ];
        for (at, bytes, expected) in cases {
            let (_temp, folder) = store();
            overwrite(&folder, ROWS, at, &bytes);
            assert_eq!(
                fault(&folder),
                format!("`store/rows.bin` is damaged: {expected}")
            );
        }
    }

    #[test]
    fn another_version_is_told_from_damage() {
        let (_temp, folder) = store();
        let path = folder.join(META);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"version\": 1", "\"version\": 9")).unwrap();
        assert_eq!(
            fault(&folder),
            "`store/store.json` has format version 9, and this tinyrun reads 1"
        );
        fs::write(&path, &text[..20]).unwrap();
        assert!(fault(&folder).starts_with("`store/store.json` is damaged: "));
    }

    #[test]
    fn a_store_without_examples_does_not_open() {
        let temp = tempfile::tempdir().unwrap();
        StoreWriter::create(temp.path(), meta())
            .unwrap()
            .finish()
            .unwrap();
        let error = TokenStore::open(temp.path()).unwrap_err();
        assert!(matches!(error, StoreError::Empty { .. }), "{error}");
    }

    #[test]
    #[should_panic(expected = "an id outside the vocabulary")]
    fn an_unknown_id_is_not_written() {
        let temp = tempfile::tempdir().unwrap();
        let mut writer = StoreWriter::create(temp.path(), meta()).unwrap();
        let _ = writer.push(&[1, 50], 2, None);
    }
}
