//! The whole pipeline with the real kernel, on a model of the fixtures.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Ran, Test};

const FILE: &str = r#"threads = 1 # tests run side by side
precision = "fp32" # what transformers computes in

[task]
name = "custom"
train = "data/films.tsv"
dev-fraction = 0.2
max-seq-length = 16

[teacher]
model = "bert"

[student]
num-hidden-layers = 1
hidden-size = 20
intermediate-size = 32
num-attention-heads = 4
max-position-embeddings = 32

[stages.finetune]
epochs = 12
batch-size = 8
learning-rate = 1e-3

[stages.general-distill]
corpus = ["data/corpus.txt"]
epochs = 1
max-seq-length = 16

[stages.td-phase1]
epochs = 20
batch-size = 8
learning-rate = 1e-3
checkpoint-interval = 1

[stages.td-phase2]
epochs = 12
batch-size = 8
learning-rate = 1e-3

[stages.eval]
"#;

const MODELS: [&str; 4] = ["finetune", "general-distill", "td-phase1", "td-phase2"];

/// A root with 300 rows of three classes that a tiny model can learn, and the fixtures' BERT.
pub(crate) fn films() -> Test {
    let test = Test::new();
    let mut table = "sentence\tlabel\n".to_owned();
    let mut corpus = String::new();
    for row in 0..300 {
        let (word, label) = [
            ("good", "positive"),
            ("bad", "negative"),
            ("film", "neutral"),
        ][row % 3];
        let very = "very ".repeat(row % 5);
        let letter = char::from(b'a' + u8::try_from(row % 26).expect("a letter"));
        let _ = writeln!(table, "the {letter}{row} film was {very}{word} .\t{label}");
        let _ = writeln!(
            corpus,
            "the film {letter} was {very}{word} . a {letter} film ."
        );
    }
    test.write("films.toml", FILE)
        .write("data/films.tsv", &table)
        .write("data/corpus.txt", &corpus);
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bert-tiny");
    fs::create_dir(test.path("bert")).expect("created");
    for entry in fs::read_dir(fixture).expect("the fixture is there") {
        let path = entry.expect("an entry").path();
        fs::copy(
            &path,
            test.path("bert").join(path.file_name().expect("a name")),
        )
        .expect("copied");
    }
    test
}

/// The runner with the kernel of this build.
pub(crate) fn real(command: &mut Command) {
    command.env("TINYRUN_KERNEL", env!("CARGO_BIN_EXE_tinyrun-kernel"));
}

pub(crate) fn run(test: &Test, arguments: &[&str]) -> Ran {
    let base = ["films.toml"];
    test.run_with(&[&base, arguments].concat(), real)
}

/// Artifacts of a stage by name, with their digests; what holds times is left out.
fn artifacts(test: &Test, stage: &str) -> Vec<(String, String)> {
    let record: Value =
        serde_json::from_str(&test.read(&format!("runs/films/{stage}/record.json")))
            .expect("a record");
    let artifacts = record["artifacts"].as_object().expect("artifacts");
    artifacts
        .iter()
        .filter(|(name, _)| *name != "metrics.csv")
        .map(|(name, found)| {
            (
                name.clone(),
                found["sha256"].as_str().expect("a digest").to_owned(),
            )
        })
        .collect()
}

/// Steps of a stage's `metrics.csv`, in order.
fn steps(test: &Test, stage: &str) -> Vec<u64> {
    let metrics = test.read(&format!("runs/films/{stage}/metrics.csv"));
    metrics
        .lines()
        .skip(1)
        .map(|line| {
            line.split(',')
                .next()
                .expect("a step")
                .parse()
                .expect("a number")
        })
        .collect()
}

/// Newest step that a stage has left a checkpoint of.
fn newest_step(test: &Test, stage: &str) -> u64 {
    let folders = fs::read_dir(test.path("runs/work")).into_iter().flatten();
    let of_stage = folders.flatten().filter(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with(&format!("{stage}-"))
    });
    let files = of_stage.filter_map(|folder| fs::read_dir(folder.path()).ok());
    files
        .flatten()
        .flatten()
        .filter_map(|file| {
            let name = file.file_name().into_string().ok()?;
            let step = name.strip_prefix("checkpoint-")?.strip_suffix(".json")?;
            step.parse().ok()
        })
        .max()
        .unwrap_or(0)
}

/// Waits until a stage has left a checkpoint after `step`.
fn wait_for_a_step_after(test: &Test, stage: &str, step: u64) {
    let begin = Instant::now();
    while newest_step(test, stage) <= step {
        let waited = begin.elapsed();
        assert!(
            waited < Duration::from_mins(2),
            "{stage} never came past {step}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn the_pipeline_ends_in_a_scored_student_and_does_nothing_twice() {
    let test = films();
    run(&test, &[]).succeeds();
    let results = test.read("runs/films/results.csv");
    for model in ["teacher", "student"] {
        let row = results
            .lines()
            .find(|line| line.starts_with(&format!("eval,{model},custom,dev,accuracy,")));
        let row = row.unwrap_or_else(|| panic!("no accuracy of the {model} in\n{results}"));
        let cells: Vec<&str> = row.split(',').collect();
        let number = |at: usize| -> f64 { cells[at].parse().expect("a number") };
        assert!(
            (number(5) - number(6) / number(7)).abs() < 1e-9,
            "accuracy is correct over total"
        );
        assert!(number(5) > 0.7, "a tiny model learns this table: {row}");
    }
    for stage in MODELS {
        assert!(test.exists(&format!("runs/films/{stage}/model/config.json")));
    }
    run(&test, &[])
        .succeeds()
        .says("nothing to do, 7 stages up to date");
}

#[test]
fn interrupted_by_every_signal_it_ends_in_the_bytes_of_an_undisturbed_run() {
    let undisturbed = films();
    run(&undisturbed, &[]).succeeds();

    let test = films();
    // Ctrl-C and SIGTERM stop with a checkpoint; SIGKILL leaves the last one.
    for (signal, code) in [
        (Signal::INT, Some(130)),
        (Signal::TERM, Some(130)),
        (Signal::KILL, None),
    ] {
        let before = newest_step(&test, "td-phase1");
        let started = test.start_with(&["films.toml"], real);
        wait_for_a_step_after(&test, "td-phase1", before);
        started.signal(signal);
        assert_eq!(started.wait().code, code);
    }
    assert!(
        newest_step(&test, "td-phase1") < 600,
        "it was stopped before its end"
    );
    run(&test, &[]).succeeds().says("resuming from step");
    for stage in MODELS {
        assert_eq!(
            artifacts(&test, stage),
            artifacts(&undisturbed, stage),
            "{stage}"
        );
        assert_eq!(steps(&test, stage), steps(&undisturbed, stage), "{stage}");
    }
}

#[test]
fn a_resumed_stage_tells_each_scoring_once_and_records_that_of_the_model_it_hands_on() {
    let test = films();
    test.replace(
        "films.toml",
        "[stages.finetune]\nepochs = 12\n",
        "[stages.finetune]\nepochs = 100\nkeep = \"last\"\ncheckpoint-interval = 1\n",
    );
    let until = ["films.toml", "--until", "finetune"];
    let started = test.start_with(&until, real);
    wait_for_a_step_after(&test, "finetune", 20);
    started.signal(Signal::INT);
    assert_eq!(started.wait().code, Some(130));
    let ran = run(&test, &["--until", "finetune"]);
    let ran = ran.succeeds().says("resuming from step");
    let scorings = ran.stderr.lines().filter(|line| line.contains(" on dev"));
    let mut scorings: Vec<&str> = scorings.filter(|line| line.contains(" step ")).collect();
    let all = scorings.len();
    scorings.sort_unstable();
    scorings.dedup();
    assert_eq!(scorings.len(), all, "{}", ran.stderr);

    let record: serde_json::Value =
        serde_json::from_str(&test.read("runs/films/finetune/record.json")).expect("a record");
    let metrics = test.read("runs/films/finetune/metrics.csv");
    let mut lines = metrics.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let place = header.iter().position(|name| *name == "dev_accuracy");
    let last = lines
        .last()
        .expect("a row")
        .split(',')
        .nth(place.expect("a column"));
    let last: f64 = last.expect("a cell").parse().expect("a number");
    assert_eq!(record["summary"]["scores"]["accuracy"], last);
}

#[test]
fn a_truncated_teacher_is_named_and_leaves_nothing_behind() {
    let test = films();
    let path = test.path("bert/model.safetensors");
    let bytes = fs::read(&path).expect("weights");
    fs::write(&path, &bytes[..bytes.len() / 2]).expect("truncated");
    let ran = run(&test, &[]);
    assert!(matches!(ran.code, Some(1 | 2)), "{}", ran.stderr);
    ran.says("bert/model.safetensors");
}

#[test]
#[cfg_attr(
    not(has_transformers),
    ignore = "python3 has no torch and transformers; the committed fixtures compare with them"
)]
fn a_student_opens_in_transformers_with_the_same_logits() {
    let test = films();
    run(&test, &[]).succeeds();
    // The check wants the rows of dev in their order: it takes them from the token store's table.
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/check_with_transformers.py");
    let folder = test.path("runs/films/td-phase2/model");
    let table = dev_table(&test);
    let output = Command::new("python3")
        .arg(script)
        .arg(folder)
        .arg(table)
        .arg("--predictions")
        .arg(test.path("runs/films/eval/predictions-student.csv"))
        .args(["--max-seq-length", "16"])
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// Losses of phase 2 of the films, a row of `metrics.csv` each.
pub(crate) fn prediction_losses(test: &Test) -> Vec<f64> {
    let metrics = test.read("runs/films/td-phase2/metrics.csv");
    let mut lines = metrics.lines();
    let header = lines.next().expect("a header");
    let column = header.split(',').position(|name| name == "prediction_loss");
    let cell = |line: &str| {
        let cell = line.split(',').nth(column.expect("a column"));
        cell.expect("a cell").parse().expect("a number")
    };
    lines.map(cell).collect()
}

/// The rows that were held out, as a table.
pub(crate) fn dev_table(test: &Test) -> std::path::PathBuf {
    let table = test.read("data/films.tsv");
    let mut dev = "sentence\tlabel\n".to_owned();
    for line in table.lines().skip(1) {
        let (sentence, _) = line.split_once('\t').expect("two columns");
        if tinyrun::data::split::is_dev(tinyrun::data::split::text_hash(sentence, None), 0.2) {
            let _ = writeln!(dev, "{line}");
        }
    }
    test.write("data/held-out.tsv", &dev);
    test.path("data/held-out.tsv")
}
