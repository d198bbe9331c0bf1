//! Why a path that the user wrote leads nowhere, and what they may have meant.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::hub::hub_name;
use super::pattern::unreadable;
use crate::input::excerpt_path;
use crate::model::{is_checkpoint, is_tensorflow_prefix};
use crate::system::{folder_of, reason};

/// What a path was written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A table or a text.
    File,
    /// A Hugging Face folder.
    Model,
}

/// What is wrong with a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing {
    /// One sentence.
    pub(super) message: String,
    /// What to do about it.
    pub(super) hint: Option<String>,
    /// Whether it helps to know what paths are relative to.
    pub(super) is_relative: bool,
}

/// The largest number of edits between what was written and what was meant.
const EDITS: usize = 2;

impl Missing {
    pub(super) fn new(message: impl Into<String>, hint: impl Into<Option<String>>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
            is_relative: false,
        }
    }
}

/// A path in a message.
pub(super) fn shown(path: &str) -> String {
    excerpt_path(Path::new(path))
}

/// What is wrong with a path at which nothing is, or nothing that can be read.
pub(super) fn missing(root: &Path, written: &str, wanted: Wanted, error: &io::Error) -> Missing {
    let name = shown(written);
    let path = root.join(written);
    if path.symlink_metadata().is_ok() {
        let (message, hint) = unreadable(&path, error);
        return Missing::new(message, hint);
    }
    if let Some(file) = file_above(root, written) {
        let is_itself = file.trim_end_matches('/') == written.trim_end_matches('/');
        let hint = is_itself.then(|| "remove the `/` at the end".to_owned());
        return Missing::new(format!("`{}` is a file, not a folder", shown(&file)), hint);
    }
    if error.kind() != io::ErrorKind::NotFound {
        return Missing::new(format!("cannot read `{name}`: {}", reason(error)), None);
    }
    let is_file = wanted == Wanted::File || is_checkpoint(Path::new(written));
    if is_file && is_tensorflow_prefix(&path) {
        let message = format!("`{name}` is the prefix of the files of a TensorFlow checkpoint");
        let folder = excerpt_path(folder_of(Path::new(written)));
        let hint = format!("name the folder that they are in: `{folder}`");
        return Missing::new(message, hint);
    }
    let message = if is_file {
        format!("`{name}` does not exist")
    } else {
        format!("model folder `{name}` does not exist")
    };
    let hint = near(root, written)
        .map(|meant| format!("did you mean `{}`?", shown(&meant)))
        // A checkpoint is no folder of the Hub.
        .or_else(|| {
            hub_name(root, written, wanted == Wanted::File)
                .filter(|_| !is_file || wanted == Wanted::File)
        });
    Missing {
        is_relative: !Path::new(written).is_absolute(),
        ..Missing::new(message, hint)
    }
}

/// The part of a path that is a file where a folder would have to be.
fn file_above(root: &Path, written: &str) -> Option<String> {
    let mut ends: Vec<usize> = written.match_indices('/').map(|(at, _)| at).collect();
    ends.retain(|end| *end > 0);
    let part = |end: &usize| &written[..*end];
    let mut parts = ends.iter().map(part);
    let found = parts.find(|part| root.join(part).is_file())?;
    Some(found.to_owned())
}

/// A path that is there and differs from what was written by case, spaces at an end or a few letters.
pub(super) fn near(root: &Path, written: &str) -> Option<String> {
    let mut meant = PathBuf::new();
    for part in Path::new(written).components() {
        let part = part.as_os_str();
        if root.join(&meant).join(part).symlink_metadata().is_ok() {
            meant.push(part);
            continue;
        }
        let part = part.to_str()?;
        let folder = root.join(&meant);
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder.as_path()
        };
        let entries = fs::read_dir(folder).ok()?.flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let best = names.map(|name| (distance(part, &name), name)).min()?;
        if best.0 > EDITS.min(part.chars().count() / 3) {
            return None;
        }
        meant.push(best.1);
    }
    let is_there = root.join(&meant).exists();
    is_there.then(|| meant.to_str().map(str::to_owned))?
}

/// Edits between two names; none for those that differ by case or spaces at an end.
fn distance(written: &str, name: &str) -> usize {
    let plain = |text: &str| text.trim().to_lowercase();
    strsim::damerau_levenshtein(&plain(written), &plain(name))
}
