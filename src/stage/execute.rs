//! Doing one stage that is not fresh, whatever its kind: lock, work, check, record, publish.

mod progress;
mod working;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use chrono::{SubsecRound, Utc};

use self::working::do_work;
use super::observer::notice_lacks;
use super::place::Place;
use super::work::Works;
use super::{Interrupts, Kernel, Notice, Observer, StageError};
use crate::experiment::{StageName, to_toml};
use crate::plan::{Node, Planned, Planner, Status};
use crate::runs::{
    Artifact, Error, FORMAT, Fingerprint, GitState, Key, Lock, Record, create_folder,
    list_artifacts, publish, remove_folder, remove_scaffolding,
};

/// How often a taken lock is tried again.
const LOCK_TICK: Duration = Duration::from_millis(100);

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
    let (stage, kind, layout) = (&node.stage, node.kind, planner.layout);
    let fingerprint = key.fingerprint();
    let work = layout.work(kind, &fingerprint);
    let store = layout.store(kind, &fingerprint);
    create_folder(&layout.runs().join("work"))?;
    let _held = hands.interrupts.hold();
    let mut lock = lock(stage, &layout.lock(kind, &fingerprint), hands)?;
    notice_lacks(stage, hands.observer);
    if let Some(record) = stored_meanwhile(node, planner, (&work, &store), &fingerprint)? {
        hands.observer.notice(&Notice::Fresh { stage });
        return Ok((record, false));
    }
    notice_start(node, plan, &fingerprint, hands.observer);
    let place = Place {
        experiment: planner.experiment,
        inputs: planner.inputs,
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
    check_inputs(&place, planner)?;
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
        experiment: to_toml(planner.experiment),
    };
    record.write(&work)?;
    store_result(planner, &work, &store)?;
    let finished = Notice::Finished {
        stage,
        record: &record,
    };
    hands.observer.notice(&finished);
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

/// The result of a stage that whoever held the lock, or finished between the plan and the lock, has left.
fn stored_meanwhile(
    node: &Node,
    planner: &mut Planner<'_>,
    (work, store): (&Path, &Path),
    fingerprint: &Fingerprint,
) -> Result<Option<Record>, StageError> {
    let forced = planner.forced.applies(&node.stage, Some(fingerprint));
    if !forced && let Some(Ok(record)) = planner.stored(node.kind, fingerprint) {
        return Ok(Some(*record));
    }
    adopt(planner, work, store, fingerprint)
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
    store_result(planner, work, store)?;
    Ok(Some(record))
}

/// Moves a finished work folder, with its record, into the store. Checkpoints are removed here and not before: a stage
/// that fails earlier resumes from the last one.
fn store_result(planner: &mut Planner<'_>, work: &Path, store: &Path) -> Result<(), StageError> {
    remove_scaffolding(work)?;
    publish(work, store)?;
    planner.digester.relocate(work, store);
    Ok(())
}

/// Tells that a stage begins, and why.
fn notice_start(
    node: &Node,
    plan: &Planned,
    fingerprint: &Fingerprint,
    observer: &mut dyn Observer,
) {
    let (reasons, resumed): (&[_], _) = match &plan.status {
        Status::Stale(reasons) => (reasons, None),
        Status::Resumable(checkpoint) => (&[], Some(*checkpoint)),
        Status::Fresh(_) | Status::Waits { .. } => (&[], None),
    };
    observer.notice(&Notice::Started {
        stage: &node.stage,
        reasons,
        resumed,
        fingerprint: fingerprint.as_str(),
        has_labels: node.take("corpus").is_none(),
    });
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

/// Removes a result that belongs to no inputs at all: of a preparation that read a table while it was being written, or
/// of a teacher that was replaced.
fn check_inputs(place: &Place<'_>, planner: &mut Planner<'_>) -> Result<(), StageError> {
    let files = changed_inputs(planner, place.node, place.key)?;
    if files.is_empty() {
        return Ok(());
    }
    remove_folder(place.work)?;
    let stage = place.name();
    Err(StageError::InputsChanged { stage, files })
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
