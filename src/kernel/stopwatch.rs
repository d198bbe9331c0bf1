//! Where the time of a step goes.

use std::time::Instant;

use serde::{Deserialize, Serialize};

/// A part of a training step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Waiting for the step's rows, and bringing them to the device.
    Data,
    /// The teacher's forward pass, or reading what is remembered of it.
    Teacher,
    /// The student's forward pass and the losses.
    Forward,
    /// Gradients.
    Backward,
    /// The update of the weights.
    Optimizer,
    /// Everything else between two rows: scoring dev, checkpoints, metrics, events.
    Other,
}

impl Phase {
    /// All of them, in the order of their columns.
    pub(crate) const ALL: [(Self, &'static str); 6] = [
        (Self::Data, "data_ms"),
        (Self::Teacher, "teacher_ms"),
        (Self::Forward, "forward_ms"),
        (Self::Backward, "backward_ms"),
        (Self::Optimizer, "optimizer_ms"),
        (Self::Other, "other_ms"),
    ];
}

/// Seconds of each phase, in the order of [`Phase::ALL`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Split([f64; Phase::ALL.len()]);

impl Split {
    /// Seconds of one phase.
    pub(crate) fn of(&self, phase: Phase) -> f64 {
        self.0[phase as usize]
    }

    /// Seconds of the steps themselves: all but [`Phase::Other`].
    pub(crate) fn training(&self) -> f64 {
        self.0.iter().sum::<f64>() - self.of(Phase::Other)
    }

    /// Adds another's seconds.
    pub(crate) fn add(&mut self, other: Self) {
        for (sum, seconds) in self.0.iter_mut().zip(other.0) {
            *sum += seconds;
        }
    }
}

/// Charges the time that passes to phases, without a gap. On a GPU the work of a phase may still be
/// going on when it is charged; the time then shows where the processor waits for it.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    since: Instant,
    split: Split,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self {
            since: Instant::now(),
            split: Split::default(),
        }
    }

    /// Charges the time since the last call to `phase`.
    pub(crate) fn lap(&mut self, phase: Phase) {
        let now = Instant::now();
        self.split.0[phase as usize] += now.duration_since(self.since).as_secs_f64();
        self.since = now;
    }

    /// What was charged since this was last asked.
    pub(crate) fn take(&mut self) -> Split {
        std::mem::take(&mut self.split)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_has_a_place_of_its_own() {
        for (index, (phase, name)) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, index, "{name}");
        }
    }

    #[test]
    fn no_time_is_lost_or_charged_twice() {
        let start = Instant::now();
        let mut watch = Stopwatch::start();
        let mut sum = Split::default();
        for (phase, _) in Phase::ALL {
            std::thread::sleep(std::time::Duration::from_millis(2));
            watch.lap(phase);
            sum.add(watch.take());
        }
        let all = sum.training() + sum.of(Phase::Other);
        assert!(all <= start.elapsed().as_secs_f64());
        assert!(Phase::ALL.iter().all(|(phase, _)| sum.of(*phase) >= 0.002));
        assert_eq!(watch.take(), Split::default());
    }
}
