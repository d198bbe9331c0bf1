//! What the file system at hand cannot do.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

/// A call that a file system lacks. Each is reported once per process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// `fsync` of a file or a folder: CIFS, some FUSE file systems.
    Sync,
    /// `flock`: NFS without lockd, Lustre without `-o flock`.
    Locks,
    /// Symbolic links: exFAT, SMB.
    Links,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sync => {
                "the file system does not support fsync: a power failure may damage the newest results"
            }
            Self::Locks => {
                "the file system does not support file locks: do not run the same experiment on two machines at once"
            }
            Self::Links => {
                "the file system does not support symbolic links: each stage in `runs/` is a text file with the path of its folder"
            }
        })
    }
}

/// Lacks that were found, with a path and whether they were taken for a warning.
static FOUND: Mutex<BTreeMap<Lack, (PathBuf, bool)>> = Mutex::new(BTreeMap::new());

/// Keeps a lack for [`take_lacks`].
pub fn note(lack: Lack, path: &Path) {
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    found
        .entry(lack)
        .or_insert_with(|| (path.to_owned(), false));
}

/// Lacks found since the last call, each with the path where it was found first.
pub fn take_lacks() -> Vec<(Lack, PathBuf)> {
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let new = found.iter_mut().filter(|(_, (_, taken))| !*taken);
    new.map(|(lack, (path, taken))| {
        *taken = true;
        (*lack, path.clone())
    })
    .collect()
}

/// Whether the file system does not support the call, as opposed to the call having failed.
pub fn is_lacking(error: &io::Error) -> bool {
    let unsupported = [
        Errno::INVAL,
        Errno::NOSYS,
        Errno::OPNOTSUPP,
        Errno::NOLCK,
        Errno::NODEV,
        Errno::PERM,
        Errno::NOTTY,
    ];
    Errno::from_io_error(error).is_some_and(|error| unsupported.contains(&error))
}
