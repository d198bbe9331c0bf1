//! Reading `[task]`.

use super::convert::{alternatives, did_you_mean};
use super::fault::Fault;
use super::schema::{TableFormat, Task, TaskName};
use super::section::Section;
use super::span::Located;
use super::student::{LARGEST, above_zero_to};

/// Reads `[task]`.
pub(super) fn read_task(task: &Section<'_>) -> Task {
    let name = read_name(task);
    let (default_labels, default_length) = match name.value {
        TaskName::Sst2 => (Some(["negative", "positive"]), 64),
        TaskName::Custom => (None, 128),
    };
    let train = task.required_string("train", "a table, or a glob of several");
    let dev = task.string("dev");
    let dev_fraction = task.float("dev-fraction", above_zero_to(0.5));
    check_dev(task);
    let format = task
        .choice_or(
            "format",
            &[
                ("auto", TableFormat::Auto),
                ("tsv", TableFormat::Tsv),
                ("csv", TableFormat::Csv),
            ],
            TableFormat::Auto,
        )
        .value;
    let column = |key, default: &str| {
        task.string(key)
            .unwrap_or_else(|| Located::default_value(default.to_owned()))
    };
    let text = column("text", "sentence");
    let pair = task.string("pair");
    let label = column("label", "label");
    if name.value == TaskName::Sst2 && pair.is_some() {
        let fault = Fault::new(
            "`sst-2` has one text a row, no `pair`",
            task.key_span("pair"),
        );
        task.unfit(fault.with_hint("use `name = \"custom\"`".to_owned()));
    }
    let labels = read_labels(task, name.value).or_else(|| {
        default_labels.map(|labels| Located::default_value(labels.map(str::to_owned).to_vec()))
    });
    let max_seq_length = task.integer_or("max-seq-length", 3..=LARGEST, default_length);
    task.finish();
    Task {
        name,
        train,
        dev,
        dev_fraction,
        format,
        text,
        pair,
        label,
        labels,
        max_seq_length,
    }
}

const NAMES: &[(&str, TaskName)] = &[("sst-2", TaskName::Sst2), ("custom", TaskName::Custom)];

fn read_name(task: &Section<'_>) -> Located<TaskName> {
    let expected = alternatives(NAMES.iter().map(|name| name.0));
    let word = task.required_string("name", &expected);
    if let Some((_, name)) = NAMES.iter().find(|(name, _)| *name == word.as_str()) {
        return word.map(|_| *name);
    }
    // An empty word is a fault that is already reported.
    if !word.is_empty() {
        let names: Vec<&str> = NAMES.iter().map(|name| name.0).collect();
        let fault = Fault::new(format!("unknown task `{}`", word.value), word.span.clone())
            .with_label(format!("expected {expected}"))
            .with_hint(did_you_mean(&word, &names));
        task.wrong("name", fault);
    }
    word.map(|_| TaskName::Custom)
}

/// Rows to score on: another table or a share of the first, one of the two.
fn check_dev(task: &Section<'_>) {
    if !task.is_present() || !task.sound(&["dev", "dev-fraction"]) {
        return;
    }
    match (task.has("dev"), task.has("dev-fraction")) {
        (true, true) => {
            let message = "`dev` and `dev-fraction` in `[task]` exclude each other";
            task.unfit(
                Fault::new(message, task.key_span("dev-fraction"))
                    .with_label("`dev` already says what to score on"),
            );
        }
        (false, false) => {
            let fault = Fault::new("`[task]` has nothing to score on", task.span());
            task.unfit(
                fault.with_label("needs `dev`, a table, or `dev-fraction`, a share of `train`"),
            );
        }
        _ => {}
    }
}

fn read_labels(task: &Section<'_>, name: TaskName) -> Option<Located<Vec<String>>> {
    let labels = task.strings("labels")?;
    for (index, label) in labels.iter().enumerate() {
        if labels[..index]
            .iter()
            .any(|earlier| earlier.value == label.value)
        {
            let message = format!("label `{}` is listed twice", label.value);
            task.wrong("labels", Fault::new(message, label.span.clone()));
        }
    }
    let fits = match name {
        TaskName::Sst2 => labels.len() == 2,
        TaskName::Custom => labels.len() >= 2,
    };
    if !fits {
        let expected = match name {
            TaskName::Sst2 => "expected two labels",
            TaskName::Custom => "expected at least two labels",
        };
        let message = format!("`labels` in `[task]` lists {}", labels.len());
        task.wrong(
            "labels",
            Fault::new(message, labels.span.clone()).with_label(expected),
        );
    }
    Some(labels.map(|list| list.into_iter().map(|label| label.value).collect()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MINIMAL, faults, read, read_with};

    #[test]
    fn sst2_brings_its_labels_and_its_length() {
        let task = read(&MINIMAL.replace("custom", "sst-2")).task;
        assert_eq!(task.labels.unwrap().value, ["negative", "positive"]);
        assert_eq!(*task.max_seq_length, 64);
        let task = read(MINIMAL).task;
        assert_eq!(task.labels, None);
        assert_eq!(*task.max_seq_length, 128);
    }

    #[test]
    fn a_dev_table_and_a_dev_fraction_exclude_each_other() {
        assert_eq!(
            faults(MINIMAL, &["task.dev-fraction=0.1"]),
            ["--set:1:6: `dev` and `dev-fraction` in `[task]` exclude each other"]
        );
        let neither = MINIMAL.replace("dev = \"dev.tsv\"", "");
        assert_eq!(
            faults(&neither, &[]),
            ["x.toml:2:1: `[task]` has nothing to score on"]
        );
        let fraction = read_with(&neither, &["task.dev-fraction=0.5"]).unwrap();
        assert_eq!(fraction.task.dev, None);
    }

    #[test]
    fn labels_are_at_least_two_and_all_different() {
        let labels = |list: &str| faults(MINIMAL, &[&format!("task.labels={list}")]);
        assert_eq!(
            labels(r#"["a"]"#),
            ["--set:1:13: `labels` in `[task]` lists 1"]
        );
        assert_eq!(
            labels(r#"["a", "b", "a"]"#),
            ["--set:1:24: label `a` is listed twice"]
        );
        assert_eq!(
            labels(r#"["a", 1]"#),
            ["--set:1:19: `labels` in `[task]` is a whole number"]
        );
        assert!(labels(r#"["a", "b", "c"]"#).is_empty());
    }

    #[test]
    fn sst2_has_two_labels_and_no_pairs() {
        let sst2 = MINIMAL.replace("custom", "sst-2");
        assert_eq!(
            faults(&sst2, &["task.pair=b", r#"task.labels=["a", "b", "c"]"#]),
            [
                "--set:1:6: `sst-2` has one text a row, no `pair`",
                "--set:1:13: `labels` in `[task]` lists 3",
            ]
        );
    }
}
