//! File locks where the file system has them.

use std::fs::{File, TryLockError};
use std::io;

use super::is_lacking;

/// Name of the lock file in a work folder, which the training kernel holds while it works there.
pub const KERNEL_LOCK: &str = "kernel.lock";

/// What came of taking a file lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locking {
    /// It is held until the file is closed.
    Held,
    /// Another process holds it.
    Busy,
    /// The file system has no file locks.
    Unsupported,
}

/// Takes the lock on a file for this process alone.
///
/// # Errors
/// Any failure but that the lock is taken or that there are no locks.
pub fn try_lock(file: &File) -> io::Result<Locking> {
    outcome(file.try_lock())
}

/// Takes the lock on a file together with other readers.
///
/// # Errors
/// As [`try_lock`].
pub fn try_lock_shared(file: &File) -> io::Result<Locking> {
    outcome(file.try_lock_shared())
}

fn outcome(result: Result<(), TryLockError>) -> io::Result<Locking> {
    match result {
        Ok(()) => Ok(Locking::Held),
        Err(TryLockError::WouldBlock) => Ok(Locking::Busy),
        Err(TryLockError::Error(error)) if is_lacking(&error) => Ok(Locking::Unsupported),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
