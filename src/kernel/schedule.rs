//! The learning rate as a pure function of the step. Source: semantics.md A7.

use tinyrun::job::{Schedule, ScheduleKind};

/// Learning rate of optimizer step `step` (0-based) of `total`.
///
/// Warm-up: `peak · p / warmup` while `p = step/total < warmup`; so the first update of a
/// schedule with a warm-up has rate 0, as in the published codes. After it, constant: `peak`;
/// linear: `peak · (1 - p) / (1 - warmup)`, which is continuous and ends at 0.
pub(crate) fn learning_rate(schedule: &Schedule, step: u64, total: u64) -> f64 {
    let progress = step as f64 / total.max(1) as f64;
    let warmup = schedule.warmup_proportion;
    let multiplier = if progress < warmup {
        progress / warmup
    } else {
        match schedule.kind {
            ScheduleKind::Constant => 1.0,
            ScheduleKind::Linear => ((1.0 - progress) / (1.0 - warmup)).max(0.0),
        }
    };
    schedule.learning_rate * multiplier
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linear(warmup_proportion: f64) -> Schedule {
        Schedule {
            kind: ScheduleKind::Linear,
            learning_rate: 1.0,
            warmup_proportion,
        }
    }

    /// The vector of semantics.md A7, row HW, 1000 steps.
    #[test]
    fn linear_is_the_published_warmup_linear() {
        let expected = [
            (0, 0.0),
            (1, 0.01),
            (50, 0.5),
            (99, 0.99),
            (100, 1.0),
            (101, 0.998_889),
            (500, 0.555_556),
            (999, 0.001_111),
            (1000, 0.0),
        ];
        for (step, multiplier) in expected {
            let found = learning_rate(&linear(0.1), step, 1000);
            assert!(
                (found - multiplier).abs() < 5e-7,
                "step {step}: {found} for {multiplier}"
            );
        }
    }

    #[test]
    fn constant_stays_at_its_peak_from_the_first_step() {
        let schedule = Schedule {
            kind: ScheduleKind::Constant,
            learning_rate: 5e-5,
            warmup_proportion: 0.0,
        };
        for step in [0, 1, 999, 1000] {
            assert!((learning_rate(&schedule, step, 1000) - 5e-5).abs() < f64::EPSILON);
        }
    }

    #[test]
    fn without_a_warmup_linear_starts_at_its_peak() {
        assert!((learning_rate(&linear(0.0), 0, 10) - 1.0).abs() < f64::EPSILON);
    }
}
