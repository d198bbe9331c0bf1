//! The work of a stage: in this process, or by the kernel.

use std::cell::RefCell;
use std::time::Duration;

use super::Hands;
use super::progress::ProgressWriter;
use crate::job::{self, Job, Keep, Work};
use crate::runs::{Fingerprint, Lock, create_folder, newest_checkpoint, remove_folder};
use crate::stage::harvest::Harvest;
use crate::stage::place::Place;
use crate::stage::work::{Activity, Here};
use crate::stage::{KernelError, Notice, StageError, fit, kernel};

/// How long rank 0 may take, once it has waited for another one, to say which.
const NAME_A_RANK: Duration = Duration::from_secs(10);

pub(super) fn do_work(
    place: &Place<'_>,
    fingerprint: &Fingerprint,
    lock: &mut Lock,
    hands: &mut Hands<'_>,
) -> Result<Harvest, StageError> {
    let (stage, experiment) = (place.stage(), place.experiment);
    let work = match hands.works.of(place.node.kind).activity(place)? {
        Activity::Here(work) => {
            // Nothing to go on from: what an earlier try left is in the way.
            remove_folder(place.work)?;
            create_folder(place.work)?;
            let summary = work(&mut Here {
                stage: &stage.name,
                interrupts: hands.interrupts,
                observer: &mut *hands.observer,
            })?;
            return Ok(Harvest {
                summary,
                ..Harvest::default()
            });
        }
        Activity::Kernel(work) => work,
    };
    fit::check_models(place)?;
    create_folder(place.work)?;
    let ranks = match &work {
        Work::Train(_) | Work::Evaluate(_) => *experiment.ranks,
        Work::Predict(_) => 1,
    };
    let job = Job {
        version: job::VERSION,
        // What is drawn must not depend on a name that the fingerprint does not hold.
        stage: place.node.kind.to_owned(),
        fingerprint: fingerprint.to_string(),
        seed: experiment.seed_of(stage),
        device: experiment.device.value.clone(),
        precision: experiment.precision,
        threads: experiment.threads.or(hands.kernel.threads_of(ranks)),
        ranks,
        ranks_here: hands.kernel.ranks_here(ranks),
        meeting: hands.kernel.meeting().filter(|_| ranks > 1).cloned(),
        wait_seconds: Some(experiment.watchdog_seconds).filter(|seconds| *seconds > 0),
        output: place.work.to_owned(),
        work,
    };
    run_kernel(place, &job, fingerprint, lock, hands)
}

fn run_kernel(
    place: &Place<'_>,
    job: &Job,
    fingerprint: &Fingerprint,
    lock: &mut Lock,
    hands: &mut Hands<'_>,
) -> Result<Harvest, StageError> {
    let stage = &place.node.stage;
    let log = place.work.join("log.txt");
    let selection = match &job.work {
        Work::Train(train) => train.selection.as_ref(),
        Work::Evaluate(_) | Work::Predict(_) => None,
    };
    let mut outcome = Harvest {
        keep_best: selection.is_some_and(|selection| selection.scoring.keep == Keep::Best),
        ..Harvest::default()
    };
    let watchdog = place.experiment.watchdog_seconds;
    // Rank 0 finds out which other one hangs, if it has the time.
    let more = if job.ranks > 1 {
        NAME_A_RANK
    } else {
        Duration::ZERO
    };
    let watchdog = (watchdog > 0).then(|| Duration::from_secs(watchdog) + more);
    let mut progress = ProgressWriter::new(lock);
    let observer = RefCell::new(&mut *hands.observer);
    let ended = hands.kernel.run(
        job,
        &log,
        watchdog,
        hands.interrupts,
        |event| {
            outcome.hear(event);
            progress.hear(event);
            observer
                .borrow_mut()
                .notice(&Notice::Kernel { stage, event });
        },
        || observer.borrow_mut().notice(&Notice::Stopping { stage }),
    );
    let checkpoint = newest_checkpoint(place.work, fingerprint);
    match ended {
        Ok(kernel::Ended::Done) => Ok(outcome),
        Ok(kernel::Ended::Interrupted(step)) => Err(StageError::Interrupted {
            stage: Some(stage.clone()),
            step: step.or(checkpoint.map(|checkpoint| checkpoint.step)),
        }),
        Err(KernelError::Disk(error)) => Err(error.into()),
        Err(source) => Err(StageError::Kernel {
            stage: stage.clone(),
            source,
            log,
            checkpoint,
        }),
    }
}
