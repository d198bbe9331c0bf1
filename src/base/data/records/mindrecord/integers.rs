//! Integers of a blob, each in as few bytes as it needs.

/// Bytes of the number of values.
const COUNT: usize = 4;
/// Values whose widths stand in one byte.
const CODES: usize = 4;

/// Values of a packed array: their number (u32, big-endian), a code of two bits for each, the first in the
/// highest bits, and then the values, little-endian and signed, of 1, 2, 4 or 8 bytes.
///
/// `None` where the bytes are no such array. Each value must have the narrowest width that holds it, as
/// MindSpore writes it, so that most damage is seen.
pub(super) fn unpack(bytes: &[u8]) -> Option<Vec<i64>> {
    let (count, rest) = bytes.split_first_chunk::<COUNT>()?;
    let count = usize::try_from(u32::from_be_bytes(*count)).ok()?;
    let (codes, mut rest) = rest.split_at_checked(count.div_ceil(CODES))?;
    // Each value has a byte at least: no more is allocated than is there.
    if rest.len() < count {
        return None;
    }
    let mut values = Vec::with_capacity(count);
    for (place, four) in codes.iter().enumerate() {
        let codes = [four >> 6, four >> 4 & 3, four >> 2 & 3, four & 3];
        let there = CODES.min(count - CODES * place);
        // Bits after the last value.
        if codes[there..].iter().any(|code| *code != 0) {
            return None;
        }
        for &code in &codes[..there] {
            let word = match rest.first_chunk() {
                Some(bytes) => i64::from_le_bytes(*bytes),
                None => padded(rest),
            };
            rest = rest.get(1 << code..)?;
            let unused = 64 - (8 << code);
            let value = word << unused >> unused;
            if width(value) != code {
                return None;
            }
            values.push(value);
        }
    }
    rest.is_empty().then_some(values)
}

/// The last bytes, fewer than eight, as a little-endian number.
fn padded(bytes: &[u8]) -> i64 {
    let mut whole = [0; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    i64::from_le_bytes(whole)
}

/// The array of these values.
///
/// # Panics
/// Where there are more than 32 bits can count.
pub(super) fn pack(values: &[i64]) -> Vec<u8> {
    let count = u32::try_from(values.len()).expect("a row is short");
    let mut bytes = count.to_be_bytes().to_vec();
    for four in values.chunks(CODES) {
        let codes = four.iter().enumerate();
        bytes.push(codes.fold(0, |all, (place, value)| {
            all | width(*value) << (6 - 2 * place)
        }));
    }
    for value in values {
        bytes.extend(&value.to_le_bytes()[..1 << width(*value)]);
    }
    bytes
}

/// Code of the narrowest width that holds a value.
fn width(value: i64) -> u8 {
    let bits = 65 - (value ^ value >> 63).leading_zeros();
    u8::from(bits > 8) + u8::from(bits > 16) + u8::from(bits > 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_width_are_unpacked() {
        let values = [
            0,
            1,
            -1,
            127,
            128,
            -128,
            -129,
            255,
            256,
            32767,
            32768,
            -32768,
            -32769,
            65535,
            2_147_483_647,
            -2_147_483_648,
            2_147_483_648,
            -2_147_483_649,
            i64::MAX,
            i64::MIN,
        ];
        for count in 0..=values.len() {
            assert_eq!(
                unpack(&pack(&values[..count])).as_deref(),
                Some(&values[..count])
            );
        }
        // Written out, so that both directions cannot be wrong together.
        let bytes = [
            0,
            0,
            0,
            5,
            0b0001_1011,
            0,
            1,
            0x80,
            0,
            0,
            0,
            1,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0x80,
            0xff,
        ];
        assert_eq!(unpack(&bytes), None, "the last code is that of one byte");
        let bytes = [
            0,
            0,
            0,
            5,
            0b0001_1011,
            0,
            1,
            0x80,
            0,
            0,
            0,
            1,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0x80,
            0xff,
        ];
        assert_eq!(unpack(&bytes), Some(vec![1, 128, 1 << 16, i64::MIN, -1]));
    }

    #[test]
    fn arrays_that_are_cut_or_longer_or_wider_than_needed_are_refused() {
        let bytes = pack(&[1, 300, -5]);
        for cut in 0..bytes.len() {
            assert_eq!(unpack(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(unpack(&[&bytes[..], &[0]].concat()), None);
        // 1 in two bytes; a code after the last value; a number of values that is not there.
        assert_eq!(unpack(&[0, 0, 0, 1, 0b0100_0000, 1, 0]), None);
        assert_eq!(unpack(&[0, 0, 0, 1, 0b0001_0000, 1]), None);
        assert_eq!(unpack(&[0xff, 0xff, 0xff, 0xff, 0, 1]), None);
    }
}
