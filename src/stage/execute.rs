//! Doing one stage that is not fresh, whatever its kind: lock, work, check, record, publish.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use chrono::{SubsecRound, Utc};

use super::harvest::Harvest;
use super::observer::notice_lacks;
use super::place::Place;
use super::work::{Activity, Here, Works};
use super::{Interrupts, Kernel, KernelError, Notice, Observer, StageError, fit, kernel};
use crate::experiment::{StageName, to_toml};
use crate::job::{self, Event, Job, Keep, Work};
use crate::plan::{Node, Planned, Planner, Status};
use crate::runs::{
    Artifact, Error, FORMAT, Fingerprint, GitState, Key, Lock, Record, StepProgress, create_folder,
    list_artifacts, newest_checkpoint, publish, remove_folder, remove_scaffolding,
};

/// How often a taken lock is tried again.
const LOCK_TICK: Duration = Duration::from_millis(100);

/// How long rank 0 may take, once it has waited for another one, to say which.
const NAME_A_RANK: Duration = Duration::from_secs(10);

/// How often a lock is told how far the work is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What doing a stage needs beside the plan.
pub(super) struct Hands<'a> {
    pub(super) works: Works,
    pub(super) kernel: &'a Kernel,
    pub(super) interrupts: &'a Interrupts,
    pub(super) observer: &'a mut dyn Observer,
}

/// Does a stage and stores its result. Another process may do it first: then the result is
/// that one's. The flag says whether this process did it.
pub(super) fn execute(
    node: &Node,
    plan: &Planned,
    key: &Key,
    done: &BTreeMap<StageName, Record>,
    planner: &mut Planner<'_>,
    hands: &mut Hands<'_>,
) -> Result<(Record, bool), StageError> {
    let stage = &node.stage;
    let (layout, experiment, inputs) = (planner.layout, planner.experiment, planner.inputs);
    let fingerprint = key.fingerprint();
    let kind = node.kind;
    let work = layout.work(kind, &fingerprint);
    let store = layout.store(kind, &fingerprint);
    create_folder(&layout.runs().join("work"))?;
    let _held = hands.interrupts.hold();
    let mut lock = lock(stage, &layout.lock(kind, &fingerprint), hands)?;
    notice_lacks(stage, hands.observer);
    let forced = planner.forced.applies(stage, Some(&fingerprint));
    // Whoever held the lock, or finished between our plan and the lock, may have done it.
    if !forced && let Some(Ok(record)) = planner.stored(kind, &fingerprint) {
        hands.observer.notice(&Notice::Fresh { stage });
        return Ok((*record, false));
    }
    if let Some(record) = adopt(planner, &work, &store, &fingerprint)? {
        hands.observer.notice(&Notice::Fresh { stage });
        return Ok((record, false));
    }
    let (reasons, resumed): (&[_], _) = match &plan.status {
        Status::Stale(reasons) => (reasons, None),
        Status::Resumable(checkpoint) => (&[], Some(*checkpoint)),
        Status::Fresh(_) | Status::Waits { .. } => (&[], None),
    };
    hands.observer.notice(&Notice::Started {
        stage,
        reasons,
        resumed,
        fingerprint: fingerprint.as_str(),
        has_labels: node.take("corpus").is_none(),
    });
    let place = Place {
        experiment,
        inputs,
        layout,
        node,
        key,
        done,
        work: &work,
    };
    let started = Utc::now().trunc_subsecs(3);
    let clock = Instant::now();
    let outcome = do_work(&place, &fingerprint, &mut lock, hands)?;
    check_files(&place, hands.works)?;
    // A preparation that read a table while it was being written, a teacher that was
    // replaced: such a result belongs to no inputs at all.
    let files = changed_inputs(planner, node, key)?;
    if !files.is_empty() {
        remove_folder(&work)?;
        let stage = stage.clone();
        return Err(StageError::InputsChanged { stage, files });
    }
    let record = Record {
        format: FORMAT,
        fingerprint,
        key: key.clone(),
        artifacts: digest_artifacts(planner, &work)?,
        started,
        finished: Utc::now().trunc_subsecs(3),
        seconds: (clock.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
        resumed_from: outcome.resumed_from,
        tinyrun: env!("CARGO_PKG_VERSION").to_owned(),
        machine: outcome.machine,
        git: GitState::of(layout.root()),
        summary: outcome.summary,
        experiment: to_toml(experiment),
    };
    record.write(&work)?;
    // Only now: whatever fails before the record is written goes on from the last checkpoint.
    remove_scaffolding(&work)?;
    publish(&work, &store)?;
    planner.digester.relocate(&work, &store);
    hands.observer.notice(&Notice::Finished {
        stage,
        record: &record,
    });
    Ok((record, true))
}

/// Waits for the lock, and says for whom.
#[expect(
    clippy::disallowed_methods,
    reason = "a lock cannot be waited for and interrupted"
)]
fn lock(stage: &StageName, path: &Path, hands: &mut Hands<'_>) -> Result<Lock, StageError> {
    let mut told = None;
    loop {
        match Lock::try_acquire(path)? {
            Ok(lock) => return Ok(lock),
            Err(owner) => {
                if told.as_ref() != Some(&owner) {
                    let owner = owner.as_ref();
                    hands.observer.notice(&Notice::Waiting { stage, owner });
                    told = Some(owner.cloned());
                }
                if hands.interrupts.asked().load(Ordering::SeqCst) {
                    let stage = Some(stage.clone());
                    return Err(StageError::Interrupted { stage, step: None });
                }
                thread::sleep(LOCK_TICK);
            }
        }
    }
}

/// A work folder that was recorded and never published: its process was cut off between
/// the two. The result is whole, and only has to be moved.
fn adopt(
    planner: &mut Planner<'_>,
    work: &Path,
    store: &Path,
    fingerprint: &Fingerprint,
) -> Result<Option<Record>, StageError> {
    let Some(record) = Record::read(work).filter(|record| record.fingerprint == *fingerprint)
    else {
        return Ok(None);
    };
    if digest_artifacts(planner, work)? != record.artifacts {
        remove_folder(work)?;
        return Ok(None);
    }
    remove_scaffolding(work)?;
    publish(work, store)?;
    planner.digester.relocate(work, store);
    Ok(Some(record))
}

fn do_work(
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
        device: experiment.device,
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
    let mut teller = Teller::new(lock);
    let observer = std::cell::RefCell::new(&mut *hands.observer);
    let ended = hands.kernel.run(
        job,
        &log,
        watchdog,
        hands.interrupts,
        |event| {
            outcome.hear(event);
            teller.hear(event);
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

/// Tells the lock how far the kernel is, for `tinyrun status`.
struct Teller<'a> {
    lock: &'a mut Lock,
    total_steps: u64,
    /// The first step told, and when.
    first: Option<(u64, Instant)>,
    told: Option<Instant>,
}

impl<'a> Teller<'a> {
    fn new(lock: &'a mut Lock) -> Self {
        Self {
            lock,
            total_steps: 0,
            first: None,
            told: None,
        }
    }

    fn hear(&mut self, event: &Event) {
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

/// Every file that the stage must leave is there.
fn check_files(place: &Place<'_>, works: Works) -> Result<(), StageError> {
    let promised = works.of(place.node.kind).promised(place);
    match promised
        .into_iter()
        .find(|file| !place.work.join(file).is_file())
    {
        Some(file) => Err(StageError::Incomplete {
            stage: place.name(),
            file: file.to_owned(),
        }),
        None => Ok(()),
    }
}

/// Inputs that are not what they were when the stage was planned.
fn changed_inputs(
    planner: &mut Planner<'_>,
    node: &Node,
    key: &Key,
) -> Result<Vec<String>, StageError> {
    let now = match planner.digest_inputs(node) {
        Ok(now) => now,
        // One is gone: that is a change too.
        Err(Error::Read { path, .. }) => {
            let files = planner.inputs.of(node);
            let gone = files.into_iter().find(|(_, found)| *found == path);
            return Ok(gone.into_iter().map(|(name, _)| name).collect());
        }
        Err(error) => return Err(error.into()),
    };
    let changed = now
        .iter()
        .filter(|(name, digest)| key.inputs.get(*name) != Some(digest));
    Ok(changed.map(|(name, _)| name.clone()).collect())
}

fn digest_artifacts(
    planner: &mut Planner<'_>,
    work: &Path,
) -> Result<BTreeMap<String, Artifact>, StageError> {
    let names = list_artifacts(work)?;
    let paths: Vec<PathBuf> = names.iter().map(|name| work.join(name)).collect();
    let digests = planner.digester.digest(&paths);
    let mut artifacts = BTreeMap::new();
    for ((name, path), found) in names.into_iter().zip(&paths).zip(digests) {
        let found = found.map_err(Error::read(path))?;
        artifacts.insert(
            name,
            Artifact {
                sha256: found.digest,
                size: found.size,
            },
        );
    }
    Ok(artifacts)
}
