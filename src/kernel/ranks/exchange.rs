//! Sums of gradients over ranks, which begin while the backward pass still computes other gradients.
//!
//! Parameters are cut into buckets, in the order in which a backward pass completes their gradients. A bucket leaves
//! when it is full and all buckets before it have left: ranks match sums by their order. Buckets are a function of the
//! model, and so are the bits of the sums (docs/concepts/exactness.md#ranks).

use std::cell::RefCell;
use std::rc::Rc;

use tch::{Device, Kind, Tensor, no_grad};
use tinyrun_base::job::GradientExchange;
use tinyrun_base::model::names::EMBEDDINGS;

use super::hooks::Hook;
use super::lost;
use super::native::{Group, Sum};
use crate::error::KernelError;

/// Numbers of a bucket, at least: 4 MB. Smaller ones cost more time in messages than they save
/// (docs/performance/index.md#ranks).
const BUCKET: i64 = 1 << 20;

/// Losses of a step, at most, for which the last bucket has room.
const LOSSES: i64 = 1024;

/// The exchange of one rank with the others. Its hooks are on the parameters until it is dropped.
pub(crate) struct Exchange {
    /// Dropped before what they fill.
    _hooks: Vec<Hook>,
    state: Rc<RefCell<State>>,
}

/// What a step has so far.
struct State {
    group: Rc<Group>,
    /// Where gradients are computed and applied.
    device: Device,
    wire: GradientExchange,
    /// Of each parameter.
    shapes: Vec<Vec<i64>>,
    /// The table of words. It is the last in the last bucket: how many of its rows are in use differs from step to
    /// step.
    words: Option<usize>,
    buckets: Vec<Bucket>,
    /// Whether the last bucket carries losses and flags behind its gradients: every message costs time, however short
    /// (docs/guides/cluster.md#what-an-exchange-costs). bf16 would round them, and on a GPU they would be waited for.
    carries: bool,
    /// Bucket of each parameter, and where it begins there.
    at: Vec<(usize, i64)>,
    /// Whether a gradient of this parameter was computed in this step.
    is_there: Vec<bool>,
    /// Whether this is the step's last backward pass.
    is_last: bool,
    /// Sums that have begun, of the first buckets.
    sums: Vec<Sum>,
    failure: Option<String>,
}

/// Gradients that travel together.
struct Bucket {
    places: Vec<usize>,
    /// Room for them, fp32.
    numbers: Tensor,
    /// Gradients that the last backward pass has not completed yet.
    missing: usize,
}

impl Exchange {
    /// Of parameters with these names, in the optimizer's order; `words` is the table of words, if it is one of them.
    pub(super) fn new(
        group: &Rc<Group>,
        parameters: &[(&str, &Tensor)],
        words: Option<usize>,
        wire: GradientExchange,
    ) -> Self {
        let shapes: Vec<Vec<i64>> = parameters.iter().map(|(_, tensor)| tensor.size()).collect();
        let named = parameters.iter().zip(&shapes);
        let sizes: Vec<(&str, i64)> = named
            .map(|((name, _), shape)| (*name, shape.iter().product()))
            .collect();
        let device = parameters
            .first()
            .map_or(Device::Cpu, |(_, tensor)| tensor.device());
        // Gloo adds in the memory of the CPU.
        let adding = if group.adds_on_gpu() {
            device
        } else {
            Device::Cpu
        };
        let carries = adding == Device::Cpu && wire == GradientExchange::Fp32;
        let mut at = vec![(0, 0); sizes.len()];
        let planned = plan(&sizes, words);
        let last = planned.len() - 1;
        let buckets = planned.into_iter().enumerate().map(|(bucket, places)| {
            let mut count = 0;
            for &place in &places {
                at[place] = (bucket, count);
                count += sizes[place].1;
            }
            if carries && bucket == last {
                count += LOSSES + 1 + sizes.len() as i64;
            }
            Bucket {
                places,
                // Of the table of words most is never touched.
                numbers: Tensor::empty([count], (Kind::Float, adding)),
                missing: 0,
            }
        });
        let buckets = buckets.collect();
        let state = Rc::new(RefCell::new(State {
            group: Rc::clone(group),
            device,
            wire,
            words,
            buckets,
            carries,
            at,
            is_there: vec![false; shapes.len()],
            shapes,
            is_last: false,
            sums: Vec::new(),
            failure: None,
        }));
        let hooks = parameters.iter().enumerate();
        let hooks = hooks.map(|(place, (_, tensor))| hook(&state, tensor, place));
        Self {
            _hooks: hooks.collect(),
            state,
        }
    }

    /// A step begins, in which so many rows of the table of words are in use by any rank.
    pub(crate) fn begin(&self, rows: usize) {
        let mut state = self.state.borrow_mut();
        state.is_there.fill(false);
        state.is_last = false;
        state.sums.clear();
        for bucket in &mut state.buckets {
            bucket.missing = bucket.places.len();
        }
        if let Some(words) = state.words {
            state.shapes[words][0] = rows as i64;
        }
    }

    /// The next backward pass is the step's last one, after which nothing is added.
    pub(crate) fn last_pass(&self) {
        self.state.borrow_mut().is_last = true;
    }

    /// Takes the gradient of rows of the table of words, which are a leaf of their own, while the hook lives.
    pub(crate) fn rows(&self, leaf: &Tensor) -> Option<Hook> {
        let words = self.state.borrow().words?;
        Some(hook(&self.state, leaf, words))
    }

    /// Takes the gradient of the parameter at a place, as its hook does.
    pub(super) fn hand(&self, place: usize, gradient: &Tensor) {
        no_grad(|| self.state.borrow_mut().take(place, gradient));
    }

    /// Sends what has not left yet and waits for all sums. Returns the gradients, which are undefined where no rank
    /// has one and valid until the next step begins, and whether any rank `wishes` something. Replaces `losses` by
    /// their sums.
    ///
    /// # Errors
    /// A rank that is lost.
    pub(crate) fn finish(
        &self,
        losses: &mut [f64],
        wishes: bool,
    ) -> Result<(Vec<Tensor>, bool), KernelError> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let flag = |is: bool| f64::from(u8::from(is));
        let all = losses.iter().copied().chain([flag(wishes)]);
        let all = all.chain(state.is_there.iter().map(|is| flag(*is)));
        let all = Tensor::from_slice(&all.collect::<Vec<f64>>());
        let count = all.numel() as i64;
        assert!(losses.len() as i64 <= LOSSES, "there is room for them");
        no_grad(|| state.send_the_rest(&all));
        if let Some(reason) = state.failure.take() {
            return Err(lost(reason));
        }
        let flags = if state.carries {
            None
        } else {
            Some(state.group.begin_sum(&all).map_err(lost)?)
        };
        let mut summed = Vec::new();
        for (sum, bucket) in state.sums.drain(..).zip(&state.buckets) {
            let numbers = sum.wait().map_err(lost)?;
            // Of bf16.
            summed.push(if numbers.kind() == Kind::Float {
                numbers
            } else {
                let own = bucket.numbers.narrow(0, 0, numbers.size()[0]);
                no_grad(|| own.shallow_clone().copy_(&numbers));
                own
            });
        }
        let all = match (flags, summed.last()) {
            (Some(flags), _) => flags.wait().map_err(lost)?,
            (None, Some(last)) => last.narrow(0, last.size()[0] - count, count),
            (None, None) => all,
        };
        let all = Vec::<f64>::try_from(all.to_kind(Kind::Double)).expect("numbers");
        let (first, defined) = all.split_at(losses.len() + 1);
        losses.copy_from_slice(&first[..losses.len()]);
        let gradients = defined.iter().enumerate().map(|(place, count)| {
            if *count == 0.0 {
                return Tensor::new();
            }
            let (bucket, from) = state.at[place];
            let shape = &state.shapes[place];
            let count = shape.iter().product();
            let sum = summed[bucket].narrow(0, from, count).view(&shape[..]);
            sum.to_device(state.device)
        });
        Ok((gradients.collect(), first[losses.len()] > 0.0))
    }
}

fn hook(state: &Rc<RefCell<State>>, leaf: &Tensor, place: usize) -> Hook {
    let state = Rc::clone(state);
    Hook::new(leaf, move |gradient| {
        no_grad(|| state.borrow_mut().take(place, gradient));
    })
}

impl State {
    /// Adds the gradient of a parameter to what the step has, and lets buckets leave that are full.
    fn take(&mut self, place: usize, gradient: &Tensor) {
        // One of several micro-batches adds to those before it.
        let mut room = self.room(place);
        let gradient = gradient.detach().reshape([-1]);
        if self.is_there[place] {
            let _ = room.g_add_(&gradient.to_device(room.device()));
        } else {
            room.copy_(&gradient);
        }
        self.is_there[place] = true;
        if self.is_last {
            self.buckets[self.at[place].0].missing -= 1;
            let leaving = self.buckets.len() - usize::from(self.carries);
            while self.sums.len() < leaving
                && self.buckets[self.sums.len()].missing == 0
                && self.failure.is_none()
            {
                self.send(None);
            }
        }
    }

    /// Where the gradient of a parameter is put, a vector.
    fn room(&mut self, place: usize) -> Tensor {
        let (bucket, from) = self.at[place];
        let count = self.shapes[place].iter().product();
        self.buckets[bucket].numbers.narrow(0, from, count)
    }

    /// Begins the sum of the next bucket, which carries other numbers behind its own.
    fn send(&mut self, carried: Option<&Tensor>) {
        let bucket = &self.buckets[self.sums.len()];
        let counts = bucket.places.iter().map(|place| {
            let shape = &self.shapes[*place];
            shape.iter().product::<i64>()
        });
        let own: i64 = counts.sum();
        let more = carried.map_or(0, |carried| carried.numel() as i64);
        if let Some(carried) = carried {
            bucket.numbers.narrow(0, own, more).copy_(carried);
        }
        let numbers = bucket.numbers.narrow(0, 0, own + more);
        let numbers = match self.wire {
            GradientExchange::Fp32 => numbers,
            GradientExchange::Bf16 => numbers.to_kind(Kind::BFloat16),
        };
        match self.group.begin_sum(&numbers) {
            Ok(sum) => self.sums.push(sum),
            Err(reason) => self.failure = Some(reason),
        }
    }

    /// Begins the sums that the backward pass has not begun: zeros for what this rank has no gradient of. The last
    /// bucket carries `all`, if it carries anything.
    fn send_the_rest(&mut self, all: &Tensor) {
        for bucket in self.sums.len()..self.buckets.len() {
            for place in self.buckets[bucket].places.clone() {
                if !self.is_there[place] {
                    let _ = self.room(place).zero_();
                }
            }
            if self.failure.is_none() {
                let is_last = bucket + 1 == self.buckets.len();
                self.send((self.carries && is_last).then_some(all));
            }
        }
    }
}

/// The parameters of each bucket, of names and numbers of them in the optimizer's order: a backward pass begins with
/// what follows the encoder, goes through its layers from the last to the first, and ends with the embeddings. No
/// computation hides the sum of the last bucket, so the embeddings are alone in it.
fn plan(parameters: &[(&str, i64)], words: Option<usize>) -> Vec<Vec<usize>> {
    let mut places: Vec<usize> = (0..parameters.len()).collect();
    places.sort_by_key(|place| (words == Some(*place), turn(parameters[*place].0), *place));
    let mut buckets: Vec<Vec<usize>> = vec![Vec::new()];
    let mut numbers = 0;
    let mut last_turn = None;
    for place in places {
        let (name, count) = parameters[place];
        let turn = turn(name);
        // What comes last does not hold up what comes before.
        let is_end = turn == Turn::Last && last_turn.is_some_and(|before| before != turn);
        if numbers >= BUCKET || (is_end && numbers > 0) {
            buckets.push(Vec::new());
            numbers = 0;
        }
        last_turn = Some(turn);
        numbers += count;
        buckets.last_mut().expect("one").push(place);
    }
    buckets
}

/// When a backward pass is done with a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    /// What is computed after the encoder: classifier, pooler, projections of all hidden states.
    Head,
    /// Layers before it, from the end.
    Layer(std::cmp::Reverse<u32>),
    /// Embeddings.
    Last,
}

/// When a backward pass is done with the parameter of this name.
pub(crate) fn turn(name: &str) -> Turn {
    let layer = name.split_once(".layer.").and_then(|(_, rest)| {
        let number = rest.split('.').next()?;
        number.parse().ok()
    });
    match layer {
        Some(layer) => Turn::Layer(std::cmp::Reverse(layer)),
        None if name.starts_with(EMBEDDINGS) => Turn::Last,
        None => Turn::Head,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYER: i64 = BUCKET / 2;

    /// A small student's.
    const SOME: [(&str, i64); 7] = [
        ("bert.embeddings.position_embeddings.weight", 10),
        ("bert.embeddings.word_embeddings.weight", 50 * BUCKET),
        ("bert.encoder.layer.0.output.dense.weight", LAYER),
        ("bert.encoder.layer.1.output.dense.weight", LAYER),
        ("bert.encoder.layer.10.output.dense.weight", LAYER),
        ("classifier.weight", 10),
        ("fit_dense.weight", 20),
    ];

    #[test]
    fn buckets_follow_the_backward_pass_and_end_with_the_table_of_words() {
        let buckets = plan(&SOME, Some(1));
        assert_eq!(buckets, [vec![5, 6, 4, 3], vec![2], vec![0, 1]]);
    }

    #[test]
    fn every_parameter_is_in_one_bucket() {
        for count in 0..SOME.len() {
            let mut all: Vec<usize> = plan(&SOME[..count], None).concat();
            all.sort_unstable();
            assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
    }
}
