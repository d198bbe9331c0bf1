//! One training on several processes, its ranks: each computes the gradient of a contiguous slice of every batch, and all
//! make the same update from the sums. What is sampled and drawn is a function of the whole batch, so that the result
//! depends on the number of ranks by rounding alone (docs/concepts/exactness.md#ranks).
//!
//! Rank 0 is the kernel that the runner has started: it alone writes, and starts the others (`local.rs`).

mod local;
mod native;

use std::num::NonZero;
use std::ops::Range;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Device, Kind, Tensor, no_grad};

use self::local::Others;
use self::native::{Group, Meeting};
use crate::error::KernelError;

pub(crate) use self::local::Seat;

/// How long a rank waits for the others in a sum. Sums follow each other within a step, and longer work is waited
/// for by [`Ranks::first_does`].
const TIMEOUT: Duration = Duration::from_mins(2);

/// How long it is waited for what the first rank does alone. That it has died is noticed without.
const ENDLESS: Duration = Duration::from_hours(24 * 30);

/// How long ranks whose work is done may take to say so.
const ENDING: Duration = Duration::from_secs(20);

/// How long whoever is at fault has to say so.
const LAST_WORDS: Duration = Duration::from_millis(200);

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

/// The ranks of a training, as one of them sees the others.
#[derive(Debug)]
pub(crate) struct Ranks {
    own: Rank,
    link: Option<Link>,
}

/// What a rank has of the others. In the order in which it is dropped.
#[derive(Debug)]
struct Link {
    group: Group,
    meeting: Meeting,
    /// The processes of the others, where this one has started them.
    others: Option<Others>,
}

impl Ranks {
    /// One alone.
    pub(crate) fn one() -> Self {
        Self {
            own: Rank::ONLY,
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

    /// What to tell of ranks whose threads are more than the cores.
    pub(crate) fn crowd(&self, threads: usize) -> Option<String> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let ranks = self.own.size;
        let is_crowd = !self.are_one() && ranks * threads > cores;
        is_crowd.then(|| {
            format!(
                "{ranks} ranks of {threads} threads are more than the {cores} cores of this machine"
            )
        })
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
        let text = link.meeting.wait_for(&key, ENDLESS).map_err(lost)?;
        let text = text.ok_or_else(|| lost(format!("rank 0 has not ended {name}")))?;
        serde_json::from_str(&text).map_err(|error| lost(error.to_string()))
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

    /// Replaces gradients of these shapes by their sums, which are undefined where those of all ranks are. A rank
    /// without rows has none at all.
    ///
    /// # Errors
    /// A rank that is lost.
    pub(crate) fn sum_gradients(
        &self,
        gradients: &mut Vec<Tensor>,
        shapes: &[Vec<i64>],
        device: Device,
    ) -> Result<(), KernelError> {
        let Some(link) = &self.link else {
            return Ok(());
        };
        gradients.resize_with(shapes.len(), Tensor::new);
        let is_defined = gradients.iter().map(Tensor::defined);
        let mut defined: Vec<f64> = is_defined.map(|is| f64::from(u8::from(is))).collect();
        self.sum_numbers_and_wishes(&mut defined, false)?;
        let count = |shape: &[i64]| shape.iter().product::<i64>();
        let places: Vec<usize> = (0..shapes.len()).filter(|at| defined[*at] > 0.0).collect();
        // What is summed together is a function of the shapes, and so are the sums' bits.
        let mut rest = &places[..];
        while !rest.is_empty() {
            let mut numbers = 0;
            let taken = rest.iter().take_while(|place| {
                let before = numbers;
                numbers += count(&shapes[**place]);
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
                        Tensor::zeros([count(&shapes[place])], (Kind::Float, device))
                    }
                });
                let sum = Tensor::cat(&parts.collect::<Vec<_>>(), 0).to_device(Device::Cpu);
                link.group.sum(&sum).map_err(lost)?;
                let sum = sum.to_device(device);
                let mut from = 0;
                for &place in bucket {
                    let length = count(&shapes[place]);
                    gradients[place] = sum.narrow(0, from, length).view(&shapes[place][..]);
                    from += length;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Compares the weights of all ranks after a step by their `digest`; nothing where there is none.
    ///
    /// # Errors
    /// A rank whose weights are others, or that is lost.
    pub(crate) fn compare_weights(
        &self,
        step: u64,
        digest: Option<u32>,
    ) -> Result<(), KernelError> {
        let Some(digest) = digest else {
            return Ok(());
        };
        let mut all = vec![0.0; self.own.size];
        all[self.own.rank] = f64::from(digest);
        self.sum_numbers_and_wishes(&mut all, false)?;
        let other = all
            .iter()
            .position(|digest| digest.to_bits() != all[0].to_bits());
        other.map_or(Ok(()), |rank| Err(KernelError::OtherWeights { step, rank }))
    }

    /// Ends the work of this rank. The first one waits for the others, which need what it serves.
    pub(crate) fn finish(self) {
        let Some(link) = &self.link else {
            return;
        };
        if !self.is_first() {
            // A first rank that does not wait any more is none of its business.
            let _ = link.meeting.set(&end_of(self.own.rank), "");
            return;
        }
        for rank in 1..self.own.size {
            let _ = link.meeting.wait_for(&end_of(rank), ENDING);
        }
    }

    /// What an error of this rank means: where contact was lost, the rank that is at fault, if that is known.
    pub(crate) fn explained(&mut self, error: KernelError) -> KernelError {
        let Some(link) = &mut self.link else {
            return error;
        };
        let KernelError::LostRanks { reason } = error else {
            // The others read it before their contact is lost.
            let _ = link
                .meeting
                .set(&fault_of(self.own.rank), &error.to_string());
            return error;
        };
        // One round for who was about to end when contact was lost, one for who has ended since.
        for _ in 0..2 {
            for rank in (0..self.own.size).filter(|rank| *rank != self.own.rank) {
                if let Ok(Some(what)) = link.meeting.wait_for(&fault_of(rank), LAST_WORDS) {
                    let what = format!("failed: {what}");
                    return KernelError::Rank { rank, what };
                }
            }
            if let Some((rank, what)) = link.others.as_mut().and_then(Others::ended) {
                return KernelError::Rank { rank, what };
            }
        }
        KernelError::LostRanks { reason }
    }
}

fn end_of(rank: usize) -> String {
    format!("end/{rank}")
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
