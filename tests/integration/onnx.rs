//! `format = "onnx"`: what onnxruntime computes with exported models, held against `transformers`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tinyrun::model::{BertConfig, WeightDtype, Weights, load_model, write_model_folder};

use crate::harness::Test;

/// What is allowed between onnxruntime and PyTorch, both in fp32; they are about 1e-6 apart.
const FP32: f64 = 1e-5;
/// In fp16, of the same weights not rounded.
const FP16: f64 = 2e-2;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// A model folder of a shape of `shapes.json`.
fn write_shape(test: &Test, name: &str, shape: &Value) -> String {
    let file = Weights::open_file(&fixtures().join("shapes.safetensors")).expect("opens");
    let prefix = format!("{name}.weights.");
    let tensors = file.names().filter_map(|whole| {
        let own = whole.strip_prefix(&prefix)?;
        let tensor = file.tensor(whole).expect("in the file");
        Some((own.to_owned(), tensor.shape, tensor.bytes))
    });
    let mut config = shape.clone();
    config["hidden_dropout_prob"] = json!(0.0);
    let config: BertConfig = serde_json::from_value(config).expect("a config");
    let classes = file
        .shape(&format!("{prefix}classifier.bias"))
        .expect("a classifier")[0];
    let labels: Vec<String> = (0..classes).map(|class| format!("class {class}")).collect();
    // None are a regression.
    let labels = if classes == 1 { &[] } else { &labels[..] };
    let folder = format!("models/{name}");
    let json = config.to_json(true, labels);
    let tokenizer = fixtures().join("bert-tiny");
    write_model_folder(
        &test.path(&folder),
        &json,
        WeightDtype::Fp32,
        tensors,
        &tokenizer,
    )
    .expect("written");
    folder
}

fn export(test: &Test, model: &str, dtype: &str) -> PathBuf {
    let out = format!("onnx/{}-{dtype}", model.replace('/', "-"));
    let arguments = [
        "export", model, "--format", "onnx", "--dtype", dtype, "-o", &out,
    ];
    test.run(&arguments).succeeds();
    test.path(&out)
}

fn case(folder: &Path, file: &str, prefix: &str, logits: &str, tolerance: f64) -> Value {
    json!({
        "folder": folder, "tensors": fixtures().join(file), "prefix": prefix,
        "logits": logits, "tolerance": tolerance
    })
}

#[test]
#[cfg_attr(
    not(has_onnxruntime),
    ignore = "no onnxruntime in .venv-onnx when the tests were built: run `scripts/fetch_onnxruntime`"
)]
fn onnxruntime_computes_the_logits_of_transformers() {
    let test = Test::new();
    let mut cases = Vec::new();
    let shapes: BTreeMap<String, Value> =
        serde_json::from_slice(&fs::read(fixtures().join("shapes.json")).unwrap()).unwrap();
    for (name, shape) in shapes.iter().filter(|(name, _)| *name != "versions") {
        let model = write_shape(&test, name, shape);
        for (dtype, tolerance) in [("fp32", FP32), ("fp16", FP16)] {
            let folder = export(&test, &model, dtype);
            cases.push(case(
                &folder,
                "shapes.safetensors",
                name,
                "logits",
                tolerance,
            ));
        }
    }
    // Both heads, batches of several sizes up to the longest.
    let plain = fixtures().join("bert-tiny");
    let relu = test.path("models/relu-head");
    let model = load_model(&plain).unwrap();
    let mut config = model.config.to_json(true, &model.config.labels());
    config["tinyrun_head"] = json!("relu");
    let tensors = model.weights.names().map(|name| {
        let tensor = model.weights.tensor(name).unwrap();
        (name, tensor.shape, tensor.bytes)
    });
    write_model_folder(&relu, &config, WeightDtype::Fp32, tensors, &plain).unwrap();
    for (name, folder) in [("plain", plain), ("relu", relu)] {
        let out = format!("onnx/{name}");
        let folder = folder.to_str().unwrap();
        test.run(&["export", folder, "--format", "onnx", "-o", &out])
            .succeeds();
        for shape in ["1x3", "7x32", "64x1", "5x17"] {
            cases.push(case(
                &test.path(&out),
                "onnx.safetensors",
                shape,
                name,
                FP32,
            ));
        }
    }
    // Another family: no token types, a head of its own.
    let model = fixtures().join("distilbert-tiny");
    test.run(&[
        "export",
        model.to_str().unwrap(),
        "--format",
        "onnx",
        "-o",
        "onnx/distilbert",
    ])
    .succeeds();
    let folder = test.path("onnx/distilbert");
    cases.push(case(
        &folder,
        "distilbert.safetensors",
        "",
        "teacher.logits",
        FP32,
    ));
    test.write("cases.json", &json!(cases).to_string());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join(".venv-onnx/bin/python"))
        .arg(root.join("tests/integration/check_onnx.py"))
        .arg(test.path("cases.json"))
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn an_onnx_folder_has_the_files_of_optimum_and_a_card_and_no_other_weights() {
    let test = Test::new();
    let model = fixtures().join("bert-tiny");
    let model = model.to_str().unwrap();
    test.run(&["export", model, "--format", "onnx", "-o", "out"])
        .succeeds();
    let mut files: Vec<String> = fs::read_dir(test.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort_unstable();
    let expected = [
        "README.md",
        "config.json",
        "model.onnx",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    ];
    assert_eq!(files, expected);
    let card = test.read("out/README.md");
    assert!(
        card.contains("- onnx\n") && card.contains("onnxruntime.InferenceSession"),
        "{card}"
    );
}

#[test]
fn an_export_to_onnx_is_the_same_bytes_each_time() {
    let test = Test::new();
    let model = fixtures().join("bert-tiny");
    let model = model.to_str().unwrap();
    for out in ["a", "b"] {
        test.run(&[
            "export", model, "--format", "onnx", "--dtype", "fp16", "-o", out,
        ])
        .succeeds();
    }
    let read = |out: &str| fs::read(test.path(out).join("model.onnx")).unwrap();
    assert_eq!(read("a"), read("b"));
}

#[test]
fn what_onnx_cannot_hold_is_refused_with_advice() {
    let test = Test::new();
    test.write_model("classifier", &["neg", "pos"]);
    test.run(&[
        "export",
        "classifier",
        "--format",
        "onnx",
        "--dtype",
        "bf16",
        "-o",
        "out",
    ])
    .ends_with(2)
    .says("format `onnx` has no `bf16`")
    .says("use `fp32` or `fp16`");
    test.write_model("encoder", &[]);
    test.run(&["export", "encoder", "--format", "onnx", "-o", "out"])
        .ends_with(2)
        .says("has no classifier, which format `onnx` needs");
    test.write(
        "x.toml",
        &format!(
            "{}[stages.export]\nformat = \"onnx\"\ndtype = \"bf16\"\n",
            test.read("x.toml")
        ),
    );
    test.run(&["x.toml"])
        .ends_with(2)
        .says("format `onnx` has no `bf16`")
        .says("dtype = \"bf16\"");
    test.replace(
        "x.toml",
        "dtype = \"bf16\"",
        "student = \"general-distill\"",
    );
    test.run(&["x.toml"]).ends_with(2).says("general-distill");
    assert!(!test.exists("out"));
}
