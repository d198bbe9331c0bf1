//! A student that learns from the mean of several teachers, with the real kernel.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::chaos::results;
use crate::harness::Test;
use crate::pipeline::{films, prediction_losses, real, run};

/// The films with a second teacher of another seed, and few epochs.
fn test() -> Test {
    let test = films();
    let file = test.read("films.toml");
    let second = "[stages.second]\nkind = \"finetune\"\nseed = 8\nepochs = 8\nbatch-size = 8\n\
                  learning-rate = 1e-3\n\n[stages.general-distill]";
    let file = file.replace("[stages.general-distill]", second);
    let phase1 = "[stages.td-phase1]\nepochs = 20";
    assert!(file.contains(phase1));
    let file = file.replace(phase1, "[stages.td-phase1]\nepochs = 4");
    test.write("films.toml", &file);
    test
}

const BOTH: [&str; 2] = [
    "--set",
    "stages.td-phase2.teachers=[\"finetune\", \"second\"]",
];

/// Copies a folder beside the experiment.
fn copy(test: &Test, from: &Path, to: &str) {
    fs::create_dir_all(test.path(to)).expect("created");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_owned();
        fs::copy(&path, test.path(to).join(name)).expect("copied");
    }
}

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

fn record(test: &Test, stage: &str) -> Value {
    let record = test.read(&format!("runs/films/{stage}/record.json"));
    serde_json::from_str(&record).expect("JSON")
}

/// Folders of cached outputs.
fn caches(test: &Test) -> Vec<String> {
    let folder = fs::read_dir(test.path("runs/store/teacher-answers")).expect("caches");
    let names = folder.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn weights(test: &Test) -> Vec<u8> {
    fs::read(test.path("runs/films/td-phase2/model/model.safetensors")).expect("weights")
}

#[test]
fn each_teacher_is_scored_and_cached_by_itself_and_the_mean_teaches() {
    let test = test();
    let more = [
        "--set",
        "stages.td-phase2.teacher-weights=[2, 1]",
        "--set",
        "stages.td-phase2.teacher-mean=probabilities",
    ];
    let mut told = run(&test, &[&BOTH[..], &more].concat()).succeeds();
    for teacher in ["finetune", "second"] {
        told = told.says(&format!("teacher `{teacher}`: accuracy "));
        let scores = &record(&test, "td-phase2")["summary"]["teachers"][teacher];
        assert!(scores["accuracy"].as_f64() > Some(0.5), "{scores}");
    }
    let scores = &record(&test, "eval")["summary"]["scored"];
    let student = scores.as_array().and_then(|all| all.last()).expect("one");
    assert_eq!(student["model"], "student");
    assert!(
        student["scores"]["accuracy"].as_f64() > Some(0.8),
        "{student}"
    );
    run(&test, &[&BOTH[..], &more].concat()).succeeds().ran(&[]);

    // Phase 1 has one, and phase 2 one for each teacher, which a run of it alone takes.
    let before = caches(&test);
    assert_eq!(before.len(), 3, "{before:?}");
    for teacher in ["finetune", "second"] {
        let alone = format!("stages.td-phase2.teacher={teacher}");
        let ran = run(&test, &["--set", &alone]).succeeds();
        ran.ran(&["td-phase2", "eval"]);
        assert_eq!(caches(&test), before);
        assert_eq!(record(&test, "td-phase2")["summary"].get("teachers"), None);
    }
    // Another seed takes the same.
    let seed = ["--set", "stages.td-phase2.seed=11"];
    run(&test, &[&BOTH[..], &more, &seed].concat()).succeeds();
    assert_eq!(caches(&test), before);
}

#[test]
fn what_is_said_of_the_teachers_counts_and_equal_weights_do_not() {
    let test = test();
    run(&test, &BOTH).succeeds();
    let stale = |more: &[&str]| {
        let plan = run(&test, &[more, &["--dry-run"]].concat())
            .succeeds()
            .stdout;
        let mut words = plan.lines().map(str::split_whitespace);
        words.any(|mut words| words.next() == Some("stale") && words.next() == Some("td-phase2"))
    };
    let with = |set: &'static str| [&BOTH[..], &["--set", set]].concat();
    assert!(!stale(&with("stages.td-phase2.teacher-weights=[3, 3]")));
    assert!(!stale(&with("stages.td-phase2.teacher-mean=logits")));
    assert!(stale(&with("stages.td-phase2.teacher-weights=[3, 1]")));
    assert!(stale(&with("stages.td-phase2.teacher-mean=probabilities")));
    assert!(stale(&[]));
    let other = "stages.td-phase2.teachers=[\"second\", \"finetune\"]";
    assert!(stale(&["--set", other]));
}

#[test]
fn a_teacher_and_its_copy_teach_what_it_teaches_alone() {
    let test = test();
    let one = "stages.td-phase2.teacher=finetune";
    run(&test, &["--set", one, "--until", "td-phase2"]).succeeds();
    let alone = weights(&test);
    copy(
        &test,
        &test.path("runs/films/finetune/model"),
        "models/copy",
    );
    let twice = ["stages.td-phase2.teachers=[\"finetune\", \"models/copy\"]"];
    run(&test, &["--set", twice[0], "--until", "td-phase2"]).succeeds();
    assert!(alone == weights(&test));
}

#[test]
fn a_teacher_with_another_vocabulary_gives_the_logits_that_predict_gives() {
    let test = test();
    // The same words as `[teacher]`, a BERT, under other ids.
    for name in ["models/mpnet", "models/again"] {
        copy(&test, &fixture("mpnet-tiny"), name);
    }
    let sets = [
        "--set",
        "stages.td-phase2.gate=off",
        "--set",
        "stages.td-phase2.log-interval=1",
        "--set",
        "stages.td-phase2.epochs=2",
        "--until",
        "td-phase2",
    ];
    let both = "stages.td-phase2.teachers=[\"models/mpnet\", \"models/again\"]";
    run(&test, &[&sets[..], &["--set", both]].concat()).succeeds();
    let found = prediction_losses(&test);
    let written: Value =
        serde_json::from_str(&test.read("runs/films/td-phase2/model/config.json")).expect("JSON");
    assert_eq!(written["model_type"], "bert");
    let vocabulary = test.read("runs/films/td-phase2/model/vocab.txt");
    assert_eq!(vocabulary, test.read("bert/vocab.txt"));

    let predict = [
        "predict",
        "models/mpnet",
        "data/films.tsv",
        "--text",
        "sentence",
    ];
    let predict = [&predict[..], &["--keep-columns", "-o", "answers.csv"]].concat();
    test.run_with(&predict, real).succeeds();
    let with = ["--set", "task.teacher-predictions=answers.csv"];
    run(&test, &[&sets[..], &with].concat()).succeeds();
    let expected = prediction_losses(&test);
    assert_eq!(found.len(), expected.len());
    for (step, (found, expected)) in found.iter().zip(&expected).take(20).enumerate() {
        let apart = (found - expected).abs();
        assert!(apart < 1e-5, "step {step}: {found}, {expected}");
    }
}

#[test]
fn a_run_that_resumes_or_has_two_ranks_ends_in_the_same_bytes() {
    let sets = [
        "films.toml",
        BOTH[0],
        BOTH[1],
        "--set",
        "stages.td-phase2.teacher-mean=probabilities",
        "--set",
        "stages.td-phase2.checkpoint-interval=1",
        "--set",
        "stages.td-phase2.reduction-leaves=2",
        "--set",
        "task.unlabelled=[\"data/texts.text\"]",
    ];
    let start = || {
        let test = test();
        test.write("data/texts.text", &test.read("data/corpus.txt"));
        test
    };
    let whole = start();
    whole.run_with(&sets, real).succeeds();
    let broken = start();
    let started = broken.start_with(&sets, real);
    broken.wait_for_checkpoint_of("td-phase2", 5);
    started.signal(Signal::KILL);
    started.wait();
    broken.run_with(&sets, real).succeeds();
    // What the first part has scored is in the record of the second.
    let scored = |test: &Test| record(test, "td-phase2")["summary"]["teachers"].clone();
    assert_eq!(scored(&whole), scored(&broken));
    assert!(scored(&whole)["second"]["accuracy"].is_number());

    let ranks = start();
    ranks
        .run_with(&[&sets[..], &["--until", "td-phase1"]].concat(), real)
        .succeeds();
    let two = [&sets[..], &["--ranks", "2"]].concat();
    ranks.run_with(&two, real).succeeds();
    let [whole, broken, ranks] = [&whole, &broken, &ranks].map(results);
    assert_eq!(whole, broken);
    let of_phase2 = |all: &BTreeMap<String, Vec<u8>>| -> Vec<Vec<u8>> {
        let mut found = all.iter();
        let found = found
            .by_ref()
            .filter(|(name, _)| name.contains("td-phase2") && name.ends_with("model.safetensors"));
        found.map(|(_, bytes)| bytes.clone()).collect()
    };
    assert!(!of_phase2(&whole).is_empty());
    assert!(of_phase2(&whole) == of_phase2(&ranks));
}

#[test]
fn a_regression_learns_the_mean_of_the_values() {
    let test = test();
    let table = test.read("data/films.tsv");
    let table = ["positive", "neutral", "negative"]
        .iter()
        .zip(["1.0", "0.5", "0.0"])
        .fold(table, |table, (word, value)| {
            table.replace(&format!("\t{word}"), &format!("\t{value}"))
        });
    test.write("data/films.tsv", &table);
    test.replace(
        "films.toml",
        "model = \"bert\"",
        "model = \"bert\"\nclassifier = \"new\"",
    );
    let sets = ["--set", "task.regression=true"];
    let told = run(&test, &[&BOTH[..], &sets].concat()).succeeds();
    told.says("teacher `second`: ");
    let mean = ["--set", "stages.td-phase2.teacher-mean=probabilities"];
    run(&test, &[&BOTH[..], &sets, &mean].concat())
        .ends_with(2)
        .says("`teacher-mean` in `[stages.td-phase2]` is `probabilities`")
        .says("but a regression has values");
}

#[test]
fn a_folder_that_cannot_teach_is_refused_at_its_place_in_the_list() {
    let test = test();
    copy(&test, &fixture("mpnet-mlm"), "models/bare");
    copy(&test, &fixture("mpnet-tiny"), "models/other");
    let config = test.read("models/other/config.json");
    let mut config: Value = serde_json::from_str(&config).expect("JSON");
    let names = ["neutral", "negative", "positive"];
    for (class, name) in names.iter().enumerate() {
        config["id2label"][class.to_string()] = Value::from(*name);
        config["label2id"][*name] = Value::from(class);
    }
    test.write("models/other/config.json", &config.to_string());
    let labels = [
        "--set",
        "task.labels=[\"negative\", \"neutral\", \"positive\"]",
    ];
    let refused = |list: &str| {
        let set = format!("stages.td-phase2.teachers={list}");
        run(
            &test,
            &[&["--dry-run", "--set", &set][..], &labels].concat(),
        )
        .ends_with(2)
    };
    refused("[\"finetune\", \"models/bare\"]")
        .says("`models/bare`, the teacher of `td-phase2`, has no classifier")
        .says("--set:1:40");
    refused("[\"finetune\", \"models/other\"]")
        .says("`models/other`, the teacher of `td-phase2`, has the classes `neutral`, `negative`")
        .says("--set:1:40");
    refused("[\"finetune\", \"td-phase1\"]")
        .says("`td-phase1`, the teacher of `td-phase2`, has no classifier")
        .says("--set:1:40");
    refused("[\"finetune\", \"models/none\"]").says("models/none");
    let phase1 = "stages.td-phase1.teachers=[\"finetune\", \"second\"]";
    run(&test, &["--dry-run", "--set", phase1])
        .ends_with(2)
        .says("unknown key `teachers` in `[stages.td-phase1]`");
}
