//! Checkpoints by the real TensorFlow (`fixtures/tensorflow_checkpoint.py`).

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::error::ModelError;
use super::load::{LoadedModel, load_model};
use super::names::expected_encoder;
use super::tensorflow_names::{canonical, in_file};

fn fixture(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    fixtures.join("tensorflow").join(name)
}

fn copy_of(name: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

fn numbers(model: &LoadedModel) -> Result<Vec<(String, Vec<f32>)>, ModelError> {
    let names = model.weights.names();
    names
        .map(|name| Ok((name.to_owned(), model.weights.to_f32(name)?)))
        .collect()
}

#[test]
fn every_form_of_checkpoint_is_read_with_its_kernels_transposed() {
    let text = fs::read(fixture("expected.json")).unwrap();
    let expected: Value = serde_json::from_slice(&text).unwrap();
    let files = expected.as_object().unwrap();
    let mut read = Vec::new();
    for (file, tensors) in files.iter().filter(|(_, tensors)| tensors.is_object()) {
        let model = load_model(&fixture(file)).unwrap();
        let tensors = tensors.as_object().unwrap();
        assert_eq!(model.weights.names().count(), tensors.len(), "{file}");
        for (name, tensor) in tensors {
            let shape: Vec<usize> = serde_json::from_value(tensor[0].clone()).unwrap();
            assert_eq!(model.weights.shape(name), Some(&shape[..]), "{file} {name}");
            let numbers = model.weights.to_f32(name).unwrap();
            let sum: f64 = numbers.iter().map(|number| f64::from(*number)).sum();
            assert!(
                (sum - tensor[1].as_f64().unwrap()).abs() < 1e-6,
                "{file} {name}"
            );
            // Each number times its place.
            let places = numbers.iter().zip(0_u32..);
            let order: f64 = places
                .map(|(number, place)| f64::from(*number) * f64::from(place))
                .sum();
            assert!(
                (order - tensor[3].as_f64().unwrap()).abs() < 1e-4,
                "{file} {name}"
            );
            // The second number tells a matrix from its transpose.
            let second = f64::from(numbers[1]);
            assert!(
                (second - tensor[2].as_f64().unwrap()).abs() < 1e-7,
                "{file} {name}"
            );
        }
        assert_eq!(model.config.hidden_act, "gelu");
        assert_eq!(model.config.layer_norm_eps.to_bits(), 1e-12_f64.to_bits());
        assert_eq!(model.config.tinyrun_head, None);
        let classes = (file == "fine-tuned").then_some(3);
        assert_eq!(model.num_labels, classes, "{file}");
        read.push(file.clone());
    }
    assert_eq!(read, ["bf16", "fine-tuned", "partitioned", "pretrained"]);
}

#[test]
fn names_are_mapped_there_and_back() {
    let config = load_model(&fixture("pretrained")).unwrap().config;
    let others = ["classifier.weight", "classifier.bias"].map(str::to_owned);
    for name in expected_encoder(&config).into_keys().chain(others) {
        assert_eq!(canonical(&in_file(&name)).as_ref(), Some(&name));
    }
    for dropped in [
        "cls/predictions/output_bias",
        "bert/pooler/dense/bias/adam_m",
    ] {
        assert_eq!(canonical(dropped), None);
    }
}

#[test]
fn the_newest_checkpoint_is_the_one_that_its_list_names() {
    let folder = copy_of("fine-tuned");
    let newest = load_model(folder.path()).unwrap();
    assert!(newest.weights.path().ends_with("model.ckpt-100.index"));
    assert_eq!(newest.weights.files().count(), 4);
    fs::remove_file(folder.path().join("checkpoint")).unwrap();
    let error = load_model(folder.path()).unwrap_err();
    assert!(
        error.to_string().contains("several TensorFlow checkpoints"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("model_checkpoint_path"));
}

#[test]
fn missing_files_and_tensors_are_named_by_their_own_names() {
    let folder = copy_of("fine-tuned");
    fs::remove_file(folder.path().join("model.ckpt-100.data-00001-of-00003")).unwrap();
    let error = load_model(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("model.ckpt-100.data-00001-of-00003"),
        "{error}"
    );

    let folder = copy_of("pretrained");
    let path = folder.path().join("bert_config.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        text.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"),
    )
    .unwrap();
    let error = load_model(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("do not match its `bert_config.json`"),
        "{error}"
    );
    assert!(
        error.contains("`num_hidden_layers` is 3, the weights have 2"),
        "{error}"
    );
    assert!(
        error.contains("`bert/encoder/layer_2/output/dense/kernel`"),
        "{error}"
    );
}

#[test]
fn a_truncated_file_is_an_error_at_every_length() {
    for name in [
        "bert_model.ckpt.index",
        "bert_model.ckpt.data-00000-of-00001",
    ] {
        let folder = copy_of("pretrained");
        let path = folder.path().join(name);
        let whole = fs::read(&path).unwrap();
        for length in (0..whole.len()).step_by(3) {
            fs::write(&path, &whole[..length]).unwrap();
            let error = load_model(folder.path()).unwrap_err();
            assert!(
                matches!(error, ModelError::Damaged { .. }),
                "{length}: {error}"
            );
        }
    }
}

#[test]
fn a_flipped_byte_is_an_error_or_changes_nothing() {
    // Everything in index and numbers has a checksum, but a part of the footer. What Adam keeps is
    // never read.
    for (folder, name, most) in [
        ("fine-tuned", "model.ckpt-100.index", 80),
        ("fine-tuned", "model.ckpt-100.data-00001-of-00003", 80),
        ("partitioned", "model.ckpt.index", 80),
        ("partitioned", "model.ckpt.data-00000-of-00001", 1),
    ] {
        let folder = copy_of(folder);
        let whole = numbers(&load_model(folder.path()).unwrap()).unwrap();
        let path = folder.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        let mut same = 0;
        for at in 0..bytes.len() {
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, &bytes).unwrap();
            bytes[at] ^= 1 << (at % 8);
            let found = load_model(folder.path()).and_then(|model| numbers(&model));
            if let Ok(found) = found {
                assert_eq!(found, whole, "{name} byte {at}");
                same += 1;
            }
        }
        assert!(same < most, "{name}: {same}");
    }
}
