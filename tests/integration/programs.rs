//! The runner as a program: what it links, what a job holds.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;

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
    assert_eq!(finetune["student"]["weights"]["path"], "teacher");
    assert_eq!(
        finetune["student"]["labels"],
        serde_json::json!(["neg", "pos"])
    );
    assert_eq!(finetune["steps"]["epochs"], 1);

    let general = train("general-distill");
    assert_eq!(general["teacher"]["folder"]["path"], "teacher");
    assert_eq!(general["student"]["weights"], serde_json::Value::Null);
    assert_eq!(general["student"]["config"]["hidden_size"], 4);
    assert_eq!(general["student"]["config"]["vocab_size"], 9);
    assert_eq!(general["selection"], serde_json::Value::Null);
    assert_eq!(
        general["objective"]["intermediate"]["layer_map"]["hidden"],
        serde_json::json!([0, 1, 2])
    );

    let phase2 = train("td-phase2");
    assert_eq!(phase2["steps"]["schedule"]["learning_rate"], 3e-5);
    assert_eq!(phase2["selection"]["scoring"]["keep"], "best");
    for (found, part) in [
        (&phase2["teacher"]["folder"]["path"], "store/finetune/"),
        (&phase2["data"]["store"], "store/data-prep/"),
    ] {
        let path = found.as_str().expect("a path");
        assert!(path.starts_with(&format!("runs/{part}")), "{path}");
        assert!(test.exists(path), "{path}");
    }
    let eval = test.job("eval")["work"]["evaluate"].clone();
    assert_eq!(eval["models"][0]["name"], "teacher");
    assert_eq!(eval["models"][1]["name"], "student");
}

/// Every file and folder below `runs`, with what changes when one is written.
fn written(test: &Test) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![test.path("runs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("listed") {
            let path = entry.expect("an entry").path();
            let metadata = fs::symlink_metadata(&path).expect("there");
            let modified = metadata.modified().expect("a time");
            if metadata.is_dir() {
                folders.push(path.clone());
            }
            found.insert(path, (metadata.ino(), modified));
        }
    }
    found
}

#[test]
fn a_run_with_nothing_to_do_starts_no_kernel_reads_no_data_and_writes_nothing() {
    let test = Test::done();
    test.run(&["x.toml"]).succeeds();
    let starts = test.kernel_starts();
    let before = written(&test);
    // A file is known by size, time and inode: other bytes under the same ones show that it is not read again.
    let table = test.path("data/train.tsv");
    let modified = fs::metadata(&table).and_then(|file| file.modified());
    let bytes = test.read("data/train.tsv").replace("good", "fine");
    fs::write(&table, bytes).expect("written");
    let file = fs::File::options().write(true).open(&table);
    let file = file.expect("opened");
    file.set_modified(modified.expect("a time")).expect("set");
    test.run(&["x.toml"]).succeeds().says("nothing to do");
    assert_eq!(test.kernel_starts(), starts);
    assert_eq!(written(&test), before);
}

#[test]
fn a_reader_of_stdout_that_closes_it_early_is_no_failure() {
    let test = Test::new();
    for arguments in ["x.toml --dry-run", "completions bash", "--help"] {
        // `pipefail` is not in every sh: the code goes through a file.
        let script = format!(
            "{{ '{}' {arguments}; echo $? >code; }} | :",
            env!("CARGO_BIN_EXE_tinyrun")
        );
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(test.path(""))
            .output()
            .expect("sh runs");
        assert_eq!(test.read("code"), "0\n", "{arguments}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn a_kernel_that_the_loader_cannot_start_is_a_sentence_with_a_hint_that_helps() {
    let test = Test::new();
    test.kernel("finetune", "unloaded");
    let cases = [
        (
            "/opt/tinyrun-kernel: error while loading shared libraries: libtorch_cpu.so: cannot open shared object file: No such file or directory",
            127,
            "`libtorch_cpu.so` was not found",
            "hint: set LIBTORCH to the folder of libtorch 2.11.0 (",
        ),
        (
            "/opt/tinyrun-kernel: symbol lookup error: /opt/tinyrun-kernel: undefined symbol: _ZN3c105ErrorC1Ev",
            127,
            "a library of another version was found, which lacks the symbol `_ZN3c105ErrorC1Ev`",
            "hint: set LIBTORCH to the folder of libtorch 2.11.0 (",
        ),
        (
            "/opt/tinyrun-kernel: /lib/libc.so.6: version `GLIBC_2.99' not found (required by /opt/tinyrun-kernel)",
            1,
            "it needs `GLIBC_2.99`, and the C or C++ library of this system is older",
            "hint: build tinyrun on this machine with `make build`\n",
        ),
    ];
    for (line, code, reason, hint) in cases {
        test.write("fake/loader", &format!("{line}\n"))
            .write("fake/code", &code.to_string());
        test.run(&["x.toml"])
            .ends_with(1)
            .says(&format!(
                "error: `finetune` failed: the training kernel cannot be loaded: {reason}\n"
            ))
            .says(hint);
    }
}

#[test]
fn the_kernel_searches_the_folder_that_libtorch_names() {
    let test = Test::new();
    fs::create_dir_all(test.path("torch/lib")).expect("created");
    let program = test.path("kernel");
    let script = format!(
        "#!/bin/sh\nprintf '%s' \"$LD_LIBRARY_PATH\" >searched\nexec '{}'\n",
        Test::fake_kernel().display()
    );
    crate::make::write_program(&program, script.trim_start_matches("#!/bin/sh\n"));
    test.run_with(&["x.toml", "--until", "finetune"], |command| {
        command
            .env("TINYRUN_KERNEL", &program)
            .env("LIBTORCH", test.path("torch"))
            .env("LD_LIBRARY_PATH", "/some/where");
    })
    .succeeds();
    let expected = format!("{}:/some/where", test.path("torch/lib").display());
    assert_eq!(test.read("searched"), expected);
}

#[test]
fn a_kernel_that_is_no_program_is_a_sentence_with_a_hint() {
    let test = Test::new();
    test.write("kernel", "\u{1}\u{2}\u{3}\u{4}");
    let run = || {
        test.run_with(&["x.toml"], |command| {
            command.env("TINYRUN_KERNEL", test.path("kernel"));
        })
        .ends_with(1)
    };
    run()
        .says("cannot start the training kernel `")
        .says(": permission denied\n")
        .says("hint: make it executable with `chmod +x`");
    fs::set_permissions(test.path("kernel"), fs::Permissions::from_mode(0o755)).expect("set");
    run().says("hint: it is not a program for this machine: build it here with `make build`\n");
}

#[cfg(feature = "kernel")]
#[test]
#[cfg_attr(
    not(has_readelf),
    ignore = "readelf was not found when the tests were built"
)]
fn the_kernel_searches_libtorch_beside_itself_then_relative_then_by_its_absolute_path() {
    let output = Command::new("readelf")
        .args(["--dynamic", "--wide", env!("CARGO_BIN_EXE_tinyrun-kernel")])
        .output()
        .expect("readelf runs");
    let listed = String::from_utf8_lossy(&output.stdout);
    // Not a RUNPATH: LD_LIBRARY_PATH comes after these folders.
    assert!(!listed.contains("(RUNPATH)"), "{listed}");
    let line = listed.lines().find(|line| line.contains("(RPATH)"));
    let (_, path) = line.expect("an RPATH").split_once('[').expect("a list");
    let folders: Vec<&str> = path.trim_end_matches(']').split(':').collect();
    assert_eq!(
        folders[..2],
        ["$ORIGIN/libtorch/lib", "$ORIGIN/../libtorch/lib"]
    );
    let last = folders.last().expect("some");
    assert!(last.starts_with('/') && last.ends_with("/lib"), "{last}");
    // Between them, where libtorch lies in the repository, its path from the program.
    let root = fs::canonicalize(env!("CARGO_MANIFEST_DIR")).expect("there");
    let is_inside = std::path::Path::new(last).starts_with(root);
    match (&folders[2..folders.len() - 1], is_inside) {
        ([], _) => {}
        ([relative], true) => assert!(relative.starts_with("$ORIGIN/../"), "{relative}"),
        other => panic!("{other:?}"),
    }
}
