//! A row's text as an example.

use crate::data::encode::{Encoded, encode_pair, encode_single};
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
