//! Several stages at a time.

use std::fs;

use crate::harness::{EXPERIMENT, Test};

/// A file of three seeds that share everything before phase 1.
fn matrix(test: &Test) {
    let shared = EXPERIMENT
        .replace("[stages.finetune]\n", "[stages.finetune]\nseed = 42\n")
        .replace(
            "[stages.general-distill]\n",
            "[stages.general-distill]\nseed = 42\n",
        );
    test.write("m.toml", &format!("{shared}\n[matrix]\nseed = [1, 2, 3]\n"));
}

/// Every file of every result but records and logs, by its path in the store.
fn store(test: &Test) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![test.path("runs/store")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .expect("UTF-8");
            if path.is_dir() {
                folders.push(path);
            } else if !["record.json", "log.txt", "report.json"].contains(&name) {
                let shown = path.strip_prefix(test.path("runs")).expect("below");
                found.push((shown.display().to_string(), fs::read(&path).expect("read")));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn what_runs_side_by_side_is_what_runs_one_after_the_other() {
    let (alone, together) = (Test::new(), Test::new());
    for (test, jobs) in [(&alone, "1"), (&together, "4")] {
        matrix(test);
        test.run(&["m.toml", "--jobs", jobs]).succeeds();
    }
    assert_eq!(store(&together), store(&alone));
    for table in ["runs/m/matrix.csv", "runs/m/summary.csv"] {
        assert_eq!(together.read(table), alone.read(table));
    }
    // A shared stage ran once.
    let count = |stage: &str| {
        let starts = together.kernel_starts();
        starts.iter().filter(|start| *start == stage).count()
    };
    assert_eq!([count("finetune"), count("general-distill")], [1, 1]);
    assert_eq!(
        [count("td-phase1"), count("td-phase2"), count("eval")],
        [3, 3, 3]
    );
    together.run(&["m.toml", "-j", "4"]).succeeds();
    assert_eq!(count("eval"), 3);
}

#[test]
fn stages_of_one_experiment_that_do_not_wait_for_each_other_run_at_a_time() {
    let test = Test::new();
    test.kernel("finetune", "holds");
    let run = test.start(&["x.toml", "--jobs", "2"]);
    test.wait_for("fake/waits");
    // General distillation comes to its end while the fine-tuning holds.
    test.wait_for("runs/x/general-distill/record.json");
    assert!(!test.path("runs/x/finetune").is_symlink());
    test.write("fake/go", "");
    let ran = run.wait().succeeds();
    assert!(
        ran.stderr.contains("tinyrun: 7 stages run in "),
        "{}",
        ran.stderr
    );
    test.run(&["x.toml"]).succeeds().ran(&[]);
}

#[test]
fn several_files_run_side_by_side_and_share_equal_stages() {
    let test = Test::new();
    test.write("y.toml", &EXPERIMENT.replace("epochs = 3", "epochs = 4"));
    let ran = test.run(&["x.toml", "y.toml", "--jobs", "3"]).succeeds();
    assert!(
        ran.stderr.contains("\ny  td-phase2       done in "),
        "{}",
        ran.stderr
    );
    let starts = test.kernel_starts();
    assert_eq!(starts.len(), 7, "{starts:?}");
    test.run(&["x.toml", "y.toml"]).succeeds().ran(&[]);
}

#[test]
fn after_a_failure_nothing_new_begins_and_what_runs_is_finished() {
    let test = Test::new();
    test.kernel("finetune", "holds")
        .kernel("general-distill", "fails");
    let run = test.start(&["x.toml", "--jobs", "2"]);
    test.wait_for("fake/waits");
    test.wait_until("general-distill fails", || {
        test.kernel_starts().contains(&"general-distill".to_owned())
    });
    test.write("fake/go", "");
    run.wait()
        .ends_with(1)
        .says("error: `general-distill` failed: the loss is not a number at step 5\n");
    assert!(test.exists("runs/x/finetune/record.json"));
    assert!(!test.exists("runs/x/td-phase1"));
}

#[test]
fn an_interruption_stops_every_kernel_and_keeps_their_checkpoints() {
    let test = Test::new();
    test.kernel("finetune", "waits")
        .kernel("general-distill", "waits");
    let run = test.start(&["x.toml", "--jobs", "2"]);
    test.wait_for("fake/waits-finetune")
        .wait_for("fake/waits-general-distill");
    run.signal(rustix::process::Signal::INT);
    run.wait().ends_with(130);
    let plan = test.plan();
    assert_eq!(
        plan.matches("resumable at step 4 of 10").count(),
        2,
        "{plan}"
    );
    test.kernel("finetune", "").kernel("general-distill", "");
    test.run(&["x.toml", "--jobs", "2"]).succeeds();
    test.run(&["x.toml"]).succeeds().ran(&[]);
}

#[test]
fn an_interruption_ends_workers_that_have_nothing_to_do() {
    let test = Test::new();
    test.kernel("finetune", "waits");
    let run = test.start(&["x.toml", "--jobs", "3"]);
    test.wait_for("fake/waits-finetune")
        .wait_for("runs/x/general-distill/record.json");
    run.signal(rustix::process::Signal::INT);
    run.wait()
        .ends_with(130)
        .says("tinyrun: interrupted in `finetune` at step 4\n");
}

#[test]
fn keep_going_does_what_does_not_depend_on_what_failed() {
    let test = Test::new();
    test.kernel("finetune", "fails");
    let ran = test.run(&["x.toml", "--jobs", "2", "-k"]).ends_with(1);
    let error = "error: `finetune` failed: the loss is not a number at step 5\n";
    assert_eq!(ran.stderr.matches(error).count(), 1, "{}", ran.stderr);
    ran.says("error: 1 stage failed, 3 more not run because they depend on a failed stage");
    assert!(test.exists("runs/x/general-distill/record.json"));
    assert!(!test.exists("runs/x/td-phase1"));
}

#[test]
fn files_run_one_by_one_are_reported_each_when_it_ends() {
    let test = Test::new();
    matrix(&test);
    test.write("y.toml", &EXPERIMENT.replace("epochs = 3", "epochs = 4"));
    let ran = test.run(&["x.toml", "m.toml", "y.toml"]).succeeds();
    let marks = [
        "[1/5] x",
        "tinyrun: 7 stages",
        "[2/5] m/seed-1",
        "[4/5] m/seed-3",
    ];
    let marks = marks
        .into_iter()
        .chain(["tinyrun: 3 experiments", "[5/5] y", "tinyrun: "]);
    let mut rest = ran.stderr.as_str();
    for mark in marks {
        let (_, after) = rest
            .split_once(mark)
            .unwrap_or_else(|| panic!("`{mark}` in\n{}", ran.stderr));
        rest = after;
    }
}
