//! Cores of a rank. Where the ranks of a training take all cores of a machine, each gets some for itself, as the
//! scripts of MindSpore's TinyBERT do by `taskset`: its threads then stay beside the memory that they have filled.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Cores that this process may use.
pub(super) fn allowed() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(None) else {
        return Vec::new();
    };
    let all = 0..CpuSet::MAX_CPU;
    all.filter(|core| set.is_set(*core)).collect()
}

/// Lets this thread, and those that it starts, run on these cores alone.
pub(super) fn bind(cores: &[usize]) {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    // It only makes a run faster: where it is refused, it goes on everywhere.
    let _ = sched_setaffinity(None, &set);
}

/// The cores of one of `ranks`, of which each runs `threads`. `None` where they are to run anywhere: where they need
/// more cores than there are, or leave some to others, who may be bound to the same.
pub(super) fn share(
    cores: &[usize],
    rank: usize,
    ranks: usize,
    threads: usize,
) -> Option<&[usize]> {
    let takes_all = ranks > 1 && ranks * threads == cores.len();
    takes_all.then(|| &cores[rank * threads..(rank + 1) * threads])
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn ranks_that_take_all_cores_have_each_their_own() {
        let cores = [0, 1, 4, 5];
        assert_eq!(share(&cores, 0, 2, 2), Some(&cores[..2]));
        assert_eq!(share(&cores, 1, 2, 2), Some(&cores[2..]));
        assert_eq!(share(&cores, 3, 4, 1), Some(&cores[3..]));
    }

    #[test]
    fn ranks_that_do_not_are_left_to_the_system() {
        let cores = [0, 1, 4, 5];
        for (ranks, threads) in [(1, 4), (2, 1), (3, 1), (4, 2)] {
            assert_eq!(share(&cores, 0, ranks, threads), None);
        }
    }
}
