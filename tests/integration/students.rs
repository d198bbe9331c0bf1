//! Students that start from layers of another model, with the script in the kernel's place.

use serde_json::{Value, json};

use crate::harness::Test;

/// The experiment of the tests with a student of these keys.
fn test(student: &str) -> Test {
    let test = Test::new();
    let shape = "num-hidden-layers = 2\nhidden-size = 4\nintermediate-size = 8\n\
                 num-attention-heads = 2\nmax-position-embeddings = 32\n";
    test.replace("x.toml", shape, student);
    test
}

/// The student in the job of a stage.
fn student(test: &Test, stage: &str) -> Value {
    test.job(stage)["work"]["train"]["student"].clone()
}

const FROM_FINE_TUNED: &str = "model = \"finetune\"\nlayers = [1, 0]\nhidden-dropout-prob = 0.0\n";

#[test]
fn layers_of_the_fine_tuned_teacher_are_the_students_start() {
    let test = test(FROM_FINE_TUNED);
    test.run(&["x.toml"]).succeeds();
    let first = student(&test, "general-distill");
    let path = first["weights"]["path"].as_str().expect("a path");
    assert!(
        path.contains("finetune") && path.ends_with("model"),
        "{path}"
    );
    assert_eq!(
        first["weights"]["stated"],
        json!({"layers": [1, 0], "hidden_dropout_prob": 0.0})
    );
    assert_eq!(first["config"]["num_hidden_layers"], 2);
    assert_eq!(first["config"]["hidden_dropout_prob"], 0.0);
    // Each layer learns from the one that it was.
    let map =
        &test.job("general-distill")["work"]["train"]["objective"]["intermediate"]["layer_map"];
    assert_eq!(*map, json!({"attention": [1, 0], "hidden": [0, 2, 1]}));
    // What that stage makes has two layers, and all of them are taken.
    let next = student(&test, "td-phase1");
    assert_eq!(next["weights"].get("stated"), None);
    let folder = next["weights"]["path"].as_str().expect("a path");
    assert!(folder.contains("general-distill"), "{folder}");

    // The settings as resolved are those of the same experiment.
    let resolved = test.read("runs/x/experiment.toml");
    assert!(resolved.contains("layers = [1, 0]"), "{resolved}");
    test.write("x.toml", &resolved);
    assert!(!test.plan().contains("stale"), "{}", test.plan());
}

#[test]
fn other_layers_or_dropouts_re_run_the_stage_that_starts_from_them() {
    let test = test(FROM_FINE_TUNED);
    test.run(&["x.toml"]).succeeds();
    for set in ["student.layers=[0]", "student.hidden-dropout-prob=0.1"] {
        let plan = test.run(&["x.toml", "--dry-run", "--set", set]).succeeds();
        let status = |stage: &str| {
            let mut lines = plan.stdout.lines();
            let line = lines.find(|line| line.split_whitespace().nth(1) == Some(stage));
            line.unwrap_or_default().starts_with("fresh")
        };
        assert!(status("finetune") && !status("general-distill"), "{set}");
    }
}

#[test]
fn dropouts_do_not_count_where_nothing_is_trained() {
    let test = test("model = \"./other\"\nlayers = [1]\n");
    for model in ["teacher", "other"] {
        test.write_model(model, &["neg", "pos"]);
    }
    let whole = test.read("x.toml");
    let (before, _) = whole.split_once("[stages").expect("stages");
    test.write("x.toml", &format!("{before}[stages.eval]\n"));
    test.run(&["x.toml"]).succeeds();
    let plan = |set: &str| {
        let plan = test.run(&["x.toml", "--dry-run", "--set", set]).succeeds();
        let mut lines = plan.stdout.lines();
        let line = lines.find(|line| line.split_whitespace().nth(1) == Some("eval"));
        line.expect("eval").to_owned()
    };
    let other = plan("student.hidden-dropout-prob=0.3");
    assert!(other.starts_with("fresh"), "{other}");
    let other = plan("student.layers=[0]");
    assert!(!other.starts_with("fresh"), "{other}");
}

#[test]
fn layers_of_a_folder_leave_its_own_files_as_they_are() {
    let test = test("model = \"./other\"\nlayers = [1]\nlayer-map = \"top\"\n");
    test.write_teacher("other");
    test.run(&["x.toml"]).succeeds();
    let first = student(&test, "general-distill");
    assert_eq!(first["weights"]["stated"], json!({"layers": [1]}));
    // The same folder is a whole model where a stage names it.
    let named = ["x.toml", "--set", "stages.td-phase2.student=./other"];
    test.run(&named).succeeds();
    assert_eq!(student(&test, "td-phase2")["weights"].get("stated"), None);
}

#[test]
fn layers_that_cannot_be_are_told_before_anything_runs() {
    let test = test("model = \"finetune\"\nlayers = [0, 2]\n");
    let plan = test.run(&["x.toml", "--dry-run"]).ends_with(2);
    plan.says("`layers` in `[student]` has 2, which is out of range for `finetune`");
    let other = ["x.toml", "--dry-run", "--set", "student.model=td-phase1"];
    let plan = test.run(&other).ends_with(2);
    plan.says("`td-phase1` cannot be the `model` of `[student]`");
}

#[test]
fn a_student_of_another_vocabulary_is_refused() {
    let test = test("model = \"./other\"\n");
    test.write_teacher("other");
    test.run(&["x.toml", "--dry-run"]).succeeds();
    let words = test.read("other/vocab.txt");
    // The same tokens under other ids are translated.
    test.write("other/vocab.txt", &words.replace("good\nbad", "bad\ngood"));
    test.run(&["x.toml", "--dry-run"]).succeeds();
    test.write("other/vocab.txt", &words.replace("good\nbad", "bad\ngoods"));
    let plan = test.run(&["x.toml", "--dry-run"]).ends_with(2);
    plan.says("the tokenizer of `./other` splits text into other tokens than the teacher's: it lacks the token `good`");
    test.write("other/vocab.txt", &words.replace("good\nbad", "bad\ngood"));
    // A teacher of a stage has no ids of its own.
    let teacher = [
        "x.toml",
        "--dry-run",
        "--set",
        "stages.td-phase2.teacher=./other",
    ];
    let plan = test.run(&teacher).ends_with(2);
    plan.says("`./other` has another vocabulary than the teacher: token 5 is `bad`, the teacher's is `good`");
}

#[test]
fn random_weights_in_the_shape_of_a_given_model_count_its_layers() {
    let test = test(FROM_FINE_TUNED);
    let sets = ["x.toml", "--set", "stages.td-phase1.student=random"];
    test.run(&sets).succeeds();
    let again = [&sets[..], &["--set", "student.layers=[0]", "--dry-run"]].concat();
    let plan = test.run(&again).succeeds().stdout;
    let mut lines = plan.lines();
    let line = lines.find(|line| line.split_whitespace().nth(1) == Some("td-phase1"));
    // Also where nothing else of the stage follows the layers.
    assert!(
        line.is_some_and(|line| line.contains("student.drawn")),
        "{plan}"
    );
}
