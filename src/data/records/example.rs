//! `tf.train.Example`, the message in a record, with the numbers that its fields have in
//! `tensorflow/core/example/{example,feature}.proto`.

use prost::bytes::Bytes;
use prost::{DecodeError, Message, Oneof};

use super::columns::{Column, Values};
use super::fault::RecordFault;

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
    /// The bytes of an [`Int64List`]: nearly all of a record, see [`integers`].
    #[prost(bytes = "bytes", tag = "3")]
    Ints(Bytes),
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
pub(super) fn columns(data: Bytes) -> Result<Vec<Column>, RecordFault> {
    let not_example = |error: DecodeError| RecordFault::NotExample {
        reason: error.to_string(),
    };
    let example = Example::decode(data).map_err(not_example)?;
    let mut columns: Vec<Column> = Vec::new();
    for Entry { key: name, value } in example.features.unwrap_or_default().feature {
        let values = match value.and_then(|feature| feature.kind) {
            Some(Kind::Ints(list)) => Values::Ints(integers(&list).map_err(not_example)?),
            Some(Kind::Floats(list)) => Values::Floats(list.value),
            Some(Kind::Bytes(list)) => Values::Texts(list.value.len()),
            None => Values::Ints(Vec::new()),
        };
        columns.retain(|column| column.name != name);
        columns.push(Column { name, values });
    }
    Ok(columns)
}

/// The values of an [`Int64List`]. One that is packed, as all writers have it, is read here: the decoder
/// takes four times as long for values of few bytes.
fn integers(list: &[u8]) -> Result<Vec<i64>, DecodeError> {
    const PACKED: u8 = 1 << 3 | 2;
    if let Some((&PACKED, rest)) = list.split_first()
        && let Some((length, packed)) = varint(rest)
        && length == packed.len() as u64
        && let Some(values) = unpack(packed)
    {
        return Ok(values);
    }
    Int64List::decode(list).map(|list| list.value)
}

/// Packed values; `None` where one is cut off or longer than three bytes, which no token id is.
fn unpack(mut packed: &[u8]) -> Option<Vec<i64>> {
    // Nearly always so of a mask, a segment and a label.
    if packed.iter().fold(0, |all, byte| all | byte) < 0x80 {
        return Some(packed.iter().map(|byte| i64::from(*byte)).collect());
    }
    let count = packed.iter().filter(|byte| **byte < 0x80).count();
    let mut values = Vec::with_capacity(count);
    // Without a branch on the length of a value, which no processor could foresee.
    while let Some(word) = packed.first_chunk().copied().map(u32::from_le_bytes) {
        let ends = !word & 0x0080_8080;
        if ends == 0 {
            return None;
        }
        let length = ends.trailing_zeros() / 8 + 1;
        let bits = word & (u32::MAX >> (32 - 8 * length));
        let value = bits & 0x7f | bits >> 1 & 0x3f80 | bits >> 2 & 0x001f_c000;
        values.push(i64::from(value));
        packed = &packed[length as usize..];
    }
    while !packed.is_empty() {
        let (value, rest) = varint(packed)?;
        values.push(value.cast_signed());
        packed = rest;
    }
    Some(values)
}

/// A varint of at most three bytes, and the bytes after it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    const MORE: u8 = 0x80;
    let bits = |byte: u8, place: u32| u64::from(byte & !MORE) << (7 * place);
    match *bytes {
        [a @ ..MORE, ref rest @ ..] => Some((bits(a, 0), rest)),
        [a, b @ ..MORE, ref rest @ ..] => Some((bits(a, 0) | bits(b, 1), rest)),
        [a, b, c @ ..MORE, ref rest @ ..] => Some((bits(a, 0) | bits(b, 1) | bits(c, 2), rest)),
        _ => None,
    }
}

/// The data of a record of these columns.
pub(super) fn message(columns: Vec<Column>) -> Vec<u8> {
    let entry = |Column { name: key, values }: Column| {
        let kind = match values {
            Values::Ints(value) => Kind::Ints(Int64List { value }.encode_to_vec().into()),
            Values::Floats(value) => Kind::Floats(FloatList { value }),
            Values::Texts(count) => Kind::Bytes(BytesList {
                value: vec![Vec::new(); count],
            }),
        };
        let value = Some(Feature { kind: Some(kind) });
        Entry { key, value }
    };
    let feature = columns.into_iter().map(entry).collect();
    let features = Some(Features { feature });
    Example { features }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of these values as the library writes it.
    fn list(value: &[i64]) -> Vec<u8> {
        let value = value.to_vec();
        Int64List { value }.encode_to_vec()
    }

    #[test]
    fn a_packed_list_is_read_as_the_library_reads_it() {
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
                    assert_eq!(integers(&list(values)).as_deref(), Ok(values));
                }
            }
        }
        assert_eq!(integers(&[]), Ok(Vec::new()));
        // One tag a value, and two packed parts.
        let parts = [list(&[5, 6]), vec![1 << 3, 9], list(&[1000])].concat();
        assert_eq!(integers(&parts), Ok(vec![5, 6, 9, 1000]));
    }

    /// Whatever stands in the bytes, the result is that of the library.
    #[test]
    fn a_damaged_list_is_read_as_the_library_reads_it() {
        let whole = list(&[101, 2000, 30_000, 102, 0, 1, 2_100_000]);
        for at in 0..whole.len() {
            for byte in 0..=u8::MAX {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                let expected = Int64List::decode(&damaged[..]).map(|list| list.value);
                assert_eq!(integers(&damaged), expected, "byte {at} = {byte}");
            }
            let cut = &whole[..at];
            let expected = Int64List::decode(cut).map(|list| list.value);
            assert_eq!(integers(cut), expected, "the first {at} bytes");
        }
    }
}
