//! The learning rate as a pure function of the step. Source: docs/concepts/optimizers.md#learning-rate-schedule.

use tinyrun_base::job::{DecayFrom, Schedule, ScheduleKind, Train, Warmup};

/// Length of a run in optimizer steps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    /// Of an epoch.
    pub(crate) epoch: u64,
    /// Of the whole run.
    pub(crate) total: u64,
}

impl Length {
    /// Of a run with epochs of so many steps.
    pub(crate) fn of(train: &Train, epoch: u64) -> Self {
        Self {
            epoch,
            total: epoch * u64::from(train.steps.epochs),
        }
    }
}

/// Learning rate of optimizer step `step` (0-based).
///
/// Warm-up of `w` steps: `peak · step / w` while `step < w`; so the first update of a
/// schedule with a warm-up has rate 0, as in the published codes. After it, constant: `peak`;
/// polynomial: `end + (peak - end) · (1 - x)^power`, where `x` goes from 0 to 1 between the
/// end of the warm-up, or step 0, and the last step.
pub(crate) fn learning_rate(schedule: &Schedule, step: u64, length: Length) -> f64 {
    let (step, total) = (step as f64, length.total.max(1) as f64);
    let (peak, end) = (schedule.learning_rate, schedule.end_learning_rate);
    let warmup = warmup_steps(schedule, length);
    if step < warmup {
        return peak * step / warmup;
    }
    match schedule.kind {
        ScheduleKind::Constant => peak,
        ScheduleKind::Polynomial(power) => {
            let from = match schedule.decay_from {
                DecayFrom::Warmup => warmup,
                DecayFrom::Start => 0.0,
            };
            let left = if total > from {
                ((total - step) / (total - from)).clamp(0.0, 1.0)
            } else {
                0.0
            };
            end + (peak - end) * left.powf(power)
        }
    }
}

/// Whole steps of a product: `0.29 * 100` is a hair below 29.
fn whole(steps: f64) -> f64 {
    (steps + 1e-6).floor()
}

/// Steps of the warm-up. Only a proportion of a continuous schedule may end between two steps.
fn warmup_steps(schedule: &Schedule, length: Length) -> f64 {
    match schedule.warmup {
        Warmup::Proportion(share) => {
            let steps = share * length.total as f64;
            match (schedule.kind, schedule.decay_from) {
                (ScheduleKind::Polynomial(_), DecayFrom::Start) => whole(steps),
                _ => steps,
            }
        }
        Warmup::Steps(steps) => steps as f64,
        Warmup::Epochs(epochs) => whole(epochs * length.epoch as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [u64; 9] = [0, 1, 50, 99, 100, 101, 500, 999, 1000];

    /// 10 epochs of 100 steps.
    const LENGTH: Length = Length {
        epoch: 100,
        total: 1000,
    };

    fn linear(warmup: Warmup, decay_from: DecayFrom) -> Schedule {
        Schedule {
            kind: ScheduleKind::Polynomial(1.0),
            learning_rate: 5e-5,
            end_learning_rate: 0.0,
            warmup,
            decay_from,
        }
    }

    fn assert_rates(schedule: &Schedule, expected: [f64; 9]) {
        for (step, rate) in STEPS.into_iter().zip(expected) {
            let found = learning_rate(schedule, step, LENGTH);
            let tolerance = 1e-6 * rate.max(1e-14);
            assert!(
                (found - rate).abs() <= tolerance,
                "step {step}: {found:e} for {rate:e}"
            );
        }
    }

    /// The first row of the table in docs/concepts/optimizers.md#learning-rate-schedule.
    #[test]
    fn linear_is_the_published_warmup_linear() {
        let ninth = |left: f64| 5e-5 * left / 900.0;
        assert_rates(
            &linear(Warmup::Proportion(0.1), DecayFrom::Warmup),
            [
                0.0,
                5e-7,
                2.5e-5,
                4.95e-5,
                5e-5,
                ninth(899.0),
                ninth(500.0),
                ninth(1.0),
                0.0,
            ],
        );
    }

    /// Its second row: warm-up 100, end 1e-14, power 1.
    #[test]
    fn a_decay_from_the_start_jumps_where_the_warmup_ends() {
        let schedule = Schedule {
            end_learning_rate: 1e-14,
            ..linear(Warmup::Proportion(0.1), DecayFrom::Start)
        };
        assert_rates(
            &schedule,
            [
                0.0,
                5e-7,
                2.5e-5,
                4.95e-5,
                4.5e-5,
                4.495e-5,
                2.5e-5,
                5.000_001e-8,
                1e-14,
            ],
        );
    }

    /// Its third row: the warm-up is a tenth of an epoch.
    #[test]
    fn a_warmup_may_be_a_part_of_an_epoch() {
        let schedule = Schedule {
            end_learning_rate: 1e-14,
            ..linear(Warmup::Epochs(0.1), DecayFrom::Start)
        };
        assert_rates(
            &schedule,
            [
                0.0,
                5e-6,
                4.75e-5,
                4.505e-5,
                4.5e-5,
                4.495e-5,
                2.5e-5,
                5.000_001e-8,
                1e-14,
            ],
        );
    }

    #[test]
    fn constant_stays_at_its_peak_after_a_warmup_of_steps() {
        let schedule = Schedule {
            kind: ScheduleKind::Constant,
            ..linear(Warmup::Steps(100), DecayFrom::Warmup)
        };
        assert_rates(
            &schedule,
            [0.0, 5e-7, 2.5e-5, 4.95e-5, 5e-5, 5e-5, 5e-5, 5e-5, 5e-5],
        );
    }

    #[test]
    fn power_bends_the_decay_and_the_end_is_kept() {
        let schedule = Schedule {
            kind: ScheduleKind::Polynomial(2.0),
            end_learning_rate: 1e-5,
            ..linear(Warmup::Steps(0), DecayFrom::Warmup)
        };
        let rate = |step| learning_rate(&schedule, step, LENGTH);
        assert!((rate(500) - (1e-5 + 4e-5 * 0.25)).abs() < 1e-12);
        assert!((rate(1000) - 1e-5).abs() < 1e-15);
        assert!((rate(0) - 5e-5).abs() < 1e-15);
    }
}
