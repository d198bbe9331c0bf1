//! Dynamic loss scaling for fp16 (docs/concepts/optimizers.md#loss-scaling): a gradient below 6e-8
//! is 0 in fp16, so the loss is multiplied before it is differentiated and the gradients are
//! divided again.

use serde::{Deserialize, Serialize};
use tinyrun_base::job::LossScaling;

/// Scale of the next step and what led to it; part of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct LossScale {
    /// Factor of the loss.
    pub(crate) scale: f64,
    /// Steps without an overflow since the scale last changed.
    good_steps: u64,
    /// Steps that were skipped so far.
    pub(crate) overflows: u64,
}

/// The gradients overflowed at the smallest scale: a smaller one would lose them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AtTheFloor;

impl LossScale {
    /// The scale of the first step.
    pub(crate) fn new(settings: &LossScaling) -> Self {
        Self {
            scale: settings.initial,
            good_steps: 0,
            overflows: 0,
        }
    }

    /// After a step whose gradients were finite: after a window of them the scale grows.
    pub(crate) fn grow(&mut self, settings: &LossScaling) {
        self.good_steps += 1;
        if self.good_steps >= settings.window {
            self.good_steps = 0;
            let grown = self.scale * settings.factor;
            // Beyond the range of fp32 the scale itself would be the overflow.
            if grown <= f64::from(f32::MAX) {
                self.scale = grown;
            }
        }
    }

    /// After a step that overflowed: it counts as skipped, and the scale shrinks to no less than 1.
    ///
    /// # Errors
    /// [`AtTheFloor`] where it was 1 already.
    pub(crate) fn shrink(&mut self, settings: &LossScaling) -> Result<(), AtTheFloor> {
        if self.scale <= 1.0 {
            return Err(AtTheFloor);
        }
        self.good_steps = 0;
        self.overflows += 1;
        self.scale = (self.scale / settings.factor).max(1.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: LossScaling = LossScaling {
        initial: 8.0,
        factor: 2.0,
        window: 3,
    };

    #[test]
    fn the_scale_grows_after_a_window_and_an_overflow_begins_a_new_one() {
        let mut scale = LossScale::new(&SETTINGS);
        let scales: Vec<f64> = [true, true, true, true, true, false, true, true, true]
            .map(|finite| {
                if finite {
                    scale.grow(&SETTINGS);
                } else {
                    scale.shrink(&SETTINGS).expect("above the floor");
                }
                scale.scale
            })
            .to_vec();
        assert_eq!(scales, [8.0, 8.0, 16.0, 16.0, 16.0, 8.0, 8.0, 8.0, 16.0]);
        assert_eq!(scale.overflows, 1);
    }

    #[test]
    fn the_scale_falls_to_one_and_no_further() {
        let settings = LossScaling {
            initial: 3.0,
            ..SETTINGS
        };
        let mut scale = LossScale::new(&settings);
        assert_eq!(scale.shrink(&settings), Ok(()));
        assert_eq!(scale.shrink(&settings), Ok(()));
        assert!((scale.scale - 1.0).abs() < f64::EPSILON);
        assert_eq!(scale.shrink(&settings), Err(AtTheFloor));
        assert_eq!(scale.overflows, 2);
    }
}
