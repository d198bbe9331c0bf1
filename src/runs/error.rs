//! What can go wrong with the run directory.

use std::io;
use std::path::{Path, PathBuf};

/// A file operation that failed, with the file it failed on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading, or listing a folder.
    #[error("cannot read `{}`: {}", path.display(), reason(source))]
    Read {
        /// What was read.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Writing, creating, renaming or removing.
    #[error("cannot write `{}`: {}", path.display(), reason(source))]
    Write {
        /// What was written.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A record that a later tinyrun wrote.
    #[error(
        "`{}` has format {format}, this tinyrun knows formats up to {known}",
        path.display()
    )]
    NewerRecord {
        /// The record.
        path: PathBuf,
        /// Its format.
        format: u32,
        /// The newest that is understood.
        known: u32,
    },
    /// Taking a lock.
    #[error("cannot lock `{}`: {}", path.display(), reason(source))]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }

    pub(crate) fn lock(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Lock { path, source }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let source = match self {
            Self::Read { source, .. } | Self::Write { source, .. } | Self::Lock { source, .. } => {
                source
            }
            Self::NewerRecord { path, .. } => {
                let folder = path.parent().unwrap_or(path);
                return Some(format!(
                    "use the newer tinyrun, or remove `{}` to run the stage again",
                    folder.display()
                ));
            }
        };
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(
                "make room on the disk and run the same command again: what was finished is kept"
                    .to_owned(),
            ),
            io::ErrorKind::PermissionDenied => {
                Some("choose another root with `--root DIR`".to_owned())
            }
            _ => None,
        }
    }
}

/// The system's words in this program's style: lower case and without the error number.
fn reason(source: &io::Error) -> String {
    let text = source.to_string();
    let text = text
        .split_once(" (os error")
        .map_or(text.as_str(), |(words, _)| words);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_words_are_said_in_lower_case_without_a_number() {
        let error = Error::write(Path::new("runs/x"))(io::Error::from_raw_os_error(28));
        assert_eq!(
            error.to_string(),
            "cannot write `runs/x`: no space left on device"
        );
        assert!(error.hint().is_some_and(|hint| hint.contains("make room")));
    }
}
