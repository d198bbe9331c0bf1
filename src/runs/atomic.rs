//! Writing so that a reader sees the old or the new and never something between, whatever
//! is cut off in the middle.
#![expect(
    clippy::disallowed_methods,
    reason = "the functions that all others use"
)]

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use super::Error;
use crate::system::{self, folder_of, sync_file, sync_folder};

/// Writes a file: temporary name beside it, synced, renamed, folder synced.
///
/// # Errors
/// [`Error::Write`] with the path.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    system::write_atomic(path, |file| file.write_all(bytes)).map_err(Error::write(path))
}

/// As [`write_atomic`], for a file that costs little when a power failure takes it: readers see
/// the old or the new one, but nobody waits for the disk.
///
/// # Errors
/// [`Error::Write`] with the path.
pub(super) fn write_cache(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    system::write_unsynced(path, bytes).map_err(Error::write(path))
}

/// Creates a folder and those above it.
///
/// # Errors
/// [`Error::NotAFolder`] for a file or a broken link in its place or above it, else [`Error::Write`] with the path.
pub fn create_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(|source| {
        let is_in_the_way = |above: &&Path| above.symlink_metadata().is_ok() && !above.is_dir();
        match path.ancestors().find(is_in_the_way) {
            Some(above) => Error::NotAFolder {
                path: above.to_owned(),
                target: fs::read_link(above).ok(),
            },
            None => Error::write(path)(source),
        }
    })
}

/// Removes a folder and all in it; one that is not there is fine.
///
/// # Errors
/// [`Error::Write`] with the path.
pub fn remove_folder(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::write(path)(error)),
        _ => Ok(()),
    }
}

/// Removes a file, a link or a folder with all in it; one that is not there is fine.
///
/// # Errors
/// [`Error::Write`] with the path.
pub fn remove_path(path: &Path) -> Result<(), Error> {
    if path.is_dir() && !path.is_symlink() {
        // Aside first: a folder that is half removed must not stand under its name.
        let aside = path.with_extension("old");
        fs::rename(path, &aside).map_err(Error::write(path))?;
        return remove_folder(&aside);
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::write(path)(error)),
        _ => Ok(()),
    }
}

/// Moves a complete folder to where finished ones lie, in place of an older one.
///
/// Everything in it is flushed to the disk first. The older one is moved aside and removed
/// last, so that at no moment a half-removed folder stands under the final name. If this is
/// cut off between the two renames, `from` is still there, complete.
///
/// # Errors
/// [`Error::Write`] with the path.
pub fn publish(from: &Path, to: &Path) -> Result<(), Error> {
    sync_tree(from).map_err(Error::write(from))?;
    let folder = folder_of(to);
    create_folder(folder)?;
    let aside = to.with_extension("old");
    remove_folder(&aside)?;
    match fs::rename(to, &aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::write(to)(error));
        }
        _ => {}
    }
    match fs::rename(from, to) {
        // `runs/store` may be a link to another disk.
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => move_across(from, to)?,
        result => result.map_err(Error::write(to))?,
    }
    sync_folder(folder).map_err(Error::write(folder))?;
    remove_folder(&aside)
}

/// Copies a folder to another disk under a name that is no result, renames it there and removes the original.
fn move_across(from: &Path, to: &Path) -> Result<(), Error> {
    let copy = to.with_extension("copy");
    remove_folder(&copy)?;
    copy_folder(from, &copy)?;
    sync_tree(&copy).map_err(Error::write(&copy))?;
    fs::rename(&copy, to).map_err(Error::write(to))?;
    remove_folder(from)
}

/// Copies a folder and all in it; links are followed.
///
/// # Errors
/// [`Error::Read`] or [`Error::Write`] with the path.
pub fn copy_folder(from: &Path, to: &Path) -> Result<(), Error> {
    create_folder(to)?;
    for entry in fs::read_dir(from).map_err(Error::read(from))? {
        let path = entry.map_err(Error::read(from))?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_folder(&path, &target)?;
        } else {
            // Not `fs::copy`: it sets the mode, which exFAT refuses.
            let copied = File::open(&path)
                .and_then(|mut file| io::copy(&mut file, &mut File::create(&target)?));
            copied.map_err(Error::write(&target))?;
        }
    }
    Ok(())
}

/// Makes the contents of a folder and of all below it durable.
fn sync_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync_tree(&entry.path())?;
        } else if kind.is_file() {
            sync_file(&File::open(entry.path())?, &entry.path())?;
        }
    }
    sync_folder(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_published_in_place_of_an_older_one() {
        let folder = tempfile::tempdir().expect("temp folder");
        let (from, to) = (folder.path().join("work/x"), folder.path().join("store/x"));
        for text in ["first", "second"] {
            create_folder(&from).expect("created");
            fs::write(from.join("model"), text).expect("written");
            publish(&from, &to).expect("published");
            assert_eq!(fs::read_to_string(to.join("model")).expect("read"), text);
            assert!(!from.exists() && !from.with_extension("old").exists());
        }
    }

    #[test]
    fn a_file_in_a_folder_that_is_not_there_is_an_error_that_names_it() {
        let error = write_atomic(Path::new("/nowhere/at/all"), b"").expect_err("no folder");
        assert!(error.to_string().contains("`/nowhere/at/all`"), "{error}");
    }
}
