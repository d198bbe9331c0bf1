//! The pipeline with models of other families: as teacher, as student, and beside a BERT.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tinyrun::model::{Weights, load_model};

use rustix::process::Signal;

use crate::chaos::results;
use crate::harness::Test;
use crate::pipeline::{dev_table, films, real, run};

const PHASE2: &str = "[stages.td-phase2]\nepochs = 12";

/// [`films`] with a model of the fixtures as the teacher.
pub(crate) fn films_of(fixture: &str) -> Test {
    let test = films();
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(fixture);
    fs::create_dir(test.path("given")).expect("created");
    for entry in fs::read_dir(from).expect("the fixture is there") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        fs::copy(&path, test.path("given").join(name)).expect("copied");
    }
    test.replace(
        "films.toml",
        "model = \"bert\"",
        "model = \"given\"\nclassifier = \"new\"",
    );
    test
}

fn config(test: &Test, stage: &str, file: &str) -> Value {
    serde_json::from_str(&test.read(&format!("runs/films/{stage}/model/{file}"))).expect("JSON")
}

/// Accuracy of the student on dev.
pub(crate) fn accuracy(test: &Test) -> f64 {
    let results = test.read("runs/films/results.csv");
    let mut rows = results.lines();
    let row = rows.find(|line| line.starts_with("eval,student,custom,dev,accuracy,"));
    let row = row.unwrap_or_else(|| panic!("no accuracy in\n{results}"));
    row.split(',')
        .nth(5)
        .expect("a value")
        .parse()
        .expect("a number")
}

#[test]
fn a_distilbert_teaches_a_distilbert() {
    let test = films_of("distilbert-tiny");
    let family = ["--set", "student.family=distilbert"];
    test.replace("films.toml", PHASE2, &PHASE2.replace("12", "30"));
    run(&test, &family).succeeds();
    assert!(accuracy(&test) > 0.9, "a tiny model learns this table");
    for stage in ["finetune", "td-phase2"] {
        let written = config(&test, stage, "config.json");
        assert_eq!(written["model_type"], "distilbert");
        assert_eq!(
            written["architectures"],
            json!(["DistilBertForSequenceClassification"])
        );
        for key in ["type_vocab_size", "layer_norm_eps", "hidden_size", "family"] {
            assert_eq!(written.get(key), None, "{stage}: {key}");
        }
        let weights = Weights::open(&test.path(&format!("runs/films/{stage}/model")));
        let weights = weights.expect("weights");
        assert!(weights.shape("pre_classifier.weight").is_some());
        assert!(weights.names().all(|name| !name.contains("bert.encoder")));
    }
    // A classifier comes with its first layer, and not before.
    let encoder = load_model(&test.path("runs/films/td-phase1/model")).expect("a model");
    assert!(!encoder.has_pooler && !encoder.has_classifier());
    // Nothing changed: nothing runs. Another family is another student.
    run(&test, &family).succeeds().ran(&[]);
    let plan = run(&test, &["--dry-run"]).succeeds().stdout;
    assert!(plan.contains("student.family"), "{plan}");
}

#[test]
fn a_pre_trained_distilbert_teaches_a_bert_to_tell_pairs_apart() {
    let test = films_of("distilbert-mlm");
    let table = test
        .read("data/films.tsv")
        .replace(" film was", " film\twas");
    test.write(
        "data/films.tsv",
        &table.replace("sentence\tlabel", "first\tsecond\tlabel"),
    );
    test.replace(
        "films.toml",
        "dev-fraction = 0.2",
        "dev-fraction = 0.2\ntext = \"first\"\npair = \"second\"\nlabel = \"label\"",
    );
    run(&test, &[]).succeeds();
    assert!(accuracy(&test) > 0.9, "a tiny model learns this table");
    let written = config(&test, "td-phase2", "config.json");
    assert_eq!(written["model_type"], "bert");
    assert_eq!(written["type_vocab_size"], 2);
    let inputs = |stage: &str| {
        let tokenizer = config(&test, stage, "tokenizer_config.json");
        tokenizer["model_input_names"].clone()
    };
    // The teacher's class of tokenizer leaves them out.
    let all = json!(["input_ids", "token_type_ids", "attention_mask"]);
    assert_eq!(inputs("td-phase2"), all);
    assert_eq!(inputs("finetune"), Value::Null);
}

#[test]
fn a_bert_teaches_a_distilbert() {
    let test = films();
    run(&test, &["--set", "student.family=distilbert"]).succeeds();
    assert!(accuracy(&test) > 0.9, "a tiny model learns this table");
    assert_eq!(config(&test, "td-phase2", "config.json")["n_layers"], 1);
    let tokenizer = config(&test, "td-phase2", "tokenizer_config.json");
    assert_eq!(
        tokenizer["model_input_names"],
        json!(["input_ids", "attention_mask"])
    );
}

#[test]
fn an_mpnet_teaches_an_mpnet_and_a_resumed_run_ends_in_the_same_bytes() {
    let family = ["--set", "student.family=mpnet", "--set", "threads=1"];
    let interval = "stages.td-phase2.checkpoint-interval=1";
    let sets = [&["films.toml"], &family[..], &["--set", interval]].concat();
    let test = films_of("mpnet-tiny");
    test.run_with(&sets, real).succeeds();
    assert!(accuracy(&test) > 0.9, "a tiny model learns this table");
    for stage in ["finetune", "td-phase2"] {
        let written = config(&test, stage, "config.json");
        assert_eq!(written["model_type"], "mpnet");
        let class = json!(["MPNetForSequenceClassification"]);
        assert_eq!(written["architectures"], class);
        assert_eq!(written["relative_attention_num_buckets"], 32);
        for key in ["type_vocab_size", "position_embedding_type", "family"] {
            assert_eq!(written.get(key), None, "{stage}: {key}");
        }
        let weights = Weights::open(&test.path(&format!("runs/films/{stage}/model")));
        let weights = weights.expect("weights");
        let table = "mpnet.encoder.relative_attention_bias.weight";
        assert!(weights.shape(table).is_some());
        assert!(weights.shape("classifier.out_proj.bias").is_some());
    }
    let broken = films_of("mpnet-tiny");
    let started = broken.start_with(&sets, real);
    broken.wait_for_checkpoint_of("td-phase2", 5);
    started.signal(Signal::KILL);
    started.wait();
    broken.run_with(&sets, real).succeeds();
    let [whole, resumed] = [&test, &broken].map(results);
    assert_eq!(whole, resumed);
}

#[test]
fn an_mpnet_teaches_a_bert_with_its_tokenizer() {
    let test = films_of("mpnet-tiny");
    test.replace("films.toml", PHASE2, &PHASE2.replace("12", "30"));
    run(&test, &[]).succeeds();
    assert!(accuracy(&test) > 0.9, "a tiny model learns this table");
    let written = config(&test, "td-phase2", "config.json");
    assert_eq!(
        (&written["model_type"], &written["pad_token_id"]),
        (&json!("bert"), &json!(1))
    );
    let tokenizer = config(&test, "td-phase2", "tokenizer_config.json");
    assert_eq!(tokenizer["tokenizer_class"], "MPNetTokenizer");
    run(
        &test,
        &[
            "--set",
            "student.family=mpnet",
            "--set",
            "student.max-position-embeddings=34",
        ],
    )
    .succeeds();
    // A student of padded inputs has two positions less than its table has rows.
    run(
        &test,
        &[
            "--set",
            "student.family=mpnet",
            "--set",
            "student.max-position-embeddings=17",
        ],
    )
    .ends_with(2)
    .says("exceeds the student's");
}

/// The films with an MPNet as the teacher, and the BERT that is there as the student's start.
fn own_vocabulary() -> Test {
    let test = films_of("mpnet-tiny");
    let start = test.read("films.toml");
    let (before, rest) = start.split_once("[student]").expect("a student");
    let (_, after) = rest.split_once("[stages.finetune]").expect("a stage");
    let student = "[student]\nmodel = \"bert\"\nlayers = [0, 2]\nlayer-map = { attention = [0, 2], hidden = [0, 1, 3] }\n\n";
    test.write(
        "films.toml",
        &format!("{before}{student}[stages.finetune]{after}"),
    );
    test
}

#[test]
fn a_student_keeps_its_own_vocabulary_under_a_teacher_with_the_same_words() {
    let test = own_vocabulary();
    run(&test, &["--dry-run"]).succeeds();
    run(&test, &[]).succeeds();
    assert!(accuracy(&test) > 0.9, "a tiny model learns this table");
    for stage in ["general-distill", "td-phase1", "td-phase2"] {
        let written = config(&test, stage, "config.json");
        assert_eq!(written["model_type"], "bert", "{stage}");
        let shape = [&written["vocab_size"], &written["pad_token_id"]];
        assert_eq!(shape, [&json!(64), &json!(0)], "{stage}");
        let vocabulary = test.read(&format!("runs/films/{stage}/model/vocab.txt"));
        assert_eq!(vocabulary, test.read("bert/vocab.txt"));
    }
    // By its own tokenizer it answers what it was scored on.
    let scored = test.read("runs/films/eval/predictions-student.csv");
    let texts = std::fs::read_to_string(dev_table(&test)).expect("the table");
    let texts: String = texts.lines().fold(String::new(), |all, line| {
        all + line.split('\t').next().expect("a text") + "\n"
    });
    test.write("texts.tsv", &texts);
    let arguments = ["predict", "runs/films/td-phase2/model", "texts.tsv"];
    let answers = test.run_with(&arguments, real).succeeds().stdout;
    let labels = |table: &str, column: &str| -> Vec<String> {
        let mut rows = csv::Reader::from_reader(table.as_bytes());
        let header = rows.headers().expect("a header").clone();
        let at = header.iter().position(|name| name == column);
        let at = at.unwrap_or_else(|| panic!("no {column} in {header:?}"));
        rows.records()
            .map(|row| row.expect("a row")[at].to_owned())
            .collect()
    };
    let (found, expected) = (labels(&answers, "label"), labels(&scored, "predicted"));
    assert!(found.len() > 40);
    assert_eq!(found, expected);
    run(&test, &[]).succeeds().ran(&[]);
}

/// The teacher of the small student is a student with a tokenizer of its own.
#[test]
fn a_student_under_a_student_has_the_tokenizer_that_cut_its_text() {
    let test = own_vocabulary();
    let small = "\n[stages.small]\nkind = \"td-phase2\"\nteacher = \"td-phase2\"\n\
                 student = \"random\"\nepochs = 12\nlearning-rate = 1e-3\n";
    let file = test.read("films.toml") + small;
    test.write("films.toml", &file);
    run(&test, &["--until", "small"]).succeeds();
    let read = |stage: &str, file: &str| test.read(&format!("runs/films/{stage}/model/{file}"));
    let [teachers, middle, own] =
        ["finetune", "td-phase2", "small"].map(|stage| read(stage, "vocab.txt"));
    assert_ne!(middle, teachers);
    assert_eq!(own, teachers);
    for key in ["vocab_size", "pad_token_id"] {
        let [teachers, own] =
            ["finetune", "small"].map(|stage| config(&test, stage, "config.json")[key].clone());
        assert_eq!(own, teachers, "{key}");
    }
}

/// Of the folder it has the shape alone.
#[test]
fn a_student_of_random_weights_has_the_teachers_vocabulary() {
    let test = own_vocabulary();
    run(&test, &["--set", "stages.general-distill.student=random"]).succeeds();
    assert!(accuracy(&test) > 0.9, "a tiny model learns this table");
    let teacher = config(&test, "finetune", "config.json");
    let written = config(&test, "td-phase2", "config.json");
    assert_eq!(written["model_type"], "bert");
    for key in ["vocab_size", "pad_token_id"] {
        assert_eq!(written[key], teacher[key], "{key}");
    }
    let [own, teachers] = ["td-phase2", "finetune"]
        .map(|stage| test.read(&format!("runs/films/{stage}/model/vocab.txt")));
    assert_eq!(own, teachers);
}

#[test]
fn a_students_vocabulary_that_cuts_otherwise_is_refused_at_its_key() {
    let test = own_vocabulary();
    let words = test.read("bert/vocab.txt");
    let settings = test.read("bert/tokenizer_config.json");
    fs::remove_file(test.path("bert/tokenizer.json")).expect("removed");
    let cased = settings.replace("\"do_lower_case\": true", "\"do_lower_case\": false");
    let fewer = words.replace("good\n", "goods\n");
    for (words, settings, why) in [
        (fewer, settings, "it lacks the token `good`"),
        (words, cased, "its normalizer is another one"),
    ] {
        test.write("bert/vocab.txt", &words);
        test.write("bert/tokenizer_config.json", &settings);
        let told = run(&test, &["--dry-run"]).ends_with(2);
        let sentence = "the tokenizer of `bert` splits text into other tokens than the teacher's";
        let told = told.says(sentence).says(why).says("films.toml");
        assert_eq!(told.stderr.matches("error:").count(), 1, "{}", told.stderr);
    }
}

/// Turns the films into pairs of texts.
pub(crate) fn in_pairs(test: &Test) {
    let table = test
        .read("data/films.tsv")
        .replace(" film was", " film\twas")
        .replace("sentence\tlabel", "first\tsecond\tlabel");
    test.write("data/films.tsv", &table);
    let columns = "dev-fraction = 0.2\ntext = \"first\"\npair = \"second\"\nlabel = \"label\"";
    test.replace("films.toml", "dev-fraction = 0.2", columns);
}

#[test]
fn a_students_vocabulary_of_its_own_is_refused_for_pairs() {
    let test = own_vocabulary();
    in_pairs(&test);
    run(&test, &["--dry-run"])
        .ends_with(2)
        .says("another number of tokens between the texts of a pair");
}

#[test]
fn a_bert_under_mpnets_tokenizer_is_refused_for_pairs_and_an_mpnet_is_not() {
    let test = films_of("mpnet-tiny");
    in_pairs(&test);
    run(&test, &["--dry-run"])
        .ends_with(2)
        .says("cannot mark the second text of a pair for a BERT student")
        .says("set `family = \"mpnet\"` in `[student]`");
    run(&test, &["--dry-run", "--set", "student.family=mpnet"]).succeeds();
}

#[test]
fn faults_of_a_distilberts_folder_have_its_own_names() {
    let test = films_of("distilbert-tiny");
    let change = |key: &str, value: Value| {
        let mut config: Value =
            serde_json::from_str(&test.read("given/config.json")).expect("JSON");
        config[key] = value;
        test.write("given/config.json", &config.to_string());
    };
    change("n_layers", json!(4));
    run(&test, &[])
        .ends_with(2)
        .says("`n_layers` is 4, the weights have 3")
        .says("`distilbert.transformer.layer.3.attention.k_lin.bias`");
    change("n_layers", json!(3));
    change("dim", json!(25));
    run(&test, &[])
        .ends_with(2)
        .says("is 25, expected a multiple of `n_heads`, which is 4");
    change("model_type", json!("roberta"));
    run(&test, &[])
        .ends_with(2)
        .says("`model_type` in `")
        .says("is `roberta`, expected one of `bert`, `distilbert` and `mpnet`");
}
