//! Model folders that do not fit: known before hours are spent on them.

use std::fs;

use serde_json::{Value, json};

use crate::harness::Test;

/// Keys of the teacher's `config.json` or of another document in its folder.
fn edit(test: &Test, file: &str, change: impl FnOnce(&mut Value)) {
    let path = format!("teacher/{file}");
    let mut document: Value = if test.exists(&path) {
        serde_json::from_str(&test.read(&path)).expect("JSON")
    } else {
        json!({})
    };
    change(&mut document);
    test.write(&path, &document.to_string());
}

/// A test whose teacher has these classes and is not fine-tuned here.
fn with_classes(classes: &[&str]) -> Test {
    let test = Test::new();
    test.write_model("teacher", classes);
    test.replace("x.toml", "[stages.finetune]\nepochs = 1\n", "");
    test
}

const STARS: [&str; 5] = ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"];

#[test]
fn a_teacher_of_other_classes_fails_after_data_prep_and_before_the_kernel() {
    let test = with_classes(&STARS);
    test.run(&["x.toml"])
        .ends_with(1)
        .ran(&["data-prep", "corpus-prep"])
        .says("`teacher`, the teacher of `td-phase2`, has 5 classes, the task has 2 classes")
        .says("hint: to train a new classifier, add `[stages.finetune]` and set `classifier = \"new\"`");
    assert!(test.kernel_starts().is_empty());
}

#[test]
fn a_teacher_of_other_classes_than_the_file_states_is_a_fault_of_the_file() {
    let test = with_classes(&STARS);
    test.replace(
        "x.toml",
        "label = \"label\"",
        "label = \"label\"\nlabels = [\"neg\", \"pos\"]",
    );
    test.run(&["x.toml"])
        .ends_with(2)
        .says("has 5 classes, the task has 2 classes")
        .says("model = \"teacher\"");
}

#[test]
fn a_new_classifier_takes_the_place_of_one_of_other_classes() {
    let test = Test::new();
    test.write_model("teacher", &STARS);
    test.run(&["x.toml"])
        .ends_with(1)
        .says("`teacher`, the teacher of `finetune`, has 5 classes")
        .says("hint: to train a new classifier, set `classifier = \"new\"` in `[teacher]`");
    test.replace(
        "x.toml",
        "model = \"teacher\"",
        "model = \"teacher\"\nclassifier = \"new\"",
    );
    test.run(&["x.toml"]).succeeds();
    let student = |stage: &str| test.job(stage)["work"]["train"]["student"].clone();
    assert_eq!(student("finetune")["new_classifier"], true);
    assert_eq!(student("td-phase2")["new_classifier"], false);
}

#[test]
fn a_new_classifier_needs_finetune() {
    let test = with_classes(&["neg", "pos"]);
    test.replace(
        "x.toml",
        "model = \"teacher\"",
        "model = \"teacher\"\nclassifier = \"new\"",
    );
    test.run(&["x.toml"])
        .ends_with(2)
        .says("error: `classifier = \"new\"` in `[teacher]` needs `[stages.finetune]`");
}

#[test]
fn classes_in_another_order_are_found_before_the_kernel_with_the_key_that_mends_them() {
    let test = with_classes(&["pos", "neg"]);
    test.run(&["x.toml"])
        .ends_with(1)
        .says("has the classes `pos`, `neg`, and the data `neg`, `pos`, in this order")
        .says("hint: set `labels = [\"pos\", \"neg\"]` in `[task]`");
    assert!(test.kernel_starts().is_empty());
    test.replace(
        "x.toml",
        "label = \"label\"",
        "label = \"label\"\nlabels = [\"pos\", \"neg\"]",
    );
    test.run(&["x.toml"]).succeeds();
}

#[test]
fn a_multi_label_classifier_is_refused_before_anything_runs() {
    let test = with_classes(&["toxic", "insult"]);
    edit(&test, "config.json", |config| {
        config["problem_type"] = "multi_label_classification".into();
    });
    test.run(&["x.toml"])
        .ends_with(2)
        .says("`teacher`, the teacher of `td-phase2`, is a multi-label classifier (`problem_type` in its `config.json` is `multi_label_classification`)");
    assert!(!test.exists("runs/x/data-prep"));
}

#[test]
fn weights_that_are_not_numbers_are_found_before_the_kernel_by_tensor() {
    let test = Test::new();
    let path = test.path("teacher/model.safetensors");
    let mut bytes = fs::read(&path).expect("read");
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, bytes).expect("written");
    let ran = test
        .run(&["x.toml"])
        .ends_with(1)
        .says("error: `finetune` failed: tensor `bert.");
    assert!(!ran.stderr.contains("learning"), "{}", ran.stderr);
    ran.says("teacher/model.safetensors` contains NaN")
        .says("hint: the weights are damaged, or their training diverged");
    assert!(test.kernel_starts().is_empty());
}

#[test]
fn a_tokenizer_that_is_read_otherwise_by_transformers_is_refused_before_anything_runs() {
    for (file, key, value) in [
        (
            "tokenizer_config.json",
            "tokenizer_class",
            json!("BertJapaneseTokenizer"),
        ),
        ("tokenizer_config.json", "truncation_side", json!("left")),
        ("config.json", "tokenizer_class", json!("RobertaTokenizer")),
    ] {
        let test = Test::new();
        edit(&test, file, |document| document[key] = value.clone());
        test.run(&["x.toml"])
            .ends_with(2)
            .says(&format!("teacher/{file}` has `{key}` = {value}"))
            .says("model = \"teacher\"");
        assert!(!test.exists("runs/x"));
    }
}

#[test]
fn more_words_than_embeddings_end_data_prep() {
    let test = Test::new();
    let words = test.read("teacher/vocab.txt");
    test.write("teacher/vocab.txt", &(words + "more\nwords\n"));
    test.run(&["x.toml"])
        .ends_with(1)
        .says("error: `data-prep` failed: `")
        .says("teacher/vocab.txt` has 11 tokens, and `vocab_size` in `config.json` is 9");
}

#[test]
fn tokens_beside_the_vocabulary_count_where_they_are_read() {
    let test = Test::done();
    // It says nothing that the vocabulary does not say: an earlier result stays.
    assert!(test.standing().values().all(|standing| standing == "fresh"));
    edit(&test, "config.json", |config| {
        config["vocab_size"] = 9.into();
    });
    test.write("teacher/added_tokens.json", "{\"good\": 5}");
    let standing = test.standing();
    assert!(standing["data-prep"].contains("tokenizer"), "{standing:?}");
    test.run(&["x.toml"]).succeeds();
    test.write("teacher/added_tokens.json", "{\"bad\": 6}");
    let plan = test
        .run(&["x.toml", "--dry-run", "--explain"])
        .succeeds()
        .stdout;
    assert!(plan.contains("`tokenizer/added_tokens.json`"), "{plan}");
}

#[test]
fn names_of_others_reach_the_terminal_escaped() {
    let test = with_classes(&["\u{1b}[31mred", "neg"]);
    let ran = test.run(&["x.toml"]);
    assert!(!ran.stderr.contains("\u{1b}[31m"), "{}", ran.stderr);
    let test = Test::new();
    edit(&test, "config.json", |config| {
        config["hidden_act"] = format!("\u{1b}]0;title\u{7}{}", "x".repeat(1 << 20)).into();
    });
    let ran = test.run(&["x.toml"]).ends_with(2).says("`hidden_act`");
    assert!(!ran.stderr.contains('\u{1b}') && ran.stderr.len() < 2000);
}

#[test]
fn weights_of_other_forms_are_named() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n";
    let test = Test::new();
    test.write("teacher/model.safetensors", pointer);
    test.run(&["x.toml"])
        .ends_with(2)
        .says("Git LFS")
        .says("git lfs pull");
    test.remove("teacher/model.safetensors")
        .write("teacher/tf_model.h5", "x");
    test.run(&["x.toml"])
        .ends_with(2)
        .says("has neither `model.safetensors` nor `pytorch_model.bin`, only `tf_model.h5`")
        .says("from_tf=True");
    test.write("teacher/pytorch_model.bin", "");
    test.run(&["x.toml"])
        .ends_with(2)
        .says("is damaged: it is empty");
}
