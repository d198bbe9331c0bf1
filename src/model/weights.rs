//! Tensors of a model folder by name, read from the file's memory map on demand.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::Metadata;

use super::error::ModelError;
use super::pickle;

/// Type of a tensor's numbers, little-endian all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// 64-bit floats.
    F64,
    /// 32-bit floats.
    F32,
    /// IEEE half floats.
    F16,
    /// Upper halves of 32-bit floats.
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

/// The tensors of one file of weights. Opening reads names, types and shapes only.
#[derive(Debug)]
pub struct Weights {
    path: PathBuf,
    map: Mmap,
    entries: BTreeMap<String, Entry>,
}

impl Weights {
    /// Opens `model.safetensors` of a model folder, or else its `pytorch_model.bin`.
    ///
    /// # Errors
    /// Neither is there, or the one that is cannot be read or is damaged.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        for name in ["model.safetensors", "pytorch_model.bin"] {
            let path = folder.join(name);
            if path.exists() {
                return Self::open_file(&path);
            }
        }
        for index in [
            "model.safetensors.index.json",
            "pytorch_model.bin.index.json",
        ] {
            if folder.join(index).exists() {
                return Err(ModelError::Sharded {
                    folder: folder.to_owned(),
                    index,
                });
            }
        }
        Err(ModelError::NoWeights {
            folder: folder.to_owned(),
        })
    }

    /// Opens one file: a `PyTorch` archive where the name ends in `.bin`, `.pt` or `.pth`,
    /// else safetensors.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub fn open_file(path: &Path) -> Result<Self, ModelError> {
        let file = File::open(path).map_err(|source| ModelError::read(path, source))?;
        let length = file
            .metadata()
            .map_err(|source| ModelError::read(path, source))?
            .len();
        if length == 0 {
            return Err(ModelError::damaged(path, "it is empty"));
        }
        #[expect(
            unsafe_code,
            reason = "a map is the one way to read weights without a copy; files of a running stage are not written to"
        )]
        let map = unsafe { Mmap::map(&file) }.map_err(|source| ModelError::read(path, source))?;
        let is_pickle = path
            .extension()
            .is_some_and(|ending| ["bin", "pt", "pth"].iter().any(|known| ending == *known));
        let entries = if is_pickle {
            pickle::read_entries(path, &map)?
        } else {
            safetensors_entries(path, &map)?
        };
        Ok(Self {
            path: path.to_owned(),
            map,
            entries,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Shape of a tensor, without reading it.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// Type of a tensor's numbers, without reading it.
    pub fn dtype(&self, name: &str) -> Option<Dtype> {
        self.entries.get(name).map(|entry| entry.dtype)
    }

    /// Every name with its shape, without reading a tensor.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.entries
            .iter()
            .map(|(name, entry)| (name.clone(), entry.shape.clone()))
            .collect()
    }

    /// One tensor.
    ///
    /// # Errors
    /// There is none of this name, its type is not known, or its bytes do not have the
    /// checksum that the file says they have.
    pub fn tensor(&self, name: &str) -> Result<Tensor<'_>, ModelError> {
        let entry = self.entries.get(name).ok_or_else(|| ModelError::NoTensor {
            path: self.path.clone(),
            name: name.to_owned(),
        })?;
        let size = entry
            .dtype
            .size()
            .ok_or_else(|| self.not_floats(name, entry.dtype))?;
        if let Some(checked) = entry.checked {
            let stretch = self.stretch(checked.start, checked.len)?;
            if crc32fast::hash(stretch) != checked.crc32 {
                return Err(ModelError::damaged(
                    &self.path,
                    format!("the checksum of tensor `{name}` does not match"),
                ));
            }
        }
        let count: usize = entry.shape.iter().product();
        let bytes = match &entry.strides {
            None => Cow::Borrowed(self.stretch(entry.start, count * size)?),
            Some(strides) => {
                let mut bytes = Vec::with_capacity(count * size);
                for number in strided(&entry.shape, strides) {
                    bytes.extend_from_slice(self.stretch(entry.start + number * size, size)?);
                }
                Cow::Owned(bytes)
            }
        };
        Ok(Tensor {
            dtype: entry.dtype,
            shape: entry.shape.clone(),
            bytes,
        })
    }

    /// One tensor's numbers as 32-bit floats, row-major.
    ///
    /// # Errors
    /// As [`Weights::tensor`], or the tensor does not hold floats.
    pub fn to_f32(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        let tensor = self.tensor(name)?;
        tensor
            .to_f32()
            .ok_or_else(|| self.not_floats(name, tensor.dtype))
    }

    /// The same tensors under other names: `names` maps each new name to the old one. Tensors
    /// that it does not mention are left out.
    #[must_use]
    pub fn renamed(mut self, names: &BTreeMap<String, String>) -> Self {
        self.entries = names
            .iter()
            .filter_map(|(new, old)| Some((new.clone(), self.entries.get(old)?.clone())))
            .collect();
        self
    }

    fn stretch(&self, start: usize, len: usize) -> Result<&[u8], ModelError> {
        start
            .checked_add(len)
            .and_then(|end| self.map.get(start..end))
            .ok_or_else(|| ModelError::damaged(&self.path, "a tensor reaches beyond its end"))
    }

    fn not_floats(&self, name: &str, dtype: Dtype) -> ModelError {
        ModelError::NotFloats {
            path: self.path.clone(),
            name: name.to_owned(),
            dtype: dtype.to_string(),
        }
    }
}

/// Offsets of a strided tensor's numbers in row-major order.
fn strided(shape: &[usize], strides: &[usize]) -> impl Iterator<Item = usize> {
    let count: usize = shape.iter().product();
    (0..count).map(move |mut index| {
        let mut offset = 0;
        for (length, stride) in shape.iter().zip(strides).rev() {
            offset += index % length * stride;
            index /= length;
        }
        offset
    })
}

/// Reads the header. The crate checks that the tensors follow each other without gap or
/// overlap; the sum with the header's length is made here, checked, since a header may lie.
fn safetensors_entries(path: &Path, map: &[u8]) -> Result<BTreeMap<String, Entry>, ModelError> {
    let damaged = |reason: String| ModelError::damaged(path, reason);
    let Some((length, rest)) = map.split_first_chunk::<8>() else {
        return Err(damaged("it is too short for a header".to_owned()));
    };
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let Some((header, data)) = rest.split_at_checked(length) else {
        return Err(damaged(format!(
            "its header should be {length} bytes long, but the file ends after {}",
            rest.len()
        )));
    };
    let metadata: Metadata = serde_json::from_slice(header)
        .map_err(|error| damaged(format!("its header is unreadable: {error}")))?;
    let tensors: BTreeMap<_, _> = metadata.tensors().into_iter().collect();
    let end = tensors
        .values()
        .map(|info| info.data_offsets.1)
        .max()
        .unwrap_or(0);
    if end != data.len() {
        return Err(damaged(format!(
            "its header describes {end} bytes of tensors, but {} follow",
            data.len()
        )));
    }
    let entries = tensors.into_iter().map(|(name, info)| {
        let entry = Entry {
            dtype: dtype(info.dtype),
            shape: info.shape.clone(),
            start: 8 + length + info.data_offsets.0,
            strides: None,
            checked: None,
        };
        (name, entry)
    });
    Ok(entries.collect())
}

fn dtype(dtype: safetensors::Dtype) -> Dtype {
    use safetensors::Dtype as Stored;
    match dtype {
        Stored::F64 => Dtype::F64,
        Stored::F32 => Dtype::F32,
        Stored::F16 => Dtype::F16,
        Stored::BF16 => Dtype::Bf16,
        Stored::I64 => Dtype::I64,
        Stored::BOOL => Dtype::Other { name: "bool" },
        Stored::U8 => Dtype::Other { name: "u8" },
        Stored::I8 => Dtype::Other { name: "i8" },
        Stored::I32 => Dtype::Other { name: "i32" },
        _ => Dtype::Other {
            name: "a type that is not supported",
        },
    }
}
