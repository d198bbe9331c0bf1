//! No dead knob: every documented key changes what is run and what the kernel is told, or says
//! that it re-runs nothing and changes what the kernel is told.

use std::collections::BTreeMap;

use serde_json::Value;
use tinyrun::experiment::keys::{self, Key};

use crate::harness::{STAGES, Test};

/// Another value for a key than that of the experiment of the tests. A new key without one fails
/// the test.
#[expect(clippy::match_same_arms, reason = "a table, in the order of the keys")]
fn other_value(path: &str, key: &str) -> Option<&'static str> {
    Some(match (path, key) {
        ("", "recipe") => "huawei",
        ("", "seed") => "7",
        (_, "seed") => "8",
        ("", "device") => "cpu",
        ("", "precision") => "fp32",
        ("", "threads") => "1",
        ("", "ranks") => "2",
        ("task", "train") => "data/other.tsv",
        ("task", "unlabelled") => "[\"data/other.tsv\"]",
        ("task", "teacher-predictions") => "data/answers.tsv",
        (_, "unlabelled-limit") => "1",
        (_, "unlabelled-share") => "0.5",
        ("task", "dev") => "data/other.tsv",
        ("task", "text") => "other",
        ("task", "pair") => "other",
        ("task", "label") => "mark",
        ("task", "labels") => "[\"pos\", \"neg\"]",
        ("task", "max-seq-length") => "3",
        ("teacher", "model") => "other",
        (_, "head") => "relu",
        ("teacher", "classifier") => "new",
        (_, "dtype") => "bf16",
        (_, "vocab-size") => "70",
        (_, "type-vocab-size") => "3",
        (_, "use-relative-positions" | "train-padding") => "true",
        (_, "hidden-size") => "6",
        (_, "intermediate-size") => "9",
        (_, "hidden-act") => "relu",
        (_, "hidden-dropout-prob") => "0.3",
        (_, "attention-probs-dropout-prob") => "0.3",
        (_, "max-position-embeddings") => "48",
        (_, "initializer-range") => "0.3",
        (_, "layer-norm-eps") => "1e-5",
        (_, "initializer") => "truncated-normal",
        (_, "embedding-initializer-range") => "0.3",
        (_, "projection-initializer-range") => "0.3",
        (_, "layer-map") => "{ attention = [1, 0], hidden = [0, 1, 1] }",
        (_, "epochs") => "9",
        (_, "batch-size") => "16",
        (_, "gradient-accumulation-steps" | "reduction-leaves") => "2",
        (_, "gradient-exchange") => "bf16",
        (_, "learning-rate") => "0.5",
        (_, "end-learning-rate") => "1e-9",
        (_, "schedule") if path == "stages.td-phase1" => "linear",
        (_, "schedule") => "constant",
        (_, "power") => "2",
        (_, "warmup-proportion") => "0.5",
        (_, "warmup-steps") => "3",
        (_, "warmup-epochs") => "0.5",
        (_, "decay-from") => "start",
        ("stages.finetune", "optimizer") => "bert-adam",
        (_, "optimizer") => "adamw",
        (_, "adam-beta1" | "adam-beta2") => "0.5",
        (_, "adam-epsilon") => "0.5",
        (_, "weight-decay") => "0.5",
        (_, "weight-decay-exempt") => "[\"bias\"]",
        (_, "clipping") => "global",
        (_, "max-grad-norm") => "0.5",
        (_, "loss-scale" | "loss-scale-factor") => "4",
        (_, "loss-scale-window") => "7",
        (_, "shuffle") => "false",
        (_, "drop-last") => "true",
        (_, "pad-to") => "max-seq-length",
        (_, "train-limit") => "1",
        (_, "prefetch") => "7",
        (_, "log-interval" | "checkpoint-interval" | "checkpoint-seconds" | "checkpoint-keep") => {
            "7"
        }
        (_, "eval-interval") => "7",
        (_, "patience") => "2",
        (_, "keep") => "last",
        (_, "attention-weight" | "hidden-weight") => "0.5",
        (_, "attention-layer-weights") => "[1, 0.5]",
        (_, "hidden-layer-weights") => "[1, 0.5, 0]",
        (_, "projection") => "per-layer",
        (_, "keep-projection") => "false",
        (_, "reduction") => "block",
        (_, "hidden-loss") => "cosine",
        (_, "attention-loss") => "relations",
        (_, "relation-heads") => "1",
        (_, "relation-weights") => "[1, 1, 0]",
        (_, "teacher-dropout") => "true",
        (_, "corpus") => "[\"data/corpus/a.txt\"]",
        ("stages.general-distill", "max-seq-length") => "3",
        (_, "long-lines") => "truncate",
        (_, "windows") => "sentences",
        (_, "window-passes") => "2",
        (_, "window-seed") => "9",
        (_, "short-seq-prob") => "0.5",
        (_, "masked-lm-prob") => "0.5",
        (_, "max-predictions-per-seq") => "3",
        (_, "whole-word-mask") => "true",
        (_, "gate") => "0.3",
        (_, "teacher-memory") => "0.5",
        (_, "teachers") => "[\"finetune\", \"./classifier\"]",
        (_, "teacher-weights") => "[1, 3]",
        (_, "teacher-mean") => "probabilities",
        (_, "regression-target") => "labels",
        (_, "temperature") => "2",
        (_, "soft-loss-reduction") => "batch",
        (_, "soft-loss-weight" | "hard-label-weight") => "0.5",
        ("stages.general-distill", "student") => "./other",
        ("stages.td-phase1" | "stages.td-phase2", "student") => "./other",
        ("stages.eval", "student") => "./classifier",
        ("stages.td-phase2" | "stages.eval", "teacher") => "./classifier",
        (_, "teacher") => "./other",
        _ => return None,
    })
}

/// Keys that cannot be changed by themselves, with what must be said beside them.
fn beside(path: &str, key: &str) -> Vec<String> {
    let stage = |rest: &str| format!("{path}.{rest}");
    match (path, key) {
        // Of a regression only.
        (_, "regression-target") => ["task.regression=true", "task.label=mark"]
            .map(str::to_owned)
            .to_vec(),
        (_, "teacher-weights" | "teacher-mean") => {
            vec![stage("teachers=[\"finetune\", \"./classifier\"]")]
        }
        (_, "power") => vec![stage("schedule=polynomial")],
        (_, "relation-heads" | "relation-weights") => vec![stage("attention-loss=relations")],
        (_, "unlabelled-limit" | "unlabelled-share") => {
            vec!["task.unlabelled=[\"data/other.tsv\"]".to_owned()]
        }
        (
            _,
            "window-passes"
            | "window-seed"
            | "short-seq-prob"
            | "masked-lm-prob"
            | "max-predictions-per-seq"
            | "whole-word-mask",
        ) => vec![stage("windows=sentences")],
        (_, "loss-scale" | "loss-scale-factor" | "loss-scale-window") => {
            vec!["precision=fp16".to_owned()]
        }
        // A constant schedule has no end and no decay.
        ("stages.td-phase1", "end-learning-rate" | "decay-from") => {
            vec![stage("schedule=polynomial"), stage("power=3")]
        }
        _ => Vec::new(),
    }
}

/// Keys that this test leaves to others: what they change is a choice between tables, or is
/// checked where the tables are read.
const ELSEWHERE: [(&str, &str); 31] = [
    // No business of the kernel; `exports.rs` tests them.
    ("stages.export", "format"),
    ("stages.export", "dtype"),
    ("stages.export", "student"),
    // The runner's own; `faults.rs` tests it.
    ("", "watchdog-seconds"),
    ("", "name"),
    ("task", "name"),
    ("task", "dev-fraction"),
    ("task", "dev-mismatched"),
    // Of records; `records.rs` tests them.
    ("task", "schema"),
    ("stages.general-distill", "corpus-format"),
    ("stages.general-distill", "corpus-schema"),
    ("task", "format"),
    ("task", "delimiter"),
    ("task", "quoting"),
    ("task", "escape"),
    ("task", "regression"),
    // Must fit the teacher; `models.rs` tests it.
    ("student", "num-attention-heads"),
    // A layer fewer needs another layer map; excluded together with the shape.
    ("student", "num-hidden-layers"),
    ("student", "model"),
    // Of a given model; `students.rs` tests it.
    ("student", "layers"),
    // The kernel translates names and keys of a folder; `families.rs` tests it.
    ("student", "family"),
    // Beside a checkpoint only, or a file; `checkpoints.rs` tests them.
    ("teacher", "vocab"),
    ("teacher", "num-attention-heads"),
    ("teacher", "hidden-act"),
    ("teacher", "layer-norm-eps"),
    ("teacher", "hidden-dropout-prob"),
    ("teacher", "attention-probs-dropout-prob"),
    ("teacher", "max-position-embeddings"),
    ("student", "projection"),
    ("stages.general-distill", "initial-projection"),
    ("stages.td-phase1", "initial-projection"),
];

/// Jobs by stage, without what every change of a fingerprint changes: names of folders.
fn jobs(test: &Test) -> BTreeMap<&'static str, Value> {
    let stages = STAGES.into_iter().filter(|stage| !stage.ends_with("prep"));
    let jobs = stages.map(|stage| {
        let mut job = test.job(stage);
        hide_folders(&mut job);
        (stage, job)
    });
    jobs.collect()
}

fn hide_folders(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.remove("fingerprint");
            object.values_mut().for_each(hide_folders);
        }
        Value::Array(list) => list.iter_mut().for_each(hide_folders),
        Value::String(text) if text.contains("runs/") => *value = Value::Null,
        _ => {}
    }
}

/// Every job of a run in which the kernel does all its stages.
fn jobs_with(test: &Test, sets: &[String]) -> BTreeMap<&'static str, Value> {
    let mut arguments = arguments(sets);
    for stage in STAGES.iter().filter(|stage| !stage.ends_with("prep")) {
        arguments.extend(["--force", stage]);
    }
    test.run(&arguments).succeeds();
    jobs(test)
}

fn arguments(sets: &[String]) -> Vec<&str> {
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    std::iter::once("x.toml").chain(sets).collect()
}

#[test]
fn every_documented_key_changes_what_is_run_and_what_the_kernel_is_told() {
    let test = Test::new();
    let table = "text\tother\tmark\tlabel\n\
                 good film\tbad\t1\tpos\nbad film\tgood\t2\tneg\n";
    test.write("data/train.tsv", table)
        .write("data/dev.tsv", table)
        .write("data/other.tsv", &table.replace("good film", "a good film"));
    test.write("data/answers.tsv", table);
    test.write_teacher("other");
    test.write_model("classifier", &["neg", "pos"]);
    let before = jobs_with(&test, &[]);
    // A recipe comes last: what it makes would be found again by keys that do a part of it.
    let mut keys: Vec<(&str, &Key)> = Vec::new();
    let tables = keys::tables(tinyrun::kinds::KINDS);
    for table in &tables {
        let paths = table
            .paths
            .iter()
            .filter(|path| *path != "student.layer-map");
        keys.extend(paths.flat_map(|path| {
            let keys = table.keys.iter();
            keys.map(move |key| (path.as_str(), key))
        }));
    }
    keys.sort_by_key(|(_, key)| key.name == "recipe");
    for (path, key) in keys {
        // `kinds.rs` tests the key of every stage.
        if key.name != "kind" && !ELSEWHERE.contains(&(path, key.name)) {
            look_at(&test, &before, path, key);
        }
    }
}

/// One key at another value: its plan, and what the kernel is told.
fn look_at(test: &Test, before: &BTreeMap<&'static str, Value>, path: &str, key: &Key) {
    let whole = match path {
        "" => key.name.to_owned(),
        path => format!("{path}.{}", key.name),
    };
    let value = other_value(path, key.name)
        .unwrap_or_else(|| panic!("`{whole}` needs another value in this test"));
    let mut sets = beside(path, key.name);
    let base = if sets.is_empty() {
        before.clone()
    } else {
        jobs_with(test, &sets)
    };
    sets.push(format!("{whole}={value}"));
    let counts = !key.meaning.contains("Changing it does not re-run stages");
    let dry = [&arguments(&sets)[..], &["--dry-run"]].concat();
    let plan = test.run(&dry).succeeds().stdout;
    let is_stale = |stage: &str| {
        let mut words = plan.lines().map(str::split_whitespace);
        words.any(|mut words| words.next() == Some("stale") && words.next() == Some(stage))
    };
    let reruns = STAGES.into_iter().any(is_stale);
    assert_eq!(reruns, counts, "`{whole}={value}`:\n{plan}");
    // What prepares data is no kernel's business.
    let windows = beside(path, key.name)
        .iter()
        .any(|set| set.contains("windows="));
    let prepares =
        path == "task" || windows || ["corpus", "long-lines", "windows"].contains(&key.name);
    if prepares || (path, key.name) == ("stages.general-distill", "max-seq-length") {
        return;
    }
    let told = jobs_with(test, &sets);
    assert!(told != base, "`{whole}={value}` tells the kernel nothing");
    // A recipe is many keys, and parts of it were run before it.
    for (stage, job) in told.iter().filter(|_| counts && key.name != "recipe") {
        // Phase 1 asks the teacher's head at its gate only.
        let only_the_gate = (whole.as_str(), *stage) == ("teacher.head", "td-phase1");
        assert!(
            base[stage] == *job || is_stale(stage) || only_the_gate,
            "`{whole}={value}` changes the job of {stage} and not its fingerprint:\n{plan}"
        );
    }
}
