//! The pipeline from MindSpore's files alone against the losses that MindSpore's own code had: `make seed-parity`
//! prints the largest difference of each stage.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Largest relative difference of a loss, in every step.
const LARGEST: f64 = 2e-5;

const STEPS: usize = 20;

/// Runs an experiment of `experiments/` over the fixtures, and returns the folder of its results.
fn run(name: &str, root: &Path) -> std::path::PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    symlink(project.join("fixtures"), root.join("fixtures")).expect("linked");
    let ran = Command::new(env!("CARGO_BIN_EXE_tinyrun"))
        .arg(project.join("experiments").join(format!("{name}.toml")))
        .arg("--root")
        .arg(root)
        // Two threads add in another order: that is another rounding, and no other result.
        .args(["--set", "threads=1"])
        .env("TINYRUN_KERNEL", env!("CARGO_BIN_EXE_tinyrun-kernel"))
        .output()
        .expect("started");
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{told}");
    root.join("runs").join(name)
}

/// Losses of every step, in the order of the steps.
fn losses(results: &Path, stage: &str) -> Vec<f64> {
    let file = results.join(stage).join("metrics.csv");
    let mut table = csv::Reader::from_path(file).expect("metrics");
    let header = table.headers().expect("a header").clone();
    let column = |name| header.iter().position(|known| known == name);
    let (step, loss) = (column("step").expect("step"), column("loss").expect("loss"));
    let rows = table.records().map(|row| row.expect("a row"));
    // Rows of dev scores have no loss.
    let rows: Vec<_> = rows.filter(|row| !row[loss].is_empty()).collect();
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(row[step].parse(), Ok(index + 1), "{stage}");
    }
    rows.iter()
        .map(|row| row[loss].parse().expect("a number"))
        .collect()
}

/// Whether an exported checkpoint of a stage has a tensor whose name begins so.
fn exports(root: &Path, result: &str, begin: &str) -> bool {
    let file = root.join("exported.ckpt");
    let done = Command::new(env!("CARGO_BIN_EXE_tinyrun"))
        .args(["export", result, "--format", "mindspore", "--root"])
        .arg(root)
        .arg("-o")
        .arg(&file)
        .output()
        .expect("started");
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{told}");
    let bytes = std::fs::read(&file).expect("read");
    std::fs::remove_file(file).expect("removed");
    memchr::memmem::find(&bytes, begin.as_bytes()).is_some()
}

#[expect(clippy::print_stdout, reason = "`make seed-parity` shows these lines")]
fn compare(name: &str, fixture: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a folder");
    let results = run(name, root.path());
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = project.join("fixtures/mindspore-run").join(fixture);
    let text = std::fs::read_to_string(folder.join("losses.json")).expect("the fixture");
    let expected: Value = serde_json::from_str(&text).expect("JSON");
    for stage in ["general-distill", "td-phase1", "td-phase2"] {
        let wanted = expected[stage]["losses"].as_array().expect("a list");
        let wanted = wanted.iter().map(|loss| loss.as_f64().expect("a number"));
        let found = losses(&results, stage);
        assert_eq!((found.len(), wanted.len()), (STEPS, STEPS), "{stage}");
        let differences = found
            .iter()
            .zip(wanted)
            .map(|(found, wanted)| (found - wanted).abs() / wanted);
        let largest = differences.fold(0.0, f64::max);
        println!("{fixture:9} {stage:16} largest difference of {STEPS} losses: {largest:.1e}");
        assert!(largest <= LARGEST, "{fixture} {stage}: {largest:e}");
    }
    root
}

#[test]
fn mindspores_losses_are_reached_from_its_own_files() {
    let root = compare("mindspore-run", "single");
    // Each goes on in MindSpore where its scripts look for it: phase 1 takes the names of general distillation, and
    // phase 2 those of phase 1, with a classifier or without.
    for (stage, begin) in [
        ("general-distill", "bert.tinybert_encoder"),
        ("td-phase1", "bert.bert.bert_encoder"),
        ("td-phase2", "bert.bert.bert_encoder"),
    ] {
        let result = format!("mindspore-run/{stage}");
        assert!(exports(root.path(), &result, begin), "{stage}");
    }
}

#[test]
fn mindspores_losses_with_relative_positions_are_reached_too() {
    compare("mindspore-run-relative", "relative");
}
