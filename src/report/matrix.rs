//! The experiments of a matrix: a heading for each, and the table at the end.

use std::fmt::Write as _;
use std::time::Duration;

use super::Style;
use super::amounts::{counted, duration};
use super::table::aligned;
use crate::experiment::Experiments;
use crate::runs::Layout;
use crate::stage::{MatrixResults, VariantScore};

/// What stands above the lines of one experiment: `[3/24] no-attention.seed-1`.
pub fn matrix_heading(place: usize, of: usize, name: &str, style: Style) -> String {
    let number = style.faint(format!("[{}/{of}]", place + 1));
    format!("{number} {}\n", style.strong(name))
}

/// The closing table: the student's scores, or the teacher's where no student is scored, a
/// line a variant, means and standard deviations over the experiments that differ in their
/// seed.
pub fn matrix_summary(
    experiments: &Experiments,
    results: &MatrixResults<'_>,
    ran: usize,
    elapsed: Duration,
    layout: &Layout,
    style: Style,
) -> String {
    let mut text = String::new();
    let all = counted(experiments.variants.len() as u64, "experiment");
    let headline = match ran {
        0 => format!("nothing to do, {all} up to date"),
        ran => {
            let stages = counted(ran as u64, "stage");
            format!("{all}, {stages} run in {}", duration(elapsed))
        }
    };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", style.strong(format!("tinyrun: {headline}")));
    if results.is_empty() {
        return text;
    }
    let scores = results.scores();
    let has_student = scores.iter().any(|score| score.model == "student");
    let model = if has_student { "student" } else { "teacher" };
    let mut splits: Vec<&str> = Vec::new();
    for score in &scores {
        if !splits.contains(&score.split.as_str()) {
            splits.push(&score.split);
        }
    }
    for split in splits {
        let shown: Vec<&VariantScore> = scores
            .iter()
            .filter(|score| score.model == model && score.split == split)
            .collect();
        text.push_str(&table(
            &format!("{model} on {split}"),
            &experiments.name,
            &shown,
            style,
        ));
    }
    let results = layout.matrix_summary(&experiments.name);
    let _ = writeln!(text, "  results  {}", results.display());
    text
}

/// Scores as columns, variants as lines.
fn table(title: &str, name: &str, scores: &[&VariantScore], style: Style) -> String {
    let mut metrics: Vec<&str> = Vec::new();
    let mut groups: Vec<&str> = Vec::new();
    for score in scores {
        if !metrics.contains(&score.metric.as_str()) {
            metrics.push(&score.metric);
        }
        if !groups.contains(&score.group.as_str()) {
            groups.push(&score.group);
        }
    }
    let mut lines = vec![vec![title.to_owned(), "n".to_owned()]];
    lines[0].extend(metrics.iter().map(ToString::to_string));
    lines[0].push("correct".to_owned());
    for group in groups {
        let of_group = || scores.iter().filter(|score| score.group == group);
        let shown = if group.is_empty() { name } else { group };
        let count = of_group().map(|score| score.spread.count).max();
        let mut line = vec![shown.to_owned(), count.unwrap_or_default().to_string()];
        for metric in &metrics {
            let score = of_group().find(|score| score.metric == *metric);
            line.push(score.map_or_else(String::new, |score| value(score)));
        }
        let counts = of_group().find(|score| score.metric == "accuracy");
        line.push(counts.map_or_else(String::new, |it| format!("{}/{}", it.correct, it.total)));
        lines.push(line);
    }
    let mut text = String::new();
    for (index, line) in aligned(lines, 2).iter().enumerate() {
        let _ = match index {
            0 => writeln!(text, "{}", style.faint(line)),
            _ => writeln!(text, "{line}"),
        };
    }
    text
}

/// Mean and standard deviation, to four digits as everywhere.
fn value(score: &VariantScore) -> String {
    match score.spread.deviation {
        Some(deviation) => format!("{:.4} ± {deviation:.4}", score.spread.mean),
        None => format!("{:.4}", score.spread.mean),
    }
}
