//! The scripts that make and check an archive of a release.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::make::{ROOT, command, folder, found, stderr, write_program};

/// `scripts/format_cpp --check` in a copy of it, on a machine with these tools and maybe a `clang-format`.
fn format_check(clang_format: Option<&str>) -> (Option<i32>, String) {
    let root = folder();
    let (scripts, sources, tools) = (
        root.path().join("scripts"),
        root.path().join("src/kernel"),
        root.path().join("tools"),
    );
    for folder in [&scripts, &sources, &tools] {
        fs::create_dir_all(folder).expect("created");
    }
    fs::write(sources.join("a.cpp"), "int  a;\n").expect("written");
    let script = Path::new(ROOT).join("scripts/format_cpp");
    fs::copy(script, scripts.join("format_cpp")).expect("copied");
    for tool in ["sh", "dirname", "find", "sort", "xargs"] {
        let path = found(tool).unwrap_or_else(|| panic!("no `{tool}`"));
        std::os::unix::fs::symlink(path, tools.join(tool)).expect("a link");
    }
    if let Some(program) = clang_format {
        write_program(&tools.join("clang-format"), program);
    }
    let output = command("sh", root.path())
        .args(["scripts/format_cpp", "--check"])
        .env("PATH", &tools)
        .output()
        .expect("sh runs");
    (output.status.code(), stderr(&output))
}

#[test]
fn formatting_of_cpp_is_reported_as_skipped_without_clang_format() {
    let (code, said) = format_check(None);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("skipped: "), "{said}");
}

#[test]
fn formatting_of_cpp_fails_where_clang_format_objects() {
    let (code, said) = format_check(Some("echo \"$@\" >&2; exit 1"));
    assert_eq!(code, Some(1));
    assert!(
        said.contains("--dry-run --Werror") && said.contains("src/kernel/a.cpp"),
        "{said}"
    );
    assert_eq!(format_check(Some("exit 0")).0, Some(0));
}

/// A build whose runner only states its version, beside a PyTorch that `torch` is the source of.
struct Machine(TempDir);

impl Machine {
    fn new(torch: &str) -> Self {
        let root = folder();
        for folder in ["build/bin", "python/torch"] {
            fs::create_dir_all(root.path().join(folder)).expect("created");
        }
        write_program(&root.path().join("build/bin/tinyrun"), "echo tinyrun 0.1.0");
        fs::write(root.path().join("python/torch/__init__.py"), torch).expect("written");
        Self(root)
    }

    /// Exit code, and what `gpu_check` printed of all kinds.
    fn check(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = command("python3", self.0.path())
            .arg(Path::new(ROOT).join("scripts/gpu_check"))
            .args(arguments)
            .env("PYTHONPATH", self.0.path().join("python"))
            .output()
            .expect("python3 runs");
        let printed = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            stderr(&output)
        );
        assert!(!printed.contains("Traceback"), "{printed}");
        (output.status.code(), printed)
    }

    fn report(&self) -> String {
        fs::read_to_string(self.0.path().join("gpu-check.txt")).expect("a report")
    }
}

/// A PyTorch of a version, built for a CUDA or none, that sees no card.
fn torch(version: &str, cuda: &str) -> String {
    format!(
        "class version:\n  cuda = {cuda}\n\
         class cuda:\n  is_available = staticmethod(lambda: False)\n\
         class backends:\n  class cudnn:\n    version = staticmethod(lambda: None)\n\
         __version__ = '{version}'\n"
    )
}

#[test]
#[cfg_attr(
    not(has_python),
    ignore = "python3 was not found when the tests were built"
)]
fn gpu_check_refuses_wrong_arguments() {
    let machine = Machine::new(&torch("2.11.0", "None"));
    for (arguments, expected) in [
        (&["python"][..], "holds no `bin/tinyrun`"),
        (
            &["build", "--only", "parity,speed"],
            "there is no check `speed`",
        ),
        (
            &["build", "--output", "nowhere/report.txt"],
            "`nowhere` is not a folder",
        ),
    ] {
        let (code, printed) = machine.check(arguments);
        assert_eq!(code, Some(2), "{printed}");
        assert!(printed.contains(expected), "{printed}");
    }
}

#[test]
#[cfg_attr(
    not(has_python),
    ignore = "python3 was not found when the tests were built"
)]
fn gpu_check_without_pytorch_is_one_sentence_and_a_hint() {
    let machine = Machine::new("raise ImportError(\"No module named 'torch'\")\n");
    let (code, printed) = machine.check(&["build"]);
    assert_eq!(code, Some(2), "{printed}");
    assert!(
        printed.contains("cannot import torch: No module named 'torch'\nhint: "),
        "{printed}"
    );
}

#[test]
#[cfg_attr(
    not(has_python),
    ignore = "python3 was not found when the tests were built"
)]
fn gpu_check_stops_where_the_machine_cannot_run_the_checks() {
    for (torch, device, failed, hint) in [
        (
            torch("2.10.0", "None"),
            "cpu",
            "FAIL  PyTorch is version 2.11: 2.10.0",
            "hint: `pip install torch==2.11.0`",
        ),
        (
            torch("2.11.0+cpu", "None"),
            "cuda",
            "FAIL  PyTorch sees a CUDA device",
            "hint: this PyTorch is built for the CPU",
        ),
        (
            torch("2.11.0", "'13.0'"),
            "cuda",
            "FAIL  PyTorch sees a CUDA device",
            "hint: `nvidia-smi` must list the card",
        ),
    ] {
        let machine = Machine::new(&torch);
        let (code, printed) = machine.check(&["build", "--device", device]);
        assert_eq!(code, Some(1), "{printed}");
        let report = machine.report();
        assert!(report.contains(failed) && report.contains(hint), "{report}");
        let last = report.lines().last().unwrap_or_default();
        assert!(
            last.ends_with("; not run: parity, resume, ranks, demo, bench"),
            "{report}"
        );
    }
}

#[test]
#[cfg_attr(
    not(has_python),
    ignore = "python3 was not found when the tests were built"
)]
fn gpu_check_reports_a_runner_that_does_not_start() {
    let machine = Machine::new(&torch("2.11.0", "None"));
    let program = machine.0.path().join("build/bin/tinyrun");
    write_program(&program, "echo 'GLIBC_2.39 not found'; exit 1");
    let (code, printed) = machine.check(&["build", "--device", "cpu"]);
    assert_eq!(code, Some(1), "{printed}");
    let expected = "FAIL  the runner starts: exit code 1\n    GLIBC_2.39 not found\n";
    assert!(machine.report().contains(expected), "{printed}");
}

#[test]
fn the_files_that_make_dist_packs_exist() {
    let script = fs::read_to_string(Path::new(ROOT).join("scripts/dist")).expect("read");
    let list = script.split("FILES = (").nth(1).expect("a list");
    let list = list.split(')').next().expect("a list");
    let names: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        assert!(Path::new(ROOT).join(name).is_file(), "`{name}`");
    }
}

/// A target that is a file and nothing else is never built.
#[test]
fn every_fuzz_target_is_declared_and_run() {
    let read = |name: &str| fs::read_to_string(Path::new(ROOT).join(name)).expect("read");
    let manifest: toml::Table = read("fuzz/Cargo.toml").parse().expect("TOML");
    let declared = manifest["bin"].as_array().expect("an array of tables");
    let declared = declared
        .iter()
        .map(|bin| bin["name"].as_str().expect("text"));
    let script = read("scripts/fuzz");
    let run = script.split("|| set -- ").nth(1).expect("a list");
    let run = run.lines().next().unwrap_or_default().split(' ');
    let files = fs::read_dir(Path::new(ROOT).join("fuzz/fuzz_targets")).expect("listed");
    let files = files.map(|file| file.expect("listed").path());
    let files: BTreeSet<String> = files
        .map(|file| {
            file.file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    assert_eq!(declared.map(str::to_owned).collect::<BTreeSet<_>>(), files);
    assert_eq!(run.map(str::to_owned).collect::<BTreeSet<_>>(), files);
    for name in files {
        let corpus = format!("fuzz/corpus/{name}");
        assert!(Path::new(ROOT).join(&corpus).is_dir(), "`{corpus}`");
    }
}
