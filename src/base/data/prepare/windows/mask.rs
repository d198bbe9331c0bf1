//! Tokens that are replaced, as for BERT's masked language model.

use std::ops::Range;

use crate::data::error::DataError;
use crate::data::order::{SplitMix64, shuffle};
use crate::data::tokenizer::{SpecialTokens, Tokenizer};

/// Which tokens are replaced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Masking {
    /// Share of a window's tokens, above 0; at least one token is chosen, as published.
    pub share: f64,
    /// Tokens of a window at most.
    pub most: usize,
    /// Whether all pieces of a word are replaced together.
    pub whole_words: bool,
}

/// Replaces tokens of windows.
#[derive(Debug)]
pub(super) struct Masker {
    masking: Masking,
    mask: u32,
    vocab_size: usize,
    /// Ids of pieces that continue a word, by id; empty where pieces are taken one by one.
    continues: Vec<bool>,
}

impl Masker {
    /// A masker with the vocabulary of a tokenizer.
    ///
    /// # Errors
    /// It has no `[MASK]`.
    pub(super) fn new(masking: Masking, tokenizer: &Tokenizer) -> Result<Self, DataError> {
        Ok(Self {
            mask: tokenizer.mask()?,
            vocab_size: tokenizer.vocab_size(),
            continues: if masking.whole_words {
                tokenizer.continuations()
            } else {
                Vec::new()
            },
            masking,
        })
    }

    /// Replaces tokens of a window: eight of ten by `[MASK]`, one by a random one; one stays.
    /// Returns how many were chosen, and how many became `[MASK]`.
    pub(super) fn apply(
        &self,
        ids: &mut [u32],
        special: SpecialTokens,
        random: &mut SplitMix64,
    ) -> [u64; 2] {
        let (places, mut words) = self.words(ids, special);
        let wanted = self.wanted(ids.len());
        shuffle(&mut words, random);
        let (mut chosen, mut masks) = (0, 0);
        for word in words {
            if chosen >= wanted {
                break;
            }
            // A word that is too long for what is left is passed over.
            if chosen + word.len() > wanted {
                continue;
            }
            for &place in &places[word] {
                chosen += 1;
                if random.chance(0.8) {
                    ids[place] = self.mask;
                    masks += 1;
                } else if !random.chance(0.5) {
                    let id = random.index(self.vocab_size);
                    ids[place] = u32::try_from(id).unwrap_or(self.mask);
                }
            }
        }
        [chosen as u64, masks]
    }

    /// Tokens to choose of a window, rounded to even as Python does.
    fn wanted(&self, length: usize) -> usize {
        let share = (length as f64 * self.masking.share).round_ties_even();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most the length of a window"
        )]
        let share = share as usize;
        share.max(1).min(self.masking.most)
    }

    /// Places that may be chosen, and the words among them.
    fn words(&self, ids: &[u32], special: SpecialTokens) -> (Vec<usize>, Vec<Range<usize>>) {
        let (mut places, mut words): (Vec<usize>, Vec<Range<usize>>) = (Vec::new(), Vec::new());
        for (place, &id) in ids.iter().enumerate() {
            if id == special.cls || id == special.sep {
                continue;
            }
            let at = places.len();
            places.push(place);
            let continues = self.continues.get(id as usize).is_some_and(|piece| *piece);
            match words.last_mut().filter(|_| continues) {
                Some(word) => word.end = at + 1,
                None => words.push(at..at + 1),
            }
        }
        (places, words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECIAL: SpecialTokens = SpecialTokens {
        cls: 2,
        sep: 3,
        pad: 0,
        unk: 1,
        between: 1,
    };

    fn masker(share: f64, most: usize, continues: &[usize]) -> Masker {
        let mut pieces = vec![false; 1000];
        for &id in continues {
            pieces[id] = true;
        }
        Masker {
            masking: Masking {
                share,
                most,
                whole_words: !continues.is_empty(),
            },
            mask: 4,
            vocab_size: 1000,
            continues: pieces,
        }
    }

    /// `[CLS]` 100 101 .. `[SEP]`
    fn window(length: u32) -> Vec<u32> {
        let mut ids = vec![2];
        ids.extend(100..98 + length);
        ids.push(3);
        ids
    }

    #[test]
    fn as_many_tokens_are_chosen_as_published() {
        for (share, length, most, expected) in [
            (0.15, 128, 20, 19),
            (0.15, 10, 20, 2),
            // 2.5 is rounded to even.
            (0.25, 10, 20, 2),
            (0.001, 128, 20, 1),
            (0.5, 128, 20, 20),
        ] {
            let mut random = SplitMix64::new(1);
            let mut ids = window(length);
            let [chosen, _] = masker(share, most, &[]).apply(&mut ids, SPECIAL, &mut random);
            assert_eq!(chosen, expected, "{share} of {length}");
            assert_eq!((ids[0], ids[ids.len() - 1]), (2, 3));
            let changed = ids.iter().zip(window(length)).filter(|(a, b)| **a != *b);
            assert!(changed.count() as u64 <= expected);
        }
    }

    #[test]
    fn eight_of_ten_become_mask_and_one_another_token() {
        let masker = masker(0.5, 1000, &[]);
        let mut random = SplitMix64::new(3);
        let (mut chosen, mut masks, mut others) = (0, 0, 0);
        for _ in 0..400 {
            let mut ids = window(102);
            let [now, as_mask] = masker.apply(&mut ids, SPECIAL, &mut random);
            (chosen, masks) = (chosen + now, masks + as_mask);
            let changed = ids.iter().zip(window(102)).filter(|(a, b)| **a != *b);
            others += changed.count() as u64 - as_mask;
        }
        // Of 20,400; standard deviations of 57 and 43.
        assert_eq!(chosen, 51 * 400);
        assert!((16_090..16_550).contains(&masks), "{masks}");
        assert!((1_870..2_210).contains(&others), "{others}");
    }

    #[test]
    fn the_pieces_of_a_word_are_replaced_together() {
        // Every word has two pieces: an even id and the odd one after it.
        let odd: Vec<usize> = (101..200).step_by(2).collect();
        let masker = masker(0.2, 20, &odd);
        let mut random = SplitMix64::new(5);
        for _ in 0..50 {
            let mut ids = window(22);
            masker.apply(&mut ids, SPECIAL, &mut random);
            let whole = window(22);
            // Chosen pieces may stay, but none outside the two chosen words may change.
            let words: std::collections::BTreeSet<usize> = (1..21)
                .filter(|&place| ids[place] != whole[place])
                .map(|place| (place - 1) / 2)
                .collect();
            assert!(words.len() <= 2, "{ids:?}");
        }
    }
}
