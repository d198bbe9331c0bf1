//! Results of an earlier tinyrun stay fresh: an upgrade re-runs nothing that it does not change.

use std::fs;
use std::path::Path;

use crate::harness::{STAGES, Test};

/// The stored runs with their teacher.
fn stored_runs() -> Test {
    let test = Test::new();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    test.remove("data").remove("teacher");
    copy(&repository.join("tests/stored_runs"), &test.path(""));
    let teacher = repository.join("fixtures/bert-tiny");
    copy(&teacher, &test.path("teacher"));
    test
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("created");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let copied = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &copied);
        } else {
            fs::copy(entry.path(), &copied).expect("copied");
        }
    }
}

#[test]
fn every_stage_of_an_earlier_version_is_fresh() {
    let test = stored_runs();
    let plan = |sets: &[&str]| {
        let arguments = [&["experiment.toml", "--dry-run"], sets].concat();
        test.run(&arguments).succeeds().stdout
    };
    let expected: Vec<String> = STAGES
        .iter()
        .map(|stage| format!("fresh  {stage}"))
        .collect();
    let found = plan(&[]);
    let lines: Vec<&str> = found.lines().map(str::trim_end).collect();
    assert_eq!(lines, expected);
    let changed = plan(&["--set", "stages.td-phase2.temperature=2"]);
    assert!(changed.contains("stale  td-phase2"), "{changed}");
}
