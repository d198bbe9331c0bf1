//! A kind of stage that occurs more than once.

use std::fs;

use crate::harness::{EXPERIMENT, STAGES, Test};

/// A second student of phase 1, scored beside the first.
const HOT: &str = "
[stages.hot]
kind = \"td-phase2\"
student = \"td-phase1\"
temperature = 2

[stages.eval-hot]
kind = \"eval\"
student = \"hot\"
";

/// The stage `eval` scores the first student, whatever comes after it.
fn two_students() -> Test {
    let test = Test::new();
    let file = EXPERIMENT.replace(
        "[stages.eval]\n",
        "[stages.eval]\nstudent = \"td-phase2\"\n",
    );
    test.write("x.toml", &format!("{file}{HOT}"));
    test
}

/// Every stage, in the order in which they run.
const ALL: [&str; 9] = [
    "data-prep",
    "corpus-prep",
    "finetune",
    "general-distill",
    "td-phase1",
    "td-phase2",
    "hot",
    "eval",
    "eval-hot",
];

#[test]
fn each_has_a_name_and_a_link_of_its_own_and_is_stored_under_its_kind() {
    let test = two_students();
    // The kernel of the tests writes the same student for both, so that one score is enough.
    test.run(&["x.toml"]).succeeds().ran(&ALL[..8]);
    for stage in ALL {
        assert!(
            test.exists(&format!("runs/x/{stage}/record.json")),
            "{stage}"
        );
    }
    let stored = fs::read_dir(test.path("runs/store/td-phase2")).expect("stored");
    assert_eq!(stored.count(), 2);
    assert!(!test.exists("runs/store/hot"));
    test.run(&["x.toml"]).succeeds().ran(&[]);
    let results = test.read("runs/x/results.csv");
    for stage in ["eval,student,", "eval-hot,student,"] {
        assert!(results.contains(&format!("\n{stage}")), "{results}");
    }
}

#[test]
fn a_change_of_one_reruns_it_alone() {
    let test = two_students();
    test.run(&["x.toml"]).succeeds();
    let hotter = ["x.toml", "--set", "stages.hot.temperature=3"];
    test.run(&hotter).succeeds().ran(&["hot"]);
    let batch = ["x.toml", "--set", "stages.eval-hot.batch-size=3"];
    test.run(&batch).succeeds().ran(&["eval-hot"]);
}

#[test]
fn two_of_the_same_settings_share_one_result() {
    let test = Test::new();
    let same = "[stages.again]\nkind = \"td-phase2\"\nepochs = 3\nstudent = \"td-phase1\"\n";
    let file = EXPERIMENT.replace("[stages.eval]\n", "");
    test.write("x.toml", &format!("{file}{same}"));
    test.run(&["x.toml"]).succeeds().ran(&STAGES[..6]);
    let target =
        |stage: &str| fs::canonicalize(test.path(&format!("runs/x/{stage}"))).expect("there");
    assert_eq!(target("again"), target("td-phase2"));
}

#[test]
fn commands_take_the_name_that_the_file_gives() {
    let test = two_students();
    test.run(&["x.toml", "--until", "hot"])
        .succeeds()
        .ran(&ALL[..7]);
    test.run(&["x.toml"]).succeeds().ran(&["eval"]);
    test.run(&["x.toml", "--force", "hot"])
        .succeeds()
        .ran(&["hot"]);
    test.run(&["x.toml", "--downstream", "hot", "--force", "eval-hot"])
        .succeeds()
        .ran(&["eval-hot"]);
    test.run(&["rerun", "x/hot"]).succeeds();
    test.run(&["clean", "x.toml", "hot"]).succeeds();
    assert!(!test.exists("runs/x/hot") && test.exists("runs/x/td-phase2"));
    test.run(&["x.toml", "--single-stage", "hot"])
        .succeeds()
        .ran(&["hot"]);
    test.run(&["x.toml", "--until", "warm"])
        .ends_with(2)
        .says("error: `warm` is not a stage of this experiment");
    // Kinds of which there is none here are no stages either.
    test.remove("x.toml")
        .write("x.toml", &EXPERIMENT.replace("[stages.eval]\n", ""));
    test.run(&["x.toml", "--until", "eval"])
        .ends_with(2)
        .says("`eval` is not a stage of this experiment");
}

#[test]
fn a_stage_with_a_name_of_its_own_can_be_made_by_a_matrix_and_left_out_by_it() {
    let test = two_students();
    let matrix = "\n[matrix.variants]\nboth = {}\none = { without = [\"hot\", \"eval-hot\"] }\n";
    test.write("x.toml", &format!("{}{matrix}", test.read("x.toml")));
    test.run(&["x.toml"]).succeeds();
    assert!(test.exists("runs/x/both/hot/record.json"));
    assert!(!test.exists("runs/x/one/hot") && test.exists("runs/x/one/eval"));
    test.replace("x.toml", "both = {}", "hot = {}");
    test.run(&["x.toml"])
        .ends_with(2)
        .says("variant name `hot` is reserved in the experiment's folder");
}
