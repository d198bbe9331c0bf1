//! Kinds of tasks with the real kernel: regressions, second dev sets, and the teacher gate.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use tinyrun::job::WeightDtype;
use tinyrun::model::{BertConfig, Weights, write_model_folder};

use crate::harness::Test;
use crate::pipeline::{films, run};

/// The fixtures' BERT without its classifier of three classes.
fn write_bare_model(test: &Test, name: &str) {
    let from = test.path("bert");
    let mut config = BertConfig::read(&from).expect("a config");
    config.id2label = BTreeMap::new();
    let weights = Weights::open(&from).expect("weights");
    let names = weights.names().filter(|name| name.starts_with("bert."));
    let tensors = names.map(|name| {
        let tensor = weights.tensor(name).expect("a tensor");
        (name.to_owned(), tensor.shape, tensor.bytes.into_owned())
    });
    let tensors: Vec<_> = tensors.collect();
    let json = config.to_json(false, &[]);
    write_model_folder(&test.path(name), &json, WeightDtype::Fp32, tensors, &from)
        .expect("written");
}

#[test]
fn a_regression_is_scored_by_its_correlations() {
    let test = films();
    write_bare_model(&test, "bare");
    let mut table = "sentence\tlabel\n".to_owned();
    for row in 0..300 {
        let (words, value) = [("bad bad", 0.0), ("film film", 2.5), ("good good", 5.0)][row % 3];
        let letter = char::from(b'a' + u8::try_from(row % 26).expect("a letter"));
        let _ = writeln!(table, "the {letter}{row} {words} .\t{value}");
    }
    test.write("data/films.tsv", &table);
    let sets = [
        "--set",
        "task.regression=true",
        "--set",
        "teacher.model=bare",
    ];
    run(&test, &sets).succeeds();
    let results = test.read("runs/films/results.csv");
    for model in ["teacher", "student"] {
        for metric in ["pearson", "spearman"] {
            let start = format!("eval,{model},custom,dev,{metric},");
            let row = results.lines().find(|line| line.starts_with(&start));
            let row = row.unwrap_or_else(|| panic!("no `{start}` in\n{results}"));
            let cells: Vec<&str> = row.split(',').collect();
            let value: f64 = cells[5].parse().expect("a number");
            assert!(value > 0.7, "a tiny model learns this table: {row}");
            assert_eq!(cells[6], "", "no answer is right or wrong");
        }
    }
    let metrics = test.read("runs/films/td-phase2/metrics.csv");
    assert!(
        metrics
            .lines()
            .next()
            .is_some_and(|header| header.ends_with("dev_pearson,dev_spearman"))
    );
    let config = test.read("runs/films/td-phase2/model/config.json");
    assert!(
        config.contains("\"problem_type\": \"regression\""),
        "{config}"
    );
    // The student of a regression opens again, as a model of one output.
    run(&test, &[&sets[..], &["--force", "eval"]].concat()).succeeds();

    test.write("data/films.tsv", "sentence\tlabel\ngood\t1\nbad\tlow\n");
    run(&test, &sets)
        .ends_with(1)
        .says("films.tsv:3` has the label `low`, which is not a finite number");
}

#[test]
fn both_dev_sets_of_mnli_are_scored_and_kept_apart() {
    let test = films();
    let rows = |from: usize, to: usize| {
        let mut table = "index\tsentence1\tsentence2\tgold_label\n".to_owned();
        for row in from..to {
            let (word, label) = [
                ("bad", "contradiction"),
                ("good", "entailment"),
                ("film", "neutral"),
            ][row % 3];
            let _ = writeln!(table, "{row}\tthe film {row}\twas {word}\t{label}");
        }
        table
    };
    test.write("data/train.tsv", &rows(0, 240))
        .write("data/matched.tsv", &rows(240, 270))
        .write("data/mismatched.tsv", &rows(270, 310));
    write_bare_model(&test, "bare");
    let mnli = "name = \"mnli\"\ntrain = \"data/train.tsv\"\ndev = \"data/matched.tsv\"\n\
                dev-mismatched = \"data/mismatched.tsv\"";
    let task = "name = \"custom\"\ntrain = \"data/films.tsv\"\ndev-fraction = 0.2";
    test.replace("films.toml", task, mnli).replace(
        "films.toml",
        "model = \"bert\"",
        "model = \"bare\"",
    );
    let goal = ["--set", "goal={ \"mnli.accuracy\" = 0.5 }"];
    run(&test, &goal)
        .succeeds()
        .says("goal     mnli.accuracy at least 0.5");
    let results = test.read("runs/films/results.csv");
    for (split, total) in [("dev", "30"), ("dev-mismatched", "40")] {
        let start = format!("eval,student,mnli,{split},accuracy,");
        let row = results.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("no `{start}` in\n{results}"));
        assert_eq!(
            row.split(',').nth(7),
            Some(total),
            "no tail is dropped: {row}"
        );
    }
    for file in [
        "predictions-student.csv",
        "predictions-student-dev-mismatched.csv",
    ] {
        assert!(test.exists(&format!("runs/films/eval/{file}")), "{file}");
    }
}

#[test]
fn a_teacher_whose_classes_are_in_another_order_is_stopped_at_the_gate() {
    let test = films();
    run(&test, &["--until", "finetune"]).succeeds();
    // The fine-tuned teacher, with classes that have no names.
    let trained = test.path("trained");
    fs::create_dir(&trained).expect("created");
    for name in [
        "model.safetensors",
        "vocab.txt",
        "tokenizer.json",
        "config.json",
    ] {
        let from = test.path("runs/films/finetune/model").join(name);
        if from.exists() {
            fs::copy(from, trained.join(name)).expect("copied");
        }
    }
    let config = test.read("trained/config.json");
    let mut config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    config["id2label"] = serde_json::json!({"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"});
    test.write("trained/config.json", &config.to_string());
    test.replace(
        "films.toml",
        "[stages.finetune]\nepochs = 12\nbatch-size = 8\nlearning-rate = 1e-3\n",
        "",
    )
    .replace("films.toml", "model = \"bert\"", "model = \"trained\"");
    let rotated = [
        "--set",
        "task.labels=[\"positive\", \"negative\", \"neutral\"]",
    ];
    run(&test, &rotated)
        .ends_with(1)
        .says("if its classes are in the order negative, neutral, positive")
        .says("list `labels` in `[task]` in the model's order");
    let phase1 = ["--until", "td-phase1"];
    // A threshold of the user's own, and no gate at all.
    let high = ["--set", "stages.td-phase1.gate=1.0"];
    run(&test, &[&rotated[..], &phase1, &high].concat())
        .ends_with(1)
        .says("below `gate = 1`");
    let off = ["--set", "stages.td-phase1.gate=off"];
    run(&test, &[&rotated[..], &phase1, &off].concat()).succeeds();
    // In the model's order the gate has nothing to say.
    run(&test, &phase1).succeeds();
}
