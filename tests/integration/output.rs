//! What is printed, where, and the exit codes.

use crate::harness::{EXPERIMENT, Test};

#[test]
fn a_run_on_a_pipe_is_plain_lines_without_control_codes() {
    let test = Test::new();
    let ran = test.run(&["x.toml"]).succeeds();
    assert_eq!(ran.stdout, "");
    assert!(!ran.stderr.contains(['\x1b', '\r']), "{:?}", ran.stderr);
    let lines: Vec<String> = ran
        .stderr
        .lines()
        .map(|line| {
            // Times differ from run to run.
            let Some((before, after)) = line.split_once(" in ") else {
                return line.to_owned();
            };
            let rest = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
            format!("{before} in T{rest}")
        })
        .collect();
    assert_eq!(
        lines,
        [
            "data-prep       never run",
            "data-prep       done in Ts: train 2 examples, dev 2 examples, classes neg, pos, 18 tokens",
            "corpus-prep     never run",
            "corpus-prep     done in Ts: 2 examples, 10 tokens",
            "finetune        never run",
            "finetune        step 10: accuracy 0.7500 on dev, best so far",
            "finetune        done in Ts: 10 steps, accuracy 0.7500 on dev",
            "general-distill never run",
            "general-distill done in Ts: 10 steps",
            "td-phase1       never run",
            "td-phase1       done in Ts: 10 steps",
            "td-phase2       never run",
            "td-phase2       step 10: accuracy 0.7500 on dev, best so far",
            "td-phase2       done in Ts: 10 steps, accuracy 0.7500 on dev",
            "eval            never run",
            "eval            done in Ts",
            "tinyrun: 7 stages run in Ts",
            "  teacher  accuracy 0.7500 (3/4)  22,713,216 parameters  90.9 MB",
            "  student  accuracy 0.5000 (2/4)  14,350,248 parameters  57.4 MB  1.6x smaller, 3.2x faster",
            "  results  runs/x/results.csv",
            "  student  runs/x/td-phase2/model",
            "  next     echo \"...\" | tinyrun predict x/td-phase2",
        ]
    );
}

#[test]
fn results_are_a_row_a_model_and_metric() {
    let test = Test::done();
    let expected = "stage,model,task,split,metric,value,correct,total,parameters,size_bytes,speed_up\n\
         eval,teacher,custom,dev,accuracy,0.75,3,4,22713216,90852864,\n\
         eval,student,custom,dev,accuracy,0.5,2,4,14350248,57400992,3.20\n";
    assert_eq!(test.read("runs/x/results.csv"), expected);
    // A lost file is written again, from the record.
    test.remove("runs/x/results.csv");
    test.run(&["x.toml"]).succeeds().ran(&[]);
    assert_eq!(test.read("runs/x/results.csv"), expected);
}

#[test]
fn the_experiment_as_resolved_is_written_beside_its_results() {
    let test = Test::done();
    let content = test.read("runs/x/experiment.toml");
    assert!(content.contains("seed = 42\n"), "{content}");
    test.write("y.toml", &content);
    test.run(&["y.toml"]).succeeds().ran(&[]);
}

#[test]
fn quiet_says_nothing_when_all_is_well_and_everything_when_not() {
    let test = Test::new();
    test.run(&["x.toml", "-q"]).succeeds().says_nothing();
    test.kernel("eval", "exits");
    test.run(&["x.toml", "-q", "--force", "eval"])
        .ends_with(1)
        .says("error: `eval` failed: ");
}

#[test]
fn verbose_says_where_and_on_what() {
    let test = Test::new();
    test.run(&["x.toml", "-v"])
        .succeeds()
        .says("finetune        fingerprint ")
        .says("finetune        on cpu in fp32, 2 threads, libtorch 2.11.0, 1,234 parameters\n")
        .says("finetune        peak memory of the kernel: 1.5 GB\n");
}

#[test]
fn warnings_of_the_kernel_are_passed_on() {
    let test = Test::new();
    test.kernel("finetune", "warns");
    test.run(&["x.toml"])
        .succeeds()
        .says("finetune        warning: the learning rate is high\n");
}

#[test]
fn explain_gives_every_reason_and_the_fingerprint() {
    let test = Test::done();
    test.replace("x.toml", "epochs = 3", "epochs = 4\nlearning-rate = 1e-3");
    let plan = test
        .run(&["x.toml", "--dry-run", "--explain"])
        .succeeds()
        .stdout;
    let lines: Vec<&str> = plan.lines().collect();
    let at = lines
        .iter()
        .position(|line| *line == "stale  td-phase2")
        .expect("there");
    assert_eq!(
        lines[at + 1..at + 3],
        [
            "       `epochs` changed: 3 -> 4",
            "       `learning-rate` changed: 0.00003 -> 0.001"
        ]
    );
    assert!(lines[at + 3].starts_with("       fingerprint "), "{plan}");
}

#[test]
fn a_dry_run_leaves_nothing_behind() {
    let test = Test::new();
    test.plan();
    assert!(!test.exists("runs"));
    assert!(test.kernel_starts().is_empty());
}

#[test]
fn all_faults_of_data_and_models_are_told_before_anything_runs() {
    let test = Test::new();
    test.remove("data/dev.tsv")
        .remove("data/corpus")
        .remove("teacher/config.json");
    let ran = test.run(&["x.toml"]).ends_with(2);
    for told in [
        "error: `data/dev.tsv` does not exist",
        "x.toml:4:7",
        "error: `data/corpus/*.txt` matches no file",
        "x.toml:23:11",
        "x.toml:10:9",
    ] {
        assert!(ran.stderr.contains(told), "no `{told}` in:\n{}", ran.stderr);
    }
    assert!(!test.exists("runs"));
}

#[test]
fn faults_of_the_text_and_of_the_disk_are_told_together() {
    let test = Test::new();
    test.remove("data/dev.tsv").remove("teacher").replace(
        "x.toml",
        "epochs = 3",
        "epoch = 3\ntemperature = \"hot\"",
    );
    let ran = test.run(&["x.toml"]).ends_with(2);
    let told: Vec<&str> = ran
        .stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(told.len(), 4, "{}", ran.stderr);
    for (line, words) in told
        .iter()
        .zip(["dev.tsv", "teacher", "epoch", "temperature"])
    {
        assert!(line.contains(words), "{line}");
    }
}

#[test]
fn dev_is_one_table() {
    let test = Test::new();
    test.write("data/dev2.tsv", "text\tlabel\nfilm\tpos\n")
        .replace("x.toml", "data/dev.tsv", "data/dev*.tsv");
    test.run(&["x.toml"])
        .ends_with(2)
        .says("error: `data/dev*.tsv` matches 2 files\n");
}

#[test]
fn a_teacher_without_a_classifier_needs_finetune() {
    let test = Test::new();
    test.replace("x.toml", "[stages.finetune]\nepochs = 1\n", "");
    test.run(&["x.toml"])
        .ends_with(2)
        .says("`teacher`, the teacher of `td-phase2`, has no classifier")
        .says("hint: add `[stages.finetune]`");
}

#[test]
fn a_glob_never_matches_what_tinyrun_writes() {
    let test = Test::done();
    test.write("runs/notes.txt", "a film\n")
        .replace("x.toml", "data/corpus/*.txt", "*/*.txt")
        .write("data/d.txt", "a film\n");
    let plan = test
        .run(&["x.toml", "--dry-run", "--explain"])
        .succeeds()
        .stdout;
    assert!(plan.contains("`corpus/data/d.txt` is new"), "{plan}");
    assert!(!plan.contains("notes.txt"), "{plan}");
}

#[test]
fn an_unknown_stage_on_the_command_line_is_told_with_the_nearest() {
    let test = Test::new();
    test.run(&["x.toml", "--force", "td-phase3"])
        .ends_with(2)
        .says("error: `td-phase3` is not a stage of this experiment\n")
        .says("hint: did you mean `td-phase1`?");
    test.replace("x.toml", "[stages.eval]\n", "");
    test.run(&["x.toml", "--until", "eval"])
        .ends_with(2)
        .says("error: `eval` is not a stage of this experiment\n")
        .says("hint: use one of `data-prep`, `corpus-prep`, ");
}

#[test]
fn a_missing_file_and_a_missing_root_are_told() {
    let test = Test::new();
    test.run(&["nowhere.toml"])
        .ends_with(2)
        .says("error: cannot read `nowhere.toml`: no such file or directory\n");
    test.run(&["x.toml", "--root", "nowhere"])
        .ends_with(2)
        .says("error: `--root`: `nowhere` is not a folder\n");
    test.run(&[]).ends_with(2);
}

#[test]
fn an_experiment_may_not_take_a_reserved_name() {
    let test = Test::new();
    for name in ["store", "work"] {
        test.write("x.toml", &format!("name = \"{name}\"\n{EXPERIMENT}"));
        test.run(&["x.toml"]).ends_with(2).says(name);
    }
}

#[test]
fn a_root_elsewhere_holds_data_and_runs() {
    let test = Test::new();
    let here = tempfile::tempdir().expect("temp folder");
    let file = here.path().join("mine.toml");
    std::fs::write(&file, EXPERIMENT).expect("written");
    let root = test.path("");
    let arguments = [
        file.to_str().expect("UTF-8"),
        "--root",
        root.to_str().expect("UTF-8"),
    ];
    test.run_with(&arguments, |command| {
        command.current_dir(here.path());
    })
    .succeeds();
    assert!(test.exists("runs/mine/results.csv"));
    assert!(!here.path().join("runs").exists());
}

#[test]
fn help_and_version_go_to_stdout() {
    let test = Test::new();
    let help = test.run(&["--help"]).succeeds();
    assert!(help.stdout.contains("--dry-run") && help.stderr.is_empty());
    let version = test.run(&["--version"]).succeeds();
    assert_eq!(
        version.stdout,
        format!("tinyrun {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_stage_forced_after_the_last_one_is_told() {
    let test = Test::new();
    test.run(&["x.toml", "--until", "finetune", "--force", "td-phase2"])
        .ends_with(2)
        .says("`--force td-phase2` comes after `--until finetune`");
}

#[test]
fn a_missed_goal_ends_in_its_own_exit_code_with_the_figure_reached() {
    let test = Test::done();
    let with = |goal: &str| {
        let goal = format!("goal={{ \"custom.accuracy\" = {goal} }}");
        test.run(&["x.toml", "--set", &goal])
    };
    // A goal re-runs nothing; the student of the tests has 2 of 4 right.
    with("0.5")
        .succeeds()
        .ran(&[])
        .says("goal     custom.accuracy at least 0.5: 0.5000 (2/4), reached");
    with("0.75")
        .ends_with(3)
        .ran(&[])
        .says("error: custom.accuracy at least 0.75: 0.5000 (2/4), missed");
}

#[test]
fn a_plan_as_json_has_what_the_lines_say() {
    let test = Test::done();
    test.replace("x.toml", "epochs = 3", "epochs = 4");
    let ran = test.run(&["x.toml", "--dry-run", "--json"]).succeeds();
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(document["format"], 1);
    let experiment = &document["experiments"][0];
    assert_eq!(
        (&experiment["file"], &experiment["name"]),
        (&"x.toml".into(), &"x".into())
    );
    let stages = experiment["stages"].as_array().expect("stages");
    let named = |name: &str| {
        stages
            .iter()
            .find(|stage| stage["stage"] == name)
            .expect(name)
    };
    assert_eq!(named("finetune")["status"], "fresh");
    let mut phase2 = named("td-phase2").clone();
    // Time and bytes differ from machine to machine.
    assert!(phase2["estimated_seconds"].take().as_f64().is_some());
    assert!(phase2["estimated_bytes"].take().as_u64().is_some());
    assert_eq!(
        phase2["fingerprint"].take().as_str().map(str::len),
        Some(32)
    );
    assert_eq!(
        phase2,
        serde_json::json!({
            "stage": "td-phase2",
        "kind": "td-phase2",
            "status": "stale",
            "may_be_fresh": false,
            "reasons": [{
                "kind": "setting-changed", "key": "epochs", "old": 3, "new": 4,
                "text": "`epochs` changed: 3 -> 4",
            }],
            "waits_for": [],
            "checkpoint": null,
            "fingerprint": null,
            "same_as": null,
            "examples": 2,
            "steps": 4,
            "batch_size": 32,
            "estimated_seconds": null,
            "estimated_bytes": null,
        })
    );
    let eval = named("eval");
    assert_eq!(
        (&eval["status"], &eval["may_be_fresh"]),
        (&"waits".into(), &true.into())
    );
    assert_eq!(eval["waits_for"], serde_json::json!(["td-phase2"]));
    test.run(&["x.toml", "--json"]).ends_with(2);
}
