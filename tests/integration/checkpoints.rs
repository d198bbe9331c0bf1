//! Models that are checkpoints of MindSpore, with the script in the kernel's place.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::json;
use tinyrun::model::{Stated, WeightDtype, load_stated, write_safetensors};

use crate::harness::Test;

/// The experiment of the tests with a checkpoint as its teacher.
fn test() -> Test {
    let test = Test::new();
    for name in ["teacher-crc.ckpt", "general-distill.ckpt", "encrypted.ckpt"] {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/ckpt");
        fs::copy(fixtures.join(name), test.path(name)).expect("copied");
    }
    let mut words = fs::read_to_string(test.path("teacher/vocab.txt")).expect("words");
    // As many as the checkpoint has embeddings.
    for unused in words.lines().count()..20 {
        let _ = writeln!(words, "[unused{unused}]");
    }
    test.write("words.txt", &words);
    let beside = "model = \"teacher-crc.ckpt\"\nnum-attention-heads = 2\nvocab = \"words.txt\"";
    test.replace("x.toml", "model = \"teacher\"", beside);
    test.replace("x.toml", "[stages.finetune]\nepochs = 1\n", "");
    // The checkpoint has three classes and 16 positions.
    let table = "text\tlabel\ngood film\tpos\nbad film\tneg\nfilm\tnone\n";
    test.write("data/train.tsv", table)
        .write("data/dev.tsv", table);
    test
}

/// The plan's line of a stage.
fn line(plan: &str, stage: &str) -> String {
    let mut lines = plan.lines();
    let found = lines.find(|line| line.split_whitespace().nth(1) == Some(stage));
    found
        .unwrap_or_else(|| panic!("no `{stage}` in:\n{plan}"))
        .to_owned()
}

#[test]
fn a_checkpoint_is_a_teacher_and_what_is_stated_of_it_reaches_the_kernel() {
    let test = test();
    let plan = test.plan();
    assert_eq!(
        line(&plan, "teacher-crc.ckpt"),
        "model  teacher-crc.ckpt 2 layers, 8 wide, 2 heads, activation gelu_new, epsilon 1e-7"
    );
    test.run(&["x.toml"]).succeeds();
    for stage in ["general-distill", "td-phase1", "td-phase2"] {
        let teacher = &test.job(stage)["work"]["train"]["teacher"];
        let path = teacher["folder"]["path"].as_str().expect("a path");
        assert!(path.ends_with("teacher-crc.ckpt"), "{path}");
        assert_eq!(
            teacher["folder"]["stated"],
            json!({"num_attention_heads": 2})
        );
        if stage != "general-distill" {
            // Under recipe `paper`, whose own head is plain.
            assert_eq!(teacher["head"], "relu", "{stage}");
        }
    }
    let evaluated = &test.job("eval")["work"]["evaluate"]["models"][0];
    assert_eq!(
        evaluated["folder"]["stated"],
        json!({"num_attention_heads": 2})
    );
    assert_eq!(evaluated["head"], "relu");
    // The written students have the vocabulary beside them.
    let student = &test.job("td-phase2")["work"]["train"]["student"];
    assert!(
        student["tokenizer"]
            .as_str()
            .is_some_and(|path| path.ends_with("words.txt"))
    );
    assert!(!test.plan().contains("stale"), "{}", test.plan());
}

#[test]
fn every_stated_setting_re_runs_what_reads_the_checkpoint_and_nothing_else() {
    let test = test();
    test.run(&["x.toml"]).succeeds();
    for set in [
        "num-attention-heads=4",
        "hidden-act=gelu",
        "layer-norm-eps=1e-12",
        "hidden-dropout-prob=0",
        "attention-probs-dropout-prob=0.2",
    ] {
        let set = format!("teacher.{set}");
        let mut arguments = vec!["x.toml", "--dry-run", "--set", &set];
        if set.contains("heads") {
            // Attention is compared head by head.
            arguments.extend(["--set", "student.num-attention-heads=4"]);
        }
        let plan = test.run(&arguments).succeeds().stdout;
        for (stage, status) in [
            ("general-distill", "stale"),
            ("data-prep", "fresh"),
            ("corpus-prep", "fresh"),
        ] {
            assert!(line(&plan, stage).starts_with(status), "{set}:\n{plan}");
        }
    }
    // The name of the file does not count, its bytes do.
    fs::rename(test.path("teacher-crc.ckpt"), test.path("renamed.ckpt")).expect("renamed");
    test.replace("x.toml", "teacher-crc.ckpt", "renamed.ckpt");
    assert!(!test.plan().contains("stale"), "{}", test.plan());
}

#[test]
fn a_checkpoint_that_is_the_teacher_too_has_its_shape_and_dropouts_of_its_own() {
    for path in ["teacher-crc.ckpt", "./teacher-crc.ckpt"] {
        let test = test();
        let shape = "num-hidden-layers = 2\nhidden-size = 4\nintermediate-size = 8\n\
                     num-attention-heads = 2\nmax-position-embeddings = 32\n";
        let given = format!("model = \"{path}\"\nlayers = [1]\nhidden-dropout-prob = 0\n");
        test.replace("x.toml", shape, &given);
        test.run(&["x.toml"]).succeeds();
        let train = &test.job("general-distill")["work"]["train"];
        assert_eq!(
            train["student"]["weights"]["stated"],
            json!({"num_attention_heads": 2, "hidden_dropout_prob": 0.0, "layers": [1]})
        );
        assert_eq!(
            train["objective"]["intermediate"]["layer_map"],
            json!({"attention": [1], "hidden": [0, 2]})
        );
        // One file cannot have two numbers of heads.
        let other = [
            "x.toml",
            "--dry-run",
            "--set",
            "student.num-attention-heads=4",
        ];
        if path == "teacher-crc.ckpt" {
            test.run(&other)
                .ends_with(2)
                .says("is both a teacher and a student, with different settings");
        }
    }
}

#[test]
fn a_checkpoint_is_a_student() {
    let test = test();
    let shape = "num-hidden-layers = 2\nhidden-size = 4\nintermediate-size = 8\n\
                 num-attention-heads = 2\nmax-position-embeddings = 32\n";
    let given =
        "model = \"general-distill.ckpt\"\nnum-attention-heads = 2\nhidden-dropout-prob = 0\n";
    test.replace("x.toml", shape, given);
    test.run(&["x.toml"]).succeeds();
    let student = &test.job("general-distill")["work"]["train"]["student"];
    assert_eq!(
        student["weights"]["stated"],
        json!({"num_attention_heads": 2, "hidden_dropout_prob": 0.0})
    );
    assert_eq!(student["config"]["hidden_act"], "gelu_new");
    assert_eq!(student["config"]["hidden_dropout_prob"], 0.0);
    assert_eq!(student["config"]["attention_probs_dropout_prob"], 0.1);
    assert_eq!(student["head"], "relu");
    // Keys of the shape that its tensors have are refused all the same.
    test.run(&["x.toml", "--dry-run", "--set", "student.hidden-size=8"])
        .ends_with(2)
        .says("`model` and `hidden-size` in `[student]` cannot be combined");
    // The settings as resolved are those of the same experiment.
    let resolved = test.read("runs/x/experiment.toml");
    test.write("x.toml", &resolved);
    assert!(!test.plan().contains("stale"), "{}", test.plan());
}

#[test]
fn faults_of_a_checkpoint_are_told_before_anything_runs() {
    let test = test();
    let says = |sets: &[&str], text: &str| {
        let sets = sets.iter().flat_map(|set| ["--set", *set]);
        let arguments: Vec<&str> = ["x.toml", "--dry-run"].into_iter().chain(sets).collect();
        test.run(&arguments).ends_with(2).says(text);
    };
    says(
        &["teacher.num-attention-heads=3"],
        "is 8 wide, which is not a multiple of 3 attention heads",
    );
    says(
        &["teacher.max-position-embeddings=64"],
        "`max_position_embeddings` is 64, the weights have 16",
    );
    says(&["teacher.model=encrypted.ckpt"], "is encrypted (AES-GCM)");
    says(&["teacher.model=nowhere.ckpt"], "`nowhere.ckpt`");
    says(
        &["teacher.model=teacher"],
        "`model` and `num-attention-heads` in `[teacher]` cannot be combined",
    );
    says(&["teacher.vocab=nowhere.txt"], "`nowhere.txt`");
    test.write("other.txt", &test.read("teacher/vocab.txt"));
    says(
        &["teacher.vocab=other.txt"],
        "`other.txt` has 9 tokens, and the model's vocabulary has 20",
    );
    says(
        &["teacher.vocab=x.toml"],
        "the vocabulary of `x.toml` lacks the special token `[CLS]`",
    );
    let projection = ["student.projection=\"teacher/model.safetensors\""];
    says(&projection, "`model.safetensors` has no projection");
    let without = test.read("x.toml").replace("vocab = \"words.txt\"\n", "");
    test.write("without.toml", &without);
    test.run(&["without.toml", "--dry-run"])
        .ends_with(2)
        .says("checkpoint `teacher-crc.ckpt` has no tokenizer")
        .says("set `vocab` in `[teacher]`");
}

#[test]
fn a_given_projection_is_that_of_the_first_stage_and_a_later_one_has_its_own() {
    let test = test();
    for (name, value) in [("first.safetensors", 1_u8), ("second.safetensors", 2)] {
        let tensors = [
            ("fit_dense.weight", vec![8, 4]),
            ("fit_dense.bias", vec![8]),
        ];
        let tensors = tensors.map(|(name, shape)| {
            let bytes = vec![value; shape.iter().product::<usize>() * 4];
            (name, shape, bytes)
        });
        let metadata = std::collections::BTreeMap::new();
        write_safetensors(&test.path(name), WeightDtype::Fp32, tensors, &metadata)
            .expect("written");
    }
    let first = "student.projection=\"first.safetensors\"";
    let own = "stages.td-phase1.initial-projection=\"second.safetensors\"";
    let projection = |stage: &str, sets: &[&str]| {
        let sets = sets.iter().flat_map(|set| ["--set", *set]);
        let arguments: Vec<&str> = ["x.toml"].into_iter().chain(sets).collect();
        test.run(&arguments).succeeds();
        let path = test.job(stage)["work"]["train"]["student"]["projection"].clone();
        path.as_str()
            .map(|path| Path::new(path).file_name().expect("a name").to_owned())
    };
    assert_eq!(projection("general-distill", &[]), None);
    assert_eq!(
        projection("general-distill", &[first]),
        Some("first.safetensors".into())
    );
    // Its student is that of `general-distill`.
    assert_eq!(projection("td-phase1", &[first]), None);
    assert_eq!(
        projection("td-phase1", &[first, own]),
        Some("second.safetensors".into())
    );
    fs::copy(
        test.path("second.safetensors"),
        test.path("first.safetensors"),
    )
    .expect("copied");
    let plan = test
        .run(&["x.toml", "--dry-run", "--set", first])
        .succeeds()
        .stdout;
    assert!(
        line(&plan, "general-distill").starts_with("stale"),
        "{plan}"
    );
}

#[test]
fn a_checkpoint_without_a_vocabulary_predicts_nothing() {
    let test = test();
    test.write("rows.txt", "good film\n");
    let model = [
        "predict",
        "teacher-crc.ckpt",
        "rows.txt",
        "--num-attention-heads",
        "2",
    ];
    test.run(&model)
        .ends_with(2)
        .says("`teacher-crc.ckpt` has no tokenizer")
        .says("--vocab");
    test.run(&["export", "teacher", "--vocab", "words.txt", "-o", "out"])
        .ends_with(2)
        .says("`--vocab` beside `teacher`, which has a tokenizer")
        .says("remove `--vocab`");
    let export = ["export", "teacher-crc.ckpt", "--num-attention-heads", "2"];
    test.run(&[&export[..], &["-o", "folder"]].concat())
        .succeeds();
    test.write("rows.csv", "text\ngood film\n");
    let predict = ["predict", "folder", "rows.csv"];
    test.run(&predict)
        .ends_with(2)
        .says("`folder` has no tokenizer")
        .says("name its vocabulary with `--vocab FILE`");
    let named = [&predict[..], &["--vocab", "words.txt"]].concat();
    // The script in the kernel's place answers for two classes.
    let said = test.run(&named).stderr;
    assert!(!said.contains("tokenizer"), "{said}");
}

#[test]
fn a_vocabulary_on_the_command_line_is_that_of_the_model() {
    let test = test();
    test.write("other.txt", &test.read("teacher/vocab.txt"));
    for command in ["export", "predict"] {
        let model = [command, "teacher-crc.ckpt", "--num-attention-heads", "2"];
        let output = ["-o", "out"];
        for (vocab, message) in [
            ("nowhere.txt", "cannot read `nowhere.txt`: no such file"),
            ("teacher", "cannot read `teacher`: is a directory"),
            (
                "x.toml",
                "the vocabulary of `x.toml` lacks the special token",
            ),
            (
                "other.txt",
                "`other.txt` has 9 tokens, and the model's vocabulary has 20",
            ),
        ] {
            test.run(&[&model[..], &["--vocab", vocab], &output].concat())
                .ends_with(2)
                .says(message);
            assert!(!test.exists("out"), "{vocab}");
        }
    }
    // A folder without a tokenizer takes one too.
    fs::remove_file(test.path("teacher/vocab.txt")).expect("removed");
    test.run(&["export", "teacher", "--vocab", "other.txt", "-o", "out"])
        .succeeds();
    assert!(test.exists("out/vocab.txt"));
}

#[test]
fn a_model_that_is_not_there_is_said_to_be_missing() {
    let test = test();
    test.run(&[
        "export",
        "nosuch.ckpt",
        "--num-attention-heads",
        "2",
        "-o",
        "out",
    ])
    .ends_with(2)
    .says("checkpoint `nosuch.ckpt` does not exist");
    test.run(&["x.toml", "--dry-run", "--set", "teacher.model=nosuch.ckpt"])
        .ends_with(2)
        .says("`nosuch.ckpt` does not exist");
    // What TensorFlow calls a checkpoint is no file.
    test.write("google/bert_model.ckpt.index", "x");
    let prefix = "google/bert_model.ckpt";
    let set = format!("teacher.model={prefix}");
    for arguments in [
        ["export", prefix, "-o", "out"],
        ["x.toml", "--dry-run", "--set", &set],
    ] {
        test.run(&arguments)
            .ends_with(2)
            .says("`google/bert_model.ckpt` is the prefix of the files of a TensorFlow checkpoint")
            .says("name the folder that they are in: `google`");
    }
    test.run(&["export", "google", "-o", "out"])
        .ends_with(2)
        .says("`google/bert_config.json` does not exist")
        .says("copy the `bert_config.json`");
}

#[test]
fn every_format_prints_what_a_checkpoint_was_read_as_and_names_a_file_that_is_there() {
    let test = test();
    let export = |format: &str, output: &str| {
        let arguments = ["export", "teacher-crc.ckpt", "--num-attention-heads", "2"];
        test.run(&[&arguments[..], &["--format", format, "-o", output]].concat())
    };
    for (format, output) in [("onnx", "onnx"), ("mindspore", "ms.ckpt")] {
        let told = export(format, output).succeeds().stdout;
        let line = "read as 2 layers, 8 wide, 2 heads, activation gelu_new, epsilon 1e-7\n";
        assert!(told.ends_with(line), "{told}");
    }
    export("mindspore", "ms.ckpt")
        .ends_with(2)
        .says("the file `ms.ckpt` exists")
        .says("choose another name, or remove the file");
}

#[test]
fn a_model_that_transformers_computes_otherwise_has_a_note_and_no_example() {
    let test = test();
    let export = [
        "export",
        "teacher-crc.ckpt",
        "--num-attention-heads",
        "2",
        "-o",
        "out",
    ];
    let told = test.run(&export).succeeds().stdout;
    assert!(
        told.contains("note: `huggingface` computes it otherwise: the classifier reads `relu`"),
        "{told}"
    );
    let card = test.read("out/README.md");
    assert!(
        card.contains("`transformers` computes this model otherwise"),
        "{card}"
    );
    for absent in ["library_name", "pipeline", "```python"] {
        assert!(!card.contains(absent), "{absent} in\n{card}");
    }
}

#[test]
fn a_model_with_relative_positions_has_a_note_of_them() {
    let test = test();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mindspore-run/relative");
    fs::copy(fixtures.join("teacher.ckpt"), test.path("relative.ckpt")).expect("copied");
    let told = test.run(&["export", "relative.ckpt", "-o", "out"]);
    let note = "the model has the relative positions of MindSpore's BERT, with which `transformers` does \
                not open it";
    let told = told.succeeds().stdout;
    assert!(told.contains(note), "{told}");
    // 24 wide, and 12 numbers to a position.
    assert!(
        told.contains("read as 4 layers, 24 wide, 2 heads"),
        "{told}"
    );
    let card = test.read("out/README.md");
    assert!(card.contains(note), "{card}");
    assert!(!card.contains("--format onnx"), "{card}");
    test.run(&["export", "relative.ckpt", "--format", "onnx", "-o", "onnx"])
        .ends_with(2)
        .says("relative positions");
}

#[test]
fn an_exported_checkpoint_has_what_was_implied_in_its_config() {
    let test = test();
    let export = [
        "export",
        "teacher-crc.ckpt",
        "--num-attention-heads",
        "2",
        "-o",
        "out",
    ];
    let told = test.run(&export).succeeds().stdout;
    assert_eq!(
        told,
        "wrote out\n\
         note: `huggingface` computes it otherwise: the classifier reads `relu` of the pooled output \
         (`tinyrun_head` in `config.json`), that of `transformers` does not\n\
         read as 2 layers, 8 wide, 2 heads, activation gelu_new, epsilon 1e-7\n\
         forward check: logits of 4 rows differ by at most 0e0\n"
    );
    let config: serde_json::Value =
        serde_json::from_str(&test.read("out/config.json")).expect("JSON");
    assert_eq!(config["hidden_act"], "gelu_new");
    assert_eq!(config["layer_norm_eps"], 1e-7);
    assert_eq!(config["num_attention_heads"], 2);
    assert_eq!(config["tinyrun_head"], "relu");
    assert!(!test.exists("out/vocab.txt"));
    let vocab = [&export[..4], &["--vocab", "words.txt", "-o", "with"]].concat();
    test.run(&vocab).succeeds();
    assert_eq!(test.read("with/vocab.txt"), test.read("words.txt"));
}

#[test]
fn a_model_goes_to_mindspore_and_back() {
    let test = test();
    let heads = ["--num-attention-heads", "2"];
    let stated = Stated {
        num_attention_heads: Some(2),
        ..Stated::default()
    };
    for (from, marks) in [
        (
            "teacher-crc.ckpt",
            ["bert.bert.bert_encoder", "bert.dense_1."],
        ),
        (
            "general-distill.ckpt",
            ["bert.tinybert_encoder", "bert.dense."],
        ),
    ] {
        for dtype in ["fp32", "fp16", "bf16"] {
            let to = format!("{dtype}-{from}");
            let export = [
                "export",
                from,
                "--format",
                "mindspore",
                "--dtype",
                dtype,
                "-o",
                &to,
            ];
            test.run(&[&export[..], &heads].concat()).succeeds();
            let [before, after] =
                [from, &to].map(|name| load_stated(&test.path(name), &stated).expect("a model"));
            assert_eq!(before.weights.shapes(), after.weights.shapes());
            let bytes = fs::read(test.path(&to)).expect("read");
            for mark in marks {
                assert!(
                    bytes
                        .windows(mark.len())
                        .any(|part| part == mark.as_bytes()),
                    "{to}: {mark}"
                );
            }
            for name in before.weights.names() {
                let [before, after] =
                    [&before, &after].map(|model| model.weights.to_f32(name).expect("numbers"));
                let limit = if dtype == "fp32" { 0.0 } else { 0.01 };
                let pairs = before.iter().zip(&after);
                let worst = pairs
                    .map(|(before, after)| (before - after).abs())
                    .fold(0.0, f32::max);
                assert!(worst <= limit, "{to} {name}: {worst}");
            }
        }
    }
    let into = [
        "export",
        "teacher-crc.ckpt",
        "--format",
        "mindspore",
        "-o",
        "folder",
    ];
    test.run(&[&into[..], &heads].concat()).succeeds();
    assert!(test.exists("folder/student.ckpt") && test.exists("folder/config.json"));
    assert!(test.read("folder/README.md").contains("load_checkpoint"));
    // What MindSpore would compute otherwise is told.
    test.write_model("plain", &["a", "b", "c"]);
    let plain = [
        "export",
        "plain",
        "--format",
        "mindspore",
        "-o",
        "plain.ckpt",
    ];
    let told = test.run(&plain).succeeds().stdout;
    for part in ["tanh", "epsilon of 1e-7", "`relu`"] {
        assert!(told.contains(part), "{told}");
    }
    test.run(&plain).ends_with(2).says("`plain.ckpt` exists");
}

#[test]
fn a_tensorflow_checkpoint_is_a_model_folder() {
    let test = Test::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tensorflow/fine-tuned");
    fs::create_dir(test.path("google")).expect("created");
    for entry in fs::read_dir(fixtures).expect("listed") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        fs::copy(&path, test.path(&format!("google/{name}"))).expect("copied");
    }
    fs::copy(
        test.path("teacher/vocab.txt"),
        test.path("google/vocab.txt"),
    )
    .expect("copied");
    test.replace("x.toml", "model = \"teacher\"", "model = \"google\"");
    let table = "text\tlabel\ngood film\tpos\nbad film\tneg\nfilm\tnone\n";
    test.write("data/train.tsv", table)
        .write("data/dev.tsv", table);
    test.run(&["x.toml"]).succeeds();
    assert!(!test.plan().contains("stale"));
    // Each of its files counts.
    let data = "google/model.ckpt-100.data-00001-of-00003";
    let bytes = fs::read(test.path(data)).expect("read");
    fs::write(test.path(data), [&bytes[..], &[0]].concat()).expect("written");
    assert!(line(&test.plan(), "finetune").starts_with("stale"));
    test.run(&["export", "google", "-o", "out"]).succeeds();
    let config: serde_json::Value =
        serde_json::from_str(&test.read("out/config.json")).expect("JSON");
    assert_eq!(config["hidden_act"], "gelu");
    assert_eq!(config["layer_norm_eps"], 1e-12);
    let [before, after] = ["google", "out"]
        .map(|name| load_stated(&test.path(name), &Stated::default()).expect("a model"));
    for name in before.weights.names() {
        let [before, after] =
            [&before, &after].map(|model| model.weights.to_f32(name).expect("numbers"));
        assert_eq!(before, after, "{name}");
    }
}
