//! The last lines of a run: what was done, how good it is, where it is.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::Style;
use super::amounts::{bytes, count, counted, duration};
use crate::experiment::{Experiment, Role, StageName};
use crate::runs::{Layout, Record, Scored};
use crate::stage::{GoalResult, Outcome, StageOutcome, goals, speed_up};

/// The closing summary.
pub fn summary(
    outcome: &Outcome,
    experiment: &Experiment,
    layout: &Layout,
    style: Style,
) -> String {
    let mut text = String::new();
    let headline = headline(outcome);
    let _ = writeln!(text, "{}", style.strong(format!("tinyrun: {headline}")));
    let exported: Vec<_> = exports(experiment, outcome).collect();
    let names = exported.iter().map(|(stage, _)| stage.stage.as_str().len());
    let width = names.fold(WORD, usize::max);
    text.push_str(&scores_in(outcome, width, style));
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:width$} {value}");
    };
    let scored = outcome.scored();
    if !scored.is_empty() {
        for goal in goals(experiment, outcome) {
            line("goal", goal_line(&goal, style));
        }
        let results = layout.results(&experiment.name);
        line("results", results.display().to_string());
    }
    let product = product(experiment, outcome);
    if let Some((role, stage)) = product {
        let model = folder(stage, experiment, layout).join("model");
        line(role.as_str(), model.display().to_string());
    } else if scored.is_empty() {
        let folder = layout.experiment(&experiment.name);
        line("results", format!("{}/", folder.display()));
    }
    for (stage, artifact) in exported {
        let at = folder(stage, experiment, layout).join(artifact);
        let size = bytes(size_of(&stage.record, artifact));
        line(stage.stage.as_str(), format!("{}  {size}", at.display()));
    }
    if let Some((_, stage)) = product
        // A model of records may have no tokenizer, without which no text is read.
        && ["tokenizer.json", "vocab.txt"]
            .iter()
            .any(|name| stage.record.artifacts.contains_key(&format!("model/{name}")))
        && let Some(next) = next_command(experiment, &stage.stage, layout)
    {
        line("next", next);
    }
    text
}

/// What was done, and in which time.
fn headline(outcome: &Outcome) -> String {
    let ran = outcome.stages.iter().filter(|stage| stage.ran).count();
    let fresh = outcome.stages.len() - ran;
    if ran == 0 {
        format!(
            "nothing to do, {} up to date",
            counted(fresh as u64, "stage")
        )
    } else {
        let time = duration(outcome.elapsed);
        let skipped = match fresh {
            0 => String::new(),
            fresh => format!(", {fresh} up to date"),
        };
        format!("{} run in {time}{skipped}", counted(ran as u64, "stage"))
    }
}

/// Width of the words that lines begin with.
const WORD: usize = 8;

/// Where a stage's result is found.
fn folder(stage: &StageOutcome, experiment: &Experiment, layout: &Layout) -> PathBuf {
    let link = layout.link(&experiment.name, stage.stage.as_str());
    // Where there are no symbolic links, the link is a text file.
    if link.is_file() {
        layout.store(&stage.record.key.kind, &stage.record.fingerprint)
    } else {
        link
    }
}

/// Stages that export a model, each with the folder of it in its result.
fn exports<'a>(
    experiment: &'a Experiment,
    outcome: &'a Outcome,
) -> impl Iterator<Item = (&'a StageOutcome, &'static str)> {
    outcome.stages.iter().filter_map(|found| {
        let stage = experiment.stages.get(found.stage.as_str())?;
        Some((found, stage.exports()?))
    })
}

/// Bytes of an artifact's files.
fn size_of(record: &Record, artifact: &str) -> u64 {
    let files = record.artifacts.iter();
    let of_it = files.filter(|(name, _)| name.split('/').next() == Some(artifact));
    of_it.map(|(_, file)| file.size).sum()
}

/// The scored models alone, a line each; with several stages that score, each below its name.
pub fn scores(outcome: &Outcome, style: Style) -> String {
    scores_in(outcome, WORD, style)
}

fn scores_in(outcome: &Outcome, width: usize, style: Style) -> String {
    let mut text = String::new();
    let scored = outcome.scored();
    for stage in &scored {
        if scored.len() > 1 {
            let _ = writeln!(text, "  {}", style.faint(stage.stage.as_str()));
        }
        let models = &stage.record.summary.scored;
        for model in models {
            let _ = writeln!(text, "  {}", scored_line(models, model, width));
        }
    }
    text
}

/// A goal and whether it was reached.
pub fn goal_line(goal: &GoalResult, style: Style) -> String {
    let GoalResult { name, at_least, .. } = goal;
    let found = match goal.found {
        Some(found) if name.ends_with("accuracy") => {
            format!("{found:.4} ({}/{})", goal.correct, goal.total)
        }
        Some(found) => format!("{found:.4}"),
        None => "not scored".to_owned(),
    };
    let word = if goal.is_reached() {
        style.good("reached")
    } else {
        style.warning("missed")
    };
    format!("{name} at least {at_least}: {found}, {word}")
}

/// One scored model: accuracy with its counts, size, and how it compares with the first.
fn scored_line(models: &[Scored], model: &Scored, width: usize) -> String {
    let mut line = format!("{:width$} ", model.model);
    if model.split != "dev" {
        let _ = write!(line, "{}  ", model.split);
    }
    for (metric, value) in &model.scores {
        let _ = write!(line, "{metric} {value:.4}");
        if metric == "accuracy" {
            let _ = write!(line, " ({}/{})", model.correct, model.total);
        }
        line.push_str("  ");
    }
    let _ = write!(
        line,
        "{} parameters  {}",
        count(model.parameters),
        bytes(model.size_bytes)
    );
    if let Some(first) = models.first().filter(|first| first.model != model.model) {
        let smaller = first.size_bytes as f64 / model.size_bytes.max(1) as f64;
        let _ = write!(line, "  {smaller:.1}x smaller");
    }
    if let Some(faster) = speed_up(models, model) {
        let _ = write!(line, ", {faster:.1}x faster");
    }
    line
}

/// How to predict with the model of a stage, where that has a classifier.
fn next_command(experiment: &Experiment, stage: &StageName, layout: &Layout) -> Option<String> {
    let found = experiment.stages.get(stage.as_str())?;
    let mut command = format!("tinyrun predict {}/{stage}", experiment.name);
    if !layout.root().as_os_str().is_empty() {
        let _ = write!(command, " --root {}", layout.root().display());
    }
    let command = match experiment.task.pair {
        // A line is one text.
        Some(_) => format!("{command} TABLE"),
        None => format!("echo \"...\" | {command}"),
    };
    found.makes_classifier().then_some(command)
}

/// The most finished model of the run: the last student, or else the last teacher.
fn product<'a>(experiment: &Experiment, outcome: &'a Outcome) -> Option<(Role, &'a StageOutcome)> {
    let role_of = |found: &StageOutcome| {
        let stage = experiment.stages.get(found.stage.as_str())?;
        stage.makes_model_of()
    };
    let stages = || outcome.stages.iter().rev();
    [Role::Student, Role::Teacher].into_iter().find_map(|role| {
        let stage = stages().find(|found| role_of(found) == Some(role))?;
        Some((role, stage))
    })
}
