//! The columns of a row to an example: padding goes, and what a token store cannot hold is a fault.

use super::columns::Ints;
use super::fault::RecordFault;
use super::fields::{Fields, Label, MASK, SEGMENTS};

/// What a row must keep to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowRules {
    /// Every id is below it.
    pub vocab_size: usize,
    /// Id that rows are padded with.
    pub pad: u32,
    /// Whether the model has embeddings of the second text.
    pub has_second_segment: bool,
    /// Tokens of a row at most, padding included.
    pub longest: Longest,
}

/// What bounds a row's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Longest {
    /// `max-seq-length`, which the user set.
    Written(usize),
    /// Positions of the models.
    Positions(usize),
}

/// An example.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenRow {
    /// Ids without padding.
    pub input_ids: Vec<u32>,
    /// Index of the first token of the second text; the length where there is none.
    pub text_b_start: usize,
    /// Tokens with padding.
    pub width: usize,
    /// Its label, where it is wanted.
    pub label: Option<Label>,
}

impl RowRules {
    /// The example of a row.
    ///
    /// # Errors
    /// Where the columns are not of one length, an id is not in the vocabulary, `input_mask` is not ones
    /// and then zeros, or segments or padding are others than those that a batch gets.
    pub fn row(&self, fields: Fields) -> Result<TokenRow, RecordFault> {
        let width = fields.ids.len();
        for (column, values) in [(MASK, &fields.mask), (SEGMENTS, &fields.segments)] {
            if values.len() != width {
                return Err(RecordFault::Count {
                    column,
                    found: values.len(),
                    expected: width,
                });
            }
        }
        match self.longest {
            Longest::Written(limit) if width > limit => {
                return Err(RecordFault::TooLong {
                    found: width,
                    limit,
                });
            }
            Longest::Positions(positions) if width > positions => {
                return Err(RecordFault::Positions {
                    found: width,
                    positions,
                });
            }
            _ => {}
        }
        let length = tokens(&fields.mask)?;
        let input_ids = self.ids(fields.ids, length)?;
        let text_b_start = second_text(&fields.segments, length)?;
        if text_b_start < length && !self.has_second_segment {
            return Err(RecordFault::OneSegment);
        }
        Ok(TokenRow {
            input_ids,
            text_b_start,
            width,
            label: fields.label,
        })
    }

    /// The ids of the tokens; those after them must be padding.
    fn ids(&self, ids: Ints, length: usize) -> Result<Vec<u32>, RecordFault> {
        let words = match ids {
            Ints::Words(words) => Ok(words),
            Ints::Bytes(bytes) => Ok(bytes.iter().map(|byte| u32::from(*byte)).collect()),
            Ints::Wide(wide) => {
                let words = wide.iter().map(|id| u32::try_from(*id));
                let words: Result<Vec<u32>, _> = words.collect();
                words.map_err(|_| Ints::Wide(wide))
            }
        };
        match words {
            Ok(mut words)
                if self.are_known(&words[..length]) && all_are(&words[length..], self.pad) =>
            {
                words.truncate(length);
                Ok(words)
            }
            words => Err(self.wrong_id(&words.map_or_else(|wide| wide, Ints::Words), length)),
        }
    }

    /// Whether ids are in the vocabulary. It looks at all, which is faster than stopping at one that is not.
    fn are_known(&self, ids: &[u32]) -> bool {
        let highest = ids.iter().fold(0, |highest, id| highest.max(*id));
        (highest as usize) < self.vocab_size
    }

    /// The first id that is not in the vocabulary, or else that is no padding where there should be.
    fn wrong_id(&self, ids: &Ints, length: usize) -> RecordFault {
        let is_known = |id: i64| usize::try_from(id).is_ok_and(|id| id < self.vocab_size);
        let mut ids = ids.iter().enumerate();
        let unknown = ids.by_ref().take(length).find(|(_, id)| !is_known(*id));
        if let Some((position, id)) = unknown {
            return RecordFault::Id {
                id,
                position,
                vocabulary: self.vocab_size,
            };
        }
        let other = ids.find(|(_, id)| *id != i64::from(self.pad));
        let (position, id) = other.expect("an id is at fault");
        RecordFault::Padding {
            id,
            position,
            pad: self.pad,
        }
    }
}

/// Whether all are one value. It looks at all, many at a time.
fn all_are<T: Copy + PartialEq>(values: &[T], one: T) -> bool {
    count(values, one) == values.len()
}

/// How many there are of a value.
fn count<T: Copy + PartialEq>(values: &[T], one: T) -> usize {
    values.iter().filter(|value| **value == one).count()
}

/// How many tokens a mask has: ones, then zeros.
fn tokens(mask: &Ints) -> Result<usize, RecordFault> {
    fn ones<T: Copy + PartialEq + From<u8>>(mask: &[T]) -> Result<usize, usize> {
        let ones = count(mask, T::from(1));
        let (tokens, padding) = mask.split_at(ones);
        if all_are(tokens, T::from(1)) && all_are(padding, T::from(0)) {
            return Ok(ones);
        }
        let ones = mask
            .iter()
            .take_while(|value| **value == T::from(1))
            .count();
        let is_wrong = |value: &T| *value != T::from(0);
        Err(ones
            + mask[ones..]
                .iter()
                .position(is_wrong)
                .expect("one is wrong"))
    }
    let ones = match mask {
        Ints::Bytes(mask) => ones(mask),
        Ints::Words(mask) => ones(mask),
        Ints::Wide(mask) => ones(mask),
    };
    match ones {
        Ok(0) => Err(RecordFault::NoToken),
        Ok(length) => Ok(length),
        Err(position) => Err(RecordFault::Mask {
            value: mask.get(position).expect("a place in the mask"),
            position,
        }),
    }
}

/// Where the second text begins; the length where there is none.
fn second_text(segments: &Ints, length: usize) -> Result<usize, RecordFault> {
    fn zeros<T: Copy + PartialEq + From<u8>>(
        segments: &[T],
        length: usize,
    ) -> Result<usize, usize> {
        let (tokens, padding) = segments.split_at(length);
        let zeros = count(tokens, T::from(0));
        let (first, second) = tokens.split_at(zeros);
        let is_first = all_are(first, T::from(0)) && all_are(padding, T::from(0));
        if is_first && all_are(second, T::from(1)) {
            return Ok(zeros);
        }
        let begin = tokens
            .iter()
            .take_while(|value| **value == T::from(0))
            .count();
        let expected = |place: usize| T::from(u8::from(place >= begin && place < length));
        let mut places = 0..segments.len();
        let wrong = places.find(|place| segments[*place] != expected(*place));
        Err(wrong.expect("one is wrong"))
    }
    let zeros = match segments {
        Ints::Bytes(segments) => zeros(segments, length),
        Ints::Words(segments) => zeros(segments, length),
        Ints::Wide(segments) => zeros(segments, length),
    };
    zeros.map_err(|position| RecordFault::Segment {
        value: segments.get(position).expect("a place in the segments"),
        position,
    })
}
