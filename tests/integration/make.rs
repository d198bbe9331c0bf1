//! The make targets, and the sentences in which its scripts say what a machine lacks.
//!
//! Such a machine is a PATH of its own: a folder with the few ordinary tools a script uses, and
//! small scripts that stand for cargo, a compiler or a Python in the state in question.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

pub(crate) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A folder under `target/`: fetching asks for free disk, which /tmp may not have.
pub(crate) fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder")
}

/// A command without what `cargo test` and `make test` put into the environment.
pub(crate) fn command(program: &str, root: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root);
    for name in [
        "CXX",
        "GLUE_DIR",
        "LIBTORCH",
        "LIBTORCH_USE_PYTORCH",
        "MAKEFLAGS",
        "MAKELEVEL",
        "MFLAGS",
        "VIRTUAL_ENV",
    ] {
        command.env_remove(name);
    }
    command
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn found(tool: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(tool))
        .find(|path| path.is_file())
}

/// What `make --dry-run` would do, or what it says against it.
fn dry_run(root: &Path, target: &str) -> Result<String, String> {
    let output = command("make", root)
        .args(["--dry-run", target])
        .output()
        .expect("make runs");
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(stderr(&output))
    }
}

/// What plain `make` prints.
fn help() -> String {
    let output = command("make", Path::new(ROOT))
        .output()
        .expect("make runs");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn every_target_in_the_help_exists() {
    let help = command("make", Path::new(ROOT))
        .output()
        .expect("make runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let targets: Vec<&str> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  make ")?.split(' ').next())
        .collect();
    for target in ["setup", "build", "run", "test", "check", "glue", "corpus"] {
        assert!(targets.contains(&target), "no `{target}` in\n{help}");
    }
    for target in targets {
        dry_run(Path::new(ROOT), target).unwrap();
    }
}

#[test]
fn every_experiment_file_has_a_target_and_a_line_in_the_help() {
    let help = help();
    for entry in fs::read_dir(Path::new(ROOT).join("experiments")).expect("experiments") {
        let path = entry.expect("an entry").path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let name = path.file_stem().unwrap().to_str().expect("text");
            let recipe = dry_run(Path::new(ROOT), name).unwrap();
            let wanted = format!("tinyrun experiments/{name}.toml");
            assert!(recipe.contains(&wanted), "{recipe}");
            assert!(
                help.contains(&format!("run experiments/{name}.toml")),
                "{help}"
            );
        }
    }
}

#[test]
fn a_new_experiment_file_is_a_new_target() {
    let root = folder();
    fs::copy(
        Path::new(ROOT).join("Makefile"),
        root.path().join("Makefile"),
    )
    .unwrap();
    fs::create_dir_all(root.path().join("scripts")).unwrap();
    fs::write(root.path().join("scripts/fetch_libtorch"), "").unwrap();
    dry_run(root.path(), "mine").unwrap_err();

    fs::create_dir(root.path().join("experiments")).unwrap();
    fs::write(root.path().join("experiments/mine.toml"), "").unwrap();
    let recipe = dry_run(root.path(), "mine").unwrap();
    assert!(
        recipe.contains("target/release/tinyrun experiments/mine.toml"),
        "{recipe}"
    );
}

#[test]
fn no_experiment_file_hides_a_target_of_another_meaning() {
    let makefile = fs::read_to_string(Path::new(ROOT).join("Makefile")).unwrap();
    for entry in fs::read_dir(Path::new(ROOT).join("experiments")).expect("experiments") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().unwrap().to_str().expect("text");
        let rule = format!("\n.PHONY: {name}\n");
        assert!(!makefile.contains(&rule), "`{name}` is a target already");
    }
}

/// A machine that has these tools and nothing else.
struct Machine(TempDir);

impl Machine {
    /// The tools that `scripts/prerequisites` itself is made of.
    fn new() -> Self {
        let machine = Self(folder());
        for tool in ["sh", "dirname", "head", "sed", "sort", "uname", "cat"] {
            let path = found(tool).unwrap_or_else(|| panic!("no `{tool}`"));
            symlink(path, machine.0.path().join(tool)).expect("a link");
        }
        machine
    }

    /// Adds a program that is this shell script.
    fn with(self, name: &str, script: &str) -> Self {
        write_program(&self.0.path().join(name), script);
        self
    }

    fn complete() -> Self {
        Self::new()
            .with("cargo", "echo cargo 1.95.0")
            .with("cc", "")
            .with("c++", "cat >/dev/null")
            .with("python3", "")
    }

    /// What `scripts/prerequisites` says here, and whether it is content.
    fn prerequisites(&self, checks: &[&str]) -> (bool, String) {
        let output = command("sh", Path::new(ROOT))
            .arg("scripts/prerequisites")
            .args(checks)
            .env("PATH", self.0.path())
            .output()
            .expect("sh runs");
        (output.status.success(), stderr(&output))
    }
}

/// Writes a shell script that can be run. The writing is done by another process: a file that a
/// thread of this one holds open for writing cannot be run by another's child.
pub(crate) fn write_program(path: &Path, script: &str) {
    let status = Command::new("sh")
        .args([
            "-c",
            r#"printf '#!/bin/sh\n%s\n' "$2" >"$1" && chmod +x "$1""#,
            "sh",
        ])
        .arg(path)
        .arg(script)
        .status()
        .expect("sh runs");
    assert!(status.success());
}

const ALL: [&str; 5] = ["cargo", "lints", "compiler", "crates", "venv"];

#[test]
fn a_machine_that_has_everything_passes_in_silence() {
    let (content, said) = Machine::complete().prerequisites(&ALL);
    assert!(content && said.is_empty(), "{said}");
}

#[test]
fn each_missing_prerequisite_is_one_sentence_and_a_hint() {
    let refused = |module: &str| format!(r#"case "$2" in *{module}*) exit 1;; esac"#);
    let cases = [
        (
            "cargo",
            "exit 127",
            "`cargo` is not installed, or not in PATH",
        ),
        (
            "cargo",
            "echo cargo 1.70.0",
            "cargo is version 1.70.0, expected 1.91 or newer",
        ),
        (
            "cargo",
            r#"[ "$1" != fmt ]"#,
            "`cargo fmt` is not installed",
        ),
        (
            "cargo",
            r#"[ "$1" != clippy ]"#,
            "`cargo clippy` is not installed",
        ),
        (
            "c++",
            "cat >/dev/null; exit 1",
            "the C++ compiler `c++` has no C++ library or no OpenMP",
        ),
        (
            "python3",
            "exit 127",
            "`python3` is not installed, or not in PATH",
        ),
        (
            "python3",
            &refused("version_info"),
            "`python3` is older than 3.8",
        ),
        (
            "python3",
            &refused("venv"),
            "`python3` has no module `venv`, which is needed to fetch libtorch and the demo",
        ),
        (
            "python3",
            &refused("ensurepip"),
            "`python3` has no module `ensurepip`, which is needed to fetch libtorch and the demo",
        ),
    ];
    for (program, script, sentence) in cases {
        let script = match program {
            "cargo" if !script.contains("echo") => {
                format!(r#"[ "$1" != --version ] || echo cargo 1.95.0; {script}"#)
            }
            _ => script.to_owned(),
        };
        let checks: &[&str] = match program {
            "cargo" => &["cargo", "lints"],
            "c++" => &["compiler"],
            _ => &["venv"],
        };
        let (content, said) = Machine::complete()
            .with(program, &script)
            .prerequisites(checks);
        let lines: Vec<&str> = said.lines().collect();
        assert!(!content, "`{script}` as {program} passes");
        assert_eq!(lines.len(), 2, "{said}");
        assert_eq!(lines[0], format!("error: {sentence}"));
        assert!(lines[1].starts_with("hint: "), "{said}");
    }
}

#[test]
fn everything_missing_is_said_at_once() {
    let (content, said) = Machine::new().prerequisites(&ALL);
    assert!(!content);
    let errors: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(
        errors,
        [
            "error: `cargo` is not installed, or not in PATH",
            "error: no C++ compiler found (`cc` and `c++`)",
            "error: `python3` is not installed, or not in PATH",
        ]
    );
    assert_eq!(said.lines().count(), 2 * errors.len(), "{said}");
}

#[test]
fn an_unreachable_crate_registry_is_one_sentence() {
    let cargo = r#"case "$*" in
    fetch*) echo "warning: spurious network error (3 tries remaining)" >&2
            echo "error: failed to download from a registry" >&2; exit 101;;
    *) echo cargo 1.95.0;;
    esac"#;
    let (content, said) = Machine::complete()
        .with("cargo", cargo)
        .prerequisites(&["crates"]);
    assert!(!content);
    assert_eq!(
        said,
        "fetching the crates\n\
         error: the crates cannot be fetched: the registry cannot be reached\n\
         hint: check the network and cargo's settings; fetched crates are used offline\n"
    );
}
