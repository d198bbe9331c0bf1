//! What can go wrong with the run directory.

use std::io;
use std::path::{Path, PathBuf};

use crate::system::{advice, reason};

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
        "`{}` has record format {format}, this version of tinyrun reads formats up to {known}",
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
    /// Something that tinyrun did not write stands where it links to a result.
    #[error("cannot link a result at `{}`: something else is there, and not a result of this stage", path.display())]
    InTheWay {
        /// The file or folder.
        path: PathBuf,
    },
    /// A file, or a link that leads nowhere, where a folder is to be created.
    #[error("`{}` {}", path.display(), not_a_folder(target.as_deref()))]
    NotAFolder {
        /// The file or link.
        path: PathBuf,
        /// Where the link leads.
        target: Option<PathBuf>,
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
            Self::NotAFolder { target: None, .. } => {
                return Some("move it, or choose another folder with `--root DIR`".to_owned());
            }
            Self::NotAFolder { .. } => {
                return Some("mount the disk that it leads to, or remove the link".to_owned());
            }
            Self::InTheWay { .. } => {
                return Some("move it to another folder and run the same command again".to_owned());
            }
            Self::NewerRecord { path, .. } => {
                let folder = path.parent().unwrap_or(path);
                return Some(format!(
                    "use the newer tinyrun, or remove `{}` to run the stage again",
                    folder.display()
                ));
            }
        };
        advice(source)
    }
}

fn not_a_folder(target: Option<&Path>) -> String {
    match target {
        Some(target) => format!("is a link to `{}`, which is not a folder", target.display()),
        None => "is a file, not a folder".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_message_is_in_lower_case_and_without_a_number() {
        let error = Error::write(Path::new("runs/x"))(io::Error::from_raw_os_error(28));
        assert_eq!(
            error.to_string(),
            "cannot write `runs/x`: no space left on device"
        );
        assert!(
            error
                .hint()
                .is_some_and(|hint| hint.contains("free disk space"))
        );
    }
}
