//! One file that is many experiments: what is shared, what is written, what is told.

use std::process::Command;

use crate::harness::{EXPERIMENT, STAGES, Test};

/// Two variants and two seeds; the teacher and general distillation have a seed of their own.
const MATRIX: &str = r"
[matrix]
seed = [1, 2]

[matrix.variants]
full = {}
fast = { stages.td-phase1.learning-rate = 0.5 }
";

fn with_matrix(matrix: &str) -> Test {
    let test = Test::new();
    let pinned = EXPERIMENT
        .replace("[stages.finetune]\n", "[stages.finetune]\nseed = 42\n")
        .replace(
            "[stages.general-distill]\n",
            "[stages.general-distill]\nseed = 42\n",
        );
    test.write("x.toml", &format!("{pinned}{matrix}"));
    test
}

#[test]
fn stages_that_are_equal_run_once() {
    let test = with_matrix(MATRIX);
    let task = ["td-phase1", "td-phase2", "eval"];
    let expected = [&STAGES[..], &task, &task, &task].concat();
    test.run(&["x.toml"]).succeeds().ran(&expected);
    test.run(&["x.toml"])
        .succeeds()
        .ran(&[])
        .says("tinyrun: nothing to do, 4 experiments up to date");
}

#[test]
fn a_matrix_ends_in_a_table_of_means_and_deviations() {
    let test = with_matrix(MATRIX);
    test.run(&["x.toml", "--set", "matrix.seed=[1]"]).succeeds();
    // The student of the second seed is better.
    test.write("fake/correct", "3");
    let ran = test.run(&["x.toml"]).succeeds();
    let table = ran.stderr.split("tinyrun: ").nth(1).expect("a summary");
    let mut lines = table.lines();
    let headline = lines.next().expect("a headline");
    assert!(
        headline.starts_with("4 experiments, 6 stages run in "),
        "{headline}"
    );
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            "  student on dev  n  accuracy         correct",
            "  full            2  0.7500 ± 0.3536  5/8",
            "  fast            2  0.7500 ± 0.3536  5/8",
            "  results  runs/x/summary.csv",
        ]
    );
    let summary = test.read("runs/x/summary.csv");
    let mut rows = summary.lines();
    let header = "variant,model,split,metric,mean,std,min,max,results,experiments,correct,total";
    assert_eq!(rows.next(), Some(header));
    let student = "full,student,dev,accuracy,0.75,0.3535533905932738,0.5,1,2,2,5,8";
    assert_eq!(rows.next(), Some(student));
    assert_eq!(rows.count(), 3);
    let matrix = test.read("runs/x/matrix.csv");
    let mut rows = matrix.lines();
    let header = "experiment,variant,seed,model,split,metric,value,correct,total,result";
    assert_eq!(rows.next(), Some(header));
    let first = rows.next().expect("a row");
    assert!(
        first.starts_with("full.seed-1,full,1,teacher,dev,accuracy,0.75,3,4,"),
        "{first}"
    );
    assert_eq!(rows.count(), 7);
    assert!(test.exists("runs/x/fast.seed-2/results.csv"));
    assert!(test.exists("runs/x/fast.seed-2/td-phase2/model/model.safetensors"));
}

#[test]
fn a_seed_that_changes_nothing_is_no_second_sample() {
    let pinned = "\n[matrix]\nseed = [1, 2]\n[matrix.variants]\n\
                  pinned = { stages.td-phase1.seed = 3, stages.td-phase2.seed = 3 }\n";
    let test = with_matrix(pinned);
    test.run(&["x.toml"]).succeeds().ran(&STAGES);
    let summary = test.read("runs/x/summary.csv");
    let student = "pinned,student,dev,accuracy,0.5,,0.5,0.5,1,2,2,4";
    assert!(summary.contains(student), "{summary}");
}

#[test]
fn a_dry_run_says_whose_stage_serves() {
    let test = with_matrix(MATRIX);
    let plan = test.run(&["x.toml", "--dry-run"]).succeeds().stdout;
    let second = plan.split("[2/4] ").nth(1).expect("a second experiment");
    let second: Vec<&str> = second.lines().take(8).collect();
    assert_eq!(
        second,
        [
            "full.seed-2",
            "same   data-prep       shared with `full.seed-1`",
            "same   corpus-prep     shared with `full.seed-1`",
            "same   finetune        shared with `full.seed-1`",
            "same   general-distill shared with `full.seed-1`",
            "stale  td-phase1       never run; waits for `data-prep`, `finetune`, `general-distill`",
            "stale  td-phase2       never run; waits for `data-prep`, `finetune`, `td-phase1`",
            "stale  eval            never run; waits for `data-prep`, `finetune`, `td-phase2`",
        ]
    );
    assert!(!test.exists("runs"));
}

#[test]
fn a_forced_stage_that_is_shared_runs_once() {
    let test = with_matrix(MATRIX);
    test.run(&["x.toml"]).succeeds();
    let ran = test.run(&["x.toml", "--force", "finetune"]).succeeds();
    ran.ran(&["finetune"]);
}

#[test]
fn an_interrupted_matrix_keeps_its_table_and_goes_on() {
    let test = with_matrix(MATRIX);
    test.run(&[
        "x.toml",
        "--set",
        "matrix.seed=[1]",
        "--set",
        "matrix.variants={full={}}",
    ])
    .succeeds();
    test.kernel("td-phase1", "killed");
    test.run(&["x.toml"]).ends_with(1);
    assert_eq!(test.read("runs/x/matrix.csv").lines().count(), 3);
    test.remove("fake/td-phase1");
    test.run(&["x.toml"]).succeeds().says("student on dev");
    assert_eq!(test.read("runs/x/matrix.csv").lines().count(), 9);
}

#[test]
fn a_missed_goal_names_its_experiment() {
    let test = with_matrix(&format!("{MATRIX}\n[goal]\n\"custom.accuracy\" = 0.9\n"));
    test.write("fake/correct", "3");
    test.run(&["x.toml", "--set", "matrix.seed=[1]"]).succeeds();
    test.write("fake/correct", "2");
    test.run(&["x.toml"])
        .ends_with(3)
        .says("full.seed-2: custom.accuracy at least 0.9: 0.5000 (2/4), missed; fast.seed-2: ");
}

#[test]
fn a_table_that_is_not_there_is_told_once_for_all() {
    let test = with_matrix(MATRIX);
    test.remove("data/train.tsv");
    let ran = test.run(&["x.toml"]).ends_with(2);
    assert_eq!(
        ran.stderr.matches("data/train.tsv").count(),
        2,
        "{}",
        ran.stderr
    );
}

/// Variants and seeds by the names of their folders, with a second axis too.
#[test]
fn variants_are_compared_by_the_rows_that_their_students_have_right() {
    let test = Test::new();
    let right = [
        ("plain.seed-1", "aaab"),
        ("plain.seed-2", "aabb"),
        ("better.seed-1.x-5", "aaaa"),
        ("better.seed-2.x-5", "aaaa"),
    ];
    for (experiment, predicted) in right {
        let rows = predicted.chars().enumerate();
        let rows = rows.map(|(row, class)| format!("{row},a,{class}\n"));
        let table = format!("index,label,predicted\n{}", rows.collect::<String>());
        let path = format!("runs/x/{experiment}/eval/predictions-student.csv");
        test.write(&path, &table);
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/paired_bootstrap");
    let compare = |baseline: &str| {
        let mut command = Command::new("python3");
        test.start_as(command.args([script, "runs/x", baseline]))
            .wait()
    };
    let found = compare("plain").succeeds().stdout;
    // 3 and 2 of 4 rows; the last row differs for both seeds, the third for one.
    assert!(
        found.contains("| `plain` | 62.50 ± 17.68 | 1, 2 | | |"),
        "{found}"
    );
    assert!(
        found.contains("| `better.x-5` | 100.00 ± 0.00 | 1, 2 | +37.50 | +0.00 to +75.00 |"),
        "{found}"
    );
    compare("none")
        .ends_with(1)
        .says("there are: better.x-5, plain");
}
