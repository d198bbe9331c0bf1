//! How much work a stage is, and what it may take: from settings, and from earlier records.

use std::fs;
use std::path::Path;

use super::graph::Node;
use crate::data::batches::steps_per_epoch;
use crate::experiment::{Experiment, Stage, Training, UnlabelledUse};
use crate::job::Unlabelled;
use crate::runs::{Layout, Record, Value, linked};

/// Work and cost of a stage that has yet to run.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Estimate {
    /// What a training stage does; `None` for other stages, and while its data are not there.
    pub work: Option<Work>,
    /// Seconds that it takes, by the rate of an earlier result of the same kind; `None` where
    /// there is none.
    pub seconds: Option<f64>,
    /// Bytes of its result, as of that earlier one.
    pub bytes: Option<u64>,
}

/// What a training stage does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Examples of an epoch.
    pub examples: u64,
    /// Optimizer steps of all epochs.
    pub steps: u64,
    /// Examples an optimizer step.
    pub batch_size: u32,
}

/// What a stage may take. `data` is the record of the preparation whose examples it trains on,
/// where that is done; `resumed` the step that it goes on from.
pub fn estimate(
    experiment: &Experiment,
    node: &Node,
    data: Option<&Record>,
    resumed: u64,
    layout: &Layout,
) -> Estimate {
    let stage = experiment.stages.get(node.stage.as_str());
    let training: Option<&Training> = stage.and_then(Stage::get);
    let unlabelled = stage.and_then(|it| UnlabelledUse::of_stage(&experiment.task, it));
    let work = training.and_then(|training| work(training, unlabelled, data));
    let Some(earlier) = earlier(experiment, node, layout) else {
        return Estimate {
            work,
            ..Estimate::default()
        };
    };
    let batch = earlier.key.settings.get("batch-size");
    let seconds = match (work, earlier.summary.steps, batch) {
        _ if training.is_none() => Some(earlier.seconds),
        (Some(work), Some(steps), Some(Value::Integer(batch))) => {
            // Its time is that of its last part, if it was interrupted.
            let done = (steps - earlier.resumed_from.unwrap_or(0).min(steps)) * batch;
            let left = (work.steps - resumed.min(work.steps)) * u64::from(work.batch_size);
            (done > 0).then(|| earlier.seconds / done as f64 * left as f64)
        }
        _ => None,
    };
    let sizes = earlier.artifacts.values().map(|artifact| artifact.size);
    Estimate {
        work,
        seconds,
        bytes: Some(sizes.sum()),
    }
}

fn work(
    training: &Training,
    unlabelled: Option<Unlabelled>,
    data: Option<&Record>,
) -> Option<Work> {
    let prepared = data?.summary.prepared.as_ref()?;
    let rows = |name: &str| {
        let mut splits = prepared.examples.iter();
        splits
            .find(|(split, _)| split == name)
            .map(|(_, rows)| *rows)
    };
    let all = rows("train")?;
    let labelled = training.train_limit.map_or(all, |limit| limit.min(all));
    let there = rows("unlabelled").unwrap_or(0);
    let examples = labelled + unlabelled.map_or(0, |it| it.each_epoch(labelled, there));
    let accumulation = *training.gradient_accumulation_steps;
    let micro = *training.batch_size / accumulation.max(1);
    let steps = steps_per_epoch(examples, micro, accumulation, training.drop_last);
    Some(Work {
        examples,
        steps: steps * u64::from(*training.epochs),
        batch_size: *training.batch_size,
    })
}

/// The result of this kind that this experiment used last, or else the newest one stored.
fn earlier(experiment: &Experiment, node: &Node, layout: &Layout) -> Option<Record> {
    let last = linked(layout, &experiment.name, node.stage.as_str());
    let last = last.and_then(|folder| Record::read(&folder));
    last.or_else(|| newest(&layout.stores(node.kind)))
}

fn newest(folder: &Path) -> Option<Record> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    let records = entries.filter_map(|entry| Record::read(&entry.path()));
    records.max_by_key(|record| record.finished)
}
