//! Paths that are wrong by the way they are written, wherever they would lead.

use std::env;
use std::path::Path;

use super::hub::{download, repository};
use super::missing::{Missing, Wanted, near, shown};

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

/// What may have been meant by a path, for paths that are not of an experiment file.
pub fn path_hint(root: &Path, written: &str) -> Option<String> {
    match misspelt(root, written, Wanted::File) {
        Some(found) => found.hint,
        None => near(root, written).map(|meant| format!("did you mean `{}`?", shown(&meant))),
    }
}

#[cfg(test)]
mod tests;
