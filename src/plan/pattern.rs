//! The files that a pattern matches. Names need not be UTF-8, and what matches and cannot be read is a fault: data
//! that is left out silently is worse than none.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern, PatternError};

use super::inputs::InputFile;
use crate::input::excerpt_path;
use crate::system::{list_folder, reason};

/// What a pattern matches.
#[derive(Debug, Default)]
pub(super) struct Matches {
    /// Files by their names below the base, sorted.
    pub(super) files: Vec<InputFile>,
    /// Folders that match, which are none.
    pub(super) folders: Vec<String>,
    /// What matches and is no file that can be read: a sentence and a hint each.
    pub(super) faults: Vec<(String, Option<String>)>,
}

/// One component of a pattern.
enum Part {
    Name(String),
    Pattern(Pattern),
    /// `**`: any number of folders.
    Folders,
}

struct Walk<'a> {
    base: &'a Path,
    /// What tinyrun writes is never what it reads by accident.
    runs: &'a Path,
    options: MatchOptions,
    found: Matches,
}

/// The files below `base` that a pattern matches, but for those in `runs`.
///
/// # Errors
/// It is no pattern.
pub(super) fn matches(
    base: &Path,
    pattern: &str,
    runs: &Path,
    case_sensitive: bool,
) -> Result<Matches, PatternError> {
    let parts = pattern.split('/').filter(|part| !part.is_empty());
    let parts: Vec<Part> = parts.map(part).collect::<Result<_, _>>()?;
    let mut walk = Walk {
        base,
        runs,
        options: MatchOptions {
            case_sensitive,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        },
        found: Matches::default(),
    };
    walk.folder(base, &parts, &mut Vec::new());
    let Matches {
        files,
        folders,
        faults,
    } = &mut walk.found;
    folders.sort();
    files.sort_unstable_by(|left, right| left.name.cmp(&right.name));
    files.dedup_by(|left, right| left.path == right.path);
    faults.sort();
    faults.dedup();
    Ok(walk.found)
}

fn part(text: &str) -> Result<Part, PatternError> {
    Ok(match text {
        "**" => Part::Folders,
        text if text.contains(['*', '?', '[']) => Part::Pattern(Pattern::new(text)?),
        text => Part::Name(text.to_owned()),
    })
}

impl Walk<'_> {
    /// Looks for the rest of a pattern in a folder. `above` holds the folders that were walked through, as links may
    /// lead in a circle.
    fn folder(&mut self, folder: &Path, parts: &[Part], above: &mut Vec<PathBuf>) {
        let Some((first, rest)) = parts.split_first() else {
            return;
        };
        if folder.starts_with(self.runs) {
            return;
        }
        match first {
            Part::Name(name) => self.next(&folder.join(name), rest, above),
            Part::Pattern(pattern) => {
                for path in self.list(folder) {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    if pattern.matches_with(&name, self.options) {
                        self.next(&path, rest, above);
                    }
                }
            }
            Part::Folders => {
                let here = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
                if above.contains(&here) {
                    return;
                }
                self.folder(folder, rest, above);
                above.push(here);
                for path in self.list(folder) {
                    let name = path.file_name().unwrap_or_default();
                    let is_hidden = name.as_encoded_bytes().starts_with(b".");
                    if path.is_dir() && !is_hidden {
                        self.folder(&path, parts, above);
                    } else if rest.is_empty() && !is_hidden {
                        self.file(&path);
                    }
                }
                above.pop();
            }
        }
    }

    fn next(&mut self, path: &Path, rest: &[Part], above: &mut Vec<PathBuf>) {
        if rest.is_empty() {
            self.file(path);
        } else if path.is_dir() {
            self.folder(path, rest, above);
        }
    }

    /// Takes a path that matches, if it is a file.
    fn file(&mut self, path: &Path) {
        if fs::symlink_metadata(path).is_err() || path.starts_with(self.runs) {
            return;
        }
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => return self.fault(unreadable(path, &error)),
        };
        if metadata.is_dir() {
            let name = path.strip_prefix(self.base).ok().and_then(Path::to_str);
            self.found.folders.extend(name.map(str::to_owned));
            return;
        }
        if !metadata.is_file() {
            return self.fault((
                format!("`{}` is not a regular file", excerpt_path(path)),
                None,
            ));
        }
        let Some(name) = path
            .strip_prefix(self.base)
            .ok()
            .and_then(|name| name.to_str())
        else {
            let message = format!("the name of `{}` is not valid UTF-8", excerpt_path(path));
            return self.fault((message, Some("rename it".to_owned())));
        };
        match File::open(path) {
            Ok(_) => self.found.files.push(InputFile {
                name: name.to_owned(),
                path: path.to_owned(),
            }),
            Err(error) => self.fault(unreadable(path, &error)),
        }
    }

    fn list(&mut self, folder: &Path) -> Vec<PathBuf> {
        list_folder(folder).unwrap_or_else(|error| {
            let message = format!("cannot list `{}`: {}", excerpt_path(folder), reason(&error));
            self.fault((message, None));
            Vec::new()
        })
    }

    fn fault(&mut self, fault: (String, Option<String>)) {
        self.found.faults.push(fault);
    }
}

/// A sentence and a hint for a file that is there and cannot be read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> (String, Option<String>) {
    match fs::read_link(path) {
        Ok(target) if error.kind() == io::ErrorKind::NotFound => (
            format!(
                "`{}` is a link to `{}`, which does not exist",
                excerpt_path(path),
                excerpt_path(&target)
            ),
            Some("restore that file, or remove the link".to_owned()),
        ),
        _ => (
            format!("cannot read `{}`: {}", excerpt_path(path), reason(error)),
            None,
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("temp folder");
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("has one")).expect("created");
            fs::write(path, "").expect("written");
        }
        folder
    }

    fn names(base: &Path, pattern: &str) -> Vec<String> {
        let found = matches(base, pattern, &base.join("runs"), true).expect("a pattern");
        assert_eq!(found.faults, [], "{pattern}");
        found.files.into_iter().map(|file| file.name).collect()
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        let files = [
            "b.txt",
            "a.txt",
            "c.csv",
            ".hidden.txt",
            "d/e.txt",
            "d/f/g.txt",
            ".d/h.txt",
            "runs/x/i.txt",
        ];
        let folder = folder(&files);
        let base = folder.path();
        assert_eq!(names(base, "*.txt"), ["a.txt", "b.txt"]);
        assert_eq!(names(base, "[bc].*"), ["b.txt", "c.csv"]);
        assert_eq!(names(base, "?.csv"), ["c.csv"]);
        assert_eq!(names(base, "*/*.txt"), ["d/e.txt"]);
        assert_eq!(names(base, "d/**/*.txt"), ["d/e.txt", "d/f/g.txt"]);
        assert_eq!(
            names(base, "**/*.txt"),
            ["a.txt", "b.txt", "d/e.txt", "d/f/g.txt"]
        );
        assert_eq!(names(base, "d/**"), ["d/e.txt", "d/f/g.txt"]);
        assert_eq!(names(base, "d*/f/g.txt"), ["d/f/g.txt"]);
        assert!(matches(base, "a**", base, true).is_err());
        assert!(matches(base, "[a", base, true).is_err());
    }

    #[test]
    fn links_that_lead_in_a_circle_end() {
        let folder = folder(&["a/b.txt"]);
        symlink("..", folder.path().join("a/up")).expect("linked");
        assert_eq!(names(folder.path(), "**/b.txt"), ["a/b.txt"]);
    }

    #[test]
    fn what_matches_and_cannot_be_read_is_a_fault() {
        let folder = folder(&["a.txt"]);
        let base = folder.path();
        symlink("gone.txt", base.join("b.txt")).expect("linked");
        symlink("c.txt", base.join("c.txt")).expect("linked");
        fs::write(base.join(OsStr::from_bytes(b"caf\xe9.txt")), "").expect("written");
        let found = matches(base, "*.txt", &base.join("runs"), true).expect("a pattern");
        let messages: Vec<&str> = found.faults.iter().map(|(text, _)| text.as_str()).collect();
        let all = messages.join("\n");
        assert_eq!(messages.len(), 3, "{all}");
        assert!(
            all.contains("b.txt` is a link to `gone.txt`, which does not exist"),
            "{all}"
        );
        assert!(
            all.contains("c.txt`: too many levels of symbolic links"),
            "{all}"
        );
        assert!(all.contains("caf\\xe9.txt` is not valid UTF-8"), "{all}");
        // What does not match is nobody's business.
        assert_eq!(names(base, "a*"), ["a.txt"]);
    }
}
