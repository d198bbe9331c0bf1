//! One process at a time on a stage in progress.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process;

use chrono::{SubsecRound, Utc};

use super::lock_file::{self, held_file};
use super::{Error, Owner, StepProgress};
use crate::system::{Lack, Locking, note, try_lock, try_lock_shared};

/// Held while a stage is worked on. It is the operating system's file lock, so it falls
/// away with its process, however that ends; where the file system has none, a file (see `lock_file.rs`).
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    /// Keeps the lock; closing the file gives it up.
    file: File,
    /// The file that stands for the lock where there are no file locks.
    held: Option<PathBuf>,
    owner: Owner,
}

/// A locked file, and the one that stands for the lock where there are no file locks.
type Locked = (File, Option<PathBuf>);

impl Lock {
    /// Takes the lock if nobody has it; else says who does. The owner is `None` in the
    /// instant between its taking the lock and its writing its name.
    ///
    /// # Errors
    /// [`Error::Lock`] if the file cannot be created or locked.
    pub fn try_acquire(path: &Path) -> Result<Result<Self, Option<Owner>>, Error> {
        let attempt = || -> io::Result<Result<Self, Option<Owner>>> {
            let (file, held) = match Self::locked(path)? {
                Ok(found) => found,
                Err(owner) => return Ok(Err(owner)),
            };
            let command: Vec<String> = std::env::args_os()
                .map(|word| word.to_string_lossy().into_owned())
                .collect();
            let owner = Owner {
                pid: process::id(),
                command: command.join(" "),
                host: lock_file::host(),
                since: Some(Utc::now().trunc_subsecs(0)),
                progress: None,
            };
            let mut lock = Self {
                path: path.to_owned(),
                file,
                held,
                owner,
            };
            write_owner(&mut lock.file, &lock.owner)?;
            Ok(Ok(lock))
        };
        attempt().map_err(Error::lock(path))
    }

    /// Locks the file, or gives its owner.
    fn locked(path: &Path) -> io::Result<Result<Locked, Option<Owner>>> {
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)?;
            match try_lock(&file)? {
                Locking::Held => {}
                Locking::Busy => {
                    let mut text = String::new();
                    file.read_to_string(&mut text)?;
                    return Ok(Err(serde_json::from_str(&text).ok()));
                }
                Locking::Unsupported => {
                    note(Lack::Locks, path);
                    let held = held_file(path);
                    return Ok(lock_file::hold(&held)?.map(|file| (file, Some(held))));
                }
            }
            // The last owner removes the file when it is done. If that was between our
            // opening and locking, we hold a lock on a file that nobody else will see.
            let held = file.metadata()?;
            if fs::metadata(path).is_ok_and(|there| there.ino() == held.ino()) {
                return Ok(Ok((file, None)));
            }
        }
    }

    /// Who holds the lock now, without taking it; the outer `None` is nobody, the inner one
    /// somebody who has not said who it is.
    pub fn owner(path: &Path) -> Option<Option<Owner>> {
        let mut file = File::open(path).ok()?;
        match try_lock_shared(&file).ok()? {
            Locking::Held => None,
            Locking::Busy => {
                let mut text = String::new();
                let read = file.read_to_string(&mut text);
                Some(read.ok().and_then(|_| serde_json::from_str(&text).ok()))
            }
            Locking::Unsupported => lock_file::holder(&held_file(path)),
        }
    }

    /// Says how far the work is, for whoever asks meanwhile. That it cannot be said stops nothing.
    pub fn tell(&mut self, progress: StepProgress) {
        self.owner.progress = Some(progress);
        let _ = write_owner(&mut self.file, &self.owner);
    }
}

/// In place, since the lock is on this file and no other: who reads at the wrong moment finds no
/// JSON, and knows that much.
fn write_owner(file: &mut File, owner: &Owner) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(serde_json::to_string(owner)?.as_bytes())
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Still locked here, so nobody else's file can be the one removed. If it fails, an
        // empty lock file stays, which harms nothing.
        let _ = fs::remove_file(&self.path);
        if let Some(held) = &self.held {
            lock_file::release(held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_is_told_who_has_the_lock() {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join("stage.lock");
        let first = Lock::try_acquire(&path).expect("works").expect("free");
        let owner = Lock::try_acquire(&path).expect("works").expect_err("taken");
        assert_eq!(owner.map(|owner| owner.pid), Some(process::id()));
        drop(first);
        assert!(!path.exists());
        Lock::try_acquire(&path)
            .expect("works")
            .expect("free again");
    }

    #[test]
    fn who_asks_is_told_how_far_the_work_is_and_takes_nothing() {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join("stage.lock");
        assert_eq!(Lock::owner(&path), None);
        let mut lock = Lock::try_acquire(&path).expect("works").expect("free");
        let progress = StepProgress {
            step: 7,
            total_steps: 90,
            examples_per_second: 42.5,
            seconds_left: None,
        };
        lock.tell(progress.clone());
        let owner = Lock::owner(&path).expect("held").expect("told");
        assert_eq!(owner.pid, process::id());
        assert_eq!(owner.progress, Some(progress));
        drop(lock);
        fs::write(&path, "{}").expect("written");
        assert_eq!(Lock::owner(&path), None);
    }

    #[test]
    fn a_lock_file_left_by_a_dead_process_is_free() {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join("stage.lock");
        fs::write(
            &path,
            r#"{"pid":1,"command":"long gone, with a long name"}"#,
        )
        .expect("written");
        let lock = Lock::try_acquire(&path).expect("works").expect("free");
        let owner: Owner =
            serde_json::from_str(&fs::read_to_string(&path).expect("read")).expect("whole");
        assert_eq!(owner.pid, process::id());
        drop(lock);
    }
}
