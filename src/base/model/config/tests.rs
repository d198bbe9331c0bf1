use std::fs;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::*;
use crate::model::ModelError;

const WHOLE: &str = r#"{
  "vocab_size": 64, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
  "intermediate_size": 40, "max_position_embeddings": 32
}"#;

fn read(text: &str) -> Result<BertConfig, ModelError> {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("config.json"), text).unwrap();
    BertConfig::read(folder.path())
}

/// The error of a whole file in which one key has another value, or is there in addition.
fn error_of(key: &str, value: Value) -> String {
    let mut object: Map<String, Value> = serde_json::from_str(WHOLE).unwrap();
    object.insert(key.to_owned(), value);
    read(&Value::Object(object).to_string())
        .unwrap_err()
        .to_string()
}

#[test]
fn defaults_are_those_of_bert() {
    let config = read(WHOLE).unwrap();
    assert_eq!(config.hidden_act, "gelu");
    assert_eq!((config.type_vocab_size, config.head_size()), (2, 6));
    assert_eq!(config.layer_norm_eps.to_bits(), 1e-12_f64.to_bits());
    assert!(config.labels().is_empty());
}

#[test]
fn bad_json_is_named_by_line_and_column() {
    let error = read("{\n  \"vocab_size\": 64,\n}").unwrap_err().to_string();
    assert!(
        error.contains("config.json:3:1`: trailing comma"),
        "{error}"
    );
}

#[test]
fn a_pointer_or_a_web_page_in_its_place_is_named() {
    for (text, what) in [
        (
            "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n",
            "Git LFS",
        ),
        ("<!doctype html>\n<html>", "web page"),
    ] {
        let error = read(text).unwrap_err();
        assert!(matches!(error, ModelError::NotConfig { .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn a_value_of_another_type_is_named_with_its_key() {
    let error = read(&WHOLE.replace("24", "\"24\""))
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("`hidden_size` in"), "{error}");
    assert!(error.ends_with("is \"24\", expected an integer"), "{error}");
}

#[test]
fn a_missing_file_and_missing_keys_are_named() {
    let folder = TempDir::new().unwrap();
    let error = BertConfig::read(folder.path()).unwrap_err();
    assert!(
        error.to_string().ends_with("config.json` does not exist"),
        "{error}"
    );
    let error = read(r#"{"vocab_size": 64, "hidden_size": 24, "intermediate_size": 40, "max_position_embeddings": 32}"#)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("lacks `num_hidden_layers` and `num_attention_heads`"),
        "{error}"
    );
}

#[test]
fn values_that_no_supported_bert_has_are_named_with_what_is_allowed() {
    for (key, value, expected) in [
        ("vocab_size", json!(0), "`vocab_size`"),
        (
            "num_hidden_layers",
            json!(1_000_000_000),
            "expected 1 to 1024",
        ),
        (
            "num_attention_heads",
            json!(5),
            "expected a multiple of `num_attention_heads`, which is 5",
        ),
        (
            "hidden_act",
            json!("swish"),
            "is `swish`, expected one of `gelu`",
        ),
        (
            "model_type",
            json!("roberta"),
            "is `roberta`, expected one of `bert`, `distilbert` and `mpnet`",
        ),
        (
            "position_embedding_type",
            json!("relative_key"),
            "expected `absolute`",
        ),
        ("hidden_dropout_prob", json!(1.0), "at least 0 and below 1"),
        ("layer_norm_eps", json!(0.0), "above 0"),
        ("pad_token_id", json!(64), "below `vocab_size`, which is 64"),
        ("tinyrun_head", json!("tanh"), "one of `plain` and `relu`"),
    ] {
        let error = error_of(key, value);
        assert!(error.contains(expected), "{key}: {error}");
    }
}

#[test]
fn labels_are_in_class_order_beyond_ten() {
    let mut config = read(WHOLE).unwrap();
    config.id2label = (0..12)
        .map(|class| (class.to_string(), format!("label {class}")))
        .collect();
    assert_eq!(config.labels()[10], "label 10");
    assert_eq!(config.labels()[2], "label 2");
    config.id2label.remove("3");
    assert!(config.labels().is_empty());
}

const DISTILBERT: &str = r#"{
  "model_type": "distilbert", "vocab_size": 64, "dim": 24, "n_layers": 3, "n_heads": 4,
  "hidden_dim": 40, "max_position_embeddings": 32, "activation": "relu", "dropout": 0.3
}"#;

#[test]
fn a_distilbert_is_read_and_written_under_its_own_keys() {
    let config = read(DISTILBERT).unwrap();
    assert_eq!((config.hidden_size, config.type_vocab_size), (24, 0));
    assert_eq!(config.hidden_act, "relu");
    let dropouts = [
        config.hidden_dropout_prob,
        config.attention_output_dropout(),
        config.classifier_dropout(),
    ];
    // The last is the default of `transformers`.
    assert_eq!(format!("{dropouts:?}"), "[0.3, 0.0, 0.2]");
    let written = config.to_json(false, &[]);
    assert_eq!(written["architectures"], json!(["DistilBertModel"]));
    assert_eq!(written["hidden_dim"], 40);
    let keys = ["hidden_size", "type_vocab_size", "layer_norm_eps", "family"];
    assert!(
        keys.iter().all(|key| written.get(key).is_none()),
        "{written}"
    );
    assert_eq!(read(&written.to_string()).unwrap(), config);
    // As a job has it.
    let sent = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<BertConfig>(&sent).unwrap(), config);
}

const MPNET: &str = r#"{
  "model_type": "mpnet", "vocab_size": 64, "hidden_size": 24, "num_hidden_layers": 3,
  "num_attention_heads": 4, "intermediate_size": 40, "max_position_embeddings": 34, "pad_token_id": 1
}"#;

#[test]
fn an_mpnet_has_no_positions_for_padding_and_a_table_of_distances() {
    let config = read(MPNET).unwrap();
    assert_eq!((config.longest_input(), config.type_vocab_size), (32, 0));
    assert_eq!(config.relative_buckets, Some(32));
    let written = config.to_json(true, &[]);
    assert_eq!(written["relative_attention_num_buckets"], 32);
    assert_eq!(written["pad_token_id"], 1);
    assert_eq!(read(&written.to_string()).unwrap().family, config.family);
    let sent = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<BertConfig>(&sent).unwrap(), config);
    for (from, to, expected) in [
        (
            "\"max_position_embeddings\": 34",
            "\"max_position_embeddings\": 2",
            "above 2",
        ),
        (
            "\"pad_token_id\": 1",
            "\"pad_token_id\": 0",
            "expected 1, the padding token",
        ),
        (
            "\"vocab_size\": 64",
            "\"vocab_size\": 64, \"relative_attention_num_buckets\": 16",
            "is 16, expected at least 32",
        ),
    ] {
        let error = read(&MPNET.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let unstated = MPNET.replace(", \"pad_token_id\": 1", "");
    assert_eq!(read(&unstated).unwrap().pad_token_id, 1);
}

#[test]
fn faults_of_a_distilbert_name_its_own_keys() {
    let error = |from: &str, to: &str| {
        let error = read(&DISTILBERT.replace(from, to)).unwrap_err();
        error.to_string()
    };
    for (from, to, expected) in [
        (
            "\"n_heads\": 4",
            "\"n_heads\": 5",
            "a multiple of `n_heads`, which is 5",
        ),
        ("\"dim\": 24", "\"dim\": \"24\"", "`dim` in"),
        ("\"dim\": 24,", "", "lacks `dim`"),
        ("\"dropout\": 0.3", "\"dropout\": 1.0", "`dropout` in"),
    ] {
        let error = error(from, to);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_is_written_is_read_back() {
    let mut config = read(WHOLE).unwrap();
    config.tinyrun_head = Some("relu".to_owned());
    let labels = ["negative".to_owned(), "positive".to_owned()];
    let written = config.to_json(true, &labels);
    assert_eq!(written["label2id"], json!({"negative": 0, "positive": 1}));
    assert_eq!(written["tinyrun_head"], "relu");
    let again = read(&written.to_string()).unwrap();
    assert_eq!(again.labels(), labels);
    config.id2label = again.id2label.clone();
    config.problem_type = Some("single_label_classification".to_owned());
    assert_eq!(again, config);
}
