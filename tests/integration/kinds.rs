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

#[test]
fn clean_takes_a_name_that_was_in_the_file_and_no_other() {
    let test = two_students();
    test.run(&["x.toml"]).succeeds();
    test.run(&["clean", "x.toml", "warm"])
        .ends_with(2)
        .says("error: `warm` is not a stage of this experiment");
    let renamed = test.read("x.toml").replace("[stages.hot]", "[stages.warm]");
    test.write(
        "x.toml",
        &renamed.replace("student = \"hot\"", "student = \"warm\""),
    );
    test.run(&["x.toml"]).succeeds().ran(&[]);
    test.run(&["clean", "x.toml", "hot"]).succeeds();
    assert!(!test.exists("runs/x/hot") && test.exists("runs/x/warm/record.json"));
}

#[test]
fn a_teacher_is_checked_by_each_stage_that_no_other_check_comes_before() {
    let test = two_students();
    test.run(&["x.toml", "--until", "td-phase2"]).succeeds();
    let gate = |test: &Test| test.job("td-phase2")["work"]["train"]["teacher"]["gate"].clone();
    assert!(gate(&test).is_null(), "phase 1 has checked it");
    test.write_model("classifier", &["neg", "pos"]);
    test.replace(
        "x.toml",
        "student = \"td-phase1\"",
        "student = \"./classifier\"",
    );
    test.run(&["x.toml", "--until", "hot"])
        .succeeds()
        .ran(&["hot"]);
    assert!(gate(&test).is_object(), "it does not wait for phase 1");
}

#[test]
fn a_goal_is_judged_by_the_last_stage_that_scores_the_student() {
    let test = two_students();
    let goal = "[goal]\n\"custom.accuracy\" = 0.99\n";
    test.write("x.toml", &format!("{}{goal}", test.read("x.toml")));
    test.run(&["x.toml", "--until", "eval"]).succeeds();
    test.run(&["x.toml"])
        .ends_with(3)
        .says("custom.accuracy at least 0.99");
}

#[test]
fn a_plan_counts_a_result_that_two_stages_share_once() {
    let test = Test::new();
    let same = "[stages.again]\nkind = \"td-phase2\"\nepochs = 3\nstudent = \"td-phase1\"\n";
    test.write("x.toml", &format!("{EXPERIMENT}{same}"));
    let plan = test.run(&["x.toml", "--dry-run"]).succeeds().stdout;
    assert!(
        plan.contains("again           shared with `td-phase2`"),
        "{plan}"
    );
}

#[test]
fn two_general_distillations_prepare_their_own_text() {
    let test = Test::new();
    let more = "[stages.more]\nkind = \"general-distill\"\ncorpus = [\"data/corpus/b.txt\"]\nmax-seq-length = 16\n";
    test.write("x.toml", &format!("{EXPERIMENT}{more}"));
    test.run(&["x.toml"]).succeeds();
    assert!(test.exists("runs/x/more-corpus/train/store.json"));
    assert_ne!(
        test.read("runs/x/more-corpus/train/store.json"),
        test.read("runs/x/corpus-prep/train/store.json")
    );
    test.write(
        "x.toml",
        &format!("{EXPERIMENT}{more}[stages.more-corpus]\nkind = \"eval\"\n"),
    );
    test.run(&["x.toml"])
        .ends_with(2)
        .says("stage name `more-corpus` is that of the preparation of `more`");
}
