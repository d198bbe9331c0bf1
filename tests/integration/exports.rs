//! Models for other programs: the stage `export`, the command `tinyrun export`, the model card.

use std::fs;
use std::process::Command;

use serde_json::Value;
use tinyrun::model::{Dtype, load_model};

use crate::harness::{EXPERIMENT, Test};

const EXPORTS: &str = "
[stages.export]
dtype = \"fp16\"

[stages.bf16]
kind = \"export\"
student = \"td-phase2\"
dtype = \"bf16\"

[stages.teacher]
kind = \"export\"
student = \"finetune\"
";

/// An experiment that exports, whose kernel leaves models that can be opened.
fn exporting() -> Test {
    let test = Test::new();
    test.write_model("fake/model", &["neg", "pos"]);
    test.write("x.toml", &format!("{EXPERIMENT}{EXPORTS}"));
    test
}

fn dtype(test: &Test, folder: &str) -> Dtype {
    let model = load_model(&test.path(folder)).expect("opens");
    model
        .weights
        .dtype("classifier.weight")
        .expect("it has one")
}

#[test]
fn each_exported_folder_opens_in_its_number_format_and_is_linked_verified_and_skipped() {
    let test = exporting();
    let ran = test.run(&["x.toml"]).succeeds();
    for (stage, number, bytes) in [
        ("export", Dtype::F16, 2),
        ("bf16", Dtype::Bf16, 2),
        ("teacher", Dtype::F32, 4),
    ] {
        let folder = format!("runs/x/{stage}/model");
        assert_eq!(dtype(&test, &folder), number, "{stage}");
        assert!(ran.stderr.contains(&folder), "{}", ran.stderr);
        let exported = load_model(&test.path(&folder)).expect("opens");
        let config: Value =
            serde_json::from_str(&test.read(&format!("{folder}/config.json"))).unwrap();
        assert_eq!(config["id2label"]["1"], "pos");
        let size = fs::metadata(exported.weights.path()).unwrap().len();
        assert!(size >= (exported.num_parameters() * bytes) as u64);
        assert!(test.exists(&format!("{folder}/vocab.txt")));
    }
    test.run(&["x.toml"]).succeeds().ran(&[]);
    test.run(&["verify", "x.toml"]).succeeds();
    // Another number format is another result, of this stage alone.
    test.replace("x.toml", "dtype = \"bf16\"", "dtype = \"fp32\"");
    test.run(&["x.toml"]).succeeds().ran(&["bf16"]);
    assert_eq!(dtype(&test, "runs/x/bf16/model"), Dtype::F32);
}

#[test]
fn the_card_has_scores_data_settings_and_commands_and_nothing_private() {
    let test = exporting();
    test.replace("x.toml", "learning-rate = 1e-4", "learning-rate = 2e-4");
    test.run(&["x.toml"]).succeeds();
    let card = test.read("runs/x/export/model/README.md");
    for expected in [
        "pipeline_tag: text-classification",
        "| student | dev | accuracy 0.5000 (2/4) |",
        "| teacher | dev | accuracy 0.7500 (3/4) |",
        "Distilled from `teacher`, fine-tuned on the same data.",
        "2 classes: `neg`, `pos`",
        "stages.td-phase1.learning-rate = 0.0002\n",
        "`train/train.tsv`",
        "`corpus/",
        "tinyrun x.toml\n",
    ] {
        assert!(card.contains(expected), "{expected} in\n{card}");
    }
    // The recipe's own value is no difference.
    assert!(!card.contains("stages.td-phase2.temperature"), "{card}");
    let private = [test.path(""), std::env::home_dir().unwrap_or_default()];
    for path in private.iter().filter(|path| path.as_os_str().len() > 1) {
        let path = path.to_str().unwrap().trim_end_matches('/');
        assert!(!card.contains(path), "{path} in\n{card}");
    }
    // The teacher's card has the teacher's scores in its metadata.
    let card = test.read("runs/x/teacher/model/README.md");
    assert!(card.contains("\"value\":0.75"), "{card}");
    assert!(!card.contains("Distilled from"), "{card}");
    assert!(
        card.contains("The teacher of a distillation: `teacher` fine-tuned. "),
        "{card}"
    );
    // Other numbers are other weights, whose scores nobody measured.
    let card = test.read("runs/x/bf16/model/README.md");
    assert!(!card.contains("model-index"), "{card}");
}

#[test]
fn the_tokenizer_files_cut_as_in_training_and_name_no_path() {
    let test = exporting();
    let tokenizer =
        "{\"truncation\": {\"max_length\": 128}, \"padding\": {\"strategy\": {\"Fixed\": 128}}}";
    test.write("fake/model/tokenizer.json", tokenizer).write(
        "fake/model/tokenizer_config.json",
        "{\"name_or_path\": \"/srv/private/bert\", \"model_max_length\": 512}",
    );
    for (model, longest) in [("x/td-phase2", 16), ("fake/model", 32)] {
        if longest == 16 {
            test.run(&["x.toml", "--until", "eval"]).succeeds();
        }
        let out = format!("out-{longest}");
        test.run(&["export", model, "-o", &out]).succeeds();
        let read = |name: &str| -> Value {
            serde_json::from_str(&test.read(&format!("{out}/{name}"))).expect("JSON")
        };
        assert_eq!(read("tokenizer.json")["truncation"]["max_length"], longest);
        assert_eq!(read("tokenizer.json")["padding"], Value::Null);
        let config = read("tokenizer_config.json");
        assert_eq!(config["model_max_length"], longest);
        assert_eq!(config.get("name_or_path"), None);
        let card = test.read(&format!("{out}/README.md"));
        assert!(
            card.contains(&format!("at most {longest} tokens")),
            "{card}"
        );
        assert_eq!(card.contains("- tinybert\n"), longest == 16, "{card}");
    }
}

#[test]
fn other_scores_of_the_same_student_make_another_card() {
    let test = exporting();
    let alone = test.read("x.toml").replace("[stages.eval]\n", "");
    test.write("x.toml", &alone);
    test.run(&["x.toml"]).succeeds();
    let card = test.read("runs/x/export/model/README.md");
    assert!(card.contains("| dev | accuracy | 0.7500 |"), "{card}");
    test.write("x.toml", &format!("{alone}[stages.eval]\n"));
    test.run(&["x.toml"])
        .succeeds()
        .ran(&["eval", "export", "bf16", "teacher"]);
}

#[test]
fn a_weight_that_the_number_format_cannot_hold_is_a_fault_and_leaves_no_result() {
    let test = exporting();
    let path = test.path("fake/model/model.safetensors");
    let mut weights = fs::read(&path).unwrap();
    let end = weights.len();
    weights[end - 4..].copy_from_slice(&1e6_f32.to_le_bytes());
    fs::write(&path, weights).unwrap();
    test.run(&["x.toml"])
        .ends_with(1)
        .says("has values that `fp16` cannot hold")
        .says("or `bf16`, which has the range of fp32");
    assert!(!test.exists("runs/x/export"));
}

#[test]
fn a_key_that_a_stage_of_this_kind_does_not_have_is_refused() {
    let test = exporting();
    for (line, words) in [
        ("teacher = \"finetune\"", "unknown key `teacher`"),
        ("format = \"gguf\"", "`huggingface`"),
        ("student = \"random\"", "unknown stage `random`"),
        ("student = \"data-prep\"", "data-prep"),
    ] {
        test.write("x.toml", &format!("{EXPERIMENT}[stages.export]\n{line}\n"));
        test.run(&["x.toml"]).ends_with(2).says(words);
    }
}

#[test]
fn the_command_exports_a_result_or_a_folder() {
    let test = exporting();
    test.run(&["x.toml", "--until", "eval"]).succeeds();
    for (model, out) in [
        ("x/td-phase2", "a"),
        ("runs/x/td-phase2", "b"),
        ("runs/x/td-phase2/model", "c"),
    ] {
        test.run(&["export", model, "--dtype", "fp16", "-o", out])
            .succeeds();
        assert_eq!(dtype(&test, out), Dtype::F16);
        let card = test.read(&format!("{out}/README.md"));
        assert!(card.contains("accuracy 0.5000 (2/4)"), "{card}");
        let command = "tinyrun export x/td-phase2 --format huggingface --dtype fp16 -o FOLDER\n";
        assert!(card.contains(command), "{card}");
    }
    // A folder without a record: the card has no results.
    test.run(&["export", "fake/model", "--output", "deep/d"])
        .succeeds();
    let card = test.read("deep/d/README.md");
    assert!(
        card.contains("# model\n") && !card.contains("## Results"),
        "{card}"
    );
}

#[test]
fn the_card_has_the_spread_over_seeds() {
    let test = exporting();
    let matrix = "[matrix]\nseed = [1, 2, 3]\n";
    test.write("x.toml", &format!("{EXPERIMENT}{matrix}"));
    test.run(&["x.toml"]).succeeds();
    test.run(&["export", "x/seed-2/td-phase2", "-o", "out"])
        .succeeds();
    let card = test.read("out/README.md");
    let spread = "The same settings with 3 seeds, mean ± standard deviation on dev: accuracy 0.5000 ± 0.0000";
    assert!(card.contains(spread), "{card}");
    assert!(
        card.contains("tinyrun export x/seed-2/td-phase2 "),
        "{card}"
    );
}

#[test]
fn the_command_refuses_what_is_no_model_and_a_folder_with_files() {
    let test = exporting();
    test.run(&["x.toml", "--until", "eval"]).succeeds();
    for (model, words) in [
        ("x/td-phase9", "model `x/td-phase9` not found"),
        ("x/data-prep", "the result `x/data-prep` has no model"),
        ("data", "folder `data` has no `config.json`"),
    ] {
        test.run(&["export", model, "-o", "out"])
            .ends_with(2)
            .says(words);
        assert!(!test.exists("out"), "{model}");
    }
    test.run(&["export", "x/td-phase2", "-o", "data"])
        .ends_with(2)
        .says("`data` exists and is not empty");
    test.run(&["export", "x/td-phase2", "-o", "x.toml"])
        .ends_with(2);
}

#[test]
fn an_export_needs_no_kernel() {
    let test = exporting();
    test.run(&["x.toml", "--until", "eval"]).succeeds();
    let no_kernel = |command: &mut Command| {
        command.env("TINYRUN_KERNEL", "/nowhere");
    };
    test.run_with(&["x.toml"], no_kernel)
        .succeeds()
        .ran(&["export", "bf16", "teacher"]);
}
