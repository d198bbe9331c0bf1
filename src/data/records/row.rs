//! The columns of a row to an example: padding goes, and what a token store cannot hold is a fault.

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
    pub fn row(&self, fields: &Fields) -> Result<TokenRow, RecordFault> {
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
        let input_ids = self.ids(&fields.ids, length)?;
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
    fn ids(&self, ids: &[i64], length: usize) -> Result<Vec<u32>, RecordFault> {
        let token = |(position, &id): (usize, &i64)| {
            let found = u32::try_from(id).ok();
            let is_known = |found: &u32| (*found as usize) < self.vocab_size;
            found.filter(is_known).ok_or(RecordFault::Id {
                id,
                position,
                vocabulary: self.vocab_size,
            })
        };
        let tokens = ids[..length].iter().enumerate().map(token);
        let tokens = tokens.collect::<Result<Vec<u32>, _>>()?;
        let padding = ids.iter().enumerate().skip(length);
        let mut other = padding.filter(|(_, id)| **id != i64::from(self.pad));
        match other.next() {
            Some((position, &id)) => Err(RecordFault::Padding {
                id,
                position,
                pad: self.pad,
            }),
            None => Ok(tokens),
        }
    }
}

/// How many tokens a mask has: ones, then zeros.
fn tokens(mask: &[i64]) -> Result<usize, RecordFault> {
    let length = mask.iter().take_while(|value| **value == 1).count();
    let rest = mask.iter().enumerate().skip(length);
    let mut rest = rest.filter(|(_, value)| **value != 0);
    match rest.next() {
        Some((position, &value)) => Err(RecordFault::Mask { value, position }),
        None if length == 0 => Err(RecordFault::NoToken),
        None => Ok(length),
    }
}

/// Where the second text begins; the length where there is none.
fn second_text(segments: &[i64], length: usize) -> Result<usize, RecordFault> {
    let begin = segments[..length]
        .iter()
        .take_while(|value| **value == 0)
        .count();
    let is_wrong = |(position, value): &(usize, &i64)| {
        let expected = i64::from(*position >= begin && *position < length);
        **value != expected
    };
    match segments.iter().enumerate().find(is_wrong) {
        Some((position, &value)) => Err(RecordFault::Segment { value, position }),
        None => Ok(begin),
    }
}
