//! `results.csv`: what the stages of an experiment that score models have found.

use std::fs;
use std::io;

use crate::experiment::{Experiment, StageName};
use crate::runs::{Error, Layout, Record, Scored, create_folder, write_atomic};

/// How much faster a model is than the first one scored on the same data.
pub(crate) fn speed_up(scored: &[Scored], model: &Scored) -> Option<f64> {
    let first = scored.iter().find(|other| other.split == model.split)?;
    let ratio = model.examples_per_second / first.examples_per_second;
    (model.model != first.model && ratio.is_finite()).then_some(ratio)
}

/// Writes `results.csv`, a row a model and metric, from the records of the stages that score. The
/// file is left alone if it says so already.
///
/// # Errors
/// [`Error::Write`] with the path.
pub fn write_results(
    experiment: &Experiment,
    layout: &Layout,
    records: &[(StageName, Record)],
) -> Result<(), Error> {
    let path = layout.results(&experiment.name);
    let table = table(experiment, records)
        .map_err(io::Error::other)
        .map_err(Error::write(&path))?;
    if fs::read(&path).is_ok_and(|present| present == table) {
        return Ok(());
    }
    create_folder(&layout.experiment(&experiment.name))?;
    write_atomic(&path, &table)
}

fn table(experiment: &Experiment, records: &[(StageName, Record)]) -> Result<Vec<u8>, csv::Error> {
    let task = experiment.task.name.as_str();
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record([
        "stage",
        "model",
        "task",
        "split",
        "metric",
        "value",
        "correct",
        "total",
        "parameters",
        "size_bytes",
        "speed_up",
    ])?;
    for (stage, record) in records {
        let models = &record.summary.scored;
        for model in models {
            let speed_up = speed_up(models, model).map(|ratio| format!("{ratio:.2}"));
            // A regression has no right answers to count.
            let correct = if model.scores.contains_key("accuracy") {
                model.correct.to_string()
            } else {
                String::new()
            };
            for (metric, value) in &model.scores {
                table.write_record([
                    stage.as_str(),
                    model.model.as_str(),
                    task,
                    model.split.as_str(),
                    metric,
                    &value.to_string(),
                    &correct,
                    &model.total.to_string(),
                    &model.parameters.to_string(),
                    &model.size_bytes.to_string(),
                    speed_up.as_deref().unwrap_or_default(),
                ])?;
            }
        }
    }
    table
        .into_inner()
        .map_err(|error| error.into_error().into())
}
