//! Finds files of records, which a folder may hold, and the format of data that the experiment does not
//! name.

use std::path::{Path, PathBuf};

use super::find::{Finder, folders_alone};
use super::inputs::InputFile;
use crate::data::{RecordFormat, recognize_records};
use crate::document::{Fault, Located};
use crate::experiment::{Corpus, CorpusFormat, Experiment, Stated, TaskFormat};
use crate::input::excerpt_path;
use crate::runs::Layout;
use crate::system::{list_folder, reason};

impl Finder<'_> {
    /// Files of records, in the order of the patterns and then by name.
    pub(super) fn record_files(
        &mut self,
        patterns: &[Located<String>],
        format: RecordFormat,
    ) -> Vec<InputFile> {
        self.files(patterns, |finder, pattern| {
            finder.records_of(pattern, format)
        })
    }

    fn records_of(&mut self, pattern: &Located<String>, format: RecordFormat) -> Vec<InputFile> {
        let path = self.layout.root().join(&**pattern);
        if !path.is_dir() {
            let mut files = self.expand(pattern);
            // A pattern for the files of a data set matches the databases beside them.
            if files.len() > 1 {
                files.retain(|file| !is_beside(&file.path));
            }
            return files;
        }
        let found = match folder(&path) {
            Ok(found) => found,
            Err(error) => {
                let message = format!("cannot list `{}`: {}", excerpt_path(&path), reason(&error));
                self.faults.push(Fault::new(message, pattern.span.clone()));
                return Vec::new();
            }
        };
        if found.is_empty() {
            let message = format!(
                "the folder `{}` has no file of records",
                excerpt_path(&path)
            );
            let hint = folders_alone(&path).and_then(|names| {
                let inner = excerpt_path(&Path::new(&**pattern).join(names.first()?));
                Some(format!(
                    "it holds folders only: name one, such as `{inner}`"
                ))
            });
            let fault = Fault::new(message, pattern.span.clone()).with_hint(hint);
            let name = format.name();
            self.faults
                .push(fault.with_label(format!("expected {name} files")));
        }
        let files = found.into_iter().filter_map(|path| {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                let message = format!("the name of `{}` is not valid UTF-8", excerpt_path(&path));
                self.faults.push(Fault::new(message, pattern.span.clone()));
                return None;
            };
            let name = name.to_owned();
            Some(InputFile { name, path })
        });
        files.collect()
    }
}

/// The files of records in a folder, by name. As MindSpore's scripts do, those whose names contain
/// `record`; where none does, all but hidden ones. Databases and schemas are never among them.
fn folder(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = list_folder(path)?;
    files.retain(|path| path.is_file() && !is_beside(path));
    let name = |path: &Path| path.file_name().unwrap_or_default().to_owned();
    let is_named = |path: &PathBuf| name(path).to_string_lossy().contains("record");
    if files.iter().any(is_named) {
        files.retain(is_named);
    } else {
        files.retain(|path| {
            let name = name(path);
            !matches!(name.as_encoded_bytes().first(), Some(b'.' | b'_'))
        });
    }
    files.sort_by_key(|path| name(path));
    Ok(files)
}

/// Whether a file is a database or a schema, which lie beside records.
fn is_beside(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending == "db" || ending == "json")
}

/// The formats of records that data turn out to have where the file names none: of the task, and of each
/// corpus.
pub(super) fn stated_formats(experiment: &Experiment, layout: &Layout) -> Vec<Stated> {
    formats(experiment, |patterns| format_of(patterns, layout))
}

/// Formats that data may have that are not there, which are tables or text as far as the file says.
pub(super) fn lost_formats(experiment: &Experiment, layout: &Layout) -> Vec<Stated> {
    formats(experiment, |patterns| {
        let mut finder = Finder::new(layout);
        let found = finder.record_files(patterns, RecordFormat::TfRecord);
        found.is_empty().then_some("tfrecord")
    })
}

/// The formats of the data whose format the file does not name.
fn formats(
    experiment: &Experiment,
    format_of: impl Fn(&[Located<String>]) -> Option<&'static str>,
) -> Vec<Stated> {
    let mut found = Vec::new();
    let mut state = |path: &[&str], patterns: &[Located<String>]| {
        let named = patterns.iter().find_map(|pattern| pattern.span.clone());
        if let Some(span) = named
            && let Some(word) = format_of(patterns)
        {
            let path = path.iter().map(|&key| key.to_owned()).collect();
            found.push(Stated { path, word, span });
        }
    };
    if experiment.task.format == TaskFormat::Auto {
        let train = std::slice::from_ref(&experiment.task.train);
        state(&["task", "format"], train);
    }
    for (stage, corpus) in experiment.stages.with::<Corpus>() {
        if corpus.format == CorpusFormat::Auto {
            let path = ["stages", stage.name.as_str(), "corpus-format"];
            state(&path, &corpus.files);
        }
    }
    found
}

/// The format of the first file that is not empty, if it is one of records. What is wrong with the
/// patterns is reported when their files are found.
fn format_of(patterns: &[Located<String>], layout: &Layout) -> Option<&'static str> {
    let mut finder = Finder::new(layout);
    let files = finder.record_files(patterns, RecordFormat::TfRecord);
    let is_filled = |file: &&InputFile| file.path.metadata().is_ok_and(|it| it.len() > 0);
    let first = files.iter().find(is_filled)?;
    Some(match recognize_records(&first.path).ok()?? {
        RecordFormat::TfRecord => "tfrecord",
        RecordFormat::MindRecord => "mindrecord",
    })
}
