//! The system's error messages in this program's style.

use std::io;

/// The message in lower case and without the error number.
pub fn reason(source: &io::Error) -> String {
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

/// What the user can do about a failed file operation.
pub fn advice(source: &io::Error) -> Option<String> {
    let advice = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free disk space and run the same command again: finished stages are kept"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "check the folder's owner and mode, or choose another folder with `--root DIR`"
        }
        io::ErrorKind::StaleNetworkFileHandle => {
            "the file was replaced on the file server: run the same command again"
        }
        _ => return None,
    };
    Some(advice.to_owned())
}

/// The same where the user named the file or folder that is written.
pub fn advice_for_output(source: &io::Error) -> Option<String> {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free disk space, or choose another place with `--output`".to_owned())
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Some("check its owner and mode, or choose another place with `--output`".to_owned())
        }
        _ => advice(source),
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_full_disk_is_told_from_one_that_cannot_be_written() {
        let of = |errno: Errno| {
            let error = io::Error::from(errno);
            (reason(&error), advice(&error).unwrap_or_default())
        };
        for (errno, words) in [
            (Errno::NOSPC, "no space left on device"),
            (Errno::DQUOT, "disk quota exceeded"),
        ] {
            let (reason, advice) = of(errno);
            assert_eq!(reason, words);
            assert!(advice.contains("free disk space"), "{advice}");
            let advice = advice_for_output(&io::Error::from(errno)).unwrap_or_default();
            assert!(advice.contains("--output"), "{advice}");
        }
        let (reason, advice) = of(Errno::ROFS);
        assert_eq!(reason, "read-only file system");
        assert!(advice.contains("--root"), "{advice}");
        assert_eq!(
            of(Errno::IO),
            ("input/output error".to_owned(), String::new())
        );
    }
}
