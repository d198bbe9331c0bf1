//! A teacher whose answers are remembered teaches what one teaches that is asked in every step.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tinyrun_base::job::{
    Job, Objective, Precision, Reduction, SoftLossReduction, Teacher, Train, Work,
};

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

fn teacher(train: &mut Train) -> &mut Teacher {
    train.teacher.as_mut().expect("a distillation")
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
            teacher(work(&mut job)).cache_bytes = bytes;
            work(&mut job).saving.log_interval = 1;
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
        teacher(work(&mut job)).cache_bytes = bytes;
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
        |train| teacher(train).cache_bytes = 1000,
        |train| teacher(train).dropout = true,
        |train| train.steps.epochs = 1,
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
        teacher(work(&mut unbroken)).cache_bytes = first;
        run(&unbroken, &Stop::default()).expect("it trains");

        let mut changed = job(&folder.path().join("changed"), objective);
        teacher(work(&mut changed)).cache_bytes = first;
        let ask = Stop::default();
        ask.ask();
        while run(&changed, &ask).expect("it trains") != (Ended::Interrupted { step: 3 }) {}
        teacher(work(&mut changed)).cache_bytes = then;
        run(&changed, &Stop::default()).expect("it trains");
        assert!(left(&unbroken.output) == left(&changed.output), "{first}");
    }
}

/// Where the answers that [`sharing`] names by `key` are kept in fp32 on the processor.
fn answers(folder: &Path, key: &str) -> PathBuf {
    folder.join("answers").join(format!("{key}-float-cpu-none"))
}

/// A job whose teacher's answers lie in a folder below `folder` that others share.
fn sharing(folder: &Path, name: &str, objective: Objective, key: &str) -> Job {
    let mut job = job(&folder.join(name), objective);
    let train = work(&mut job);
    teacher(train).cache = Some(folder.join("answers").join(key));
    // Of all rows, whatever the seed.
    train.data.limit = None;
    job
}

/// Where a run is after one look at the user, who wants to stop: before the first step where the teacher is asked.
fn first_stop(job: &Job) -> Ended {
    let ask = Stop::default();
    ask.ask();
    run(job, &ask).expect("it begins")
}

#[test]
fn stages_that_ask_the_same_share_the_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let objective = intermediate(Reduction::Tokens);
    let mut alone = job(&folder.join("alone"), objective.clone());
    work(&mut alone).data.limit = None;
    let first = sharing(folder, "first", objective.clone(), "a");
    let mut second = sharing(folder, "second", objective, "a");
    assert_eq!(first_stop(&first), Ended::Interrupted { step: 0 });
    for job in [&alone, &first] {
        run(job, &Stop::default()).expect("it trains");
    }
    // What the teacher answers does not depend on whom it tells.
    assert!(left(&alone.output) == left(&first.output));

    second.seed = 8;
    assert_eq!(first_stop(&second), Ended::Interrupted { step: 1 });
    run(&second, &Stop::default()).expect("it trains");
    assert!(answers(folder, "a").join(FILE).exists());
    assert!(!second.output.join(FILE).exists());
}

#[test]
fn answers_make_room_for_others_unless_somebody_reads_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let objective = intermediate(Reduction::Tokens);
    let there = |key: &str| answers(folder, key).join(FILE).exists();
    run(
        &sharing(folder, "first", objective.clone(), "a"),
        &Stop::default(),
    )
    .expect("it trains");
    let size = fs::metadata(answers(folder, "a").join(FILE)).expect("answers");
    // Room for one and a half.
    let limit = size.len() * 3 / 2;

    let lock = File::open(answers(folder, "a").join("lock")).expect("a lock");
    lock.lock_shared().expect("it is read");
    let mut second = sharing(folder, "second", objective.clone(), "b");
    teacher(work(&mut second)).cache_bytes = limit;
    run(&second, &Stop::default()).expect("it trains");
    assert!(there("a") && !there("b"));

    drop(lock);
    let mut third = sharing(folder, "third", objective, "c");
    teacher(work(&mut third)).cache_bytes = limit;
    run(&third, &Stop::default()).expect("it trains");
    assert!(!there("a") && there("c"));
}

#[test]
fn answers_that_are_still_asked_for_take_the_room_of_all_of_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let objective = intermediate(Reduction::Tokens);
    let size = |key: &str| {
        let file = fs::metadata(answers(folder, key).join(FILE));
        file.map(|file| file.len()).ok()
    };
    run(
        &sharing(folder, "whole", objective.clone(), "w"),
        &Stop::default(),
    )
    .expect("it trains");
    let whole = size("w").expect("answers");
    fs::remove_dir_all(answers(folder, "w")).expect("they are removed");

    let first = sharing(folder, "first", objective.clone(), "a");
    assert_eq!(first_stop(&first), Ended::Interrupted { step: 0 });
    assert_eq!(size("a"), Some(whole));
    // As whoever asks holds it.
    let lock = File::open(answers(folder, "a").join("lock")).expect("a lock");
    lock.lock().expect("it is asked for");
    let mut second = sharing(folder, "second", objective, "b");
    teacher(work(&mut second)).cache_bytes = whole * 2 - 1;
    run(&second, &Stop::default()).expect("it trains");
    assert_eq!(size("b"), None);
}

#[test]
fn damaged_answers_that_are_shared_are_asked_for_again_the_next_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let objective = intermediate(Reduction::Tokens);
    let first = sharing(folder, "first", objective.clone(), "a");
    run(&first, &Stop::default()).expect("it trains");
    let path = answers(folder, "a").join(FILE);
    let whole = fs::read(&path).expect("answers");
    let mut bytes = whole.clone();
    bytes[40] ^= 1;
    fs::write(&path, bytes).expect("they are changed");
    let second = sharing(folder, "second", objective, "a");
    let error = run(&second, &Stop::default()).expect_err("damage");
    assert!(
        matches!(error, KernelError::DamagedMemory { .. }),
        "{error}"
    );
    run(&second, &Stop::default()).expect("it trains");
    assert!(left(&first.output) == left(&second.output));
    assert!(fs::read(&path).expect("answers") == whole);
}
