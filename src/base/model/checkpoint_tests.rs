//! Checkpoints by the real MindSpore (`fixtures/mindspore_ckpt.py`) and by hand.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::config::BertConfig;
use super::error::ModelError;
use super::load::{LoadedModel, load_model, load_stated};
use super::mindspore_names::Naming;
use super::mismatch::MatchReport;
use super::names::expected_encoder;
use super::stated::Stated;

fn fixture(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    fixtures.join("ckpt").join(name)
}

/// The models of the fixtures have two heads.
fn two_heads() -> Stated {
    Stated {
        num_attention_heads: Some(2),
        ..Stated::default()
    }
}

fn load_bytes(bytes: &[u8]) -> Result<LoadedModel, ModelError> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.ckpt");
    fs::write(&path, bytes).unwrap();
    load_stated(&path, &two_heads())
}

/// All numbers of a model, name by name.
fn numbers(model: &LoadedModel) -> Result<Vec<(String, Vec<f32>)>, ModelError> {
    let names = model.weights.names();
    names
        .map(|name| Ok((name.to_owned(), model.weights.to_f32(name)?)))
        .collect()
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [
        vec![number << 3 | 2],
        varint(content.len()),
        content.to_vec(),
    ]
    .concat()
}

/// A checkpoint of one tensor.
fn value(name: &str, dims: &[usize], word: &str, content: &[u8]) -> Vec<u8> {
    let dims = dims.iter().flat_map(|dim| [vec![8], varint(*dim)].concat());
    let tensor = [dims.collect(), field(2, word.as_bytes()), field(3, content)].concat();
    field(1, &[field(1, name.as_bytes()), field(2, &tensor)].concat())
}

/// The checkpoint of a fixture with the value of one tensor in place of its own.
fn with(name: &str, change: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let bytes = fs::read(fixture("general-distill.ckpt")).unwrap();
    let at = bytes
        .windows(name.len())
        .position(|part| part == name.as_bytes());
    // One field of one message: tag and length of the value, tag and length of its name.
    let mut start = at.unwrap() - 2;
    while bytes[start] != 0x0a {
        start -= 1;
    }
    let (len, taken) = crate::input::wire::varint(&bytes[start - 2..]).unwrap();
    let (from, len) = match (bytes[start - 2] == 0x0a, taken) {
        (true, _) => (start - 2, usize::from(bytes[start - 1]) + 2),
        (false, _) => (start - 3, usize::try_from(len).unwrap() + 3),
    };
    assert_eq!(bytes[from], 0x0a);
    [
        &bytes[..from],
        &change(&bytes[from..from + len]),
        &bytes[from + len..],
    ]
    .concat()
}

const GAMMA: &str = "bert.tinybert_embedding_postprocessor.layernorm.gamma";

fn ones(count: usize) -> Vec<u8> {
    [1.0_f32.to_le_bytes(); 64][..count].concat()
}

#[test]
fn every_naming_of_mindspores_codes_is_read_as_one_model() {
    let text = fs::read(fixture("expected.json")).unwrap();
    let expected: Value = serde_json::from_slice(&text).unwrap();
    let files = expected.as_object().unwrap();
    let mut read = 0;
    for (file, tensors) in files.iter().filter(|(_, tensors)| tensors.is_object()) {
        let model = load_stated(&fixture(file), &two_heads()).unwrap();
        let mut tensors = tensors.as_object().unwrap().clone();
        if file == "relative.ckpt" {
            // In the file all the same, and not used.
            tensors.remove("bert.embeddings.position_embeddings.weight");
        }
        let names: Vec<&str> = model.weights.names().collect();
        let mut wanted: Vec<&str> = tensors.keys().map(String::as_str).collect();
        wanted.sort_unstable();
        assert_eq!(names, wanted, "{file}");
        for (name, tensor) in &tensors {
            let shape: Vec<usize> = serde_json::from_value(tensor["shape"].clone()).unwrap();
            assert_eq!(model.weights.shape(name), Some(&shape[..]), "{file} {name}");
            let numbers = model.weights.to_f32(name).unwrap();
            let sum: f64 = numbers.iter().map(|number| f64::from(*number)).sum();
            let difference = (sum - tensor["sum"].as_f64().unwrap()).abs();
            assert!(difference < 1e-6, "{file} {name}: {difference}");
        }
        let config = &model.config;
        assert_eq!(
            (config.hidden_size, config.num_hidden_layers),
            (8, 2),
            "{file}"
        );
        assert_eq!(
            (config.intermediate_size, config.max_position_embeddings),
            (12, 16)
        );
        assert_eq!(config.use_relative_positions, file == "relative.ckpt");
        let classes = tensors.contains_key("classifier.bias").then_some(3);
        assert_eq!(model.num_labels, classes, "{file}");
        read += 1;
    }
    assert_eq!(read, 8);
}

#[test]
fn a_checkpoint_implies_what_mindspore_computes() {
    let model = load_stated(&fixture("teacher-crc.ckpt"), &two_heads()).unwrap();
    assert_eq!(model.config.hidden_act, "gelu_new");
    assert_eq!(model.config.layer_norm_eps.to_bits(), 1e-7_f64.to_bits());
    assert_eq!(model.config.tinyrun_head.as_deref(), Some("relu"));
    assert_eq!(model.config.head_size(), 4);
    let stated = Stated {
        hidden_act: Some("gelu".to_owned()),
        layer_norm_eps: Some(1e-12),
        hidden_dropout_prob: Some(0.0),
        ..two_heads()
    };
    let model = load_stated(&fixture("teacher-crc.ckpt"), &stated).unwrap();
    assert_eq!(model.config.hidden_act, "gelu");
    assert_eq!(model.config.layer_norm_eps.to_bits(), 1e-12_f64.to_bits());
    assert!(model.config.hidden_dropout_prob.abs() < f64::EPSILON);
}

#[test]
fn heads_that_do_not_divide_the_width_are_refused() {
    // 12 by default, and 8 wide.
    let error = load_model(&fixture("general-distill.ckpt")).unwrap_err();
    let message = error.to_string();
    assert!(
        message.ends_with("is 8 wide, which is not a multiple of 12 attention heads, the number in MindSpore's own settings"),
        "{message}"
    );
    assert!(error.hint().unwrap().contains("`num-attention-heads`"));
    let stated = Stated {
        num_attention_heads: Some(3),
        ..Stated::default()
    };
    let error = load_stated(&fixture("general-distill.ckpt"), &stated).unwrap_err();
    assert!(
        error.to_string().ends_with("multiple of 3 attention heads"),
        "{error}"
    );
}

#[test]
fn an_encrypted_checkpoint_is_refused_by_its_mode() {
    let error = load_model(&fixture("encrypted.ckpt")).unwrap_err();
    assert!(
        error.to_string().ends_with("is encrypted (AES-GCM)"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("enc_key"));
    for (mark, mode) in [(0xd9, "AES-CBC"), (0xda, "SM4-CBC")] {
        let error = load_bytes(&[mark, 0x5e, 0x3a, 0x7f, 1, 2, 3]).unwrap_err();
        assert!(error.to_string().contains(mode), "{error}");
    }
}

#[test]
fn what_is_no_checkpoint_is_named() {
    let message = |bytes: &[u8]| load_bytes(bytes).unwrap_err().to_string();
    assert!(message(b"").contains("it is empty"));
    assert!(message(b"<!DOCTYPE html><html>").contains("web page"));
    assert!(message(b"PK\x03\x04\x14\0\0\0").contains("not a MindSpore checkpoint"));
    assert!(message(b"hello").contains("not a MindSpore checkpoint"));
    let lenet = value("conv1.weight", &[1], "Float32", &ones(1));
    let error = load_bytes(&lenet).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("contains no BERT or TinyBERT of MindSpore")
            && error.to_string().contains("`conv1.weight`"),
        "{error}"
    );
}

#[test]
fn scalars_of_both_versions_and_every_other_type_are_left_out() {
    let bytes = fs::read(fixture("general-distill.ckpt")).unwrap();
    let extras = [
        value("momentum", &[0], "Float64", &[0; 8]),
        value("global_step", &[], "Int32", &[0; 4]),
        value("i8", &[3], "Int8", &[0; 3]),
        value("u64", &[2], "UInt64", &[0; 16]),
        value("flags", &[2], "Bool", &[0, 1]),
        value("remark", &[0], "str", b"a\0\0\0"),
        value("quantised", &[8], "Int4", &[0; 4]),
        value("adam_m.bert.dense.bias", &[8], "Float32", &ones(8)),
        // A map tensor, field 3.
        field(1, &[field(1, b"table"), field(3, b"")].concat()),
    ];
    let model = load_bytes(&[bytes, extras.concat()].concat()).unwrap();
    assert!(model.weights.names().all(|name| name.starts_with("bert.")));
}

#[test]
fn bf16_packed_dims_and_slices_are_read() {
    let name = "bert.tinybert_embedding_postprocessor.layernorm.gamma";
    let tensor = [
        field(1, &[8]),
        field(2, b"BFloat16"),
        field(3, &[0x80, 0x3f].repeat(8)),
    ];
    let packed = field(
        1,
        &[field(1, name.as_bytes()), field(2, &tensor.concat())].concat(),
    );
    let slices = [&ones(3)[..], &ones(5)[..]].map(|part| value(name, &[8], "Float32", part));
    for changed in [packed, slices.concat()] {
        let model = load_bytes(&with(GAMMA, |_| changed.clone())).unwrap();
        let gamma = model
            .weights
            .to_f32("bert.embeddings.LayerNorm.weight")
            .unwrap();
        assert_eq!(gamma, [1.0; 8]);
    }
}

#[test]
fn dims_and_content_must_agree() {
    let reason = |changed: Vec<u8>| {
        load_bytes(&with(GAMMA, |_| changed.clone()))
            .unwrap_err()
            .to_string()
    };
    for (dims, content) in [
        (&[8][..], ones(7)),
        (&[8], ones(9)),
        (&[], ones(8)),
        (&[0], ones(8)),
        (&[usize::MAX, 2], ones(8)),
        (&[1 << 62, 4], ones(8)),
    ] {
        let found = reason(value(GAMMA, dims, "Float32", &content));
        assert!(
            found.contains("not what its shape") && found.contains("at byte"),
            "{found}"
        );
    }
    // Slices of different shapes; the same tensor in two places.
    let found = reason(
        [
            value(GAMMA, &[8], "Float32", &ones(4)),
            value(GAMMA, &[4], "Float32", &ones(4)),
        ]
        .concat(),
    );
    assert!(found.contains("different shapes"), "{found}");
    let twice = fs::read(fixture("general-distill.ckpt")).unwrap();
    let found = load_bytes(&[twice, value(GAMMA, &[8], "Float32", &ones(8))].concat());
    assert!(found.unwrap_err().to_string().contains("twice"));
}

#[test]
fn missing_misshapen_and_unknown_tensors_are_listed_together_by_their_own_names() {
    let bytes = with(GAMMA, |_| {
        [
            value(
                "bert.tinybert_embedding_postprocessor.layernorm.other",
                &[8],
                "Float32",
                &ones(8),
            ),
            value(
                "bert.tinybert_encoder.layers.7.output.dense.bias",
                &[3],
                "Float32",
                &ones(3),
            ),
        ]
        .concat()
    });
    let Err(error @ ModelError::Mismatch { .. }) = load_bytes(&bytes) else {
        panic!("no mismatch")
    };
    let ModelError::Mismatch { report, .. } = &error else {
        unreachable!()
    };
    let MatchReport {
        missing,
        unexpected,
        misshapen,
        ..
    } = &**report;
    assert!(missing.contains(&"bert.embeddings.LayerNorm.weight".to_owned()));
    assert_eq!(
        unexpected,
        &["bert.tinybert_embedding_postprocessor.layernorm.other"]
    );
    assert_eq!(misshapen[0].name, "bert.encoder.layer.7.output.dense.bias");
    let text = error.to_string();
    for part in [
        "are not those of one BERT",
        "`bert.tinybert_embedding_postprocessor.layernorm.gamma`",
        "`bert.tinybert_encoder.layers.7.output.dense.bias` is [3], expected [8]",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn stated_positions_are_compared_with_the_table() {
    let stated = Stated {
        max_position_embeddings: Some(64),
        ..two_heads()
    };
    let error = load_stated(&fixture("general-distill.ckpt"), &stated)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`max_position_embeddings` is 64, the weights have 16"),
        "{error}"
    );
}

/// A small checkpoint: one layer, four wide.
fn small() -> Vec<u8> {
    let config = BertConfig {
        vocab_size: 5,
        hidden_size: 4,
        num_hidden_layers: 1,
        intermediate_size: 4,
        max_position_embeddings: 3,
        ..load_stated(&fixture("general-distill.ckpt"), &two_heads())
            .unwrap()
            .config
    };
    let naming = Naming::task();
    let mut tensors: Vec<_> = expected_encoder(&config).into_iter().collect();
    // The pooler is the last.
    tensors.sort_by_key(|(name, _)| name.starts_with("bert.pooler"));
    let values = tensors.iter().map(|(name, shape)| {
        let content = [0.5_f32.to_le_bytes(); 32][..shape.iter().product()].concat();
        value(&naming.in_file(name), shape, "Float32", &content)
    });
    values.collect::<Vec<_>>().concat()
}

/// As `crc_check=True` writes it.
fn with_checksum(bytes: &[u8]) -> Vec<u8> {
    let crc = crc32fast::hash(bytes).to_be_bytes();
    [bytes, b"crc_num", &[0; 6], &crc].concat()
}

#[test]
fn a_truncated_checkpoint_is_an_error_at_every_length() {
    let whole = with_checksum(&small());
    let last = whole.len() - 17;
    for length in 0..whole.len() {
        let loaded = load_bytes(&whole[..length]);
        // Without any of the checksum it is a whole file.
        assert_eq!(loaded.is_ok(), length == last, "{length}");
    }
}

/// What becomes of a model's numbers when a byte of its file is another.
fn flipped(bytes: &mut [u8], at: usize) -> Result<Vec<(String, Vec<f32>)>, ModelError> {
    bytes[at] ^= 1 << (at % 8);
    let loaded = load_bytes(bytes);
    bytes[at] ^= 1 << (at % 8);
    numbers(&loaded?)
}

#[test]
fn a_flipped_byte_is_an_error_or_changes_nothing_but_its_own_number() {
    let mut bytes = small();
    let whole = numbers(&load_bytes(&bytes).unwrap()).unwrap();
    let mut changed = 0;
    for at in 0..bytes.len() {
        let Ok(found) = flipped(&mut bytes, at) else {
            continue;
        };
        assert_eq!(found.len(), whole.len(), "byte {at}");
        let differing = found.iter().zip(&whole).flat_map(|(found, whole)| {
            assert_eq!(
                (&found.0, found.1.len()),
                (&whole.0, whole.1.len()),
                "byte {at}"
            );
            let pairs = found.1.iter().zip(&whole.1);
            pairs.filter(|(found, whole)| found.to_bits() != whole.to_bits())
        });
        let differing = differing.count();
        assert!(differing <= 1, "byte {at} changes {differing} numbers");
        changed += differing;
    }
    let numbers: usize = whole.iter().map(|(_, numbers)| numbers.len()).sum();
    // They have no checksum there. Few flips make a number infinite, which is refused.
    assert!(changed > numbers * 3, "{changed} of {numbers}");
}

#[test]
fn with_a_checksum_a_flipped_byte_changes_no_number() {
    let mut bytes = with_checksum(&small());
    let whole = numbers(&load_bytes(&bytes).unwrap()).unwrap();
    for at in 0..bytes.len() {
        if let Ok(found) = flipped(&mut bytes, at) {
            assert_eq!(found, whole, "byte {at}");
        }
    }
}
