//! The training loop. One function serves fine-tuning and every distillation stage.

use tinyrun_base::job::{Job, Train};

use crate::device::Compute;
use crate::error::KernelError;
use crate::ranks::Ranks;
use crate::reporter::Reporter;
use crate::session::{Context, Opened, Session};
use crate::stop::Stop;
use crate::stopwatch::{Phase, Stopwatch};

/// How a training run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// After all steps, artifacts written.
    Done { steps: u64 },
    /// On request, after a checkpoint of this step.
    Interrupted { step: u64 },
}

/// Trains from the newest checkpoint, or from the start, to the end or until asked to stop.
///
/// # Errors
/// Unreadable inputs, a loss that is not a number, a disk that refuses.
pub(crate) fn train(
    job: &Job,
    train: &Train,
    compute: Compute,
    reporter: &Reporter,
    stop: &Stop,
    ranks: &Ranks,
) -> Result<Ended, KernelError> {
    let context = Context {
        job,
        train,
        compute,
        reporter,
        stop,
        ranks,
    };
    let mut session = match Session::open(context)? {
        Opened::Ready(session) => session,
        Opened::Interrupted { step } => return Ok(Ended::Interrupted { step }),
    };
    let mut watch = Stopwatch::start();
    let mut feed = session.feed();
    while !session.is_done() {
        let micro_batches = feed.next();
        watch.lap(Phase::Data);
        let update = session.next_update();
        let gradients = session.gradients(&micro_batches, &update, &mut watch)?;
        session.update(&gradients, &micro_batches, &update)?;
        let asked_in_step = gradients.stopping;
        let losses = gradients.into_losses();
        watch.lap(Phase::Optimizer);
        session.count_step(&losses, watch.take());

        let scores = session.score_when_due()?;
        session.log(update.rate, scores.as_ref(), &mut watch)?;
        // All ranks stop after the same step: that in which they told each other.
        let stopping = if ranks.are_one() {
            stop.asked()
        } else {
            asked_in_step
        };
        session.checkpoint_when_due(stopping)?;
        if stopping && !session.is_done() {
            return Ok(Ended::Interrupted {
                step: session.steps_done(),
            });
        }
        watch.lap(Phase::Other);
    }
    drop(feed);
    let steps = session.finish()?;
    Ok(Ended::Done { steps })
}
