//! Answers of a teacher in files, with the script in the kernel's place.

use crate::harness::Test;

const ANSWERS: &str = "text,probability_neg,probability_pos\ngood film,0.1,0.9\nbad film,0.8,0.2\n";

/// The experiment of the tests with answers to its rows.
fn test() -> Test {
    let test = Test::new();
    test.write("answers.csv", ANSWERS);
    test.replace(
        "x.toml",
        "[teacher]",
        "teacher-predictions = \"answers.csv\"\n[teacher]",
    );
    test
}

/// The same without a teacher: a small model learns from the answers alone.
fn without_teacher() -> Test {
    let test = Test::new();
    test.write_model("small", &["neg", "pos"]);
    test.write("answers.csv", ANSWERS).write(
        "x.toml",
        "[task]\nname = \"custom\"\ntrain = \"data/train.tsv\"\ndev = \"data/dev.tsv\"\n\
         text = \"text\"\nlabel = \"label\"\nmax-seq-length = 16\n\
         teacher-predictions = \"answers.csv\"\n\n\
         [student]\nmodel = \"./small\"\n\n[stages.td-phase2]\nepochs = 3\n\n[stages.eval]\n",
    );
    test
}

#[test]
fn phase_2_gets_the_answers_in_place_of_a_teacher() {
    let test = test();
    test.run(&["x.toml"]).succeeds();
    let train = test.job("td-phase2")["work"]["train"].clone();
    assert!(train["teacher"].is_null(), "{train}");
    let path = train["predictions"].as_str().expect("a path");
    assert!(path.ends_with("teacher-predictions.bin"), "{path}");
    // Two classes of fp32 and a checksum per row.
    let bytes = std::fs::read(test.path("runs/x/data-prep/teacher-predictions.bin"));
    assert_eq!(bytes.expect("written").len(), 2 * 12);
    let phase1 = test.job("td-phase1")["work"]["train"].clone();
    assert!(phase1["teacher"].is_object() && phase1["predictions"].is_null());
    let report = test.read("runs/x/data-prep/report.json");
    assert!(report.contains("\"predictions\": {"), "{report}");
}

#[test]
fn other_answers_re_run_what_learns_from_them_and_nothing_else() {
    let test = Test::done();
    test.write("answers.csv", ANSWERS);
    let with = ["x.toml", "--set", "task.teacher-predictions=answers.csv"];
    test.run(&with).succeeds().ran(&["data-prep", "td-phase2"]);
    test.write("answers.csv", &ANSWERS.replace("0.1,0.9", "0.2,0.8"));
    test.run(&with).succeeds().ran(&["data-prep", "td-phase2"]);
    // Other bytes of the same answers are no other answers.
    test.write("answers.csv", &ANSWERS.replace("0.1,0.9", "0.20,0.80"));
    test.run(&with).succeeds().ran(&["data-prep"]);
    // How a teacher would be run does not matter to phase 2 now.
    let sets = ["--set", "stages.td-phase2.teacher-dropout=true"];
    test.run(&[&with[..], &sets].concat()).succeeds().ran(&[]);
}

#[test]
fn a_student_learns_without_a_teacher() {
    let test = without_teacher();
    let ran = test.run(&["x.toml"]).succeeds();
    ran.ran(&["data-prep", "td-phase2", "eval"]);
    let train = test.job("td-phase2")["work"]["train"].clone();
    assert!(train["teacher"].is_null());
    let tokenizer = train["student"]["tokenizer"].as_str().expect("a path");
    assert!(tokenizer.ends_with("small"), "{tokenizer}");
    let models = test.job("eval")["work"]["evaluate"]["models"].clone();
    let names: Vec<_> = models.as_array().expect("a list").iter().collect();
    assert!(
        names.len() == 1 && names[0]["name"] == "student",
        "{models}"
    );
    // The settings as resolved are those of the same experiment.
    test.write("x.toml", &test.read("runs/x/experiment.toml"));
    assert!(!test.plan().contains("stale"), "{}", test.plan());
    for command in ["status", "verify", "export-data"] {
        let more: &[&str] = match command {
            "export-data" => &["-o", "out"],
            _ => &[],
        };
        test.run(&[&[command, "x.toml"], more].concat()).succeeds();
    }
}

#[test]
fn what_predict_writes_is_taken_as_it_is() {
    for file in ["answers.csv", "answers.tsv", "answers.jsonl"] {
        let test = without_teacher();
        let predict = [
            "predict",
            "./small",
            "data/train.tsv",
            "--keep-columns",
            "-o",
            file,
        ];
        test.run(&[&predict[..], &["--text", "text"]].concat())
            .succeeds();
        let answers = test.read(file);
        assert!(answers.contains("predicted_label"), "{answers}");
        let set = format!("task.teacher-predictions={file}");
        test.run(&["x.toml", "--set", &set]).succeeds();
    }
    // Without the columns of its input nobody knows what is answered.
    let test = without_teacher();
    let predict = ["predict", "./small", "data/train.tsv", "--text", "text"];
    let answers = test.run(&predict).succeeds().stdout;
    test.write("answers.csv", &answers);
    let ran = test.run(&["x.toml"]).ends_with(1);
    ran.says("answers.csv:1` has no column `text`, by which predictions are matched to rows")
        .says("--keep-columns");
}

#[test]
fn faults_are_told_before_anything_is_trained() {
    let test = test();
    let dry = [
        "x.toml",
        "--dry-run",
        "--set",
        "task.teacher-predictions=none.csv",
    ];
    test.run(&dry)
        .ends_with(2)
        .says("`none.csv` does not exist");
    for (answers, fault) in [
        (
            "text,label\nbad film,neg\n",
            "1 of 2 rows have no prediction in `answers.csv`: the first is `data/train.tsv:2`",
        ),
        (
            "text,label\nbad film,neg\ngood film,pos\nother,pos\n",
            "answers.csv:4` has a prediction for a text that no row of the task has",
        ),
        (
            "text,label\nbad film,neg\ngood film,good\n",
            "answers.csv:3` has the class `good`, the task has `neg`, `pos`",
        ),
        (
            "text,neg,pos\nbad film,0.5,0.6\n",
            "answers.csv:2` has probabilities that sum to 1.1000",
        ),
    ] {
        test.write("answers.csv", answers);
        test.run(&["x.toml"]).ends_with(1).says(fault);
    }
    assert_eq!(test.kernel_starts(), Vec::<String>::new());
}

#[test]
fn texts_without_labels_need_answers_where_a_stage_learns_from_them() {
    let test = test();
    test.write("data/more.txt", "the film\na film\n");
    let sets = ["x.toml", "--set", "task.unlabelled=[\"data/more.txt\"]"];
    let without = [&sets[..], &["--set", "stages.td-phase2.unlabelled-limit=0"]].concat();
    test.run(&without).succeeds();
    test.run(&sets)
        .ends_with(1)
        .says("2 of 2 rows have no prediction");
    let more = "the film,0.5,0.5\na film,1,0\n";
    test.write("answers.csv", &format!("{ANSWERS}{more}"));
    // Phase 2 of `without` has the same answers as before.
    test.run(&without).succeeds().ran(&["data-prep"]);
    test.run(&sets).succeeds().ran(&["data-prep", "td-phase2"]);
    let path = test.job("td-phase2")["work"]["train"]["predictions"].clone();
    let path = path.as_str().expect("a path");
    assert!(
        path.ends_with("teacher-predictions-and-unlabelled.bin"),
        "{path}"
    );
}
