//! Models whose tokenizers split text into other tokens: phase 2 compares their logits, each of its own rows.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;
use tinyrun::data::split::{is_dev, text_hash};

use crate::chaos::results;
use crate::families::{accuracy, films_of, in_pairs};
use crate::harness::Test;
use crate::pipeline::{films, prediction_losses, real, run};

/// Copies a model of the fixtures beside the experiment.
fn copy(test: &Test, fixture: &str, to: &str) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(fixture);
    fs::create_dir_all(test.path(to)).expect("created");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_owned();
        fs::copy(&path, test.path(to).join(name)).expect("copied");
    }
}

/// Removes the stages that compare layers.
fn without_layers(test: &Test) {
    let file = test.read("films.toml");
    let (before, rest) = file.split_once("[stages.general-distill]").expect("there");
    let (_, after) = rest.split_once("[stages.td-phase2]").expect("there");
    test.write("films.toml", &format!("{before}[stages.td-phase2]{after}"));
}

/// Names a folder as the student's start, in place of a shape.
fn student(test: &Test, folder: &str) {
    let file = test.read("films.toml");
    let (before, rest) = file.split_once("[student]").expect("there");
    let (_, after) = rest.split_once("[stages.").expect("there");
    let student = format!("[student]\nmodel = \"{folder}\"\n\n[stages.");
    test.write("films.toml", &format!("{before}{student}{after}"));
}

fn assert_close(found: &[f64], expected: &[f64], steps: usize) {
    assert_eq!(found.len(), expected.len());
    for (step, (found, expected)) in found.iter().zip(expected).take(steps).enumerate() {
        let apart = (found - expected).abs();
        assert!(apart < 1e-5, "step {step}: {found}, {expected}");
    }
}

/// MPNet joins the texts of a pair by two separators, without token types.
#[test]
fn an_mpnet_teaches_a_bert_pairs_with_the_logits_that_predict_gives() {
    let test = films();
    in_pairs(&test);
    copy(&test, "mpnet-tiny", "models/mpnet");
    copy(&test, "bert-tiny", "models/second");
    test.replace(
        "films.toml",
        "model = \"bert\"",
        "model = \"bert\"\nclassifier = \"new\"",
    );
    let sets = [
        "--set",
        "stages.td-phase2.gate=off",
        "--set",
        "stages.td-phase2.log-interval=1",
        "--set",
        "stages.td-phase2.epochs=2",
        "--set",
        "stages.td-phase1.epochs=1",
        "--until",
        "td-phase2",
    ];
    let one = ["--set", "stages.td-phase2.teacher=models/mpnet"];
    run(&test, &[&sets[..], &one].concat()).succeeds();
    let cached = prediction_losses(&test);
    let memory = [
        "--set",
        "stages.td-phase2.teacher-memory=0",
        "--force",
        "td-phase2",
    ];
    run(&test, &[&sets[..], &one, &memory].concat()).succeeds();
    assert_close(&prediction_losses(&test), &cached, 20);
    // Ranks read their part of both stores, whether the teacher is cached or not.
    let ranks = ["--force", "td-phase2", "--ranks", "2"];
    run(&test, &[&sets[..], &one, &ranks].concat()).succeeds();
    assert_close(&prediction_losses(&test), &cached, 20);
    run(&test, &[&sets[..], &one, &memory, &ranks[2..]].concat()).succeeds();
    assert_close(&prediction_losses(&test), &cached, 20);

    let predict = [
        "predict",
        "models/mpnet",
        "data/films.tsv",
        "--text",
        "first",
    ];
    let predict = [
        &predict[..],
        &["--pair", "second", "--keep-columns", "-o", "answers.csv"],
    ];
    test.run_with(&predict.concat(), real).succeeds();
    let with = ["--set", "task.teacher-predictions=answers.csv"];
    run(&test, &[&sets[..], &with].concat()).succeeds();
    assert_close(&cached, &prediction_losses(&test), 20);

    // Beside a teacher that reads the student's rows.
    let two = "stages.td-phase2.teachers=[\"models/second\", \"models/mpnet\"]";
    run(&test, &[&sets[..], &["--set", two]].concat()).succeeds();
    let ran = run(&test, &[&sets[..], &["--set", two]].concat()).succeeds();
    ran.ran(&[]);
}

#[test]
fn a_bert_of_its_own_tokens_learns_pairs_of_an_mpnet_and_is_scored_as_it_predicts() {
    let test = films_of("mpnet-tiny");
    in_pairs(&test);
    without_layers(&test);
    student(&test, "./bert");
    let epochs = ["--set", "stages.td-phase2.epochs=12"];
    run(&test, &epochs).succeeds();
    assert!(accuracy(&test) > 0.9, "a tiny model learns this table");
    let written: Value =
        serde_json::from_str(&test.read("runs/films/td-phase2/model/config.json")).expect("JSON");
    assert_eq!(written["model_type"], "bert");
    let vocabulary = test.read("runs/films/td-phase2/model/vocab.txt");
    assert_eq!(vocabulary, test.read("bert/vocab.txt"));
    run(&test, &epochs).succeeds().ran(&[]);

    let scored = test.read("runs/films/eval/predictions-student.csv");
    let table = test.read("data/films.tsv");
    let is_scored = |line: &&str| {
        let mut cells = line.split('\t');
        let (first, second) = (cells.next().expect("a text"), cells.next());
        first == "first" || is_dev(text_hash(first, second), 0.2)
    };
    let lines: Vec<&str> = table.lines().filter(is_scored).collect();
    test.write("dev.tsv", &(lines.join("\n") + "\n"));
    let predict = ["predict", "runs/films/td-phase2/model", "dev.tsv"];
    let predict = [&predict[..], &["--text", "first", "--pair", "second"]].concat();
    let answers = test.run_with(&predict, real).succeeds().stdout;
    let labels = |table: &str, column: &str| -> Vec<String> {
        let mut rows = csv::Reader::from_reader(table.as_bytes());
        let header = rows.headers().expect("a header").clone();
        let at = header.iter().position(|name| name == column);
        let at = at.unwrap_or_else(|| panic!("no {column} in {header:?}"));
        let cells = rows.records();
        cells
            .map(|row| row.expect("a row")[at].to_owned())
            .collect()
    };
    let (found, expected) = (labels(&answers, "label"), labels(&scored, "predicted"));
    assert!(found.len() > 40);
    assert_eq!(found, expected);
}

/// The films with a student whose vocabulary has other words.
fn other_words() -> Test {
    let test = films_of("mpnet-tiny");
    let words = test.read("bert/vocab.txt").replace("good\n", "goods\n");
    test.write("bert/vocab.txt", &words);
    fs::remove_file(test.path("bert/tokenizer.json")).expect("removed");
    student(&test, "./bert");
    test
}

#[test]
fn other_words_are_learned_by_phase_2_alone_and_a_resumed_run_ends_in_the_same_bytes() {
    let refused = other_words();
    run(&refused, &["--dry-run"])
        .ends_with(2)
        .says("it lacks the token `good`")
        .says("use `td-phase2` alone");
    let start = || {
        let test = other_words();
        without_layers(&test);
        test.write("data/texts.text", &test.read("data/corpus.txt"));
        test
    };
    let sets = [
        "films.toml",
        "--set",
        "task.unlabelled=[\"data/texts.text\"]",
        "--set",
        "stages.td-phase2.epochs=6",
        "--set",
        "stages.td-phase2.checkpoint-interval=1",
    ];
    let whole = start();
    whole.run_with(&sets, real).succeeds();
    assert!(accuracy(&whole) > 0.9, "a tiny model learns this table");
    let broken = start();
    let started = broken.start_with(&sets, real);
    broken.wait_for_checkpoint_of("td-phase2", 5);
    started.signal(Signal::KILL);
    started.wait();
    broken.run_with(&sets, real).succeeds();
    let [first, second] = [&whole, &broken].map(results);
    assert_eq!(first, second);
    // Another tokenizer is another input of what cuts the text.
    let words = whole.read("bert/vocab.txt").replace("goods\n", "goo\n");
    whole.write("bert/vocab.txt", &words);
    let plan = [&sets[..], &["--dry-run"]].concat();
    let plan = whole.run_with(&plan, real).succeeds().stdout;
    assert!(plan.contains("tokenizer-2/vocab.txt"), "{plan}");
}

#[test]
fn a_teacher_of_layers_with_other_tokens_is_refused_with_what_works() {
    let test = films();
    copy(&test, "mpnet-tiny", "models/mpnet");
    let phase1 = [
        "--dry-run",
        "--set",
        "stages.td-phase1.teacher=models/mpnet",
    ];
    run(&test, &phase1)
        .ends_with(2)
        .says("has another vocabulary than the teacher")
        .says("as a teacher of `td-phase2` alone");
}

#[test]
fn predictions_in_a_file_teach_a_student_of_other_words_beside_a_teacher() {
    let test = other_words();
    without_layers(&test);
    test.write("answers.tsv", &test.read("data/films.tsv"));
    let sets = [
        "--set",
        "task.teacher-predictions=answers.tsv",
        "--set",
        "stages.td-phase2.hard-label-weight=0",
    ];
    run(&test, &sets).succeeds();
    assert!(accuracy(&test) > 0.9, "a tiny model learns this table");
    let upstream = |stage: &str| -> Value {
        let record = test.read(&format!("runs/films/{stage}/record.json"));
        let record: Value = serde_json::from_str(&record).expect("JSON");
        record["key"]["upstream"].clone()
    };
    let phase2 = upstream("td-phase2");
    assert_eq!(phase2["train"]["artifact"], "data-prep/train-2");
    assert_eq!(phase2["dev"]["artifact"], "data-prep/dev-2");
    let eval = upstream("eval");
    assert_eq!(eval["dev"]["artifact"], "data-prep/dev");
    assert_eq!(eval["student-dev"]["artifact"], "data-prep/dev-2");
}
