//! A place among the ranks, and the part of a batch that is computed there.

use std::ops::Range;

/// A place among the ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rank {
    pub(crate) rank: usize,
    pub(crate) size: usize,
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

    /// The parts of `count` things that it computes apart: its slice, or of several `leaves` those that are its own.
    pub(crate) fn parts(self, count: usize, leaves: usize) -> Vec<Range<usize>> {
        if leaves == 1 {
            return vec![self.slice(count)];
        }
        let leaf = |rank| Self { rank, size: leaves }.slice(count);
        self.slice(leaves).map(leaf).collect()
    }
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
