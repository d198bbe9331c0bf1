//! A record as a person reads it: what `tinyrun show` prints.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::Style;
use super::amounts::{bytes, count, counted, duration};
use super::table::aligned;
use crate::runs::{Machine, Record};
use crate::stage::Difference;

/// Everything a record knows, in sections.
pub fn record_text(record: &Record, folder: &Path, style: Style) -> String {
    let mut text = String::new();
    rows(&mut text, head(record, folder));
    let settings = record.key.settings.iter();
    let mut settings: Vec<_> = settings
        .map(|(key, value)| vec![key.clone(), value.to_string()])
        .collect();
    settings.push(vec![
        "(version of the stage implementation)".to_owned(),
        record.key.semantics.to_string(),
    ]);
    section(&mut text, "settings", settings, style);
    let inputs = record.key.inputs.iter();
    let inputs = inputs.map(|(name, digest)| vec![name.clone(), digest.to_string()]);
    section(&mut text, "inputs", inputs.collect(), style);
    let upstream = record.key.upstream.iter();
    let upstream = upstream.map(|(role, upstream)| {
        let what = format!("{role}: {}", upstream.artifact);
        vec![what, upstream.digest.to_string()]
    });
    section(&mut text, "from earlier stages", upstream.collect(), style);
    let artifacts = record.artifacts.iter();
    let artifacts = artifacts.map(|(name, artifact)| {
        let size = bytes(artifact.size);
        vec![name.clone(), artifact.sha256.to_string(), size]
    });
    section(&mut text, "artifacts", artifacts.collect(), style);
    text
}

/// What the stage was and how it ended, a row each.
fn head(record: &Record, folder: &Path) -> Vec<Vec<String>> {
    let mut head = Vec::new();
    let mut line = |key: &str, value: String| head.push(vec![key.to_owned(), value]);
    line("kind", record.key.kind.clone());
    line("folder", folder.display().to_string());
    line("fingerprint", record.fingerprint.to_string());
    let time = duration(Duration::from_secs_f64(record.seconds.max(0.0)));
    let finished = record.finished.format("%Y-%m-%d %H:%M:%S UTC");
    line("finished", format!("{finished}, took {time}"));
    if let Some(step) = record.resumed_from {
        line("resumed from", format!("step {}", count(step)));
    }
    line("tinyrun", record.tinyrun.clone());
    if let Some(git) = &record.git {
        let changed = if git.changed {
            ", with uncommitted changes"
        } else {
            ""
        };
        line("git", format!("{}{changed}", git.commit));
    }
    if let Some(machine) = &record.machine {
        let (how, memory) = (how_computed(machine), bytes(machine.peak_memory));
        line("machine", format!("{how}, peak memory {memory}"));
    }
    let summary = &record.summary;
    if let Some(steps) = summary.steps {
        line("steps", count(steps));
    }
    if let Some(parameters) = summary.parameters {
        line("parameters", count(parameters));
    }
    for (metric, value) in &summary.scores {
        line(metric, format!("{value:.4} on dev"));
    }
    for scored in &summary.scored {
        for (metric, value) in &scored.scores {
            let key = format!("{} {metric}", scored.model);
            line(&key, format!("{value:.4} on {}", scored.split));
        }
    }
    head
}

/// Whether a stage that was done again left the same bytes.
pub fn agreement(
    record: &Record,
    again: &Record,
    differences: &[Difference],
    style: Style,
) -> String {
    if differences.is_empty() {
        let files = counted(record.artifacts.len() as u64, "file");
        let line = format!("byte-identical: {files}, except for times and speeds");
        return format!("{}\n", style.good(line));
    }
    let mut text = format!("{}\n", style.error("not byte-identical"));
    for Difference { file, how } in differences {
        let _ = writeln!(text, "  `{file}` {how}");
    }
    let [then, now] = [record, again].map(|record| record.machine.as_ref().map(how_computed));
    if then != now {
        for (when, machine) in [("then", then), ("now", now)] {
            if let Some(machine) = machine {
                let _ = writeln!(text, "  {when:5}{machine}");
            }
        }
    }
    text
}

/// What decides the bytes of a result beside its inputs.
fn how_computed(machine: &Machine) -> String {
    format!(
        "{}, {}, {}, libtorch {}",
        machine.device,
        machine.precision,
        machine.shares(),
        machine.libtorch
    )
}

/// A heading and its rows; nothing where there are none.
fn section(text: &mut String, title: &str, found: Vec<Vec<String>>, style: Style) {
    if !found.is_empty() {
        let _ = writeln!(text, "{}", style.strong(title));
        rows(text, found);
    }
}

fn rows(text: &mut String, found: Vec<Vec<String>>) {
    for line in aligned(found, 2) {
        let _ = writeln!(text, "{line}");
    }
}
