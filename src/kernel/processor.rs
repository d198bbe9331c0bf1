//! Kinds of processor that native loops are compiled for. Nothing but std: `build.rs` includes this file too.

/// A kind of processor, by the instructions that its loops use; each has those of the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Processor {
    /// What every processor of the target has.
    Baseline = 0,
    /// AVX2 and FMA.
    Avx2 = 1,
    /// AVX-512 (F, BW, VL, DQ).
    Avx512 = 2,
    /// AVX-512 with products of bf16.
    Avx512Bf16 = 3,
}

impl Processor {
    /// From the fewest instructions to the most.
    pub(crate) const ALL: [Self; 4] = [Self::Baseline, Self::Avx2, Self::Avx512, Self::Avx512Bf16];

    /// Its name in `TINYRUN_CPU`, and the namespace of its loops.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Bf16 => "avx512_bf16",
        }
    }

    /// Whether this machine runs its loops.
    pub(crate) fn is_here(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx512 =
                || has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512dq");
            match self {
                Self::Baseline => true,
                Self::Avx2 => has!("avx2") && has!("fma"),
                Self::Avx512 => avx512(),
                Self::Avx512Bf16 => avx512() && has!("avx512bf16"),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        return self == Self::Baseline;
    }
}
