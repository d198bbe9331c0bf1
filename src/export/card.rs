//! The model card: README.md of an exported folder, with the block of metadata that model hubs read.
//!
//! Nothing in it may be private: files are named without their folders, and the machine by its
//! device alone.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use super::provenance::{self, code, counted, thousands};
use super::{Export, ExportError, Format, History, labels, put};
use crate::experiment::TaskName;
use crate::input::excerpt;
use crate::job::Word;
use crate::model::{LoadedModel, WeightDtype};

const CARD: &str = "README.md";

/// Metrics that the hub calls otherwise.
const METRICS: [(&str, &str); 3] = [
    ("matthews_corr", "matthews_correlation"),
    ("pearson", "pearsonr"),
    ("spearman", "spearmanr"),
];

/// Class names at most.
const MOST: usize = 20;

/// Writes the card of a model beside its files.
///
/// # Errors
/// The disk refuses.
pub(super) fn write(
    export: &Export<'_>,
    model: &LoadedModel,
    folder: &Path,
) -> Result<(), ExportError> {
    put(&folder.join(CARD), text(export, model).as_bytes())
}

fn text(export: &Export<'_>, model: &LoadedModel) -> String {
    let mut text = metadata(export, model);
    let _ = writeln!(text, "# {}\n", plain(export.name));
    text.push_str(&summary(export, model));
    text.push_str(&usage(export, model));
    if let Some(history) = export.history {
        text.push_str(&provenance::sections(history));
    }
    text.push_str(&commands(export));
    text
}

/// The block of metadata. JSON is YAML, so strings are quoted as JSON.
fn metadata(export: &Export<'_>, model: &LoadedModel) -> String {
    let mut text = "---\n".to_owned();
    let library = export.format.exporter().library(model);
    if let Some(library) = library {
        let _ = writeln!(text, "library_name: {library}");
    }
    if model.has_classifier() && library.is_some() {
        text.push_str("pipeline_tag: text-classification\n");
    }
    text.push_str("tags:\n- tinyrun\n");
    if export.history.is_some_and(|history| history.is_student) {
        text.push_str("- knowledge-distillation\n- tinybert\n");
    }
    if export.format != Format::HuggingFace {
        let _ = writeln!(text, "- {}", export.format.as_str());
    }
    let mut results = Vec::new();
    // Of the weights that were scored, which in another number format are others.
    let scored = export.history.filter(|_| export.dtype == WeightDtype::Fp32);
    for scored in scored.iter().flat_map(|it| it.own_scores()) {
        let metrics = scored.scores.iter().map(|(metric, value)| {
            let known = METRICS.iter().find(|(own, _)| own == metric);
            let metric = known.map_or(metric.as_str(), |(_, hub)| hub);
            json!({"type": metric, "value": (value * 1e6).round() / 1e6})
        });
        results.push(json!({
            "task": {"type": "text-classification"},
            "dataset": dataset(export, &scored.split),
            "metrics": metrics.collect::<Vec<_>>(),
        }));
    }
    if !results.is_empty() {
        let index = json!([{"name": export.name, "results": results}]);
        let _ = writeln!(text, "model-index: {index}");
    }
    text.push_str("---\n\n");
    text
}

fn dataset(export: &Export<'_>, split: &str) -> serde_json::Value {
    let experiment = export
        .history
        .and_then(|history| history.experiment.as_ref());
    let task = experiment.map(|experiment| *experiment.task.name);
    match task {
        Some(TaskName::Glue(glue)) => {
            let config: String = glue.name.chars().filter(|c| *c != '-').collect();
            json!({"type": "glue", "name": format!("GLUE {}", glue.name), "config": config, "split": split})
        }
        _ => json!({"type": "custom", "name": export.name, "split": split}),
    }
}

/// What the model is, in a sentence or two.
fn summary(export: &Export<'_>, model: &LoadedModel) -> String {
    let config = &model.config;
    let mut text = format!(
        "A {} of {}, {} wide, with {} attention heads and {} parameters; \
         {:.1} MB of weights in {}.\n",
        config.family.title,
        counted(config.num_hidden_layers, "layer"),
        config.hidden_size,
        config.num_attention_heads,
        thousands(model.num_parameters() as u64),
        (model.num_parameters() * export.dtype.size()) as f64 / 1e6,
        export.dtype.as_str(),
    );
    let classes = labels(model);
    if !classes.is_empty() {
        let shown: Vec<String> = classes.iter().take(MOST).map(|name| code(name)).collect();
        let more = classes.len().saturating_sub(MOST);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let _ = writeln!(
            text,
            "It sorts texts into {} classes: {}{more}.",
            classes.len(),
            shown.join(", ")
        );
    } else if model.has_classifier() {
        text.push_str("It gives each text a number.\n");
    }
    if let Some(history) = export.history {
        let teacher = history
            .experiment
            .as_ref()
            .filter(|it| it.has_teacher())
            .map(|it| &it.teacher.model.value);
        let name = teacher.and_then(|path| path.trim_end_matches('/').rsplit(['/', '\\']).next());
        match name {
            Some(name) if history.is_student => {
                let (name, detail) = (code(name), teacher_detail(history));
                let _ = write!(text, "Distilled from {name}{detail}. ");
            }
            Some(name) => {
                let _ = write!(
                    text,
                    "The teacher of a distillation: {} fine-tuned. ",
                    code(name)
                );
            }
            None => {}
        }
        let version = history.stages.first().map_or("", |record| &record.tinyrun);
        let _ = writeln!(text, "Made by tinyrun {version}.");
    }
    text
}

/// Whether a stage fine-tuned the teacher, or the digest of the weights that were given.
fn teacher_detail(history: &History) -> String {
    let stages = || history.stages.iter();
    if stages().any(|stage| stage.key.upstream.contains_key("teacher")) {
        return ", fine-tuned on the same data".to_owned();
    }
    let weights = stages().flat_map(|stage| &stage.key.inputs);
    let weights = weights
        .filter(|(name, _)| {
            name.starts_with("teacher/model.") || name.starts_with("teacher/pytorch_model.")
        })
        .map(|(_, digest)| digest);
    let found = weights.max_by_key(ToString::to_string);
    found.map_or_else(String::new, |digest| {
        format!(" (SHA-256 of its weights: `{digest}`)")
    })
}

/// Lines that open the model.
fn usage(export: &Export<'_>, model: &LoadedModel) -> String {
    format!(
        "\n## Use\n\n{}\n`PATH` is this folder. Inputs have at most {} tokens.\n",
        export.format.exporter().usage(model),
        export.longest(model)
    )
}

/// The commands that make it again.
fn commands(export: &Export<'_>) -> String {
    let history = export.history;
    let experiment = history.and_then(|history| history.experiment.as_ref());
    let mut commands = Vec::new();
    if let Some(experiment) = experiment {
        let file = experiment.name.split('/').next().unwrap_or_default();
        commands.push(format!("tinyrun {file}.toml"));
    }
    commands.extend(export.command.clone());
    if commands.is_empty() {
        return String::new();
    }
    format!("\n```sh\n{}\n```\n", commands.join("\n"))
}

/// Text of others in a heading.
fn plain(text: &str) -> String {
    excerpt(text).replace(['<', '>', '`', '[', ']', '*', '#'], "")
}
