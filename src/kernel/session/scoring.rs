//! When a training run scores its model on dev, and when it has waited long enough for a better score.

use tinyrun_base::job::{Event, Keep};

use super::{Context, Session, due};
use crate::checkpoint::Best;
use crate::error::KernelError;
use crate::score::{Scores, score_on};

impl Session<'_> {
    /// Scores dev at an epoch's end and at the interval, as `eval` will score the written folder,
    /// and keeps the model if it is the best so far; of equals the earlier stays.
    pub(crate) fn score_when_due(&mut self) -> Result<Option<Scores>, KernelError> {
        let Context { train, ranks, .. } = self.context;
        let device = self.context.compute.device;
        let (Some(dev), Some(selection)) = (&self.data.dev, &train.selection) else {
            return Ok(None);
        };
        if !self.epoch_ends() && !due(self.state.step, selection.scoring.eval_interval) {
            return Ok(None);
        }
        let (encoder, classifier) = self.trainee.scoring_model(train, device);
        let batch_size = train.data.batch_size as usize;
        let scores = score_on(ranks, &encoder, &classifier, dev, batch_size, device)?;
        let score = scores.of(selection.metric);
        let named = scores.named(train.student.labels.len());
        let step = self.state.step;
        let best = self.state.best.as_ref();
        let is_best = best.is_none_or(|best| score > best.score);
        if is_best {
            if selection.scoring.keep == Keep::Best && ranks.is_first() {
                let tensors = self.trainee.named_tensors();
                self.checkpoints.save_best(step, &tensors)?;
            }
            self.state.best = Some(Best {
                step,
                score,
                scores: named.clone(),
            });
        }
        self.context.reporter.send(&Event::Evaluated {
            step,
            scores: named,
            best: is_best,
        });
        Ok(Some(scores))
    }

    /// Known from the steps alone, so that a run that is resumed ends where it would have ended.
    pub(super) fn is_out_of_patience(&self) -> bool {
        let selection = self.context.train.selection.as_ref();
        let (Some(selection), Some(best)) = (selection, &self.state.best) else {
            return false;
        };
        let scoring = &selection.scoring;
        let epoch = self.data.steps_per_epoch;
        let since = |step| scorings(step, epoch, scoring.eval_interval);
        scoring.patience > 0 && since(self.state.step) - since(best.step) >= scoring.patience
    }
}

/// How often dev has been scored up to a step: at the end of each epoch, and at each interval (0:
/// never) that does not end there too.
pub(crate) fn scorings(step: u64, epoch: u64, interval: u64) -> u64 {
    if interval == 0 {
        return step / epoch;
    }
    let (mut a, mut b) = (epoch, interval);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    let both = epoch / a * interval;
    step / epoch + step / interval - step / both
}
