//! What configurations come to.

mod seed;

use super::*;
use crate::experiment::{Experiment, settings_of};
use crate::kinds::KINDS;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/mindspore-config");

fn file(name: &str) -> Source {
    let text = std::fs::read_to_string(format!("{FOLDER}/{name}")).expect("a fixture");
    Source {
        name: name.to_owned(),
        text,
    }
}

fn given(names: &[&str], flags: &[&str]) -> Given {
    Given {
        files: names.iter().map(|name| file(name)).collect(),
        flags: flags.iter().map(ToString::to_string).collect(),
        device_num: None,
    }
}

/// The file, and what this version's reader makes of it.
fn written(given: &Given) -> (String, std::collections::BTreeMap<String, String>) {
    let text = from_mindspore(KINDS, given).unwrap_or_else(|faults| panic!("{faults}"));
    let read = Experiment::read(KINDS, "x.toml", "x", &text, &[]);
    let (experiment, _) = read.unwrap_or_else(|faults| panic!("{faults}\n{text}"));
    (text, settings_of(&experiment))
}

fn faults(given: &Given) -> String {
    from_mindspore(KINDS, given).unwrap_err().to_string()
}

/// A configuration with one line replaced.
fn replaced(name: &str, from: &str, to: &str) -> Source {
    let file = file(name);
    assert!(file.text.contains(from), "{from}");
    Source {
        text: file.text.replacen(from, to, 1),
        ..file
    }
}

#[test]
fn yaml_of_both_programs_gives_an_experiment_with_its_values() {
    let (text, found) = written(&given(&["gd_config.yaml", "td_config_qnli.yaml"], &[]));
    for (key, value) in [
        ("recipe", "\"mindspore\""),
        ("device", "\"auto\""),
        ("precision", "\"fp32\""),
        ("task.name", "\"qnli\""),
        ("task.train", "\"data/qnli/train\""),
        ("task.dev", "\"data/qnli/dev\""),
        ("task.max-seq-length", "80"),
        ("teacher.model", "\"checkpoints/bert-qnli.ckpt\""),
        ("student.num-hidden-layers", "6"),
        ("student.hidden-size", "324"),
        ("student.intermediate-size", "1280"),
        ("student.num-attention-heads", "12"),
        ("student.hidden-act", "\"gelu_new\""),
        ("student.hidden-dropout-prob", "0.05"),
        ("student.attention-probs-dropout-prob", "0.2"),
        ("student.max-position-embeddings", "256"),
        ("student.initializer-range", "0.03"),
        ("student.use-relative-positions", "true"),
        ("stages.general-distill.corpus", "[\"data/wiki-96\"]"),
        ("stages.general-distill.max-seq-length", "96"),
        (
            "stages.general-distill.teacher",
            "\"checkpoints/bert-base.ckpt\"",
        ),
        ("stages.general-distill.epochs", "5"),
        // 16 times 4 devices.
        ("stages.general-distill.batch-size", "64"),
        // Several devices shuffle.
        ("stages.general-distill.shuffle", "true"),
        ("stages.general-distill.learning-rate", "4e-5"),
        ("stages.general-distill.end-learning-rate", "1e-13"),
        ("stages.general-distill.schedule", "\"polynomial\""),
        ("stages.general-distill.power", "2.0"),
        ("stages.general-distill.weight-decay", "0.0002"),
        ("stages.general-distill.adam-epsilon", "2e-6"),
        (
            "stages.general-distill.weight-decay-exempt",
            "[\"layernorm\", \"bias\", \"embedding\"]",
        ),
        ("stages.general-distill.checkpoint-interval", "200"),
        ("stages.general-distill.checkpoint-keep", "3"),
        ("stages.td-phase1.seed", "123"),
        ("stages.td-phase1.epochs", "7"),
        ("stages.td-phase1.batch-size", "24"),
        ("stages.td-phase1.learning-rate", "6e-5"),
        ("stages.td-phase1.end-learning-rate", "0.0"),
        ("stages.td-phase1.shuffle", "true"),
        ("stages.td-phase2.epochs", "2"),
        ("stages.td-phase2.batch-size", "48"),
        ("stages.td-phase2.end-learning-rate", "1e-14"),
        (
            "stages.td-phase2.weight-decay-exempt",
            "[\"bias\", \"LayerNorm\"]",
        ),
        ("stages.eval.batch-size", "64"),
    ] {
        let value_of = |text: &str| format!("x = {text}").parse::<toml::Table>().expect("TOML");
        let is = found.get(key).map(|is| value_of(is));
        assert_eq!(is, Some(value_of(value)), "{key}\n{text}");
    }
}

#[test]
fn keys_of_formats_and_checkpoints_are_written_as_the_reader_takes_them() {
    let (text, _) = written(&given(&["gd_config.yaml", "td_config_qnli.yaml"], &[]));
    for line in [
        "corpus-format = \"tfrecord\" # gd_config.yaml:22 dataset_type",
        "corpus-schema = \"data/wiki-96/schema.json\" # gd_config.yaml:21 schema_dir",
        "format = \"mindrecord\" # td_config_qnli.yaml:25 dataset_type",
        "# td_config_qnli.yaml:23 schema_dir: a MindRecord file holds its own schema",
        "num-attention-heads = 12 # td_config_qnli.yaml:70 num_attention_heads",
        "max-position-embeddings = 512 # td_config_qnli.yaml:75 max_position_embeddings",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn values_of_the_recipe_are_comments_and_the_rest_is_listed_with_a_reason() {
    let (text, _) = written(&given(&["gd_config.yaml", "td_config_qnli.yaml"], &[]));
    for line in [
        "# weight-decay = 0.0001 # td_config_qnli.yaml:44 weight_decay",
        "# hidden-act = \"gelu_new\" # gd_config.yaml:61 hidden_act, GELU by its tanh formula",
        "# gd_config.yaml:16 enable_data_sink: epochs are those of `epoch_size`; steps of a data \
         sink change nothing here",
        "# td_config_qnli.yaml:31 seed2: one seed per stage draws weights and order",
        "# td_config_qnli.yaml:32 colour: unknown to tinyrun",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn python_of_release_1_2_gives_the_same_keys_and_flags_give_the_rest() {
    let flags = [
        "epoch_size=4",
        "gd.data_dir=data/wiki",
        "td.load_teacher_ckpt_path=bert-sst2.ckpt",
        "gd.load_teacher_ckpt_path=bert.ckpt",
        "--task_name=SST-2",
        "td.train_data_dir=\"data/sst-2/train\"",
        "do_eval=false",
    ];
    let (text, found) = written(&given(&["gd_config.py", "td_config.py"], &flags));
    for (key, value) in [
        ("task.name", "\"sst-2\""),
        ("task.train", "\"data/sst-2/train\""),
        ("task.dev", "\"data/dev\""),
        ("task.max-seq-length", "80"),
        ("teacher.model", "\"bert-sst2.ckpt\""),
        ("student.hidden-size", "324"),
        ("student.intermediate-size", "1296"),
        ("student.vocab-size", "21128"),
        ("stages.general-distill.corpus", "[\"data/wiki\"]"),
        ("stages.general-distill.teacher", "\"bert.ckpt\""),
        ("stages.general-distill.epochs", "4"),
        ("stages.general-distill.batch-size", "16"),
        ("stages.general-distill.weight-decay", "0.0002"),
        ("stages.td-phase1.batch-size", "24"),
        // The recipe's, which no flag replaces.
        ("stages.td-phase1.epochs", "10"),
        ("stages.td-phase2.batch-size", "48"),
        ("stages.td-phase2.keep", "\"last\""),
    ] {
        assert_eq!(
            found.get(key).map(String::as_str),
            Some(value),
            "{key}\n{text}"
        );
    }
    assert!(!found.contains_key("stages.eval.batch-size"), "{text}");
    assert!(text.contains("dev = \"data/dev\" # replace it: `eval_data_dir` is empty"));
    assert!(
        text.contains("decay_filter: a function is not read"),
        "{text}"
    );
}

#[test]
fn one_program_alone_is_an_experiment_with_places_to_fill_in() {
    let (text, found) = written(&given(&["gd_config.yaml"], &[]));
    assert!(found.contains_key("stages.general-distill.epochs"));
    assert_eq!(found["teacher.model"], "\"checkpoints/bert-base.ckpt\"");
    assert!(
        !text.contains("[stages.td-phase1]") && !text.contains("teacher = "),
        "{text}"
    );
    let (text, found) = written(&given(
        &["td_config_qnli.yaml"],
        &["load_gd_ckpt_path=gd/tiny_bert_1_100.ckpt"],
    ));
    assert_eq!(found["student.model"], "\"gd/tiny_bert_1_100.ckpt\"");
    assert!(!text.contains("\nhidden-size"), "{text}");
    // Scoring alone.
    let flags = ["do_train=false", "load_td1_ckpt_path=td2.ckpt"];
    let (text, found) = written(&given(&["td_config_qnli.yaml"], &flags));
    assert_eq!(found["student.model"], "\"td2.ckpt\"");
    assert!(found.contains_key("stages.eval.batch-size"));
    assert!(!text.contains("[stages.td-phase"), "{text}");
}

#[test]
fn fp16_and_its_loss_scale_are_those_of_an_ascend() {
    let (_, found) = written(&given(
        &["gd_config.yaml", "td_config_qnli.yaml"],
        &["device_target=Ascend"],
    ));
    assert_eq!(found["precision"], "\"fp16\"");
    assert_eq!(found["stages.general-distill.loss-scale-window"], "500");
    assert_eq!(found["stages.td-phase1.loss-scale"], "256.0");
    assert_eq!(found["device"], "\"auto\"");
}

#[test]
fn devices_multiply_the_batch_of_general_distillation_only() {
    let batches = |device_num, flags: &[&str]| {
        let given = Given {
            device_num,
            ..given(&["gd_config.yaml", "td_config_qnli.yaml"], flags)
        };
        let (_, found) = written(&given);
        ["general-distill", "td-phase1"]
            .map(|stage| found[&format!("stages.{stage}.batch-size")].clone())
    };
    assert_eq!(batches(Some(8), &[]), ["128", "24"]);
    assert_eq!(batches(None, &["distribute=false"]), ["16", "24"]);
    assert_eq!(batches(None, &["device_num=2"]), ["32", "24"]);
}

#[test]
fn faults_name_file_line_and_key() {
    let with = |name: &str, from: &str, to: &str| {
        faults(&Given {
            files: vec![replaced(name, from, to)],
            ..Given::default()
        })
    };
    assert_eq!(
        with("gd_config.yaml", "batch_size: 16", "batch_size: sixteen"),
        "gd_config.yaml:25:17: `common_cfg.batch_size` cannot be `sixteen`"
    );
    assert_eq!(
        with("gd_config.yaml", "batch_size: 16", "batch_size: 0"),
        "gd_config.yaml:25:17: `common_cfg.batch_size` is out of range"
    );
    assert_eq!(
        with(
            "gd_config.yaml",
            "hidden_act: \"gelu\"\n    hidden_dropout_prob: 0.05",
            "hidden_act: \"tanh\"\n    hidden_dropout_prob: 0.05"
        ),
        "gd_config.yaml:61:17: `bert_student_net_cfg.hidden_act` cannot be `tanh`"
    );
    assert_eq!(
        with("td_config_qnli.yaml", "\"QNLI\"", "\"CLUENER\""),
        "td_config_qnli.yaml:6:12: `task_name` is named-entity recognition"
    );
    assert_eq!(
        with(
            "td_config_qnli.yaml",
            "epoch_size: 7",
            "epoch_size: 7\ntd_phase1_epoch_size: 8"
        ),
        "td_config_qnli.yaml:11:1: `td_phase1_epoch_size` is written twice"
    );
    let syntax = with(
        "gd_config.yaml",
        "['layernorm', 'bias', 'embedding']",
        "['layernorm'",
    );
    assert!(
        syntax.starts_with("gd_config.yaml:3") && syntax.contains("not valid YAML"),
        "{syntax}"
    );
    assert_eq!(
        with("gd_config.yaml", "epoch_size: 5", "epoch_size: &n 5"),
        "gd_config.yaml:12:13: an anchor in a configuration"
    );
    assert_eq!(
        with(
            "gd_config.py",
            "'scale_window': 700,",
            "'scale_window': (700,"
        ),
        "gd_config.py:11:21: a bracket that is not closed"
    );
    assert_eq!(
        with("gd_config.py", "hidden_size=324,", "hidden_size='big',"),
        "gd_config.py:37:17: `bert_student_net_cfg.hidden_size` cannot be `big`"
    );
    assert_eq!(
        faults(&given(&["gd_config.yaml"], &["epoch_size=none"])),
        "--flag:1:12: `epoch_size` cannot be `none`"
    );
    assert_eq!(
        faults(&given(&["gd_config.yaml"], &["td.do_train=true"])),
        "--flag:1:1: `td.do_train` without a configuration of task distillation"
    );
}

#[test]
fn students_of_both_programs_must_be_the_same() {
    let general = file("gd_config.yaml");
    let task = replaced(
        "td_config_qnli.yaml",
        "hidden_size: 324",
        "hidden_size: 312",
    );
    let found = faults(&Given {
        files: vec![general, task],
        ..Given::default()
    });
    assert_eq!(
        found,
        "td_config_qnli.yaml:85:18: `td_student_net_cfg.hidden_size` is 312, and \
         `bert_student_net_cfg.hidden_size` is 324"
    );
    let twice = faults(&given(&["gd_config.yaml", "gd_config.py"], &[]));
    assert!(
        twice.ends_with("a second configuration of general distillation"),
        "{twice}"
    );
    let other = Source {
        name: "x.yaml".to_owned(),
        text: "a: 1\n".to_owned(),
    };
    let found = faults(&Given {
        files: vec![other],
        ..Given::default()
    });
    assert_eq!(
        found,
        "x.yaml:1:1: not a configuration of MindSpore's TinyBERT"
    );
}

#[test]
fn no_text_of_a_configuration_reaches_the_file_unescaped_or_breaks_it() {
    let path = "data/\u{1b}[31m\u{202e} \\\"]\n";
    let text = format!(
        "task_name: SST-2\ntrain_data_dir: {path:?}\n\"odd\\nkey\": 1\nphase1_cfg:\n  batch_size: 8\n"
    )
    .replace("\\u{1b}", "\\e")
    .replace("\\u{202e}", "\\u202e");
    let (text, found) = written(&Given {
        files: vec![Source {
            name: "td\n.yaml".to_owned(),
            text,
        }],
        ..Given::default()
    });
    let train: toml::Value = format!("x = {}", found["task.train"])
        .parse::<toml::Table>()
        .unwrap()["x"]
        .clone();
    assert_eq!(train.as_str(), Some(path.trim()));
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
}

#[test]
fn a_cut_configuration_never_panics() {
    for name in [
        "gd_config.yaml",
        "td_config_qnli.yaml",
        "gd_config.py",
        "td_config.py",
    ] {
        let whole = file(name);
        for end in (0..whole.text.len()).step_by(7) {
            let file = Source {
                name: name.to_owned(),
                text: whole.text[..end].to_owned(),
            };
            let given = Given {
                files: vec![file],
                ..Given::default()
            };
            if let Err(found) = from_mindspore(KINDS, &given) {
                assert!(!found.faults.is_empty());
            }
        }
    }
}
