//! Names of the Hugging Face Hub where a path on this machine is needed.

use std::path::Path;

/// The id in a path on the Hub, and whether it is one of data sets.
pub(super) fn repository(path: &str) -> Option<(String, bool)> {
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
pub(super) fn download(id: &str, is_data: bool) -> String {
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

/// A name that may be one of the Hub: `bert-base-uncased`, `org/name`.
pub(super) fn hub_name(root: &Path, written: &str, is_data: bool) -> Option<String> {
    let is_of_a_folder =
        |first: &str| root.join(first).is_dir() || ["models", "data", "datasets"].contains(&first);
    let is_likely = match written.split_once('/') {
        Some((first, second)) => {
            // A file has an ending, a data set of the Hub has none.
            let is_file = is_data && second.contains('.');
            !is_of_a_folder(first) && !is_file
        }
        None => !is_data,
    };
    (is_likely && is_hub_id(written)).then(|| {
        let what = if is_data { "data set" } else { "model" };
        let hint = download(written, is_data);
        format!("if it is a {what} of the Hugging Face Hub, {hint}")
    })
}
