//! Calls of the real kernel to the system that fail, one at a time, by `strace`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::chaos::{results, root};
use crate::harness::Test;
use crate::pipeline::real;

/// Two epochs of which the first asks the teacher; a checkpoint in the middle, one at the end.
const FEW: [&str; 4] = [
    "stages.finetune.train-limit=16",
    "stages.general-distill.train-limit=16",
    "stages.td-phase1.train-limit=32",
    "stages.td-phase1.checkpoint-interval=2",
];

#[expect(clippy::print_stderr, reason = "a test reports how much it did")]
fn say(what: &str) {
    eprintln!("{what}");
}

/// The pipeline to the end of phase 1, its kernel under `strace` with these arguments.
fn run(test: &Test, arguments: &str) -> Output {
    let wrapper = test.path("kernel-under-strace");
    let strace = if arguments.is_empty() {
        String::new()
    } else {
        format!(
            "strace -f -y -o '{}' {arguments}",
            test.path("trace").display()
        )
    };
    let script = format!(
        "#!/bin/sh\nexec {strace} '{}'\n",
        env!("CARGO_BIN_EXE_tinyrun-kernel")
    );
    fs::write(&wrapper, script).expect("written");
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("set");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tinyrun"));
    command.args(["chaos.toml", "--until", "td-phase1"]);
    for setting in FEW {
        command.args(["--set", setting]);
    }
    real(&mut command);
    command
        .current_dir(test.path(""))
        .env("TINYRUN_KERNEL", &wrapper)
        .stdin(Stdio::null());
    command.output().expect("it starts")
}

/// A root with everything before phase 1 done, copied from `template`.
fn copy(template: &Test) -> Test {
    let test = root();
    let from = format!("{}/.", template.path("").display());
    let copied = Command::new("cp")
        .args(["-a", &from])
        .arg(test.path(""))
        .status();
    assert!(copied.expect("cp runs").success());
    test
}

/// Numbers of the calls of each kind that concern the stage's folder or its teacher's answers, counted as `strace` counts.
fn calls_on_the_folder(trace: &Path, kinds: &[&str]) -> BTreeMap<String, Vec<usize>> {
    let text = fs::read(trace).expect("a trace");
    let text = String::from_utf8_lossy(&text);
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for line in text.lines() {
        let Some((thread, call)) = line.split_once(char::is_whitespace) else {
            continue;
        };
        let call = call.trim_start();
        let Some(kind) = kinds.iter().find(|kind| {
            call.strip_prefix(**kind)
                .is_some_and(|rest| rest.starts_with('('))
        }) else {
            continue;
        };
        let count = counts.entry((thread, *kind)).or_default();
        *count += 1;
        if call.contains("runs/work/") || call.contains("runs/store/teacher-answers/") {
            found.entry((*kind).to_owned()).or_default().push(*count);
        }
    }
    found
}

#[test]
#[cfg_attr(
    not(has_strace),
    ignore = "strace was not found when the tests were built"
)]
fn every_call_of_the_kernel_that_fails_is_an_error_or_none_and_the_next_run_ends_in_the_same_bytes()
{
    let template = root();
    let mut before = Command::new(env!("CARGO_BIN_EXE_tinyrun"));
    before.args(["chaos.toml", "--until", "general-distill"]);
    for setting in FEW {
        before.args(["--set", setting]);
    }
    real(&mut before);
    before.current_dir(template.path(""));
    assert!(before.output().expect("it starts").status.success());

    let kinds = [
        ("write", "ENOSPC"),
        ("pwrite64", "ENOSPC"),
        ("fsync", "EIO"),
        ("fdatasync", "EIO"),
        ("rename", "EIO"),
        // How `tempfile` puts a file in place.
        ("renameat", "EIO"),
        ("openat", "EIO"),
        ("mkdir", "ENOSPC"),
        ("unlink", "EIO"),
        ("ftruncate", "EIO"),
        ("pread64", "EIO"),
    ];
    let names = kinds.map(|(call, _)| call);
    let undisturbed = copy(&template);
    let trace = format!("-e trace={}", names.join(","));
    let ran = run(&undisturbed, &trace);
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let expected = results(&undisturbed);
    let places = calls_on_the_folder(&undisturbed.path("trace"), &names);
    for needed in [
        "write",
        "pwrite64",
        "fdatasync",
        "renameat",
        "openat",
        "pread64",
    ] {
        assert!(places.contains_key(needed), "{needed} is never made");
    }

    // All of them in the long run, the first and one more of each kind in the short one.
    let all = std::env::var("TINYRUN_CHAOS_KILLS").is_ok();
    let mut tried = 0;
    for (call, error) in kinds {
        let numbers = places.get(call).map_or(&[][..], Vec::as_slice);
        let stride = if all { 1 } else { (numbers.len() / 2).max(1) };
        for nth in numbers.iter().step_by(stride) {
            let what = format!("{call} number {nth} of the kernel fails with {error}");
            let test = copy(&template);
            let ran = run(
                &test,
                &format!("-e trace={call} -e inject={call}:error={error}:when={nth}"),
            );
            let stderr = String::from_utf8_lossy(&ran.stderr);
            match ran.status.code() {
                Some(0) => {}
                Some(1) => assert!(
                    stderr.contains("error: `td-phase1` failed: "),
                    "{what}: {stderr}"
                ),
                other => panic!("{what}: exit code {other:?}\n{stderr}"),
            }
            assert!(!stderr.contains("panicked"), "{what}: {stderr}");
            let again = run(&test, "");
            let stderr = String::from_utf8_lossy(&again.stderr);
            assert!(again.status.success(), "{what}, and then: {stderr}");
            let found = results(&test);
            assert_eq!(
                found.keys().collect::<Vec<_>>(),
                expected.keys().collect::<Vec<_>>(),
                "{what}"
            );
            for (name, bytes) in &expected {
                assert!(found[name] == *bytes, "{what}: `{name}` differs");
            }
            for entry in fs::read_dir(test.path("runs/work")).expect("a folder") {
                let path = entry.expect("an entry").path();
                let is_lock = path.extension().is_some_and(|ending| ending == "lock");
                assert!(is_lock, "{what}: {} was left", path.display());
            }
            tried += 1;
        }
    }
    say(&format!(
        "{tried} calls failed, each was told or did no harm"
    ));
}
