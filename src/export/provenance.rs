//! The sections of a model card that come from the records of stages: scores, data, settings, stages.

use std::fmt::Write as _;

use super::History;
use crate::input::excerpt;
use crate::job::Word;
use crate::metrics::Spread;
use crate::runs::{Record, Scored};

/// Rows of a table of files at most.
const MOST: usize = 20;

/// All of them.
pub(super) fn sections(history: &History) -> String {
    let sections = [scores, data, settings, stages];
    sections.map(|section| section(history)).concat()
}

/// Scores of the model and of its teacher, its size and speed.
fn scores(history: &History) -> String {
    let mut text = "\n## Results\n\n".to_owned();
    let Some(record) = &history.scored else {
        let own = history.stages.first().map(|made| &made.summary.scores);
        let Some(own) = own.filter(|scores| !scores.is_empty()) else {
            return String::new();
        };
        text.push_str("| split | metric | score |\n|---|---|---|\n");
        for (metric, value) in own {
            let _ = writeln!(text, "| dev | {metric} | {value:.4} |");
        }
        return text;
    };
    text.push_str("| model | split | scores | parameters | weights | texts/s |\n");
    text.push_str("|---|---|---|---|---|---|\n");
    for scored in &record.summary.scored {
        text.push_str(&score_row(scored));
    }
    let machine = record.machine.as_ref();
    if let Some(machine) = machine {
        let size = record.key.settings.get("batch-size");
        let size = size.map_or_else(String::new, |size| format!(", batches of {size}"));
        let _ = writeln!(
            text,
            "\nMeasured by tinyrun, before the export, on `{}`, {} in {}{size}.",
            machine.device.split(':').next().unwrap_or_default(),
            machine.shares(),
            machine.precision,
        );
    }
    text.push_str(&spread(history));
    text
}

/// Means and deviations over seeds.
fn spread(history: &History) -> String {
    let Some(first) = history.spread.values().next() else {
        return String::new();
    };
    let each = history.spread.iter().map(|(metric, spread)| {
        let Spread {
            mean, least, most, ..
        } = spread;
        let deviation = spread.deviation.unwrap_or_default();
        format!("{metric} {mean:.4} ± {deviation:.4} ({least:.4} to {most:.4})")
    });
    let each: Vec<String> = each.collect();
    format!(
        "\nThe same settings with {} seeds, mean ± standard deviation on dev: {}.\n",
        first.count,
        each.join("; ")
    )
}

fn score_row(scored: &Scored) -> String {
    let each = scored.scores.iter().map(|(metric, value)| {
        let counts = if metric == "accuracy" {
            format!(" ({}/{})", scored.correct, scored.total)
        } else {
            String::new()
        };
        format!("{metric} {value:.4}{counts}")
    });
    let each: Vec<String> = each.collect();
    format!(
        "| {} | {} | {} | {} | {:.1} MB | {:.0} |\n",
        scored.model,
        scored.split,
        each.join(", "),
        thousands(scored.parameters),
        scored.size_bytes as f64 / 1e6,
        scored.examples_per_second,
    )
}

/// The files that it was trained on, by digest, with counts.
fn data(history: &History) -> String {
    let mut text = String::new();
    for record in history.stages.iter().rev() {
        let Some(prepared) = &record.summary.prepared else {
            continue;
        };
        let counts = prepared.examples.iter();
        let counts: Vec<String> = counts
            .map(|(split, count)| format!("{split} {}", thousands(*count)))
            .collect();
        let _ = writeln!(
            text,
            "\n`{}`: {} examples, {} tokens.\n\n| file | SHA-256 |\n|---|---|",
            record.key.kind,
            counts.join(", "),
            thousands(prepared.tokens)
        );
        let files = record.key.inputs.iter();
        let files: Vec<_> = files
            .filter(|(name, _)| !name.starts_with("tokenizer/"))
            .collect();
        for (name, digest) in files.iter().take(MOST) {
            let _ = writeln!(text, "| {} | `{digest}` |", code(name));
        }
        if files.len() > MOST {
            let _ = writeln!(text, "| {} more | |", files.len() - MOST);
        }
    }
    if text.is_empty() {
        text
    } else {
        format!("\n## Data\n{text}")
    }
}

/// Settings that are not the recipe's.
fn settings(history: &History) -> String {
    let Some(experiment) = &history.experiment else {
        return String::new();
    };
    let recipe = experiment.recipe.as_str();
    if history.changed.is_empty() {
        return format!("\n## Settings\n\nThose of recipe `{recipe}`.\n");
    }
    let mut text = format!("\n## Settings\n\nRecipe `{recipe}`, but for:\n\n```toml\n");
    for (key, value) in &history.changed {
        let _ = writeln!(text, "{key} = {value}");
    }
    text.push_str("```\n");
    text
}

/// The stages behind it.
fn stages(history: &History) -> String {
    let mut text =
        "\n## How it was made\n\n| stage | steps | seconds | result |\n|---|---|---|---|\n"
            .to_owned();
    for record in history.stages.iter().rev() {
        let Record { key, summary, .. } = record;
        let steps = summary.steps.map(thousands).unwrap_or_default();
        let _ = writeln!(
            text,
            "| `{}` | {steps} | {:.0} | `{}` |",
            key.kind, record.seconds, record.fingerprint
        );
    }
    text
}

/// Text of others as code in a table: no markup, no line ends, no end of the cell.
pub(super) fn code(text: &str) -> String {
    let shown = excerpt(text).replace('`', "'").replace('|', "\\|");
    format!("`{shown}`")
}

pub(super) fn counted(number: usize, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{ending}")
}

pub(super) fn thousands(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}
