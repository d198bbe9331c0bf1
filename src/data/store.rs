//! The token store: what data preparation leaves and the kernel trains on.
//!
//! A folder of three files:
//!
//! | file | what it holds |
//! |---|---|
//! | `tokens.bin` | ids of all examples one after the other, `[CLS]` and `[SEP]` included, u32 little-endian |
//! | `rows.bin` | one 16-byte row an example: end in `tokens.bin` (u64), start of the second text (u32), label (f32) |
//! | `store.json` | [`StoreMeta`]; written last, so that a folder without it is not a store |
//!
//! Writing streams; reading maps the files, so neither needs memory that grows with the data.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use bytemuck::{Pod, Zeroable};
use memmap2::Mmap;
use serde::{Deserialize, Serialize};

/// Version of the layout. Bumped with every change of it.
pub const VERSION: u32 = 1;

const TOKENS: &str = "tokens.bin";
const ROWS: &str = "rows.bin";
const META: &str = "store.json";

/// Bytes read at once where a file is checked.
const CHECK_BUFFER: usize = 1 << 18;

const _: () = assert!(
    cfg!(target_endian = "little"),
    "the files are mapped as they are, and are little-endian"
);

/// Why a token store could not be written or opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk said no.
    #[error("could not {action} `{}`: {source}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
    /// There is no `store.json`.
    #[error("`{}` is not a token store: it has no `store.json`", folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
    },
    /// `store.json` does not read as one.
    #[error("`{}` is damaged: {source}", path.display())]
    Meta {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        source: serde_json::Error,
    },
    /// Written by another version.
    #[error("`{}` has format version {found}, and this tinyrun reads {VERSION}", path.display())]
    Version {
        /// `store.json`.
        path: PathBuf,
        /// Version it names.
        found: u64,
    },
    /// A file is shorter or longer than `store.json` says.
    #[error("`{}` is damaged: it has {found} bytes and should have {expected}", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// The size that follows from `store.json`.
        expected: u64,
    },
    /// A row contradicts its neighbours or the settings.
    #[error("`{}` is damaged: row {row} has {fault}", path.display())]
    Row {
        /// `rows.bin`.
        path: PathBuf,
        /// Index of the row, from 0.
        row: u64,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// An id that is not in the vocabulary.
    #[error("`{}` is damaged: token {token} has the id {id} in a vocabulary of {vocab_size}", path.display())]
    Token {
        /// `tokens.bin`.
        path: PathBuf,
        /// Index of the token, from 0.
        token: u64,
        /// Its id.
        id: u32,
        /// Ids go up to this, exclusive.
        vocab_size: usize,
    },
    /// There is nothing to train on or to score.
    #[error("the token store `{}` has no examples", folder.display())]
    Empty {
        /// The folder.
        folder: PathBuf,
    },
}

impl StoreError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { .. } | Self::Empty { .. } => None,
            _ => Some("run data preparation again with `--force`".to_owned()),
        }
    }
}

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

/// Writes a token store example by example.
#[derive(Debug)]
pub struct StoreWriter {
    folder: PathBuf,
    meta: StoreMeta,
    tokens: BufWriter<File>,
    rows: BufWriter<File>,
}

impl StoreWriter {
    /// Begins a store in `folder`, which is made if need be. A store that was there is gone.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub fn create(folder: &Path, meta: StoreMeta) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(|source| write_error(folder, source))?;
        let meta_path = folder.join(META);
        match fs::remove_file(&meta_path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(write_error(&meta_path, source));
            }
            _ => {}
        }
        let create = |name: &str| {
            let path = folder.join(name);
            File::create(&path)
                .map(|file| BufWriter::with_capacity(1 << 16, file))
                .map_err(|source| write_error(&path, source))
        };
        Ok(Self {
            folder: folder.to_owned(),
            meta: StoreMeta {
                version: VERSION,
                examples: 0,
                tokens: 0,
                ..meta
            },
            tokens: create(TOKENS)?,
            rows: create(ROWS)?,
        })
    }

    /// Appends an example: its ids with special tokens, the index of the first id of segment 1
    /// (the number of ids where there is none), and its class index or value.
    ///
    /// # Errors
    /// Where the disk is full or the like.
    ///
    /// # Panics
    /// Where the example is empty or longer than `max_seq_length`, `text_b_start` is outside it,
    /// an id is not in the vocabulary, or the label is not finite.
    pub fn push(
        &mut self,
        input_ids: &[u32],
        text_b_start: usize,
        label: Option<f32>,
    ) -> Result<(), StoreError> {
        let length = input_ids.len();
        assert!(
            length > 0 && length <= self.meta.max_seq_length && text_b_start <= length,
            "an example of {length} tokens with segment 1 at {text_b_start}"
        );
        assert!(
            input_ids
                .iter()
                .all(|&id| (id as usize) < self.meta.vocab_size),
            "an id outside the vocabulary of {}",
            self.meta.vocab_size
        );
        assert!(
            label.is_none_or(f32::is_finite),
            "a label that is no number"
        );
        self.meta.examples += 1;
        self.meta.tokens += length as u64;
        let row = Row {
            end: self.meta.tokens,
            text_b_start: u32::try_from(text_b_start).expect("examples are short"),
            label: label.unwrap_or(f32::NAN),
        };
        self.tokens
            .write_all(bytemuck::cast_slice(input_ids))
            .map_err(|source| write_error(&self.folder.join(TOKENS), source))?;
        self.rows
            .write_all(bytemuck::bytes_of(&row))
            .map_err(|source| write_error(&self.folder.join(ROWS), source))
    }

    /// Completes the store on disk and returns what its `store.json` says.
    ///
    /// # Errors
    /// Where the disk is full or the like; the folder is then not a store.
    pub fn finish(self) -> Result<StoreMeta, StoreError> {
        let Self {
            folder,
            meta,
            tokens,
            rows,
        } = self;
        for (name, writer) in [(TOKENS, tokens), (ROWS, rows)] {
            writer
                .into_inner()
                .map_err(io::IntoInnerError::into_error)
                .and_then(|file| file.sync_all())
                .map_err(|source| write_error(&folder.join(name), source))?;
        }
        let path = folder.join(META);
        write_json(&path, &meta).map_err(|source| write_error(&path, source))?;
        Ok(meta)
    }
}

/// Writes `value` as indented JSON and hands it to the disk. A file of this name appears whole
/// or not at all.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let unfinished = path.with_extension("json.tmp");
    let mut file = BufWriter::new(File::create(&unfinished)?);
    serde_json::to_writer_pretty(&mut file, value)?;
    file.write_all(b"\n")?;
    file.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()?;
    fs::rename(&unfinished, path)?;
    // The new name is in the folder, which is handed to the disk of its own.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// A token store on disk, mapped for reading and checked throughout.
#[derive(Debug)]
pub struct TokenStore {
    meta: StoreMeta,
    tokens: Mmap,
    rows: Mmap,
}

impl TokenStore {
    /// Opens the store in `folder` and reads it once to check sizes, rows and ids: a store that
    /// opens cannot make a reader fail.
    ///
    /// # Errors
    /// Where it is not a store, of another version, empty, cut off or damaged.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let meta = read_meta(folder)?;
        if meta.examples == 0 {
            return Err(StoreError::Empty {
                folder: folder.to_owned(),
            });
        }
        // Checked by reading, not through the map: pages of a map count as memory of the
        // process, and a runner that only checks must stay small.
        let rows = open_sized(folder, ROWS, meta.examples.saturating_mul(ROW_BYTES))?;
        check_rows(&rows, &folder.join(ROWS), &meta)?;
        let tokens = open_sized(folder, TOKENS, meta.tokens.saturating_mul(4))?;
        check_tokens(&tokens, &folder.join(TOKENS), &meta)?;
        Ok(Self {
            tokens: map(&tokens).map_err(|source| read_error(&folder.join(TOKENS), source))?,
            rows: map(&rows).map_err(|source| read_error(&folder.join(ROWS), source))?,
            meta,
        })
    }

    /// What the store says about itself.
    pub fn meta(&self) -> &StoreMeta {
        &self.meta
    }

    /// Examples.
    pub fn len(&self) -> usize {
        self.rows().len()
    }

    /// Always false: a store without examples does not open.
    pub fn is_empty(&self) -> bool {
        self.rows().is_empty()
    }

    /// Ids of example `i`, special tokens included, not padded.
    ///
    /// # Panics
    /// Where `i` is not below [`Self::len`], as do all that follow.
    pub fn input_ids(&self, i: usize) -> &[u32] {
        let tokens: &[u32] = bytemuck::cast_slice(&self.tokens);
        &tokens[self.start(i)..self.end(i)]
    }

    /// Index within example `i` of its first token of segment 1; its length where it has none.
    pub fn text_b_start(&self, i: usize) -> usize {
        self.rows()[i].text_b_start as usize
    }

    /// Class index or value of example `i`.
    pub fn label(&self, i: usize) -> Option<f32> {
        let label = self.rows()[i].label;
        (!label.is_nan()).then_some(label)
    }

    /// Tokens of example `i`, special tokens included.
    pub fn length(&self, i: usize) -> usize {
        self.end(i) - self.start(i)
    }

    /// Tokens of every example, as [`super::batches::plan_epoch`] takes them.
    pub fn lengths(&self) -> Vec<u32> {
        (0..self.len())
            .map(|i| u32::try_from(self.length(i)).expect("checked against `max_seq_length`"))
            .collect()
    }

    fn rows(&self) -> &[Row] {
        bytemuck::cast_slice(&self.rows)
    }

    fn start(&self, i: usize) -> usize {
        if i == 0 { 0 } else { self.end(i - 1) }
    }

    fn end(&self, i: usize) -> usize {
        usize::try_from(self.rows()[i].end).expect("checked against the size of the map")
    }
}

fn read_meta(folder: &Path) -> Result<StoreMeta, StoreError> {
    let path = folder.join(META);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::Missing {
                folder: folder.to_owned(),
            });
        }
        Err(source) => return Err(read_error(&path, source)),
    };
    let damaged = |source| StoreError::Meta {
        path: path.clone(),
        source,
    };
    // The version first: a later layout may have other fields.
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(damaged)?;
    let version = value.get("version").and_then(serde_json::Value::as_u64);
    if let Some(found) = version.filter(|&found| found != u64::from(VERSION)) {
        return Err(StoreError::Version { path, found });
    }
    serde_json::from_value(value).map_err(damaged)
}

fn open_sized(folder: &Path, name: &str, expected: u64) -> Result<File, StoreError> {
    let path = folder.join(name);
    let file = File::open(&path).map_err(|source| read_error(&path, source))?;
    let found = file
        .metadata()
        .map_err(|source| read_error(&path, source))?
        .len();
    if found == expected {
        Ok(file)
    } else {
        Err(StoreError::Size {
            path,
            found,
            expected,
        })
    }
}

fn check_rows(file: &File, path: &Path, meta: &StoreMeta) -> Result<(), StoreError> {
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
                "a label that is no class"
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

fn check_tokens(file: &File, path: &Path, meta: &StoreMeta) -> Result<(), StoreError> {
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
    let mut buffer = vec![T::zeroed(); CHECK_BUFFER / size_of::<T>()];
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

#[expect(
    unsafe_code,
    reason = "mapping a file is unsafe because another process may cut it off meanwhile; a store lies \
              in the run directory, is written once, and its run holds the lock while it is read"
)]
fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the file is not written after its `store.json` is, see above.
    unsafe { Mmap::map(file) }
}

fn read_error(path: &Path, source: io::Error) -> StoreError {
    StoreError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    }
}

fn write_error(path: &Path, source: io::Error) -> StoreError {
    StoreError::Io {
        action: "write",
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
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
                "row 1 has a label that is no class",
            ),
            (
                28,
                f32::INFINITY.to_le_bytes().to_vec(),
                "row 1 has a label that is no class",
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
