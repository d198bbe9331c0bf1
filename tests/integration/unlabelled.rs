//! Text of the task without labels, which both phases learn from.

use std::fmt::Write as _;

use rustix::process::Signal;

use crate::chaos::results;
use crate::harness::Test;
use crate::pipeline::{films, real};

/// The films with other sentences about them, of which one is in the table.
fn test() -> Test {
    let test = films();
    let mut texts = "the a0 film was good .\n\n".to_owned();
    for row in 0..150_u8 {
        // Letters are tokens of the fixture, and digits are not.
        let [first, second] = [row / 26, row % 26].map(|letter| char::from(b'a' + letter));
        let word = ["good", "bad"][usize::from(row) % 2];
        let _ = writeln!(texts, "the film {first}{second} was a very {word} film .");
    }
    test.write("data/more.txt", &texts);
    test.replace(
        "films.toml",
        "dev-fraction = 0.2",
        "dev-fraction = 0.2\nunlabelled = [\"data/*.txt\"]",
    );
    test.write("data/corpus.text", &test.read("data/corpus.txt"));
    test.replace("films.toml", "data/corpus.txt", "data/corpus.text");
    std::fs::remove_file(test.path("data/corpus.txt")).expect("removed");
    test
}

/// Optimizer steps of a stage.
fn steps(test: &Test, stage: &str) -> usize {
    let record = test.read(&format!("runs/films/{stage}/record.json"));
    let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
    let steps = record["summary"]["steps"].as_u64();
    usize::try_from(steps.expect("a number")).expect("few")
}

#[test]
fn both_phases_learn_from_texts_without_labels_and_a_resumed_run_ends_in_the_same_bytes() {
    let test = test();
    let sets = [
        "films.toml",
        "--set",
        "threads=1",
        "--set",
        "stages.td-phase1.epochs=4",
        "--set",
        "stages.td-phase2.epochs=4",
        "--set",
        "stages.td-phase2.unlabelled-share=0.25",
        "--set",
        "stages.td-phase2.checkpoint-interval=1",
    ];
    let ran = test.run_with(&sets, real).succeeds();
    assert!(
        ran.stderr.contains("unlabelled 150 examples"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("1 unlabelled texts omitted"),
        "{}",
        ran.stderr
    );
    let report: serde_json::Value =
        serde_json::from_str(&test.read("runs/films/data-prep/report.json")).expect("JSON");
    let labelled = report["splits"][0]["rows_out"].as_u64().expect("a number");
    let labelled = usize::try_from(labelled).expect("few");
    assert_eq!(steps(&test, "td-phase1"), (labelled + 150).div_ceil(8) * 4);
    // A quarter of an epoch: a third as many.
    let third = (labelled + 1) / 3;
    assert_eq!(
        steps(&test, "td-phase2"),
        (labelled + third).div_ceil(8) * 4
    );
    assert!(
        !test
            .run(&[&sets[..], &["--dry-run"]].concat())
            .stdout
            .contains("stale")
    );

    // Killed in the second epoch of phase 2, which has other texts than the first.
    let broken = self::test();
    let started = broken.start_with(&sets, real);
    broken.wait_for_checkpoint_of("td-phase2", 45);
    started.signal(Signal::KILL);
    started.wait();
    broken.run_with(&sets, real).succeeds();
    let [whole, resumed] = [&test, &broken].map(results);
    assert_eq!(whole, resumed);
}

#[test]
fn another_text_re_runs_what_learns_from_it_and_not_the_teacher() {
    let test = Test::new();
    test.write("data/more.txt", "the film\n");
    test.replace(
        "x.toml",
        "[teacher]",
        "unlabelled = [\"data/more.txt\"]\n[teacher]",
    );
    test.run(&["x.toml"]).succeeds();
    test.write("data/more.txt", "the bad film\nfilm\n");
    let again = test.run(&["x.toml"]).succeeds();
    // The script in the kernel's place writes the same student, so that `eval` is up to date.
    again.ran(&["data-prep", "td-phase1", "td-phase2"]);
}

#[test]
fn text_that_is_not_there_is_told_at_the_key() {
    let test = Test::new();
    test.replace(
        "x.toml",
        "[teacher]",
        "unlabelled = [\"data/none*.txt\"]\n[teacher]",
    );
    test.run(&["x.toml", "--dry-run"])
        .ends_with(2)
        .says("`data/none*.txt` matches no file");
}

#[test]
fn a_stage_that_takes_no_unlabelled_text_does_not_run_again_for_its_keys() {
    let test = Test::done();
    test.write("data/more.txt", "the film\n");
    let sets = [
        "x.toml",
        "--set",
        "task.unlabelled=[\"data/more.txt\"]",
        "--set",
        "stages.td-phase1.unlabelled-limit=0",
        "--set",
        "stages.td-phase1.unlabelled-share=0.5",
        "--set",
        "stages.td-phase2.unlabelled-limit=0",
    ];
    test.run(&sets).succeeds().ran(&["data-prep"]);
}

#[test]
fn exported_data_have_no_store_of_unlabelled_rows() {
    let test = Test::new();
    test.write("data/more.txt", "the film\n");
    test.replace(
        "x.toml",
        "[teacher]",
        "unlabelled = [\"data/more.txt\"]\n[teacher]",
    );
    test.run(&["x.toml", "--until", "data-prep"]).succeeds();
    assert!(test.exists("runs/x/data-prep/train-and-unlabelled/store.json"));
    let exported = test.run(&["export-data", "x.toml", "-o", "out"]).succeeds();
    assert!(
        !exported.stdout.contains("unlabelled"),
        "{}",
        exported.stdout
    );
    assert!(test.exists("out/train") && test.exists("out/dev"));
    assert!(!test.exists("out/train-and-unlabelled"));
}

#[test]
fn stages_with_other_limits_do_not_read_each_others_teacher_outputs() {
    let sets = [
        "films.toml",
        "--set",
        "threads=1",
        "--set",
        "stages.td-phase1.epochs=1",
        "--set",
        "stages.td-phase2.epochs=2",
        "--set",
        "stages.td-phase2.unlabelled-limit=40",
    ];
    let second = "\n[stages.td-phase2-more]\nkind = \"td-phase2\"\nepochs = 2\nbatch-size = 8\n\
                  learning-rate = 1e-3\nunlabelled-limit = 90\nstudent = \"td-phase1\"\n";
    let with_second = || {
        let test = test();
        test.write("films.toml", &(test.read("films.toml") + second));
        test
    };
    // Both stages, of which the second would find what the first has cached; and the second alone.
    let both = with_second();
    both.run_with(&sets, real).succeeds();
    let caches = std::fs::read_dir(both.path("runs/store/teacher-answers")).map(Iterator::count);
    let alone = with_second();
    let only = [&sets[..], &["--until", "td-phase1"]].concat();
    alone.run_with(&only, real).succeeds();
    let only = [&sets[..], &["--single-stage", "td-phase2-more"]].concat();
    alone.run_with(&only, real).succeeds();
    let model = "runs/films/td-phase2-more/model/model.safetensors";
    let [both, alone] = [&both, &alone].map(|test| std::fs::read(test.path(model)));
    assert_eq!(both.expect("a model"), alone.expect("a model"));
    assert!(caches.is_ok_and(|count| count >= 2));
}
