//! Random orders that are the same on every machine and in every version.
//!
//! Own code and not a crate: the order of the data is part of what makes a resumed run end in
//! the same bytes, and no crate promises to keep its streams.

/// Steele, Lea and Flood's `SplitMix64`: 64 bits of state, every seed a good one.
#[derive(Debug, Clone)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The stream of several values, such as a seed and an epoch. Other values, or the same in
    /// another order, give an unrelated stream.
    pub fn from_parts(parts: &[u64]) -> Self {
        let mut state = 0;
        for &part in parts {
            state = Self::new(state ^ part).next_u64();
        }
        Self { state }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`, each equally likely (Lemire's method).
    ///
    /// # Panics
    /// Where `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "the bound is above 0");
        // Draws whose low half is under the threshold would favour some numbers.
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let wide = u128::from(self.next_u64()) * u128::from(bound);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the two halves of 128 bits"
            )]
            let (high, low) = ((wide >> 64) as u64, wide as u64);
            if low >= threshold {
                return high;
            }
        }
    }
}

impl SplitMix64 {
    /// A number in `0..bound`, each equally likely.
    ///
    /// # Panics
    /// Where `bound` is 0.
    pub fn index(&mut self, bound: usize) -> usize {
        index_below(bound, self)
    }

    /// Whether something of this probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        /// Numbers that 53 bits have, all of which a `f64` holds.
        const STEPS: f64 = (1_u64 << 53) as f64;
        ((self.next_u64() >> 11) as f64 / STEPS) < probability
    }
}

/// Fisher and Yates' shuffle.
pub fn shuffle<T>(items: &mut [T], random: &mut SplitMix64) {
    for last in (1..items.len()).rev() {
        items.swap(last, index_below(last + 1, random));
    }
}

fn index_below(bound: usize, random: &mut SplitMix64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "below a usize")]
    let index = random.below(bound as u64) as usize;
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_splitmix64() {
        // First outputs of the published C code for the seed 1234567.
        let mut random = SplitMix64::new(1_234_567);
        let drawn: Vec<u64> = (0..3).map(|_| random.next_u64()).collect();
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn a_shuffle_keeps_every_item_and_never_changes() {
        let mut items: Vec<u32> = (0..10).collect();
        shuffle(&mut items, &mut SplitMix64::new(42));
        assert_eq!(items, [8, 3, 6, 5, 4, 0, 9, 2, 1, 7]);
    }

    #[test]
    fn every_place_is_equally_likely() {
        let mut random = SplitMix64::new(7);
        let mut counts = [[0_u32; 4]; 4];
        for _ in 0..4000 {
            let mut items = [0, 1, 2, 3];
            shuffle(&mut items, &mut random);
            for (place, item) in items.into_iter().enumerate() {
                counts[place][item] += 1;
            }
        }
        // Standard deviation 27.
        for count in counts.into_iter().flatten() {
            assert!((870..1130).contains(&count), "{counts:?}");
        }
    }

    #[test]
    fn parts_in_another_order_give_another_stream() {
        let first = |parts: &[u64]| SplitMix64::from_parts(parts).next_u64();
        assert_ne!(first(&[1, 2]), first(&[2, 1]));
        assert_ne!(first(&[1, 0]), first(&[1]));
        assert_ne!(first(&[0, 0]), first(&[0, 1]));
    }
}
