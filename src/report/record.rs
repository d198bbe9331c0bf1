//! A record as a person reads it: what `tinyrun show` prints.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::Style;
use super::amounts::{bytes, count, counted, duration};
use crate::runs::Record;
use crate::stage::Difference;

/// Everything a record knows, in sections.
pub fn record_text(record: &Record, folder: &Path, style: Style) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: String| {
        let _ = writeln!(text, "  {key:24}{value}");
    };
    line("stage", record.key.kind.clone());
    line("folder", folder.display().to_string());
    line("fingerprint", record.fingerprint.to_string());
    let time = duration(Duration::from_secs_f64(record.seconds.max(0.0)));
    let format = "%Y-%m-%d %H:%M:%S UTC";
    line(
        "finished",
        format!("{}, took {time}", record.finished.format(format)),
    );
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
        let threads = if machine.threads == 1 {
            "thread"
        } else {
            "threads"
        };
        line(
            "machine",
            format!(
                "{}, {}, {} {threads}, libtorch {}, peak memory {}",
                machine.device,
                machine.precision,
                machine.threads,
                machine.libtorch,
                bytes(machine.peak_memory)
            ),
        );
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
            line(
                &format!("{} {metric}", scored.model),
                format!("{value:.4} on {}", scored.split),
            );
        }
    }
    section(&mut text, "settings", style);
    for (key, value) in &record.key.settings {
        let _ = writeln!(text, "  {key:44}{value}");
    }
    let version = format!("{}", record.key.semantics);
    let _ = writeln!(
        text,
        "  {:44}{version}",
        "(version of the stage implementation)"
    );
    if !record.key.inputs.is_empty() {
        section(&mut text, "inputs", style);
        for (name, digest) in &record.key.inputs {
            let _ = writeln!(text, "  {name:44}{digest}");
        }
    }
    if !record.key.upstream.is_empty() {
        section(&mut text, "from earlier stages", style);
        for (role, upstream) in &record.key.upstream {
            let what = format!("{role}: {}", upstream.artifact);
            let _ = writeln!(text, "  {what:44}{}", upstream.digest);
        }
    }
    section(&mut text, "artifacts", style);
    for (name, artifact) in &record.artifacts {
        let size = bytes(artifact.size);
        let _ = writeln!(text, "  {name:44}{}  {size}", artifact.sha256);
    }
    text
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
    if record
        .machine
        .as_ref()
        .map(|it| (&it.device, it.threads, &it.precision, &it.libtorch))
        != again
            .machine
            .as_ref()
            .map(|it| (&it.device, it.threads, &it.precision, &it.libtorch))
    {
        for (when, record) in [("then", record), ("now", again)] {
            if let Some(machine) = &record.machine {
                let _ = writeln!(
                    text,
                    "  {when:5}{}, {}, {} threads, libtorch {}",
                    machine.device, machine.precision, machine.threads, machine.libtorch
                );
            }
        }
    }
    text
}

fn section(text: &mut String, title: &str, style: Style) {
    let _ = writeln!(text, "{}", style.strong(title));
}
