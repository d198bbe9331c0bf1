//! Folders of teacher outputs that stages share: who writes, who waits, and which ones make room.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use tinyrun_base::job::{self, PadTo};
use tinyrun_base::system::{Locking, try_lock_shared};

use super::files::{bin, opened, remove, standing};
use crate::device::Compute;
use crate::error::{KernelError, io};

/// Between two looks at a lock that somebody else has.
const WAIT: Duration = Duration::from_millis(500);

/// Whose turn it is to ask for what is shared.
pub(super) enum Turn {
    /// It was asked already.
    Asked { lock: File },
    /// This process's, while it holds the lock.
    Mine(File),
    /// Somebody else's, until the user had enough.
    Interrupted,
}

/// The folder that stages share, where there is one and it can be shared. Its name holds what else makes answers
/// differ, so that nobody waits for, or removes, what he has no use for.
pub(super) fn shared_folder(
    cache: &job::Teacher,
    compute: Compute,
    pad_to: PadTo,
) -> Option<PathBuf> {
    let how = format!("{:?}-{:?}-{pad_to:?}", compute.kind, compute.device);
    let how = how.replace(['(', ')'], "").to_lowercase();
    let mut name = cache.cache.as_ref()?.as_os_str().to_owned();
    name.push(format!("-{how}"));
    Some(PathBuf::from(name)).filter(|folder| has_locks(folder))
}

/// Whether a folder can be shared: without file locks two stages might write to it at once.
fn has_locks(folder: &Path) -> bool {
    let path = folder.join("lock");
    // Any other failure is reported where the folder is used.
    let lock = fs::create_dir_all(folder).is_ok().then(|| opened(&path));
    !lock
        .and_then(Result::ok)
        .is_some_and(|lock| matches!(try_lock_shared(&lock), Ok(Locking::Unsupported)))
}

/// Waits until the answers are all there, or nobody else asks for them.
#[expect(
    clippy::disallowed_methods,
    reason = "a lock cannot be waited for with a timeout"
)]
pub(super) fn turn(
    folder: &Path,
    key: &str,
    (batches, bytes): (usize, u64),
    mut wait: impl FnMut() -> bool,
) -> Result<Turn, KernelError> {
    loop {
        fs::create_dir_all(folder).map_err(io("create", folder))?;
        let path = folder.join("lock");
        let lock = opened(&path)?;
        // A file that was removed meanwhile is not the one that others lock.
        let is_there = || {
            let (held, there) = (lock.metadata(), fs::metadata(&path));
            held.is_ok_and(|held| there.is_ok_and(|there| there.ino() == held.ino()))
        };
        // Whoever reads does not keep others from reading.
        if lock.try_lock_shared().is_ok() && is_there() && standing(folder, key) >= batches {
            let answers = OpenOptions::new().read(true).write(true).open(bin(folder));
            let whole = |file: &File| file.metadata().is_ok_and(|file| file.len() >= bytes);
            if answers.is_ok_and(|answers| whole(&answers)) {
                // The age by which folders make room.
                let _ = lock.set_modified(SystemTime::now());
                return Ok(Turn::Asked { lock });
            }
        }
        let _ = lock.unlock();
        if lock.try_lock().is_ok() && is_there() {
            return Ok(Turn::Mine(lock));
        }
        if wait() {
            return Ok(Turn::Interrupted);
        }
        thread::sleep(WAIT);
    }
}

/// Removes answers of other teachers that nobody reads, those first that were not used for longest, until those that stay
/// and `bytes` take no more than `limit`; whether they do. Then the file of `folder` is as long as it will be, so that
/// whoever makes room meanwhile counts all of it.
pub(super) fn make_room(folder: &Path, bytes: u64, limit: u64) -> Result<bool, KernelError> {
    let all = folder.parent().expect("a folder among others");
    let one_at_a_time = File::open(all).map_err(io("open", all))?;
    one_at_a_time.lock().map_err(io("lock", all))?;
    let mut others = Vec::new();
    for entry in fs::read_dir(all).map_err(io("read", all))?.flatten() {
        let other = entry.path();
        let size = fs::metadata(bin(&other)).map_or(0, |file| file.len());
        let used = fs::metadata(other.join("lock")).and_then(|lock| lock.modified());
        if other != folder && size > 0 {
            others.push((used.unwrap_or(SystemTime::UNIX_EPOCH), size, other));
        }
    }
    others.sort();
    let mut taken: u64 = bytes + others.iter().map(|(_, size, _)| size).sum::<u64>();
    // Locked until they are gone, and none of them where all together would not be enough.
    let mut leaving = Vec::new();
    for (_, size, other) in others {
        if taken <= limit {
            break;
        }
        // To write as well: NFS locks alone what may be written.
        let mut options = OpenOptions::new();
        if let Ok(lock) = options.read(true).write(true).open(other.join("lock"))
            && lock.try_lock().is_ok()
        {
            taken -= size;
            leaving.push((other, lock));
        }
    }
    if taken > limit {
        return Ok(false);
    }
    for (other, _lock) in leaving {
        remove(&other)?;
    }
    let path = bin(folder);
    let file = opened(&path)?;
    file.set_len(bytes).map_err(io("write", &path))?;
    Ok(true)
}
