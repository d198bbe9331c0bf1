//! Answers of a teacher in files, learned from with the real kernel.

use std::fmt::Write as _;

use rustix::process::Signal;

use crate::chaos::results;
use crate::harness::Test;
use crate::pipeline::{films, prediction_losses, real};

#[test]
fn answers_of_the_teacher_give_the_losses_of_the_teacher() {
    let test = films();
    let sets = [
        "films.toml",
        "--set",
        "stages.td-phase1.epochs=1",
        "--set",
        "stages.td-phase2.epochs=2",
        "--set",
        "stages.td-phase2.log-interval=1",
        "--set",
        "stages.finetune.epochs=2",
    ];
    test.run_with(&sets, real).succeeds();
    let expected = prediction_losses(&test);
    let predict = [
        "predict",
        "films/finetune",
        "data/films.tsv",
        "--keep-columns",
    ];
    let predict = [&predict[..], &["-o", "answers.csv"]].concat();
    test.run_with(&predict, real).succeeds();
    let with = ["--set", "task.teacher-predictions=answers.csv"];
    let ran = test.run_with(&[&sets[..], &with].concat(), real).succeeds();
    ran.ran(&["data-prep", "td-phase2", "eval"]);
    let found = prediction_losses(&test);
    assert_eq!(found.len(), expected.len());
    for (step, (found, expected)) in found.iter().zip(&expected).take(20).enumerate() {
        assert!(
            (found - expected).abs() < 1e-5,
            "step {step}: {found}, {expected}"
        );
    }
}

/// The films with a student that learns from probabilities in both forms of JSON lines, and no teacher.
fn without_teacher() -> Test {
    let test = films();
    let table = test.read("data/films.tsv");
    let mut answers = String::new();
    for (row, line) in table.lines().skip(1).enumerate() {
        let (sentence, label) = line.split_once('\t').expect("two columns");
        let answer = |class: &str| if class == label { 0.8 } else { 0.1 };
        let [bad, middle, good] = ["negative", "neutral", "positive"].map(answer);
        let _ = match row % 2 {
            0 => writeln!(
                answers,
                "{{\"sentence\": \"{sentence}\", \"probabilities\": [{bad}, {middle}, {good}]}}"
            ),
            _ => writeln!(
                answers,
                "{{\"sentence\": \"{sentence}\", \"probabilities\": {{\"positive\": {good}, \"negative\": {bad}, \"neutral\": {middle}}}}}"
            ),
        };
    }
    test.write("answers.jsonl", &answers);
    let file = test.read("films.toml");
    let (task, _) = file.split_once("[teacher]").expect("a teacher");
    let phase2 = "[student]\nmodel = \"./bert\"\n\n[stages.td-phase2]\nepochs = 12\nbatch-size = 8\n\
                  learning-rate = 1e-3\nsoft-loss-reduction = \"batch\"\n\
                  checkpoint-interval = 1\nreduction-leaves = 2\n\n[stages.eval]\n";
    test.write(
        "films.toml",
        &format!("{task}teacher-predictions = \"answers.jsonl\"\n\n{phase2}"),
    );
    test
}

#[test]
fn a_student_learns_from_answers_alone_and_a_resumed_run_or_two_ranks_end_in_the_same_bytes() {
    let whole = without_teacher();
    whole.run_with(&["films.toml"], real).succeeds();
    let scores = whole.read("runs/films/results.csv");
    let row = scores
        .lines()
        .find(|line| line.starts_with("eval,student,"));
    let row = row.unwrap_or_else(|| panic!("no student in\n{scores}"));
    let accuracy: f64 = row
        .split(',')
        .nth(5)
        .expect("a cell")
        .parse()
        .expect("a number");
    assert!(accuracy > 0.7, "{row}");
    assert!(!scores.contains("eval,teacher"), "{scores}");

    let broken = without_teacher();
    let started = broken.start_with(&["films.toml"], real);
    broken.wait_for_checkpoint_of("td-phase2", 45);
    started.signal(Signal::KILL);
    started.wait();
    broken.run_with(&["films.toml"], real).succeeds();
    let ranks = without_teacher();
    ranks
        .run_with(&["films.toml", "--ranks", "2"], real)
        .succeeds();
    let [whole, broken, ranks] = [&whole, &broken, &ranks].map(results);
    assert_eq!(whole, broken);
    let is_weights = |(name, _): &(&String, &Vec<u8>)| name.ends_with("model.safetensors");
    assert!(
        whole
            .iter()
            .filter(is_weights)
            .eq(ranks.iter().filter(is_weights))
    );
}
