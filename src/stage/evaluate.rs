//! The eval stage as a job, and `results.csv`.

use std::fs;
use std::io;

use super::place::Place;
use super::train::scored;
use crate::experiment::{Experiment, TaskName};
use crate::job::{EvalModel, Evaluate, Work};
use crate::runs::{Error, Layout, Record, Scored, create_folder, write_atomic};

/// Models in the order they are scored: speed is measured against the first.
const MODELS: [&str; 2] = ["teacher", "student"];

/// What is scored. There is no test split yet.
const SPLIT: &str = "dev";

/// The work of the eval stage.
pub(super) fn work(place: &Place<'_>) -> Work {
    let eval = place.experiment.stages.eval.as_ref();
    let eval = eval.expect("the graph holds stages that are in the experiment");
    let models = MODELS.into_iter().filter_map(|name| {
        let (folder, head) = scored(place, name)?;
        Some(EvalModel {
            name: name.to_owned(),
            folder,
            head,
        })
    });
    Work::Evaluate(Evaluate {
        models: models.collect(),
        data: place.artifact("dev"),
        split: SPLIT.to_owned(),
        batch_size: *eval.batch_size,
    })
}

/// Files that the eval stage owes.
pub(super) fn promised(place: &Place<'_>) -> Vec<&'static str> {
    let files = ["predictions-teacher.csv", "predictions-student.csv"];
    let models = MODELS.into_iter().zip(files);
    models
        .filter(|(model, _)| place.model(model).is_some())
        .map(|(_, file)| file)
        .collect()
}

/// How much faster a model is than the first one scored.
pub(crate) fn speed_up(scored: &[Scored], model: &Scored) -> Option<f64> {
    let first = scored.first()?;
    let ratio = model.examples_per_second / first.examples_per_second;
    (model.model != first.model && ratio.is_finite()).then_some(ratio)
}

/// Writes `results.csv`, a row a model and metric, from eval's record. The file is left
/// alone if it says so already.
///
/// # Errors
/// [`Error::Write`] with the path.
pub fn write_results(
    experiment: &Experiment,
    layout: &Layout,
    record: &Record,
) -> Result<(), Error> {
    let path = layout.results(&experiment.name);
    let table = table(experiment, record)
        .map_err(io::Error::other)
        .map_err(Error::write(&path))?;
    if fs::read(&path).is_ok_and(|present| present == table) {
        return Ok(());
    }
    create_folder(&layout.experiment(&experiment.name))?;
    write_atomic(&path, &table)
}

fn table(experiment: &Experiment, record: &Record) -> Result<Vec<u8>, csv::Error> {
    let task = match *experiment.task.name {
        TaskName::Sst2 => "sst-2",
        TaskName::Custom => "custom",
    };
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
    let models = &record.summary.scored;
    for model in models {
        let speed_up = speed_up(models, model).map(|ratio| format!("{ratio:.2}"));
        for (metric, value) in &model.scores {
            table.write_record([
                record.key.kind.as_str(),
                model.model.as_str(),
                task,
                SPLIT,
                metric,
                &value.to_string(),
                &model.correct.to_string(),
                &model.total.to_string(),
                &model.parameters.to_string(),
                &model.size_bytes.to_string(),
                speed_up.as_deref().unwrap_or_default(),
            ])?;
        }
    }
    table
        .into_inner()
        .map_err(|error| error.into_error().into())
}
