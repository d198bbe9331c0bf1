//! The eval stage: teacher and student on the same rows.

use std::path::Path;

use tinyrun_base::data::store::TokenStore;
use tinyrun_base::job::{EvalModel, Evaluate, Event, Job, Progress};

use crate::device::Compute;
use crate::error::{KernelError, io};
use crate::folder::{Scorable, load_for_scoring};
use crate::ranks::Ranks;
use crate::reporter::Reporter;
use crate::score::{Predicted, Prediction, SCORE_KIND, predict_on, scores};
use crate::stop::Stop;
use crate::training::Ended;

/// Batches run before the clock starts: the first ones pay for memory and code.
const WARM_UP: usize = 3;

/// Scores each model and writes its predictions. Each rank predicts a part of the rows, the first one writes.
///
/// # Errors
/// Unreadable models or data, a model whose classes are not the data's, a rank that is lost.
pub(crate) fn evaluate(
    job: &Job,
    work: &Evaluate,
    compute: Compute,
    reporter: &Reporter,
    stop: &Stop,
    ranks: &Ranks,
) -> Result<Ended, KernelError> {
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
    let size = ranks.own().size();
    let batches = |(_, data): &(&str, TokenStore)| {
        let all = data.len().div_ceil(work.batch_size as usize);
        all.div_ceil(size) as u64
    };
    let total_steps = sets.iter().map(batches).sum::<u64>() * work.models.len() as u64;
    let shared = [size];
    let shared: &[usize] = if ranks.are_one() { &[] } else { &shared };
    reporter.send(&compute.started(shared, total_steps, 0, 0));
    let mut scoring = Scoring {
        output: &job.output,
        batch_size: work.batch_size as usize,
        compute,
        reporter,
        stop,
        ranks,
        batches_done: 0,
    };
    for model in &work.models {
        let own = model.own_sets.iter().map(|path| TokenStore::open(path));
        let own: Vec<TokenStore> = own.collect::<Result<_, _>>()?;
        for (index, (split, data)) in sets.iter().enumerate() {
            let data = own.get(index).unwrap_or(data);
            if !scoring.score(model, split, data, index == 0)? {
                return Ok(Ended::Interrupted { step: 0 });
            }
        }
    }
    Ok(Ended::Done { steps: total_steps })
}

/// What the models of a stage are scored with.
struct Scoring<'a> {
    output: &'a Path,
    batch_size: usize,
    compute: Compute,
    reporter: &'a Reporter,
    stop: &'a Stop,
    ranks: &'a Ranks,
    batches_done: u64,
}

impl Scoring<'_> {
    /// Scores a model on a set, of which dev is the `first`; `false` where it was stopped.
    fn score(
        &mut self,
        model: &EvalModel,
        split: &str,
        data: &TokenStore,
        first: bool,
    ) -> Result<bool, KernelError> {
        let loaded = load_for_scoring(&model.folder, model.head, data, self.compute.device)?;
        if let Some(message) = loaded.warning.clone().filter(|_| first) {
            self.reporter.send(&Event::Warning { message });
        }
        let Some(predicted) = self.predict(&loaded, data)? else {
            return Ok(false);
        };
        let unsound = |answer: &Prediction| answer.logits.iter().any(|logit| !logit.is_finite());
        if let Some(row) = predicted.predictions.iter().position(unsound) {
            let model = model.folder.to_path_buf();
            return Err(KernelError::NotFiniteLogits { model, row });
        }
        if !self.ranks.is_first() {
            return Ok(true);
        }
        let file = if first {
            format!("predictions-{}.csv", model.name)
        } else {
            format!("predictions-{}-{split}.csv", model.name)
        };
        write_predictions(&self.output.join(file), &predicted.predictions, data)?;
        let classes = data.meta().labels.len();
        let scores = scores(&predicted.predictions, classes);
        self.reporter.send(&Event::Scored {
            model: model.name.clone(),
            split: split.to_owned(),
            scores: scores.named(classes),
            correct: scores.correct,
            total: scores.total,
            parameters: loaded.parameters,
            size_bytes: loaded.size_bytes,
            examples_per_second: scores.total as f64 / predicted.seconds,
        });
        Ok(true)
    }

    fn predict(
        &mut self,
        loaded: &Scorable,
        data: &TokenStore,
    ) -> Result<Option<Predicted>, KernelError> {
        let (encoder, classifiers) = (&loaded.encoder, &[&loaded.classifier]);
        let (batch_size, device) = (self.batch_size, self.compute.device);
        let mut warm = 0;
        let alone = Ranks::one();
        predict_on(
            &alone,
            encoder,
            classifiers,
            data,
            batch_size,
            device,
            || {
                warm += 1;
                warm > WARM_UP
            },
        )?;
        let (ranks, reporter, stop) = (self.ranks, self.reporter, self.stop);
        let done = &mut self.batches_done;
        let found = predict_on(
            ranks,
            encoder,
            classifiers,
            data,
            batch_size,
            device,
            || {
                *done += 1;
                reporter.send(&Event::Step(Progress {
                    step: *done,
                    epoch: 0.0,
                    learning_rate: 0.0,
                    loss: 0.0,
                    examples_per_second: 0.0,
                    tokens_per_second: 0.0,
                }));
                stop.asked()
            },
        )?;
        Ok(found.map(|mut found| found.remove(0)))
    }
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
