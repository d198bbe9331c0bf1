//! Paths as users write them: names that are no UTF-8 or hold glob characters, links that lead nowhere, `~`, names of
//! the Hub. Each is a sentence with a hint and exit code 2, wherever the path is written.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use crate::harness::{STAGES, Test};

fn latin1(name: &[u8]) -> OsString {
    OsStr::from_bytes(name).to_owned()
}

#[test]
fn a_file_name_that_is_no_utf8_is_a_fault_where_it_matches_and_else_none() {
    let test = Test::new();
    fs::write(
        test.path("data/corpus").join(latin1(b"caf\xe9.txt")),
        "a film\n",
    )
    .expect("written");
    test.run(&["x.toml"])
        .ends_with(2)
        .says("error: the name of `data/corpus/caf\\xe9.txt` is not valid UTF-8\n")
        .says(" x.toml:")
        .says("hint: rename it");
    // It is in the folder and does not match.
    test.run(&[
        "x.toml",
        "--set",
        "stages.general-distill.corpus=['data/corpus/[ab].txt']",
    ])
    .succeeds();
}

#[test]
fn folders_whose_names_are_no_utf8_are_no_crash() {
    let test = Test::new();
    let folder = test.path("").join(latin1(b"caf\xe9"));
    fs::create_dir(&folder).expect("created");
    for name in ["data", "teacher", "x.toml"] {
        fs::rename(test.path(name), folder.join(name)).expect("moved");
    }
    // The current folder is no part of any path.
    test.run_with(&["x.toml"], |command| {
        command.current_dir(&folder);
    })
    .succeeds()
    .ran(&STAGES);
    let root = |arguments: &[&OsStr]| {
        test.run_with(&[], |command| {
            command.args(arguments);
        })
        .ends_with(2)
    };
    let file = folder.join("x.toml");
    root(&[file.as_os_str(), OsStr::new("--root"), folder.as_os_str()])
        .says("` is not valid UTF-8\n")
        .says("hint: change to that folder and run without `--root`, or rename it\n");
    // The name of the results comes from the file's.
    let odd = test.path("").join(latin1(b"caf\xe9.toml"));
    fs::copy(&file, &odd).expect("copied");
    root(&[odd.as_os_str()]).says("letters, digits");
    let argument = latin1(b"stages.finetune.student=caf\xe9");
    root(&[file.as_os_str(), OsStr::new("--set"), &argument]).says("invalid UTF-8");
}

#[test]
fn a_path_that_is_there_is_a_path_whatever_characters_it_has() {
    let test = Test::new();
    for name in ["[final] x.tsv", "what?.tsv", "a*b.tsv", "{a,b}.tsv"] {
        let table = test.read("data/train.tsv");
        test.write(&format!("data/{name}"), &table);
        let set = format!("task.train='data/{name}'");
        test.run(&["x.toml", "--until", "data-prep", "--set", &set])
            .succeeds();
    }
    test.run(&["x.toml", "--set", "task.train='data/[end] x.tsv'"])
        .ends_with(2)
        .says("error: `data/[end] x.tsv` matches no file\n")
        .says(
            "hint: `[...]` matches one of the characters in it: write `[[]` for the character `[`",
        );
    test.run(&["x.toml", "--set", "task.train='data/[end x.tsv'"])
        .ends_with(2)
        .says("error: `data/[end x.tsv` is not a valid pattern: ")
        .says("hint: `[` starts a set of characters: write `[[]` for the character itself");
}

#[test]
fn a_match_that_cannot_be_read_is_a_fault_and_is_not_left_out() {
    let test = Test::new();
    symlink("gone.txt", test.path("data/corpus/c.txt")).expect("linked");
    symlink("gone.tsv", test.path("data/more.tsv")).expect("linked");
    test.run(&["x.toml", "--set", "task.train='data/*r*.tsv'"])
        .ends_with(2)
        .says("error: `data/corpus/c.txt` is a link to `gone.txt`, which does not exist\n")
        .says("error: `data/more.tsv` is a link to `gone.tsv`, which does not exist\n")
        .says("hint: restore that file, or remove the link");
    test.remove("data/corpus/c.txt");
    test.run(&["x.toml", "--set", "task.dev='data/more.tsv'"])
        .ends_with(2)
        .says("error: `data/more.tsv` is a link to `gone.tsv`, which does not exist\n");
}

#[test]
fn a_link_that_leads_nowhere_in_a_model_folder_is_a_fault() {
    for file in [
        "vocab.txt",
        "tokenizer_config.json",
        "model.safetensors",
        "config.json",
    ] {
        let test = Test::new();
        let path = format!("teacher/{file}");
        if test.exists(&path) {
            test.remove(&path);
        }
        symlink(format!("../blobs/{file}"), test.path(&path)).expect("linked");
        test.run(&["x.toml"]).ends_with(2).says(&format!(
            "error: `{path}` is a link to `../blobs/{file}`, which does not exist\n"
        ));
    }
}

#[test]
fn what_was_meant_by_a_path_that_is_not_there_is_a_hint() {
    let test = Test::new();
    let home = std::env::var("HOME").expect("set");
    let run = |set: &str| test.run(&["x.toml", "--set", set]).ends_with(2);
    let cases = [
        (
            "task.train='data/Train.tsv'",
            "hint: did you mean `data/train.tsv`?".to_owned(),
        ),
        (
            "task.dev='data/dev.tsv '",
            "hint: did you mean `data/dev.tsv`?".to_owned(),
        ),
        (
            "task.dev='data\\dev.tsv'",
            "hint: did you mean `data/dev.tsv`?".to_owned(),
        ),
        (
            "task.dev='data/dev.tsv/'",
            "error: `data/dev.tsv` is a file, not a folder\n".to_owned(),
        ),
        (
            "task.dev='data'",
            "error: `data` is a folder, not a file\n".to_owned(),
        ),
        ("task.dev=' '", "error: the path is empty\n".to_owned()),
        (
            "task.train=\"data/\\u0000\"",
            "contains a NUL character".to_owned(),
        ),
        (
            "task.train='~/train.tsv'",
            format!("hint: write the full path: `{home}/train.tsv`"),
        ),
        (
            "task.train='$HOME/*.tsv'",
            format!("hint: write the full path: `{home}/*.tsv`"),
        ),
        ("teacher.model=' '", "error: the path is empty\n".to_owned()),
        (
            "teacher.model='Teacher'",
            "hint: did you mean `teacher`?".to_owned(),
        ),
        (
            "teacher.model='~/bert'",
            format!("hint: write the full path: `{home}/bert`"),
        ),
        (
            "teacher.model='google-bert/bert-base-uncased'",
            "hf download google-bert/bert-base-uncased --local-dir models/bert-base-uncased"
                .to_owned(),
        ),
        (
            "teacher.model='hf://org/name'",
            "hf download org/name --local-dir models/name".to_owned(),
        ),
        (
            "teacher.model='x.toml'",
            "error: `x.toml` is a file\n".to_owned(),
        ),
        (
            "stages.general-distill.corpus=['data/corpsu/*.txt']",
            "hint: did you mean the folder `data/corpus`?".to_owned(),
        ),
        (
            "stages.general-distill.corpus=['data/corpus/*.TXT']",
            "hint: `data/corpus/a.txt` differs only in upper and lower case".to_owned(),
        ),
    ];
    for (set, text) in cases {
        run(set).says(&text);
    }
    let other = |arguments: &[&str]| test.run(arguments).ends_with(2);
    other(&["X.toml"]).says("hint: did you mean `x.toml`?");
    other(&["data"]).says("error: cannot read `data`: is a directory\n");
    other(&["x.toml", "--root", "Data"]).says("hint: did you mean `data`?");
    other(&["x.toml", "--root", "~/data"]).says("hint: write the full path: ");
}
