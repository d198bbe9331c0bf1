//! A tensor that a file holds as boxes of numbers, which may be cut along any axis.

/// A box of a tensor's numbers, themselves row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Region {
    /// First index by axis.
    pub(super) start: Vec<usize>,
    /// Length by axis.
    pub(super) shape: Vec<usize>,
}

/// How the boxes make up a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Regions {
    shape: Vec<usize>,
    regions: Vec<Region>,
}

impl Region {
    /// How many numbers it has; `None` beyond what memory can hold.
    pub(super) fn numbers(&self) -> Option<usize> {
        let mut shape = self.shape.iter();
        shape.try_fold(1_usize, |all, length| all.checked_mul(*length))
    }

    fn is_within(&self, shape: &[usize]) -> bool {
        let axes = self.start.iter().zip(&self.shape).zip(shape);
        let mut ends = axes.map(|((start, length), whole)| {
            let end = start.checked_add(*length);
            end.is_some_and(|end| end <= *whole)
        });
        self.start.len() == shape.len() && self.shape.len() == shape.len() && ends.all(|is| is)
    }

    /// Whether two boxes within one tensor have a number in common.
    fn overlaps(&self, other: &Self) -> bool {
        let axes = self.start.iter().zip(&self.shape);
        let mut axes = axes.zip(other.start.iter().zip(&other.shape));
        axes.all(|((start, length), (other_start, other_length))| {
            *start.max(other_start) < (start + length).min(other_start + other_length)
        })
    }
}

impl Regions {
    /// Boxes of a tensor of this shape.
    ///
    /// # Errors
    /// Where they do not make up the tensor, each number once, or there are very many.
    pub(super) fn new(shape: Vec<usize>, regions: Vec<Region>) -> Result<Self, &'static str> {
        /// Every two of them are compared.
        const MOST: usize = 4096;
        if regions.len() > MOST {
            return Err("is cut into more than 4096 slices");
        }
        if !regions.iter().all(|region| region.is_within(&shape)) {
            return Err("is cut into slices that reach beyond it");
        }
        let overlap = |(place, region): (usize, &Region)| {
            let before = &regions[..place];
            before.iter().any(|other| region.overlaps(other))
        };
        if regions.iter().enumerate().any(overlap) {
            return Err("is cut into slices that overlap");
        }
        let mut numbers = regions.iter().map(Region::numbers);
        let there = numbers.try_fold(0_usize, |all, numbers| all.checked_add(numbers?));
        let mut axes = shape.iter();
        let whole = axes.try_fold(1_usize, |all, length| all.checked_mul(*length));
        if there.is_none() || there != whole {
            return Err("lacks a slice");
        }
        Ok(Self { shape, regions })
    }

    /// The tensor, row-major, of the bytes of its boxes; a number has `size` bytes. `None` where a box has
    /// more or fewer.
    pub(super) fn assemble(&self, parts: &[&[u8]], size: usize) -> Option<Vec<u8>> {
        let numbers: usize = self.shape.iter().product();
        let mut whole = vec![0; numbers * size];
        for (region, part) in self.regions.iter().zip(parts) {
            if region.numbers()?.checked_mul(size)? != part.len() {
                return None;
            }
            // Row by row: numbers of the last axis lie together in both.
            let row = region.shape.last().map_or(1, |length| *length) * size;
            if row == 0 {
                continue;
            }
            for (index, bytes) in part.chunks_exact(row).enumerate() {
                let begin = self.place(region, index) * size;
                whole.get_mut(begin..begin + row)?.copy_from_slice(bytes);
            }
        }
        (self.regions.len() == parts.len()).then_some(whole)
    }

    /// Where the row of this index of a box begins in the tensor, in numbers.
    fn place(&self, region: &Region, mut index: usize) -> usize {
        let Some((last, axes)) = self.shape.split_last() else {
            return 0;
        };
        let mut stride = *last;
        let mut place = region.start[axes.len()];
        for (axis, length) in axes.iter().enumerate().rev() {
            place += (region.start[axis] + index % region.shape[axis]) * stride;
            index /= region.shape[axis];
            stride *= length;
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(start: &[usize], shape: &[usize]) -> Region {
        Region {
            start: start.to_vec(),
            shape: shape.to_vec(),
        }
    }

    /// The numbers of a box of a tensor that holds 0, 1, 2 and so on.
    fn part(shape: [usize; 3], region: &Region) -> Vec<u8> {
        let mut bytes = Vec::new();
        for a in 0..region.shape[0] {
            for b in 0..region.shape[1] {
                for c in 0..region.shape[2] {
                    let [a, b, c] = [
                        a + region.start[0],
                        b + region.start[1],
                        c + region.start[2],
                    ];
                    let number = (a * shape[1] + b) * shape[2] + c;
                    bytes.extend(u16::try_from(number).unwrap().to_le_bytes());
                }
            }
        }
        bytes
    }

    #[test]
    fn boxes_make_up_a_tensor_however_it_is_cut() {
        let shape = [3, 4, 5];
        let whole: Vec<u8> = (0..60_u16).flat_map(u16::to_le_bytes).collect();
        for cut in [
            vec![region(&[0, 0, 0], &[3, 4, 5])],
            vec![
                region(&[0, 0, 2], &[3, 4, 3]),
                region(&[0, 0, 0], &[3, 4, 2]),
            ],
            vec![
                region(&[0, 3, 0], &[3, 1, 5]),
                region(&[0, 0, 0], &[3, 3, 5]),
            ],
            vec![
                region(&[2, 0, 0], &[1, 4, 5]),
                region(&[0, 0, 0], &[2, 2, 5]),
                region(&[0, 2, 4], &[2, 2, 1]),
                region(&[0, 2, 0], &[2, 2, 4]),
                region(&[0, 0, 0], &[0, 4, 5]),
            ],
        ] {
            let parts: Vec<_> = cut.iter().map(|region| part(shape, region)).collect();
            let parts: Vec<&[u8]> = parts.iter().map(|part| &part[..]).collect();
            let regions = Regions::new(shape.to_vec(), cut.clone()).unwrap();
            assert_eq!(regions.assemble(&parts, 2), Some(whole.clone()), "{cut:?}");
            assert_eq!(regions.assemble(&parts[1..], 2), None);
        }
    }

    #[test]
    fn boxes_that_are_no_tensor_are_refused() {
        let found = |regions: &[Region]| Regions::new(vec![4, 4], regions.to_vec()).unwrap_err();
        let left = region(&[0, 0], &[4, 2]);
        assert_eq!(found(std::slice::from_ref(&left)), "lacks a slice");
        let overlap = [left.clone(), region(&[3, 1], &[1, 2])];
        assert_eq!(found(&overlap), "is cut into slices that overlap");
        for beyond in [
            region(&[0, 2], &[4, 3]),
            region(&[usize::MAX, 2], &[4, 2]),
            region(&[0], &[4]),
        ] {
            let found = found(&[left.clone(), beyond]);
            assert_eq!(found, "is cut into slices that reach beyond it");
        }
    }
}
