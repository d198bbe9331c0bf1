//! Removing an experiment's result of a stage: `tinyrun clean`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::checkpoint::has_kernel;
use super::inventory::{Stored, size_of, stored};
use super::link::stored_at;
use super::{Error, Fingerprint, Layout, Lock, Owner, Record, linked, remove_path};

/// Something that was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Its folder or link.
    pub path: PathBuf,
    /// What it was.
    pub what: RemovedWhat,
    /// Bytes that it took.
    pub size: u64,
}

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemovedWhat {
    /// A stage that was interrupted.
    Interrupted,
    /// A result that no other experiment uses.
    Result,
    /// Only the link: these experiments use the result.
    Link(BTreeSet<String>),
    /// A link that led nowhere.
    BrokenLink,
}

/// Why something was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemovalError {
    /// The stage is running.
    #[error("`{kind}` is running{}", in_process(owner.as_deref()))]
    InUse {
        /// The stage kind.
        kind: String,
        /// Who runs it, if it has said so.
        owner: Option<Box<Owner>>,
    },
    /// The disk.
    #[error(transparent)]
    Disk(#[from] Error),
}

/// Removes what an interrupted stage left; `None` where it left nothing.
///
/// # Errors
/// The stage is running, or the disk refuses.
pub fn remove_interrupted(
    layout: &Layout,
    kind: &str,
    fingerprint: &Fingerprint,
) -> Result<Option<Removed>, RemovalError> {
    let path = layout.work(kind, fingerprint);
    if !path.exists() {
        return Ok(None);
    }
    let _lock = lock(layout, kind, fingerprint)?;
    if has_kernel(&path)? {
        let kind = kind.to_owned();
        return Err(RemovalError::InUse { kind, owner: None });
    }
    let size = size_of(&path)?;
    remove_path(&path)?;
    let what = RemovedWhat::Interrupted;
    Ok(Some(Removed { path, what, size }))
}

/// Removes an experiment's link to its result of a stage, and the result where no other experiment
/// uses it; `None` where there is no link.
///
/// # Errors
/// The stage is running, or the disk refuses.
pub fn remove_result(
    layout: &Layout,
    experiment: &str,
    stage: &str,
) -> Result<Option<Removed>, RemovalError> {
    let Some(target) = linked(layout, experiment, stage) else {
        return Ok(None);
    };
    let record = Record::read(&target);
    let lock = record.map(|record| lock(layout, &record.key.kind, &record.fingerprint));
    let _lock = lock.transpose()?;
    let link = layout.link(experiment, stage);
    remove_path(&link)?;
    // Results are stored under their kind, whatever the stage is called.
    let target = stored_at(&target);
    let is_target = |result: &Stored| stored_at(&result.folder) == target;
    let mut all = stored(layout)?.into_iter();
    let removed = match all.find(is_target) {
        Some(result) if result.used_by.is_empty() => {
            remove_path(&result.folder)?;
            Removed {
                path: result.folder,
                what: RemovedWhat::Result,
                size: result.size,
            }
        }
        other => Removed {
            path: link,
            what: other.map_or(RemovedWhat::BrokenLink, |it| RemovedWhat::Link(it.used_by)),
            size: 0,
        },
    };
    Ok(Some(removed))
}

fn lock(layout: &Layout, kind: &str, fingerprint: &Fingerprint) -> Result<Lock, RemovalError> {
    let lock = Lock::try_acquire(&layout.lock(kind, fingerprint))?;
    lock.map_err(|owner| RemovalError::InUse {
        kind: kind.to_owned(),
        owner: owner.map(Box::new),
    })
}

fn in_process(owner: Option<&Owner>) -> String {
    owner.map_or_else(String::new, |owner| format!(" in process {}", owner.pid))
}
