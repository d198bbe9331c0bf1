//! `[task]`: the labelled data.

use toml::Value;

use crate::data::table::is_delimiter;
use crate::input::excerpt;

use super::glue::{self, GlueTask};
use super::records::check_records;
use super::schema::{Escape, Quoting, Recipe, TaskFormat, TaskName};
use super::setting::{At, LARGEST, Setting, above_zero_to, listed};
use super::settings::{key, settings};
use crate::document::{Fault, Located, Section, alternatives, did_you_mean};
use crate::job::Metric;

settings! {
    /// `[task]`: the labelled data.
    pub struct Task(task, recipe: Recipe) titled "Task data" checked by check_task {
        /// GLUE task, which sets columns, classes and defaults, or `custom` for your own tables.
        counts name: Located<TaskName> = key("name").required(alternatives(task_names()));
        /// Training table, or several tables with the same columns; for records a file, a glob or a
        /// folder.
        // Its files are inputs, like those of the next two.
        recorded train: Located<String> =
            key("train").required("a table, or a glob of several").kind_text("path or glob");
        /// Dev table, used for scoring; for records a file, a glob or a folder.
        recorded dev: Option<Located<String>> =
            key("dev")
                .kind_text("path or glob")
                .default_text("none; `dev` or `dev-fraction` is required");
        /// MNLI's mismatched dev table, scored as a separate split.
        recorded dev_mismatched: Option<Located<String>> =
            key("dev-mismatched")
                .kind_text("path or glob")
                .range_text("`mnli` only");
        /// Fraction of `train` to hold out as dev split, selected by a hash of the text.
        counts dev_fraction: Option<Located<f64>> =
            key("dev-fraction")
                .range(above_zero_to(0.5))
                .default_text("none; `dev` or `dev-fraction` is required");
        /// Text of the task without labels, which `td-phase1` and `td-phase2` learn from beside
        /// `train`: tables (`.csv`, `.tsv`, `.tab`, `.json`, `.jsonl`, `.ndjson`) with the column
        /// `text`, other files with a text per line. Texts that are in dev, in `train` or repeated
        /// are omitted.
        // Its files are inputs.
        recorded unlabelled: Option<Located<Vec<Located<String>>>> =
            key("unlabelled").range_text("paths and globs").default_text("none");
        /// Predictions of a teacher for the texts of `train`: a table or JSON lines with the task's
        /// text columns and the probability of each class, a class or a value, as `tinyrun predict
        /// --keep-columns` writes. `td-phase2` learns from them and needs no teacher model.
        // Its files are inputs.
        recorded teacher_predictions: Option<Located<String>> =
            key("teacher-predictions").kind_text("path or glob").default_text("none");
        /// Table format; `auto` is CSV for files ending in `.csv`, else TSV without quoting, and
        /// detects other delimiters. `tsv` detects nothing. Records (`tfrecord`, `mindrecord`) hold
        /// token ids; `auto` detects them by the first training file.
        counts format: TaskFormat = key("format"), default TaskFormat::Auto;
        /// Schema of TFRecord data (MindSpore's JSON): number of rows to read of each split, and
        /// columns with type and shape, which are checked.
        // It is an input.
        recorded schema: Option<Located<String>> =
            key("schema").kind_text("path").range_text("`tfrecord` only").default_text("none");
        /// Character between fields; `auto` detects comma, tab, semicolon, vertical bar and Excel's
        /// `sep=` line.
        counts delimiter: Option<char> = key("delimiter").or_word("auto"), default None, written if Task::is_table;
        /// Whether double quotes enclose a field that may contain delimiters and line breaks;
        /// `auto` is yes in CSV, and in TSV only if its rows need it.
        counts quoting: Quoting = key("quoting").unless(Quoting::Auto), default Quoting::Auto, written if Task::is_table;
        /// How a quote within a quoted field is written: twice (RFC 4180) or after a backslash;
        /// `auto` detects it.
        counts escape: Escape = key("escape").unless(Escape::Auto), default Escape::Auto, written if Task::is_table;
        /// Column with the text.
        counts text: Located<String> =
            key("text")
                .range_text("column name")
                .default_text("`\"sentence\"`; GLUE's column for its tasks"),
            default name.glue().map_or("sentence", |task| task.text).to_owned(),
            written if Task::is_table;
        /// Column with the second text of a pair.
        counts pair: Option<Located<String>> =
            key("pair")
                .range_text("column name")
                .default_text("none; GLUE's column for its pair tasks"),
            default name.glue().and_then(|task| task.pair).map(str::to_owned),
            written if Task::is_table;
        /// Column with the label.
        counts label: Located<String> =
            key("label")
                .range_text("column name")
                .default_text("`\"label\"`; GLUE's column for its tasks"),
            default name.glue().map_or("label", |task| task.label).to_owned(),
            written if Task::is_table;
        /// Treat labels as real values (regression) instead of classes.
        counts regression: bool =
            key("regression").default_text("`true` for `sts-b`, else `false`"),
            default name.glue().is_some_and(|task| task.regression);
        /// Class names, in the order of the classifier's outputs.
        counts labels: Option<Located<Vec<String>>> =
            key("labels")
                .range_text("at least 2, all different")
                .default_text(
                    "GLUE's names, such as `[\"negative\", \"positive\"]` for `sst-2`; \
                     for `custom`, the sorted distinct labels of `train`",
                ),
            default name.glue().filter(|task| !task.regression).map(GlueTask::label_names);
        /// Maximum input length, including special tokens; longer inputs are truncated, longer
        /// records are an error.
        counts max_seq_length: Option<Located<usize>> =
            key("max-seq-length")
                .range(3..=LARGEST)
                .range_text("tokens; 3 to the models' `max-position-embeddings`")
                .default_text(
                    "64 for `sst-2` and `cola`, else 128; for records the length of the longest",
                ),
            default format.records().is_none().then(|| recipe.max_seq_length(*name));
    }
}

impl Task {
    /// Whether its data are tables, and not records.
    pub fn is_table(&self) -> bool {
        self.format.records().is_none()
    }

    /// The files of unlabelled text, as they are written.
    pub fn unlabelled_files(&self) -> &[Located<String>] {
        self.unlabelled.as_deref().map_or(&[], Vec::as_slice)
    }

    /// The score that the best model is chosen by.
    pub fn metric(&self) -> Metric {
        match *self.name {
            TaskName::Glue(task) => task.metric,
            TaskName::Custom if self.regression => Metric::Correlation,
            TaskName::Custom => Metric::Accuracy,
        }
    }
}

fn task_names() -> impl Iterator<Item = &'static str> {
    let glue = glue::TASKS.into_iter().map(|task| task.name);
    glue.chain([TaskName::Custom.as_str()])
}

/// A task of GLUE or `custom`, which stands for an unknown one too.
impl Setting for TaskName {
    type Limit = ();

    fn read(at: &At<'_, ()>) -> Option<Located<Self>> {
        let (section, key) = (at.section, at.key);
        let word = section.string(key)?;
        let task = glue::TASKS.into_iter().find(|task| task.name == *word);
        let custom = Self::Custom.as_str();
        if task.is_none() && word.as_str() != custom {
            let names: Vec<&str> = task_names().collect();
            let message = format!("unknown task `{}`", word.value);
            let fault = Fault::new(message, word.span.clone())
                .with_label(format!("expected {}", alternatives(task_names())))
                .with_hint(did_you_mean(&word, &names));
            section.wrong(key, fault);
        }
        Some(word.map(|_| task.map_or(Self::Custom, Self::Glue)))
    }

    fn value(&self) -> Value {
        self.as_str().into()
    }

    fn kind((): &()) -> String {
        listed(task_names())
    }
}

/// One character, or `auto`, which reads as none.
impl Setting for char {
    type Limit = ();

    fn read(at: &At<'_, ()>) -> Option<Located<Self>> {
        let (section, key) = (at.section, at.key);
        let word = section.string(key)?;
        let mut letters = word.chars();
        let only = letters.next().filter(|_| letters.next().is_none());
        match only {
            Some(only) if u8::try_from(only).is_ok_and(is_delimiter) => Some(word.map(|_| only)),
            _ if word.as_str() == "auto" => None,
            _ => {
                let message = format!("{} must be one character", section.name(key));
                let fault = Fault::new(message, word.span.clone());
                section.wrong(
                    key,
                    fault.with_label(
                        "expected `auto` or a character, for example `,`, `;`, `|` or `\\t`",
                    ),
                );
                None
            }
        }
    }

    fn value(&self) -> Value {
        self.to_string().into()
    }

    fn kind((): &()) -> String {
        "string".to_owned()
    }

    fn range((): &()) -> String {
        "one character".to_owned()
    }
}

fn check_task(found: &Task, task: &Section<'_>) {
    let glue = found.name.glue();
    if found.dev_mismatched.is_some() && glue.is_none_or(|glue| glue.name != "mnli") {
        let message = "`dev-mismatched` in `[task]` is for `mnli` only";
        task.unfit(Fault::new(message, task.key_span("dev-mismatched")));
    }
    check_dev(task);
    check_records(found.format, task);
    if found.format.records().is_none() {
        check_columns(found, task);
    }
    if let Some(glue) = glue
        && glue.pair.is_none()
        && found.pair.is_some()
    {
        let message = format!(
            "`{}` has one text per row, `pair` does not apply",
            glue.name
        );
        let fault = Fault::new(message, task.key_span("pair"));
        task.unfit(fault.with_hint("use `name = \"custom\"`".to_owned()));
    }
    if let Some(glue) = glue.filter(|glue| glue.regression != found.regression) {
        let is = if glue.regression {
            "a regression task"
        } else {
            "a classification task"
        };
        let message = format!("`{}` is {is}", glue.name);
        task.unfit(Fault::new(message, task.value_span("regression")));
    }
    if found.regression && task.has("labels") {
        let message = "a regression task has no `labels`";
        task.unfit(Fault::new(message, task.key_span("labels")));
    }
    if let Some(labels) = found.labels.as_ref().filter(|list| list.span.is_some()) {
        check_labels(labels, *found.name, task);
    }
}

/// Text, pair and label are three columns.
fn check_columns(found: &Task, task: &Section<'_>) {
    let Task {
        text, pair, label, ..
    } = found;
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

fn check_labels(labels: &Located<Vec<String>>, name: TaskName, task: &Section<'_>) {
    for (index, label) in labels.iter().enumerate() {
        if labels[..index].contains(label) {
            let message = format!("label `{label}` is listed twice");
            task.wrong(
                "labels",
                Fault::new(message, task.item_span("labels", index)),
            );
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
    if let TaskName::Glue(glue) = name {
        let is_known = |label: &String| glue.labels.contains(&label.as_str());
        let unknown = labels.iter().position(|label| !is_known(label));
        if let Some(unknown) = unknown.filter(|_| labels.iter().any(is_known)) {
            let message = format!("`{}` is not a class of `{}`", labels[unknown], glue.name);
            let all = alternatives(glue.labels.iter().copied());
            let fault = Fault::new(message, task.item_span("labels", unknown));
            let label = format!("{all}, in the model's order, or other names for all");
            task.wrong("labels", fault.with_label(label));
        }
    }
    if !fits {
        let message = format!("`labels` in `[task]` lists {}", labels.len());
        let fault = Fault::new(message, labels.span.clone());
        task.wrong("labels", fault.with_label(expected));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MINIMAL, faults, read, read_with};

    #[test]
    fn sst2_brings_its_labels_and_its_length() {
        let task = read(&MINIMAL.replace("custom", "sst-2")).task;
        assert_eq!(task.labels.unwrap().value, ["negative", "positive"]);
        assert_eq!(*task.max_seq_length.unwrap(), 64);
        let task = read(MINIMAL).task;
        assert_eq!(task.labels, None);
        assert_eq!(*task.max_seq_length.unwrap(), 128);
    }

    #[test]
    fn every_task_of_glue_brings_its_columns_labels_and_length() {
        let task = |name: &str| read(&MINIMAL.replace("custom", name)).task;
        let mnli = task("mnli");
        assert_eq!(mnli.pair.unwrap().value, "sentence2");
        assert_eq!(mnli.label.value, "gold_label");
        let labels = mnli.labels.unwrap().value;
        assert_eq!(labels, ["contradiction", "entailment", "neutral"]);
        assert_eq!(*mnli.max_seq_length.unwrap(), 128);
        let cola = task("cola");
        assert_eq!((cola.text.value.as_str(), cola.pair), ("sentence", None));
        assert_eq!(*cola.max_seq_length.unwrap(), 64);
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
