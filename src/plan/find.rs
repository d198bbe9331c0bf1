//! Finds the files and folders that an experiment names: listed and checked before anything
//! runs, every fault at the key that named them.

use std::fs;
use std::path::Path;

use super::given_models::{
    Classes, check_classifiers, check_initial_projections, check_projections, stated_labels,
};
use super::graph::{Files, Node, graph};
use super::inputs::{FoundFiles, InputFile, Inputs};
use super::missing::{Missing, Wanted, missing, near, shown};
use super::misspelt::misspelt;
use super::pattern::matches;
use crate::data::{RecordFormat, is_packed_mindrecord, recognize_records};
use crate::document::{Fault, Located, Span};
use crate::experiment::{Experiment, check_models};
use crate::runs::Layout;
use crate::system::list_folder;

/// Finds everything that the stages read. Data whose format would show it may be lost (`is_lost`).
///
/// # Errors
/// Every fault: missing files, globs that match nothing, folders that are no models, models
/// that do not go together.
pub(super) fn find_inputs(
    experiment: &Experiment,
    nodes: &[Node],
    layout: &Layout,
    is_lost: bool,
) -> Result<Inputs, Vec<Fault>> {
    if is_lost {
        // What else would be reported is of tables, which the data need not be.
        let faults = find_missing(experiment, layout, is_lost);
        if !faults.is_empty() {
            return Err(faults);
        }
    }
    let mut finder = Finder::new(layout);
    finder.needs_tokenizer = nodes.iter().any(|node| node.tokenizes);
    let mut files: Vec<FoundFiles> = Vec::new();
    for node in nodes {
        for named in &node.files {
            files.push(FoundFiles {
                stage: node.stage.clone(),
                role: named.role,
                files: finder.named(named),
            });
        }
    }
    let mut folders = finder.folders(experiment);
    let tokenizer_changes = if finder.needs_tokenizer {
        finder.tokenizer(experiment, &mut folders)
    } else {
        Vec::new()
    };
    let labels = stated_labels(&experiment.task);
    let classes = labels.as_deref().map(Classes::of);
    let found = check_classifiers(experiment, &folders, classes);
    finder.faults.extend(found);
    check_projections(&mut finder.faults, experiment, &folders);
    check_initial_projections(&mut finder.faults, experiment, &files);
    let mut faults = finder.faults;
    let configs = folders
        .iter()
        .map(|(name, folder)| (name.as_str(), &folder.config));
    match check_models(experiment, &configs.collect()) {
        Ok(models) if faults.is_empty() => Ok(Inputs {
            files,
            folders,
            models,
            tokenizer_changes,
        }),
        Ok(_) => Err(faults),
        Err(found) => {
            faults.extend(found);
            Err(faults)
        }
    }
}

/// Files and folders that are not there, for an experiment that has other faults already.
/// Only what the user wrote is looked for: the keys at fault hold defaults.
pub(super) fn find_missing(experiment: &Experiment, layout: &Layout, is_lost: bool) -> Vec<Fault> {
    let mut finder = Finder::new(layout);
    let nodes = graph(experiment);
    let tokenizes = nodes.iter().any(|node| node.tokenizes);
    finder.needs_tokenizer = tokenizes && !is_lost;
    let named = nodes.iter().flat_map(|node| &node.files);
    for pattern in named.flat_map(|files| &files.patterns) {
        // A folder may hold records, whatever the format is.
        if !layout.root().join(&**pattern).is_dir() {
            finder.expand(pattern);
        }
    }
    finder.folders(experiment);
    finder.faults.retain(|fault| fault.span.is_some());
    finder.faults
}

/// Looks for files and folders, and keeps what is wrong with them.
pub(super) struct Finder<'a> {
    pub(super) layout: &'a Layout,
    pub(super) faults: Vec<Fault>,
    /// Whether text is cut into tokens in any stage; records need no tokenizer.
    pub(super) needs_tokenizer: bool,
}

impl<'a> Finder<'a> {
    pub(super) fn new(layout: &'a Layout) -> Self {
        Self {
            layout,
            faults: Vec::new(),
            needs_tokenizer: true,
        }
    }

    fn named(&mut self, named: &Files) -> Vec<InputFile> {
        if let Some(format) = named.records {
            return self.record_files(&named.patterns, format);
        }
        match &named.patterns[..] {
            [pattern] if named.is_one => self.one_file(pattern),
            patterns => self.files(patterns, Self::expand),
        }
    }

    /// Files of one or several patterns, each of which `find` gives those of, in the order of the patterns and then by
    /// name.
    pub(super) fn files(
        &mut self,
        patterns: &[Located<String>],
        mut find: impl FnMut(&mut Self, &Located<String>) -> Vec<InputFile>,
    ) -> Vec<InputFile> {
        let mut files: Vec<InputFile> = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            for mut file in find(self, pattern) {
                // Several patterns may match the same file, and files of the same name.
                if files.iter().any(|found| found.path == file.path) {
                    continue;
                }
                if patterns.len() > 1 {
                    file.name = format!("{}/{}", index + 1, file.name);
                }
                files.push(file);
            }
        }
        files
    }

    /// The one file of a pattern that may match no more.
    fn one_file(&mut self, pattern: &Located<String>) -> Vec<InputFile> {
        let files = self.expand(pattern);
        if files.len() > 1 {
            let message = format!("`{}` matches {} files", **pattern, files.len());
            let fault = Fault::new(message, pattern.span.clone());
            self.faults.push(fault.with_label("expected one table"));
        }
        files
    }

    pub(super) fn expand(&mut self, pattern: &Located<String>) -> Vec<InputFile> {
        let root = self.layout.root();
        // A path that is there is that path, whatever characters it has.
        let is_there = root.join(&**pattern).symlink_metadata().is_ok();
        let Some(wildcard) = pattern.find(['*', '?', '[']).filter(|_| !is_there) else {
            return self.plain_file(pattern).into_iter().collect();
        };
        // The fixed part: the folders before the first one with a wildcard.
        let fixed = pattern[..wildcard].rfind('/').map_or(0, |slash| slash + 1);
        let base = root.join(&pattern[..fixed]);
        let runs = self.layout.runs();
        let find = |case_sensitive| matches(&base, &pattern[fixed..], &runs, case_sensitive);
        let name = shown(pattern);
        let found = match find(true) {
            Ok(found) => found,
            Err(error) => {
                let message = format!("`{name}` is not a valid pattern: {}", error.msg);
                let hint = "`[` starts a set of characters: write `[[]` for the character itself";
                let hint = pattern.contains('[').then(|| hint.to_owned());
                let fault = Fault::new(message, pattern.span.clone());
                self.faults.push(fault.with_hint(hint));
                return Vec::new();
            }
        };
        if found.files.is_empty() && found.faults.is_empty() {
            if let Some(found) = misspelt(root, pattern, Wanted::File) {
                self.missing(found, pattern.span.as_ref());
                return Vec::new();
            }
            let other_case = find(false).map(|found| found.files).unwrap_or_default();
            let hint = unmatched_hint(root, &pattern[..fixed], pattern, &other_case);
            let (message, hint) = match found.folders.first() {
                Some(folder) => {
                    let message = format!("`{name}` matches folders only");
                    let folder = shown(&format!("{}{folder}", &pattern[..fixed]));
                    (
                        message,
                        Some(format!("name the files in them: `{folder}/*`")),
                    )
                }
                None => (format!("`{name}` matches no file"), hint),
            };
            let fault = Fault::new(message, pattern.span.clone()).with_note(self.relative_to());
            self.faults.push(fault.with_hint(hint));
        }
        for (message, hint) in found.faults {
            let fault = Fault::new(message, pattern.span.clone());
            let label = format!("matched by `{name}`");
            self.faults.push(fault.with_label(label).with_hint(hint));
        }
        found.files
    }

    pub(super) fn plain_file(&mut self, written: &Located<String>) -> Option<InputFile> {
        let root = self.layout.root();
        if let Some(found) = misspelt(root, written, Wanted::File) {
            self.missing(found, written.span.as_ref());
            return None;
        }
        let path = root.join(&**written);
        let opened = fs::metadata(&path).and_then(|metadata| {
            if metadata.is_file() {
                fs::File::open(&path)?;
            }
            Ok(metadata)
        });
        let name = shown(written);
        match opened {
            Ok(metadata) if metadata.is_file() => {
                if let Some((message, hint)) = no_records(&path, &name, metadata.len()) {
                    let fault = Fault::new(message, written.span.clone());
                    self.faults.push(fault.with_hint(hint));
                    return None;
                }
                if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
                    let name = name.to_owned();
                    return Some(InputFile { name, path });
                }
                let fault = Fault::new(format!("`{name}` is not a file"), written.span.clone());
                self.faults.push(fault);
            }
            Ok(metadata) if metadata.is_dir() => {
                let pattern = format!("{}/*", name.trim_end_matches('/'));
                let message = format!("`{name}` is a folder, not a file");
                let fault = Fault::new(message, written.span.clone());
                let hint = match folders_alone(&path).as_deref() {
                    Some([first, ..]) => {
                        let inner = shown(&format!("{}/{first}", written.trim_end_matches('/')));
                        format!("it holds folders only: name one, such as `{inner}`")
                    }
                    _ => format!("write a file's path, or a pattern such as `{pattern}`"),
                };
                self.faults.push(fault.with_hint(hint));
            }
            Ok(_) => {
                let message = format!("`{name}` is not a regular file");
                self.faults.push(Fault::new(message, written.span.clone()));
            }
            Err(error) => {
                let found = missing(root, written, Wanted::File, &error);
                self.missing(found, written.span.as_ref());
            }
        }
        None
    }

    pub(super) fn missing(&mut self, missing: Missing, span: Option<&Span>) {
        let mut fault = Fault::new(missing.message, span.cloned()).with_hint(missing.hint);
        if missing.is_relative {
            fault = fault.with_note(self.relative_to());
        }
        self.faults.push(fault);
    }

    fn relative_to(&self) -> String {
        let root = self.layout.root();
        if root.as_os_str().is_empty() {
            "paths are relative to the current folder".to_owned()
        } else {
            format!("paths are relative to `{}`", root.display())
        }
    }
}

/// Why a file that seems to belong to records holds none that can be read, and what to do.
fn no_records(path: &Path, name: &str, size: u64) -> Option<(String, Option<String>)> {
    if is_database(path) {
        let message = format!("`{name}` is the database beside a MindRecord file");
        let hint = format!("name the file itself: `{}`", name.trim_end_matches(".db"));
        return Some((message, Some(hint)));
    }
    if size == 0 && path.file_name()?.to_string_lossy().contains("record") {
        return Some((format!("`{name}` is empty"), None));
    }
    let is_packed = is_packed_mindrecord(path).unwrap_or(false);
    is_packed.then(|| {
        let message = format!("`{name}` is a MindRecord file that was compressed");
        (message, Some("unpack it with `gunzip`".to_owned()))
    })
}

/// Whether a file is the database that MindSpore writes beside a file of records.
fn is_database(path: &Path) -> bool {
    let is_named = path.extension().is_some_and(|ending| ending == "db");
    let records = path.with_extension("");
    is_named
        && matches!(
            recognize_records(&records),
            Ok(Some(RecordFormat::MindRecord))
        )
}

/// Names of the folders in a folder that holds no file.
pub(super) fn folders_alone(folder: &Path) -> Option<Vec<String>> {
    let found = list_folder(folder).ok()?;
    let is_all = found.iter().all(|path| path.is_dir());
    let names = found.iter().filter_map(|path| path.file_name()?.to_str());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    is_all.then_some(names)
}

/// Why a pattern may match nothing.
fn unmatched_hint(
    root: &Path,
    fixed: &str,
    pattern: &str,
    other_case: &[InputFile],
) -> Option<String> {
    let folder = fixed.trim_end_matches('/');
    if !folder.is_empty() && !root.join(folder).is_dir() {
        return Some(match near(root, folder) {
            Some(meant) => format!("did you mean the folder `{}`?", shown(&meant)),
            None => format!("the folder `{}` does not exist", shown(folder)),
        });
    }
    if let Some(file) = other_case.first() {
        let name = shown(&format!("{fixed}{}", file.name));
        return Some(format!("`{name}` differs only in upper and lower case"));
    }
    pattern.contains('[').then(|| {
        "`[...]` matches one of the characters in it: write `[[]` for the character `[`".to_owned()
    })
}
