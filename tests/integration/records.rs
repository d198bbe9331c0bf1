//! Records of token ids in the place of tables and texts: TFRecord and MindRecord.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::harness::{STAGES, Test};

/// Every stage on records, whose format, length and classes are found.
const EXPERIMENT: &str = r#"[task]
name = "custom"
train = "data/train.tf_record"
dev = "data/dev.tf_record"

[teacher]
model = "bert"

[student]
num-hidden-layers = 3
hidden-size = 8
intermediate-size = 8
num-attention-heads = 4
max-position-embeddings = 32

[stages.finetune]
epochs = 1

[stages.general-distill]
corpus = ["data/corpus.tf_record"]

[stages.td-phase1]

[stages.td-phase2]

[stages.eval]
"#;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

/// A root with the fixtures' records, and their BERT without its tokenizer.
fn records() -> Test {
    let test = Test::new();
    let copy = |from: &str, to: &str| {
        let to = test.path(to);
        fs::create_dir_all(to.parent().expect("has one")).expect("created");
        fs::copy(fixture(from), to).expect("copied");
    };
    for file in ["config.json", "model.safetensors"] {
        copy(&format!("bert-tiny/{file}"), &format!("bert/{file}"));
    }
    for file in [
        "train.tf_record",
        "dev.tf_record",
        "corpus.tf_record",
        "schema.json",
    ] {
        copy(&format!("records/{file}"), &format!("data/{file}"));
    }
    test.write("x.toml", EXPERIMENT);
    test
}

/// Unpacks a MindRecord file of the fixtures.
fn unpack(test: &Test, name: &str, to: &str) {
    let packed = fs::read(fixture("mindrecord").join(format!("{name}.gz"))).expect("read");
    let mut bytes = Vec::new();
    GzDecoder::new(&packed[..])
        .read_to_end(&mut bytes)
        .expect("unpacked");
    let to = test.path(to);
    fs::create_dir_all(to.parent().expect("has one")).expect("created");
    fs::write(to, bytes).expect("written");
}

fn store(test: &Test, split: &str) -> [Vec<u8>; 3] {
    ["tokens.bin", "rows.bin", "store.json"].map(|file| {
        let path = test.path(&format!("runs/x/data-prep/{split}/{file}"));
        fs::read(path).expect("a store")
    })
}

#[test]
fn every_stage_runs_on_records_without_a_tokenizer() {
    let test = records();
    test.run(&["x.toml"]).succeeds().ran(&STAGES);
    let store = test.read("runs/x/data-prep/train/store.json");
    for line in [
        "\"examples\": 40",
        "\"max_seq_length\": 16",
        "\"vocab_size\": 64",
        "\"pad_token_id\": 0",
    ] {
        assert!(store.contains(line), "{line} in\n{store}");
    }
    let resolved = test.read("runs/x/experiment.toml");
    assert!(resolved.contains("\nformat = \"tfrecord\"\n"), "{resolved}");
    assert!(
        resolved.contains("\ncorpus-format = \"tfrecord\"\n"),
        "{resolved}"
    );
    assert!(!resolved.contains("max-seq-length"), "{resolved}");
    // Nothing is left to do, and the resolved file is the same experiment.
    test.run(&["x.toml"]).succeeds().ran(&[]);
    test.write("x.toml", &resolved);
    test.run(&["x.toml"]).succeeds().ran(&[]);
}

#[test]
fn a_student_of_records_is_exported_without_a_tokenizer() {
    let test = records();
    for file in ["config.json", "model.safetensors"] {
        let from = test.path(&format!("bert/{file}"));
        fs::create_dir_all(test.path("fake/model")).expect("created");
        fs::copy(from, test.path(&format!("fake/model/{file}"))).expect("copied");
    }
    test.run(&["x.toml"]).succeeds();
    test.run(&["export", "x/td-phase2", "-o", "out"]).succeeds();
    assert!(test.exists("out/model.safetensors"));
    assert!(!test.exists("out/tokenizer.json"));
}

#[test]
fn mindrecord_gives_the_stores_of_tfrecord_with_any_shards() {
    let test = records();
    test.run(&["x.toml", "--single-stage", "data-prep"])
        .succeeds();
    let expected = store(&test, "train");
    for shard in 0..4 {
        let name = format!("shards.mindrecord{shard}");
        unpack(&test, &name, &format!("data/shards/{name}"));
        // Not read, and not a shard.
        test.write(&format!("data/shards/{name}.db"), "no database");
    }
    unpack(&test, "scalar.mindrecord", "data/scalar.mindrecord");
    for train in ["data/shards", "data/shards/*", "data/scalar.mindrecord"] {
        // Both splits are of one format.
        let dev = "data/scalar.mindrecord";
        let sets = [format!("task.train={train}"), format!("task.dev={dev}")];
        let arguments = [
            "x.toml",
            "--single-stage",
            "data-prep",
            "--set",
            &sets[0],
            "--set",
            &sets[1],
        ];
        let ran = test.run(&arguments).succeeds();
        assert!(!ran.stderr.contains("only this one"), "{}", ran.stderr);
        assert!(store(&test, "train") == expected, "{train}");
        let resolved = test.read("runs/x/experiment.toml");
        assert!(
            resolved.contains("\nformat = \"mindrecord\"\n"),
            "{resolved}"
        );
    }
    let one = "task.train=data/shards/shards.mindrecord2";
    let dev = "task.dev=data/scalar.mindrecord";
    test.run(&[
        "x.toml",
        "--single-stage",
        "data-prep",
        "--set",
        one,
        "--set",
        dev,
    ])
    .succeeds()
    .says("train is one of several shards, and only this one is read");
    test.remove("data/shards/shards.mindrecord3");
    let folder = "task.train=data/shards";
    test.run(&[
        "x.toml",
        "--single-stage",
        "data-prep",
        "--set",
        folder,
        "--set",
        dev,
    ])
    .ends_with(1)
    .says("is one of 4 shards, and shard `shards.mindrecord3` is missing");
}

#[test]
fn parts_in_a_folder_are_read_in_the_order_of_their_names() {
    let test = records();
    test.run(&["x.toml", "--single-stage", "data-prep"])
        .succeeds();
    let expected = store(&test, "train");
    let whole = fs::read(test.path("data/train.tf_record")).expect("read");
    // A record is its length and 16 bytes more.
    let mut cuts = vec![0];
    while cuts[cuts.len() - 1] < whole.len() {
        let at = cuts[cuts.len() - 1];
        let length = whole[at..at + 8].try_into().expect("eight bytes");
        cuts.push(at + 16 + usize::try_from(u64::from_le_bytes(length)).expect("small"));
    }
    let parts = [(0, 9), (9, 9), (9, 30), (30, 40)];
    fs::create_dir_all(test.path("data/parts")).expect("created");
    // Written the last first; one holds nothing.
    for (index, (from, to)) in parts.into_iter().enumerate().rev() {
        let path = test.path(&format!("data/parts/train.tf_record-0000{index}-of-00004"));
        fs::write(path, &whole[cuts[from]..cuts[to]]).expect("written");
    }
    test.write("data/parts/schema.json", "{}")
        .write("data/parts/train.tf_record.db", "")
        .write("data/parts/README", "about the data");
    for train in ["data/parts", "data/parts/train*-of-*"] {
        let set = format!("task.train={train}");
        test.run(&["x.toml", "--single-stage", "data-prep", "--set", &set])
            .succeeds();
        assert!(store(&test, "train") == expected, "{train}");
    }
    test.run(&["x.toml", "--set", "task.train=data/none", "--dry-run"])
        .ends_with(2);
    fs::create_dir_all(test.path("data/empty")).expect("created");
    let sets = [
        "--set",
        "task.train=data/empty",
        "--set",
        "task.format=tfrecord",
    ];
    test.run(&[&["x.toml", "--dry-run"][..], &sets].concat())
        .ends_with(2)
        .says("the folder `data/empty` has no file of records");
}

#[test]
fn a_schema_is_checked_and_its_changes_count() {
    let test = records();
    let schema = "task.schema=data/schema.json";
    let arguments = ["x.toml", "--until", "data-prep", "--set", schema];
    test.run(&arguments).succeeds().ran(&["data-prep"]);
    test.run(&arguments).succeeds().ran(&[]);
    test.replace("data/schema.json", "\"numRows\": 1000", "\"numRows\": 10");
    test.run(&arguments)
        .succeeds()
        .ran(&["data-prep"])
        .says("train has more records than `numRows` of the schema: only the first 10 are read");
    let changed = test.read("data/schema.json").replacen("16", "8", 1);
    test.write("data/schema.json", &changed);
    test.run(&arguments).ends_with(1).says(
        "dev.tf_record`, record 1 at byte 0, has 16 values in `input_ids`, and the schema states the shape [8]",
    );
    test.write("data/schema.json", "{\n  \"columns\": 1\n}\n");
    test.run(&arguments)
        .ends_with(1)
        .says("schema.json` has `columns` = 1, expected an object of columns");
}

#[test]
fn a_record_longer_than_the_written_length_names_both() {
    let test = records();
    test.run(&[
        "x.toml",
        "--until",
        "data-prep",
        "--set",
        "task.max-seq-length=12",
    ])
    .ends_with(1)
    .says("record 1 at byte 0, has 16 tokens, and `max-seq-length` is 12")
    .says("set `max-seq-length = 16`, or remove the key to take it from the records");
    test.run(&[
        "x.toml",
        "--until",
        "data-prep",
        "--set",
        "task.max-seq-length=20",
    ])
    .succeeds();
    let store = test.read("runs/x/data-prep/train/store.json");
    assert!(store.contains("\"max_seq_length\": 20"), "{store}");
}

#[test]
fn ids_must_be_in_the_vocabulary_of_the_teacher() {
    let test = records();
    test.run(&["x.toml", "--until", "data-prep"]).succeeds();
    test.replace(
        "bert/config.json",
        "\"pad_token_id\": 0",
        "\"pad_token_id\": 1",
    );
    test.run(&["x.toml", "--until", "data-prep"])
        .ends_with(1)
        .says("where `input_mask` is 0; the model's padding is 1");
}

#[test]
fn keys_of_tables_and_of_records_are_kept_apart() {
    let test = records();
    let fault = |set: &str, text: &str| {
        test.run(&["x.toml", "--dry-run", "--set", set])
            .ends_with(2)
            .says(text);
    };
    fault(
        "task.text=sentence",
        "`text` in `[task]` is for tables, and `format` is \"tfrecord\"",
    );
    fault(
        "task.quoting=none",
        "`quoting` in `[task]` is for tables, and `format` is \"tfrecord\"",
    );
    fault(
        "stages.general-distill.long-lines=truncate",
        "`long-lines` is for text, and `corpus-format` is \"tfrecord\"",
    );
    test.run(&[
        "x.toml",
        "--dry-run",
        "--set",
        "task.format=mindrecord",
        "--set",
        "task.schema=data/schema.json",
    ])
    .ends_with(2)
    .says("`schema` in `[task]` is for TFRecord data");
    // Text needs a tokenizer, also where the other data are records.
    test.run(&[
        "x.toml",
        "--dry-run",
        "--set",
        "stages.general-distill.corpus=[\"data/corpus/*.txt\"]",
    ])
    .ends_with(2)
    .says("has neither `tokenizer.json` nor `vocab.txt`");
}

#[test]
fn a_damaged_record_is_named_by_file_record_and_byte() {
    let test = records();
    let path = test.path("data/train.tf_record");
    let mut bytes = fs::read(&path).expect("read");
    bytes[253] ^= 0x40;
    fs::write(&path, bytes).expect("written");
    test.run(&["x.toml", "--until", "data-prep"])
        .ends_with(1)
        .says("train.tf_record`, record 2 at byte 173, is damaged: its data do not match their checksum")
        .says("copy the file again, or write it again");
    // What is no record at all is found to be none.
    let sets = ["--set", "task.format=tfrecord", "--set", "task.dev=x.toml"];
    test.run(&[&["x.toml", "--until", "data-prep"][..], &sets].concat())
        .ends_with(1)
        .says("x.toml` is not a TFRecord file, or the length of its first record is damaged");
}

#[test]
fn prepared_data_are_exported_as_records_that_give_the_same_stores() {
    let test = records();
    test.run(&["export-data", "x.toml", "-o", "out"])
        .ends_with(2)
        .says("experiment `x` has no prepared data")
        .says("run `tinyrun x.toml --until data-prep` first");
    test.run(&["x.toml"]).succeeds();
    let before = ["train", "dev"].map(|split| store(&test, split));
    let ran = test.run(&["export-data", "x.toml", "-o", "out"]).succeeds();
    let lines = [
        "wrote out/train/train.tf_record (40 rows)",
        "wrote out/dev/dev.tf_record (12 rows)",
        "wrote out/corpus-prep/corpus-prep.tf_record (20 rows)",
    ];
    for line in lines {
        assert!(ran.stdout.contains(line), "{}", ran.stdout);
    }
    test.replace("x.toml", "data/train.tf_record", "out/train")
        .replace("x.toml", "data/dev.tf_record", "out/dev")
        .replace("x.toml", "data/corpus.tf_record", "out/corpus-prep");
    let sets = [
        "--set",
        "task.schema=out/schema.json",
        "--set",
        "stages.general-distill.corpus-schema=out/schema-corpus-prep.json",
    ];
    // The same stores: nothing after them runs again.
    test.run(&[&["x.toml"][..], &sets].concat())
        .succeeds()
        .ran(&["data-prep", "corpus-prep"]);
    let after = ["train", "dev"].map(|split| store(&test, split));
    assert!(before == after);
    test.run(&["export-data", "x.toml", "-o", "out"])
        .ends_with(2)
        .says("`out` exists and is not empty");
    // As MindRecord, which needs no schema.
    let mindrecord = [
        "export-data",
        "x.toml",
        "--format",
        "mindrecord",
        "-o",
        "mind",
    ];
    let ran = test.run(&[&mindrecord[..], &sets].concat()).succeeds();
    let line = "wrote mind/train/train.mindrecord (40 rows)";
    assert!(ran.stdout.contains(line), "{}", ran.stdout);
    assert!(test.path("mind/train/train.mindrecord.db").is_file());
    assert!(!test.path("mind/schema.json").exists());
    for (from, to) in [
        ("out/train", "mind/train"),
        ("out/dev", "mind/dev"),
        ("out/corpus-prep", "mind/corpus-prep"),
    ] {
        test.replace("x.toml", from, to);
    }
    test.run(&["x.toml", "--until", "data-prep"]).succeeds();
    let after = ["train", "dev"].map(|split| store(&test, split));
    assert!(before == after);
}

#[test]
fn data_that_are_stale_are_not_exported() {
    let test = records();
    test.run(&["x.toml", "--until", "data-prep"]).succeeds();
    let refused = |sets: &[&str], why: &str, hint: &str| {
        test.run(&[&["export-data", "x.toml", "-o", "out"][..], sets].concat())
            .ends_with(2)
            .says("the data that `data-prep` prepared are stale")
            .says(why)
            .says(hint);
        assert!(!test.path("out").exists());
    };
    let hint = "run `tinyrun x.toml --until data-prep` with the same `--set` first";
    let length = ["--set", "task.max-seq-length=24"];
    refused(&length, "max-seq-length", hint);
    refused(
        &["--set", "task.train=data/dev.tf_record"],
        "dev.tf_record",
        hint,
    );
    fs::copy(
        test.path("data/dev.tf_record"),
        test.path("data/train.tf_record"),
    )
    .expect("copied");
    refused(
        &[],
        "train.tf_record",
        "run `tinyrun x.toml --until data-prep` first",
    );
}

#[test]
fn an_export_of_data_that_was_cut_off_does_not_stop_the_next() {
    let test = records();
    test.run(&["x.toml", "--until", "data-prep"]).succeeds();
    // As an interrupted export leaves it.
    test.write("out/.partial/train/.tmp-abc", "x");
    test.run(&["export-data", "x.toml", "-o", "out"]).succeeds();
    let mut found: Vec<_> = fs::read_dir(test.path("out"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    found.sort();
    assert_eq!(found, ["dev", "schema.json", "train"]);
    // A folder that cannot be written leaves nothing behind.
    test.write("file", "x");
    test.run(&["export-data", "x.toml", "-o", "file/out"])
        .ends_with(2)
        .says("cannot write `file/out");
}

/// What a dry run reports, without the places.
fn messages(test: &Test, sets: &[&str]) -> Vec<String> {
    let sets = sets.iter().flat_map(|set| ["--set", *set]);
    let arguments: Vec<&str> = ["x.toml", "--dry-run"].into_iter().chain(sets).collect();
    let said = test.run(&arguments).ends_with(2).stderr;
    let lines = said.lines();
    let is_said = |line: &&str| line.starts_with("error: ") || line.contains("= hint: ");
    lines
        .filter(is_said)
        .map(|line| line.trim_start_matches([' ', '=', '|']).to_owned())
        .collect()
}

#[test]
fn data_that_are_not_there_are_the_only_fault() {
    let test = records();
    fs::create_dir_all(test.path("splits/train")).expect("created");
    fs::create_dir_all(test.path("splits/dev")).expect("created");
    test.replace("x.toml", "dev = \"data/dev.tf_record\"", "dev = \"data\"");
    test.write("data/empty.tf_record", "");
    let packed = fixture("mindrecord/int32.mindrecord.gz");
    fs::copy(packed, test.path("data/packed.mindrecord")).expect("copied");
    for (set, expected) in [
        (
            "task.train=\"data/empty.tf_record\"",
            &["error: `data/empty.tf_record` is empty"][..],
        ),
        (
            "task.train=\"data/packed.mindrecord\"",
            &[
                "error: `data/packed.mindrecord` is a MindRecord file that was compressed",
                "hint: unpack it with `gunzip`",
            ],
        ),
        (
            "task.train=\"data/train.tf_recod\"",
            &[
                "error: `data/train.tf_recod` does not exist",
                "hint: did you mean `data/train.tf_record`?",
            ],
        ),
        (
            "task.train=\"data/*.nosuch\"",
            &["error: `data/*.nosuch` matches no file"],
        ),
        (
            "task.train=\"splits/*\"",
            &[
                "error: `splits/*` matches folders only",
                "hint: name the files in them: `splits/dev/*`",
            ],
        ),
        (
            "stages.general-distill.corpus=[\"data/corpus.tf_recod\"]",
            &[
                "error: `data/corpus.tf_recod` does not exist",
                "hint: did you mean `data/corpus.tf_record`?",
            ],
        ),
    ] {
        assert_eq!(messages(&test, &[set]), expected, "{set}");
    }
}

#[test]
fn a_folder_of_splits_and_a_database_are_named() {
    let test = records();
    fs::create_dir_all(test.path("splits/train")).expect("created");
    let found = messages(&test, &["task.train=\"splits\"", "task.format=tfrecord"]);
    assert_eq!(
        found,
        [
            "error: the folder `splits` has no file of records",
            "hint: it holds folders only: name one, such as `splits/train`",
        ]
    );
    test.run(&["x.toml", "--until", "data-prep"]).succeeds();
    let export = [
        "export-data",
        "x.toml",
        "--format",
        "mindrecord",
        "-o",
        "mind",
    ];
    test.run(&export).succeeds();
    let set = "task.train=\"mind/train/train.mindrecord.db\"";
    let found = messages(&test, &[set]);
    assert_eq!(
        found[..2],
        [
            "error: `mind/train/train.mindrecord.db` is the database beside a MindRecord file",
            "hint: name the file itself: `mind/train/train.mindrecord`",
        ]
    );
}

#[test]
fn no_command_that_reads_text_is_printed_for_a_model_without_a_tokenizer() {
    let test = records();
    let next = |test: &Test| {
        test.run(&["x.toml"])
            .succeeds()
            .stderr
            .contains("tinyrun predict")
    };
    assert!(next(&test));
    test.write_model("fake/model", &["0", "1"]);
    fs::remove_file(test.path("fake/model/vocab.txt")).expect("removed");
    test.replace("x.toml", "epochs = 1", "epochs = 2");
    assert!(!next(&test));
}
