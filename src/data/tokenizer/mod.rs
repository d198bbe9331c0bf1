//! The tokenizer of a Hugging Face folder.

mod added;
mod build;
mod documents;
mod earlier;
mod guard;
mod reading;
#[cfg(test)]
mod transformers_test;
mod translation;
mod vocabulary;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use tokenizers::{NormalizerWrapper, PreTokenizerWrapper};

use self::build::{build, check_framing};
pub use self::reading::TokenizerFiles;
pub use self::translation::{OtherPieces, Translation, translate};
pub use self::vocabulary::{OtherToken, check_vocabulary, other_token};
use super::error::DataError;
use super::word_cache::WordCache;

/// Words remembered by all threads together, for some 15 MB.
const CACHED_WORDS: usize = 1 << 17;

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

/// How a text is cut word by word.
#[derive(Debug)]
struct Words {
    /// A thread takes a cache out, or begins one, and puts it back.
    caches: Mutex<Vec<WordCache>>,
    /// First bytes of the added tokens, such as the `[` of `[SEP]`. A word without any of them
    /// may also be cut at punctuation; `None` where one begins with a letter.
    token_starts: Option<Vec<u8>>,
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
        let cache = self.words.as_ref().map(|words| {
            let free = words
                .caches
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop();
            free.unwrap_or_else(|| WordCache::new(CACHED_WORDS / rayon::current_num_threads()))
        });
        Session {
            tokenizer: self,
            cache,
        }
    }
}

/// See [`Tokenizer::session`].
pub(super) struct Session<'a> {
    tokenizer: &'a Tokenizer,
    cache: Option<WordCache>,
}

impl Session<'_> {
    /// Appends the word-piece ids of `text` to `ids`.
    pub(super) fn encode(
        &mut self,
        text: &str,
        ids: &mut Vec<u32>,
    ) -> Result<(), tokenizers::Error> {
        let inner = &self.tokenizer.inner;
        let Some(cache) = &mut self.cache else {
            ids.extend_from_slice(guard::encode(inner, text)?.get_ids());
            return Ok(());
        };
        let starts = self.tokenizer.words.as_ref();
        let starts = starts.and_then(|words| words.token_starts.as_deref());
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            if let Some(pieces) = cache.get(word) {
                ids.extend_from_slice(pieces);
                continue;
            }
            let mut rest = word;
            // `film,` is not worth a place beside `film`.
            if word.is_ascii()
                && let Some(starts) = starts
                && !word.bytes().any(|byte| starts.contains(&byte))
            {
                while let Some(at) = rest.find(|c: char| c.is_ascii_punctuation()) {
                    let (before, from) = rest.split_at(at);
                    let (mark, after) = from.split_at(1);
                    encode_word(before, inner, cache, ids)?;
                    encode_word(mark, inner, cache, ids)?;
                    rest = after;
                }
            }
            encode_word(rest, inner, cache, ids)?;
        }
        Ok(())
    }
}

/// Appends the pieces of a word, from the cache where it is known, else by cutting it.
fn encode_word(
    word: &str,
    inner: &tokenizers::Tokenizer,
    cache: &mut WordCache,
    ids: &mut Vec<u32>,
) -> Result<(), tokenizers::Error> {
    if word.is_empty() {
        return Ok(());
    }
    if let Some(pieces) = cache.get(word) {
        ids.extend_from_slice(pieces);
        return Ok(());
    }
    let encoding = guard::encode(inner, word)?;
    cache.insert(word, encoding.get_ids());
    ids.extend_from_slice(encoding.get_ids());
    Ok(())
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if let (Some(words), Some(cache)) = (&self.tokenizer.words, self.cache.take()) {
            words
                .caches
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(cache);
        }
    }
}

/// How a text may be cut word by word, if its pieces are those of its words between spaces, one
/// after the other. So it is with BERT's own normalizer, which looks at one character at a time
/// (canonical order of marks does not reach over a space), and pre-tokenizer, which cuts at
/// spaces and around punctuation; unless an added token has a space in it.
fn words_of(inner: &tokenizers::Tokenizer) -> Option<Words> {
    let berts_own = matches!(
        inner.get_normalizer(),
        Some(NormalizerWrapper::BertNormalizer(_))
    ) && matches!(
        inner.get_pre_tokenizer(),
        Some(PreTokenizerWrapper::BertPreTokenizer(_))
    );
    let added = inner.get_added_vocabulary();
    let tokens = added.get_added_tokens_decoder();
    // Of a normalized token its normalized form: spaces stand around Chinese characters.
    let looked_for = tokens.keys().filter_map(|id| added.simple_id_to_token(*id));
    let mut all = looked_for.chain(tokens.values().map(|token| token.content.clone()));
    if !berts_own || all.any(|token| token.contains(char::is_whitespace)) {
        return None;
    }
    let mut tokens = tokens.values().map(|token| token.content.as_str());
    // Not letters: an added token may match in lower case.
    let starts: Option<BTreeSet<u8>> = tokens.try_fold(BTreeSet::new(), |mut starts, token| {
        let first = token.bytes().next().filter(u8::is_ascii_punctuation)?;
        starts.insert(first);
        Some(starts)
    });
    Some(Words {
        caches: Mutex::default(),
        token_starts: starts.map(|starts| starts.into_iter().collect()),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use tempfile::TempDir;

    use std::fs;

    use tokenizers::AddedToken;

    use super::documents::{CONFIG, TOKENIZER, VOCAB};
    use super::*;
    use crate::data::order::SplitMix64;

    /// A folder with a `vocab.txt`: ids are the places in this list.
    pub(in crate::data) const PIECES: [&str; 16] = [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "good", "film", "bad", "##s", "##ly",
        ".", ",", "e", "##e", "not",
    ];

    pub(in crate::data) fn folder() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(VOCAB), PIECES.join("\n")).unwrap();
        folder
    }

    pub(in crate::data) fn tokenizer() -> Tokenizer {
        Tokenizer::load(folder().path()).unwrap()
    }

    #[test]
    fn a_vocabulary_is_read_as_berts_word_pieces() {
        let tokenizer = tokenizer();
        assert_eq!(
            tokenizer.special(),
            SpecialTokens {
                cls: 2,
                sep: 3,
                pad: 0,
                unk: 1,
                between: 1
            }
        );
        assert_eq!(tokenizer.vocab_size(), 16);
        assert_eq!(
            tokenizer.encode("A good FILMS, goodly [SEP]Éx").unwrap(),
            [5, 6, 7, 9, 12, 6, 10, 3, 1]
        );
        assert_eq!(tokenizer.encode(" \t ").unwrap(), [0_u32; 0]);
    }

    #[test]
    fn case_is_kept_where_the_configuration_says_so() {
        let folder = folder();
        let config = r#"{"do_lower_case": false, "cls_token": {"content": "[MASK]"}}"#;
        fs::write(folder.path().join(CONFIG), config).unwrap();
        let tokenizer = Tokenizer::load(folder.path()).unwrap();
        assert_eq!(tokenizer.encode("Good good").unwrap(), [1, 6]);
        assert_eq!(tokenizer.special().cls, 4);
    }

    #[test]
    fn a_file_that_is_not_utf8_is_refused_wherever_the_bytes_are() {
        let folder = folder();
        let json = b"{\"decoder\": {\"\x9c\": 1}, \"model\": {\"vocab\": {}}}";
        fs::write(folder.path().join(TOKENIZER), json).unwrap();
        let error = Tokenizer::load(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("is not a tokenizer: invalid utf-8"),
            "{error}"
        );
    }

    #[test]
    fn padding_and_truncation_of_the_file_are_ignored() {
        let folder = folder();
        let mut inner = Tokenizer::load(folder.path()).unwrap().inner;
        inner
            .with_padding(Some(tokenizers::PaddingParams {
                strategy: tokenizers::PaddingStrategy::Fixed(9),
                ..Default::default()
            }))
            .with_truncation(Some(tokenizers::TruncationParams {
                max_length: 2,
                ..Default::default()
            }))
            .unwrap();
        inner.save(folder.path().join(TOKENIZER), false).unwrap();
        fs::remove_file(folder.path().join(VOCAB)).unwrap();
        let tokenizer = Tokenizer::load(folder.path()).unwrap();
        assert_eq!(tokenizer.encode("a good film").unwrap(), [5, 6, 7]);
    }

    #[test]
    fn a_missing_special_token_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(VOCAB), "[PAD]\n[UNK]\n[CLS]\na").unwrap();
        let error = Tokenizer::load(folder.path()).unwrap_err();
        assert!(
            matches!(&error, DataError::TokenMissing { token, .. } if token == "[SEP]"),
            "{error}"
        );
    }

    #[test]
    fn a_folder_without_tokenizer_and_a_broken_one_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let error = Tokenizer::load(folder.path()).unwrap_err();
        assert!(matches!(error, DataError::TokenizerMissing { .. }));
        fs::write(folder.path().join(TOKENIZER), "{\"model\": 1").unwrap();
        let error = Tokenizer::load(folder.path()).unwrap_err();
        assert!(matches!(error, DataError::Tokenizer { .. }));
    }

    #[test]
    fn a_batch_gives_what_each_text_gives() {
        let tokenizer = tokenizer();
        let texts: Vec<String> = (0..200).map(|i| "good films ".repeat(i % 7)).collect();
        let batch = tokenizer.encode_batch(&texts).unwrap();
        for (text, ids) in texts.iter().zip(batch) {
            assert_eq!(ids, tokenizer.encode(text).unwrap());
        }
    }

    #[test]
    fn remembered_words_give_the_ids_of_the_whole_text() {
        // What could reach over a space: marks, joiners, controls, other spaces, wide characters,
        // letters with a special lower case, and special tokens.
        let parts = [
            " ", "  ", "a", "good", "films", "ly", ".", ",", "\u{301}", "e", "\u{323}", "É", "Σ",
            "İ", "\u{200b}", "\u{200d}", "\u{a0}", "\t", "\u{3000}", "中", "[SEP]", "[", "SEP]",
            "\u{0}", "\u{fffd}", "한", "😀", "ﬁ", "'", "-", "<", "\u{338}", "\u{7f}", "\u{1}",
            "Not",
        ];
        let mut random = SplitMix64::new(3);
        let plain = tokenizer();
        // Added tokens that begin with a letter, and that are looked for in lower case.
        let mut inner = plain.inner.clone();
        let tokens = [AddedToken::from("Ly.", false), AddedToken::from("-,", true)];
        inner.add_tokens(tokens).unwrap();
        let words = words_of(&inner);
        assert!(words.as_ref().unwrap().token_starts.is_none());
        let with_tokens = Tokenizer {
            inner,
            words,
            ..tokenizer()
        };
        for round in 0..3000 {
            let tokenizer = [&plain, &with_tokens][round % 2];
            let text: String = (0..random.below(12))
                .map(|_| parts[usize::try_from(random.below(parts.len() as u64)).unwrap()])
                .collect();
            let whole = tokenizer.inner.encode_fast(text.as_str(), false).unwrap();
            assert_eq!(
                tokenizer.encode(&text).unwrap(),
                whole.get_ids(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn an_added_token_with_a_space_is_found_in_a_text() {
        let folder = folder();
        let mut inner = Tokenizer::load(folder.path()).unwrap().inner;
        inner
            .add_tokens([AddedToken::from("good film", false)])
            .unwrap();
        inner.save(folder.path().join(TOKENIZER), false).unwrap();
        let tokenizer = Tokenizer::load(folder.path()).unwrap();
        assert_eq!(tokenizer.encode("a good film").unwrap(), [5, 16]);
        assert_eq!(tokenizer.vocab_size(), 17);
    }
}
