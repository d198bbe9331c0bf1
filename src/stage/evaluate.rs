//! The eval stage as a job, and `results.csv`.

use std::fs;
use std::io;

use super::place::Place;
use super::train::scored;
use crate::experiment::Experiment;
use crate::job::{EvalModel, EvalSet, Evaluate, Work};
use crate::runs::{Error, Layout, Record, Scored, create_folder, write_atomic};

/// Models in the order they are scored: speed is measured against the first.
const MODELS: [&str; 2] = ["teacher", "student"];

/// What they are scored on, of what the task has.
const SPLITS: [&str; 2] = ["dev", "dev-mismatched"];

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
        sets: splits(place)
            .map(|split| EvalSet {
                split: split.to_owned(),
                data: place.artifact(split),
            })
            .collect(),
        batch_size: *eval.batch_size,
    })
}

/// The splits that the task has.
fn splits<'a>(place: &'a Place<'_>) -> impl Iterator<Item = &'static str> + 'a {
    let has = |split: &&str| place.node.take(split).is_some();
    SPLITS.into_iter().filter(has)
}

/// Files that the eval stage owes.
pub(super) fn promised(place: &Place<'_>) -> Vec<&'static str> {
    let files = [
        ["predictions-teacher.csv", "predictions-student.csv"],
        [
            "predictions-teacher-dev-mismatched.csv",
            "predictions-student-dev-mismatched.csv",
        ],
    ];
    let splits = SPLITS.into_iter().zip(files);
    splits
        .filter(|(split, _)| place.node.take(split).is_some())
        .flat_map(|(_, files)| MODELS.into_iter().zip(files))
        .filter(|(model, _)| place.model(model).is_some())
        .map(|(_, file)| file)
        .collect()
}

/// How much faster a model is than the first one scored on the same data.
pub(crate) fn speed_up(scored: &[Scored], model: &Scored) -> Option<f64> {
    let first = scored.iter().find(|other| other.split == model.split)?;
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
                record.key.kind.as_str(),
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
    table
        .into_inner()
        .map_err(|error| error.into_error().into())
}
