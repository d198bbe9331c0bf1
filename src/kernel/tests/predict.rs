//! Prediction: the logits of the fixtures and of `eval`, whatever is in a batch beside a row.

use std::io::Cursor;
use std::path::Path;

use tch::{Device, Kind, Tensor};
use tinyrun_base::data::{StoreMeta, StoreWriter, TokenStore};
use tinyrun_base::job::{HeadKind, Predict, Rows, WeightDtype};
use tinyrun_base::model::{BertConfig, names, write_model_folder};

use super::fixture::{assert_close, device, path, rows, tensor, weights};
use super::noise;
use crate::checkpoint::tensor_bytes;
use crate::device::Compute;
use crate::folder::{open, with_classifier};
use crate::native;
use crate::predict::{Predictor, predict};
use crate::reporter::Reporter;
use crate::score::{self, scoring_model};
use crate::stop::Stop;
use crate::training::Ended;

fn work(folder: &Path) -> Predict {
    Predict {
        folder: folder.into(),
        head: HeadKind::Plain,
    }
}

fn compute(kind: Kind) -> Compute {
    let device = device();
    Compute { device, kind }
}

fn request(rows: &[(Vec<u32>, usize)]) -> Rows {
    let (ids, text_b_start) = rows.iter().cloned().unzip();
    Rows { ids, text_b_start }
}

/// A student of TinyBERT's width with random weights.
fn student(folder: &Path) {
    let config: BertConfig = serde_json::from_value(serde_json::json!({
        "vocab_size": 200, "hidden_size": 312, "num_hidden_layers": 2, "num_attention_heads": 12,
        "intermediate_size": 1200, "max_position_embeddings": 128
    }))
    .expect("a config");
    std::fs::write(folder.join("vocab.txt"), "[PAD]\n").expect("written");
    let noise = noise(5);
    let tensors = names::expected_classifier(&config, 3);
    let tensors = tensors.into_iter().map(|(name, shape)| {
        let size: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
        let random = noise(&size) * 0.05;
        let value = if name.ends_with("LayerNorm.weight") {
            random + 1.0
        } else {
            random
        };
        (name, shape, tensor_bytes(&value, Kind::Float))
    });
    let labels = ["a", "b", "c"].map(str::to_owned);
    let json = config.to_json(true, &labels);
    let tokenizer = folder.to_owned();
    write_model_folder(folder, &json, WeightDtype::Fp32, tensors, &tokenizer).expect("written");
}

/// Rows of 2 to 90 tokens, some of two segments.
fn many_rows() -> Vec<(Vec<u32>, usize)> {
    let row = |row: u32| {
        let length = 2 + (row * 37) % 89;
        let ids: Vec<u32> = (0..length).map(|at| (row * 31 + at * 17) % 200).collect();
        let second = if row.is_multiple_of(3) {
            length / 2
        } else {
            length
        };
        (ids, second as usize)
    };
    (0..150).map(row).collect()
}

#[test]
fn logits_are_those_of_transformers() {
    let expected = weights("forward.safetensors");
    let predictor = Predictor::open(&work(&path("bert-tiny")), compute(Kind::Float));
    let found = predictor
        .expect("opened")
        .logits(&request(&rows(&expected, "")));
    let found = Tensor::from_slice2(&found.expect("computed"));
    let wanted = tensor(&expected, "logits").to_device(Device::Cpu);
    assert_close("logits", &found, &wanted, 1e-5);
}

#[test]
fn an_answer_does_not_depend_on_the_batch_of_its_row() {
    let folder = tempfile::tempdir().expect("a folder");
    student(folder.path());
    let rows = many_rows();
    for kind in [Kind::Float, Kind::BFloat16] {
        // A padded batch adds the zeros of its padding in other places.
        if !native::computes(kind, device()) {
            continue;
        }
        let predictor = Predictor::open(&work(folder.path()), compute(kind)).expect("opened");
        let answers = |batch: usize| -> Vec<Vec<f32>> {
            let batches = rows.chunks(batch).map(request);
            let answers = batches.map(|batch| predictor.logits(&batch).expect("computed"));
            answers.flatten().collect()
        };
        let alone = answers(1);
        let bits = |rows: &[Vec<f32>]| -> Vec<u32> {
            rows.iter().flatten().map(|logit| logit.to_bits()).collect()
        };
        for batch in [2, 3, 7, 32, 150] {
            assert!(bits(&answers(batch)) == bits(&alone), "{kind:?}, {batch}");
        }
    }
}

#[test]
fn an_answer_in_fp32_is_that_of_eval() {
    let folder = tempfile::tempdir().expect("a folder");
    student(folder.path());
    let rows = many_rows();
    let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
    let store = folder.path().join("dev");
    let mut writer =
        StoreWriter::create(&store, StoreMeta::new(128, 200, 0, labels)).expect("a store");
    for (ids, second) in &rows {
        writer.push(ids, *second, Some(0.0)).expect("a row");
    }
    writer.finish().expect("a store");
    let store = TokenStore::open(&store).expect("a store");
    let model = open(&folder.path().into()).expect("a model");
    let parameters = with_classifier(folder.path(), &model).expect("a classifier");
    let (encoder, classifier) = scoring_model(parameters, &model.config, HeadKind::Plain, device());
    let predictor = Predictor::open(&work(folder.path()), compute(Kind::Float)).expect("opened");
    let found = predictor.logits(&request(&rows)).expect("computed");
    for batch in [1, 32] {
        let (_, scored) = score::score(&encoder, &classifier, &store, batch, device());
        for (scored, found) in scored.iter().zip(&found) {
            for (scored, found) in scored.logits.iter().zip(found) {
                assert!((scored - found).abs() < 1e-5, "{scored} {found}");
            }
            if batch == 1 && device() == Device::Cpu {
                assert_eq!(&scored.logits, found);
            }
        }
    }
}

#[test]
fn requests_are_answered_until_they_end_and_a_wrong_one_is_refused() {
    let run = |requests: &str| {
        predict(
            &work(&path("bert-tiny")),
            compute(Kind::Float),
            Cursor::new(requests.to_owned()),
            &Reporter::silent(),
            &Stop::on_signals(),
        )
    };
    let row = "{\"ids\":[[2,5,3]],\"text_b_start\":[3]}\n";
    let ended = run(&format!("\n{}", row.repeat(9)));
    assert!(matches!(ended, Ok(Ended::Done { .. })), "{ended:?}");
    let long = vec!["5"; 600].join(",");
    let long = format!("{{\"ids\":[[{long}]],\"text_b_start\":[600]}}\n");
    let error = run(&format!("{row}{long}"))
        .expect_err("too long")
        .to_string();
    assert!(
        error.starts_with("the longest row has 600 tokens"),
        "{error}"
    );
    let error = run("{\"rows\": 1}\n").expect_err("no rows").to_string();
    assert!(error.starts_with("the job cannot be read"), "{error}");
}
