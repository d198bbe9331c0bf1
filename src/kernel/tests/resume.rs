//! A run that was stopped and resumed ends in the bytes of one that was not.

use std::fs;
use std::path::{Path, PathBuf};

use tinyrun_base::data::{StoreMeta, StoreWriter};
use tinyrun_base::job::{
    self, DecayFrom, Device, Devices, HeadKind, Initializer, InitializerKind, Job, Keep,
    LossScaling, ModelSelection, Objective, OptimizerKind, PadTo, Precision, Reduction, Saving,
    Schedule, ScheduleKind, Scoring, Steps, Student, Teacher, Train, TrainData, Warmup,
    WeightDtype, Work,
};
use tinyrun_base::metrics::csv_file::is_of_speed;
use tinyrun_base::model::{BertConfig, Dtype, Weights};

use super::fixture::{adam, intermediate, path};
use super::relations::of_relations;
use crate::device::Compute;
use crate::error::KernelError;
use crate::ranks::Ranks;
use crate::reporter::Reporter;
use crate::stop::Stop;
use crate::training::{Ended, train};

/// 30 short rows of the fixtures' vocabulary.
fn store(folder: &Path) {
    let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
    let mut writer =
        StoreWriter::create(folder, StoreMeta::new(12, 64, 0, labels)).expect("a store");
    for row in 0_u32..30 {
        let ids: Vec<u32> = (0..4 + row % 8)
            .map(|at| 5 + (row * 7 + at * 3) % 59)
            .collect();
        writer
            .push(&ids, ids.len(), Some((row % 3) as f32))
            .expect("a row");
    }
    writer.finish().expect("a store");
}

/// Phase 1 with dropout, or fine-tuning with a dev set, in `folder`.
pub(super) fn job(folder: &Path, objective: Objective) -> Job {
    fs::create_dir_all(folder.join("out")).expect("a folder");
    if !folder.join("store").exists() {
        store(&folder.join("store"));
    }
    let fine_tuning = objective == Objective::Labels;
    let mut config = BertConfig::read(&path("bert-student")).expect("a configuration");
    (
        config.hidden_dropout_prob,
        config.attention_probs_dropout_prob,
    ) = (0.1, 0.1);
    Job {
        version: job::VERSION,
        stage: "test".to_owned(),
        fingerprint: "f".to_owned(),
        seed: 7,
        device: Devices::one(Device::Cpu),
        precision: Precision::Fp32,
        threads: None,
        ranks: 1,
        ranks_here: 1,
        meeting: None,
        wait_seconds: None,
        output: folder.join("out"),
        work: Work::Train(Box::new(Train {
            objective,
            predictions: None,
            ensemble: None,
            teacher: (!fine_tuning).then(|| Teacher {
                folder: path("bert-tiny").into(),
                head: HeadKind::Plain,
                dropout: false,
                rows: None,
                gate: None,
                cache_bytes: 1_000_000_000,
                cache: None,
            }),
            student: Student {
                config,
                initializer: Initializer {
                    kind: InitializerKind::Normal,
                    embedding_range: 0.02,
                    projection_range: 0.02,
                },
                weights: Some(path("bert-student").into()),
                projection: None,
                tokenizer: path("bert-tiny"),
                labels: ["a", "b", "c"].map(str::to_owned).to_vec(),
                head: HeadKind::Plain,
                new_classifier: false,
                dtype: WeightDtype::Fp32,
            },
            data: TrainData {
                store: folder.join("store"),
                limit: Some(28),
                shuffle: true,
                drop_last: false,
                pad_to: PadTo::None,
                batch_size: 4,
                gradient_accumulation_steps: 2,
                unlabelled: None,
                reduction_leaves: 1,
                gradient_exchange: job::GradientExchange::Fp32,
                prefetch: 2,
            },
            steps: Steps {
                epochs: 2,
                optimizer: adam(OptimizerKind::AdamW, 0.01, 1.0),
                loss_scaling: None,
                schedule: Schedule {
                    kind: ScheduleKind::Polynomial(1.0),
                    learning_rate: 5e-3,
                    end_learning_rate: 0.0,
                    warmup: Warmup::Proportion(0.1),
                    decay_from: DecayFrom::Warmup,
                },
            },
            selection: fine_tuning.then(|| selection(&folder.join("store"))),
            saving: Saving {
                log_interval: 3,
                checkpoint_interval: 0,
                checkpoint_seconds: 0,
                checkpoint_keep: 2,
            },
        })),
    }
}

/// The best of every third step on a store.
pub(super) fn selection(dev: &Path) -> ModelSelection {
    ModelSelection {
        dev: dev.to_owned(),
        metric: job::Metric::Accuracy,
        scoring: Scoring {
            eval_interval: 3,
            patience: 0,
            keep: Keep::Best,
        },
    }
}

pub(super) fn run(job: &Job, stop: &Stop) -> Result<Ended, KernelError> {
    let Work::Train(work) = &job.work else {
        panic!("a training job")
    };
    let compute = Compute::resolve(job.device.of(0), job.precision, job.threads)?;
    train(job, work, compute, &Reporter::silent(), stop, &Ranks::one())
}

/// Everything that the stage left, by name; the columns of speed are cut from the metrics.
pub(super) fn left(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.display().to_string();
                let mut bytes = fs::read(&path).expect("a file");
                if name.ends_with("metrics.csv") {
                    bytes = without_speed(&String::from_utf8(bytes).expect("text")).into_bytes();
                }
                let name = name.rsplit_once("out/").expect("in out").1.to_owned();
                // The runner drops these before it stores a result.
                if !name.starts_with("checkpoint-") && !name.starts_with("best-") {
                    files.push((name, bytes));
                }
            }
        }
    }
    files.sort();
    files
}

fn without_speed(metrics: &str) -> String {
    let speed: Vec<bool> = metrics
        .lines()
        .next()
        .expect("a header")
        .split(',')
        .map(is_of_speed)
        .collect();
    metrics
        .lines()
        .map(|line| {
            let kept = line
                .split(',')
                .zip(&speed)
                .filter(|(_, speed)| !**speed)
                .map(|(cell, _)| cell);
            kept.collect::<Vec<_>>().join(",") + "\n"
        })
        .collect()
}

/// How a run ends that is stopped after its first step, and before after each batch that the
/// teacher is asked about.
fn first_step(job: &Job, ask: &Stop) -> Ended {
    loop {
        let ended = run(job, ask).expect("it trains");
        if ended != (Ended::Interrupted { step: 0 }) {
            return ended;
        }
    }
}

/// With `change` made to the job.
fn stopped_after_every_step_equals_unbroken(objective: &Objective, change: impl Fn(&mut Job)) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut unbroken = job(&folder.path().join("unbroken"), objective.clone());
    change(&mut unbroken);
    assert_eq!(
        run(&unbroken, &Stop::default()).expect("it trains"),
        Ended::Done { steps: 8 }
    );

    let mut stopped = job(&folder.path().join("stopped"), objective.clone());
    change(&mut stopped);
    let ask = Stop::default();
    ask.ask();
    let first = first_step(&stopped, &ask);
    assert_eq!(first, Ended::Interrupted { step: 1 });
    for step in 2..8 {
        assert_eq!(
            run(&stopped, &ask).expect("it trains"),
            Ended::Interrupted { step }
        );
    }
    assert_eq!(
        run(&stopped, &ask).expect("it trains"),
        Ended::Done { steps: 8 }
    );

    let (expected, found) = (left(&unbroken.output), left(&stopped.output));
    let names = |files: &[(String, Vec<u8>)]| {
        files
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&found), names(&expected));
    assert!(names(&found).contains(&"model/model.safetensors".to_owned()));
    for ((name, found), (_, expected)) in found.iter().zip(&expected) {
        assert!(found == expected, "`{name}` differs");
    }
}

#[test]
fn phase_1_with_dropout_stopped_after_every_step_ends_in_the_same_bytes() {
    stopped_after_every_step_equals_unbroken(&intermediate(Reduction::Tokens), |_| {});
}

#[test]
fn padded_rows_stopped_after_every_step_end_in_the_same_bytes() {
    stopped_after_every_step_equals_unbroken(&intermediate(Reduction::Tokens), |job| {
        let Work::Train(train) = &mut job.work else {
            panic!("a training job")
        };
        train.data.pad_to = PadTo::Longest;
    });
}

#[test]
fn relations_stopped_after_every_step_end_in_the_same_bytes() {
    stopped_after_every_step_equals_unbroken(&of_relations(), |_| {});
}

#[test]
#[cfg_attr(not(has_bf16), ignore = "this processor does not multiply in bf16")]
fn relations_in_bf16_stopped_after_every_step_end_in_the_same_bytes() {
    stopped_after_every_step_equals_unbroken(&of_relations(), |job| {
        job.precision = Precision::Bf16;
    });
}

#[test]
fn fine_tuning_with_a_best_model_stopped_after_every_step_ends_in_the_same_bytes() {
    stopped_after_every_step_equals_unbroken(&Objective::Labels, |_| {});
}

/// Trains in fp16 from a scale at which the first steps overflow.
fn in_fp16(job: &mut Job, initial: f64) {
    job.precision = Precision::Fp16;
    let Work::Train(work) = &mut job.work else {
        panic!("a training job")
    };
    work.steps.loss_scaling = Some(LossScaling {
        initial,
        factor: 16.0,
        window: 2,
    });
    work.saving.log_interval = 1;
    work.student.dtype = WeightDtype::Fp16;
}

#[test]
fn fp16_with_overflows_stopped_after_every_step_ends_in_the_same_bytes() {
    let change = |job: &mut Job| in_fp16(job, 2_f64.powi(30));
    stopped_after_every_step_equals_unbroken(&intermediate(Reduction::Tokens), change);
}

/// Columns of `metrics.csv` by name.
pub(super) fn column(folder: &Path, name: &str) -> Vec<f64> {
    let text = fs::read_to_string(folder.join("metrics.csv")).expect("metrics");
    let mut lines = text.lines().map(|line| line.split(','));
    let header = lines.next().expect("a header");
    let place = header.into_iter().position(|cell| cell == name);
    let place = place.expect("a column");
    lines
        .map(|mut line| line.nth(place).expect("a cell").parse().expect("a number"))
        .collect()
}

#[test]
fn a_step_that_overflows_is_skipped_and_counted_and_the_schedule_waits_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut job = job(folder.path(), intermediate(Reduction::Tokens));
    in_fp16(&mut job, 2_f64.powi(30));
    run(&job, &Stop::default()).expect("it trains");
    let overflows = column(&job.output, "overflows");
    let scales = column(&job.output, "loss_scale");
    let rates = column(&job.output, "learning_rate");
    let skipped = overflows.last().expect("steps");
    assert!((1.0..7.0).contains(skipped), "{overflows:?}");
    for step in 0..7 {
        let counted = if step == 0 { 0.0 } else { overflows[step - 1] };
        let same_rate = (rates[step] - rates[step + 1]).abs() < 1e-12;
        if overflows[step] > counted {
            assert!(same_rate, "step {step} was skipped: {rates:?}");
            let before = if step == 0 {
                2_f64.powi(30)
            } else {
                scales[step - 1]
            };
            assert!((scales[step] * 16.0 - before).abs() < 1.0, "{scales:?}");
        } else {
            assert!(!same_rate, "step {step} counts: {rates:?}");
        }
    }
    let weights = Weights::open(&job.output.join("model")).expect("a model");
    let tensor = weights.tensor("bert.embeddings.word_embeddings.weight");
    assert_eq!(tensor.expect("there").dtype, Dtype::F16);
}

#[test]
fn gradients_that_overflow_at_the_smallest_scale_stop_the_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut job = job(folder.path(), intermediate(Reduction::Tokens));
    in_fp16(&mut job, 1.0);
    let Work::Train(work) = &mut job.work else {
        panic!("a training job")
    };
    let Objective::Intermediate { hidden_weights, .. } = &mut work.objective else {
        panic!("layers are compared")
    };
    hidden_weights.fill(1e9);
    let error = run(&job, &Stop::default()).expect_err("an overflow");
    let message = error.to_string();
    assert!(
        message.ends_with("at the smallest loss scale at step 1"),
        "{message}"
    );
}

#[test]
fn batches_laid_out_ahead_are_those_laid_out_when_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let outputs = [0, 5].map(|prefetch| {
        let place = folder.path().join(prefetch.to_string());
        let mut job = job(&place, intermediate(Reduction::Tokens));
        let Work::Train(work) = &mut job.work else {
            panic!("a training job")
        };
        work.data.prefetch = prefetch;
        run(&job, &Stop::default()).expect("it trains");
        left(&job.output)
    });
    assert!(outputs[0] == outputs[1]);
}

#[test]
fn a_damaged_newest_checkpoint_falls_back_to_the_one_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let unbroken = job(
        &folder.path().join("unbroken"),
        intermediate(Reduction::Tokens),
    );
    run(&unbroken, &Stop::default()).expect("it trains");
    let damaged = job(
        &folder.path().join("damaged"),
        intermediate(Reduction::Tokens),
    );
    let ask = Stop::default();
    ask.ask();
    first_step(&damaged, &ask);
    for step in 2..4 {
        assert_eq!(
            run(&damaged, &ask).expect("it trains"),
            Ended::Interrupted { step }
        );
    }
    let newest = damaged.output.join("checkpoint-00000003.safetensors");
    let mut bytes = fs::read(&newest).expect("a checkpoint");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&newest, bytes).expect("it is damaged");
    assert_eq!(
        run(&damaged, &ask).expect("it trains"),
        Ended::Interrupted { step: 3 }
    );
    assert_eq!(
        run(&damaged, &Stop::default()).expect("it trains"),
        Ended::Done { steps: 8 }
    );
    assert!(left(&unbroken.output) == left(&damaged.output));
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_checkpoint() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut job = job(folder.path(), Objective::Labels);
    let ask = Stop::default();
    ask.ask();
    run(&job, &ask).expect("it trains");
    let Work::Train(work) = &mut job.work else {
        panic!("a training job")
    };
    work.steps.schedule.learning_rate = f64::INFINITY;
    let error = run(&job, &Stop::default()).expect_err("an infinite step");
    let KernelError::NotFinite {
        step, checkpoint, ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!((step, checkpoint), (3, Some(1)));
    assert!(job.output.join("checkpoint-00000001.json").exists());
}
