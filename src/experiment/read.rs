//! From the text to an [`Experiment`].

use super::kind::Kinds;
use super::matrix::{Experiments, Overlay, Variant};
use super::settings::Settings;
use super::shared_faults::SharedFaults;
use super::top::{Experiment, Reading};
use super::{check, matrix};
use crate::document::node::{Node, Table, Value};
use crate::document::{Collector, Fault, Faults, Section, Sources, Span, node, overrides};

/// What can be seen of an experiment elsewhere than in its file.
pub trait Elsewhere {
    /// Faults such as files that are not there.
    fn faults(&self, experiment: &Experiment) -> Vec<Fault>;

    /// Keys that the file leaves out and that the data state, by path, with the place that named the data.
    fn stated(&self, experiment: &Experiment) -> Vec<Stated>;

    /// Keys that data would state that are not there, each with a value that they might: what is a
    /// fault without it only may be none.
    fn lost(&self, experiment: &Experiment) -> Vec<Stated>;
}

/// A key that the data state.
#[derive(Debug, Clone)]
pub struct Stated {
    /// Its path, such as `task` and `format`.
    pub path: Vec<String>,
    /// Its value.
    pub word: &'static str,
    /// Where the data are named.
    pub span: Span,
}

/// Nothing is seen elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct FileAlone;

impl Elsewhere for FileAlone {
    fn faults(&self, _: &Experiment) -> Vec<Fault> {
        Vec::new()
    }

    fn stated(&self, _: &Experiment) -> Vec<Stated> {
        Vec::new()
    }

    fn lost(&self, _: &Experiment) -> Vec<Stated> {
        Vec::new()
    }
}

impl Experiment {
    /// Reads an experiment file without a `[matrix]`; of one with it, the first experiment.
    ///
    /// # Errors
    ///
    /// As [`Experiments::read`].
    pub fn read(
        kinds: Kinds,
        file: &str,
        stem: &str,
        text: &str,
        overrides: &[String],
    ) -> Result<(Self, Sources), Faults> {
        let (mut all, sources) = Experiments::read(kinds, file, stem, text, overrides, &FileAlone)?;
        Ok((all.variants.swap_remove(0).experiment, sources))
    }
}

impl Experiments {
    /// Reads an experiment file.
    ///
    /// `kinds` are those that its stages may have, `file` names the file in messages, `stem` is the experiment's name where the file
    /// gives none, and each of `overrides` is a `key.path=value` that replaces what the
    /// file says. The [`Sources`] are what the spans in the experiments point into.
    ///
    /// Keys that the data state are added to the file's. Where the text has faults, those that can be
    /// seen `elsewhere`, such as files that are not there, are reported with them. Keys at fault
    /// hold their defaults then.
    ///
    /// # Errors
    ///
    /// Every fault of the text, together, and those seen elsewhere.
    pub fn read(
        kinds: Kinds,
        file: &str,
        stem: &str,
        text: &str,
        overrides: &[String],
        elsewhere: &dyn Elsewhere,
    ) -> Result<(Self, Sources), Faults> {
        let sources = Sources::new(file, text, overrides);
        let (mut table, syntax) = node::parse(text);
        let mut faults = Vec::new();
        for (index, argument) in overrides.iter().enumerate() {
            if let Err(found) = overrides::apply(index + 1, argument, &mut table) {
                faults.extend(found);
            }
        }
        let reading = Reading {
            stem: stem.to_owned(),
            kinds,
        };
        let (overlays, found) = matrix::expand(&mut table, &sources, kinds);
        if !syntax.is_empty() {
            faults.extend(faults_of_broken(&table, syntax, &reading, &sources));
            return Err(Faults::new(faults, sources));
        }
        faults.extend(found);
        let is_matrix = overlays.is_some();
        let overlays = overlays.unwrap_or_else(|| vec![Overlay::default()]);
        let mut name = String::new();
        let mut variants = Vec::new();
        let mut of_variants = SharedFaults::default();
        for overlay in overlays {
            let (experiment, mut found) = match overlay.apply(&table) {
                Ok(tree) => read_with_data(tree, &reading, elsewhere),
                Err(found) => {
                    of_variants.add(&overlay.name, found);
                    continue;
                }
            };
            if !found.is_empty() || !faults.is_empty() {
                found.extend(elsewhere.faults(&experiment));
            }
            of_variants.add(&overlay.name, found);
            name.clone_from(&experiment.name);
            variants.push(Variant::of(overlay, experiment));
        }
        faults.extend(of_variants.into_faults());
        if faults.is_empty() {
            let all = Self {
                name,
                is_matrix,
                variants,
            };
            Ok((all, sources))
        } else {
            Err(Faults::new(faults, sources))
        }
    }
}

/// Faults of a text that cannot be parsed as a whole: of its syntax, and of the keys on other lines.
fn faults_of_broken(
    table: &Table,
    syntax: Vec<Fault>,
    reading: &Reading,
    sources: &Sources,
) -> Vec<Fault> {
    let collector = Collector::default();
    read_top(&Section::top(table, &collector), reading);
    let (mut faults, _) = collector.into_faults();
    // What could be made out of a broken line, and what seems to be missing after it,
    // would be blamed on the wrong key.
    let broken: Vec<_> = syntax.iter().map(|fault| sources.line(fault)).collect();
    faults.retain(|fault| !broken.contains(&sources.line(fault)));
    faults.extend(syntax);
    faults
}

/// One experiment with what its data state, and what is wrong with it. What other keys mean depends on
/// that, and so it is read again.
fn read_with_data(
    mut tree: Table,
    reading: &Reading,
    elsewhere: &dyn Elsewhere,
) -> (Experiment, Vec<Fault>) {
    let (mut experiment, mut faults) = read_tree(&tree, reading);
    let stated = elsewhere.stated(&experiment);
    if !stated.is_empty() {
        insert(&mut tree, stated);
        (experiment, faults) = read_tree(&tree, reading);
    }
    if !faults.is_empty() {
        let lost = elsewhere.lost(&experiment);
        if !lost.is_empty() {
            insert(&mut tree, lost);
            let (_, otherwise) = read_tree(&tree, reading);
            faults.retain(|fault| otherwise.contains(fault));
        }
    }
    (experiment, faults)
}

/// Puts keys that the data state beside those of the file.
fn insert(tree: &mut Table, stated: Vec<Stated>) {
    for Stated { path, word, span } in stated {
        let path: Vec<_> = path.into_iter().map(|key| (key, span.clone())).collect();
        let value = Value::String(word.to_owned());
        // The table is there: it names the data.
        let _ = overrides::insert(tree, &path, Node { value, span });
    }
}

/// One experiment of a tree without faults of syntax, and what is wrong with it.
fn read_tree(tree: &Table, reading: &Reading) -> (Experiment, Vec<Fault>) {
    let collector = Collector::default();
    let experiment = read_top(&Section::top(tree, &collector), reading);
    let (mut found, unfit) = collector.into_faults();
    found.extend(unfit);
    (experiment, found)
}

fn read_top(top: &Section<'_>, reading: &Reading) -> Experiment {
    let experiment = Experiment::read_from(top, reading);
    // Taken out of the tree before; asked for here so that a misspelt one is told its name.
    let _ = top.section("matrix");
    top.finish();
    check_name(&experiment, top);
    check::check(&experiment, top.faults());
    experiment
}

/// The experiment's name is a folder's too.
fn check_name(found: &Experiment, top: &Section<'_>) {
    let name = found.name.as_str();
    let is_plain = |character: char| character.is_alphanumeric() || "._-/".contains(character);
    // Folders within folders: `study/first`, and the variants of a matrix.
    let mut parts = name.split('/');
    let first = parts.next().unwrap_or_default();
    let problem = if RESERVED_NAMES.contains(&first) {
        Some("is reserved by tinyrun in `runs/`")
    } else if name.len() > 100 {
        Some("is longer than 100 bytes")
    } else if !name.chars().all(is_plain) {
        Some("may contain only letters, digits, `.`, `_`, `-` and `/`")
    } else if !name
        .split('/')
        .all(|part| part.starts_with(char::is_alphanumeric))
    {
        Some("must start with a letter or digit in each of its parts")
    } else if parts.any(|part| matrix::is_taken(part, found.stages.kinds)) {
        Some("is the path of a file or stage of another experiment")
    } else {
        None
    };
    if let Some(problem) = problem
        && top.sound(&["name"])
    {
        let span = top.value_span("name");
        let hint = span.is_none().then(|| "set `name` in the file".to_owned());
        let fault = Fault::new(format!("experiment name `{name}` {problem}"), span);
        let fault = fault.with_label("it is the name of the results folder");
        top.wrong("name", fault.with_hint(hint));
    }
}

/// Folders of `runs/` that are not an experiment's.
const RESERVED_NAMES: &[&str] = &["store", "work"];

#[cfg(test)]
mod tests;
