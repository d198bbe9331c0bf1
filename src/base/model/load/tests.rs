use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::model::testing::fixture;
use crate::model::{WeightDtype, read_config, write_safetensors};

/// The teacher of the fixtures with other values in its `config.json`, and with those of
/// its tensors that `keep` keeps.
fn changed(values: &[(&str, Value)], keep: impl Fn(&str) -> bool) -> TempDir {
    let folder = TempDir::new().unwrap();
    let text = fs::read_to_string(fixture("bert-tiny/config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    for (key, value) in values {
        config[*key] = value.clone();
    }
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let weights = Weights::open(&fixture("bert-tiny")).unwrap();
    let tensors = weights.names().filter(|name| keep(name)).map(|name| {
        let tensor = weights.tensor(name).unwrap();
        (name, tensor.shape, tensor.bytes)
    });
    write_safetensors(
        &folder.path().join("model.safetensors"),
        WeightDtype::Fp32,
        tensors,
        &BTreeMap::new(),
    )
    .unwrap();
    folder
}

/// The bytes of one tensor.
fn bytes(model: &LoadedModel, name: &str) -> Vec<u8> {
    model.weights.tensor(name).unwrap().bytes.to_vec()
}

#[test]
fn a_model_of_some_layers_has_their_tensors_and_all_that_is_no_layers() {
    let whole = load_model(&fixture("bert-tiny")).unwrap();
    let stated = Stated {
        layers: vec![2, 0],
        hidden_dropout_prob: Some(0.25),
        ..Stated::default()
    };
    let cut = load_stated(&fixture("bert-tiny"), &stated).unwrap();
    assert_eq!(cut.config.num_hidden_layers, 2);
    assert_eq!(cut.config.hidden_dropout_prob.to_string(), "0.25");
    assert_eq!(cut.num_labels, whole.num_labels);
    let expected = expected_classifier(&cut.config, 3);
    assert!(cut.weights.names().eq(expected.keys().map(String::as_str)));
    for (own, of) in [(0, 2), (1, 0)] {
        let tensor = |layer| format!("bert.encoder.layer.{layer}.attention.self.key.weight");
        assert_eq!(bytes(&cut, &tensor(own)), bytes(&whole, &tensor(of)));
    }
    for name in [
        "classifier.weight",
        "bert.embeddings.word_embeddings.weight",
    ] {
        assert_eq!(bytes(&cut, name), bytes(&whole, name));
    }
    let read = read_config(&fixture("bert-tiny"), &stated).unwrap();
    assert_eq!(read, cut.config);
}

#[test]
fn a_layer_that_the_model_does_not_have_is_named() {
    let stated = Stated {
        layers: vec![0, 9],
        ..Stated::default()
    };
    let error = load_stated(&fixture("bert-tiny"), &stated).unwrap_err();
    assert!(error.to_string().contains("has no layer 9"), "{error}");
}

fn report(folder: &TempDir) -> MatchReport {
    match load_model(folder.path()) {
        Err(ModelError::Mismatch { report, .. }) => *report,
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_forms_of_the_same_model_load_alike() {
    let new = load_model(&fixture("bert-tiny")).unwrap();
    let old = load_model(&fixture("bert-tiny-bin")).unwrap();
    assert_eq!(new.weights.shapes(), old.weights.shapes());
    for model in [new, old] {
        assert!(model.has_pooler);
        assert_eq!(model.num_labels, Some(3));
        assert_eq!(model.config.labels(), ["negative", "neutral", "positive"]);
    }
}

#[test]
fn a_students_projection_is_reported_and_not_counted() {
    let student = load_model(&fixture("bert-student")).unwrap();
    assert_eq!(student.projections, ["fit_dense"]);
    assert_eq!(
        student.weights.shape("fit_dense.weight"),
        Some(&[24, 20][..])
    );
    let expected: usize = expected_classifier(&student.config, 3)
        .values()
        .map(|shape| shape.iter().product::<usize>())
        .sum();
    assert_eq!(student.num_parameters(), expected);
}

#[test]
fn a_pre_trained_model_without_pooler_and_classifier_loads() {
    let folder = changed(&[("id2label", json!({}))], |name| {
        !name.starts_with("classifier") && !name.contains("pooler")
    });
    let model = load_model(folder.path()).unwrap();
    assert!(!model.has_pooler && !model.has_classifier());
    let error = model.require_classifier().unwrap_err().to_string();
    assert!(error.contains("`classifier.weight`"), "{error}");
}

#[test]
fn a_classifier_without_its_pooler_lacks_it() {
    let folder = changed(&[], |name| !name.contains("pooler"));
    assert_eq!(
        report(&folder).missing,
        ["bert.pooler.dense.bias", "bert.pooler.dense.weight"]
    );
}

#[test]
fn a_config_that_contradicts_the_weights_is_answered_with_every_tensor() {
    let folder = changed(
        &[("num_hidden_layers", json!(4)), ("vocab_size", json!(65))],
        |_| true,
    );
    let found = report(&folder);
    assert_eq!(found.missing.len(), 16);
    assert_eq!(found.misshapen.len(), 1);
    assert_eq!(
        found.misshapen[0].name,
        "bert.embeddings.word_embeddings.weight"
    );
    assert_eq!(found.misshapen[0].expected, [65, 24]);

    let folder = changed(&[("num_hidden_layers", json!(2))], |_| true);
    assert_eq!(report(&folder).unexpected.len(), 16);

    let folder = changed(&[("id2label", json!({"0": "no", "1": "yes"}))], |_| true);
    assert_eq!(report(&folder).misshapen.len(), 2);
}

#[test]
fn a_tensor_under_two_spellings_is_ambiguous() {
    let folder = changed(&[], |_| true);
    let weights = Weights::open(folder.path()).unwrap();
    let twice: Vec<_> = ["classifier.bias", "module.classifier.bias"]
        .into_iter()
        .map(|name| {
            (
                name,
                vec![3],
                weights.tensor("classifier.bias").unwrap().bytes,
            )
        })
        .chain(
            weights
                .names()
                .filter(|name| *name != "classifier.bias")
                .map(|name| {
                    let tensor = weights.tensor(name).unwrap();
                    (name, tensor.shape, tensor.bytes)
                }),
        )
        .collect();
    write_safetensors(
        &folder.path().join("model.safetensors"),
        WeightDtype::Fp32,
        twice,
        &BTreeMap::new(),
    )
    .unwrap();
    assert_eq!(report(&folder).ambiguous, ["classifier.bias"]);
}
