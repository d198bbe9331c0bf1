//! What lies in the run directory, and who uses it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::link::stored_at;
use super::{Error, Layout, Lock, Record, read_link};
use crate::system::list_folder;

/// A finished stage in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its folder.
    pub folder: PathBuf,
    /// Its stage kind, as the folder is named.
    pub kind: String,
    /// Its record; `None` where there is none that can be read.
    pub record: Option<Record>,
    /// Experiments that link to it, sorted.
    pub used_by: BTreeSet<String>,
    /// The first of these links, as `EXPERIMENT/STAGE`.
    pub linked_as: Option<String>,
    /// Bytes of all files in it.
    pub size: u64,
}

/// What was left behind by a run that ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Its folder or file.
    pub path: PathBuf,
    /// What it is.
    pub kind: LeftoverKind,
    /// Bytes of all files in it.
    pub size: u64,
    /// When it was written last.
    pub modified: SystemTime,
}

/// What a leftover is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftoverKind {
    /// A stage that was interrupted: the next run would go on from its checkpoint.
    Work,
    /// An older result that was moved aside and not removed, or a file whose writing was cut off.
    Debris,
}

/// Every folder of the store, by kind and fingerprint, with the experiments that use it.
///
/// # Errors
/// [`Error::Read`] if a folder cannot be listed.
pub fn stored(layout: &Layout) -> Result<Vec<Stored>, Error> {
    let links = links(layout)?;
    let mut found = Vec::new();
    for kind in list(&layout.runs().join("store"))? {
        let name = name_of(&kind);
        if name == Layout::TEACHER_ANSWERS {
            continue;
        }
        for folder in list(&kind)? {
            if !is_fingerprint(&name_of(&folder)) {
                continue;
            }
            let to_it = links.iter().filter(|(_, to)| **to == folder);
            let to_it = to_it.map(|(link, _)| link);
            found.push(Stored {
                kind: name.clone(),
                record: Record::read(&folder),
                used_by: to_it.clone().map(|(of, _)| of.clone()).collect(),
                linked_as: to_it.map(|(of, stage)| format!("{of}/{stage}")).next(),
                size: size_of(&folder)?,
                folder,
            });
        }
    }
    Ok(found)
}

/// Every folder of teachers' answers, with its size.
///
/// # Errors
/// [`Error::Read`] if a folder cannot be listed.
pub fn teacher_answers(layout: &Layout) -> Result<Vec<(PathBuf, u64)>, Error> {
    let folders = list(&layout.stores(Layout::TEACHER_ANSWERS))?;
    let whole = folders.into_iter().filter(|folder| is_whole(folder));
    let sized = whole.map(|folder| {
        let size = size_of(&folder)?;
        Ok((folder, size))
    });
    sized.collect()
}

/// Every link of an experiment to a result: (experiment, stage) to the folder in the store.
///
/// # Errors
/// [`Error::Read`] if a folder cannot be listed.
pub fn links(layout: &Layout) -> Result<BTreeMap<(String, String), PathBuf>, Error> {
    let mut found = BTreeMap::new();
    for folder in list(&layout.runs())? {
        if !Layout::RESERVED.contains(&name_of(&folder).as_str()) {
            links_below(layout, &folder, &mut found)?;
        }
    }
    Ok(found)
}

fn links_below(
    layout: &Layout,
    folder: &Path,
    found: &mut BTreeMap<(String, String), PathBuf>,
) -> Result<(), Error> {
    if folder.is_symlink() || !folder.is_dir() {
        return Ok(());
    }
    let experiment = folder.strip_prefix(layout.runs()).unwrap_or(folder);
    let experiment = experiment.display().to_string();
    for path in list(folder)? {
        let store = |kind: &str, fingerprint: &str| {
            layout.runs().join("store").join(kind).join(fingerprint)
        };
        if let Some(target) = read_link(&path) {
            // Links are relative to their own folder.
            if let Some((kind, fingerprint)) = stored_at(&target) {
                found.insert(
                    (experiment.clone(), name_of(&path)),
                    store(kind, fingerprint),
                );
            }
        } else if let Some(record) = Record::read(&path) {
            // A copy of the project in which links became folders.
            let stored = store(&record.key.kind, record.fingerprint.as_str());
            found.insert((experiment.clone(), name_of(&path)), stored);
        } else {
            links_below(layout, &path, found)?;
        }
    }
    Ok(())
}

/// Name and resolved file of every experiment in `runs/`, those of matrices too, sorted by name.
///
/// # Errors
/// [`Error::Read`] if a folder cannot be listed.
pub fn experiments(layout: &Layout) -> Result<Vec<(String, PathBuf)>, Error> {
    let mut found = Vec::new();
    let runs = layout.runs();
    for folder in list(&runs)? {
        if !Layout::RESERVED.contains(&name_of(&folder).as_str()) {
            experiments_below(&runs, &folder, &mut found)?;
        }
    }
    found.sort();
    Ok(found)
}

fn experiments_below(
    runs: &Path,
    folder: &Path,
    found: &mut Vec<(String, PathBuf)>,
) -> Result<(), Error> {
    if folder.is_symlink() || !folder.is_dir() {
        return Ok(());
    }
    let file = folder.join("experiment.toml");
    if file.is_file() {
        let name = folder.strip_prefix(runs).unwrap_or(folder);
        found.push((name.display().to_string(), file));
    }
    for path in list(folder)? {
        experiments_below(runs, &path, found)?;
    }
    Ok(())
}

/// What nobody works on: interrupted stages, and what was cut off in the middle of a move or a write.
///
/// # Errors
/// [`Error::Read`] if a folder cannot be listed.
pub fn leftovers(layout: &Layout) -> Result<Vec<Leftover>, Error> {
    let mut found = Vec::new();
    let mut add = |path: PathBuf, kind| -> Result<(), Error> {
        let size = size_of(&path)?;
        let metadata = fs::symlink_metadata(&path).map_err(Error::read(&path))?;
        let modified = metadata.modified().map_err(Error::read(&path))?;
        found.push(Leftover {
            path,
            kind,
            size,
            modified,
        });
        Ok(())
    };
    for path in list(&layout.runs().join("work"))? {
        if path.is_dir() {
            let mut lock = path.clone().into_os_string();
            lock.push(".lock");
            if Lock::owner(Path::new(&lock)).is_none() {
                add(path, LeftoverKind::Work)?;
            }
        }
    }
    for kind in list(&layout.runs().join("store"))? {
        for path in list(&kind)? {
            if !is_whole(&path) {
                add(path, LeftoverKind::Debris)?;
            }
        }
    }
    Ok(found)
}

/// Whether a folder of the store is a result or a teacher's outputs, and not what was cut off in the
/// middle of a move or a removal.
fn is_whole(folder: &Path) -> bool {
    let name = name_of(folder);
    let is_of_teacher = folder
        .parent()
        .is_some_and(|kind| name_of(kind) == Layout::TEACHER_ANSWERS);
    // Theirs have a word after the fingerprint.
    let name = match name.split_once('-') {
        Some((fingerprint, _)) if is_of_teacher => fingerprint,
        _ => &name,
    };
    is_fingerprint(name)
}

/// Whether a name is that of a result.
fn is_fingerprint(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    list_folder(folder).map_err(Error::read(folder))
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Bytes of a file, or of all files in a folder and below.
pub(super) fn size_of(path: &Path) -> Result<u64, Error> {
    let metadata = fs::symlink_metadata(path).map_err(Error::read(path))?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    list(path)?.iter().map(|path| size_of(path)).sum()
}
