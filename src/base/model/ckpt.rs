//! MindSpore's checkpoint, read in place: messages of protobuf, one per tensor, one after the other.
//!
//! `Checkpoint { repeated Value value = 1 }`, `Value { string tag = 1; TensorProto tensor = 2;
//! MapTensor maptensor = 3 }`, `TensorProto { repeated int64 dims = 1; string tensor_type = 2;
//! bytes tensor_content = 3 }` (`mindspore/train/checkpoint_pb2.py`).

use std::collections::BTreeMap;
use std::path::Path;

use super::error::ModelError;
use super::tensor::{Checked, Checksum, Dtype, Entry, Part};
use crate::input::wire::{BadField, Field, Fields, packed};
use crate::input::{Expected, excerpt, recognize};

/// First four bytes of encrypted checkpoints, little-endian, with the mode of each.
const ENCRYPTED: [(u32, &str); 3] = [
    (0x7f3a_5ed8, "AES-GCM"),
    (0x7f3a_5ed9, "AES-CBC"),
    (0x7f3a_5eda, "SM4-CBC"),
];

/// What `crc_check=True` appends: this word, and the CRC-32 of all before it as a big-endian number
/// of [`CRC_BYTES`].
const CRC_WORD: &[u8] = b"crc_num";
const CRC_BYTES: usize = 10;

/// Names, types and places of the tensors in a checkpoint.
///
/// # Errors
/// It is encrypted, something else, or damaged.
pub(super) fn read_entries(path: &Path, map: &[u8]) -> Result<BTreeMap<String, Entry>, ModelError> {
    refuse_other(path, map)?;
    let (messages, checked) = without_checksum(path, map)?;
    let mut found = Found {
        path,
        checked,
        entries: BTreeMap::new(),
        last: None,
    };
    for field in Fields::of(messages, 0) {
        match field.map_err(|bad| found.bad(bad))? {
            (1, Field::Bytes(value, start)) => found.value(value, start)?,
            (_, _) => return Err(found.damaged("it has a field that no checkpoint has".to_owned())),
        }
    }
    found.finish_last()?;
    if found.entries.is_empty() {
        return Err(found.damaged("it has no tensors".to_owned()));
    }
    Ok(found.entries)
}

/// Encrypted checkpoints, and what other programs leave under such a name.
fn refuse_other(path: &Path, map: &[u8]) -> Result<(), ModelError> {
    let first = map.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let mut modes = ENCRYPTED.iter();
    if let Some((_, mode)) = modes.find(|(mark, _)| Some(*mark) == first) {
        return Err(ModelError::Encrypted {
            path: path.to_owned(),
            mode,
        });
    }
    // A message begins with the tag of its first value.
    if map.first() == Some(&0x0a) {
        return Ok(());
    }
    Err(match recognize(map, Expected::Weights) {
        Some(foreign) => ModelError::NotWeights {
            path: path.to_owned(),
            foreign,
        },
        None => ModelError::NotMindSpore {
            path: path.to_owned(),
        },
    })
}

/// The messages without the checksum behind them, and that checksum.
fn without_checksum<'m>(
    path: &Path,
    map: &'m [u8],
) -> Result<(&'m [u8], Option<Checked>), ModelError> {
    let len = map.len().saturating_sub(CRC_WORD.len() + CRC_BYTES);
    let (messages, trailer) = map.split_at(len);
    let Some(number) = trailer.strip_prefix(CRC_WORD) else {
        return Ok((map, None));
    };
    let (high, low) = number.split_at(CRC_BYTES - 4);
    let (Ok(low), true) = (low.try_into(), high.iter().all(|byte| *byte == 0)) else {
        let reason = format!("its checksum at byte {len} is not a number of 32 bits");
        return Err(ModelError::damaged(path, reason));
    };
    let sum = Checksum::Crc32(u32::from_be_bytes(low));
    Ok((messages, Some(Checked { start: 0, len, sum })))
}

/// A type of MindSpore's numbers: what it is here, and bytes of a number; `None` where no number
/// has bytes of its own.
fn dtype(word: &str) -> (Dtype, Option<usize>) {
    let other = |name| Dtype::Other { name };
    match word {
        "Float64" => (Dtype::F64, Some(8)),
        "Float32" => (Dtype::F32, Some(4)),
        "Float16" => (Dtype::F16, Some(2)),
        "BFloat16" => (Dtype::Bf16, Some(2)),
        "Int64" => (Dtype::I64, Some(8)),
        "Int32" => (other("i32"), Some(4)),
        "Int16" => (other("i16"), Some(2)),
        "Int8" => (other("i8"), Some(1)),
        "UInt64" => (other("u64"), Some(8)),
        "UInt32" => (other("u32"), Some(4)),
        "UInt16" => (other("u16"), Some(2)),
        "UInt8" => (other("u8"), Some(1)),
        "Bool" => (other("bool"), Some(1)),
        "str" => (other("a string"), None),
        "Int4" => (other("i4"), None),
        _ => (other("a type that is not supported"), None),
    }
}

/// What has been read of a checkpoint.
struct Found<'m> {
    path: &'m Path,
    checked: Option<Checked>,
    entries: BTreeMap<String, Entry>,
    /// The tensor before, whose next slice may follow.
    last: Option<(String, Pending)>,
}

/// A tensor whose slices have not all been read.
struct Pending {
    word: String,
    dims: Vec<u64>,
    parts: Vec<Part>,
    /// Byte of its first value.
    start: usize,
}

impl Found<'_> {
    fn value(&mut self, bytes: &[u8], start: usize) -> Result<(), ModelError> {
        let mut tag = None;
        let mut tensor = None;
        let mut has_map = false;
        for field in Fields::of(bytes, start) {
            match field.map_err(|bad| self.bad(bad))? {
                (1, Field::Bytes(name, _)) => tag = Some(name),
                (2, Field::Bytes(message, at)) => tensor = Some((message, at)),
                (3, Field::Bytes(..)) => has_map = true,
                _ => {}
            }
        }
        let name = tag
            .and_then(|name| std::str::from_utf8(name).ok())
            .ok_or_else(|| self.damaged(format!("the tensor at byte {start} has no name")))?;
        let pending = match tensor {
            Some((message, at)) => self.tensor(name, message, at)?,
            // It is an error only where a model needs it.
            None if has_map => Pending {
                word: "maptensor".to_owned(),
                dims: Vec::new(),
                parts: Vec::new(),
                start,
            },
            None => {
                let reason = format!("`{}` at byte {start} has no tensor", excerpt(name));
                return Err(self.damaged(reason));
            }
        };
        match &mut self.last {
            Some((last, before)) if last == name => {
                if before.dims != pending.dims || before.word != pending.word {
                    let reason = format!(
                        "the slices of tensor `{}` at byte {start} have different shapes or types",
                        excerpt(name)
                    );
                    return Err(self.damaged(reason));
                }
                before.parts.extend(pending.parts);
            }
            _ => {
                self.finish_last()?;
                self.last = Some((name.to_owned(), pending));
            }
        }
        Ok(())
    }

    fn tensor(&self, name: &str, bytes: &[u8], start: usize) -> Result<Pending, ModelError> {
        let lacks = |what: &str| {
            let name = excerpt(name);
            self.damaged(format!("tensor `{name}` at byte {start} has no {what}"))
        };
        let mut pending = Pending {
            word: String::new(),
            dims: Vec::new(),
            parts: Vec::new(),
            start,
        };
        for field in Fields::of(bytes, start) {
            match field.map_err(|bad| self.bad(bad))? {
                (1, Field::Varint(dim)) => pending.dims.push(dim),
                (1, Field::Bytes(dims, _)) => {
                    let dims = packed(dims).ok_or_else(|| lacks("shape"))?;
                    pending.dims.extend(dims);
                }
                (2, Field::Bytes(word, _)) => {
                    let word = std::str::from_utf8(word).map_err(|_| lacks("type"))?;
                    word.clone_into(&mut pending.word);
                }
                (3, Field::Bytes(content, start)) => {
                    pending.parts = vec![Part {
                        file: 0,
                        start,
                        len: content.len(),
                        checked: self.checked,
                    }];
                }
                _ => {}
            }
        }
        if pending.word.is_empty() {
            return Err(lacks("type"));
        }
        if pending.parts.is_empty() {
            return Err(lacks("content"));
        }
        Ok(pending)
    }

    /// Checks the tensor before as a whole, and keeps it.
    fn finish_last(&mut self) -> Result<(), ModelError> {
        let Some((name, pending)) = self.last.take() else {
            return Ok(());
        };
        let (dtype, size) = dtype(&pending.word);
        let len: usize = pending.parts.iter().map(|part| part.len).sum();
        let shape = shape(&pending.dims, size, len).ok_or_else(|| {
            let reason = format!(
                "tensor `{}` at byte {} has {len} bytes, which is not what its shape {:?} of {} needs",
                excerpt(&name),
                pending.start,
                pending.dims,
                excerpt(&pending.word)
            );
            self.damaged(reason)
        })?;
        let entry = Entry {
            dtype,
            shape,
            parts: pending.parts,
            regions: None,
            strides: None,
        };
        if self.entries.insert(name.clone(), entry).is_some() {
            let reason = format!("tensor `{}` is in it twice", excerpt(&name));
            return Err(self.damaged(reason));
        }
        Ok(())
    }

    fn bad(&self, field: BadField) -> ModelError {
        self.damaged(format!("it is cut off or overwritten at byte {}", field.at))
    }

    fn damaged(&self, reason: String) -> ModelError {
        ModelError::damaged(self.path, reason)
    }
}

/// The shape of a tensor of `len` bytes; `None` where they are more or fewer than its numbers take.
fn shape(dims: &[u64], size: Option<usize>, len: usize) -> Option<Vec<usize>> {
    let Some(size) = size else {
        return Some(Vec::new());
    };
    // MindSpore 1.x gives a scalar the shape [0].
    if dims == [0] && len == size {
        return Some(Vec::new());
    }
    let shape: Vec<usize> = dims
        .iter()
        .map(|dim| usize::try_from(*dim).ok())
        .collect::<Option<_>>()?;
    let bytes = shape
        .iter()
        .try_fold(size, |bytes, dim| bytes.checked_mul(*dim))?;
    (bytes == len).then_some(shape)
}
