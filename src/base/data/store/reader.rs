//! Reading a token store.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::check::{check_rows, check_tokens};
use super::error::{StoreError, read_error};
use super::{META, ROW_BYTES, ROWS, Row, StoreMeta, TOKENS, VERSION};
use crate::system::FileBytes;

/// A token store on disk, mapped for reading and checked throughout.
#[derive(Debug)]
pub struct TokenStore {
    meta: StoreMeta,
    tokens: FileBytes,
    rows: FileBytes,
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
        let rows = open_sized(folder, ROWS, meta.examples.saturating_mul(ROW_BYTES))?;
        check_rows(&rows, &folder.join(ROWS), &meta)?;
        let tokens = open_sized(folder, TOKENS, meta.tokens.saturating_mul(4))?;
        check_tokens(&tokens, &folder.join(TOKENS), &meta)?;
        let bytes = |file: &File, name: &str| {
            FileBytes::of(file).map_err(|source| read_error(&folder.join(name), source))
        };
        Ok(Self {
            tokens: bytes(&tokens, TOKENS)?,
            rows: bytes(&rows, ROWS)?,
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

    /// Tokens of every example, as [`crate::data::batches::plan_epoch`] takes them.
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
