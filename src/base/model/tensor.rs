//! A tensor of a file of weights: the type of its numbers, its bytes, where it lies.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::regions::Regions;

/// Type of a tensor's numbers, little-endian all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// 64-bit floats.
    F64,
    /// 32-bit floats.
    F32,
    /// IEEE half floats.
    F16,
    /// bfloat16.
    Bf16,
    /// 64-bit integers.
    I64,
    /// Anything else: such a tensor is listed, and an error only where it is needed.
    Other {
        /// Name of the type in the file.
        name: &'static str,
    },
}

impl Dtype {
    /// Bytes of one number; `None` for types that are not read.
    pub fn size(self) -> Option<usize> {
        match self {
            Self::F64 | Self::I64 => Some(8),
            Self::F32 => Some(4),
            Self::F16 | Self::Bf16 => Some(2),
            Self::Other { .. } => None,
        }
    }

    /// Whether [`Tensor::to_f32`] reads it.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::I64 => "i64",
            Self::Other { name } => name,
        })
    }
}

/// One tensor, row-major.
#[derive(Debug, Clone)]
pub struct Tensor<'w> {
    /// Type of its numbers.
    pub dtype: Dtype,
    /// Length of each axis; empty for a scalar.
    pub shape: Vec<usize>,
    /// `product(shape) * dtype.size()` bytes, borrowed from the file's map unless they had to be rearranged.
    pub bytes: Cow<'w, [u8]>,
}

impl<'w> Tensor<'w> {
    /// These of its rows, in this order; `None` where it has fewer.
    pub(super) fn take_rows(&self, rows: &[u32]) -> Option<Tensor<'w>> {
        let (first, rest) = self.shape.split_first()?;
        let width = rest.iter().product::<usize>() * self.dtype.size()?;
        let mut bytes = Vec::with_capacity(rows.len() * width);
        for row in rows {
            let start = usize::try_from(*row).ok().filter(|row| row < first)? * width;
            bytes.extend_from_slice(self.bytes.get(start..start + width)?);
        }
        Some(Tensor {
            dtype: self.dtype,
            shape: [&[rows.len()], rest].concat(),
            bytes: Cow::Owned(bytes),
        })
    }

    /// The numbers as 32-bit floats; `None` where they are not floats.
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        // Chunks rather than a cast: nothing in a file of weights promises alignment.
        fn each<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
            bytes
                .as_chunks::<N>()
                .0
                .iter()
                .map(|chunk| read(*chunk))
                .collect()
        }
        let bytes = self.bytes.as_ref();
        match self.dtype {
            Dtype::F32 => Some(each(bytes, f32::from_le_bytes)),
            Dtype::F16 => Some(each(bytes, |b| half::f16::from_le_bytes(b).to_f32())),
            Dtype::Bf16 => Some(each(bytes, |b| half::bf16::from_le_bytes(b).to_f32())),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "rounding is what is asked for"
            )]
            Dtype::F64 => Some(each(bytes, |b| f64::from_le_bytes(b) as f32)),
            Dtype::I64 | Dtype::Other { .. } => None,
        }
    }
}

/// Where a tensor lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// The tensor's bytes, cut into one stretch or several. The loader has checked that they lie in
    /// their files and are as many as the shape needs.
    pub(super) parts: Vec<Part>,
    /// Which box of the tensor each part is; `None` where the parts follow each other.
    pub(super) regions: Option<Regions>,
    /// Steps of each axis in the bytes as put together, in numbers; `None` for row-major.
    pub(super) strides: Option<Vec<usize>>,
}

/// A stretch of a file that holds a tensor, or some of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// Which of the opened files.
    pub(super) file: usize,
    /// First byte.
    pub(super) start: usize,
    /// Bytes.
    pub(super) len: usize,
    /// Part of the file with a checksum that the stretch lies in; verified before the tensor is handed out.
    pub(super) checked: Option<Checked>,
}

/// A stretch of a file and the checksum that it should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) start: usize,
    pub(super) len: usize,
    pub(super) sum: Checksum,
}

/// A checksum of a stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checksum {
    /// CRC-32 as zip and zlib compute it.
    Crc32(u32),
    /// CRC-32C, masked as TensorFlow's files store it.
    MaskedCrc32c(u32),
}

impl Checksum {
    /// Whether these bytes have it.
    pub(super) fn is_of(self, bytes: &[u8]) -> bool {
        match self {
            Self::Crc32(sum) => crc32fast::hash(bytes) == sum,
            Self::MaskedCrc32c(sum) => masked(crc32c::crc32c(bytes)) == sum,
        }
    }
}

/// A checksum as TensorFlow stores it beside the bytes that it is of.
pub(super) fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Number format in which weights are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightDtype {
    /// 32-bit floats.
    Fp32,
    /// IEEE 16-bit floats.
    Fp16,
    /// 16-bit brain floats.
    Bf16,
}

impl WeightDtype {
    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Self::Fp32 => 4,
            Self::Fp16 | Self::Bf16 => 2,
        }
    }

    /// Its name in a `config.json`.
    pub fn torch_name(self) -> &'static str {
        match self {
            Self::Fp32 => "float32",
            Self::Fp16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }
}

/// Little-endian bytes of numbers in a number format, each rounded to the nearest, of two to the
/// even one; `None` where a finite number would become infinite.
pub fn round_to(values: &[f32], dtype: WeightDtype) -> Option<Vec<u8>> {
    fn all<const N: usize>(
        values: &[f32],
        round: impl Fn(f32) -> (bool, [u8; N]),
    ) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(values.len() * N);
        for value in values {
            let (is_finite, rounded) = round(*value);
            if value.is_finite() && !is_finite {
                return None;
            }
            bytes.extend(rounded);
        }
        Some(bytes)
    }
    match dtype {
        WeightDtype::Fp32 => all(values, |value| (true, value.to_le_bytes())),
        WeightDtype::Fp16 => all(values, |value| {
            let rounded = half::f16::from_f32(value);
            (rounded.is_finite(), rounded.to_le_bytes())
        }),
        WeightDtype::Bf16 => all(values, |value| {
            let rounded = half::bf16::from_f32(value);
            (rounded.is_finite(), rounded.to_le_bytes())
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_float_type_is_read_as_f32() {
        let floats = |dtype, bytes: Vec<u8>| {
            Tensor {
                dtype,
                shape: vec![2],
                bytes: bytes.into(),
            }
            .to_f32()
        };
        let expected = Some(vec![1.5, -0.25]);
        let bits = |numbers: [u16; 2]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        assert_eq!(floats(Dtype::F16, bits([0x3e00, 0xb400])), expected);
        assert_eq!(floats(Dtype::Bf16, bits([0x3fc0, 0xbe80])), expected);
        let doubles = [1.5_f64, -0.25]
            .iter()
            .flat_map(|n| n.to_le_bytes())
            .collect();
        assert_eq!(floats(Dtype::F64, doubles), expected);
        assert_eq!(floats(Dtype::I64, vec![0; 16]), None);
    }

    #[test]
    fn rounding_is_to_the_nearest_and_of_two_to_the_even_one() {
        let to = |value: f32, dtype| {
            let bytes = round_to(&[value], dtype).expect("in range");
            u16::from_le_bytes(bytes.try_into().expect("two bytes"))
        };
        // The tables of IEEE 754: 1 + 2^-11 lies between 1 and the next half, 1 + 3 * 2^-11 above.
        for (value, half) in [
            (1.0, 0x3c00),
            (1.0 + 0.5_f32.powi(11), 0x3c00),
            (1.0 + 3.0 * 0.5_f32.powi(11), 0x3c02),
            (65504.0, 0x7bff),
            (65519.0, 0x7bff),
            (-0.0, 0x8000),
            (0.5_f32.powi(24), 0x0001),
        ] {
            assert_eq!(to(value, WeightDtype::Fp16), half, "{value}");
        }
        for (value, half) in [
            (1.0, 0x3f80),
            (1.0 + 0.5_f32.powi(8), 0x3f80),
            (1.0 + 3.0 * 0.5_f32.powi(8), 0x3f82),
            (65520.0, 0x4780),
        ] {
            assert_eq!(to(value, WeightDtype::Bf16), half, "{value}");
        }
    }

    #[test]
    fn a_number_that_would_become_infinite_is_refused_and_an_infinite_one_is_kept() {
        assert_eq!(round_to(&[1.0, 65520.0], WeightDtype::Fp16), None);
        assert_eq!(round_to(&[f32::MAX], WeightDtype::Bf16), None);
        let infinite = round_to(&[f32::INFINITY], WeightDtype::Fp16);
        assert_eq!(infinite, Some(vec![0x00, 0x7c]));
    }
}
