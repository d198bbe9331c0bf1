//! What is run again, what is not, and the reason given.

use std::fs;

use crate::harness::{EXPERIMENT, STAGES, Test};

/// Where each stage stands, but for the fresh ones.
fn stale(test: &Test) -> Vec<(String, String)> {
    let standing = test.standing().into_iter();
    standing.filter(|(_, why)| why != "fresh").collect()
}

fn expect_stale(test: &Test, expected: &[(&str, &str)]) {
    let mut expected: Vec<(String, String)> = expected
        .iter()
        .map(|(stage, why)| ((*stage).to_owned(), (*why).to_owned()))
        .collect();
    expected.sort();
    assert_eq!(stale(test), expected);
}

#[test]
fn a_second_run_has_nothing_to_do() {
    let test = Test::done();
    let starts = test.kernel_starts();
    test.run(&["x.toml"])
        .succeeds()
        .ran(&[])
        .says("tinyrun: nothing to do, 7 stages up to date\n");
    assert_eq!(test.kernel_starts(), starts);
    assert_eq!(stale(&test), []);
}

#[test]
fn before_the_first_run_stages_wait_for_those_before_them() {
    assert_eq!(
        Test::new().plan(),
        "stale  data-prep       never run\n\
         stale  corpus-prep     never run\n\
         stale  finetune        never run; waits for `data-prep`\n\
         stale  general-distill never run; waits for `corpus-prep`\n\
         stale  td-phase1       never run; waits for `data-prep`, `finetune`, `general-distill`\n\
         stale  td-phase2       never run; waits for `data-prep`, `finetune`, `td-phase1`\n\
         stale  eval            never run; waits for `data-prep`, `finetune`, `td-phase2`\n"
    );
}

#[test]
fn a_changed_key_is_named_with_its_old_and_new_value() {
    let test = Test::done();
    test.replace("x.toml", "learning-rate = 1e-4", "learning-rate = 5e-5");
    assert_eq!(
        test.plan(),
        "fresh  data-prep\n\
         fresh  corpus-prep\n\
         fresh  finetune\n\
         fresh  general-distill\n\
         stale  td-phase1       `learning-rate` changed: 0.0001 -> 0.00005\n\
         stale  td-phase2       waits for `td-phase1`\n\
         stale  eval            waits for `td-phase2`\n"
    );
    test.run(&["x.toml"])
        .succeeds()
        .ran(&["td-phase1", "td-phase2", "eval"])
        .says("td-phase1       `learning-rate` changed: 0.0001 -> 0.00005\n")
        .says("td-phase2       `td-phase1/model` changed\n")
        .says("tinyrun: 3 stages run in ");
}

#[test]
fn undoing_an_edit_is_an_instant_hit() {
    let test = Test::done();
    test.replace("x.toml", "learning-rate = 1e-4", "learning-rate = 5e-5");
    test.run(&["x.toml"]).succeeds();
    let starts = test.kernel_starts();
    test.replace("x.toml", "learning-rate = 5e-5", "learning-rate = 1e-4");
    assert_eq!(stale(&test), []);
    test.run(&["x.toml"]).succeeds().ran(&[]);
    assert_eq!(test.kernel_starts(), starts);
    // The links follow, and so do the next reasons.
    test.replace("x.toml", "learning-rate = 1e-4", "learning-rate = 2e-4");
    expect_stale(
        &test,
        &[
            ("td-phase1", "`learning-rate` changed: 0.0001 -> 0.0002"),
            ("td-phase2", "waits for `td-phase1`"),
            ("eval", "waits for `td-phase2`"),
        ],
    );
}

#[test]
fn an_override_counts_like_an_edit() {
    let test = Test::done();
    let plan = ["x.toml", "--dry-run", "--set", "stages.eval.batch-size=7"];
    let plan = test.run(&plan).succeeds().stdout;
    assert!(
        plan.ends_with("stale  eval            `batch-size` changed: 32 -> 7\n"),
        "{plan}"
    );
}

#[test]
fn two_experiments_share_what_they_have_in_common() {
    let test = Test::done();
    let content = test.read("x.toml");
    test.write("y.toml", &content.replace("epochs = 3", "epochs = 4"));
    test.run(&["y.toml"])
        .succeeds()
        .ran(&["td-phase2", "eval"])
        .says("tinyrun: 2 stages run in ");
    let link = |name: &str| fs::read_link(test.path(name)).expect("a link");
    assert_eq!(link("runs/x/td-phase1"), link("runs/y/td-phase1"));
    assert_ne!(link("runs/x/td-phase2"), link("runs/y/td-phase2"));
    assert!(link("runs/x/td-phase1").starts_with("../store/td-phase1"));
}

#[test]
fn changed_added_and_removed_input_files_are_named() {
    let test = Test::done();
    test.write("data/dev.tsv", "text\tlabel\na good film\tpos\nfilm\tneg\n")
        .write("data/corpus/c.txt", "a film\n")
        .remove("data/corpus/a.txt");
    let standing = test.standing();
    assert_eq!(standing["data-prep"], "`dev/dev.tsv` changed");
    assert_eq!(
        standing["corpus-prep"],
        "`corpus/a.txt` was removed; `corpus/c.txt` is new"
    );
    // Phase 1 reads the training rows only, and those stayed the same.
    let ran = test.run(&["x.toml"]).succeeds();
    assert!(
        !ran.stderr.contains("`data-prep/train` changed"),
        "{}",
        ran.stderr
    );
    ran.says("finetune        `data-prep/dev` changed\n")
        .says("general-distill `corpus-prep/train` changed\n");
}

#[test]
fn a_touched_file_of_the_same_bytes_changes_nothing() {
    let test = Test::done();
    let content = test.read("data/train.tsv");
    test.remove("data/train.tsv")
        .write("data/train.tsv", &content);
    assert_eq!(stale(&test), []);
}

#[test]
fn an_edit_of_the_same_size_right_after_a_run_is_seen() {
    let test = Test::new();
    test.run(&["x.toml", "--until", "data-prep"]).succeeds();
    test.replace("data/train.tsv", "good film", "film good");
    test.run(&["x.toml", "--until", "data-prep"])
        .succeeds()
        .ran(&["data-prep"]);
}

#[test]
fn another_teacher_is_seen_where_it_is_read() {
    let test = Test::done();
    let vocabulary = test.read("teacher/vocab.txt");
    test.write("teacher/vocab.txt", &vocabulary.replace("good", "fine"));
    let standing = test.standing();
    for stage in ["data-prep", "corpus-prep"] {
        assert_eq!(standing[stage], "`tokenizer/vocab.txt` changed");
    }
    assert_eq!(
        standing["finetune"],
        "`teacher/vocab.txt` changed; waits for `data-prep`"
    );
    // Files beside those that are read do not count.
    test.write("teacher/vocab.txt", &vocabulary)
        .write("teacher/README.md", "words");
    assert_eq!(stale(&test), []);
}

#[test]
fn a_model_folder_may_move() {
    let test = Test::done();
    fs::create_dir(test.path("models")).expect("created");
    fs::rename(test.path("teacher"), test.path("models/teacher")).expect("renamed");
    test.replace(
        "x.toml",
        "model = \"teacher\"",
        "model = \"models/teacher\"",
    );
    assert_eq!(stale(&test), []);
}

#[test]
fn a_root_may_move() {
    let test = Test::done();
    let moved = tempfile::tempdir().expect("temp folder");
    let root = moved.path().join("elsewhere");
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([test.path(""), root.clone()])
        .status()
        .expect("copied");
    assert!(copied.success());
    let root = root.to_str().expect("UTF-8");
    test.run(&["x.toml", "--root", root])
        .succeeds()
        .says("nothing to do, 7 stages up to date")
        .says(&format!("{root}/runs/x/results.csv"));
}

#[test]
fn what_changes_no_result_leaves_everything_fresh() {
    let test = Test::done();
    test.replace(
        "x.toml",
        "epochs = 3",
        "epochs = 3\nlog-interval = 1\ncheckpoint-seconds = 5",
    );
    let content = test.read("x.toml");
    test.write(
        "x.toml",
        &format!("device = \"cpu\"\nthreads = 1\n# a comment\n{content}"),
    );
    assert_eq!(stale(&test), []);
}

#[test]
fn a_forced_stage_that_leaves_the_same_bytes_leaves_what_follows_fresh() {
    let test = Test::done();
    test.run(&["x.toml", "--force", "td-phase1"])
        .succeeds()
        .ran(&["td-phase1"])
        .says("td-phase1       forced\n")
        .says("tinyrun: 1 stage run in ");
    let plan = ["x.toml", "--dry-run", "--force", "td-phase2"];
    let plan = test.run(&plan).succeeds().stdout;
    assert!(
        plan.ends_with(
            "stale  td-phase2       forced\nstale  eval            waits for `td-phase2`\n"
        ),
        "{plan}"
    );
}

#[test]
fn a_forced_stage_that_fails_leaves_the_old_result() {
    let test = Test::done();
    test.kernel("td-phase1", "exits");
    test.run(&["x.toml", "--force", "td-phase1"]).ends_with(1);
    assert_eq!(stale(&test), []);
}

#[test]
fn until_a_stage_does_nothing_after_it() {
    let test = Test::new();
    test.run(&["x.toml", "--until", "finetune"])
        .succeeds()
        .ran(&["data-prep", "corpus-prep", "finetune"]);
    assert!(!test.exists("runs/x/general-distill"));
    test.run(&["x.toml"]).succeeds().ran(&STAGES[3..]);
}

#[test]
fn a_damaged_artifact_is_found_and_made_again() {
    let test = Test::done();
    test.write("runs/x/td-phase1/model/model.safetensors", "damaged");
    expect_stale(
        &test,
        &[
            (
                "td-phase1",
                "`model/model.safetensors` in the result is damaged",
            ),
            ("td-phase2", "waits for `td-phase1`"),
            ("eval", "waits for `td-phase2`"),
        ],
    );
    // It comes out as it was, so what follows is fresh.
    test.run(&["x.toml"]).succeeds().ran(&["td-phase1"]);
    assert_eq!(stale(&test), []);
}

#[test]
fn a_missing_artifact_and_a_missing_result_are_found() {
    let test = Test::done();
    test.remove("runs/x/finetune/last/config.json");
    let standing = test.standing();
    assert_eq!(
        standing["finetune"],
        "`last/config.json` is missing from the result"
    );
    test.run(&["x.toml"]).succeeds().ran(&["finetune"]);
    test.remove("runs/store");
    let standing = test.standing();
    assert_eq!(
        standing["data-prep"],
        "`record.json` is missing from the result"
    );
    test.run(&["x.toml"]).succeeds().ran(&STAGES);
}

#[test]
fn a_record_that_was_cut_off_is_no_record() {
    let test = Test::done();
    let record = test.read("runs/x/eval/record.json");
    test.write("runs/x/eval/record.json", &record[..record.len() / 2]);
    let standing = test.standing();
    assert_eq!(standing["eval"], "`record.json` in the result is damaged");
    test.run(&["x.toml"]).succeeds().ran(&["eval"]);
}

#[test]
fn leaving_a_stage_out_takes_the_nearest_earlier_student() {
    let test = Test::done();
    test.replace("x.toml", "[stages.td-phase1]\nlearning-rate = 1e-4\n", "");
    expect_stale(
        &test,
        &[
            (
                "td-phase2",
                "`student` comes from another source: `td-phase1/model` -> `general-distill/model`",
            ),
            ("eval", "waits for `td-phase2`"),
        ],
    );
}

#[test]
fn a_result_is_recorded_with_all_that_it_depends_on() {
    let test = Test::done();
    let record: serde_json::Value =
        serde_json::from_str(&test.read("runs/x/td-phase2/record.json")).expect("JSON");
    let key = &record["key"];
    assert_eq!(key["settings"]["epochs"], 3);
    assert_eq!(key["settings"]["learning-rate"], 3e-5);
    let taken: Vec<&str> = ["dev", "student", "teacher", "train"]
        .iter()
        .filter_map(|role| key["upstream"][role]["artifact"].as_str())
        .collect();
    let expected = [
        "data-prep/dev",
        "td-phase1/model",
        "finetune/model",
        "data-prep/train",
    ];
    assert_eq!(taken, expected);
    assert_eq!(record["machine"]["libtorch"], "2.11.0");
    assert_eq!(record["machine"]["peak_memory"], 1_500_000_000_u64);
    let files: Vec<&String> = record["artifacts"]
        .as_object()
        .expect("an object")
        .keys()
        .collect();
    let expected = [
        "last/config.json",
        "last/model.safetensors",
        "last/vocab.txt",
        "metrics.csv",
        "model/config.json",
        "model/model.safetensors",
        "model/vocab.txt",
    ];
    assert_eq!(files, expected);
    let whole = record.to_string();
    let root = test.path("");
    assert!(
        !whole.contains(root.to_str().expect("UTF-8").trim_end_matches('/')),
        "{whole}"
    );
    // Only what belongs to a result is stored: no checkpoints, no locks.
    assert!(!test.exists("runs/x/td-phase2/checkpoint-00000004.json"));
    assert!(!test.exists("runs/x/td-phase2/best-00000004.safetensors"));
    assert!(!test.exists("runs/x/td-phase2/kernel.lock"));
    assert_eq!(
        fs::read_dir(test.path("runs/work"))
            .expect("listed")
            .count(),
        0
    );
}

#[test]
fn a_single_stage_runs_alone_on_what_is_there() {
    let test = Test::done();
    test.replace("x.toml", "learning-rate = 1e-4", "learning-rate = 1e-3");
    let alone = |stage| ["x.toml", "--single-stage", stage];
    test.run(&alone("eval"))
        .ends_with(1)
        .says("error: `eval` needs `td-phase2`, which is not up to date")
        .says("hint: run without `--single-stage`");
    test.run(&alone("td-phase1")).succeeds().ran(&["td-phase1"]);
    let plan = test.run(&[&alone("td-phase2")[..], &["--dry-run"]].concat());
    assert_eq!(
        plan.succeeds().stdout,
        "stale  td-phase2       `td-phase1/model` changed\n"
    );
}

#[test]
fn downstream_runs_a_stage_and_what_takes_something_from_it() {
    let test = Test::done();
    test.replace("x.toml", "learning-rate = 1e-4", "learning-rate = 1e-3")
        .replace(
            "x.toml",
            "[stages.finetune]\nepochs = 1",
            "[stages.finetune]\nepochs = 2",
        );
    let arguments = ["x.toml", "--downstream", "td-phase1"];
    test.run(&arguments)
        .ends_with(1)
        .says("error: `td-phase1` needs `finetune`, which is not up to date");
    test.run(&["x.toml", "--single-stage", "finetune"])
        .succeeds();
    test.run(&arguments)
        .succeeds()
        .ran(&["td-phase1", "td-phase2", "eval"]);
}

#[test]
fn two_files_are_run_one_after_the_other_and_share_what_is_equal() {
    let test = Test::new();
    let other = EXPERIMENT.replace("epochs = 3", "epochs = 2");
    test.write("y.toml", &other);
    let expected = [&STAGES[..], &["td-phase2", "eval"]].concat();
    let ran = test.run(&["x.toml", "y.toml"]).succeeds().ran(&expected);
    assert!(ran.stderr.starts_with("[1/2] x\n"), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("[2/2] y\n").count(), 1);
    assert!(test.exists("runs/x/results.csv") && test.exists("runs/y/results.csv"));
    test.write("other/x.toml", &other);
    test.run(&["x.toml", "other/x.toml"])
        .ends_with(2)
        .says("error: `x.toml` and `other/x.toml` have the same experiment name `x`");
}
