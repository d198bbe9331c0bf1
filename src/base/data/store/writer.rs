//! Writing a token store.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::error::{StoreError, write_error};
use super::{META, ROWS, Row, StoreMeta, TOKENS, VERSION, write_json};
use crate::system::sync_file;

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
    #[expect(
        clippy::disallowed_methods,
        reason = "a store is complete only with its meta file, which is written last"
    )]
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
            "a label that is not a number"
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

    /// Completes the store with a longest example and labels that were not known when it was begun.
    ///
    /// # Errors
    /// As [`Self::finish`].
    ///
    /// # Panics
    /// Where `max_seq_length` is above the one that it was begun with: examples were checked by that.
    pub fn finish_as(
        mut self,
        max_seq_length: usize,
        labels: Vec<String>,
    ) -> Result<StoreMeta, StoreError> {
        assert!(max_seq_length <= self.meta.max_seq_length, "a longer limit");
        self.meta.max_seq_length = max_seq_length;
        self.meta.labels = labels;
        self.finish()
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
                .and_then(|file| sync_file(&file, &folder.join(name)))
                .map_err(|source| write_error(&folder.join(name), source))?;
        }
        let path = folder.join(META);
        write_json(&path, &meta).map_err(|source| write_error(&path, source))?;
        Ok(meta)
    }
}
