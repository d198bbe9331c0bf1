//! What the kernel leaves behind to go on from.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;

use super::{Error, Fingerprint};
use crate::system::{KERNEL_LOCK, Locking, try_lock};

/// A complete checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Optimizer steps done.
    pub step: u64,
    /// Optimizer steps of the whole stage.
    pub total_steps: u64,
}

/// The part of `checkpoint-<step>.json` that the runner reads.
#[derive(Deserialize)]
struct Head {
    step: u64,
    total_steps: u64,
    fingerprint: String,
}

/// The newest complete checkpoint in a work folder. One is complete when its JSON part,
/// which the kernel writes last, is there beside the tensors and belongs to this
/// fingerprint; anything else is left to the kernel to judge.
pub fn newest_checkpoint(work: &Path, fingerprint: &Fingerprint) -> Option<Checkpoint> {
    let entries = fs::read_dir(work).ok()?;
    entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let step = path.file_name()?.to_str()?.strip_prefix("checkpoint-")?;
            step.strip_suffix(".json")?;
            let head: Head = serde_json::from_str(&fs::read_to_string(&path).ok()?).ok()?;
            let whole = path.with_extension("safetensors").is_file()
                && head.fingerprint == fingerprint.as_str();
            whole.then_some(Checkpoint {
                step: head.step,
                total_steps: head.total_steps,
            })
        })
        .max_by_key(|checkpoint| checkpoint.step)
}

/// Removes from a work folder what a finished stage has no use for: checkpoints, the best
/// model so far, the kernel's lock, files whose writing was cut off.
///
/// # Errors
/// [`Error::Write`] if one cannot be removed.
pub fn remove_scaffolding(work: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(work).map_err(Error::read(work))? {
        let path = entry.map_err(Error::read(work))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(is_scaffolding) && path.is_file() {
            fs::remove_file(&path).map_err(Error::write(&path))?;
        }
    }
    Ok(())
}

/// Whether a kernel works in a folder without its runner: one that was asked to stop writes its checkpoint first.
///
/// # Errors
/// [`Error::Read`] if its lock cannot be looked at.
pub(super) fn has_kernel(work: &Path) -> Result<bool, Error> {
    let path = work.join(KERNEL_LOCK);
    // Some network file systems lock what is open for writing alone.
    let file = match fs::File::options().write(true).open(&path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(false);
        }
        Err(error) => return Err(Error::read(&path)(error)),
    };
    let lock = try_lock(&file).map_err(Error::read(&path))?;
    Ok(lock == Locking::Busy)
}

/// Whether a file at the top of a work folder only serves the work, and is no artifact.
pub(super) fn is_scaffolding(name: &str) -> bool {
    let starts = ["checkpoint-", "best-", ".tmp-"];
    let path = Path::new(name);
    name == KERNEL_LOCK
        || starts.iter().any(|prefix| name.starts_with(prefix))
        || path.extension().is_some_and(|ending| ending == "partial")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::Key;

    fn fingerprint() -> Fingerprint {
        Key {
            kind: "finetune".to_owned(),
            semantics: 1,
            settings: std::collections::BTreeMap::new(),
            inputs: std::collections::BTreeMap::new(),
            upstream: std::collections::BTreeMap::new(),
        }
        .fingerprint()
    }

    fn write(work: &Path, step: u64, fingerprint: &str, tensors: bool) {
        let head = format!(
            r#"{{"step":{step},"total_steps":90,"fingerprint":"{fingerprint}","more":[1]}}"#
        );
        fs::write(work.join(format!("checkpoint-{step:08}.json")), head).expect("written");
        if tensors {
            let path = work.join(format!("checkpoint-{step:08}.safetensors"));
            fs::write(path, "tensors").expect("written");
        }
    }

    #[test]
    fn a_folder_in_which_a_kernel_still_writes_is_known() {
        let folder = tempfile::tempdir().expect("temp folder");
        let lock = folder.path().join(KERNEL_LOCK);
        assert!(!has_kernel(folder.path()).expect("looked"));
        let file = fs::File::create(&lock).expect("created");
        assert!(!has_kernel(folder.path()).expect("looked"));
        // A file is no work folder.
        assert!(!has_kernel(&lock).expect("looked"));
        file.lock().expect("locked");
        assert!(has_kernel(folder.path()).expect("looked"));
        drop(file);
        assert!(!has_kernel(folder.path()).expect("looked"));
    }

    #[test]
    fn the_newest_complete_checkpoint_of_this_fingerprint_counts() {
        let folder = tempfile::tempdir().expect("temp folder");
        let mine = fingerprint();
        assert_eq!(newest_checkpoint(folder.path(), &mine), None);
        write(folder.path(), 10, mine.as_str(), true);
        write(folder.path(), 20, mine.as_str(), true);
        write(folder.path(), 30, mine.as_str(), false);
        write(folder.path(), 40, "another", true);
        fs::write(folder.path().join("checkpoint-00000050.json"), "{\"st").expect("written");
        let newest = Some(Checkpoint {
            step: 20,
            total_steps: 90,
        });
        assert_eq!(newest_checkpoint(folder.path(), &mine), newest);
        for name in ["metrics.csv", "kernel.lock", "best-00000010.safetensors"] {
            fs::write(folder.path().join(name), "").expect("written");
        }
        remove_scaffolding(folder.path()).expect("removed");
        assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 1);
    }
}
