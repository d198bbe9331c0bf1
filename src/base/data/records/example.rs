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
mod tests;
