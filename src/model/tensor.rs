//! A tensor of a file of weights: the type of its numbers, its bytes, where it lies.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

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

impl Tensor<'_> {
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

/// Where a tensor lies in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// First byte in the file. The loader has checked that the whole tensor is inside.
    pub(super) start: usize,
    /// Steps of each axis, in numbers; `None` for row-major.
    pub(super) strides: Option<Vec<usize>>,
    /// Part of the file with a checksum that the tensor lies in; verified before the tensor is handed out.
    pub(super) checked: Option<Checked>,
}

/// A stretch of the file and the CRC-32 that it should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) start: usize,
    pub(super) len: usize,
    pub(super) crc32: u32,
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
