//! The last line of a stage: what came out of it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Style;
use super::amounts::{count, counted, duration};
use crate::input::excerpt;
use crate::runs::{Prepared, Record};

/// More classes than this are told by their number.
const LABELS: usize = 5;

/// Its time, and its steps, examples or scores. `total_steps` are those that it would have trained.
pub(super) fn finished_line(record: &Record, total_steps: Option<u64>, style: Style) -> String {
    let time = duration(Duration::from_secs_f64(record.seconds.max(0.0)));
    let summary = &record.summary;
    let mut parts: Vec<String> = Vec::new();
    parts.extend(summary.prepared.as_ref().map(prepared));
    if summary.scored.is_empty() {
        parts.extend(summary.steps.map(|steps| match total_steps {
            Some(total) if steps < total => {
                format!("stopped early at step {} of {}", count(steps), count(total))
            }
            _ => counted(steps, "step"),
        }));
    }
    if !summary.scores.is_empty() {
        parts.push(format!("{} on dev", scores_text(&summary.scores)));
    }
    let colon = if parts.is_empty() { "" } else { ": " };
    let done = style.good("done");
    format!("{done} in {time}{colon}{}", parts.join(", "))
}

/// Scores by their metric.
pub(super) fn scores_text(scores: &BTreeMap<String, f64>) -> String {
    let scores = scores.iter();
    let scores: Vec<String> = scores
        .map(|(metric, value)| format!("{metric} {value:.4}"))
        .collect();
    scores.join(", ")
}

/// How much came out of a preparation, and what a user should look at.
fn prepared(counts: &Prepared) -> String {
    let mut parts = Vec::new();
    for (name, examples) in &counts.examples {
        // A corpus has one store, whose name says nothing.
        let name = match counts.examples.len() {
            1 => String::new(),
            _ => format!("{name} "),
        };
        parts.push(format!("{name}{}", counted(*examples, "example")));
    }
    match counts.labels.as_slice() {
        [] => {}
        few if few.len() <= LABELS => {
            let few: Vec<String> = few.iter().map(|label| excerpt(label)).collect();
            parts.push(format!("classes {}", few.join(", ")));
        }
        many => parts.push(format!("{} classes", many.len())),
    }
    parts.push(format!("{} tokens", count(counts.tokens)));
    let examples: u64 = counts.examples.iter().map(|(_, examples)| examples).sum();
    let percent = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
    if counts.truncated > 0 {
        let share = percent(counts.truncated, examples);
        parts.push(format!("{share:.1} % truncated"));
    }
    if counts.unknown > 0 {
        let share = percent(counts.unknown, counts.tokens);
        parts.push(format!("{share:.2} % unknown tokens"));
    }
    if counts.blank > 0 {
        parts.push(format!("{} blank rows skipped", count(counts.blank)));
    }
    if counts.train_texts_in_dev > 0 {
        let rows = count(counts.train_texts_in_dev);
        parts.push(format!("{rows} training texts also in dev"));
    }
    if counts.unlabelled_left_out > 0 {
        let texts = count(counts.unlabelled_left_out);
        parts.push(format!("{texts} unlabelled texts omitted"));
    }
    parts.join(", ")
}
