//! File systems that lack a call, copies in which links became folders, and the umask. A preloaded library lets calls
//! fail as network and removable file systems do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::faults::results;
use crate::harness::{STAGES, Started, Test};

/// The preloaded library, compiled once.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/file_system_lacks.c");
        let library = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("file_system_lacks-{}.so", std::process::id()));
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .output()
            .expect("cc runs");
        assert!(output.status.success(), "{output:?}");
        library
    })
}

pub(crate) fn lacking(command: &mut Command, words: &str) {
    command.env("LD_PRELOAD", library()).env("LACKS", words);
}

#[test]
#[cfg_attr(not(has_cc), ignore = "cc was not found when the tests were built")]
fn a_run_ends_in_the_same_bytes_whatever_the_file_system_lacks() {
    let expected = results(&Test::done().path("runs"));
    let warnings = [
        (
            "sync",
            Some("warning: the file system does not support fsync"),
        ),
        (
            "locks",
            Some("warning: the file system does not support file locks"),
        ),
        (
            "links",
            Some("warning: the file system does not support symbolic links"),
        ),
        ("modes", None),
        ("maps", None),
        ("devices", None),
    ];
    let all = "sync locks links modes maps devices";
    for (words, warning) in warnings.into_iter().chain([(all, None)]) {
        let test = Test::new();
        let run = || test.run_with(&["x.toml"], |command| lacking(command, words));
        let ran = run().succeeds();
        if let Some(warning) = warning {
            assert_eq!(ran.stderr.matches(warning).count(), 1, "{}", ran.stderr);
        }
        let ran = ran.ran(&STAGES);
        assert!(!ran.stderr.contains("os error"), "{}", ran.stderr);
        let found = results(&test.path("runs"));
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            expected.keys().collect::<Vec<_>>(),
            "{words}"
        );
        assert!(found == expected, "{words}");
        run().succeeds().says("nothing to do, 7 stages");
    }
}

#[test]
#[cfg_attr(not(has_cc), ignore = "cc was not found when the tests were built")]
fn without_symbolic_links_every_command_finds_the_results() {
    let test = Test::new();
    let run = |arguments: &[&str]| {
        test.run_with(arguments, |command| lacking(command, "links"))
            .succeeds()
    };
    let student = "runs/store/td-phase2/";
    run(&["x.toml"]).says(&format!("  student  {student}"));
    let link = test.read("runs/x/td-phase2");
    assert!(link.starts_with("../store/td-phase2/"), "{link}");
    let shown = run(&["show", "x/td-phase2"]).stdout;
    assert!(shown.contains("td-phase2"), "{shown}");
    run(&["verify", "x.toml"]);
    assert_eq!(run(&["gc"]).stdout, "nothing to delete\n");
    run(&["rerun", "x/td-phase2"]);
    test.replace("x.toml", "epochs = 3", "epochs = 4");
    let status = run(&["status", "x.toml"]).stdout;
    assert!(status.contains("`epochs` changed: 3 -> 4"), "{status}");
    run(&["clean", "x.toml", "td-phase2"]);
    assert!(!test.exists("runs/x/td-phase2"));
}

#[test]
#[cfg_attr(not(has_cc), ignore = "cc was not found when the tests were built")]
fn without_file_locks_two_runs_on_one_machine_exclude_each_other() {
    let test = Test::new();
    test.kernel("finetune", "holds");
    let start = || -> Started { test.start_with(&["x.toml"], |command| lacking(command, "locks")) };
    let first = start();
    test.wait_for("fake/waits");
    let (second, _) = start().wait_to_say("finetune        waiting for process ");
    test.write("fake/go", "");
    first.wait().succeeds().ran(&STAGES);
    second.wait().succeeds();
    let starts = test.kernel_starts();
    assert_eq!(
        starts.iter().filter(|stage| *stage == "finetune").count(),
        1
    );
}

#[test]
#[cfg_attr(not(has_cc), ignore = "cc was not found when the tests were built")]
fn without_file_locks_a_killed_run_keeps_nobody_out() {
    let test = Test::new();
    test.kernel("finetune", "orphan");
    let first = test.start_with(&["x.toml"], |command| lacking(command, "locks"));
    test.wait_for("fake/waits");
    first.signal(rustix::process::Signal::KILL);
    first.wait();
    test.wait_for("fake/orphan-ended");
    test.kernel("finetune", "");
    test.run_with(&["x.toml"], |command| lacking(command, "locks"))
        .succeeds()
        .ran(&STAGES[2..]);
}

/// Copies a project with its links followed, as `cp -rL` and many file managers do.
fn copy_followed(test: &Test) -> Test {
    let copy = Test::new();
    copy.remove("data").remove("teacher").remove("fake");
    let from = format!("{}/.", test.path("").display());
    let status = Command::new("cp")
        .args(["-rL", &from])
        .arg(copy.path(""))
        .status();
    assert!(status.expect("cp runs").success());
    copy
}

#[test]
fn a_copy_whose_links_became_folders_is_up_to_date_and_gets_its_links_back() {
    let test = copy_followed(&Test::done());
    assert!(!test.path("runs/x/eval").is_symlink());
    assert_eq!(
        test.run(&["gc"]).succeeds().stdout,
        "nothing to delete\n",
        "results of a copy are in use"
    );
    test.run(&["x.toml"]).succeeds().says("nothing to do");
    for stage in STAGES {
        assert!(
            test.path(&format!("runs/x/{stage}")).is_symlink(),
            "{stage}"
        );
    }
    test.run(&["x.toml"]).succeeds().says("nothing to do");
}

#[test]
fn a_copy_without_its_store_loses_no_result() {
    let test = copy_followed(&Test::done());
    test.remove("runs/store");
    test.run(&["x.toml", "--until", "finetune"]).succeeds();
    let stored = fs::read_link(test.path("runs/x/finetune")).expect("a link");
    assert!(test.path("runs/x").join(stored).join("model").is_dir());
}

#[test]
fn a_folder_of_the_user_in_the_place_of_a_link_is_named_and_stays() {
    let test = Test::done();
    for make in [
        |test: &Test| {
            test.remove("runs/x/eval");
            test.write("runs/x/eval/notes.txt", "mine");
        },
        // A result with a file in it that is not tinyrun's.
        |test: &Test| {
            let stored = fs::read_link(test.path("runs/x/eval")).expect("a link");
            let stored = test.path("runs/x").join(stored);
            test.remove("runs/x/eval");
            let status = Command::new("cp")
                .arg("-r")
                .arg(stored)
                .arg(test.path("runs/x/eval"))
                .status();
            assert!(status.expect("cp runs").success());
            test.write("runs/x/eval/notes.txt", "mine");
        },
    ] {
        make(&test);
        test.run(&["x.toml"])
            .ends_with(1)
            .says("error: cannot link a result at `runs/x/eval`: something else is there, and not a result of this stage\n")
            .says("hint: move it to another folder and run the same command again\n");
        assert_eq!(test.read("runs/x/eval/notes.txt"), "mine");
        test.remove("runs/x/eval");
        test.run(&["x.toml"]).succeeds().says("nothing to do");
    }
}

#[test]
fn a_runs_folder_that_is_none_is_named() {
    let test = Test::new();
    std::os::unix::fs::symlink("/no/such/disk/runs", test.path("runs")).expect("linked");
    test.run(&["x.toml"])
        .ends_with(1)
        .says("error: `runs` is a link to `/no/such/disk/runs`, which is not a folder\n")
        .says("hint: mount the disk that it leads to, or remove the link\n");
    test.remove("runs").write("runs", "");
    test.run(&["x.toml"])
        .ends_with(1)
        .says("error: `runs` is a file, not a folder\n");
}

#[test]
fn every_file_obeys_the_umask() {
    for (umask, expected) in [("077", 0o600), ("027", 0o640), ("000", 0o666)] {
        let test = Test::new();
        let script = format!(
            "umask {umask}; exec '{}' x.toml",
            env!("CARGO_BIN_EXE_tinyrun")
        );
        test.start_as(Command::new("sh").args(["-c", &script]))
            .wait()
            .succeeds();
        let mut folders = vec![test.path("runs")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("listed") {
                let path = entry.expect("an entry").path();
                let metadata = fs::symlink_metadata(&path).expect("there");
                if metadata.is_dir() {
                    folders.push(path);
                } else if metadata.is_file() {
                    let mode = metadata.permissions().mode() & 0o777;
                    assert_eq!(mode, expected, "{umask}: {}: {mode:o}", path.display());
                }
            }
        }
    }
}

/// Set in a process that writes one model folder and ends.
const CHILD: &str = "TINYRUN_TEST_WRITES_A_MODEL";

#[test]
#[cfg_attr(not(has_cc), ignore = "cc was not found when the tests were built")]
fn a_model_folder_obeys_the_umask_too_and_needs_no_chmod() {
    if let Some(root) = std::env::var_os(CHILD) {
        // The harness writes the teacher with the function that the kernel uses.
        let test = Test::new();
        let folder = test.path("teacher");
        fs::rename(folder, Path::new(&root).join("model")).expect("moved");
        return;
    }
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = folder.expect("temp folder");
    // In a process of its own: the umask is that of a whole process.
    let name = "file_systems::a_model_folder_obeys_the_umask_too_and_needs_no_chmod";
    let mut command = Command::new("sh");
    command
        .args(["-c", "umask 027; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().expect("known"))
        .args(["--exact", name, "--include-ignored"])
        .env(CHILD, folder.path());
    lacking(&mut command, "sync modes");
    let output = command.output().expect("sh runs");
    assert!(output.status.success(), "{output:?}");
    for name in ["config.json", "model.safetensors"] {
        let metadata = fs::metadata(folder.path().join("model").join(name)).expect("there");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o640, "{name}");
    }
}
