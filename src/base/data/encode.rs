//! Word pieces to BERT's input: `[CLS] a [SEP]`, or `[CLS] a [SEP] b [SEP]` for a pair, with as many `[SEP]` between
//! both texts as the tokenizer says.

use super::tokenizer::SpecialTokens;

/// Special tokens around a single text.
pub const SINGLE_SPECIALS: usize = 2;

/// One example as the model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Ids with special tokens, at most `max_seq_length`.
    pub input_ids: Vec<u32>,
    /// Index of the first token of segment 1; the length where there is none.
    pub text_b_start: usize,
    /// Whether word pieces were cut off.
    pub truncated: bool,
}

/// `[CLS] a [SEP]`, cut to `max_seq_length` tokens at the end.
///
/// # Panics
/// Where `max_seq_length` leaves no room for the special tokens.
pub fn encode_single(a: &[u32], special: SpecialTokens, max_seq_length: usize) -> Encoded {
    let kept = a.len().min(max_seq_length - SINGLE_SPECIALS);
    let mut input_ids = Vec::with_capacity(kept + SINGLE_SPECIALS);
    input_ids.push(special.cls);
    input_ids.extend_from_slice(&a[..kept]);
    input_ids.push(special.sep);
    Encoded {
        text_b_start: input_ids.len(),
        input_ids,
        truncated: kept < a.len(),
    }
}

/// `[CLS] a [SEP] b [SEP]`, the longer text cut until both fit in `max_seq_length` tokens.
///
/// # Panics
/// Where `max_seq_length` leaves no room for the special tokens.
pub fn encode_pair(a: &[u32], b: &[u32], special: SpecialTokens, max_seq_length: usize) -> Encoded {
    let (kept_a, kept_b) = kept_of_pair(a.len(), b.len(), max_seq_length - special.around_pair());
    let (input_ids, text_b_start) = join_pair(&a[..kept_a], &b[..kept_b], special);
    Encoded {
        input_ids,
        text_b_start,
        truncated: kept_a + kept_b < a.len() + b.len(),
    }
}

/// `[CLS] a [SEP] b [SEP]`, and where `b` begins.
pub(super) fn join_pair(a: &[u32], b: &[u32], special: SpecialTokens) -> (Vec<u32>, usize) {
    let mut input_ids = Vec::with_capacity(a.len() + b.len() + special.around_pair());
    input_ids.push(special.cls);
    input_ids.extend_from_slice(a);
    input_ids.extend(std::iter::repeat_n(special.sep, special.between));
    let text_b_start = input_ids.len();
    input_ids.extend_from_slice(b);
    input_ids.push(special.sep);
    (input_ids, text_b_start)
}

/// Lengths left of a pair where one token after the other is taken from the longer text, and of
/// two equal ones from the second, until `room` holds them (BERT's `_truncate_seq_pair`).
fn kept_of_pair(a: usize, b: usize, room: usize) -> (usize, usize) {
    if a + b <= room {
        return (a, b);
    }
    // A text of no more than half the room is never the longer one.
    let half = room / 2;
    if b <= half {
        (room - b, b)
    } else if a <= room - half {
        (a, room - a)
    } else {
        (room - half, half)
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

    #[test]
    fn a_single_text_stands_between_cls_and_sep() {
        let encoded = encode_single(&[7, 8], SPECIAL, 4);
        assert_eq!(encoded.input_ids, [2, 7, 8, 3]);
        assert_eq!((encoded.text_b_start, encoded.truncated), (4, false));
        let encoded = encode_single(&[7, 8, 9], SPECIAL, 4);
        assert_eq!(encoded.input_ids, [2, 7, 8, 3]);
        assert_eq!((encoded.text_b_start, encoded.truncated), (4, true));
        assert_eq!(encode_single(&[], SPECIAL, 4).input_ids, [2, 3]);
    }

    #[test]
    fn a_pair_has_its_second_text_in_segment_one() {
        let encoded = encode_pair(&[7, 8], &[9], SPECIAL, 6);
        assert_eq!(encoded.input_ids, [2, 7, 8, 3, 9, 3]);
        assert_eq!((encoded.text_b_start, encoded.truncated), (4, false));
        let encoded = encode_pair(&[5, 6, 7], &[8, 9, 10], SPECIAL, 8);
        assert_eq!(encoded.input_ids, [2, 5, 6, 7, 3, 8, 9, 3]);
        assert_eq!((encoded.text_b_start, encoded.truncated), (5, true));
    }

    #[test]
    fn two_separators_between_texts_take_room_from_both() {
        let special = SpecialTokens {
            between: 2,
            ..SPECIAL
        };
        let encoded = encode_pair(&[5, 6, 7], &[8, 9, 10], special, 8);
        assert_eq!(encoded.input_ids, [2, 5, 6, 3, 3, 8, 9, 3]);
        assert_eq!((encoded.text_b_start, encoded.truncated), (5, true));
    }

    #[test]
    fn a_pair_is_cut_as_by_the_published_loop() {
        for a in 0..12 {
            for b in 0..12 {
                for room in 0..25 {
                    let (mut kept_a, mut kept_b) = (a, b);
                    while kept_a + kept_b > room {
                        if kept_a > kept_b {
                            kept_a -= 1;
                        } else {
                            kept_b -= 1;
                        }
                    }
                    let kept = kept_of_pair(a, b, room);
                    assert_eq!(kept, (kept_a, kept_b), "{a} and {b} in {room}");
                }
            }
        }
    }
}
