//! From the text to an [`Experiment`].

use super::collector::Collector;
use super::fault::{Fault, Faults, Sources};
use super::schema::Experiment;
use super::section::Section;
use super::student::{read_student, read_teacher};
use super::task::read_task;
use super::{check, node, overrides, stages};
use crate::job::{Device, Precision};

impl Experiment {
    /// Reads an experiment file.
    ///
    /// `file` names the file in messages, `stem` is the experiment's name where the file
    /// gives none, and each of `overrides` is a `key.path=value` that replaces what the
    /// file says. The [`Sources`] are what the spans in the experiment point into.
    ///
    /// # Errors
    ///
    /// Every fault of the text, together.
    pub fn read(
        file: &str,
        stem: &str,
        text: &str,
        overrides: &[String],
    ) -> Result<(Self, Sources), Faults> {
        let sources = Sources::new(file, text, overrides);
        let (mut table, syntax) = node::parse(text);
        let mut faults = Vec::new();
        for (index, argument) in overrides.iter().enumerate() {
            if let Err(found) = overrides::apply(index + 1, argument, &mut table) {
                faults.extend(found);
            }
        }
        let collector = Collector::default();
        let experiment = read_top(&Section::top(&table, &collector), stem);
        let (written, unfit) = collector.into_faults();
        if syntax.is_empty() {
            faults.extend(written);
            faults.extend(unfit);
        } else {
            // What could be made out of a broken line, and what seems to be missing after it,
            // would be blamed on the wrong key.
            let broken: Vec<_> = syntax.iter().map(|fault| sources.line(fault)).collect();
            let elsewhere = written
                .into_iter()
                .filter(|fault| !broken.contains(&sources.line(fault)));
            faults.extend(elsewhere);
            faults.extend(syntax);
        }
        if faults.is_empty() {
            Ok((experiment, sources))
        } else {
            Err(Faults::new(faults, sources))
        }
    }
}

fn read_top(top: &Section<'_>, stem: &str) -> Experiment {
    let name = read_name(top, stem);
    let seed = top.integer_or("seed", 0.., 42).value;
    let device = read_device(top);
    let precision = top
        .choice_or("precision", PRECISIONS, Precision::Auto)
        .value;
    let threads = top.integer("threads", 1..=4096).map(|found| found.value);
    let task = read_task(&top.required_section("task"));
    let teacher = read_teacher(&top.required_section("teacher"));
    let student = read_student(&top.section_or_empty("student"));
    let (stages, headers) = stages::read(&top.section_or_empty("stages"));
    top.finish();
    let experiment = Experiment {
        name,
        seed,
        device,
        precision,
        threads,
        task,
        teacher,
        student,
        stages,
    };
    check::check(&experiment, &headers, top.faults());
    experiment
}

/// The experiment's name, which is a folder's too.
fn read_name(top: &Section<'_>, stem: &str) -> String {
    let written = top.string("name");
    let name = written.as_ref().map_or(stem, |name| name.as_str());
    let is_plain = |character: char| character.is_alphanumeric() || "._-".contains(character);
    let problem = if RESERVED_NAMES.contains(&name) {
        Some("is a folder of tinyrun's own in `runs/`")
    } else if name.len() > 100 {
        Some("is longer than 100 bytes")
    } else if !name.chars().all(is_plain) {
        Some("holds more than letters, digits, `.`, `_` and `-`")
    } else if !name.starts_with(char::is_alphanumeric) {
        Some("does not begin with a letter or digit")
    } else {
        None
    };
    if let Some(problem) = problem
        && top.sound(&["name"])
    {
        let span = written.as_ref().and_then(|name| name.span.clone());
        let hint = span
            .is_none()
            .then(|| "give a `name` in the file".to_owned());
        let fault = Fault::new(format!("the experiment's name `{name}` {problem}"), span);
        let fault = fault.with_label("results are kept in a folder of this name");
        top.wrong("name", fault.with_hint(hint));
    }
    name.to_owned()
}

/// Folders of `runs/` that are not an experiment's.
const RESERVED_NAMES: &[&str] = &["store", "work"];

const PRECISIONS: &[(&str, Precision)] = &[
    ("auto", Precision::Auto),
    ("fp32", Precision::Fp32),
    ("bf16", Precision::Bf16),
];

fn read_device(top: &Section<'_>) -> Device {
    let Some(word) = top.string("device") else {
        return Device::Auto;
    };
    let number = word.strip_prefix("cuda:").map(str::parse);
    match (word.as_str(), number) {
        ("auto", _) => Device::Auto,
        ("cpu", _) => Device::Cpu,
        ("cuda", _) => Device::Cuda(0),
        (_, Some(Ok(index))) => Device::Cuda(index),
        _ => {
            let message = format!("`device` cannot be `{}`", word.value);
            let fault = Fault::new(message, word.span.clone());
            let label = "expected `auto`, `cpu`, `cuda` or `cuda:N`";
            top.wrong("device", fault.with_label(label));
            Device::Auto
        }
    }
}
