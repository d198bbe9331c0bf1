//! One training on several processes, its ranks: each computes the gradient of a contiguous slice of every batch, and all
//! make the same update from the sums. What is sampled and drawn is a function of the whole batch, so that the result
//! depends on the number of ranks by rounding alone (docs/concepts/exactness.md#ranks).
//!
//! Rank 0 is the kernel that the runner has started: it writes all but the teacher's cached outputs, and starts the
//! others (`local.rs`) or calls those that a launcher has started (`launched.rs`).

mod called;
mod cores;
mod exchange;
mod gather;
mod hello;
mod hooks;
mod launched;
mod local;
mod measured;
mod native;
mod serve;

use std::num::NonZero;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Device, Kind, Tensor, no_grad};
use tinyrun::job::{Failure, GradientExchange};

use self::local::Others;
use self::native::{Group, Meeting};
use crate::error::KernelError;

pub(crate) use self::exchange::Exchange;
pub(crate) use self::launched::{launch_of_arguments, serve_launch};
pub(crate) use self::local::Seat;
pub(crate) use self::measured::measurement_of_arguments;
#[cfg(test)]
pub(crate) use self::{exchange::turn, hooks::Hook};

/// How long a rank may take to come.
const COMING: Duration = Duration::from_mins(2);

/// How long ranks wait for each other's work where no watchdog is set: that of the first alone takes as long as the
/// disk does, and all may be suspended for a night. That one has died is noticed at once.
const ENDLESS: Duration = Duration::from_hours(24 * 20);

/// Between two looks at whether the first rank still works.
const BETWEEN: Duration = Duration::from_secs(1);

/// How long ranks whose work is done may take to say so.
const ENDING: Duration = Duration::from_secs(20);

/// How long whoever is at fault has to say so, and between two looks.
const LAST_WORDS: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(20);

/// Exit code of a rank that has lost contact, and is not at fault.
pub(crate) const EXIT_LOST: u8 = 75;

/// Numbers of gradients that are summed at once, about: 16 MB.
const AT_ONCE: i64 = 4 << 20;

/// A place among the ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rank {
    rank: usize,
    size: usize,
}

impl Rank {
    /// The only one.
    pub(crate) const ONLY: Self = Self { rank: 0, size: 1 };

    /// Which one it is, from 0 on.
    pub(crate) fn place(self) -> usize {
        self.rank
    }

    /// How many there are.
    pub(crate) fn size(self) -> usize {
        self.size
    }

    /// Its part of `count` things, which may be none.
    pub(crate) fn slice(self, count: usize) -> Range<usize> {
        let begin = |rank: usize| rank * count / self.size;
        begin(self.rank)..begin(self.rank + 1)
    }
}

impl Rank {
    /// The parts of `count` things that it computes apart: its slice, or of several `leaves` those that are its own.
    pub(crate) fn parts(self, count: usize, leaves: usize) -> Vec<Range<usize>> {
        if leaves == 1 {
            return vec![self.slice(count)];
        }
        let leaf = |rank| Self { rank, size: leaves }.slice(count);
        self.slice(leaves).map(leaf).collect()
    }
}

/// The ranks of a training, as one of them sees the others.
#[derive(Debug)]
pub(crate) struct Ranks {
    own: Rank,
    /// How many share the cores of this machine, as far as is known.
    here: usize,
    /// Cores that they may use.
    cores: usize,
    link: Option<Link>,
}

/// What a rank has of the others. In the order in which it is dropped.
#[derive(Debug)]
struct Link {
    group: Rc<Group>,
    meeting: Meeting,
    /// The processes of the others, where this one has started them.
    others: Option<Others>,
}

impl Ranks {
    /// One alone.
    pub(crate) fn one() -> Self {
        Self {
            own: Rank::ONLY,
            here: 1,
            cores: cores(),
            link: None,
        }
    }

    /// Whether there is only one.
    pub(crate) fn are_one(&self) -> bool {
        self.link.is_none()
    }

    /// Whether this is the first one, which writes and reports.
    pub(crate) fn is_first(&self) -> bool {
        self.own.rank == 0
    }

    /// This one's place.
    pub(crate) fn own(&self) -> Rank {
        self.own
    }

    /// Whether all are on this machine, and write to a file as one process does.
    pub(crate) fn are_here(&self) -> bool {
        self.here == self.own.size
    }

    /// What to tell of ranks whose threads are more than the cores.
    pub(crate) fn crowd(&self, threads: usize) -> Option<String> {
        let cores = self.cores;
        let ranks = self.here;
        let is_crowd = !self.are_one() && ranks * threads > cores;
        is_crowd.then(|| {
            format!(
                "{ranks} ranks of {threads} threads are more than the {cores} cores of this machine"
            )
        })
    }

    /// Binds this thread, and those that it starts from now on, to the cores of this rank, if the ranks take all.
    pub(crate) fn bind(&self, threads: usize) {
        let cores = cores::allowed();
        // Of ranks on several machines the launcher knows who is where.
        if self.are_here()
            && let Some(own) = cores::share(&cores, self.own.rank, self.here, threads)
        {
            cores::bind(own);
        }
    }

    /// Does something on the first rank, while the others wait for its result, however long it takes. `name` is
    /// given once in a training.
    ///
    /// # Errors
    /// Those of `work`; a rank that is lost.
    pub(crate) fn first_does<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        work: impl FnOnce() -> Result<T, KernelError>,
    ) -> Result<T, KernelError> {
        let Some(link) = &self.link else {
            return work();
        };
        let key = format!("done/{name}");
        if self.is_first() {
            let done = work()?;
            let text = serde_json::to_string(&done).expect("plain data");
            link.meeting.set(&key, &text).map_err(lost)?;
            return Ok(done);
        }
        loop {
            // Its store may outlive it, where a launcher serves it.
            let text = link.meeting.wait_for(&key, BETWEEN).map_err(lost)?;
            if let Some(text) = text {
                return serde_json::from_str(&text).map_err(|error| lost(error.to_string()));
            }
            let fault = link.meeting.wait_for(&fault_of(0), Duration::ZERO);
            if fault.map_err(lost)?.is_some() {
                return Err(lost(format!("rank 0 has not ended {name}")));
            }
        }
    }

    /// Replaces numbers by their sums, and returns whether any rank `wishes` something.
    ///
    /// # Errors
    /// A rank that is lost.
    pub(crate) fn sum_numbers_and_wishes(
        &self,
        numbers: &mut [f64],
        wishes: bool,
    ) -> Result<bool, KernelError> {
        let Some(link) = &self.link else {
            return Ok(wishes);
        };
        let wish = f64::from(u8::from(wishes));
        let all: Vec<f64> = numbers.iter().copied().chain([wish]).collect();
        let tensor = Tensor::from_slice(&all);
        link.group.sum(&tensor).map_err(lost)?;
        let all = Vec::<f64>::try_from(tensor).expect("numbers");
        numbers.copy_from_slice(&all[..numbers.len()]);
        Ok(all[numbers.len()] > 0.0)
    }

    /// Replaces numbers by their sums.
    ///
    /// # Errors
    /// A rank that is lost.
    pub(crate) fn sum_floats(&self, numbers: &mut Vec<f32>) -> Result<(), KernelError> {
        let Some(link) = &self.link else {
            return Ok(());
        };
        // A rank without a part does not know how many there are.
        let mut most = vec![0.0; self.own.size];
        most[self.own.rank] = numbers.len() as f64;
        self.sum_numbers_and_wishes(&mut most, false)?;
        let most = most.into_iter().fold(0.0, f64::max);
        numbers.resize(most as usize, 0.0);
        let tensor = Tensor::from_slice(numbers);
        link.group.sum(&tensor).map_err(lost)?;
        *numbers = Vec::try_from(tensor).expect("numbers");
        Ok(())
    }

    /// What sums the gradients of these parameters over ranks while they are computed; `None` of one rank.
    pub(crate) fn exchange(
        &self,
        parameters: &[(&str, &Tensor)],
        words: Option<usize>,
        wire: GradientExchange,
    ) -> Option<Exchange> {
        let link = self.link.as_ref()?;
        Some(Exchange::new(&link.group, parameters, words, wire))
    }

    /// Replaces numbers by their sums in the tree that the leaves of a rank continue: neighbours first, then
    /// neighbouring pairs, and so on. The number of ranks is a power of two.
    ///
    /// # Errors
    /// A rank that is lost.
    pub(crate) fn sum_in_tree(&self, numbers: &Tensor) -> Result<(), KernelError> {
        let Some(link) = &self.link else {
            return Ok(());
        };
        let Rank { rank, size } = self.own;
        let other = numbers.empty_like();
        let mut distance = 1;
        while distance < size {
            let peer = rank ^ distance;
            link.group.exchange(numbers, &other, peer).map_err(lost)?;
            // The same bits on both sides: `a + b` is `b + a`.
            let _ = no_grad(|| numbers.shallow_clone().g_add_(&other));
            distance *= 2;
        }
        Ok(())
    }

    /// The same of gradients of these shapes, each of which is there.
    ///
    /// # Errors
    /// A rank that is lost.
    pub(crate) fn sum_gradients_in_tree(
        &self,
        gradients: &mut [Tensor],
        places: &[usize],
        shapes: &[Vec<i64>],
    ) -> Result<(), KernelError> {
        if self.are_one() {
            return Ok(());
        }
        in_buckets(gradients, places, shapes, |sum| self.sum_in_tree(sum))
    }

    /// Compares the weights of all ranks before a step by their `digest`.
    ///
    /// # Errors
    /// A rank whose weights are others, or that is lost.
    pub(crate) fn compare_weights(&self, step: u64, digest: u32) -> Result<(), KernelError> {
        let mut all = vec![0.0; self.own.size];
        all[self.own.rank] = f64::from(digest);
        self.sum_numbers_and_wishes(&mut all, false)?;
        let other = all
            .iter()
            .position(|digest| digest.to_bits() != all[0].to_bits());
        other.map_or(Ok(()), |rank| Err(KernelError::OtherWeights { step, rank }))
    }

    /// Ends the work of this rank. The first one waits for the others, which need what it serves, and returns
    /// the most memory that one has had, in bytes.
    pub(crate) fn finish(self, peak_memory: u64) -> u64 {
        let Some(link) = &self.link else {
            return peak_memory;
        };
        if !self.is_first() {
            // A first rank that does not wait any more is none of its business.
            let key = end_of(self.own.rank);
            let _ = link.meeting.set(&key, &peak_memory.to_string());
            return peak_memory;
        }
        let ends = (1..self.own.size).map(|rank| {
            let told = link.meeting.wait_for(&end_of(rank), ENDING);
            told.ok().flatten().and_then(|text| text.parse().ok())
        });
        ends.flatten().fold(peak_memory, u64::max)
    }

    /// Leaves the others after a failure: those that this rank has started are ended. What libtorch holds is not
    /// closed, since it waits for work that nobody does any more.
    pub(crate) fn abandon(self) {
        if let Some(Link {
            group,
            meeting,
            others,
        }) = self.link
        {
            drop(others);
            std::mem::forget((group, meeting));
        }
    }

    /// Tells the others why this rank ends.
    pub(crate) fn tell(&self, failure: &Failure) {
        if let Some(link) = &self.link {
            let text = serde_json::to_string(failure).expect("plain data");
            // Where they cannot be told, they notice that it is gone.
            let _ = link.meeting.set(&fault_of(self.own.rank), &text);
        }
    }

    /// What an error of this rank means: where contact was lost, the rank that is at fault, if that is known.
    pub(crate) fn explained(&mut self, error: KernelError) -> KernelError {
        if !matches!(error, KernelError::LostRanks { .. }) {
            self.tell(&error.failure());
            return error;
        }
        let own = self.own.rank;
        let Some(link) = &mut self.link else {
            return error;
        };
        // One that hangs does not say so.
        let _ = link.meeting.set(&waiting_of(own), "");
        let since = Instant::now();
        while since.elapsed() < LAST_WORDS {
            for rank in (0..self.own.size).filter(|rank| *rank != own) {
                let told = link.meeting.wait_for(&fault_of(rank), LOOK);
                let told = told.ok().flatten();
                let failure = told.and_then(|text| serde_json::from_str::<Failure>(&text).ok());
                if let Some(Failure { message, hint }) = failure {
                    let what = format!("failed: {message}");
                    return KernelError::Rank { rank, what, hint };
                }
            }
            if let Some(ended) = link.others.as_mut().and_then(Others::at_fault) {
                return ended;
            }
        }
        let mut others = (0..self.own.size).filter(|rank| *rank != own);
        let hangs = |rank: &usize| {
            let waits = link.meeting.wait_for(&waiting_of(*rank), LOOK);
            matches!(waits, Ok(None))
        };
        if let Some(rank) = others.find(hangs) {
            let what = "does not answer".to_owned();
            let hint = None;
            return KernelError::Rank { rank, what, hint };
        }
        let silent = link.others.as_ref().and_then(Others::silent);
        silent.unwrap_or(error)
    }
}

/// Cores that this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Lets `add` change the gradients at these places, many at a time in one tensor. What is together in one is a
/// function of the shapes, and so are the sums' bits.
fn in_buckets(
    gradients: &mut [Tensor],
    places: &[usize],
    shapes: &[Vec<i64>],
    add: impl Fn(&Tensor) -> Result<(), KernelError>,
) -> Result<(), KernelError> {
    let count = |place: usize| shapes[place].iter().product::<i64>();
    let mut rest = places;
    while !rest.is_empty() {
        let mut numbers = 0;
        let taken = rest.iter().take_while(|place| {
            let before = numbers;
            numbers += count(**place);
            before < AT_ONCE
        });
        let (bucket, after) = rest.split_at(taken.count());
        rest = after;
        no_grad(|| -> Result<(), KernelError> {
            let parts = bucket.iter().map(|&place| {
                let gradient = &gradients[place];
                if gradient.defined() {
                    gradient.detach().reshape([-1])
                } else {
                    Tensor::zeros([count(place)], (Kind::Float, Device::Cpu))
                }
            });
            let sum = Tensor::cat(&parts.collect::<Vec<_>>(), 0);
            add(&sum)?;
            let mut from = 0;
            for &place in bucket {
                let length = count(place);
                gradients[place] = sum.narrow(0, from, length).view(&shapes[place][..]);
                from += length;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn end_of(rank: usize) -> String {
    format!("end/{rank}")
}

fn waiting_of(rank: usize) -> String {
    format!("waiting/{rank}")
}

fn fault_of(rank: usize) -> String {
    format!("fault/{rank}")
}

fn lost(reason: String) -> KernelError {
    KernelError::LostRanks { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_contiguous_and_cover_everything_once() {
        for size in 1..20 {
            for count in 0..70 {
                let slices = (0..size).map(|rank| Rank { rank, size }.slice(count));
                let mut end = 0;
                for slice in slices {
                    assert_eq!(slice.start, end);
                    assert!(slice.len() <= count.div_ceil(size));
                    end = slice.end;
                }
                assert_eq!(end, count);
            }
        }
    }
}
