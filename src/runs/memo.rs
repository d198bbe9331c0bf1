//! Digests of files, remembered so that an unchanged gigabyte is not read again.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::atomic::write_cache;
use super::{Error, Layout};
use crate::system::Digest;

/// Digest and length of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileDigest {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// Computes digests, in parallel, and remembers them by path, size, modification time and
/// inode. The memo saves reading and decides nothing: what is up to date is decided by the
/// digests, and a memo that is lost or damaged costs time only.
#[derive(Debug)]
pub struct Digester {
    file: PathBuf,
    root: PathBuf,
    entries: BTreeMap<String, Entry>,
    changed: bool,
    files_read: u64,
}

/// What a file looked like when it was read, and what it held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    size: u64,
    /// Nanoseconds since 1970.
    mtime: i128,
    inode: u64,
    digest: Digest,
}

/// Bumped when an entry comes to mean something else; a memo of another version is dropped.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    files: BTreeMap<String, Entry>,
}

/// A file that was written this short a time ago could be written again without its
/// modification time changing, the clock of the file system being coarse; it is not
/// remembered. Linux ticks every 1 to 10 ms.
const SETTLED: Duration = Duration::from_millis(20);

/// The same for file systems that keep whole seconds.
const SETTLED_COARSE: Duration = Duration::from_secs(2);

impl Digester {
    /// With the memo of a run directory.
    pub fn of(layout: &Layout) -> Self {
        Self::open(layout.digests(), layout.root().to_owned())
    }

    /// With the memo stored in `file`; paths below `root` are remembered relative to it, so
    /// that a root can be moved.
    pub fn open(file: PathBuf, root: PathBuf) -> Self {
        let entries = read(&file).unwrap_or_default();
        Self {
            file,
            root,
            entries,
            changed: false,
            files_read: 0,
        }
    }

    /// Files that had to be read so far.
    pub fn files_read(&self) -> u64 {
        self.files_read
    }

    /// Digests of files, in the order given, or for each what the system answered.
    #[expect(
        clippy::disallowed_methods,
        reason = "waits until the clock of the file system has moved on"
    )]
    pub fn digest<P: AsRef<Path>>(&mut self, paths: &[P]) -> Vec<io::Result<FileDigest>> {
        let mut results: Vec<Option<io::Result<FileDigest>>> = Vec::with_capacity(paths.len());
        let mut unknown = Vec::new();
        let mut unsettled = Duration::ZERO;
        let now = SystemTime::now();
        for (index, path) in paths.iter().enumerate() {
            let path = path.as_ref();
            results.push(match Look::at(path) {
                Err(error) => Some(Err(error)),
                Ok(look) => match self.entries.get(&self.name(path)) {
                    Some(entry) if look.matches(entry) => Some(Ok(FileDigest {
                        digest: entry.digest,
                        size: entry.size,
                    })),
                    _ => {
                        unsettled = unsettled.max(look.unsettled(now));
                        unknown.push(index);
                        None
                    }
                },
            });
        }
        self.files_read += unknown.len() as u64;
        // A stage's artifacts are digested right after they were written. Waiting a moment
        // is cheaper than reading them again in the next run.
        if unsettled <= SETTLED {
            thread::sleep(unsettled);
        }
        let paths: Vec<&Path> = paths.iter().map(AsRef::as_ref).collect();
        let read = |&index: &usize| (index, hash(paths[index]));
        // The thread pool starts with its first use: not for nothing, nor for one file.
        let hashed: Vec<_> = if unknown.len() > 1 {
            unknown.par_iter().map(read).collect()
        } else {
            unknown.iter().map(read).collect()
        };
        for (index, result) in hashed {
            if let Ok((entry, true)) = &result {
                self.entries.insert(self.name(paths[index]), entry.clone());
                self.changed = true;
            }
            results[index] = Some(result.map(|(entry, _)| FileDigest {
                digest: entry.digest,
                size: entry.size,
            }));
        }
        results.into_iter().flatten().collect()
    }

    /// Says that a folder was renamed: what was known of its files stays known.
    pub fn relocate(&mut self, from: &Path, to: &Path) {
        let (from, to) = (self.name(from) + "/", self.name(to) + "/");
        self.entries.retain(|name, _| !name.starts_with(&to));
        let moved: Vec<String> = self
            .entries
            .range(from.clone()..)
            .map(|(name, _)| name.clone())
            .take_while(|name| name.starts_with(&from))
            .collect();
        for name in moved {
            if let Some(entry) = self.entries.remove(&name) {
                self.entries
                    .insert(format!("{to}{}", &name[from.len()..]), entry);
            }
        }
        self.changed = true;
    }

    /// Stores the memo if there is anything new in it. Files that are gone are forgotten.
    ///
    /// # Errors
    /// [`Error::Write`] if it cannot be written; the next run then reads those files again.
    pub fn save(&mut self) -> Result<(), Error> {
        if !self.changed {
            return Ok(());
        }
        // Another run may have stored what it learnt since we opened it.
        let mut files = read(&self.file).unwrap_or_default();
        files.append(&mut self.entries.clone());
        files.retain(|name, _| self.root.join(name).exists());
        self.entries.clone_from(&files);
        let stored = Stored {
            version: VERSION,
            files,
        };
        let text = serde_json::to_vec(&stored)
            .map_err(io::Error::from)
            .map_err(Error::write(&self.file))?;
        write_cache(&self.file, &text)?;
        self.changed = false;
        Ok(())
    }

    fn name(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.root).unwrap_or(path);
        // A lossy name could stand for two files, but they differ in their inodes.
        path.to_string_lossy().into_owned()
    }
}

fn read(file: &Path) -> Option<BTreeMap<String, Entry>> {
    let stored: Stored = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    (stored.version == VERSION).then_some(stored.files)
}

/// What a file looks like from outside.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    size: u64,
    mtime: i128,
    inode: u64,
}

impl Look {
    fn at(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            size: metadata.size(),
            mtime: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
            inode: metadata.ino(),
        })
    }

    fn matches(self, entry: &Entry) -> bool {
        self.size == entry.size && self.mtime == entry.mtime && self.inode == entry.inode
    }

    /// How long until a later write is sure to change the modification time.
    fn unsettled(self, now: SystemTime) -> Duration {
        let wait = if self.mtime % 1_000_000_000 == 0 {
            SETTLED_COARSE
        } else {
            SETTLED
        };
        let since_1970 = u64::try_from(self.mtime).map_or(Duration::ZERO, Duration::from_nanos);
        let settled = SystemTime::UNIX_EPOCH + since_1970 + wait;
        settled.duration_since(now).unwrap_or(Duration::ZERO)
    }
}

/// Reads a file. The flag says whether the digest may be remembered: not if the file was
/// written to meanwhile or only just before.
fn hash(path: &Path) -> io::Result<(Entry, bool)> {
    let now = SystemTime::now();
    let before = Look::at(path)?;
    let (digest, size) = Digest::of_file(path)?;
    let quiet = Look::at(path)? == before && size == before.size;
    let entry = Entry {
        size,
        mtime: before.mtime,
        inode: before.inode,
        digest,
    };
    Ok((entry, quiet && before.unsettled(now).is_zero()))
}

#[cfg(test)]
mod tests;
