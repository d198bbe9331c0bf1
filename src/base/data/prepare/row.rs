//! A row's text as an example.

use crate::data::encode::{Encoded, SINGLE_SPECIALS, encode_pair, encode_single};
use crate::data::error::DataError;
use crate::data::tokenizer::{Session, SpecialTokens};

/// The example of a text or a pair of at most `longest` tokens, `None` where both are blank, and its number of unknown
/// tokens.
pub(super) fn encode(
    session: &mut Session,
    text: &str,
    pair: Option<&str>,
    special: SpecialTokens,
    longest: usize,
) -> Result<(Option<Encoded>, u64), tokenizers::Error> {
    if text.trim().is_empty() && pair.is_none_or(|pair| pair.trim().is_empty()) {
        return Ok((None, 0));
    }
    let mut pieces = Vec::new();
    session.encode(text, &mut pieces)?;
    let example = if let Some(pair) = pair {
        let length = pieces.len();
        session.encode(pair, &mut pieces)?;
        let (a, b) = pieces.split_at(length);
        encode_pair(a, b, special, longest)
    } else {
        encode_single(&pieces, special, longest)
    };
    let unknown = example.input_ids.iter().filter(|&&id| id == special.unk);
    let unknown = unknown.count() as u64;
    Ok((Some(example), unknown))
}

/// Special tokens of an example.
pub(super) fn specials_of(special: SpecialTokens, is_pair: bool) -> usize {
    if is_pair {
        special.around_pair()
    } else {
        SINGLE_SPECIALS
    }
}

/// Refuses a `max-seq-length` that has no room for the special tokens and one token a text.
pub(super) fn check_length(
    found: usize,
    special: SpecialTokens,
    is_pair: bool,
) -> Result<(), DataError> {
    let least = specials_of(special, is_pair) + 1 + usize::from(is_pair);
    if found < least {
        return Err(DataError::MaxSeqLength { found, least });
    }
    Ok(())
}
