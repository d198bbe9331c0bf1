//! What the world does to a run: full disks, folders that cannot be written, files that change or
//! come from the future, odd paths, kernels that hang.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::harness::{STAGES, Test};

/// A small disk of its own, as `runs/`; unmounted in the end.
struct Disk {
    path: PathBuf,
}

impl Disk {
    fn mount(path: PathBuf, size: &str) -> Self {
        fs::create_dir_all(&path).expect("created");
        let options = format!("size={size},mode=0777");
        let disk = Self { path };
        assert!(
            disk.run(&["-t", "tmpfs", "-o", &options, "tmpfs"]),
            "mounted"
        );
        disk
    }

    fn remount(&self, option: &str) {
        assert!(self.run(&["-o", &format!("remount,{option}")]), "remounted");
    }

    fn run(&self, arguments: &[&str]) -> bool {
        let mut command = Command::new("mount");
        let output = command.args(arguments).arg(&self.path).output();
        output.is_ok_and(|output| output.status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).output();
    }
}

/// Every artifact in the store by its path; what holds times is left out.
pub(crate) fn results(runs: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![runs.join("store")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .expect("UTF-8");
            if path.is_dir() {
                folders.push(path);
            } else if !["record.json", "log.txt", "report.json", "metrics.csv"].contains(&name) {
                let shown = path
                    .strip_prefix(runs)
                    .expect("below")
                    .display()
                    .to_string();
                found.insert(shown, fs::read(&path).expect("read"));
            }
        }
    }
    found
}

/// The same files with the same bytes.
fn assert_same(
    found: &BTreeMap<String, Vec<u8>>,
    expected: &BTreeMap<String, Vec<u8>>,
    what: &str,
) {
    let names = |results: &BTreeMap<String, Vec<u8>>| results.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{what}");
    for (name, bytes) in expected {
        assert!(found[name] == *bytes, "{what}: `{name}` differs");
    }
}

/// Exit code 1 and one clear sentence.
fn assert_a_clear_error(code: Option<i32>, stderr: &str, what: &str) {
    assert_eq!(code, Some(1), "{what}: {stderr}");
    let error = stderr.lines().find(|line| line.starts_with("error: "));
    assert!(error.is_some(), "{what}: {stderr}");
    assert!(!stderr.contains("panicked"), "{what}: {stderr}");
}

#[cfg(feature = "kernel")]
#[test]
#[cfg_attr(
    not(can_mount),
    ignore = "a file system cannot be mounted by this user"
)]
fn a_disk_that_fills_up_at_any_moment_is_an_error_and_the_next_run_ends_in_the_same_bytes() {
    use crate::pipeline::{films, real};
    let file = "films.toml";
    let short = ["finetune", "td-phase1", "td-phase2"];
    let mut arguments = vec![file.to_owned()];
    for stage in short {
        for set in ["epochs=1", "checkpoint-interval=4", "log-interval=1"] {
            arguments.extend(["--set".to_owned(), format!("stages.{stage}.{set}")]);
        }
    }
    // One epoch teaches nothing worth learning.
    for stage in ["td-phase1", "td-phase2"] {
        arguments.extend(["--set".to_owned(), format!("stages.{stage}.gate=off")]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let whole = films();
    whole.run_with(&arguments, real).succeeds();
    let expected = results(&whole.path("runs"));
    // From the first table to the last prediction, which is 1.5 MB or so in all.
    let sizes = ["40k", "120k", "260k", "420k", "600k", "800k"];
    let mut failed = 0;
    for size in sizes {
        let test = films();
        let disk = Disk::mount(test.path("runs"), size);
        let ran = test.run_with(&arguments, real);
        if ran.code != Some(0) {
            assert_a_clear_error(ran.code, &ran.stderr, size);
            let says = ran.stderr.to_lowercase();
            assert!(
                says.contains("no space left") || says.contains("free disk space"),
                "{size}: {}",
                ran.stderr
            );
            failed += 1;
        }
        disk.remount("size=64m");
        test.run_with(&arguments, real).succeeds();
        assert_same(&results(&test.path("runs")), &expected, size);
        test.run_with(&arguments, real).succeeds().ran(&[]);
    }
    assert!(failed >= 4, "the disks were not small: {failed}");
}

#[test]
#[cfg_attr(
    not(can_mount),
    ignore = "a file system cannot be mounted by this user"
)]
fn a_runs_folder_that_cannot_be_written_is_an_error_and_reading_it_still_works() {
    let test = Test::new();
    let disk = Disk::mount(test.path("runs"), "16m");
    disk.remount("ro");
    let ran = test.run(&["x.toml"]);
    assert_a_clear_error(ran.code, &ran.stderr, "read-only");
    assert!(ran.stderr.contains("cannot write `runs/"), "{}", ran.stderr);
    disk.remount("rw");
    test.run(&["x.toml"]).succeeds().ran(&STAGES);
    disk.remount("ro");
    test.run(&["status", "x.toml"]).succeeds();
    test.run(&["verify"]).succeeds();
    test.run(&["x.toml"]).succeeds().says("nothing to do");
}

#[test]
fn an_input_that_is_deleted_or_replaced_while_a_stage_reads_it_leaves_no_result() {
    for mode in ["deletes", "replaces", "edits"] {
        let test = Test::new();
        let file = test.path("teacher/vocab.txt");
        let before = test.read("teacher/vocab.txt");
        test.write("fake/edit", file.to_str().expect("UTF-8"))
            .kernel("finetune", mode);
        let ran = test.run(&["x.toml"]).ends_with(1);
        let words = "error: the result of `finetune` is not stored: `teacher/vocab.txt` changed while it ran\n";
        assert!(ran.stderr.contains(words), "{mode}: {}", ran.stderr);
        assert!(!test.exists("runs/store/finetune"), "{mode}");
        test.write("teacher/vocab.txt", &before)
            .kernel("finetune", "");
        test.run(&["x.toml"]).succeeds();
    }
}

#[test]
fn an_artifact_that_was_cut_short_is_made_again() {
    let test = Test::done();
    let path = test.path("runs/x/td-phase2/model/model.safetensors");
    let expected = fs::read(&path).expect("there");
    fs::write(&path, &expected[..expected.len() / 2]).expect("cut");
    test.run(&["x.toml"]).succeeds().ran(&["td-phase2"]);
    assert_eq!(fs::read(&path).expect("there"), expected);
}

#[test]
fn a_record_of_a_later_tinyrun_is_refused_and_not_run_over() {
    let test = Test::done();
    let record = test.read("runs/x/td-phase1/record.json");
    test.write(
        "runs/x/td-phase1/record.json",
        &record.replace("\"format\": 1,", "\"format\": 2,"),
    );
    for arguments in [
        &["x.toml"][..],
        &["x.toml", "--dry-run"],
        &["status", "x.toml"],
    ] {
        test.run(arguments)
            .ends_with(1)
            .says("/record.json` has record format 2, this version of tinyrun reads formats up to 1\n")
            .says("hint: use the newer tinyrun, or remove `runs/store/td-phase1/");
    }
    test.write("runs/x/td-phase1/record.json", &record);
    test.run(&["x.toml"]).succeeds().ran(&[]);
}

#[test]
fn a_clock_that_goes_backwards_changes_nothing() {
    let test = Test::done();
    // Files from the future, and from before there was time: only their bytes count.
    let moments = [
        SystemTime::now() + Duration::from_hours(20_000),
        SystemTime::UNIX_EPOCH,
        SystemTime::UNIX_EPOCH + Duration::from_secs(1),
    ];
    for moment in moments {
        for name in [
            "data/train.tsv",
            "teacher/model.safetensors",
            "runs/x/finetune/model/config.json",
        ] {
            let file = fs::File::options()
                .write(true)
                .open(test.path(name))
                .expect("opened");
            file.set_modified(moment).expect("set");
        }
        test.run(&["x.toml"]).succeeds().ran(&[]);
    }
    // A result that ended before it began.
    let record = test.read("runs/x/eval/record.json");
    let mut value: serde_json::Value = serde_json::from_str(&record).expect("a record");
    value["finished"] = "1999-01-01T00:00:00Z".into();
    value["seconds"] = (-3.5).into();
    let edited = serde_json::to_string_pretty(&value).expect("text");
    test.write("runs/x/eval/record.json", &edited);
    test.run(&["x.toml"]).succeeds().ran(&[]);
    for arguments in [
        &["status", "x.toml"][..],
        &["show", "x/eval"],
        &["x.toml", "--dry-run"],
    ] {
        test.run(arguments).succeeds();
    }
    test.run(&["x.toml", "--force", "eval"])
        .succeeds()
        .ran(&["eval"]);
}

#[test]
fn spaces_other_scripts_links_and_long_paths_are_paths_like_any_other() {
    let test = Test::new();
    let long = "a-very-long-name-".repeat(12);
    let deep = format!("some folder/Ärger und 数据/{long}/{long}/{long}");
    fs::create_dir_all(test.path(&deep)).expect("created");
    let root = test.path(&deep);
    for name in ["data", "teacher"] {
        fs::rename(test.path(name), root.join(name)).expect("moved");
    }
    fs::write(test.path("Ünï çode.toml"), test.read("x.toml")).expect("written");
    let link = test.path("a link");
    std::os::unix::fs::symlink(&root, &link).expect("linked");
    let name = ["--set", "name=\"daten_数据\""];
    let first = ["Ünï çode.toml", "--root", &deep, name[0], name[1]];
    test.run(&first).succeeds().ran(&STAGES);
    // By another way to the same place.
    let second = ["Ünï çode.toml", "--root", "a link", name[0], name[1]];
    test.run(&second).succeeds().ran(&[]);
    assert!(root.join("runs/daten_数据/results.csv").is_file());
    test.run(&["verify", "--root", "a link"]).succeeds();
    test.run(&["show", "daten_数据/eval", "--root", "a link"])
        .succeeds();
}

#[test]
fn a_kernel_that_says_nothing_for_too_long_is_ended_where_that_is_wanted() {
    let test = Test::new();
    test.kernel("td-phase1", "deaf");
    test.run(&["x.toml", "--set", "watchdog-seconds=1"])
        .ends_with(1)
        .says("error: `td-phase1` failed: the training kernel sent no progress for 1 s and was stopped\n")
        .says("hint: loading a model and scoring dev count too: set a larger `watchdog-seconds`, or run ");
    test.kernel("td-phase1", "");
    // It is no part of what a result depends on.
    test.run(&["x.toml"]).succeeds().ran(&STAGES[4..]);
}

/// Counts of a system call that a run makes, by strace.
fn calls(test: &Test, call: &str) -> usize {
    let trace = test.path("trace");
    let traced = traced(test, &["-e", &format!("trace={call}")]);
    assert!(traced.status.success(), "{traced:?}");
    let lines = fs::read_to_string(trace).expect("a trace");
    let made = lines.lines().filter(|line| line.starts_with(call));
    made.count()
}

/// The runner under strace, alone and not its kernels.
fn traced(test: &Test, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new("strace");
    command
        .args(arguments)
        .arg("-o")
        .arg(test.path("trace"))
        .args([env!("CARGO_BIN_EXE_tinyrun"), "x.toml"])
        .current_dir(test.path(""))
        .env("TINYRUN_KERNEL", Test::fake_kernel())
        .env("FAKE", test.path("fake"))
        .stdin(std::process::Stdio::null());
    command.output().expect("strace runs")
}

#[test]
#[cfg_attr(
    not(has_strace),
    ignore = "strace was not found when the tests were built"
)]
fn every_call_to_the_system_that_fails_is_an_error_or_none_and_never_half_a_result() {
    let undisturbed = Test::done();
    let expected = results(&undisturbed.path("runs"));
    // All of them in the long run, a spread of them in the short one.
    let all = std::env::var("TINYRUN_CHAOS_KILLS").is_ok();
    let kinds = [
        ("write", "ENOSPC"),
        ("write", "EIO"),
        ("fsync", "EIO"),
        ("rename", "EIO"),
        // How `tempfile` puts a file in place.
        ("renameat", "EIO"),
        ("openat", "EIO"),
        ("mkdir", "ENOSPC"),
        ("symlink", "EIO"),
        ("unlink", "EIO"),
    ];
    for (call, error) in kinds {
        let count = calls(&Test::new(), call);
        assert!(count > 0 || call == "symlink", "{call} is never made");
        let stride = if all { 1 } else { (count / 5).max(1) };
        for nth in (1..=count).step_by(stride) {
            let what = format!("{call} number {nth} of {count} fails with {error}");
            let test = Test::new();
            let inject = format!("inject={call}:error={error}:when={nth}");
            let ran = traced(&test, &["-e", &format!("trace={call}"), "-e", &inject]);
            let stderr = String::from_utf8_lossy(&ran.stderr);
            assert!(!stderr.contains("panicked"), "{what}: {stderr}");
            match ran.status.code() {
                Some(0) => {}
                // The loader itself could not open what it needs.
                Some(127) if call == "openat" => {}
                Some(1 | 2) => assert!(
                    // What is written to stderr itself may be what fails.
                    stderr.contains("error: ") || call == "write",
                    "{what}: {stderr}"
                ),
                other => panic!("{what}: exit code {other:?}\n{stderr}"),
            }
            test.run(&["x.toml"]).succeeds();
            assert_same(&results(&test.path("runs")), &expected, &what);
            test.run(&["verify"]).succeeds();
        }
    }
}
