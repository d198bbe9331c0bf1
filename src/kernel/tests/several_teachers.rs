//! The mean of several teachers against an independent PyTorch script: the loss, and every gradient by name; equal
//! teachers are one teacher; outputs are cached apart; runs that were stopped end in the same bytes.

use std::fs;
use std::path::PathBuf;

use tch::{Kind, Tensor};
use tinyrun_base::job::{
    Ensemble, HeadKind, Job, Objective, RegressionTarget, SoftLossReduction, Teacher as Spec,
    TeacherMean, Train, Work,
};
use tinyrun_base::model::BertConfig;

use super::fixture::{
    assert_close, device, json, laid_both_ways, path, slack, teacher, tensors, weights,
};
use super::objectives::{narrowed, student_of};
use super::resume::{column, job, left, run};
use crate::encoder::{Classifier, Encoder};
use crate::ensemble::mean_target;
use crate::losses::{mean_of_logits, mean_of_probabilities};
use crate::objective::{Share, losses};
use crate::parameters::Parameters;
use crate::stop::Stop;
use crate::target::{Target, Teacher};
use crate::training::Ended;

const TOLERANCE: f64 = 1e-5;

fn ensemble(weights: &[f64], mean: TeacherMean) -> Ensemble {
    Ensemble {
        others: Vec::new(),
        names: Vec::new(),
        weights: weights.to_vec(),
        mean,
    }
}

/// The teachers of the fixture.
fn teachers(outputs: i64) -> [Teacher; 2] {
    let file = weights("several_teachers.safetensors");
    let config: BertConfig = serde_json::from_value(serde_json::json!({
        "vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 28, "max_position_embeddings": 16,
    }))
    .expect("a configuration");
    let other = narrowed(&Parameters::new(tensors(&file, "other.weights.")), outputs);
    let other = other.frozen(device(), Kind::Float);
    let other = Teacher {
        encoder: Encoder::either(&other, &config, Kind::Float),
        classifier: Some(Classifier::new(&other, &config, HeadKind::Plain)),
        dropout: false,
    };
    [super::objectives::teacher(outputs), other]
}

/// The objective of a case of the fixture, and its ensemble.
fn case_of(case: &serde_json::Value) -> (Objective, Ensemble) {
    let list = case["weights"].as_array().expect("a list");
    let weights: Vec<f64> = list
        .iter()
        .map(|it| it.as_f64().expect("a number"))
        .collect();
    let mean = match case["mean"].as_str() {
        Some("probabilities") => TeacherMean::Probabilities,
        _ => TeacherMean::Logits,
    };
    let objective = match case["temperature"].as_f64() {
        None => Objective::Regression {
            target: RegressionTarget::Teacher,
        },
        Some(temperature) => Objective::Prediction {
            temperature,
            reduction: match case["reduction"].as_str() {
                Some("batch") => SoftLossReduction::Batch,
                _ => SoftLossReduction::BatchAndClasses,
            },
            soft_loss_weight: 1.0,
            hard_label_weight: 0.0,
        },
    };
    (objective, ensemble(&weights, mean))
}

#[test]
fn the_mean_of_two_teachers_has_pytorchs_loss_and_gradients() {
    let file = weights("several_teachers.safetensors");
    let document = json("several_teachers.json");
    let document = document.as_object().expect("cases");
    let cases = document.iter().filter(|(name, _)| *name != "versions");
    let mut count = 0;
    for (name, case) in cases {
        count += 1;
        let (objective, ensemble) = case_of(case);
        let outputs = if name == "regression" { 1 } else { 3 };
        for (way, batch) in laid_both_ways(&file, "") {
            let (student, parameters) = student_of(outputs);
            let targets = teachers(outputs).map(|it| Target::of(&objective, Some(&it), &batch));
            let target = mean_target(&objective, Some(&ensemble), targets.into());
            let found = losses(&objective, &student, &target, &batch, Share::WHOLE);
            let loss = found.total.double_value(&[]);
            let wanted = case["loss"].as_f64().expect("a loss");
            assert!(
                (loss - wanted).abs() <= slack() * TOLERANCE * wanted,
                "{way} {name}: {loss} for {wanted}"
            );
            let expected = tensors(&file, &format!("{name}.gradients."));
            assert!(expected.len() > 10, "{name}");
            let (names, leaves): (Vec<&str>, Vec<&Tensor>) = parameters.iter().unzip();
            let gradients = Tensor::run_backward(&[&found.total], &leaves, false, false);
            for (tensor, gradient) in names.iter().zip(&gradients) {
                let what = format!("{way} {name}: gradient of {tensor}");
                let Some(expected) = expected.get(*tensor) else {
                    assert!(!gradient.defined() || gradient.abs().max().double_value(&[]) == 0.0);
                    continue;
                };
                let expected = expected.narrow(0, 0, gradient.size()[0]);
                assert_close(&what, gradient, &expected, 2.0 * TOLERANCE);
            }
        }
    }
    assert_eq!(count, 5);
}

#[test]
fn means_are_of_any_number_of_teachers_and_lose_no_small_probability() {
    let rows = |list: &[f32]| Tensor::from_slice(list).view([1, -1]);
    let [a, b, c] = [[2.0, -1.0], [0.0, 4.0], [1.0, 1.0]].map(|list| rows(&list));
    let found = mean_of_logits(&[a, b, c], &[0.25, 0.25, 0.5]);
    assert_close("the mean", &found, &rows(&[1.0, 1.25]), 1e-7);
    // e^-300 is 0 in fp32, and its logit is not.
    let far = [rows(&[0.0, -300.0]), rows(&[0.0, -300.0])];
    let found = mean_of_probabilities(&far, &[0.5, 0.5], 1.0);
    assert_close("the far one", &found, &rows(&[0.0, -300.0]), 1e-6);
}

fn train_of(job: &mut Job) -> &mut Train {
    let Work::Train(work) = &mut job.work else {
        panic!("a training job")
    };
    work
}

fn prediction(temperature: f64) -> Objective {
    Objective::Prediction {
        temperature,
        reduction: SoftLossReduction::Batch,
        soft_loss_weight: 1.0,
        hard_label_weight: 0.5,
    }
}

/// A job in which further teachers stand beside the usual one.
fn job_of(
    folder: &std::path::Path,
    objective: Objective,
    mean: TeacherMean,
    others: &[PathBuf],
) -> Job {
    let mut job = job(folder, objective);
    let train = train_of(&mut job);
    let first = train.teacher.clone().expect("a distillation");
    let count = others.len() + 1;
    let others = others.iter().map(|folder| Spec {
        folder: folder.clone().into(),
        ..first.clone()
    });
    train.ensemble = Some(Ensemble {
        others: others.collect(),
        names: (0..count).map(|place| format!("t{place}")).collect(),
        weights: vec![1.0 / count as f64; count],
        mean,
    });
    job
}

#[test]
fn two_equal_teachers_teach_what_one_teaches() {
    let folder = tempfile::tempdir().expect("a folder");
    let alone = job(&folder.path().join("alone"), prediction(2.0));
    run(&alone, &Stop::default()).expect("it trains");
    let expected = column(&alone.output, "loss");
    for mean in [TeacherMean::Logits, TeacherMean::Probabilities] {
        let place = folder.path().join(format!("{mean:?}"));
        let twice = job_of(&place, prediction(2.0), mean, &[path("bert-tiny")]);
        run(&twice, &Stop::default()).expect("it trains");
        if mean == TeacherMean::Logits {
            assert!(left(&alone.output) == left(&twice.output), "to the bit");
        }
        let found = column(&twice.output, "loss");
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-5, "{found}, {expected}");
        }
    }
}

#[test]
fn cached_or_run_in_every_step_the_mean_is_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let losses = [0, 1_000_000_000].map(|bytes| {
        let place = folder.path().join(bytes.to_string());
        let others = [path("bert-student")];
        let mut job = job_of(&place, prediction(1.0), TeacherMean::Probabilities, &others);
        let train = train_of(&mut job);
        train.saving.log_interval = 1;
        train.teacher.as_mut().expect("a teacher").cache_bytes = bytes;
        train.ensemble.as_mut().expect("two").others[0].cache_bytes = bytes;
        run(&job, &Stop::default()).expect("it trains");
        // Nothing of it is an artifact.
        let names = fs::read_dir(&job.output).expect("a folder");
        for name in names.map(|entry| entry.expect("an entry").file_name()) {
            let name = name.to_string_lossy().into_owned();
            assert!(!name.contains("teacher-memory"), "{name}");
        }
        column(&job.output, "loss")
    });
    assert_eq!(losses[0].len(), 8);
    for (asked, cached) in losses[0].iter().zip(&losses[1]) {
        assert!((asked - cached).abs() < 1e-5 * asked, "{asked}, {cached}");
    }
}

#[test]
fn a_teacher_of_several_shares_its_cache_with_a_run_of_it_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = |key: &str| Some(folder.path().join("answers").join(key));
    let mut both = job_of(
        &folder.path().join("both"),
        prediction(1.0),
        TeacherMean::Logits,
        &[path("bert-student")],
    );
    let train = train_of(&mut both);
    train.data.limit = None;
    train.teacher.as_mut().expect("a teacher").cache = cache("first");
    train.ensemble.as_mut().expect("two").others[0].cache = cache("second");
    run(&both, &Stop::default()).expect("it trains");

    let mut alone = job(&folder.path().join("alone"), prediction(1.0));
    let train = train_of(&mut alone);
    train.data.limit = None;
    let teacher = train.teacher.as_mut().expect("a teacher");
    (teacher.folder, teacher.cache) = (path("bert-student").into(), cache("second"));
    let ask = Stop::default();
    ask.ask();
    // A teacher that is run before the first step would be stopped there.
    let ended = run(&alone, &ask).expect("it begins");
    assert_eq!(ended, Ended::Interrupted { step: 1 });
}

#[test]
fn a_run_with_two_teachers_that_is_stopped_again_and_again_ends_in_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    for mean in [TeacherMean::Logits, TeacherMean::Probabilities] {
        for bytes in [0, 1_000_000_000] {
            let of = |name: &str| {
                let place = folder.path().join(format!("{name}-{mean:?}-{bytes}"));
                let mut job = job_of(&place, prediction(2.0), mean, &[path("bert-student")]);
                let train = train_of(&mut job);
                train.teacher.as_mut().expect("a teacher").cache_bytes = bytes;
                train.ensemble.as_mut().expect("two").others[0].cache_bytes = bytes;
                job
            };
            let (whole, broken) = (of("whole"), of("broken"));
            run(&whole, &Stop::default()).expect("it trains");
            let ask = Stop::default();
            ask.ask();
            while let Ended::Interrupted { .. } = run(&broken, &ask).expect("it trains") {}
            assert!(
                left(&whole.output) == left(&broken.output),
                "{mean:?} {bytes}"
            );
        }
    }
}

#[test]
fn one_target_of_one_teacher_is_that_target() {
    let (teacher, _) = teacher("bert-tiny");
    let objective = prediction(1.0);
    let file = weights("several_teachers.safetensors");
    let (_, batch) = laid_both_ways(&file, "").remove(0);
    let of = || Target::of(&objective, Some(&teacher), &batch);
    let Target::Logits(found) = mean_target(&objective, None, vec![of()]) else {
        panic!("logits")
    };
    let Target::Logits(expected) = of() else {
        panic!("logits")
    };
    assert_eq!(found, expected);
}
