//! An experiment's links to its results. Where the file system has no symbolic links, a link is a text file that
//! holds the path, as git writes it; where a project was copied with its links followed, it is a folder.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use super::{
    Error, Layout, Record, create_folder, list_artifacts, publish, remove_path, write_atomic,
};
use crate::system::{Lack, is_lacking, note};

/// The longest text file that is taken for a link.
const LONGEST: u64 = 4096;

/// Makes `link` lead to `target`, in place of an older link.
///
/// # Errors
/// [`Error::Write`] with the path of the link; [`Error::InTheWay`] where a file or a folder that is no result stands in its place.
pub fn link_to(target: &Path, link: &Path) -> Result<(), Error> {
    let folder = link.parent().unwrap_or(Path::new("."));
    create_folder(folder)?;
    let relative = relative_to(target, folder);
    if read_link(link).is_some_and(|present| present == relative) {
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
    clear(target, link)?;
    match make() {
        Err(error) if is_lacking(&error) => {
            note(Lack::Links, link);
            write_atomic(link, relative.to_string_lossy().as_bytes())
        }
        result => result.map_err(Error::write(link)),
    }
}

/// Where a link leads, as it is written: a symbolic link, or a text file in the place of one.
pub fn read_link(link: &Path) -> Option<PathBuf> {
    if let Ok(target) = fs::read_link(link) {
        return Some(target);
    }
    let is_short = |file: fs::Metadata| file.is_file() && file.len() <= LONGEST;
    if !fs::metadata(link).is_ok_and(is_short) {
        return None;
    }
    let text = fs::read_to_string(link).ok()?;
    let target = PathBuf::from(text.trim_end());
    stored_at(&target).is_some().then_some(target)
}

/// The folder of a stage's result: where the experiment's link leads, or the folder in its place.
pub fn linked(layout: &Layout, experiment: &str, stage: &str) -> Option<PathBuf> {
    follow(&layout.link(experiment, stage))
}

/// The folder of the result that a link, or a folder in the place of one, stands for; there may be none any more.
pub fn follow(link: &Path) -> Option<PathBuf> {
    match read_link(link) {
        Some(target) => Some(link.parent()?.join(target)),
        None => link.join(super::RECORD).is_file().then(|| link.to_owned()),
    }
}

/// Kind and fingerprint of a path that ends in `store/<kind>/<fingerprint>`.
pub(super) fn stored_at(target: &Path) -> Option<(&str, &str)> {
    let mut parts = target.components().rev().map(Component::as_os_str);
    let (fingerprint, kind) = (parts.next()?.to_str()?, parts.next()?.to_str()?);
    (parts.next()? == "store").then_some((kind, fingerprint))
}

/// Removes a folder that stands where a link belongs, if it is a copy of a result: into the store where that lacks it.
fn clear(target: &Path, link: &Path) -> Result<(), Error> {
    if link.is_symlink() || !link.is_dir() {
        let is_ours = link.is_symlink() || !link.exists() || read_link(link).is_some();
        return if is_ours {
            Ok(())
        } else {
            Err(in_the_way(link))
        };
    }
    let is_of_this_stage =
        |record: &Record| stored_at(target).is_some_and(|(kind, _)| record.key.kind == kind);
    let Some(record) = Record::read(link).filter(is_of_this_stage) else {
        return Err(in_the_way(link));
    };
    let names = list_artifacts(link)?;
    if !names.iter().all(|name| record.artifacts.contains_key(name)) {
        return Err(in_the_way(link));
    }
    let name = record.fingerprint.as_str();
    let stored = target.with_file_name(name);
    if Record::read(&stored).is_some() {
        remove_path(link)
    } else {
        publish(link, &stored)
    }
}

fn in_the_way(path: &Path) -> Error {
    Error::InTheWay {
        path: path.to_owned(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_text_file_with_the_path_is_a_link_and_any_other_file_is_none() {
        let folder = tempfile::tempdir().expect("temp folder");
        let link = folder.path().join("eval");
        fs::write(&link, "../store/eval/0123456789abcdef\n").expect("written");
        let target = PathBuf::from("../store/eval/0123456789abcdef");
        assert_eq!(read_link(&link), Some(target.clone()));
        assert_eq!(follow(&link), Some(folder.path().join(target)));
        for text in ["", "notes", "../elsewhere/eval/0123456789abcdef"] {
            fs::write(&link, text).expect("written");
            assert_eq!(read_link(&link), None, "{text}");
            let error = link_to(&folder.path().join("store/eval/1"), &link);
            assert!(matches!(error, Err(Error::InTheWay { .. })), "{error:?}");
            assert_eq!(fs::read_to_string(&link).expect("read"), text);
        }
    }

    #[test]
    fn a_folder_that_is_no_result_stays_where_it_is() {
        let folder = tempfile::tempdir().expect("temp folder");
        let link = folder.path().join("runs/x/eval");
        create_folder(&link).expect("created");
        fs::write(link.join("mine.txt"), "").expect("written");
        let error = link_to(&folder.path().join("runs/store/eval/1"), &link);
        assert!(matches!(error, Err(Error::InTheWay { .. })), "{error:?}");
        assert!(link.join("mine.txt").is_file());
    }
}
