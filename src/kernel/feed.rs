//! The rows of each step, laid out ahead of it on a thread of their own.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use tinyrun_base::data::batches::{
    choose_limit, choose_turn, plan_epoch, plan_unshuffled, steps_per_epoch,
};
use tinyrun_base::data::store::TokenStore;
use tinyrun_base::job::{PadTo, Train, TrainData};

use crate::batch::{Amounts, Block};
use crate::error::KernelError;
use crate::ranks::Rank;

/// The token stores and what follows from their sizes.
pub(crate) struct Data {
    pub(crate) train: TokenStore,
    pub(crate) dev: Option<TokenStore>,
    /// Rows trained on, as indices of `train`, ascending.
    pub(crate) rows: Vec<u32>,
    /// Lengths of those rows in tokens.
    pub(crate) lengths: Vec<u32>,
    pub(crate) steps_per_epoch: u64,
    /// How many of the rows, the first ones, are in every epoch.
    always: usize,
    /// How many of the others are in an epoch, in turn.
    in_turn: usize,
}

impl Data {
    /// Opens the stores of a job.
    ///
    /// # Errors
    /// An unreadable store, or one with no row or no whole batch.
    pub(crate) fn open(train: &Train, seed: u64) -> Result<Self, KernelError> {
        let data = &train.data;
        let store = TokenStore::open(&data.store)?;
        let count = store.len() as u32;
        if count == 0 {
            return Err(KernelError::NoRows {
                store: data.store.clone(),
            });
        }
        let labelled = match data.unlabelled {
            Some(_) => labelled_rows(&store),
            None => store.len(),
        };
        let mut rows = match data.limit {
            Some(limit) if limit < labelled as u64 => choose_limit(labelled, limit, seed),
            _ => (0..labelled as u32).collect(),
        };
        let always = rows.len();
        let mut in_turn = 0;
        if let Some(unlabelled) = data.unlabelled {
            let there = store.len() - labelled;
            let (of, all) = (always as u64, there as u64);
            let taken = unlabelled.in_all(of, all, train.steps.epochs);
            let others = choose_limit(there, taken, seed).into_iter();
            rows.extend(others.map(|row| row + labelled as u32));
            in_turn = unlabelled.each_epoch(of, all) as usize;
        }
        let lengths: Vec<u32> = rows
            .iter()
            .map(|&row| store.length(row as usize) as u32)
            .collect();
        let examples = (always + in_turn) as u64;
        let steps_per_epoch = steps_per_epoch(
            examples,
            data.batch_size,
            data.gradient_accumulation_steps,
            data.drop_last,
        );
        if steps_per_epoch == 0 {
            return Err(KernelError::NoWholeBatch {
                examples,
                batch: u64::from(data.batch_size) * u64::from(data.gradient_accumulation_steps),
            });
        }
        let dev = train.selection.as_ref();
        let dev = dev.map(|selection| TokenStore::open(&selection.dev));
        Ok(Self {
            dev: dev.transpose()?,
            steps_per_epoch,
            train: store,
            rows,
            lengths,
            always,
            in_turn,
        })
    }

    /// Places of the rows of an epoch, ascending.
    fn places(&self, seed: u64, epoch: u64) -> Vec<u32> {
        let always = 0..self.always as u32;
        let turn = choose_turn(self.rows.len() - self.always, self.in_turn, seed, epoch);
        let turn = turn.into_iter().map(|place| place + self.always as u32);
        always.chain(turn).collect()
    }
}

/// Rows with a label, which are the first.
fn labelled_rows(store: &TokenStore) -> usize {
    let rows = 0..store.len();
    rows.take_while(|row| store.label(*row).is_some()).count()
}

/// Rows whose gradients are computed together, by one process or by several ranks.
#[derive(Debug)]
pub(crate) struct MicroBatch {
    /// Those of this rank, by leaf of the sum over the batch; `None` for a leaf without rows.
    pub(crate) parts: Vec<Option<Part>>,
    /// What the rows of all ranks hold.
    pub(crate) whole: Amounts,
    /// Tokens and padding of all ranks.
    pub(crate) cells: u64,
    /// The words of the step, of all ranks and micro-batches: each once and ascending.
    pub(crate) words: Arc<[i64]>,
}

/// Rows whose gradient is computed in one go.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) block: Block,
    /// What the rows of the micro-batch before them hold.
    pub(crate) before: Amounts,
}

/// The micro-batches of one optimizer step after the other.
pub(crate) struct Feed {
    source: Source,
}

enum Source {
    /// Laid out when asked for.
    Here(Box<Layout>),
    /// Laid out by a thread, which ends when nobody listens any more.
    Ahead(Receiver<Vec<MicroBatch>>),
}

impl Feed {
    /// From optimizer step `step` on, `laid.prefetch` steps ahead of who asks, rows padded as `pad_to` says: those
    /// of `rank`.
    pub(crate) fn start(
        data: &Arc<Data>,
        laid: &TrainData,
        fixed_row: i64,
        (pad_to, rank): (PadTo, Rank),
        (seed, step): (u64, u64),
    ) -> Self {
        let mut layout = Layout {
            data: Arc::clone(data),
            order: Order {
                seed,
                shuffle: laid.shuffle,
                drop_last: laid.drop_last,
                batch_size: laid.batch_size as usize,
                accumulation: laid.gradient_accumulation_steps as usize,
                pad_to,
                fixed_row,
                rank,
                leaves: laid.reduction_leaves as usize,
            },
            step,
            epoch: None,
            batches: Vec::new(),
        };
        if laid.prefetch == 0 {
            return Self {
                source: Source::Here(Box::new(layout)),
            };
        }
        // Plain memory only: an operation of libtorch on this thread would start a second team
        // of threads beside the one that trains.
        let (sender, receiver) = sync_channel(laid.prefetch as usize);
        thread::spawn(move || while sender.send(layout.next()).is_ok() {});
        Self {
            source: Source::Ahead(receiver),
        }
    }

    /// The micro-batches of the next step.
    pub(crate) fn next(&mut self) -> Vec<MicroBatch> {
        match &mut self.source {
            Source::Here(layout) => layout.next(),
            Source::Ahead(receiver) => receiver.recv().expect("the thread lives as long as this"),
        }
    }
}

/// What the order of the rows depends on.
struct Order {
    seed: u64,
    shuffle: bool,
    drop_last: bool,
    batch_size: usize,
    accumulation: usize,
    pad_to: PadTo,
    /// Row of the student's words that has no gradient; -1: none.
    fixed_row: i64,
    /// Whose rows are laid out.
    rank: Rank,
    /// Leaves of the sum over a batch.
    leaves: usize,
}

/// Lays out one step after the other.
struct Layout {
    data: Arc<Data>,
    order: Order,
    /// Optimizer steps before the next one.
    step: u64,
    /// The epoch that `batches` belong to.
    epoch: Option<u64>,
    /// Its batches, as places in [`Data::rows`].
    batches: Vec<Vec<u32>>,
}

impl Layout {
    fn next(&mut self) -> Vec<MicroBatch> {
        let steps = self.data.steps_per_epoch;
        self.turn_to(self.step / steps);
        let accumulation = self.order.accumulation;
        let from = (self.step % steps) as usize * accumulation;
        let to = (from + accumulation).min(self.batches.len());
        self.step += 1;
        let micro_batches = &self.batches[from..to];
        let words = self.words(micro_batches);
        micro_batches
            .iter()
            .map(|places| self.micro_batch(places, &words))
            .collect()
    }

    /// The words of the rows at these places, each once and ascending. Gradients of micro-batches and ranks are
    /// added, so that each is one of the words of all.
    fn words(&self, micro_batches: &[Vec<u32>]) -> Arc<[i64]> {
        let store = &self.data.train;
        let mut words: Vec<i64> = Vec::new();
        for places in micro_batches {
            for &place in places {
                let ids = store.input_ids(self.data.rows[place as usize] as usize);
                words.extend(ids.iter().map(|&id| i64::from(id)));
            }
            let (whole, longest) = self.amounts(places);
            if self.cells(whole, longest) > whole.tokens {
                words.push(i64::from(store.meta().pad_token_id));
            }
        }
        words.sort_unstable();
        words.dedup();
        words.into()
    }

    /// What the rows at these places hold, and the length of the longest.
    fn amounts(&self, places: &[u32]) -> (Amounts, u64) {
        let lengths = places.iter().map(|&place| self.length(place));
        let longest = lengths.clone().max().unwrap_or(0);
        (Amounts::of(lengths), longest)
    }

    /// Tokens of the row at a place.
    fn length(&self, place: u32) -> u64 {
        u64::from(self.data.lengths[place as usize])
    }

    /// Tokens and padding of rows, of which the longest has so many.
    fn cells(&self, whole: Amounts, longest: u64) -> u64 {
        let width = match self.order.pad_to {
            PadTo::None => return whole.tokens,
            PadTo::Longest => longest,
            PadTo::MaxSeqLength => self.data.train.meta().max_seq_length as u64,
        };
        width * whole.rows
    }

    /// The rows at these places, of which this rank has a part.
    fn micro_batch(&self, places: &[u32], words: &Arc<[i64]>) -> MicroBatch {
        let Order { rank, leaves, .. } = self.order;
        let (whole, longest) = self.amounts(places);
        let part = |own: Range<usize>| {
            let block = self.block(&places[own.clone()], longest as usize, words);
            let before = places[..own.start].iter();
            let before = Amounts::of(before.map(|&place| self.length(place)));
            (!own.is_empty()).then_some(Part { block, before })
        };
        let parts = rank.parts(places.len(), leaves).into_iter();
        MicroBatch {
            parts: parts.map(part).collect(),
            whole,
            cells: self.cells(whole, longest),
            words: Arc::clone(words),
        }
    }

    /// The rows at these places, padded as those of the whole micro-batch are.
    fn block(&self, places: &[u32], longest: usize, words: &Arc<[i64]>) -> Block {
        let Order {
            pad_to, fixed_row, ..
        } = self.order;
        let data = &self.data;
        let rows = places.iter().map(|&place| data.rows[place as usize]);
        let rows: Vec<u32> = rows.collect();
        let mut block = Block::new(&data.train, &rows, pad_to, longest);
        block.places = places.to_vec();
        block.use_words(fixed_row, words);
        block
    }

    /// Makes the plan of `epoch`, a function of seed and epoch alone.
    fn turn_to(&mut self, epoch: u64) {
        if self.epoch == Some(epoch) {
            return;
        }
        let Order {
            seed,
            shuffle,
            drop_last,
            batch_size,
            ..
        } = self.order;
        let data = &self.data;
        let places = data.places(seed, epoch);
        let lengths: Vec<u32> = places
            .iter()
            .map(|place| data.lengths[*place as usize])
            .collect();
        self.batches = if shuffle {
            plan_epoch(&lengths, batch_size, seed, epoch, drop_last)
        } else {
            plan_unshuffled(lengths.len(), batch_size, drop_last)
        };
        for place in self.batches.iter_mut().flatten() {
            *place = places[*place as usize];
        }
        self.epoch = Some(epoch);
    }
}
