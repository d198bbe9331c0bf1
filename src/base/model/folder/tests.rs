use tempfile::TempDir;

use super::*;
use crate::model::{BertConfig, Weights, load_model};

fn bytes_of(numbers: &[f32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

#[test]
fn equal_tensors_make_equal_files_in_any_order() {
    let folder = TempDir::new().unwrap();
    let metadata: BTreeMap<String, String> = (0..8)
        .map(|key| (format!("key{key}"), key.to_string()))
        .collect();
    let mut tensors = vec![
        ("b", vec![2, 1], bytes_of(&[1.0, 2.0])),
        ("a", vec![], bytes_of(&[3.0])),
        ("c", vec![0], Vec::new()),
    ];
    let (first, second) = (folder.path().join("1"), folder.path().join("2"));
    write_safetensors(&first, WeightDtype::Fp32, tensors.clone(), &metadata).unwrap();
    tensors.reverse();
    write_safetensors(&second, WeightDtype::Fp32, tensors, &metadata).unwrap();
    let written = fs::read(&first).unwrap();
    assert_eq!(written, fs::read(&second).unwrap());

    // The crate's own reader is the judge of the format.
    let (length, header) = safetensors::SafeTensors::read_metadata(&written).unwrap();
    assert_eq!(length % 8, 0);
    assert_eq!(header.metadata().as_ref().unwrap()["format"], "pt");
    let weights = Weights::open_file(&first).unwrap();
    assert_eq!(weights.to_f32("b").unwrap(), [1.0, 2.0]);
    assert_eq!(weights.shape("a"), Some(&[][..]));
}

#[test]
fn bytes_that_do_not_fit_the_shape_leave_the_old_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model.safetensors");
    fs::write(&path, "old").unwrap();
    let error = write_safetensors(
        &path,
        WeightDtype::Fp32,
        [("a", vec![2], vec![0; 4])],
        &BTreeMap::new(),
    )
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("tensor `a` of shape [2] has 4 bytes"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_settings_of_a_tokenizer_fit_the_written_model() {
    let fit = |config: &str| {
        let model = json!({"max_position_embeddings": 64});
        String::from_utf8(fitting_config(config.into(), &model, None)).unwrap()
    };
    for kept in [
        r#"{"model_max_length":64}"#,
        r#"{ "padding_side": "right" }"#,
        "{}",
        "[",
    ] {
        assert_eq!(fit(kept), kept);
    }
    assert_eq!(
        fit(r#"{"a":1,"model_max_length":1000000000000000019884624838656,"padding_side":"left"}"#),
        "{\n  \"a\": 1,\n  \"model_max_length\": 64,\n  \"padding_side\": \"right\"\n}\n"
    );
}

#[test]
fn the_class_of_a_tokenizer_is_kept_where_config_json_names_it() {
    let folder = TempDir::new().unwrap();
    let source = folder.path().join("source");
    fs::create_dir(&source).unwrap();
    let written = |own: &str| {
        fs::write(source.join(MODEL_CONFIG), own).unwrap();
        let target = folder.path().join("target");
        let tensors: [(&str, Vec<usize>, Vec<u8>); 0] = [];
        let config = json!({"model_type": "bert"});
        write_model_folder(&target, &config, WeightDtype::Fp32, tensors, &source).unwrap();
        let text = fs::read(target.join(MODEL_CONFIG)).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()
    };
    assert_eq!(
        written(r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#)["tokenizer_class"],
        "PreTrainedTokenizerFast"
    );
    for own in [r#"{"tokenizer_class": null}"#, "{}"] {
        assert_eq!(written(own), json!({"model_type": "bert"}));
    }
}

#[test]
fn a_written_folder_loads_with_its_tokenizer() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/bert-student");
    let model = load_model(&source).unwrap();
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("deep/model");
    let config = model.config.to_json(true, &model.config.labels());
    let write = |tokenizer_from: &Path| {
        let tensors = model.weights.names().map(|name| {
            let tensor = model.weights.tensor(name).unwrap();
            (name, tensor.shape, tensor.bytes)
        });
        write_model_folder(&target, &config, WeightDtype::Fp32, tensors, tokenizer_from)
    };
    write(&source).unwrap();
    // Again over itself, as a resumed run does.
    write(&target).unwrap();
    let again = load_model(&target).unwrap();
    let mut written = BertConfig::read(&source).unwrap();
    written.problem_type = Some("single_label_classification".to_owned());
    assert_eq!(again.config, written);
    assert_eq!(again.weights.shapes(), model.weights.shapes());
    for name in TOKENIZER_FILES
        .iter()
        .filter(|name| source.join(name).exists())
    {
        assert_eq!(
            fs::read(target.join(name)).unwrap(),
            fs::read(source.join(name)).unwrap()
        );
    }
}
