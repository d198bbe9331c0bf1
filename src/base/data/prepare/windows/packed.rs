//! Windows of one text that fill the whole length: `[CLS] tokens [SEP]`.

use std::ops::Range;

use super::Window;
use super::sentences::Sentences;
use crate::data::encode::{SINGLE_SPECIALS, encode_single};
use crate::data::error::DataError;
use crate::data::order::SplitMix64;
use crate::data::tokenizer::SpecialTokens;

/// Hands the windows of a document to `write`: its tokens one after the other, cut where a window
/// is full. Only the last window of a document is shorter.
pub(super) fn generate(
    sentences: &Sentences,
    document: Range<usize>,
    special: SpecialTokens,
    max_seq_length: usize,
    random: &mut SplitMix64,
    write: &mut impl FnMut(Window, &mut SplitMix64) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let room = max_seq_length - SINGLE_SPECIALS;
    let mut tokens = Vec::with_capacity(room);
    let mut flush = |tokens: &mut Vec<u32>| {
        let encoded = encode_single(tokens, special, max_seq_length);
        tokens.clear();
        let window = Window {
            input_ids: encoded.input_ids,
            text_b_start: encoded.text_b_start,
            ..Window::default()
        };
        write(window, random)
    };
    let mut reader = sentences.reader();
    let mut sentence = Vec::new();
    for i in document {
        sentence.clear();
        reader.append(i, &mut sentence)?;
        let mut rest = &sentence[..];
        while !rest.is_empty() {
            let (head, tail) = rest.split_at(rest.len().min(room - tokens.len()));
            tokens.extend_from_slice(head);
            rest = tail;
            if tokens.len() == room {
                flush(&mut tokens)?;
            }
        }
    }
    if tokens.is_empty() {
        return Ok(());
    }
    flush(&mut tokens)
}
