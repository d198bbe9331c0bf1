//! The files of teacher outputs, and how far they are written.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tinyrun_base::job::Train;

use crate::checkpoint::write_and_rename;
use crate::error::{KernelError, io};

/// Version of the file's form.
const VERSION: u32 = 1;

/// Says how far the answers are written.
const DOCUMENT: &str = "teacher-memory.json";

/// How far the file is written.
#[derive(Debug, Serialize, Deserialize)]
struct Standing {
    version: u32,
    /// What the answers depend on.
    key: String,
    /// Batches in the file.
    batches: usize,
}

/// Notes that so many batches are on the disk.
pub(super) fn note(folder: &Path, key: &str, batches: usize) -> Result<(), KernelError> {
    let standing = Standing {
        version: VERSION,
        key: key.to_owned(),
        batches,
    };
    let json = serde_json::to_vec(&standing).expect("plain data");
    write_and_rename(&folder.join(DOCUMENT), &json)
}

/// Batches that an interrupted run left; none of another key.
pub(super) fn standing(output: &Path, key: &str) -> usize {
    let read = fs::read(output.join(DOCUMENT)).ok();
    let found = read.and_then(|json| serde_json::from_slice::<Standing>(&json).ok());
    found
        .filter(|found| found.version == VERSION && found.key == key)
        .map_or(0, |found| found.batches)
}

/// Batches whose answers are there already, and their bytes; `ends` are where each batch ends in the file.
///
/// # Errors
/// What is there and of no use cannot be removed.
pub(super) fn written_before(
    folder: &Path,
    key: &str,
    ends: &[u64],
) -> Result<(usize, u64), KernelError> {
    let done = standing(folder, key).min(ends.len());
    let there = fs::metadata(bin(folder)).map_or(0, |file| file.len());
    let written = done.checked_sub(1).map_or(0, |last| ends[last]);
    if done == 0 || there < written {
        // A document of another key, or of answers that are gone, must not vouch for what is written now.
        remove(folder)?;
        return Ok((0, 0));
    }
    Ok((done, written))
}

/// A file to read and write, as it is; empty where there was none.
pub(super) fn opened(path: &Path) -> Result<File, KernelError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(io("open", path))
}

/// The answers.
pub(super) fn bin(output: &Path) -> PathBuf {
    output.join("teacher-memory.bin")
}

/// The folder of a teacher's outputs that are not shared.
pub(super) fn own_folder(output: &Path, place: usize) -> PathBuf {
    match place {
        0 => output.to_owned(),
        place => output.join(format!("teacher-memory-{}", place + 1)),
    }
}

/// Forgets the answers of all teachers of a stage.
///
/// # Errors
/// What the disk says.
pub(crate) fn remove_all(output: &Path, train: &Train) -> Result<(), KernelError> {
    remove(output)?;
    for place in 1..train.teachers().count() {
        let folder = own_folder(output, place);
        remove(&folder)?;
        match fs::remove_dir(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(io("remove", &folder)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Forgets the answers of a stage.
///
/// # Errors
/// What the disk says.
pub(super) fn remove(output: &Path) -> Result<(), KernelError> {
    // The document first: without it the file is nothing.
    disown(output)?;
    remove_where_it_is(&bin(output))
}

/// Takes from the answers what vouches for them, so that whoever comes next asks again.
pub(super) fn disown(folder: &Path) -> Result<(), KernelError> {
    remove_where_it_is(&folder.join(DOCUMENT))
}

fn remove_where_it_is(path: &Path) -> Result<(), KernelError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io("remove", path)(error)),
        _ => Ok(()),
    }
}
