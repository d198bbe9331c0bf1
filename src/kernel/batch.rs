//! Token rows to tensors.

use std::sync::Arc;

use tch::{Device, Tensor};
use tinyrun_base::data::store::TokenStore;
use tinyrun_base::job::PadTo;

/// What the mask adds to the score of a padding key (docs/concepts/losses.md#attention).
const MASKED: f64 = -10_000.0;

/// What rows hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Amounts {
    pub(crate) rows: u64,
    /// Real ones.
    pub(crate) tokens: u64,
    /// Sum over the rows.
    pub(crate) squared_lengths: u64,
}

impl Amounts {
    pub(crate) const NONE: Self = Self {
        rows: 0,
        tokens: 0,
        squared_lengths: 0,
    };

    /// Of rows of these lengths.
    pub(crate) fn of(lengths: impl Iterator<Item = u64>) -> Self {
        lengths.fold(Self::NONE, |sum, length| Self {
            rows: sum.rows + 1,
            tokens: sum.tokens + length,
            squared_lengths: sum.squared_lengths + length * length,
        })
    }
}

/// Token rows: a padded block of `B` rows of at most `L` tokens, or all `T` tokens one row after the other.
#[derive(Debug)]
pub(crate) struct Batch {
    /// `[B, L]` or `[T]` int64.
    pub(crate) input_ids: Tensor,
    /// `[B, L]` or `[T]` int64: 0 for the first segment and padding, 1 for the second.
    pub(crate) token_type_ids: Tensor,
    /// Where the rows are; `None` of a padded block.
    pub(crate) unpadded: Option<Unpadded>,
    /// `[B, 1, 1, L]` fp32: 0 for real tokens, -10000 for padding. `None` where nothing is padded.
    pub(crate) key_mask: Option<Tensor>,
    /// `[B, L]` fp32: 1 for real tokens, 0 for padding. `None` where nothing is padded.
    pub(crate) token_mask: Option<Tensor>,
    /// `[B]` fp32: class indices or values, where every row has one.
    pub(crate) labels: Option<Tensor>,
    /// Rows of the table of words to look in instead of the whole, of the student alone.
    pub(crate) words: Option<WordRows>,
    /// Real tokens.
    pub(crate) tokens: u64,
    /// Sum over rows of the squared length.
    pub(crate) squared_lengths: u64,
}

/// Rows that lie one after the other.
#[derive(Debug)]
pub(crate) struct Unpadded {
    /// `[B + 1]` int32: where each begins, and the end of the last.
    pub(crate) offsets: Tensor,
    /// `[B]` int64: where each begins.
    pub(crate) first: Tensor,
    /// `[T]` int64: place of a token in its row.
    pub(crate) positions: Tensor,
    /// Tokens of the longest row.
    pub(crate) longest: i64,
}

/// A part of a table of words, and where in it each token's is.
#[derive(Debug)]
pub(crate) struct WordRows {
    /// `[U, d]`, a leaf of the graph.
    pub(crate) rows: Tensor,
    /// `[B, L]` or `[T]` int64.
    pub(crate) places: Tensor,
    /// Place of the padding token, -1 where there is none.
    pub(crate) pad: i64,
}

/// The words of a step, each once, and where those of a block are among them.
#[derive(Debug)]
struct UsedWords {
    ids: Arc<[i64]>,
    /// Of each token, its word in `ids`.
    places: Vec<i64>,
    /// Of the padding token; -1 where there is none.
    pad: i64,
}

impl Batch {
    /// Takes the words of `block` out of `table` as a leaf, so that the gradient is one of these rows and not of a
    /// table that is zero but for them. Returns the leaf; `None` where the words were not found.
    pub(crate) fn take_words(&mut self, block: &Block, table: &Tensor) -> Option<Tensor> {
        let used = block.words.as_ref()?;
        let rows = table
            .detach()
            .index_select(0, &Tensor::from_slice(&used.ids));
        let rows = rows.set_requires_grad(true);
        let leaf = rows.shallow_clone();
        self.words = Some(WordRows {
            rows,
            places: Tensor::from_slice(&used.places).view_as(&self.input_ids),
            pad: used.pad,
        });
        Some(leaf)
    }
}

/// Token rows in plain memory: what becomes a [`Batch`].
#[derive(Debug)]
pub(crate) struct Block {
    /// Rows and their length: `B`, `L`.
    size: [i64; 2],
    /// Lengths of the rows, where they lie one after the other and are not padded.
    lengths: Option<Vec<usize>>,
    input_ids: Vec<i64>,
    token_type_ids: Vec<i64>,
    /// 1 for real tokens, 0 for padding; `None` where nothing is padded.
    real: Option<Vec<f32>>,
    labels: Option<Vec<f32>>,
    /// The words of its step, where [`Self::use_words`] was asked.
    words: Option<UsedWords>,
    /// Its rows as places in what is trained on; none of a block that is only scored.
    pub(crate) places: Vec<u32>,
    /// Rows.
    pub(crate) examples: u64,
    /// Real tokens.
    pub(crate) tokens: u64,
    /// Sum over rows of the squared length.
    pub(crate) squared_lengths: u64,
}

impl Block {
    /// The rows `indices` of `store`: not padded, to the longest of them and of others that are `longest`, or to
    /// the store's longest.
    pub(crate) fn new(store: &TokenStore, indices: &[u32], pad_to: PadTo, longest: usize) -> Self {
        let rows: Vec<Row> = indices
            .iter()
            .map(|&index| {
                let index = index as usize;
                Row {
                    ids: store.input_ids(index),
                    text_b_start: store.text_b_start(index),
                    label: store.label(index),
                }
            })
            .collect();
        let length = match pad_to {
            PadTo::None => return Self::unpadded(&rows),
            PadTo::Longest => longest,
            PadTo::MaxSeqLength => store.meta().max_seq_length,
        };
        Self::from_rows(&rows, store.meta().pad_token_id, length)
    }

    /// Lets the gradient be one of `words`, ascending, which hold all of the block's: rows of the table. Row `fixed`
    /// has none.
    pub(crate) fn use_words(&mut self, fixed: i64, words: &Arc<[i64]>) {
        let place = |id: &i64| words.binary_search(id).map_or(-1, |place| place as i64);
        self.words = Some(UsedWords {
            places: self.input_ids.iter().map(place).collect(),
            pad: place(&fixed),
            ids: Arc::clone(words),
        });
    }

    /// What its rows hold.
    pub(crate) fn amounts(&self) -> Amounts {
        Amounts {
            rows: self.examples,
            tokens: self.tokens,
            squared_lengths: self.squared_lengths,
        }
    }

    /// Tokens of a row with its padding; `None` where rows are not padded.
    pub(crate) fn padded(&self) -> Option<usize> {
        self.lengths.is_none().then_some(self.size[1] as usize)
    }

    /// Lays `rows` one after the other.
    pub(crate) fn unpadded(rows: &[Row<'_>]) -> Self {
        let lengths: Vec<usize> = rows.iter().map(|row| row.ids.len()).collect();
        let squares = lengths.iter().map(|&length| (length * length) as u64);
        let ids = rows.iter().flat_map(|row| row.ids);
        let types = rows.iter().flat_map(|row| {
            (0..row.ids.len()).map(|position| i64::from(position >= row.text_b_start))
        });
        Self {
            size: [
                rows.len() as i64,
                lengths.iter().copied().max().unwrap_or(0) as i64,
            ],
            input_ids: ids.map(|&id| i64::from(id)).collect(),
            token_type_ids: types.collect(),
            real: None,
            labels: rows.iter().map(|row| row.label).collect(),
            words: None,
            places: Vec::new(),
            examples: rows.len() as u64,
            tokens: lengths.iter().sum::<usize>() as u64,
            squared_lengths: squares.sum(),
            lengths: Some(lengths),
        }
    }

    /// Pads `rows` to the longest of them, and at least to `length`.
    pub(crate) fn from_rows(rows: &[Row<'_>], pad_token_id: u32, length: usize) -> Self {
        let longest = rows.iter().map(|row| row.ids.len()).max().unwrap_or(0);
        let longest = longest.max(length);
        let cells = rows.len() * longest;
        let mut input_ids = vec![i64::from(pad_token_id); cells];
        let mut token_type_ids = vec![0_i64; cells];
        let mut real = vec![0_f32; cells];
        let (mut tokens, mut squared_lengths) = (0, 0);
        for (index, row) in rows.iter().enumerate() {
            let from = index * longest;
            for (position, &id) in row.ids.iter().enumerate() {
                input_ids[from + position] = i64::from(id);
                token_type_ids[from + position] = i64::from(position >= row.text_b_start);
                real[from + position] = 1.0;
            }
            let length = row.ids.len() as u64;
            tokens += length;
            squared_lengths += length * length;
        }
        Self {
            size: [rows.len() as i64, longest as i64],
            lengths: None,
            input_ids,
            token_type_ids,
            real: (tokens < cells as u64).then_some(real),
            labels: rows.iter().map(|row| row.label).collect(),
            words: None,
            places: Vec::new(),
            examples: rows.len() as u64,
            tokens,
            squared_lengths,
        }
    }
}

impl Batch {
    /// A block as tensors on `device`.
    pub(crate) fn of(block: &Block, device: Device) -> Self {
        let size = block.size;
        let shape: &[i64] = if block.lengths.is_none() {
            &size
        } else {
            &[-1]
        };
        let integers = |values: &[i64]| Tensor::from_slice(values).view(shape).to_device(device);
        let floats = |values: &Vec<f32>| Tensor::from_slice(values).to_device(device);
        let token_mask = block.real.as_ref().map(|real| floats(real).view(size));
        Self {
            input_ids: integers(&block.input_ids),
            token_type_ids: integers(&block.token_type_ids),
            key_mask: token_mask
                .as_ref()
                .map(|real| ((1.0_f64 - real) * MASKED).view([size[0], 1, 1, size[1]])),
            token_mask,
            labels: block.labels.as_ref().map(floats),
            words: None,
            unpadded: block.lengths.as_deref().map(Unpadded::of),
            tokens: block.tokens,
            squared_lengths: block.squared_lengths,
        }
    }

    /// The rows `indices` of `store`.
    pub(crate) fn new(store: &TokenStore, indices: &[u32], pad_to: PadTo, device: Device) -> Self {
        Self::of(&Block::new(store, indices, pad_to, 0), device)
    }
}

impl Unpadded {
    fn of(lengths: &[usize]) -> Self {
        let mut end = 0;
        let ends = lengths.iter().map(|length| {
            end += length;
            end
        });
        let offsets: Vec<usize> = std::iter::once(0).chain(ends).collect();
        let small: Vec<i32> = offsets.iter().map(|&offset| offset as i32).collect();
        let first: Vec<i64> = offsets[..lengths.len()]
            .iter()
            .map(|&offset| offset as i64)
            .collect();
        let positions = lengths.iter().flat_map(|&length| 0..length as i64);
        Self {
            offsets: Tensor::from_slice(&small),
            first: Tensor::from_slice(&first),
            positions: Tensor::from_slice(&positions.collect::<Vec<_>>()),
            longest: lengths.iter().max().map_or(0, |&length| length as i64),
        }
    }
}

/// One row of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    /// Token ids, `[CLS]` and `[SEP]` included.
    pub(crate) ids: &'a [u32],
    /// Position at which the second segment begins; the length where there is none.
    pub(crate) text_b_start: usize,
    /// Class index, or value of a regression.
    pub(crate) label: Option<f32>,
}
