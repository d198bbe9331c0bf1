//! The eval stage: teacher and student on the same rows.

use std::path::Path;

use tinyrun::data::store::TokenStore;
use tinyrun::job::{Evaluate, Event, Job, Progress};

use crate::device::Compute;
use crate::error::{KernelError, io};
use crate::folder::load_for_scoring;
use crate::reporter::Reporter;
use crate::score::{Prediction, SCORE_KIND, predict, scores};
use crate::stop::Stop;

use crate::training::Ended;

/// Batches run before the clock starts: the first ones pay for memory and code.
const WARM_UP: usize = 3;

/// Scores each model and writes its predictions.
///
/// # Errors
/// Unreadable models or data, a model whose classes are not the data's.
pub(crate) fn evaluate(
    job: &Job,
    work: &Evaluate,
    compute: Compute,
    reporter: &Reporter,
    stop: &Stop,
) -> Result<Ended, KernelError> {
    let batch_size = work.batch_size as usize;
    // Reported and recorded as what it computes in.
    let compute = Compute {
        kind: SCORE_KIND,
        ..compute
    };
    let mut sets = Vec::new();
    for set in &work.sets {
        let data = TokenStore::open(&set.data)?;
        if data.is_empty() {
            return Err(KernelError::NoRows {
                store: set.data.clone(),
            });
        }
        sets.push((set.split.as_str(), data));
    }
    let batches = |(_, data): &(&str, TokenStore)| data.len().div_ceil(batch_size) as u64;
    let total_steps = sets.iter().map(batches).sum::<u64>() * work.models.len() as u64;
    reporter.send(&compute.started(&[], total_steps, 0, 0));
    let mut batches_done = 0;
    for model in &work.models {
        let own = model.own_sets.iter().map(|path| TokenStore::open(path));
        let own: Vec<TokenStore> = own.collect::<Result<_, _>>()?;
        for (index, (split, data)) in sets.iter().enumerate() {
            let data = own.get(index).unwrap_or(data);
            let loaded = load_for_scoring(&model.folder, model.head, data, compute.device)?;
            if let Some(message) = loaded.warning.clone().filter(|_| index == 0) {
                reporter.send(&Event::Warning { message });
            }
            let run = |stop: &mut dyn FnMut() -> bool| {
                predict(
                    &loaded.encoder,
                    &loaded.classifier,
                    data,
                    batch_size,
                    compute.device,
                    stop,
                )
            };
            let mut warm = 0;
            run(&mut || {
                warm += 1;
                warm > WARM_UP
            });
            let predicted = run(&mut || {
                batches_done += 1;
                reporter.send(&Event::Step(Progress {
                    step: batches_done,
                    epoch: 0.0,
                    learning_rate: 0.0,
                    loss: 0.0,
                    examples_per_second: 0.0,
                    tokens_per_second: 0.0,
                }));
                stop.asked()
            });
            let Some(predicted) = predicted else {
                return Ok(Ended::Interrupted { step: 0 });
            };
            let unsound =
                |answer: &Prediction| answer.logits.iter().any(|logit| !logit.is_finite());
            if let Some(row) = predicted.predictions.iter().position(unsound) {
                let model = model.folder.to_path_buf();
                return Err(KernelError::NotFiniteLogits { model, row });
            }
            let file = match index {
                0 => format!("predictions-{}.csv", model.name),
                _ => format!("predictions-{}-{split}.csv", model.name),
            };
            write_predictions(&job.output.join(file), &predicted.predictions, data)?;
            let scores = scores(&predicted.predictions, data.meta().labels.len());
            reporter.send(&Event::Scored {
                model: model.name.clone(),
                split: (*split).to_owned(),
                scores: scores.named(data.meta().labels.len()),
                correct: scores.correct,
                total: scores.total,
                parameters: loaded.parameters,
                size_bytes: loaded.size_bytes,
                examples_per_second: scores.total as f64 / predicted.seconds,
            });
        }
    }
    Ok(Ended::Done { steps: total_steps })
}

/// `predictions-<model>.csv` or the like: index, label, predicted, then a logit a class.
fn write_predictions(
    path: &Path,
    predictions: &[Prediction],
    data: &TokenStore,
) -> Result<(), KernelError> {
    let labels = &data.meta().labels;
    let write = || -> Result<(), csv::Error> {
        let mut file = csv::Writer::from_path(path)?;
        let fixed = ["index", "label", "predicted"].map(str::to_owned);
        let outputs = labels.len().max(1);
        let logits = (0..outputs).map(|class| format!("logit_{class}"));
        file.write_record(fixed.into_iter().chain(logits))?;
        for (index, prediction) in predictions.iter().enumerate() {
            let names = if labels.is_empty() {
                [prediction.value, prediction.logits[0]].map(|value| value.to_string())
            } else {
                [prediction.label, prediction.predicted].map(|class| labels[class].clone())
            };
            let logits = prediction.logits.iter().map(f32::to_string);
            file.write_record(
                std::iter::once(index.to_string())
                    .chain(names)
                    .chain(logits),
            )?;
        }
        Ok(file.flush()?)
    };
    write().map_err(|error| io("write", path)(error.into()))
}
