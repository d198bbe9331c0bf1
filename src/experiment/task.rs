//! Reading `[task]`.

use crate::data::table::is_delimiter;
use crate::input::excerpt;

use super::glue;
use super::schema::{Escape, Quoting, Recipe, TableFormat, Task, TaskName};
use super::student::{LARGEST, above_zero_to};
use crate::document::{Fault, Located, Section, alternatives, did_you_mean};

/// Reads `[task]`.
pub(super) fn read_task(task: &Section<'_>, recipe: Recipe) -> Task {
    let name = read_name(task);
    let glue = match name.value {
        TaskName::Glue(task) => Some(task),
        TaskName::Custom => None,
    };
    let train = task.required_string("train", "a table, or a glob of several");
    let dev = task.string("dev");
    let dev_mismatched = task.string("dev-mismatched");
    if dev_mismatched.is_some() && glue.is_none_or(|glue| glue.name != "mnli") {
        let message = "`dev-mismatched` in `[task]` is for `mnli` only";
        task.unfit(Fault::new(message, task.key_span("dev-mismatched")));
    }
    let dev_fraction = task.float("dev-fraction", above_zero_to(0.5));
    check_dev(task);
    let format = task.word_or("format", TableFormat::Auto);
    let delimiter = read_delimiter(task);
    let quoting = task.word_or("quoting", Quoting::Auto);
    let escape = task.word_or("escape", Escape::Auto);
    let column = |key, default: &str| {
        task.string(key)
            .unwrap_or_else(|| Located::default_value(default.to_owned()))
    };
    let text = column("text", glue.map_or("sentence", |task| task.text));
    let default_pair = glue.and_then(|task| task.pair);
    let pair = task.string("pair").or_else(|| {
        let pair = default_pair?.to_owned();
        Some(Located::default_value(pair))
    });
    let label = column("label", glue.map_or("label", |task| task.label));
    check_columns(task, &text, pair.as_ref(), &label);
    if let Some(glue) = glue
        && default_pair.is_none()
        && pair.is_some()
    {
        let message = format!(
            "`{}` has one text per row, `pair` does not apply",
            glue.name
        );
        let fault = Fault::new(message, task.key_span("pair"));
        task.unfit(fault.with_hint("use `name = \"custom\"`".to_owned()));
    }
    let regression = task.boolean_or("regression", glue.is_some_and(|glue| glue.regression));
    if let Some(glue) = glue.filter(|glue| glue.regression != regression.value) {
        let is = if glue.regression {
            "a regression task"
        } else {
            "a classification task"
        };
        let message = format!("`{}` is {is}", glue.name);
        task.unfit(Fault::new(message, regression.span.clone()));
    }
    if regression.value && task.has("labels") {
        let message = "a regression task has no `labels`";
        task.unfit(Fault::new(message, task.key_span("labels")));
    }
    let labels = read_labels(task, name.value).or_else(|| {
        let labels = glue
            .filter(|glue| !glue.regression)?
            .labels
            .iter()
            .map(|&label| label.to_owned());
        Some(Located::default_value(labels.collect()))
    });
    let max_seq_length = task.integer_or(
        "max-seq-length",
        3..=LARGEST,
        recipe.max_seq_length(name.value),
    );
    task.finish();
    Task {
        name,
        train,
        dev,
        dev_mismatched,
        dev_fraction,
        format,
        delimiter,
        quoting,
        escape,
        text,
        pair,
        label,
        regression: regression.value,
        labels,
        max_seq_length,
    }
}

/// One character, or `auto`.
fn read_delimiter(task: &Section<'_>) -> Option<char> {
    let word = task.string("delimiter")?;
    let mut letters = word.chars();
    let only = letters.next().filter(|_| letters.next().is_none());
    match only {
        Some(only) if u8::try_from(only).is_ok_and(is_delimiter) => Some(only),
        _ if word.as_str() == "auto" => None,
        _ => {
            let message = "`delimiter` in `[task]` must be one character";
            let fault = Fault::new(message, word.span.clone());
            task.wrong(
                "delimiter",
                fault.with_label(
                    "expected `auto` or a character, for example `,`, `;`, `|` or `\\t`",
                ),
            );
            None
        }
    }
}

/// Text, pair and label are three columns.
fn check_columns(
    task: &Section<'_>,
    text: &Located<String>,
    pair: Option<&Located<String>>,
    label: &Located<String>,
) {
    let same = |key: &'static str, other: &str, name: &str| {
        let message = format!(
            "`{key}` and `{other}` in `[task]` are the same column `{}`",
            excerpt(name)
        );
        task.unfit(Fault::new(
            message,
            task.key_span(key).or_else(|| task.span()),
        ));
    };
    if text.trim() == label.trim() {
        same("label", "text", label);
    }
    if let Some(pair) = pair {
        if pair.trim() == label.trim() {
            same("label", "pair", label);
        } else if pair.trim() == text.trim() {
            same("pair", "text", pair);
        }
    }
}

fn read_name(task: &Section<'_>) -> Located<TaskName> {
    let names: Vec<TaskName> = glue::TASKS
        .into_iter()
        .map(TaskName::Glue)
        .chain([TaskName::Custom])
        .collect();
    let expected = alternatives(names.iter().map(TaskName::as_str));
    let word = task.required_string("name", &expected);
    if let Some(name) = names.iter().find(|name| name.as_str() == word.as_str()) {
        return word.map(|_| *name);
    }
    // An empty word is a fault that is already reported.
    if !word.is_empty() {
        let names: Vec<&str> = names.iter().map(TaskName::as_str).collect();
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
            let message = "`dev` and `dev-fraction` in `[task]` cannot be combined";
            task.unfit(
                Fault::new(message, task.key_span("dev-fraction"))
                    .with_label("`dev` already sets the dev split"),
            );
        }
        (false, false) => {
            let fault = Fault::new("`[task]` has no dev split", task.span());
            task.unfit(
                fault.with_label("needs `dev`, a table, or `dev-fraction`, a fraction of `train`"),
            );
        }
        _ => {}
    }
}

fn read_labels(section: &Section<'_>, name: TaskName) -> Option<Located<Vec<String>>> {
    let labels = section.strings("labels")?;
    for (index, label) in labels.iter().enumerate() {
        if labels[..index]
            .iter()
            .any(|earlier| earlier.value == label.value)
        {
            let message = format!("label `{}` is listed twice", label.value);
            section.wrong("labels", Fault::new(message, label.span.clone()));
        }
    }
    let (fits, expected) = match name {
        TaskName::Glue(task) if task.regression => (true, String::new()),
        TaskName::Glue(task) => (
            labels.len() == task.labels.len(),
            format!("expected {} labels", task.labels.len()),
        ),
        TaskName::Custom => (labels.len() >= 2, "expected at least two labels".to_owned()),
    };
    if let TaskName::Glue(task) = name {
        let known = |label: &Located<String>| task.labels.contains(&label.value.as_str());
        let unknown = labels.iter().find(|label| !known(label));
        if let Some(unknown) = unknown.filter(|_| labels.iter().any(known)) {
            let message = format!("`{}` is not a class of `{}`", unknown.value, task.name);
            let all = alternatives(task.labels.iter().copied());
            let fault = Fault::new(message, unknown.span.clone()).with_label(format!(
                "{all}, in the model's order, or other names for all"
            ));
            section.wrong("labels", fault);
        }
    }
    if !fits {
        let message = format!("`labels` in `[task]` lists {}", labels.len());
        section.wrong(
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
    fn every_task_of_glue_brings_its_columns_labels_and_length() {
        let task = |name: &str| read(&MINIMAL.replace("custom", name)).task;
        let mnli = task("mnli");
        assert_eq!(mnli.pair.unwrap().value, "sentence2");
        assert_eq!(mnli.label.value, "gold_label");
        let labels = mnli.labels.unwrap().value;
        assert_eq!(labels, ["contradiction", "entailment", "neutral"]);
        assert_eq!(*mnli.max_seq_length, 128);
        let cola = task("cola");
        assert_eq!((cola.text.value.as_str(), cola.pair), ("sentence", None));
        assert_eq!(*cola.max_seq_length, 64);
        assert_eq!(task("mrpc").text.value, "#1 String");
        assert_eq!(
            task("rte").labels.unwrap().value,
            ["entailment", "not_entailment"]
        );
    }

    #[test]
    fn labels_of_a_task_of_glue_are_its_own_in_an_order_or_others_for_all() {
        let sst2 = MINIMAL.replace("custom", "sst-2");
        let labels = |list: &str| faults(&sst2, &[&format!("task.labels={list}")]);
        assert!(labels(r#"["positive", "negative"]"#).is_empty());
        assert!(labels(r#"["bad", "good"]"#).is_empty());
        assert_eq!(
            labels(r#"["positive", "neg"]"#),
            ["--set:1:26: `neg` is not a class of `sst-2`"]
        );
    }

    #[test]
    fn a_regression_has_values_and_no_labels() {
        let task = read(&MINIMAL.replace("custom", "sts-b")).task;
        assert!(task.regression && task.labels.is_none());
        assert!(
            read_with(MINIMAL, &["task.regression=true"])
                .unwrap()
                .task
                .regression
        );
        assert_eq!(
            faults(
                MINIMAL,
                &["task.regression=true", r#"task.labels=["a", "b"]"#]
            ),
            ["--set:1:6: a regression task has no `labels`"]
        );
        let sst2 = MINIMAL.replace("custom", "sst-2");
        assert_eq!(
            faults(&sst2, &["task.regression=true"]),
            ["--set:1:17: `sst-2` is a classification task"]
        );
    }

    #[test]
    fn a_dev_table_and_a_dev_fraction_exclude_each_other() {
        assert_eq!(
            faults(MINIMAL, &["task.dev-fraction=0.1"]),
            ["--set:1:6: `dev` and `dev-fraction` in `[task]` cannot be combined"]
        );
        let neither = MINIMAL.replace("dev = \"dev.tsv\"", "");
        assert_eq!(
            faults(&neither, &[]),
            ["x.toml:2:1: `[task]` has no dev split"]
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
            ["--set:1:19: `labels` in `[task]` is an integer"]
        );
        assert!(labels(r#"["a", "b", "c"]"#).is_empty());
    }

    #[test]
    fn sst2_has_two_labels_and_no_pairs() {
        let sst2 = MINIMAL.replace("custom", "sst-2");
        assert_eq!(
            faults(&sst2, &["task.pair=b", r#"task.labels=["a", "b", "c"]"#]),
            [
                "--set:1:6: `sst-2` has one text per row, `pair` does not apply",
                "--set:1:13: `labels` in `[task]` lists 3",
            ]
        );
    }
}
