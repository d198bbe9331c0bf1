//! Walking over a protobuf message in place: each field as its number and its value, borrowed.
//!
//! Of the crates for protobuf, `prost` copies every `bytes` field, which in checkpoints are the weights, and
//! allocates for every message, of which a record has ten.

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'b> {
    /// Whole number.
    Varint(u64),
    /// Eight bytes.
    Fixed64,
    /// Four bytes, as a little-endian number.
    Fixed32(u32),
    /// Bytes, a string, a message or packed numbers, and where they begin in the file.
    Bytes(&'b [u8], usize),
}

/// A field that is not one, and the byte of the file that it begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadField {
    /// The byte.
    pub at: usize,
}

/// The fields of a message, in order. It ends after the first one that is bad.
#[derive(Debug, Clone)]
pub struct Fields<'b> {
    bytes: &'b [u8],
    /// Where `bytes` begin in the file.
    start: usize,
    place: usize,
}

impl<'b> Fields<'b> {
    /// Those of `bytes`, which begin at `start` in their file.
    pub fn of(bytes: &'b [u8], start: usize) -> Self {
        Self {
            bytes,
            start,
            place: 0,
        }
    }

    /// Byte of the file that the next field begins at.
    pub fn at(&self) -> usize {
        self.start + self.place
    }

    fn field(&mut self) -> Option<(u64, Field<'b>)> {
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Field::Fixed64
            }
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                let at = self.at();
                Field::Bytes(self.take(len)?, at)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        // A message has no field 0.
        (tag >> 3 > 0).then_some((tag >> 3, field))
    }

    fn varint(&mut self) -> Option<u64> {
        let (value, len) = varint(self.bytes.get(self.place..)?)?;
        self.place += len;
        Some(value)
    }

    fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let end = self.place.checked_add(len)?;
        let taken = self.bytes.get(self.place..end)?;
        self.place = end;
        Some(taken)
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Result<(u64, Field<'b>), BadField>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.place >= self.bytes.len() {
            return None;
        }
        let at = self.at();
        let field = self.field();
        if field.is_none() {
            self.place = self.bytes.len();
        }
        Some(field.ok_or(BadField { at }))
    }
}

/// A varint of protobuf, and how many bytes it takes.
pub fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    // Most numbers of fields and lengths.
    if let Some(&byte @ ..0x80) = bytes.first() {
        return Some((u64::from(byte), 1));
    }
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if index == 9 && bits > 1 {
            return None;
        }
        value |= bits << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

/// The numbers of a packed field.
pub fn packed(mut bytes: &[u8]) -> Option<Vec<u64>> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let (value, len) = varint(bytes)?;
        values.push(value);
        bytes = &bytes[len..];
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_those_of_the_encoding_guide() {
        // The examples of protobuf's own description: 150, "testing", a message with 150 in it.
        let bytes = b"\x08\x96\x01\x12\x07testing\x1a\x03\x08\x96\x01\x25\x01\0\0\0";
        let fields: Vec<_> = Fields::of(bytes, 100).map(Result::unwrap).collect();
        assert_eq!(fields[0], (1, Field::Varint(150)));
        assert_eq!(fields[1], (2, Field::Bytes(b"testing", 105)));
        assert_eq!(fields[2], (3, Field::Bytes(b"\x08\x96\x01", 114)));
        assert_eq!(fields[3], (4, Field::Fixed32(1)));
        assert_eq!(
            packed(b"\x03\x8e\x02\x9e\xa7\x05"),
            Some(vec![3, 270, 86942])
        );
    }

    #[test]
    fn what_is_no_field_ends_the_message_with_its_place() {
        for bad in [
            &b"\x12\x08testing"[..],
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x08",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x0b\x01",
            b"\x02\x00",
            b"\x25\x01",
        ] {
            let bytes = [b"\x08\x01", bad].concat();
            let mut fields = Fields::of(&bytes, 7);
            assert_eq!(fields.next(), Some(Ok((1, Field::Varint(1)))));
            assert_eq!(fields.next(), Some(Err(BadField { at: 9 })), "{bad:?}");
            assert_eq!(fields.next(), None);
        }
    }
}
