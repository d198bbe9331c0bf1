//! The tokenizer of a Hugging Face folder.

mod added;
mod build;
mod documents;
mod earlier;
mod framing;
mod guard;
mod reading;
mod saved;
#[cfg(test)]
pub(super) mod tests;
#[cfg(test)]
mod transformers_test;
mod translation;
mod vocabulary;
mod word_cache;
mod words;

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use self::build::{build, check_framing};
pub use self::reading::TokenizerFiles;
pub use self::translation::{OtherPieces, Translation, translate};
pub use self::vocabulary::{OtherToken, check_vocabulary, other_token};
pub(super) use self::words::Session;
use self::words::{Words, words_of};
use super::error::DataError;

/// What a piece that continues a word begins with.
const CONTINUES: &str = "##";

/// Texts that a thread takes at once.
const BATCH: usize = 64;

/// Ids of the special tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialTokens {
    /// `[CLS]`, before the first text.
    pub cls: u32,
    /// `[SEP]`, after each text.
    pub sep: u32,
    /// `[PAD]`, which fills up a batch.
    pub pad: u32,
    /// `[UNK]`, a word that the vocabulary cannot spell.
    pub unk: u32,
    /// How often `[SEP]` stands between the texts of a pair: once, or twice in MPNet's form.
    pub between: usize,
}

impl SpecialTokens {
    /// Special tokens around a pair.
    pub fn around_pair(self) -> usize {
        2 + self.between
    }
}

/// Text to word-piece ids, as the model of a folder was trained on.
#[derive(Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    special: SpecialTokens,
    vocab_size: usize,
    /// The token that stands for one that is to be found: `[MASK]`.
    mask: String,
    /// The file of the vocabulary, for messages.
    vocabulary: PathBuf,
    /// `None` where a text may not be cut word by word.
    words: Option<Words>,
}

impl Tokenizer {
    /// Loads a folder as `transformers` does; see [`TokenizerFiles`]. Padding and truncation
    /// stored in `tokenizer.json` are ignored.
    ///
    /// # Errors
    /// The folder has no tokenizer, or one that tinyrun would read otherwise than `transformers`;
    /// a special token is not in the vocabulary; there are more tokens than embeddings.
    pub fn load(folder: &Path) -> Result<Self, DataError> {
        let files = TokenizerFiles::read(folder)?;
        let inner = build(&files)?;
        let path = files.vocabulary();
        let ids = files
            .special_names()
            .map(|token| match inner.token_to_id(&token) {
                Some(id) => Ok(id),
                None => Err(DataError::TokenMissing {
                    path: path.clone(),
                    token,
                }),
            });
        let [cls, sep, pad, unk] = ids;
        let special = SpecialTokens {
            cls: cls?,
            sep: sep?,
            pad: pad?,
            unk: unk?,
            between: files.between,
        };
        check_framing(&files, special)?;
        // Not the number of tokens: a vocabulary may leave ids out.
        let last = inner.get_vocab(true).into_values().max().unwrap_or(0);
        let vocab_size = last as usize + 1;
        if let Some(embeddings) = files.documents.embeddings()
            && vocab_size as u64 > embeddings
        {
            return Err(DataError::TokenizerLarge {
                path,
                tokens: vocab_size,
                embeddings,
            });
        }
        Ok(Self {
            special,
            vocab_size,
            mask: files.added.name("mask_token"),
            vocabulary: path,
            words: words_of(&inner),
            inner,
        })
    }

    /// Ids of the special tokens.
    pub fn special(&self) -> SpecialTokens {
        self.special
    }

    /// Every id is below it.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Id of `[MASK]`.
    ///
    /// # Errors
    /// The vocabulary has none.
    pub(super) fn mask(&self) -> Result<u32, DataError> {
        self.inner
            .token_to_id(&self.mask)
            .ok_or_else(|| DataError::TokenMissing {
                path: self.vocabulary.clone(),
                token: self.mask.clone(),
            })
    }

    /// Whether an id is a piece that continues a word (`##ing`), for every id.
    pub(super) fn continuations(&self) -> Vec<bool> {
        let mut found = vec![false; self.vocab_size];
        for (id, found) in (0..).zip(&mut found) {
            let token = self.inner.id_to_token(id);
            *found = token.is_some_and(|token| token.starts_with(CONTINUES));
        }
        found
    }

    /// Word-piece ids of a text, without `[CLS]` and `[SEP]`.
    ///
    /// # Errors
    /// Where the tokenizer's own model fails.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, tokenizers::Error> {
        let mut ids = Vec::new();
        self.session().encode(text, &mut ids)?;
        Ok(ids)
    }

    /// [`Self::encode`] of many texts on all threads, in their order.
    ///
    /// # Errors
    /// Where the tokenizer's own model fails.
    pub fn encode_batch<T: AsRef<str> + Sync>(
        &self,
        texts: &[T],
    ) -> Result<Vec<Vec<u32>>, tokenizers::Error> {
        let batches: Vec<Vec<Vec<u32>>> = texts
            .par_chunks(BATCH)
            .map(|texts| {
                let mut session = self.session();
                texts
                    .iter()
                    .map(|text| {
                        let mut ids = Vec::new();
                        session.encode(text.as_ref(), &mut ids).map(|()| ids)
                    })
                    .collect()
            })
            .collect::<Result<_, _>>()?;
        Ok(batches.into_iter().flatten().collect())
    }

    /// A thread's use of the tokenizer, with a cache of its own.
    pub(super) fn session(&self) -> Session<'_> {
        Session::new(&self.inner, self.words.as_ref())
    }
}
