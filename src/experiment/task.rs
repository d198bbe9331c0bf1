//! Reading `[task]`.

use super::fault::Fault;
use super::schema::{TableFormat, Task, TaskName};
use super::section::Section;
use super::span::Located;
use super::student::{LARGEST, above_zero_to};

/// Reads `[task]`.
pub(super) fn read_task(task: &Section<'_>) -> Task {
    let name = task.required_choice(
        "name",
        &[("sst-2", TaskName::Sst2), ("custom", TaskName::Custom)],
    );
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
