//! The scripts that make and check an archive of a release.

use std::fs;
use std::path::Path;

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

#[test]
fn gpu_check_refuses_a_folder_that_is_no_build_and_unknown_checks() {
    let root = folder();
    let refused = |arguments: &[&str], expected: &str| {
        let output = command("python3", Path::new(ROOT))
            .arg("scripts/gpu_check")
            .args(arguments)
            .output()
            .expect("python3 runs");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    };
    let empty = root.path().to_str().expect("text");
    refused(&[empty], "holds no `bin/tinyrun`");
    refused(
        &[empty, "--only", "parity,speed"],
        "there is no check `speed`",
    );
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
