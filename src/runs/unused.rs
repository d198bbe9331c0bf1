//! What no experiment uses, and may be deleted: `tinyrun gc`.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::SystemTime;

use super::checkpoint::has_kernel;
use super::inventory::{LeftoverKind, leftovers, stored, teacher_answers};
use super::{Error, Layout, Lock, remove_path};

/// Something that no experiment uses.
#[derive(Debug)]
pub struct Unused {
    /// Its folder or file.
    pub path: PathBuf,
    /// What it is.
    pub kind: UnusedKind,
    /// Bytes of all files in it.
    pub size: u64,
    /// When it was written or used last.
    pub modified: SystemTime,
    lock: Option<Guard>,
}

/// What is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnusedKind {
    /// A result of this stage kind.
    Result(String),
    /// Cached teacher outputs.
    TeacherOutputs,
    /// An interrupted stage, which the next run would resume.
    Interrupted,
    /// What a move or a write left that was cut off.
    Debris,
}

/// The lock that keeps others from using something while it is removed.
#[derive(Debug)]
enum Guard {
    /// Of a stage: beside its folder, with its owner's name in it.
    Stage(PathBuf),
    /// Of teacher outputs: in their folder, held by the kernels that read them.
    TeacherOutputs(PathBuf),
}

/// What is held while something is removed.
enum Held {
    Stage { _lock: Lock },
    TeacherOutputs { _lock: File },
}

/// Everything that no experiment uses.
///
/// # Errors
/// [`Error::Read`] if a folder cannot be listed.
pub fn unused(layout: &Layout) -> Result<Vec<Unused>, Error> {
    let mut found = Vec::new();
    for result in stored(layout)? {
        if !result.used_by.is_empty() {
            continue;
        }
        let modified = fs::metadata(&result.folder).and_then(|metadata| metadata.modified());
        let lock = result.record.as_ref();
        let lock = lock.map(|record| layout.lock(&result.kind, &record.fingerprint));
        found.push(Unused {
            modified: modified.map_err(Error::read(&result.folder))?,
            path: result.folder,
            kind: UnusedKind::Result(result.kind),
            size: result.size,
            lock: lock.map(Guard::Stage),
        });
    }
    for (path, size) in teacher_answers(layout)? {
        // Touched whenever they are used.
        let lock = path.join("lock");
        let used = fs::metadata(&lock).or_else(|_| fs::metadata(&path));
        let used = used.and_then(|metadata| metadata.modified());
        found.push(Unused {
            modified: used.map_err(Error::read(&path))?,
            path,
            kind: UnusedKind::TeacherOutputs,
            size,
            lock: Some(Guard::TeacherOutputs(lock)),
        });
    }
    for left in leftovers(layout)? {
        let (kind, lock) = match left.kind {
            LeftoverKind::Work => {
                let mut lock = left.path.clone().into_os_string();
                lock.push(".lock");
                (UnusedKind::Interrupted, Some(Guard::Stage(lock.into())))
            }
            LeftoverKind::Debris => (UnusedKind::Debris, None),
        };
        found.push(Unused {
            path: left.path,
            kind,
            size: left.size,
            modified: left.modified,
            lock,
        });
    }
    Ok(found)
}

impl Unused {
    /// Removes it; whether it was removed, and not in use at this moment.
    ///
    /// # Errors
    /// It cannot be locked or removed.
    pub fn remove(&self) -> Result<bool, Error> {
        let held = self.lock.as_ref().map(Guard::take).transpose()?;
        if matches!(held, Some(None)) || has_kernel(&self.path)? {
            return Ok(false);
        }
        remove_path(&self.path)?;
        Ok(true)
    }
}

impl Guard {
    /// `None` where somebody uses it at this moment.
    fn take(&self) -> Result<Option<Held>, Error> {
        match self {
            Self::Stage(path) => {
                let lock = Lock::try_acquire(path)?;
                Ok(lock.ok().map(|lock| Held::Stage { _lock: lock }))
            }
            Self::TeacherOutputs(path) => {
                let mut options = File::options();
                options.write(true).create(true).truncate(false);
                let lock = options.open(path).map_err(Error::read(path))?;
                let is_taken = lock.try_lock().is_ok();
                Ok(is_taken.then_some(Held::TeacherOutputs { _lock: lock }))
            }
        }
    }
}
