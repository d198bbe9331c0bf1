//! Random numbers as a function of the seed and a place in the run, never of history:
//! a resumed run draws what an unbroken one would have drawn.

use std::sync::{Mutex, PoisonError};

/// `SplitMix64`'s output function over a seed and a place.
pub(crate) fn mix(seed: u64, place: u64) -> u64 {
    let mut z = seed
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(place.wrapping_mul(0xd1b5_4a32_d192_ed03));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What `draw` draws from libtorch's own generator after `seed`. A process has one such generator: whoever seeds it
/// does so here, or draws of one thread would fall between those of another.
#[expect(clippy::disallowed_methods, reason = "here it is guarded")]
pub(crate) fn seeded<T>(seed: i64, draw: impl FnOnce() -> T) -> T {
    static GENERATOR: Mutex<()> = Mutex::new(());
    let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(seed);
    draw()
}

/// The seed of a stage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed(pub(crate) u64);

impl Seed {
    /// Generator seed of the initial values of the tensor `name`.
    pub(crate) fn of_name(self, name: &str) -> i64 {
        // FNV-1a: any stable hash would do.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| {
            (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
        });
        self.mixed(hash)
    }

    /// Generator seed of the dropout of micro-step `micro_step`, counted over the whole stage.
    pub(crate) fn of_micro_step(self, micro_step: u64) -> i64 {
        self.mixed(micro_step.wrapping_add(0x5eed))
    }

    fn mixed(self, place: u64) -> i64 {
        // libtorch takes 64 bits but its CPU generator keeps 32 of them: the high ones are
        // folded in.
        let folded = mix(self.0, place) & 0x7fff_ffff;
        i64::try_from(folded).expect("31 bits fit")
    }
}
