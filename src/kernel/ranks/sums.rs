//! Sums over ranks: of numbers, and of gradients, which are the same bits on every rank.

use tch::{Device, Kind, Tensor, no_grad};
use tinyrun_base::job::GradientExchange;

use super::exchange::Exchange;
use super::rank::Rank;
use super::{Ranks, lost};
use crate::error::KernelError;

/// Numbers of gradients that are summed at once, about: 16 MB.
const AT_ONCE: i64 = 4 << 20;

impl Ranks {
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
