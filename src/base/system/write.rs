//! Writing files so that a reader, and a power failure, meets the old or the new one and never half of it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::{Lack, is_lacking, note};

/// Large enough that weights are written in few calls.
const BUFFER: usize = 1 << 20;

/// Writes a file: under a temporary name beside it, synced, renamed, folder synced. Its mode is 666 without the
/// bits of the umask.
///
/// # Errors
/// What the system reports. A file system without `fsync` is none.
pub fn write_atomic(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = write_beside(path, write)?;
    sync_file(temporary.as_file(), path)?;
    temporary.persist(path).map_err(|failed| failed.error)?;
    sync_folder(folder_of(path))
}

/// As [`write_atomic`] for who opens files by their path: `make` gets that of a temporary file, which is
/// there and empty.
///
/// # Errors
/// As [`write_atomic`], and what `make` returns.
pub fn make_atomic(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let temporary = file_beside(path)?;
    make(temporary.path())?;
    sync_file(temporary.as_file(), path)?;
    temporary.persist(path).map_err(|failed| failed.error)?;
    sync_folder(folder_of(path))
}

/// As [`write_atomic`] without waiting for the disk, for a file that is cheap to make again.
///
/// # Errors
/// What the system reports.
pub fn write_unsynced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = write_beside(path, |file| file.write_all(bytes))?;
    temporary.persist(path).map_err(|failed| failed.error)?;
    Ok(())
}

fn write_beside(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
) -> io::Result<tempfile::NamedTempFile> {
    let temporary = file_beside(path)?;
    let mut file = BufWriter::with_capacity(BUFFER, temporary.as_file());
    write(&mut file)?;
    file.flush()?;
    drop(file);
    Ok(temporary)
}

/// An empty file under a temporary name in the folder of `path`.
fn file_beside(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tmp-");
    // At creation, so that the umask counts and no chmod is needed, which exFAT refuses.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder_of(path))
}

/// Flushes a file's contents to the disk, where the file system can; `path` is for the warning where it cannot.
///
/// # Errors
/// The disk failed.
pub fn sync_file(file: &File, path: &Path) -> io::Result<()> {
    match file.sync_all() {
        Err(error) if is_lacking(&error) => {
            note(Lack::Sync, path);
            Ok(())
        }
        result => result,
    }
}

/// Flushes the names in a folder to the disk, where the file system can.
///
/// # Errors
/// The folder cannot be opened, or the disk failed.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    match File::open(path) {
        Ok(folder) => sync_file(&folder, path),
        // A folder may be written to without being listed; then it cannot be synced either.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied || is_lacking(&error) => {
            note(Lack::Sync, path);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// The folder that a file lies in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_no_temporary_one_stays() {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join("a.json");
        write_atomic(&path, |file| file.write_all(b"long first version")).expect("written");
        write_atomic(&path, |file| file.write_all(b"second")).expect("written");
        assert_eq!(fs::read(&path).expect("read"), b"second");
        assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 1);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file() {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join("a.json");
        write_unsynced(&path, b"old").expect("written");
        write_atomic(&path, |_| Err(io::Error::other("no"))).expect_err("fails");
        assert_eq!(fs::read(&path).expect("read"), b"old");
        assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 1);
    }
}
