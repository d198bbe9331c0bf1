//! What a teacher answers to an example, without padding: its form in a file, and back into blocks.

use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use crate::target::Target;

/// Bytes of the checksum at a row's end.
pub(crate) const CHECKSUM: usize = 4;

/// One tensor of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// `[B, classes]`
    Logits(usize),
    /// `[B, h, L, L]` of so many heads.
    Attention(usize),
    /// `[B, L, d]` of this width.
    Hidden(usize),
}

impl Part {
    /// Numbers of an example of `length` tokens.
    pub(crate) fn numbers(self, length: usize) -> usize {
        match self {
            Self::Logits(classes) => classes,
            Self::Attention(heads) => heads * length * length,
            Self::Hidden(width) => length * width,
        }
    }

    /// Shape of a block of `rows` padded to `length`.
    pub(crate) fn shape(self, rows: usize, length: usize) -> Vec<i64> {
        let sizes: &[usize] = match self {
            Self::Logits(classes) => &[rows, classes],
            Self::Attention(heads) => &[rows, heads, length, length],
            Self::Hidden(width) => &[rows, length, width],
        };
        sizes.iter().map(|&size| size as i64).collect()
    }

    /// Calls `copy` for each run of numbers that lies together in both: its place in a block padded to
    /// `padded`, its place in the answer to row `row` of `length` tokens alone, and its count.
    pub(crate) fn runs(
        self,
        row: usize,
        length: usize,
        padded: usize,
        mut copy: impl FnMut(usize, usize, usize),
    ) {
        match self {
            Self::Logits(classes) => copy(row * classes, 0, classes),
            Self::Hidden(width) => copy(row * padded * width, 0, length * width),
            Self::Attention(heads) => {
                for line in 0..heads * length {
                    let (head, query) = (line / length, line % length);
                    let in_block = ((row * heads + head) * padded + query) * padded;
                    copy(in_block, line * length, length);
                }
            }
        }
    }
}

/// The parts of an answer and their number format.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layout {
    pub(crate) parts: Vec<Part>,
    pub(crate) kind: Kind,
}

impl Layout {
    /// Of what `target` holds.
    pub(crate) fn of(target: &Target) -> Option<Self> {
        let size = |tensor: &Tensor, axis: usize| tensor.size()[axis] as usize;
        match target {
            Target::None => None,
            Target::Logits(logits) => Some(Self {
                parts: vec![Part::Logits(size(logits, 1))],
                kind: logits.kind(),
            }),
            Target::Layers { attention, hidden } => {
                let attention = attention
                    .iter()
                    .map(|t| (Part::Attention(size(t, 1)), t.kind()));
                let hidden = hidden.iter().map(|t| (Part::Hidden(size(t, 2)), t.kind()));
                let (parts, kinds): (Vec<Part>, Vec<Kind>) = attention.chain(hidden).unzip();
                Some(Self {
                    parts,
                    kind: *kinds.first()?,
                })
            }
        }
    }

    /// Bytes of a row.
    pub(crate) fn bytes(&self, length: usize) -> usize {
        let numbers: usize = self.parts.iter().map(|part| part.numbers(length)).sum();
        numbers * self.kind.elt_size_in_bytes() + CHECKSUM
    }
}

/// The answers to the rows of a block, padded as it is.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) layout: Arc<Layout>,
    /// Rows and their padded length.
    pub(crate) size: [usize; 2],
    /// A block a part.
    pub(crate) parts: Vec<Vec<u8>>,
}

impl Answers {
    /// As tensors on `device`.
    pub(crate) fn target(&self, device: Device) -> Target {
        let [rows, length] = self.size;
        let mut attention = Vec::new();
        let mut hidden = Vec::new();
        for (part, bytes) in self.layout.parts.iter().zip(&self.parts) {
            let shape = part.shape(rows, length);
            let tensor = Tensor::from_data_size(bytes, &shape, self.layout.kind).to_device(device);
            match part {
                Part::Logits(_) => return Target::Logits(tensor),
                Part::Attention(_) => attention.push(tensor),
                Part::Hidden(_) => hidden.push(tensor),
            }
        }
        Target::Layers { attention, hidden }
    }
}

/// The answers to rows of these lengths as they lie in the file, one after the other.
pub(crate) fn rows(layout: &Layout, target: &Target, lengths: &[usize]) -> Vec<u8> {
    let tensors: Vec<&Tensor> = match target {
        Target::None => Vec::new(),
        Target::Logits(logits) => vec![logits],
        Target::Layers { attention, hidden } => attention.iter().chain(hidden).collect(),
    };
    let size = layout.kind.elt_size_in_bytes();
    let blocks: Vec<Vec<u8>> = tensors
        .into_iter()
        .map(|tensor| {
            let tensor = tensor.to_device(Device::Cpu).contiguous();
            let mut bytes = vec![0; tensor.numel() * size];
            tensor.copy_data_u8(&mut bytes, tensor.numel());
            bytes
        })
        .collect();
    let padded = lengths.iter().copied().max().unwrap_or(0);
    let mut found = Vec::new();
    for (row, &length) in lengths.iter().enumerate() {
        let start = found.len();
        for (part, block) in layout.parts.iter().zip(&blocks) {
            // Runs come in the order of the row.
            part.runs(row, length, padded, |from, _, count| {
                found.extend_from_slice(&block[from * size..(from + count) * size]);
            });
        }
        let checksum = crc32fast::hash(&found[start..]);
        found.extend(checksum.to_le_bytes());
    }
    found
}
