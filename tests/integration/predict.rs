//! `tinyrun predict`: rows in, answers out, in their order and as they come.

use std::process::Stdio;

use rustix::process::Signal;

use crate::harness::{Ran, Started, Test};

/// What the script answers to `good film`, `bad` and an empty text: their lengths and first words
/// as logits.
const GOOD_FILM: &str = "pos,0.26894143,0.7310586";
const BAD: &str = "pos,0.047425874,0.95257413";
const EMPTY: &str = "pos,0.26894143,0.7310586";
const LONG: &str = "neg,0.7310586,0.26894143";

/// A root with a model `m` of the classes `neg` and `pos`.
fn with_model() -> Test {
    let test = Test::new();
    test.write_model("m", &["neg", "pos"]);
    test
}

/// `tinyrun predict` with lines on stdin.
fn piped(test: &Test, arguments: &[&str], input: &str) -> Ran {
    test.write("in", input);
    let file = std::fs::File::open(test.path("in")).expect("opened");
    let arguments = [&["predict"], arguments].concat();
    test.run_with(&arguments, |command| {
        command.stdin(file);
    })
}

fn started(test: &Test, arguments: &[&str]) -> Started {
    let arguments = [&["predict"], arguments].concat();
    test.start_with(&arguments, |command| {
        command.stdin(Stdio::piped());
    })
}

const HEADER: &str = "label,probability_neg,probability_pos";

#[test]
fn lines_of_stdin_are_answered_in_order_and_an_empty_one_too() {
    let test = with_model();
    let lines = "good film\n\nbad\r\nbad bad bad bad bad";
    for arguments in [&["m"][..], &["m", "-"], &["m", "--batch-size", "1"]] {
        let ran = piped(&test, arguments, lines).succeeds();
        let expected = format!("{HEADER}\n{GOOD_FILM}\n{EMPTY}\n{BAD}\n{LONG}\n");
        assert_eq!(ran.stdout, expected);
        assert_eq!(ran.stderr, "");
    }
    let ran = piped(&test, &["m"], "").succeeds();
    assert_eq!(ran.stdout, format!("{HEADER}\n"));
}

#[test]
fn batches_are_at_most_as_large_as_they_may_be() {
    let test = with_model();
    let lines = "good\n".repeat(100);
    let ran = piped(&test, &["m", "--batch-size", "3"], &lines).succeeds();
    assert_eq!(ran.stdout.lines().count(), 101);
    let batches = test.read("fake/batches");
    let rows = batches
        .lines()
        .map(|batch| batch.matches("[2,5,3]").count());
    let rows: Vec<usize> = rows.collect();
    assert_eq!(rows.iter().sum::<usize>(), 100);
    assert!(rows.iter().all(|rows| (1..=3).contains(rows)), "{rows:?}");
}

#[test]
fn a_line_is_answered_before_the_next_is_written() {
    let test = with_model();
    let mut run = started(&test, &["m"]);
    run.type_in("bad\n");
    assert_eq!(run.next_line(), HEADER);
    assert_eq!(run.next_line(), BAD);
    run.type_in("good film\n");
    assert_eq!(run.next_line(), GOOD_FILM);
    run.wait().succeeds();
    let mut run = started(&test, &["m", "--text", "t", "--format", "jsonl"]);
    run.type_in("t,id\nbad,1\n");
    let answer = r#"{"label":"pos","probabilities":{"neg":0.047425874,"pos":0.95257413}}"#;
    assert_eq!(run.next_line(), answer);
    run.wait().succeeds();
}

#[test]
fn columns_are_kept_in_both_formats() {
    let test = with_model();
    test.write("in.csv", "id,text,label\n7,\"good film, bad\",x\n8,bad,y\n");
    let ran = test
        .run(&["predict", "m", "in.csv", "--keep-columns"])
        .succeeds();
    let header = "id,text,label,predicted_label,probability_neg,probability_pos";
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[0], header);
    assert!(lines[1].starts_with("7,\"good film, bad\",x,"), "{lines:?}");
    assert_eq!(lines[2], format!("8,bad,y,{BAD}"));

    test.write(
        "in.jsonl",
        "{\"id\": 7, \"text\": \"bad\", \"tags\": [1]}\n",
    );
    let keep = [
        "predict",
        "m",
        "in.jsonl",
        "--keep-columns",
        "-o",
        "out.jsonl",
    ];
    let ran = test.run(&keep).succeeds();
    assert_eq!(ran.stdout, "");
    let answer = "{\"id\":7,\"text\":\"bad\",\"tags\":[1],\"label\":\"pos\",\
                  \"probabilities\":{\"neg\":0.047425874,\"pos\":0.95257413}}\n";
    assert_eq!(test.read("out.jsonl"), answer);
    let csv = [&keep[..], &["--format", "csv"]].concat();
    test.run(&csv).succeeds();
    let expected = format!("id,text,tags,{HEADER}\n7,bad,[1],{BAD}\n");
    assert_eq!(test.read("out.jsonl"), expected);
}

#[test]
fn kept_values_are_those_that_were_written() {
    let test = with_model();
    let values = "\"text\":\"bad\",\"id\":12345678901234567890123,\"far\":1e400,\"half\":0.50,\"list\":[1.0, 2]";
    test.write("in.jsonl", &format!("{{{values}}}\n"));
    let run = |format| {
        let arguments = [
            "predict",
            "m",
            "in.jsonl",
            "--keep-columns",
            "--format",
            format,
        ];
        test.run(&arguments).succeeds().stdout
    };
    assert!(
        run("jsonl").starts_with(&format!("{{{values},\"label\":")),
        "{}",
        run("jsonl")
    );
    let expected = format!(
        "text\tid\tfar\thalf\tlist\t{}\nbad\t12345678901234567890123\t1e400\t0.5\t[1.0, 2]\t{}\n",
        HEADER.replace(',', "\t"),
        BAD.replace(',', "\t")
    );
    assert_eq!(run("tsv"), expected);
    // The ending of the output's name says so too.
    let arguments = ["predict", "m", "in.jsonl", "--keep-columns", "-o", "o.TSV"];
    test.run(&arguments).succeeds();
    assert_eq!(test.read("o.TSV"), expected);
}

#[test]
fn a_copied_folder_is_cut_where_its_tokenizer_says() {
    let test = with_model();
    test.write("m/tokenizer_config.json", "{\"model_max_length\": 4}");
    piped(&test, &["m"], "good good good good good\n").succeeds();
    assert!(
        test.read("fake/batches").contains("[2,5,5,3]"),
        "{}",
        test.read("fake/batches")
    );
}

#[test]
fn a_hint_fits_what_was_named_on_the_command_line() {
    let test = with_model();
    let ran = piped(&test, &["m", "-o", "/dev/full"], "bad\n").ends_with(2);
    ran.says("error: cannot write `/dev/full`: no space left on device\n")
        .says("hint: free disk space, or choose another place with `--output`\n");
    for (bytes, arguments, message, hint) in [
        (
            &b"bad\nb\xffd\n"[..],
            &["predict", "m"][..],
            "`stdin:2` is not UTF-8",
            "convert it to UTF-8, for example by `iconv -f ENCODING -t UTF-8`",
        ),
        (
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\n",
            &["predict", "m"],
            "`stdin:1` is gzip-compressed",
            "unpack it",
        ),
        (
            b"text,id\ncaf\xe9 na\xefve d\xe9j\xe0,1\n",
            &["predict", "m", "--text", "text"],
            "`stdin:2` is not UTF-8",
            "convert it",
        ),
    ] {
        std::fs::write(test.path("bytes"), bytes).expect("written");
        let file = std::fs::File::open(test.path("bytes")).expect("opened");
        let ran = test.run_with(arguments, |command| {
            command.stdin(file);
        });
        let ran = ran.ends_with(1).says(message).says(hint);
        assert!(!ran.stderr.contains("< stdin"), "{}", ran.stderr);
    }
    // ONNX has no weights that are read here.
    test.write("onnx/config.json", &test.read("m/config.json"))
        .write("onnx/model.onnx", "x");
    let ran = test.run(&["predict", "onnx"]).ends_with(2);
    ran.says("only `model.onnx`")
        .says("name the Hugging Face folder that it was exported from");
}

#[test]
fn an_experiment_without_a_stage_is_answered_with_its_stages() {
    let test = Test::done();
    for arguments in [
        &["predict", "x"][..],
        &["export", "x", "-o", "out"],
        &["show", "x"],
        &["rerun", "runs/x"],
        &["verify", "x"],
    ] {
        let ran = test.run(arguments).ends_with(2);
        ran.says("is an experiment, not the result of a stage\n")
            .says("`x/finetune`, ")
            .says("`x/td-phase2`");
    }
}

#[test]
fn a_regression_has_a_value() {
    let test = Test::new();
    test.write_model("m", &["score"]);
    let ran = piped(&test, &["m"], "good film\n").succeeds();
    assert_eq!(ran.stdout, "value\n4\n");
    let ran = piped(&test, &["m", "--format", "jsonl"], "good film\n").succeeds();
    assert_eq!(ran.stdout, "{\"value\":4.0}\n");
}

#[test]
fn a_result_reads_tables_as_its_experiment_does() {
    let test = Test::new();
    test.replace("x.toml", "text = \"text\"", "text = \"review\"");
    let table = "review\tlabel\nbad\tneg\ngood film\tpos\n";
    test.write("data/train.tsv", table)
        .write("data/dev.tsv", table);
    test.run(&["x.toml"]).succeeds();
    test.write_model("runs/x/td-phase2/model", &["neg", "pos"]);
    for model in ["x/td-phase2", "runs/x/td-phase2", "runs/x/td-phase2/model"] {
        let ran = test.run(&["predict", model, "data/dev.tsv"]).succeeds();
        assert_eq!(ran.stdout, format!("{HEADER}\n{BAD}\n{GOOD_FILM}\n"));
    }
    // Truncated to the experiment's `max-seq-length`.
    let long = "good ".repeat(50);
    let ran = piped(&test, &["x/td-phase2"], &long).succeeds();
    assert!(ran.stdout.contains("neg,0.99998"), "{}", ran.stdout);
    assert_eq!(test.job("predict")["work"]["predict"]["head"], "plain");
    let ran = test.run(&["predict", "x/eval"]).ends_with(2);
    ran.says("error: the result `x/eval` has no model\n");
}

#[test]
fn models_that_cannot_predict_are_refused() {
    let test = Test::new();
    let ran = test.run(&["predict", "teacher"]).ends_with(2);
    ran.says("error: the model in `teacher` has no classifier\n")
        .says("hint: name a model that was fine-tuned to classify\n");
    let ran = test.run(&["predict", "nowhere"]).ends_with(2);
    ran.says("error: model `nowhere` not found\n")
        .says("hint: name a stage as `EXPERIMENT/STAGE`");
    assert!(test.kernel_starts().is_empty());
}

#[test]
fn wrong_input_is_named_by_line_and_what_was_answered_stays() {
    let test = with_model();
    let answered = format!("{HEADER}\n{BAD}\n");
    test.write("in.tsv", "id\ttext\n1\tbad\n2\n3\tgood\n");
    let ran = test.run(&["predict", "m", "in.tsv"]).ends_with(1);
    assert_eq!(ran.stdout, answered);
    ran.says("error: `in.tsv:3` has 1 column, and the header has 2\n");

    test.write("in.jsonl", "{\"text\": \"bad\"}\n{\"text\": 1\n");
    let ran = test.run(&["predict", "m", "in.jsonl"]).ends_with(1);
    assert_eq!(ran.stdout, answered);
    ran.says("error: `in.jsonl:2` is not JSON");

    std::fs::write(test.path("bytes"), b"bad\nb\xffd\n").expect("written");
    let file = std::fs::File::open(test.path("bytes")).expect("opened");
    let ran = test.run_with(&["predict", "m"], |command| {
        command.stdin(file);
    });
    assert_eq!(ran.stdout, answered);
    ran.ends_with(1).says("error: `stdin:2` is not UTF-8");

    test.write("other.tsv", "id\tsentence\n1\tbad\n");
    let ran = test.run(&["predict", "m", "other.tsv"]).ends_with(1);
    assert_eq!(ran.stdout, "");
    ran.says("error: `other.tsv:1` has no column `text`; its columns are `id`, `sentence`\n")
        .says("hint: name the column with the text with `--text COLUMN`\n");
    let ran = test.run(&["predict", "m", "nowhere.tsv"]).ends_with(2);
    ran.says("error: cannot read `nowhere.tsv`");
    let ran = test
        .run(&["predict", "m", "in.tsv", "-o", "in.tsv"])
        .ends_with(2);
    ran.says("error: `in.tsv` is both input and output\n");
    assert!(test.read("in.tsv").starts_with("id\ttext\n"));
}

#[test]
fn a_kernel_that_fails_or_dies_is_reported() {
    let test = with_model();
    test.kernel("predict", "fails");
    let ran = piped(&test, &["m"], "bad\n").ends_with(1);
    ran.says("error: prediction failed: the logits of `m` are not finite for row 0\n");
    test.kernel("predict", "killed");
    let ran = piped(&test, &["m"], "bad\n").ends_with(1);
    ran.says("error: prediction failed: the training kernel was killed by signal 9 (SIGKILL)\n")
        .says("  | libtorch fell over\n")
        .says("hint: if the machine ran out of memory, set a smaller `--batch-size`\n");
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let test = with_model();
    test.kernel("predict", "holds");
    let mut run = started(&test, &["m"]);
    run.type_in("bad\n");
    assert_eq!(run.next_line(), HEADER);
    test.wait_for("fake/waits");
    run.hang_up();
    test.write("fake/go", "");
    let ran = run.wait().succeeds();
    assert_eq!(ran.stderr, "");
}

#[test]
fn an_interrupt_ends_after_the_rows_in_work() {
    let test = with_model();
    test.kernel("predict", "holds");
    let mut run = started(&test, &["m"]);
    run.type_in("bad\n");
    test.wait_for("fake/waits");
    run.signal(Signal::INT);
    test.write("fake/go", "");
    let ran = run.wait().ends_with(130);
    assert_eq!(ran.stdout, format!("{HEADER}\n{BAD}\n"));
    assert_eq!(ran.stderr, "tinyrun: interrupted\n");
    // While it waits for a line there is nothing to wait for.
    let mut run = started(&test, &["m"]);
    run.type_in("bad\n");
    assert_eq!(
        (run.next_line(), run.next_line()),
        (HEADER.to_owned(), BAD.to_owned())
    );
    run.signal(Signal::INT);
    // `wait` closes stdin, which would end it too.
    let state = format!("/proc/{}/stat", run.pid());
    let has_ended = || std::fs::read_to_string(&state).is_ok_and(|state| state.contains(") Z"));
    test.wait_until("the end of the program", has_ended);
    run.wait().ends_with(130);
}

#[test]
fn bf16_is_computed_where_it_is_asked_for_and_reported() {
    let test = with_model();
    piped(&test, &["m"], "bad\n").succeeds();
    assert_eq!(test.job("predict")["precision"], "fp32");
    let arguments = [
        "m",
        "--precision",
        "bf16",
        "--threads",
        "1",
        "--device",
        "cpu",
    ];
    let ran = piped(&test, &arguments, "bad\n").succeeds();
    ran.says("tinyrun: predicting in bf16 on cpu: faster than fp32");
    let job = test.job("predict");
    assert_eq!(
        (&job["precision"], &job["threads"]),
        (&"bf16".into(), &1.into())
    );
}

#[test]
fn an_old_output_stays_until_there_is_an_answer() {
    let test = with_model();
    test.write("old.csv", "old\n")
        .write("in.csv", "text\ngood film\n");
    let no_kernel = |command: &mut std::process::Command| {
        command.env("TINYRUN_KERNEL", "/nowhere");
    };
    let arguments = ["predict", "m", "in.csv", "-o", "old.csv"];
    test.run_with(&arguments, no_kernel);
    assert_eq!(test.read("old.csv"), "old\n");
    test.run(&arguments).succeeds();
    assert_eq!(test.read("old.csv"), format!("{HEADER}\n{GOOD_FILM}\n"));
    // No rows are no answers, and no old ones either.
    test.write("none", "");
    for (output, expected) in [
        ("old.csv", format!("{HEADER}\n")),
        ("old.jsonl", String::new()),
    ] {
        test.write(output, "old\n");
        let file = std::fs::File::open(test.path("none")).expect("opened");
        let arguments = ["predict", "m", "-o", output];
        let stdin = |command: &mut std::process::Command| {
            command.stdin(file);
        };
        test.run_with(&arguments, stdin).succeeds();
        assert_eq!(test.read(output), expected);
    }
}

#[test]
fn an_output_that_is_stdin_is_refused_and_a_dash_is_stdout() {
    let test = with_model();
    test.write("in.csv", "text\ngood film\n");
    let from = |name: &'static str| {
        let file = std::fs::File::open(test.path(name)).expect("opened");
        move |command: &mut std::process::Command| {
            command.stdin(file);
        }
    };
    let arguments = ["predict", "m", "--text", "text", "-o", "in.csv"];
    test.run_with(&arguments, from("in.csv"))
        .ends_with(2)
        .says("`in.csv` is both input and output");
    assert_eq!(test.read("in.csv"), "text\ngood film\n");
    let arguments = ["predict", "m", "in.csv", "-o", "-"];
    let ran = test.run(&arguments).succeeds();
    assert_eq!(ran.stdout, format!("{HEADER}\n{GOOD_FILM}\n"));
    assert!(!test.exists("-"));
}

#[test]
fn a_key_that_csv_has_no_column_for_ends_the_answers() {
    let test = with_model();
    test.write(
        "in.jsonl",
        "{\"text\": \"good film\"}\n{\"text\": \"bad\", \"more\": 1}\n",
    );
    let arguments = ["predict", "m", "in.jsonl", "--keep-columns", "--format"];
    test.run(&[&arguments[..], &["csv"]].concat())
        .ends_with(1)
        .says("a row has the key `more`")
        .says("use `--format jsonl`");
    test.run(&[&arguments[..], &["jsonl"]].concat()).succeeds();
}
