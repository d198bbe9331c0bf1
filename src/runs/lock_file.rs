//! Exclusion without file locks: the file `<lock>.held` exists while its owner works.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, test_kill_process};

use super::Owner;

/// A file of another machine's process, or one without an owner in it, counts while it was written this short a time ago.
/// A training stage writes its progress once a second.
const ALIVE: Duration = Duration::from_mins(10);

/// Files that this process holds: after a restart a container may give the same process id again.
static OURS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn ours() -> std::sync::MutexGuard<'static, BTreeSet<PathBuf>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The file beside a lock that stands for it.
pub(super) fn held_file(lock: &Path) -> PathBuf {
    let mut name = lock.as_os_str().to_owned();
    name.push(".held");
    PathBuf::from(name)
}

/// Creates the file, or gives the owner of the one that is there.
///
/// # Errors
/// What the system reports.
pub(super) fn hold(path: &Path) -> io::Result<Result<File, Option<Owner>>> {
    loop {
        let mut options = OpenOptions::new();
        match options.read(true).write(true).create_new(true).open(path) {
            Ok(file) => {
                ours().insert(path.to_owned());
                return Ok(Ok(file));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let Some(text) = contents(path)? else {
            continue;
        };
        let owner = serde_json::from_str(&text).ok();
        if is_alive(path, owner.as_ref()) {
            return Ok(Err(owner));
        }
        if !take_away(path, &text)? {
            return Ok(Err(None));
        }
    }
}

/// Who holds the file now; the outer `None` is nobody.
#[expect(clippy::option_option, reason = "the answer of `Lock::owner`")]
pub(super) fn holder(path: &Path) -> Option<Option<Owner>> {
    let text = contents(path).ok()??;
    let owner = serde_json::from_str(&text).ok();
    is_alive(path, owner.as_ref()).then_some(owner)
}

/// Removes the file of this process.
pub(super) fn release(path: &Path) {
    ours().remove(path);
    // A file that stays is of a process that is gone, and is taken over.
    let _ = fs::remove_file(path);
}

fn contents(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => text.map(Some),
    }
}

/// Removes a file whose owner is gone; false where another process replaced it meanwhile.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing is written that must survive a power failure"
)]
fn take_away(path: &Path, stale: &str) -> io::Result<bool> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!("-{}", process::id()));
    let aside = PathBuf::from(aside);
    match fs::rename(path, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        result => result?,
    }
    if fs::read_to_string(&aside)? == stale {
        fs::remove_file(&aside)?;
        return Ok(true);
    }
    fs::rename(&aside, path)?;
    Ok(false)
}

fn is_alive(path: &Path, owner: Option<&Owner>) -> bool {
    let is_recent = || {
        let written = fs::metadata(path).and_then(|file| file.modified());
        written.is_ok_and(|at| SystemTime::now().duration_since(at).unwrap_or_default() < ALIVE)
    };
    match owner {
        Some(owner) if owner.host == host() => {
            if owner.pid == process::id() {
                return ours().contains(path);
            }
            runs(owner)
        }
        _ => is_recent(),
    }
}

/// Whether the owner's process runs on this machine, and is no other program with its number.
fn runs(owner: &Owner) -> bool {
    let Some(pid) = i32::try_from(owner.pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    if test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
        return false;
    }
    match fs::read(format!("/proc/{}/cmdline", owner.pid)) {
        Ok(line) => {
            let words = line
                .split(|byte| *byte == 0)
                .filter(|word| !word.is_empty());
            let words: Vec<_> = words.map(String::from_utf8_lossy).collect();
            words.is_empty() || words.join(" ") == owner.command
        }
        Err(_) => true,
    }
}

/// This machine's name.
pub(super) fn host() -> Option<String> {
    let name = rustix::system::uname().nodename().to_str().ok()?.to_owned();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(pid: u32, command: &str, host: Option<String>) -> String {
        let owner = Owner {
            pid,
            command: command.to_owned(),
            host,
            since: None,
            progress: None,
        };
        serde_json::to_string(&owner).expect("text")
    }

    #[test]
    fn the_second_one_gets_the_owner_of_the_first() {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join("stage.lock.held");
        let _file = hold(&path).expect("works").expect("free");
        fs::write(&path, owner(process::id(), "tinyrun x.toml", host())).expect("written");
        let found = hold(&path).expect("works").expect_err("taken");
        assert_eq!(found.map(|owner| owner.pid), Some(process::id()));
        assert!(holder(&path).is_some());
        release(&path);
        assert!(holder(&path).is_none());
        hold(&path).expect("works").expect("free again");
        release(&path);
    }

    #[test]
    fn a_file_of_a_process_that_is_gone_is_taken_over() {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join("stage.lock.held");
        // No process has this number; process 1 is another program; ours is of an earlier life.
        for (pid, command) in [
            (0x7fff_fff0, "tinyrun x.toml"),
            (1, "tinyrun no-such-file.toml"),
            (process::id(), "tinyrun x.toml"),
        ] {
            fs::write(&path, owner(pid, command, host())).expect("written");
            assert!(holder(&path).is_none(), "{pid}");
            hold(&path).expect("works").expect("free");
            release(&path);
        }
        assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 0);
    }

    #[test]
    fn a_file_of_another_machine_counts_while_it_is_new() {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join("stage.lock.held");
        let elsewhere = Some("another-machine".to_owned());
        fs::write(&path, owner(1, "tinyrun x.toml", elsewhere)).expect("written");
        hold(&path).expect("works").expect_err("taken");
        let file = File::options().write(true).open(&path).expect("opened");
        file.set_modified(SystemTime::now() - 2 * ALIVE)
            .expect("set");
        hold(&path).expect("works").expect("free");
        release(&path);
    }
}
