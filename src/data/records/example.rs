//! `tf.train.Example`, the message in a record, with the numbers that its fields have in
//! `tensorflow/core/example/{example,feature}.proto`.

use prost::{Message, Oneof};

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
pub(super) fn columns(data: &[u8]) -> Result<Vec<Column>, RecordFault> {
    let example = Example::decode(data).map_err(|error| RecordFault::NotExample {
        reason: error.to_string(),
    })?;
    let mut columns: Vec<Column> = Vec::new();
    for Entry { key: name, value } in example.features.unwrap_or_default().feature {
        let values = match value.and_then(|feature| feature.kind) {
            Some(Kind::Ints(list)) => Values::Ints(list.value),
            Some(Kind::Floats(list)) => Values::Floats(list.value),
            Some(Kind::Bytes(list)) => Values::Texts(list.value.len()),
            None => Values::Ints(Vec::new()),
        };
        columns.retain(|column| column.name != name);
        columns.push(Column { name, values });
    }
    Ok(columns)
}

/// The data of a record of these columns.
pub(super) fn message(columns: Vec<Column>) -> Vec<u8> {
    let entry = |Column { name: key, values }: Column| {
        let kind = match values {
            Values::Ints(value) => Kind::Ints(Int64List { value }),
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
