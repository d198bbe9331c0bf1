//! The runner as a program: what it links, what a job holds.

use std::process::Command;
use std::time::Instant;

use crate::harness::Test;

#[test]
fn the_runner_does_not_link_libtorch() {
    let runner = env!("CARGO_BIN_EXE_tinyrun");
    // Names of needed libraries stand in the file as they are.
    let bytes = std::fs::read(runner).expect("read");
    for library in ["libtorch_cpu.so", "libtorch.so", "libc10.so"] {
        let found = bytes
            .windows(library.len())
            .any(|window| window == library.as_bytes());
        assert!(!found, "{library}");
    }
    if let Ok(listed) = Command::new("ldd").arg(runner).output() {
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        assert!(!listed.contains("torch"), "{listed}");
    }
}

#[test]
fn jobs_hold_what_the_file_says() {
    let test = Test::done();
    let train = |stage: &str| test.job(stage)["work"]["train"].clone();
    let finetune = train("finetune");
    assert_eq!(finetune["objective"], "labels");
    assert_eq!(finetune["student"]["weights"], "teacher");
    assert_eq!(
        finetune["student"]["labels"],
        serde_json::json!(["neg", "pos"])
    );
    assert_eq!(finetune["epochs"], 1);

    let general = train("general-distill");
    assert_eq!(general["teacher"], "teacher");
    assert_eq!(general["student"]["weights"], serde_json::Value::Null);
    assert_eq!(general["student"]["config"]["hidden_size"], 4);
    assert_eq!(general["student"]["config"]["vocab_size"], 9);
    assert_eq!(general["dev"], serde_json::Value::Null);
    assert_eq!(
        general["objective"]["intermediate"]["layer_map"]["hidden"],
        serde_json::json!([0, 1, 2])
    );

    let phase2 = train("td-phase2");
    assert_eq!(phase2["schedule"]["learning_rate"], 3e-5);
    assert_eq!(phase2["keep_best"], true);
    for (role, part) in [
        ("teacher", "store/finetune/"),
        ("train", "store/data-prep/"),
    ] {
        let path = phase2[role].as_str().expect("a path");
        assert!(path.starts_with(&format!("runs/{part}")), "{path}");
        assert!(test.exists(path), "{path}");
    }
    let eval = test.job("eval")["work"]["evaluate"].clone();
    assert_eq!(eval["models"][0]["name"], "teacher");
    assert_eq!(eval["models"][1]["name"], "student");
}

#[test]
fn a_run_with_nothing_to_do_is_quick() {
    let test = Test::done();
    test.run(&["x.toml"]).succeeds();
    let times = (0..5).map(|_| {
        let clock = Instant::now();
        test.run(&["x.toml"]).succeeds();
        clock.elapsed()
    });
    let best = times.min().expect("five");
    // The aim is 50 ms; the machine of a test may be busy.
    assert!(best.as_millis() < 500, "{best:?}");
}
