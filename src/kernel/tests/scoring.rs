//! One score for one model: dev scoring while it is trained, `eval`, any batch size and any number
//! of threads predict the same class for every row, whatever the model was trained in.

use std::fs;
use std::path::Path;

use tch::Device;
use tinyrun_base::data::store::TokenStore;
use tinyrun_base::data::{StoreMeta, StoreWriter};
use tinyrun_base::job::{
    EvalModel, EvalSet, Evaluate, HeadKind, Job, Keep, LossScaling, ModelSelection, Objective,
    Precision, Scoring, WeightDtype, Work,
};
use tinyrun_base::model::{BertConfig, ModelRef};

use super::fixture::path;
use super::resume::{job, run, selection};
use crate::device::Compute;
use crate::evaluate::evaluate;
use crate::folder::load_for_scoring;
use crate::ranks::Ranks;
use crate::reporter::Reporter;
use crate::stop::Stop;
use crate::training::Ended;

/// Enough rows that some are so close that bf16 answers them otherwise.
const ROWS: u32 = 3000;

fn dev(folder: &Path) {
    let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
    let meta = StoreMeta::new(12, 64, 0, labels);
    let mut writer = StoreWriter::create(folder, meta).expect("a store");
    for row in 0..ROWS {
        let ids: Vec<u32> = (0..3 + row % 9)
            .map(|at| 5 + (row * row + row * 31 + at * 17) % 59)
            .collect();
        let label = Some((row % 3) as f32);
        writer.push(&ids, ids.len(), label).expect("a row");
    }
    writer.finish().expect("a store");
}

/// Fine-tuning in a format, its weights written in another.
fn training(folder: &Path, precision: Precision, dtype: WeightDtype) -> Job {
    let mut job = job(folder, Objective::Labels);
    job.precision = precision;
    let Work::Train(train) = &mut job.work else {
        panic!("a training job")
    };
    dev(&folder.join("dev"));
    train.selection = Some(ModelSelection {
        scoring: Scoring {
            eval_interval: 0,
            patience: 0,
            keep: Keep::Last,
        },
        ..selection(&folder.join("dev"))
    });
    train.student.dtype = dtype;
    train.steps.loss_scaling = (precision == Precision::Fp16).then_some(LossScaling {
        initial: 64.0,
        factor: 2.0,
        window: 100,
    });
    job
}

/// The last accuracy on dev in `metrics.csv`.
fn last_accuracy(metrics: &Path) -> f64 {
    let mut file = csv::Reader::from_path(metrics).expect("metrics");
    let names = file.headers().expect("a header").clone();
    let column = names.iter().position(|name| name == "dev_accuracy");
    let rows = file.records().map(|row| row.expect("a row"));
    let cells = rows.filter_map(|row| row[column.expect("scored")].parse().ok());
    cells.last().expect("scored once at least")
}

/// Gold and predicted class of every row by `eval`.
fn predictions(job: &Job, threads: usize, batch_size: u32) -> Vec<(String, String)> {
    let mut eval = job.clone();
    eval.output = job
        .output
        .with_file_name(format!("eval-{threads}-{batch_size}"));
    fs::create_dir_all(&eval.output).expect("a folder");
    let work = Evaluate {
        models: vec![EvalModel {
            own_sets: Vec::new(),
            name: "student".to_owned(),
            folder: job.output.join("model").into(),
            head: HeadKind::Plain,
        }],
        sets: vec![EvalSet {
            split: "dev".to_owned(),
            data: job.output.with_file_name("dev"),
        }],
        batch_size,
    };
    let compute =
        Compute::resolve(eval.device.of(0), eval.precision, Some(threads)).expect("a device");
    let ended = evaluate(
        &eval,
        &work,
        compute,
        &Reporter::silent(),
        &Stop::on_signals(),
        &Ranks::one(),
    );
    assert!(matches!(ended, Ok(Ended::Done { .. })), "{ended:?}");
    let file = eval.output.join("predictions-student.csv");
    let mut file = csv::Reader::from_path(file).expect("predictions");
    let rows = file.records().map(|row| row.expect("a row"));
    rows.map(|row| (row[1].to_owned(), row[2].to_owned()))
        .collect()
}

#[test]
fn a_score_on_dev_is_that_of_the_written_model_whatever_it_was_trained_in() {
    let settings = [
        (Precision::Fp32, WeightDtype::Fp32),
        (Precision::Bf16, WeightDtype::Fp32),
        (Precision::Fp16, WeightDtype::Fp32),
        (Precision::Fp32, WeightDtype::Bf16),
        (Precision::Bf16, WeightDtype::Fp16),
    ];
    for (precision, dtype) in settings {
        let folder = tempfile::tempdir().expect("a folder");
        let job = training(folder.path(), precision, dtype);
        let ended = run(&job, &Stop::on_signals());
        assert!(matches!(ended, Ok(Ended::Done { .. })), "{ended:?}");
        let reported = last_accuracy(&job.output.join("metrics.csv"));

        let rows = predictions(&job, 1, 32);
        let right = rows.iter().filter(|(gold, predicted)| gold == predicted);
        let accuracy = right.count() as f64 / f64::from(ROWS);
        let what = format!("trained in {precision:?}, written in {dtype:?}");
        assert!(
            (reported - accuracy).abs() < 1e-12,
            "{what}: {reported}, eval {accuracy}"
        );
        for (threads, batch_size) in [(1, 1), (2, 7), (2, 500)] {
            let others = predictions(&job, threads, batch_size);
            assert!(
                rows == others,
                "{what}: {threads} threads, batches of {batch_size}"
            );
        }
    }
}

#[test]
fn a_model_of_some_layers_is_as_large_as_those_and_is_written_with_its_own_head() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut job = job(&folder.path().join("run"), Objective::Labels);
    let store = TokenStore::open(&folder.path().join("run/store")).expect("a store");
    let size = |layers: &[usize]| {
        let mut model = ModelRef::from(path("bert-tiny"));
        model.stated.layers = layers.to_vec();
        let found = load_for_scoring(&model, HeadKind::Plain, &store, Device::Cpu);
        let found = found.expect("a model");
        (found.parameters, found.size_bytes)
    };
    let (parameters, bytes) = size(&[0]);
    assert_eq!(bytes, 4 * parameters);
    assert!(bytes < size(&[]).1);

    // A teacher with another head leaves no trace in the student's `config.json`.
    let Work::Train(train) = &mut job.work else {
        panic!("a training job")
    };
    train.student.config.tinyrun_head = Some("relu".to_owned());
    run(&job, &Stop::default()).expect("it trains");
    let config = BertConfig::read(&job.output.join("model")).expect("a configuration");
    assert_eq!(config.tinyrun_head, None);
}
