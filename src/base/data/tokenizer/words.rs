//! A text cut word by word, with the pieces of the words that came before at hand.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokenizers::{NormalizerWrapper, PreTokenizerWrapper};

use super::guard;
use super::word_cache::WordCache;

/// Words remembered by all threads together, for some 15 MB.
const CACHED_WORDS: usize = 1 << 17;

/// How a text is cut word by word.
#[derive(Debug)]
pub(super) struct Words {
    /// A thread takes a cache out, or begins one, and puts it back.
    caches: Mutex<Vec<WordCache>>,
    /// First bytes of the added tokens, such as the `[` of `[SEP]`. A word without any of them
    /// may also be cut at punctuation; `None` where one begins with a letter.
    pub(super) token_starts: Option<Vec<u8>>,
}

impl Words {
    /// A cache for a thread.
    fn take(&self) -> WordCache {
        let free = self
            .caches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        free.unwrap_or_else(|| WordCache::new(CACHED_WORDS / rayon::current_num_threads()))
    }
}

/// How a text may be cut word by word, if its pieces are those of its words between spaces, one
/// after the other. So it is with BERT's own normalizer, which looks at one character at a time
/// (canonical order of marks does not reach over a space), and pre-tokenizer, which cuts at
/// spaces and around punctuation; unless an added token has a space in it.
pub(super) fn words_of(inner: &tokenizers::Tokenizer) -> Option<Words> {
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

/// A thread's use of a tokenizer, with a cache of its own.
pub(in crate::data) struct Session<'a> {
    inner: &'a tokenizers::Tokenizer,
    /// `None` where a text may not be cut word by word.
    words: Option<(&'a Words, WordCache)>,
}

impl<'a> Session<'a> {
    pub(super) fn new(inner: &'a tokenizers::Tokenizer, words: Option<&'a Words>) -> Self {
        let words = words.map(|words| (words, words.take()));
        Self { inner, words }
    }

    /// Appends the word-piece ids of `text` to `ids`.
    pub(in crate::data) fn encode(
        &mut self,
        text: &str,
        ids: &mut Vec<u32>,
    ) -> Result<(), tokenizers::Error> {
        let inner = self.inner;
        let Some((words, cache)) = &mut self.words else {
            ids.extend_from_slice(guard::encode(inner, text)?.get_ids());
            return Ok(());
        };
        let starts = words.token_starts.as_deref();
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

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if let Some((words, cache)) = self.words.take() {
            words
                .caches
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(cache);
        }
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
