//! A teacher whose answers are remembered teaches what one teaches that is asked in every step.

use std::fs;

use tinyrun::job::{Job, Objective, Precision, Reduction, SoftLossReduction, Train, Work};

use super::fixture::intermediate;
use super::resume::{column, job, left, run};
use crate::error::KernelError;
use crate::stop::Stop;
use crate::training::Ended;

const DOCUMENT: &str = "teacher-memory.json";
const FILE: &str = "teacher-memory.bin";

fn work(job: &mut Job) -> &mut Train {
    let Work::Train(work) = &mut job.work else {
        panic!("a training job")
    };
    work
}

fn prediction() -> Objective {
    Objective::Prediction {
        temperature: 1.0,
        reduction: SoftLossReduction::Batch,
        soft_loss_weight: 1.0,
        hard_label_weight: 0.5,
    }
}

/// The folder of a job that was stopped while the teacher was asked.
fn interrupted(folder: &std::path::Path) -> Job {
    let job = job(folder, intermediate(Reduction::Tokens));
    let ask = Stop::default();
    ask.ask();
    for _ in 0..2 {
        assert_eq!(
            run(&job, &ask).expect("it asks"),
            Ended::Interrupted { step: 0 }
        );
    }
    assert!(job.output.join(DOCUMENT).exists() && job.output.join(FILE).exists());
    job
}

#[test]
fn remembered_or_asked_in_every_step_the_losses_are_the_same() {
    for (objective, part) in [
        (intermediate(Reduction::Tokens), "attention_loss"),
        (prediction(), "prediction_loss"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let losses = [0, 1_000_000_000].map(|bytes| {
            let mut job = job(&folder.path().join(bytes.to_string()), objective.clone());
            work(&mut job).teacher_memory = bytes;
            work(&mut job).log_interval = 1;
            run(&job, &Stop::default()).expect("it trains");
            // Nothing of it is an artifact.
            assert!(!job.output.join(FILE).exists() && !job.output.join(DOCUMENT).exists());
            [column(&job.output, "loss"), column(&job.output, part)].concat()
        });
        assert_eq!(losses[0].len(), 16);
        for (asked, remembered) in losses[0].iter().zip(&losses[1]) {
            let apart = (asked - remembered).abs() / asked;
            assert!(apart < 1e-5, "{part}: {asked} and {remembered}");
        }
    }
}

#[test]
fn in_bf16_it_is_remembered_as_it_was_computed() {
    let folder = tempfile::tempdir().expect("a folder");
    let losses = [0, 1_000_000_000].map(|bytes| {
        let place = folder.path().join(bytes.to_string());
        let mut job = job(&place, intermediate(Reduction::Tokens));
        job.precision = Precision::Bf16;
        work(&mut job).teacher_memory = bytes;
        run(&job, &Stop::default()).expect("it trains");
        column(&job.output, "loss")
    });
    for (asked, remembered) in losses[0].iter().zip(&losses[1]) {
        assert!((asked - remembered).abs() < 2e-3 * asked, "{losses:?}");
    }
}

#[test]
fn what_does_not_fit_or_differs_from_step_to_step_is_not_remembered() {
    let changes: [fn(&mut Train); 4] = [
        |train| train.teacher_memory = 1000,
        |train| train.teacher_dropout = true,
        |train| train.epochs = 1,
        |train| train.objective = intermediate(Reduction::Block),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut job = job(folder.path(), intermediate(Reduction::Tokens));
        change(work(&mut job));
        let ask = Stop::default();
        ask.ask();
        // A teacher that is asked first would be stopped before the first step.
        let ended = run(&job, &ask).expect("it trains");
        assert_eq!(ended, Ended::Interrupted { step: 1 }, "change {index}");
        assert!(!job.output.join(FILE).exists(), "change {index}");
    }
}

#[test]
fn an_interrupted_asking_goes_on_and_ends_in_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let objective = intermediate(Reduction::Tokens);
    let unbroken = job(&folder.path().join("unbroken"), objective);
    run(&unbroken, &Stop::default()).expect("it trains");

    let plain = interrupted(&folder.path().join("plain"));
    run(&plain, &Stop::default()).expect("it trains");
    assert!(left(&unbroken.output) == left(&plain.output));

    // A file that lost its end, or whose document is no document, is begun again.
    let cut = interrupted(&folder.path().join("cut"));
    fs::write(cut.output.join(FILE), b"short").expect("it is cut");
    run(&cut, &Stop::default()).expect("it trains");
    assert!(left(&unbroken.output) == left(&cut.output));

    let torn = interrupted(&folder.path().join("torn"));
    fs::write(torn.output.join(DOCUMENT), b"{").expect("it is torn");
    run(&torn, &Stop::default()).expect("it trains");
    assert!(left(&unbroken.output) == left(&torn.output));
}

#[test]
fn answers_that_changed_on_disk_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let damaged = interrupted(folder.path());
    let path = damaged.output.join(FILE);
    let mut bytes = fs::read(&path).expect("answers");
    bytes[40] ^= 1;
    fs::write(&path, bytes).expect("they are changed");
    let error = run(&damaged, &Stop::default()).expect_err("damage");
    let KernelError::DamagedMemory { path: told } = &error else {
        panic!("{error}")
    };
    assert_eq!(told, &path);
}

#[test]
fn a_run_that_goes_on_does_as_before_whatever_the_limit_says_now() {
    for (first, then) in [(1_000_000_000, 0), (0, 1_000_000_000)] {
        let folder = tempfile::tempdir().expect("a folder");
        let objective = intermediate(Reduction::Tokens);
        let mut unbroken = job(&folder.path().join("unbroken"), objective.clone());
        work(&mut unbroken).teacher_memory = first;
        run(&unbroken, &Stop::default()).expect("it trains");

        let mut changed = job(&folder.path().join("changed"), objective);
        work(&mut changed).teacher_memory = first;
        let ask = Stop::default();
        ask.ask();
        while run(&changed, &ask).expect("it trains") != (Ended::Interrupted { step: 3 }) {}
        work(&mut changed).teacher_memory = then;
        run(&changed, &Stop::default()).expect("it trains");
        assert!(left(&unbroken.output) == left(&changed.output), "{first}");
    }
}
