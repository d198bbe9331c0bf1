//! Interrupted, killed, failed and waiting runs.

use rustix::process::Signal;

use crate::harness::{EXPERIMENT, STAGES, Test};

#[test]
fn a_killed_kernel_is_a_failed_stage_with_its_last_words_and_how_to_go_on() {
    let test = Test::new();
    test.kernel("td-phase1", "killed");
    let ran = test.run(&["x.toml"]).ends_with(1).ran(&STAGES[..4]);
    let (_, told) = ran.stderr.split_once("error: ").expect("an error");
    let mut lines: Vec<&str> = told.lines().collect();
    // Stdout and stderr meet in the log in any order.
    lines[1..4].sort_unstable();
    assert_eq!(
        lines[..4],
        [
            "`td-phase1` failed: the training kernel was killed by signal 9 (SIGKILL)",
            "  | a library says hello",
            "  | libtorch fell over",
            "  | the kernel of td-phase1 begins",
        ]
    );
    assert!(
        lines[4].starts_with("note: the log is `runs/work/td-phase1-"),
        "{told}"
    );
    assert_eq!(
        lines[5],
        "hint: if the machine ran out of memory, set a smaller `batch-size` or a larger \
         `gradient-accumulation-steps`; otherwise run the same command again: it resumes from step 4"
    );

    let standing = test.standing();
    assert_eq!(standing["td-phase1"], "resumable at step 4 of 10");
    assert_eq!(standing["td-phase2"], "never run; waits for `td-phase1`");
    test.kernel("td-phase1", "");
    test.run(&["x.toml"])
        .succeeds()
        .says("td-phase1       resuming from step 4 of 10\n")
        .ran(&STAGES[4..]);
    let record = test.read("runs/x/td-phase1/record.json");
    assert!(record.contains("\"resumed_from\": 4"), "{record}");
}

#[test]
fn a_checkpoint_of_other_settings_is_left_alone() {
    let test = Test::new();
    test.kernel("finetune", "killed");
    test.run(&["x.toml"]).ends_with(1);
    test.replace("x.toml", "epochs = 1", "epochs = 2");
    assert_eq!(test.standing()["finetune"], "never run");
    test.replace("x.toml", "epochs = 2", "epochs = 1");
    assert_eq!(test.standing()["finetune"], "resumable at step 4 of 10");
}

#[test]
fn other_ends_of_a_kernel_are_told_apart() {
    let test = Test::new();
    let ends = [
        (
            "aborted",
            "the training kernel was killed by signal 6 (SIGABRT)",
        ),
        ("exits", "the training kernel exited with code 3"),
        (
            "silent",
            "the training kernel exited before the stage was finished",
        ),
    ];
    for (mode, told) in ends {
        test.kernel("finetune", mode);
        test.run(&["x.toml"])
            .ends_with(1)
            .says(&format!("error: `finetune` failed: {told}\n"))
            .says("hint: run the same command again: this stage starts from the beginning\n");
    }
}

#[test]
fn a_failure_is_told_in_the_kernels_words() {
    let test = Test::new();
    test.kernel("finetune", "fails");
    test.run(&["x.toml"])
        .ends_with(1)
        .says("error: `finetune` failed: the loss is not a number at step 5\n")
        .says("hint: set a smaller `learning-rate`\n");
}

#[test]
fn a_kernel_that_owes_an_artifact_is_not_recorded() {
    let test = Test::new();
    test.kernel("finetune", "owes");
    test.run(&["x.toml"])
        .ends_with(1)
        .says("error: `finetune` finished without writing `metrics.csv`\n");
    assert!(!test.exists("runs/x/finetune"));
}

#[test]
fn a_missing_kernel_is_one_clear_sentence() {
    let test = Test::new();
    test.run_with(&["x.toml"], |command| {
        command.env("TINYRUN_KERNEL", "nowhere/tinyrun-kernel");
    })
    .ends_with(1)
    .says("error: `finetune` failed: the training kernel `nowhere/tinyrun-kernel` does not exist\n")
    .says("hint: build it with ");
}

#[test]
fn what_needs_no_kernel_runs_without_one() {
    let test = Test::new();
    test.run_with(&["x.toml", "--until", "corpus-prep"], |command| {
        command.env("TINYRUN_KERNEL", "nowhere/tinyrun-kernel");
    })
    .succeeds()
    .ran(&["data-prep", "corpus-prep"]);
}

#[test]
fn an_interrupt_stops_at_a_checkpoint_and_the_next_run_goes_on() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let test = Test::new();
        test.kernel("finetune", "waits");
        let run = test.start(&["x.toml"]);
        test.wait_for("fake/waits");
        run.signal(signal);
        run.wait()
            .ends_with(130)
            .says("finetune        stopping after this step and writing a checkpoint")
            .says("tinyrun: interrupted in `finetune` at step 4\n")
            .says("hint: run the same command again: it resumes from step 4\n");
        assert_eq!(test.standing()["finetune"], "resumable at step 4 of 10");
        test.kernel("finetune", "");
        test.run(&["x.toml"]).succeeds().ran(&STAGES[2..]);
    }
}

#[test]
fn a_second_interrupt_quits_at_once() {
    let test = Test::new();
    test.kernel("finetune", "deaf");
    let run = test.start(&["x.toml"]);
    test.wait_for("fake/waits");
    run.signal(Signal::INT);
    // The first one was passed on: the second is no part of it.
    let (run, _) = run.wait_to_say("stopping after this step");
    run.signal(Signal::INT);
    run.wait()
        .ends_with(130)
        .says("tinyrun: interrupted in `finetune`\n");
}

#[test]
fn a_kernel_whose_runner_is_killed_learns_it_and_the_next_run_takes_over() {
    let test = Test::new();
    test.kernel("finetune", "orphan");
    let run = test.start(&["x.toml"]);
    test.wait_for("fake/waits");
    run.signal(Signal::KILL);
    assert_eq!(run.wait().code, None);
    test.wait_for("fake/orphan-ended");
    test.kernel("finetune", "");
    test.run(&["x.toml"]).succeeds().ran(&STAGES[2..]);
}

#[test]
fn the_second_of_two_runs_waits_and_says_for_whom() {
    let test = Test::new();
    test.kernel("finetune", "holds");
    let first = test.start(&["x.toml"]);
    test.wait_for("fake/waits");
    let second = test.start(&["x.toml", "--until", "finetune"]);
    let (second, said) = second.wait_to_say("finetune        waiting for process ");
    assert!(
        said.contains("x.toml`), running this stage since "),
        "{said}"
    );
    test.write("fake/go", "");
    second.wait().succeeds().ran(&[]);
    first.wait().succeeds().ran(&STAGES);
    let starts = test.kernel_starts();
    assert_eq!(
        starts.iter().filter(|stage| *stage == "finetune").count(),
        1
    );
}

#[test]
fn a_result_whose_inputs_changed_meanwhile_is_not_recorded() {
    let test = Test::new();
    let file = test.path("teacher/vocab.txt");
    test.write("fake/edit", file.to_str().expect("UTF-8"))
        .kernel("finetune", "edits");
    test.run(&["x.toml"])
        .ends_with(1)
        .says("error: the result of `finetune` is not stored: `teacher/vocab.txt` changed while it ran\n")
        .says("hint: run the same command again when these files no longer change\n");
    assert!(!test.exists("runs/x/finetune"));
    assert!(!test.exists("runs/store/finetune"));
}

#[test]
fn a_result_that_was_recorded_but_not_moved_is_taken_as_it_is() {
    let test = Test::done();
    let stored = std::fs::read_link(test.path("runs/x/eval")).expect("a link");
    let fingerprint = stored
        .file_name()
        .expect("has one")
        .to_str()
        .expect("UTF-8");
    std::fs::rename(
        test.path(&format!("runs/store/eval/{fingerprint}")),
        test.path(&format!("runs/work/eval-{fingerprint}")),
    )
    .expect("renamed");
    let starts = test.kernel_starts();
    test.run(&["x.toml"])
        .succeeds()
        .says("nothing to do, 7 stages");
    assert_eq!(test.kernel_starts(), starts);
}

#[test]
fn rows_that_are_wrong_are_named_and_lose_nothing() {
    let test = Test::done();
    test.write("data/train.tsv", "text\tlabel\ngood film\tpos\nbad film\n");
    test.run(&["x.toml"])
        .ends_with(1)
        .says("error: `data-prep` failed: ")
        .says("data/train.tsv:3");
    test.write(
        "data/train.tsv",
        "text\tlabel\ngood film\tpos\nbad film\tneg\n",
    );
    test.run(&["x.toml"]).succeeds().ran(&[]);
}

#[test]
fn keep_going_does_what_does_not_wait_for_what_failed() {
    let test = Test::new();
    test.kernel("finetune", "fails");
    let arguments = ["x.toml", "--keep-going"];
    test.run(&arguments)
        .ends_with(1)
        .ran(&["data-prep", "corpus-prep", "general-distill"])
        .says("error: `finetune` failed: the loss is not a number at step 5")
        .says("error: 1 stage failed, 3 more not run because they depend on a failed stage");
    test.remove("fake/finetune");
    test.run(&arguments)
        .succeeds()
        .ran(&["finetune", "td-phase1", "td-phase2", "eval"]);
}

#[test]
fn keep_going_goes_on_to_the_next_experiment() {
    let test = Test::new();
    test.write(
        "y.toml",
        &EXPERIMENT.replace("[stages.finetune]\nepochs = 1\n", "[stages.finetune]\n"),
    );
    test.kernel("td-phase2", "fails");
    test.run(&["x.toml", "y.toml", "-k"])
        .ends_with(1)
        .says("error: 2 stages failed, 2 more not run because they depend on a failed stage");
}
