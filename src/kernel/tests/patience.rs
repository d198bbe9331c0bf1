//! Early stopping: where a run ends, and that it ends there whatever interrupts it.

use std::fs;
use std::path::Path;

use tinyrun_base::job::{Job, Objective, Saving, Work};

use super::resume::{job, left, run};
use crate::session::scorings;
use crate::stop::Stop;
use crate::training::Ended;

/// Fine-tuning of twenty epochs of four steps, scored after each and every third step.
fn fine_tuning(folder: &Path, patience: u64) -> Job {
    let mut job = job(folder, Objective::Labels);
    let Work::Train(train) = &mut job.work else {
        panic!("a training job")
    };
    train.steps.epochs = 20;
    train.saving = Saving {
        log_interval: 1,
        ..train.saving.clone()
    };
    let selection = train.selection.as_mut().expect("it scores dev");
    selection.scoring.patience = patience;
    job
}

/// Step and accuracy of every scoring in `metrics.csv`.
fn scored(job: &Job) -> Vec<(u64, f64)> {
    let text = fs::read_to_string(job.output.join("metrics.csv")).expect("metrics");
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().expect("a header");
    let place = |name: &str| {
        let found = header.iter().position(|cell| *cell == name);
        found.expect("a column")
    };
    let (step, accuracy) = (place("step"), place("dev_accuracy"));
    let scored = lines.filter(|line| !line[accuracy].is_empty());
    let parsed = scored.map(|line| {
        let step = line[step].parse().expect("a step");
        (step, line[accuracy].parse().expect("a score"))
    });
    parsed.collect()
}

/// The scoring after which nothing better has come `patience` times in a row.
fn end_of(scored: &[(u64, f64)], patience: usize) -> Option<u64> {
    let (mut best, mut since) = (f64::NEG_INFINITY, 0);
    for (step, score) in scored {
        if *score > best {
            (best, since) = (*score, 0);
        } else {
            since += 1;
        }
        if since == patience {
            return Some(*step);
        }
    }
    None
}

#[test]
fn training_ends_after_as_many_scorings_without_a_better_one_and_resumes_to_the_same_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = fine_tuning(&folder.path().join("whole"), 0);
    let ended = run(&whole, &Stop::default()).expect("it trains");
    assert_eq!(ended, Ended::Done { steps: 80 });
    let all = scored(&whole);
    assert_eq!(all.len(), 80 / 4 + 80 / 3 - 80 / 12);

    let patience = 3;
    let expected =
        end_of(&all, patience).expect("twenty epochs of thirty rows do not improve for ever");
    assert!(expected < 80, "{all:?}");
    let patience = patience as u64;
    let unbroken = fine_tuning(&folder.path().join("unbroken"), patience);
    let ended = run(&unbroken, &Stop::default()).expect("it trains");
    assert_eq!(ended, Ended::Done { steps: expected });
    let found = scored(&unbroken);
    assert_eq!(found, all[..found.len()]);

    let stopped = fine_tuning(&folder.path().join("stopped"), patience);
    let ask = Stop::default();
    ask.ask();
    for step in 1..expected {
        let ended = run(&stopped, &ask).expect("it trains");
        assert_eq!(ended, Ended::Interrupted { step });
    }
    let ended = run(&stopped, &ask).expect("it trains");
    assert_eq!(ended, Ended::Done { steps: expected });
    assert_eq!(left(&stopped.output), left(&unbroken.output));
}

#[test]
fn scorings_are_those_at_an_epochs_end_and_at_the_interval_each_counted_once() {
    for epoch in 1..8 {
        for interval in 0..9 {
            let is_scored = |step: &u64| {
                step.is_multiple_of(epoch) || (interval > 0 && step.is_multiple_of(interval))
            };
            for step in 0..60 {
                let counted = (1..=step).filter(is_scored).count() as u64;
                assert_eq!(scorings(step, epoch, interval), counted);
            }
        }
    }
}
