//! The commands around a run: status, show, compare, verify, rerun, gc, clean, init, completions.

use std::fmt::Write as _;
use std::fs;

use crate::harness::{EXPERIMENT, STAGES, Test};

/// Lines as words, without times.
fn first_words(text: &str) -> Vec<String> {
    let words = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().take(2).collect();
        words.join(" ")
    };
    text.lines().map(words).collect()
}

#[test]
fn status_says_where_each_stage_stands_and_waits_for_nobody() {
    let test = Test::new();
    let status = || test.run(&["status", "x.toml"]).succeeds().stdout;
    assert_eq!(
        first_words(&status())[..2],
        ["stale data-prep", "stale corpus-prep"]
    );
    test.kernel("finetune", "paces");
    let run = test.start(&["x.toml"]);
    test.wait_for("fake/waits");
    // The runner tells the lock a moment after it hears the kernel.
    let mut running = status();
    while !running.contains("step 3 of 10") {
        running = status();
    }
    assert!(
        running.contains("running  finetune        step 3 of 10, 107 examples/s, process "),
        "{running}"
    );
    let words = first_words(&running);
    assert_eq!(words[0], "done data-prep");
    assert_eq!(words[6], "waits eval");
    let all = test.run(&["status"]).succeeds().stdout;
    assert!(
        all.starts_with("x  2 of 7 done, finetune running: step 3 of 10"),
        "{all}"
    );
    test.write("fake/go", "");
    run.wait().succeeds();
    let done = status();
    assert!(
        done.lines().all(|line| line.starts_with("done     ")),
        "{done}"
    );
    assert!(test.run(&["status"]).stdout.starts_with("x  7 of 7 done, "));
    test.replace("x.toml", "epochs = 3", "epochs = 4");
    assert!(status().contains("stale    td-phase2       `epochs` changed: 3 -> 4"));
}

#[test]
fn status_of_an_interrupted_stage_is_its_checkpoint() {
    let test = Test::new();
    test.kernel("td-phase1", "fails");
    test.run(&["x.toml"]).ends_with(1);
    let status = test.run(&["status", "x.toml"]).succeeds().stdout;
    let line = "stopped  td-phase1       at step 4 of 10: the next run resumes from there\n";
    assert!(status.contains(line), "{status}");
}

#[test]
fn status_where_nothing_has_run_says_so() {
    let test = Test::new();
    let status = test.run(&["status"]).succeeds().stdout;
    assert_eq!(status, "no experiment has run in `runs`\n");
    assert!(!test.exists("runs"));
}

#[test]
fn show_holds_everything_that_a_result_depends_on() {
    let test = Test::done();
    for name in [
        "x/td-phase1",
        "runs/x/td-phase1",
        "runs/x/td-phase1/record.json",
    ] {
        let shown = test.run(&["show", name]).succeeds().stdout;
        // However wide the columns are.
        let words: Vec<&str> = shown.split_whitespace().collect();
        let words = words.join(" ");
        for part in [
            "kind td-phase1 folder ",
            " learning-rate 0.0001 ",
            " teacher: finetune/model ",
            " model/model.safetensors ",
            "cpu, fp32, 2 threads, libtorch 2.11.0, peak memory 1.5 GB",
        ] {
            assert!(words.contains(part), "`{part}` in {name}:\n{shown}");
        }
    }
    let json = test.run(&["show", "x/eval", "--json"]).succeeds().stdout;
    assert_eq!(json, test.read("runs/x/eval/record.json"));
    test.run(&["show", "x/nothing"])
        .ends_with(2)
        .says("error: result `x/nothing` not found\n");
}

#[test]
fn verify_names_every_file_that_is_not_as_recorded() {
    let test = Test::done();
    let shown = test.run(&["verify"]).succeeds().stdout;
    assert!(
        shown.ends_with("7 results, all match their records\n"),
        "{shown}"
    );
    test.run(&["verify", "x.toml"]).succeeds();
    for result in ["x/td-phase2", "runs/x/td-phase2/record.json"] {
        let shown = test.run(&["verify", result]).succeeds().stdout;
        assert!(
            shown.ends_with("1 result, all match their records\n"),
            "{shown}"
        );
    }
    let both = test.run(&["verify", "x/eval", "x.toml"]).succeeds().stdout;
    assert!(both.contains("\n7 results, "), "{both}");
    // The memo of digests cannot be deceived into believing this.
    let weights = test.path("runs/x/td-phase1/model/model.safetensors");
    let before = fs::metadata(&weights)
        .expect("there")
        .modified()
        .expect("a time");
    let mut bytes = fs::read(&weights).expect("read");
    bytes[0] ^= 1;
    fs::write(&weights, bytes).expect("written");
    let file = fs::File::options()
        .write(true)
        .open(&weights)
        .expect("opened");
    file.set_modified(before).expect("set");
    test.remove("runs/x/td-phase2/last/vocab.txt");
    test.write("runs/x/eval/more.csv", "a\n");
    for arguments in [&["verify"][..], &["verify", "x.toml"]] {
        let shown = test.run(arguments).ends_with(1).stdout;
        for fault in [
            "bad  x/td-phase1\n       `model/model.safetensors` has changed\n",
            "bad  x/td-phase2\n       `last/vocab.txt` is missing\n",
            "bad  x/eval\n       `more.csv` is not in the record\n",
            "7 results, 3 do not match their records: the next run repeats them\n",
        ] {
            assert!(shown.contains(fault), "`{fault}`:\n{shown}");
        }
    }
    test.replace("data/train.tsv", "good film", "fine film");
    let shown = test.run(&["verify", "x.toml"]).ends_with(1).stdout;
    assert!(
        shown.contains(
            "bad  x/data-prep\n       input `train/train.tsv` has changed since the run\n"
        ),
        "{shown}"
    );
}

#[test]
fn gc_lists_what_no_experiment_uses_and_removes_it_when_told() {
    let test = Test::done();
    let nothing = test.run(&["gc"]).succeeds().stdout;
    assert_eq!(nothing, "nothing to delete\n");
    test.replace("x.toml", "epochs = 3", "epochs = 4");
    test.run(&["x.toml"]).succeeds().ran(&["td-phase2", "eval"]);
    let listed = test.run(&["gc"]).succeeds().stdout;
    assert!(
        listed.contains("td-phase2, not used by any experiment"),
        "{listed}"
    );
    assert!(
        listed.ends_with("can be deleted: add `--delete`\n"),
        "{listed}"
    );
    let old = test.run(&["gc", "--older-than", "1h"]).succeeds().stdout;
    assert_eq!(old, "nothing to delete\n");
    let large = test.run(&["gc", "--larger-than", "1GB"]).succeeds().stdout;
    assert_eq!(large, "nothing to delete\n");
    let removed = test.run(&["gc", "--delete"]).succeeds().stdout;
    assert!(removed.ends_with(" deleted\n"), "{removed}");
    test.run(&["x.toml"]).succeeds().ran(&[]);
    assert_eq!(test.run(&["gc"]).stdout, "nothing to delete\n");
    // What was removed is gone: the old setting runs again.
    test.replace("x.toml", "epochs = 4", "epochs = 3");
    test.run(&["x.toml"]).succeeds().ran(&["td-phase2", "eval"]);
}

#[test]
fn gc_lists_a_teacher_cache_once_and_what_is_left_of_another() {
    let test = Test::done();
    let store = "runs/store/teacher-answers";
    let key = "346b9dca1d0e635fc1796380a37b6ee0";
    test.write(&format!("{store}/{key}-bfloat16-cpu-none/states"), "1234")
        .write(&format!("{store}/{key}-float32-cpu-none/states"), "1234")
        .write(&format!("{store}/.gone-1/states"), "12");
    let listed = test.run(&["gc"]).succeeds().stdout;
    assert_eq!(listed.matches("teacher cache, ").count(), 2, "{listed}");
    let left = "leftover of an interrupted move";
    assert_eq!(listed.matches(left).count(), 1, "{listed}");
    assert!(
        listed.ends_with("\n10 B can be deleted: add `--delete`\n"),
        "{listed}"
    );
    test.run(&["gc", "--delete"]).succeeds();
    assert_eq!(test.run(&["gc"]).stdout, "nothing to delete\n");
}

#[test]
fn gc_leaves_interrupted_stages_alone_unless_told() {
    let test = Test::new();
    test.kernel("td-phase1", "fails");
    test.run(&["x.toml"]).ends_with(1);
    assert_eq!(test.run(&["gc", "--delete"]).stdout, "nothing to delete\n");
    let listed = test.run(&["gc", "--interrupted"]).succeeds().stdout;
    assert!(
        listed.contains("td-phase1-") && listed.contains("interrupted"),
        "{listed}"
    );
    test.run(&["gc", "--interrupted", "--delete"]).succeeds();
    let plan = test.plan();
    assert!(!plan.contains("resumable"), "{plan}");
}

#[test]
fn clean_removes_a_result_that_no_other_experiment_uses() {
    let test = Test::done();
    test.write("y.toml", EXPERIMENT);
    test.run(&["y.toml"]).succeeds().ran(&[]);
    let shown = test.run(&["clean", "x.toml", "eval"]).succeeds().stdout;
    assert!(
        shown.contains("link only: the result is used by `y`"),
        "{shown}"
    );
    assert!(!test.path("runs/x/eval").is_symlink());
    test.run(&["x.toml"]).succeeds().ran(&[]);
    test.run(&["clean", "y.toml", "eval"]).succeeds();
    let shown = test.run(&["clean", "x.toml", "eval"]).succeeds().stdout;
    assert!(shown.contains("of `x`"), "{shown}");
    test.run(&["x.toml"]).succeeds().ran(&["eval"]);
}

#[test]
fn clean_removes_an_interrupted_stage_and_prints_its_size() {
    let test = Test::new();
    test.kernel("finetune", "killed");
    test.run(&["x.toml"]).ends_with(1);
    let shown = test.run(&["clean", "x.toml", "finetune"]).succeeds().stdout;
    let line = shown.lines().next().expect("a line").trim_start();
    assert!(line.contains("runs/work/finetune-"), "{shown}");
    assert!(line.contains("interrupted"), "{shown}");
    assert!(!line.starts_with("0 "), "{shown}");
    assert_eq!(test.standing()["finetune"], "never run");
}

#[test]
fn compare_shows_settings_and_results_that_differ() {
    let test = Test::done();
    test.write("y.toml", &EXPERIMENT.replace("epochs = 3", "epochs = 4"));
    test.write("fake/correct", "1");
    test.run(&["y.toml"]).succeeds();
    let shown = test.run(&["compare", "x.toml", "y.toml"]).succeeds().stdout;
    let expected = "                         x         y\n\
                    stages.td-phase2.epochs  3         4\n\
                    \n\
                    student accuracy on dev  0.5000    0.2500\n\
                    student parameters       14350248  14350248\n\
                    teacher accuracy on dev  0.7500    0.7500\n\
                    teacher parameters       22713216  22713216\n";
    assert_eq!(shown, expected);
    test.run(&["compare", "x.toml"])
        .ends_with(2)
        .says("error: `tinyrun compare` needs at least two experiments\n");
}

#[test]
fn rerun_repeats_a_stage_from_its_record_and_says_whether_the_bytes_agree() {
    let test = Test::done();
    // Its file is not needed.
    test.remove("x.toml");
    let ran = test.run(&["rerun", "x/td-phase1"]).succeeds();
    assert!(ran.stdout.starts_with("byte-identical: "), "{}", ran.stdout);
    assert!(!test.exists("runs/work/rerun"));
    test.run(&["rerun", "x/data-prep"]).succeeds();
    let before = test.read("runs/x/td-phase2/record.json");
    test.kernel("td-phase2", "drifts");
    let ran = test.run(&["rerun", "x/td-phase2"]).ends_with(1);
    let expected = "not byte-identical\n  `last/model.safetensors` has different bytes\n  \
                    `model/model.safetensors` has different bytes\n";
    assert_eq!(ran.stdout, expected);
    assert_eq!(test.read("runs/x/td-phase2/record.json"), before);
    test.run(&["verify"]).succeeds();
    test.write("data/corpus/a.txt", "another film\n");
    test.run(&["rerun", "x/corpus-prep"])
        .ends_with(2)
        .says("error: the stage differs from its record: ");
}

#[test]
fn init_converts_the_configurations_of_mindspores_tinybert() {
    let test = Test::new();
    for name in ["gd_config.yaml", "td_config_qnli.yaml", "gd_config.py"] {
        let fixture = format!(
            "{}/fixtures/mindspore-config/{name}",
            env!("CARGO_MANIFEST_DIR")
        );
        test.write(name, &fs::read_to_string(fixture).expect("a fixture"));
    }
    let files = [
        "init",
        "--from-mindspore",
        "gd_config.yaml",
        "td_config_qnli.yaml",
    ];
    let printed = test.run(&files).succeeds().stdout;
    assert!(
        printed.contains("\nrecipe = \"mindspore\"\ndevice = \"auto\"\n"),
        "{printed}"
    );
    test.run(&[&files[..], &["gd_config.py"]].concat())
        .ends_with(2)
        .says("a second configuration of general distillation");
    let more = [
        "--flag",
        "task_name=MNLI",
        "--device-num",
        "2",
        "-o",
        "made.toml",
    ];
    let ran = test.run(&[&files[..], &more].concat()).succeeds();
    assert_eq!(ran.stdout, "wrote made.toml\n");
    let made = fs::read_to_string(test.path("made.toml")).expect("written");
    assert!(
        made.contains("name = \"mnli\" # --flag:1 task_name"),
        "{made}"
    );
    assert!(made.contains("batch-size = 32 # gd_config.yaml:25 batch_size 16 times 2 devices"));

    let python = ["init", "--from-mindspore", "gd_config.py"];
    assert!(
        test.run(&python)
            .succeeds()
            .stdout
            .contains("hidden-size = 324")
    );
    let broken = fs::read_to_string(test.path("gd_config.yaml")).expect("read");
    test.write(
        "gd_config.yaml",
        &broken.replace("batch_size: 16", "batch_size: [16]"),
    );
    let ran = test.run(&files).ends_with(2);
    assert!(
        ran.stderr.contains("`common_cfg.batch_size` is a list"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("gd_config.yaml:25:17"),
        "{}",
        ran.stderr
    );
    test.write("td_config_qnli.yaml", "\u{0}");
    test.run(&files).ends_with(2);
    let both = [
        "init",
        "data/train.tsv",
        "--from-mindspore",
        "gd_config.yaml",
    ];
    test.run(&both).ends_with(2);
}

#[test]
fn init_writes_a_file_that_runs_for_a_users_table() {
    let test = Test::new();
    let mut table = "id,message,team\n".to_owned();
    for row in 0..40 {
        let team = ["sales", "support"][row % 2];
        let _ = writeln!(table, "{row},\"a good film, number {row}\",{team}");
    }
    test.write("data/tickets.csv", &table);
    let printed = test.run(&["init", "data/tickets.csv"]).succeeds().stdout;
    assert!(
        printed.contains("text = \"message\"\nlabel = \"team\"\n"),
        "{printed}"
    );
    let more = [
        "init",
        "data/tickets.csv",
        "-o",
        "t.toml",
        "--teacher",
        "teacher",
    ];
    test.run(&more).succeeds();
    test.run(&more)
        .ends_with(2)
        .says("hint: choose another name, or remove that file\n");
    let small = [
        "num-hidden-layers=2",
        "hidden-size=4",
        "num-attention-heads=2",
    ];
    let mut arguments = vec!["t.toml".to_owned()];
    for set in small {
        arguments.extend(["--set".to_owned(), format!("student.{set}")]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    test.run(&arguments).succeeds();
    test.run(&["init", "data/nothing.csv"])
        .ends_with(2)
        .says("error: cannot read `data/nothing.csv`: ");
}

#[test]
fn completions_and_help_name_every_command() {
    let test = Test::new();
    let help = test.run(&["--help"]).succeeds().stdout;
    for shell in ["bash", "zsh", "fish"] {
        let script = test.run(&["completions", shell]).succeeds().stdout;
        for command in [
            "status", "show", "compare", "verify", "rerun", "gc", "clean", "init",
        ] {
            assert!(script.contains(command), "{command} for {shell}");
            assert!(help.contains(command), "{command}");
        }
        for key in [
            "seed=",
            "task.max-seq-length=",
            "stages.td-phase1.warmup-epochs=",
        ] {
            assert!(script.contains(key), "{key} for {shell}");
            assert!(!help.contains(key), "{key}");
        }
    }
}

#[test]
fn a_record_says_the_commit_of_the_working_folder() {
    let test = Test::new();
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command
            .current_dir(test.path(""))
            .args(["-c", "user.name=a", "-c", "user.email=a@b"]);
        let output = command.args(arguments).output().expect("git");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout)
            .expect("UTF-8")
            .trim()
            .to_owned()
    };
    git(&["init", "-q"]);
    git(&["add", "x.toml"]);
    git(&["commit", "-qm", "one"]);
    let commit = git(&["rev-parse", "HEAD"]);
    test.run(&["x.toml"]).succeeds().ran(&STAGES);
    let shown = test.run(&["show", "x/eval"]).succeeds().stdout;
    let lines: Vec<Vec<&str>> = shown
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert!(lines.contains(&vec!["git", &commit]), "{shown}");
    test.replace("x.toml", "epochs = 3", "epochs = 4");
    test.run(&["x.toml"]).succeeds();
    let shown = test.run(&["show", "x/eval"]).succeeds().stdout;
    assert!(
        shown.contains(&format!("{commit}, with uncommitted changes\n")),
        "{shown}"
    );
}

#[test]
fn man_writes_a_page_for_each_command() {
    let test = Test::new();
    test.run(&["man", "pages"]).succeeds();
    let page = test.read("pages/tinyrun.1");
    assert!(page.contains("\\-\\-dry\\-run"), "{page}");
    for command in [
        "status", "show", "compare", "verify", "rerun", "gc", "clean", "init",
    ] {
        let page = test.read(&format!("pages/tinyrun-{command}.1"));
        assert!(page.contains(".SH OPTIONS"), "{page}");
        let foot = concat!("\"tinyrun ", env!("CARGO_PKG_VERSION"), "\"");
        let title = page.lines().find(|line| line.starts_with(".TH"));
        assert!(title.is_some_and(|title| title.contains(foot)), "{page}");
    }
    assert!(!test.exists("pages/tinyrun-man.1"));
}
