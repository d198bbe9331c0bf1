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
    /// `[B, L, 3 d]` of this width: query, key and value.
    Qkv(usize),
    /// `[B, L, d]` of this width.
    Hidden(usize),
}

impl Part {
    /// Numbers of an example of `length` tokens.
    fn numbers(self, length: usize) -> usize {
        match self {
            Self::Logits(classes) => classes,
            Self::Attention(heads) => heads * length * length,
            Self::Qkv(width) | Self::Hidden(width) => length * width,
        }
    }

    /// Shape of a block of rows of these lengths, padded to a length or one after the other.
    fn shape(self, lengths: &[usize], padded: Option<usize>) -> Vec<i64> {
        let rows = lengths.len();
        let sizes: &[usize] = match (self, padded) {
            (Self::Logits(classes), _) => &[rows, classes],
            (Self::Attention(heads), Some(length)) => &[rows, heads, length, length],
            (Self::Qkv(width) | Self::Hidden(width), Some(length)) => &[rows, length, width],
            (Self::Attention(_), None) => &[lengths.iter().map(|&l| self.numbers(l)).sum()],
            (Self::Qkv(width) | Self::Hidden(width), None) => &[lengths.iter().sum(), width],
        };
        sizes.iter().map(|&size| size as i64).collect()
    }

    /// Calls `copy` for each run of numbers that lies together in both: its place in a block padded to
    /// `padded`, its place in the answer to row `row` of `length` tokens alone, and its count.
    fn runs(
        self,
        row: usize,
        length: usize,
        padded: usize,
        mut copy: impl FnMut(usize, usize, usize),
    ) {
        match self {
            Self::Logits(classes) => copy(row * classes, 0, classes),
            Self::Qkv(width) | Self::Hidden(width) => {
                copy(row * padded * width, 0, length * width);
            }
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
    /// Of what `target` holds, the answer to one row of `length` tokens.
    pub(crate) fn of(target: &Target, length: usize) -> Option<Self> {
        match target {
            Target::None => None,
            Target::Logits(logits) => Some(Self {
                parts: vec![Part::Logits(logits.numel())],
                kind: logits.kind(),
            }),
            Target::Layers {
                attention,
                qkv,
                hidden,
            } => {
                let attention = attention
                    .iter()
                    .map(|t| (Part::Attention(t.numel() / length / length), t.kind()));
                let qkv = qkv
                    .iter()
                    .map(|t| (Part::Qkv(t.numel() / length), t.kind()));
                let hidden = hidden
                    .iter()
                    .map(|t| (Part::Hidden(t.numel() / length), t.kind()));
                let (parts, kinds): (Vec<Part>, Vec<Kind>) =
                    attention.chain(qkv).chain(hidden).unzip();
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

/// The answers to the rows of a block, laid out as it is.
#[derive(Debug)]
pub(crate) struct Answers {
    layout: Arc<Layout>,
    /// What the rows are padded to; without it they lie one after the other.
    padded: Option<usize>,
    /// A block a part, and its shape.
    parts: Vec<(Vec<u8>, Vec<i64>)>,
}

impl Answers {
    /// Room for the answers to rows of these lengths.
    pub(crate) fn empty(layout: &Arc<Layout>, lengths: &[usize], padded: Option<usize>) -> Self {
        let size = layout.kind.elt_size_in_bytes();
        let parts = layout.parts.iter().map(|part| {
            let shape = part.shape(lengths, padded);
            let bytes = shape.iter().product::<i64>() as usize * size;
            let block = match padded {
                Some(_) => vec![0; bytes],
                None => Vec::with_capacity(bytes),
            };
            (block, shape)
        });
        Self {
            layout: Arc::clone(layout),
            padded,
            parts: parts.collect(),
        }
    }

    /// Takes in the answer to row `row`, which follows the one before.
    pub(crate) fn fill(&mut self, row: usize, length: usize, answer: &[u8]) {
        let size = self.layout.kind.elt_size_in_bytes();
        let mut from = 0;
        for (part, (block, _)) in self.layout.parts.iter().zip(&mut self.parts) {
            let answer = &answer[from * size..][..part.numbers(length) * size];
            from += part.numbers(length);
            let Some(padded) = self.padded else {
                block.extend_from_slice(answer);
                continue;
            };
            part.runs(row, length, padded, |to, at, count| {
                block[to * size..(to + count) * size]
                    .copy_from_slice(&answer[at * size..(at + count) * size]);
            });
        }
    }

    /// As tensors on `device`.
    pub(crate) fn target(&self, device: Device) -> Target {
        let mut attention = Vec::new();
        let mut qkv = Vec::new();
        let mut hidden = Vec::new();
        for (part, (bytes, shape)) in self.layout.parts.iter().zip(&self.parts) {
            let tensor = Tensor::from_data_size(bytes, shape, self.layout.kind).to_device(device);
            match part {
                Part::Logits(_) => return Target::Logits(tensor),
                Part::Attention(_) => attention.push(tensor),
                Part::Qkv(_) => qkv.push(tensor),
                Part::Hidden(_) => hidden.push(tensor),
            }
        }
        Target::Layers {
            attention,
            qkv,
            hidden,
        }
    }
}

/// The answers to rows of these lengths as they lie in the file, one after the other; `padded` is what the rows of
/// `target` are padded to, where they are.
pub(crate) fn rows(
    layout: &Layout,
    target: &Target,
    lengths: &[usize],
    padded: Option<usize>,
) -> Vec<u8> {
    let tensors: Vec<&Tensor> = match target {
        Target::None => Vec::new(),
        Target::Logits(logits) => vec![logits],
        Target::Layers {
            attention,
            qkv,
            hidden,
        } => attention.iter().chain(qkv).chain(hidden).collect(),
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
    let mut found = Vec::new();
    let mut begins = vec![0; blocks.len()];
    for (row, &length) in lengths.iter().enumerate() {
        let start = found.len();
        for ((part, block), begin) in layout.parts.iter().zip(&blocks).zip(&mut begins) {
            if let Some(padded) = padded {
                // Runs come in the order of the row.
                part.runs(row, length, padded, |from, _, count| {
                    found.extend_from_slice(&block[from * size..(from + count) * size]);
                });
            } else {
                let end = *begin + part.numbers(length) * size;
                found.extend_from_slice(&block[*begin..end]);
                *begin = end;
            }
        }
        let checksum = crc32fast::hash(&found[start..]);
        found.extend(checksum.to_le_bytes());
    }
    found
}
