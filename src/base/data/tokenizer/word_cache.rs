//! Word pieces of words that were seen before.
//!
//! A BERT tokenizer treats what stands between two spaces on its own, and a text repeats its
//! words: looking them up is several times as fast as cutting them again.

use std::collections::HashMap;

/// Longer words are rare and seldom come again.
const LONGEST: usize = 32;

/// Word pieces by word. It takes words up to a limit and then only answers, since the frequent
/// words are those that come first.
#[derive(Debug)]
pub(super) struct WordCache {
    /// Word to first and last (exclusive) index in `pieces`.
    spans: HashMap<Box<str>, (u32, u32)>,
    pieces: Vec<u32>,
    limit: usize,
}

impl WordCache {
    /// A cache of at most `limit` words, about 100 bytes each.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            spans: HashMap::new(),
            pieces: Vec::new(),
            limit,
        }
    }

    /// Pieces of the word, if it is known.
    pub(super) fn get(&self, word: &str) -> Option<&[u32]> {
        let &(start, end) = self.spans.get(word)?;
        Some(&self.pieces[start as usize..end as usize])
    }

    /// Remembers a word, if there is room.
    pub(super) fn insert(&mut self, word: &str, pieces: &[u32]) {
        if self.spans.len() >= self.limit || word.len() > LONGEST {
            return;
        }
        let ends = (self.pieces.len(), self.pieces.len() + pieces.len());
        let (Ok(start), Ok(end)) = (u32::try_from(ends.0), u32::try_from(ends.1)) else {
            return;
        };
        self.pieces.extend_from_slice(pieces);
        self.spans.insert(word.into(), (start, end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_cache_answers_and_takes_no_more() {
        let mut cache = WordCache::new(2);
        for (word, pieces) in [("a", &[1][..]), ("", &[]), ("b", &[2, 3])] {
            cache.insert(word, pieces);
        }
        assert_eq!(cache.get("a"), Some(&[1][..]));
        assert_eq!(cache.get(""), Some(&[][..]));
        assert_eq!(cache.get("b"), None);
    }

    #[test]
    fn a_long_word_is_not_kept() {
        let mut cache = WordCache::new(2);
        let word = "x".repeat(LONGEST + 1);
        cache.insert(&word, &[1]);
        assert_eq!(cache.get(&word), None);
    }
}
