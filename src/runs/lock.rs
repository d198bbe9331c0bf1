//! One process at a time on a stage in progress.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process;

use serde::{Deserialize, Serialize};

use super::Error;

/// Held while a stage is worked on. It is the operating system's file lock, so it falls
/// away with its process, however that ends.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    /// Keeps the lock; closing the file gives it up.
    _file: File,
}

/// Who holds a lock, for the one that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Process id.
    pub pid: u32,
    /// Its command line.
    pub command: String,
}

impl Lock {
    /// Takes the lock if nobody has it; else says who does. The owner is `None` in the
    /// instant between its taking the lock and its writing its name.
    ///
    /// # Errors
    /// [`Error::Lock`] if the file cannot be created or locked.
    pub fn try_acquire(path: &Path) -> Result<Result<Self, Option<Owner>>, Error> {
        let attempt = || -> io::Result<Result<File, Option<Owner>>> {
            loop {
                let mut file = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .open(path)?;
                match file.try_lock() {
                    Ok(()) => {}
                    Err(TryLockError::WouldBlock) => {
                        let mut text = String::new();
                        file.read_to_string(&mut text)?;
                        return Ok(Err(serde_json::from_str(&text).ok()));
                    }
                    Err(TryLockError::Error(error)) => return Err(error),
                }
                // The last owner removes the file when it is done. If that was between our
                // opening and locking, we hold a lock on a file that nobody else will see.
                let held = file.metadata()?;
                if !fs::metadata(path).is_ok_and(|there| there.ino() == held.ino()) {
                    continue;
                }
                let command: Vec<String> = std::env::args().collect();
                let owner = Owner {
                    pid: process::id(),
                    command: command.join(" "),
                };
                file.set_len(0)?;
                file.rewind()?;
                file.write_all(serde_json::to_string(&owner)?.as_bytes())?;
                return Ok(Ok(file));
            }
        };
        Ok(attempt().map_err(Error::lock(path))?.map(|file| Self {
            path: path.to_owned(),
            _file: file,
        }))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Still locked here, so nobody else's file can be the one removed. If it fails, an
        // empty lock file stays, which harms nothing.
        let _ = fs::remove_file(&self.path);
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
