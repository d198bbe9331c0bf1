//! Ranks of one training that die, or are not there.

use std::fs;
use std::process::Command;

use rustix::process::{Signal, kill_process};

use crate::chaos::{kernels, root};
use crate::file_systems::lacking;
use crate::harness::Test;
use crate::pipeline::real;

fn run(test: &Test, arguments: &[&str]) {
    let arguments = [&["chaos.toml"], arguments].concat();
    test.run_with(&arguments, real).succeeds();
}

#[test]
fn a_rank_that_is_killed_is_named_and_the_run_goes_on_with_another_number() {
    let test = root();
    run(&test, &["--until", "data-prep"]);
    let long = [
        "--single-stage",
        "finetune",
        "--set",
        "stages.finetune.epochs=8",
    ];
    let three = [
        &["chaos.toml", "--ranks", "3", "--set", "threads=1"],
        &long[..],
    ]
    .concat();
    let started = test.start_with(&three, real);
    test.wait_for_checkpoint(1);
    // The youngest process is the last rank.
    let all = kernels(&test);
    assert_eq!(all.len(), 3);
    let last = all
        .iter()
        .max_by_key(|pid| pid.as_raw_nonzero())
        .expect("three");
    kill_process(*last, Signal::KILL).expect("sent");
    started
        .wait()
        .ends_with(1)
        .says("`finetune` failed: rank 2 was ended by signal 9")
        .says("it resumes from the last checkpoint, with any number of ranks");
    test.wait_until("the end of every rank", || kernels(&test).is_empty());

    run(&test, &[&["--ranks", "2"], &long[..]].concat());
    let shown = test.run(&["show", "chaos/finetune"]).succeeds().stdout;
    assert!(shown.contains("3, then 2 ranks of 1 thread"), "{shown}");
    test.run(&["rerun", "chaos/finetune"])
        .ends_with(2)
        .says("its training was resumed with another number of ranks");
}

/// Rank 0 hears of it from Gloo when it speaks with the others, and from the watch where it does not: its disk is as slow
/// here as a link that hangs.
#[test]
#[cfg_attr(not(has_cc), ignore = "cc was not found when the tests were built")]
fn a_rank_that_dies_while_the_first_one_waits_for_its_disk_ends_the_run() {
    let test = root();
    run(&test, &["--until", "data-prep"]);
    let arguments = [
        "chaos.toml",
        "--single-stage",
        "finetune",
        "--ranks",
        "2",
        "--set",
        "threads=1",
    ];
    let started = test.start_with(&arguments, |command| {
        real(command);
        lacking(command, "end");
    });
    let partial = || {
        let folders = fs::read_dir(test.path("runs/work")).into_iter().flatten();
        let files = folders
            .flatten()
            .filter_map(|it| fs::read_dir(it.path()).ok());
        let mut files = files.flatten().flatten();
        files.any(|file| file.file_name().to_string_lossy().starts_with(".tmp-"))
    };
    test.wait_until("a file that is written", partial);
    let last = kernels(&test);
    let last = last.iter().max_by_key(|pid| pid.as_raw_nonzero());
    kill_process(*last.expect("two"), Signal::KILL).expect("sent");
    test.wait_until("the end of every rank", || kernels(&test).is_empty());
    started
        .wait()
        .ends_with(1)
        .says("`finetune` failed: rank 1 was ended by signal 9");
    run(&test, &["--until", "finetune"]);
}

/// A rank that cannot connect to rank 0 exits with an error.
#[test]
fn a_kernel_that_finds_no_first_rank_ends() {
    let ended = Command::new(env!("CARGO_BIN_EXE_tinyrun-kernel"))
        .args(["--join", "1", "1", "2", "nobody"])
        .stdin(std::process::Stdio::null())
        .output()
        .expect("started");
    assert!(!ended.status.success());
}
