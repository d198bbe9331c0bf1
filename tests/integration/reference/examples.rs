//! An example for every key of an experiment file, read by tinyrun in a test.

use tinyrun::experiment::Experiment;
use tinyrun::experiment::keys::{self, Fallback, Key};

/// TOML that sets a key of `path`, with its table's header.
pub(super) fn example(path: &str, key: &Key) -> String {
    // It says something in a table with a name of its own.
    if key.name == "kind" {
        return "[stages.td-phase2-hot]\nkind = \"td-phase2\"\n".to_owned();
    }
    let header = match path {
        "" => String::new(),
        path => format!("[{path}]\n"),
    };
    let value = value(path, key);
    // What the key depends on stands above it.
    let (above, beside) = beside(path, key.name);
    format!("{above}{header}{beside}{} = {value}\n", key.name)
}

/// A value that a reader may want; by default another word than the default, or the default.
#[expect(clippy::match_same_arms, reason = "a table, in the order of the keys")]
fn value(path: &str, key: &Key) -> String {
    let value = match (path, key.name) {
        ("", "name") => "\"sst2/first-try\"",
        (_, "seed") => "1",
        ("", "device") => "\"cuda:1\"",
        ("", "threads") => "4",
        ("", "ranks") => "2",
        ("", "watchdog-seconds") => "3600",
        ("task", "name") => "\"custom\"",
        ("task", "train") => "\"data/tickets-*.csv\"",
        ("task", "dev") => "\"data/tickets-dev.csv\"",
        ("task", "dev-mismatched") => "\"data/glue/MNLI/dev_mismatched.tsv\"",
        ("task", "dev-fraction") => "0.1",
        ("task", "schema") => "\"data/schema.json\"",
        (_, "corpus-schema") => "\"corpus/schema.json\"",
        ("task", "delimiter") => "\";\"",
        ("task", "text") => "\"message\"",
        ("task", "pair") => "\"reply\"",
        ("task", "label") => "\"team\"",
        ("task", "regression") => "true",
        ("task", "labels") => "[\"negative\", \"neutral\", \"positive\"]",
        ("teacher", "model") => "\"models/all-MiniLM-L6-v2\"",
        ("student", "model") => "\"models/TinyBERT_General_4L_312D\"",
        ("task", "unlabelled") => "[\"data/unlabelled/*.txt\", \"data/more.csv\"]",
        ("task", "teacher-predictions") => "\"data/answers.csv\"",
        (_, "unlabelled-limit") => "20000",
        (_, "unlabelled-share") => "0.5",
        ("student", "layers") => "[0, 2, 3, 5]",
        ("student", "projection") | (_, "initial-projection") => "\"models/fit_dense.safetensors\"",
        ("teacher", "vocab") => "\"models/vocab.txt\"",
        ("teacher", "num-attention-heads") => "12",
        ("teacher", "hidden-act") => "\"gelu\"",
        ("teacher", "layer-norm-eps") => "1e-12",
        ("teacher", "hidden-dropout-prob" | "attention-probs-dropout-prob") => "0.0",
        ("teacher", "max-position-embeddings") => "512",
        (_, "num-hidden-layers") => "6",
        (_, "hidden-size") => "768",
        (_, "intermediate-size") => "3072",
        (_, "vocab-size") => "30528",
        (_, "type-vocab-size") => "2",
        (_, "embedding-initializer-range" | "projection-initializer-range") => "0.01",
        ("student", "layer-map") => "\"top\"",
        ("student.layer-map", "attention") => "[2, 5, 8, 11]",
        ("student.layer-map", "hidden") => "[0, 3, 6, 9, 12]",
        (_, "epochs") => "5",
        (_, "batch-size") => "64",
        (_, "gradient-accumulation-steps" | "reduction-leaves") => "4",
        (_, "gradient-exchange") => "\"bf16\"",
        (_, "learning-rate") => "1e-4",
        (_, "end-learning-rate") => "1e-7",
        (_, "schedule") => "\"linear\"",
        (_, "power") => "2.0",
        (_, "warmup-proportion") => "0.06",
        (_, "warmup-steps") => "500",
        (_, "warmup-epochs") => "0.1",
        (_, "weight-decay-exempt") => "[\"bias\"]",
        (_, "max-grad-norm") => "0.5",
        (_, "loss-scale") => "1024.0",
        (_, "loss-scale-factor") => "4.0",
        (_, "loss-scale-window") => "200",
        (_, "train-limit") => "10000",
        (_, "window-passes") => "3",
        (_, "window-seed") => "1",
        (_, "short-seq-prob") => "0.1",
        (_, "masked-lm-prob") => "0.15",
        (_, "max-predictions-per-seq") => "20",
        (_, "whole-word-mask") => "true",
        (_, "log-interval") => "10",
        (_, "checkpoint-interval") => "1000",
        (_, "checkpoint-seconds") => "300",
        (_, "checkpoint-keep") => "5",
        (_, "prefetch") => "8",
        (_, "eval-interval") => "500",
        (_, "patience") => "3",
        (_, "attention-weight") => "0.5",
        (_, "hidden-weight") => "0.0",
        (_, "attention-layer-weights") => "[1.0, 1.0, 1.0, 2.0]",
        (_, "hidden-layer-weights") => "[0.0, 1.0, 1.0, 1.0, 1.0]",
        (_, "attention-loss") => "\"relations\"",
        (_, "relation-heads") => "24",
        (_, "relation-weights") => "[1.0, 1.0, 0.0]",
        (_, "keep-projection") => "false",
        (_, "corpus") => "[\"data/corpus/*.txt\"]",
        (_, "max-seq-length") => "64",
        (_, "gate") => "0.9",
        (_, "teacher-memory") => "50.0",
        (_, "temperature") => "2.0",
        (_, "hard-label-weight") => "0.5",
        (_, "soft-loss-weight") => "0.0",
        (_, "student") => "\"models/my-student\"",
        (_, "teacher") => "\"models/another-teacher\"",
        (_, "teachers") => "[\"finetune\", \"models/large\"]",
        (_, "teacher-weights") => "[2.0, 1.0]",
        (_, "teacher-mean") => "\"probabilities\"",
        _ => return other_than_default(path, key),
    };
    value.to_owned()
}

/// The first word that is not the default, or the other boolean.
fn other_than_default(path: &str, key: &Key) -> String {
    let default = match &key.default {
        Fallback::Value(value) => value,
        Fallback::Each(values) => values
            .iter()
            .find(|(stage, _)| path.ends_with(stage))
            .map_or("", |(_, value)| value.as_str()),
        Fallback::Required | Fallback::Words(_) => {
            panic!("give `{path}.{}` an example in {}", key.name, file!())
        }
    };
    match default {
        "true" => return "false".to_owned(),
        "false" => return "true".to_owned(),
        _ => {}
    }
    let words = key.kind.split('`').skip(1).step_by(2);
    let mut quoted = words.map(|word| format!("\"{word}\""));
    quoted
        .find(|word| word != default)
        .unwrap_or_else(|| default.to_owned())
}

/// Lines above the table, and keys in it, that an example needs to be read without a fault.
fn beside(path: &str, key: &str) -> (&'static str, &'static str) {
    match (path, key) {
        (
            "teacher",
            "vocab"
            | "num-attention-heads"
            | "hidden-act"
            | "layer-norm-eps"
            | "hidden-dropout-prob"
            | "attention-probs-dropout-prob"
            | "max-position-embeddings",
        ) => ("", "model = \"models/teacher.ckpt\"\n"),
        (_, "loss-scale" | "loss-scale-factor" | "loss-scale-window") => {
            ("precision = \"fp16\"\n\n", "")
        }
        ("task", "schema") => ("", "format = \"tfrecord\"\n"),
        (_, "corpus-schema") => ("", "corpus-format = \"tfrecord\"\n"),
        (
            _,
            "window-passes"
            | "window-seed"
            | "short-seq-prob"
            | "masked-lm-prob"
            | "max-predictions-per-seq"
            | "whole-word-mask",
        ) => ("", "windows = \"paragraphs\"\n"),
        (_, "unlabelled-limit" | "unlabelled-share") => {
            ("[task]\nunlabelled = [\"data/unlabelled.txt\"]\n\n", "")
        }
        ("student", "layers") => ("", "model = \"finetune\"\n"),
        (_, "relation-heads" | "relation-weights") => ("", "attention-loss = \"relations\"\n"),
        (_, "teacher-weights" | "teacher-mean") => {
            ("", "teachers = [\"finetune\", \"models/large\"]\n")
        }
        (_, "power") => ("", "schedule = \"polynomial\"\n"),
        ("stages.td-phase1", "end-learning-rate" | "decay-from") => ("", "schedule = \"linear\"\n"),
        ("student.layer-map", "attention") => ("", "hidden = [0, 3, 6, 9, 12]\n"),
        ("student.layer-map", "hidden") => ("", "attention = [2, 5, 8, 11]\n"),
        (_, "soft-loss-weight") => ("", "hard-label-weight = 1.0\n"),
        (_, "hard-label-weight") => ("", "soft-loss-weight = 0.5\n"),
        _ => ("", ""),
    }
}

/// An experiment with every stage, without what excludes one of its keys.
fn experiment(path: &str, key: &str) -> String {
    let (name, dev) = match (path, key) {
        ("task", "dev-fraction") => ("custom", ""),
        ("task", "dev-mismatched") => ("mnli", "dev = \"d\"\n"),
        _ => ("custom", "dev = \"d\"\n"),
    };
    format!(
        "[task]\nname = \"{name}\"\ntrain = \"t\"\n{dev}[teacher]\nmodel = \"m\"\n[student]\n\
         [stages.finetune]\n[stages.general-distill]\ncorpus = [\"c\"]\n[stages.td-phase1]\n\
         [stages.td-phase2]\n[stages.eval]\n"
    )
}

/// Keys of a table as `--set` takes them.
fn overrides(path: &str, table: &toml::Table, found: &mut Vec<String>) {
    for (key, value) in table {
        let whole = match path {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        match value {
            toml::Value::Table(inner) if whole != "student.layer-map" => {
                overrides(&whole, inner, found);
            }
            value => found.push(format!("{whole}={value}")),
        }
    }
}

#[test]
fn every_example_is_read_without_faults() {
    for table in keys::tables(tinyrun::kinds::KINDS) {
        for (path, key) in table
            .paths
            .iter()
            .flat_map(|path| table.keys.iter().map(move |key| (path.as_str(), key)))
        {
            let example = example(path, key);
            let mut sets = Vec::new();
            overrides("", &example.parse().expect("TOML"), &mut sets);
            let text = experiment(path, key.name);
            if let Err(faults) =
                Experiment::read(tinyrun::kinds::KINDS, "x.toml", "x", &text, &sets)
            {
                panic!("{sets:?}: {faults}");
            }
        }
    }
}
