//! `tf.train.Example`, the message in a record, with the numbers that its fields have in
//! `tensorflow/core/example/{example,feature}.proto`.

use std::borrow::Cow;

use prost::{Message, Oneof};

use super::columns::{Column, Ints, Values};
use super::fault::RecordFault;
use crate::input::wire::{Field, Fields};

#[derive(Clone, PartialEq, Message)]
struct Example {
    #[prost(message, optional, tag = "1")]
    features: Option<Features>,
}

/// A map in the file; an entry is as its message, and the last of a name counts.
#[derive(Clone, PartialEq, Message)]
struct Features {
    #[prost(message, repeated, tag = "1")]
    feature: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Feature>,
}

#[derive(Clone, PartialEq, Message)]
struct Feature {
    #[prost(oneof = "Kind", tags = "1, 2, 3")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Kind {
    #[prost(message, tag = "1")]
    Bytes(BytesList),
    #[prost(message, tag = "2")]
    Floats(FloatList),
    #[prost(message, tag = "3")]
    Ints(Int64List),
}

#[derive(Clone, PartialEq, Message)]
struct BytesList {
    #[prost(bytes = "vec", repeated, tag = "1")]
    value: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct FloatList {
    #[prost(float, repeated, tag = "1")]
    value: Vec<f32>,
}

/// Packed, or one tag a value: both are read.
#[derive(Clone, PartialEq, Message)]
struct Int64List {
    #[prost(int64, repeated, tag = "1")]
    value: Vec<i64>,
}

/// The columns of a record's data, in no certain order.
pub(super) fn columns(data: &[u8]) -> Result<Vec<Column<'_>>, RecordFault> {
    match plain(data) {
        Some(columns) => Ok(columns),
        None => decoded(data),
    }
}

/// What the library makes of a record's data.
fn decoded(data: &[u8]) -> Result<Vec<Column<'static>>, RecordFault> {
    let example = Example::decode(data).map_err(|error| RecordFault::NotExample {
        reason: error.to_string(),
    })?;
    let mut columns: Vec<Column> = Vec::new();
    for Entry { key: name, value } in example.features.unwrap_or_default().feature {
        let values = match value.and_then(|feature| feature.kind) {
            Some(Kind::Ints(list)) => Values::Ints(list.value.into()),
            Some(Kind::Floats(list)) => Values::Floats(list.value),
            Some(Kind::Bytes(list)) => Values::Texts(list.value.len()),
            None => Values::Ints(Vec::new().into()),
        };
        columns.retain(|column| column.name != name);
        let name = name.into();
        columns.push(Column { name, values });
    }
    Ok(columns)
}

/// The columns of data that are as all writers have them: every message and every list in one piece, names
/// that differ, packed integers of at most three bytes each. `None` of any other data, and of damaged ones.
///
/// The library takes ten times as long: it allocates for each message and name, and decodes byte by byte.
fn plain(data: &[u8]) -> Option<Vec<Column<'_>>> {
    let mut columns: Vec<Column> = Vec::with_capacity(4);
    for entry in Fields::of(only(data, 1)?, 0) {
        let Ok((1, Field::Bytes(entry, _))) = entry else {
            return None;
        };
        let mut parts = Fields::of(entry, 0);
        let (Some(Ok((1, Field::Bytes(name, _)))), Some(Ok((2, Field::Bytes(feature, _)))), None) =
            (parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let name = Cow::Borrowed(str::from_utf8(name).ok()?);
        if columns.iter().any(|column| column.name == name) {
            return None;
        }
        let values = match only(feature, 3) {
            Some(list) => Values::Ints(unpack(only(list, 1)?)?),
            None => Values::Floats(floats(only(only(feature, 2)?, 1)?)?),
        };
        columns.push(Column { name, values });
    }
    Some(columns)
}

/// The bytes of a message that are one field of this number.
fn only(message: &[u8], number: u64) -> Option<&[u8]> {
    let mut fields = Fields::of(message, 0);
    match (fields.next()?, fields.next()) {
        (Ok((found, Field::Bytes(bytes, _))), None) if found == number => Some(bytes),
        _ => None,
    }
}

fn floats(packed: &[u8]) -> Option<Vec<f32>> {
    let (values, []) = packed.as_chunks::<4>() else {
        return None;
    };
    Some(values.iter().map(|it| f32::from_le_bytes(*it)).collect())
}

/// Bytes of a value whose last one is below it.
const MORE: u8 = 0x80;
/// Bytes of the longest value that is read here: no token id has more.
const LONGEST: usize = 3;

/// Packed integers; `None` where one is cut off or longer than three bytes.
///
/// Where each value ends is found for 64 bytes at a time. So no value waits for the length of the one
/// before it, which no processor could foresee.
fn unpack(packed: &[u8]) -> Option<Ints<'_>> {
    // As in nearly all masks, segments and labels.
    if packed.iter().fold(0, |all, byte| all | byte) < MORE {
        return Some(Ints::Bytes(packed));
    }
    // Padding, which a row has much of.
    let zeros = packed.iter().rev().take_while(|byte| **byte == 0).count();
    let (values, padding) = packed.split_at(packed.len() - zeros);
    // A value that is cut off has none of the padding.
    let padding = match values.last() {
        Some(MORE..) => return None,
        _ => padding.len(),
    };
    let mut words = vec![0; values.len() + padding];
    let (mut count, mut begin, mut longest) = (0, 0, 0);
    for (block, bytes) in values.chunks(64).enumerate() {
        let mut ends = ends(bytes);
        while ends != 0 {
            let end = 64 * block + ends.trailing_zeros() as usize + 1;
            ends &= ends - 1;
            let length = end - begin;
            longest = longest.max(length);
            words[count] = integer(values, end, length);
            count += 1;
            begin = end;
        }
    }
    words.truncate(count + padding);
    (longest <= LONGEST).then_some(Ints::Words(words))
}

/// The bits of the bytes, 64 at most, that a value ends with.
fn ends(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    // The highest bits of eight bytes, side by side.
    let high = |word: u64| (word & 0x8080_8080_8080_8080).wrapping_mul(0x0002_0408_1020_4081) >> 56;
    let words = words.iter().map(|word| high(!u64::from_le_bytes(*word)));
    let words = words
        .enumerate()
        .fold(0, |all, (place, bits)| all | bits << (8 * place));
    let first = bytes.len() - rest.len();
    let rest = rest.iter().enumerate();
    rest.fold(words, |all, (place, byte)| {
        all | u64::from(*byte < MORE) << (first + place)
    })
}

/// The value of `length` bytes, at most three, before `end`; of more, any.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    reason = "two bits of a length remain"
)]
fn integer(packed: &[u8], end: usize, length: usize) -> u32 {
    // Four bytes at once, those of the value last.
    let word = match end
        .checked_sub(4)
        .and_then(|start| packed[start..end].first_chunk())
    {
        Some(bytes) => u32::from_le_bytes(*bytes),
        None => {
            packed[..end]
                .iter()
                .rev()
                .fold((0, 24), |(word, shift), byte| {
                    (word | u32::from(*byte) << shift, shift - 8)
                })
                .0
        }
    };
    let word = word.wrapping_shr(32 - 8 * ((length & 3) as u32));
    word & 0x7f | word >> 1 & 0x3f80 | word >> 2 & 0x001f_c000
}

/// The data of a record of these columns.
pub(super) fn message(columns: Vec<Column>) -> Vec<u8> {
    let entry = |Column { name: key, values }: Column| {
        let kind = match values {
            Values::Ints(values) => Kind::Ints(Int64List {
                value: values.iter().collect(),
            }),
            Values::Floats(value) => Kind::Floats(FloatList { value }),
            Values::Texts(count) => Kind::Bytes(BytesList {
                value: vec![Vec::new(); count],
            }),
        };
        let value = Some(Feature { kind: Some(kind) });
        let key = key.into_owned();
        Entry { key, value }
    };
    let feature = columns.into_iter().map(entry).collect();
    let features = Some(Features { feature });
    Example { features }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &'static str, values: Values<'static>) -> Column<'static> {
        let name = name.into();
        Column { name, values }
    }

    fn ints(values: &[i64]) -> Values<'static> {
        Values::Ints(values.to_vec().into())
    }

    /// Both readers, which must agree; whether the fast one took the data.
    fn agree(data: &[u8]) -> bool {
        let (found, expected) = (columns(data), decoded(data));
        match (found, expected) {
            (Ok(found), Ok(expected)) => {
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(&expected) {
                    assert_eq!(found.name, expected.name);
                    match (&found.values, &expected.values) {
                        // By their bits: a damaged one may be no number.
                        (Values::Floats(found), Values::Floats(expected)) => {
                            let bits = |floats: &[f32]| {
                                floats.iter().map(|it| it.to_bits()).collect::<Vec<_>>()
                            };
                            assert_eq!(bits(found), bits(expected));
                        }
                        (found, expected) => assert_eq!(found, expected),
                    }
                }
            }
            (found, expected) => assert_eq!(found, expected),
        }
        plain(data).is_some()
    }

    #[test]
    fn integers_are_read_as_the_library_reads_them() {
        let edges = [
            0,
            1,
            127,
            128,
            16_383,
            16_384,
            2_097_151,
            2_097_152,
            i64::MAX,
            -1,
        ];
        for first in edges {
            for second in edges {
                for values in [&[first][..], &[first, second], &[7, first, 300, second, 0]] {
                    let is_plain = agree(&message(vec![column("ids", ints(values))]));
                    let is_short = values.iter().all(|value| (0..1 << 21).contains(value));
                    assert_eq!(is_plain, is_short, "{values:?}");
                }
            }
        }
        // Values on all sides of 64 bytes.
        for count in 0..200 {
            let values: Vec<i64> = (0..count).map(|at| at * at * 7919 % 30_522).collect();
            let is_plain = agree(&message(vec![column("ids", ints(&values))]));
            assert_eq!(is_plain, count > 0);
        }
    }

    /// A record with lists of all kinds, in which ids of one, two and three bytes are more than 64 bytes.
    fn record() -> Vec<u8> {
        let ids: Vec<i64> = (0..30).map(|at| [5, 300, 30_000][at % 3]).collect();
        message(vec![
            column("input_ids", ints(&ids)),
            column("input_mask", ints(&[1, 1, 0])),
            column("label_ids", Values::Floats(vec![0.5, -1.0])),
        ])
    }

    #[test]
    fn a_record_in_several_pieces_is_read_as_the_library_reads_it() {
        assert!(agree(&record()));
        // Both features; one twice; a text; no list; not packed; in two packed parts; nothing.
        let entry = |name: &str, feature: &[u8]| {
            let part = |tag: u8, bytes: &[u8]| {
                [&[tag, u8::try_from(bytes.len()).unwrap()], bytes].concat()
            };
            let entry = [part(0x0a, name.as_bytes()), part(0x12, feature)].concat();
            let features = part(0x0a, &entry);
            part(0x0a, &features)
        };
        let texts = b"\x0a\x03\x0a\x01x";
        let unpacked = b"\x1a\x05\x08\x09\x08\xac\x02";
        let parts = b"\x1a\x06\x0a\x02\x05\x06\x08\x09";
        for feature in [&texts[..], unpacked, parts, b"", b"\x1a\x00"] {
            assert!(!agree(&entry("a", feature)));
        }
        assert!(agree(&entry("a", b"\x1a\x02\x0a\x00")));
        let twice = [
            entry("a", b"\x1a\x03\x0a\x01\x05"),
            entry("a", b"\x1a\x03\x0a\x01\x06"),
        ]
        .concat();
        assert!(!agree(&twice));
        assert!(!agree(&[record(), entry("b", texts)].concat()));
        assert!(!agree(b""));
    }

    /// Whatever stands in the bytes, the result is that of the library.
    #[test]
    fn a_damaged_record_is_read_as_the_library_reads_it() {
        let whole = record();
        for at in 0..whole.len() {
            for byte in 0..=u8::MAX {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                agree(&damaged);
            }
            agree(&whole[..at]);
        }
    }
}
