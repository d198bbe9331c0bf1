//! Writing a checkpoint that MindSpore loads.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::error::ModelError;
use super::mindspore_names::Naming;
use super::tensor::WeightDtype;
use crate::system;

/// Bytes of a tensor in one message; MindSpore cuts longer ones as well.
const SLICE: usize = 512 << 20;

/// Writes a checkpoint of MindSpore: the tensors in order, under the names of its network for a
/// task, or of its student of general distillation.
///
/// `tensors` gives name, shape and row-major little-endian bytes.
///
/// # Errors
/// The disk refuses.
pub fn write_mindspore<B: AsRef<[u8]>>(
    path: &Path,
    dtype: WeightDtype,
    is_of_task: bool,
    tensors: &[(String, Vec<usize>, B)],
) -> Result<(), ModelError> {
    let naming = if is_of_task {
        Naming::task()
    } else {
        Naming::general()
    };
    let word = match dtype {
        WeightDtype::Fp32 => "Float32",
        WeightDtype::Fp16 => "Float16",
        WeightDtype::Bf16 => "BFloat16",
    };
    let written = system::write_atomic(path, |file| {
        tensors.iter().try_for_each(|(name, shape, bytes)| {
            let name = naming.in_file(name);
            let slices = bytes.as_ref().chunks(SLICE);
            slices
                .into_iter()
                .try_for_each(|slice| write_value(file, &name, shape, word, slice))
        })
    });
    written.map_err(|source| ModelError::write(path, source))
}

/// One message: the tensor's name, whole shape, type and a slice of its content.
fn write_value(
    file: &mut BufWriter<&std::fs::File>,
    name: &str,
    shape: &[usize],
    word: &str,
    content: &[u8],
) -> io::Result<()> {
    let mut tensor = Vec::new();
    for dim in shape {
        tensor.push(1 << 3);
        put_varint(&mut tensor, *dim);
    }
    put_head(&mut tensor, 2, word.len());
    tensor.extend_from_slice(word.as_bytes());
    put_head(&mut tensor, 3, content.len());
    let mut value = Vec::new();
    put_head(&mut value, 1, name.len());
    value.extend_from_slice(name.as_bytes());
    put_head(&mut value, 2, tensor.len() + content.len());
    value.extend_from_slice(&tensor);
    let mut message = Vec::new();
    put_head(&mut message, 1, value.len() + content.len());
    file.write_all(&message)?;
    file.write_all(&value)?;
    file.write_all(content)
}

/// Tag and length of a field of bytes.
fn put_head(to: &mut Vec<u8>, field: u8, len: usize) {
    to.push(field << 3 | 2);
    put_varint(to, len);
}

fn put_varint(to: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "seven bits")]
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 0x80")]
    to.push(value as u8);
}
