//! The folder of a student gives in `transformers` the ids that the student was trained on, for
//! teachers with tokenizers of many kinds.
//!
//! `fixtures/exported_tokenizers.json` holds the tokenizer files of such students and what
//! `transformers` makes of the rows by them (`fixtures/exported_tokenizers.py`).

mod kinds;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tinyrun::data::TokenStore;
use tinyrun::job::WeightDtype;
use tinyrun::model::{BertConfig, names, write_model_folder};

use crate::harness::Test;
use kinds::{Kind, ROWS, kinds, vocabulary};

/// Tokens of the longest example: of a pair an even number beside the special ones, because `transformers` cuts an
/// odd one otherwise than BERT's code (docs/guides/teachers.md).
const LONGEST: usize = 25;

const STUDENT: &str = "runs/x/td-phase2/model";

const FILE: &str = r#"threads = 1

[task]
name = "custom"
train = "data/rows.tsv"
dev = "data/rows.tsv"
format = "tsv"
max-seq-length = 25

[teacher]
model = "teacher"

[student]
num-hidden-layers = 1
hidden-size = 4
intermediate-size = 8
num-attention-heads = 2
max-position-embeddings = 32

[stages.finetune]
epochs = 1

[stages.td-phase2]
epochs = 1
student = "random"
gate = "off"
"#;

/// A run with such a teacher, up to its student.
fn trained(kind: &Kind) -> Test {
    let test = Test::new();
    fs::remove_dir_all(test.path("teacher")).expect("removed");
    for (name, content) in &kind.files {
        test.write(&format!("teacher/{name}"), content);
    }
    write_weights(&test.path("teacher"), kind.class);
    let mut table = "sentence\tsecond\tlabel\n".to_owned();
    for (row, (text, second)) in ROWS.iter().enumerate() {
        let _ = writeln!(table, "{text}\t{second}\t{}", ["a", "b"][row % 2]);
    }
    test.write("data/rows.tsv", &table);
    let pair = if kind.pairs {
        "pair = \"second\"\n"
    } else {
        ""
    };
    let file = FILE.replace("format =", &format!("{pair}format ="));
    test.write("x.toml", &file);
    train(&test);
    test
}

/// Runs the pipeline.
#[cfg(feature = "kernel")]
fn train(test: &Test) {
    test.run_with(&["x.toml"], crate::pipeline::real).succeeds();
}

/// Prepares the data and writes the student as the kernel does.
#[cfg(not(feature = "kernel"))]
fn train(test: &Test) {
    test.run(&["x.toml", "--until", "data-prep"]).succeeds();
    let teacher = test.path("teacher");
    let config = BertConfig::read(&teacher).expect("a config");
    let labels = ["a", "b"].map(str::to_owned);
    let config = config.to_json(true, &labels);
    let weights: [(&str, Vec<usize>, Vec<u8>); 0] = [];
    write_model_folder(
        &test.path(STUDENT),
        &config,
        WeightDtype::Fp32,
        weights,
        &teacher,
    )
    .expect("written");
}

/// A tiny BERT of zeros with room for added tokens.
fn write_weights(folder: &Path, class: Option<&str>) {
    let config: BertConfig = serde_json::from_value(json!({
        "vocab_size": vocabulary().len() + 8,
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": 32,
    }))
    .expect("a config");
    let expected = names::expected_encoder(&config);
    let tensors = expected.into_iter().map(|(name, shape)| {
        let bytes = vec![0; shape.iter().product::<usize>() * 4];
        (name, shape, bytes)
    });
    let mut json = config.to_json(false, &[]);
    if let Some(class) = class {
        json["tokenizer_class"] = class.into();
    }
    write_model_folder(folder, &json, WeightDtype::Fp32, tensors, folder).expect("written");
}

/// Ids of every row and where its second text begins, as the student was trained on them.
fn stored(test: &Test) -> Value {
    let store = TokenStore::open(&test.path("runs/x/data-prep/train")).expect("a store");
    assert_eq!(store.len(), ROWS.len());
    let rows = (0..store.len()).map(|row| json!([store.input_ids(row), store.text_b_start(row)]));
    rows.collect()
}

/// The files of the student that a tokenizer is read from; of `config.json` what it is read for.
fn exported(test: &Test) -> Value {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(test.path(STUDENT)).expect("a folder") {
        let name = entry
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("UTF-8");
        if name.ends_with(".safetensors") {
            continue;
        }
        let mut content = test.read(&format!("{STUDENT}/{name}"));
        if name == "config.json" {
            let mut config: Value = serde_json::from_str(&content).expect("JSON");
            let keys = ["model_type", "tokenizer_class", "vocab_size"];
            let object = config.as_object_mut().expect("an object");
            object.retain(|key, _| keys.contains(&key.as_str()));
            content = config.to_string();
        }
        files.insert(name, content);
    }
    json!(files)
}

/// What the script reads: the rows and the folders, without ids.
fn document(folders: &[Value]) -> Value {
    let rows: Vec<Value> = ROWS
        .iter()
        .map(|(text, second)| json!([text, second]))
        .collect();
    json!({"longest": LONGEST, "rows": rows, "folders": folders})
}

fn fixture() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/exported_tokenizers.json")
}

/// The kinds with the files of their students, and what those were trained on.
fn students() -> (Vec<Value>, Vec<Value>) {
    let student = |kind: &Kind| {
        let test = trained(kind);
        let folder = json!({"name": kind.name, "pairs": kind.pairs, "files": exported(&test)});
        (folder, stored(&test))
    };
    kinds().iter().map(student).unzip()
}

#[test]
fn a_students_folder_has_the_files_by_which_transformers_gives_the_ids_of_training() {
    let (folders, ids) = students();
    let made = document(&folders);
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(fixture(), made.to_string()).expect("written");
        return;
    }
    let recorded = fs::read(fixture()).expect("the fixture");
    let recorded: Value = serde_json::from_slice(&recorded).expect("JSON");
    let again = "run this test with UPDATE_FIXTURES=1, then fixtures/exported_tokenizers.py";
    for key in ["rows", "longest"] {
        assert_eq!(recorded[key], made[key], "{again}");
    }
    for (at, (folder, ids)) in made["folders"]
        .as_array()
        .into_iter()
        .flatten()
        .zip(&ids)
        .enumerate()
    {
        let recorded = &recorded["folders"][at];
        for key in ["name", "pairs", "files"] {
            assert_eq!(recorded[key], folder[key], "{}: {again}", folder["name"]);
        }
        assert_eq!(&recorded["ids"], ids, "{}", folder["name"]);
    }
    assert_eq!(
        recorded["folders"].as_array().map(Vec::len),
        Some(ids.len())
    );
}

#[test]
#[cfg_attr(
    not(has_transformers),
    ignore = "python3 has no torch and transformers; the committed fixture holds their ids"
)]
fn transformers_gives_the_ids_of_training_by_the_folder_of_a_student() {
    let kinds = kinds();
    let tests: Vec<Test> = kinds.iter().map(trained).collect();
    let folders = kinds.iter().zip(&tests).map(|(kind, test)| {
        json!({"name": kind.name, "pairs": kind.pairs, "folder": test.path(STUDENT)})
    });
    let first = &tests[0];
    first.write(
        "rows.json",
        &document(&folders.collect::<Vec<_>>()).to_string(),
    );
    let script = fixture().with_extension("py");
    let output = Command::new("python3")
        .arg(script)
        .args([first.path("rows.json"), first.path("ids.json")])
        .output()
        .expect("started");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let made: Value = serde_json::from_str(&first.read("ids.json")).expect("JSON");
    for (at, (kind, test)) in kinds.iter().zip(&tests).enumerate() {
        assert_eq!(made["folders"][at]["ids"], stored(test), "{}", kind.name);
    }
}
