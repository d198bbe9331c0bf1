//! How far a stage is, told to its lock.

use std::time::{Duration, Instant};

use crate::job::Event;
use crate::runs::{Lock, StepProgress};

/// Time between two writes of a stage's progress into its lock file.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Writes the progress of a stage into its lock file, for `tinyrun status`.
pub(super) struct ProgressWriter<'a> {
    lock: &'a mut Lock,
    total_steps: u64,
    /// The first step told, and when.
    first: Option<(u64, Instant)>,
    told: Option<Instant>,
}

impl<'a> ProgressWriter<'a> {
    pub(super) fn new(lock: &'a mut Lock) -> Self {
        Self {
            lock,
            total_steps: 0,
            first: None,
            told: None,
        }
    }

    pub(super) fn hear(&mut self, event: &Event) {
        match event {
            Event::Started { total_steps, .. } => self.total_steps = *total_steps,
            Event::Step(progress) => {
                let (first, since) = *self.first.get_or_insert((progress.step, Instant::now()));
                if self.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
                    return;
                }
                self.told = Some(Instant::now());
                let steps = progress.step.saturating_sub(first) as f64;
                let left = self.total_steps.saturating_sub(progress.step) as f64;
                self.lock.tell(StepProgress {
                    step: progress.step,
                    total_steps: self.total_steps,
                    examples_per_second: progress.examples_per_second,
                    seconds_left: (steps > 0.0)
                        .then(|| left * since.elapsed().as_secs_f64() / steps),
                });
            }
            _ => {}
        }
    }
}
