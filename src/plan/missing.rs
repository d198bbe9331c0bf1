//! Why a path that the user wrote leads nowhere, and what they may have meant.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

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
    fn new(message: impl Into<String>, hint: impl Into<Option<String>>) -> Self {
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

/// What is wrong with a path for the way it is written, wherever it would lead; `None` for a path like any other.
pub(super) fn misspelt(root: &Path, written: &str, wanted: Wanted) -> Option<Missing> {
    let name = shown(written);
    if written.trim().is_empty() {
        return Some(Missing::new("the path is empty", None));
    }
    if written.contains('\0') {
        let message = format!("`{name}` contains a NUL character, which no file name can");
        return Some(Missing::new(message, None));
    }
    if root.join(written).symlink_metadata().is_ok() {
        return None;
    }
    home(written, &name)
        .or_else(|| variable(written, &name))
        .or_else(|| url(written, &name, wanted))
        .or_else(|| windows(root, written, &name))
}

fn home(written: &str, name: &str) -> Option<Missing> {
    let rest = written.strip_prefix('~')?;
    let full = env::var("HOME")
        .ok()
        .filter(|_| rest.is_empty() || rest.starts_with('/'));
    let hint = match full {
        Some(home) => format!("write the full path: `{}`", shown(&format!("{home}{rest}"))),
        None => "write the full path".to_owned(),
    };
    let message = format!("`~` in `{name}` is not expanded");
    Some(Missing::new(message, hint))
}

fn variable(written: &str, name: &str) -> Option<Missing> {
    let (before, rest) = written.split_once('$')?;
    let is_of_a_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let (variable, after) = match rest.strip_prefix('{') {
        Some(braced) => braced.split_once('}')?,
        None => rest.split_at(rest.find(|c| !is_of_a_name(c)).unwrap_or(rest.len())),
    };
    if variable.is_empty() || !variable.chars().all(is_of_a_name) {
        return None;
    }
    let hint = match env::var(variable) {
        Ok(value) => {
            let full = format!("{before}{value}{after}");
            format!("write the full path: `{}`", shown(&full))
        }
        Err(_) => "write the full path".to_owned(),
    };
    let message = format!("`${variable}` in `{name}` is not expanded");
    Some(Missing::new(message, hint))
}

fn url(written: &str, name: &str, wanted: Wanted) -> Option<Missing> {
    let (scheme, rest) = written.split_once("://")?;
    let message = format!("`{name}` is a URL, and tinyrun reads local files only");
    let hub = match scheme {
        "hf" => Some(rest),
        "https" | "http" => ["huggingface.co/", "hf.co/"]
            .into_iter()
            .find_map(|host| rest.strip_prefix(host)),
        _ => None,
    };
    let hint = match hub.and_then(repository) {
        Some((id, is_data)) => download(&id, is_data || wanted == Wanted::File),
        None => "download it and write the path of the file".to_owned(),
    };
    Some(Missing::new(message, hint))
}

/// The id in a path on the Hub, and whether it is one of data sets.
fn repository(path: &str) -> Option<(String, bool)> {
    let (path, is_data) = match path.strip_prefix("datasets/") {
        Some(path) => (path, true),
        None => (path.strip_prefix("models/").unwrap_or(path), false),
    };
    let mut parts = path
        .split(['/', '@', '?', '#'])
        .filter(|part| !part.is_empty());
    let first = parts.next()?;
    let is_separate = |part: &&str| !["tree", "blob", "resolve", "raw"].contains(part);
    let id = match parts.next().filter(is_separate) {
        Some(second) => format!("{first}/{second}"),
        None => first.to_owned(),
    };
    is_hub_id(&id).then_some((id, is_data))
}

fn is_hub_id(id: &str) -> bool {
    let is_part = |part: &str| {
        let mut letters = part.chars();
        letters.next().is_some_and(|c| c.is_ascii_alphanumeric())
            && letters.all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    id.matches('/').count() <= 1 && id.split('/').all(is_part)
}

/// How to get a repository of the Hub as a folder.
fn download(id: &str, is_data: bool) -> String {
    let name = id.rsplit('/').next().unwrap_or(id);
    if is_data {
        let folder = format!("data/{name}");
        format!(
            "download it with `hf download --repo-type dataset {id} --local-dir {folder}`, and write the path of the file"
        )
    } else {
        let folder = format!("models/{name}");
        format!("download it with `hf download {id} --local-dir {folder}`, and write `{folder}`")
    }
}

fn windows(root: &Path, written: &str, name: &str) -> Option<Missing> {
    if !written.contains('\\') {
        return None;
    }
    let message = format!("`{name}` does not exist");
    let slashes = written.replace('\\', "/");
    let drive = slashes
        .split_once(":/")
        .filter(|(drive, _)| drive.len() == 1);
    let hint = match drive {
        Some((drive, rest)) => {
            let drive = drive.to_ascii_lowercase();
            format!(
                "write the path as Linux has it; in WSL that is `/mnt/{drive}/{}`",
                shown(rest)
            )
        }
        None if root.join(&slashes).exists() => format!("did you mean `{}`?", shown(&slashes)),
        None => format!("separate folders with `/`: `{}`", shown(&slashes)),
    };
    Some(Missing::new(message, hint))
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
        .or_else(|| hub_name(root, written, wanted).filter(|_| !is_file || wanted == Wanted::File));
    Missing {
        is_relative: !Path::new(written).is_absolute(),
        ..Missing::new(message, hint)
    }
}

/// What may have been meant by a path, for paths that are not of an experiment file.
pub fn path_hint(root: &Path, written: &str) -> Option<String> {
    match misspelt(root, written, Wanted::File) {
        Some(found) => found.hint,
        None => near(root, written).map(|meant| format!("did you mean `{}`?", shown(&meant))),
    }
}

/// A name that may be one of the Hub: `bert-base-uncased`, `org/name`.
fn hub_name(root: &Path, written: &str, wanted: Wanted) -> Option<String> {
    let is_of_a_folder =
        |first: &str| root.join(first).is_dir() || ["models", "data", "datasets"].contains(&first);
    let is_likely = match written.split_once('/') {
        Some((first, second)) => {
            // A file has an ending, a data set of the Hub has none.
            let is_file = wanted == Wanted::File && second.contains('.');
            !is_of_a_folder(first) && !is_file
        }
        None => wanted == Wanted::Model,
    };
    (is_likely && is_hub_id(written)).then(|| {
        let (what, is_data) = match wanted {
            Wanted::Model => ("model", false),
            Wanted::File => ("data set", true),
        };
        let hint = download(written, is_data);
        format!("if it is a {what} of the Hugging Face Hub, {hint}")
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("temp folder");
        fs::create_dir(root.path().join("data")).expect("created");
        fs::write(root.path().join("data/Train.csv"), "").expect("written");
        root
    }

    fn of(written: &str, wanted: Wanted) -> Missing {
        let root = root();
        misspelt(root.path(), written, wanted).unwrap_or_else(|| {
            let error = fs::File::open(root.path().join(written)).expect_err("not there");
            missing(root.path(), written, wanted, &error)
        })
    }

    #[test]
    fn each_way_to_write_a_path_that_leads_nowhere_has_its_hint() {
        let home = env::var("HOME").expect("set");
        let files = [
            ("", "the path is empty", ""),
            ("  ", "the path is empty", ""),
            (
                "a\0b",
                "`a\\0b` contains a NUL character, which no file name can",
                "",
            ),
            (
                "~/x.csv",
                "`~` in `~/x.csv` is not expanded",
                &format!("write the full path: `{home}/x.csv`"),
            ),
            (
                "~me/x.csv",
                "`~` in `~me/x.csv` is not expanded",
                "write the full path",
            ),
            (
                "$HOME/x.csv",
                "`$HOME` in `$HOME/x.csv` is not expanded",
                &format!("write the full path: `{home}/x.csv`"),
            ),
            (
                "a/${HOME}/x",
                "`$HOME` in `a/${HOME}/x` is not expanded",
                &format!("write the full path: `a/{home}/x`"),
            ),
            (
                "$NO_SUCH_VARIABLE/x",
                "`$NO_SUCH_VARIABLE` in `$NO_SUCH_VARIABLE/x` is not expanded",
                "write the full path",
            ),
            (
                "s3://bucket/x.csv",
                "`s3://bucket/x.csv` is a URL, and tinyrun reads local files only",
                "download it and write the path of the file",
            ),
            (
                "data\\Train.csv",
                "`data\\Train.csv` does not exist",
                "did you mean `data/Train.csv`?",
            ),
            (
                "data\\x.csv",
                "`data\\x.csv` does not exist",
                "separate folders with `/`: `data/x.csv`",
            ),
            (
                "C:\\data\\x.csv",
                "`C:\\data\\x.csv` does not exist",
                "write the path as Linux has it; in WSL that is `/mnt/c/data/x.csv`",
            ),
            (
                "data/train.csv",
                "`data/train.csv` does not exist",
                "did you mean `data/Train.csv`?",
            ),
            (
                "data/Train.csv ",
                "`data/Train.csv ` does not exist",
                "did you mean `data/Train.csv`?",
            ),
            (
                "dta/Train.csv",
                "`dta/Train.csv` does not exist",
                "did you mean `data/Train.csv`?",
            ),
            (
                "data/Trian.csv",
                "`data/Trian.csv` does not exist",
                "did you mean `data/Train.csv`?",
            ),
            ("data/other.csv", "`data/other.csv` does not exist", ""),
            (
                "data/Train.csv/",
                "`data/Train.csv` is a file, not a folder",
                "remove the `/` at the end",
            ),
            (
                "data/Train.csv/x",
                "`data/Train.csv` is a file, not a folder",
                "",
            ),
            ("a\u{1b}[31m.csv", "`a\\u{1b}[31m.csv` does not exist", ""),
        ];
        for (written, message, hint) in files {
            let found = of(written, Wanted::File);
            assert_eq!(found.message, message);
            assert_eq!(found.hint.unwrap_or_default(), hint, "{written}");
        }
    }

    #[test]
    fn a_checkpoint_that_is_not_there_is_a_file_and_no_name_of_the_hub() {
        let found = of("teacher.ckpt", Wanted::Model);
        assert_eq!(found.message, "`teacher.ckpt` does not exist");
        assert_eq!(found.hint, None);
    }

    #[test]
    fn names_of_the_hub_are_told_how_to_download() {
        let model = |id: &str, name: &str| {
            format!(
                "download it with `hf download {id} --local-dir models/{name}`, and write `models/{name}`"
            )
        };
        for written in [
            "hf://google-bert/bert-base-uncased",
            "https://huggingface.co/google-bert/bert-base-uncased",
            "https://huggingface.co/google-bert/bert-base-uncased/tree/main",
            "https://hf.co/google-bert/bert-base-uncased",
        ] {
            let found = of(written, Wanted::Model);
            assert!(
                found
                    .message
                    .ends_with("is a URL, and tinyrun reads local files only")
            );
            let hint = model("google-bert/bert-base-uncased", "bert-base-uncased");
            assert_eq!(found.hint, Some(hint), "{written}");
        }
        for (written, name) in [
            ("bert-base-uncased", "bert-base-uncased"),
            ("google-bert/bert-base-uncased", "bert-base-uncased"),
        ] {
            let found = of(written, Wanted::Model);
            assert_eq!(
                found.message,
                format!("model folder `{written}` does not exist")
            );
            let hint = model(written, name);
            let hint = format!("if it is a model of the Hugging Face Hub, {hint}");
            assert_eq!(found.hint, Some(hint), "{written}");
        }
        // A path below a folder that is there, or below the usual one.
        for written in ["data/bert", "models/bert", "./bert", "/models/bert"] {
            assert_eq!(of(written, Wanted::Model).hint, None, "{written}");
        }
        let found = of("nyu-mll/glue", Wanted::File).hint.expect("a hint");
        assert!(found.starts_with("if it is a data set of the Hugging Face Hub, download it with `hf download --repo-type dataset nyu-mll/glue"));
        assert_eq!(of("tables/glue.tsv", Wanted::File).hint, None);
        let found = of("hf://datasets/nyu-mll/glue", Wanted::File).hint;
        assert_eq!(
            found.as_deref(),
            Some(
                "download it with `hf download --repo-type dataset nyu-mll/glue --local-dir data/glue`, and write the path of the file"
            )
        );
    }
}
