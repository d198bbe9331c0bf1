use std::fs;

use super::*;
use crate::plan::missing::missing;

fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("temp folder");
    fs::create_dir(root.path().join("data")).expect("created");
    fs::write(root.path().join("data/Train.csv"), "").expect("written");
    root
}

fn of(written: &str, wanted: Wanted) -> Missing {
    let root = root();
    misspelt(root.path(), written, wanted).unwrap_or_else(|| {
        let error = fs::File::open(root.path().join(written)).expect_err("not there");
        missing(root.path(), written, wanted, &error)
    })
}

#[test]
fn each_way_to_write_a_path_that_leads_nowhere_has_its_hint() {
    let home = env::var("HOME").expect("set");
    let files = [
        ("", "the path is empty", ""),
        ("  ", "the path is empty", ""),
        (
            "a\0b",
            "`a\\0b` contains a NUL character, which no file name can",
            "",
        ),
        (
            "~/x.csv",
            "`~` in `~/x.csv` is not expanded",
            &format!("write the full path: `{home}/x.csv`"),
        ),
        (
            "~me/x.csv",
            "`~` in `~me/x.csv` is not expanded",
            "write the full path",
        ),
        (
            "$HOME/x.csv",
            "`$HOME` in `$HOME/x.csv` is not expanded",
            &format!("write the full path: `{home}/x.csv`"),
        ),
        (
            "a/${HOME}/x",
            "`$HOME` in `a/${HOME}/x` is not expanded",
            &format!("write the full path: `a/{home}/x`"),
        ),
        (
            "$NO_SUCH_VARIABLE/x",
            "`$NO_SUCH_VARIABLE` in `$NO_SUCH_VARIABLE/x` is not expanded",
            "write the full path",
        ),
        (
            "s3://bucket/x.csv",
            "`s3://bucket/x.csv` is a URL, and tinyrun reads local files only",
            "download it and write the path of the file",
        ),
        (
            "data\\Train.csv",
            "`data\\Train.csv` does not exist",
            "did you mean `data/Train.csv`?",
        ),
        (
            "data\\x.csv",
            "`data\\x.csv` does not exist",
            "separate folders with `/`: `data/x.csv`",
        ),
        (
            "C:\\data\\x.csv",
            "`C:\\data\\x.csv` does not exist",
            "write the path as Linux has it; in WSL that is `/mnt/c/data/x.csv`",
        ),
        (
            "data/train.csv",
            "`data/train.csv` does not exist",
            "did you mean `data/Train.csv`?",
        ),
        (
            "data/Train.csv ",
            "`data/Train.csv ` does not exist",
            "did you mean `data/Train.csv`?",
        ),
        (
            "dta/Train.csv",
            "`dta/Train.csv` does not exist",
            "did you mean `data/Train.csv`?",
        ),
        (
            "data/Trian.csv",
            "`data/Trian.csv` does not exist",
            "did you mean `data/Train.csv`?",
        ),
        ("data/other.csv", "`data/other.csv` does not exist", ""),
        (
            "data/Train.csv/",
            "`data/Train.csv` is a file, not a folder",
            "remove the `/` at the end",
        ),
        (
            "data/Train.csv/x",
            "`data/Train.csv` is a file, not a folder",
            "",
        ),
        ("a\u{1b}[31m.csv", "`a\\u{1b}[31m.csv` does not exist", ""),
    ];
    for (written, message, hint) in files {
        let found = of(written, Wanted::File);
        assert_eq!(found.message, message);
        assert_eq!(found.hint.unwrap_or_default(), hint, "{written}");
    }
}

#[test]
fn a_checkpoint_that_is_not_there_is_a_file_and_no_name_of_the_hub() {
    let found = of("teacher.ckpt", Wanted::Model);
    assert_eq!(found.message, "`teacher.ckpt` does not exist");
    assert_eq!(found.hint, None);
}

#[test]
fn names_of_the_hub_are_told_how_to_download() {
    let model = |id: &str, name: &str| {
        format!(
            "download it with `hf download {id} --local-dir models/{name}`, and write `models/{name}`"
        )
    };
    for written in [
        "hf://google-bert/bert-base-uncased",
        "https://huggingface.co/google-bert/bert-base-uncased",
        "https://huggingface.co/google-bert/bert-base-uncased/tree/main",
        "https://hf.co/google-bert/bert-base-uncased",
    ] {
        let found = of(written, Wanted::Model);
        assert!(
            found
                .message
                .ends_with("is a URL, and tinyrun reads local files only")
        );
        let hint = model("google-bert/bert-base-uncased", "bert-base-uncased");
        assert_eq!(found.hint, Some(hint), "{written}");
    }
    for (written, name) in [
        ("bert-base-uncased", "bert-base-uncased"),
        ("google-bert/bert-base-uncased", "bert-base-uncased"),
    ] {
        let found = of(written, Wanted::Model);
        assert_eq!(
            found.message,
            format!("model folder `{written}` does not exist")
        );
        let hint = model(written, name);
        let hint = format!("if it is a model of the Hugging Face Hub, {hint}");
        assert_eq!(found.hint, Some(hint), "{written}");
    }
    // A path below a folder that is there, or below the usual one.
    for written in ["data/bert", "models/bert", "./bert", "/models/bert"] {
        assert_eq!(of(written, Wanted::Model).hint, None, "{written}");
    }
    let found = of("nyu-mll/glue", Wanted::File).hint.expect("a hint");
    assert!(found.starts_with("if it is a data set of the Hugging Face Hub, download it with `hf download --repo-type dataset nyu-mll/glue"));
    assert_eq!(of("tables/glue.tsv", Wanted::File).hint, None);
    let found = of("hf://datasets/nyu-mll/glue", Wanted::File).hint;
    assert_eq!(
        found.as_deref(),
        Some(
            "download it with `hf download --repo-type dataset nyu-mll/glue --local-dir data/glue`, and write the path of the file"
        )
    );
}
