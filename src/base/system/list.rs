//! What lies in a folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Paths of everything in a folder, sorted; nothing where there is no such folder. An empty path is the current one.
///
/// # Errors
/// The folder, or one of its entries, cannot be read.
pub fn list_folder(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let here = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let entries = match fs::read_dir(here) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        entries => entries?,
    };
    let paths = entries.map(|entry| Ok(folder.join(entry?.file_name())));
    let mut paths: Vec<PathBuf> = paths.collect::<io::Result<_>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_listed_in_order_and_one_that_is_not_there_is_empty() {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["b", "a", ".c"] {
            fs::write(path(name), "").expect("written");
        }
        let listed = |path: &Path| list_folder(path).expect("listed");
        assert_eq!(listed(folder.path()), [path(".c"), path("a"), path("b")]);
        assert!(listed(&path("nowhere")).is_empty());
        assert!(listed(&path("a")).is_empty(), "a file");
        // Tests run in the folder of the package.
        assert!(listed(Path::new("")).contains(&PathBuf::from("Cargo.toml")));
    }
}
