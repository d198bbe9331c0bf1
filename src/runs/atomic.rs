//! Writing so that a reader sees the old or the new and never something between, whatever
//! is cut off in the middle.
#![expect(
    clippy::disallowed_methods,
    reason = "the functions that all others use"
)]

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use super::Error;

/// Writes a file: temporary name beside it, synced, renamed, folder synced.
///
/// # Errors
/// [`Error::Write`] with the path.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        let temporary = write_beside(path, bytes)?;
        temporary.as_file().sync_all()?;
        temporary.persist(path).map_err(|failed| failed.error)?;
        sync_folder(folder)
    };
    write().map_err(Error::write(path))
}

/// As [`write_atomic`], for a file that costs little when a power cut takes it: readers see
/// the old or the new one, but nobody waits for the disk.
///
/// # Errors
/// [`Error::Write`] with the path.
pub(super) fn write_cache(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let write = || -> io::Result<()> {
        let temporary = write_beside(path, bytes)?;
        temporary.persist(path).map_err(|failed| failed.error)?;
        Ok(())
    };
    write().map_err(Error::write(path))
}

fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let mut temporary = tempfile::Builder::new()
        .prefix(".tmp-")
        // Readable by others like any file, where the umask allows it.
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(path.parent().unwrap_or(Path::new(".")))?;
    temporary.write_all(bytes)?;
    Ok(temporary)
}

/// Creates a folder and those above it.
///
/// # Errors
/// [`Error::Write`] with the path.
pub fn create_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(Error::write(path))
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
    let folder = to.parent().unwrap_or(Path::new("."));
    create_folder(folder)?;
    let aside = from.with_extension("old");
    remove_folder(&aside)?;
    match fs::rename(to, &aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::write(to)(error));
        }
        _ => {}
    }
    fs::rename(from, to).map_err(Error::write(to))?;
    sync_folder(folder).map_err(Error::write(folder))?;
    remove_folder(&aside)
}

/// Makes `link` a relative link to `target`, in place of an older link.
///
/// # Errors
/// [`Error::Write`] with the path of the link.
pub fn link_to(target: &Path, link: &Path) -> Result<(), Error> {
    let folder = link.parent().unwrap_or(Path::new("."));
    create_folder(folder)?;
    let relative = relative_to(target, folder);
    if fs::read_link(link).is_ok_and(|present| present == relative) {
        return Ok(());
    }
    let make = || -> io::Result<()> {
        // A link cannot be replaced in place; a rename over it can.
        let temporary = tempfile::Builder::new()
            .prefix(".tmp-")
            .make_in(folder, |path| symlink(&relative, path))?;
        temporary.persist(link).map_err(|failed| failed.error)?;
        Ok(())
    };
    make().map_err(Error::write(link))
}

/// `target` as seen from `folder`, both relative to the same place or both absolute.
fn relative_to(target: &Path, folder: &Path) -> PathBuf {
    let target: Vec<Component<'_>> = target.components().collect();
    let folder: Vec<Component<'_>> = folder.components().collect();
    let common = target
        .iter()
        .zip(&folder)
        .take_while(|(left, right)| left == right)
        .count();
    let up = folder[common..].iter().map(|_| Component::ParentDir);
    up.chain(target[common..].iter().copied()).collect()
}

/// Makes the names in a folder durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    File::open(path)?.sync_all()
}

/// Makes the contents of a folder and of all below it durable.
fn sync_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync_tree(&entry.path())?;
        } else if kind.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    sync_folder(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_no_temporary_one_stays() {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join("a.json");
        write_atomic(&path, b"long first version").expect("written");
        write_atomic(&path, b"second").expect("written");
        assert_eq!(fs::read(&path).expect("read"), b"second");
        assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 1);
    }

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
    fn a_link_is_relative_and_moves_with_the_root() {
        let folder = tempfile::tempdir().expect("temp folder");
        let runs = folder.path().join("runs");
        for stored in ["store/eval/1", "store/eval/2"] {
            create_folder(&runs.join(stored)).expect("created");
            link_to(&runs.join(stored), &runs.join("sst2/eval")).expect("linked");
            assert_eq!(
                fs::read_link(runs.join("sst2/eval")).expect("a link"),
                Path::new("..").join(stored)
            );
        }
    }

    #[test]
    fn a_file_in_a_folder_that_is_not_there_is_an_error_that_names_it() {
        let error = write_atomic(Path::new("/nowhere/at/all"), b"").expect_err("no folder");
        assert!(error.to_string().contains("`/nowhere/at/all`"), "{error}");
    }
}
