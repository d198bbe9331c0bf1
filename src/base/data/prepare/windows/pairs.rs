//! Windows of two texts: `[CLS] a [SEP] b [SEP]`.

use std::ops::Range;

use super::Window;
use super::sentences::{Reader, Sentences};
use crate::data::encode::join_pair;
use crate::data::error::DataError;
use crate::data::order::SplitMix64;
use crate::data::tokenizer::SpecialTokens;

/// How pairs are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pairs {
    /// Probability that a document is cut into shorter windows, of a random length.
    pub short: f64,
}

/// Probability of a second text from another document, where the first one has a successor.
const RANDOM_NEXT: f64 = 0.5;

/// Hands the windows of a document to `write`. Sentences are collected until they fill the window,
/// and cut at random into a first and a second text; half of the second texts are replaced by one
/// that begins at a random sentence of another document, and what they replace is used again.
///
/// A random sentence is one of all sentences of the other documents, each equally likely: the same
/// as the published choice of a document in proportion to its sentences, then of a sentence in it.
pub(super) fn generate(
    pairs: Pairs,
    sentences: &Sentences,
    document: Range<usize>,
    special: SpecialTokens,
    max_seq_length: usize,
    random: &mut SplitMix64,
    write: &mut impl FnMut(Window, &mut SplitMix64) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let room = max_seq_length - special.around_pair();
    let target = if random.chance(pairs.short) {
        2 + random.index(room - 1)
    } else {
        room
    };
    let (mut reader, mut others) = (sentences.reader(), sentences.reader());
    let (mut first, mut length, mut i) = (document.start, 0, document.start);
    while i < document.end {
        length += reader.span(i)?.length();
        if i + 1 < document.end && length < target {
            i += 1;
            continue;
        }
        let count = i + 1 - first;
        let taken = if count >= 2 {
            1 + random.index(count - 1)
        } else {
            1
        };
        let a = joined(&mut reader, first..first + taken)?;
        let is_random = count == 1 || random.chance(RANDOM_NEXT);
        let b = if is_random {
            i = first + taken - 1;
            let start = elsewhere(sentences.len(), &document, random);
            let wanted = target.saturating_sub(a.len());
            text_from(&mut others, start, sentences.len(), wanted)?
        } else {
            joined(&mut reader, first + taken..i + 1)?
        };
        let window = Window {
            is_random,
            ..pair(&a, &b, special, room, random)
        };
        write(window, random)?;
        i += 1;
        (first, length) = (i, 0);
    }
    Ok(())
}

fn joined(reader: &mut Reader<'_>, sentences: Range<usize>) -> Result<Vec<u32>, DataError> {
    let mut tokens = Vec::new();
    for i in sentences {
        reader.append(i, &mut tokens)?;
    }
    Ok(tokens)
}

/// A random sentence of another document.
fn elsewhere(count: usize, document: &Range<usize>, random: &mut SplitMix64) -> usize {
    let i = random.index(count - document.len());
    if i < document.start {
        i
    } else {
        i + document.len()
    }
}

/// Sentences from `i` to the end of its document, until there are `wanted` tokens.
fn text_from(
    reader: &mut Reader<'_>,
    mut i: usize,
    count: usize,
    wanted: usize,
) -> Result<Vec<u32>, DataError> {
    let mut tokens = Vec::new();
    reader.append(i, &mut tokens)?;
    while tokens.len() < wanted {
        i += 1;
        if i == count || reader.span(i)?.begins_document {
            break;
        }
        reader.append(i, &mut tokens)?;
    }
    Ok(tokens)
}

/// The longer text loses its first or its last token, one after the other, until both fit.
fn pair(
    a: &[u32],
    b: &[u32],
    special: SpecialTokens,
    room: usize,
    random: &mut SplitMix64,
) -> Window {
    let (mut a, mut b) = (a, b);
    let is_cut = a.len() + b.len() > room;
    while a.len() + b.len() > room {
        let longer = if a.len() > b.len() { &mut a } else { &mut b };
        *longer = if random.chance(0.5) {
            &longer[1..]
        } else {
            &longer[..longer.len() - 1]
        };
    }
    let (input_ids, text_b_start) = join_pair(a, b, special);
    Window {
        input_ids,
        text_b_start,
        is_cut,
        ..Window::default()
    }
}
